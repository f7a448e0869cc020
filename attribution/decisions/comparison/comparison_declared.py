"""The tables of a comparison: runs side by side, how far they agree, and what that means for each channel."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_SPECIFICATION = Column("specification", "text", "the run, by the settings that it differs in")
_MODEL = Column("model", "text", "label of the model in that run")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused")
_CHANNEL = Column("channel", "text", "channel")

COMPARISON = Table(
    "comparison",
    "specification × model × channel",
    (
        _SPECIFICATION,
        _MODEL,
        _ESTIMAND,
        _CHANNEL,
        null("spend", "number", "spend; null where none is known"),
        Column("conversions", "number", "credited conversions"),
        Column("value", "number", "credited value"),
        null("roi", "number", "ROI on the terms that the run ranks channels by; null where there is no spend"),
        null("roi_low", "number", "lower end of its interval; null where the run drew none"),
        null("roi_high", "number", "upper end of its interval"),
        null("rank", "number", "1 is the highest; ties share their average"),
        null("rank_change_from_baseline", "number", "rank − rank under the baseline model of the same specification"),
        null("roi_change", "number", "ROI − ROI under the same model in the first specification"),
        null("rank_change", "number", "rank − rank under the same model in the first specification"),
    ),
)

COMPARISON_VERDICTS = Table(
    "comparison_verdicts",
    "estimand × channel with spend",
    (
        _ESTIMAND,
        _CHANNEL,
        Column("verdict", "text", "pays under every, pays under none, or depends"),
        Column("tried", "integer", "models × specifications that give it an ROI"),
        Column("pays", "number", "share of these in which ROI is above 0"),
        Column("roi_least", "number", "smallest ROI"),
        Column("roi_most", "number", "largest ROI"),
        Column("rank_best", "number", "best rank"),
        Column("rank_worst", "number", "worst rank"),
        Column("moved_by_model", "number", "largest − smallest ROI over models, mean over specifications"),
        Column("moved_by_settings", "number", "largest − smallest ROI over specifications, mean over models"),
    ),
)

COMPARISON_TABLES = (COMPARISON, COMPARISON_VERDICTS)
