"""Totals of channels and shares of journeys, at the edges: nothing observed, nothing weighed, less than nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import LawError
from attribution.journeys import JourneyChunk
from attribution.models.credit import (
    Allocation,
    ChannelTotals,
    Credit,
    _divide,
    _rescaled,
    allocate,
    check_totals,
    journey_credit,
)


def totals(conversions: list[float], baseline: tuple[float, float] | None = None, **further: Any) -> ChannelTotals:
    """Of channels ``a``, ``b`` …, the last number being what nobody gets; values are ten times as much."""
    array = np.array(conversions)
    return ChannelTotals(tuple("abcdef"[: len(array) - 1]), array, 10 * array, baseline, **further)


class Stub:
    label = "stub"

    def __init__(self, credit: ChannelTotals, estimand: str = "allocated", weight: float = 1.0, own: float = 1.0):
        self.credit_, self.estimand, self._weights = credit, estimand, (weight, own)

    def weigh(self, chunk: JourneyChunk) -> Any:
        return np.full(len(chunk.channel), self._weights[0])

    def weigh_baseline(self, chunk: JourneyChunk) -> Any:
        return np.full(len(chunk), self._weights[1])


def test_rows_are_those_of_channels_of_nobody_and_of_the_baseline() -> None:
    frame = totals([3.0, 1.0, 2.0], (4.0, 5.0)).to_frame()
    assert frame.to_dict("list") == {
        "channel": ["a", "b", "(unattributed)", "(baseline)"],
        "conversions": [3.0, 1.0, 2.0, 4.0],
        "value": [30.0, 10.0, 20.0, 5.0],
    }
    assert totals([3.0, 2.0]).to_frame()["channel"].tolist() == ["a", "(unattributed)"]
    assert totals([3.0, 1.0, 2.0], (4.0, 5.0)).total("value") == 65.0


@pytest.mark.parametrize(
    ("conversions", "baseline", "known", "rows"),
    [
        ([3.0, 1.0, 2.0], None, None, [True, True, True]),
        ([3.0, 1.0, 2.0], (0.0, 0.0), None, [True, True, True, True]),
        ([3.0, 1.0, 2.0], (0.0, 0.0), [True, False], [True, False, True, False]),
        ([3.0, 0.0, 2.0], (0.0, 0.0), [True, False], [True, False, True, True]),
        ([3.0, 1.0, 2.0], None, [False, True], [False, True, True]),
    ],
)
def test_what_is_known_of_each_row(
    conversions: list[float], baseline: tuple[float, float] | None, known: list[bool] | None, rows: list[bool]
) -> None:
    credit = totals(conversions, baseline, is_known=None if known is None else np.array(known))
    assert credit.known_rows().tolist() == rows


@pytest.mark.parametrize(
    ("conversions", "baseline", "divided", "odds"),
    [
        ([3.0, 1.0, 2.0], None, [3.0, 1.0], 0.0),
        ([3.0, 1.0, 2.0], (2.0, 9.0), [3.0, 1.0, 2.0], 0.5),
        ([3.0, -1.0, 2.0], (6.0, 9.0), [3.0, 0.0, 6.0], 2.0),
        ([3.0, 1.0, 2.0], (-2.0, 9.0), [3.0, 1.0, 0.0], 0.0),
        ([0.0, -1.0, 2.0], (2.0, 9.0), [0.0, 0.0, 2.0], 1e15),
        ([0.0, 0.0, 2.0], (0.0, 0.0), [0.0, 0.0, 0.0], 0.0),
        ([0.5, 0.0, 2.0], (0.25, 0.0), [0.5, 0.0, 0.25], 0.5),
    ],
)
def test_less_than_nothing_counts_as_nothing_where_journeys_are_divided(
    conversions: list[float], baseline: tuple[float, float] | None, divided: list[float], odds: float
) -> None:
    credit = totals(conversions, baseline)
    assert credit.divided.tolist() == divided
    assert credit.baseline_odds == pytest.approx(odds, rel=1e-12)


@pytest.mark.parametrize(
    ("conversions", "negative_is_zero", "shares"),
    [
        ([3.0, 1.0, 0.0], False, [0.75, 0.25, 0.0]),
        ([0.25, 0.25, 0.0], False, [0.5, 0.5, 0.0]),
        ([3.0, -1.0, 1.0], False, None),
        ([3.0, -1.0, 1.0], True, [0.75, 0.0, 0.25]),
        ([0.0, 0.0, 0.0], False, None),
        ([-1.0, -1.0, 0.0], True, None),
    ],
)
def test_shares_are_of_what_is_not_negative(
    conversions: list[float], negative_is_zero: bool, shares: list[float] | None
) -> None:
    further = {"negative_is_zero": True} if negative_is_zero else {}
    table = Credit.of([Stub(totals(conversions, **further))]).table
    assert table["share"].tolist() == (shares or pytest.approx([np.nan] * 3, nan_ok=True))
    assert table[["model", "estimand", "is_known"]].drop_duplicates().to_numpy().tolist() == [
        ["stub", "allocated", True]
    ]


def journeys_of(*paths: str) -> at.Journeys:
    """A customer for each path, with a touchpoint an hour, and an order of 10; ``_`` is the path without any."""
    rows = [(path, hour, channel) for path in paths for hour, channel in enumerate(path.strip("_"))]
    touchpoints = pd.DataFrame(
        {
            "customer_id": [row[0] for row in rows],
            "touched_at": [pd.Timestamp("2024-03-01") + row[1] * pd.Timedelta("1h") for row in rows],
            "channel": [row[2] for row in rows],
        }
    )
    conversions = pd.DataFrame({"customer_id": [*paths], "converted_at": pd.Timestamp("2024-03-02"), "value": 10.0})
    return at.build_journeys(at.load_sources(touchpoints, conversions))


def chunk_of(journeys: at.Journeys) -> JourneyChunk:
    (chunk,) = journeys
    return chunk


def test_of_no_journey_nothing_is_divided() -> None:
    chunk = chunk_of(journeys_of("ab")).subset(np.zeros(0, np.int64))
    for estimand, baseline in (("allocated", None), ("incremental", [])):
        allocation = allocate(Stub(totals([1.0, 1.0, 0.0]), estimand), chunk)
        assert len(allocation.chunk) == 0
        assert allocation.shares.tolist() == []
        assert (None if allocation.baseline is None else allocation.baseline.tolist()) == baseline
        assert allocation.without == 0


@pytest.mark.parametrize(
    ("estimand", "weight", "own", "shares", "baseline", "without"),
    [
        ("allocated", 2.0, 9.0, [1.0, 0.5, 0.5], None, 0),
        ("allocated", 0.0, 9.0, [1.0, 0.5, 0.5], None, 2),
        ("incremental", 1.0, 2.0, [1 / 3, 0.25, 0.25], [2 / 3, 0.5], 0),
        ("incremental", 0.0, 2.0, [0.0, 0.0, 0.0], [1.0, 1.0], 0),
        ("incremental", 2.0, 0.0, [1.0, 0.5, 0.5], [0.0, 0.0], 0),
        ("incremental", 0.0, 0.0, [0.0, 0.0, 0.0], [1.0, 1.0], 0),
        ("incremental", 0.5, 0.0, [1.0, 0.5, 0.5], [0.0, 0.0], 0),
    ],
)
def test_shares_of_touchpoints_and_of_the_baseline(
    estimand: str, weight: float, own: float, shares: list[float], baseline: list[float] | None, without: int
) -> None:
    allocation = allocate(Stub(totals([1.0, 1.0, 0.0]), estimand, weight, own), chunk_of(journeys_of("a", "bc")))
    assert allocation.shares == pytest.approx(shares)
    assert allocation.baseline is None if baseline is None else allocation.baseline == pytest.approx(baseline)
    assert allocation.without == without


def test_a_factor_multiplies_the_weights_of_touchpoints() -> None:
    chunk = replace(chunk_of(journeys_of("ab")), factor=np.array([0.5, 2.0]))
    assert allocate(Stub(totals([1.0, 1.0, 0.0])), chunk).shares.tolist() == [0.2, 0.8]


def test_the_baseline_of_one_journey_takes_nothing_of_another() -> None:
    shares, baseline = _divide(np.array([0, 2, 3]), np.array([1.0, 2.0, 0.0]), np.array([1.0, 0.0]))
    assert shares.tolist() == [0.25, 0.5, 0.0]
    assert baseline.tolist() == [0.25, 1.0]


def test_multiples_of_channels_and_of_the_baseline_change_shares() -> None:
    chunk = allocate(Stub(totals([1.0, 1.0, 0.0])), chunk_of(journeys_of("ab"))).chunk
    each = Allocation(chunk, np.array([0.25, 0.25]), np.array([0.5]), 0)
    changed = _rescaled(each, np.array([2.0, 4.0, 1.0]))
    assert changed.shares == pytest.approx([0.25, 0.5])
    assert changed.baseline == pytest.approx([0.25])
    empty = Allocation(chunk.subset(np.zeros(0, np.int64)), np.zeros(0), None, 0)
    assert _rescaled(empty, np.ones(3)) is empty


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ([1.0, 1.0], r"one weight per touchpoint is needed, got shape \(2,\)"),
        ([1.0, 1.0, -1e-300], "must be finite and not negative"),
        ([1.0, 1.0, np.inf], "must be finite and not negative"),
    ],
)
def test_weights_that_are_none(weights: list[float], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Stub(totals([1.0, 1.0, 0.0]))
    monkeypatch.setattr(model, "weigh", lambda _: np.array(weights))
    with pytest.raises(LawError, match=problem):
        allocate(model, chunk_of(journeys_of("a", "bc")))


@pytest.mark.parametrize(
    ("observed", "fits"),
    [((4.0, 40.0), True), ((4.0 + 3e-9, 40.0), True), ((4.0 + 5e-9, 40.0), False), ((4.0 - 5e-9, 40.0), False),
     ((4.0, 40.0 + 3e-8), True), ((4.0, 40.0 + 5e-8), False)],
)  # fmt: skip
def test_credit_adds_up_to_what_was_observed(observed: tuple[float, float], fits: bool) -> None:
    model = Stub(totals([3.0, 1.0, 0.0]))
    if fits:
        check_totals(model, *observed)
    else:
        with pytest.raises(LawError, match="adds up to"):
            check_totals(model, *observed)


def test_of_next_to_nothing_the_error_is_not_relative() -> None:
    check_totals(Stub(totals([0.0, 0.0])), 9e-10, 0.0)
    for wrong in (1.5e-9, -1.5e-9):
        with pytest.raises(LawError, match="credit of conversions adds up to"):
            check_totals(Stub(totals([0.0, 0.0])), wrong, 0.0)


def test_journeys_are_listed_by_customer_time_and_position() -> None:
    rows = journey_credit(journeys_of("_", "ba", "c"), at.Linear().fit(journeys_of("_", "ba", "c")))
    assert rows[["customer_id", "channel", "credit", "credited_value"]].to_numpy().tolist() == [
        ["_", "(unattributed)", 1.0, 10.0],
        ["ba", "b", 0.5, 5.0],
        ["ba", "a", 0.5, 5.0],
        ["c", "c", 1.0, 10.0],
    ]
    assert rows["position"].tolist() == [pd.NA, 1, 2, 1]
    assert rows["touched_at"].isna().tolist() == [True, False, False, False]


def test_two_models_of_one_label_and_none_at_all() -> None:
    one = Stub(totals([1.0, 0.0]))
    with pytest.raises(at.InputError, match="two models have the label 'stub'"):
        Credit.of([one, one])
    with pytest.raises(at.InputError, match="no model is given"):
        Credit.of([])
