"""ROI under every specification, and the regret of acting on one model if another is right."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import numpy as np
import pandas as pd

from attribution.amounts import format_amount, format_roi
from attribution.errors import InputError
from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.style import ChannelStyle, short_labels
from attribution.uncertainty.sensitivity.sensitivity_declared import NO_CHANGE

_WIDTH = 620
_PANEL = 220
_GAP = 18
_ROW = 16
_REDS = ["#fffafa", "#fdd0c0", "#f4865e", "#c9361e", "#7a0612"]
_PARTS = ("model", "lookback_days", "direct", "cost_basis")
_WRITTEN = {"model": "", "lookback_days": "days: ", "direct": "direct: ", "cost_basis": "cost: "}


def specification_curve(
    specifications: pd.DataFrame, channel: str, *, channels: Iterable[str] | None = None, number: int = 1
) -> Figure:
    """ROI of a channel under every specification, in ascending order, with the choices as ticks below.

    Parameters
    ----------
    specifications : DataFrame
        Table ``specifications``.
    channel : str
        Whose ROI.
    channels : iterable of str, optional
        All channels of the run, so that labels agree between figures; else those of the table.
    number : int
        Which of several curves of a report this is.

    Returns
    -------
    Figure
        Its table: ``place``, ``model``, ``lookback_days``, ``direct``, ``cost_basis``, ``roi``, ``roi_low``,
        ``roi_high``, ``is_own``.

    Raises
    ------
    InputError
        The channel has no ROI.
    """
    with_roi = specifications[(specifications["channel"] == channel) & specifications["roi"].notna()]
    if with_roi.empty:
        raise InputError("the channel has no ROI under any specification", given=channel)
    order = with_roi.sort_values(["roi", *_PARTS], kind="stable")
    columns = [*_PARTS, "roi", "roi_low", "roi_high", "is_own"]
    table = order[columns].reset_index(drop=True)
    table.insert(0, "place", np.arange(1, len(table) + 1))
    label = ChannelStyle.of(specifications["channel"], channels).label(channel)
    least, most = table.iloc[0], table.iloc[-1]
    own = table.loc[table["is_own"], "roi"]
    above = int((table["roi"] > 0).sum())
    return Figure(
        name="specification_curve" if number == 1 else f"specification_curve_{number}",
        title=f"ROI of {label} under every specification",
        caption=(
            f"Each dot is one combination of the choices marked below it; {above} of {len(table)} are above 0. "
            f"Lines are intervals from resampling, which cover sampling only. Dark: the run's own window, policy and "
            f"cost basis ({format_roi(own.min())} to {format_roi(own.max())})."
        ),
        alt_text=(
            f"Sorted dots of the ROI of {label} under {len(table)} specifications, from {format_roi(least['roi'])} "
            "under "
            f"{_specification(least)} to {format_roi(most['roi'])} under {_specification(most)}."
        ),
        chart=_curve(table),
        table=table,
    )


def regret_chart(regret: pd.DataFrame) -> Figure:
    """Return lost by acting on one model if another is right, as a grid; the minimax choice is framed.

    Parameters
    ----------
    regret : DataFrame
        Table ``regret``; of several estimands the first is drawn.

    Returns
    -------
    Figure
        Its table: ``acting_on``, ``if_right``, ``regret``, ``regret_low``, ``regret_high``, ``worst``,
        ``is_minimax``.

    Raises
    ------
    InputError
        The table has no rows.
    """
    if regret.empty:
        raise InputError("there is no regret to draw")
    estimand = regret["estimand"].iloc[0]
    columns = ["acting_on", "if_right", "regret", "regret_low", "regret_high", "worst", "is_minimax"]
    table = regret.loc[regret["estimand"] == estimand, columns].reset_index(drop=True)
    safest = table[table["is_minimax"]].iloc[0]
    worst = table.loc[table["regret"].idxmax()]
    return Figure(
        name="regret",
        title="Regret of acting on a model if another is right",
        caption=(
            "Average return that is lost if spend follows the model of the row, but the credit of the model of "
            "the column "
            f"is right. Framed: {safest['acting_on']}, whose largest loss, {format_amount(safest['worst'])}, is "
            "the smallest. "
            f"Credit is {estimand}."
        ),
        alt_text=(
            f"Grid of regret, models: {table['if_right'].nunique()}. Largest: {format_amount(worst['regret'])} "
            "when acting on "
            f"{worst['acting_on']} while {worst['if_right']} is right."
        ),
        chart=_regret_grid(table),
        table=table,
    )


def _curve(table: pd.DataFrame) -> alt.LayerChart:
    ticks = _ticks(table)
    rows = list(dict.fromkeys(ticks.sort_values(["part", "level"])["choice_label"]))
    bottom = _PANEL + _GAP + _ROW * len(rows)
    x = alt.X("place:Q", axis=None, scale=alt.Scale(domain=[0, len(table) + 1], nice=False))
    low, high = float(table["roi_low"].min()), float(table["roi_high"].max())
    span = alt.Scale(domain=[min(low, 0.0), max(high, 0.0)], range=[_PANEL, 0])
    y = alt.Y("roi:Q", title="ROI", scale=span, axis=alt.Axis(tickCount=6))
    data = table.assign(colour=np.where(table["is_own"], "#1b3a5c", "#9db4c8"))
    colour = alt.Color("colour:N", scale=None)
    base = alt.Chart(data_of(data)).encode(x=x)
    zero = (
        alt.Chart().mark_rule(color="#888", strokeDash=[4, 3]).encode(y=alt.Y(datum=0, type="quantitative", scale=span))
    )
    intervals = base.mark_rule(opacity=0.6).encode(y=alt.Y("roi_low:Q", scale=span), y2="roi_high", color=colour)
    dots = base.mark_circle(size=34, opacity=1).encode(y=y, color=colour)
    names = alt.Scale(domain=rows, range=[_PANEL + _GAP, bottom])
    choice = alt.Y("choice_label:N", title=None, scale=names, axis=alt.Axis(ticks=False, domain=False, grid=False))
    marks = alt.Chart(data_of(ticks)).mark_tick(orient="vertical", thickness=2, size=9)
    below = marks.encode(x=x, y=choice, color=colour)
    above = alt.LayerChart(layer=[zero, intervals, dots])
    chart = alt.LayerChart(layer=[above, below], data=data_of(data), width=_WIDTH, height=bottom)
    result: alt.LayerChart = chart.resolve_scale(y="independent")
    return result


def _ticks(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each specification and each of its choices, where there was anything to choose."""
    parts = []
    for part, name in enumerate(_PARTS):
        levels = list(dict.fromkeys(table[name].dropna()))
        levels = sorted(levels) if name == "lookback_days" else levels
        if len(levels) < 2:
            continue
        written = [
            f"{_WRITTEN[name]}{level:g}" if name == "lookback_days" else f"{_WRITTEN[name]}{level}" for level in levels
        ]
        labels = dict(zip(levels, short_labels(written).values(), strict=True))
        rank = {level: position for position, level in enumerate(levels)}
        parts.append(
            pd.DataFrame(
                {
                    "place": table["place"],
                    "part": part,
                    "level": table[name].map(rank),
                    "choice_label": table[name].map(labels),
                    "colour": np.where(table["is_own"], "#1b3a5c", "#9db4c8"),
                }
            )
        )
    columns = ["place", "part", "level", "choice_label", "colour"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _regret_grid(table: pd.DataFrame) -> alt.LayerChart:
    acting, right = (list(dict.fromkeys(table[name])) for name in ("acting_on", "if_right"))
    labels = short_labels(list(dict.fromkeys([*acting, *right])), width=22)
    data = table.assign(acting_label=table["acting_on"].map(labels), right_label=table["if_right"].map(labels))
    widest = max(len(f"{value:,.0f}") for value in table["regret"])
    cell = max(44, 8 * widest + 8)
    # Doing nothing may lose far more than any mistake: its cells are as dark as the darkest of the others.
    top = max(float(table.loc[table["acting_on"] != NO_CHANGE, "regret"].max()), 1e-9)
    data["ink"] = np.where(table["regret"] > 0.55 * top, "#ffffff", "#222222")
    data["amount"] = [f"{value:,.0f}" if top >= 10 else f"{value:.2g}" for value in table["regret"]]
    x = alt.X("right_label:N", title="is right", scale=alt.Scale(domain=[labels[name] for name in right]))
    x = x.axis(orient="top", labelAngle=-45, ticks=False, domain=False)
    y = alt.Y("acting_label:N", title="acting on", scale=alt.Scale(domain=[labels[name] for name in acting]))
    y = y.axis(ticks=False, domain=False)
    fill = alt.Fill("regret:Q", title="regret", scale=alt.Scale(domain=[0, top], range=_REDS, clamp=True)).legend(
        format=",.4~g"
    )
    cells = alt.Chart().mark_rect(stroke="white", strokeWidth=1).encode(x=x, y=y, fill=fill)
    text = alt.Chart().mark_text(fontSize=11)
    amounts = text.encode(x=x, y=y, text=alt.Text("amount:N"), color=alt.Color("ink:N", scale=None))
    safest = alt.Chart(data_of(data[data["is_minimax"]])).mark_rect(filled=False, stroke="#111", strokeWidth=2)
    frame = safest.encode(x=x, y=y)
    width, height = cell * len(right), 30 * len(acting)
    return alt.LayerChart(layer=[cells, amounts, frame], data=data_of(data), width=width, height=height)


def _specification(row: pd.Series) -> str:
    days = "" if pd.isna(row["lookback_days"]) else f", {row['lookback_days']:g} days"
    return f"{row['model']}{days}, direct {row['direct']}, {row['cost_basis']} cost"
