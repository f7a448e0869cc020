"""The tables of lift tests: what they measured, and what a test could tell."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_CAUSED = "conversions or money, by measure"

LIFT_READINGS = Table(
    "lift_readings",
    "lift test or A/B test × measure (× segment)",
    (
        Column("test", "text", "name of the test; of budgets that chance moved, the channel's"),
        null("channel", "text", "the channel that was tested; null for A/B tests of none"),
        null("campaign", "text", "campaign within the channel, where only that part was tested"),
        null("what", "text", "what an A/B test varies: creative, form, page, …"),
        null("segment", "text", "segment of customers; null for all together"),
        Column("design", "text", "holdout, ghost_ads, psa, geo, reported, on_off, ab or regional_variation"),
        Column("estimand", "text", "incremental: what would not have happened without it"),
        Column("measure", "text", "conversions or value"),
        null("first_day", "text", "first day of the test; null where the effect is of the log's period"),
        null("last_day", "text", "last day whose conversions count"),
        null("customers", "count", "customers that the effect is of; null where it was reported"),
        null("rate_test", "number", "conversions per customer in the test arm", unit="conversions per customer"),
        null("rate_control", "number", "conversions per customer in control", unit="conversions per customer"),
        null("lift", "number", "rate of test ÷ rate of control − 1", unit="ratio (1 = 100 %)"),
        null("lift_low", "number", "lower end of its interval", unit="ratio (1 = 100 %)"),
        null("lift_high", "number", "upper end of its interval", unit="ratio (1 = 100 %)"),
        Column(
            "effect", "number", "what was caused in the days of the test, had everybody been reachable", unit=_CAUSED
        ),
        null(
            "standard_error",
            "number",
            "its standard error; null where the values of customers are not known",
            unit=_CAUSED,
        ),
        null("low", "number", "lower end of its interval", unit=_CAUSED),
        null("high", "number", "upper end of its interval", unit=_CAUSED),
        Column("level", "number", "coverage of the intervals"),
        null("effect_per_day", "number", "effect ÷ days of the test", unit="conversions or money per day, by measure"),
        null("spend", "number", "spend that had this effect: that of the test arm, for all customers it is of"),
        null(
            "cost_per_incremental",
            "number",
            "spend ÷ conversions caused; infinite where there may be none",
            unit="money per conversion",
        ),
        null("cost_per_incremental_low", "number", "lower end of its interval", unit="money per conversion"),
        null(
            "cost_per_incremental_high",
            "number",
            "upper end of its interval, infinite where there may be none",
            unit="money per conversion",
        ),
        null("iroas", "number", "value caused ÷ spend", unit="ratio (1 = 100 %)"),
        null("iroas_low", "number", "lower end of its interval", unit="ratio (1 = 100 %)"),
        null("iroas_high", "number", "upper end of its interval", unit="ratio (1 = 100 %)"),
        null(
            "sample_ratio_p",
            "number",
            "probability that chance alone makes the sizes of the arms depart so far from those planned",
            unit="probability (0 … 1)",
        ),
        null("scope", "text", "whole or part of the channel; null for A/B tests"),
        null(
            "scale",
            "number",
            "what brings the effect to the log's period; null where there is no log",
            unit="ratio (1 = 100 %)",
        ),
        null("scaled_by", "text", "what that is made of: exposures, spend, days, given, or none where it is of it"),
        null("period_effect", "number", "the effect in the log's period", unit=_CAUSED),
        null(
            "period_standard_error",
            "number",
            "its standard error, with what bringing it there costs in certainty",
            unit=_CAUSED,
        ),
        null("period_low", "number", "lower end of its interval", unit=_CAUSED),
        null("period_high", "number", "upper end of its interval", unit=_CAUSED),
        Column("calibrates", "flag", "whether credit is calibrated by it: assigned by chance, of a channel"),
        null("note", "text", "what to know before using it"),
    ),
    question="What did each test find that its channel caused, how sure is it, and what does that cost?",
)

LIFT_POWER = Table(
    "lift_power",
    "channel × design × control share × days",
    (
        Column("channel", "text", "channel with spend"),
        Column("design", "text", "holdout or ghost_ads"),
        Column("control_share", "number", "share of customers who see none of the channel", unit="ratio (1 = 100 %)"),
        Column("days", "integer", "how long the test runs", unit="days"),
        Column("customers", "count", "customers in both arms"),
        Column("exposed_share", "number", "of them, who is or would be exposed", unit="ratio (1 = 100 %)"),
        Column("rate", "number", "conversions per customer that is compared", unit="conversions per customer"),
        Column(
            "detectable_effect",
            "number",
            "smallest effect in these days that a test probably tells from none",
            unit="conversions",
        ),
        null(
            "needed_effect",
            "number",
            "effect in these days at which the channel just pays: cost ÷ (margin × value)",
            unit="conversions",
        ),
        null(
            "credited_effect",
            "number",
            "conversions that the first model credits it with, in these days",
            unit="conversions",
        ),
        null(
            "calibrated_median",
            "number",
            "conversions that it caused in these days, as far as calibration tells",
            unit="conversions",
        ),
        null("calibrated_low", "number", "lower end of its interval", unit="conversions"),
        null("calibrated_high", "number", "upper end of its interval", unit="conversions"),
        null(
            "customers_needed",
            "count",
            "customers in both arms for which the needed effect is detectable",
            unit="customers",
        ),
        null("sales_forgone", "number", "conversions that the control costs while the test runs", unit="conversions"),
        null("verdict", "text", "can tell whether it pays, cannot tell whether it pays; null without spend"),
    ),
    question="Could a test of this size tell whether a channel pays, and what would the test itself cost?",
)

LIFT_TABLES = (LIFT_READINGS, LIFT_POWER)
