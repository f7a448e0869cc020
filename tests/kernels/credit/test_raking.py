"""Raking against exact fractions, linear programming, a general minimiser and iteration by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import chain, combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize

from attribution.kernels.credit.raking import APART, Raked, rake, spread

Amounts = Mapping[frozenset[int], int]


def raked(amounts: Amounts, targets: Sequence[float] | NDArray[np.float64]) -> Raked:
    offsets = np.cumsum([0, *(len(touched) for touched in amounts)])
    channel = np.array([c for touched in amounts for c in sorted(touched)], dtype=np.int32)
    return rake(offsets, channel, np.array(list(amounts.values()), dtype=float), np.array(targets, dtype=float))


def shares(touched: frozenset[int], log_weights: NDArray[np.float64]) -> dict[int, float]:
    logs = {c: log_weights[c] for c in touched}
    weights = {c: float(np.exp(log - max(logs.values()))) for c, log in logs.items()}
    return {c: weight / sum(weights.values()) for c, weight in weights.items()}


def groups(channels: Sequence[int]) -> list[frozenset[int]]:
    sizes = range(1, len(channels) + 1)
    return [frozenset(group) for group in chain.from_iterable(combinations(channels, size) for size in sizes)]


def alone(amounts: Amounts, group: frozenset[int]) -> int:
    return sum(amount for touched, amount in amounts.items() if touched <= group)


def nearest(amounts: Amounts, targets: Sequence[int]) -> list[Fraction]:
    """The group that has most beyond its target, by ratio, gets just that; the others share what is left; again."""
    totals = [Fraction(0)] * len(targets)
    unwanted = frozenset(c for c, target in enumerate(targets) if target == 0)
    for touched, amount in amounts.items():
        for c in touched if touched <= unwanted else ():
            totals[c] += Fraction(amount, len(touched))
    settled, left = unwanted, [c for c in range(len(targets)) if c not in unwanted]
    while left:
        before = alone(amounts, settled)
        multiple = {
            group: Fraction(alone(amounts, settled | group) - before, sum(targets[c] for c in group))
            for group in groups(left)
        }
        densest = max(groups(left), key=lambda group: (multiple[group], len(group)))
        for c in densest:
            totals[c] = multiple[densest] * targets[c]
        settled |= densest
        left = [c for c in left if c not in densest]
    return totals


@st.composite
def tables(draw: DrawFn, most: int = 5) -> tuple[dict[frozenset[int], int], list[int]]:
    """Sets of up to ``most`` channels with amounts, and targets: any, or what some hand-out gives."""
    channels = draw(st.integers(1, most))
    touched = st.frozensets(st.integers(0, channels - 1), min_size=1)
    amounts = draw(st.dictionaries(touched, st.integers(0, 6), max_size=12))
    if draw(st.booleans()):
        unit = st.sampled_from((0, 1, 1, 1, 1000, 10**9))
        return amounts, [draw(st.integers(0, 9)) * draw(unit) for _ in range(channels)]
    targets = [0] * channels
    for group, amount in amounts.items():
        for _ in range(amount):
            targets[draw(st.sampled_from(sorted(group)))] += 1
    return amounts, targets


def close(expected: object) -> object:
    return pytest.approx(expected, rel=1e-9, abs=1e-30)


# ---------------------------------------------------------------- against slow answers


@given(tables())
@settings(max_examples=300)
def test_totals_are_those_of_exact_fractions(table: tuple[Amounts, list[int]]) -> None:
    amounts, targets = table
    found = raked(amounts, targets)
    assert found.totals == close([float(total) for total in nearest(amounts, targets)])
    allocated = np.zeros(len(targets))
    for touched, amount in amounts.items():
        for c, share in shares(touched, found.log_weights).items():
            allocated[c] += amount * share
    assert allocated == close(found.totals)


@given(tables())
def test_targets_are_met_where_linear_programming_can(table: tuple[Amounts, list[int]]) -> None:
    """Proportions as whole numbers: a flow is as large as it can be in whole numbers, or too small by one or more."""
    amounts, targets = table
    whole, asked = sum(amounts.values()), sum(targets)
    assume(whole and 0 < asked < 1000)
    pairs = [(touched, c) for touched in amounts for c in sorted(touched)]
    limits = [(list(map(touched.__eq__, (of for of, _ in pairs))), asked * a) for touched, a in amounts.items()]
    limits += [([at == c for _, at in pairs], whole * target) for c, target in enumerate(targets)]
    rows, bounds = zip(*limits, strict=True)
    flow = -linprog(-np.ones(len(pairs)), np.array(rows, dtype=float), np.array(bounds)).fun
    is_possible = round(flow) == whole * asked
    missed = np.abs(raked(amounts, targets).totals - np.array(targets) * whole / asked).max()
    assert (missed <= 1e-9 * whole) == is_possible


@given(tables(most=4))
@settings(max_examples=60)
def test_no_hand_out_is_nearer(table: tuple[Amounts, list[int]]) -> None:
    """A general minimiser of the divergence, told only what every group of channels must have."""
    amounts, targets = table
    whole, targets = sum(amounts.values()), [1 + target % 9 for target in targets]
    assume(whole)
    wanted = np.array(targets) * whole / sum(targets)
    bounds = {group: alone(amounts, group) for group in groups(range(len(targets)))}
    totals = raked(amounts, targets).totals
    assert totals.sum() == close(whole)
    assert all(sum(totals[c] for c in group) >= least - 1e-9 for group, least in bounds.items())

    def divergence(x: NDArray[np.float64]) -> float:
        return float((x * np.log(x / wanted)).sum())

    del bounds[frozenset(range(len(targets)))]
    inside = np.array([[c in group for c in range(len(targets))] for group in bounds], dtype=float).reshape(
        -1, len(targets)
    )
    least = np.array(list(bounds.values()), dtype=float)
    other = minimize(
        divergence,
        np.full(len(targets), whole / len(targets)),
        jac=lambda x: np.log(x / wanted) + 1,
        method="SLSQP",
        constraints=[
            {"type": "ineq", "fun": lambda x: inside @ x - least, "jac": lambda x: inside},
            {"type": "eq", "fun": lambda x: x.sum() - whole, "jac": lambda x: np.ones(len(x))},
        ],
        bounds=[(1e-9, whole)] * len(targets),
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assume(other.success)
    assert totals == pytest.approx(other.x, abs=1e-4 * whole)


def test_it_is_what_iteration_tends_to() -> None:
    amounts = {frozenset({0}): 3, frozenset({0, 1}): 5, frozenset({1, 2, 3}): 7, frozenset({0, 3}): 2}
    targets = np.array([5.0, 4.0, 3.5, 4.5])
    weights = np.ones(4)
    for _ in range(3000):
        totals = np.zeros(4)
        for touched, amount in amounts.items():
            for c in touched:
                totals[c] += amount * weights[c] / sum(weights[d] for d in touched)
        weights *= targets / totals
    found = raked(amounts, targets)
    assert found.totals == close(targets)
    assert np.exp(found.log_weights - found.log_weights[0]) == pytest.approx(weights / weights[0], rel=1e-9)


@given(tables(), st.data())
def test_weights_that_handed_out_the_targets_are_found(table: tuple[Amounts, list[int]], data: st.DataObject) -> None:
    amounts, targets = table
    planted = np.log([data.draw(st.integers(1, 9)) for _ in targets])
    wanted = np.zeros(len(targets))
    for touched, amount in amounts.items():
        for c, share in shares(touched, planted).items():
            wanted[c] += amount * share
    found = raked(amounts, wanted)
    for touched, amount in amounts.items():
        if amount:
            assert shares(touched, found.log_weights) == pytest.approx(shares(touched, planted), rel=1e-7)


# ---------------------------------------------------------------- many sets


def random_table(seed: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    draw = np.random.default_rng(seed)
    channels = 25
    popular = draw.dirichlet(np.full(channels, 0.3))
    touched = draw.random((3000, channels)) < np.minimum(4 * popular, 0.9)
    touched = touched[touched.any(axis=1)]
    offsets = np.concatenate([[0], np.cumsum(touched.sum(axis=1))]).astype(np.int64)
    amounts = draw.integers(0, 20, len(touched)) * draw.choice([0.25, 1.0], len(touched))
    targets = draw.lognormal(0, draw.choice([0.1, 1, 5]), channels) * popular
    return offsets, np.nonzero(touched)[1].astype(np.int32), amounts, targets


@pytest.mark.parametrize("seed", range(20))
def test_large_tables_carry_their_own_proof(seed: int) -> None:
    """One multiple per block, falling from block to block, and nothing handed to a lower block where a higher is."""
    offsets, channel, amounts, targets = random_table(seed)
    found = rake(offsets, channel, amounts, targets)
    has_some = np.bincount(channel, np.repeat(amounts, np.diff(offsets)), len(targets)) > 0
    multiples = []
    for block in range(int(found.block.max()) + 1):
        inside = (found.block == block) & has_some
        if inside.any():
            multiple = found.totals[inside] / targets[inside]
            assert multiple == pytest.approx(multiple[0], rel=1e-9)
            multiples.append(multiple[0])
    assert all(later <= sooner * (1 + 1e-9) for sooner, later in pairwise(multiples))
    for lower, higher in combinations(range(int(found.block.max()) + 1), 2):
        between = found.log_weights[found.block == higher].min() - found.log_weights[found.block == lower].max()
        assert not has_some[found.block == higher].all() or between >= APART - 1
    assert found.totals.sum() == pytest.approx(amounts.sum(), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_targets_that_can_be_met_are_met_to_the_tenth_digit(seed: int) -> None:
    offsets, channel, amounts, targets = random_table(seed)
    possible = rake(offsets, channel, amounts, targets).totals
    assert rake(offsets, channel, amounts, possible).totals == pytest.approx(possible, rel=1e-10)


# ---------------------------------------------------------------- at and beyond the edge


@pytest.mark.parametrize("above", [0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3])
def test_a_channel_may_get_hardly_more_than_it_has_alone(above: float) -> None:
    amounts = {frozenset({0}): 4, frozenset({0, 1}): 5, frozenset({1, 2}): 3, frozenset({0, 1, 2}): 8}
    targets = [4 * (1 + above), 10 - 4 * above, 6]
    found = raked(amounts, targets)
    assert found.totals == pytest.approx(targets, rel=1e-10)
    if above >= 1e-9:
        assert found.block.tolist() == [0, 0, 0]


def test_channels_that_share_no_journey_are_weighed_apart() -> None:
    amounts = {frozenset({0, 1}): 4, frozenset({2, 3}): 6}
    assert raked(amounts, [1, 3, 2, 4]).totals == close([1, 3, 2, 4])
    assert raked(amounts, [2, 6, 1, 1]).totals == close([1, 3, 3, 3])


def test_a_channel_that_is_to_have_nothing_gets_what_nobody_else_touched() -> None:
    amounts = {frozenset({0}): 2, frozenset({0, 1}): 4, frozenset({0, 1, 2}): 9, frozenset({2}): 1}
    found = raked(amounts, [0, 0, 5])
    assert found.totals == close([4, 2, 10])
    assert raked(amounts, [0, 0, 0]).totals == close([7, 5, 4])


def test_a_channel_in_no_journey_gets_nothing() -> None:
    found = raked({frozenset({0, 1}): 8, frozenset({2}): 0}, [1, 3, 4])
    assert found.totals == close([2, 6, 0])
    assert np.isfinite(found.log_weights).all()
    assert found.block[2] > found.block[0]


@pytest.mark.parametrize(
    ("amounts", "targets", "totals"),
    [
        ({}, [], []),
        ({}, [2, 0], [0, 0]),
        ({frozenset({0}): 3}, [7], [3]),
        ({frozenset({0}): 3}, [0], [3]),
        ({frozenset({0, 1}): 0}, [1, 1], [0, 0]),
        ({frozenset({0}): 3}, [0, 2], [3, 0]),
    ],
)
def test_hardly_anything_to_hand_out(amounts: Amounts, targets: list[float], totals: list[float]) -> None:
    found = raked(amounts, targets)
    assert found.totals.tolist() == totals
    assert np.isfinite(found.log_weights).all()


@pytest.mark.parametrize("exponent", [-1000, -300, 300, 900])
def test_units_do_not_matter(exponent: int) -> None:
    offsets, channel, amounts, targets = random_table(1)
    plain = rake(offsets, channel, amounts, targets)
    scaled = rake(offsets, channel, np.ldexp(amounts, exponent), np.ldexp(targets, -exponent))
    assert scaled.log_weights.tobytes() == plain.log_weights.tobytes()
    assert scaled.totals.tobytes() == np.ldexp(plain.totals, exponent).tobytes()


def test_tiny_targets_are_met_as_exactly_as_large_ones() -> None:
    amounts = {frozenset({0, 1, 2}): 5, frozenset({1, 2}): 3, frozenset({2}): 4}
    found = raked(amounts, [1e-90, 1e-40, 12])
    assert found.totals == pytest.approx([1e-90, 1e-40, 12], rel=1e-10)


def test_the_name_of_a_channel_does_not_matter() -> None:
    offsets, channel, amounts, targets = random_table(3)
    flipped = (len(targets) - 1 - channel).astype(np.int32)
    found, other = (rake(offsets, to, amounts, of) for to, of in ((channel, targets), (flipped, targets[::-1])))
    assert other.totals[::-1] == pytest.approx(found.totals, rel=1e-10)


# ---------------------------------------------------------------- touchpoints


def test_touchpoints_share_what_their_channel_gets() -> None:
    offsets, channel = np.array([0, 4, 6]), np.array([0, 1, 0, 2, 3, 3], np.int32)
    log_weights = np.log([0.5, 0.25, 0.25, 1.0]) - np.array([0, 0, 0, 5000.0])
    factor = np.array([1.0, 1.0, 0.5, 1.0, 0.5, 0.5])
    weights = spread(offsets, channel, log_weights, factor) * factor
    first, second = weights[:4] / weights[:4].sum(), weights[4:] / weights[4:].sum()
    assert first == pytest.approx([1 / 3, 0.25, 1 / 6, 0.25])
    assert second == pytest.approx([0.5, 0.5])
