"""In which unit every column of numbers is, and by which formula a metric is worked out.

One word means one thing in every table, so unit and formula belong to the word. Where a table has another unit for it,
its column says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from attribution.schema.tables.definition import Column

_WORDS: Mapping[str, str] = {
    "money": "value spend amount credited_value incremental_value expected_value money_at_stake cost_to_flip "
    "moved worst unspent money profit_gap size handling worth own chance_value "
    "alone_value took_part_value",
    "money (in a budget: what its objective counts)": "return long_return gain short_of_plan regret",
    "money per conversion": "cpa break_even_cpa average_value",
    "money per new customer": "cac lifetime_margin",
    "money per arrival": "cost_per_arrival full_cost_per_arrival value_per_arrival",
    "money per percentage point": "value_per_point",
    "conversions": "claimed conversions new_customers incremental_conversions published allocated alone took_part gap "
    "conversions_changed chance_conversions beyond_conversions",
    "wins": "wins_through expected_wins",
    "wins per percentage point": "wins_per_point",
    "arrivals": "arrivals moved_on lost skipped out_of_order cases reference_cases",
    "open cases": "open without_amount",
    "customers": "customers",
    "touchpoints": "touchpoints",
    "journeys": "journeys",
    "channels": "channels curves_assumed curves_fitted",
    "channels remembered": "order",
    "states": "states",
    "models": "models models_agreeing",
    "draws": "draws",
    "days": "median_days_to_next median_days_of_all median_days_to_win days_to_flip lookback_days",
    "points of the series": "days_before days_after placebos",
    "periods": "payback",
    "percentage points": "margin_points_to_flip",
    "% of all wins": "elasticity",
    "share (0 … 1)": "share share_any touchpoint_share probability probability_more probability_pays_low "
    "probability_pays_high probability_pays_most own_share least most rate rate_to_next rate_matured win_rate "
    "win_rate_matured open_share drop reference_drop removal_effect removal_effect_value rank_biased_overlap "
    "top3_overlap share_moved lost_touchpoints_to_flip others_lost_to_flip share_to_break_even maturity covered "
    "by_chance p_value p_adjusted level weight auc optimality_gap margin empty_draws cpa_empty_draws cac_empty_draws",
    "difference of shares": "excess",
    "correlation (−1 … 1)": "kendall_tau spearman similarity",
    "ratio (1 = 100 %)": "roas roi roi_beyond_chance full_roi claimed_ratio roi_rest roi_without roi_gap total_gap "
    "roi_if_expected ltv_to_cac break_even_roas long_factor total_change attainment achieved widened_by",
    "ratio, squared": "variance",
    "return per unit of money": "marginal shadow_price",
    "place (1 = first)": "rank position",
    "places": "largest_move rank_change rank_change_from_baseline",
    "number in a sequence": "draw part revision seed target group",
    "nats per step or journey, by per": "log_loss log_loss_se",
    "information criterion": "aic bic",
    "stability index": "psi",
    "standard deviations": "risk_aversion beyond beyond_chance",
    "shape of a curve": "curvature steepness",
}
_UNIT_OF = {word: unit for unit, words in _WORDS.items() for word in words.split()}

FORMULAS: Mapping[str, str] = {
    "roas": "value ÷ spend",
    "roi": "(return − spend) ÷ spend, with revenue, margin or lifetime margin for return",
    "roi_beyond_chance": "(return − return by chance − spend) ÷ spend",
    "beyond_conversions": "conversions − chance_conversions",
    "cpa": "spend ÷ credited conversions",
    "cac": "spend ÷ credited conversions of new customers",
    "lifetime_margin": "margin × lifetime revenue of a new customer",
    "ltv_to_cac": "lifetime_margin ÷ cac",
    "claimed_ratio": "claimed ÷ conversions",
    "payback": "smallest n with (lifetime_margin earned in the periods 0 … n) ≥ cac",
    "break_even_roas": "1 ÷ margin",
    "break_even_cpa": "margin × average_value",
    "average_value": "value ÷ conversions",
    "credited_value": "credit × value of the conversion",
    "removal_effect": "1 − conversions without the channel ÷ conversions",
    "removal_effect_value": "1 − value without the channel ÷ value",
    "rate_to_next": "moved_on ÷ arrivals",
    "win_rate": "arrivals that are won ÷ arrivals",
    "cost_per_arrival": "spend ÷ credited arrivals",
    "value_per_arrival": "win_rate_matured × average amount of a win",
    "expected_wins": "Σ over open cases: probability of a win",
    "full_roi": "(value − spend − handling) ÷ (spend + handling)",
    "full_cost_per_arrival": "(spend + handling) ÷ credited arrivals",
    "roi_if_expected": "(value + expected_value − spend) ÷ spend",
    "attainment": "value ÷ goal; goal ÷ value where the target is a most",
    "achieved": "(now − before) ÷ (expected − before)",
    "gap": "allocated − published",
    "regret": "return of the best choice − return of this one",
    "incremental_conversions": "conversions with the channel − conversions without it",
    "incremental_value": "value with the channel − value without it",
}
"""How metrics are worked out, by the word that they have in every table."""

_INTERVAL = ("_low", "_high", "_sd")
_MOMENTS = ("_before", "_after", "_today", "_change", "_least", "_most", "_best", "_worst", "_of_plan", "_same_mix")


def unit_of(column: Column) -> str | None:
    """The unit of a column; None where it holds no amounts.

    Examples
    --------
    >>> unit_of(Column("roi_low", "number", "lower end")), unit_of(Column("channel", "text", "channel"))
    ('ratio (1 = 100 %)', None)
    """
    if column.unit is not None:
        return column.unit
    if column.type == "time":
        return "UTC"
    if column.type not in ("number", "money", "count", "integer"):
        return None
    word = column.name
    return _UNIT_OF.get(word) or _UNIT_OF.get(_stem(word, (*_INTERVAL, *_MOMENTS)))


def formula_of(column: Column) -> str | None:
    """The formula of a metric, at whatever moment; None for ends of intervals, changes and all that is no metric.

    Examples
    --------
    >>> formula_of(Column("roas_before", "number", "earlier")), formula_of(Column("roas_low", "number", "lower end"))
    ('value ÷ spend', None)
    """
    return FORMULAS.get(_stem(column.name, ("_before", "_after", "_today")))


def _stem(name: str, endings: tuple[str, ...]) -> str:
    return next((name.removesuffix(ending) for ending in endings if name.endswith(ending)), name)
