"""Rate games over the channels of journeys: counting them, solving them, and solving them for re-weighted counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attribution.errors import InputError
from attribution.journeys import Buckets, JourneyChunk, Summary
from attribution.kernels.shapley.coalitions import coalitions, members
from attribution.kernels.shapley.games import (
    EXACT_PLAYERS,
    Sets,
    interactions,
    rate_gradients,
    rate_worth,
    shapley_values,
)
from attribution.kernels.shapley.permutations import find_centres, sampled_values, tallies
from attribution.kernels.shapley.sublattices import path_gradients, path_values, within
from attribution.kernels.statistics.sums import KeyedSums, distinct_rows, exact_sums, sum_by_key, to_float

Floats = NDArray[np.float64]

TABLES = ("set_journeys", "set_conversions", "set_value")
"""What is counted of each set."""

CHEAP_CELLS = 1 << 14
"""Up to this many coalitions a game is solved again for every draw."""


class ObservedGame(NamedTuple):
    """The game's ``sets`` over the channels ``players`` (n,) that were seen; ``rows`` (k,) of the tables they are from.

    The outcomes are conversions and, where there is any, value.
    """

    sets: Sets
    players: NDArray[np.int64]
    rows: NDArray[np.int64]


class Solution(NamedTuple):
    """Credit (m, n) for conversions and perhaps value, its standard errors (m, n), and the pairs of orders drawn."""

    credit: Floats
    errors: Floats
    pairs: int = 0


class GameSettings(Protocol):
    """The settings of a model that solves games."""

    method: str
    tolerance: float
    seed: int


class Sampling(NamedTuple):
    """How a game is solved: ``method`` is exact, sampling or auto; and the settings of sampling."""

    method: str
    tolerance: float
    seed: int

    @classmethod
    def of(cls, settings: GameSettings) -> Sampling:
        """From the settings of a model."""
        return cls(settings.method, float(settings.tolerance), int(settings.seed))

    def is_exact(self, players: int) -> bool:
        """Whether a game of so many players is solved exactly."""
        return (self.method != "sampling" or players == 0) and players <= EXACT_PLAYERS


def count_sets(chunk: JourneyChunk, channels: int) -> Summary:
    """Journeys, conversions and value by set of distinct channels; the three tables have the same keys."""
    return _count(chunk, coalitions(chunk.start, chunk.stop, chunk.channel, channels))


def count_bucket_sets(chunk: JourneyChunk, channels: int) -> Summary:
    """`count_sets` of all buckets at once, see `attribution.journeys.buckets.Bucketwise`."""
    assert chunk.bucket is not None
    return _count(chunk, np.column_stack([chunk.bucket, coalitions(chunk.start, chunk.stop, chunk.channel, channels)]))


def _count(chunk: JourneyChunk, keys: NDArray[np.int64]) -> Summary:
    distinct, position = distinct_rows(keys)
    conversions, nulls = chunk.conversions.astype(np.float64), chunk.nulls.astype(np.float64)
    terms = dict(zip(TABLES, (conversions + nulls, conversions, chunk.value), strict=True))
    return Summary({name: KeyedSums(distinct, exact_sums(position, of, len(distinct))) for name, of in terms.items()})


def observe_game(summary: Summary, channels: int, *, game: str) -> ObservedGame:
    """The sets of channels that ``summary`` has counted, the empty one first.

    Raises
    ------
    InputError
        If no journey without a touchpoint failed to convert: the rate without ads is then not known.
    """
    nothing = sum_by_key(np.zeros((0, 1), np.int64), np.zeros(0))
    tables = [summary.tables.get(name, nothing) for name in TABLES]
    return _observed_sets(tables[0].keys, [to_float(table.sums) for table in tables], channels, game)


def _observed_sets(keys: NDArray[np.int64], counts: Sequence[Floats], channels: int, game: str) -> ObservedGame:
    """The game of sets ``keys`` that have journeys, conversions and value ``counts``, if it has any of them."""
    journeys, *outcomes = counts
    has_untouched = len(keys) > 0 and not keys[0].any()
    if not has_untouched or journeys[0] <= outcomes[0][0]:
        raise InputError(
            f"Shapley: game {game!r} needs customers who were never touched, for the conversion rate without ads",
            given="no customer without a touchpoint who did not convert",
            hint="give a customers table that includes them; of aggregated paths, a row with an empty path and their "
            "number in nulls; or choose game = 'set', which does not need them",
        )
    rows = np.flatnonzero(journeys > 0)
    offsets, member = members(keys[rows], channels)
    players, local = np.unique(member, return_inverse=True)
    totals = [outcomes[0][rows], outcomes[1][rows]] if outcomes[1].any() else [outcomes[0][rows]]
    sets = Sets(len(players), offsets, local.astype(np.int32), journeys[rows], np.stack(totals))
    return ObservedGame(sets, players.astype(np.int64), rows)


def solve(game: str, sets: Sets, how: Sampling) -> Solution:
    """The game of this name, solved."""
    return solve_rate(sets, how) if game == "rate" else solve_paths(sets, how)


def solve_each(own: Buckets, weights: Floats, channels: int, *, game: str, how: Sampling) -> Floats:
    """(2, draws, channels) credit of buckets re-weighted by each row of ``weights`` (draws, buckets).

    The same as counting and solving what `Buckets.weighted` gives for each row, without making sums of it that could
    be added to further ones.
    """
    keys = own.tables[TABLES[0]].keys
    counts = [own.tables[name].sums @ weights.T for name in TABLES]
    credit = np.zeros((2, len(weights), channels))
    for draw in range(len(weights)):
        sets, players, _ = _observed_sets(keys, [count[:, draw] for count in counts], channels, game)
        solved = solve(game, sets, how).credit
        credit[: len(solved), draw, players] = solved
    return credit


def check_exact(game: str, sets: Sets, how: Sampling) -> None:
    """Raise `InputError` if an exact solution is asked for of a game that is too large for it."""
    if game == "rate":
        refuse_inexact(sets.players, how, "solving the game 'rate' of {} channels exactly needs arrays of 2^{} numbers")
    else:
        largest = int(sets.sizes.max(initial=0))
        refuse_inexact(largest, how, "a journey touched {} channels: its game needs 2^{} numbers")


def solve_rate(sets: Sets, how: Sampling) -> Solution:
    """All journeys times the Shapley value of the rate of a coalition: conversions that come on top of no ads."""
    check_exact("rate", sets, how)
    journeys = sets.journeys.sum()
    if how.is_exact(sets.players):
        values = np.stack([shapley_values(worth) for worth in rate_worth(sets)[0]])
        return Solution(journeys * values, np.zeros_like(values))
    sampled = sampled_values(sets, seed=how.seed, tolerance=how.tolerance)
    return Solution(journeys * sampled.values, journeys * sampled.errors, sampled.pairs)


def solve_paths(sets: Sets, how: Sampling) -> Solution:
    """The journeys of every set times the Shapley value of its own game, added up."""
    check_exact("path_incremental", sets, how)
    most = 0 if how.method == "sampling" else EXACT_PLAYERS
    credit = path_values(sets, most)
    # No set needs to be known better than the whole.
    enough = how.tolerance * np.abs(credit).sum(axis=1) / max(sets.players, 1)
    squares, pairs = np.zeros_like(credit), 0
    large = np.flatnonzero((sets.sizes > most) & (sets.journeys > 0))
    for t in large.tolist():
        own, players = within(sets, t)
        weight = sets.journeys[t]
        goal = enough / (weight * np.sqrt(len(large)))
        sampled = sampled_values(own, seed=how.seed, stream=t, tolerance=how.tolerance, enough=goal, exact_sets=True)
        credit[:, players] += weight * sampled.values
        squares[:, players] += (weight * sampled.errors) ** 2
        pairs += sampled.pairs
    return Solution(credit, np.sqrt(squares), pairs)


def refuse_inexact(players: int, how: Sampling, reason: str) -> None:
    """Raise `InputError` if an exact solution is asked for and the game is too large."""
    if how.method == "exact" and players > EXACT_PLAYERS:
        word = "; a coalition of more than 63 channels does not fit a machine word" if players > 63 else ""
        raise InputError(
            f"Shapley: {reason.format(players, players)}{word}",
            given="method = 'exact'",
            allowed=f"up to {EXACT_PLAYERS} channels",
            hint="method = 'auto' samples larger games and gives standard errors",
        )


def interaction_of_rate(sets: Sets) -> Floats:
    """(n, n) interaction of each pair of channels in the rate game, in conversions."""
    if sets.players > EXACT_PLAYERS:
        raise InputError(
            f"Shapley: interactions of {sets.players} channels in the game 'rate' need 2^{sets.players} numbers",
            allowed=f"up to {EXACT_PLAYERS} channels",
            hint="choose game = 'set', which gives interactions of any number of channels",
        )
    result: Floats = interactions(rate_worth(sets)[0][0]) * sets.journeys.sum()
    return result


def interaction_of_set(table: KeyedSums, channels: int) -> Floats:
    """(channels, channels) interaction of each pair in the set game: Σ conversions ÷ (|T| − 1) over sets with both."""
    offsets, member = members(table.keys, channels)
    sizes = np.diff(offsets)
    holds = sparse.csr_array((np.ones(len(member)), member, offsets), shape=(len(sizes), channels))
    dividends = np.where(sizes > 1, to_float(table.sums) / np.maximum(sizes - 1, 1), 0.0)
    pairs = np.asarray((holds.T @ sparse.diags_array(dividends) @ holds).todense()).copy()
    np.fill_diagonal(pairs, 0.0)
    return pairs


def is_cheap(game: str, sets: Sets) -> bool:
    """Whether a game is solved again for every draw, rather than approximated by its influences."""
    if game == "rate":
        return 1 << sets.players <= CHEAP_CELLS
    sizes = sets.sizes
    return sizes.max() > EXACT_PLAYERS or float(np.exp2(sizes).sum()) <= CHEAP_CELLS


def follow(observed: ObservedGame, credit: Floats, own: Buckets, weights: Floats, *, game: str) -> Floats:
    """(2, draws, channels) credit of re-weighted buckets by its influences, given all journeys' (2, channels)."""
    published = credit[: len(observed.sets.outcomes), observed.players]
    draws = np.zeros((2, len(weights), credit.shape[1]))
    redraw = redraw_rate if game == "rate" else redraw_paths
    draws[: len(published), :, observed.players] = redraw(observed, published, own, weights)
    return draws


def redraw_rate(game: ObservedGame, credit: Floats, own: Buckets, weights: Floats) -> Floats:
    """(m, draws, n) credit of re-weighted buckets; linear in what was counted, except for the number of journeys.

    A game too large to be exact moves as its first-order approximation does, which is known exactly.
    """
    sets = game.sets
    parts = _by_bucket(game, own)
    journeys = sets.journeys.sum()
    values = credit / journeys
    if sets.players <= EXACT_PLAYERS:
        gains, losses = rate_gradients(sets)
        draws = values[:, None] + [(weights - 1) @ influence for influence in _influences(parts, gains, losses)]
    else:
        draws = values[:, None] + _moved_centres(sets, parts, weights)
    return np.asarray(draws * (weights @ parts[0].sum(axis=0))[:, None])


def redraw_paths(game: ObservedGame, credit: Floats, own: Buckets, weights: Floats) -> Floats:
    """(m, draws, n) credit of re-weighted buckets, linear in what was counted."""
    influences = _influences(_by_bucket(game, own), *path_gradients(game.sets, EXACT_PLAYERS))
    return np.asarray(credit[:, None] + [(weights - 1) @ influence for influence in influences])


def _by_bucket(game: ObservedGame, own: Buckets) -> list[sparse.csr_array]:
    """Journeys and outcomes (k, buckets) of each set and bucket."""
    names = TABLES[: 1 + len(game.sets.outcomes)]
    tables: Mapping[str, tuple[NDArray[np.int64], sparse.csr_array]] = own.tables
    return [sparse.csr_array(tables[name][1][game.rows]) for name in names]


def _influences(parts: list[sparse.csr_array], gains: Floats, losses: Floats) -> list[Floats]:
    """(buckets, n) for each outcome: what a bucket counted once more would add."""
    journeys, *outcomes = parts
    return [np.asarray(of.T @ gains - journeys.T @ loss) for of, loss in zip(outcomes, losses, strict=True)]


def _moved_centres(sets: Sets, parts: list[sparse.csr_array], weights: Floats) -> Floats:
    """(m, draws, n) how far the first-order approximation of each draw is from that of all journeys."""
    n, sizes = sets.players, sets.sizes
    row = np.repeat(np.arange(len(sizes)), sizes)
    cell = sets.member * np.int64(n + 1) + sizes[row]
    by_cell = sparse.csr_array((np.ones(len(cell)), (cell, row)), shape=(n * (n + 1), len(sizes)))
    by_size = sparse.csr_array((np.ones(len(sizes)), (sizes, np.arange(len(sizes)))), shape=(n + 1, len(sizes)))
    sums = [np.stack([weights @ (of @ part).toarray().T for part in parts], axis=1) for of in (by_size, by_cell)]
    moved = find_centres(sums[0], sums[1].reshape(len(weights), len(parts), n, n + 1)).values
    return np.asarray((moved - find_centres(*tallies(sets)).values).transpose(1, 0, 2))
