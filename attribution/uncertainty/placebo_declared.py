"""The table of the placebo."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_MODEL = Column("model", "text", "label of the model")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused")

PLACEBO = Table(
    "placebo",
    "model; what it credits to a channel that does nothing",
    (
        _MODEL,
        _ESTIMAND,
        Column("conversions", "number", "conversions credited to (placebo)"),
        Column("value", "number", "value credited to (placebo)"),
        null("share", "number", "share of the conversions credited to channels; null where these are not positive"),
        null("touchpoint_share", "number", "share of all touchpoints: what a model that only counts would give"),
        Column("seed", "integer", "another seed puts the placebo elsewhere"),
    ),
)
