"""What channels cost, by type of cost, and what is left of ROI where costs are known in bounds only."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import pandas as pd

from attribution.amounts import format_amount
from attribution.errors import InputError
from attribution.reporting.charts.bars import ChannelRows, in_rows
from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.style import (
    MOST_CHANNELS,
    ChannelStyle,
    model_colours,
    model_legend,
    short_labels,
)
from attribution.returns import MEDIA, bounded_costs, own_costs
from attribution.schema.tables import UNATTRIBUTED
from attribution.sections import listed

_WIDTH = 620
_SHARED = "(shared)"


def costs_by_type(sensitivity: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """Costs of every channel's own, stacked by type; what channels share stands last.

    Parameters
    ----------
    sensitivity : DataFrame
        Table ``cost_sensitivity``; of several models the first is drawn, which all say the same.
    channels : iterable of str, optional
        All channels of the run, so that labels and colours agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``channel``, ``cost_type``, ``amount``, ``share``; channels that cost most first.

    Raises
    ------
    InputError
        No channel has a cost.

    Examples
    --------
    >>> sensitivity = pd.DataFrame({"model": "linear", "channel": ["mail", "mail", "fair", "fair"],
    ...     "cost_type": ["media", "venue"] * 2, "is_known": [True, False, False, True],
    ...     "own": [10.0, None, None, 40.0], "own_share": [1.0, None, None, 1.0]})
    >>> costs_by_type(sensitivity).table[["channel", "cost_type"]].values.tolist()
    [['fair', 'venue'], ['mail', 'media']]
    """
    own = own_costs(sensitivity)
    costs = own[own["amount"] > 0]
    if costs.empty:
        raise InputError("no channel has a cost to draw")
    costs = costs.assign(channel=costs["channel"].fillna(_SHARED))
    whole = costs.groupby("channel")["amount"].sum()
    order = sorted(whole.index, key=lambda name: (name == _SHARED, -whole[name], name))
    left_out = len(order) - MOST_CHANNELS
    order = order[:MOST_CHANNELS]
    kinds = sorted(set(costs["cost_type"]), key=lambda kind: (kind != MEDIA, kind))
    table = costs[costs["channel"].isin(order)][["channel", "cost_type", "amount", "share"]]
    rows = table["channel"].map({name: position for position, name in enumerate(order)})
    rank = table["cost_type"].map({kind: position for position, kind in enumerate(kinds)})
    table = table.assign(_row=rows, _kind=rank).sort_values(["_row", "_kind"]).drop(columns=["_row", "_kind"])
    table = table.reset_index(drop=True)
    unknown = sorted(set(own["channel"].dropna()) - set(costs["channel"]))
    captions = [
        "Shared costs have a bar of their own. Loaded cost adds a part of them to each channel."
        if _SHARED in order
        else "",
        f"No cost is known for {listed(unknown)}." if unknown else "",
        f"The {left_out} channels with the least cost are not drawn." if left_out > 0 else "",
        "A type of cost that is missing for a channel counts as 0, which makes its ROI too high.",
    ]
    return Figure(
        name="costs_by_type",
        title="Cost by channel and type",
        caption=" ".join(filter(None, captions)),
        alt_text=(
            f"Stacked bars of cost, channels: {len(order)}, types: {len(kinds)}. Most: {order[0]} with "
            f"{format_amount(whole[order[0]])}."
        ),
        chart=_stack_bars(table, kinds, order, channels),
        table=table,
    )


def _stack_bars(table: pd.DataFrame, kinds: list[str], order: list[str], channels: Iterable[str] | None) -> alt.Chart:
    labels = {**ChannelStyle.of([name for name in order if name != _SHARED], channels).labels, _SHARED: _SHARED}
    types = short_labels(kinds)
    data = table.assign(
        label=table["channel"].map(labels),
        type_label=table["cost_type"].map(types),
        place=table["cost_type"].map({kind: position for position, kind in enumerate(kinds)}),
    )
    colours = model_colours(list(types.values()))
    result: alt.Chart = (
        alt.Chart(data_of(data), width=_WIDTH, height=max(60, 24 * len(order)))
        .mark_bar()
        .encode(
            x=alt.X("amount:Q", title="cost", stack="zero", axis=alt.Axis(tickCount=8, grid=True)),
            y=alt.Y("label:N", title=None, scale=alt.Scale(domain=[labels[name] for name in order])),
            color=alt.Color(
                "type_label:N",
                title=None,
                scale=alt.Scale(domain=list(colours), range=list(colours.values())),
                legend=model_legend(list(colours)),
            ),
            order=alt.Order("place:Q"),
        )
    )
    return result


def roi_within_bounds(sensitivity: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """ROI of every channel from the worst to the best that the bounds of its costs allow.

    Parameters
    ----------
    sensitivity : DataFrame
        Table ``cost_sensitivity``; of several bases the first is drawn.
    channels : iterable of str, optional
        All channels of the run, so that labels and colours agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``channel``, ``model``, ``roi``, ``roi_low``, ``roi_high``, ``overlaps``.

    Raises
    ------
    InputError
        No channel has an ROI.

    Examples
    --------
    >>> sensitivity = pd.DataFrame({"model": "linear", "basis": "revenue", "cost_basis": "media",
    ...     "channel": ["mail", "tv"], "cost_type": "(all)", "roi_low": [1.0, 0.5], "roi": [1.0, 0.8],
    ...     "roi_high": [1.0, 1.4], "overlaps": ["tv", "mail"]})
    >>> roi_within_bounds(sensitivity).caption.splitlines()[0][:57]
    'Lines run from ROI at the highest possible cost to ROI at'
    """
    every = bounded_costs(sensitivity)
    with_roi = every[every["roi"].notna()]
    if with_roi.empty:
        raise InputError("no channel has an ROI to draw")
    table, left_out = in_rows(with_roi, "roi")
    basis, cost_basis = table.iloc[0][["basis", "cost_basis"]]
    table = table[["channel", "model", "roi", "roi_low", "roi_high", "overlaps"]]
    style = ChannelStyle.of(every["channel"], channels)
    rows = ChannelRows(table, "roi", style, title=f"ROI on {basis}, {cost_basis} cost")
    unsure = sorted(set(every.loc[every["overlaps"].notna(), "channel"]) - {UNATTRIBUTED})
    captions = [
        "Lines run from ROI at the highest possible cost to ROI at the lowest; dots are half-way. They do not "
        "cover sampling.",
        f"These channels may have the same ROI as another one: {listed(unsure)}."
        if unsure
        else "The order of the channels is the same at every possible cost.",
        f"The {left_out} channels with the lowest ROI are not drawn." if left_out else "",
    ]
    return Figure(
        name="roi_within_bounds",
        title=f"ROI on {basis} where costs are uncertain",
        caption=" ".join(filter(None, captions)),
        alt_text=(
            f"Dot chart of ROI with the range of possible costs, channels: {table['channel'].nunique()}, "
            f"overlapping: {len(unsure)}."
        ),
        chart=rows.chart(rows.dots()),
        table=table,
    )
