"""Nights of a log that takes back: summaries equal those of all that is known, or are of days that were named."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest
import typer

import attribution as at
from attribution.cli.commands.summarise import summarise
from attribution.data.engine import DuckDBEngine
from attribution.journeys import journeys_by_day
from attribution.kernels.statistics.sums import to_float
from attribution.production.refit import SummaryStore, day_name, read_window, refit, summarise_days
from attribution.production.refit.days import DayTables
from attribution.production.refit.recode import recode_tables
from attribution.schema.experiment import Period
from tests.production.nights import (
    CHANNELS,
    DAY,
    LOOKBACK,
    Night,
    Nights,
    Order,
    Touch,
    VersionRecord,
    run_nights,
    spans,
    tables_of,
)

EXPERIMENT = f"""
name = "nights"
[tables.touchpoints]
source = "touchpoints.parquet"
[tables.conversions]
source = "conversions.parquet"
[journeys]
lookback_days = {LOOKBACK}
[[models]]
model = "LastTouch"
[[models]]
model = "Markov"
"""

HAZARD = """
[[models]]
model = "AdditiveHazard"
half_lives_days = 100
credited = ["mail", "search"]
unpaid = ["social"]
customers = 50
"""

Said = dict[int, dict[str, list[tuple[list[int], float]]]]
"""Rows of the tables of each day; a table without rows says nothing."""


def models() -> list[at.AttributionModel]:
    return [at.LastTouch(), at.Markov()]


def with_hazard() -> list[at.AttributionModel]:
    """One of the models needs all that ever happened before a day, whatever the window."""
    hazard = at.AdditiveHazard(half_lives_days=100, credited=["mail", "search"], unpaid=["social"], customers=50)
    return [*models(), hazard]


def summarised(folder: Path, night: Night, out: Path, experiment: str = EXPERIMENT) -> int:
    """What `attribution summarise` ends with."""
    (folder / "nights.toml").write_text(experiment, encoding="utf-8")
    # So many days change in one night as in no other shop.
    (folder / "thresholds.toml").write_text("restated_days = 1000\n", encoding="utf-8")
    for name, frame in tables_of(night).items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    covers = None if night.covers is None else "..".join(map(day_name, night.covers))
    try:
        summarise(folder / "nights.toml", out, covers=covers, thresholds=folder / "thresholds.toml")
    except typer.Exit as end:
        return end.exit_code
    return 0


def days_of(folder: Path) -> Said:
    """What each day says, in terms of the same channels."""
    store = SummaryStore.open(folder)
    days = [store.read(day) for day in store.days]
    return {each.day: said_of(recode_tables(each.tables, each.channels, CHANNELS, with_hazard())) for each in days}


def said_of(tables: DayTables) -> dict[str, list[tuple[list[int], float]]]:
    return {
        name: sorted(zip(table.keys.tolist(), to_float(table.sums).tolist(), strict=True))
        for name, table in tables.items()
        if len(table.keys)
    }


class KnownOfSummaries(VersionRecord):
    """Nobody asks for the credit of a conversion of its own: history is known like all the rest."""

    def learn(self, night: Night) -> None:
        super().learn(night)
        self.orders |= {order.id: order for order in self.history}
        self.history = set()


class SummaryNights(Nights):
    """The shop's log is summarised."""

    experiment = EXPERIMENT
    refits = 0
    latest: tuple[object, Said] | None = None

    def models(self) -> list[at.AttributionModel]:
        return models()

    def learns(self) -> VersionRecord:
        return KnownOfSummaries()

    def is_done(self) -> bool:
        return self.code == 0

    def job(self, touches: tuple[Touch, ...], orders: tuple[Order, ...], covers: tuple[int, int] | None = None) -> None:
        type(self).nights += 1
        night = Night(touches, orders, dict(self.links), covers)
        is_all = spans(self.known.touches, touches) and spans(self.known.orders.values(), night.latest.values())
        self.code = summarised(self.out.parent, night, self.out, self.experiment)
        self.known.learn(night)
        state = SummaryStore.open(self.out).read_log_state()
        stale = set(state.stale)
        assert (self.code == 3) == bool(stale or state.guards)
        assert {row["guard"] for row in state.guards} <= {"history"}
        if stale and is_all and covers is None:
            # Of a day that lost an order nobody knows when its rows begin: it may look cut, until it is covered.
            moments = [one.at for one in (*self.known.touches, *orders)]
            covers = min(moments) // DAY, max(moments) // DAY
            again = Night(touches, orders, night.links, covers)
            assert summarised(self.out.parent, again, self.out, self.experiment) == 0
            self.code, stale = 0, set()
        found = days_of(self.out)
        expected = self.from_scratch(min(found), max(found))
        wrong = {day_name(day) for day in found if day not in stale and found[day] != expected[day]}
        assert not wrong, (wrong, sorted(map(day_name, stale)))
        if not stale and type(self).nights % 3 == 0:
            self.check_refit(min(found), max(found))

    def scratch(self) -> at.Sources:
        frames = tables_of(Night(tuple(self.known.touches), tuple(self.known.orders.values()), {}))
        return at.load_sources(**frames, engine=DuckDBEngine(threads=1))

    def from_scratch(self, first: int, last: int) -> Said:
        """Of all that is known, in one go; after a night that told nothing new it is what it was."""
        known = frozenset(self.known.touches), frozenset(self.known.orders.values()), first, last
        if self.latest is None or self.latest[0] != known:
            journeys = journeys_by_day(self.scratch(), lookback_days=LOOKBACK)
            days = summarise_days(journeys, self.models(), first, last)
            said = {
                day: said_of(recode_tables(of, journeys.channels, CHANNELS, self.models())) for day, of in days.items()
            }
            self.latest = known, said
        return self.latest[1]

    def check_refit(self, first: int, last: int) -> None:
        """Credit of a refit is that of a fit on the log."""
        type(self).refits += 1
        window = read_window(SummaryStore.open(self.out), models(), first, last, channels=CHANNELS)
        period = Period(start=moment(first * DAY), end=moment((last + 1) * DAY - 1))
        journeys = at.build_journeys(self.scratch(), lookback_days=LOOKBACK, period=period)
        credit = [
            table.set_index(["model", "channel"])["conversions"]
            for table in (refit(window, models()).table, at.attribute(journeys, models()).table)
        ]
        found, expected = (each[each > 0] for each in credit)
        pd.testing.assert_series_equal(found, expected, check_like=True, rtol=1e-9)


def moment(at: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=at)


@pytest.mark.slow
@pytest.mark.drawn
def test_summaries_are_those_of_all_that_is_known() -> None:
    assert run_nights(SummaryNights, 8) >= 70
    assert SummaryNights.refits >= 6


class HazardNights(SummaryNights):
    """The same with a model that needs more than one window before a day."""

    experiment = EXPERIMENT + HAZARD

    def models(self) -> list[at.AttributionModel]:
        return with_hazard()

    def check_refit(self, first: int, last: int) -> None:
        """So few conversions are refused."""


@pytest.mark.slow
@pytest.mark.drawn
def test_summaries_that_need_all_history_are_those_of_all_that_is_known() -> None:
    assert run_nights(HazardNights, 4) >= 30
