"""Days of an additive hazard: a refit on them is a fit on the log, and days that do not add up are refused."""

from __future__ import annotations

import datetime as dt
import pickle
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.data.engine import DuckDBEngine
from attribution.errors import InputError
from attribution.journeys import Journeys, journeys_by_day
from attribution.models.machinery import get_machinery
from attribution.production.refit import add_up, day_name, day_number, refit, summarise_days
from attribution.production.refit.days import DayTables
from attribution.production.refit.recode import recode_tables
from attribution.schema.experiment import Period
from tests.models.test_additive_hazard import World, found, world

LOG_BEGINS = day_number(dt.date(2024, 1, 1))
FIRST, LAST = LOG_BEGINS + 5, LOG_BEGINS + 37

HOW = ("count", "table", "unknown")
PLAIN: dict[str, Any] = {"half_lives_days": 7.0, "adjust": "none"}


@cache
def shop() -> World:
    return world(customers=2_500, intent=0.2)


@cache
def dated_shop() -> World:
    """A log that knows dates only: all that happens happens at midnight."""
    day = "D"
    touches, bought = shop().touchpoints, shop().conversions
    return replace(
        shop(),
        touchpoints=touches.assign(touched_at=touches["touched_at"].dt.floor(day)),
        conversions=bought.assign(converted_at=bought["converted_at"].dt.floor(day)),
    )


def until(log: World, day: int) -> World:
    """The log as it was when this day began."""
    moment = pd.Timestamp(day_name(day))
    return replace(
        log,
        touchpoints=log.touchpoints[log.touchpoints["touched_at"] < moment],
        conversions=log.conversions[log.conversions["converted_at"] < moment],
    )


def sources_of(log: World, how: str = "unknown", **options: Any) -> at.Sources:
    return log.sources(listed=how == "table", **options)


def days_of(journeys: Journeys, model: at.AdditiveHazard, first: int, last: int) -> dict[int, DayTables]:
    return summarise_days(journeys, [model], first, last)


def by_day(sources: at.Sources, **options: Any) -> Journeys:
    return journeys_by_day(sources, lookback_days=7, **options)


def refitted(model: at.AdditiveHazard, days: dict[int, DayTables], channels: tuple[str, ...]) -> at.AdditiveHazard:
    refit(add_up(days, channels, models=1), [model])
    return model


def on_the_log(model: at.AdditiveHazard, sources: at.Sources, first: int, last: int, **options: Any) -> None:
    period = Period(start=day_name(first), end=day_name(last))
    model.fit(at.build_journeys(sources, lookback_days=7, period=period, **options))


def assert_same(made: at.AdditiveHazard, expected: at.AdditiveHazard) -> None:
    for what in ("conversions", "value"):
        of, wanted = getattr(made.credit_, what), getattr(expected.credit_, what)
        np.testing.assert_allclose(of, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())
    assert made.half_lives_ == expected.half_lives_
    np.testing.assert_allclose(made.half_life_weights_, expected.half_life_weights_, atol=1e-8)
    assert made.baseline_rate_ == pytest.approx(expected.baseline_rate_, rel=1e-8)
    pd.testing.assert_frame_equal(made.assignment_, expected.assignment_, rtol=1e-6, atol=1e-6)
    assert found(made) == found(expected)


# ---------------------------------------------------------------- days add up


@pytest.mark.parametrize(("log", "conversions"), [(shop, "reset"), (shop, "first_only"), (dated_shop, "reset")])
@pytest.mark.parametrize("how", HOW)
def test_a_refit_on_days_is_a_fit_on_the_log(how: str, log: Any, conversions: str) -> None:
    customers = log().customers if how == "count" else None
    sources = sources_of(log(), how)
    journeys = by_day(sources, conversions=conversions)
    for options, first in (({}, FIRST), (PLAIN, LOG_BEGINS)):
        made = at.AdditiveHazard(customers=customers, **options)
        refitted(made, days_of(journeys, made, first, LAST), journeys.channels)
        expected = at.AdditiveHazard(customers=customers, **options)
        on_the_log(expected, sources, first, LAST, conversions=conversions)
        assert np.abs(expected.credit_.conversions[:-1]).sum() > 50
        assert_same(made, expected)


def test_who_converts_at_the_first_instant_of_a_period_was_at_risk() -> None:
    model, log = at.AdditiveHazard(customers=shop().customers, **PLAIN), dated_shop()
    on_the_log(model, sources_of(log), FIRST, LAST)
    inside = log.conversions["converted_at"].between(day_name(FIRST), day_name(LAST))
    bought = log.conversions[inside].drop_duplicates(["customer_id", "converted_at"])
    conversions = get_machinery(model).tables_of(model.summary_)["conversions"]
    assert conversions.tolist() == bought.groupby("converted_at").size().tolist()


@pytest.mark.parametrize("how", HOW)
def test_it_does_not_matter_on_which_night_a_day_was_written(how: str) -> None:
    """Customers of whom nobody had heard yet were at risk all the same, and a table of customers may grow."""
    log, middle = shop(), FIRST + 14
    early = replace(until(log, middle), customers=log.customers - 200)
    customers = log.customers if how == "count" else None
    made, expected = at.AdditiveHazard(customers=customers), at.AdditiveHazard(customers=customers)
    journeys = by_day(sources_of(log, how))
    days = days_of(by_day(sources_of(early, how)), made, FIRST, middle - 1)
    days |= days_of(journeys, made, middle, LAST)
    assert found(refitted(made, days, journeys.channels)).keys() <= found(made).keys()
    on_the_log(expected, sources_of(log, how), FIRST, LAST)
    assert_same(made, expected)


def test_half_lives_are_those_that_the_window_is_long_enough_for() -> None:
    journeys = by_day(sources_of(shop()))
    model = at.AdditiveHazard()
    days = days_of(journeys, model, FIRST, LAST)
    short = {day: days[day] for day in range(FIRST, FIRST + 20)}
    assert refitted(model, days, journeys.channels).half_lives_ == (2.0, 7.0)
    assert refitted(model, short, journeys.channels).half_lives_ == (2.0,)
    expected = at.AdditiveHazard()
    on_the_log(expected, sources_of(shop()), FIRST, FIRST + 19)
    assert_same(model, expected)
    with pytest.raises(InputError, match="at least 4 half-lives"):
        refitted(model, {day: days[day] for day in range(FIRST, FIRST + 7)}, journeys.channels)


def test_channels_may_come_later() -> None:
    """Mail begins after days were written, before video in the order of names."""
    log, middle = shop(), FIRST + 14
    is_early_mail = (log.touchpoints["channel"] == "mail") & (
        log.touchpoints["touched_at"] < pd.Timestamp(day_name(middle))
    )
    log = replace(log, touchpoints=log.touchpoints[~is_early_mail])
    model, expected = at.AdditiveHazard(), at.AdditiveHazard()
    early, journeys = by_day(sources_of(until(log, middle))), by_day(sources_of(log))
    before = days_of(early, model, FIRST, middle - 1)
    assert early.channels == ("direct", "video", "visit")
    days = {day: recode_tables(of, early.channels, journeys.channels, [model]) for day, of in before.items()}
    refitted(model, days | days_of(journeys, model, middle, LAST), journeys.channels)
    on_the_log(expected, sources_of(log), FIRST, LAST)
    assert_same(model, expected)


def test_days_are_the_same_bytes_however_journeys_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    model = at.AdditiveHazard()
    at_once = days_of(by_day(sources_of(shop(), "table")), model, FIRST, FIRST + 3)
    monkeypatch.setattr(DuckDBEngine, "streams", lambda engine, events: True)
    streamed = by_day(sources_of(shop(), "table", partitions=3, batch_rows=2_000))
    assert not isinstance(streamed.chunks, tuple)
    for day, tables in days_of(streamed, model, FIRST, FIRST + 3).items():
        for name in ("2/risk_sums", "2/risk_days", "2/risk_roles", "2/risk_customers"):
            assert tables[name].keys.tobytes() == at_once[day][name].keys.tobytes(), name
            assert tables[name].sums.limbs.tobytes() == at_once[day][name].sums.limbs.tobytes(), name


def test_what_reads_days_can_be_sent_to_another_machine() -> None:
    journeys = by_day(sources_of(shop(), "table"))
    of = get_machinery(at.AdditiveHazard()).daywise(journeys, range(FIRST, FIRST + 2))
    assert of is not None
    (chunk, *_) = journeys
    here, there = (read(chunk).tables["risk_sums"] for read in (of.read, pickle.loads(pickle.dumps(of)).read))
    assert there.sums.limbs.tobytes() == here.sums.limbs.tobytes()


# ---------------------------------------------------------------- days that do not add up


def test_days_of_other_roles_do_not_add_up() -> None:
    model = at.AdditiveHazard()
    paid, also = by_day(sources_of(shop())), by_day(sources_of(shop(), paid=("mail", "video", "visit")))
    days = days_of(paid, model, FIRST, FIRST + 9) | days_of(also, model, FIRST + 10, LAST)
    with pytest.raises(InputError, match=r"'visit' is not of one kind.*credited on 23 days, unpaid on 10 days"):
        refitted(model, days, paid.channels)


def test_days_that_know_other_customers_do_not_add_up() -> None:
    model = at.AdditiveHazard()
    none, listed = by_day(sources_of(shop())), by_day(sources_of(shop(), "table"))
    days = days_of(none, model, FIRST, FIRST + 9) | days_of(listed, model, FIRST + 10, LAST)
    with pytest.raises(InputError, match=r"known in another way.*not at all, from the table customers"):
        refitted(model, days, none.channels)


def test_names_and_numbers_that_do_not_fit_are_refused() -> None:
    journeys = by_day(sources_of(shop()))
    model = at.AdditiveHazard(credited=["mail", "radio"], unpaid=["direct"])
    days = days_of(journeys, model, FIRST, LAST)
    with pytest.raises(InputError, match="'radio', but no touchpoint has this channel"):
        refitted(model, days, journeys.channels)
    few = at.AdditiveHazard(customers=100)
    with pytest.raises(InputError, match="more customers are in the log than could be reached"):
        refitted(few, days_of(journeys, few, FIRST, LAST), journeys.channels)


@pytest.mark.parametrize(("half_life", "since", "cut"), [(7.0, 8, 25), (1.0, 12, 0), (1.0, 10, 2)])
def test_a_log_that_began_later_is_named(half_life: float, since: int, cut: int) -> None:
    """Ten half-lives of history are enough; less is not, where other days have more."""
    log, begins = shop(), pd.Timestamp(day_name(FIRST + 2))
    late = replace(
        log,
        touchpoints=log.touchpoints[log.touchpoints["touched_at"] >= begins],
        conversions=log.conversions[log.conversions["converted_at"] >= begins],
    )
    model, journeys = at.AdditiveHazard(half_lives_days=half_life), by_day(sources_of(log))
    days = days_of(journeys, model, FIRST, LAST) | days_of(by_day(sources_of(late)), model, FIRST + since, LAST)
    refitted(model, days, journeys.channels)
    counts = {row.check: row.count for row in get_machinery(model).findings() if row.status == "warn"}
    assert counts.get("short_history", 0) == cut


def test_cumulative_journeys_are_refused() -> None:
    with pytest.raises(InputError, match="needs conversions that end a journey"):
        days_of(by_day(sources_of(shop()), conversions="cumulative"), at.AdditiveHazard(), FIRST, LAST)
