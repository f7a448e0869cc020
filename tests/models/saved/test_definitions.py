"""What a saved model remembers of its training, and what it asks of other tables."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.models.base import AttributionModel
from attribution.models.saved.definition import Definition, Training, _ends, _lasting
from attribution.models.saved.earlier import merge_intervals
from attribution.schema.experiment import JourneyOptions, Period


def training(**told: Any) -> Training:
    plain = {"tables": ("conversions", "touchpoints"), "dimensions": ("channel",), "has_times": True, "zoned": None,
             "first": None, "last": None, "journeys": 1.0, "conversions": 1.0, "value": 1.0}  # fmt: skip
    return Training(**{**plain, **told})


# ------------------------------------------------------------ training


@pytest.mark.parametrize(
    ("first", "last", "shared"),
    [
        ("2024-01-03", "2024-01-09", 6.0),
        ("2023-12-01", "2024-02-01", 10.0),
        ("2024-01-05T12:00", "2024-02-01", 5.5),
        ("2024-01-11", "2024-01-12", 0.0),
        ("2024-02-01", "2024-02-09", 0.0),
    ],
)
def test_days_that_two_trainings_share(first: str, last: str, shared: float) -> None:
    ten, other = training(first="2024-01-01", last="2024-01-11"), training(first=first, last=last)
    assert ten.days_shared(other) == shared
    assert other.days_shared(ten) == shared


def test_days_are_not_known_without_times_or_ends() -> None:
    ten = training(first="2024-01-01", last="2024-01-11")
    for other in (training(), training(first="1", last="9", has_times=False), training(first="2024-01-01")):
        assert np.isnan(ten.days_shared(other))
        assert np.isnan(other.days_shared(ten))


def day(number: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1 + number, tzinfo=dt.UTC)


DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("period", "ends"),
    [
        (Period(), ("1970-01-03T00:00:00.000000", "1970-01-07T00:00:00.000000")),
        (Period(start=day(3)), ("1970-01-04T00:00:00.000000", "1970-01-07T00:00:00.000000")),
        (Period(start=day(1)), ("1970-01-03T00:00:00.000000", "1970-01-07T00:00:00.000000")),
        (Period(end=day(5)), ("1970-01-03T00:00:00.000000", "1970-01-06T00:00:00.000000")),
        (Period(end=day(9)), ("1970-01-03T00:00:00.000000", "1970-01-07T00:00:00.000000")),
    ],
)
def test_data_end_with_the_period_or_the_last_event(period: Period, ends: tuple[str, str]) -> None:
    journeys = cast(Any, SimpleNamespace(span=(2 * DAY, 6 * DAY), has_times=True))
    assert _ends(journeys, period) == ends


def test_ends_of_positions_and_of_paths() -> None:
    assert _ends(cast(Any, SimpleNamespace(span=(2, 9), has_times=False)), Period(start=day(3))) == ("2", "9")
    assert _ends(cast(Any, SimpleNamespace(span=None, has_times=False)), Period()) == (None, None)


def test_derived_columns_of_clicks_are_not_remembered() -> None:
    assert _lasting(("channel", "click_id", "click_id_kind", "kind")) == ("channel", "kind")
    assert _lasting(("channel", "click_id", "kind")) == ("channel", "click_id", "kind")


def sources_of(times: list[object], end: object, **columns: Any) -> Sources:
    touchpoints = pd.DataFrame({"customer_id": [1] * len(times), "touched_at": times, "channel": "mail", **columns})
    return at.load_sources(touchpoints, pd.DataFrame({"customer_id": [1], "converted_at": [end]}))


def test_a_training_tells_what_it_read() -> None:
    sources = sources_of(["2024-01-01T10:00Z", "2024-01-02T10:00Z"], "2024-01-05T00:00Z")
    period = Period(start=dt.datetime(2024, 1, 3, tzinfo=dt.UTC))
    made = Training.of(sources, at.build_journeys(sources, period=period), {"touchpoints": "7f"}, period=period)
    assert made == training(
        zoned=True, first="2024-01-03T00:00:00.000000", last="2024-01-05T00:00:00.000000", value=0.0,
        digests={"touchpoints": "7f"}, touched_first="2024-01-01T10:00:00.000000",
    )  # fmt: skip
    order = sources_of([1, 2], 3)
    of_order = Training.of(order, at.build_journeys(order))
    assert (of_order.has_times, of_order.zoned, of_order.touched_first) == (False, None, None)
    assert (of_order.first, of_order.last, of_order.digests) == ("1", "3", {})
    paths = at.load_sources(paths=pd.DataFrame({"path": ["a > b"], "conversions": [2]}))
    of_paths = Training.of(paths, at.build_journeys(paths))
    assert (of_paths.has_times, of_paths.first, of_paths.touched_first, of_paths.conversions) == (None, None, None, 2.0)


# ------------------------------------------------------------ what a model needs

PLAIN = cast(AttributionModel, SimpleNamespace(label="m"))
ALL = ("campaign", "channel", "kind", "stage")


@pytest.mark.parametrize(
    ("options", "model", "needed"),
    [
        ({}, {}, ("channel",)),
        ({"dedupe": "consecutive"}, {}, ALL),
        ({"lookback_by_kind": {"click": 3.0}}, {}, ("channel", "kind")),
        ({"view_through": "clicks_only"}, {}, ("channel", "kind")),
        ({"view_through_weight": 0.5}, {}, ("channel", "kind")),
        ({}, {"column": "stage"}, ("channel", "stage")),
        ({}, {"column": "creative"}, ("channel",)),
        ({}, {"column": "stage", "weights": {}}, ("channel",)),
        ({}, {"column": "stage", "weights": {}, "function": min}, ("channel", "kind", "stage")),
        ({}, {"column": 3}, ("channel",)),
        ({}, {"function": min}, ("channel", "kind")),
    ],
)
def test_columns_that_decide_journeys_or_weights_are_needed(
    options: dict[str, Any], model: dict[str, Any], needed: tuple[str, ...]
) -> None:
    definition = Definition(
        JourneyOptions(**options), training=training(dimensions=("channel", "kind", "campaign", "stage"))
    )
    assert definition.needed_dimensions(cast(AttributionModel, SimpleNamespace(**model))) == needed
    untold = Definition(JourneyOptions(**options)).needed_dimensions(cast(AttributionModel, SimpleNamespace(**model)))
    assert untold in ((), ("channel",))


def test_currency_is_that_of_the_training() -> None:
    assert Definition(training=training(currency="EUR")).currency == "EUR"
    assert Definition().currency is None


TIMES = sources_of(["2024-01-01T10:00"], "2024-01-02T10:00")
ZONED = sources_of(["2024-01-01T10:00Z"], "2024-01-02T10:00Z")
ORDER = sources_of([1], 2)


@pytest.mark.parametrize(
    ("trained", "sources", "message"),
    [
        ({}, TIMES, None),
        ({"zoned": False}, TIMES, None),
        ({"zoned": True}, ZONED, None),
        ({"zoned": None}, ZONED, None),
        ({"has_times": None}, ORDER, None),
        ({"has_times": False}, ORDER, None),
        (
            {"has_times": True, "zoned": True},
            ORDER,
            "fitted on touchpoints with timestamps. Given: touchpoints with only an order",
        ),
        ({"has_times": False}, TIMES, "fitted on touchpoints with only an order. Given: touchpoints with timestamps"),
        ({"zoned": True}, TIMES, "fitted on timestamps with a time zone. Given: timestamps without a time zone"),
        (
            {"zoned": False},
            ZONED,
            "fitted on timestamps without a time zone, read as UTC. Given: timestamps with a time zone",
        ),
        ({"tables": ("touchpoints", "customers")}, TIMES, None),
    ],
)  # fmt: skip
def test_times_of_another_kind_are_refused(trained: dict[str, Any], sources: Sources, message: str | None) -> None:
    definition = Definition(training=training(**trained))
    if message is None:
        definition.check(sources, PLAIN)
    else:
        with pytest.raises(InputError) as refused:
            definition.check(sources, PLAIN)
        assert message in str(refused.value)


def test_tables_and_columns_of_the_training_are_needed() -> None:
    Definition().check(TIMES, PLAIN)
    by_account = Definition(JourneyOptions(account="account"), training=training(tables=("customers", "touchpoints")))
    with pytest.raises(InputError, match="was fitted with a table 'customers', which is missing here"):
        by_account.check(TIMES, PLAIN)
    Definition(JourneyOptions(account="account"), training=training()).check(TIMES, PLAIN)
    distinct = Definition(JourneyOptions(dedupe="consecutive"), training=training(dimensions=("channel", "kind")))
    with pytest.raises(InputError, match="needs the column 'kind' of touchpoints"):
        distinct.check(TIMES, PLAIN)
    distinct.check(sources_of(["2024-01-01T10:00"], "2024-01-02T10:00", kind="click"), PLAIN)


def test_tables_are_read_as_in_training_unless_they_say_how() -> None:
    definition = Definition(reading={"touchpoints": {"where": "kind = 'click'"}})
    spec = at.TableSpec(source="t.csv", where="kind = 'click'")
    assert definition.spec("touchpoints", "t.csv", canonical=False) == spec
    assert definition.spec("touchpoints", "t.csv", canonical=True) == "t.csv"
    assert definition.spec("conversions", "c.csv", canonical=False) == "c.csv"
    own = at.TableSpec(source="t.csv")
    assert definition.spec("touchpoints", own, canonical=False) is own
    assert definition.spec("touchpoints", "  SELECT * from t", canonical=False) == "  SELECT * from t"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"channel": "lower(source)"}, "where": "kind = 'click'"}, None),
        ({"columns": {"channel": "source"}}, None),
        ({"where": "kind = 'click'"}, None),
        (
            {"columns": {"channel": "(select max(name) from other)"}},
            "reads a column of the table touchpoints by a query",
        ),
        ({"where": "id in (select id from other)"}, "filters the table touchpoints by a query"),
    ],
)
def test_a_folder_reads_no_other_tables_than_it_is_given(options: dict[str, Any], message: str | None) -> None:
    definition = Definition(reading={"touchpoints": options})
    if message is None:
        definition.refuse_other_tables("model shop")
    else:
        with pytest.raises(InputError, match=f"model shop {message}"):
            definition.refuse_other_tables("model shop")


# ------------------------------------------------------------ intervals of version 0.1.0

KEYS = {"model": ["m", "m"], "channel": ["a", "b"]}


def intervals(measure: str, estimate: list[float]) -> pd.DataFrame:
    return pd.DataFrame({**KEYS, "measure": measure, "estimate": estimate, "low": [1.0, 2.0], "high": [3.0, 4.0]})


def test_an_interval_belongs_to_the_row_that_has_its_estimate() -> None:
    credit = pd.DataFrame({**KEYS, "conversions": [10.0, 0.0], "value": [5.0, 6.0], "share": [0.5, 0.5]})
    of_conversions = intervals("conversions", [10.0 + 9e-6, 1e-9])
    merged = merge_intervals({"credit": credit, "intervals": of_conversions, "kpis": credit})
    assert list(merged) == ["credit", "kpis"]
    assert merged["credit"]["conversions_low"].tolist()[0] == 1.0
    assert np.isnan(merged["credit"]["conversions_low"].tolist()[1])
    assert merged["credit"]["conversions_high"].tolist()[0] == 3.0
    assert merged["credit"]["value_low"].isna().all()
    near = merge_intervals({"credit": credit, "intervals": intervals("conversions", [10.0 + 2e-5, 1e-13])})
    assert near["credit"]["conversions_low"].fillna(-1).tolist() == [-1.0, 2.0]


def test_tables_of_today_stay_and_tables_without_draws_have_empty_ends() -> None:
    today = pd.DataFrame({**KEYS, "conversions": 1.0, "value": 1.0, "share": 0.5, "value_low": 0.1, "value_high": 0.2})
    merged = merge_intervals({"credit": today, "intervals": intervals("value", [1.0, 1.0])})
    assert merged["credit"] is today
    none = merge_intervals({"credit": today.drop(columns=["value_low", "value_high"])})
    assert none["credit"][["value_low", "share_high"]].isna().all(axis=None)


def test_ranks_have_no_estimate_where_nothing_was_spent() -> None:
    returns = pd.DataFrame({**KEYS, "roi": np.nan, "rank": np.nan, "conversions": 1.0, "value": 1.0})
    ranks = intervals("rank", [1.0, 2.0])
    merged = merge_intervals({"returns": returns, "intervals": ranks})
    assert merged["returns"]["rank_low"].tolist() == [1.0, 2.0]
    assert merged["returns"]["roi_low"].isna().all()
    some = merge_intervals({"returns": returns.assign(rank=[7.0, np.nan]), "intervals": ranks})
    assert some["returns"]["rank_low"].isna().all()
    known = merge_intervals({"returns": returns.assign(rank=[1.0, 7.0]), "intervals": ranks})
    assert known["returns"]["rank_low"].fillna(-1).tolist() == [1.0, -1.0]
    kept = merge_intervals({"returns": returns.assign(rank_low=[0.5, np.nan]), "intervals": ranks})
    assert kept["returns"]["rank_low"].tolist() == [0.5, 2.0]
