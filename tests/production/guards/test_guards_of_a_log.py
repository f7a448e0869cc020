"""Guards of a log: what is missing is named, and what is not missing is not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from attribution.production.guards import (
    GuardResult,
    Log,
    Thresholds,
    Timing,
    failed_guards,
    judge_clock,
    judge_costs,
    judge_freshness,
    judge_new_channels,
    judge_volume,
)
from attribution.production.scoring.days import day_name
from attribution.production.scoring.volumes import Volumes

FIRST = 19_783
DAY = 86_400_000_000
SEASON = np.array([1.2, 1.3, 1.1, 1.0, 0.9, 0.5, 0.4])
SHARES = np.array([0.39, 0.3, 0.15, 0.1, 0.05, 0.01])
NAMES = ("search", "social", "mail", "direct", "affiliate", "podcast")


def shop(random: np.random.Generator, days: int, total: float = 1_000, scatter: float = 1.0) -> NDArray[np.int64]:
    """(days, channels) touchpoints of a shop whose weeks are alike."""
    means = total * SEASON[np.arange(days) % 7][:, None] / SEASON.mean() * SHARES
    rates = means if scatter == 1 else random.gamma(means / (scatter - 1), scatter - 1)
    return np.asarray(random.poisson(rates), dtype=np.int64)


def volumes_of(counts: NDArray[np.int64], names: tuple[str, ...] = NAMES) -> Volumes:
    day, channel = np.nonzero(counts)
    columns = {"day": day + FIRST, "channel": [names[index] for index in channel], "touchpoints": counts[day, channel]}
    return Volumes.of(pa.table(columns))


def judged(counts: NDArray[np.int64], thresholds: Thresholds | None = None, days: int = 1) -> list[GuardResult]:
    """What the volume guard says of the last days."""
    last = FIRST + len(counts) - 1
    return judge_volume(volumes_of(counts), last, range(last - days + 1, last + 1), thresholds or Thresholds())


# ------------------------------------------------------------ volume: false alarms


@pytest.mark.parametrize("scatter", [1.0, 4.0])
def test_unchanged_weeks_raise_alarms_as_rarely_as_said(scatter: float) -> None:
    """Without bounds that an effect must exceed, chance alone: every comparison of a night shares the significance."""
    chance = Thresholds(channel_volume=1.0, total_volume=1.0, volume_high=1.0001, significance=0.2)
    random = np.random.default_rng(5)
    nights = [bool(failed_guards(judged(shop(random, days, scatter=scatter), chance))) for days in (30, 60, 90) * 100]
    assert np.mean(nights) <= 0.2 + 3 * np.sqrt(0.2 * 0.8 / len(nights))
    assert any(nights), "bounds that chance never exceeds judge nothing"


def test_a_year_of_nights_in_an_unchanged_shop_is_quiet() -> None:
    random = np.random.default_rng(6)
    counts = shop(random, 365 + 60, scatter=3.0)
    for days in range(15, len(counts), 2):
        assert failed_guards(judged(counts[max(0, days - 95) : days])) == [], days


def test_holidays_growth_and_sales_are_no_alarm() -> None:
    random = np.random.default_rng(7)
    counts = shop(random, 60)
    quiet, busy, growing = counts.copy(), counts.copy(), counts.copy()
    quiet[-1] = counts[-1] * 0.3
    busy[-1] = counts[-1] * 6
    growing = (growing * np.linspace(0.5, 2.0, 60)[:, None]).astype(np.int64)
    for each in (quiet, busy, growing):
        assert failed_guards(judged(each)) == []


# ------------------------------------------------------------ volume: what is found


@pytest.mark.parametrize("days", [15, 30, 60, 90])
def test_channels_that_are_gone_are_found_the_next_day(days: int) -> None:
    """Two with 39 % and 30 % of a shop, and one with 5 %."""
    random = np.random.default_rng(days)
    counts = shop(random, days)
    assert failed_guards(judged(counts)) == []
    both, one = counts.copy(), counts.copy()
    both[-1, :2] = 0
    one[-1, 4] = 0
    assert {(row.channel, row.day, row.days) for row in failed_guards(judged(both))} == {
        (name, day_name(FIRST + days - 1), 1) for name in NAMES[:2]
    }
    # Two weeks tell too little of how much a channel of 5 % varies; four tell enough, but for quiet Sundays.
    if days >= 30:
        assert {row.channel for row in failed_guards(judged(one))} == {"affiliate"}
    assert all("0; " in str(row.says) and "tracking" in str(row.says) for row in failed_guards(judged(both)))


def test_a_rare_channel_is_found_after_as_many_days_as_it_needs() -> None:
    """A hundredth of 1,000 touchpoints a day: 10 a day are missed within days, in every shop."""
    random = np.random.default_rng(8)
    needed = []
    for _ in range(20):
        counts = shop(random, 80)
        counts[60:, 5] = 0
        lengths = [length for length in range(1, 15) if failed_guards(judged(counts[: 60 + length]))]
        needed.append(lengths[0])
        row = failed_guards(judged(counts[: 60 + lengths[0]]))[0]
        assert (row.channel, row.value) == ("podcast", 0.0)
        assert row.days <= lengths[0]
    assert max(needed) <= 7
    assert max(needed) >= 2, "one day without ten touchpoints happens by chance"


def test_a_channel_that_stays_away_is_one_row() -> None:
    counts = shop(np.random.default_rng(9), 60)
    counts[-5:, 0] = 0
    (row,) = failed_guards(judged(counts, days=7))
    assert (row.channel, row.days, row.value) == ("search", 5, 0.0)
    assert f"from {day_name(FIRST + 55)} to {day_name(FIRST + 59)}" in str(row.says)


def test_a_day_that_was_not_loaded_is_one_row_of_all_channels() -> None:
    counts = shop(np.random.default_rng(10), 60)
    counts[-1] = counts[-1] // 20
    (row,) = failed_guards(judged(counts))
    assert (row.channel, row.table) == (None, "touchpoints")
    assert "loaded whole" in str(row.says)


def test_a_channel_that_was_loaded_many_times_is_found() -> None:
    counts = shop(np.random.default_rng(11), 60)
    counts[-1, 2] *= 20
    (row,) = failed_guards(judged(counts))
    assert row.channel == "mail"
    assert row.bound is not None
    assert row.value is not None
    assert row.value > row.bound > 0
    assert "loaded twice" in str(row.says)


def test_thresholds_decide() -> None:
    counts = shop(np.random.default_rng(12), 60)
    counts[-1, 0] //= 3
    assert [row.channel for row in failed_guards(judged(counts))] == ["search"]
    assert failed_guards(judged(counts, Thresholds(channel_volume=0.2))) == []
    assert failed_guards(judged(counts, Thresholds(paused_channels=("search",)))) == []


def test_the_first_two_weeks_are_not_judged() -> None:
    counts = shop(np.random.default_rng(13), 14)
    counts[-1, 0] = 0
    (row,) = judged(counts)
    assert (row.holds, row.value) == (None, None)
    assert "14 days" in str(row.says)
    assert judge_volume(Volumes.none(), None, (), Thresholds()) == []


def test_what_holds_is_within_its_bound() -> None:
    rows = judged(shop(np.random.default_rng(14), 60), days=7)
    assert {row.channel for row in rows} >= {None, *NAMES[:5]}
    assert all(row.holds and (row.value or 0) >= (row.bound or 0) > 0 for row in rows)


# ------------------------------------------------------------ the last complete day


def digests(rows: Mapping[int, int], ends: Mapping[int, float] | None = None) -> dict[int, str]:
    """Fingerprints of days that end at an hour, 23.9 unless told."""
    hours = dict.fromkeys(rows, 23.9) | dict(ends or {})
    return {FIRST + day: f"{count}-1@0-{int(hours[day] * 3_600_000_000)}" for day, count in rows.items()}


NOW = dt.datetime(2026, 5, 1, 3, 15, tzinfo=dt.UTC)


def log_of(touchpoints: Mapping[int, str], conversions: Mapping[int, str] | None = None, **more: int) -> Log:
    return Log(touchpoints, conversions or {}, Volumes.none(), more.get("through"))


@pytest.mark.parametrize(("hour", "last"), [(23.8, 29), (23.6, 29), (14.0, 28), (3.0, 28)])
def test_a_day_that_ends_early_is_not_complete(hour: float, last: int) -> None:
    """The days before end between 23:30 and 23:54."""
    ends = {day: 23.5 + day % 5 / 10 for day in range(29)}
    log = log_of(digests(dict.fromkeys(range(30), 100), ends | {29: hour}))
    assert log.last_complete_day(Timing(NOW)) == FIRST + last


def test_who_says_which_day_is_complete_is_believed() -> None:
    rows = digests(dict.fromkeys(range(30), 100), {29: 3.0})
    assert log_of(rows, through=FIRST + 29).last_complete_day(Timing(NOW)) == FIRST + 29
    assert log_of(rows, through=FIRST + 20).last_complete_day(Timing(NOW)) == FIRST + 20
    assert log_of(rows).last_complete_day(Timing(NOW, due=FIRST + 29)) == FIRST + 29
    assert log_of({}).last_complete_day(Timing(NOW)) is None
    # Before the day is over nothing is complete.
    now = dt.datetime(1970, 1, 1, 12, tzinfo=dt.UTC) + dt.timedelta(days=FIRST + 29)
    assert log_of(digests(dict.fromkeys(range(30), 100))).last_complete_day(Timing(now)) == FIRST + 28


# ------------------------------------------------------------ freshness and clock


def freshness(log: Log, timing: Timing, **thresholds: float) -> dict[str | None, bool | None]:
    return {row.table: row.holds for row in judge_freshness(log, timing, Thresholds(**thresholds))}


EVERY_DAY = digests(dict.fromkeys(range(30), 50))


def test_a_table_that_ends_before_the_other_is_not_fresh() -> None:
    late = {day: text for day, text in EVERY_DAY.items() if day < FIRST + 28}
    assert freshness(log_of(EVERY_DAY, EVERY_DAY), Timing(NOW)) == {"touchpoints": True, "conversions": True}
    assert freshness(log_of(late, EVERY_DAY), Timing(NOW)) == {"touchpoints": False, "conversions": True}
    assert freshness(log_of(late, EVERY_DAY), Timing(NOW), freshness_days=1) == {
        "touchpoints": True,
        "conversions": True,
    }
    # The newest day of one table may just have begun.
    yesterday = {day: text for day, text in EVERY_DAY.items() if day < FIRST + 29}
    assert freshness(log_of(yesterday, EVERY_DAY), Timing(NOW)) == {"touchpoints": True, "conversions": True}


def test_an_old_log_is_only_old_if_a_day_is_due_or_rows_came_every_night() -> None:
    log = log_of(EVERY_DAY, EVERY_DAY)
    assert set(freshness(log, Timing(NOW)).values()) == {True}
    assert set(freshness(log, Timing(NOW, due=FIRST + 29)).values()) == {True}
    assert set(freshness(log, Timing(NOW, due=FIRST + 31)).values()) == {False}
    live = Timing(NOW, live=frozenset({"touchpoints"}))
    assert freshness(log, live) == {"touchpoints": False, "conversions": True}
    rows = judge_freshness(log, live, Thresholds())
    assert "No touchpoints have come since 2024-03-30, but rows of 2026-04-30 are due" in str(rows[0].says)


def test_who_was_in_time_once_is_live_and_stays_so_while_late() -> None:
    inputs = {"touchpoints": {"2026-04-28": "1-1"}, "conversions": {"2026-04-01": "1-1"}}
    timing = Timing.of(None, "2026-04-29T03:00:00+00:00", inputs, (), now=NOW)
    assert timing.live == {"touchpoints"}
    late = ({"guard": "freshness", "table": "touchpoints"},)
    assert Timing.of(None, "2026-06-29T03:00:00+00:00", inputs, late, now=NOW).live == {"touchpoints"}
    assert Timing.of(None, "2026-06-29T03:00:00+00:00", inputs, (), now=NOW).live == frozenset()
    assert Timing.of(None, None, {}, (), now=NOW).live == frozenset()


def test_silences_that_are_usual_are_no_alarm() -> None:
    """A shop that sells on weekdays, and one that sells every fourth day."""
    working = digests({day: 40 for day in range(35) if day % 7 < 5})
    friday = {day: text for day, text in working.items() if day <= FIRST + 32}
    assert freshness(log_of({}, friday), Timing(NOW, due=FIRST + 34)) == {"conversions": True}
    assert freshness(log_of({}, friday), Timing(NOW, due=FIRST + 35)) == {"conversions": False}
    rare = digests(dict.fromkeys(range(0, 60, 4), 1))
    assert freshness(log_of({}, rare), Timing(NOW, due=FIRST + 62)) == {"conversions": True}
    assert freshness(log_of({}, rare), Timing(NOW, due=FIRST + 115)) == {"conversions": False}


def test_few_days_tell_nothing_unless_a_day_was_said_to_be_due() -> None:
    week = digests(dict.fromkeys(range(7), 50))
    late = {day: text for day, text in week.items() if day < FIRST + 4}
    rows = judge_freshness(log_of(late, week), Timing(NOW), Thresholds())
    assert [(row.table, row.holds) for row in rows] == [("touchpoints", None), ("conversions", True)]
    assert "14 days" in str(rows[0].says)
    assert freshness(log_of(late, week), Timing(NOW, due=FIRST + 6)) == {"touchpoints": False, "conversions": True}


def test_false_alarms_of_freshness_are_rare() -> None:
    """Three orders a week at random: a silence of any length, judged every night of a year."""
    random = np.random.default_rng(15)
    alarms = 0
    for _ in range(4):
        counts = random.poisson(3 / 7, 365)
        for today in range(60, 365):
            rows = {day: int(count) for day, count in enumerate(counts[:today]) if count}
            alarms += freshness(log_of({}, digests(rows)), Timing(NOW, due=FIRST + today - 1))["conversions"] is False
    assert alarms <= 2


def test_a_clock_that_was_set_back_is_named() -> None:
    timing = Timing(NOW, last_job=NOW + dt.timedelta(days=2), live=frozenset({"touchpoints"}))
    rows = judge_clock(log_of(EVERY_DAY), timing)
    assert [row.holds for row in rows] == [False, True]
    assert "set the clock right" in str(rows[0].says)
    # What the clock says is not believed.
    assert freshness(log_of(EVERY_DAY), timing) == {"touchpoints": True}
    assert [row.holds for row in judge_clock(log_of(EVERY_DAY), Timing(NOW, last_job=NOW))] == [True, True]


def test_rows_of_the_future_are_named() -> None:
    now = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=FIRST + 10)
    (row,) = judge_clock(log_of(EVERY_DAY), Timing(now))
    assert (row.holds, row.value, row.table) == (False, 19.0, "touchpoints")
    assert "correct the clock or the times" in str(row.says)
    assert judge_clock(log_of(EVERY_DAY), Timing(now, due=FIRST + 29)) == []


def test_costs_that_end_early_are_named() -> None:
    assert judge_costs(FIRST + 6, FIRST + 6, Thresholds()).holds
    row = judge_costs(FIRST + 4, FIRST + 6, Thresholds())
    assert (row.holds, row.value, row.table) == (False, 2.0, "costs")
    assert judge_costs(FIRST + 4, FIRST + 6, Thresholds(freshness_days=2)).holds


# ------------------------------------------------------------ new channels


def test_touchpoints_of_channels_that_are_new_are_counted() -> None:
    counts = np.hstack([shop(np.random.default_rng(16), 30), np.zeros((30, 1), np.int64)])
    names = (*NAMES, "Serach")
    last = FIRST + 29
    days = range(last - 6, last + 1)
    assert [row.holds for row in judge_new_channels(volumes_of(counts, names), last, days, Thresholds())] == [True]
    counts[-7:, 6], counts[-7:, 0] = counts[-7:, 0], 0
    (row,) = judge_new_channels(volumes_of(counts, names), last, days, Thresholds())
    assert row.holds is False
    assert row.value == pytest.approx(counts[-7:, 6].sum() / counts[-7:].sum())
    assert "Serach" in str(row.says)
    (row,) = judge_new_channels(volumes_of(counts[:15], names), FIRST + 14, range(FIRST + 8, FIRST + 15), Thresholds())
    assert row.holds is None
