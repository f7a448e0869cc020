"""The game in which a coalition is worth what a classifier predicts for a journey."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Summary
from attribution.kernels.shapley.coalitions import channel_counts, unpack_counts
from attribution.kernels.shapley.games import join_weights
from attribution.kernels.statistics.draws import draw_words
from attribution.kernels.statistics.sums import KeyedSums, distinct_rows, exact_sums, to_float
from attribution.models.games import Sampling, Solution
from attribution.models.named_code import load_by_path

Floats = NDArray[np.float64]
Predict = Callable[[NDArray[np.int64]], Floats]

EXACT_CHANNELS = 10
"""Most channels in a journey solved exactly; more would need thousands of predictions each."""

_ROWS_AT_ONCE = 1 << 16
_BATCH = 16
_MOST_PAIRS = 1 << 10
_KIND = "a scikit-learn classifier, or 'package.module:Class' as text"


class Rows(NamedTuple):
    """Journeys with equal numbers of touchpoints per channel: ``counts`` (k, channels), and what came of them (k,)."""

    counts: NDArray[np.int64]
    conversions: Floats
    nulls: Floats


def count_rows(chunk: JourneyChunk, channels: int) -> Summary:
    """Conversions and nulls by number of touchpoints per channel; both tables have the same keys."""
    packed = channel_counts(chunk.start, chunk.stop, chunk.channel, channels)
    keys, position = distinct_rows(packed)
    terms = {"row_conversions": chunk.conversions, "row_nulls": chunk.nulls}
    return Summary(
        {name: KeyedSums(keys, exact_sums(position, of.astype(np.float64), len(keys))) for name, of in terms.items()}
    )


def solve_classifier(
    summary: Summary, channels: int, classifier: Any, how: Sampling
) -> tuple[Solution, tuple[str, ...]]:
    """Shapley values of all journeys, each of its own game, added up, in conversions.

    Returns
    -------
    solved : credit and standard errors (1, channels)
    notes : warnings of the classifier
    """
    rows = _rows(summary, channels)
    if rows is None:
        return Solution(np.zeros((1, channels)), np.zeros((1, channels))), ()
    # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
    with threadpool_limits(1):
        fitted, notes = (classifier, ()) if is_fitted(classifier) else fit_classifier(classifier, rows)
        predict = predictor(fitted, channels)
        credit, squares, pairs = np.zeros(channels), np.zeros(channels), 0
        sizes = (rows.counts > 0).sum(axis=1)
        large = float(np.sqrt(max(int(np.count_nonzero(sizes > EXACT_CHANNELS)), 1)))
        for size in np.unique(sizes[sizes > 0]).tolist():
            chosen = np.flatnonzero(sizes == size)
            counts, journeys = rows.counts[chosen], (rows.conversions + rows.nulls)[chosen]
            member = np.nonzero(counts)[1].reshape(len(chosen), size)
            if size <= EXACT_CHANNELS and how.method != "sampling":
                _add_exact(predict, counts, member, journeys, credit)
            else:
                _refuse(size, how)
                # No journey needs to be known better than the whole.
                enough = how.tolerance * float(np.abs(credit).mean()) / large
                goals = np.divide(enough, journeys, out=np.zeros_like(journeys), where=journeys > 0)
                pairs += _add_sampled(predict, counts, member, journeys, goals, how, credit, squares)
    return Solution(credit[None], np.sqrt(squares)[None], pairs), notes


def check_rows(summary: Summary, channels: int, classifier: Any, how: Sampling) -> None:
    """Raise `InputError` if a classifier cannot learn from these journeys, or their games are too large for it."""
    rows = _rows(summary, channels)
    if rows is None:
        return
    if not is_fitted(classifier):
        _check_outcomes(rows)
    size = int((rows.counts > 0).sum(axis=1).max(initial=0))
    if size > EXACT_CHANNELS:
        _refuse(size, how)


def _rows(summary: Summary, channels: int) -> Rows | None:
    """The journeys of a summary by numbers of touchpoints; None where there is nothing to tell apart."""
    if channels == 0 or "row_nulls" not in summary.tables:
        return None
    tables = [summary.tables[name] for name in ("row_conversions", "row_nulls")]
    return Rows(unpack_counts(tables[0].keys, channels), *(to_float(table.sums) for table in tables))


def _check_outcomes(rows: Rows) -> None:
    if not (rows.conversions.any() and rows.nulls.any()):
        raise InputError(
            "Shapley: the game 'classifier' needs journeys that converted and journeys that did not",
            hint="give paths with nulls, or a customers table that includes customers who did not convert",
        )


def has_untouched(summary: Summary) -> bool:
    """Whether a journey without a touchpoint did not convert."""
    if "row_nulls" not in summary.tables:
        return False
    table = summary.tables["row_nulls"]
    is_untouched = ~table.keys.any(axis=1)
    return bool((to_float(table.sums)[is_untouched] > 0).any())


def make_classifier(classifier: Any, settings: Mapping[str, Any] | None) -> Any:
    """The classifier of these settings, not yet fitted unless a fitted one is given.

    Raises
    ------
    InputError
        If it is not a classifier, cannot be loaded, or does not accept the settings.
    """
    if settings is not None and not isinstance(settings, Mapping):
        allowed = "the classifier's arguments by name, such as C = 1.0"
        raise InputError(
            "Shapley: classifier_settings must be arguments by name", given=repr(settings), allowed=allowed
        )
    if classifier is None:
        # The default solver stops on the mean gradient, long before rare conversions are fitted.
        start = {"solver": "newton-cholesky", "tol": 1e-9, "C": 1e10, "max_iter": 1000}
        return _construct("sklearn.linear_model:LogisticRegression", start | dict(settings or {}))
    if isinstance(classifier, str):
        return _construct(classifier, settings or {})
    if settings is not None:
        raise InputError(
            "Shapley: classifier_settings are only for a classifier that is named by text",
            given=repr(classifier),
            hint="set them on the classifier itself",
        )
    if isinstance(classifier, type) or not callable(getattr(classifier, "predict_proba", None)):
        raise InputError("Shapley: the classifier has no method predict_proba", given=repr(classifier), allowed=_KIND)
    return classifier


def _construct(name: str, settings: Mapping[str, Any]) -> Any:
    try:
        kind = load_by_path(name)
    except Exception as error:  # whatever the user's own module raises
        problem = f"Shapley: the classifier cannot be loaded: {type(error).__name__}: {error}"
        raise InputError(problem, given=repr(name), allowed=_KIND) from None
    try:
        made = kind(**settings)
    except Exception as error:
        problem = f"Shapley: the classifier does not accept these settings: {type(error).__name__}: {error}"
        raise InputError(problem, given=dict(settings)) from None
    return make_classifier(made, None)


def is_fitted(classifier: Any) -> bool:
    """Whether the classifier was given fitted.

    Raises
    ------
    InputError
        If it is no estimator.
    """
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(classifier)
    except NotFittedError:
        return False
    except TypeError as error:
        raise InputError(f"Shapley: {error}", given=repr(classifier), allowed=_KIND) from None
    return True


def fit_classifier(classifier: Any, rows: Rows) -> tuple[Any, tuple[str, ...]]:
    """A clone of the classifier fitted on all journeys, and its warnings."""
    from sklearn.base import clone

    weights = np.concatenate([rows.conversions, rows.nulls])
    rows_used = np.flatnonzero(weights > 0)
    features = np.concatenate([rows.counts, rows.counts])[rows_used].astype(np.float64)
    converted = np.repeat([1, 0], len(rows.counts))[rows_used]
    _check_outcomes(rows)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitted = clone(classifier).fit(features, converted, sample_weight=weights[rows_used])
        except Exception as error:  # whatever the classifier raises
            problem = f"Shapley: the classifier cannot be fitted: {type(error).__name__}: {error}"
            raise InputError(problem, given=repr(classifier)) from None
    return fitted, tuple(sorted({str(warning.message).partition("\n")[0] for warning in caught}))


def predictor(fitted: Any, channels: int) -> Predict:
    """A function from numbers of touchpoints (r, channels) to the probability of converting (r,)."""
    classes = [str(label) for label in getattr(fitted, "classes_", [])]
    column = next((classes.index(label) for label in ("1", "True", "1.0") if label in classes), None)
    expects = getattr(fitted, "n_features_in_", channels)
    if column is None or expects != channels:
        raise InputError(
            "Shapley: the classifier was fitted on other features or classes",
            given=f"{expects} features, classes {', '.join(classes)}",
            allowed=f"{channels} features, the touchpoints per channel, and class 1 for journeys that converted",
        )

    def predict(counts: NDArray[np.int64]) -> Floats:
        chances = np.asarray(fitted.predict_proba(counts.astype(np.float64)), dtype=np.float64)
        if chances.shape != (len(counts), len(classes)):
            raise InputError(
                "Shapley: predict_proba returned an array of the wrong shape",
                given=chances.shape,
                allowed=(len(counts), len(classes)),
            )
        probabilities = chances[:, column]
        if not ((probabilities >= 0) & (probabilities <= 1)).all():
            example = repr(float(probabilities[~((probabilities >= 0) & (probabilities <= 1))][0]))
            raise InputError(
                "Shapley: predict_proba returned a number that is no probability", given=example, allowed="0 to 1"
            )
        return probabilities

    return predict


def _refuse(size: int, how: Sampling) -> None:
    if how.method == "exact":
        raise InputError(
            f"Shapley: a journey with {size} channels needs 2^{size} predictions",
            given="method = 'exact'",
            allowed=f"up to {EXACT_CHANNELS} channels in a journey",
            hint="method = 'auto' samples larger games and gives standard errors",
        )


def _add_exact(
    predict: Predict, counts: NDArray[np.int64], member: NDArray[np.int64], journeys: Floats, credit: Floats
) -> None:
    """Add the Shapley values of journeys that all touched equally many channels, by all subsets of these."""
    size = member.shape[1]
    held = (np.arange(1 << size)[:, None] >> np.arange(size) & 1).astype(bool)
    joining, leaving = join_weights(size)
    total = held.sum(axis=1)[:, None]
    weight = np.where(held, joining[total], -leaving[total])
    step = max(1, _ROWS_AT_ONCE >> size)
    for low in range(0, len(counts), step):
        part = slice(low, low + step)
        worth = predict(_without_others(counts[part], member[part], held)).reshape(-1, 1 << size)
        np.add.at(credit, member[part], journeys[part, None] * (worth @ weight))


def _without_others(counts: NDArray[np.int64], member: NDArray[np.int64], held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(rows · coalitions, channels) what is left of each journey, its other channels' touchpoints deleted."""
    left = np.zeros((len(counts), len(held), counts.shape[1]), np.int64)
    own = np.take_along_axis(counts, member, axis=1)
    row, coalition = np.arange(len(counts))[:, None, None], np.arange(len(held))[None, :, None]
    left[row, coalition, member[:, None, :]] = own[:, None, :] * held
    return left.reshape(-1, counts.shape[1])


def _add_sampled(
    predict: Predict,
    counts: NDArray[np.int64],
    member: NDArray[np.int64],
    journeys: Floats,
    goals: Floats,
    how: Sampling,
    credit: Floats,
    squares: Floats,
) -> int:
    """Add the Shapley values of such journeys by sampling orders and their reverses; how many pairs it took.

    A standard error of its goal (k,) is enough for a journey.
    """
    size, pairs = member.shape[1], 0
    for row in np.flatnonzero(journeys > 0):
        batches: list[Floats] = []
        mean = error = np.zeros(size)
        while len(batches) * _BATCH < _MOST_PAIRS:
            added = _along_orders(predict, counts[[row]], member[[row]], how.seed, len(batches))
            batches.append(added)
            samples = np.concatenate(batches)
            mean, error = samples.mean(axis=0), samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
            if error.max() <= max(how.tolerance * np.abs(mean).mean(), goals[row]):
                break
        credit[member[row]] += journeys[row] * mean
        squares[member[row]] += (journeys[row] * error) ** 2
        pairs += len(batches) * _BATCH
    return pairs


def _along_orders(
    predict: Predict, counts: NDArray[np.int64], member: NDArray[np.int64], seed: int, batch: int
) -> Floats:
    """(pairs, size) what each channel of one journey adds where it comes, mean of an order and its reverse."""
    size = member.shape[1]
    first = batch * _BATCH * size
    words = draw_words(np.arange(first, first + _BATCH * size, dtype=np.uint64), seed).reshape(_BATCH, size)
    rank = np.argsort(np.argsort(words, axis=1, kind="stable"), axis=1)
    both = np.stack([rank, size - 1 - rank], axis=1).reshape(-1, size)
    held = both[:, None, :] < np.arange(size + 1)[None, :, None]
    worth = predict(_without_others(counts, member, held.reshape(-1, size))).reshape(len(both), size + 1)
    added = np.take_along_axis(np.diff(worth, axis=1), both, axis=1)
    return np.asarray(added.reshape(_BATCH, 2, size).mean(axis=1))
