"""The tables that a run reads; readers check them against these contracts."""

from __future__ import annotations

from attribution.schema.clicks import CLICK_IDS, TAGS
from attribution.schema.tables.definition import Column, Table, optional

RAW_MARKETING = (*TAGS, "referrer", "url", "channel_group", *CLICK_IDS)
"""Columns from which channel rules derive channel and campaign where there is no channel column."""

_RAW = {"channel_group": "default channel that the analytics product names; own channel rules come before it"}

TOUCHPOINTS = Table(
    "touchpoints",
    "one contact of a customer with a channel",
    (
        Column("customer_id", "id", "who was touched", nullable=True),
        Column("touched_at", "time", "when (UTC), or the position in the customer's order", nullable=True),
        optional("channel", "text", "through which channel; needed unless channel rules or a code tell it"),
        optional("campaign", "text", "campaign within the channel"),
        optional("kind", "text", "click, impression, …; at one instant a click comes before an impression"),
        optional("stage", "text", "stage that this touchpoint opened: lead, opportunity, …"),
        optional("cost", "money", "what this touchpoint cost"),
        optional("code", "text", "QR or coupon code, whose channel the codes table tells"),
        *(optional(name, "text", _RAW.get(name, "raw, for channel rules")) for name in RAW_MARKETING),
    ),
    extensible=True,
)

CONVERSIONS = Table(
    "conversions",
    "one conversion of a customer",
    (
        Column("customer_id", "id", "who converted", nullable=True),
        Column("converted_at", "time", "when (UTC), or the position in the customer's order", nullable=True),
        optional("value", "money", "revenue of the conversion"),
        optional("refund", "money", "what of the value was paid back; credit is of the rest"),
        optional("is_cancelled", "flag", "whether it was called off; it is then no conversion"),
        optional("margin", "number", "gross margin of the conversion, in money, refunds taken off"),
        optional("ltv", "money", "lifetime revenue of the customer; counts where the customer is new"),
        optional("currency", "text", "currency of its money; returns.rates or the table rates says what it is worth"),
        optional("conversion_id", "id", "unique name of the conversion; the earliest of duplicates is kept"),
        optional("kind", "text", "order, lead, won deal, …"),
        optional("is_new_customer", "flag", "whether this was the customer's first; else the first in the data is"),
        optional("code", "text", "coupon code redeemed in it, whose channel the codes table tells"),
        optional("updated_at", "time", "when this row was last changed; nightly jobs keep the latest row of an id"),
    ),
)

STAGES = Table(
    "stages",
    "one arrival of a customer, or of a deal, in a stage of the funnel",
    (
        Column("customer_id", "id", "who arrived", nullable=True),
        Column("stage", "text", "lead, MQL, SQL, opportunity, won, …, as the funnel options name them", nullable=True),
        Column("stage_time", "time", "when (UTC)", nullable=True),
        optional("deal_id", "id", "the deal, where a customer may have several; null: of the customer as a whole"),
        optional("amount", "money", "what the deal is worth, as it was known then"),
        optional("quality", "money", "how good the lead is by sales' own measure; credit is also weighed by it"),
    ),
)

IDENTITIES = Table(
    "identities",
    "one link between two ids of one person",
    (
        Column("visitor_id", "id", "a cookie, device or other id", nullable=True),
        Column("customer_id", "id", "the customer it belongs to", nullable=True),
    ),
)

CUSTOMERS = Table(
    "customers",
    "one customer",
    (Column("customer_id", "id", "the customer", nullable=True),),
    extensible=True,
)

CODES = Table(
    "codes",
    "one QR or coupon code",
    (
        Column("code", "text", "as it is printed"),
        Column("channel", "text", "the channel that handed it out"),
        optional("campaign", "text", "campaign within the channel"),
        optional("kind", "text", "kind of the touchpoint, offline unless said"),
    ),
)

COSTS = Table(
    "costs",
    "spend of a channel on a day, in a period, or as a lump sum",
    (
        Column("channel", "text", "the channel that was paid for; beside a cost type it may be null: shared by all"),
        Column("amount", "money", "what was spent"),
        optional("day", "day", "the day of the spend"),
        optional("period_start", "day", "first day of the spend"),
        optional("period_end", "day", "last day of the spend, inclusive"),
        optional("campaign", "text", "campaign within the channel"),
        optional("cost_type", "text", "media, fees, labour, content, tools, venue, materials, travel or your own"),
        optional("currency", "text", "currency of the amount; returns.rates or the table rates says what it is worth"),
        optional("cost_low", "money", "the least it may have been; beside both bounds the amount may be null"),
        optional("cost_high", "money", "the most it may have been; half-way between is what counts then"),
        optional("amortise_days", "count", "days that the cost serves, from its day on; the period takes its part"),
        optional("claimed_conversions", "money", "conversions that the ad platform claims for itself"),
    ),
)

RATES = Table(
    "rates",
    "what one unit of a currency is worth in that of the values, from a day on",
    (
        Column("currency", "text", "the currency"),
        Column("rate", "money", "what one unit is worth"),
        optional("day", "day", "the first day of this rate, which holds until the next; null: from the beginning"),
    ),
)

LIFETIMES = Table(
    "lifetimes",
    "one customer, as a model of lifetime value foretells",
    (
        Column("customer_id", "id", "the customer", nullable=True),
        Column("ltv", "money", "expected lifetime revenue; a conversion's own ltv goes before"),
    ),
)

PATHS = Table(
    "paths",
    "one channel sequence with how often it converted and did not",
    (
        Column("path", "text", "channels in order, split at the separator, or a list", nullable=True),
        Column("conversions", "count", "journeys with this path that converted; may be fractional"),
        optional("value", "money", "revenue of those conversions"),
        optional("refund", "money", "what of the value was paid back; credit is of the rest"),
        optional("cancelled", "count", "conversions called off: journeys without one; their money is a refund"),
        optional("nulls", "count", "journeys with this path that did not convert"),
    ),
)

LIFT_TESTS = Table(
    "lift_tests",
    "one arm of a lift test or A/B test, by region, phase or segment where it has them; or an effect as reported",
    (
        Column("test", "text", "name of the test, which its rows share; rows whose name begins with # are comments"),
        optional("channel", "text", "the channel that was tested; needed but for A/B tests"),
        optional("campaign", "text", "campaign within the channel, where the test is of that part alone"),
        optional("what", "text", "what an A/B test varies: creative, form, page, …"),
        optional("segment", "text", "segment of customers that the row is of"),
        optional("design", "text", "holdout, ghost_ads, psa, geo, reported, on_off or ab"),
        optional("first_day", "day", "first day of treatment; reported effects without days are of the log's period"),
        optional("last_day", "day", "last day of treatment"),
        optional("outcome_until", "day", "last day whose conversions count; the last day of treatment unless said"),
        optional("arm", "text", "test or control"),
        optional("region", "text", "of a geo test: the region"),
        optional("phase", "text", "of a geo test: before or during"),
        optional("customers", "count", "customers assigned to the arm; of a geo test those who live in the region"),
        optional("exposed", "count", "of them exposed; in the control of ghost_ads and psa: who would have been"),
        optional("conversions", "count", "conversions of the arm"),
        optional(
            "conversions_of_exposed", "count", "ghost_ads, psa: those of `exposed`, after the first (would-be) exposure"
        ),
        optional("value", "number", "value of the conversions that are counted"),
        optional("value_sd", "money", "standard deviation of value per counted customer, 0 for those without any"),
        optional("spend", "money", "spend on the test arm while the test ran"),
        optional("effect", "number", "reported: conversions that the channel caused"),
        optional("standard_error", "number", "reported: of the effect"),
        optional("low", "number", "reported: lower end of the effect's interval"),
        optional("high", "number", "reported: upper end of the effect's interval"),
        optional("lift", "number", "reported: rate of the test arm ÷ rate of the control − 1"),
        optional("lift_low", "number", "reported: lower end of the lift's interval"),
        optional("lift_high", "number", "reported: upper end of the lift's interval"),
        optional("level", "number", "reported: coverage of the interval; 0.9 unless said"),
        optional("planned_share", "number", "share of customers who should be in control, to check the arms' sizes"),
        optional("scale", "money", "what the effect is multiplied with to be that of the log's period"),
    ),
)

TRUTH = Table(
    "truth",
    "one channel of a simulated world",
    (
        Column("channel", "text", "the channel that was switched off; (total): all paid channels at once"),
        Column("incremental_conversions", "number", "conversions lost when it is off"),
        Column("incremental_value", "number", "value lost when it is off"),
        Column("roi", "number", "(incremental value − spend) ÷ spend; null without spend", nullable=True),
    ),
    question="What did each channel of a simulated world really cause?",
)

INPUTS = {
    table.name: table
    for table in (
        *(TOUCHPOINTS, CONVERSIONS, COSTS, PATHS, TRUTH, IDENTITIES, CUSTOMERS, CODES, RATES, LIFETIMES, STAGES),
        LIFT_TESTS,
    )
}
