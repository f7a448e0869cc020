"""One function = one figure; the only place that draws.

Every function takes tables of a run and gives a `Figure`: an Altair chart with the table of its numbers.
A channel has the same colour and label in every figure, models have a ramp of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from attribution.charts.bars import credit_by_channel, roi_by_channel
from attribution.charts.figure import Figure, main_basis, save_png, to_svg
from attribution.charts.graph import journey_graph
from attribution.charts.histograms import path_length, time_lag
from attribution.charts.ranks import TRUTH_COLUMN, rank_bump
from attribution.charts.steps import channels_in, transition_heatmap
from attribution.charts.style import channel_colours, drawable, listed

__all__ = [
    "TRUTH_COLUMN",
    "Figure",
    "all_figures",
    "channel_colours",
    "credit_by_channel",
    "drawable",
    "journey_graph",
    "listed",
    "main_basis",
    "path_length",
    "rank_bump",
    "roi_by_channel",
    "save_png",
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
    credit, returns = present.get("credit"), present.get("returns")
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
    if transitions is not None and channels_in(transitions):
        figures.append(transition_heatmap(transitions, channels=channels))
        if profile is not None:
            effects = tables.get("removal_effects", pd.DataFrame(columns=["model", "channel", "removal_effect"]))
            figures.append(journey_graph(transitions, effects, profile, channels=channels))
    for measure, draw in (("path_length", path_length), ("time_lag_days", time_lag)):
        if profile is not None and (profile["measure"] == measure).any():
            figures.append(draw(profile))
    return figures
