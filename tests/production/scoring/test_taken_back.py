"""What a night takes back of what is published, worked out by hand: moved, gone, outdated and left out, by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attribution as at
from attribution.production.scoring.days import Choice, Input, Reach, day_name
from attribution.production.scoring.in_effect import VersionsInEffect
from attribution.production.scoring.job import input_of
from attribution.production.scoring.takeback import Published, TakeBack

Order = tuple[str, str, float]
"""Id, customer, and days since 1970."""

RESET = Reach(3, closes=True)
ONE = "1-1@0-0"
Taken = Callable[..., TakeBack]


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    """Makes a `TakeBack` of orders, of what was known of conversions by day, and of what is published by day.

    There is a touchpoint on every day from 1 to 30, as before; ``touched`` are days on which there was another one.
    """

    def made(
        orders: list[Order],
        before: Mapping[int, str],
        published: Mapping[int, list[tuple[str, str]]],
        *,
        touched: tuple[int, ...] = (),
        covers: tuple[int, int] | None = None,
        told: Callable[[int], bool] = lambda _: True,
        kinds: tuple[str, ...] | None = None,
        **manifest: Any,
    ) -> TakeBack:
        days = pd.Timestamp(0) + pd.to_timedelta(range(1, 31), unit="D")
        touchpoints = pd.DataFrame({"customer_id": "z", "touched_at": days, "channel": "mail"})
        conversions = pd.DataFrame(orders, columns=["conversion_id", "customer_id", "converted_at"])
        conversions["converted_at"] = pd.Timestamp(0) + pd.to_timedelta(conversions["converted_at"], unit="D")
        conversions["kind"] = ["lead" if name.startswith("lead") else "order" for name in conversions["conversion_id"]]
        sources = at.load_sources(touchpoints, conversions)
        given: Input = replace(input_of(sources, RESET), covers=covers)
        known = {
            "conversions": {day_name(day): digest for day, digest in before.items()},
            "touchpoints": {day_name(day): ONE if day in touched else rows for day, rows in given.touchpoints.items()},
        }
        paths = {}
        for day, ids in published.items():
            paths[day] = tmp_path / f"{day}.parquet"
            names, customers = zip(*ids, strict=True)
            # A row for each touchpoint.
            pq.write_table(pa.table({"conversion_id": names * 2, "customer_id": customers * 2}), paths[day])
        versions = cast(VersionsInEffect, SimpleNamespace(kinds=kinds, reads_as_newest=told))
        return TakeBack(sources, versions, given.against(known), Published(paths), manifest)

    return made


def ids(by_day: Mapping[int, pa.ChunkedArray]) -> dict[int, list[str]]:
    return {day: sorted(of.to_pylist()) for day, of in by_day.items()}


ORDERS: list[Order] = [("b", "B", 10.5), ("c", "C", 11.5)]
"""The input speaks for days 10 and 11."""

BEFORE = {5: "3-1@0-0", 10: "2-1@0-86399999999"}
PUBLISHED = {5: [("a", "A"), ("b", "B"), ("b2", "B")], 10: [("c", "C"), ("x", "X")]}


def test_what_is_on_another_day_now_has_moved(taken: Taken) -> None:
    taking = taken(ORDERS, {**BEFORE, 10: "2-1@43200000000-43200000000"}, PUBLISHED)
    assert taking.arrived.sort_by("day").to_pylist() == [
        {"day": 10, "conversion_id": "b", "customer_id": "B"},
        {"day": 11, "conversion_id": "c", "customer_id": "C"},
    ]
    assert ids(taking.moved) == {5: ["b"]}
    assert taking.news.moved == {5: 2}
    assert taking.news.entered == frozenset()
    assert taking.left_out == {}
    # Of a day whose number of conversions nobody knows nothing is left.
    assert taken(ORDERS, {10: ONE}, PUBLISHED).news.moved == {5: 0}


def test_the_first_night_takes_nothing_back(taken: Taken) -> None:
    taking = taken([*ORDERS, ("d", "D", 14.5)], {}, {}, covers=(10, 11))
    assert (taking.arrived.num_rows, taking.arrived.column_names) == (0, ["day", "conversion_id", "customer_id"])
    assert (taking.moved, taking.left_out, taking.gone(Choice([10])), taking.outdated(Choice([10]))) == ({}, {}, {}, {})
    # Conversions that are named as outdated were given in an earlier night.
    assert taken(ORDERS, {}, {}, outdated={day_name(3): ["o"]}).arrived.num_rows == 2
    assert taken(ORDERS, {10: ONE}, {7: [("k", "K")]}, deferred=[day_name(11)]).arrived.num_rows == 2


def test_only_kinds_that_are_scored_arrive(taken: Taken) -> None:
    orders: list[Order] = [("lead 1", "A", 10.5), ("o", "O", 10.5), ("p", "P", 11.5)]
    kinds = taken(orders, {10: ONE}, {5: [("o", "O")]}, kinds=("order",))
    assert sorted(kinds.arrived["conversion_id"].to_pylist()) == ["o", "p"]
    assert len(taken(orders, {10: ONE}, {5: [("o", "O")]}).arrived) == 3


MIDDAY = {**BEFORE, 10: "2-1@43200000000-43200000000"}


def test_ids_that_an_input_no_longer_has_are_gone_from_days_that_are_not_scored(taken: Taken) -> None:
    taking = taken(ORDERS, MIDDAY, PUBLISHED)
    assert ids(taking.gone(Choice([11]))) == {5: ["b"]}
    assert ids(taking.gone(Choice([], outdated=[5, 10, 11]))) == {5: ["b"], 10: ["c", "x"]}
    # A version that reads other tables may have them.
    elsewhere = taken(ORDERS, MIDDAY, PUBLISHED, told=lambda day: day != 10)
    assert ids(elsewhere.gone(Choice([], outdated=[5, 10]))) == {5: ["b"]}
    still = taken([("x", "X", 10.5), ("c", "C", 11.5)], MIDDAY, PUBLISHED)
    assert ids(still.gone(Choice([], outdated=[10]))) == {10: ["c"]}


def test_outdated_are_the_ids_of_the_input_and_those_that_causes_reach(taken: Taken) -> None:
    taking = taken(ORDERS, MIDDAY, PUBLISHED)
    # The customer of what moved away has another order on that day.
    assert taking.outdated(Choice([11], outdated=[5, 10])) == {5: ["b2"], 10: ["b"]}
    assert taking.outdated(Choice([10, 11], outdated=[5])) == {5: ["b2"]}
    assert taking.outdated(Choice([10, 11])) == {}
    elsewhere = taken(ORDERS, MIDDAY, {**PUBLISHED, 10: [("c", "C"), ("b3", "B")]}, told=lambda day: day != 10)
    assert elsewhere.outdated(Choice([11], outdated=[10])) == {10: ["b3"]}


def test_what_was_outdated_stays_so_until_its_day_is_told(taken: Taken) -> None:
    earlier = {day_name(4): ["o"], day_name(5): ["a", "c"], day_name(10): ["p"]}
    taking = taken(ORDERS, MIDDAY, PUBLISHED, outdated=earlier)
    assert taking.outdated(Choice([10, 11], outdated=[5])) == {4: ["o"], 5: ["a", "b2"]}
    assert taking.outdated(Choice([10])) == {4: ["o"], 5: ["a", "c"]}
    assert taking.outdated(Choice([], outdated=[10])) == {4: ["o"], 5: ["a", "c"], 10: ["b"]}


def test_a_cause_reaches_as_far_as_the_window_and_only_its_customers(taken: Taken) -> None:
    later = {day: [(f"{name}{day}", name) for name in "BCXY"] for day in (9, 12, 13, 14, 15)}
    before = {**MIDDAY, **dict.fromkeys(later, "4-1@0-0")}
    taking = taken(ORDERS, before, {**PUBLISHED, **later})
    # On day 10 the orders of B (new), C and X (gone) changed, on day 11 that of C.
    assert taking.outdated(Choice([10, 11], outdated=[9, 12, 13, 14, 15])) == {
        12: ["B12", "C12", "X12"], 13: ["B13", "C13", "X13"], 14: ["C14"],
    }  # fmt: skip
    touched = taken(ORDERS, before, {**PUBLISHED, **later}, touched=(11,))
    assert touched.outdated(Choice([10, 11], outdated=[15, 14, 9])) == {14: ["B14", "C14", "X14", "Y14"]}


def test_ids_beside_the_days_that_are_covered_are_left_out_where_they_came_from_there(taken: Taken) -> None:
    orders: list[Order] = [
        *ORDERS,
        ("x", "X", 14.5),
        ("o", "O", 14.5),
        ("new", "N", 14.5),
        ("x2", "X", 12.5),
        ("c2", "C", 4.5),
    ]
    published = {**PUBLISHED, 12: [("x2", "X"), ("y", "Y")], 15: [("h", "X"), ("i", "I"), ("n", "N")]}
    before = {**MIDDAY, 12: "2-1@0-0", 15: "3-1@0-0"}
    taking = taken(orders, before, published, covers=(10, 11), outdated={day_name(11): ["o"], day_name(13): ["new"]})
    assert taking.left_out == {14: {"o", "x"}}
    assert taking.news.entered == {14}
    # Who came to day 14 may have taken touchpoints from those of day 15.
    assert taking.outdated(Choice([10, 11], outdated=[15])) == {
        13: ["new"], 14: ["o", "x"], 15: ["h", "n"],
    }  # fmt: skip
    assert taking.outdated(Choice([10, 11])) == {13: ["new"], 14: ["o", "x"]}
    # Neither does it matter that something of day 14 was known before.
    again = taken(orders, {**before, 14: "3-1@0-0"}, published, covers=(10, 11), outdated={day_name(11): ["o"]})
    assert again.outdated(Choice([10, 11], outdated=[15])) == {14: ["o", "x"], 15: ["h", "n"]}


def test_a_day_that_an_input_begins_in_the_middle_of_leaves_out_what_is_new_there(taken: Taken) -> None:
    orders: list[Order] = [("x", "X", 10.5), ("n", "N", 10.5), ("c", "C", 11.5)]
    taking = taken(orders, {10: "3-1@0-43200000000"}, {10: [("w", "W"), ("x", "X"), ("y", "Y")]}, covers=None)
    assert taking.news.conversions.cut == ()  # touchpoints reach back before it
    first = replace(taking.news.current, touchpoints={10: "1-1@43200000000-43200000000"})
    news = first.against({"conversions": {day_name(10): "3-1@0-43200000000"}})
    assert news.conversions == (11, 11, (10,))
    versions = cast(VersionsInEffect, SimpleNamespace(kinds=None, reads_as_newest=lambda _: True))
    cut = TakeBack(taking._sources, versions, news, taking.published, {})
    assert cut.left_out == {10: {"n"}}
    assert cut.news.entered == frozenset()
    assert cut.outdated(Choice([11])) == {10: ["n"]}


def test_of_a_day_that_an_input_ends_in_the_middle_of_all_that_differs_is_left_out(taken: Taken) -> None:
    orders: list[Order] = [("a", "A", 9.5), ("x", "X", 10.5), ("n", "N", 10.5)]
    taking = taken(orders, {10: "3-1@0-86399999999"}, {10: [("w", "W"), ("x", "X")]})
    first = replace(taking.news.current, touchpoints={9: ONE, 10: "1-1@0-43200000000"})
    news = first.against({"conversions": {day_name(10): "3-1@0-86399999999"}})
    assert news.conversions == (9, 9, (10,))
    versions = cast(VersionsInEffect, SimpleNamespace(kinds=None, reads_as_newest=lambda _: True))
    cut = TakeBack(taking._sources, versions, news, taking.published, {})
    assert cut.left_out == {10: {"n", "w"}}
    assert cut.news.entered == frozenset()


def test_a_file_that_is_not_there_or_cannot_be_read_has_no_conversions(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    held = Published({3: tmp_path / "bad.parquet", 4: tmp_path / "none.parquet"})
    assert [held.of(day).num_rows for day in (2, 3, 4)] == [0, 0, 0]
    pq.write_table(
        pa.table({"conversion_id": ["a", "a", "b"], "customer_id": ["A", "A", "B"]}), tmp_path / "good.parquet"
    )
    rows = Published({5: tmp_path / "good.parquet"}).of(5).sort_by("conversion_id").to_pylist()
    assert rows == [{"conversion_id": "a", "customer_id": "A"}, {"conversion_id": "b", "customer_id": "B"}]
