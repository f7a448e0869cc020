"""The tables of diagnosis: which slice explains the gap, spend that does not pay, what costs do to ROI, and tasks."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null
from attribution.schema.tables.roi_parts import ROI_PARTS

_MODEL = Column("model", "text", "label of the model")
_SLICED_BY = null("model", "text", "label of the model; null where every allocated model says the same")
_DIMENSION = Column(
    "dimension", "text", "what the business is cut by: channel, campaign, segment or one of touchpoints"
)
_SLICE = Column("slice", "text", "one value of the dimension")
_BASIS = Column("basis", "text", "what counts as return: margin where it is known and revenue would be ranked by")
_COST_BASIS = Column("cost_basis", "text", "which costs count: media or loaded")

ROI_SLICES = Table(
    "roi_slices",
    "dimension × model × slice, against the rest: all other slices together, with spend where the dimension has any",
    (
        _DIMENSION,
        _SLICED_BY,
        _SLICE,
        Column("journeys", "number", "journeys that touched the slice"),
        Column("conversions", "number", "credited conversions"),
        Column("value", "number", "credited return, on the basis that channels are ranked by"),
        null("spend", "number", "cost of the slice; null where none of its own is known"),
        null("roi", "number", "(value − spend) ÷ spend"),
        null("roi_rest", "number", "the same of the rest"),
        null("roi_gap", "number", "roi − roi_rest"),
        null("total_gap", "number", "total ROI less that of the rest: how much the slice moves the total"),
        null("money", "number", "spend × roi_gap; without spend what its journeys bring beyond those of the rest"),
        null("share", "number", "of all money that falls short in the dimension; 0 where nothing does"),
        null("mostly", "text", "the part that explains most of money: rate, value or cost"),
        null("profit_gap", "number", "value − spend, less that of the average other slice"),
    ),
)

WASTED_SPEND = Table(
    "wasted_spend",
    "model × channel with an ROI (campaign, where these are the grain)",
    (
        _MODEL,
        Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused"),
        Column("channel", "text", "channel"),
        _BASIS,
        _COST_BASIS,
        Column("spend", "number", "spend in the period"),
        Column("roi", "number", "(return − spend) ÷ spend on the basis"),
        null("roi_low", "number", "lower end of its interval; it covers sampling, never bias"),
        null("roi_high", "number", "upper end of its interval; null without resampling"),
        null(
            "break_even_roas", "number", "revenue that a unit of spend must bring: 1 ÷ margin, 1 if no margin is known"
        ),
        Column("status", "text", "wasted: interval wholly below an ROI of 0; not wasted; or not enough data"),
        null("wasted", "number", "spend if the interval lies wholly below break-even, else 0; null without interval"),
        Column("loss", "number", "what spend did not earn back, at the estimate; below 0 it earned more than that"),
        Column("models_wasted", "integer", "models of the estimand under which the spend counts as wasted"),
        Column("models", "integer", "models of the estimand"),
    ),
)

COST_SENSITIVITY = Table(
    "cost_sensitivity",
    "model × channel with an ROI on loaded cost × cost type it bears",
    (
        _MODEL,
        Column("channel", "text", "channel"),
        Column("cost_type", "text", "media, fees, labour, … or your own"),
        Column("amount", "number", "what it bears of this type: its own and its part of what is shared"),
        Column("share", "number", "of all its costs; types add up to 1"),
        Column("roi", "number", "ROI on the basis that channels are ranked by, loaded cost"),
        Column("roi_change", "number", "change of ROI if this type were 10 % dearer everywhere, all else alike"),
        null("roi_without", "number", "ROI without this type; null where no cost is left"),
        null("roi_low", "number", "lower end of the interval of roi"),
        null("roi_high", "number", "upper end of the interval of roi"),
    ),
)

TASKS = Table(
    "tasks",
    "one thing to look at; losses first, then shortfalls, gains and open questions, each the largest first",
    (
        Column("rank", "integer", "1 = look here first"),
        Column(
            "about",
            "text",
            "loss: spend that does not pay; shortfall: against the rest; gain; unknown: what is not known",
        ),
        Column("kind", "text", "what was found"),
        null("dimension", "text", "what the slice is one of"),
        null("slice", "text", "channel, campaign, segment, … concerned; null: all of them"),
        null("model", "text", "label of the model that the size is from; null where no model has a say"),
        null("size", "number", "money; sizes overlap and do not add up; null where it cannot be told in money"),
        null("size_low", "number", "the least over the models that agree"),
        null("size_high", "number", "the most over the models that agree"),
        null("size_of", "text", "what the size counts"),
        null("models_agreeing", "integer", "models under which it is so"),
        null("models", "integer", "models that were asked"),
        null("probability", "number", "that it is so, where that is known"),
        Column("evidence", "text", "the numbers behind it, in a sentence"),
        Column("check", "text", "what to look at"),
    ),
)

DIAGNOSIS_TABLES = (ROI_SLICES, ROI_PARTS, WASTED_SPEND, COST_SENSITIVITY, TASKS)
