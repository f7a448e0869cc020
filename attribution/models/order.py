"""Which order a Markov chain should have, by how well it predicts journeys of unseen customers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.journeys import JourneyChunk, Summary
from attribution.journeys.buckets import Dealing
from attribution.kernels.markov.chains import frame
from attribution.kernels.markov.order_scores import OrderScore, score_order, smallest_good_order
from attribution.kernels.markov.step_counts import Slices, count_steps, last_steps, shorten_steps, unpack
from attribution.kernels.statistics.sums import distinct_rows, stack_labelled, sum_by_key, to_float
from attribution.schema.tables import HELD_OUT

HIGHEST = 5
"""The highest order that is tried."""

FOLDS = 5

THIN = 10
"""Below this many steps out of a state, little is known of where it leads."""


class Shortened(NamedTuple):
    """Steps of a lower order.

    ``keys`` (steps, words) sorted and distinct; ``position`` (rows,) of the steps they were made from among them.
    """

    keys: NDArray[np.int64]
    position: NDArray[np.int64]


def summarise_orders(chunk: JourneyChunk, channels: int) -> Summary:
    """Steps of the `HIGHEST` order, from which those of all lower orders follow, for each fold of customers.

    The first column of the keys of ``steps`` is the fold.
    """
    dealt = Dealing().deal(chunk)
    assert dealt.bucket is not None
    folds = dealt.bucket % FOLDS
    parts = []
    for fold in range(FOLDS):
        part = dealt.subset(folds == fold)
        journeys = Slices(part.start, part.stop, part.channel, channels)
        parts.append((fold, count_steps(journeys, part.conversions, part.nulls, order=HIGHEST)))
    paid = chunk.subset(chunk.value > 0)
    ends = last_steps(Slices(paid.start, paid.stop, paid.channel, channels), order=HIGHEST)
    return Summary({"steps": stack_labelled(parts), "value": sum_by_key(ends, paid.value)})


def shorten(keys: NDArray[np.int64], *, channels: int, order: int) -> Shortened:
    """Packed steps of the `HIGHEST` order as steps of ``order``."""
    return Shortened(*distinct_rows(shorten_steps(keys, channels=channels, order=HIGHEST, to=order)))


def select_order(summary: Summary, channels: int) -> tuple[int, pd.DataFrame]:
    """The order chosen, and the ``held_out`` table without its first column, the model: a row for each order tried.

    Orders from 1 to `HIGHEST`, but not beyond the longest path, are scored by their held-out log-loss per step; the
    smallest within one standard error of the best is chosen.
    """
    longest = longest_path(summary.tables["steps"].keys[:, 1:], channels, HIGHEST)
    scores = [_score(summary, channels, order) for order in range(1, longest + 1)]
    index, errors = smallest_good_order(np.array([score.log_loss for score in scores]))
    return index + 1, _table(scores, index, errors)


def score_held_out_order(summary: Summary, channels: int, order: int) -> tuple[float, float]:
    """Held-out log-loss per step and AUC of one order, means over folds; NaN where nothing can be scored."""
    score = _score(summary, channels, order)
    return _mean(score.log_loss), _mean(score.auc)


def _score(summary: Summary, channels: int, order: int) -> OrderScore:
    table = summary.tables["steps"]
    fold, keys, sums = table.keys[:, 0], table.keys[:, 1:], to_float(table.sums)
    steps, position = shorten(keys, channels=channels, order=order)
    counts = np.bincount(position * FOLDS + fold, sums, minlength=len(steps) * FOLDS).reshape(-1, FOLDS)
    joined = frame(steps, steps[:0], channels=channels, order=order)
    return score_order(joined, counts.astype(np.float64), channels + 2)


def longest_path(keys: NDArray[np.int64], channels: int, order: int) -> int:
    """Touchpoints of the longest path among packed steps: at least 1, and ``order`` where it is that long or longer."""
    states = unpack(keys, channels=channels, order=order)[:, :-1]
    return max(1, int((states != channels).sum(axis=1).max(initial=1)))


def memory_findings(label: str, order: int, longest: int, thin_steps: float) -> list[Finding]:
    """An order beyond the ``longest`` path, or most steps (the share ``thin_steps``) out of rare states."""
    findings = []
    if longest < order:
        message = (
            f"channels that {label} remembers beyond the longest path, which has {longest}. They change nothing: set "
            f"its order to {longest}"
        )
        findings.append(count_finding("order_beyond_paths", "journeys", order - longest, message))
    if thin_steps > 0.5:
        message = f"% of the steps of {label} start in states seen fewer than {THIN} times: choose a lower order"
        findings.append(count_finding("thin_states", "journeys", round(100 * thin_steps), message, total=100))
    return findings


def _table(scores: list[OrderScore], index: int, errors: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "order": np.arange(1, len(scores) + 1),
            "per": "step",
            "log_loss": [_mean(score.log_loss) for score in scores],
            "log_loss_se": errors,
            "auc": [_mean(score.auc) for score in scores],
            "aic": [score.aic for score in scores],
            "bic": [score.bic for score in scores],
            "states": [score.states for score in scores],
            "chosen": np.arange(len(scores)) == index,
        }
    )


def held_out_table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The ``held_out`` table of rows below each other; columns that a part does not have are null there."""
    types = {"order": "Int64", "states": "Int64", "chosen": "boolean"}
    names = list(HELD_OUT.column_names)
    return pd.concat([part.reindex(columns=names).astype(types) for part in parts], ignore_index=True)


def _mean(folds: NDArray[np.float64]) -> float:
    scored = folds[~np.isnan(folds)]
    return float(scored.mean()) if len(scored) else float("nan")
