"""Which touchpoints of a journey stay, rule by rule and at the edges of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attribution.kernels.journeys import selection
from attribution.kernels.journeys.selection import Refined, Rules, Steps, refine

RULES = Rules(selection.KEEP, selection.NO_DEDUPE, 0, 0, selection.KEEP, selection.AS_IS, 100)
COSTS = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def refined(channels: str, rules: Rules = RULES, *, at: list[int] | None = None, **given: Any) -> Refined:
    """Two journeys: one of the touchpoints named by letters, capitals are views; and one of a single ``b``."""
    names = channels + "b"
    size = len(names)
    code = np.array([ord(name.lower()) - ord("a") for name in names])
    steps = Steps(
        code,
        code.astype(np.int32),
        np.array([*(at or range(size - 1)), 50]),
        np.array([name.isupper() for name in names]),
        code == 3,  # d is direct
        np.array([*COSTS[: size - 1], 64.0]) if given.get("costs", True) else np.zeros(0),
        np.array(given.get("own", []), np.int64),
    )
    return refine(
        np.array([0, size - 1]),
        np.array([size - 1, size]),
        np.array([given.get("ended_at", 10), 60]),
        np.array([given.get("converted", True), True]),
        steps,
        rules=rules,
        channels=4,
    )


def kept(found: Refined) -> list[int]:
    """Positions in the first journey; the second always keeps its only touchpoint."""
    assert found.length[1] == 1
    assert found.length.sum() == len(found.position)
    return found.position[:-1].tolist()


def test_without_rules_all_stays() -> None:
    found = refined("abcd")
    assert kept(found) == [0, 1, 2, 3]
    assert found.cost.tolist() == [1.0, 2.0, 4.0, 8.0, 64.0]
    assert found.removed.tolist() == [0, 0, 0, 0, 0]
    assert len(found.times) == 0
    assert len(refined("abcd", costs=False).cost) == 0


@pytest.mark.parametrize(
    ("own", "longest", "converted", "expected", "removed"),
    [
        ([10, 9, 8, 7, 10], 10, True, [0, 1, 2, 3], 0),  # each just long enough
        ([9, 9, 8, 6, 10], 10, True, [1, 2], 2),
        ([9, 9, 8, 6, 10], 9, True, [1, 2], 1),  # the first lies beyond every window
        ([0, 0, 0, 0, 10], 10, False, [0, 1, 2, 3], 0),
        ([], 10, True, [0, 1, 2, 3], 0),
    ],
)
def test_a_touchpoint_stays_as_long_as_its_own_window(
    own: list[int], longest: int, converted: bool, expected: list[int], removed: int
) -> None:
    found = refined("abca", RULES._replace(longest=longest), own=own, converted=converted)
    assert kept(found) == expected
    assert found.removed[0] == removed
    assert found.cost.tolist() == [*(COSTS[place] for place in expected), 64.0]


@pytest.mark.parametrize(
    ("channels", "policy", "expected"),
    [
        ("aBc", "KEEP", [0, 1, 2]),
        ("aBc", "DROP_IF_OTHER", [0, 2]),
        ("aBc", "DROP", [0, 2]),
        ("ABC", "DROP", []),
        ("ABC", "DROP_IF_OTHER", [0, 1, 2]),
        ("ABc", "DROP_IF_OTHER", [2]),
    ],
)
def test_views_go_where_something_else_is(channels: str, policy: str, expected: list[int]) -> None:
    found = refined(channels, RULES._replace(views=getattr(selection, policy)))
    assert kept(found) == expected
    assert found.cost[:-1].tolist() == [COSTS[place] for place in expected]
    assert found.removed.tolist() == [0, len(channels) - len(expected), 0, 0, 0]


def test_direct_visits_go_after_repeats_were_merged() -> None:
    rules = RULES._replace(dedupe=selection.CONSECUTIVE, direct=selection.DROP_IF_OTHER)
    found = refined("addad", rules)
    assert kept(found) == [0, 3]
    assert found.removed.tolist() == [0, 0, 1, 2, 0]
    assert found.cost[:-1].tolist() == [1.0, 8.0]
    assert kept(refined("ddd", rules)) == [0]


@pytest.mark.parametrize(
    ("at", "gap", "expected", "costs"),
    [
        ([0, 2, 4, 6], 2, [0], [15.0]),  # each so near to the one before, though not to the first
        ([0, 3, 5, 9], 2, [0, 1, 3], [1.0, 6.0, 8.0]),
        ([0, 0, 1, 1], 0, [0, 2], [3.0, 12.0]),
    ],
)
def test_repeats_within_a_gap_are_one_and_their_costs_add_up(
    at: list[int], gap: int, expected: list[int], costs: list[float]
) -> None:
    found = refined("aaaa", RULES._replace(dedupe=selection.GAP, gap=gap), at=at)
    assert kept(found) == expected
    assert found.cost[:-1].tolist() == costs
    assert found.removed[2] == 4 - len(expected)


def test_only_repeats_of_the_one_before_are_merged() -> None:
    found = refined("abaab", RULES._replace(dedupe=selection.CONSECUTIVE))
    assert kept(found) == [0, 1, 2, 4]
    assert found.cost[:-1].tolist() == [1.0, 2.0, 12.0, 16.0]
    # The next journey begins with what the last one ended with, and is no repeat of it.
    assert kept(refined("ab", RULES._replace(dedupe=selection.CONSECUTIVE))) == [0, 1]


def test_a_copy_of_a_row_is_one_of_the_same_instant_and_costs_nothing() -> None:
    rules = RULES._replace(dedupe=selection.UNIQUE)
    assert kept(refined("aaa", rules, at=[1, 1, 2], costs=False)) == [0, 2]
    assert kept(refined("aaa", rules, at=[1, 1, 2])) == [0, 1, 2]  # they cost different money


@pytest.mark.parametrize(
    ("transform", "expected", "times"),
    [("AS_IS", [0, 1, 2, 3, 4, 5], []), ("EXPOSURE", [0, 1, 3, 4, 5], []), ("FIRST", [0, 1, 4], [2, 3, 1, 1])],
)
def test_paths_are_transformed(transform: str, expected: list[int], times: list[int]) -> None:
    found = refined("abbacb", RULES._replace(transform=getattr(selection, transform)))
    assert kept(found) == expected
    assert found.times.tolist() == times
    assert found.cost[:-1].tolist() == [COSTS[place] for place in expected]
    assert found.removed[4] == 6 - len(expected)


@pytest.mark.parametrize(("most", "expected"), [(4, [0, 1, 2, 3]), (3, [1, 2, 3]), (1, [3])])
def test_of_a_long_journey_the_last_touchpoints_stay(most: int, expected: list[int]) -> None:
    found = refined("abca", RULES._replace(most=most))
    assert kept(found) == expected
    assert found.cost.tolist() == [*(COSTS[place] for place in expected), 64.0]
    assert found.removed.tolist() == [0, 0, 0, 0, 4 - len(expected)]
    first = refined("abca", RULES._replace(most=2, transform=selection.FIRST))
    assert (kept(first), first.times.tolist()) == ([1, 2], [1, 1, 1])
