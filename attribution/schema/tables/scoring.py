"""What a scoring job writes."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

SCORED = Table(
    "scored_journey_credit",
    "touchpoint of a conversion and what is no channel's, in a folder for each conversion day",
    (
        Column("model", "text", "name of the scorer"),
        Column("model_version", "text", "16 digits of the content of its folder"),
        Column("conversion_id", "id", "the conversion; made from customer, time and occurrence where absent"),
        Column("customer_id", "id", "the customer"),
        null("touched_at", "time", "time of the touchpoint; null for (unattributed) and (baseline)"),
        Column("channel", "text", "channel, (unattributed) or (baseline)"),
        null("campaign", "text", "campaign of the touchpoint"),
        null("position", "integer", "1 = first touchpoint of the journey; null for (unattributed) and (baseline)"),
        Column("credit", "number", "share of the conversion; sums to 1 per conversion", unit="conversions"),
        Column("credited_value", "number", "credit × value of the conversion"),
    ),
)

RESTATEMENT = Table(
    "restatement",
    "revision × conversion day × channel whose credit is not what an earlier revision said; or × conversion that "
    "may be wrong and could not be corrected",
    (
        Column("revision", "integer", "number of the job that changed it"),
        Column("day", "day", "day of the conversions (UTC)"),
        null(
            "channel",
            "text",
            "channel, (unattributed) or (baseline); null for a conversion that could not be corrected",
        ),
        null("conversions_before", "number", "conversions credited to the channel on this day before"),
        null("conversions_after", "number", "and now"),
        null("value_before", "number", "value credited to the channel on this day before"),
        null("value_after", "number", "and now"),
        Column("conversions_changed", "integer", "conversions of the day whose credit to the channel is another"),
        null("outdated_id", "id", "conversion whose credit may be wrong: the input lacks what led to it"),
    ),
)

SCORING_TABLES = (SCORED, RESTATEMENT)
