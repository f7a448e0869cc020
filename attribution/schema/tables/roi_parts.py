"""Which parts explain a difference in ROI: written by reviews of two runs, and by the diagnosis of one."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

EARLIER_RUN, REST = "earlier_run", "rest"
"""What ROI is held against: the same slice in an earlier run, or all other slices of its dimension."""

_FACTOR = (
    "spend: money; volume: journeys, reach: touchpoints or journeys, on the day of conversion or last touchpoint; "
    "rate: conversions per journey, of slices per unit of reach; value: money per conversion; "
    "cost: of runs all costs ÷ media spend, of slices money per unit of reach"
)

ROI_PARTS = Table(
    "roi_parts",
    "model × slice × part; parts add up exactly. (total) is of all channels with spend: never add it to them",
    (
        Column("compared_with", "text", "earlier_run, in a review; rest, in a run: all other slices of the dimension"),
        Column("dimension", "text", "what the business is cut by: channel, campaign, segment or one of touchpoints"),
        null("model", "text", "label of the model; null where every allocated model says the same"),
        null("model_before", "text", "label of the model in the earlier run; null against the rest"),
        Column("slice", "text", "one value of the dimension, or (total) against an earlier run"),
        Column(
            "part",
            "text",
            "of a review: spend, volume, rate, value, cost or model; of a run: reach, rate, value or cost",
        ),
        null(
            "reference",
            "number",
            "the factor in the earlier run, or of the rest (reach: the average other slice); null of (total)",
            unit=_FACTOR,
        ),
        null("here", "number", "the same of the slice, in the later run; null where it is not known", unit=_FACTOR),
        null(
            "roi_gap",
            "number",
            "part of ROI − ROI of the reference; 0 for reach; null without spend on both sides",
        ),
        null("total_change", "number", "part of the change of total ROI since the earlier run; null against the rest"),
        null("money", "number", "part of money in roi_slices; null against an earlier run, and for cost without costs"),
        null("profit_gap", "number", "part of profit_gap in roi_slices, reach included; null against an earlier run"),
    ),
    question="Which parts explain why the ROI of a slice differs from before, or from the rest?",
)
