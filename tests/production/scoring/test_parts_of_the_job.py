"""Parts of a scoring job: what it reads of a log for some days, and how the rows of each day come."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

import attribution as at
from attribution.data.engine import DuckDBEngine, Events
from attribution.errors import InputError
from attribution.journeys import DAY
from attribution.production.scoring import job
from attribution.production.scoring.days import FAR, Input, Reach
from attribution.production.scoring.job import ScoringOptions, Window, input_of

HALF = DAY // 2


def test_a_job_writes_and_reads_tables_as_the_model_does_unless_it_is_told() -> None:
    options = ScoringOptions({}, Path("out"))
    assert (options.canonical, options.dry_run, options.max_gap_days) == (False, False, 400)


@pytest.mark.parametrize(
    ("days", "reach", "window"),
    [
        ([5, 6, 7], Reach(2, closes=True), (3 * DAY, 8 * DAY - 1)),
        ([5], Reach(2, closes=True), (3 * DAY, 6 * DAY - 1)),
        ([3, 4, 9], Reach(2, closes=True), None),  # the log begins on day 1 and ends on day 9
        ([3, 8], Reach(2, closes=True), (1 * DAY, 9 * DAY - 1)),
        ([4, 9], Reach(2, closes=True), (2 * DAY, 10 * DAY - 1)),
        ([5, 6], Reach(FAR, closes=True), None),
    ],
)
def test_a_job_reads_as_far_back_as_the_first_day_reaches(
    monkeypatch: pytest.MonkeyPatch, days: list[int], reach: Reach, window: tuple[int, int] | None
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(job, "build_journeys", lambda sources, **options: asked.update(options, sources=sources))
    sources = at.load_sources(
        pd.DataFrame({"customer_id": [1], "touched_at": ["1970-01-02"], "channel": "mail"}),
        pd.DataFrame({"customer_id": [1], "converted_at": ["1970-01-10"]}),
    )
    scorer = cast(Any, SimpleNamespace(journey_options=lambda _: {"lookback_days": 2.0}))
    job._journeys(scorer, sources, Input({1: "1-1", 4: "1-1"}, {4: "1-1", 9: "1-1"}, reach), days)
    assert asked["sources"].engine._between == window
    assert asked["lookback_days"] == 2.0
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert asked["period"].start == epoch + dt.timedelta(days=days[0])
    assert asked["period"].end == epoch + dt.timedelta(days=days[-1] + 1) - dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("tables", "is_order", "opens"),
    [
        ({"touchpoints", "conversions"}, False, True),
        ({"touchpoints", "conversions"}, True, False),
        ({"conversions", "paths"}, False, False),
        ({"touchpoints"}, False, False),
    ],
)
def test_scoring_needs_conversions_with_timestamps(tables: set[str], is_order: bool, opens: bool) -> None:
    sources = SimpleNamespace(has=lambda table: table in tables, integer_times=is_order)
    scorer = cast(Any, SimpleNamespace(open=lambda *_, **__: sources))
    options = ScoringOptions({}, Path("out"))
    if opens:
        assert job._open(scorer, options, cast(Any, None)) is sources
    else:
        with pytest.raises(InputError, match="scoring needs timestamps"):
            job._open(scorer, options, cast(Any, None))


def test_a_window_hands_on_the_events_between_its_ends() -> None:
    engine = DuckDBEngine(threads=1)
    sql = "select unnest([10, 20, 30, 40]) as happened_at"
    events = Events(sql, 4, False)

    def read(between: tuple[int, int] | None) -> tuple[int, list[int]]:
        given: list[Events] = []
        spy = cast(Any, SimpleNamespace(query=engine.query, map_partitions=lambda events, _: given.append(events)))
        Window(spy, between).map_partitions(events, lambda _: None)
        (only,) = given
        return only.rows, sorted(engine.query(only.sql)["happened_at"].to_pylist())

    assert read((20, 30)) == (2, [20, 30])
    assert read((41, 50)) == (0, [])
    assert read(None) == (4, [10, 20, 30, 40])
    assert Window(engine, None).streams(events)


def test_the_rows_of_the_next_day_are_made_while_those_of_a_day_are_written() -> None:
    threads, begun = set(), []
    has_begun = {day: threading.Event() for day in (4, 5, 6, 7)}

    class Parts:
        days = (4, 5, 6, 7)

        def table(self, day: int, names: object) -> str:
            threads.add(threading.get_ident())
            begun.append(day)
            has_begun[day].set()
            return f"table {day}"

        def unknown(self, day: int, unknown: dict[int, str]) -> dict[str, int]:
            return {unknown[1]: day}

    made = []
    for day, table, unknown in job._one_ahead(cast(Any, Parts()), cast(Any, None), {1: "tv"}):
        made.append((day, table, unknown))
        assert has_begun[min(day + 1, 7)].wait(10)
        assert len(begun) <= len(made) + 1
    assert made == [(day, f"table {day}", {"tv": day}) for day in (4, 5, 6, 7)]
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    without = job._one_ahead(cast(Any, Parts()), cast(Any, None), {})
    assert [unknown for _, _, unknown in without] == [{}] * 4


def test_the_moments_of_an_input_are_those_of_all_that_was_delivered() -> None:
    conversions = pd.DataFrame(
        {"customer_id": [1, 1, 1], "converted_at": ["1970-01-03T12:00", "1970-01-05", "1970-01-06"],
         "is_cancelled": [False, False, True]}
    )  # fmt: skip
    touchpoints = pd.DataFrame({"customer_id": [1], "touched_at": ["1970-01-02"], "channel": "mail"})
    given = input_of(at.load_sources(touchpoints, conversions), Reach(2, closes=True))
    assert (sorted(given.touchpoints), sorted(given.conversions)) == ([1], [2, 4])
    assert given.delivered == (2 * DAY + HALF, 5 * DAY)
