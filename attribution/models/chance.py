"""Credit by chance: what models credit when it does not matter which channel a touchpoint was.

Journeys, times and outcomes stay as they are. Every touchpoint gets a channel at random, each channel as often as it
touches. What a model credits then is the chance level of its credit. It is a test, not an estimate of what a channel
causes: a channel that follows intent lies beyond chance, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError
from attribution.journeys import Buckets, JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.buckets import BucketTable, split_buckets
from attribution.kernels.credit.labels import (
    MOST_LABELLINGS,
    Shares,
    cut_shares,
    draw_labels,
    find_grains,
    label_paths,
    touchpoint_words,
)
from attribution.kernels.statistics.beyond_chance import label_z, least_z
from attribution.kernels.statistics.dealing import path_words
from attribution.kernels.statistics.draws import Words, draw_words, id_words
from attribution.kernels.statistics.sums import KeyedSums, stack_labelled, to_float
from attribution.models.base import AttributionModel
from attribution.models.machinery import Draws, Machinery, get_machinery
from attribution.schema.tables import NO_CHANNELS

if TYPE_CHECKING:
    from attribution.models.resampling import Resamples

SHUFFLES = 20
"""How often labels are dealt anew; the chance level is the mean."""

_STREAM = 0x6368616E6365
"""Labels have nothing to do with other numbers that are drawn from the same customer."""

_PATH_STEPS = 500_000
"""Touchpoints of paths that are labelled at once."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chance:
    """Credit of models when channels are labels at random.

    Attributes
    ----------
    channels : of the columns
    shares : (channels,) of all touchpoints
    shuffles : per model with a chance level, credit under each shuffle of labels (shuffles, channels); one row where
        the mean of all shuffles is known without any
    findings : on models that could not be solved with labels at random
    """

    channels: tuple[str, ...]
    shares: Floats
    shuffles: Mapping[str, Draws]
    findings: tuple[Finding, ...] = ()

    def level(self, label: str, what: Literal["conversions", "value"]) -> Floats:
        """(channels,) the chance level of a model's credit."""
        shuffles = getattr(self.shuffles[label], what)
        # Divided first: the sum of what is near the largest float has no float.
        return np.asarray((shuffles / len(shuffles)).sum(axis=0))

    def beyond(self, label: str, resamples: Resamples) -> tuple[Floats, Floats, Floats]:
        """Draws, estimate and jackknife (…, channels) of conversions beyond chance.

        Draw b of customers is held against shuffle b modulo their number. What is credited to all channels differs
        from draw to draw, and chance with it, by the shares of channels.
        """
        kinds = (resamples.draws, resamples.estimates, resamples.jackknife)
        draws, estimate, jackknife = (kind[label].channels.conversions for kind in kinds)
        shuffles, level = self.shuffles[label].conversions, self.level(label, "conversions")
        used = shuffles[np.arange(len(draws)) % len(shuffles)]
        return (
            draws - used - self._more(draws, estimate),
            estimate - level,
            jackknife - level - self._more(jackknife, estimate),
        )

    def _more(self, credit: Floats, estimate: Floats) -> Floats:
        """(draws, channels) chance of what ``credit`` (draws, channels) holds beyond ``estimate`` (1, channels)."""
        return np.asarray((credit.sum(axis=1, keepdims=True) - estimate.sum()) * self.shares)


@dataclass(frozen=True)
class Shuffling:
    """Credit by chance in two steps: `read` in the pass that fits the models, then `solve`.

    Models are prepared for the journeys by then, see `Machinery.prepare`.
    """

    journeys: Journeys
    models: tuple[AttributionModel, ...]

    @property
    def read(self) -> Reader:
        """What sums up journeys under every shuffle."""
        early = [model for model in self._shuffled if not get_machinery(model).chooses_reading]
        return self._reader(early)

    def solve(self, summary: Summary, observed: Summary) -> Chance:
        """Credit by chance of the fitted models.

        Parameters
        ----------
        summary : what `read` has summed up
        observed : what `attribution.journeys.observe` has
        """
        early = [model for model in self._shuffled if not get_machinery(model).chooses_reading]
        late = [model for model in self._shuffled if get_machinery(model).chooses_reading]
        shuffles = {model.label: self._closed_form(model, observed) for model in self.models if model.ignores_channels}
        findings = []
        for models, read in ((early, lambda: summary), (late, lambda: self._read_again(late))):
            for model, draws in self._draws(models, read, observed):
                if isinstance(draws, Draws):
                    shuffles[model.label] = draws
                else:
                    findings.append(_left_out(model, draws))
        return Chance(self.journeys.channels, self._shares, shuffles, tuple(findings))

    @property
    def _shuffled(self) -> list[AttributionModel]:
        return [model for model in self.models if not model.ignores_channels and get_machinery(model).has_chance_level]

    @property
    def _shares(self) -> Floats:
        touchpoints = self.journeys.touchpoints
        largest = touchpoints / max(touchpoints.max(initial=0.0), 1.0)
        return np.asarray(largest / max(largest.sum(), 1.0))

    def _closed_form(self, model: AttributionModel, observed: Summary) -> Draws:
        """A channel gets its share of whatever weights that do not look at channels allocate."""
        totals = (observed.number(what) - observed.number(f"unattributed_{what}") for what in ("conversions", "value"))
        return Draws(*(total * self._shares[None] for total in totals))

    def _reader(self, models: Sequence[AttributionModel]) -> Reader:
        touchpoints = self.journeys.touchpoints
        if not models or not touchpoints.any():
            return _read_nothing
        return partial(_summarise_shuffles, tuple(models), cut_shares(touchpoints))

    def _read_again(self, models: Sequence[AttributionModel]) -> Summary:
        return self.journeys.read(self._reader([get_machinery(model).repeat() for model in models]))[0]

    def _draws(
        self, models: Sequence[AttributionModel], read: Callable[[], Summary], observed: Summary
    ) -> Iterator[tuple[AttributionModel, Draws | InputError]]:
        """Credit of each model under every shuffle, or why there is none."""
        if not models:
            return
        channels = len(self.journeys.channels)
        if not self.journeys.touchpoints.any():
            yield from ((model, Draws(np.zeros((1, channels)), np.zeros((1, channels)))) for model in models)
            return
        repeated = [get_machinery(model).repeat() for model in models]
        parts = split_buckets(read() + self._untouched(repeated), len(models))
        same = _each_shuffle(observed)
        # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
        with threadpool_limits(1):
            for model, again, (pooled, own) in zip(models, repeated, parts, strict=True):
                try:
                    yield model, _solve_shuffles(again, pooled, own, same)
                except InputError as error:
                    yield model, error

    def _untouched(self, models: Sequence[AttributionModel]) -> Summary:
        """What customers who were never touched contribute, the same under every shuffle."""
        needs = {index: get_machinery(model) for index, model in enumerate(models)}
        needs = {index: machinery for index, machinery in needs.items() if machinery.needs_untouched}
        chunk = self.journeys.untouched() if needs else None
        if chunk is None:
            return Summary({})
        return _each_label({index: machinery.summarise_drawn(chunk) for index, machinery in needs.items()})


def with_chance(credit: pd.DataFrame, chance: Chance) -> pd.DataFrame:
    """The ``credit`` table with its chance level, and what lies beyond it."""
    filled = credit.copy()
    for label in chance.shuffles:
        rows = (filled["model"] == label) & ~filled["channel"].isin(NO_CHANNELS)
        for what in ("conversions", "value"):
            by_channel = dict(zip(chance.channels, chance.level(label, what), strict=True))
            filled.loc[rows, f"chance_{what}"] = filled.loc[rows, "channel"].map(by_channel).astype(float)
    filled["beyond_conversions"] = filled["conversions"] - filled["chance_conversions"]
    return filled


def beyond_chance(credit: pd.DataFrame) -> pd.DataFrame:
    """Whether models that divide conversions give channels more than chance does, or at least anything else.

    Of twenty logs in which it does not matter which channel a touchpoint was, at most one has any channel with more
    under any model, and at most one any with something else.

    Parameters
    ----------
    credit : the ``credit`` table, with its chance level; rows without one are left out

    Returns
    -------
    ``model``, ``channel``, ``z`` (see `label_z`), ``is_more`` and ``is_other``.

    Examples
    --------
    >>> credit = pd.DataFrame({"model": "linear", "estimand": "allocated", "channel": ["mail", "search"],
    ...     "conversions": [70.0, 30.0], "chance_conversions": [50.0, 50.0]})
    >>> beyond_chance(credit)[["channel", "z", "is_more", "is_other"]].values.tolist()
    [['mail', 4.0, True, True], ['search', -4.0, False, True]]
    """
    if "chance_conversions" not in credit:
        return pd.DataFrame(columns=["model", "channel", "z", "is_more", "is_other"])
    rows = credit[credit["chance_conversions"].notna() & (credit["estimand"] == "allocated")]
    total = rows.groupby("model")["conversions"].transform("sum")
    z = label_z(*(of.to_numpy(float) for of in (rows["conversions"], rows["chance_conversions"], total)))
    more, other = least_z(len(rows)), least_z(2 * len(rows))
    table = rows[["model", "channel"]].assign(z=z, is_more=z >= more, is_other=np.abs(z) >= other)
    return table.reset_index(drop=True)


# ---------------------------------------------------------------- reading


def _read_nothing(_: JourneyChunk) -> Summary:
    return Summary({})


def _summarise_shuffles(models: Sequence[AttributionModel], shares: Shares, chunk: JourneyChunk) -> Summary:
    """What each model needs of each shuffle: tables led by the number of the model, and their keys by the shuffle."""
    machineries = dict(enumerate(map(get_machinery, models)))
    few = {index: each for index, each in machineries.items() if each.reads_converting_only}
    rest = {index: each for index, each in machineries.items() if not each.reads_converting_only}
    chunk = replace(chunk, counted={}, later=None)
    untouched = chunk.subset(chunk.lengths == 0)
    summary = Summary({})
    if rest and len(untouched):
        summary = _each_label({index: each.summarise_drawn(untouched) for index, each in rest.items()})
    for journeys, readers in ((chunk.allocated, few), (chunk.touched, rest)):
        if not (readers and len(journeys)):
            continue
        grains = find_grains(*_counts(journeys)[:2])
        for part in _parts(journeys):
            tables: dict[str, list[tuple[int, KeyedSums]]] = {}
            for shuffle, shuffled in enumerate(_shuffle(part, shares, grains)):
                for index, own in _summarise_each(shuffled, readers):
                    for name, table in own.tables.items():
                        tables.setdefault(f"{index}/{name}", []).append((shuffle, table))
            summary = summary + Summary({name: stack_labelled(labelled) for name, labelled in tables.items()})
    return summary


def _summarise_each(chunk: JourneyChunk, readers: Mapping[int, Machinery]) -> Iterator[tuple[int, Summary]]:
    """What each model needs of the journeys; what follows from another model's sums is not read again."""
    ways = {
        index: [(source, way) for source, other in readers.items() if (way := machinery.derive_drawn(other))]
        for index, machinery in readers.items()
    }
    read = {index: readers[index].summarise_drawn(chunk) for index in readers if not ways[index]}
    yield from read.items()
    for index in [index for index in readers if index not in read]:
        source, way = next((source, way) for source, way in ways[index] if source in read)
        yield index, way(read[source])


def _each_label(summaries: Mapping[int, Summary]) -> Summary:
    """What models need of journeys that no label changes, under every shuffle."""
    return Summary(
        {
            f"{index}/{name}": stack_labelled([(shuffle, table) for shuffle in range(SHUFFLES)])
            for index, summary in summaries.items()
            for name, table in summary.tables.items()
        }
    )


def _parts(chunk: JourneyChunk) -> Iterator[JourneyChunk]:
    """The journeys, and paths so few at a time that every journey they stand for can be labelled."""
    if chunk.customer_ids is not None:
        yield chunk
        return
    # Words of equal rows are told apart by how many there are, so they are drawn for all at once.
    words = _words_of_paths(chunk)
    ahead = replace(chunk, customer=words.view(np.int64))
    conversions, nulls, _ = _counts(chunk)
    labellings = np.minimum(conversions, MOST_LABELLINGS) + np.minimum(nulls, MOST_LABELLINGS) + 2
    steps = np.cumsum(labellings * chunk.lengths)
    edges = np.flatnonzero(np.diff(steps // _PATH_STEPS)) + 1
    for low, high in zip([0, *edges.tolist()], [*edges.tolist(), len(chunk)], strict=True):
        yield ahead.subset(slice(low, high))


def _shuffle(chunk: JourneyChunk, shares: Shares, grains: tuple[int, int] = (1, 1)) -> Iterator[JourneyChunk]:
    """The journeys with other labels, shuffle by shuffle; those of one are gone when the next is asked for."""
    if chunk.customer_ids is None:
        yield from (_label_paths(chunk, shares, shuffle, grains) for shuffle in range(SHUFFLES))
        return
    customers = draw_words(id_words(chunk.customer_ids), _STREAM)
    words = touchpoint_words(chunk.start, chunk.stop, customers[chunk.customer], chunk.touched_at)
    # One array for all: fresh memory costs as much as the labels.
    labels = np.empty(len(words), np.int32)
    for shuffle in range(SHUFFLES):
        yield replace(chunk, channel=draw_labels(words, shares, shuffle, labels))


def _words_of_paths(chunk: JourneyChunk) -> Words:
    return np.asarray(draw_words(path_words((chunk.start, chunk.stop, chunk.channel), *_counts(chunk)), _STREAM))


def _counts(chunk: JourneyChunk) -> tuple[Floats, Floats, Floats]:
    """Conversions, nulls and value."""
    return (np.asarray(chunk.conversions, np.float64), np.asarray(chunk.nulls, np.float64), chunk.value)


def _label_paths(chunk: JourneyChunk, shares: Shares, shuffle: int, grains: tuple[int, int]) -> JourneyChunk:
    words = chunk.customer.astype(np.int64).view(np.uint64)
    made = label_paths(chunk.lengths, words, _counts(chunk), shares, shuffle, grains)
    stop = np.cumsum(made.length)
    return replace(
        chunk.subset(made.row),
        channel=made.channel,
        code=made.channel,
        start=stop - made.length,
        stop=stop,
        conversions=made.conversions,
        nulls=made.nulls,
        value=made.value,
        customer=np.zeros(len(stop), np.int64),
    )


# ---------------------------------------------------------------- solving


def _each_shuffle(observed: Summary) -> Buckets:
    """What was observed, which is the same under every shuffle."""
    tables = {
        name: BucketTable(table.keys, sparse.csr_array(np.tile(to_float(table.sums)[:, None], SHUFFLES)))
        for name, table in observed.tables.items()
    }
    return Buckets(np.arange(SHUFFLES), tables)


def _solve_shuffles(model: AttributionModel, pooled: Summary, own: Buckets, observed: Buckets) -> Draws:
    """Credit under each shuffle: a shuffle is to all of them what a bucket of customers is to all customers."""
    machinery = get_machinery(model)
    first = np.eye(SHUFFLES)[0]
    model.summary_, model.observed_ = pooled, observed.weighted(first)
    if not machinery.is_linearised:
        return machinery.redraw(own, observed, np.eye(SHUFFLES))
    # What is approximated is near all shuffles together.
    try:
        model.observed_ = observed.weighted(np.ones(SHUFFLES))
    except ValueError:
        raise InputError("the sum over all shuffles is too large for a float", hint="use a larger unit") from None
    model.credit_ = machinery.solve_totals(pooled)
    conversions, value, _ = machinery.redraw(own, observed, SHUFFLES * np.eye(SHUFFLES))
    return Draws(conversions / SHUFFLES, value / SHUFFLES)


def _left_out(model: AttributionModel, error: InputError) -> Finding:
    message = (
        f"{model.label} has no chance level, because it cannot be solved with channels at random; leave it out or set "
        f"[incrementality] enabled = false: {error}"
    )
    return count_finding("chance_left_out", "credit", 1, message, example=model.label)
