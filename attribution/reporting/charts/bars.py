"""Credit and ROI: a row per channel, a mark per model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import altair as alt
import numpy as np
import pandas as pd

from attribution.amounts import format_amount, format_roi
from attribution.errors import InputError
from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.style import (
    MOST_CHANNELS,
    ChannelStyle,
    model_colours,
    model_legend,
    short_labels,
)
from attribution.returns import main_basis
from attribution.schema.tables import NO_CHANNELS
from attribution.sections import listed

_WIDTH = 620
_NO_INTERVALS = "There are no intervals, because the run had no resampling."
_INTERVALS = "Thin lines are intervals from resampling."


def credit_by_channel(credit: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """Credited conversions by channel and model, as grouped bars.

    Parameters
    ----------
    credit : DataFrame
        Table ``credit``.
    channels : iterable of str, optional
        All channels of the run, so that labels and colours agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``channel``, ``model``, ``estimand``, ``conversions``, ``share``, ``conversions_low``,
        ``conversions_high``; channels with most credit first, ``(unattributed)`` last.

    Raises
    ------
    InputError
        The table has no rows.

    Examples
    --------
    >>> credit = pd.DataFrame({"model": ["last_touch"] * 2, "estimand": ["allocated"] * 2,
    ...     "channel": ["email", "search"], "conversions": [1.0, 3.0], "value": [10.0, 30.0],
    ...     "share": [0.25, 0.75], "conversions_low": [None] * 2, "conversions_high": [None] * 2})
    >>> credit_by_channel(credit).table["channel"].tolist()
    ['search', 'email']
    """
    if credit.empty:
        raise InputError("there is no credit to draw")
    table, left_out = in_rows(credit, "conversions")
    columns = ["channel", "model", "estimand", "conversions", "share", "conversions_low", "conversions_high"]
    table = table[columns]
    style = ChannelStyle.of(credit["channel"], channels)
    rows = ChannelRows(table, "conversions", style, title="credited conversions")
    top = table.loc[table["conversions"].idxmax()]
    captions = [
        "The bars of a channel are in the order of the legend." if table["model"].nunique() > 1 else "",
        *(f"{kind.capitalize()}: {listed(models)}." for kind, models in _by_estimand(table)),
        _INTERVALS if rows.has_intervals else _NO_INTERVALS,
        _say_omitted(left_out, "least credit"),
    ]
    return Figure(
        name="credit_by_channel",
        title="Credited conversions by channel and model",
        caption=" ".join(filter(None, captions)),
        alt_text=(
            f"Bar chart of credited conversions, {_sizes(table)}. Most: {top['channel']} with "
            f"{format_amount(top['conversions'])} under {top['model']}."
        ),
        chart=rows.chart(rows.bars()),
        table=table,
    )


def credit_and_chance(credit: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """Credited conversions by channel and model, with what labels at random would get.

    Parameters
    ----------
    credit : DataFrame
        Rows of the table ``credit`` that have a chance level.
    channels : iterable of str, optional
        All channels of the run, so that labels and colours agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``channel``, ``model``, ``estimand``, ``conversions``, ``chance_conversions``,
        ``beyond_conversions``, ``beyond_conversions_low``, ``beyond_conversions_high``; channels with most credit
        first.

    Raises
    ------
    InputError
        The table has no rows.

    Examples
    --------
    >>> credit = pd.DataFrame({"model": ["last_touch"] * 2, "estimand": ["allocated"] * 2,
    ...     "channel": ["email", "search"], "conversions": [1.0, 3.0], "chance_conversions": [2.5, 1.5],
    ...     "beyond_conversions": [-1.5, 1.5], "beyond_conversions_low": [None] * 2,
    ...     "beyond_conversions_high": [None] * 2})
    >>> credit_and_chance(credit).table["channel"].tolist()
    ['search', 'email']
    """
    if credit.empty:
        raise InputError("there is no chance level to draw")
    table, left_out = in_rows(credit, "conversions")
    beyond = "beyond_conversions"
    table = table[
        ["channel", "model", "estimand", "conversions", "chance_conversions", beyond, f"{beyond}_low", f"{beyond}_high"]
    ]
    style = ChannelStyle.of(credit["channel"], channels)
    plain = table.assign(conversions_low=np.nan, conversions_high=np.nan)
    rows = ChannelRows(plain, "conversions", style, title="credited conversions, and their chance level")
    top = table.loc[table[beyond].idxmax()]
    captions = [
        "Black marks show what a channel would get if channels were labels at random, each as often as it touches. "
        "Only what lies beyond the mark says something of the channel, and not that the channel caused it.",
        _say_omitted(left_out, "least credit"),
    ]
    return Figure(
        name="credit_and_chance",
        title="Credited conversions with their chance level",
        caption=" ".join(filter(None, captions)),
        alt_text=(
            f"Bar chart of credited conversions with a mark at their chance level, {_sizes(table)}. Farthest beyond: "
            f"{top['channel']} with {format_amount(top['conversions'])} instead of "
            f"{format_amount(top['chance_conversions'])} under {top['model']}."
        ),
        chart=rows.chart([*rows.bars(), rows.marks("chance_conversions")]),
        table=table,
    )


def plain_bars(table: pd.DataFrame, *, label: str, amount: str, name: str, title: str, caption: str = "") -> Figure:
    """One bar per row: the chart for a table that has none of its own.

    Parameters
    ----------
    table : DataFrame
        What is drawn, in its order.
    label, amount : str
        Its columns of names and of numbers.
    name, title, caption : str
        Of the figure; a report holds a name once.

    Raises
    ------
    InputError
        The table has no rows.

    Examples
    --------
    >>> table = pd.DataFrame({"channel": ["mail", "search"], "visits": [3, 5]})
    >>> plain_bars(table, label="channel", amount="visits", name="visits", title="Visits").alt_text
    'Bar chart of visits, 2 bars. Most: search with 5.'
    """
    if table.empty:
        raise InputError(f"there is nothing to draw in {name}")
    names = [str(each) for each in table[label]]
    labels = short_labels(names)
    data = pd.DataFrame({"label": [labels[each] for each in names], "amount": table[amount].astype(float).to_numpy()})
    most = int(np.nanargmax(data["amount"]))
    chart = alt.Chart(data_of(data), width=_WIDTH).mark_bar()
    return Figure(
        name=name,
        title=title,
        caption=caption,
        alt_text=(
            f"Bar chart of {amount}, {len(data)} bars. Most: {names[most]} with {format_amount(data['amount'][most])}."
        ),
        chart=chart.encode(x=alt.X("amount:Q", title=amount), y=alt.Y("label:N", title=None, sort=None)),
        table=table,
    )


def roi_by_channel(returns: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """ROI by channel and model with the break-even line, as dots.

    Parameters
    ----------
    returns : DataFrame
        Table ``returns``; of several bases the first is drawn.
    channels : iterable of str, optional
        All channels of the run, so that labels and colours agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``channel``, ``model``, ``estimand``, ``basis``, ``cost_basis``, ``spend``, ``roi``,
        ``roi_low``, ``roi_high``; channels with the highest ROI first. Channels without spend are named in
        the caption.

    Raises
    ------
    InputError
        No channel has an ROI.

    Examples
    --------
    >>> returns = pd.DataFrame({"model": ["last_touch"] * 2, "estimand": ["allocated"] * 2,
    ...     "basis": ["revenue"] * 2, "cost_basis": ["media"] * 2, "channel": ["email", "direct"],
    ...     "spend": [10.0, None], "roi": [0.5, None], "roi_low": [None] * 2, "roi_high": [None] * 2})
    >>> roi_by_channel(returns).table["channel"].tolist()
    ['email']
    """
    every = main_basis(returns)
    with_roi = every[every["roi"].notna()]
    if with_roi.empty:
        raise InputError("no channel has spend, so there is no ROI to draw")
    table, left_out = in_rows(with_roi, "roi")
    columns = ["channel", "model", "estimand", "basis", "cost_basis", "spend", "roi", "roi_low", "roi_high"]
    table = table[columns]
    basis, cost_basis = table.iloc[0][["basis", "cost_basis"]]
    style = ChannelStyle.of(returns["channel"], channels)
    title = f"ROI on {basis}, {cost_basis} cost: ({basis} − {cost_basis} spend) ÷ {cost_basis} spend"
    rows = ChannelRows(table, "roi", style, title=title)
    without = sorted(set(every["channel"]) - set(with_roi["channel"]) - set(NO_CHANNELS))
    top = table.loc[table["roi"].idxmax()]
    captions = [
        "Spend breaks even at the line at 0.",
        _estimand_note(table),
        _INTERVALS if rows.has_intervals else _NO_INTERVALS,
        "The axis is compressed at both ends, because some ROI values are far from the others." if rows.skewed else "",
        f"Not drawn, because they have no spend: {listed(without)}." if without else "",
        _say_omitted(left_out, "lowest ROI"),
    ]
    return Figure(
        name="roi_by_channel",
        title=f"ROI on {basis} by channel and model",
        caption=" ".join(filter(None, captions)),
        alt_text=(
            f"Dot chart of ROI on {basis}, {cost_basis} cost, {_sizes(table)}. Highest: {top['channel']} "
            f"with {format_roi(top['roi'])} under {top['model']}."
        ),
        chart=rows.chart(rows.dots()),
        table=table,
    )


class ChannelRows:
    """Rows of channels, each with one slot per model, on a shared horizontal axis."""

    def __init__(self, table: pd.DataFrame, measure: str, style: ChannelStyle, *, title: str) -> None:
        models = short_labels(list(dict.fromkeys(table["model"])))
        self.measure, self.low, self.high = measure, f"{measure}_low", f"{measure}_high"
        self.has_intervals = bool(table[[self.low, self.high]].notna().all(axis=1).any())
        self.data = style.on(table).assign(model_label=table["model"].map(models))
        labels = list(dict.fromkeys(self.data["label"]))
        # Slots shrink as they multiply, so that thirty channels still fit on one page.
        slot = float(np.clip(800 / (len(labels) * len(models)), 3.5, 14 if len(models) > 1 else 20))
        self.slot, self.height = slot, len(labels) * (len(models) * slot + max(5.0, slot * 0.6))
        self.skewed = measure == "roi" and _is_skewed(table[measure])
        self.x = self._axis(f"{measure}:Q", title)
        gap = 1 - len(models) * slot * len(labels) / self.height
        self.y = alt.Y(
            "label:N",
            title=None,
            scale=alt.Scale(domain=labels, paddingInner=gap, paddingOuter=gap / 2),
            axis=alt.Axis(labelPadding=18, ticks=False, domain=False),
        )
        self.offset = alt.YOffset("model_label:N", scale=alt.Scale(domain=list(models.values())))
        colours = model_colours(list(models.values()))
        self.colour = alt.Color(
            "model_label:N",
            title=None,
            scale=alt.Scale(domain=list(colours), range=list(colours.values())),
            legend=model_legend(list(colours)) if len(models) > 1 else None,
        )

    def bars(self) -> list[alt.Chart]:
        bars = alt.Chart().mark_bar().encode(x=self.x, y=self.y, yOffset=self.offset, color=self.colour)
        return [bars, *self._intervals("#111")]

    def marks(self, measure: str) -> alt.Chart:
        marks: alt.Chart = alt.Chart().mark_tick(color="#111", thickness=2, size=max(3.0, self.slot * 0.9))
        return marks.encode(x=alt.X(f"{measure}:Q"), y=self.y, yOffset=self.offset)

    def dots(self) -> list[alt.Chart]:
        zero = alt.Chart().mark_rule(color="#333", strokeWidth=1.2).encode(x=alt.XDatum(0, type="quantitative"))
        base = alt.Chart().encode(y=self.y, yOffset=self.offset, color=self.colour)
        size = float(np.clip(self.slot * 7, 20, 80))
        dots = base.mark_point(filled=True, opacity=1, size=size).encode(x=self.x)
        if self.has_intervals:
            return [zero, *self._intervals(None), dots]
        return [zero, base.mark_rule(strokeWidth=1.2, opacity=0.6).encode(x=self.x, x2=alt.X2Datum(0)), dots]

    def chart(self, layers: Sequence[alt.Chart]) -> alt.LayerChart:
        swatch = alt.Chart().mark_point(shape="square", filled=True, size=90, opacity=1, x=-10)
        swatch = swatch.encode(y=self.y, fill=alt.Fill("colour:N", scale=None))
        return alt.LayerChart(layer=[*layers, swatch], data=data_of(self.data), width=_WIDTH, height=self.height)

    def _intervals(self, colour: str | None) -> list[alt.Chart]:
        if not self.has_intervals:
            return []
        rule = alt.Chart().mark_rule(strokeWidth=1.4)
        rule = rule.encode(x=alt.X(f"{self.low}:Q"), x2=alt.X2(self.high), y=self.y, yOffset=self.offset)
        return [rule.encode(color=self.colour if colour is None else alt.ColorValue(colour))]

    def _axis(self, field: str, title: str) -> alt.X:
        if self.skewed:
            ticks = [-1, 0, 1, 3, 10, 30, 100, 300, 1000, 10_000, 100_000]
            scale = alt.Scale(type="symlog", constant=1, nice=False, padding=10)
            return alt.X(field, title=title, scale=scale, axis=alt.Axis(values=ticks, format="~s", grid=True))
        empty = not self.data[[self.measure, self.low, self.high]].fillna(0).to_numpy(float).any()
        scale = alt.Scale(domain=[0, 1]) if empty else alt.Scale(zero=True, padding=10 if self.measure == "roi" else 0)
        return alt.X(field, title=title, scale=scale, axis=alt.Axis(tickCount=8, grid=True))


def in_rows(table: pd.DataFrame, measure: str) -> tuple[pd.DataFrame, int]:
    """The table sorted for drawing and cut to the largest channels, with the number of channels cut."""
    means = table.groupby("channel")[measure].mean()
    order = sorted(means.index, key=lambda channel: (channel in NO_CHANNELS, -means[channel], channel))
    rest = [channel for channel in order if channel not in NO_CHANNELS][MOST_CHANNELS:]
    order = [channel for channel in order if channel not in rest]
    positions = {channel: i for i, channel in enumerate(order)}
    rows = table[table["channel"].isin(order)]
    rows = rows.sort_values("channel", key=lambda names: names.map(positions), kind="stable")
    return rows.reset_index(drop=True), len(rest)


def _is_skewed(roi: pd.Series) -> bool:
    sizes = roi.abs()
    return bool(sizes.max() > 20 and sizes.max() > 8 * max(sizes.quantile(0.25), 1))


def _by_estimand(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    return [(str(kind), list(dict.fromkeys(part["model"]))) for kind, part in table.groupby("estimand", sort=True)]


def _estimand_note(table: pd.DataFrame) -> str:
    kinds = dict(_by_estimand(table))
    notes = []
    if "allocated" in kinds:
        notes.append(
            "Allocated credit divides the observed conversions. It is not the number that would be lost "
            "without the channel (docs/credit-is-not-cause.md)."
        )
    if "incremental" in kinds:
        notes.append(f"Incremental models estimate what ads caused: {listed(kinds['incremental'])}.")
    return " ".join(notes)


def _say_omitted(count: int, which: str) -> str:
    return f"The {count} channels with the {which} are not drawn." if count else ""


def _sizes(table: pd.DataFrame) -> str:
    return f"channels: {table['channel'].nunique()}, models: {table['model'].nunique()}"
