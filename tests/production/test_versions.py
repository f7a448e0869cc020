"""Promotions and rollbacks against a calendar that is written over day by day."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from attribution.errors import InputError
from attribution.production.scoring.days import day_number
from attribution.production.versions import Promotion, Timeline, add_promotion, describe_effect

DAYS = range(-3, 12)


@pytest.mark.parametrize("seed", range(200))
def test_promotions_write_over_the_days_from_theirs_on_and_rollbacks_bring_back_what_was_there(seed: int) -> None:
    rng = random.Random(seed)
    timeline, calendars = Timeline.of("1"), [dict.fromkeys(DAYS, "1")]
    for number in range(2, 12):
        if rng.random() < 0.3 and len(calendars) > 1:
            timeline = timeline.roll_back()
            calendars.pop()
        elif rng.random() < 0.2 and len(calendars) > 1 and timeline.newest != "1":
            since = timeline.promotions[-1].since
            timeline = timeline.roll_back("1")
            calendars[-1] = {day: version if day < since else "1" for day, version in calendars[-2].items()}  # type: ignore[operator]  # not the first
        else:
            since, version = rng.choice(DAYS), str(rng.choice([number, 1, 2]))
            timeline = timeline.promote(version, since=since)
            calendars.append({day: version if day >= since else old for day, old in calendars[-1].items()})
        assert {day: timeline.version_on(day) for day in DAYS} == calendars[-1]
        stretches = timeline.stretches
        assert stretches[0].since is None
        begins = [stretch.since for stretch in stretches[1:]]
        assert begins == sorted(set(begins), key=int)  # type: ignore[arg-type]  # days
        assert all(one.version != other.version for one, other in pairwise(stretches))
        told = {
            day: next(one.version for one in reversed(stretches) if one.since is None or one.since <= day)
            for day in DAYS
        }
        assert told == calendars[-1]
        assert Timeline.read(timeline.text, "tag") == timeline


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "[[null]]", '[["2026-05-01", "1"]]', '[[null, "1"], [null, "2"]]', '[[null, 1]]',
     '[[null, "1"], ["1st of May", "2"]]'],
)  # fmt: skip
def test_a_record_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="tag t does not say which version is in effect on which day"):
        Timeline.read(text, "tag t")


def test_what_is_promoted_is_in_effect_from_today_or_the_day_that_is_named() -> None:
    first = add_promotion(None, "1", restate=None, today=9)
    assert first == Timeline.of("1") == add_promotion(None, "1", restate=4, today=9)
    second = add_promotion(first, "2", restate=None, today=9)
    assert second.promotions == (Promotion(None, "1"), Promotion(9, "2"))
    assert add_promotion(second, "2", restate=None, today=11) == second
    assert add_promotion(second, "2", restate=4, today=11).version_on(4) == "2"
    # Two on one day: the later one is in effect, and taking it back brings the other.
    third = add_promotion(second, "3", restate=None, today=9)
    assert (third.version_on(9), third.roll_back().version_on(9), third.version_on(8)) == ("3", "2", "1")
    with pytest.raises(InputError, match=r"in the future. Given: --restate 1970-01-11"):
        add_promotion(second, "3", restate=10, today=9)
    with pytest.raises(InputError, match=r"which is after today. Given: today is 1970-01-09"):
        add_promotion(second, "3", restate=None, today=8)
    assert add_promotion(second, "3", restate=8, today=8).version_on(8) == "3"


def test_what_cannot_be_rolled_back_is_said() -> None:
    with pytest.raises(InputError, match="version 1 did not replace another"):
        Timeline.of("1").roll_back()
    with pytest.raises(InputError, match="version 1 is the newest one in effect already"):
        Timeline.of("1").roll_back("1")
    assert Timeline.of("1").roll_back("2") == Timeline.of("2")


def test_what_a_promotion_means_is_said_with_its_day() -> None:
    shop = Timeline.of("1")
    assert describe_effect(shop) == "Version 1 is in effect on all days."
    shop = shop.promote("2", since=day_number("2026-03-01")).promote("3", since=day_number("2026-05-01"))
    assert describe_effect(shop) == "Version 3 is in effect from 2026-05-01 on. Earlier days keep version 2."
    shop = shop.promote("4", since=day_number("2026-02-01"))
    assert describe_effect(shop) == "Version 4 is in effect from 2026-02-01 on. Earlier days keep version 1."
    # The same version twice is one stretch.
    assert describe_effect(shop.promote("4", since=day_number("2026-06-01"))) == describe_effect(shop)
