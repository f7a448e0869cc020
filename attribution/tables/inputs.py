"""The tables that a run reads; readers check them against these contracts."""

from __future__ import annotations

from attribution.tables.definition import Column, Table, optional

CLICK_IDS = (
    "gclid", "gbraid", "wbraid", "msclkid", "fbclid", "ttclid", "li_fat_id", "twclid", "bd_vid", "irclickid", "srsltid",
)  # fmt: skip
RAW_MARKETING = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "referrer", "url", *CLICK_IDS)
"""Columns from which channel rules derive channel and campaign where there is no channel column."""

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
        *(optional(name, "text", "raw, for channel rules") for name in RAW_MARKETING),
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
        optional("conversion_id", "id", "unique name of the conversion; the earliest of duplicates is kept"),
        optional("kind", "text", "order, lead, won deal, …"),
        optional("is_new_customer", "flag", "whether this was the customer's first; else the first in the data is"),
        optional("code", "text", "coupon code redeemed in it, whose channel the codes table tells"),
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
        Column("channel", "text", "the channel that was paid for"),
        Column("amount", "money", "what was spent"),
        optional("day", "day", "the day of the spend"),
        optional("period_start", "day", "first day of the spend"),
        optional("period_end", "day", "last day of the spend, inclusive"),
        optional("campaign", "text", "campaign within the channel"),
    ),
)

PATHS = Table(
    "paths",
    "one channel sequence with how often it converted and did not",
    (
        Column("path", "text", "channels in order, split at the separator, or a list", nullable=True),
        Column("conversions", "count", "journeys with this path that converted; may be fractional"),
        optional("value", "money", "revenue of those conversions"),
        optional("nulls", "count", "journeys with this path that did not convert"),
    ),
)

TRUTH = Table(
    "truth",
    "one channel of a simulated world",
    (
        Column("channel", "text", "the channel that was switched off"),
        Column("incremental_conversions", "number", "conversions lost when it is off"),
        Column("incremental_value", "number", "value lost when it is off"),
        Column("roi", "number", "(incremental value − spend) ÷ spend; null without spend", nullable=True),
    ),
)

INPUTS = {table.name: table for table in (TOUCHPOINTS, CONVERSIONS, COSTS, PATHS, TRUTH, IDENTITIES, CUSTOMERS, CODES)}
