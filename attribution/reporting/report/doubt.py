"""The part of a report on how far the ranking can be trusted: verdicts, what would change them, regret."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

_VERDICTS = ["channel", "verdict", "probability", "probability_least", "money_at_stake", "spend", "roi"]
_FLIPS = {
    "days_to_flip": "days of lookback",
    "margin_points_to_flip": "points of margin",
    "cost_to_flip": "missing cost",
    "lost_touchpoints_to_flip": "share of its touchpoints lost",
    "others_lost_to_flip": "share of other touchpoints lost",
    "share_to_break_even": "share of credit caused to break even",
}


def doubt_section(tables: Mapping[str, pd.DataFrame]) -> dict[str, object] | None:
    """What the report shows of doubt, by the names that its template knows; None where nothing was doubted.

    Wide tables, unlike those of a run, because they are read and never computed with.
    """
    if "verdicts" not in tables:
        return None
    verdicts, regret, swaps = tables["verdicts"], tables["regret"], tables["rank_swaps"]
    key = ["estimand"] if verdicts["estimand"].nunique() > 1 else []
    flips = verdicts[[*key, "channel", "verdict", *_FLIPS]].rename(columns=_FLIPS)
    often = swaps[swaps["probability"] > 0.5].sort_values("probability", ascending=False, kind="stable")
    return {
        "notes": _notes(verdicts, regret),
        "verdicts": verdicts[[*key, *_VERDICTS, "roi_low", "roi_high"]],
        "flips": flips,
        "variance": _variance_grid(tables["roi_variance"], key),
        "ranks": tables["joint_rank_probability"],
        "swaps": often if len(often) else None,
        "regret": regret.drop(columns=[] if key else ["estimand"]) if len(regret) else None,
        "specifications": tables["specifications"],
    }


def _notes(verdicts: pd.DataFrame, regret: pd.DataFrame) -> list[str]:
    notes = list(verdicts["says"])
    for _, part in regret.groupby("estimand", sort=False):
        safest = part[part["is_minimax"]].iloc[0]
        notes.append(
            f"Acting on {safest['acting_on']} is safest: whichever of the models is right, no more than "
            f"{safest['worst']:,.0f} is lost on average."
        )
    if (verdicts["estimand"] == "allocated").any():
        notes.append(
            "Allocated is not incremental: where ads reach people who would have bought anyway, credit overstates what "
            "they caused by more than any of these choices. No verdict on credit alone can tell; experiments can."
        )
    told = verdicts["rests_on"].dropna().unique()
    if len(told):
        notes.append(
            f"Incremental verdicts rest on what models were told and did not learn ({'; '.join(told)}): they are as "
            "good as the experiment that it comes from."
        )
    return notes


def _variance_grid(variance: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """A column per source."""
    grid = variance.pivot(index=["estimand", "channel"], columns="source", values="share")
    grid = grid[list(dict.fromkeys(variance["source"]))].reset_index()
    return grid.rename_axis(columns=None)[[*key, *grid.columns[1:]]]
