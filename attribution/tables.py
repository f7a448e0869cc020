"""Every table as data: its name, its grain, its columns, their types and what they mean.

Readers check inputs against these contracts and the pipeline writes outputs in exactly these columns and
this order, so this file is the dictionary of the whole project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["id", "time", "day", "text", "number", "money", "count", "integer", "flag"]
"""What a column may hold.

``id`` text or integer · ``time`` a timestamp, or an integer where a log has only an order · ``day`` a
calendar day · ``money`` and ``count`` finite numbers ≥ 0 · ``number`` any finite number · ``flag`` true/false.
"""

UNATTRIBUTED = "(unattributed)"
"""The row that takes conversions without a touchpoint, so that totals equal what was observed."""

START, CONVERSION, NULL = "(start)", "(conversion)", "(null)"
"""States of the journey graph that are no channels."""

RESERVED = (START, CONVERSION, NULL, UNATTRIBUTED)
"""Names that no channel may have."""


@dataclass(frozen=True)
class Column:
    """One column: ``required`` must be there, ``nullable`` may hold nulls."""

    name: str
    type: ColumnType
    meaning: str
    required: bool = True
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One table. ``extensible`` tables keep further text columns as dimensions."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    extensible: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.required)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


def _optional(name: str, type: ColumnType, meaning: str) -> Column:
    return Column(name, type, meaning, required=False, nullable=True)


def _null(name: str, type: ColumnType, meaning: str) -> Column:
    return Column(name, type, meaning, nullable=True)


# ---------------------------------------------------------------- inputs

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
        _optional("channel", "text", "through which channel; needed unless channel rules or a code tell it"),
        _optional("campaign", "text", "campaign within the channel"),
        _optional("kind", "text", "click, impression, …; at one instant a click comes before an impression"),
        _optional("cost", "money", "what this touchpoint cost"),
        _optional("code", "text", "QR or coupon code, whose channel the codes table tells"),
        *(_optional(name, "text", "raw, for channel rules") for name in RAW_MARKETING),
    ),
    extensible=True,
)

CONVERSIONS = Table(
    "conversions",
    "one conversion of a customer",
    (
        Column("customer_id", "id", "who converted", nullable=True),
        Column("converted_at", "time", "when (UTC), or the position in the customer's order", nullable=True),
        _optional("value", "money", "revenue of the conversion"),
        _optional("conversion_id", "id", "unique name of the conversion; the earliest of duplicates is kept"),
        _optional("kind", "text", "order, lead, won deal, …"),
        _optional("is_new_customer", "flag", "whether this was the customer's first; else the first in the data is"),
        _optional("code", "text", "coupon code redeemed in it, whose channel the codes table tells"),
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
        _optional("campaign", "text", "campaign within the channel"),
        _optional("kind", "text", "kind of the touchpoint, offline unless said"),
    ),
)

COSTS = Table(
    "costs",
    "spend of a channel on a day, in a period, or as a lump sum",
    (
        Column("channel", "text", "the channel that was paid for"),
        Column("amount", "money", "what was spent"),
        _optional("day", "day", "the day of the spend"),
        _optional("period_start", "day", "first day of the spend"),
        _optional("period_end", "day", "last day of the spend, inclusive"),
        _optional("campaign", "text", "campaign within the channel"),
    ),
)

PATHS = Table(
    "paths",
    "one channel sequence with how often it converted and did not",
    (
        Column("path", "text", "channels in order, split at the separator, or a list", nullable=True),
        Column("conversions", "count", "journeys with this path that converted; may be fractional"),
        _optional("value", "money", "revenue of those conversions"),
        _optional("nulls", "count", "journeys with this path that did not convert"),
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

# ---------------------------------------------------------------- outputs

_MODEL = Column("model", "text", "label of the model")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused")
_CHANNEL = Column("channel", "text", "channel, or (unattributed)")

CREDIT = Table(
    "credit",
    "model × channel",
    (
        _MODEL,
        _ESTIMAND,
        _CHANNEL,
        Column("conversions", "number", "conversions credited to the channel"),
        Column("value", "number", "value credited to the channel"),
        _null("share", "number", "share of all credited conversions; null where a total is negative or zero"),
        _null("conversions_low", "number", "lower end of the interval; null without resampling"),
        _null("conversions_high", "number", "upper end of the interval; null without resampling"),
    ),
)

RETURNS = Table(
    "returns",
    "model × basis × cost basis × channel",
    (
        _MODEL,
        _ESTIMAND,
        Column("basis", "text", "what counts as return: revenue"),
        Column("cost_basis", "text", "which costs count: media"),
        _CHANNEL,
        _null("spend", "number", "spend in the period; null where none is known"),
        Column("conversions", "number", "credited conversions"),
        Column("value", "number", "credited value"),
        _null("roas", "number", "value ÷ spend"),
        _null("roi", "number", "(value − spend) ÷ spend"),
        _null("cpa", "number", "spend ÷ credited conversions"),
        _null("rank", "number", "1 = highest ROI among channels with spend; ties share their average"),
        _null("roi_low", "number", "lower end of the interval; null without resampling"),
        _null("roi_high", "number", "upper end of the interval; null without resampling"),
        _null("rank_low", "number", "lower end of the interval; null without resampling"),
        _null("rank_high", "number", "upper end of the interval; null without resampling"),
    ),
)

AGREEMENT = Table(
    "agreement",
    "model × model, on the ROI ranking of channels with spend (on credited conversions where there is no spend)",
    (
        Column("model_a", "text", "label of the first model"),
        Column("model_b", "text", "label of the second model"),
        _null("kendall_tau", "number", "Kendall tau-b, −1 … 1; null where a ranking is all ties"),
        _null("spearman", "number", "Spearman rank correlation, −1 … 1; null where a ranking is all ties"),
        _null("rank_biased_overlap", "number", "rank-biased overlap, p = 0.7, 0 … 1"),
        _null("top3_overlap", "number", "share of the top three channels that both models name"),
        _null("largest_move", "number", "places moved by the channel that moves most"),
    ),
)

JOURNEY_CREDIT = Table(
    "journey_credit",
    "model × touchpoint of a converting journey",
    (
        _MODEL,
        Column("conversion_id", "id", "the conversion; made from customer, time and occurrence where absent"),
        Column("customer_id", "id", "the customer"),
        _null("touched_at", "time", "time of the touchpoint; null for (unattributed)"),
        _CHANNEL,
        _null("campaign", "text", "campaign of the touchpoint"),
        _null("position", "integer", "1 = first touchpoint of the journey; null for (unattributed)"),
        Column("credit", "number", "share of the conversion; sums to 1 per conversion"),
        Column("credited_value", "number", "credit × value of the conversion"),
    ),
)

REMOVAL_EFFECTS = Table(
    "removal_effects",
    "Markov model × channel",
    (
        _MODEL,
        _CHANNEL,
        Column("removal_effect", "number", "share of conversions lost when the channel leads to (null)"),
        _null("removal_effect_value", "number", "share of value lost when the channel leads to (null)"),
    ),
)

TRANSITIONS = Table(
    "transitions",
    "state × state of the order-1 journey graph",
    (
        Column("from_state", "text", "(start) or a channel"),
        Column("to_state", "text", "a channel, (conversion) or (null)"),
        Column("count", "number", "how often the step was taken"),
        Column("probability", "number", "count ÷ all steps out of from_state"),
    ),
)

JOURNEY_PROFILE = Table(
    "journey_profile",
    "measure × bin or channel × outcome",
    (
        Column("measure", "text", "path_length, time_lag_days, touchpoints, or participation"),
        _null("channel", "text", "for touchpoints and participation"),
        _null("bin", "number", "for path_length touchpoints, for time_lag_days whole days, lower end of the bin"),
        Column("outcome", "text", "converted or not_converted"),
        Column("count", "number", "journeys in the bin (touchpoints for measure touchpoints)"),
        Column("share", "number", "count ÷ all journeys (touchpoints) with this outcome"),
    ),
)

QUALITY = Table(
    "quality",
    "one check of one table",
    (
        Column("check", "text", "name of the check"),
        Column("table", "text", "the table it looked at"),
        Column("status", "text", "pass, warn or fail"),
        Column("count", "number", "rows concerned"),
        _null("total", "number", "rows looked at"),
        _null("example", "text", "one offending value"),
        Column("message", "text", "what was found and what was done about it"),
    ),
)

SEGMENT_CREDIT = Table(
    "segment_credit",
    "segment × model × channel, each segment's journeys alone",
    (
        Column("segment", "text", "value of the segment column, or (none)"),
        _MODEL,
        _ESTIMAND,
        _CHANNEL,
        Column("conversions", "number", "conversions of the segment credited to the channel"),
        Column("value", "number", "value of the segment credited to the channel"),
        _null("share", "number", "share of the segment's conversions; null where a total is negative or zero"),
    ),
)

CHANNEL_LINT = Table(
    "channel_lint",
    "one flaw of the raw marketing columns",
    (
        Column("check", "text", "name of the check"),
        _null("source", "text", "source as channel rules read it"),
        _null("medium", "text", "medium as channel rules read it"),
        _null("campaign", "text", "campaign as channel rules read it"),
        Column("touchpoints", "integer", "touchpoints concerned"),
        Column("message", "text", "what is wrong"),
    ),
)

OUTPUTS = {
    table.name: table
    for table in (
        CREDIT,
        RETURNS,
        AGREEMENT,
        JOURNEY_CREDIT,
        REMOVAL_EFFECTS,
        TRANSITIONS,
        JOURNEY_PROFILE,
        QUALITY,
        SEGMENT_CREDIT,
        CHANNEL_LINT,
    )
}
