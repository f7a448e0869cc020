"""The tables that a run with resampling writes: how sure things are, as far as sampling goes."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_CHANNEL = Column("channel", "text", "channel")
_BY_MEASURE = "that of the measure"
_LOW = null("low", "number", "lower end of the interval; it covers sampling, never bias", _BY_MEASURE)
_HIGH = null("high", "number", "upper end of the interval", _BY_MEASURE)

ALL_MODELS = "(all)"
"""Stands for all models of an estimand under every specification, where a run tries them."""

RANK_PROBABILITY = Table(
    "rank_probability",
    "model × channel × rank; with [sensitivity] also (all) × estimand × channel × rank",
    (
        Column("model", "text", "label of the model; (all): over all models of the estimand and all specifications"),
        Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused"),
        _CHANNEL,
        Column("rank", "integer", "1 = highest ROI (most conversions where there is no spend)"),
        Column(
            "probability",
            "number",
            "share of draws in which the channel has this rank, of those in which every channel has one; ties share "
            "their ranks",
        ),
        null("least", "number", "of (all): the probability under the specification in which it is smallest"),
        null("most", "number", "of (all): the probability under the specification in which it is largest"),
    ),
    question="How certain is the rank of a channel?",
)

DIFFERENCES = Table(
    "differences",
    "measure × pair: two channels under one model, one channel under two models, or two channels that trade places "
    "between two models",
    (
        Column("model_a", "text", "label of a model"),
        Column("channel_a", "text", "a channel"),
        Column("model_b", "text", "label of the same model, or of another one that had the same draws"),
        Column("channel_b", "text", "the same channel, or another"),
        Column(
            "measure",
            "text",
            "share, roi or conversions; order: whether channel_a is above channel_b by ROI, over all specifications",
        ),
        Column(
            "difference",
            "number",
            "the measure of a less that of b; of order: how often channel_a is above channel_b under model_a, less how "
            "often under model_b",
            unit=_BY_MEASURE,
        ),
        _LOW,
        _HIGH,
        Column(
            "probability",
            "number",
            "share of draws in which a is above b; of order: in which the models rank the two in opposite order; "
            "ties count half",
        ),
    ),
    question="Is the difference between two channels, or between two models, more than chance?",
)

DRAWS = Table(
    "draws",
    "model × draw × channel, with output.draws",
    (
        Column("model", "text", "label of the model"),
        Column("draw", "integer", "number of the draw, which has the same customers under every model"),
        Column("channel", "text", "channel"),
        Column("conversions", "number", "credited conversions"),
        Column("value", "number", "credited value"),
        null("new_customers", "number", "credited conversions of new customers; null where the run does not need them"),
        Column("return", "number", "return on the basis that channels are ranked by"),
        null("spend", "number", "spend on the cost basis that channels are ranked by"),
    ),
    question="What does each draw credit to each channel, for intervals of sums and ratios of them?",
)
