"""The tables that a budget writes: who gets what, which limits bind, and how much hangs on assumed curves."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null
from attribution.schema.tables.drift import DRIFT

TODAY, PLAN, MORE_BEND, LESS_BEND = "today", "plan", "more bend", "less bend"
SCENARIOS = (TODAY, PLAN, MORE_BEND, LESS_BEND)
"""What every model has; divisions of one's own have other names."""

_MODEL = Column("model", "text", "label of the model whose credit is today's return")
_ESTIMAND = Column("estimand", "text", "allocated: credit that divides observed conversions, not what ads caused")
_BENDS = "plan, or how curves bend instead: more bend, less bend"
_SCENARIO = Column("scenario", "text", _BENDS)

BUDGET = Table(
    "budget",
    "model × scenario × channel with spend",
    (
        _MODEL,
        _ESTIMAND,
        Column("scenario", "text", f"{_BENDS}; long run and its weight: the best spend at that weight"),
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
        null(
            "marginal_today",
            "number",
            "return of one unit of money more, at today's spend; null where the model cannot tell the channel's effect",
        ),
        null("marginal", "number", "the same at the proposed spend"),
        null(
            "binding",
            "text",
            "the channel's own limit that binds: floor, ceiling, step limit, nothing left, effect not known",
        ),
        null(
            "probability_more",
            "number",
            "share of draws in which its best spend is above today's, groups aside; null for the long run",
        ),
        Column("curve", "text", "power, log or hill"),
        Column("curvature", "number", "exponent of power; log and hill: multiples of today's spend"),
        Column("steepness", "number", "exponent of a Hill curve; 1 of others"),
        Column("curvature_from", "text", "assumed, or fitted to a history, with its interval or why it was refused"),
        null("valid_until", "text", "last day of the proposal; null where data have no dates"),
        null("weight", "number", "of the long run, 0 … 1, returns as shares of today's total; null of other scenarios"),
        null("long_objective", "text", "what the return of the long run is"),
        null("long_return", "number", "return expected in the long run at the proposed spend"),
        null("long_factor", "number", "multiple of what the data show that the long run is assumed to return; 1: none"),
    ),
    question="How much money should each channel get, and what does each channel then return?",
)

BUDGET_LIMITS = Table(
    "budget_limits",
    "model × scenario × limit over several channels",
    (
        _MODEL,
        _SCENARIO,
        Column("limit", "text", "total, reserve, floor or ceiling of a group, capacity (of a stage)"),
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
    question="Which limits over several channels hold the plan back, and what would one unit more of each bring?",
)

BUDGET_SCENARIOS = Table(
    "budget_scenarios",
    "model × scenario",
    (
        _MODEL,
        _ESTIMAND,
        Column("scenario", "text", f"{_BENDS}; today for spend as it is, or the name of a division of one's own"),
        Column("kind", "text", "plan, bend, today or what_if"),
        Column("objective", "text", "what the return is"),
        null("risk_aversion", "number", "standard deviations taken off the return; null where nothing is optimised"),
        Column("spend_today", "number", "spend in the period of the data"),
        Column("spend", "number", "what the spend of the scenario adds up to; of plan and bend it is the best one"),
        null("unspent", "number", "what limits leave over; null where nothing is optimised"),
        Column("return_today", "number", "return at today's spend"),
        null("return_same_mix", "number", "return if all spends grew alike to the total, limits aside"),
        Column("return", "number", "return at the spend of the scenario"),
        null("return_sd", "number", "its standard deviation, of sampling only"),
        null("return_low", "number", "lower end of its interval, of sampling only; null without resampling"),
        null("return_high", "number", "upper end of its interval"),
        Column("gain", "number", "return less return today"),
        null("gain_low", "number", "lower end of its interval, of sampling only; null without resampling"),
        null("gain_high", "number", "upper end of its interval"),
        Column("return_of_plan", "number", "return that the plan brings if curves bend as in the scenario"),
        Column("short_of_plan", "number", "return of the plan less that of the scenario, at its curves"),
        null(
            "regret",
            "number",
            "worth of the best spend of the scenario less the plan's; null where that breaks capacity",
        ),
        null("shadow_price", "number", "return of one unit of total more; null where nothing is optimised"),
        null("optimality_gap", "number", "share of marginal return that prices leave unexplained; 0 is the optimum"),
        null("breaks", "text", "the limits that a division of one's own does not keep"),
        Column("run", "text", "fingerprint of what was asked and of the data; a run of both anew has the same"),
        Column("cost_basis", "text", "what the spend is: media, or loaded with a part of shared costs"),
        null("data_start", "text", "first day of the data; null where they have no dates"),
        null("data_end", "text", "last day of the data"),
        null("valid_until", "text", "last day of the proposal"),
        null("level", "number", "coverage of the intervals"),
        Column("draws", "integer", "how many draws they come from; 0 without resampling"),
        Column("curves_fitted", "integer", "channels whose curvature comes from a history of spend"),
        Column("curves_assumed", "integer", "channels whose curvature is assumed"),
    ),
    question="What do the plan, today's spend and other divisions bring as a whole, and on what data does that rest?",
)

BUDGET_TABLES = (BUDGET, BUDGET_LIMITS, BUDGET_SCENARIOS, DRIFT)
