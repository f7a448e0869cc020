"""How the ranking of channels changes with the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from attribution.arguments import check_arguments, check_columns
from attribution.kernels.statistics import agreement as kernel
from attribution.returns import main_basis
from attribution.schema.tables import AGREEMENT, NO_CHANNELS


@dataclass(frozen=True)
class Ranking:
    """Channels ranked under every model.

    Attributes
    ----------
    by : ``roi``, or ``conversions`` where no channel has spend
    ranks : (channels × models) 1 is best, ties share their average
    agreement : the ``agreement`` table

    Examples
    --------
    >>> import attribution as at
    >>> returns = pd.DataFrame({"model": ["a", "a", "b", "b"], "channel": ["mail", "search"] * 2,
    ...                         "roi": [2.0, 1.0, 0.5, 3.0], "conversions": 1.0})
    >>> ranking = at.compare_rankings(returns)
    >>> ranking.by, ranking.ranks.loc["mail"].to_dict()
    ('roi', {'a': 1.0, 'b': 2.0})
    """

    by: str
    ranks: pd.DataFrame
    agreement: pd.DataFrame


def compared_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the models that are compared with each other: those that divide what was observed.

    What channels caused is another answer, and stands by itself; where no model divides, all are compared.
    """
    is_allocated = table["estimand"] == "allocated"
    return table[is_allocated] if is_allocated.any() else table


@check_arguments
def compare_rankings(returns: pd.DataFrame) -> Ranking:
    """Rank channels under every model and say how far each pair of models agrees.

    Models that estimate different things are not held against each other.

    Parameters
    ----------
    returns : the ``returns`` table; its first basis and cost basis count

    Raises
    ------
    InputError
        If a column is missing.

    Examples
    --------
    >>> returns = pd.DataFrame({"model": ["a"] * 3 + ["b"] * 3, "channel": ["x", "y", "z"] * 2,
    ...                         "roi": [3.0, 2.0, 1.0, 3.0, 1.0, 2.0], "conversions": 1.0})
    >>> ranking = compare_rankings(returns)
    >>> float(ranking.agreement.query("model_a == 'a' and model_b == 'b'")["largest_move"].iloc[0])
    1.0
    """
    check_columns("compare_rankings", "returns", returns, ("model", "channel", "roi", "conversions"))
    returns = main_basis(returns)
    ranked = returns[~returns["channel"].isin(NO_CHANNELS)]
    by = "roi" if ranked["roi"].notna().any() else "conversions"
    scores = ranked[ranked[by].notna()].pivot(index="channel", columns="model", values=by)
    scores = scores.reindex(columns=list(dict.fromkeys(ranked["model"])))
    ranks = scores.apply(_ranks)
    keys = [(None, model) for model in scores.columns]
    of = _estimands(ranked, scores.columns)
    # A model without a like is only held against itself where it is the first.
    are_compared = [estimand == of[0] or of.count(estimand) > 1 for estimand in of]
    pairs = [(a, b) for a in range(len(of)) for b in range(len(of)) if of[a] == of[b] and are_compared[a]]
    return Ranking(by, ranks, measure_agreement(scores, keys, pairs))


def _estimands(ranked: pd.DataFrame, models: Iterable[str]) -> list[object]:
    """What each model estimates; the same of all where the table does not say."""
    if "estimand" not in ranked:
        return [None for _ in models]
    by_model = ranked.drop_duplicates("model").set_index("model")["estimand"]
    return [by_model[model] for model in models]


def _ranks(scores: pd.Series) -> pd.Series:
    """Ranks of the channels that have a score."""
    has_score = scores.dropna()
    return pd.Series(kernel.ranks(has_score.to_numpy(float)), index=has_score.index).reindex(scores.index)


def measure_agreement(
    scores: pd.DataFrame, keys: Sequence[tuple[str | None, str]], pairs: Iterable[tuple[int, int]]
) -> pd.DataFrame:
    """The ``agreement`` table of pairs of rankings.

    Parameters
    ----------
    scores : (channels × rankings) the highest ranks first; null where a channel is not ranked
    keys : specification, None within one run, and model of each ranking
    pairs : positions of two rankings each
    """
    rows = [(*keys[a], *keys[b], *_measures(scores.iloc[:, [a, b]])) for a, b in pairs]
    return pd.DataFrame(rows, columns=list(AGREEMENT.column_names))


def _measures(pair: pd.DataFrame) -> tuple[int, float, float, float, float, float]:
    ranked = pair[pair.notna().all(axis=1)]
    x, y = (np.ascontiguousarray(ranked.iloc[:, side], dtype=float) for side in (0, 1))
    return (
        len(ranked),
        kernel.kendall_tau(x, y),
        kernel.spearman(x, y),
        kernel.rank_biased_overlap(x, y),
        kernel.top_overlap(x, y),
        kernel.largest_move(x, y),
    )
