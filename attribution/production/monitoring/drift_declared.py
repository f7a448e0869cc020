"""The table of a monitor: whether the last days still look like those a model was fitted on."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

DRIFT = Table(
    "drift",
    "measure (× model) (× channel)",
    (
        Column(
            "measure",
            "text",
            "channel_mix, path_length, time_lag_days, conversion_rate, value_per_conversion, credit or roi",
        ),
        null("model", "text", "label of the model; null where none is asked"),
        null("channel", "text", "channel; null where the row is of all of them"),
        null(
            "training",
            "number",
            "in the training window: a share, a mean, a rate or an ROI",
            unit="that of the measure",
        ),
        null("recent", "number", "in the recent window", unit="that of the measure"),
        null(
            "change",
            "number",
            "recent ÷ training − 1; of ROI, that of returns per unit of spend",
            unit="ratio (1 = 100 %)",
        ),
        null("psi", "number", "population stability index of the whole distribution, or what a channel adds to it"),
        null("p_value", "number", "share of stretches of the training window that lie as far off; null: not tested"),
        null("p_adjusted", "number", "share of such stretches in which any measure at all lies as far off"),
        null(
            "limit",
            "number",
            "what psi, or the size of change, must exceed beside being unlikely",
            unit="that of psi or of change",
        ),
        Column("drifted", "flag", "whether it is beyond the limit, and p_adjusted at most the level"),
    ),
)

DRIFT_TABLES = (DRIFT,)
