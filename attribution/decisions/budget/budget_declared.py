"""The tables that a budget writes: who gets what, which limits bind, and how much hangs on assumed curves."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_MODEL = Column("model", "text", "label of the model whose credit is today's return")
_ESTIMAND = Column("estimand", "text", "allocated: credit that divides observed conversions, not what ads caused")
_SCENARIO = Column("scenario", "text", "plan, or how curves bend instead: more bend, less bend")

BUDGET = Table(
    "budget",
    "model × scenario × channel with spend",
    (
        _MODEL,
        _ESTIMAND,
        _SCENARIO,
        Column("objective", "text", "what the return is: conversions, new_customers, revenue, margin or ltv"),
        Column("channel", "text", "channel"),
        Column("spend_today", "number", "spend in the period of the data"),
        Column("spend", "number", "spend proposed for a period as long"),
        Column("change", "number", "spend ÷ spend today − 1", unit="ratio (1 = 100 %)"),
        Column("return_today", "number", "return credited in the period of the data"),
        Column("return", "number", "return expected at the proposed spend"),
        null("return_sd", "number", "its standard deviation, of sampling only; null without resampling"),
        null("return_low", "number", "lower end of its interval, of sampling only; null without resampling"),
        null("return_high", "number", "upper end of its interval"),
        Column("marginal_today", "number", "return of one unit of money more, at today's spend"),
        Column("marginal", "number", "the same at the proposed spend"),
        null("binding", "text", "the channel's own limit that binds: floor, ceiling, step limit, nothing left"),
        null("probability_more", "number", "share of draws in which its best spend is above today's, groups aside"),
        Column("curve", "text", "power, log or hill"),
        Column("curvature", "number", "exponent of power; log and hill: multiples of today's spend"),
        Column("steepness", "number", "exponent of a Hill curve; 1 of others"),
        Column("curvature_from", "text", "assumed, or fitted to a history, with its interval or why it was refused"),
        null("valid_until", "text", "last day of the proposal; null where data have no dates"),
    ),
)

BUDGET_LIMITS = Table(
    "budget_limits",
    "model × scenario × limit over several channels",
    (
        _MODEL,
        _SCENARIO,
        Column("limit", "text", "total, reserve, floor or ceiling of a group, capacity"),
        Column(
            "allowed", "number", "the limit itself, money or conversions", unit="money, or what the capacity counts"
        ),
        Column("used", "number", "what the proposal makes of it", unit="money, or what the capacity counts"),
        Column("binds", "flag", "whether the proposal would be another without it"),
        Column(
            "shadow_price",
            "number",
            "return gained by one unit more; of the total, limits that are shares of it move along",
        ),
    ),
)

BUDGET_SCENARIOS = Table(
    "budget_scenarios",
    "model × scenario",
    (
        _MODEL,
        _ESTIMAND,
        _SCENARIO,
        Column("objective", "text", "what the return is"),
        Column("risk_aversion", "number", "standard deviations taken off the return"),
        Column("spend_today", "number", "spend in the period of the data"),
        Column("spend", "number", "what the best spend of the scenario adds up to"),
        Column("unspent", "number", "what limits leave over"),
        Column("return_today", "number", "return at today's spend"),
        Column("return_same_mix", "number", "return if all spends grew alike to the total, limits aside"),
        Column("return", "number", "return at the best spend of the scenario"),
        null("return_sd", "number", "its standard deviation, of sampling only"),
        null("return_low", "number", "lower end of its interval, of sampling only; null without resampling"),
        null("return_high", "number", "upper end of its interval"),
        Column("gain", "number", "return less return today"),
        null("gain_low", "number", "lower end of its interval, of sampling only; null without resampling"),
        null("gain_high", "number", "upper end of its interval"),
        Column("return_of_plan", "number", "return that the plan brings if curves bend as in the scenario"),
        null(
            "regret",
            "number",
            "worth of the best spend of the scenario less the plan's; null where that breaks capacity",
        ),
        Column("shadow_price", "number", "return of one unit of total more"),
        Column("optimality_gap", "number", "share of marginal return that prices leave unexplained; 0 is the optimum"),
    ),
)

BUDGET_WHAT_IF = Table(
    "budget_what_if",
    "model × division of one's own",
    (
        _MODEL,
        _ESTIMAND,
        Column("what_if", "text", "its name; today for spend as it is, plan for the proposal"),
        Column("objective", "text", "what the return is"),
        Column("spend", "number", "spend of all channels"),
        Column("return", "number", "return expected of it"),
        null("return_low", "number", "lower end of its interval, of sampling only; null without resampling"),
        null("return_high", "number", "upper end of its interval"),
        Column("short_of_plan", "number", "return of the plan less this one"),
        null("breaks", "text", "the limits that it does not keep"),
    ),
)

BUDGET_HORIZONS = Table(
    "budget_horizons",
    "model × weight of the long run × channel with spend",
    (
        _MODEL,
        _ESTIMAND,
        Column("weight", "number", "of the long run, 0 … 1; each return as a share of what it is in all today"),
        Column("objective", "text", "what the return of the short run is"),
        Column("long_objective", "text", "what the return of the long run is"),
        Column("channel", "text", "channel"),
        Column("spend", "number", "spend that is best at this weight"),
        Column("return", "number", "return expected in the short run"),
        Column("long_return", "number", "return expected in the long run"),
    ),
)

BUDGET_EVIDENCE = Table(
    "budget_evidence",
    "model",
    (
        _MODEL,
        _ESTIMAND,
        Column("run", "text", "fingerprint of what was asked and of the data; a run of both anew has the same"),
        Column("objective", "text", "what the return is"),
        Column("cost_basis", "text", "what the spend is: media, or loaded with a part of shared costs"),
        null("data_start", "text", "first day of the data; null where they have no dates"),
        null("data_end", "text", "last day of the data"),
        null("valid_until", "text", "last day of the proposal"),
        Column("return_today", "number", "return at today's spend"),
        null("return_low", "number", "lower end of its interval, of sampling only; null without resampling"),
        null("return_high", "number", "upper end of its interval"),
        null("level", "number", "coverage of the intervals"),
        Column("draws", "integer", "how many draws they come from; 0 without resampling"),
        Column("curves_fitted", "integer", "channels whose curvature comes from a history of spend"),
        Column("curves_assumed", "integer", "channels whose curvature is assumed"),
    ),
)

BUDGET_DRIFT = Table(
    "budget_drift",
    "model × channel with spend now or in the earlier proposal",
    (
        _MODEL,
        Column("channel", "text", "channel"),
        null("spend", "number", "spend now, in a period as long as that of the earlier data"),
        null("return", "number", "return now, in a period as long"),
        null(
            "expected",
            "number",
            "what the earlier curve says of the spend now",
            unit="money (in a budget: what its objective counts)",
        ),
        null(
            "standard_error",
            "number",
            "of return less expected, of sampling both times; null without resampling",
            unit="money (in a budget: what its objective counts)",
        ),
        Column("status", "text", "as expected, below, above, new, gone; unknown without a standard error"),
        null("valid_until", "text", "last day of the earlier proposal"),
        null("expired", "flag", "whether that day lies before the end of the data"),
    ),
)

BUDGET_NOTES = Table("budget_notes", "note", (Column("note", "text", "what to know before acting on the proposal"),))

BUDGET_TABLES = (
    BUDGET,
    BUDGET_LIMITS,
    BUDGET_SCENARIOS,
    BUDGET_WHAT_IF,
    BUDGET_HORIZONS,
    BUDGET_EVIDENCE,
    BUDGET_DRIFT,
    BUDGET_NOTES,
)
