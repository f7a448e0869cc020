"""The tables of costs and returns that a run writes."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_MODEL = Column("model", "text", "label of the model")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused")
_CHANNEL = Column("channel", "text", "channel, (unattributed) or (baseline)")

RETURNS = Table(
    "returns",
    "model × basis × cost basis × channel",
    (
        _MODEL,
        _ESTIMAND,
        Column("basis", "text", "what counts as return: revenue, margin or ltv; channels are ranked by the first"),
        Column("cost_basis", "text", "which costs count: media, or loaded with all types and a part of what is shared"),
        _CHANNEL,
        null("spend", "number", "spend in the period; null where none is known"),
        Column("conversions", "number", "credited conversions"),
        Column("value", "number", "credited value, margin, or lifetime margin of new customers, by basis"),
        null("roas", "number", "value ÷ spend, on revenue only"),
        null("roi", "number", "(value − spend) ÷ spend"),
        null("cpa", "number", "spend ÷ credited conversions"),
        null("rank", "number", "1 = highest ROI among channels with spend; ties share their average"),
        null("roi_low", "number", "lower end of the interval; null without resampling"),
        null("roi_high", "number", "upper end of the interval; null without resampling"),
        null("rank_low", "number", "lower end of its interval; by credited conversions where no channel has an ROI"),
        null("rank_high", "number", "upper end of its interval; by credited conversions where no channel has an ROI"),
        null("conversions_low", "number", "lower end of the interval; null without resampling"),
        null("conversions_high", "number", "upper end of the interval; null without resampling"),
        null("value_low", "number", "lower end of the interval; null without resampling"),
        null("value_high", "number", "upper end of the interval; null without resampling"),
    ),
)

COST_COVERAGE = Table(
    "cost_coverage",
    "channel × cost type, where the costs table tells types",
    (
        null("channel", "text", "channel; null for what channels share"),
        Column("cost_type", "text", "media, or any other type that the costs table holds"),
        null("amount", "number", "costs of the channel's own in the period; null where none is known"),
        null("share", "number", "amount ÷ all of the channel's own costs"),
        Column("is_known", "flag", "whether there is any; what is missing makes ROI too high"),
    ),
)

PLATFORM_CLAIMS = Table(
    "platform_claims",
    "model × channel that a platform claims conversions for, and (all) together",
    (
        _MODEL,
        _ESTIMAND,
        Column("channel", "text", "channel; (all): what platforms claim together beside all observed conversions"),
        Column("claimed", "number", "conversions that its platform claims in the period"),
        Column("conversions", "number", "conversions credited to it; of (all) those observed"),
        null("claimed_ratio", "number", "claimed ÷ conversions; above 1 more is claimed than credited"),
    ),
)

COST_BOUNDS = Table(
    "cost_bounds",
    "model × basis × cost basis × channel with an ROI, where some costs are known in bounds only",
    (
        _MODEL,
        _ESTIMAND,
        Column("basis", "text", "what counts as return: revenue, margin or ltv"),
        Column("cost_basis", "text", "which costs count: media or loaded"),
        Column("channel", "text", "channel"),
        Column("spend_low", "number", "the least it may have cost"),
        Column("spend", "number", "what counts elsewhere: half-way, where the amount is not known"),
        Column("spend_high", "number", "the most it may have cost"),
        null("roi_low", "number", "ROI at the costs that are worst for it; credit as estimated, no sampling"),
        null("roi", "number", "ROI at what counts elsewhere"),
        null("roi_high", "number", "ROI at the costs that are best for it; null where those may be 0"),
        Column("rank_low", "number", "the best rank that these bounds allow"),
        Column("rank_high", "number", "the worst rank that these bounds allow"),
        null("overlaps", "text", "channels whose ROI may be the same; null where none: its rank is sure"),
    ),
)

UNIT_ECONOMICS = Table(
    "unit_economics",
    "cost basis × model × channel",
    (
        _MODEL,
        _ESTIMAND,
        Column("cost_basis", "text", "which costs count: media or loaded"),
        Column("channel", "text", "channel"),
        null("spend", "number", "spend in the period; null where none is known"),
        Column("conversions", "number", "credited conversions"),
        Column("new_customers", "number", "credited conversions of new customers"),
        null("average_value", "number", "credited value ÷ credited conversions"),
        null("margin", "number", "credited margin ÷ credited value, or returns.margin"),
        null("lifetime_margin", "number", "margin × lifetime revenue of a credited new customer"),
        null("cpa", "number", "spend ÷ credited conversions"),
        null("cac", "number", "spend ÷ credited new customers"),
        null("ltv_to_cac", "number", "lifetime_margin ÷ cac; not an ROI, which is this less 1"),
        null("payback", "number", "first period (0 = that of the purchase) by which a new customer has paid for cac"),
        null("break_even_roas", "number", "1 ÷ margin: below it spend loses money"),
        null("break_even_cpa", "number", "margin × average value: above it spend loses money"),
        null("cpa_low", "number", "lower end of the interval; null without resampling"),
        null("cpa_high", "number", "upper end of the interval; null without resampling"),
        null("cac_low", "number", "lower end of the interval; null without resampling"),
        null("cac_high", "number", "upper end of the interval; null without resampling"),
        null("ltv_to_cac_low", "number", "lower end of the interval; null without resampling"),
        null("ltv_to_cac_high", "number", "upper end of the interval; null without resampling"),
    ),
)
