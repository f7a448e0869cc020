"""The funnel: how many reach each stage, how fast, and which channels they are owed to."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import pandas as pd

from attribution.amounts import percent
from attribution.errors import InputError
from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.style import MOST_CHANNELS, ChannelStyle, short_labels
from attribution.schema.tables import NO_CHANNELS
from attribution.sections import listed

_WIDTH = 460
_OPEN = "Cases that are open when the data end are not lost, so the shares that moved on can still rise."


def funnel_by_stage(
    funnel: pd.DataFrame, funnel_credit: pd.DataFrame, *, channels: Iterable[str] | None = None
) -> Figure:
    """Arrivals in every stage, split by the channels that each allocated model credits, with rate and time.

    Parameters
    ----------
    funnel, funnel_credit : DataFrame
        The tables of these names.
    channels : iterable of str, optional
        All channels of the run, so that labels and colours agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``stage``, ``model``, ``channel``, ``credit``, and of the stage as a whole ``arrivals``,
        ``rate_to_next``, ``rate_low``, ``rate_high``, ``median_days_to_next``.

    Raises
    ------
    InputError
        There is no allocated credit of any stage.
    """
    allocated = _allocated_credit(funnel_credit)
    if allocated.empty:
        raise InputError("no stage has allocated credit to draw")
    of_stage = ["stage", "arrivals", "rate_to_next", "rate_low", "rate_high", "median_days_to_next"]
    table = allocated[["stage", "model", "channel", "credit"]].merge(funnel[of_stage], on="stage")
    table = table[table["credit"] > 0].reset_index(drop=True)
    style = ChannelStyle.of(funnel_credit["channel"], channels)
    first = funnel.iloc[0]
    models = list(dict.fromkeys(table["model"]))
    leaks = funnel[funnel["rate_to_next"].notna()]
    lowest = (
        f"The lowest share moves on from {leaks.loc[leaks['rate_to_next'].idxmin(), 'stage']}. " if len(leaks) else ""
    )
    return Figure(
        name="funnel_by_stage",
        title="Funnel by stage, split by credited channels",
        caption=(
            f"{lowest}{_OPEN} Beside the bars: arrivals, the share that moved on with its interval, and the median "
            f"number of days until then. The bars of a stage are {listed(models)}. Arrivals without a touchpoint are "
            "(unattributed)."
        ),
        alt_text=(
            f"Stacked bars of arrivals in {len(funnel)} stages by channel, models: {len(models)}. From "
            f"{first['arrivals']:,.0f} in {first['stage']} to {funnel.iloc[-1]['arrivals']:,.0f} in "
            f"{funnel.iloc[-1]['stage']}."
        ),
        chart=_bars(table, style, models),
        table=table,
    )


def _allocated_credit(funnel_credit: pd.DataFrame) -> pd.DataFrame:
    """Credit of whole channels; campaigns are in them."""
    rows = (funnel_credit["grain"] == "channel") & (funnel_credit["estimand"] == "allocated")
    return funnel_credit[rows]


def _bars(table: pd.DataFrame, style: ChannelStyle, models: list[str]) -> alt.LayerChart:
    stages = short_labels(list(dict.fromkeys(table["stage"])))
    model_labels = short_labels(models)
    data = style.on(table).assign(stage_label=table["stage"].map(stages), model_label=table["model"].map(model_labels))
    summed = data.groupby(["stage", "model"])["credit"]
    data["credit_end"] = summed.cumsum()
    data["credit_start"] = data["credit_end"] - data["credit"]
    is_first = ~data.duplicated("stage")
    data["note"] = [_note(row) if first else None for row, first in zip(data.to_dict("records"), is_first, strict=True)]
    shown = [label for label in style.labels.values() if label in set(data["label"])]
    colours = data.drop_duplicates("label").set_index("label")["colour"]
    y = alt.Y("stage_label:N", title=None, scale=alt.Scale(domain=list(stages.values()), paddingInner=0.35))
    offset = alt.YOffset("model_label:N", scale=alt.Scale(domain=list(model_labels.values())))
    x = alt.X("credit_start:Q", title="credited arrivals", axis=alt.Axis(tickCount=6))
    legend = alt.Legend(orient="top", columns=4, columnPadding=20, symbolOpacity=1)
    scale = alt.Scale(domain=shown, range=[colours[label] for label in shown])
    colour = alt.Color("label:N", title=None, scale=scale, legend=legend)
    bars = alt.Chart().mark_bar().encode(x=x, x2=alt.X2("credit_end"), y=y, yOffset=offset, color=colour)
    notes = alt.Chart().mark_text(align="left", fontSize=11, color="#333", x=_WIDTH + 8)
    notes = notes.transform_filter("datum.note != null").encode(y=y, text=alt.Text("note:N"))
    slot = max(6.0, min(18.0, 120 / len(models)))
    height = len(stages) * len(models) * slot * 1.5 + 20
    return alt.LayerChart(layer=[bars, notes], data=data_of(data), width=_WIDTH, height=height)


def _note(row: dict[str, float]) -> str:
    parts = [f"{row['arrivals']:,.0f}"]
    if row["rate_to_next"] == row["rate_to_next"]:
        parts.append(
            f"{percent(row['rate_to_next'])} ({percent(row['rate_low'])} – {percent(row['rate_high'])}) move on"
        )
    if row["median_days_to_next"] == row["median_days_to_next"]:
        parts.append(f"{row['median_days_to_next']:,.1f} days")
    return " · ".join(parts)


def funnel_rates(funnel_credit: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """The share that moves on from each stage and how long it takes, by channel, under the first allocated model.

    Parameters
    ----------
    funnel_credit : DataFrame
        The table of this name.
    channels : iterable of str, optional
        All channels of the run, so that labels agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``stage``, ``channel``, ``model``, ``credit``, ``rate_to_next``, ``rate_matured``,
        ``median_days_to_next``, ``open_share``.

    Raises
    ------
    InputError
        No stage has a rate.
    """
    allocated = _allocated_credit(funnel_credit)
    with_rate = allocated[allocated["rate_to_next"].notna()]
    if with_rate.empty:
        raise InputError("no stage has a rate by channel to draw")
    model = with_rate["model"].iloc[0]
    columns = ["stage", "channel", "model", "credit", "rate_to_next", "rate_matured", "median_days_to_next"]
    table = with_rate.loc[with_rate["model"] == model, [*columns, "open_share"]]
    sizes = table.groupby("channel")["credit"].sum()
    order = sorted(sizes.index, key=lambda name: (name in NO_CHANNELS, -sizes[name], name))
    left_out = max(0, len(order) - MOST_CHANNELS)
    order = order[:MOST_CHANNELS]
    table = table[table["channel"].isin(order)].reset_index(drop=True)
    best = table.loc[table["rate_to_next"].idxmax()]
    missing = f" The {left_out} channels with least credit are not drawn." if left_out else ""
    return Figure(
        name="funnel_rates",
        title="Share of arrivals that move on, by channel",
        caption=(
            f"Share of credited arrivals that moved on so far, and the median days until then, under {model}. {_OPEN} "
            f"There are no intervals here; rates of channels with little credit are uncertain.{missing}"
        ),
        alt_text=(
            f"Grid of rates by channel and stage, channels: {len(order)}. Highest: {best['channel']} from "
            f"{best['stage']} with {percent(best['rate_to_next'])}."
        ),
        chart=_grid(table, ChannelStyle.of(funnel_credit["channel"], channels), order),
        table=table,
    )


def _grid(table: pd.DataFrame, style: ChannelStyle, order: list[str]) -> alt.LayerChart:
    stages = short_labels(list(dict.fromkeys(table["stage"])))
    days = [f" · {value:,.0f} d" if value == value else "" for value in table["median_days_to_next"]]
    cells = [f"{percent(rate)}{later}" for rate, later in zip(table["rate_to_next"], days, strict=True)]
    data = style.on(table).assign(stage_label=table["stage"].map(stages), cell=cells)
    # Stages differ by an order of magnitude: a channel is light or dark beside the others of its stage.
    most = table.groupby("stage")["rate_to_next"].transform("max")
    data["shade"] = (table["rate_to_next"] / most.where(most > 0, 1.0)).to_numpy()
    x = alt.X("stage_label:N", title=None, sort=list(stages.values()), axis=alt.Axis(orient="top", labelAngle=0))
    y = alt.Y("label:N", title=None, sort=[style.label(channel) for channel in order])
    colour = alt.Color("shade:Q", scale=alt.Scale(domain=[0, 1], range=["#f4f6f8", "#7fb0cf"]), legend=None)
    boxes = alt.Chart().mark_rect(stroke="white", strokeWidth=2).encode(x=x, y=y, color=colour)
    texts = alt.Chart().mark_text(fontSize=11, color="#1c1c1c").encode(x=x, y=y, text=alt.Text("cell:N"))
    width = 140 * len(stages)
    return alt.LayerChart(layer=[boxes, texts], data=data_of(data), width=width, height=26 * len(order))
