"""The tables that a run with resampling writes: how sure things are, as far as sampling goes."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_MODEL = Column("model", "text", "label of the model")
_CHANNEL = Column("channel", "text", "channel")
_BY_MEASURE = "that of the measure"
_LOW = null("low", "number", "lower end of the interval; it covers sampling, never bias", _BY_MEASURE)
_HIGH = null("high", "number", "upper end of the interval", _BY_MEASURE)

INTERVALS = Table(
    "intervals",
    "model × channel × measure",
    (
        _MODEL,
        _CHANNEL,
        Column(
            "measure",
            "text",
            "conversions, value, share (of what channels are credited), roi, rank, removal_effect(_value)",
        ),
        Column("estimate", "number", "what all data give", unit=_BY_MEASURE),
        _LOW,
        _HIGH,
        null("standard_deviation", "number", "of the draws", unit=_BY_MEASURE),
    ),
)

RANK_PROBABILITY = Table(
    "rank_probability",
    "model × channel × rank",
    (
        _MODEL,
        _CHANNEL,
        Column("rank", "integer", "1 = highest ROI (most conversions where there is no spend)"),
        Column("probability", "number", "share of draws in which the channel has this rank; ties share their ranks"),
    ),
)

PAIRWISE_PROBABILITY = Table(
    "pairwise_probability",
    "model × channel × other channel",
    (
        _MODEL,
        Column("channel_a", "text", "a channel"),
        Column("channel_b", "text", "another channel"),
        Column("by", "text", "what is compared: roi, or conversions where there is no spend"),
        Column("probability", "number", "share of draws in which channel_a lies above channel_b; ties count half"),
    ),
)

MODEL_DIFFERENCES = Table(
    "model_differences",
    "model × later model × channel × measure",
    (
        Column("model_a", "text", "label of a model"),
        Column("model_b", "text", "label of another model"),
        _CHANNEL,
        Column("measure", "text", "share or roi"),
        Column("difference", "number", "what model_a gives less what model_b gives", unit=_BY_MEASURE),
        _LOW,
        _HIGH,
    ),
)

DRAWS = Table(
    "draws",
    "model × draw × channel, where the run was asked for them",
    (
        Column("model", "text", "label of the model"),
        Column("draw", "integer", "number of the draw; the same customers under every model"),
        Column("channel", "text", "channel"),
        Column("conversions", "number", "credited conversions"),
        Column("value", "number", "credited value"),
        null("new_customers", "number", "credited conversions of new customers; null where they were not asked for"),
        Column("return", "number", "return on the basis that channels are ranked by"),
        null("spend", "number", "spend on the cost basis that channels are ranked by"),
    ),
)
