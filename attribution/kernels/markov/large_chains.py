"""Visits and worth of the states of a large chain, by going over all states again and again.

A sweep takes each state once and uses what the sweep has found so far (Gauss-Seidel), so that a state's number is
always a sum of what is not negative. Once a few sweeps have mixed the states, each moves all numbers by about the same
share of what the last one moved them: every eighth is followed by a jump to where that would end (Lyusternik). Where
journeys almost never end sweeps would go on for ever; what they miss is then solved for,
see `_solve_for`.

References
----------
.. [1] R. S. Varga, "Matrix Iterative Analysis", 1962, chapter 3.
.. [2] D. K. Faddeev, V. N. Faddeeva, "Computational Methods of Linear Algebra", 1963, chapter 3.
.. [3] Y. Saad, M. H. Schultz, "GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear
   systems", SIAM Journal on Scientific and Statistical Computing 7(3), 1986.
.. [4] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition 2002, chapter 12 (iterative
   refinement).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from attribution.kernels.markov.chains import Chain

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# ---------------------------------------------------------------- moves, by where they start and where they lead


class Arrows(NamedTuple):
    """Moves by state: those of state i are ``start[i]`` … ``start[i + 1] − 1``, ``state`` is their other end."""

    start: NDArray[np.signedinteger]
    state: NDArray[np.signedinteger]
    probability: Floats


class Moves(NamedTuple):
    """A chain without steps from a state to itself, which change no probability of where it leads in the end.

    ``counts`` (n, n) sparse; ``leaving`` (n,) all of a state's steps to elsewhere; ``into`` and ``out`` the moves by
    target and by origin; ``rewards`` (n, m) when leaving; ``member`` (n,) channel, −1 for the start, state 0.
    """

    counts: sparse.csr_array
    leaving: Floats
    into: Arrows
    out: Arrows
    rewards: Floats
    member: Ints


class Removed(NamedTuple):
    """Columns that remove channel c: ``column[start[c + 1]:start[c + 2]]``; the start, −1, is never removed."""

    start: Ints
    column: Ints


def build_moves(chain: Chain) -> Moves:
    """Moves of a chain."""
    listed = chain.steps.tocoo()
    elsewhere = listed.row != listed.col
    shape = chain.steps.shape
    counts = sparse.csr_array(
        (listed.data[elsewhere], (listed.row[elsewhere], listed.col[elsewhere])), shape=shape, dtype=np.float64
    )
    leaving = np.asarray(counts.sum(axis=1)).ravel() + chain.exits
    probability = counts.data / np.repeat(leaving, np.diff(counts.indptr))
    move = sparse.csr_array((probability, counts.indices, counts.indptr), shape=shape)
    back = sparse.csr_array(move.T)
    into, out = (Arrows(arrows.indptr, arrows.indices, arrows.data) for arrows in (back, move))
    return Moves(counts, leaving, into, out, chain.rewards / leaving[:, None], chain.member)


def find_removers(removed: NDArray[np.bool_]) -> Removed:
    """The columns of ``removed`` (columns, channels) by channel."""
    channel, column = np.nonzero(removed.T)
    counts = np.bincount(channel, minlength=removed.shape[1])
    return Removed(np.concatenate([[0, 0], np.cumsum(counts)]), column)


# ---------------------------------------------------------------- chains that almost never end

_SOLVED = 1e-12
"""Of every number, relative to itself."""

_SOLVES = 50
_SMOOTHING = 20
_RESTART = 60
_RESTARTS = 4


def _solve_for(going: sparse.csr_array, constant: Floats, guess: Floats) -> Floats:
    """The x ≥ 0 with x = constant + going @ x.

    What is missing is computed with more digits than a float has (where the machine can), because a chain that
    leaves with probability p magnifies its rounding by 1 ÷ p.

    Parameters
    ----------
    going : (n, n) numbers ≥ 0 as long doubles, spectral radius below 1
    constant : (n,) numbers ≥ 0
    guess : (n,) where to begin

    Raises
    ------
    ArithmeticError
        If x cannot be found.
    """
    # Loaded when it is used: a scorer never gets here. Before threads are limited, which concerns what is loaded.
    from scipy.sparse.linalg import gmres, splu

    rounded = sparse.csr_array(going.astype(np.float64))
    system = sparse.csc_array(sparse.eye_array(len(guess)) - rounded)
    x = guess.astype(np.longdouble)
    is_direct = False
    # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
    with threadpool_limits(1):
        for _ in range(_SOLVES):
            missing = (constant + going @ x - x).astype(np.float64)
            if not is_direct:
                correction, failed = gmres(system, missing, rtol=1e-6, restart=_RESTART, maxiter=_RESTARTS)
                if failed:
                    is_direct, factors = True, splu(system)
            if is_direct:
                correction = factors.solve(missing)
            for _ in range(_SMOOTHING):
                # A solver looks at the largest numbers; a few steps of the chain set the small ones right.
                correction = missing + rounded @ correction
            x = np.maximum(x + correction, 0.0)
            if (np.abs(correction) <= _SOLVED * x).all():
                return np.asarray(x, dtype=np.float64)
    raise ArithmeticError("the chain never ends: its visits cannot be solved for")


# ---------------------------------------------------------------- sweeps over all states

TOLERANCE = 1e-13
"""Of what is lost by a removal, relative to itself."""

SWEEPS = 500
"""More would take longer than to solve for what is missing."""


JUMP = 8
"""Every so many sweeps there is a jump: after too few the states are not mixed, and each costs half a sweep."""

MOST_KEPT = 0.95
"""A jump uses at most this share of a move: with journeys that almost never end, more would magnify rounding."""


class TooSlowError(Exception):
    """`SWEEPS` were not enough."""


def state_worth(moves: Moves, *, patient: bool, tolerance: float) -> Floats:
    """(n, m) rewards expected from each state; ``tolerance`` of what a removal of them loses, relative.

    Raises
    ------
    TooSlowError
        If sweeping is not enough and the caller is not ``patient``.
    """
    nothing = np.zeros((moves.rewards.shape[1], int(moves.member.max(initial=-1)) + 1), dtype=bool)
    # A sweep that adds so little may be followed by many: what is missing in all is more.
    return _worth(moves, nothing, moves.rewards, patient=patient, tolerance=tolerance / 100)


def worth_without(moves: Moves, removed: NDArray[np.bool_], rewards: Floats, *, tolerance: float) -> Floats:
    """(n, columns) ``rewards`` (n,) expected from each state when the channels a column removes lead to null.

    Parameters
    ----------
    removed : (columns, channels) which channels each column removes
    tolerance : relative, of every number
    """
    repeated = np.broadcast_to(rewards[:, None], (len(rewards), len(removed)))
    return _worth(moves, removed, repeated, patient=True, tolerance=tolerance)


def first_hits(moves: Moves, channels: int, stakes: Floats, *, patient: bool, tolerance: float) -> Floats:
    """(n,) probability that a state is the first of its channel's states to be reached; 0 where nothing is at stake.

    Raises
    ------
    TooSlowError
        If sweeping is not enough and the caller is not ``patient``.
    """
    hits = np.zeros(len(stakes))
    for block in blocks(len(stakes), channels):
        removed = np.eye(channels, dtype=bool)[block]
        visits = visits_before(moves, removed, stakes, patient=patient, tolerance=tolerance)
        _arrive(moves.into, moves.member, find_removers(removed), visits, hits)
    return hits


def lost_by(moves: Moves, removed: NDArray[np.bool_], stakes: Floats, loss: Floats) -> Floats:
    """(columns, m) expected ``loss`` (n, m) at the first state that a column removes.

    Parameters
    ----------
    removed : (columns, channels) which channels each column removes
    stakes : (n, k) what may be lost, to know when nothing more is to be found
    """
    lost = np.zeros((len(removed), loss.shape[1]))
    for block in blocks(len(loss), len(removed)):
        visits = visits_before(moves, removed[block], stakes, patient=True)
        _lose(moves.into, moves.member, find_removers(removed[block]), visits, loss, lost[block])
    return lost


def blocks(states: int, columns: int) -> list[slice]:
    """Columns in blocks of bounded memory."""
    width = max(1, CELLS // max(states, 1))
    return [slice(low, min(low + width, columns)) for low in range(0, columns, width)]


CELLS = 1 << 24
"""States × columns held at once."""


def visits_before(
    moves: Moves, removed: NDArray[np.bool_], stakes: Floats, *, patient: bool, tolerance: float = TOLERANCE
) -> Floats:
    """(n, columns) expected visits to a state before any state that the column removes.

    Columns that remove nothing of ``stakes`` (n, m) are 0. What is still on its way can bring at most its own stakes,
    which bounds what is missing: at most ``tolerance`` of what has been found.
    """
    visits = np.zeros((len(stakes), len(removed)))
    weight = stakes[:, stakes[0] > 0] / stakes[0, stakes[0] > 0]
    at_stake = _at_stake(moves.member, removed, weight)
    # What is rarely visited needs the most sweeps; sorted by visits, finished columns lie at the end.
    flow = np.bincount(moves.member[1:], moves.leaving[1:], minlength=removed.shape[1])
    columns = np.flatnonzero(at_stake.any(axis=1))
    columns = columns[np.argsort(removed[columns] @ flow, kind="stable")]
    removers = find_removers(removed[columns])
    part = np.zeros((len(stakes), len(columns)))
    part[0] = 1.0
    width = len(columns)
    total = weight.sum(axis=1)
    last = np.zeros(width)
    for sweep in range(1, SWEEPS + 1):
        if width == 0:
            break
        missing, reached = np.zeros(width), np.zeros((width, weight.shape[1]))
        before = part[:, :width].copy() if sweep % JUMP == 0 else None
        _sweep_on(moves.into, moves.member, removers, part, total, weight, missing, reached)
        least = np.where(at_stake[columns[:width]], reached, np.inf).min(axis=1)
        is_missing = ~(missing <= tolerance * least)
        if before is not None:
            _jump(part, before, _jump_factor(missing, last, is_missing))
        width, last = int(np.flatnonzero(is_missing).max(initial=-1)) + 1, missing
    if width and not patient:
        raise TooSlowError
    for column in range(width):
        part[:, column] = _solve_visits(moves, removed[columns[column]], part[:, column])
    visits[:, columns] = part
    return visits


def _worth(moves: Moves, removed: NDArray[np.bool_], rewards: Floats, *, patient: bool, tolerance: float) -> Floats:
    worth: Floats = np.zeros((len(rewards), len(removed)))
    removers = find_removers(removed)
    last = np.zeros(len(removed))
    for sweep in range(1, SWEEPS + 1):
        moved, excess = np.zeros(len(removed)), np.zeros(len(removed))
        before = worth.copy() if sweep % JUMP == 0 else None
        _sweep_back(moves.out, moves.member, removers, worth, rewards, tolerance, moved, excess)
        is_missing = excess > 0
        if not is_missing.any():
            return worth
        if before is not None:
            _jump(worth, before, _jump_factor(moved, last, is_missing))
        last = moved
    if not patient:
        raise TooSlowError
    for column in np.flatnonzero(is_missing):
        is_left = _is_left(moves, removed[column])
        going = sparse.diags_array(is_left / moves.leaving.astype(np.longdouble)) @ moves.counts.astype(np.longdouble)
        worth[:, column] = _solve_for(going, is_left * rewards[:, column], worth[:, column])
    return worth


def _jump_factor(moved: Floats, last: Floats, is_missing: NDArray[np.bool_]) -> Floats:
    """(columns,) how far to jump, in moves: the sum of a geometric series; nowhere where nothing is missing."""
    ratio = np.divide(moved, last[: len(moved)], out=np.zeros_like(moved), where=is_missing & (last[: len(moved)] > 0))
    ratio = np.minimum(ratio, MOST_KEPT)
    return ratio / (1.0 - ratio)


def _solve_visits(moves: Moves, removed: NDArray[np.bool_], guess: Floats) -> Floats:
    is_left = _is_left(moves, removed)
    going = sparse.diags_array(is_left / moves.leaving.astype(np.longdouble)) @ moves.counts.astype(np.longdouble)
    start = np.zeros(len(guess))
    start[0] = 1.0
    return is_left * _solve_for(sparse.csr_array(going.T), start, guess)


def _is_left(moves: Moves, removed: NDArray[np.bool_]) -> Floats:
    """(n,) 0 for states of removed channels, 1 for others."""
    return np.where((moves.member >= 0) & removed[moves.member], 0.0, 1.0)


def _at_stake(member: Ints, removed: NDArray[np.bool_], weight: Floats) -> NDArray[np.bool_]:
    """(columns, m) whether a column removes anything of a reward."""
    worthy = np.zeros((removed.shape[1], weight.shape[1]), dtype=bool)
    for r, column in enumerate(weight.T):
        worthy[member[1:][column[1:] > 0], r] = True
    return removed @ worthy


@njit(cache=True, nogil=True)
def _gather(arrows, i, values, sums, width):
    k, stop = arrows.start[i], arrows.start[i + 1]
    # Four at a time: every sum is read and written a quarter as often.
    while k + 3 < stop:
        a, b, c, d = (
            arrows.probability[k],
            arrows.probability[k + 1],
            arrows.probability[k + 2],
            arrows.probability[k + 3],
        )
        p, q = values[arrows.state[k]], values[arrows.state[k + 1]]
        r, s = values[arrows.state[k + 2]], values[arrows.state[k + 3]]
        for w in range(width):
            sums[w] += (a * p[w] + b * q[w]) + (c * r[w] + d * s[w])
        k += 4
    while k < stop:
        probability, row = arrows.probability[k], values[arrows.state[k]]
        for w in range(width):
            sums[w] += probability * row[w]
        k += 1


@njit(cache=True, nogil=True)
def _sweep_on(into, member, removers, visits, total, weight, missing, reached):
    width = len(missing)
    sums = np.empty(width)
    # From the last state: journeys begin in the states that hold "before the start", the largest digit.
    for i in range(len(visits) - 1, 0, -1):
        sums[:] = 0.0
        _gather(into, i, visits, sums, width)
        for k in range(removers.start[member[i] + 1], removers.start[member[i] + 2]):
            c = removers.column[k]
            if c < width:
                for r in range(weight.shape[1]):
                    reached[c, r] += sums[c] * weight[i, r]
                sums[c] = 0.0
        row, at_stake = visits[i], total[i]
        for c in range(width):
            missing[c] += abs(sums[c] - row[c]) * at_stake
            row[c] = sums[c]


@njit(cache=True, nogil=True)
def _sweep_back(out, member, removers, worth, rewards, tolerance, moved, excess):
    n, width = worth.shape
    sums = np.empty(width)
    for number in range(1, n + 1):
        i = number % n
        for c in range(width):
            sums[c] = rewards[i, c]
        _gather(out, i, worth, sums, width)
        for k in range(removers.start[member[i] + 1], removers.start[member[i] + 2]):
            sums[removers.column[k]] = 0.0
        row = worth[i]
        for c in range(width):
            change = abs(sums[c] - row[c])
            moved[c] += change
            excess[c] = max(excess[c], change - tolerance * sums[c])
            row[c] = sums[c]


@njit(cache=True, nogil=True)
def _jump(values, before, moves):
    for i in range(len(values)):
        for c in range(len(moves)):
            values[i, c] = max(values[i, c] + moves[c] * (values[i, c] - before[i, c]), 0.0)


@njit(cache=True, nogil=True)
def _arrive(into, member, removers, visits, hits):
    for i in range(1, len(hits)):
        for k in range(removers.start[member[i] + 1], removers.start[member[i] + 2]):
            for e in range(into.start[i], into.start[i + 1]):
                hits[i] += into.probability[e] * visits[into.state[e], removers.column[k]]


@njit(cache=True, nogil=True)
def _lose(into, member, removers, visits, loss, lost):
    width = visits.shape[1]
    sums = np.empty(width)
    for i in range(1, len(visits)):
        sums[:] = 0.0
        _gather(into, i, visits, sums, width)
        for k in range(removers.start[member[i] + 1], removers.start[member[i] + 2]):
            c = removers.column[k]
            for r in range(loss.shape[1]):
                lost[c, r] += sums[c] * loss[i, r]
