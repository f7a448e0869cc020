"""The moves of a large chain, by where they start and by where they lead."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attribution.kernels.markov.chains import Chain

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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


def moves_of(chain: Chain) -> Moves:
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


def removers_of(removed: NDArray[np.bool_]) -> Removed:
    """The columns of ``removed`` (columns, channels) by channel."""
    channel, column = np.nonzero(removed.T)
    counts = np.bincount(channel, minlength=removed.shape[1])
    return Removed(np.concatenate([[0, 0], np.cumsum(counts)]), column)
