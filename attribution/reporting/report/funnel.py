"""What a funnel says, in sentences with numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def funnel_sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Where one point more is worth most, what is still open, and where it broke; nothing without a funnel.

    Examples
    --------
    >>> bottlenecks = pd.DataFrame({"stage": ["lead", "offer"], "model": None, "wins_per_point": [2.0, 6.28],
    ...     "value_per_point": [20.0, 62.8], "rate_to_next": [0.6, 0.5], "is_bottleneck": [False, True]})
    >>> funnel_sentences({"bottlenecks": bottlenecks})
    ['One point more of the 50.0% that move on from offer is worth most: 6.28 wins, 62.8 at the average win.']
    """
    sentences = []
    if "bottlenecks" in tables:
        whole = tables["bottlenecks"][tables["bottlenecks"]["model"].isna()]
        for row in whole[whole["is_bottleneck"].astype(bool)].to_dict("records")[:1]:
            value = row["value_per_point"]
            money = "" if value != value else f", {value:,.4g} at the average win"
            sentences.append(
                f"One point more of the {row['rate_to_next']:.1%} that move on from {row['stage']} is worth most: "
                f"{row['wins_per_point']:,.3g} wins{money}."
            )
    pipeline = tables.get("pipeline")
    if pipeline is not None and len(pipeline):
        one = pipeline[pipeline["model"] == pipeline["model"].iloc[0]]
        value = one["expected_value"].sum(min_count=1)
        money = "" if value != value else f" worth {value:,.0f}"
        sentences.append(
            f"{one['open'].sum():,.0f} cases are open: {one['expected_wins'].sum():,.1f} wins{money} are to be "
            "expected of them, which no ROI contains."
        )
    breaks = tables.get("funnel_breaks")
    if breaks is not None:
        for row in breaks[breaks["is_break"].astype(bool)].to_dict("records")[:3]:
            who = "" if row["channel"] is None or row["channel"] != row["channel"] else f" of {row['channel']}"
            than = "before" if row["compared_with"] == "history" else "other channels"
            sentences.append(
                f"More arrivals{who} in {row['stage']} stop there than {than}: {row['drop']:.1%} against "
                f"{row['reference_drop']:.1%} (at least {row['excess_low']:.1%} more)."
            )
    return sentences
