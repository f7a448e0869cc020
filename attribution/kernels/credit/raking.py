"""Raking: every conversion is allocated once, channel totals as near to given ones as any allocation can come.

Journeys with the same set T of distinct channels are alike; a(T) is what all of them have to allocate. Raking
from equal weights finds one weight per channel, so that

    x(T, c) = a(T) · λ_c ÷ Σ_{d ∈ T} λ_d

adds up to the target of every channel [1]. That is possible within finite weights unless some group G of
channels is *tight*: journeys that touched only channels of G already bring what G is to have, or more. Then no
other journey may give anything to G: its weights are beyond comparison below those of other channels. If they
bring more, the targets are impossible. The nearest totals are the lexicographically optimal base of the
polymatroid of all hand-outs [2], which is also what raking tends to [3]: channels fall into blocks, every channel
of a block gets the same multiple of its target, and a block of a larger multiple never gets anything from a journey
that touched a block of a smaller one.

The convex dual, Σ_T a(T) log Σ_{c ∈ T} λ_c − Σ_c target_c log λ_c, is solved by Newton steps, damped so that they
cannot overshoot [4]. Ordering channels by weight proposes tight groups, the sums say exactly whether one is, and
there the channels are split in two. Pieces whose multiples turn out to be in the wrong order are put together
again; since the hull of (target, amount) over the chain of groups only grows, this ends.

References
----------
.. [1] W. E. Deming, F. F. Stephan, "On a least squares adjustment of a sampled frequency table when the expected
   marginal totals are known", Annals of Mathematical Statistics 11(4), 1940.
.. [2] S. Fujishige, "Lexicographically optimal base of a polymatroid with respect to a weight vector",
   Mathematics of Operations Research 5(2), 1980.
.. [3] I. Csiszár, G. Tusnády, "Information geometry and alternating minimization procedures", Statistics and
   Decisions, supplement 1, 1984.
.. [4] F. Bach, "Self-concordant analysis for logistic regression", Electronic Journal of Statistics 4, 2010.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# ---------------------------------------------------------------- sets of channels: the compiled sums

_SMALLEST = 1e-280


class Sets(NamedTuple):
    """Sets of at least two members, numbered 0 … k − 1, and what each member has to itself, (k,)."""

    offsets: Ints
    member: NDArray[np.int32]
    amounts: Floats
    alone: Floats


@njit(cache=True, nogil=True)
def spread(offsets, channel, log_weights, factor):
    """Weights of touchpoints that give every channel of a journey a share in proportion to its λ.

    Journeys lie end to end as in `attribution.kernels.credit.rule_weights`; the weights share as wanted once
    they are multiplied by ``factor`` (touchpoints,) > 0, by which the touchpoints of one channel differ. They are
    relative to the largest λ of the journey, so that not all of them are zero.
    """
    weights = np.empty(offsets[-1])
    parts = np.zeros(len(log_weights))
    for j in range(len(offsets) - 1):
        largest = -np.inf
        for i in range(offsets[j], offsets[j + 1]):
            parts[channel[i]] += factor[i]
            largest = max(largest, log_weights[channel[i]])
        for i in range(offsets[j], offsets[j + 1]):
            weights[i] = np.exp(log_weights[channel[i]] - largest) / parts[channel[i]]
        for i in range(offsets[j], offsets[j + 1]):
            parts[channel[i]] = 0.0
    return weights


@njit(cache=True, nogil=True)
def within(offsets, channel, amounts, height, here):
    """The sets whose highest member lies in block ``here``, without their members in other blocks."""
    number = np.cumsum(height == here) - 1
    alone = np.zeros(np.count_nonzero(height == here))
    count, entries = 0, 0
    for fill in range(2):
        if fill == 0:
            starts, members, left = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0)
        else:
            starts, members, left = np.zeros(count + 1, np.int64), np.empty(entries, np.int32), np.empty(count)
        count, entries = 0, 0
        for i in range(len(amounts)):
            if amounts[i] == 0:
                continue
            inside, last, highest = 0, -1, -1
            for k in range(offsets[i], offsets[i + 1]):
                highest = max(highest, height[channel[k]])
                if height[channel[k]] == here:
                    inside += 1
                    last = number[channel[k]]
            if highest != here:
                continue
            if inside == 1:
                if fill == 0:
                    alone[last] += amounts[i]
                continue
            if fill == 1:
                for k in range(offsets[i], offsets[i + 1]):
                    if height[channel[k]] == here:
                        members[entries] = number[channel[k]]
                        entries += 1
                left[count] = amounts[i]
                starts[count + 1] = entries
            else:
                entries += inside
            count += 1
    return Sets(starts, members, left, alone)


@njit(cache=True, nogil=True)
def components(offsets, member, size):
    """(size,) number of the component of each member, by its smallest member."""
    parent = np.arange(size)
    for i in range(len(offsets) - 1):
        a = member[offsets[i]]
        while parent[a] != a:
            a = parent[a]
        for k in range(offsets[i] + 1, offsets[i + 1]):
            b = member[k]
            while parent[b] != b:
                b = parent[b]
            a, b = min(a, b), max(a, b)
            parent[b] = a
    label = np.zeros(size, np.int64)
    number = 0
    for c in range(size):
        if parent[c] == c:
            label[c] = number
            number += 1
        else:
            label[c] = label[parent[c]]
    return label


@njit(cache=True, nogil=True)
def share(offsets, member, amounts, alone, log_weights):
    """(k,) totals; (k, k) below the diagonal Σ over sets of amount · share of one member · share of the other."""
    top = -np.inf
    for log_weight in log_weights:
        top = max(top, log_weight)
    weights = np.exp(log_weights - top)
    totals = alone.copy()
    links = np.zeros((len(alone), len(alone)))
    shares = np.empty(len(alone))
    for i in range(len(amounts)):
        low, high = offsets[i], offsets[i + 1]
        total = 0.0
        for k in range(low, high):
            shares[k - low] = weights[member[k]]
            total += shares[k - low]
        if total < _SMALLEST:
            largest = -np.inf
            for k in range(low, high):
                largest = max(largest, log_weights[member[k]])
            total = 0.0
            for k in range(low, high):
                shares[k - low] = np.exp(log_weights[member[k]] - largest)
                total += shares[k - low]
        for k in range(low, high):
            shares[k - low] /= total
            part = amounts[i] * shares[k - low]
            totals[member[k]] += part
            for earlier in range(low, k):
                c, d = member[k], member[earlier]
                links[max(c, d), min(c, d)] += part * shares[earlier - low]
    return totals, links


@njit(cache=True, nogil=True)
def to_highest(offsets, member, amounts, alone, rank):
    """(k,) totals if every set gave all to its member of highest rank."""
    totals = alone.copy()
    for i in range(len(amounts)):
        highest = member[offsets[i]]
        for k in range(offsets[i] + 1, offsets[i + 1]):
            if rank[member[k]] > rank[highest]:
                highest = member[k]
        totals[highest] += amounts[i]
    return totals


@njit(cache=True, nogil=True)
def potentials(links, flow):
    """Potentials u whose flows ``links[c, d] · (u_c − u_d)``, summed over d, are ``flow`` (k,); u_0 is 0.

    Gaussian elimination from the last member to the first without a subtraction of links, so that members which
    share next to nothing with the others are as exact as the rest. ``links`` is overwritten.
    """
    n = len(flow)
    outward = np.zeros(n)
    flow = flow.copy()
    potential = np.zeros(n)
    for c in range(n - 1, 0, -1):
        outward[c] = links[c, :c].sum()
        if outward[c] < _SMALLEST:
            continue
        for d in range(c):
            share = links[c, d] / outward[c]
            flow[d] += flow[c] * share
            for e in range(d):
                links[d, e] += share * links[c, e]
    for c in range(1, n):
        if outward[c] >= _SMALLEST:
            potential[c] = (flow[c] + (links[c, :c] * potential[:c]).sum()) / outward[c]
    return potential


# ---------------------------------------------------------------- raking

APART = 750.0
"""Between the log weights of two blocks: the exponential of its negative is zero."""

CONVERGED = 1e-11
"""Relative, of every total within its block; what Newton's last step leaves is far less."""

TIGHT = 1e-12
"""A group this near to what it must have, relative to its target and to that of the others, counts as tight."""

NOTHING = 1e-100
"""A target this small beside the largest is taken for 0."""

_ORDERED = 1e-11
_STEPS = 100
"""Of Newton in one block, which needs 5 to 30; more could only chase what is rounded."""

_ROUNDS = 20
"""Per channel, of splitting; it ends long before unless rounding makes it go in circles."""


class Raked(NamedTuple):
    """What raking found.

    Attributes
    ----------
    log_weights : (channels,) log λ, finite
    totals : (channels,) what these weights allocate
    block : (channels,) integers, the same for channels of one block; a higher block takes all from a lower one
    iterations : Newton steps taken
    """

    log_weights: Floats
    totals: Floats
    block: Ints
    iterations: int


class _Table(NamedTuple):
    """All sets, as `rake` takes them, amounts scaled."""

    offsets: Ints
    channel: NDArray[np.int32]
    amounts: Floats


class _Block(NamedTuple):
    """Channels, the sums of their targets and of what they get, and log weights once they are known."""

    channels: Ints
    target: float
    amount: float
    log_weights: Floats | None = None


def rake(offsets: Ints, channel: NDArray[np.int32], amounts: Floats, targets: Floats) -> Raked:
    """Weights that allocate every set's amount, channel totals as near to ``targets`` as possible.

    Parameters
    ----------
    offsets, channel : set i is ``channel[offsets[i]:offsets[i + 1]]``, distinct
    amounts : (sets,) finite, ≥ 0, what each set allocates
    targets : (channels,) finite, ≥ 0; only their proportions matter, since all amounts are allocated. A channel
        whose target is 0 gets something only from sets of such channels, in which all get the same

    Examples
    --------
    Of 10 conversions 4 touched channel 0 only, so it cannot have less; the others share as their targets do.

    >>> offsets, channel = np.array([0, 1, 4]), np.array([0, 0, 1, 2], np.int32)
    >>> rake(offsets, channel, np.array([4.0, 6.0]), np.array([6.0, 2.0, 2.0])).totals.round(9).tolist()
    [6.0, 2.0, 2.0]
    >>> rake(offsets, channel, np.array([4.0, 6.0]), np.array([3.0, 2.0, 5.0])).totals.round(9).tolist()
    [4.0, 1.714285714, 4.285714286]
    """
    # By falling target: Newton's elimination goes from the last to the first, and what is rounded in the sums of
    # large channels must not reach small ones. Powers of two: nothing is rounded here, and nothing overflows.
    order = np.argsort(-targets, kind="stable")
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.arange(len(order))
    exponent = _exponent(amounts)
    table = _Table(offsets, number[channel], np.ldexp(amounts, -exponent))
    scaled = np.ldexp(targets[order], -_exponent(targets))
    scaled[scaled < NOTHING] = 0.0
    chain, idle = _start(table, scaled)
    chain, iterations = _solve_blocks(chain, table, scaled)
    log_weights, block = _stack_blocks(chain, idle, scaled)
    totals, _ = share(*table, np.zeros(len(scaled)), log_weights)
    return Raked(log_weights[number], np.ldexp(totals[number], exponent), block[number], iterations)


def _exponent(numbers: Floats) -> int:
    return int(np.frexp(numbers.max(initial=0.0))[1])


# ---------------------------------------------------------------- blocks


def _start(table: _Table, targets: Floats) -> tuple[list[_Block], Ints]:
    """Channels to have nothing, below those that share; and the channels that are in no set."""
    in_sets = np.zeros(len(targets), dtype=bool)
    in_sets[table.channel[np.repeat(table.amounts > 0, np.diff(table.offsets))]] = True
    unwanted, sharing, idle = map(np.flatnonzero, (targets == 0, (targets > 0) & in_sets, (targets > 0) & ~in_sets))
    chain = [_Block(unwanted, 0.0, 0.0, np.zeros(len(unwanted))), _Block(sharing, float(targets[sharing].sum()), 0.0)]
    if not len(sharing):
        chain[1] = _Block(idle, float(targets.sum()), 0.0, np.log(targets[idle]))
        idle = idle[:0]
    return [block for block in chain if len(block.channels)], idle


def _stack_blocks(chain: list[_Block], idle: Ints, targets: Floats) -> tuple[Floats, Ints]:
    """(channels,) log weights, at most 0, and blocks. ``idle`` channels are put among those of the last block."""
    log_weights, block = np.zeros(len(targets)), np.full(len(targets), len(chain))
    log_weights[idle] = np.log(targets[idle])
    floor = 0.0
    for index, (channels, _, _, logs) in enumerate(chain):
        assert logs is not None
        block[channels] = index
        together = np.concatenate([channels, idle]) if index == len(chain) - 1 else channels
        logs = np.concatenate([logs, log_weights[idle]])[: len(together)]
        log_weights[together] = logs + (floor - logs.min())
        floor = log_weights[together].max() + APART
    return log_weights - log_weights.max(initial=-np.inf), block


def _solve_blocks(chain: list[_Block], table: _Table, targets: Floats) -> tuple[list[_Block], int]:
    """Solve every block, splitting and joining until all are solved and multiples descend; and the steps taken."""
    iterations = 0
    rounds = _ROUNDS * len(targets)
    while unsolved := [index for index, block in enumerate(chain) if block.log_weights is None]:
        here = unsolved[0]
        channels = chain[here].channels
        height = np.full(len(targets), len(chain))
        for index, block in enumerate(chain):
            height[block.channels] = index
        sets = within(*table, height, here)
        rounds -= 1
        blocks, steps = _solve(channels, sets, targets[channels], may_split=rounds > 0)
        chain = _in_order([*chain[:here], *blocks, *chain[here + 1 :]])
        iterations += steps
    return chain, iterations


def _in_order(chain: list[_Block]) -> list[_Block]:
    """Neighbours joined until the multiples, amount ÷ target, descend."""
    ordered: list[_Block] = []
    for block in chain:
        while ordered and block.amount * ordered[-1].target > ordered[-1].amount * block.target * (1 + _ORDERED):
            before = ordered.pop()
            both = np.sort(np.concatenate([before.channels, block.channels]))
            block = _Block(both, before.target + block.target, before.amount + block.amount)
        ordered.append(block)
    return ordered


def _solve(channels: Ints, sets: Sets, targets: Floats, *, may_split: bool) -> tuple[list[_Block], int]:
    """The block with its log weights, or the blocks that it falls into; and the Newton steps taken."""
    amount = float(sets.alone.sum() + sets.amounts.sum())
    target = float(targets.sum())
    label = components(sets.offsets, sets.member, len(channels))
    if label.any():
        return _split_components(channels, sets, targets, label), 0
    scaled = targets * (amount / target)
    # The first channel keeps this weight, so that those of several blocks can be compared with their targets.
    log_weights = np.log(targets)
    step = 0
    while len(channels) > 1 and step < _STEPS:
        totals, links = share(*sets, log_weights)
        missing = scaled - totals
        if (np.abs(missing) <= CONVERGED * scaled).all():
            break
        if may_split and (halves := _halves(sets, scaled, log_weights)) is not None:
            blocks = [_Block(channels[half], float(targets[half].sum()), least) for half, least in halves]
            return blocks, step
        direction = potentials(links, missing)
        reach = np.ptp(direction)
        # The third derivative along the direction is at most its reach times the second: no step can be too long.
        log_weights += direction * (np.log1p(reach) / reach if reach > 0 else 0.0)
        step += 1
    return [_Block(channels, target, amount, log_weights)], step


def _split_components(channels: Ints, sets: Sets, targets: Floats, label: Ints) -> list[_Block]:
    """Blocks of channels that share no journey with those of others, highest multiple first."""
    amounts = np.bincount(label, sets.alone)
    amounts += np.bincount(label[sets.member[sets.offsets[:-1]]], sets.amounts, minlength=len(amounts))
    block_targets = np.bincount(label, targets)
    order = np.argsort(-(amounts / block_targets), kind="stable")
    return [_Block(channels[label == part], float(block_targets[part]), float(amounts[part])) for part in order]


def _halves(sets: Sets, targets: Floats, log_weights: Floats) -> list[tuple[Ints, float]] | None:
    """Members of a tight group and the other members, each with what the group leaves them; None if none is seen.

    Groups looked at are those of the n members of lowest weight, for all n.
    """
    order = np.argsort(log_weights, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    least = to_highest(*sets, rank)[order]
    ordered = targets[order]
    below, above = np.cumsum(ordered)[:-1], np.cumsum(ordered[::-1])[-2::-1]
    difference = least - ordered
    # What a group must have beyond its target, summed over its smaller side, where less is rounded.
    excess = np.where(below <= above, np.cumsum(difference)[:-1], -np.cumsum(difference[::-1])[-2::-1])
    is_tight = excess >= -TIGHT * np.minimum(below, above)
    if not is_tight.any():
        return None
    cut = int(np.argmax(np.where(is_tight, excess, -np.inf))) + 1
    return [(np.sort(order[part]), float(least[part].sum())) for part in (slice(cut), slice(cut, None))]
