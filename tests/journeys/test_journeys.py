"""Journeys from the kernel against the slow twin, on random histories."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.journeys import DAY, Journeys
from attribution.schema.experiment import Period
from tests.scale import examples
from tests.twins import journeys as twin
from tests.twins.strategies import histories, lookbacks, periods

MODES = ("reset", "cumulative", "first_only")
EPOCH = np.datetime64(0, "us")


def frames(history: dict[str, twin.History], *, integer_ids: bool, timestamps: bool) -> dict[str, pd.DataFrame]:
    """The history as tables; a missing kind is written as the click it counts as."""

    def name(customer: str) -> Any:
        return sorted(history).index(customer) if integer_ids else customer

    touches = [(name(c), t) for c, (mine, _) in history.items() for t in mine]
    converted = [(name(c), v) for c, (_, mine) in history.items() for v in mine]
    given: dict[str, pd.DataFrame] = {}
    if touches:
        given["touchpoints"] = pd.DataFrame(
            {
                "customer_id": [c for c, _ in touches],
                "touched_at": [t.at for _, t in touches],
                "channel": [t.channel for _, t in touches],
                "campaign": pd.array([t.campaign for _, t in touches], dtype="string"),
                "kind": [t.kind or "click" for _, t in touches],
                "cost": [t.cost for _, t in touches],
            }
        )
    given["conversions"] = pd.DataFrame(
        {
            "customer_id": [c for c, _ in converted],
            "converted_at": [v.at for _, v in converted],
            "value": [v.value for _, v in converted],
        }
    )
    if converted and converted[0][1].conversion_id is not None:
        given["conversions"]["conversion_id"] = [v.conversion_id for _, v in converted]
    if timestamps:
        for table, column in (("touchpoints", "touched_at"), ("conversions", "converted_at")):
            if table in given:
                given[table][column] = given[table][column].to_numpy().astype("datetime64[us]")
    return given


def listed(journeys: Journeys) -> Counter[tuple[Any, ...]]:
    """Every journey in full, as a multiset."""
    found: Counter[tuple[Any, ...]] = Counter()
    dimensions = journeys.dimensions
    for chunk in journeys:
        assert chunk.customer_ids is not None
        assert chunk.touched_at is not None
        customers = chunk.customer_ids.to_pylist()
        channel, campaign, kind = (dimensions.decode(chunk.code, name) for name in ("channel", "campaign", "kind"))
        for j in range(len(chunk)):
            rows = range(chunk.start[j], chunk.stop[j])
            touches = tuple(
                (int(chunk.touched_at[i]), channel[i], campaign[i], kind[i], float(chunk.cost[i])) for i in rows
            )
            converted = chunk.conversion[j] >= 0
            ended = int(chunk.ended_at[j]) if converted else None
            assert chunk.conversions[j] == converted
            assert chunk.nulls[j] == (not converted)
            found[customers[chunk.customer[j]], touches, ended, float(chunk.value[j]), bool(chunk.is_open[j])] += 1
    return found


def expected(result: twin.TwinResult, rename: dict[str, Any]) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for journey in result.journeys:
        touches = tuple((t.at, t.channel, t.campaign, t.kind or "click", t.cost) for t in journey.touches)
        ended = None if journey.conversion is None else journey.conversion.at
        value = 0.0 if journey.conversion is None else journey.conversion.value
        found[rename[journey.customer], touches, ended, value, journey.open] += 1
    return found


def clicks(history: dict[str, twin.History]) -> dict[str, twin.History]:
    return {c: ([replace(t, kind=t.kind or "click") for t in mine], v) for c, (mine, v) in history.items()}


@examples(20)
@given(
    histories(unit=DAY),
    lookbacks(),
    periods(unit=DAY),
    st.sampled_from(MODES),
    st.booleans(),
    st.integers(1, 3),
)
def test_journeys_equal_their_twin(
    history: dict[str, twin.History],
    lookback: int | None,
    period: tuple[int, int] | None,
    mode: Any,
    integer_ids: bool,
    partitions: int,
) -> None:
    history = clicks(history)
    if not any(converted for _, converted in history.values()):
        return
    tables = frames(history, integer_ids=integer_ids, timestamps=True)
    engine = at.DuckDBEngine(batch_rows=3, partitions=partitions)
    bounds = None if period is None else [pd.Timestamp(edge, unit="us").to_pydatetime() for edge in period]
    journeys = at.build_journeys(
        at.load_sources(**tables, engine=engine),
        lookback_days=float("inf") if lookback is None else lookback,
        conversions=mode,
        period=None if bounds is None else Period(start=bounds[0], end=bounds[1]),
    )
    slow = twin.build(history, lookback=None if lookback is None else lookback * DAY, mode=mode, period=period)
    rename = {c: sorted(history).index(c) if integer_ids else c for c in history}
    assert listed(journeys) == expected(slow, rename)
    counted = {(f.check, f.table): f.count for f in journeys.findings}
    assert counted["ties", "touchpoints"] == slow.counts["ties"]
    assert counted["without_touchpoint", "conversions"] == slow.counts["without_touchpoint"]
    assert counted["open_journeys", "journeys"] == slow.counts["open"]
    if mode == "first_only":
        for table in ("touchpoints", "conversions"):
            assert counted["after_first_conversion", table] == slow.counts[f"dropped_{table}_after_first"]
    if period is not None:
        assert counted["outside_period", "conversions"] == slow.counts["conversions_outside_period"]
        assert counted["outside_period", "journeys"] == slow.counts["journeys_outside_period"]


@examples(10)
@given(histories(), st.sampled_from(MODES))
def test_integer_times_are_positions_without_a_window(history: dict[str, twin.History], mode: Any) -> None:
    history = clicks(history)
    if not any(converted for _, converted in history.values()):
        return
    journeys = at.build_journeys(
        at.load_sources(**frames(history, integer_ids=False, timestamps=False)), conversions=mode
    )
    slow = twin.build(history, lookback=None, mode=mode)
    assert listed(journeys) == expected(slow, {c: c for c in history})


@pytest.mark.parametrize("mode", MODES)
def test_an_open_customer_is_carried_across_batches_and_partitions(mode: Any) -> None:
    """One history cut into batches of 1, 7 and all rows, and 1 to 4 partitions, gives the same journeys."""
    rng = np.random.default_rng(7)
    n = 400
    touchpoints = pd.DataFrame(
        {
            "customer_id": rng.choice(["a", "b" * 40, "ç", "d"], n, p=[0.7, 0.1, 0.1, 0.1]),
            "touched_at": EPOCH + rng.integers(0, 90 * 24, n) * np.timedelta64(1, "h"),
            "channel": rng.choice(["x", "y", "z"], n),
            "campaign": rng.choice(["one", "two"], n),
            "kind": "click",
            "cost": rng.integers(0, 5, n).astype(float),
        }
    )
    conversions = pd.DataFrame(
        {
            "customer_id": rng.choice(["a", "ç", "d", "only conversions"], 40),
            "converted_at": EPOCH + rng.integers(0, 90 * 24, 40) * np.timedelta64(1, "h"),
            "value": rng.integers(1, 9, 40).astype(float),
        }
    )
    results = [
        listed(
            at.build_journeys(
                at.load_sources(touchpoints, conversions, engine=at.DuckDBEngine(batch_rows=b, partitions=p)),
                conversions=mode,
                lookback_days=10,
            )
        )
        for b, p in ((1, 1), (7, 2), (1_000_000, 1), (50, 4))
    ]
    assert results[0]
    assert all(result == results[0] for result in results[1:])


def test_overlapping_journeys_are_laid_out_piece_by_piece() -> None:
    touchpoints = pd.DataFrame({"customer_id": 1, "touched_at": range(50), "channel": ["a", "b"] * 25})
    conversions = pd.DataFrame({"customer_id": 1, "converted_at": range(0, 50, 5)})
    journeys = at.build_journeys(at.load_sources(touchpoints, conversions), conversions="cumulative")
    (chunk,) = journeys.chunks
    assert len(chunk.channel) == 50
    pieces = list(chunk.batches(steps=60))
    assert len(pieces) > 1
    assert max(int(piece.lengths.sum()) for piece in pieces if len(piece) > 1) <= 60 + 46
    whole = chunk.flatten(np.ones(len(chunk), dtype=bool))
    laid = [piece.flatten(np.ones(len(piece), dtype=bool)).channel for piece in pieces]
    assert np.concatenate(laid).tolist() == whole.channel.tolist()
    assert whole.lengths.tolist() == [1, 6, 11, 16, 21, 26, 31, 36, 41, 46, 4][: len(whole)]


@examples(7)
@given(histories(unit=DAY), st.sampled_from(["hash(customer_id)", "length(customer_id)", "0"]), st.integers(1, 3))
def test_customers_who_share_a_key_are_told_apart(history: dict[str, twin.History], key: str, partitions: int) -> None:
    """Text ids are sorted by a number: where two have the same one, journeys must not be mixed."""
    history = clicks(history)
    if not any(converted for _, converted in history.values()):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("attribution.data.engine.duckdb.CUSTOMER_KEY", key)
        engine = at.DuckDBEngine(batch_rows=2, partitions=partitions)
        tables = frames(history, integer_ids=False, timestamps=True)
        journeys = at.build_journeys(at.load_sources(**tables, engine=engine), lookback_days=2)
    slow = twin.build(history, lookback=2 * DAY, mode="reset")
    assert listed(journeys) == expected(slow, {customer: customer for customer in history})
