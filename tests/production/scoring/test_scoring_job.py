"""The scoring job: day by day, whole or not at all, again to the same bytes, whatever kills it."""

from __future__ import annotations

import fcntl
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import attribution as at
from attribution.data.engine import DuckDBEngine
from attribution.errors import InputError
from attribution.models.saved import Definition, Scorer
from attribution.production.scoring.days import Input, Reach, choose_days, day_name, day_number
from attribution.production.scoring.job import ScoringOptions, score_days
from attribution.production.scoring.publication import Scored
from attribution.schema.experiment import JourneyOptions
from attribution.schema.tables.scoring import RESTATEMENT, SCORED
from tests import killed_jobs
from tests.cli.test_cli import call
from tests.production.scoring.test_choice_of_days import By

DAY = np.timedelta64(1, "D")
Log = tuple[pd.DataFrame, pd.DataFrame]


def log(seed: int = 0, customers: int = 100, days: int = 60) -> Log:
    rng = np.random.default_rng(seed)
    n, size = customers * 12, customers
    start = np.datetime64("2024-01-01", "us")
    touchpoints = pd.DataFrame(
        {
            "customer_id": [f"客户 {i}" for i in rng.integers(0, customers, n)],
            "touched_at": start + rng.integers(0, days * 24, n) * np.timedelta64(1, "h"),
            "channel": rng.choice(["direct", "email", "search", "微信 🙂"], n, p=[0.1, 0.2, 0.4, 0.3]),
            "campaign": rng.choice(np.array([None, "spring", "brand"], dtype=object), n),
        }
    )
    conversions = pd.DataFrame(
        {
            "customer_id": [f"客户 {i}" for i in rng.integers(0, customers, size)],
            "converted_at": start + rng.integers(0, days * 24, size) * np.timedelta64(1, "h"),
            "value": rng.gamma(2, 40, size).round(2),
            "conversion_id": [f"order {i}" for i in range(size)],
        }
    )
    return touchpoints, conversions


def write(folder: Path, data: Log) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: str(folder / f"{name}.parquet") for name in ("touchpoints", "conversions")}
    for path, frame in zip(paths.values(), data, strict=True):
        frame.to_parquet(path, index=False)
    return paths


def fitted(data: Log, model: at.AttributionModel | None = None, **options: object) -> Scorer:
    sources = at.load_sources(*data)
    chosen = (model or at.Markov()).fit(at.build_journeys(sources, **options))
    definition = Definition(JourneyOptions.model_validate(options))
    return Scorer.of(chosen, name="shop", definition=definition)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "shop"
    fitted(log(), lookback_days=10.0).save(path)
    return path


def score(model: Path, tables: dict[str, str], out: Path, **asked: object) -> Scored:
    engine = asked.pop("engine", None) or DuckDBEngine(threads=1)
    return score_days(Scorer.load(model), ScoringOptions(tables, out, **asked), engine)  # type: ignore[arg-type]


def day_files(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in sorted((out / "journey_credit").rglob("*.parquet"))}


def table_of(out: Path) -> pd.DataFrame:
    parts = [pq.ParquetFile(path).read() for path in sorted((out / "journey_credit").rglob("*.parquet"))]
    return pd.concat([part.to_pandas() for part in parts], ignore_index=True)


def by_conversion(frame: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in SCORED.column_names if name not in ("model", "model_version")]
    campaign = frame["campaign"].astype(object).where(frame["campaign"].notna(), None)
    frame = frame[columns].assign(position=frame["position"].astype("float64"), campaign=campaign)
    return frame.sort_values(["conversion_id", "position"]).reset_index(drop=True)


def test_the_job_writes_what_scoring_in_memory_gives(model: Path, tmp_path: Path) -> None:
    data = log()
    scored = score(model, write(tmp_path, data), tmp_path / "out")
    table = table_of(tmp_path / "out")
    assert tuple(table.columns) == SCORED.column_names
    expected = Scorer.load(model).score(*data)
    pd.testing.assert_frame_equal(by_conversion(table), by_conversion(expected), check_dtype=False)
    assert set(table["conversion_id"]) == set(data[1]["conversion_id"])
    np.testing.assert_allclose(table.groupby("conversion_id")["credit"].sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(table["credited_value"].sum(), data[1]["value"].sum())
    assert (table["channel"] == "(unattributed)").any()
    assert set(table["model_version"]) == {Scorer.load(model).version}
    days = data[1].set_index("conversion_id")["converted_at"].dt.strftime("day=%Y-%m-%d")
    for day in day_files(tmp_path / "out"):
        ids = pq.ParquetFile(tmp_path / "out" / "journey_credit" / day / "journey_credit.parquet").read()
        assert set(days[ids["conversion_id"].to_pylist()]) == {day}
    assert scored.rows == len(table)
    assert scored.conversions == len(data[1])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"journey_credit", "manifest.json", ".lock"}


def test_scoring_again_writes_nothing_and_anew_the_same_bytes(model: Path, tmp_path: Path) -> None:
    touchpoints, conversions = log()
    tables = write(tmp_path / "a", (touchpoints, conversions))
    score(model, tables, tmp_path / "out")
    before = day_files(tmp_path / "out"), (tmp_path / "out" / "manifest.json").read_bytes()
    again = score(model, tables, tmp_path / "out")
    assert (again.written, again.unchanged, again.revision) == ((), (), 1)
    assert before == (day_files(tmp_path / "out"), (tmp_path / "out" / "manifest.json").read_bytes())
    shuffled = [frame.sample(frac=1, random_state=3) for frame in (touchpoints, conversions)]
    engine = DuckDBEngine(threads=2, partitions=3, batch_rows=50)
    score(model, write(tmp_path / "b", (shuffled[0], shuffled[1])), tmp_path / "anew", engine=engine)
    assert day_files(tmp_path / "anew") == before[0]
    forced = score(model, tables, tmp_path / "out", first=day_number("2024-01-10"), last=day_number("2024-01-20"))
    assert forced.written == ()
    inside = conversions["converted_at"].dt.strftime("%Y-%m-%d")
    assert set(forced.unchanged) == {day for day in inside if "2024-01-10" <= day <= "2024-01-20"}
    assert day_files(tmp_path / "out") == before[0]


@pytest.mark.parametrize(
    "options",
    [
        {"lookback_days": 10.0},
        {"lookback_days": 10.0, "conversions": "cumulative"},
        {"lookback_days": 5.0, "conversions": "first_only"},
        {"lookback_days": 7.0, "customers": "new", "dedupe": "consecutive"},
        {},
    ],
    ids=str,
)
def test_late_rows_restate_the_days_they_touch_and_no_others(options: dict[str, object], tmp_path: Path) -> None:
    """What is scored bit by bit ends where scoring everything at once does."""
    touchpoints, conversions = log(seed=4)
    fitted((touchpoints, conversions), **options).save(tmp_path / "model")
    rng = np.random.default_rng(5)
    late_t, late_c = rng.random(len(touchpoints)) < 0.02, rng.random(len(conversions)) < 0.04
    early = write(tmp_path / "early", (touchpoints[~late_t], conversions[~late_c]))
    whole = write(tmp_path / "whole", (touchpoints, conversions))
    score(tmp_path / "model", early, tmp_path / "out")
    old = day_files(tmp_path / "out")
    scored = score(tmp_path / "model", whole, tmp_path / "out")
    score(tmp_path / "model", whole, tmp_path / "at once")
    new = day_files(tmp_path / "out")
    assert new == day_files(tmp_path / "at once")
    assert set(scored.written) == {day.removeprefix("day=") for day in new if new[day] != old.get(day)}
    assert scored.written
    if options.get("lookback_days") == 5.0:
        return
    touched = {*touchpoints["touched_at"][late_t].dt.floor("D"), *conversions["converted_at"][late_c].dt.floor("D")}
    reach = int(options.get("lookback_days", 30))  # type: ignore[call-overload]
    near = {day + pd.Timedelta(days=ahead) for day in touched for ahead in range(reach + 1)}
    if options.get("customers") != "new":
        assert {pd.Timestamp(day) for day in (*scored.written, *scored.unchanged)} <= near


def test_the_restatement_adds_up_to_the_change(model: Path, tmp_path: Path) -> None:
    touchpoints, conversions = log()
    conversions.loc[0, "converted_at"] = touchpoints["touched_at"].max()
    late = conversions.index == 0
    first = write(tmp_path / "early", (touchpoints, conversions[~late]))
    score(model, first, tmp_path / "out")
    before = table_of(tmp_path / "out")
    scored = score(model, write(tmp_path / "whole", (touchpoints, conversions)), tmp_path / "out")
    after = table_of(tmp_path / "out")
    path = tmp_path / "out" / "restatement" / "revision=000002" / "restatement.parquet"
    restatement = pq.ParquetFile(path).read().to_pandas()
    pd.testing.assert_frame_equal(restatement, scored.restatement)
    assert tuple(restatement.columns) == RESTATEMENT.column_names
    day = conversions["converted_at"][0].strftime("%Y-%m-%d")
    assert set(restatement["day"]) == {day}
    assert scored.written == (day,)
    for channel, rows in restatement.groupby("channel"):
        moved = rows["conversions_after"].sum() - rows["conversions_before"].sum()
        expected = (
            after[after["channel"] == channel]["credit"].sum() - before[before["channel"] == channel]["credit"].sum()
        )
        assert moved == pytest.approx(expected)
    assert (restatement["conversions_after"] - restatement["conversions_before"]).sum() == pytest.approx(1.0)
    moved_value = (restatement["value_after"] - restatement["value_before"]).sum()
    assert moved_value == pytest.approx(conversions["value"][0])


def test_a_rolling_window_adds_days_and_leaves_those_it_knows_too_little_of(model: Path, tmp_path: Path) -> None:
    touchpoints, conversions = log()

    def between(first: str, last: str) -> dict[str, str]:
        low, high = np.datetime64(first), np.datetime64(last) + DAY
        parts = [
            frame[(frame[time] >= low) & (frame[time] < high)]
            for frame, time in ((touchpoints, "touched_at"), (conversions, "converted_at"))
        ]
        return write(tmp_path / f"{first}-{last}", (parts[0], parts[1]))

    for first, last in (("2024-01-01", "2024-01-30"), ("2024-01-11", "2024-02-10"), ("2024-01-25", "2024-02-29")):
        scored = score(model, between(first, last), tmp_path / "rolling")
        assert not set(scored.written) & set(scored.without_history)
    score(model, write(tmp_path / "whole", (touchpoints, conversions)), tmp_path / "at once")
    assert day_files(tmp_path / "rolling") == day_files(tmp_path / "at once")
    changed = touchpoints.copy()
    changed.loc[changed["touched_at"] < np.datetime64("2024-01-28"), "channel"] = "direct"
    touchpoints = changed
    scored = score(model, between("2024-01-25", "2024-02-15"), tmp_path / "rolling")
    assert scored.outdated
    assert max(scored.outdated) < "2024-02-05"
    assert scored.outdated == json.loads((tmp_path / "rolling" / "manifest.json").read_text())["outdated"]
    named = scored.restatement[scored.restatement["outdated_id"].notna()]
    assert set(named["outdated_id"]) == {name for names in scored.outdated.values() for name in names}
    assert named["channel"].isna().all()


def test_another_version_of_the_model_scores_all_days_again(model: Path, tmp_path: Path) -> None:
    data = log()
    tables = write(tmp_path, data)
    score(model, tables, tmp_path / "out")
    fitted(log(seed=1), lookback_days=10.0).save(tmp_path / "shop")
    scored = score(tmp_path / "shop", tables, tmp_path / "out")
    assert len(scored.written) == len(day_files(tmp_path / "out"))
    assert len(scored.restatement)
    assert table_of(tmp_path / "out")["model_version"].nunique() == 1


def test_a_lost_file_is_written_again(model: Path, tmp_path: Path) -> None:
    tables = write(tmp_path, log())
    score(model, tables, tmp_path / "out")
    before = day_files(tmp_path / "out")
    lost, cut = sorted(before)[3], sorted(before)[7]
    (tmp_path / "out" / "journey_credit" / lost / "journey_credit.parquet").unlink()
    (tmp_path / "out" / "journey_credit" / cut / "journey_credit.parquet").write_bytes(before[cut][:50])
    scored = score(model, tables, tmp_path / "out")
    assert {f"day={day}" for day in scored.written} == {lost, cut}
    assert day_files(tmp_path / "out") == before


def test_a_day_that_has_no_conversions_any_more_goes(model: Path, tmp_path: Path) -> None:
    touchpoints, conversions = log()
    score(model, write(tmp_path / "a", (touchpoints, conversions)), tmp_path / "out")
    day = conversions["converted_at"].dt.strftime("%Y-%m-%d").mode()[0]
    without = conversions[conversions["converted_at"].dt.strftime("%Y-%m-%d") != day]
    tables = write(tmp_path / "b", (touchpoints, without))
    gone = score(model, tables, tmp_path / "out")
    assert gone.removed == (day,)
    assert f"day={day}" not in day_files(tmp_path / "out")
    of_day = gone.restatement[gone.restatement["day"] == day]
    assert len(of_day)
    assert (of_day["conversions_after"] == 0).all()
    score(model, tables, tmp_path / "anew")
    assert day_files(tmp_path / "out") == day_files(tmp_path / "anew")


def test_unknown_channels_are_counted(model: Path, tmp_path: Path) -> None:
    touchpoints, conversions = log()
    touchpoints.loc[::5, "channel"] = "brand new"
    scored = score(model, write(tmp_path, (touchpoints, conversions)), tmp_path / "out")
    table = table_of(tmp_path / "out")
    assert scored.unknown_channels == {"brand new": int((table["channel"] == "brand new").sum())}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["unknown_touchpoints"] == dict(scored.unknown_channels)
    assert manifest["unknown_channels"] == "zero"


@pytest.mark.parametrize("seed", [0])
def test_whatever_kills_a_job_the_next_one_loses_nothing_and_doubles_nothing(
    model: Path, tmp_path: Path, seed: int
) -> None:
    touchpoints, conversions = log(customers=40)
    rng = np.random.default_rng(seed)
    late_t, late_c = rng.random(len(touchpoints)) < 0.05, rng.random(len(conversions)) < 0.05
    score(model, write(tmp_path / "early", (touchpoints[~late_t], conversions[~late_c])), tmp_path / "before")
    tables = write(tmp_path / "whole", (touchpoints, conversions))
    (tmp_path / "work").mkdir()
    paths = (tables["touchpoints"], tables["conversions"], tmp_path / "before")
    kills = killed_jobs.killed("score", model, *paths, tmp_path / "work", seed)
    assert sum(kill["killed"] for kill in kills) >= 5
    for kill in kills:
        assert kill["readable"], kill
        assert not kill["differ"], kill


# ------------------------------------------------------------ refused, and nothing touched


def test_a_second_job_in_the_same_folder_is_refused(model: Path, tmp_path: Path) -> None:
    tables = write(tmp_path, log())
    score(model, tables, tmp_path / "out")
    before = day_files(tmp_path / "out")
    with (tmp_path / "out" / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another scoring job is using"):
            score(model, write(tmp_path / "other", log(seed=9)), tmp_path / "out")
    assert day_files(tmp_path / "out") == before


def test_folders_of_another_model_or_of_anything_else_are_refused(model: Path, tmp_path: Path) -> None:
    tables = write(tmp_path / "in", log())
    score(model, tables, tmp_path / "out")
    before = day_files(tmp_path / "out")
    other = fitted(log(), at.Linear(), lookback_days=10.0)
    Scorer.of(at.Linear().fit(at.build_journeys(at.load_sources(*log()))), name="other").save(tmp_path / "other")
    assert other.name == "shop"
    with pytest.raises(InputError, match=r"has the output of another model.*other.*shop"):
        score(tmp_path / "other", tables, tmp_path / "out")
    assert day_files(tmp_path / "out") == before
    with pytest.raises(InputError, match="that no scoring job wrote"):
        score(model, tables, tmp_path / "in")
    assert sorted(path.name for path in (tmp_path / "in").iterdir() if path.name != ".lock") == [
        "conversions.parquet",
        "touchpoints.parquet",
    ]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        score(model, tables, tmp_path / "file")
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text(encoding="utf-8")), "schema_version": 99}))
    with pytest.raises(InputError, match="update the package"):
        score(model, tables, tmp_path / "out")


def test_a_full_disk_leaves_what_was_there(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score(model, write(tmp_path / "a", log()), tmp_path / "out")
    before = day_files(tmp_path / "out"), (tmp_path / "out" / "manifest.json").read_bytes()
    write_table, written = pq.write_table, 0

    def full(*args: object, **kwargs: object) -> None:
        nonlocal written
        written += 1
        if written > 5:
            raise OSError(28, "No space left on device")
        write_table(*args, **kwargs)

    monkeypatch.setattr("attribution.production.scoring.publication.pq.write_table", full)
    with pytest.raises(InputError, match=r"no space is left.*unchanged"):
        score(model, write(tmp_path / "b", log(seed=9)), tmp_path / "out")
    assert before == (day_files(tmp_path / "out"), (tmp_path / "out" / "manifest.json").read_bytes())
    assert not (tmp_path / "out" / ".scoring").exists()


def test_a_refused_job_leaves_no_new_folder(model: Path, tmp_path: Path) -> None:
    tables = write(tmp_path, log())
    pd.DataFrame({"customer_id": ["a"], "channel": ["email"]}).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="column 'touched_at' is missing"):
        score(model, {**tables, "touchpoints": str(tmp_path / "bad.parquet")}, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()
    positions = [log()[0].assign(touched_at=range(1200)), log()[1].assign(converted_at=range(100))]
    with pytest.raises(InputError, match="needs timestamps"):
        score(model, write(tmp_path / "p", (positions[0], positions[1])), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------ which days


def test_days_are_chosen_by_reach() -> None:
    def given(touched: dict[int, str], converted: dict[int, str], conversions: str = "reset") -> Input:
        return Input(touched, converted, Reach.of(2.0, conversions, "all"))

    def seen(of: Input) -> dict[str, object]:
        days = {day_name(day): {"made_by": "m"} for day in of.conversions}
        return {"days": days, "inputs": of.against({}).merge_inputs()}

    def chosen(of: Input, before: dict[str, object], made_by: str = "m", **asked: object) -> list[int]:
        return choose_days(of.against(before.get("inputs", {})), before, By(made_by), **asked).score  # type: ignore[arg-type]

    start = given({1: "a", 2: "a", 3: "a"}, dict.fromkeys(range(1, 9), "c"))
    late = given({1: "a", 2: "b", 3: "a"}, start.conversions)
    assert chosen(late, seen(start)) == [2, 3, 4]
    order = given(start.touchpoints, {**start.conversions, 5: "d"})
    assert chosen(order, seen(start)) == [5, 6, 7]
    cumulative = given(start.touchpoints, order.conversions, "cumulative")
    assert chosen(cumulative, seen(start)) == [5]
    assert chosen(start, seen(start)) == []
    assert chosen(start, seen(start), "n") == list(range(1, 9))
    assert chosen(start, seen(start), between=(3, 4)) == [3, 4]
    assert Reach.of(2.0, "first_only", "all").days > 1_000_000


def test_what_an_input_does_not_tell_is_neither_taken_back_nor_scored_from() -> None:
    def given(touched: range, converted: range, **said: object) -> Input:
        digests = [dict.fromkeys(days, "1-7@0-9") for days in (touched, converted)]
        return Input(digests[0], digests[1], Reach.of(2.0, "reset", "all"), **said)  # type: ignore[arg-type]

    inputs = given(range(1, 11), range(1, 11)).against({}).merge_inputs()
    rolling = given(range(5, 13), range(5, 13)).against(inputs)
    assert rolling.changed("conversions") == [11, 12]
    assert rolling.missing("conversions") == rolling.missing("touchpoints") == [1, 2, 3, 4]
    assert sorted(rolling.lacks_history()) == [5, 6]
    assert list(rolling.merge_inputs()["conversions"]) == [day_name(day) for day in range(1, 13)]
    fewer = given(range(1, 11), range(3, 9)).against(inputs)
    assert fewer.changed("conversions") == []
    whole = given(range(1, 11), range(3, 9), covers=(2, 9)).against(inputs)
    assert whole.changed("conversions") == [2, 9]
    begun = replace(rolling.current, conversions={**rolling.current.conversions, 5: "1-6@5-9"}, touchpoints={})
    cut = begun.against(inputs).conversions
    assert (cut.first, cut.last, cut.cut) == (6, 12, (5,))


# ------------------------------------------------------------ the command


def test_the_command_scores_and_says_what_it_did(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = write(tmp_path, log())
    files = ("--touchpoints", tables["touchpoints"], "--conversions", tables["conversions"])
    assert call(monkeypatch, "score", model, *files, "--out", tmp_path / "out", "--dry-run") == 0
    assert "days would be scored" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert call(monkeypatch, "score", model, *files, "--out", tmp_path / "out", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == "shop"
    assert document["conversions"] == 100
    assert call(monkeypatch, "score", model, *files, "--out", tmp_path / "out", "--from", "2024-01-05") == 0
    assert "scored again without a change" in capsys.readouterr().out
    for wrong, said in (
        (("--from", "5.1.2024"), "--from must be a day"),
        (("--engine", "oracle"), "unknown engine"),
        (("--memory-limit", "much"), "--memory-limit must be a size"),
        (("--unknown-channels", "like_known"), "cannot count like any other"),
        (("--time-zone", "Paris"), "unknown time_zone"),
    ):
        assert call(monkeypatch, "score", model, *files, "--out", tmp_path / "out", *wrong) == 2
        assert said in capsys.readouterr().err
    assert call(monkeypatch, "score", tmp_path / "none", *files, "--out", tmp_path / "out") == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_model_of_the_demo_is_exported_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a run to a folder to scores, as `models/README.md` tells it."""
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "simulate", "default", "--customers", 400, "--out", "shop") == 0
    (tmp_path / "shop.toml").write_text(
        """
name = "shop"
[tables.touchpoints]
source = "shop/touchpoints.parquet"
[tables.conversions]
source = "shop/conversions.parquet"
[[models]]
model = "Markov"
order = 2
name = "markov_2"
[[models]]
model = "Shapley"
[tracking]
enabled = false
""",
        encoding="utf-8",
    )
    assert call(monkeypatch, "run", "shop.toml") == 0
    assert call(monkeypatch, "export", "runs/shop", "--model", "markov_2", "--to", "models/shop", "--no-register") == 0
    files = ("--touchpoints", "shop/touchpoints.parquet", "--conversions", "shop/conversions.parquet")
    assert call(monkeypatch, "score", "models/shop", *files, "--out", "scores") == 0
    capsys.readouterr()
    credit = pd.read_parquet(tmp_path / "runs" / "shop" / "published_credit.parquet")
    expected = credit[credit["model"] == "markov_2"].set_index("channel")["allocated"]
    allocated = table_of(tmp_path / "scores").groupby("channel")["credit"].sum()
    np.testing.assert_allclose(allocated[expected.index], expected, atol=1e-6)
