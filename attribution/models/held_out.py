"""How well the classifier of a game predicts journeys of unseen customers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from attribution.journeys import JourneyChunk, Summary
from attribution.journeys.buckets import Dealing
from attribution.kernels.shapley.coalitions import unpack_counts
from attribution.kernels.statistics.sums import stack_labelled, to_float
from attribution.models.order import FOLDS
from attribution.models.valuation import Rows, count_rows, fit_classifier, is_fitted, predictor


def summarise_folds(chunk: JourneyChunk, channels: int) -> Summary:
    """`count_rows` of each fold of customers, whose number leads the keys; the folds are those of Markov chains."""
    dealt = Dealing().deal(chunk)
    assert dealt.bucket is not None
    folds = dealt.bucket % FOLDS
    counted = [count_rows(dealt.subset(folds == fold), channels) for fold in range(FOLDS)]
    names = ("row_conversions", "row_nulls")
    return Summary(
        {name: stack_labelled([(fold, of.tables[name]) for fold, of in enumerate(counted)]) for name in names}
    )


def score_classifier(summary: Summary, channels: int, classifier: Any) -> tuple[float, float]:
    """Held-out log-loss per journey and AUC, means over folds, each predicted by the classifier fitted on the others.

    Parameters
    ----------
    summary : of `summarise_folds`
    classifier : from `attribution.models.valuation.make_classifier`

    Returns
    -------
    log_loss : in nats; NaN where nothing can be scored, such as a classifier that was given fitted on unknown data
    auc : how often a journey that converted has a higher probability than one that did not; ties count half
    """
    if is_fitted(classifier) or "row_nulls" not in summary.tables:
        return float("nan"), float("nan")
    tables = [summary.tables[name] for name in ("row_conversions", "row_nulls")]
    fold = tables[0].keys[:, 0]
    rows = Rows(unpack_counts(tables[0].keys[:, 1:], channels), *(to_float(table.sums) for table in tables))
    with threadpool_limits(1):
        scores = np.array([_score(rows, fold == held, channels, classifier) for held in range(FOLDS)])
    log_loss, auc = (float(of[~np.isnan(of)].mean()) if (~np.isnan(of)).any() else float("nan") for of in scores.T)
    return log_loss, auc


def _score(rows: Rows, held: NDArray[np.bool_], channels: int, classifier: Any) -> tuple[float, float]:
    from sklearn.metrics import log_loss, roc_auc_score

    training, test = (Rows(rows.counts[part], rows.conversions[part], rows.nulls[part]) for part in (~held, held))
    if not training.conversions.any() or not training.nulls.any() or not (test.conversions.any() or test.nulls.any()):
        return float("nan"), float("nan")
    fitted, _ = fit_classifier(classifier, training)
    chance = np.tile(predictor(fitted, channels)(test.counts), 2)
    converted = np.repeat([1, 0], len(test.counts))
    weight = np.concatenate([test.conversions, test.nulls])
    loss = float(log_loss(converted, chance, sample_weight=weight, labels=[0, 1]))
    if not test.conversions.any() or not test.nulls.any():
        return loss, float("nan")
    return loss, float(roc_auc_score(converted, chance, sample_weight=weight))
