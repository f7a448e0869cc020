"""Removal effects of chains that are slow to end, against closed forms and exact fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from attribution.kernels.markov import absorption, large_chains
from attribution.kernels.markov.absorption import joint_removal, removal_effects
from attribution.kernels.markov.chains import Chain

SOLVERS = {
    "eliminated": {"DENSE_STATES": 2_000},
    "swept": {"DENSE_STATES": 0},
    "settled": {"DENSE_STATES": 0, "SLOW_STATES": 0},
}


def use(solver: str, patch: pytest.MonkeyPatch) -> None:
    for name, value in SOLVERS[solver].items():
        patch.setattr(absorption, name, value)
    if solver == "settled":
        patch.setattr(large_chains, "SWEEPS", 3)


def ring(leave: int) -> Chain:
    """start → a ⇄ b; of ``leave`` steps out of b one converts, one goes to c and thence to conversion or null."""
    steps = np.zeros((4, 4))
    steps[0, 1] = 10.0
    steps[1, 2] = leave
    steps[2, 1], steps[2, 3] = leave - 2, 1.0
    rewards = np.array([[0.0], [0.0], [1.0], [1.0]])
    return Chain(sparse.csr_array(steps), np.array([0.0, 0.0, 1.0, 4.0]), rewards, np.array([-1, 0, 1, 2]))


@pytest.mark.parametrize(("solver", "tolerance"), [("eliminated", 1e-14), ("swept", 1e-13), ("settled", 1e-10)])
@pytest.mark.parametrize("leave", [3, 50, 2_000, 200_000, 600_000, 10**9])
def test_slow_chains_against_the_closed_form(
    leave: int, solver: str, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving b is one half to conversion, one half to c, whatever the rounds before; c converts 1 of 4."""
    use(solver, monkeypatch)
    removal = removal_effects(ring(leave), 3)
    converted = Fraction(1, 2) + Fraction(1, 2) * Fraction(1, 4)
    assert removal.expected[0] == pytest.approx(float(converted), rel=tolerance)
    lost = [Fraction(1), Fraction(1), Fraction(1, 8) / converted]
    assert removal.effects[:, 0] == pytest.approx([float(effect) for effect in lost], rel=tolerance)


@pytest.mark.parametrize("rate", [1e-5, 3e-6])
def test_a_large_slow_chain_of_many_rings(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,200 rings of two states share two channels and are left once in 1 ÷ rate rounds, to conversion or to c.

    With conversions on every k-th ring only, c gets a share that is known in closed form.
    """
    rings = 1_200
    monkeypatch.setattr(large_chains, "SWEEPS", 50)
    n = 2 * rings + 2
    a, b = np.arange(1, rings + 1), np.arange(rings + 1, 2 * rings + 1)
    rounds = np.round(2 / rate)
    steps = sparse.lil_array((n, n))
    steps[0, a] = 1.0
    steps[a, b] = rounds
    steps[b, a] = rounds - 2
    steps[b, n - 1] = 1.0
    exits = np.zeros(n)
    exits[b], exits[n - 1] = 1.0, rings
    rewards = np.zeros((n, 1))
    rewards[b[::3], 0], rewards[n - 1, 0] = 1.0, rings / 10
    member = np.concatenate([[-1], np.zeros(rings), np.ones(rings), [2]]).astype(np.int64)
    removal = removal_effects(Chain(sparse.csr_array(steps), exits, rewards, member), 3)
    direct, through_c = Fraction(1, 2) * Fraction(1, 3), Fraction(1, 2) * Fraction(1, 10)
    assert removal.expected[0] == pytest.approx(float(direct + through_c), rel=1e-10)
    wanted = [1.0, 1.0, float(through_c / (direct + through_c))]
    assert removal.effects[:, 0] == pytest.approx(wanted, rel=1e-10)


def test_a_long_ring_that_iteration_cannot_solve_is_factorised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring of 150 channels, of which a Krylov space of 60 sees less than half. Every channel is reached by all."""
    use("settled", monkeypatch)
    monkeypatch.setattr(large_chains, "_RESTARTS", 1)
    length, rounds = 150, 100_000.0
    n = length + 1
    around = np.arange(1, n)
    steps = sparse.lil_array((n, n))
    steps[0, 1] = 10.0
    steps[around[:-1], around[1:]] = rounds
    steps[length, 1] = rounds - 10
    exits = np.zeros(n)
    exits[length] = 10.0
    rewards = np.zeros((n, 1))
    rewards[length] = 4.0
    removal = removal_effects(Chain(sparse.csr_array(steps), exits, rewards, np.arange(n) - 1), length)
    assert removal.expected[0] == pytest.approx(0.4, rel=1e-10)
    np.testing.assert_allclose(removal.effects, 1.0, rtol=1e-10)


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Up to seven states of three channels, some of which are hardly ever left for good."""
    n = draw(st.integers(2, 7))
    counts = draw(st.lists(st.sampled_from([0, 0, 1, 3, 70_000]), min_size=n * n, max_size=n * n))
    steps = np.array(counts, dtype=float).reshape(n, n)
    steps[:, 0] = 0.0
    converted = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=float)
    nulls = np.array(draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)), dtype=float)
    member = np.array([-1, *draw(st.lists(st.integers(0, 2), min_size=n - 1, max_size=n - 1))])
    return Chain(sparse.csr_array(steps), converted + nulls, np.stack([converted, 2 * converted], axis=1), member)


def exactly(chain: Chain, without: set[int], instead: Fraction) -> Fraction:
    """Conversions expected from the start, by Gauss and fractions; a removed channel brings ``instead``."""
    n = len(chain.exits)
    steps = [[Fraction(x) for x in row] for row in chain.steps.toarray()]
    rows = []
    for i in range(n):
        leaving = sum(steps[i]) + Fraction(chain.exits[i])
        right, row = Fraction(chain.rewards[i, 0]) / leaving, [Fraction(int(i == j)) for j in range(n)]
        for j in range(n):
            if chain.member[j] in without:
                right += steps[i][j] / leaving * instead
            else:
                row[j] -= steps[i][j] / leaving
        rows.append([*row, right])
    for i in range(n):
        pivot = next(k for k in range(i, n) if rows[k][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(n):
            if k != i and rows[k][i] != 0:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
    return rows[0][n]


@pytest.mark.parametrize(("solver", "tolerance"), [("eliminated", 1e-13), ("swept", 1e-12), ("settled", 1e-10)])
@settings(max_examples=40)
@given(chain=chains())
def test_any_chain_against_fractions(solver: str, tolerance: float, chain: Chain) -> None:
    with pytest.MonkeyPatch.context() as patch:
        use(solver, patch)
        removal = removal_effects(chain, 3)
    whole = exactly(chain, set(), Fraction(0))
    assert removal.expected[0] == pytest.approx(float(whole), rel=tolerance, abs=0)
    for channel in range(3):
        lost = whole - exactly(chain, {channel}, Fraction(0))
        assert removal.lost[channel, 0] == pytest.approx(float(lost), rel=tolerance, abs=0)


@settings(max_examples=40)
@given(chain=chains(), instead=st.sampled_from([0.0, 0.25, 1.0]))
def test_pairs_and_continuations_against_fractions(chain: Chain, instead: float) -> None:
    """What is lost may be a small difference here, so that the tolerance is of the whole."""
    whole = exactly(chain, set(), Fraction(0))
    bring = np.full((3, 2), instead)
    single = removal_effects(chain, 3, bring)
    for channel in range(3):
        lost = whole - exactly(chain, {channel}, Fraction(instead))
        assert single.lost[channel, 0] == pytest.approx(float(lost), rel=1e-11, abs=1e-11)
    pairs = list(combinations(range(3), 2))
    removed = np.array([[c in pair for c in range(3)] for pair in pairs])
    joint = joint_removal(chain, removed, bring)
    for pair, found in zip(pairs, joint.lost[:, 0], strict=True):
        assert found == pytest.approx(float(whole - exactly(chain, set(pair), Fraction(instead))), rel=1e-10, abs=1e-10)


def test_blocks_of_columns_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    n = 60
    steps = sparse.csr_array(np.triu(rng.integers(0, 3, (n, n)), 1).astype(float) + np.eye(n, k=-1))
    exits = np.full(n, 2.0)
    chain = Chain(steps, exits, np.ones((n, 1)), np.append(-1, rng.integers(0, 9, n - 1)))
    monkeypatch.setattr(absorption, "DENSE_STATES", 0)
    whole = removal_effects(chain, 9)
    monkeypatch.setattr(large_chains, "CELLS", 2 * n)
    np.testing.assert_allclose(removal_effects(chain, 9).lost, whole.lost, rtol=1e-12)
