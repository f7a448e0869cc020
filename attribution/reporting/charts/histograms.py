"""How long journeys are, in touchpoints and in days."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from attribution.errors import InputError
from attribution.reporting.charts.figure import Figure, data_of

_OUTCOMES = {"converted": "#0072b2", "not_converted": "#b8b8b8"}
_MOST_BINS = 31


def path_length(journey_profile: pd.DataFrame) -> Figure:
    """Touchpoints per journey, converted and not.

    Parameters
    ----------
    journey_profile : DataFrame
        Table ``journey_profile``.

    Returns
    -------
    Figure
        Its table: ``outcome``, ``bin``, ``bin_end`` (both inclusive; null where the bin is open), ``count``,
        ``share``. Journeys beyond 30 touchpoints share the last bin.

    Raises
    ------
    InputError
        The profile has no path lengths.

    Examples
    --------
    >>> profile = pd.DataFrame({"measure": ["path_length"] * 2, "bin": [1.0, 2.0],
    ...     "outcome": ["converted"] * 2, "count": [3, 1], "share": [0.75, 0.25]})
    >>> path_length(profile).table["count"].tolist()
    [3, 1]
    """
    bins = _of(journey_profile, "path_length")
    lower = bins["bin"].clip(upper=_MOST_BINS - 1)
    lumped = bool((bins["bin"] > _MOST_BINS - 1).any())
    upper = lower.mask(lower == _MOST_BINS - 1) if lumped else lower
    return _histogram(
        bins.assign(bin=lower, bin_end=upper),
        name="path_length",
        title="Path length: touchpoints per journey",
        axis="touchpoints in the journey",
        note=f"Journeys with {_MOST_BINS - 1} or more touchpoints share the last bin." if lumped else "",
        step=1,
    )


def time_lag(journey_profile: pd.DataFrame) -> Figure:
    """Whole days from the first touchpoint to the end of a journey, converted and not.

    Parameters
    ----------
    journey_profile : DataFrame
        Table ``journey_profile``.

    Returns
    -------
    Figure
        Its table: ``outcome``, ``bin``, ``bin_end`` (both inclusive), ``count``, ``share``. Where there are
        more than 31 days, neighbouring days share a bin.

    Raises
    ------
    InputError
        The profile has no time lags, as where times are mere positions.

    Examples
    --------
    >>> profile = pd.DataFrame({"measure": ["time_lag_days"] * 2, "bin": [0.0, 40.0],
    ...     "outcome": ["converted"] * 2, "count": [3, 1], "share": [0.75, 0.25]})
    >>> time_lag(profile).table[["bin", "bin_end"]].to_numpy().tolist()
    [[0.0, 1.0], [40.0, 41.0]]
    """
    bins = _of(journey_profile, "time_lag_days")
    days = int(np.ceil((bins["bin"].max() + 1) / _MOST_BINS))
    lower = bins["bin"] // days * days
    return _histogram(
        bins.assign(bin=lower, bin_end=lower + days - 1),
        name="time_lag",
        title="Time lag: days from the first touchpoint to the end of the journey",
        axis="days from the first touchpoint to the end of the journey",
        note=f"A bin holds {days} days." if days > 1 else "",
        step=days,
    )


def _of(journey_profile: pd.DataFrame, measure: str) -> pd.DataFrame:
    bins = journey_profile[journey_profile["measure"] == measure]
    if bins.empty:
        raise InputError(f"the journey profile has no {measure} to draw")
    return bins


def _histogram(bins: pd.DataFrame, *, name: str, title: str, axis: str, note: str, step: int) -> Figure:
    sums = {"bin_end": ("bin_end", "first"), "count": ("count", "sum"), "share": ("share", "sum")}
    table = bins.groupby(["outcome", "bin"], sort=True).agg(**sums).reset_index()
    table["bin_end"] = table["bin_end"].astype(float)
    labels = _bin_labels(table, step)
    totals = table.groupby("outcome")["count"].sum()
    journeys = ", ".join(f"{outcome} {total:,.0f}" for outcome, total in totals.items())
    peaks = table.loc[table.groupby("outcome")["share"].idxmax()]
    peak = "; ".join(
        f"{outcome} most often {labels[lower]}" for outcome, lower in zip(peaks["outcome"], peaks["bin"], strict=True)
    )
    return Figure(
        name=name,
        title=title,
        caption=f"Journeys: {journeys}. Shares are of all journeys with the same outcome. {note}".strip(),
        alt_text=f"Histogram of {axis}: {peak}.",
        chart=_bars(table, labels, axis),
        table=table,
    )


def _bars(table: pd.DataFrame, labels: dict[float, str], axis: str) -> alt.Chart:
    present = [outcome for outcome in _OUTCOMES if outcome in set(table["outcome"])]
    colours = alt.Scale(domain=present, range=[_OUTCOMES[outcome] for outcome in present])
    # A few bars keep to the middle instead of growing as wide as the picture.
    outer = 1 if len(labels) < 8 else 0.1
    places = alt.Scale(domain=list(labels.values()), paddingInner=0.15, paddingOuter=outer)
    width = float(np.clip(26 * len(labels), 240, 720))
    data = data_of(table.assign(bin_text=table["bin"].map(labels)))
    x = alt.X("bin_text:N", title=axis, scale=places)
    chart = alt.Chart(data, width=width, height=240).mark_bar()
    result: alt.Chart = chart.encode(
        x=x.axis(labelAngle=0 if len(labels) <= 16 else -45, labelOverlap=False),
        xOffset=alt.XOffset("outcome:N", scale=alt.Scale(domain=present)),
        y=alt.Y("share:Q", title="share of journeys with this outcome").axis(format="%", tickCount=6),
        color=alt.Color("outcome:N", title=None, scale=colours, legend=alt.Legend(orient="top")),
    )
    return result


def _bin_labels(table: pd.DataFrame, step: int) -> dict[float, str]:
    """A label for each bin, also those between without a journey, so that they keep their place."""
    every = np.arange(table["bin"].min(), table["bin"].max() + 1, step)
    ends = {float(lower): float(lower + step - 1) for lower in every}
    ends |= dict(zip(table["bin"], table["bin_end"], strict=True))
    return {lower: _bin_label(lower, upper) for lower, upper in ends.items()}


def _bin_label(lower: float, upper: float) -> str:
    if np.isnan(upper):
        return f"{lower:g}+"
    return f"{lower:g}" if lower == upper else f"{lower:g}–{upper:g}"
