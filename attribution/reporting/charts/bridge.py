"""Why ROI moved from one run to the next, as a bridge of its parts."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from attribution.errors import InputError
from attribution.reporting.charts.figure import Figure, data_of
from attribution.schema.tables import TOTAL

_WIDTH, _HEIGHT = 560, 260
_ENDS, _UP, _DOWN = "#5c6b7a", "#0072b2", "#d55e00"


def roi_bridge(ends: tuple[float, float], changes: pd.DataFrame, *, model: str) -> Figure:
    """From the total ROI of the earlier run to that of the later, part by part.

    Parameters
    ----------
    ends : tuple of float
        ROI of all channels with spend in the earlier and in the later run.
    changes : DataFrame
        Table ``roi_parts`` of a review.
    model : str
        Label of the model of the later run.

    Returns
    -------
    Figure
        Its table: ``step``, ``change``, ``start``, ``end``; the first and the last row are the two ROI.

    Raises
    ------
    InputError
        One of the runs has no channel with spend.

    Examples
    --------
    >>> changes = pd.DataFrame({"model": ["m"] * 2, "slice": ["(total)"] * 2, "part": ["spend", "rate"],
    ...     "total_change": [-0.5, 1.0]})
    >>> roi_bridge((1.0, 1.5), changes, model="m").table["end"].tolist()
    [1.0, 0.5, 1.5, 1.5]
    """
    if np.isnan(ends).any():
        raise InputError("one of the runs has no channel with spend, so there is no change in ROI to draw")
    before, after = ends
    parts = changes[(changes["model"] == model) & (changes["slice"] == TOTAL)]
    moved = parts["total_change"].to_numpy(float)
    reached = before + np.cumsum(moved)
    table = pd.DataFrame(
        {
            "step": ["before", *parts["part"], "after"],
            "change": [before, *moved, after],
            "start": [0.0, before, *reached[:-1], 0.0],
            "end": [before, *reached, after],
        }
    )
    largest = parts.iloc[int(np.abs(moved).argmax())]
    return Figure(
        name="roi_bridge",
        title=f"Why total ROI changed, under {model}",
        caption=(
            "Total ROI of channels with spend in the earlier and in the later run, and between them the part of each "
            "factor. Parts are Shapley values: they add up exactly, whatever the order."
        ),
        alt_text=(
            f"Bridge from a total ROI of {before:.2f} to {after:.2f}. Largest part: {largest['part']} with "
            f"{largest['total_change']:+.2f}."
        ),
        chart=_chart(table),
        table=table,
    )


def _chart(table: pd.DataFrame) -> alt.LayerChart:
    is_end = table["step"].isin(["before", "after"])
    colours = np.where(is_end, _ENDS, np.where(table["change"] >= 0, _UP, _DOWN))
    formats = np.where(is_end, "", "+.2f")
    shown = [
        format(round(change, 2) + 0.0, form or ".2f") for change, form in zip(table["change"], formats, strict=True)
    ]
    data = table.assign(colour=colours, shown=shown, above=table[["start", "end"]].max(axis=1))
    x = alt.X("step:N", title=None, scale=alt.Scale(domain=list(table["step"])))
    x = x.axis(labelAngle=0, ticks=False, domain=False)
    bars = alt.Chart().mark_bar(size=44)
    bars = bars.encode(
        x=x,
        y=alt.Y("start:Q", title="total ROI"),
        y2=alt.Y2("end:Q"),
        color=alt.Color("colour:N", scale=None),
    )
    text = alt.Chart().mark_text(dy=-7, fontSize=11)
    text = text.encode(x=x, y=alt.Y("above:Q"), text=alt.Text("shown:N"))
    return alt.LayerChart(layer=[bars, text], data=data_of(data), width=_WIDTH, height=_HEIGHT)
