"""Conversions that channels took part in: counted however long before, against a slow twin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.incrementality.participants import assemble_participants, participants_reader, touched_before
from attribution.journeys.histories import Histories

TOUCHES = pd.DataFrame(
    {
        "customer_id": ["a", "a", "a", "b", "b", "c", "d"],
        "touched_at": [
            *("2024-01-01", "2024-03-20", "2024-05-01"),
            "2024-03-01",
            "2024-03-05",
            "2024-03-02",
            "2024-02-01",
        ],
        "channel": ["mail", "search", "display", "mail", "mail", "display", "search"],
    }
)
ORDERS = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b", "c", "e"],
        "converted_at": ["2024-03-21", "2024-05-02", "2024-03-05", "2024-03-01", "2024-03-03"],
        "value": [10.0, 30.0, 5.0, 7.0, 9.0],
    }
)


def count(touches: pd.DataFrame = TOUCHES, orders: pd.DataFrame = ORDERS, **options: object) -> dict[str, tuple]:
    journeys = at.build_journeys(at.load_sources(touches, orders), **options)
    table = assemble_participants(journeys.read(participants_reader(journeys))[0], journeys)
    return {name: tuple(row) for name, row in zip(table.index, table.fillna(-1.0).to_numpy(), strict=True)}


def test_touchpoints_count_however_old() -> None:
    # Display came to c after the order; mail reached a long before the window, and b at the very instant.
    assert count() == {"display": (1, 30.0), "mail": (3, 15.0), "search": (2, 20.0)}
    assert count(lookback_days=1) == count()


def test_only_conversions_of_the_period_count_and_touchpoints_before_it_do() -> None:
    period = at.Period(start="2024-05-01", end="2024-05-31")
    assert count(period=period) == {"display": (1, 30.0), "mail": (1, 30.0), "search": (1, 30.0)}


def test_only_the_first_conversion_counts_where_only_that_does() -> None:
    assert count(conversions="first_only") == {"display": (0, -1.0), "mail": (2, 7.5), "search": (1, 10.0)}


def test_of_overlapping_journeys_and_of_paths_only_the_journey_is_known() -> None:
    assert count(conversions="cumulative", lookback_days=30) == {
        "display": (1, 30.0),
        "mail": (1, 5.0),
        "search": (1, 10.0),
    }
    paths = pd.DataFrame({"path": ["mail > mail > search", "search"], "conversions": [2, 3], "value": [8.0, 30.0]})
    journeys = at.build_journeys(at.load_sources(paths=paths))
    table = assemble_participants(journeys.read(participants_reader(journeys))[0], journeys)
    assert table["participants"].to_dict() == {"mail": 2.0, "search": 5.0}
    assert table["mean_value"].to_dict() == {"mail": 4.0, "search": 7.6}


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=6),
            st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=3),
        ),
        max_size=5,
    )
)
def test_pairs_are_those_of_the_slow_twin(customers: list) -> None:
    touches = [sorted(own, key=lambda touch: touch[0]) for own, _ in customers]
    ends = [sorted(own) for _, own in customers]
    flat, flat_ends = [each for own in touches for each in own], [each for own in ends for each in own]
    histories = Histories(
        np.cumsum([0, *map(len, touches)]),
        np.array([at for at, _ in flat], np.int64),
        np.array([channel for _, channel in flat], np.int32),
        np.cumsum([0, *map(len, ends)]),
        np.array([at for at, _ in flat_ends], np.int64),
        np.array([counts for _, counts in flat_ends], bool),
        np.ones(len(flat_ends)),
    )
    expected, number = set(), 0
    for own, own_ends in zip(touches, ends, strict=True):
        for end, counts in own_ends:
            expected |= {(number, channel) for at, channel in own if at <= end and counts}
            number += 1
    conversion, channel = touched_before(histories, 3)
    assert len(conversion) == len(expected)
    assert set(zip(conversion.tolist(), channel.tolist(), strict=True)) == expected


@pytest.mark.parametrize("rows", [1, 3])
def test_small_batches_count_alike(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = count()
    monkeypatch.setattr("attribution.journeys.structure.PIECE_STEPS", rows)
    assert count() == whole
