"""Logs for schedulers, and the examples: what they call exists, and credentials stay out of sight."""

from __future__ import annotations

import ast
import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from attribution import logs
from attribution.cli import main as cli
from attribution.production.guards import Thresholds, read_thresholds
from attribution.production.promotion import Criteria, read_criteria
from tests.daily_logs import log_of

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SECRET = 'hunter2-"ümlaut"-\\slash'


def ran(*arguments: str, **environment: str) -> tuple[int, str, list[dict[str, object]]]:
    done = subprocess.run(
        [sys.executable, "-m", "attribution", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    return done.returncode, done.stdout, [json.loads(line) for line in done.stderr.splitlines()]


def test_a_log_is_one_object_per_line(tmp_path: Path) -> None:
    code, out, lines = ran("simulate", "default", "--customers", "50", "--out", str(tmp_path / "a"), "--log", "json")
    assert (code, out.startswith("Wrote 50 customers")) == (0, True)
    assert [line["message"] for line in lines] == ["begun", "simulating 50 customers", "ended"]
    assert [line["level"] for line in lines] == ["info"] * 3
    assert (lines[0]["command"], lines[-1]["exit_code"]) == ("simulate", 0)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", str(line["at"])) for line in lines)


def test_an_error_is_a_line_with_its_exit_code(tmp_path: Path) -> None:
    code, out, lines = ran("run", str(tmp_path / "nothing.toml"), ATTRIBUTION_LOG="json")
    assert (code, out) == (2, "")
    error = next(line for line in lines if line["level"] == "error")
    assert (error["exit_code"], "nothing.toml" in str(error["message"])) == (2, True)
    assert lines[-1]["exit_code"] == 2


def test_a_secret_in_the_environment_is_in_no_log(tmp_path: Path) -> None:
    name = tmp_path / f"postgresql:--me:{SECRET[:7]}"
    code, _, lines = ran("run", f"{name}", "--log", "json", DB_PASSWORD=SECRET[:7])
    assert code == 2
    assert SECRET[:7] not in json.dumps(lines)


@pytest.mark.parametrize("text", [SECRET, f"https://user:{SECRET[:7]}@host", f"s3://b/k?X-Amz-Signature={SECRET[:7]}"])
def test_credentials_are_masked(text: str) -> None:
    hidden = logs.mask_secrets(json.dumps({"message": text}, ensure_ascii=False), {"MY_API_KEY": SECRET})
    assert "hunter2" not in hidden
    assert json.loads(hidden)["message"].count("***") == 1


def test_no_credential_of_an_experiment_is_kept(tmp_path: Path) -> None:
    """Planted in addresses and in the environment: in a query, in the tracking server's address, in a variable."""
    planted = ("hunter2secret", "tok3nvalue99", "env-secret-12345")
    touchpoints, conversions = log_of(5, customers=30)
    touchpoints.to_parquet(tmp_path / "t.parquet")
    conversions.to_parquet(tmp_path / "c.parquet")
    (tmp_path / "shop.toml").write_text(
        "[tables.touchpoints]\n"
        f"query = \"from 't.parquet' where 'https://me:{planted[0]}@host/x?token={planted[1]}' is not null\"\n"
        '[tables.conversions]\nsource = "c.parquet"\n[[models]]\nmodel = "Linear"\n'
        f'[tracking]\nuri = "http://me:{planted[0]}@127.0.0.1:9"\n'
    )
    environment = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_TRACKING_PASSWORD": planted[2],
        "AWS_SECRET_ACCESS_KEY": planted[2],
    }
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "attribution", "run", str(tmp_path / "shop.toml"), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    assert done.returncode == 4  # the server is away; the run is complete
    assert "***@127.0.0.1:9" in done.stderr
    assert json.loads((out / "record.json").read_text())["uri"] == "http://127.0.0.1:9"
    assert "host/x?token=***" in (out / "experiment.toml").read_text()
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    said = written + (done.stdout + done.stderr).encode()
    assert [secret for secret in planted if secret.encode() in said] == []


def test_without_json_nothing_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.use("text")
    logs.write("begun")
    assert capsys.readouterr().err == ""


def calls_in(text: str) -> list[tuple[str, set[str]]]:
    """Commands that a text calls, and their options, with what continues on the next line."""
    joined = re.sub(r"\\\n\s*#?\s*", " ", text)
    joined = re.sub(r'"\s*\n\s*"', "", joined)
    found = re.findall(r"""attribution[\s"',]+(score|summarise|monitor|refit|demo|promote)\b([^\n|;]*)""", joined)
    return [(name, set(re.findall(r"--[a-z-]+", rest)) - {"--log"}) for name, rest in found]


@pytest.mark.parametrize(
    ("path", "called"),
    [
        ("cron/nightly.sh", "score"),
        ("cron/nightly.sh", "promote"),
        ("airflow/nightly_attribution.py", "score"),
        ("airflow/nightly_attribution.py", "promote"),
        ("container/Dockerfile", "score"),
        ("container/Dockerfile", "demo"),
        ("criteria.toml", "promote"),
        ("thresholds.toml", "score"),
        ("thresholds.toml", "summarise"),
        ("thresholds.toml", "monitor"),
    ],
)
def test_examples_call_what_exists(path: str, called: str) -> None:
    known = get_command(cli.app)
    calls = calls_in((EXAMPLES / path).read_text(encoding="utf-8"))
    assert called in {name for name, given in calls if given}
    for name, given in calls:
        options = {option for parameter in known.commands[name].params for option in parameter.opts}  # type: ignore[attr-defined]
        assert given <= options, (name, given - options)


def test_the_shell_example_is_a_script() -> None:
    subprocess.run(["bash", "-n", str(EXAMPLES / "cron" / "nightly.sh")], check=True)
    assert os.access(EXAMPLES / "cron" / "nightly.sh", os.X_OK)


def test_the_airflow_example_is_python() -> None:
    tree = ast.parse((EXAMPLES / "airflow" / "nightly_attribution.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)


def test_the_container_copies_what_is_there() -> None:
    text = (EXAMPLES / "container" / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert copied
    assert all((ROOT / name).exists() for name in copied)


def instructions() -> list[tuple[str, str]]:
    """The lines of the Dockerfile, those that go on in the next one joined."""
    text = (EXAMPLES / "container" / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_the_container_runs_what_the_shell_takes() -> None:
    steps = instructions()
    assert {word for word, _ in steps} <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "ENTRYPOINT", "CMD"}
    for word, rest in steps:
        if word == "RUN":
            subprocess.run(["sh", "-n", "-c", rest], check=True)
        if word in ("ENTRYPOINT", "CMD"):
            assert all(isinstance(part, str) for part in json.loads(rest))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (entry,) = (json.loads(rest) for word, rest in steps if word == "ENTRYPOINT")
    assert entry[0] in project["scripts"]
    extras = re.findall(r"'\.\[(\w+)\]'", " ".join(rest for _, rest in steps))
    assert extras
    assert set(extras) <= set(project["optional-dependencies"])
    # Whatever runs after this line is not root.
    words = [word for word, _ in steps]
    assert words.index("USER") < words.index("ENTRYPOINT")


def test_the_container_pins_what_the_lock_file_pins(tmp_path: Path) -> None:
    (step,) = (rest for word, rest in instructions() if word == "RUN" and "pins.txt" in rest)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    subprocess.run(["sh", "-c", step.partition("&&")[0]], cwd=tmp_path, check=True)
    pins = (tmp_path / "pins.txt").read_text(encoding="utf-8").splitlines()
    locked = re.findall(r"^[\w.-]+==.*?(?= \\$)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert [pin.strip() for pin in pins] == locked
    assert len(pins) > 50


def test_the_example_of_bounds_names_every_bound() -> None:
    path = EXAMPLES / "criteria.toml"
    assert set(tomllib.loads(path.read_text(encoding="utf-8"))) == set(Criteria.model_fields)
    criteria = read_criteria(path)
    assert criteria.lift_tests[0].channel == "search"
    assert criteria != Criteria()


def test_the_example_of_thresholds_names_every_threshold() -> None:
    path = EXAMPLES / "thresholds.toml"
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(document) == set(Thresholds.model_fields)
    thresholds = read_thresholds(path)
    assert thresholds.paused_channels == ("tv",)
    guide = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    for name, default in Thresholds().model_dump().items():
        shown = {"history_days": "the lookback window", "paused_channels": "none"}.get(
            name, f"{default:g}" if default else "0"
        )
        assert f"| `{name}` | {shown} |" in guide


@pytest.mark.parametrize(
    ("ends", "holds", "further", "code"),
    [
        ({}, True, [], 0),
        ({"monitor": 3}, True, ["refit", "promote"], 0),
        ({"monitor": 3}, False, [], 3),
        ({"monitor": 3, "promote": 3}, True, ["refit", "promote"], 3),
        ({"monitor": 3, "refit": 3}, True, ["refit"], 3),
        ({"monitor": 2}, True, [], 2),
    ],
)
def test_a_night_refits_only_after_drift_and_pages_if_the_refit_is_not_promoted(
    ends: dict[str, int], holds: bool, further: list[str], code: int, tmp_path: Path
) -> None:
    """The script itself, with a command in its place that notes its calls and ends as told."""
    stub = tmp_path / "bin" / "attribution"
    stub.parent.mkdir()
    codes = f"""[ "$1" = monitor ] && echo '  "guards_hold": {str(holds).lower()},'\n"""
    codes += "".join(f'[ "$1" = {name} ] && exit {number}\n' for name, number in ends.items())
    stub.write_text(f'#!/bin/sh\necho "$@" >> calls.txt\n{codes}exit 0\n')
    stub.chmod(0o755)
    shutil.copy(EXAMPLES / "cron" / "nightly.sh", tmp_path)
    path = f"{stub.parent}{os.pathsep}{os.environ['PATH']}"
    before = dt.datetime.now(dt.UTC).date()
    done = subprocess.run(
        ["bash", str(tmp_path / "nightly.sh")], env={**os.environ, "PATH": path, "SHOP": str(tmp_path)}, check=False
    )
    calls = (tmp_path / "calls.txt").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["score", "summarise", "monitor", *further]
    assert done.returncode == code
    # The days of the judgement begin where those of the refit end, and both rest on one champion.
    for call in calls[3:4]:
        (through,) = re.findall(r"--through (\S+)", call)
        assert dt.date.fromisoformat(through) - before in (dt.timedelta(days=-14), dt.timedelta(days=-13))
        assert "--champion models:/shop@champion" in call
    for call in calls[4:]:
        (start,) = re.findall(r"period.start=(\S+)", call)
        assert dt.date.fromisoformat(start) - dt.date.fromisoformat(through) == dt.timedelta(days=1)
        assert "--challenger runs/refit" in call
