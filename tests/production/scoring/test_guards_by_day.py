"""Which days the guards of a scoring job look at, and what they say of a history: numbers worked out by hand."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from attribution.models.saved import Scorer
from attribution.production.guards import GuardResult, Thresholds, Timing
from attribution.production.guards.scores import History
from attribution.production.scoring.days import Choice, Input, Reach, day_name
from attribution.production.scoring.in_effect import VersionsInEffect
from attribution.production.scoring.publication import Scored
from attribution.production.scoring.scoring_guards import ScoringGuards
from tests.production.scoring.askers import asker
from tests.production.scoring.test_choice_of_days import full, known

RESET = Reach(3, closes=True)
TIMING = Timing(dt.datetime(1970, 3, 1, tzinfo=dt.UTC))
TEN_ON = Input(full(range(10, 21)), full(range(10, 21)), RESET)
"""Both tables from day 10 to day 20."""

LATE = Input(full(range(15, 21)), full(range(15, 21)), RESET)
"""Both tables from day 15 to day 20; the window is three days."""


def scorer_of(first: int | None = 5, grain: str = "channel", credit: Any = None, **options: Any) -> Scorer:
    """Of a model that was fitted on touchpoints from a day on."""
    made = asker(**{"lookback_days": 3.0, **options})
    training = made.definition.training
    assert training is not None
    began = None if first is None else f"{day_name(first)} 10:00:00"
    definition = replace(made.definition, training=replace(training, touched_first=began), grain=grain)
    return cast(Scorer, SimpleNamespace(definition=definition, reference={} if credit is None else {"credit": credit}))


def guards_of(
    given: Input,
    before: dict[str, dict[str, str]] | None = None,
    manifest: dict[str, Any] | None = None,
    scorer: Scorer | None = None,
    **further: Any,
) -> ScoringGuards:
    versions = SimpleNamespace(
        newest=scorer or scorer_of(), made_otherwise=lambda days: tuple(day for day in days if "o" in days[day])
    )
    news = given.against(before or {})
    thresholds = further.pop("thresholds", Thresholds())
    return ScoringGuards(
        cast(VersionsInEffect, versions),
        news,
        {"inputs": before, **manifest} if manifest else {},
        TIMING,
        thresholds,
        **further,
    )


def published(days: range) -> dict[str, Any]:
    return {"days": {day_name(day): {} for day in days}}


# ------------------------------------------------------------ days whose history is cut off


def test_days_are_cut_that_need_touchpoints_from_before_the_first() -> None:
    assert guards_of(TEN_ON).cut_days == {10, 11, 12}
    assert guards_of(TEN_ON, manifest=published(range(11, 12))).cut_days == {10, 12}
    assert guards_of(replace(TEN_ON, covers=(11, 20))).cut_days == {11, 12}
    assert guards_of(replace(TEN_ON, touchpoints={})).cut_days == frozenset()


def test_what_was_given_in_earlier_nights_is_history() -> None:
    assert guards_of(TEN_ON, known(full(range(8, 13)), {})).cut_days == {10}
    assert guards_of(TEN_ON, known(full(range(12, 14)), {})).cut_days == {10, 11, 12}


@pytest.mark.parametrize(("first", "cut"), [(9, {10, 11, 12}), (10, set()), (11, set()), (None, set())])
def test_a_model_that_was_fitted_on_earlier_touchpoints_tells_that_there_are_some(
    first: int | None, cut: set[int]
) -> None:
    assert guards_of(TEN_ON, scorer=scorer_of(first)).cut_days == cut


def test_history_that_is_asked_for_needs_no_training() -> None:
    asked = {"scorer": scorer_of(None), "thresholds": Thresholds(history_days=2)}
    assert guards_of(TEN_ON, **asked).cut_days == {10, 11}  # type: ignore[arg-type]  # settings of a table


# ------------------------------------------------------------ days that are judged


def test_the_last_seven_complete_days_are_judged_that_changed() -> None:
    def days(guards: ScoringGuards) -> set[int]:
        return guards._days(guards._log())

    whole = replace(TEN_ON, covers=(10, 20))
    assert days(guards_of(whole)) == set(range(14, 21))
    assert days(guards_of(replace(whole, covers=(11, 18)))) == set(range(12, 19))
    assert days(guards_of(TEN_ON)) == set(range(14, 21))
    # The newest day ends earlier than the others do: it is not over.
    assert days(guards_of(replace(TEN_ON, touchpoints={**full(range(10, 20)), 20: "3-7@0-80"}))) == set(range(13, 20))
    assert days(guards_of(replace(whole, touchpoints={}))) == set()
    before = known(full(range(10, 20)), full(range(10, 20)))
    rows = [{"guard": "volume", "day": day_name(19), "days": 1}, {"guard": "baseline", "day": day_name(18), "days": 7},
            {"guard": "history", "day": day_name(17), "days": 1}]  # fmt: skip
    assert days(guards_of(whole, before, {"guards": rows})) == {20}
    # The same input again: the days of which the job before has said something.
    same = known(full(range(10, 21)), full(range(10, 21)))
    assert days(guards_of(whole, same, {"guards": rows})) == {19}
    assert days(guards_of(whole, same, {"guards": []})) == set()
    assert days(guards_of(whole, same)) == set()


def test_the_history_of_an_input_is_as_long_as_the_window() -> None:
    assert guards_of(TEN_ON)._history() == History(10, 3.0, 0)
    assert guards_of(replace(TEN_ON, covers=(8, 20)))._history() == History(8, 3.0, 0)
    assert guards_of(replace(TEN_ON, touchpoints={10: "1-1", 14: "1-1"}))._history() == History(10, 3.0, 3)
    assert guards_of(replace(TEN_ON, touchpoints={}))._history() is None
    visits = scorer_of(visit_gap_minutes=30.0, visit_source="last_non_direct", visit_lookback_days=1.5)
    assert guards_of(TEN_ON, scorer=visits)._history() == History(10, 6.0, 0)
    assert guards_of(TEN_ON, scorer=scorer_of(lookback_days=40_000.0))._history() is None
    assert guards_of(TEN_ON, thresholds=Thresholds(history_days=5))._history() == History(10, 5.0, 0)
    assert guards_of(TEN_ON, thresholds=Thresholds(history_days=0))._history() is None


# ------------------------------------------------------------ what is said of a history

BEFORE = known(full(range(1, 21)), full(range(1, 21)))


def said(
    choice: Choice, given: Input = LATE, **further: Any
) -> list[tuple[bool | None, str | None, int, float | None]]:
    """Whether it holds, the day, how many days, and how far touchpoints reach back before the first of them."""
    further = {"before": BEFORE, "manifest": published(range(1, 21)), **further}
    rows = list(guards_of(given, **further)._judge_history(choice))
    assert {(row.guard, row.table, row.channel, row.expected, row.bound) for row in rows} <= {
        ("history", "touchpoints", None, None, 3.0)
    }
    return [(row.holds, row.day, row.days, row.value) for row in rows]


def test_days_that_have_their_history_hold() -> None:
    assert said(Choice([18, 19])) == [(True, day_name(18), 1, 3.0)]
    assert said(Choice([])) == []
    assert said(Choice([18]), thresholds=Thresholds(history_days=0)) == []


def test_days_that_lack_history_are_named_where_they_were_to_be_made_right() -> None:
    assert said(Choice([], outdated=[16, 18])) == [(False, day_name(16), 1, 1.0)]
    assert said(Choice([18], outdated=[15, 16])) == [(False, day_name(16), 2, 0.0)]
    assert said(Choice([], without_history=[16])) == []
    assert said(Choice([], without_history=[16, 18]), is_chosen=True) == [(False, day_name(16), 1, 1.0)]


def test_days_that_were_written_before_are_told_apart_from_new_ones() -> None:
    guards = guards_of(LATE, BEFORE, published(range(1, 16)))
    new, old = guards._judge_history(Choice([], outdated=[15, 16]))
    assert "1 day was not written: 1970-01-17." in str(new.says)
    assert "set history_days" in str(new.says)
    assert "1 day stays as it was: 1970-01-16." in str(old.says)
    assert "set history_days" not in str(old.says)


def test_an_input_of_which_even_the_last_day_lacks_history_is_useless() -> None:
    short = Input(full(range(15, 18)), full(range(15, 18)), RESET)
    assert said(Choice([]), short) == [(False, day_name(17), 3, 0.0)]
    assert said(Choice([]), short, manifest=published(range(1, 17))) == [(False, day_name(16), 2, 0.0)]
    assert said(Choice([], outdated=[16]), short) == [(False, day_name(16), 1, 1.0)]


def test_days_outside_of_those_spoken_for_lack_nothing() -> None:
    """Day 15 is given and was not covered."""
    assert said(Choice([], outdated=[15, 16]), replace(LATE, covers=(16, 20))) == [(False, day_name(16), 1, 1.0)]


def test_the_same_job_names_the_days_that_it_left_out_again() -> None:
    same = known(full(range(10, 21)), full(range(10, 21)))
    history, volume = {"guard": "history"}, {"guard": "volume"}

    def told(guards: list[dict[str, str]], before: dict[str, dict[str, str]] = same, **further: Any) -> list[Any]:
        manifest = {"guards": guards, **published(range(13, 21))}
        return said(Choice([]), TEN_ON, before=before, manifest=manifest, **further)

    assert told([volume, history]) == [(False, day_name(12), 3, 0.0)]
    assert told([volume]) == []
    assert told([]) == []
    assert told([history], is_chosen=True) == []
    assert told([history], known(full(range(10, 20)), full(range(10, 20)))) == []


def test_cut_days_are_named_and_where_nobody_knows_of_earlier_touchpoints_that_is_said() -> None:
    fresh: dict[str, Any] = {"before": {}, "manifest": None}
    assert said(Choice([13], without_history=[10, 11, 12]), TEN_ON, **fresh) == [(False, day_name(12), 3, 0.0)]
    assert said(Choice([13], without_history=[10, 14]), TEN_ON, **fresh) == [(False, day_name(10), 1, 0.0)]
    unsure = guards_of(TEN_ON, scorer=scorer_of(None))
    (row,) = unsure._judge_history(Choice([11, 12]))
    says = "no touchpoints before 1970-01-11 are known to exist."
    assert row == GuardResult("history", "touchpoints", None, day_name(11), 1, 1.0, None, 3.0, None, says)


# ------------------------------------------------------------ what is published


def scored_as(**told: Any) -> Scored:
    rows = pd.DataFrame({"day": [day_name(19), day_name(20)], "channel": "mail", "conversions_before": 4.0,
                         "conversions_after": 1.0})  # fmt: skip
    scored = {"restatement": rows, "written": (day_name(20),), "removed": (), "revision": 7, "unknown_channels": {}}
    return cast(Scored, SimpleNamespace(**(scored | told)))


ENTRIES = {
    day_name(day): {"conversions": 4.0, "unattributed": 1.0, "baseline": 2.0, "unknown": 0, "rows": 9}
    for day in (18, 19, 20)
}


def test_days_that_changed_are_counted_but_for_those_of_another_version() -> None:
    restated = guards_of(TEN_ON)._judge_restated
    assert restated(scored_as(), ENTRIES).value == 2.0
    assert restated(scored_as(), {**ENTRIES, day_name(20): {**ENTRIES[day_name(20)], "o": True}}).value == 1.0
    assert restated(scored_as(restatement=pd.DataFrame()), ENTRIES).value == 0.0
    strict = guards_of(TEN_ON, thresholds=Thresholds(restated_days=1))._judge_restated(scored_as(), ENTRIES)
    assert "restatement/revision=000007 says what changed" in str(strict.says)


def test_the_same_job_says_the_same_of_days_that_changed() -> None:
    same = known(full(range(10, 21)), full(range(10, 21)))
    told = {"guard": "restated", "value": 7.0, "bound": 3.0, "holds": False, "days": 7}
    manifest = {"guards": [{"guard": "volume", "value": 1.0}, told]}
    nothing: dict[str, Any] = {"written": (), "restatement": pd.DataFrame()}

    def value(
        scored: Scored, before: dict[str, dict[str, str]] = same, most: int = 7
    ) -> tuple[float | None, bool | None]:
        row = guards_of(TEN_ON, before, manifest, thresholds=Thresholds(restated_days=most))._judge_restated(
            scored, ENTRIES
        )
        return row.value, row.holds

    assert value(scored_as(**nothing)) == (7.0, True)
    assert value(scored_as(**nothing), most=6) == (7.0, False)
    assert value(scored_as()) == (2.0, True)
    assert value(scored_as(**{**nothing, "removed": (day_name(3),)})) == (0.0, True)
    assert value(scored_as(**nothing), known(full(range(10, 20)), full(range(10, 20)))) == (0.0, True)
    again = guards_of(TEN_ON, same, {"guards": [{"guard": "volume", "value": 1.0}]})
    assert again._judge_restated(scored_as(**nothing), ENTRIES).value == 0.0


def judged(guards: ScoringGuards, before: dict[str, Any]) -> list[tuple[str, str | None]]:
    first = GuardResult("clock")
    results = guards.judge_scores([first], scored_as(), before, ENTRIES)
    assert results[0] is first
    return [(row.guard, row.day) for row in results[1:]]


def test_scores_of_the_last_complete_day_and_of_days_that_changed_are_judged() -> None:
    credit = pd.DataFrame({"channel": ["mail", "(unattributed)", "(baseline)"], "conversions": [3.0, 2.0, 5.0]})
    scorer = scorer_of(credit=credit)
    whole = replace(TEN_ON, covers=(10, 20))
    same = known(full(range(10, 21)), full(range(10, 21)))
    of_last = [(name, day_name(20)) for name in ("unattributed", "baseline", "unknown_channels")]
    assert judged(guards_of(whole, same, {"guards": []}, scorer), {}) == of_last
    of_two = [
        (name, day_name(day)) for name in ("unattributed", "baseline", "unknown_channels") for day in (18, 19, 20)
    ]
    before = known(full(range(10, 18)), full(range(10, 21)))
    assert judged(guards_of(whole, before, {"guards": []}, scorer), {}) == of_two
    restated = [*of_last, ("restated", None)]
    assert judged(guards_of(whole, same, {"guards": []}, scorer), ENTRIES) == restated
    assert judged(guards_of(whole, same, {"guards": []}, scorer, is_chosen=True), ENTRIES) == of_last
    by_campaign = scorer_of(grain="campaign", credit=credit)
    assert judged(guards_of(whole, same, {"guards": []}, by_campaign), {}) == of_last[:2]
    asked = Thresholds(unknown_channels=0.05)
    assert judged(guards_of(whole, same, {"guards": []}, by_campaign, thresholds=asked), {}) == of_last
    assert judged(guards_of(replace(whole, touchpoints={}), {}, {"guards": []}, scorer), {}) == []


@pytest.mark.parametrize(
    ("mail", "none", "baseline", "expected"),
    [
        (3.0, 2.0, 5.0, (0.2, 0.625)),
        (3.0, None, None, (0.0, 0.0)),
        (0.5, 0.25, None, (1 / 3, 0.0)),
        (3.0, 1.0, -1.0, (1 / 3, 0.0)),
        (-1.0, None, 5.0, (0.0, 1.0)),
        (0.0, 4.0, None, (1.0, None)),
        (0.0, None, None, (None, None)),
    ],
)
def test_shares_where_the_model_was_fitted(
    mail: float, none: float | None, baseline: float | None, expected: tuple[float | None, float | None]
) -> None:
    rows = {"mail": mail, "(unattributed)": none, "(baseline)": baseline}
    told = {name: value for name, value in rows.items() if value is not None}
    credit = pd.DataFrame({"channel": list(told), "conversions": list(told.values())})
    assert guards_of(TEN_ON, scorer=scorer_of(credit=credit))._trained_shares() == expected
    assert guards_of(TEN_ON)._trained_shares() == (None, None)


def test_a_job_is_about_days_that_changed_unless_days_are_named() -> None:
    assert not guards_of(TEN_ON).is_chosen
