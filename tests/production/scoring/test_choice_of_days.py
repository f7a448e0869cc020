"""Which days an input speaks for and which are scored, at the very edges: numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from attribution.journeys import DAY
from attribution.production.scoring.days import (
    FAR,
    Choice,
    Input,
    News,
    Reach,
    choose_days,
    day_name,
    day_number,
    is_same,
)

RESET = Reach(2, closes=True)
CUMULATIVE = Reach(2, closes=False)


def full(days: range, rows: str = "3-7@0-90") -> dict[int, str]:
    """The same rows on each day: three, the first at its start and the last 90 µs later."""
    return dict.fromkeys(days, rows)


def known(touchpoints: dict[int, str], conversions: dict[int, str]) -> dict[str, dict[str, str]]:
    return {
        table: {day_name(day): rows for day, rows in of.items()}
        for table, of in (("touchpoints", touchpoints), ("conversions", conversions))
    }


def manifest(days: range, **told: Any) -> dict[str, Any]:
    return {"schema_version": 2, "days": {day_name(day): {"made_by": "m"} for day in days}, **told}


class By(NamedTuple):
    """One version on all days."""

    version: str

    def made_by(self, _: int) -> str:
        return self.version

    def reads_as_newest(self, _: int) -> bool:
        return True


class TwoVersions(NamedTuple):
    """Another version from a day on, which reads the tables otherwise than the one before."""

    since: int

    def made_by(self, day: int) -> str:
        return "m" if day < self.since else "new"

    def reads_as_newest(self, day: int) -> bool:
        return day >= self.since


def test_a_day_is_scored_again_only_by_the_version_in_effect_on_it() -> None:
    days = full(range(1, 9))
    news = Input(days, days, RESET).against(known(days, days))
    assert choose_days(news, manifest(range(1, 9)), TwoVersions(7)) == Choice([7, 8])
    assert choose_days(news, manifest(range(1, 9)), TwoVersions(9)) == Choice([])
    # Whether a day has conversions is for the version to say that reads others than the tables here.
    news = Input(days, {day: rows for day, rows in days.items() if day not in (3, 7)}, CUMULATIVE).against(
        known(days, days)
    )
    assert choose_days(news, manifest(range(1, 9)), TwoVersions(6)) == Choice([3, 6, 8], emptied=[7])


def test_days_are_counted_from_1970() -> None:
    assert [day_name(day) for day in (-1, 0, 1, 59)] == ["1969-12-31", "1970-01-01", "1970-01-02", "1970-03-01"]
    assert [day_number(name) for name in ("1969-12-31", "1970-01-01", "1970-01-02")] == [-1, 0, 1]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, None, True),
        (None, "3-7@0-90", False),
        ("3-7@0-90", None, False),
        ("3-7@0-90", "3-7@0-90", True),
        ("3-7@0-90", "3-7@0-91", False),
        ("3-7", "3-7@0-91", True),  # written before times were kept
        ("3-7@0-91", "3-7", True),
        ("3-8", "3-7@0-90", False),
        ("2-moved", "2-7@0-90", False),
    ],
)
def test_fingerprints_are_compared_by_what_both_tell(one: str | None, other: str | None, same: bool) -> None:
    assert is_same(one, other) is same


@pytest.mark.parametrize(
    ("lookback", "conversions", "customers", "days", "closes"),
    [
        (2.0, "reset", "all", 2, True),
        (2.5, "reset", "all", 3, True),
        (2.0, "cumulative", "all", 2, False),
        (2.0, "first_only", "all", FAR, True),
        (2.0, "cumulative", "new", FAR, True),
        (None, "cumulative", "all", FAR, True),
        (None, "reset", "all", FAR, True),
    ],
)
def test_an_event_reaches_as_far_as_the_options_say(
    lookback: float | None, conversions: str, customers: str, days: int, closes: bool
) -> None:
    assert Reach.of(lookback, conversions, customers) == Reach(days, closes)


def test_a_cause_reaches_its_own_day_and_those_within_the_window() -> None:
    assert [day for day in range(8, 25) if RESET.meets(day, [10, 20])] == [10, 11, 12, 20, 21, 22]
    assert not RESET.meets(10, [])


def test_an_input_speaks_for_the_days_of_its_first_and_last_conversion() -> None:
    given = Input(full(range(3, 8)), full(range(5, 7)), RESET)
    news = given.against({})
    assert news.conversions == (5, 6, ())
    assert news.touchpoints == (3, 7, ())
    # A conversion that was called off speaks for its day as well; midnight belongs to the day that it begins.
    called_off = replace(given, delivered=(5 * DAY - 1, 8 * DAY)).against({})
    assert called_off.conversions == (4, 8, ())
    assert replace(given, delivered=(5 * DAY, 8 * DAY - 1)).against({}).conversions == (5, 7, ())


@pytest.mark.parametrize(
    ("covers", "touched"), [((1, 9), (1, 9)), ((4, 5), (3, 7)), ((5, 9), (3, 9)), ((2, 4), (2, 7))]
)
def test_days_said_to_be_covered_widen_those_of_the_touchpoints(
    covers: tuple[int, int], touched: tuple[int, int]
) -> None:
    news = Input(full(range(3, 8)), full(range(4, 6)), RESET, covers).against({})
    assert news.conversions == (*covers, ())
    assert news.touchpoints == (*touched, ())


BEFORE = "3-7@10-90"


@pytest.mark.parametrize(
    ("before", "given", "touched", "cut"),
    [
        (BEFORE, "2-5@40-90", "1-1@40-90", (5,)),  # a row at 10 is no longer there, and nothing shows that it should be
        (BEFORE, "2-5@40-90", "1-1@11-90", (5,)),
        (BEFORE, "2-5@40-90", "1-1@10-90", ()),  # a touchpoint as early: the input reaches back so far
        (BEFORE, "2-5@40-90", "1-1@9-90", ()),
        (BEFORE, "2-5@10-90", "1-1@40-90", ()),  # the first row is there, another one was deleted
        (BEFORE, BEFORE, "1-1@40-90", ()),
        ("3-7", "2-5@40-90", "1-1@40-90", (5,)),  # nobody knows when its rows were
        ("3-moved", "2-5@40-90", "1-1@40-90", ()),
        (None, "2-5@40-90", "1-1@40-90", ()),
    ],
)
def test_a_day_that_an_input_begins_in_the_middle_of_is_cut(
    before: str | None, given: str, touched: str, cut: tuple[int, ...]
) -> None:
    inputs = known({}, {} if before is None else {5: before})
    news = Input({5: touched}, {5: given, 6: "1-1@0-0"}, RESET).against(inputs)
    assert news.conversions == (5 + len(cut), 6, cut)
    said = Input({5: touched}, {5: given, 6: "1-1@0-0"}, RESET, covers=(5, 6)).against(inputs)
    assert said.conversions == (5, 6, ())


@pytest.mark.parametrize(
    ("last", "touched", "cut"),
    [("2-5@0-80", 80, (6,)), ("2-5@0-80", 89, (6,)), ("2-5@0-80", 90, ()), ("2-5@0-90", 80, ())],
)
def test_a_day_that_an_input_ends_in_the_middle_of_is_cut(last: str, touched: int, cut: tuple[int, ...]) -> None:
    inputs = known({}, {6: "3-7@0-90"})
    news = Input({6: f"1-1@0-{touched}"}, {5: "1-1@0-0", 6: last}, RESET).against(inputs)
    assert news.conversions == (5, 6 - len(cut), cut)
    assert 5 in news.conversions
    assert (6 in news.conversions) is (cut == ())


def test_a_single_day_cut_at_both_ends_is_named_once() -> None:
    news = Input({}, {5: "1-1@40-50"}, RESET).against(known({}, {5: "3-7@10-90"}))
    assert news.conversions.cut == (5,)
    assert 5 not in news.conversions
    assert news.changed("conversions") == []
    assert news.missing("conversions") == [5]


def moved_news() -> News:
    """Days 1 … 8 were known and 5 … 8 are given; day 2 lost all conversions to them, day 3 one of three."""
    news = Input(full(range(1, 9)), full(range(5, 9)), RESET).against(known(full(range(1, 9)), full(range(1, 9))))
    return replace(news, moved={2: 0, 3: 2}, entered=frozenset({4}))


def test_what_moved_away_is_no_longer_known_and_nothing_of_it_is_missing() -> None:
    news = moved_news()
    assert news.missing("conversions") == [1, 3, 4]
    conversions = {day_number(name): rows for name, rows in news.merge_inputs()["conversions"].items()}
    assert conversions == {day: rows for day, rows in full(range(1, 9)).items() if day not in {2, 3}} | {3: "2-moved"}
    assert news.changed("conversions") == []
    assert news.changed("touchpoints") == []


def test_history_that_is_new_counts_outside_the_days_spoken_for() -> None:
    before = known(full(range(3, 6)), full(range(4, 6)))
    news = Input(full(range(1, 6)), full(range(5, 7)), RESET, delivered=(5 * DAY, 6 * DAY)).against(before)
    assert news.changed("touchpoints") == [1, 2]
    assert news.changed("conversions") == [6]
    assert sorted(day_number(day) for day in news.merge_inputs()["touchpoints"]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("reach", "expected"), [(RESET, {5, 6}), (CUMULATIVE, set())])
def test_missing_conversions_are_missing_history_only_where_they_close_journeys(
    reach: Reach, expected: set[int]
) -> None:
    before = known(full(range(1, 9)), full(range(1, 9)))
    assert set(Input(full(range(1, 9)), full(range(5, 9)), reach).against(before).lacks_history()) == expected


@pytest.mark.parametrize(
    ("reach", "asked", "expected"),
    [
        # Orders of days 2 … 4 went or came: what they close reaches two days further under reset.
        (RESET, (None, None), Choice([], [], [], [2, 3, 4, 5, 6])),
        (RESET, (4, 5), Choice([], [], [], [4, 5], [2, 3, 6])),
        (CUMULATIVE, (None, None), Choice([])),
        (CUMULATIVE, (6, 7), Choice([6, 7])),
        (CUMULATIVE, (7, None), Choice([7, 8])),
        (CUMULATIVE, (None, 5), Choice([5])),
    ],
)
def test_days_that_lost_or_gained_orders_are_mended_or_named(
    reach: Reach, asked: tuple[int | None, int | None], expected: Choice
) -> None:
    news = moved_news()
    news = replace(news, current=replace(news.current, reach=reach))
    assert choose_days(news, manifest(range(1, 9)), By("m"), between=asked) == expected


def test_an_outdated_day_is_scored_where_its_history_is_there_and_kept_where_not() -> None:
    news = Input(full(range(1, 9)), full(range(5, 9)), RESET).against(known(full(range(1, 9)), full(range(1, 9))))
    assert choose_days(news, manifest(range(1, 9)), By("other")) == Choice([7, 8], without_history=[5, 6])
    assert choose_days(news, manifest(range(1, 9), schema_version=1), By("m")) == Choice([7, 8], without_history=[5, 6])
    assert choose_days(news, manifest(range(1, 9)), By("m")) == Choice([])
    assert choose_days(news, manifest(range(1, 9)), By("other"), between=(6, 7)) == Choice(
        [7], without_history=[6], deferred=[5, 8]
    )


def test_days_left_over_from_before_are_taken_up_again() -> None:
    news = Input(full(range(1, 9)), full(range(1, 9)), RESET).against(known(full(range(1, 9)), full(range(1, 9))))
    told = manifest(range(1, 9), outdated={day_name(3): ["a"]}, deferred=[day_name(5)])
    assert choose_days(news, told, By("m")) == Choice([3, 5])
    assert choose_days(news, told, By("m"), damaged=[7]) == Choice([3, 5, 7])
    assert choose_days(news, told, By("m"), between=(4, 6)) == Choice([4, 5, 6], deferred=[3])


def test_a_damaged_day_that_an_input_does_not_tell_is_named() -> None:
    news = Input(full(range(5, 9)), full(range(5, 9)), CUMULATIVE).against(known(full(range(1, 9)), full(range(1, 9))))
    assert choose_days(news, manifest(range(1, 9)), By("m"), damaged=[2, 8]) == Choice([8], outdated=[2])


def test_a_day_without_conversions_is_emptied_inside_and_left_alone_outside() -> None:
    conversions = {day: rows for day, rows in full(range(3, 9)).items() if day != 5}
    news = Input(full(range(1, 9)), conversions, CUMULATIVE).against(known(full(range(1, 9)), full(range(1, 9))))
    assert choose_days(news, manifest(range(1, 9)), By("m")) == Choice([], emptied=[5])
    assert choose_days(news, manifest(range(1, 9)), By("m"), between=(6, 8)) == Choice([6, 7, 8], deferred=[5])
