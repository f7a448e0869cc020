"""The tables of costs and returns that a run writes."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null
from attribution.schema.tables.outputs import IS_KNOWN

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
        null(
            "roi_beyond_chance",
            "number",
            "(value − chance value − spend) ÷ spend; null where chance is turned off, and without spend",
        ),
        Column("is_known", "flag", IS_KNOWN),
    ),
    question="What has each channel earned on its spend under each model, and how does it rank?",
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
    question="How many conversions do ad platforms claim for themselves, beside those that models credit?",
)

COST_SENSITIVITY = Table(
    "cost_sensitivity",
    "model × channel × cost type, where the costs table tells types; and model × basis × cost basis × channel with "
    "cost_type (all), where some costs are known in bounds only",
    (
        _MODEL,
        _ESTIMAND,
        Column("basis", "text", "what counts as return; of a single type the one that channels are ranked by"),
        Column("cost_basis", "text", "which costs count: media or loaded; of a single type always loaded"),
        null("channel", "text", "channel; null for what channels share, before it is shared"),
        Column(
            "cost_type",
            "text",
            "media, fees, labour, … or your own; (all): all that count together, whose rows are no further costs",
        ),
        Column("is_known", "flag", "whether any cost of its own is known; what is missing makes ROI too high"),
        null("own", "number", "costs of its own of this type; null where none is known, and for (all)"),
        null("own_share", "number", "own ÷ all costs of its own; types add up to 1"),
        null("amount", "number", "what it bears: its own and its part of what is shared; null where there is neither"),
        null("share", "number", "amount ÷ all that it bears; types add up to 1"),
        null("amount_low", "number", "the least that amount may be; null for a single type"),
        null("amount_high", "number", "the most that amount may be; null for a single type"),
        null("roi", "number", "ROI on basis and cost basis, all types together; the same as in returns"),
        null("roi_change", "number", "change of roi if this type were 10 % dearer everywhere, all else alike"),
        null("roi_without", "number", "ROI without this type; null where no cost is left"),
        null("roi_low", "number", "ROI at the costs that are worst for it, without sampling; null for a single type"),
        null("roi_high", "number", "ROI at the costs that are best for it; null where those may be 0"),
        null("rank_low", "number", "the best rank that these bounds allow; null for a single type"),
        null("rank_high", "number", "the worst rank that these bounds allow; null for a single type"),
        null("overlaps", "text", "channels whose ROI may be the same; null where none: its rank is sure"),
    ),
    question="Which costs of a channel are known, and what do dearer, missing or uncertain costs do to its ROI?",
)

_NO_UPPER_END = (
    "upper end of the interval; null without resampling, and where a low end stands alone: from there on, without an "
    "upper end, as {}_empty_draws is too large"
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
        null("cpa_high", "number", _NO_UPPER_END.format("cpa")),
        null("cpa_empty_draws", "number", "share of draws in which the channel has costs and no credited conversion"),
        null("cac_low", "number", "lower end of the interval; null without resampling"),
        null("cac_high", "number", _NO_UPPER_END.format("cac")),
        null("cac_empty_draws", "number", "share of draws in which it has costs and no credited new customer"),
        null("ltv_to_cac_low", "number", "lower end of the interval; null without resampling"),
        null("ltv_to_cac_high", "number", "upper end of the interval; null without resampling"),
    ),
    question="What does a conversion or a new customer cost, and when does it pay?",
)
