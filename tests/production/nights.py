"""A shop whose log changes by day and takes back what it said, and a job that is given some of it each night.

The rule is written down a second time here, on plain rows: which rows are known after a night, whatever the job did.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.scale import TIMES

HOUR = 3_600_000_000
DAY = 24 * HOUR
START = 19_783 * DAY
LOOKBACK = 4
CHANNELS = ("mail", "search", "social")


@dataclass(frozen=True)
class Touch:
    visitor: str
    at: int
    channel: str
    device: str = ""


@dataclass(frozen=True)
class Order:
    id: str
    visitor: str
    at: int
    value: float


@dataclass(frozen=True)
class Night:
    """What one job is given; rows as they are delivered, ``latest`` the last of each id."""

    touches: tuple[Touch, ...]
    orders: tuple[Order, ...]
    links: dict[str, str]
    covers: tuple[int, int] | None = None

    @property
    def latest(self) -> dict[str, Order]:
        return {order.id: order for order in self.orders}


@dataclass
class VersionRecord:
    """All rows that are known by the rule, with the person that each belonged to when it was delivered last.

    ``history`` are orders on days that nothing was known of and that were given beside the days that were covered: they
    close journeys, and nobody has asked for their credit yet.
    """

    touches: set[Touch] = field(default_factory=set)
    orders: dict[str, Order] = field(default_factory=dict)
    history: set[Order] = field(default_factory=set)

    def learn(self, night: Night) -> None:
        """Take in what ``night`` says."""
        # Two devices may say the same of what turns out to be one person.
        touches = {
            replace(touch, visitor=_person(night, touch.visitor), device=touch.visitor) for touch in night.touches
        }
        orders = {name: replace(order, visitor=_person(night, order.visitor)) for name, order in night.latest.items()}
        moments = [order.at for order in orders.values()]
        touched = [touch.at for touch in touches]
        either = [*moments, *touched]
        days = range(min(moments) // DAY, max(moments) // DAY + 1)
        whole = range(min(touched) // DAY, max(touched) // DAY + 1)
        if night.covers is not None:
            days = range(night.covers[0], night.covers[1] + 1)
            whole = range(min(whole.start, days.start), max(whole.stop, days.stop))
        held = {*self.orders.values(), *self.history}
        seen = {order.at // DAY for order in held}
        days = _uncut(days, night.covers, [order.at for order in held], either, _differ(held, orders.values()))
        whole = _uncut(
            whole, night.covers, [touch.at for touch in self.touches], touched, _differ(self.touches, touches)
        )
        self.touches = {touch for touch in self.touches if touch.at // DAY not in whole} | {
            touch for touch in touches if touch.at // DAY in whole
        }
        gone = {name for name, order in self.orders.items() if order.at // DAY in days}
        arrived = {name for name, order in orders.items() if order.at // DAY in days or name in gone}
        self.orders = {name: order for name, order in self.orders.items() if name not in gone | arrived}
        self.orders |= {name: orders[name] for name in arrived}
        beside = {order for order in orders.values() if order.at // DAY not in seen and order.at // DAY not in days}
        self.history = {order for order in self.history if order.at // DAY not in days} | beside


def _differ(before: Any, after: Any) -> set[int]:
    """Days of which not the same rows are told."""
    days = {row.at // DAY for row in (*before, *after)}
    told = [{day: {row for row in rows if row.at // DAY == day} for day in days} for rows in (before, after)]
    return {day for day in days if told[0][day] != told[1][day]}


def _uncut(days: range, covers: tuple[int, int] | None, held: list[int], given: list[int], differ: set[int]) -> range:
    """``days`` without a first and a last one in the middle of which the input begins or ends."""
    said = range(0) if covers is None else range(covers[0], covers[1] + 1)
    first, last = days.start, days.stop - 1
    before = [at for at in held if at // DAY == first]
    after = [at for at in held if at // DAY == last]
    is_begun = first not in said and first in differ and bool(before) and min(before) < min(given)
    is_ended = last not in said and bool(after) and max(after) > max(given)
    return range(first + is_begun, days.stop - is_ended)


def spans(held: Any, given: Any) -> bool:
    """Whether rows begin no later and end no earlier than those held before."""
    moments, others = [row.at for row in given], [row.at for row in held]
    return not others or (min(moments) <= min(others) and max(moments) >= max(others))


def _person(night: Night, visitor: str) -> str:
    return night.links.get(visitor, visitor)


def tables_of(night: Night) -> dict[str, Any]:
    """As frames, with persons already put in the place of visitors."""
    touches = [(_person(night, one.visitor), one.at, one.channel) for one in night.touches]
    orders = [(_person(night, one.visitor), one.at, one.value, one.id) for one in night.orders]
    touchpoints = pd.DataFrame(touches, columns=["customer_id", "touched_at", "channel"])
    conversions = pd.DataFrame(orders, columns=["customer_id", "converted_at", "value", "conversion_id"])
    touchpoints["touched_at"] = touchpoints["touched_at"].astype("datetime64[us]")
    conversions["converted_at"] = conversions["converted_at"].astype("datetime64[us]")
    return {"touchpoints": touchpoints, "conversions": conversions}


class Nights(RuleBasedStateMachine):
    """A shop whose log changes by day, and a job that is given some of it each night."""

    nights = 0

    def job(self, touches: tuple[Touch, ...], orders: tuple[Order, ...], covers: tuple[int, int] | None = None) -> None:
        """Run it, and compare what it leaves."""
        raise NotImplementedError

    def is_done(self) -> bool:
        """Whether the last job left nothing to the next that is given the same."""
        raise NotImplementedError

    def learns(self) -> VersionRecord:
        """What is known before the first night."""
        return VersionRecord()

    @initialize(seed=st.integers(0, 2**32 - 1))
    def open(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.out = Path(tempfile.mkdtemp(prefix="attribution-nights-")) / "out"
        self.touches: set[Touch] = set()
        self.orders: dict[str, Order] = {}
        self.links: dict[str, str] = {}
        self.known, self.now, self.serial = self.learns(), START + 12 * DAY, 0
        self.live(30)
        self.everything()

    def teardown(self) -> None:
        if hasattr(self, "out"):
            shutil.rmtree(self.out.parent)

    def live(self, events: int) -> None:
        """Touchpoints and orders up to now, some of them late."""
        for _ in range(events):
            moment = int(self.now - self.random.integers(0, 12 * 24) * HOUR)
            visitor = "abc"[self.random.integers(3)]
            if self.random.random() < 0.5:
                self.touches.add(Touch(visitor, moment, CHANNELS[self.random.integers(3)]))
            else:
                self.serial += 1
                order = Order(f"o{self.serial}", visitor, moment, float(self.random.integers(1, 9)))
                self.orders[order.id] = order

    @rule()
    def a_night(self) -> None:
        """Any of them, alike: left to itself, the search for a counterexample plays some rules far more often."""
        self.now += int(self.random.integers(0, 40)) * HOUR
        self.live(int(self.random.integers(0, 3)))
        for _ in range(self.random.integers(0, 4)):
            self.something_is_corrected()
        nights = (self.everything, self.an_extract, self.an_extract, self.an_extract, self.the_same_again)
        nights[self.random.integers(len(nights))]()

    def something_is_corrected(self) -> None:
        kind = self.random.choice(["time", "value", "visitor", "gone", "touch", "untouch", "link", "unlink"])
        pick = list(self.orders)[self.random.integers(len(self.orders))]
        if kind == "time":
            moment = self.orders[pick].at + int(self.random.integers(-96, 96)) * HOUR
            self.orders[pick] = replace(self.orders[pick], at=moment)
        elif kind == "value":
            self.orders[pick] = replace(self.orders[pick], value=self.orders[pick].value + 1)
        elif kind == "visitor":
            self.orders[pick] = replace(self.orders[pick], visitor="abc"[self.random.integers(3)])
        elif kind == "gone" and len(self.orders) > 2:
            del self.orders[pick]
        elif kind == "touch":
            self.live(1)
        elif kind == "untouch" and len(self.touches) > 2:
            self.touches.discard(sorted(self.touches, key=str)[self.random.integers(len(self.touches))])
        elif kind in ("link", "unlink"):
            self.links = {"b": "a"} if kind == "link" else {}

    def an_extract(self) -> None:
        """Of some days only, with more history or less; it may begin in the middle of a day."""
        covered, is_recent = self.random.random(2) < 0.5
        ahead, history = int(self.random.integers(0, 8)), int(self.random.integers(0, 8))
        back = ahead if is_recent else int(self.random.integers(0, 14))
        hours = int(self.random.choice([0, 0, 9]))
        first = (self.now // DAY - back) * DAY + hours * HOUR
        last = first + ahead * DAY + DAY - 1
        orders = [order for order in self.orders.values() if first <= order.at <= last]
        since = first - history * DAY
        touches = [touch for touch in self.touches if since <= touch.at <= last]
        if covered:
            first_day, last_day = first // DAY + (hours > 0), last // DAY - (hours > 0)
            before = [order for order in self.orders.values() if since <= order.at < first]
            if first_day <= last_day and orders and touches:
                self.job(tuple(touches), (*before, *orders), (first_day, last_day))
        elif orders and touches:
            self.job(tuple(touches), tuple(orders))

    def the_same_again(self) -> None:
        self.everything()
        before = {path: path.read_bytes() for path in self.out.rglob("*") if path.is_file()}
        # What the first of two jobs could not do, the second may: it knows more.
        is_done = self.is_done()
        self.everything()
        assert not is_done or before == {path: path.read_bytes() for path in self.out.rglob("*") if path.is_file()}

    def everything(self) -> None:
        """A job that is given everything; now and then an order is delivered twice, the older row first."""
        orders = list(self.orders.values())
        if orders and self.random.random() < 0.3:
            again = orders[self.random.integers(len(orders))]
            orders.insert(0, replace(again, at=again.at + int(self.random.integers(-40, 40)) * HOUR, value=99.0))
        if self.touches and orders:
            self.job(tuple(self.touches), tuple(orders))


def run_nights(machine: type[Nights], examples: float, *, steps: int = 12) -> int:
    """So many shops, and how many nights they had; the host of these does not crash, so that no disk is waited for.

    Each begins with a night and takes ``steps`` steps further.
    """
    machine.nights = 0
    with pytest.MonkeyPatch.context() as context:
        context.setattr(os, "fsync", lambda _: None)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=round(examples * TIMES),
                stateful_step_count=steps,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
    return machine.nights
