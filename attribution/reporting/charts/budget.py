"""What a proposal changes: spend before and after, what is gained by it, and the curves it goes by."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import numpy as np
import pandas as pd

from attribution.amounts import format_amount
from attribution.errors import InputError
from attribution.kernels.budget.curves import build_curves
from attribution.reporting.charts.bars import ChannelRows, in_rows
from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.style import ChannelStyle, short_labels
from attribution.sections import listed

_WIDTH = 620
_PLAN = "plan"
_NO_INTERVALS = "There are no intervals, because the run had no resampling."


def budget_by_channel(budget: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """Proposed spend of every channel under each model as bars, and today's as a line across them.

    Parameters
    ----------
    budget : DataFrame
        Table ``budget``; the scenario ``plan`` is drawn.
    channels : iterable of str, optional
        All channels of the run, so that labels and colours agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``channel``, ``model``, ``spend_today``, ``spend``, ``change``, ``binding``; channels that get
        most first.

    Raises
    ------
    InputError
        The table has no plan.

    Examples
    --------
    >>> budget = pd.DataFrame({"model": "linear", "scenario": "plan", "channel": ["mail", "search"],
    ...     "spend_today": [50.0, 50.0], "spend": [35.0, 65.0], "change": [-0.3, 0.3], "binding": ["step limit"] * 2})
    >>> budget_by_channel(budget).table["channel"].tolist()
    ['search', 'mail']
    """
    plan = budget[budget["scenario"] == _PLAN]
    if plan.empty:
        raise InputError("there is no plan to draw")
    table, left_out = in_rows(plan, "spend")
    table = table[["channel", "model", "spend_today", "spend", "change", "binding"]]
    style = ChannelStyle.of(plan["channel"], channels)
    rows = ChannelRows(table.assign(spend_low=np.nan, spend_high=np.nan), "spend", style, title="spend")
    today = alt.Chart().mark_tick(color="#111", thickness=2, size=rows.slot)
    today = today.encode(x=alt.X("spend_today:Q"), y=rows.y, yOffset=rows.offset)
    widest = table.loc[table["change"].abs().idxmax()]
    bound = sorted({str(name) for name in table["binding"].dropna()})
    captions = [
        "Bars show the proposed spend, the lines across them today's spend.",
        f"At a limit of their own ({', '.join(bound)}): {listed(_binding_limits(table))}." if bound else "",
        f"The {left_out} channels with the least spend are not drawn." if left_out else "",
    ]
    return Figure(
        name="budget_by_channel",
        title="Spend today and proposed, by channel and model",
        caption=" ".join(filter(None, captions)),
        alt_text=(
            f"Bar chart of proposed spend with today's marked, channels: {table['channel'].nunique()}, models: "
            f"{table['model'].nunique()}. Largest change: {widest['channel']} by {widest['change']:+z.0%} under "
            f"{widest['model']}."
        ),
        chart=rows.chart([*rows.bars(), today]),
        table=table,
    )


def _binding_limits(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table.loc[table["binding"].notna(), "channel"]))


def budget_gain(scenarios: pd.DataFrame) -> Figure:
    """What the proposal gains over today under each model, and what the best would if curves bend otherwise.

    Parameters
    ----------
    scenarios : DataFrame
        Table ``budget_scenarios``; the plan and other bends are drawn.

    Returns
    -------
    Figure
        Its table: ``model``, ``scenario``, ``spend_today``, ``spend``, ``return_today``, ``return``, ``gain``,
        ``gain_low``, ``gain_high``.

    Raises
    ------
    InputError
        The table has no rows.

    Examples
    --------
    >>> scenarios = pd.DataFrame({"model": ["linear"], "scenario": ["plan"], "kind": ["plan"], "objective": ["revenue"],
    ...     "spend_today": [100.0], "spend": [100.0], "return_today": [300.0], "return": [316.0], "gain": [16.0],
    ...     "gain_low": [4.0], "gain_high": [30.0]})
    >>> budget_gain(scenarios).table["gain"].tolist()
    [16.0]
    """
    scenarios = scenarios[scenarios["kind"].isin(["plan", "bend"])]
    if scenarios.empty:
        raise InputError("there is no plan to draw")
    columns = ["model", "scenario", "spend_today", "spend", "return_today", "return", "gain", "gain_low", "gain_high"]
    table = scenarios[columns].reset_index(drop=True)
    objective = str(scenarios["objective"].iloc[0]).replace("_", " ")
    labels = short_labels(list(dict.fromkeys(table["model"])))
    data = table.assign(label=table["model"].map(labels))
    names = list(dict.fromkeys(table["scenario"]))
    x = alt.X("gain:Q", title=f"gain in {objective} over today", axis=alt.Axis(tickCount=8))
    y = alt.Y("label:N", title=None, scale=alt.Scale(domain=list(labels.values())), axis=alt.Axis(ticks=False))
    colours = dict(zip(names, ("#111111", "#d55e00", "#0072b2"), strict=False))
    colour = alt.Color(
        "scenario:N",
        title="curves",
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart().encode(y=y, yOffset=alt.YOffset("scenario:N", scale=alt.Scale(domain=names)), color=colour)
    zero = alt.Chart().mark_rule(color="#333", strokeWidth=1.2).encode(x=alt.XDatum(0, type="quantitative"))
    layers: list[alt.Chart] = [zero, base.mark_point(filled=True, opacity=1, size=55).encode(x=x)]
    has_intervals = bool(table[["gain_low", "gain_high"]].notna().all(axis=1).any())
    if has_intervals:
        layers.insert(1, base.mark_rule(strokeWidth=1.4).encode(x=alt.X("gain_low:Q"), x2=alt.X2("gain_high")))
    plan = table[table["scenario"] == _PLAN]
    money = f"Spend goes from {plan['spend_today'].iloc[0]:,.0f} to {plan['spend'].max():,.0f}."
    captions = [
        money,
        "Lines are intervals. They cover sampling only and take the response curves as known."
        if has_intervals
        else _NO_INTERVALS,
        "The gain comes about only if channels caused the conversions that they are credited with.",
    ]
    best = plan.loc[plan["gain"].idxmax()]
    return Figure(
        name="budget_gain",
        title=f"Expected gain in {objective} under each model",
        caption=" ".join(captions),
        alt_text=f"Dot chart of the gain of the proposal, largest {format_amount(best['gain'])} under {best['model']}.",
        chart=alt.LayerChart(layer=layers, data=data_of(data), width=_WIDTH, height=len(labels) * 54),
        table=table,
    )


def response_curves(budget: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """Response curves that were fitted to a history of spend, with what the history leaves open, under one model.

    Parameters
    ----------
    budget : DataFrame
        Table ``budget``; its first model is drawn.
    channels : iterable of str, optional
        All channels of the run, so that labels and colours agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``channel``, ``model``, ``spend``, ``return``, ``return_low``, ``return_high``, and spend and
        return as multiples of today's.

    Raises
    ------
    InputError
        No curve was fitted.
    """
    if not budget["curvature_from"].str.startswith("fitted").any():
        raise InputError("every response curve is assumed, so there is none from data to draw")
    own = budget[budget["model"] == budget["model"].iloc[0]]
    fitted = own[own["curvature_from"].str.startswith("fitted")]
    table = pd.concat([_curve(rows) for _, rows in fitted.groupby("channel", sort=False)], ignore_index=True)
    style = ChannelStyle.of(own["channel"], channels)
    data = style.on(table)
    colours = dict(zip(data["label"], data["colour"], strict=True))
    colour = alt.Color(
        "label:N",
        title=None,
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(orient="top", columns=4),
    )
    x = alt.X("spend_multiple:Q", title="spend ÷ spend today")
    y = alt.Y("return_multiple:Q", title="return ÷ return today")
    base = alt.Chart().encode(x=x, color=colour)
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low_multiple:Q"), y2=alt.Y2("high_multiple"))
    line = base.mark_line(strokeWidth=2).encode(y=y)
    today = alt.Chart().mark_rule(color="#333", strokeDash=[3, 3]).encode(x=alt.XDatum(1, type="quantitative"))
    assumed = [name for name in dict.fromkeys(own["channel"]) if name not in set(fitted["channel"])]
    captions = [
        f"Under {own['model'].iloc[0]}. Every curve passes through today's spend and return. Bands show the curves "
        "that "
        "also fit the history of spend.",
        f"Not drawn, because their curvature is assumed: {listed(assumed)}." if assumed else "",
    ]
    return Figure(
        name="response_curves",
        title="Response curves of channels whose spend has varied",
        caption=" ".join(filter(None, captions)),
        alt_text=f"Line chart of return against spend, channels: {fitted['channel'].nunique()}.",
        chart=alt.LayerChart(layer=[today, band, line], data=data_of(data), width=_WIDTH, height=320),
        table=table,
    )


def _curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Points of one channel's curve up to twice today's spend, and of those that bend more and less."""
    first = rows.iloc[0]
    multiple = np.linspace(0.0, 2.0, 41)
    curves = build_curves(
        list(rows["curve"]), list(rows["curvature"]), [1.0] * len(rows), [float(n) for n in rows["steepness"]]
    )
    grown = curves.growth(np.repeat(multiple[:, None], len(rows), axis=1))
    low, high = grown.min(axis=1), grown.max(axis=1)
    today = float(first["return_today"])
    return pd.DataFrame(
        {
            "channel": first["channel"],
            "model": first["model"],
            "spend": multiple * float(first["spend_today"]),
            "return": grown[:, 0] * today,
            "return_low": low * today,
            "return_high": high * today,
            "spend_multiple": multiple,
            "return_multiple": grown[:, 0],
            "low_multiple": low,
            "high_multiple": high,
        }
    )
