"""The tables of diagnosis: which slice explains the gap, and what to look at first."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null
from attribution.schema.tables.roi_parts import ROI_PARTS

_MODEL = Column("model", "text", "label of the model")
_SLICED_BY = null("model", "text", "label of the model; null where every allocated model says the same")
_DIMENSION = Column(
    "dimension", "text", "what the business is cut by: channel, campaign, segment or one of touchpoints"
)
_SLICE = Column("slice", "text", "one value of the dimension")

ROI_SLICES = Table(
    "roi_slices",
    "dimension × model × slice, against the rest: all other slices together, with spend where the dimension has any",
    (
        _DIMENSION,
        _SLICED_BY,
        _SLICE,
        Column(
            "reach",
            "number",
            "touchpoints of the slice, of a segment of customers its journeys; with a period those of journeys that "
            "converted in it, or did not and were last touched in it",
            unit="touchpoints, or journeys, by dimension",
        ),
        Column("conversions", "number", "credited conversions"),
        null(
            "expected",
            "number",
            "conversions that it would be credited with by chance; null where the model looks at channels and the "
            "slices are none, or the chance level is turned off",
            unit="conversions",
        ),
        null(
            "beyond_chance",
            "number",
            "(conversions − expected) ÷ the largest standard deviation that chance can have; null without expected",
        ),
        Column("value", "number", "credited return, on the basis that channels are ranked by"),
        null("spend", "number", "cost of the slice; null where none of its own is known"),
        null("roi", "number", "(value − spend) ÷ spend"),
        null("roi_rest", "number", "the same of the rest"),
        null("roi_gap", "number", "roi − roi_rest"),
        null("total_gap", "number", "total ROI less that of the rest: how much the slice moves the total"),
        null("money", "number", "spend × roi_gap; without spend what its reach brings beyond as much of the rest"),
        null("share", "number", "of all money that falls short in the dimension; 0 where nothing does"),
        null("mostly", "text", "the part that explains most of money: rate, value or cost"),
        null("profit_gap", "number", "value − spend, less that of the average other slice"),
    ),
    question="Which part of the business does better or worse than the rest, and what is that in money?",
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
        Column(
            "kind",
            "text",
            "what was found; wasted_spend: the ROI interval lies wholly below break-even; spend_below_break_even: the "
            "estimate does, and without resampling nobody knows whether that is chance",
        ),
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
        null("spend", "number", "spend on the slice; all of it counts as wasted where kind is wasted_spend"),
        null("roi", "number", "ROI of the slice under the model"),
        null(
            "roi_low", "number", "lower end of its interval, of spend below break-even; it covers sampling, never bias"
        ),
        null("roi_high", "number", "upper end of its interval; null without resampling"),
        null(
            "break_even_roas", "number", "revenue that a unit of this spend must bring: 1 ÷ margin; 1 if none is known"
        ),
        null("basis", "text", "what counts as return of spend below break-even: margin where it is known"),
        null("cost_basis", "text", "which costs count as spend below break-even: media or loaded"),
        null("estimand", "text", "of spend below break-even: allocated or incremental credit"),
        Column("evidence", "text", "the numbers behind it, in a sentence"),
        Column("check", "text", "what to look at"),
    ),
    question="What should be looked at first, how much money is in it, and which spend is wasted?",
)

DIAGNOSIS_TABLES = (ROI_SLICES, ROI_PARTS, TASKS)
