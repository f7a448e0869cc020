"""Running a world: what its customers saw and bought, what was spent, and what each channel truly caused.

The truth comes from switching a channel off and letting everything happen again with common random numbers:
every uniform is drawn whether or not it is needed, so two histories differ only by what the channel caused.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.errors import InputError
from attribution.schema.tables import CONVERSIONS, COSTS, TOUCHPOINTS, TRUTH, Table
from attribution.simulation.history import (
    CHUNK_CUSTOMERS,
    DAY_US,
    NEVER,
    Flags,
    Floats,
    History,
    Integers,
    draw_day,
    draw_population,
    instants,
)
from attribution.simulation.world import World, load_world

if TYPE_CHECKING:
    import pandas as pd

FIRST_DAY: Final = np.datetime64("2024-01-01", "us")


@dataclass(frozen=True)
class Simulation:
    """The tables of a simulated log, in the columns of `attribution.schema.tables`; no advertiser sees ``truth``.

    ``touchpoints`` and ``conversions`` are in the order of customer and time, ``costs`` has one row per paid
    channel and day, ``truth`` one per paid channel.
    """

    touchpoints: pd.DataFrame
    conversions: pd.DataFrame
    costs: pd.DataFrame
    truth: pd.DataFrame


@check_arguments
def simulate(world: World | str, *, customers: int, seed: int = 0, truth: bool = True) -> Simulation:
    """Simulate the log of ``customers`` customers in a world.

    Parameters
    ----------
    world : World or str
        The world, the name of a shipped one, or the path of a TOML file.
    customers : int
        How many customers. The first ones are the same whatever the total.
    seed : int
        Which population; not negative.
    truth : bool
        Whether to switch off each paid channel in turn; without it ``truth`` has no rows.

    Returns
    -------
    Simulation
        ``incremental_conversions`` and ``incremental_value`` are conversions and value (revenue) of exactly
        these customers minus those without the channel; channels that work together are counted in both, so
        the rows may add up to more than all channels cause jointly. ``roi`` is on revenue, null without
        spend.

    Raises
    ------
    InputError
        If there is no such world, or ``customers`` or ``seed`` is impossible.

    Examples
    --------
    >>> shop = simulate("default", customers=500, seed=1)
    >>> int(shop.conversions["customer_id"].duplicated().sum())
    0
    >>> list(shop.truth.columns)
    ['channel', 'incremental_conversions', 'incremental_value', 'roi']
    """
    world = world if isinstance(world, World) else load_world(world)
    customers = _whole("customers", customers, least=1)
    seed = _whole("seed", seed, least=0)
    off = [channel.name for channel in world.paid_channels] if truth else []
    chunks = [
        _run_chunk(world, off, np.random.SeedSequence(seed, spawn_key=(number,)), first, customers)
        for number, first in enumerate(range(0, customers, CHUNK_CUSTOMERS))
    ]
    return _tables(world, off, chunks)


def _whole(name: str, value: object, *, least: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{name!r} is out of range", given=repr(value), allowed=f"a whole number from {least}")
    return int(value)


# ---------------------------------------------------------------- one chunk of customers


@dataclass(frozen=True)
class _Chunk:
    """One chunk's touchpoints and conversions (times in µs since the first day), and what channels caused."""

    customer: Integers
    at: Integers
    channel: NDArray[np.intp]
    buyer: Integers
    bought_at: Integers
    cents: Integers
    caused: Integers  # paid channels × (conversions, cents); no rows without truth


def _run_chunk(world: World, off: list[str], seeds: np.random.SeedSequence, first: int, customers: int) -> _Chunk:
    """The customers from number ``first`` on, as the world is and with each of ``off`` switched off."""
    rng = np.random.default_rng(seeds)
    size = min(CHUNK_CUSTOMERS, customers - first)
    population = draw_population(world, rng, size)
    actual = History(world, population)
    without_channel = [History(world.without(name), population) for name in off]
    touchpoints = []
    for day in range(world.days):
        draws = draw_day(world, rng, size)
        touched, chances = actual.step(day, draws)
        touchpoints.append(_touchpoints(day, draws[3:], touched, chances, actual.bought_at))
        for other in without_channel:
            other.step(day, draws)
    row, at, channel = (np.concatenate(parts) for parts in zip(*touchpoints, strict=True))
    order = np.lexsort((_tie_ranks(world)[channel], at, row))
    buyer = np.flatnonzero(actual.bought_at < NEVER)
    return _Chunk(
        customer=1 + first + row[order],
        at=at[order],
        channel=channel[order],
        buyer=1 + first + buyer,
        bought_at=actual.bought_at[buyer],
        cents=population.cents[buyer],
        caused=np.array([_lost(actual, other, population.cents) for other in without_channel], np.int64).reshape(-1, 2),
    )


def _touchpoints(
    day: int, draws: Floats, touched: list[Flags], chances: list[Floats], bought_at: Integers
) -> tuple[Integers, Integers, NDArray[np.intp]]:
    """Row, time and channel of the day's touchpoints, without those after the customer bought."""
    rows = [np.flatnonzero(hit) for hit in touched]
    times = [instants(day, draws[c, r], chances[c][r]) for c, r in enumerate(rows)]
    row, at = np.concatenate(rows), np.concatenate(times)
    channel = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    is_before = at <= bought_at[row]
    return row[is_before], at[is_before], channel[is_before]


def _tie_ranks(world: World) -> Integers:
    """Place of each channel among touchpoints of one customer at one instant: clicks first, then by name."""
    channels = world.channels
    ordered = sorted(range(len(channels)), key=lambda c: (channels[c].kind != "click", channels[c].name))
    return np.argsort(np.array(ordered))


def _lost(actual: History, without: History, cents: Integers) -> tuple[int, int]:
    """Conversions and cents of the actual history beyond those of the history without the channel."""
    change = (actual.bought_at < NEVER).astype(np.int64) - (without.bought_at < NEVER)
    return int(change.sum()), int(change @ cents)


# ---------------------------------------------------------------- tables


def _tables(world: World, off: list[str], chunks: list[_Chunk]) -> Simulation:
    channel = np.concatenate([chunk.channel for chunk in chunks])
    at = np.concatenate([chunk.at for chunk in chunks])
    cents = np.concatenate([chunk.cents for chunk in chunks])
    touchpoints = {
        "customer_id": np.concatenate([chunk.customer for chunk in chunks]),
        "touched_at": FIRST_DAY + at.astype("timedelta64[us]"),
        "channel": _to_index([c.name for c in world.channels], channel),
        "kind": _to_index([c.kind for c in world.channels], channel),
    }
    conversions = {
        "customer_id": np.concatenate([chunk.buyer for chunk in chunks]),
        "converted_at": FIRST_DAY + np.concatenate([chunk.bought_at for chunk in chunks]).astype("timedelta64[us]"),
        "value": cents / 100.0,
        "conversion_id": np.arange(1, len(cents) + 1),
    }
    amounts = _amounts(world, channel, at // DAY_US)
    paid = [c.name for c in world.paid_channels]
    costs = {
        "channel": _to_index(paid, np.repeat(np.arange(len(paid)), world.days)),
        "amount": amounts.ravel(),
        "day": np.tile(FIRST_DAY + np.arange(world.days) * np.timedelta64(1, "D"), len(paid)),
    }
    lost, lost_cents = sum((chunk.caused for chunk in chunks), np.zeros((len(off), 2), np.int64)).T
    spend = amounts.sum(axis=1)[: len(off)]
    truth = {
        "channel": _to_index(off, np.arange(len(off))),
        "incremental_conversions": lost,
        "incremental_value": lost_cents / 100.0,
        "roi": np.divide(lost_cents / 100.0 - spend, spend, out=np.full(len(off), np.nan), where=spend > 0),
    }
    return Simulation(
        _frame(TOUCHPOINTS, touchpoints),
        _frame(CONVERSIONS, conversions),
        _frame(COSTS, costs),
        _frame(TRUTH, truth),
    )


def _amounts(world: World, channel: NDArray[np.intp], day: Integers) -> Floats:
    """Spend per paid channel (row) and day (column), in cents precision."""
    cells = len(world.channels) * world.days
    counts = np.bincount(channel * world.days + day, minlength=cells).reshape(-1, world.days)
    paid = [(c.cost, counts[row]) for row, c in enumerate(world.channels) if c.paid]
    return np.array([np.round(cost * count, 2) for cost, count in paid]).reshape(-1, world.days)


def _to_index(names: list[str], codes: Integers) -> pd.Index:
    import pandas as pd

    return pd.Index(names, dtype="str").take(codes)


def _frame(table: Table, columns: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: columns[name] for name in table.column_names if name in columns})
