"""Draws the pictures of docs/credit-is-not-cause.md from simulated worlds: `python docs/draw_pictures.py`.

The same version of the package draws the same pictures.
"""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pandas as pd

import attribution as at
from attribution.journeys.credit_bounds import credit_bounds
from attribution.reporting.charts import Figure, credit_and_chance, to_svg
from attribution.reporting.charts.figure import data_of

PICTURES = Path(__file__).parent / "pictures"
CUSTOMERS = 60_000
SEED = 1


def main() -> None:
    """Draw all pictures, and print the figures that the page names."""
    PICTURES.mkdir(exist_ok=True)
    for figure in (credited_against_caused(), who_would_have_bought_anyway(), credit_where_nothing_works()):
        (PICTURES / f"{figure.name}.svg").write_text(to_svg(figure) + "\n", encoding="utf-8")
        print(figure.title, figure.table.round(0).to_string(index=False), sep="\n", end="\n\n")


def credited_against_caused() -> Figure:
    """Credit of Linear beside the truth where touchpoints come by pure chance."""
    shop = at.simulate("default", customers=CUSTOMERS, seed=SEED)
    journeys = at.build_journeys(at.load_sources(shop.touchpoints, shop.conversions))
    credit = at.attribute(journeys, [at.Linear()]).table.set_index("channel")["conversions"]
    table = _with_truth(shop).assign(credited=lambda rows: rows["channel"].map(credit))
    table = table.sort_values("credited", ascending=False)
    return _bars(
        table[["channel", "credited", "caused"]],
        name="credited_against_caused",
        title="What channels are credited with, and what they caused",
        colours={"credited": "#999999", "caused": "#0072b2"},
        is_stacked=False,
    )


def who_would_have_bought_anyway() -> Figure:
    """Conversions of journeys with each channel: caused by it, and those that would have come without it."""
    shop = at.simulate("confounded", customers=CUSTOMERS, seed=SEED)
    bounds = credit_bounds(at.build_journeys(at.load_sources(shop.touchpoints, shop.conversions)))
    took_part = dict(zip(bounds.channels, bounds.took_part.tolist(), strict=True))
    table = _with_truth(shop).assign(anyway=lambda rows: rows["channel"].map(took_part) - rows["caused"])
    table = table.assign(part=table["caused"] / (table["caused"] + table["anyway"])).sort_values("part")
    return _bars(
        table[["channel", "caused", "anyway"]].rename(columns={"anyway": "would have bought anyway"}),
        name="who_would_have_bought_anyway",
        title="Who bought after seeing a channel, and who would have bought anyway",
        colours={"caused": "#0072b2", "would have bought anyway": "#cccccc"},
        is_stacked=True,
    )


def credit_where_nothing_works() -> Figure:
    """Credit and its chance level where no channel does anything."""
    shop = at.simulate("null", customers=CUSTOMERS, seed=SEED)
    journeys = at.build_journeys(at.load_sources(shop.touchpoints, shop.conversions))
    credit = at.attribute(journeys, [at.LastTouch(), at.Linear()], chance=True).table
    return credit_and_chance(credit[credit["chance_conversions"].notna()])


def _with_truth(shop: at.Simulation) -> pd.DataFrame:
    truth = shop.truth
    return pd.DataFrame({"channel": truth["channel"], "caused": truth["incremental_conversions"]})


def _bars(table: pd.DataFrame, *, name: str, title: str, colours: dict[str, str], is_stacked: bool) -> Figure:
    """Two bars per channel, side by side or end to end; channels in the order of the table."""
    kinds = list(colours)
    long = table.melt("channel", var_name="kind", value_name="conversions")
    long["order"] = long["kind"].map(kinds.index)
    chart = alt.Chart(data_of(long), width=560, height=22 * len(table) * (1 if is_stacked else 1.4)).mark_bar()
    channel = alt.Y("channel:N", sort=table["channel"].tolist(), title=None)
    colour = alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=list(colours.values())), title=None)
    colour.legend = alt.Legend(orient="top", title=None)
    layout = {} if is_stacked else {"yOffset": alt.YOffset("kind:N", sort=kinds)}
    chart = chart.encode(
        x=alt.X("conversions:Q", title="conversions", stack="zero" if is_stacked else None),
        y=channel,
        color=colour,
        order=alt.Order("order:Q"),
        **layout,
    )
    said = "; ".join(
        f"{row['channel']}: " + ", ".join(f"{kind} {row[kind]:,.0f}" for kind in kinds)
        for row in table.to_dict("records")
    )
    return Figure(name=name, title=title, caption="", alt_text=f"{title}. {said}.", chart=chart, table=table)


if __name__ == "__main__":
    main()
