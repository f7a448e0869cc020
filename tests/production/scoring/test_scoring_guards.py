"""Guards of a scoring job: a night that lacks something ends with a negative verdict, and any other says nothing."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.data.engine import DuckDBEngine
from attribution.models.saved import Definition, Scorer, Training
from attribution.production.guards import GuardResult, Thresholds, failed_guards
from attribution.production.scoring.days import day_name
from attribution.production.scoring.job import ScoringOptions, score_days
from attribution.production.scoring.publication import Scored
from attribution.schema.experiment import JourneyOptions
from tests.cli.test_cli import call

FIRST, DAYS, LOOKBACK = 19_783, 60, 10
START = np.datetime64("2024-03-01", "us")
DAY, HOUR = np.timedelta64(1, "D"), np.timedelta64(1, "h")
CHANNELS = np.array(["search", "social", "mail", "affiliate"])
Log = tuple[pd.DataFrame, pd.DataFrame]


def shop(seed: int = 0, per_day: int = 250, orders: int = 40) -> Log:
    """Customers of a few days each, who are touched two or three times and then buy, or do not."""
    random = np.random.default_rng(seed)
    season = np.array([1.1, 1.2, 1.1, 1.0, 1.0, 0.8, 0.8])
    at_day = np.repeat(np.arange(DAYS), random.poisson(per_day * season[np.arange(DAYS) % 7]))
    size = len(at_day)
    touched_at = START + at_day * DAY + random.integers(0, 86_400, size) * np.timedelta64(1, "s")
    customers = at_day * 1_000 + random.integers(0, per_day // 2, size)
    touchpoints = pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in customers],
            "touched_at": touched_at,
            "channel": random.choice(CHANNELS, size, p=[0.45, 0.3, 0.15, 0.1]),
        }
    )
    buyers = touchpoints.sample(orders * DAYS, random_state=seed).drop_duplicates("customer_id")
    delay = random.integers(1, 72, len(buyers)) * HOUR
    conversions = pd.DataFrame(
        {
            "customer_id": buyers["customer_id"].to_numpy(),
            "converted_at": buyers["touched_at"].to_numpy() + delay,
            "value": 10.0,
            "conversion_id": [f"o{number}" for number in range(len(buyers))],
        }
    )
    return touchpoints, conversions[conversions["converted_at"] < START + DAYS * DAY].reset_index(drop=True)


def between(data: Log, touched: tuple[int, int], converted: tuple[int, int]) -> dict[str, pd.DataFrame]:
    """Rows of days, the second one of each pair not included."""
    parts = {}
    for name, frame, time, (first, stop) in (
        ("touchpoints", data[0], "touched_at", touched),
        ("conversions", data[1], "converted_at", converted),
    ):
        parts[name] = frame[(frame[time] >= START + first * DAY) & (frame[time] < START + stop * DAY)]
    return parts


def whole(data: Log, days: int = DAYS) -> dict[str, pd.DataFrame]:
    return between(data, (0, days), (0, days))


def morning(day: int, hour: int = 3) -> dt.datetime:
    return dt.datetime(2024, 3, 1, hour, 15, tzinfo=dt.UTC) + dt.timedelta(days=day)


@pytest.fixture(scope="module")
def data() -> Log:
    return shop()


@pytest.fixture(scope="module")
def model(data: Log, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fitted on the first half of the log."""
    tables = whole(data, 30)
    sources = at.load_sources(**tables)
    journeys = at.build_journeys(sources, lookback_days=float(LOOKBACK))
    definition = Definition(JourneyOptions(lookback_days=float(LOOKBACK)), training=Training.of(sources, journeys))
    path = tmp_path_factory.mktemp("models") / "shop"
    Scorer.of(at.Markov().fit(journeys), name="shop", definition=definition).save(path)
    return path


def score(model: Path, tables: dict[str, pd.DataFrame], out: Path, **options: Any) -> Scored:
    options = {"now": morning(DAYS), **options}
    return score_days(
        Scorer.load(model), ScoringOptions(tables, out, canonical=True, **options), DuckDBEngine(threads=1)
    )


def failed(scored: Scored) -> list[tuple[str, str | None]]:
    return [(row.guard, row.channel or row.table) for row in failed_guards(scored.guards)]


def row_of(scored: Scored, guard: str) -> GuardResult:
    (row,) = (row for row in failed_guards(scored.guards) if row.guard == guard)
    return row


def manifest(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return document


# ------------------------------------------------------------ nothing is wrong


def test_a_first_night_on_the_whole_log_says_nothing(model: Path, data: Log, tmp_path: Path) -> None:
    """The log begins where that of the model did: nobody has more."""
    scored = score(model, whole(data), tmp_path / "out")
    assert failed(scored) == []
    assert scored.without_history == ()
    assert manifest(tmp_path / "out")["guards"] == []
    assert {row.guard for row in scored.guards if row.holds} == {
        *("clock", "freshness", "volume", "unattributed", "unknown_channels")
    }
    again = score(model, whole(data), tmp_path / "out")
    assert (failed(again), again.written) == ([], ())


def test_nights_without_a_fault_say_nothing(model: Path, data: Log, tmp_path: Path) -> None:
    """Every night the conversions of two weeks with the touchpoints of five, as far as there are any."""
    late = data[0].sample(frac=0.01, random_state=1).index
    for night in range(31, DAYS + 1):
        touchpoints, conversions = data
        # Some touchpoints come two days late.
        is_late = touchpoints.index.isin(late) & (touchpoints["touched_at"] >= START + (night - 2) * DAY)
        tables = between((touchpoints[~is_late], conversions), (max(0, night - 35), night), (night - 16, night))
        scored = score(model, tables, tmp_path / "out", now=morning(night))
        assert failed(scored) == [], (night, [row.says for row in failed_guards(scored.guards)])
        assert not scored.outdated
    assert len(manifest(tmp_path / "out")["days"]) == DAYS - 15


# ------------------------------------------------------------ history


def test_conversions_whose_touchpoints_were_not_given_are_not_scored(model: Path, data: Log, tmp_path: Path) -> None:
    """Touchpoints begin with the conversions, and the model knows of earlier ones."""
    tables = between(data, (40, DAYS - 1), (40, DAYS - 1))
    scored = score(model, tables, tmp_path / "out")
    row = row_of(scored, "history")
    assert scored.without_history == tuple(day_name(FIRST + day) for day in range(40, 50))
    assert (row.days, row.value, row.bound) == (10, 0.0, 10.0)
    assert "Give touchpoints from 2024-03-31 on" in str(row.says)
    assert set(manifest(tmp_path / "out")["days"]) == {day_name(FIRST + day) for day in range(50, DAYS - 1)}
    # What is scored is what the whole log gives.
    score(model, whole(data, DAYS - 1), tmp_path / "whole")
    for day in scored.written:
        place = f"journey_credit/day={day}/journey_credit.parquet"
        assert (tmp_path / "out" / place).read_bytes() == (tmp_path / "whole" / place).read_bytes()
    # The same job says the same; in later nights nobody misses days before the first one of the folder.
    assert row_of(score(model, tables, tmp_path / "out"), "history") == row
    assert failed(score(model, between(data, (40, DAYS), (40, DAYS)), tmp_path / "out")) == []
    # Where there are no earlier touchpoints, one says so.
    anyway = score(model, tables, tmp_path / "anyway", thresholds=Thresholds(history_days=0))
    assert (len(anyway.written), failed(anyway)) == (19, [])


def test_a_day_that_was_asked_for_and_lacks_its_history_is_named(model: Path, data: Log, tmp_path: Path) -> None:
    tables = between(data, (40, DAYS), (40, DAYS))
    score(model, tables, tmp_path / "out")
    asked = {"first": FIRST + 44, "last": FIRST + 45}
    scored = score(model, tables, tmp_path / "out", **asked)
    assert (scored.written, row_of(scored, "history").days) == ((), 2)


def test_a_short_history_into_a_complete_folder_names_what_it_kept(model: Path, data: Log, tmp_path: Path) -> None:
    score(model, whole(data), tmp_path / "out")
    before = manifest(tmp_path / "out")["days"]
    tables = between(data, (52, DAYS), (52, DAYS))
    for _ in range(2):
        scored = score(model, tables, tmp_path / "out")
        row = row_of(scored, "history")
        assert scored.written == ()
        assert "8 days stay as they were: 2024-04-22 to 2024-04-29" in str(row.says)
        assert manifest(tmp_path / "out")["days"] == before
    assert [kept["guard"] for kept in manifest(tmp_path / "out")["guards"]] == ["history"]
    # An extract that reaches back far enough for its last days does what it is for.
    assert failed(score(model, between(data, (45, DAYS), (45, DAYS)), tmp_path / "out")) == []


def test_a_new_day_without_its_history_is_named(model: Path, data: Log, tmp_path: Path) -> None:
    score(model, whole(data, 58), tmp_path / "out", now=morning(58))
    scored = score(model, between(data, (55, DAYS), (55, DAYS)), tmp_path / "out")
    assert "2 days were not written: 2024-04-28 to 2024-04-29" in str(row_of(scored, "history").says)
    assert scored.outdated


def test_a_model_of_an_earlier_version_does_not_know_where_touchpoints_begin(
    model: Path, data: Log, tmp_path: Path
) -> None:
    scorer = Scorer.load(model)
    training = scorer.definition.training
    assert training is not None
    assert training.touched_first is not None
    assert training.touched_first[:10] == "2024-03-01"
    older = replace(scorer, definition=replace(scorer.definition, training=replace(training, touched_first=None)))
    older.save(tmp_path / "older")
    tables = between(data, (40, DAYS), (40, DAYS))
    scored = score(tmp_path / "older", tables, tmp_path / "out")
    (row,) = (row for row in scored.guards if row.guard == "history")
    assert (len(scored.written), row.holds) == (20, None)
    demanded = score(tmp_path / "older", tables, tmp_path / "new", thresholds=Thresholds(history_days=5))
    assert demanded.without_history == tuple(day_name(FIRST + day) for day in range(40, 45))


# ------------------------------------------------------------ volume and freshness


def without(data: Log, channel: str, day: int) -> Log:
    touchpoints = data[0]
    is_gone = (touchpoints["channel"] == channel) & (touchpoints["touched_at"] >= START + day * DAY)
    return touchpoints[~is_gone], data[1]


def test_a_channel_that_is_gone_is_seen_the_next_day(model: Path, data: Log, tmp_path: Path) -> None:
    score(model, whole(data, 58), tmp_path / "out", now=morning(58))
    gone = without(data, "search", 58)
    scored = score(model, whole(gone, 59), tmp_path / "out", now=morning(59))
    assert failed(scored) == [("volume", "search")]
    assert row_of(scored, "volume").day == "2024-04-28"
    assert scored.written, "scores are written all the same"
    (row,) = manifest(tmp_path / "out")["guards"]
    assert (row["channel"], row["value"], row["holds"]) == ("search", 0.0, False)
    # The same job says the same again, unless the thresholds are others.
    assert failed(score(model, whole(gone, 59), tmp_path / "out", now=morning(59, 4))) == [("volume", "search")]
    paused = Thresholds(paused_channels=("search",))
    assert failed(score(model, whole(gone, 59), tmp_path / "out", now=morning(59), thresholds=paused)) == []
    assert manifest(tmp_path / "out")["guards"] == []
    # The night after it is back, nothing is said.
    back = pd.concat([gone[0], data[0][data[0]["touched_at"] >= START + 59 * DAY]]).drop_duplicates()
    assert failed(score(model, whole((back, data[1])), tmp_path / "out")) == []


def test_a_dry_run_says_what_is_missing(model: Path, data: Log, tmp_path: Path) -> None:
    scored = score(model, whole(without(data, "mail", 59)), tmp_path / "out", dry_run=True)
    assert failed(scored) == [("volume", "mail")]
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_an_export_that_stalls_is_seen_in_a_folder_that_was_in_time(model: Path, data: Log, tmp_path: Path) -> None:
    score(model, whole(data), tmp_path / "out", now=morning(DAYS))
    for later in (2, 3, 9):
        scored = score(model, whole(data), tmp_path / "out", now=morning(DAYS + later))
        assert failed(scored) == [("freshness", "touchpoints"), ("freshness", "conversions")], later
    assert "rows of 2024-05-08 are due" in str(failed_guards(scored.guards)[0].says)
    # A folder that was never in time is a backfill.
    score(model, whole(data), tmp_path / "backfill", now=morning(DAYS + 400))
    assert failed(score(model, whole(data), tmp_path / "backfill", now=morning(DAYS + 401))) == []
    due = {"due": FIRST + DAYS + 2}
    assert {guard for guard, _ in failed(score(model, whole(data), tmp_path / "due", **due))} == {"freshness"}


def test_touchpoints_that_end_before_conversions(model: Path, data: Log, tmp_path: Path) -> None:
    scored = score(model, between(data, (0, 57), (0, DAYS)), tmp_path / "out")
    assert ("freshness", "touchpoints") in failed(scored)


def test_a_clock_that_was_set_back(model: Path, data: Log, tmp_path: Path) -> None:
    score(model, whole(data, 59), tmp_path / "out", now=morning(59))
    scored = score(model, whole(data), tmp_path / "out", now=morning(40))
    assert failed(scored) == [("clock", None), ("clock", "touchpoints"), ("clock", "conversions")]
    assert scored.written


# ------------------------------------------------------------ what is published


def test_channels_that_were_renamed_restate_every_day(model: Path, data: Log, tmp_path: Path) -> None:
    score(model, whole(data), tmp_path / "out")
    renamed = data[0].assign(channel=data[0]["channel"].replace("social", "Social Ads"))
    tables = whole((renamed, data[1]))
    scored = score(model, tables, tmp_path / "out")
    assert {guard for guard, _ in failed(scored)} == {"restated", "unknown_channels"}
    restated = row_of(scored, "restated")
    assert restated.value is not None
    assert restated.value > 50
    assert "restatement/revision=000002" in str(restated.says)
    unknown = [str(row.says) for row in failed_guards(scored.guards) if row.guard == "unknown_channels"]
    assert unknown
    assert all("Social Ads" in says for says in unknown)
    # The same input, the same verdict; a bound of its own is met.
    assert ("restated", None) in failed(score(model, tables, tmp_path / "out"))
    many = Thresholds(restated_days=60, unknown_channels=1.0)
    assert failed(score(model, tables, tmp_path / "out", thresholds=many)) == []


def test_another_version_of_the_model_restates_nothing_by_surprise(model: Path, data: Log, tmp_path: Path) -> None:
    score(model, whole(data), tmp_path / "out")
    scorer = Scorer.load(model)
    sources = at.load_sources(**whole(data, 40))
    again = at.Markov(order=2).fit(at.build_journeys(sources, lookback_days=float(LOOKBACK)))
    Scorer.of(again, name="shop", definition=scorer.definition).save(tmp_path / "shop")
    scored = score(tmp_path / "shop", whole(data), tmp_path / "out")
    assert len(scored.restatement)
    assert failed(scored) == []


def test_touchpoints_whose_customers_are_written_otherwise(model: Path, data: Log, tmp_path: Path) -> None:
    """From one day on ids no longer meet those of conversions."""
    score(model, whole(data, 59), tmp_path / "out", now=morning(59))
    touchpoints = data[0].copy()
    is_late = touchpoints["touched_at"] >= START + 56 * DAY
    touchpoints.loc[is_late, "customer_id"] = "C-" + touchpoints["customer_id"]
    scored = score(model, whole((touchpoints, data[1])), tmp_path / "out")
    row = [row for row in failed_guards(scored.guards) if row.guard == "unattributed"][-1]
    assert row.day == "2024-04-29"
    assert row.value is not None
    assert row.value > 0.4
    assert "same customer ids" in str(row.says)


# ------------------------------------------------------------ the command


@pytest.fixture
def files(data: Log, tmp_path: Path) -> tuple[str, ...]:
    for name, frame in whole(without(data, "search", 59)).items():
        frame.to_parquet(tmp_path / f"{name}.parquet", index=False)
    paths = [str(tmp_path / f"{name}.parquet") for name in ("touchpoints", "conversions")]
    return "--touchpoints", paths[0], "--conversions", paths[1], "--out", str(tmp_path / "scores")


def test_the_command_ends_with_3_and_says_what_to_do(
    model: Path, files: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert call(monkeypatch, "score", model, *files, "--json", "--due", "2024-04-29") == 3
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["guards_hold"], len(document["days_written"]) > 50) == (False, True)
    assert {"guard", "table", "channel", "day", "days", "value", "expected", "bound", "holds", "says"} == set(
        document["guards"][0]
    )
    lines = said.err.strip().splitlines()
    assert lines[0].startswith("Touchpoints of search on 2024-04-29: 0; ")
    assert lines[-1] == "The scores were written all the same."
    thresholds = tmp_path / "thresholds.toml"
    thresholds.write_text('paused_channels = ["search"]\n')
    assert call(monkeypatch, "score", model, *files, "--thresholds", thresholds) == 0
    assert capsys.readouterr().err == ""


def test_a_scheduler_gets_a_warning_for_each_guard(
    model: Path, files: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "score", model, *files, "--due", "2024-04-29", "--log", "json") == 3
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    warnings = [line["message"] for line in lines if line["level"] == "warning"]
    assert warnings[0].startswith("Touchpoints of search on 2024-04-29: 0; ")
    assert lines[-1]["exit_code"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--from", "2024-04-02", "--through", "2024-04-01"), "--from is after --through"),
        (("--due", "yesterday"), "--due must be a day"),
        (("--thresholds", "none.toml"), "none.toml"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    model: Path,
    files: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    assert call(monkeypatch, "score", model, *files, *options) == 2
    said = capsys.readouterr()
    assert (said.out, message in said.err, said.err.count("\n")) == ("", True, 1)
    assert not (tmp_path / "scores").exists()
