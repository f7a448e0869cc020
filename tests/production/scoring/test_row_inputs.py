"""Rows that are scored alone as flat arrays, and the first reason why one of them is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from attribution.models.saved import Scorer
from attribution.production.scoring.row_inputs import RowInputs, read_rows
from tests.production.scoring.askers import asker

HOUR = 3_600_000_000
KINDS = ("channel", "kind")


def read(scorer: Scorer, *rows: tuple[Any, Any, Any], **further: Any) -> RowInputs:
    frame = pd.DataFrame({"channel": [row[0] for row in rows], "touched_at": [row[1] for row in rows]}, dtype=object)
    frame["converted_at"] = pd.Series([row[2] for row in rows], dtype=object)
    for name, cells in further.items():
        frame[name] = pd.Series(cells, dtype=object)
    return read_rows(scorer, frame)


def reason(scorer: Scorer, *row: Any, **further: Any) -> str:
    """Why the second of three rows is refused; the others are read."""
    good = (["mail"], ["1970-01-01T01:00"], "1970-01-01T02:00")
    errors = read(
        scorer, good, row, good, **{name: [["click"], cell, ["click"]] for name, cell in further.items()}
    ).errors
    assert (errors[0], errors[2]) == ("", "")
    return str(errors[1])


def test_rows_are_laid_end_to_end() -> None:
    inputs = read(
        asker(),
        (["mail", "tv"], ["1970-01-01T01:00", "1970-01-01T02:00"], "1970-01-01T03:00"),
        ([], [], "1970-01-01T04:00"),
        (np.array(["search"], object), ["1970-01-01T05:00"], "1970-01-01T06:00"),
    )
    assert inputs.offsets.tolist() == [0, 2, 2, 3]
    assert inputs.owner.tolist() == [0, 0, 2]
    assert inputs.texts["channel"].to_pylist() == ["mail", "tv", "search"]
    assert inputs.touched_at.tolist() == [HOUR, 2 * HOUR, 5 * HOUR]
    assert inputs.converted_at.tolist() == [3 * HOUR, 4 * HOUR, 6 * HOUR]
    assert inputs.errors.tolist() == ["", "", ""]


TWO = ["1970-01-01T01:00", "1970-01-01T02:00"]
END = "1970-01-01T03:00"
LISTS = "both need one for each touchpoint"
NO_TIME = "no time such as 2024-05-03T10:00:00Z"
A_LIST = "must be a list, with a value for each touchpoint, or []; given:"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((["mail", None], TWO, END), "channel of touchpoint 2 is missing"),
        ((["mail", "nan"], TWO, END), "channel of touchpoint 2 is missing"),
        (([None, "mail"], TWO, END), "channel of touchpoint 1 is missing"),
        ((["(start)", "mail"], TWO, END), "channel of touchpoint 1 has a name that is reserved: '(start)'"),
        ((["mail", ["x"]], TWO, END), "channel of touchpoint 2 is no text: ['x']"),
        ((["mail", "tv"], ["1970-01-01", "soon"], END), f"touched_at of touchpoint 2 is {NO_TIME}: 'soon'"),
        ((["mail", "tv"], ["nan", "soon"], END), "touched_at of touchpoint 1 is missing"),
        ((["mail"], ["1970-01-01"], None), "converted_at is missing"),
        ((["mail"], ["1970-01-01"], " "), "converted_at is missing"),
        ((["mail"], ["1970-01-01"], "later"), "converted_at is no time such as 2024-05-03T10:00:00Z: 'later'"),
        (("mail", TWO, END), f"channel {A_LIST} 'mail'"),
        ((None, TWO, END), f"channel {A_LIST} null"),
        ((["mail", "tv"], 7, END), f"touched_at {A_LIST} 7"),
        ((["mail", "tv"], None, END), f"touched_at {A_LIST} null"),
        ((["mail"], TWO, END), f"the lists touched_at and channel have 2 and 1 values; {LISTS}"),
        (([], None, END), f"touched_at {A_LIST} null"),
    ],
)  # fmt: skip
def test_the_first_reason_is_told(row: tuple[Any, Any, Any], expected: str) -> None:
    assert reason(asker(), *row) == expected


def test_a_value_is_shown_up_to_60_characters() -> None:
    problem = "converted_at is no time such as 2024-05-03T10:00:00Z: "
    assert reason(asker(), [], [], "x" * 58) == f"{problem}'{'x' * 58}'"
    assert reason(asker(), [], [], "x" * 59) == f"{problem}'{'x' * 58}…"
    assert reason(asker(), "x" * 70, [], END) == f"channel {A_LIST} '{'x' * 59}"


def test_a_row_that_is_refused_for_its_lists_moves_no_other() -> None:
    good = (["tv"], ["1970-01-01T01:00"], END)
    inputs = read(asker(), (["mail", "mail"], ["1970-01-01T05:00"], END), good, ("mail", TWO, END), good)
    assert inputs.offsets.tolist() == [0, 0, 1, 1, 2]
    assert inputs.texts["channel"].to_pylist() == ["tv", "tv"]
    assert inputs.touched_at.tolist() == [HOUR, HOUR]
    assert [error == "" for error in inputs.errors] == [False, True, False, True]


def test_nan_is_a_name_where_the_model_has_such_a_channel() -> None:
    inputs = read(asker(channels=("nan", "mail")), (["nan"], ["1970-01-01"], END))
    assert inputs.texts["channel"].to_pylist() == ["nan"]
    assert inputs.errors.tolist() == [""]


def test_new_channels_are_refused_where_the_policy_says_so() -> None:
    scorer = asker(policy="refuse")
    expected = "is unknown to the model, which refuses such channels: 'radio'"
    assert reason(scorer, ["mail", "radio"], TWO, END) == f"channel of touchpoint 2 {expected}"
    assert reason(scorer, ["radio", None], TWO, END) == f"channel of touchpoint 1 {expected}"
    assert reason(scorer, ["mail", "tv"], TWO, END) == ""
    assert reason(asker(), ["mail", "radio"], TWO, END) == ""


def test_a_list_that_may_be_left_out_may_be_null() -> None:
    scorer = asker(dimensions=KINDS)
    good = (["mail", "tv"], TWO, END)
    inputs = read(scorer, good, good, good, kind=[None, ["click", None], ["call"]])
    assert inputs.texts["kind"].to_pylist() == [None, None, "click", None]
    assert inputs.errors.tolist() == ["", "", f"the lists kind and channel have 1 and 2 values; {LISTS}"]
    assert "kind" not in read(scorer, good).texts
    assert reason(scorer, None, TWO, END, kind=None) == f"channel {A_LIST} null"
    assert reason(scorer, ["mail", "tv"], TWO, END, kind=["click", 7.5]) == "kind of touchpoint 2 is no text: 7.5"


def test_positions_are_read_as_such() -> None:
    scorer = asker(has_times=False)
    inputs = read(scorer, (["mail", "tv"], [4, "5"], 6), (["mail"], [1.5], 2), (["mail"], [1], "x"))
    assert inputs.touched_at.tolist()[:2] == [4, 5]
    assert inputs.converted_at.tolist()[:2] == [6, 2]
    assert inputs.errors.tolist() == [
        "",
        "touched_at of touchpoint 1 is no whole number: 1.5",
        "converted_at is no whole number: 'x'",
    ]


Z, NO_Z, A_DAY = "1970-01-01T01:00Z", "1970-01-01T01:00", "1970-01-01"


@pytest.mark.parametrize(
    ("touched", "converted", "is_naive", "has_zone"),
    [
        ([Z], Z, False, True),
        ([NO_Z], NO_Z, True, False),
        ([A_DAY], A_DAY, False, False),
        ([], A_DAY, False, False),
        ([], Z, False, True),
        ([], NO_Z, True, False),
        ([A_DAY, Z], A_DAY, True, True),
        ([A_DAY, NO_Z], A_DAY, True, False),
        ([A_DAY], Z, False, True),
        ([NO_Z], Z, True, True),
        ([Z], NO_Z, True, True),
        ([NO_Z, Z], A_DAY, True, True),
    ],
)
def test_times_tell_the_same_of_their_zone_as_in_training(
    touched: list[str], converted: str, is_naive: bool, has_zone: bool
) -> None:
    row = (["mail"] * len(touched), touched, converted)

    def starts(zoned: bool | None) -> str:
        last = ([], [], "1970-01-01")
        errors = read(asker(zoned=zoned), last, row, last).errors
        assert (errors[0], errors[2]) == ("", "")
        return str(errors[1]).partition(":")[0]

    assert starts(True) == ("times without an offset" if is_naive else "")
    assert starts(False) == ("times with an offset" if has_zone else "")
    some = "some times have an offset, such as Z or +02"
    assert starts(None) == (some if is_naive and has_zone else "")


def test_a_time_that_cannot_be_read_tells_nothing_of_its_zone() -> None:
    assert reason(asker(), ["mail", "tv"], ["soon", Z], END).startswith("touched_at of touchpoint 1 is no time")
