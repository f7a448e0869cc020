"""A registered model scores each day by the version in effect on it, and fetches a version when a day needs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.data.engine import DuckDBEngine
from attribution.models.saved import Definition, Scorer
from attribution.pipeline.stores import choose_store
from attribution.production.scoring.days import day_number
from attribution.production.scoring.in_effect import (
    PARAMETERS_TAG,
    VERSION_TAG,
    VersionRecord,
    VersionsInEffect,
    describe_parameters,
)
from attribution.production.scoring.job import ScoringOptions, score_days
from attribution.production.scoring.publication import Scored
from attribution.production.versions import Timeline
from attribution.schema.experiment import JourneyOptions
from tests.cli.test_cli import call

pytestmark = pytest.mark.filterwarnings("ignore")

MAY = [f"2026-05-{day:02d}" for day in range(1, 11)]
SPLIT = day_number("2026-05-06")


def log(*late: tuple[str, str]) -> dict[str, pd.DataFrame]:
    """Every day of ten a customer with two touchpoints and an order, and further touchpoints of such a customer."""
    touches = [(day, f"{day}T0{hour}:00:00", channel) for day in MAY for hour, channel in ((1, "mail"), (2, "search"))]
    touches += [(day, f"{day}T03:00:00", channel) for day, channel in late]
    touchpoints = pd.DataFrame(touches, columns=["customer_id", "touched_at", "channel"])
    conversions = pd.DataFrame({"customer_id": MAY, "converted_at": [f"{day}T09:00:00" for day in MAY], "value": 10.0})
    return {"touchpoints": touchpoints, "conversions": conversions.assign(conversion_id=MAY)}


def made(folder: Path, model: at.AttributionModel, definition: Definition | None = None) -> Scorer:
    fitted = model.fit(at.build_journeys(at.load_sources(**log())))
    definition = definition or Definition(JourneyOptions(lookback_days=2))
    return Scorer.of(fitted, name="shop", definition=definition).save(folder)


@pytest.fixture
def scorers(tmp_path: Path) -> dict[str, Scorer]:
    return {"1": made(tmp_path / "1", at.Linear()), "2": made(tmp_path / "2", at.LastTouch())}


class Registry:
    """What is fetched of it, version by version."""

    def __init__(self, scorers: dict[str, Scorer]) -> None:
        self.scorers = scorers
        self.fetched: list[str] = []
        self.tags = {
            version: {VERSION_TAG: scorer.version, PARAMETERS_TAG: json.dumps(describe_parameters(scorer))}
            for version, scorer in scorers.items()
        }

    def load(self, version: str) -> Scorer:
        self.fetched.append(version)
        return self.scorers[version]

    def versions(self, timeline: Timeline, **options: Any) -> VersionsInEffect:
        known = {version: VersionRecord.read(tags) for version, tags in self.tags.items()}
        self.fetched.clear()
        return VersionsInEffect(
            timeline, self.load, {name: about for name, about in known.items() if about is not None}, **options
        )


def night(out: Path, model: Scorer | VersionsInEffect, tables: Any, **options: Any) -> Scored:
    return score_days(model, ScoringOptions(tables, out, **options), DuckDBEngine(threads=1))


def days_of(out: Path) -> dict[str, pd.DataFrame]:
    return {path.parent.name[4:]: pd.read_parquet(path) for path in (out / "journey_credit").rglob("*.parquet")}


def manifest_of(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return content


SPLIT_IN_MAY = Timeline.of("1").promote("2", since=SPLIT)


def test_what_the_tags_tell_is_what_the_scorer_tells(scorers: dict[str, Scorer]) -> None:
    registry = Registry(scorers)
    assert {version: VersionRecord.read(tags) for version, tags in registry.tags.items()} == {
        version: VersionRecord.of(scorer) for version, scorer in scorers.items()
    }
    options = JourneyOptions(lookback_days=9.5, conversions="cumulative", conversion_kinds=("order", "lead"))
    other = replace(scorers["1"], definition=Definition(options, reading={"touchpoints": {"where": "true"}}))
    tags = {VERSION_TAG: other.version, PARAMETERS_TAG: json.dumps(describe_parameters(other))}
    assert VersionRecord.read(tags) == VersionRecord.of(other)
    assert VersionRecord.read(tags) != VersionRecord.of(scorers["1"])
    for missing in ({}, {VERSION_TAG: "a"}, {**tags, PARAMETERS_TAG: tags[PARAMETERS_TAG][:90]}):
        assert VersionRecord.read(missing) is None


def test_each_day_is_by_its_version_and_a_version_is_fetched_for_the_days_that_need_it(
    scorers: dict[str, Scorer], tmp_path: Path
) -> None:
    registry, out = Registry(scorers), tmp_path / "out"
    scored = night(out, registry.versions(SPLIT_IN_MAY), log())
    assert sorted(registry.fetched) == ["1", "2"]
    assert scored.made_otherwise == ()
    for version, scorer in scorers.items():
        night(tmp_path / f"alone {version}", scorer, log())
    alone = {version: days_of(tmp_path / f"alone {version}") for version in scorers}
    expected = {day: alone["1" if day_number(day) < SPLIT else "2"][day] for day in MAY}
    assert list(days_of(out)) == MAY or set(days_of(out)) == set(MAY)
    for day, table in days_of(out).items():
        pd.testing.assert_frame_equal(table, expected[day])
    told = manifest_of(out)
    assert told["in_effect"] == [
        {"from": None, "version": "1", "model_version": scorers["1"].version},
        {"from": "2026-05-06", "version": "2", "model_version": scorers["2"].version},
    ]
    assert "+" in told["versions"]["journey-attribution"]
    assert {entry["made_by"].split("/")[0] for entry in told["days"].values()} == {
        scorer.version for scorer in scorers.values()
    }
    # Nothing new: nothing is fetched but the newest, nothing written.
    before = (out / "manifest.json").read_bytes()
    scored = night(out, registry.versions(SPLIT_IN_MAY), log())
    assert (registry.fetched, scored.written, scored.unchanged) == (["2"], (), ())
    assert (out / "manifest.json").read_bytes() == before
    # A late touchpoint for each version.
    scored = night(out, registry.versions(SPLIT_IN_MAY), log(("2026-05-09", "social")))
    assert (registry.fetched, scored.written) == (["2"], ("2026-05-09",))
    scored = night(out, registry.versions(SPLIT_IN_MAY), log(("2026-05-09", "social"), ("2026-05-02", "social")))
    assert (sorted(registry.fetched), scored.written) == (["1", "2"], ("2026-05-02",))
    assert days_of(out)["2026-05-02"]["credit"].tolist() == pytest.approx([1 / 3] * 3)
    assert days_of(out)["2026-05-09"]["credit"].tolist() == [0, 0, 1]


def test_a_promotion_restates_the_days_that_it_says_and_a_rollback_brings_them_back(
    scorers: dict[str, Scorer], tmp_path: Path
) -> None:
    registry, out = Registry(scorers), tmp_path / "out"
    night(out, registry.versions(Timeline.of("1")), log())
    first = days_of(out)
    today = Timeline.of("1").promote("2", since=day_number("2026-05-11"))
    scored = night(out, registry.versions(today), log())
    assert (scored.written, scored.unchanged) == ((), ())
    assert [record["version"] for record in manifest_of(out)["in_effect"]] == ["1", "2"]
    restated = today.promote("2", since=SPLIT)
    scored = night(out, registry.versions(restated), log())
    assert scored.written == tuple(MAY[5:])
    assert set(scored.restatement["day"]) == set(MAY[5:])
    scored = night(out, registry.versions(restated.roll_back()), log())
    assert scored.written == tuple(MAY[5:])
    for day, table in days_of(out).items():
        pd.testing.assert_frame_equal(table, first[day])


def test_days_that_an_input_lacks_are_named_until_one_has_them(scorers: dict[str, Scorer], tmp_path: Path) -> None:
    registry, out = Registry(scorers), tmp_path / "out"
    night(out, registry.versions(Timeline.of("1")), log())
    recent = {
        name: table[table[time] >= "2026-05-06"]
        for (name, table), time in zip(log().items(), ("touched_at", "converted_at"), strict=True)
    }
    restated = Timeline.of("1").promote("2", since=day_number("2026-05-04"))
    scored = night(out, registry.versions(restated), recent)
    # Two days of history are needed before the first day that is scored.
    assert scored.written == tuple(MAY[7:])
    assert scored.made_otherwise == tuple(MAY[3:7])
    scored = night(out, registry.versions(restated), log())
    assert (scored.written, scored.made_otherwise) == (tuple(MAY[3:7]), ())
    # A folder that is scored by one scorer keeps what an input lacks, as it always did.
    assert night(out, scorers["1"], recent).made_otherwise == ()


def test_a_version_that_reads_the_tables_otherwise_keeps_doing_so_on_its_days(tmp_path: Path) -> None:
    """The new one leaves out a channel and the orders of a customer, and looks back further."""
    where = {"touchpoints": {"where": "channel <> 'social'"}, "conversions": {"where": "customer_id <> '2026-05-03'"}}
    definitions = {
        "1": Definition(JourneyOptions(lookback_days=2), reading={"touchpoints": {"where": "channel <> 'mail'"}}),
        "2": Definition(JourneyOptions(lookback_days=3), reading=where),
    }
    scorers = {name: made(tmp_path / name, at.Linear(), definition) for name, definition in definitions.items()}
    registry, out = Registry(scorers), tmp_path / "out"
    late = [("2026-05-02", "social")], [("2026-05-02", "social"), ("2026-05-03", "tv"), ("2026-05-08", "tv")]
    for number, touches in enumerate(late):
        paths = {}
        for name, table in log(*touches).items():
            paths[name] = str(tmp_path / f"{name}.csv")
            table.to_csv(paths[name], index=False)
        timeline = SPLIT_IN_MAY if number else Timeline.of("1")
        night(out, registry.versions(timeline), paths)
        for version, scorer in scorers.items():
            night(tmp_path / f"alone {version} {number}", scorer, paths)
        alone = {version: days_of(tmp_path / f"alone {version} {number}") for version in scorers}
        assert "2026-05-03" not in alone["2"]
        found = days_of(out)
        assert set(found) == set(MAY)
        for day, table in found.items():
            pd.testing.assert_frame_equal(table, alone[timeline.version_on(day_number(day))][day])


def test_an_alias_that_was_moved_by_hand_stays_in_effect_from_the_day_that_a_job_found_it(
    scorers: dict[str, Scorer], tmp_path: Path
) -> None:
    registry, out = Registry(scorers), tmp_path / "out"
    night(out, registry.versions(Timeline.of("1")), log())
    recorded = Timeline.of("1").promote("1", since=day_number("2026-05-01"))
    for today in ("2026-05-09", "2026-05-10", "2026-05-11"):
        moved = recorded.point_to("2", day_number(today))
        scored = night(out, registry.versions(moved), log())
        assert scored.written == (tuple(MAY[8:]) if today == "2026-05-09" else ())
        assert manifest_of(out)["in_effect"][-1]["from"] == "2026-05-09"
    # Once it is on record, the record counts.
    scored = night(out, registry.versions(moved.roll_back("2")), log())
    assert (scored.written, manifest_of(out)["in_effect"][-1]["from"]) == (tuple(MAY[8:]), "2026-05-11")


def test_a_policy_for_the_job_counts_for_every_version(scorers: dict[str, Scorer], tmp_path: Path) -> None:
    registry = Registry(scorers)
    versions = registry.versions(SPLIT_IN_MAY, unknown_channels="zero")
    assert {versions.made_by(day) for day in (SPLIT - 1, SPLIT)} == {
        f"{scorer.version}/zero" for scorer in scorers.values()
    }
    assert versions.newest.unknown_channels == "zero"


def test_the_alias_is_looked_up_once_and_a_hand_that_moves_it_is_warned_of(
    scorers: dict[str, Scorer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    new_store: Callable[[Path], str],
) -> None:
    from mlflow.tracking import MlflowClient

    from attribution.tracking import registry

    store = choose_store(new_store(tmp_path))
    client = MlflowClient(tracking_uri=store.tracking)
    for version in scorers:
        alias = "champion" if version == "1" else None
        registry.register_scorer(tmp_path / version, registry.Placement("shop", store, alias))
    # As if it had been promoted; the tags are those of an earlier version of the package, which tell less.
    client.set_registered_model_tag("shop", "attribution.effective.champion", json.dumps([[None, "1"]]))
    for name, table in log().items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    tables = [f"--{name}={tmp_path / name}.csv" for name in log()]
    job = ("score", "models:/shop@champion", *tables, "--out", tmp_path / "out", "--tracking-uri", store.tracking)
    look_up = registry.find_versions

    def moved(*arguments: Any, **options: Any) -> Any:
        found = look_up(*arguments, **options)
        client.set_registered_model_alias("shop", "champion", "2")
        return found

    with monkeypatch.context() as context:
        context.setattr(registry, "find_versions", moved)
        assert call(monkeypatch, *job, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model_version"], len(told["days_written"])) == (scorers["1"].version, 10)
    assert [record["version"] for record in told["in_effect"]] == ["1"]
    monkeypatch.setattr(registry, "_today", lambda: SPLIT)
    assert call(monkeypatch, *job, "--json") == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told["days_written"] == MAY[5:]
    assert "points to version 2, but version 1 was promoted last" in printed.err
    assert "attribution promote shop --alias champion --rollback --version 2" in printed.err
    assert call(monkeypatch, "promote", "shop", "--rollback", "--tracking-uri", store.tracking) == 0
    assert "Version 1 is in effect on all days." in capsys.readouterr().out
    assert call(monkeypatch, *job) == 0
    printed = capsys.readouterr()
    assert "5 days written (2026-05-06 to 2026-05-10)" in printed.out
    assert printed.err == ""
    for version, days in (("models:/shop/2", MAY), (tmp_path / "1", MAY)):
        assert call(monkeypatch, "score", version, *job[2:], "--json") == 0
        assert json.loads(capsys.readouterr().out)["days_written"] == days
