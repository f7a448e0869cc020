"""One function = one figure; the only place that draws.

Every function takes tables of a run and gives a `Figure`: an Altair chart with the table of its numbers.
A channel has the same colour and label in every figure, models have a ramp of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from attribution.reporting.charts.bars import credit_by_channel, roi_by_channel
from attribution.reporting.charts.budget import budget_by_channel, budget_gain, has_fitted_curves, response_curves
from attribution.reporting.charts.costs import costs_by_type, roi_within_bounds
from attribution.reporting.charts.doubt import curve_channels, regret_chart, specification_curve
from attribution.reporting.charts.figure import Figure, save_png, to_svg
from attribution.reporting.charts.funnel import funnel_by_stage, funnel_rates
from attribution.reporting.charts.graph import journey_graph
from attribution.reporting.charts.histograms import path_length, time_lag
from attribution.reporting.charts.horizons import budget_horizons
from attribution.reporting.charts.ranks import TRUTH_COLUMN, rank_bump
from attribution.reporting.charts.steps import channels_in, transition_heatmap
from attribution.reporting.charts.style import channel_colours, drawable, listed
from attribution.reporting.charts.waterfall import cost_waterfall
from attribution.returns import main_basis

__all__ = [
    "TRUTH_COLUMN",
    "Figure",
    "all_figures",
    "budget_by_channel",
    "budget_gain",
    "budget_horizons",
    "channel_colours",
    "cost_waterfall",
    "costs_by_type",
    "credit_by_channel",
    "drawable",
    "funnel_by_stage",
    "funnel_rates",
    "journey_graph",
    "listed",
    "path_length",
    "rank_bump",
    "regret_chart",
    "response_curves",
    "roi_by_channel",
    "roi_within_bounds",
    "save_png",
    "specification_curve",
    "time_lag",
    "to_svg",
    "transition_heatmap",
]


def all_figures(tables: Mapping[str, pd.DataFrame]) -> list[Figure]:
    """Every figure that the tables of a run allow, in the order of a report.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Tables by name: ``credit``, ``returns``, ``transitions``, ``removal_effects``, ``journey_profile``
        and, for a simulated world, ``truth``. Absent or empty ones are passed over, and so is a rank chart of
        one column.

    Examples
    --------
    >>> all_figures({})
    []
    """
    present = {name: table for name, table in tables.items() if not table.empty}
    credit = present.get("credit")
    returns = main_basis(present["returns"]) if "returns" in present else None
    transitions, profile = present.get("transitions"), present.get("journey_profile")
    channels = set().union(*(table["channel"] for table in (credit, returns) if table is not None))
    if transitions is not None:
        channels |= channels_in(transitions)
    figures: list[Figure] = []
    if credit is not None:
        figures.append(credit_by_channel(credit, channels=channels))
    if returns is not None and returns["roi"].notna().any():
        figures.append(roi_by_channel(returns, channels=channels))
        if returns["model"].nunique() > 1 or "truth" in present:
            figures.append(rank_bump(returns, present.get("truth"), channels=channels))
    figures += _of_costs(present, channels)
    if transitions is not None and channels_in(transitions):
        figures.append(transition_heatmap(transitions, channels=channels))
        if profile is not None:
            effects = tables.get("removal_effects", pd.DataFrame(columns=["model", "channel", "removal_effect"]))
            figures.append(journey_graph(transitions, effects, profile, channels=channels))
    for measure, draw in (("path_length", path_length), ("time_lag_days", time_lag)):
        if profile is not None and (profile["measure"] == measure).any():
            figures.append(draw(profile))
    if "funnel_credit" in present:
        figures += _of_funnel(present["funnel"], present["funnel_credit"], channels)
    if "specifications" in present:
        figures += _of_doubt(present, channels)
    if "budget" in present:
        figures += _of_budget(present, channels)
    return figures


def _of_costs(present: Mapping[str, pd.DataFrame], channels: set[str]) -> list[Figure]:
    figures = []
    if "cost_coverage" in present and (present["cost_coverage"]["amount"] > 0).any():
        figures.append(costs_by_type(present["cost_coverage"], channels=channels))
    if "cost_sensitivity" in present and present["cost_sensitivity"]["cost_type"].nunique() > 1:
        figures.append(cost_waterfall(present["cost_sensitivity"], channels=channels))
    if "cost_bounds" in present and present["cost_bounds"]["roi"].notna().any():
        figures.append(roi_within_bounds(present["cost_bounds"], channels=channels))
    return figures


def _of_funnel(funnel: pd.DataFrame, credit: pd.DataFrame, channels: set[str]) -> list[Figure]:
    allocated = credit[credit["estimand"] == "allocated"]
    figures = [funnel_by_stage(funnel, credit, channels=channels)] if (allocated["credit"] > 0).any() else []
    has_rates = allocated["rate_to_next"].notna().any()
    return [*figures, funnel_rates(credit, channels=channels)] if has_rates else figures


def _of_doubt(present: Mapping[str, pd.DataFrame], channels: set[str]) -> list[Figure]:
    table = present["specifications"]
    curves = [
        specification_curve(table, channel, channels=channels, number=number)
        for number, channel in enumerate(curve_channels(table), start=1)
    ]
    return [*curves, regret_chart(present["regret"])] if "regret" in present else curves


def _of_budget(present: Mapping[str, pd.DataFrame], channels: set[str]) -> list[Figure]:
    budget = present["budget"]
    figures = [budget_by_channel(budget, channels=channels), budget_gain(present["budget_scenarios"])]
    if "budget_horizons" in present:
        figures.append(budget_horizons(present["budget_horizons"]))
    return [*figures, response_curves(budget, channels=channels)] if has_fitted_curves(budget) else figures
