"""The steps between channels as a heatmap."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import numpy as np
import pandas as pd

from attribution.amounts import percent
from attribution.errors import InputError
from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.style import MOST_CHANNELS, ChannelStyle
from attribution.schema.tables import CONVERSION, NULL, START

_ADDED = {START, CONVERSION, NULL}
_BLUES = ["#fafdff", "#cfe3f5", "#6baed6", "#2171b5", "#08306b"]


def transition_heatmap(transitions: pd.DataFrame, *, channels: Iterable[str] | None = None) -> Figure:
    """Probability of each step from one state to the next, as a heatmap.

    Parameters
    ----------
    transitions : DataFrame
        Table ``transitions``.
    channels : iterable of str, optional
        All channels of the run, so that labels agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``from_state``, ``to_state``, ``count``, ``probability``; ``(start)`` is the first row,
        ``(conversion)`` and ``(null)`` are the last columns, channels in between by how often they are
        reached.

    Raises
    ------
    InputError
        The table has no rows.

    Examples
    --------
    >>> steps = pd.DataFrame({"from_state": ["(start)", "email", "email"],
    ...     "to_state": ["email", "(conversion)", "(null)"], "count": [4, 1, 3],
    ...     "probability": [1.0, 0.25, 0.75]})
    >>> transition_heatmap(steps).table["probability"].tolist()
    [1.0, 0.25, 0.75]
    """
    check_steps(transitions)
    order = most_reached(transitions)
    rows, columns = [START, *order], [*order, CONVERSION, NULL]
    table = in_order(transitions, rows, columns)
    style = style_of(transitions, channels)
    data = table.assign(from_label=table["from_state"].map(style.label), to_label=table["to_state"].map(style.label))
    cell = 46 if len(order) <= 8 else 36 if len(order) <= 12 else 20
    x = alt.X("to_label:N", title="to", scale=alt.Scale(domain=[style.label(state) for state in columns]))
    x = x.axis(orient="top", labelAngle=-45, ticks=False, domain=False)
    y = alt.Y("from_label:N", title="from", scale=alt.Scale(domain=[style.label(state) for state in rows]))
    y = y.axis(ticks=False, domain=False)
    top = max(float(table["probability"].max()), 1e-9)
    shade = alt.Fill("probability:Q", title="probability", scale=alt.Scale(domain=[0, top], range=_BLUES))
    shade = shade.legend(format=".0%", gradientLength=min(160, cell * len(rows)))
    layers = [alt.Chart().mark_rect(stroke="white", strokeWidth=1).encode(x=x, y=y, fill=shade)]
    if cell >= 36:
        # White ink where the cell is dark: decided here, so that no expression is needed.
        data["ink"] = np.where(data["probability"] > 0.55 * top, "#ffffff", "#222222")
        data["percent"] = [percent(round(part, 2)) if part >= 0.01 else "<1 %" for part in data["probability"]]
        text = alt.Chart().mark_text(fontSize=11)
        layers.append(text.encode(x=x, y=y, text=alt.Text("percent:N"), color=alt.Color("ink:N", scale=None)))
    unseen = alt.ViewConfig(fill="#e9e9e9")
    width, height = cell * len(columns), cell * len(rows)
    likely = table.loc[table["probability"].idxmax()]
    captions = [
        "Share of all steps from the row that lead to the column. Grey: never observed.",
        "Channels are ordered by how often they are reached.",
        not_drawn(transitions, order),
    ]
    return Figure(
        name="transition_heatmap",
        title="Steps between channels",
        caption=" ".join(filter(None, captions)),
        alt_text=(
            f"Heatmap of step probabilities, channels: {len(order)}. Most likely step: "
            f"{likely['from_state']} to {likely['to_state']} with {percent(round(likely['probability'], 2))}."
        ),
        chart=alt.LayerChart(layer=layers, data=data_of(data), width=width, height=height, view=unseen),
        table=table,
    )


def check_steps(transitions: pd.DataFrame) -> None:
    """Raise `InputError` if there is no step to draw."""
    if transitions.empty:
        raise InputError("there are no transitions to draw")


def most_reached(transitions: pd.DataFrame) -> list[str]:
    """Channels by how often they are reached, then by name; at most as many as can be drawn."""
    reached = transitions.groupby("to_state")["count"].sum()
    names = channels_in(transitions)
    return sorted(names, key=lambda name: (-reached.get(name, 0), name))[:MOST_CHANNELS]


def in_order(transitions: pd.DataFrame, rows: list[str], columns: list[str]) -> pd.DataFrame:
    """Steps between the given states, sorted by row, then by column."""
    row = transitions["from_state"].map({state: i for i, state in enumerate(rows)})
    column = transitions["to_state"].map({state: i for i, state in enumerate(columns)})
    table = transitions.assign(row=row, column=column).dropna(subset=["row", "column"])
    table = table.sort_values(["row", "column"]).reset_index(drop=True)
    return table[["from_state", "to_state", "count", "probability"]]


def style_of(transitions: pd.DataFrame, channels: Iterable[str] | None) -> ChannelStyle:
    """Labels and colours of all channels of the run."""
    every = channels_in(transitions) | set(() if channels is None else channels) - _ADDED
    style = ChannelStyle.of(every)
    return ChannelStyle({**style.labels, **{state: state for state in _ADDED}}, style.colours)


def not_drawn(transitions: pd.DataFrame, order: list[str]) -> str:
    """A sentence on the channels that did not fit, or nothing."""
    left_out = len(channels_in(transitions)) - len(order)
    return f"The {left_out} channels reached least often are not drawn." if left_out else ""


def channels_in(transitions: pd.DataFrame) -> set[str]:
    """The states that are channels."""
    return (set(transitions["from_state"]) | set(transitions["to_state"])) - _ADDED
