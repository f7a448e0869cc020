"""The log of a job as JSON: every line is an object, whoever writes it, and the last one has what came of the job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from attribution import logs
from attribution.cli import main as cli
from attribution.pipeline.stores import choose_store
from attribution.tracking.mlflow_store import call_store
from tests.cli.test_cli import call
from tests.daily_logs import log_of

ROOT = Path(__file__).resolve().parents[2]
Lines = list[dict[str, object]]
Job = Callable[..., tuple[int, str, Lines]]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted on 30 days, and a log of 40, whose last days have a channel that the model does not know."""
    here = tmp_path_factory.mktemp("shop")
    touchpoints, conversions = log_of(40, customers=150)
    end = touchpoints["touched_at"].min().normalize() + pd.Timedelta(days=30)
    touchpoints[touchpoints["touched_at"] < end].to_parquet(here / "t.parquet")
    conversions[conversions["converted_at"] < end].to_parquet(here / "c.parquet")
    later = touchpoints.assign(channel=touchpoints["channel"].where(touchpoints["touched_at"] < end, "tv"))
    later.to_parquet(here / "t40.parquet")
    conversions.to_parquet(here / "c40.parquet")
    (here / "shop.toml").write_text(
        'name = "shop"\n[tables.touchpoints]\nsource = "t.parquet"\n[tables.conversions]\nsource = "c.parquet"\n'
        '[journeys]\nlookback_days = 7\n[[models]]\nmodel = "Linear"\n[tracking]\nenabled = false\n',
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(here)
        assert call(monkeypatch, "run", "shop.toml", "--out", "run") == 0
        assert call(monkeypatch, "export", "run", "--to", "model") == 0
    return here


@pytest.fixture
def job(fitted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    """Run a command in the shop's folder; exit code, standard output, and the lines of the log."""
    monkeypatch.chdir(fitted)
    monkeypatch.setenv("ATTRIBUTION_LOG", "json")

    def run(*arguments: object) -> tuple[int, str, Lines]:
        capsys.readouterr()
        code = call(monkeypatch, *arguments)
        said = capsys.readouterr()
        return code, said.out, [json.loads(line) for line in said.err.splitlines()]

    yield run  # type: ignore[misc]
    logs.use("text")


def score(touchpoints: str, conversions: str, out: Path, *more: str) -> tuple[object, ...]:
    return ("score", "model", "--touchpoints", touchpoints, "--conversions", conversions, "--out", out, *more)


def test_the_last_line_of_a_score_has_its_figures(job: Job, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    code, _, lines = job(*score("t.parquet", "c.parquet", out))
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    days = len(manifest["days"])
    last = lines[-1]
    assert (code, last["message"], last["exit_code"]) == (0, "ended", 0)
    assert (last["model"], last["model_version"]) == ("model", manifest["model_version"])
    assert last["rows"] == sum(day["rows"] for day in manifest["days"].values()) > 100
    assert (last["days_scored"], last["days_kept"], last["days_restated"]) == (days, 0, 0)
    assert (last["unknown_channels"], last["days_outdated"], last["days_damaged"]) == ({}, 0, 0)
    code, _, lines = job(*score("t40.parquet", "c40.parquet", out))
    now = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert code == 3  # a guard names the channel, too
    last = lines[-1]
    written = [day for day, entry in now["days"].items() if entry != manifest["days"].get(day)]
    assert last["days_written"] == len(written) > 3
    assert last["days_kept"] == len(now["days"]) - len(written) > 3
    assert last["unknown_channels"] == now["unknown_touchpoints"]
    assert last["unknown_channels"]["tv"] > 10  # type: ignore[index]
    told = [line["message"] for line in lines if line["level"] == "warning"]
    of_tv = f"The model does not know channel 'tv', which has {now['unknown_touchpoints']['tv']} touchpoints: refit it."
    assert told[0] == of_tv
    assert len(told) > 1


def test_a_restated_day_is_counted(job: Job, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    assert job(*score("t.parquet", "c.parquet", out))[0] == 0
    touchpoints, conversions = pd.read_parquet("t.parquet"), pd.read_parquet("c.parquet")
    # A conversion in the middle, which another touchpoint led to.
    at = conversions["converted_at"].sort_values().iloc[len(conversions) // 2]
    who = conversions.loc[conversions["converted_at"] == at, "customer_id"].iloc[0]
    late = touchpoints.iloc[:1].assign(customer_id=who, touched_at=at, channel="direct")
    pd.concat([touchpoints, late]).to_parquet(tmp_path / "late.parquet")
    code, printed, lines = job(*score(str(tmp_path / "late.parquet"), "c.parquet", out, "--json"))
    document = json.loads(printed)
    assert code == 0
    assert lines[-1]["days_restated"] == len({row["day"] for row in document["restatement"]}) == 1
    assert lines[-1]["days_written"] == 1


def test_every_line_names_the_job_and_the_command(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, first = job(*score("t.parquet", "c.parquet", tmp_path / "scores", "--dry-run"))
    _, _, second = job("glossary", "roas")
    for lines, command in ((first, "score"), (second, "glossary")):
        assert len({line["job"] for line in lines}) == 1
        assert {line["command"] for line in lines} == {command}
    assert first[0]["job"] != second[0]["job"]
    assert "model" not in second[-1]
    assert "rows" not in second[-1]
    monkeypatch.setenv("ATTRIBUTION_JOB", "night of 2024-04-03")
    assert {line["job"] for line in job("glossary", "roas")[2]} == {"night of 2024-04-03"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("score",), "MODEL"),
        (("scoree", "model"), "scoree"),
        (("score", "model", "--out", "x", "--bogus"), "--bogus"),
        (("score", "model", "--out", "x", "--max-gap-days", "many"), "--max-gap-days"),
        (("conversions", "run"), "export-conversions"),
        (("score", "nothing", "--touchpoints", "t", "--conversions", "c", "--out", "x"), "nothing"),
        ((), "command"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_a_line(job: Job, arguments: tuple[str, ...], said: str) -> None:
    code, printed, lines = job(*arguments)
    errors = [line for line in lines if line["level"] == "error"]
    assert (code, len(errors)) == (2, 1)
    assert ("Usage" in printed) == (not arguments)
    assert errors[0]["exit_code"] == lines[-1]["exit_code"] == 2
    assert said in str(errors[0]["message"])


def test_the_option_wins_over_the_variable(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(json.JSONDecodeError):
        job("scoree", "--log", "text")
    assert job("scoree", "--log=json")[0] == 2


def test_help_is_no_error(job: Job) -> None:
    code, printed, lines = job("score", "--help")
    assert (code, "MODEL" in printed) == (0, True)
    assert {line["level"] for line in lines} == {"info"}


def test_a_fault_of_ours_is_a_line_with_its_traceback(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        warnings.warn("mind the gap", UserWarning, stacklevel=1)
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr(cli, "app", fail)
    # The warning is an error in tests, unless it is to be shown.
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, lines = job("glossary")
    warning, error, last = lines
    assert (warning["level"], warning["message"], warning["source"]) == ("warning", "mind the gap", "UserWarning")
    assert (code, error["level"], error["message"]) == (1, "error", "ZeroDivisionError: nothing to divide by")
    assert "in fail" in str(error["traceback"])
    assert last["exit_code"] == 1


CHATTER = """
import sys
from attribution import logs
logs.start_job(["--log", sys.argv[1]], {})
from attribution.pipeline.stores import choose_store
from attribution.tracking.mlflow_store import call_store
def act():
    print("View run at http://host")
    print("a bar 50%\\ra bar 100%", end="", file=sys.stderr)
    return "{}"
print(call_store(act, None, choose_store("sqlite:///none.db")))
"""


@pytest.mark.parametrize("format", ["text", "json"])
def test_what_mlflow_prints_is_not_among_the_results(format: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHATTER, format],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout == "{}\n"
    if format == "text":
        assert "View run at http://host\n" in done.stderr
        return
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["message"] for line in lines if line["source"] == "mlflow"][-3:] == [
        "View run at http://host", "a bar 50%", "a bar 100%"
    ]  # fmt: skip


def test_output_is_caught_and_let_go_of_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    logs.start_job(["--log=json"], {"ATTRIBUTION_JOB": "a"})

    def act() -> str:
        logs.write("of ours")
        print("of theirs")
        print("2024 WARNING of theirs", file=sys.stderr)
        return "done"

    assert call_store(act, None, choose_store(None)) == "done"
    print("a result")
    said = capsys.readouterr()
    logs.use("text")
    assert said.out == "a result\n"
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert [(line["message"], line["level"], line.get("source")) for line in lines][-3:] == [
        ("of ours", "info", None),
        ("of theirs", "info", "mlflow"),
        ("2024 WARNING of theirs", "warning", "mlflow"),
    ]
