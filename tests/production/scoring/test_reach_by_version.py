"""Versions of a model, each in effect on its own days: what is known of them without loading any."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

import attribution as at
from attribution.models.saved import Definition, Scorer, Training
from attribution.production.scoring.days import FAR, Reach, day_name
from attribution.production.scoring.in_effect import VersionRecord, VersionsInEffect, digest_reading
from attribution.production.scoring.row_columns import example_rows, explain_columns, known_channels
from attribution.production.versions import Promotion, Timeline
from attribution.schema.experiment import JourneyOptions
from tests.production.scoring.askers import asker

OLD = VersionRecord("s1", "zero", "these tables", Reach(2, closes=True), ("order",))
NEW = VersionRecord("s2", "refuse", "other tables", Reach(5, closes=False), ("lead", "order"))
FROM_TEN = Timeline.of("1").promote("2", since=10)


def versions(old: VersionRecord = OLD, new: VersionRecord = NEW, **options: Any) -> VersionsInEffect:
    def load(version: str) -> Scorer:
        raise AssertionError(f"version {version} is not needed")

    return VersionsInEffect(options.pop("timeline", FROM_TEN), load, {"1": old, "2": new}, **options)


def test_an_event_reaches_as_far_as_the_version_of_each_day_says() -> None:
    reach = versions().reach
    assert (reach.days, reach.closes) == (5, True)
    assert [(day, cause) for day in (9, 10) for cause in range(3, 9) if reach.meets(day, [cause])] == [
        (9, 7), (9, 8), (10, 5), (10, 6), (10, 7), (10, 8),
    ]  # fmt: skip
    assert versions(new=NEW._replace(reach=OLD.reach)).reach == Reach(2, closes=True)
    open_ = versions(OLD._replace(reach=Reach(7, closes=False))).reach
    assert (open_.days, open_.closes) == (7, False)


def test_kinds_and_tables_and_names_are_those_of_the_version_of_a_day() -> None:
    both = versions()
    assert both.kinds == ("lead", "order")
    assert versions(OLD._replace(kinds=None)).kinds is None
    assert [both.reads_as_newest(day) for day in (9, 10)] == [False, True]
    assert [both.made_by(day) for day in (9, 10)] == ["s1/zero", "s2/refuse"]
    assert versions(unknown_channels="zero").made_by(10) == "s2/zero"
    days = {day_name(9): {"made_by": "s1/zero"}, day_name(10): {"made_by": "s1/zero"}}
    assert both.made_otherwise(days) == (day_name(10),)
    assert both.records == [
        {"from": None, "version": "1", "model_version": "s1"},
        {"from": day_name(10), "version": "2", "model_version": "s2"},
    ]
    assert [record["version"] for record in versions(is_registered=False).records] == [None, None]


BY_HAND = Timeline.of("1").point_to("2", 20)
FIRST = {"from": None, "version": "1", "model_version": "s1"}


@pytest.mark.parametrize(
    ("records", "since"),
    [
        ([FIRST, {"from": day_name(17), "version": "2", "model_version": "s2"}], 17),
        ([FIRST, {"from": day_name(25), "version": "2", "model_version": "s2"}], 20),
        ([FIRST, {"from": day_name(17), "version": "3", "model_version": "s2"}], 20),
        ([FIRST, {"from": None, "version": "2", "model_version": "s2"}], 20),
        ([{**FIRST, "version": "0"}, {"from": day_name(17), "version": "2", "model_version": "s2"}], 20),
        ([{"from": day_name(17), "version": "2", "model_version": "s2"}], 20),
        ([FIRST], 20),
        ([], 20),
    ],
)
def test_the_day_that_a_hand_moved_an_alias_is_the_first_on_which_a_job_saw_it(
    records: list[dict[str, str | None]], since: int
) -> None:
    continued = versions(timeline=BY_HAND).continued(records)
    assert continued.timeline == Timeline((Promotion(None, "1"), Promotion(since, "2")), is_by_hand=True)
    recorded = versions(timeline=Timeline.of("1").promote("2", since=20))
    assert recorded.continued(records) is recorded


def test_an_alias_that_was_only_ever_moved_by_hand_is_on_all_days() -> None:
    only = versions(timeline=Timeline((Promotion(None, "2"),), is_by_hand=True))
    seen = [{"from": day_name(17), "version": "2", "model_version": "s2"}]
    assert only.continued(seen).timeline.promotions == (Promotion(-FAR, "2"),)


def test_each_version_is_loaded_once_and_when_it_is_needed() -> None:
    loaded = []

    def load(version: str) -> Scorer:
        loaded.append(version)
        return asker(policy="refuse")

    both = VersionsInEffect(FROM_TEN, load)
    assert loaded == []
    assert both.newest is both.newest
    assert loaded == ["2"]
    groups = both.by_version([11, 9, 10, 8])
    assert [(scorer is both.newest, days) for scorer, days in groups] == [(False, [8, 9]), (True, [10, 11])]
    assert loaded == ["2", "1"]
    assert both.is_registered
    assert not VersionsInEffect.of(asker()).is_registered


# ------------------------------------------------------------ what is known of a version without loading it


@pytest.mark.parametrize("kinds", [None, ("lead", "order")])
def test_a_record_tells_what_its_scorer_does(kinds: tuple[str, ...] | None) -> None:
    scorer = asker(policy="refuse", lookback_days=2.5, conversions="cumulative", conversion_kinds=kinds)
    record = VersionRecord("s3", "refuse", digest_reading(scorer), Reach(3, closes=False), kinds)
    assert VersionRecord.of(scorer) == record
    journeys = scorer.definition.journeys.model_dump(mode="json", exclude_defaults=True)
    parameters = {"journeys": journeys, "unknown_channels": "refuse", "reading": record.reading}
    tags = {"attribution.scorer_version": "s3", "attribution.parameters": json.dumps(parameters)}
    assert VersionRecord.read(tags) == record
    assert VersionRecord.read({**tags, "attribution.parameters": "{}"}) is None
    assert VersionRecord.read({}) is None


def test_what_decides_how_tables_are_read_has_a_digest() -> None:
    def digest(**changed: Any) -> str:
        definition = asker().definition
        assert definition.training is not None
        training = replace(definition.training, currency=changed.pop("currency", None))
        return digest_reading(
            cast(Scorer, SimpleNamespace(definition=replace(definition, training=training, **changed)))
        )

    def of(content: list[Any]) -> str:
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    plain = [{}, {}, "channel", None]
    assert digest() == of(plain)
    assert digest(grain="campaign") == of([{}, {}, "campaign", None])
    assert digest(currency="EUR", rates={"USD": 0.9}) == of([*plain, "EUR", {"USD": 0.9}])
    visits = JourneyOptions(visit_gap_minutes=30.0, visit_source="last_non_direct", visit_lookback_days=1.5)
    assert visits.visits is not None
    assert digest(journeys=visits) == of([*plain, visits.visits.model_dump(exclude_defaults=True)])


# ------------------------------------------------------------ rows to ask with


def of_paths(path: str) -> Scorer:
    paths = pd.DataFrame({"path": [path], "conversions": [1]})
    return Scorer.of(at.Linear().fit(at.build_journeys(at.load_sources(paths=paths))))


def test_examples_of_rows_name_the_first_channel_and_the_last() -> None:
    rows = example_rows(of_paths("a > b > c"))
    assert rows.to_dict("list") == {
        "channel": [["a", "c"], ["a"]],
        "touched_at": [["2024-05-01T09:00:00Z", "2024-05-02T18:00:00Z"], ["2024-05-03T10:00:00Z"]],
        "converted_at": ["2024-05-03T10:00:00Z"] * 2,
        "conversion_id": ["1001", "1002"],
    }
    assert known_channels(of_paths("a > b > c")) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("times", "touched", "converted"),
    [
        ([1, 2, 3], [[1, 2], [1]], [3, 2]),
        (
            ["2024-01-01", "2024-01-02T00:00", "2024-01-03T00:00"],
            [["2024-05-01T09:00:00", "2024-05-02T18:00:00"], ["2024-05-03T10:00:00"]],
            ["2024-05-03T10:00:00"] * 2,
        ),
    ],
)
def test_examples_have_times_as_in_training(times: list[Any], touched: list[Any], converted: list[Any]) -> None:
    touchpoints = pd.DataFrame({"customer_id": 1, "touched_at": times[:2], "channel": ["mail", "search"]})
    conversions = pd.DataFrame({"customer_id": [1], "converted_at": times[2:]})
    sources = at.load_sources(touchpoints, conversions)
    journeys = at.build_journeys(sources)
    scorer = Scorer.of(at.Linear().fit(journeys), definition=Definition(training=Training.of(sources, journeys)))
    rows = example_rows(scorer)
    assert rows["touched_at"].tolist() == touched
    assert rows["converted_at"].tolist() == converted
    assert ("whole number" in explain_columns(scorer)["converted_at"]) is (times[0] == 1)
