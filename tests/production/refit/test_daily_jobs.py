"""Nightly commands as a scheduler meets them: summarise, refit, monitor."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attribution import (
    Markov,
    Period,
    build_journeys,
    journey_credit,
    load_sources,
    read_experiment,
    run_experiment,
)
from attribution.cli import main as cli
from attribution.errors import InputError
from attribution.models.saved import Scorer, load_saved_scorer
from attribution.production.refit import SummaryStore
from attribution.testing import judge_model
from tests import killed_jobs
from tests.daily_logs import log_of

CHANCE = [
    *("chance_conversions", "chance_value"),
    *("beyond_conversions", "beyond_conversions_low", "beyond_conversions_high"),
]

EXPERIMENT = """
name = "nightly"

[tables.touchpoints]
source = "touchpoints.parquet"

[tables.conversions]
source = "conversions.parquet"

[tables.costs]
source = "spend.csv"
columns = { channel = "channel", amount = "spend", day = "date" }

[journeys]
lookback_days = 5

[[models]]
model = "LastTouch"

[[models]]
model = "Markov"

[tracking]
enabled = false
"""

Run = Callable[..., tuple[int, str, str]]


def write_log(folder: Path, *, until: str = "2024-06-01", since: str = "2024-01-01", days: int = 45) -> None:
    touchpoints, conversions = log_of(days, customers=600)
    for table, at in ((touchpoints, "touched_at"), (conversions, "converted_at")):
        name = "touchpoints" if at == "touched_at" else "conversions"
        table[table[at].between(since, until, inclusive="left")].to_parquet(folder / f"{name}.parquet", index=False)
    dates = pd.date_range("2024-03-01", periods=days).strftime("%Y-%m-%d")
    spend = [(channel, 10.0, date) for date in dates for channel in ("search", "direct")]
    pd.DataFrame(spend, columns=["channel", "spend", "date"]).to_csv(folder / "spend.csv", index=False)
    (folder / "nightly.toml").write_text(EXPERIMENT)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log, and all its whole days summarised."""
    folder = tmp_path_factory.mktemp("template")
    write_log(folder)
    command = [sys.executable, "-m", "attribution", "summarise", "nightly.toml", "--to", "sums"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def job(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    for path in template.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["attribution", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def sums(job: Run, template: Path, tmp_path: Path) -> str:
    """All days of the log, summarised."""
    shutil.copytree(template / "sums", tmp_path / "sums")
    return "sums"


def files_of(folder: str, name: str = "summary.parquet") -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob(name))}


def test_a_nightly_job_writes_what_is_new_and_then_nothing(job: Run) -> None:
    assert job("summarise", "nightly.toml", "--to", "sums", "--through", "2024-03-20")[0] == 0
    before = files_of("sums")
    assert len(before) == 20
    code, out, _ = job("summarise", "nightly.toml", "--to", "sums", "--json")
    told = json.loads(out)
    # The log is as it was: only days that are not there yet.
    assert (code, told["first"], told["last"]) == (0, "2024-03-21", "2024-04-13")
    after = files_of("sums")
    assert len(after) == 44
    assert {name: after[name] for name in before} == before
    assert "sums already has all days" in job("summarise", "nightly.toml", "--to", "sums")[1]
    assert files_of("sums") == after


def test_a_dry_run_writes_nothing(job: Run, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = job("summarise", "nightly.toml", "--to", "sums", "--dry-run")
    assert (code, out) == (0, "The days 2024-03-01 to 2024-04-13 would be written to sums. Nothing was written.\n")
    assert sorted(tmp_path.rglob("*")) == before
    job("summarise", "nightly.toml", "--to", "sums")
    before = sorted(tmp_path.rglob("*"))
    assert job("refit", "sums", "--days", "9", "--dry-run")[:2] == (
        0,
        "Would fit on 2024-04-05 to 2024-04-13 and write runs/nightly-refit.\n",
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_refit_writes_the_credit_of_a_run_on_the_same_days(job: Run, sums: str) -> None:
    assert job("refit", "sums", "--days", "20", "--through", "2024-04-10", "--out", "refit")[0] == 0
    period = ["--set", "period.start=2024-03-22", "--set", "period.end=2024-04-10"]
    assert job("run", "nightly.toml", *period, "--out", "run")[0] == 0
    found, expected = (pd.read_parquet(f"{folder}/credit.parquet") for folder in ("refit", "run"))
    # Days hold no touchpoint that could have another channel.
    assert found[["chance_conversions", "chance_value"]].isna().all(axis=None)
    found, expected = (table.drop(columns=CHANCE) for table in (found, expected))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)
    manifest = json.loads(Path("refit/manifest.json").read_text())
    assert (manifest["first"], manifest["last"]) == ("2024-03-22", "2024-04-10")
    first = {path.name: path.read_bytes() for path in Path("refit").iterdir()}
    job("refit", "sums", "--days", "20", "--through", "2024-04-10", "--out", "refit")
    again = {path.name: path.read_bytes() for path in Path("refit").iterdir()}
    # When it was written is in the manifest, and nowhere else.
    before, after = (json.loads(files.pop("manifest.json")) for files in (first, again))
    assert again == first
    assert after | {"written_at": before["written_at"]} == before


def survives(*arguments: object) -> None:
    kills = killed_jobs.killed(*arguments)
    assert sum(kill["killed"] for kill in kills) >= 5
    for kill in kills:
        assert kill["readable"], kill
        assert not kill["differ"], kill


def test_whatever_kills_a_summary_the_next_one_loses_nothing_and_doubles_nothing(
    job: Run, sums: str, tmp_path: Path
) -> None:
    for day in sorted(Path(sums).glob("day=*"))[-8:]:
        shutil.rmtree(day)
    (tmp_path / "before").mkdir()
    (tmp_path / "work").mkdir()
    Path(sums).rename(tmp_path / "before" / "sums")
    survives("summarise", tmp_path / "nightly.toml", tmp_path / "before", tmp_path / "work", 0)


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "no folder": (("refit", "nothing"), "nothing has no daily summaries"),
    "not an experiment": (("summarise", "nothing.toml", "--to", "sums"), "nothing.toml"),
    "other settings": (
        ("summarise", "nightly.toml", "--to", "sums", "--set", "journeys.lookback_days=6"),
        "the summaries in sums have other settings: journeys",
    ),
    "beyond the log": (("summarise", "nightly.toml", "--to", "sums", "--through", "2024-05-01"), "--through is not"),
    "before the log": (("summarise", "nightly.toml", "--to", "sums", "--from", "2024-02-01"), "--from is not"),
    "days that are not there": (("refit", "sums", "--days", "99"), "does not have all of these days"),
    "output over input": (("refit", "sums", "--out", "sums"), "has files that this command reads"),
    "monitor too long": (
        ("monitor", "sums", "--training-days", "90", "--through", "2024-04-10"),
        "does not have all of these days",
    ),
    "level": (
        ("monitor", "sums", "--training-days", "30", "--significance", "0.0001"),
        "too small for this number of draws",
    ),
    "no costs": (("monitor", "sums", "--training-days", "30", "--costs", "nothing.csv"), "nothing.csv"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_said_and_nothing_is_touched(name: str, job: Run, sums: str, tmp_path: Path) -> None:
    before = files_of(".", "*.parquet"), sorted(tmp_path.rglob("*"))
    arguments, message = REFUSED[name]
    code, out, err = job(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert (files_of(".", "*.parquet"), sorted(tmp_path.rglob("*"))) == before


def test_days_whose_history_a_log_lacks_are_named_and_left(job: Run, tmp_path: Path) -> None:
    job("summarise", "nightly.toml", "--to", "sums", "--through", "2024-03-25")
    write_log(tmp_path, since="2024-03-22")
    code, _, err = job("summarise", "nightly.toml", "--to", "sums")
    assert (code, "may be out of date" in err, "2024-03-26" in err) == (3, True, True)
    assert not (tmp_path / "sums" / "day=2024-03-26").exists()
    # With one window before them days are written; journeys that close on them may have begun before the log.
    write_log(tmp_path, since="2024-03-15")
    code, out, _ = job("summarise", "nightly.toml", "--to", "sums", "--json")
    stale = json.loads(out)["stale"]
    assert (code, (tmp_path / "sums" / "day=2024-03-26").exists()) == (3, True)
    assert job("refit", "sums", "--days", "20", "--json")[0] == 3
    rolling = files_of("sums")
    write_log(tmp_path)
    assert job("summarise", "nightly.toml", "--to", "sums")[0] == 0
    assert job("summarise", "nightly.toml", "--to", "whole")[0] == 0
    mended, whole = (
        {Path(path).parent.name: said for path, said in files_of(name).items()} for name in ("sums", "whole")
    )
    assert mended == whole
    before = {Path(path).parent.name: said for path, said in rolling.items()}
    assert {day for day in before if before[day] != whole[day]} <= {f"day={day}" for day in stale}
    write_log(tmp_path, since="2024-03-15")
    code, _, err = job("summarise", "nightly.toml", "--to", "sums", "--from", "2024-03-16")
    assert (code, "the tables start too late" in err) == (2, True)


def test_a_refit_on_days_that_may_be_wrong_says_so(job: Run, sums: str, tmp_path: Path) -> None:
    touchpoints = pd.read_parquet("touchpoints.parquet")
    late = touchpoints[touchpoints["touched_at"] >= "2024-03-10"]
    late = late.assign(channel=late["channel"].where(late["touched_at"] >= "2024-03-12", "direct"))
    late.to_parquet("touchpoints.parquet", index=False)
    code, _, err = job("summarise", "nightly.toml", "--to", sums)
    assert (code, "may be out of date" in err) == (3, True)
    code, _, err = job("refit", sums)
    assert (code, "may be out of date" in err) == (3, True)
    assert job("refit", sums, "--days", "7")[0] == 0


def test_a_monitor_ends_with_3_if_something_drifted(job: Run, sums: str) -> None:
    common = ("monitor", "sums", "--training-days", "28", "--recent-days", "7", "--through", "2024-04-10", "--json")
    code, out, _ = job(*common, "--costs", "nightly.toml")
    told = json.loads(out)
    assert (code, told["drifted"], told["recent"]) == (0, False, ["2024-04-04", "2024-04-10"])
    assert {row["channel"] for row in told["drift"] if row["measure"] == "roi"} == {"search", "direct"}
    # The last days without search: a failure of the log. Journeys without a conversion show it once they close.
    touchpoints = pd.read_parquet("touchpoints.parquet")
    lost = (touchpoints["channel"] == "search") & (touchpoints["touched_at"] >= "2024-03-30")
    touchpoints[~lost].to_parquet("touchpoints.parquet", index=False)
    job("summarise", "nightly.toml", "--to", "sums", "--from", "2024-03-28")
    code, out, _ = job(*common, "--out", "watch")
    told = json.loads(out)
    assert (code, told["drifted"]) == (3, True)
    assert "channel_mix" in {row["measure"] for row in told["drift"] if row["drifted"]}
    assert Path("watch/drift.txt").read_text().startswith("Channel mix has drifted")


def test_a_monitor_logs_its_numbers(job: Run, sums: str, tmp_path: Path, new_store: Callable[[Path], str]) -> None:
    from mlflow.tracking import MlflowClient

    uri = new_store(tmp_path)
    options = ("--training-days", "28", "--through", "2024-04-10", "--tracking-uri", uri, "--track", "--json")
    code, out, _ = job("monitor", "sums", *options)
    run = MlflowClient(tracking_uri=uri).get_run(json.loads(out)["mlflow_run"])
    assert (code, run.data.metrics["drifted"]) == (0, 0.0)
    assert run.data.metrics["channel_mix.psi"] >= 0
    assert run.data.tags["attribution.kind"] == "monitor"


# ------------------------------------------------------------ scorers


@pytest.fixture
def scorer(job: Run) -> str:
    """A model fitted on the first five weeks."""
    run = run_experiment(read_experiment("nightly.toml", ["period.end=2024-04-03"]))
    Scorer.of(run, "markov", name="shop").save("models/shop")
    return "models/shop"


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_refit_makes_a_challenger_and_leaves_the_champion(job: Run, sums: str, scorer: str) -> None:
    before, files = Scorer.load(scorer), content_of(Path(scorer))
    code, out, _ = job("refit", "sums", "--days", "20", "--champion", scorer, "--json")
    assert content_of(Path(scorer)) == files
    after = load_saved_scorer("runs/nightly-refit")
    assert (code, json.loads(out)["version"]) == (0, after.version)
    assert after.version != before.version
    assert load_saved_scorer("runs/nightly-refit", "markov").version == after.version
    with pytest.raises(InputError, match="no model 'markov_2'"):
        load_saved_scorer("runs/nightly-refit", "markov_2")
    credit = pd.read_parquet("runs/nightly-refit/credit.parquet").query("model == 'markov'").set_index("channel")
    known = dict(zip(after.state.channels, after.state.arrays["conversions"], strict=True))
    assert known == credit["conversions"].drop("(unattributed)").to_dict()
    # It hands out as a model that was fitted on the log of the same days.
    period = Period(start="2024-03-25", end="2024-04-13")
    sources = load_sources("touchpoints.parquet", "conversions.parquet")
    whole = build_journeys(sources, lookback_days=5)
    fitted = Markov().fit(build_journeys(sources, lookback_days=5, period=period))
    scored = after.score("touchpoints.parquet", "conversions.parquet")
    np.testing.assert_allclose(scored["credit"], journey_credit(whole, [fitted])["credit"], rtol=1e-9)


def test_all_that_a_model_has_survives_a_refit(job: Run, sums: str, scorer: str, tmp_path: Path) -> None:
    """Policy, journeys, reading and laws are the champion's; data, digests, credit and profile are the days'."""
    champion = replace(
        Scorer.load(scorer), laws=("credit adds up to what was observed", "**broken**: an old one")
    ).with_policy("refuse")
    champion = champion.save("models/strict")
    assert champion.definition.training is not None
    assert set(champion.reference) == {"credit", "returns", "journey_profile"}
    for days, out in (("20", "first"), ("10", "second")):
        model = "models/strict" if out == "first" else "runs/first/models/01_markov"
        assert job("refit", "sums", "--days", days, "--champion", model, "--out", f"runs/{out}")[0] == 0
    after = load_saved_scorer("runs/second")
    assert (after.name, after.unknown_channels) == ("shop", "refuse")
    assert (after.definition.journeys, after.definition.reading, after.definition.channels) == (
        champion.definition.journeys, champion.definition.reading, champion.definition.channels,
    )  # fmt: skip
    assert after.laws == (
        "credit adds up to what was observed", *(verdict.meaning for verdict in judge_model(after.state.model())),
    )  # fmt: skip
    training = after.definition.training
    assert training is not None
    assert (training.first, training.last) == ("2024-04-04", "2024-04-13T23:59:59.999999")
    # Where the days say the same they have the same digest, and others have another.
    assert training.digests == {"summaries": SummaryStore.open(Path("sums")).digest_days(19817, 19826)}
    assert training.digests != {"summaries": SummaryStore.open(Path("sums")).digest_days(19816, 19826)}
    # The tables for its card are those of a run on the same days.
    dates = ("--set", "period.start=2024-04-04", "--set", "period.end=2024-04-13")
    assert job("run", "nightly.toml", *dates, "--out", "runs/whole")[0] == 0
    whole = load_saved_scorer("runs/whole", "markov")
    assert set(after.reference) == {"credit", "journey_profile"}
    both = [scorer.reference["credit"].drop(columns=CHANCE) for scorer in (after, whole)]
    pd.testing.assert_frame_equal(*both)
    days_told = after.reference["journey_profile"].query("outcome == 'converted'").reset_index(drop=True)
    # Days know nothing of when journeys were last touched that close later.
    told = "outcome == 'converted' and not measure.str.endswith('last_touched')"
    run_told = whole.reference["journey_profile"].query(told).reset_index(drop=True)
    pd.testing.assert_frame_equal(days_told, run_told)
    assert whole.definition.training is not None
    assert (training.conversions, training.value) == pytest.approx(
        (whole.definition.training.conversions, whole.definition.training.value)
    )
    first = load_saved_scorer("runs/first")
    assert [(past.version, past.last) for past in after.history] == [
        (champion.version, champion.definition.training.last),
        (first.version, "2024-04-13T23:59:59.999999"),
    ]
    card = Path("runs/second/models/01_markov/card.md").read_text(encoding="utf-8")
    assert f"| {first.version} | {dt.datetime.now(dt.UTC).date()} | 2024-03-25 to 2024-04-13T23:59:59.999999 |" in card
    assert "daily summaries, which do not give returns and a placebo test" in card
    assert "daily summaries do not give them" in card
    assert "Earlier versions" not in Path("models/strict/card.md").read_text(encoding="utf-8")
    # A model that was never refitted has the folder, and so the version, that it had before there was a history.
    assert "history" not in json.loads(Path("models/strict/model.json").read_text(encoding="utf-8"))


def test_a_dry_refit_writes_nothing(job: Run, sums: str, scorer: str, tmp_path: Path) -> None:
    before = content_of(tmp_path)
    code, out, _ = job("refit", "sums", "--days", "20", "--champion", scorer, "--dry-run", "--json")
    assert (code, json.loads(out)["dry_run"]) == (0, True)
    assert content_of(tmp_path) == before


def test_a_refit_of_a_model_becomes_a_model_folder(job: Run, sums: str, scorer: str) -> None:
    assert job("refit", "sums", "--days", "20", "--champion", scorer)[0] == 0
    code, out, _ = job("export", "runs/nightly-refit", "--json")
    told = json.loads(out)
    assert (code, told["name"], told["registered"]) == (0, "shop", None)
    # It takes the champion's folder, and nothing is lost or doubled on the way.
    assert Scorer.load("models/shop").version == told["version"] == load_saved_scorer("runs/nightly-refit").version
    assert job("refit", "sums", "--out", "runs/plain")[0] == 0
    code, _, err = job("export", "runs/plain")
    assert (code, "refit --champion" in err) == (2, True)


@pytest.mark.nightly
def test_whatever_kills_a_refit_the_champion_stays_and_the_next_one_is_whole(
    job: Run, sums: str, scorer: str, tmp_path: Path
) -> None:
    before = ("--out", "before/refit", "--champion", "before/models/shop")
    (tmp_path / "work").mkdir()
    shutil.copytree("models", "before/models")
    assert job("refit", sums, "--days", "9", *before)[0] == 0
    survives("refit", tmp_path / sums, 20, tmp_path / "before", tmp_path / "work", 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("journeys.lookback_days=6", "have different settings: journeys"),
        ('models=[{model="Linear"}]', "the summaries are of other models"),
        ('models=[{model="Markov", order=2, name="markov"}]', "have different settings: model"),
    ],
)
def test_a_champion_of_something_else_is_not_refitted(job: Run, scorer: str, setting: str, message: str) -> None:
    job("summarise", "nightly.toml", "--to", "sums", "--set", setting)
    for further in ((), ("--dry-run",)):
        code, _, err = job("refit", "sums", "--champion", scorer, *further)
        assert (code, message in err) == (2, True)
    assert not Path("runs").exists()


def test_a_refit_that_fails_leaves_what_was_there(
    job: Run, sums: str, scorer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables and challenger are put in place, or neither: a damaged champion is refused, and so is a full disk."""
    assert job("refit", sums, "--days", "9", "--champion", scorer)[0] == 0
    before = content_of(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr("attribution.models.saved.scorer.seal", full)
        code, _, err = job("refit", sums, "--days", "20", "--champion", scorer)
    assert (code, "no space is left on the disk" in err) == (4, True)
    assert content_of(tmp_path) == before
    code, _, err = job("refit", sums, "--champion", scorer, "--out", "models")
    assert (code, "has files that this command reads" in err) == (2, True)
    (Path(scorer) / "channels.parquet").unlink()
    del before[f"{scorer}/channels.parquet"]
    code, _, err = job("refit", sums, "--days", "20", "--champion", scorer)
    assert (code, "copy the folder again" in err) == (2, True)
    assert content_of(tmp_path) == before


def test_a_model_is_monitored_on_a_log(job: Run, scorer: str) -> None:
    """The same days from the log and from daily summaries give the same numbers."""
    logs = ("--touchpoints", "touchpoints.parquet", "--conversions", "conversions.parquet")
    training = Scorer.load(scorer).definition.training
    assert training is not None
    assert training.last is not None
    last = pd.Timestamp(training.last[:10])
    write_log(Path(), days=62)
    touchpoints = pd.read_parquet("touchpoints.parquet")
    swapped = touchpoints["channel"].replace({"search": "direct", "mail 📧": "direct"})
    touchpoints["channel"] = touchpoints["channel"].mask(
        touchpoints["touched_at"] >= last + pd.Timedelta(days=1), swapped
    )
    touchpoints.to_parquet("touchpoints.parquet", index=False)
    options = (
        "--training-days",
        "28",
        "--through",
        str((last + pd.Timedelta(days=7)).date()),
        "--costs",
        "nightly.toml",
        "--json",
    )
    job("summarise", "nightly.toml", "--to", "again")
    told = [job("monitor", *what, *options) for what in ((scorer, *logs), ("again",))]
    assert [code for code, _, _ in told] == [3, 3], told
    by_log, by_days = (json.loads(out) for _, out, _ in told)
    assert by_log["training"] == [str((last - pd.Timedelta(days=27)).date()), str(last.date())]
    assert (by_log["training"], by_log["recent"]) == (by_days["training"], by_days["recent"])
    numbers = ("measure", "channel", "training", "recent", "psi", "p_value")
    found, expected = (
        [[row[name] for name in numbers] for row in each["drift"] if row["model"] in (None, "markov")]
        for each in (by_log, by_days)
    )
    assert found == expected
    assert {"credit", "roi"} <= {row[0] for row in found}


def test_a_log_that_does_not_reach_the_training_window_is_refused(job: Run, sums: str, scorer: str) -> None:
    logs = ("--touchpoints", "touchpoints.parquet", "--conversions", "conversions.parquet")
    assert "conversions are needed" in job("monitor", scorer, *logs[:2])[2]
    code, _, err = job("monitor", scorer, *logs, "--training-days", "99")
    assert (code, "must cover the days that the model was fitted on" in err) == (2, True)
    code, _, err = job("monitor", "sums", *logs)
    assert (code, "only a model folder does" in err) == (2, True)
