"""Games against worked numbers, every order of arrival, and the laws of the Shapley value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attribution.kernels.shapley import permutations as sampling
from attribution.kernels.shapley.coalitions import MOST, channel_counts, unpack_counts
from attribution.kernels.shapley.games import (
    Sets,
    interactions,
    join_weights,
    rate_gradients,
    rate_worth,
    shapley_values,
    subset_sums,
    superset_sums,
)
from attribution.kernels.shapley.permutations import find_centres, sampled_values, tallies
from attribution.kernels.shapley.sublattices import path_gradients, path_values, within

Worth = Callable[[frozenset[int]], float]
Counts = Mapping[tuple[int, ...], tuple[float, float]]

ORACLE: Counts = {
    (): (1, 50),
    (0,): (1, 4),
    (1,): (2, 10),
    (0, 1): (6, 10),
    (2,): (0, 10),
    (0, 2): (1, 5),
    (1, 2): (3, 6),
    (0, 1, 2): (5, 8),
}


def sets_of(counts: Counts, players: int) -> Sets:
    keys = sorted(counts, key=lambda key: [key.count(player) for player in reversed(range(players))])
    return Sets(
        players,
        np.cumsum([0, *(len(key) for key in keys)]),
        np.array([player for key in keys for player in key], np.int32),
        np.array([counts[key][1] for key in keys], float),
        np.array([[counts[key][0] for key in keys], [7.0 * counts[key][0] + len(key) for key in keys]], float),
    )


def over_all_orders(worth: Worth, players: int) -> list[float]:
    found = [0.0] * players
    for order in permutations(range(players)):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            found[player] += (worth(before | {player}) - worth(before)) / factorial(players)
    return found


def lattice(worth: Worth, players: int) -> np.ndarray:
    return np.array([worth(members_of(mask)) for mask in range(1 << players)], float)


def members_of(mask: int) -> frozenset[int]:
    return frozenset(player for player in range(mask.bit_length()) if mask >> player & 1)


def cumulative_rate(counts: Counts) -> Worth:
    def worth(coalition: frozenset[int]) -> float:
        inside = [pair for key, pair in counts.items() if set(key) <= coalition]
        return sum(converted for converted, _ in inside) / sum(journeys for _, journeys in inside)

    return worth


def own_rate(counts: Counts) -> Worth:
    def worth(coalition: frozenset[int]) -> float:
        converted, journeys = counts.get(tuple(sorted(coalition)), (0, 0))
        return converted / journeys if journeys else cumulative_rate(counts)(coalition)

    return worth


@st.composite
def counted_sets(draw: st.DrawFn, players: int = 5) -> Counts:
    masks = draw(st.sets(st.integers(1, (1 << players) - 1), max_size=12))
    counts: dict[tuple[int, ...], tuple[float, float]] = {(): (draw(st.integers(0, 5)), draw(st.integers(6, 90)))}
    for mask in sorted(masks):
        journeys = draw(st.integers(0, 12))
        counts[tuple(sorted(members_of(mask)))] = (draw(st.integers(0, journeys)), journeys)
    return counts


# ---------------------------------------------------------------- worked numbers


def test_the_set_game() -> None:
    worth = np.array([sum(c for key, (c, _) in ORACLE.items() if key and set(key) <= members_of(m)) for m in range(8)])
    np.testing.assert_allclose(shapley_values(worth.astype(float)), [6.166667, 8.166667, 3.666667], atol=5e-7)


@pytest.mark.parametrize(
    ("bare", "base", "values"),
    [(0.0, 0.0, [0.225, 0.35, 0.05]), (0.02, 0.0, [0.218333, 0.343333, 0.043333])],
    ids=["worth nothing", "worth their rate"],
)
def test_the_game_of_own_rates(bare: float, base: float, values: list[float]) -> None:
    worth = lattice(own_rate(ORACLE), 3)
    worth[0] = bare
    np.testing.assert_allclose(shapley_values(worth), values, atol=5e-7)


def test_the_rate_game_without_the_untouched_can_punish_by_composition() -> None:
    touched = {key: pair for key, pair in ORACLE.items() if key}
    worth = np.array([0.0, *(cumulative_rate(touched)(members_of(mask)) for mask in range(1, 8))])
    np.testing.assert_allclose(shapley_values(worth), [0.179149, 0.197671, -0.037197], atol=5e-7)


def test_the_rate_game() -> None:
    values = shapley_values(rate_worth(sets_of(ORACLE, 3))[0][0])
    np.testing.assert_allclose(values, [0.05951, 0.083726, 0.021231], atol=5e-7)
    assert values.sum() == pytest.approx(0.184466 - 0.02, abs=5e-7)


def test_the_game_of_every_path_by_itself() -> None:
    values = path_values(sets_of(ORACLE, 3), 22)[0]
    np.testing.assert_allclose(values, [6.891667, 9.236667, 0.811667], atol=5e-7)
    assert values.sum() == pytest.approx(16.94, abs=1e-12)


def test_one_player_and_none() -> None:
    assert shapley_values(np.array([2.0, 5.0])).tolist() == [3.0]
    assert shapley_values(np.array([2.0])).tolist() == []
    assert interactions(np.array([2.0, 5.0])).tolist() == [[0.0]]


# ---------------------------------------------------------------- brute force


@given(hnp.arrays(np.float64, st.sampled_from([2, 4, 8, 16, 32, 64]), elements=st.floats(-10, 10)))
def test_every_order_gives_the_same_values(worth: np.ndarray) -> None:
    players = len(worth).bit_length() - 1
    twin = over_all_orders(lambda coalition: worth[sum(1 << player for player in coalition)], players)
    np.testing.assert_allclose(shapley_values(worth), twin, atol=1e-12)


@given(hnp.arrays(np.float64, st.sampled_from([4, 8, 16, 32]), elements=st.floats(-10, 10)))
def test_interactions_are_dividends_shared_by_one_less(worth: np.ndarray) -> None:
    players = len(worth).bit_length() - 1
    twin = np.zeros((players, players))
    for mask in range(len(worth)):
        inside = [sub for sub in range(mask + 1) if sub & mask == sub]
        dividend = sum((-1) ** (mask.bit_count() - sub.bit_count()) * worth[sub] for sub in inside)
        for i in members_of(mask):
            for j in members_of(mask) - {i}:
                twin[i, j] += dividend / (mask.bit_count() - 1)
    np.testing.assert_allclose(interactions(worth), twin, atol=1e-11)


@given(hnp.arrays(np.float64, st.sampled_from([1, 2, 8, 32]), elements=st.integers(0, 9).map(float)))
def test_sums_over_subsets_and_supersets(terms: np.ndarray) -> None:
    players = len(terms).bit_length() - 1
    below, above = terms.copy(), terms.copy()
    subset_sums(below, players)
    superset_sums(above, players)
    masks = range(len(terms))
    assert below.tolist() == [sum(terms[s] for s in masks if s & mask == s) for mask in masks]
    assert above.tolist() == [sum(terms[s] for s in masks if s & mask == mask) for mask in masks]


@given(counted_sets())
def test_the_rate_game_is_its_twin(counts: Counts) -> None:
    twin = over_all_orders(cumulative_rate(counts), 5)
    np.testing.assert_allclose(shapley_values(rate_worth(sets_of(counts, 5))[0][0]), twin, atol=1e-12)


@given(counted_sets())
def test_every_path_by_itself_is_its_twin(counts: Counts) -> None:
    twin = np.zeros(5)
    for key, (_, journeys) in counts.items():
        own = own_rate(counts)
        values = over_all_orders(
            lambda coalition, key=key, own=own: own(frozenset(key[i] for i in coalition)), len(key)
        )
        twin[list(key)] += journeys * np.array(values)
    found = path_values(sets_of(counts, 5), 22)
    np.testing.assert_allclose(found[0], twin, atol=1e-11)


def test_more_players_than_one_word_holds() -> None:
    """The players of a path need not fit a word, only their subsets an array."""
    shifted = {tuple(40 * player for player in key): pair for key, pair in ORACLE.items()}
    values = path_values(sets_of(shifted, 81), 22)[0]
    np.testing.assert_allclose(values[[0, 40, 80]], [6.891667, 9.236667, 0.811667], atol=5e-7)
    assert np.count_nonzero(values) == 3


# ---------------------------------------------------------------- laws


@given(hnp.arrays(np.float64, 32, elements=st.floats(-10, 10)), hnp.arrays(np.float64, 32, elements=st.floats(-10, 10)))
def test_laws(one: np.ndarray, two: np.ndarray) -> None:
    values = shapley_values(one)
    np.testing.assert_allclose(values.sum(), one[-1] - one[0], atol=1e-11)
    np.testing.assert_allclose(shapley_values(one + two), values + shapley_values(two), atol=1e-11)
    np.testing.assert_allclose(shapley_values(np.tile(one, 2)), [*values, 0.0], atol=1e-11)
    swapped = one.reshape(2, 2, 2, 2, 2).swapaxes(-1, -2).ravel()
    np.testing.assert_allclose(shapley_values(swapped), values[[1, 0, 2, 3, 4]], atol=1e-11)


def test_twenty_players_are_precise() -> None:
    """An additive game: each value is what its player brings."""
    worth = np.zeros(1)
    brings = np.linspace(-1, 3, 20)
    for amount in brings:
        worth = np.concatenate([worth, worth + amount])
    np.testing.assert_allclose(shapley_values(worth), brings, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("players", [1, 2, 7, 22])
def test_join_weights_are_chances(players: int) -> None:
    """Over all coalitions with a player the chance that it came last is 1, and so without it to come next."""
    joining, leaving = join_weights(players)
    of_size = [factorial(players - 1) // factorial(s) // factorial(players - 1 - s) for s in range(players)]
    assert joining[1:] @ of_size == pytest.approx(1)
    assert leaving[:-1] @ of_size == pytest.approx(1)


# ---------------------------------------------------------------- influences


@pytest.mark.parametrize(
    ("solve", "gradients"),
    [
        (lambda sets: np.stack([shapley_values(worth) for worth in rate_worth(sets)[0]]), rate_gradients),
        (lambda sets: path_values(sets, 22), lambda sets: path_gradients(sets, 22)),
    ],
    ids=["rate", "path_incremental"],
)
@given(counts=counted_sets(4))
def test_gradients_are_differences(solve: Callable, gradients: Callable, counts: Counts) -> None:
    sets = sets_of({key: pair for key, pair in counts.items() if pair[1]}, 4)
    gains, losses = gradients(sets)
    step = 1e-4
    for t in range(len(sets.journeys)):
        up, down = (
            solve(sets._replace(journeys=sets.journeys + way * step * np.eye(len(sets.journeys))[t])) for way in (1, -1)
        )
        np.testing.assert_allclose((up - down) / (2 * step), -losses[:, t], atol=1e-5)
        more = sets._replace(outcomes=sets.outcomes + step * np.eye(len(sets.journeys))[t])
        np.testing.assert_allclose((solve(more) - solve(sets)) / step, np.stack([gains[t]] * 2), atol=1e-7)


# ---------------------------------------------------------------- sampling


def random_sets(players: int, rows: int, seed: int) -> Sets:
    """A base of journeys without ads, and sets whose rates grow with their size."""
    rng = np.random.default_rng(seed)
    masks = np.unique(np.concatenate([[0], rng.integers(1, 1 << players, rows) & rng.integers(1, 1 << players, rows)]))
    held = (masks[:, None] >> np.arange(players) & 1).astype(bool)
    journeys = rng.integers(1, 40, len(masks)).astype(float)
    journeys[0] = 20.0 * rows
    rate = 0.02 + held @ rng.gamma(2, 0.02, players)
    outcomes = np.stack([rng.binomial(journeys.astype(int), np.minimum(rate, 1)), rng.gamma(2, 5, len(masks))])
    offsets = np.concatenate([[0], np.cumsum(held.sum(axis=1))])
    return Sets(players, offsets, np.nonzero(held)[1].astype(np.int32), journeys, outcomes.astype(float))


def test_a_sample_finds_the_exact_values_within_its_error() -> None:
    sets = random_sets(12, 900, seed=4)
    exact = np.stack([shapley_values(worth) for worth in rate_worth(sets)[0]])
    scores = []
    for seed in range(5):
        drawn = sampled_values(sets, seed=seed, tolerance=0.01)
        assert (drawn.errors.max(axis=1) <= 0.01 * np.abs(drawn.values).mean(axis=1) * 1.1).all()
        np.testing.assert_allclose(drawn.values.sum(axis=1), exact.sum(axis=1), rtol=1e-12)
        scores.append((drawn.values - exact) / drawn.errors)
    assert np.abs(scores).max() < 5
    assert 0.5 < np.std(scores) < 1.5


def test_the_approximation_saves_most_of_the_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = random_sets(12, 900, seed=4)
    pairs = sampled_values(sets, seed=0, tolerance=0.01).pairs
    worthless = find_centres(*tallies(sets))
    worthless = worthless._replace(
        journeys_without=worthless.journeys_without * 1e300,
        journeys_with=worthless.journeys_with * 1e300,
        rate_without=worthless.rate_without * 0,
        rate_with=worthless.rate_with * 0,
    )
    monkeypatch.setattr(sampling, "find_centres", lambda *_: worthless)
    assert pairs * 10 < sampled_values(sets, seed=0, tolerance=0.01).pairs


def test_the_centres_are_means_over_all_coalitions() -> None:
    sets = sets_of(ORACLE, 3)
    _, journeys = rate_worth(sets)
    without = [[journeys[0], (journeys[2] + journeys[4]) / 2, journeys[6]]]
    joined = [[journeys[1], (journeys[3] + journeys[5]) / 2, journeys[7]]]
    centres = find_centres(*tallies(sets))
    np.testing.assert_allclose(centres.journeys_without[:1], without)
    np.testing.assert_allclose(centres.journeys_with[:1], joined)


def test_sampling_a_path_by_itself_finds_its_own_game() -> None:
    sets = sets_of({key: pair for key, pair in ORACLE.items() if key not in ((0, 1), (2,))}, 3)
    whole = path_values(sets, 22)
    parts = np.zeros_like(whole)
    for t in np.flatnonzero(sets.sizes):
        game, among = within(sets, int(t))
        drawn = sampled_values(game, seed=1, stream=int(t), tolerance=0.002, exact_sets=True)
        parts[:, among] += sets.journeys[t] * drawn.values
    np.testing.assert_allclose(parts, whole, rtol=0.02, atol=0.02)


def test_the_same_seed_gives_the_same_bytes() -> None:
    sets = random_sets(10, 200, seed=1)
    one, again, other = (sampled_values(sets, seed=seed, tolerance=0.05) for seed in (3, 3, 4))
    assert one.values.tobytes() == again.values.tobytes()
    assert one.values.tobytes() != other.values.tobytes()


# ---------------------------------------------------------------- touchpoints per channel


@given(st.lists(st.lists(st.integers(0, 8), max_size=9), max_size=6))
def test_counts_are_packed_and_unpacked(paths: list[list[int]]) -> None:
    stop = np.cumsum([len(path) for path in paths]).astype(np.int64)
    start = stop - [len(path) for path in paths]
    channel = np.array([c for path in paths for c in path], np.int32)
    found = unpack_counts(channel_counts(start.astype(np.int64), stop, channel, 9), 9)
    assert found.tolist() == [[path.count(c) for c in range(9)] for path in paths]


def test_a_count_beyond_the_most_does_not_run_over() -> None:
    channel = np.zeros(MOST + 7, np.int32)
    packed = channel_counts(np.array([0]), np.array([len(channel)]), channel, 2)
    assert unpack_counts(packed, 2).tolist() == [[MOST, 0]]
