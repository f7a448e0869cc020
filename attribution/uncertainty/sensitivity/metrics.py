"""What tracking logs of a doubted ranking."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from attribution.uncertainty.sensitivity.rules import CUT, GROW, KEEP, UNCLEAR

_COUNTED = {GROW: "verdicts_grow", KEEP: "verdicts_keep", CUT: "verdicts_cut", UNCLEAR: "verdicts_unclear"}
_BY_CHANNEL = ("probability_grow", "probability_keep", "probability_cut", "money_at_stake", "roi_low", "roi_high")


def doubt_metrics(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Metrics of the tables of a run, by name; none where nothing was doubted.

    Examples
    --------
    >>> doubt_metrics({})
    {}
    """
    if "verdicts" not in tables:
        return {}
    metrics: dict[str, float] = {}
    for estimand, verdicts in tables["verdicts"].groupby("estimand", sort=False):
        of = "" if estimand == "allocated" else f"{estimand}_"
        metrics |= {of + name: float((verdicts["verdict"] == verdict).sum()) for verdict, name in _COUNTED.items()}
        for name in _BY_CHANNEL:
            # The ends of the intervals here are over all specifications, not those of one model.
            key = name.replace("roi_", "roi_any_")
            metrics |= {f"{of}{key}/{row.channel}": float(getattr(row, name)) for row in verdicts.itertuples()}
    for row in tables["roi_variance"].itertuples(index=False):
        of = "" if row.estimand == "allocated" else f"{row.estimand}_"
        metrics[f"{of}variance_share_{row.source}/{row.channel}"] = float(row.share)
    for estimand, regret in tables["regret"].groupby("estimand", sort=False):
        of = "" if estimand == "allocated" else f"{estimand}_"
        metrics |= {
            f"{of}minimax_regret": float(regret["worst"].min()),
            f"{of}worst_regret": float(regret["worst"].max()),
        }
    return metrics
