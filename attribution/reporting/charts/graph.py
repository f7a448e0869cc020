"""The journey graph: channels on a circle, arrows for the steps between them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import altair as alt
import networkx as nx
import numpy as np
import pandas as pd

from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.steps import check_steps, in_order, most_reached, not_drawn, style_of
from attribution.reporting.charts.style import ChannelStyle, columns_of
from attribution.schema.tables import CONVERSION, NULL, START

MOST_STEPS, MOST_TO_CONVERSION = 50, 10
"""More arrows than these hide each other; the second number keeps a place for the rare steps that convert."""

_ADDED = (START, CONVERSION, NULL)
_RADIUS = 230.0
_STEP_COLOUR = "#5b6b8c"
_STEP_COLOURS = {CONVERSION: "#0b7a4b", NULL: "#b4b4b4"}
_NODE_SIZES = (120.0, 1800.0)
_MOST_LEVEL = 12


def journey_graph(
    transitions: pd.DataFrame,
    published_credit: pd.DataFrame,
    journey_profile: pd.DataFrame,
    *,
    channels: Iterable[str] | None = None,
) -> Figure:
    """The journey graph: channels sized by touchpoints, coloured by removal effect, arrows by probability.

    Channels stand on a circle, from those that open journeys, near ``(start)`` on the left, to those that
    close them, near ``(conversion)`` and ``(null)`` on the right. The layout depends on the numbers alone.

    Parameters
    ----------
    transitions, published_credit, journey_profile : DataFrame
        The tables of these names; ``published_credit`` may have no rows, of models with removal effects the first is
        used.
    channels : iterable of str, optional
        All channels of the run, so that labels agree between figures; else those of the table.

    Returns
    -------
    Figure
        Its table: ``part`` (``channel`` or ``step``), ``from_state``, ``to_state``, ``touchpoints``,
        ``removal_effect``, ``count``, ``probability``; null where a number does not belong to the part.

    Raises
    ------
    InputError
        There are no transitions.

    Examples
    --------
    >>> steps = pd.DataFrame({"from_state": ["(start)", "email"], "to_state": ["email", "(conversion)"],
    ...     "count": [4, 4], "probability": [1.0, 1.0]})
    >>> effects = pd.DataFrame({"model": ["markov"], "channel": ["email"], "removal_effect": [1.0]})
    >>> profile = pd.DataFrame({"measure": ["touchpoints"], "channel": ["email"], "count": [4]})
    >>> journey_graph(steps, effects, profile).table["part"].tolist()
    ['channel', 'step', 'step']
    """
    check_steps(transitions)
    order = most_reached(transitions)
    effects = published_credit[published_credit["removal_effect"].notna()]
    model = None if effects.empty else str(effects["model"].iloc[0])
    nodes = _nodes(order, effects[effects["model"] == model], journey_profile)
    between = in_order(transitions, [START, *order], [*order, CONVERSION, NULL])
    between = between[between["from_state"] != between["to_state"]]
    strongest = _strongest(between)
    table = pd.concat([nodes.assign(part="channel"), strongest.assign(part="step")], ignore_index=True)[
        ["part", "from_state", "to_state", "touchpoints", "removal_effect", "count", "probability"]
    ]
    places = _circle(_openers_first(order, transitions))
    captions = [
        "The area of a circle is its number of touchpoints.",
        f"Its colour is the removal effect under {model}." if model else "There are no removal effects.",
        "The width of an arrow is the probability of the step; green leads to (conversion), grey to (null).",
        _weaker(len(between) - len(strongest)),
        "Steps from a channel to itself are not drawn.",
        not_drawn(transitions, order),
    ]
    return Figure(
        name="journey_graph",
        title="Journey graph",
        caption=" ".join(filter(None, captions)),
        alt_text=f"Graph of (start), channels, (conversion) and (null). Steps drawn: {len(strongest)}.",
        chart=_draw(nodes, strongest, places, style_of(transitions, channels)),
        table=table,
    )


def _nodes(order: list[str], removal_effects: pd.DataFrame, journey_profile: pd.DataFrame) -> pd.DataFrame:
    touchpoints = journey_profile[journey_profile["measure"] == "touchpoints"].groupby("channel")["count"].sum()
    effects = removal_effects.set_index("channel")["removal_effect"]
    return pd.DataFrame(
        {
            "from_state": order,
            "touchpoints": [float(touchpoints.get(channel, 0)) for channel in order],
            "removal_effect": [float(effects.get(channel, np.nan)) for channel in order],
        }
    )


def _strongest(steps: pd.DataFrame) -> pd.DataFrame:
    by_count = steps.sort_values("count", ascending=False, kind="stable")
    converting = by_count[by_count["to_state"] == CONVERSION].head(MOST_TO_CONVERSION)
    return steps.loc[sorted({*by_count.head(MOST_STEPS).index, *converting.index})]


def _weaker(dropped: int) -> str:
    if not dropped:
        return ""
    strongest = f"the {MOST_STEPS} steps taken most often and the {MOST_TO_CONVERSION} that convert most often"
    return f"Only {strongest} are drawn; {dropped} others are not."


def _openers_first(order: list[str], transitions: pd.DataFrame) -> list[str]:
    """Channels by their share of steps in that come from (start), less that of steps out that convert."""
    reached = transitions.groupby("to_state")["count"].sum()
    opens = transitions[transitions["from_state"] == START].set_index("to_state")["count"] / reached
    closes = transitions[transitions["to_state"] == CONVERSION].set_index("from_state")["probability"]
    opening = opens.reindex(order).fillna(0) - closes.reindex(order).fillna(0)
    return sorted(order, key=lambda name: (-opening[name], name))


def _circle(openers_first: list[str]) -> dict[str, tuple[float, float]]:
    """A place on the unit circle for each state: openers left, closers right, by turns above and below."""
    ring = [START, *openers_first[0::2], CONVERSION, NULL, *reversed(openers_first[1::2])]
    # networkx begins at the right and goes up; mirrored, (start) is at the left.
    return {state: (-float(x), float(y)) for state, (x, y) in nx.circular_layout(ring).items()}


def _draw(
    nodes: pd.DataFrame, steps: pd.DataFrame, places: dict[str, tuple[float, float]], style: ChannelStyle
) -> alt.LayerChart:
    dots = pd.concat([nodes, pd.DataFrame({"from_state": _ADDED})], ignore_index=True)
    largest = max(float(dots["touchpoints"].max()), 1.0) if len(nodes) else 1.0
    dots["size"] = _NODE_SIZES[0] + (_NODE_SIZES[1] - _NODE_SIZES[0]) * dots["touchpoints"].fillna(0) / largest
    dots["x"], dots["y"] = zip(*(places[state] for state in dots["from_state"]), strict=True)
    dots["label"] = dots["from_state"].map(style.label)
    radius = dict(zip(dots["from_state"], np.sqrt(dots["size"] / math.pi) / _RADIUS, strict=True))
    margin = 40 + 6.3 * float(dots["label"].map(columns_of).max())
    reach = [1 + margin / _RADIUS, 1 + (margin if len(dots) > _MOST_LEVEL else 50) / _RADIUS]
    wide, high = (alt.Scale(domain=[-most, most], nice=False) for most in reach)
    x, y = alt.X("x:Q", axis=None, scale=wide), alt.Y("y:Q", axis=None, scale=high)
    layers = [
        *_arrows(steps, places, radius, x, y),
        *_circles(dots[~dots["from_state"].isin(_ADDED)], x, y),
        alt.Chart(data_of(dots[dots["from_state"].isin(_ADDED)]))
        .mark_square(size=260, color="#333", opacity=1)
        .encode(x=x, y=y),
        *_names(dots, radius, x, y),
    ]
    return alt.LayerChart(layer=layers, width=2 * reach[0] * _RADIUS, height=2 * reach[1] * _RADIUS)


def _circles(dots: pd.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Channels with a removal effect in its colour, others in grey."""
    size = alt.Size("size:Q", scale=None, legend=None)
    scale = alt.Scale(scheme="oranges", domain=[0, max(float(dots["removal_effect"].max()), 1e-9)])
    shade = alt.Fill("removal_effect:Q", scale=scale, title="removal effect", legend=alt.Legend(format=".0%"))
    has_effect = dots["removal_effect"].notna()
    grey = alt.Chart(data_of(dots[~has_effect])).mark_circle(opacity=1, fill="#ccc", stroke="#555", strokeWidth=0.8)
    layers = [grey.encode(x=x, y=y, size=size)]
    if has_effect.any():
        coloured = alt.Chart(data_of(dots[has_effect])).mark_circle(opacity=1, stroke="#555", strokeWidth=0.8)
        layers.append(coloured.encode(x=x, y=y, size=size, fill=shade))
    return layers


def _names(dots: pd.DataFrame, radius: dict[str, float], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Names outside the circle; along its rays where there are many, so that none lies on another."""
    rays = len(dots) > _MOST_LEVEL
    angle = np.arctan2(dots["y"], dots["x"])
    away = 1 + dots["from_state"].map(radius) + 8 / _RADIUS
    out = dots.assign(x=dots["x"] * away, y=dots["y"] * away, turn=0.0)
    left = out["x"] < -1e-9
    if rays:
        out["turn"] = np.where(left, 180.0, 0.0) - np.degrees(angle)
    layers = []
    for side, text in (
        (out[left], alt.Chart().mark_text(align="right", baseline="middle", fontSize=11)),
        (out[~left], alt.Chart().mark_text(align="left", baseline="middle", fontSize=11)),
    ):
        text.data = data_of(side)
        layers.append(text.encode(x=x, y=y, text=alt.Text("label:N"), angle=alt.Angle("turn:Q", scale=None)))
    return layers


def _arrows(
    steps: pd.DataFrame,
    places: dict[str, tuple[float, float]],
    radius: dict[str, float],
    x: alt.X,
    y: alt.Y,
) -> list[alt.Chart]:
    """Bent lines, which keep the two directions between two channels apart, and their heads."""
    lines, heads = [], []
    for step, row in enumerate(steps.to_dict("records")):
        begin, end = places[row["from_state"]], places[row["to_state"]]
        curve, turn = _curve(np.array(begin), np.array(end), radius[row["to_state"]])
        row |= {"step": step, "colour": _STEP_COLOURS.get(row["to_state"], _STEP_COLOUR)}
        lines += [{**row, "point": i, "x": px, "y": py} for i, (px, py) in enumerate(curve)]
        heads.append({**row, "x": curve[-1][0], "y": curve[-1][1], "turn": turn})
    shade = alt.Color("colour:N", scale=None)
    widths = alt.Scale(domain=[0, 1], range=[0.6, 9])
    width = alt.StrokeWidth("probability:Q", scale=widths, title="probability")
    width = width.legend(format=".0%", values=[0.1, 0.3, 0.6], symbolStrokeColor=_STEP_COLOUR)
    faint = alt.Scale(domain=[0, 0.5], range=[0.25, 0.85], clamp=True)
    opacity = alt.Opacity("probability:Q", scale=faint, legend=None)
    line = alt.Chart(data_of(pd.DataFrame(lines))).mark_line(interpolate="basis")
    line = line.encode(x=x, y=y, color=shade, strokeWidth=width, opacity=opacity)
    head = alt.Chart(data_of(pd.DataFrame(heads))).mark_point(shape="triangle", filled=True, size=70)
    return [
        line.encode(detail=alt.Detail("step:N"), order=alt.Order("point:Q")),
        head.encode(x=x, y=y, angle=alt.Angle("turn:Q", scale=None), color=shade, opacity=opacity),
    ]


def _curve(begin: np.ndarray, end: np.ndarray, radius: float) -> tuple[list[list[float]], float]:
    """Nine points of a quadratic curve that stops short of the circle ahead, and the turn of its head."""
    along = end - begin
    bend = (begin + end) / 2 * 0.75 + np.array([along[1], -along[0]]) * 0.12
    part = np.linspace(0, 1, 41)[:, None]
    curve = (1 - part) ** 2 * begin + 2 * part * (1 - part) * bend + part**2 * end
    outside = np.linalg.norm(curve - end, axis=1) > radius + 7 / _RADIUS
    curve = curve[: max(int(outside.sum()), 2)]
    ahead = end - curve[-1]
    points = curve[np.unique(np.linspace(0, len(curve) - 1, 9).astype(int))]
    return points.tolist(), 90 - math.degrees(math.atan2(ahead[1], ahead[0]))
