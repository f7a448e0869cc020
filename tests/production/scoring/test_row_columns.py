"""What the columns of a row hold that is scored alone, and the example that is shown of them."""

from __future__ import annotations

import pytest

from attribution.production.scoring.row_columns import (
    example_rows,
    explain_answer,
    explain_columns,
    has_positions,
    is_zoned,
    known_channels,
    needed_lists,
    optional_lists,
    training_dimensions,
)
from tests.production.scoring.askers import asker

THREE = ("channel", "campaign", "kind")


def test_only_a_model_of_what_channels_caused_answers_with_a_baseline() -> None:
    allocated = ["conversion_id", "channel", "credit", "unattributed", "unknown_channels", "did_you_mean", "error",
                 "model_version"]  # fmt: skip
    assert list(explain_answer(asker())) == allocated
    assert list(explain_answer(asker(estimand="incremental"))) == [*allocated[:4], "baseline", *allocated[4:]]


def test_lists_are_needed_where_journeys_depend_on_them() -> None:
    assert (needed_lists(asker(dimensions=THREE)), optional_lists(asker(dimensions=THREE))) == (
        (),
        ("campaign", "kind"),
    )
    of_kinds = asker(dimensions=THREE, lookback_by_kind={"click": 3.0})
    assert (needed_lists(of_kinds), optional_lists(of_kinds)) == (("kind",), ("campaign",))
    distinct = asker(dimensions=THREE, dedupe="consecutive")
    assert (needed_lists(distinct), optional_lists(distinct)) == (("campaign", "kind"), ())


def test_touchpoints_have_a_channel_whatever_was_told_of_training() -> None:
    assert training_dimensions(asker(dimensions=THREE)) == THREE
    assert training_dimensions(asker(dimensions=())) == ("channel",)
    assert training_dimensions(asker(is_trained=False)) == ("channel",)


def test_times_are_as_in_training() -> None:
    assert [has_positions(asker(has_times=has_times)) for has_times in (True, False)] == [False, True]
    assert not has_positions(asker(is_trained=False))
    assert [is_zoned(asker(zoned=zoned)) for zoned in (True, False, None)] == [True, False, None]
    assert is_zoned(asker(is_trained=False)) is None


def test_counted_channels_have_the_names_of_rows() -> None:
    channels = ("mail (1)", "mail (2)", "tv (1)", "tv (2)")
    assert known_channels(asker(channels, transform="frequency")) == ("mail", "tv")
    assert known_channels(asker(channels)) == channels


@pytest.mark.parametrize(
    ("zoned", "example", "of_zone"),
    [
        (True, "2024-05-03T10:00:00Z", "with an offset, as in training"),
        (False, "2024-05-03T10:00:00", "without an offset, as in training"),
        (None, "2024-05-03T10:00:00Z", "with an offset or without one"),
    ],
)
def test_the_time_that_is_shown_has_the_zone_of_training(zoned: bool | None, example: str, of_zone: str) -> None:
    columns = explain_columns(asker(zoned=zoned))
    assert (
        columns["converted_at"] == f"time of the conversion: text such as {example}, datetime or Timestamp, {of_zone}"
    )
    rows = example_rows(asker(zoned=zoned))
    assert rows["converted_at"].tolist() == [example, example]
    assert rows["touched_at"].tolist() == [
        [example.replace("05-03T10", "05-01T09"), example.replace("05-03T10", "05-02T18")],
        [example],
    ]


def test_columns_are_explained_in_the_order_in_which_they_are_asked_for() -> None:
    columns = explain_columns(asker(dimensions=THREE, lookback_by_kind={"click": 3.0}, has_times=False))
    assert list(columns) == ["channel", "touched_at", "kind", "converted_at", "campaign", "conversion_id"]
    assert [name for name, text in columns.items() if text.startswith("optional")] == ["campaign", "conversion_id"]
    assert columns["converted_at"] == (
        "time of the conversion: whole number, since the model knows only the order of touchpoints"
    )


def test_the_example_has_the_first_channel_and_the_last() -> None:
    rows = example_rows(asker(dimensions=THREE, lookback_by_kind={"click": 3.0}, has_times=False))
    assert rows.to_dict("list") == {
        "channel": [["mail", "tv"], ["mail"]],
        "touched_at": [[1, 2], [1]],
        "kind": [["click", "click"], ["click"]],
        "converted_at": [3, 2],
        "conversion_id": ["1001", "1002"],
    }
    assert example_rows(asker(channels=()))["channel"].tolist() == [["a", "a"], ["a"]]
