"""Short run against long run: what each costs the other."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from attribution.amounts import format_amount
from attribution.errors import InputError
from attribution.reporting.charts.figure import Figure, data_of
from attribution.reporting.charts.style import model_colours, model_legend, short_labels


def budget_horizons(budget: pd.DataFrame) -> Figure:
    """Return of the short and of the long run for each weight between them, a line per model.

    Parameters
    ----------
    budget : DataFrame
        Table ``budget``; its scenarios of the long run are drawn.

    Returns
    -------
    Figure
        Its table: ``model``, ``weight``, ``return``, ``long_return``, all channels together.

    Raises
    ------
    InputError
        The table has no long run.

    Examples
    --------
    >>> budget = pd.DataFrame({"model": "linear", "weight": [0.0, 0.0, 1.0, 1.0], "objective": "revenue",
    ...     "long_objective": "ltv", "return": [8.0, 2.0, 6.0, 3.0], "long_return": [8.0, 4.0, 6.0, 8.0]})
    >>> budget_horizons(budget).table["long_return"].tolist()
    [12.0, 14.0]
    """
    horizons = budget[budget["weight"].notna()]
    if horizons.empty:
        raise InputError("there is no long run to draw")
    table = horizons.groupby(["model", "weight"], sort=False)[["return", "long_return"]].sum().reset_index()
    short, long = (str(horizons[name].iloc[0]).replace("_", " ") for name in ("objective", "long_objective"))
    labels = short_labels(list(dict.fromkeys(table["model"])))
    colours = model_colours(list(labels.values()))
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    base = alt.Chart().encode(
        x=alt.X("return:Q", title=f"return in the short run ({short})", scale=alt.Scale(zero=False)),
        y=alt.Y("long_return:Q", title=f"return in the long run ({long})", scale=alt.Scale(zero=False)),
        color=alt.Color("label:N", title=None, scale=scale, legend=model_legend(list(colours))),
    )
    layers = [
        base.mark_line(strokeWidth=1.5).encode(order=alt.Order("weight:Q")),
        base.mark_point(filled=True, opacity=1, size=30),
    ]
    data = data_of(table.assign(label=table["model"].map(labels)))
    ends = table[table["model"] == table["model"].iloc[0]].iloc[[0, -1]]
    given_up, won = (float(np.abs(np.diff(ends[name]))[0]) for name in ("return", "long_return"))
    first = table["model"].iloc[0]
    trade = (
        f"Under {first}, gaining {format_amount(won)} in the long run costs {format_amount(given_up)} in the short run."
    )
    return Figure(
        name="budget_horizons",
        title="Return in the short run and in the long run",
        caption=f"Each dot is the best plan for one weight of the long run, from 0 to 1. {trade}",
        alt_text=f"Line chart of return in the long run against the short run. {trade}",
        chart=alt.LayerChart(layer=layers, data=data, width=620, height=380),
        table=table,
    )
