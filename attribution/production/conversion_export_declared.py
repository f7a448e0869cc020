"""The tables of credit on its way to systems that bid."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_CHANNEL = Column("channel", "text", "channel of the touchpoint")
_CAMPAIGN = null("campaign", "text", "campaign within the channel; null where touchpoints name none")

CREDITED_CONVERSIONS = Table(
    "credited_conversions",
    "conversion × click; without a click id conversion day × channel × campaign",
    (
        null("click_id", "text", "id of the click, as the ad system gave it; null where credit is summed by day"),
        null("conversion_id", "text", "the conversion; a digest where its id was made of the customer's; null by day"),
        Column("conversion_name", "text", "what the bidding system calls this conversion"),
        null("conversion_time", "text", "when it happened, with its offset; null where credit is summed by day"),
        Column("day", "text", "day of the conversion (UTC)"),
        _CHANNEL,
        _CAMPAIGN,
        Column("conversions", "number", "credited conversions: of one click the share of its conversion"),
        Column("value", "number", "credited value"),
        null("currency", "text", "currency of the value; null where it is not told"),
        Column("model", "text", "label of the model that gave the credit"),
    ),
)

CREDITED_CAMPAIGNS = Table(
    "credited_campaigns",
    "channel × campaign, and (unattributed)",
    (
        Column("channel", "text", "channel, or (unattributed)"),
        _CAMPAIGN,
        Column("conversions", "number", "credited conversions; all rows add up to the conversions that were observed"),
        Column("value", "number", "credited value; all rows add up to the value that was observed"),
        Column(
            "with_click_id", "number", "of the conversions, those credited to clicks with an id", unit="conversions"
        ),
        Column("is_exported", "flag", "whether it is in the file: conversions of no channel are not"),
    ),
)

CONVERSION_EXPORT_TABLES = (CREDITED_CONVERSIONS, CREDITED_CAMPAIGNS)
