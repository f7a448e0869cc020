"""One function = one figure; the only place that draws.

Every function takes tables of a run and gives a `Figure`: an Altair chart with the table of its numbers.
A channel has the same colour and label in every figure, models have a ramp of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from inspect import signature

import pandas as pd

from attribution.errors import InputError
from attribution.reporting.charts.bars import credit_and_chance, credit_by_channel, plain_bars, roi_by_channel
from attribution.reporting.charts.budget import budget_by_channel, budget_gain, response_curves
from attribution.reporting.charts.costs import costs_by_type, roi_within_bounds
from attribution.reporting.charts.figure import Figure, save_png, to_svg
from attribution.reporting.charts.funnel import funnel_by_stage, funnel_rates
from attribution.reporting.charts.graph import journey_graph
from attribution.reporting.charts.histograms import path_length, time_lag
from attribution.reporting.charts.horizons import budget_horizons
from attribution.reporting.charts.ranks import TRUTH_COLUMN, rank_bump
from attribution.reporting.charts.sensitivity import regret_chart, specification_curve
from attribution.reporting.charts.steps import channels_in, transition_heatmap
from attribution.reporting.charts.style import channel_colours, drawable
from attribution.reporting.charts.waterfall import cost_waterfall
from attribution.returns import main_basis
from attribution.sections import FigureSpec

__all__ = [
    "TRUTH_COLUMN",
    "Figure",
    "budget_by_channel",
    "budget_gain",
    "budget_horizons",
    "channel_colours",
    "cost_waterfall",
    "costs_by_type",
    "credit_and_chance",
    "credit_by_channel",
    "draw_figures",
    "drawable",
    "funnel_by_stage",
    "funnel_rates",
    "journey_graph",
    "path_length",
    "plain_bars",
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


def draw_figures(specs: Iterable[FigureSpec], tables: Mapping[str, pd.DataFrame]) -> list[Figure]:
    """Figures in the order of their specifications.

    Parameters
    ----------
    specs : what is to be drawn
    tables : of the run, for the channels that labels and colours are given to

    Raises
    ------
    InputError
        If there is no such chart.

    Examples
    --------
    >>> draw_figures([], {})
    []
    """
    channels = {"channels": _channels(tables)}
    figures = []
    for spec in specs:
        draw = _chart(spec.draw)
        shared = channels if "channels" in signature(draw).parameters else {}
        figures.append(draw(**{**shared, **spec.arguments}))
    return figures


def _channels(tables: Mapping[str, pd.DataFrame]) -> set[str]:
    """All channels of the run; only those of credit have colours that mean something."""
    present = {name: table for name, table in tables.items() if not table.empty}
    returns = main_basis(present["returns"]) if "returns" in present else None
    coloured = (table for table in (present.get("credit"), returns) if table is not None)
    channels = set().union(*(table["channel"] for table in coloured))
    return channels | (channels_in(present["transitions"]) if "transitions" in present else set())


def _chart(name: str) -> Callable[..., Figure]:
    """A function of this folder by its name, or ``module:function``."""
    module, colon, function = name.rpartition(":")
    charts = [chart for chart in __all__ if getattr(globals()[chart], "__annotations__", {}).get("return") == "Figure"]
    if not colon and name not in charts:
        raise InputError(f"there is no chart {name!r}", allowed=[*charts, "package.module:function"])
    try:
        draw: Callable[..., Figure] = getattr(import_module(module), function) if colon else globals()[name]
    except (ImportError, AttributeError) as error:
        raise InputError(f"chart {name!r} cannot be loaded: {error}") from None
    return draw
