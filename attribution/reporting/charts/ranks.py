"""Ranks across models: which channels change places when the model changes."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import numpy as np
import pandas as pd

from attribution.errors import InputError
from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.style import MOST_CHANNELS, ChannelStyle, columns_of, ink_on, short_labels
from attribution.returns import main_basis
from attribution.schema.tables import NO_CHANNELS
from attribution.sections import listed

TRUTH_COLUMN = "(truth)"
"""Name of the column of true ranks, written like the other things that are no model or channel."""

_ROW = 25
_TIE = "#4d4d4d"
_LABEL_GAP = 34


def rank_bump(
    returns: pd.DataFrame, truth: pd.DataFrame | None = None, *, channels: Iterable[str] | None = None
) -> Figure:
    """ROI ranks of the channels under each model, and the true ones of a simulated world.

    Parameters
    ----------
    returns : DataFrame
        Table ``returns``; of several bases the first is drawn.
    truth : DataFrame, optional
        Table ``truth``: adds the column ``(truth)``, ranked among the channels that ``returns`` ranks.
    channels : iterable of str, optional
        All channels of the run, so that labels and colours agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``model``, ``channel``, ``rank`` (ties share their average), ``roi``, ``spend``.

    Raises
    ------
    InputError
        No channel has a rank.

    Examples
    --------
    >>> returns = pd.DataFrame({"model": ["last_touch"] * 2, "basis": ["revenue"] * 2,
    ...     "cost_basis": ["media"] * 2, "channel": ["email", "search"], "spend": [10.0, 20.0],
    ...     "roi": [0.5, 1.5], "rank": [2.0, 1.0]})
    >>> rank_bump(returns).table["channel"].tolist()
    ['search', 'email']
    """
    every = main_basis(returns)
    ranked = every.loc[every["rank"].notna(), ["model", "channel", "rank", "roi", "spend"]]
    if ranked.empty:
        raise InputError("no channel has spend, so there are no ROI ranks to draw")
    table = pd.concat([ranked, _true_ranks(ranked, truth)], ignore_index=True)
    table, left_out = _largest(table)
    style = ChannelStyle.of(returns["channel"], channels)
    without = sorted(set(every["channel"]) - set(ranked["channel"]) - set(NO_CHANNELS))
    captions = [
        "Rank 1 has the highest ROI; a thicker line has more spend.",
        "Channels that tie share their average rank and have a dark mark." if _ties(table).any() else "",
        f"{TRUTH_COLUMN} is the rank by the true ROI of the simulated world." if truth is not None else "",
        f"Not ranked, because they have no spend: {listed(without)}." if without else "",
        f"The {left_out} channels with the least spend are not drawn; their ranks are left empty." if left_out else "",
    ]
    basis, cost_basis = every.iloc[0][["basis", "cost_basis"]]
    return Figure(
        name="rank_bump",
        title=f"Ranks by ROI on {basis} ({cost_basis} cost) across models",
        caption=" ".join(filter(None, captions)),
        alt_text=_alt_text(table),
        chart=_draw(table, style),
        table=table,
    )


def _true_ranks(ranked: pd.DataFrame, truth: pd.DataFrame | None) -> pd.DataFrame:
    if truth is None:
        return ranked.iloc[:0]
    with_roi = truth[truth["channel"].isin(ranked["channel"]) & truth["roi"].notna()]
    spend = ranked.drop_duplicates("channel").set_index("channel")["spend"]
    return pd.DataFrame(
        {
            "model": TRUTH_COLUMN,
            "channel": with_roi["channel"],
            "rank": with_roi["roi"].rank(ascending=False),
            "roi": with_roi["roi"],
            "spend": with_roi["channel"].map(spend),
        }
    )


def _largest(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Columns in the order of the models, each by rank; cut to the channels with most spend."""
    spend = table.groupby("channel")["spend"].max()
    order = sorted(spend.index, key=lambda channel: (-spend[channel], channel))
    rows = table[table["channel"].isin(order[:MOST_CHANNELS])]
    column = {model: i for i, model in enumerate(dict.fromkeys(table["model"]))}
    rows = rows.assign(column=rows["model"].map(column)).sort_values(["column", "rank", "channel"])
    return rows.drop(columns="column").reset_index(drop=True), max(0, len(order) - MOST_CHANNELS)


def _ties(table: pd.DataFrame) -> pd.Series:
    return table.duplicated(["model", "rank"], keep=False)


def _alt_text(table: pd.DataFrame) -> str:
    first = table[table["rank"] == table.groupby("model")["rank"].transform("min")]
    leaders = [f"{model}: {listed(part['channel'])}" for model, part in first.groupby("model", sort=False)]
    return f"Rank chart of {table['channel'].nunique()} channels. First by model: {'; '.join(leaders)}."


def _draw(table: pd.DataFrame, style: ChannelStyle) -> alt.LayerChart:
    models = short_labels(list(dict.fromkeys(table["model"])))
    data = _place_labels(table, style, {model: i for i, model in enumerate(models)})
    step = float(np.clip(6.6 * max(columns_of(label) for label in models.values()), 95, 130))
    last = len(models) - 1
    places = float(data[["rank", "place"]].to_numpy().max())
    x = alt.X("column:Q", axis=None, scale=alt.Scale(domain=[-0.12, last + 0.12 if last else 1], nice=False))
    y = alt.Y("rank:Q", axis=None, scale=alt.Scale(domain=[0.4, places + 0.6], reverse=True, nice=False))
    colour, mark, ink = (alt.Color(f"{column}:N", scale=None) for column in ("colour", "mark", "ink"))
    width = alt.StrokeWidth("spend:Q", legend=None, scale=alt.Scale(domainMin=0, range=[1.5, 7]))
    base = alt.Chart().encode(x=x, y=y)
    line = base.mark_line(opacity=0.75).encode(color=colour, detail=alt.Detail("channel:N"), strokeWidth=width)
    layers = [
        line,
        base.mark_circle(size=330, opacity=1).encode(color=mark),
        base.mark_text(fontSize=10).encode(text=alt.Text("rank_text:N"), color=ink),
        *_end_labels(data, 0, -1, x, y),
        *(_end_labels(data, last, 1, x, y) if last else []),
        _headings(models, step, x),
    ]
    width_of_all, height = step * max(last, 1) + 40, _ROW * (places + 0.2)
    return alt.LayerChart(layer=layers, data=data_of(data), width=width_of_all, height=height)


def _place_labels(table: pd.DataFrame, style: ChannelStyle, columns: dict[str, int]) -> pd.DataFrame:
    """The table with where and in which colours to draw each rank.

    Labels of ties would lie on each other: each takes a ``place`` of its own, to which a thin line leads.
    """
    data = style.on(table).assign(column=table["model"].map(columns), rank_text=table["rank"].map("{:g}".format))
    position = table.groupby("model").cumcount() + 1.0
    data["place"] = position + (table["rank"] - position).groupby([table["model"], table["rank"]]).transform("mean")
    data["mark"] = data["colour"].where(~_ties(table), _TIE)
    data["ink"] = data["mark"].map(ink_on)
    return data


def _end_labels(data: pd.DataFrame, column: int, side: int, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Channel names beside the first (side −1) or last (side 1) column."""
    ends = alt.Chart(data_of(data[data["column"] == column]))
    colour = alt.Color("colour:N", scale=None)
    lead = ends.mark_rule(opacity=0.8, xOffset=side * 11, x2Offset=side * (_LABEL_GAP - 4)).encode(
        x=x, x2=alt.X2("column"), y=y, y2=alt.Y2("place"), color=colour
    )
    text = ends.mark_text(align="left" if side > 0 else "right", dx=side * _LABEL_GAP, fontSize=11, color="#222")
    return [lead, text.encode(x=x, y=alt.Y("place:Q", axis=None), text=alt.Text("label:N"))]


def _headings(models: dict[str, str], step: float, x: alt.X) -> alt.Chart:
    table = pd.DataFrame({"column": range(len(models)), "heading_label": list(models.values())})
    text = alt.Chart(data_of(table))
    if 6.2 * max(columns_of(label) for label in models.values()) > step:
        text = text.mark_text(baseline="bottom", fontWeight="bold", y=-2, angle=335, align="left", dx=4)
    else:
        text = text.mark_text(baseline="bottom", fontWeight="bold", y=-2, align="center")
    result: alt.Chart = text.encode(x=x, text=alt.Text("heading_label:N"))
    return result
