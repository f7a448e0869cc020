"""What makes up the cost of every channel, type upon type."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import pandas as pd

from attribution.amounts import format_amount
from attribution.errors import InputError
from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.style import MOST_CHANNELS, ChannelStyle, model_colours, model_legend, short_labels
from attribution.returns import MEDIA, borne_costs

_WIDTH = 620


def cost_waterfall(sensitivity: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """All that each channel costs, its part of what is shared included: each type begins where the last one ended.

    Parameters
    ----------
    sensitivity : DataFrame
        Table ``cost_sensitivity``; of several models the first is drawn, which matters only where costs are shared by
        credit.
    channels : iterable of str, optional
        All channels of the run, so that labels agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``channel``, ``cost_type``, ``amount``, ``start``, ``end``, ``roi``, ``roi_change``, ``roi_without``;
        channels that cost most first.

    Raises
    ------
    InputError
        No channel has an ROI on all its costs.

    Examples
    --------
    >>> sensitivity = pd.DataFrame({"model": "linear", "channel": "mail", "cost_type": ["media", "labour"],
    ...     "amount": [10.0, 30.0], "share": [0.25, 0.75], "roi": 1.0, "roi_change": [-0.05, -0.14],
    ...     "roi_without": [1.67, 7.0]})
    >>> cost_waterfall(sensitivity).table[["cost_type", "start", "end"]].values.tolist()
    [['media', 0.0, 10.0], ['labour', 10.0, 40.0]]
    """
    rows = borne_costs(sensitivity)
    if rows.empty:
        raise InputError("no channel has an ROI on loaded cost, so there is nothing to draw")
    rows = rows[rows["model"] == rows["model"].iloc[0]]
    whole = rows.groupby("channel")["amount"].sum()
    order = sorted(whole.index, key=lambda name: (-whole[name], name))
    left_out = len(order) - MOST_CHANNELS
    order = order[:MOST_CHANNELS]
    kinds = sorted(set(rows["cost_type"]), key=lambda kind: (kind != MEDIA, kind))
    table = rows[rows["channel"].isin(order)]
    row, kind = (
        table[column].map({name: position for position, name in enumerate(names)})
        for column, names in (("channel", order), ("cost_type", kinds))
    )
    table = table.assign(_row=row, _kind=kind).sort_values(["_row", "_kind"]).reset_index(drop=True)
    table["end"] = table.groupby("_row")["amount"].cumsum()
    table["start"] = table["end"] - table["amount"]
    # What is left of a sum less its first term is rounding.
    table.loc[~table["_row"].duplicated(), "start"] = 0.0
    columns = ["channel", "cost_type", "amount", "start", "end", "roi", "roi_change", "roi_without"]
    table = table[columns]
    captions = [
        "Types of cost add up from left to right and include a part of the shared costs.",
        "The table shows how ROI changes if a type costs 10 % more, and ROI without that type.",
        f"The {left_out} channels with the least cost are not drawn." if left_out > 0 else "",
    ]
    return Figure(
        name="cost_waterfall",
        title="What makes up the cost of a channel",
        caption=" ".join(filter(None, captions)),
        alt_text=(
            f"Waterfall of cost, channels: {len(order)}, types: {len(kinds)}. Most: {order[0]} with "
            f"{format_amount(whole[order[0]])}."
        ),
        chart=_chart(table, kinds, order, channels),
        table=table,
    )


def _chart(table: pd.DataFrame, kinds: list[str], order: list[str], channels: Iterable[str] | None) -> alt.Chart:
    labels, types = ChannelStyle.of(order, channels).labels, short_labels(kinds)
    data = table.assign(
        label=table["channel"].map(labels),
        type_label=table["cost_type"].map(types),
        place=table["cost_type"].map({kind: position for position, kind in enumerate(kinds)}),
    )
    colours = model_colours(list(types.values()))
    result: alt.Chart = (
        alt.Chart(data_of(data), width=_WIDTH, height=max(80, 12 * len(kinds) * len(order)))
        .mark_bar()
        .encode(
            x=alt.X("start:Q", title="cost", axis=alt.Axis(tickCount=8, grid=True)),
            x2=alt.X2("end:Q"),
            y=alt.Y("label:N", title=None, scale=alt.Scale(domain=[labels[name] for name in order])),
            yOffset=alt.YOffset("place:O", scale=alt.Scale(domain=list(range(len(kinds))))),
            color=alt.Color(
                "type_label:N",
                title=None,
                scale=alt.Scale(domain=list(colours), range=list(colours.values())),
                legend=model_legend(list(colours)),
            ),
        )
    )
    return result
