"""How rows that are scored alone become journeys: codes of touchpoints, the cut, windows, and hints at channels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution.data.loading.events import Dimensions
from attribution.kernels.journeys.cut import Windows
from attribution.models.saved import Definition, Scorer, Training
from attribution.production.scoring.row_inputs import RowInputs
from attribution.production.scoring.rows import _applicable, _cut, _encode, _unknown_channels, score_rows
from attribution.schema.experiment import JourneyOptions
from tests.production.scoring.askers import asker


def inputs_of(
    lengths: list[int], texts: Mapping[str, list[str | None]], touched: list[int], converted: list[int]
) -> RowInputs:
    return RowInputs(
        np.array([0, *np.cumsum(lengths)]),
        {name: pa.array(values, pa.string()) for name, values in texts.items()},
        np.array(touched, np.int64),
        np.array(converted, np.int64),
        np.full(len(lengths), "", object),
    )


def test_a_code_has_a_digit_for_each_column_of_training_that_the_rows_have() -> None:
    scorer = asker(dimensions=("channel", "campaign", "stage", "kind"))
    texts: dict[str, list[str | None]] = {
        "channel": ["tv", "mail", "mail", "radio"],
        "campaign": ["b", "a", None, "a"],
        "kind": [" Impression", None, "click", "CALL"],
        "creative": ["x", "x", "x", "x"],
    }
    inputs = inputs_of([4], texts, [1, 2, 3, 4], [9])
    dimensions, code = _encode(scorer, inputs, np.array([0, 1, 2]))
    assert dimensions == Dimensions(
        ("channel", "campaign", "kind"), (("mail", "tv"), ("a", "b"), ("click", "impression"))
    )
    # Digits of the channel, campaign (0: none; 3 values) and kind (0: none; 3 values).
    assert code.tolist() == [1 * 9 + 2 * 3 + 2, 0 * 9 + 1 * 3 + 0, 0 * 9 + 0 * 3 + 1]
    assert code.dtype == np.int32


@pytest.mark.parametrize(("campaigns", "dtype"), [(127, np.int64), (126, np.int32)])
def test_codes_are_narrow_as_long_as_there_are_fewer_than_two_to_the_31(campaigns: int, dtype: type) -> None:
    """1,024 channels, and of three more columns 127 values and none: 2^10 · 2^7 · 2^7 · 2^7 combinations."""
    number = np.arange(1024)
    texts = {name: [f"v{i % 127}" for i in number] for name in ("kind", "stage")}
    texts["channel"] = [f"c{i}" for i in number]
    texts["campaign"] = [f"v{i % campaigns}" for i in number]
    scorer = asker(dimensions=("channel", "campaign", "kind", "stage"))
    dimensions, code = _encode(scorer, inputs_of([1024], texts, [0] * 1024, [9]), number)
    assert dimensions.combinations == 2**24 * (campaigns + 1)
    assert code.dtype == dtype
    assert code.max() < dimensions.combinations


def test_each_row_is_a_journey_and_touchpoints_know_where_they_were() -> None:
    inputs = inputs_of(
        [3, 0, 1, 2], {"channel": ["a", "b", "a", "b", "a", "b"]}, [40, 20, 90, 10, 30, 31], [50, 50, 50, 131]
    )
    dimensions = Dimensions(("channel",), (("a", "b"),))
    # The third row is refused; the touchpoint at 90 came after the conversion, that at 30 is 101 before it.
    is_scored, position = np.array([True, True, False, True]), np.array([0, 1, 2, 4, 5])
    code = np.array([0, 1, 0, 0, 1], np.int32)
    chunk, at_ = _cut(inputs, is_scored, position, code, dimensions, Windows.alike(100))
    journeys = list(zip(chunk.start.tolist(), chunk.stop.tolist(), strict=True))
    assert chunk.conversion is not None
    assert chunk.conversion.tolist() == [0, 1, 3]
    assert [at_[low:high].tolist() for low, high in journeys] == [[1, 0], [], [5]]
    assert [chunk.channel[low:high].tolist() for low, high in journeys] == [[1, 0], [], [1]]
    assert chunk.touched_at is not None
    assert [chunk.touched_at[low:high].tolist() for low, high in journeys] == [[20, 40], [], [31]]
    assert chunk.code is not None
    size = len(at_)
    assert (len(chunk.code), len(chunk.channel), len(chunk.touched_at)) == (size, size, size)
    assert at_.dtype == np.int64
    assert set(at_.tolist()) <= {0, 1, 2, 4, 5}
    assert chunk.ended_at is not None
    assert chunk.ended_at.tolist() == [50, 50, 131]
    assert chunk.conversions.tolist() == [1, 1, 1]
    assert chunk.nulls.tolist() == [0, 0, 0]


def test_windows_of_channels_and_kinds_that_do_not_occur_are_left_out() -> None:
    options = JourneyOptions(lookback_by_channel={"mail": 3.0, "tv": 9.0}, lookback_by_kind={"click": 2.0})
    left = _applicable(options, Dimensions(("channel",), (("mail", "search"),)))
    assert (left.lookback_by_channel, left.lookback_by_kind) == ({"mail": 3.0}, {})
    both = _applicable(options, Dimensions(("channel", "kind"), (("tv",), ("click",))))
    assert (both.lookback_by_channel, both.lookback_by_kind) == ({"tv": 9.0}, {"click": 2.0})


def test_rows_with_new_channels_are_told_the_known_ones_most_like_them() -> None:
    texts: dict[str, list[str | None]] = {"channel": ["mial", None, "tv", "qqq", "mial", "tv", "mial"]}
    inputs = inputs_of([3, 0, 2, 1, 1], texts, [1] * 7, [9] * 5)
    assert _unknown_channels(asker(), inputs) == {
        0: {"mial": "mail"},
        2: {"qqq": "", "mial": "mail"},
        4: {"mial": "mail"},
    }
    assert _unknown_channels(asker(), inputs_of([1], {"channel": ["tv"]}, [1], [9])) == {}


def fitted(touched: list[object], converted: object) -> Scorer:
    touchpoints = pd.DataFrame({"customer_id": [1, 1], "touched_at": touched, "channel": ["mail", "search"]})
    sources = at.load_sources(touchpoints, pd.DataFrame({"customer_id": [1], "converted_at": [converted]}))
    journeys = at.build_journeys(sources)
    return Scorer.of(
        at.Linear().fit(journeys), definition=Definition(training=Training.of(sources, journeys)), name="s"
    )


def test_each_row_gets_what_is_its_own() -> None:
    rows = pd.DataFrame(
        {
            "conversion_id": ["a", None, "c", "d"],
            "channel": [["mail"], ["mail", "serch", "search"], [None], []],
            "touched_at": [["2024-05-01"], ["2024-05-01", "2024-05-02", "2020-05-01"], ["2024-05-01"], []],
            "converted_at": "2024-05-03",
        }
    )
    answer = score_rows(fitted(["2024-01-01T00:00", "2024-01-02T00:00"], "2024-01-03T00:00"), rows)
    assert answer.drop(columns="model_version").to_dict("list") == {
        "conversion_id": ["a", "", "c", "d"],
        "channel": [["mail"], ["mail", "serch", "search"], None, []],
        "credit": [[1.0], [0.5, 0.5, 0.0], None, []],
        "unattributed": [0.0, 0.0, 0.0, 1.0],
        "unknown_channels": [[], ["serch"], [], []],
        "did_you_mean": [[], ["search"], [], []],
        "error": ["", "", "channel of touchpoint 1 is missing", ""],
    }
    alone = score_rows(fitted(["2024-01-01T00:00", "2024-01-02T00:00"], "2024-01-03T00:00"), rows.iloc[:1])
    assert alone["credit"].tolist() == [[1.0]]


def test_positions_have_no_lookback_window() -> None:
    rows = pd.DataFrame({"channel": [["mail", "search"]], "touched_at": [[1, 2]], "converted_at": [10**17]})
    assert score_rows(fitted([1, 2], 3), rows)["credit"].tolist() == [[0.5, 0.5]]
