"""Running a world: what its customers saw and bought, what was spent, and what each channel truly caused.

The truth comes from switching a channel off and letting everything happen again with common random numbers:
every uniform is drawn whether or not it is needed, so two histories differ only by what the channel caused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.errors import InputError
from attribution.schema.tables import CONVERSIONS, COSTS, CUSTOMERS, TOTAL, TOUCHPOINTS, TRUTH, Table
from attribution.simulation.history import CHUNK_CUSTOMERS, DAY_US, Chunk, Floats, Integers, live
from attribution.simulation.loading import load_world
from attribution.simulation.world import World

if TYPE_CHECKING:
    import pandas as pd

FIRST_DAY: Final = np.datetime64("2024-01-01", "us")


@dataclass(frozen=True)
class Simulation:
    """The tables of a simulated log, in the columns of `attribution.schema.tables`; no advertiser sees ``truth``.

    ``touchpoints`` and ``conversions`` are in the order of customer and time, ``costs`` has one row per paid
    channel and day, ``truth`` one per paid channel, ``customers`` one per customer, touched or not.
    """

    touchpoints: pd.DataFrame
    conversions: pd.DataFrame
    costs: pd.DataFrame
    truth: pd.DataFrame
    customers: pd.DataFrame


@check_arguments
def simulate(
    world: World | str, *, customers: int, seed: int = 0, days: int | None = None, truth: bool = True
) -> Simulation:
    """Simulate the log of ``customers`` customers in a world.

    Parameters
    ----------
    world : World or str
        The world, a name that `load_world` knows (``"default"``, ``"random"``, …), or the path of a TOML file.
    customers : int
        How many customers. The first ones are the same whatever the total.
    seed : int
        Which population, and of ``"random"``, ``"activity"`` and ``"null"`` also which world; not negative.
    days : int, optional
        How long, in place of what the world says. The first days are the same whatever their number.
    truth : bool
        Whether to switch off each paid channel in turn; without it ``truth`` has no rows.

    Returns
    -------
    Simulation
        ``incremental_conversions`` and ``incremental_value`` are conversions and value (revenue) of exactly
        these customers minus those without the channel, all else being drawn alike; channels that work together
        are counted in both, so the rows may add up to more than all channels cause jointly. ``roi`` is on
        revenue, null without spend.

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
    world = world if isinstance(world, World) else load_world(world, seed)
    if days is not None:
        world = replace(world, days=_whole("days", days, least=1))
    customers = _whole("customers", customers, least=1)
    seed = _whole("seed", seed, least=0)
    off = [k for k, channel in enumerate(world.channels) if channel.paid and truth]
    chunks = [
        live(world, off, seed, number, min(CHUNK_CUSTOMERS, customers - first))
        for number, first in enumerate(range(0, customers, CHUNK_CUSTOMERS))
    ]
    return _tables(world, [world.channels[k].name for k in off], customers, chunks)


def simulate_joint_truth(world: World | str, *, customers: int, seed: int = 0) -> pd.DataFrame:
    """What all paid channels of a world cause together: a row ``(total)`` for the table ``truth``.

    Everything happens again with all of them switched off, and all else drawn alike. Its ROI is null: it has no rank.

    Examples
    --------
    >>> row = simulate_joint_truth("default", customers=500).iloc[0]
    >>> row["channel"], bool(row["incremental_conversions"] > 0)
    ('(total)', True)
    """
    world = world if isinstance(world, World) else load_world(world, seed)
    shops = [simulate(each, customers=customers, seed=seed, truth=False) for each in (world, without_paid(world))]
    orders, value = ([float(getattr(shop.conversions["value"], of)()) for shop in shops] for of in ("count", "sum"))
    row = {
        "channel": [TOTAL],
        "incremental_conversions": [round(orders[0] - orders[1])],
        "incremental_value": [round(value[0] - value[1], 2)],
        "roi": [np.nan],
    }
    return _frame(TRUTH, row)


def without_paid(world: World) -> World:
    """A world whose paid channels touch customers and do nothing."""
    paid = {channel.name for channel in world.paid_channels}
    channels = [replace(each, effect=0.0) if each.paid else each for each in world.channels]
    channels = [replace(each, boosted_by=None) if each.boosted_by in paid else each for each in channels]
    return replace(world, channels=tuple(channels))


def _whole(name: str, value: object, *, least: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{name!r} is out of range", given=repr(value), allowed=f"a whole number from {least}")
    return int(value)


# ---------------------------------------------------------------- tables


def _tables(world: World, off: list[str], customers: int, chunks: list[Chunk]) -> Simulation:
    channel = np.concatenate([chunk.channel for chunk in chunks])
    at = np.concatenate([chunk.at for chunk in chunks])
    cents = np.concatenate([chunk.cents for chunk in chunks])
    touchpoints = {
        "customer_id": _customer_ids([chunk.row for chunk in chunks]),
        "touched_at": FIRST_DAY + at.astype("timedelta64[us]"),
        "channel": _to_index([c.name for c in world.channels], channel),
        "kind": _to_index([c.kind for c in world.channels], channel),
    }
    conversions = {
        "customer_id": _customer_ids([chunk.buyer for chunk in chunks]),
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
        _frame(CUSTOMERS, {"customer_id": np.arange(1, 1 + customers)}),
    )


def _customer_ids(rows: list[Integers]) -> Integers:
    return np.concatenate([1 + number * CHUNK_CUSTOMERS + row for number, row in enumerate(rows)])


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
