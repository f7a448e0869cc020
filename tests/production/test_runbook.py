"""Every command of docs/runbook.md, run in its order on a small shop; what happens between sections, happens here."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from attribution.models.saved import folder as models
from attribution.pipeline import tracking_record
from attribution.production.refit import store as summaries
from attribution.production.scoring import ledger
from tests.cli.test_cli import call
from tests.daily_logs import log_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
DAYS = 40
BEGIN = pd.Timestamp("2024-03-01")
Tables = tuple[pd.DataFrame, pd.DataFrame]


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands(text: str) -> list[tuple[str, int]]:
    """Commands of the blocks of a section, and the exit code that stands beside."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    found = []
    for line in lines:
        command, _, comment = line.partition(" # ")
        code = re.search(r"exit code (\d)", comment)
        found.append((command.strip(), int(code[1]) if code else 0))
    return found


def write(folder: Path, tables: Tables) -> None:
    for name, table in zip(("touchpoints", "conversions"), tables, strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        table.to_parquet(folder / name / "all.parquet")


def since(tables: Tables, day: int) -> Tables:
    touchpoints, conversions = tables
    at = BEGIN + pd.Timedelta(days=day)
    return touchpoints[touchpoints["touched_at"] >= at], conversions[conversions["converted_at"] >= at]


def shop_log() -> Tables:
    touchpoints, conversions = log_of(DAYS, customers=200)
    return touchpoints, conversions.assign(conversion_id=[f"o{number}" for number in range(len(conversions))])


def come_late(shop: Path, tables: Tables) -> None:
    """An order of the middle of March is corrected, and a short extract of the last days tells of it."""
    conversions = tables[1]
    early = conversions["converted_at"].sort_values().index[len(conversions) // 3]
    conversions.loc[early, "converted_at"] = conversions["converted_at"].max()
    write(shop / "log", tables)
    write(shop / "recent", since(tables, 30))
    # And touchpoints of the days before the extract are not in it, though known.
    extract = since(tables, 30)
    extract[1].loc[extract[1].index[:3], "value"] += 1
    write(shop / "recent", (extract[0].iloc[len(extract[0]) // 2 :], extract[1]))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (toml, *_) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "nightly.toml").write_text(toml, encoding="utf-8")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "jobs.jsonl").touch()
    return tmp_path


def credit(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("journey_credit/day=*/*.parquet")}


@pytest.mark.filterwarnings("ignore")
def test_every_command_runs_in_its_order(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = shop_log()
    write(shop / "log", since(tables, 10))
    before: dict[str, Callable[[], object]] = {
        "Backfill": lambda: write(shop / "log", tables),
        "Late data": lambda: come_late(shop, tables),
    }
    seen: dict[str, dict[str, bytes]] = {}
    count = 0
    for title, text in sections().items():
        before.get(title, lambda: None)()
        for command, code in commands(text):
            count += 1
            seen.setdefault(title, credit(shop / "scored"))
            words = shlex.split(command)
            if words[0] == "attribution":
                assert call(monkeypatch, *words[1:]) == code, command + capsys.readouterr().out
            else:
                subprocess.run(["sh", "-ec", command], check=True, cwd=shop, stdout=subprocess.DEVNULL)
    assert count > 40
    # Backfilled days are there, scoring again changes nothing, and a rollback brings back what was.
    assert min(credit(shop / "scored")) < min(seen["Backfill"])
    assert seen["Rollback of scores"] == seen["Restatement"]
    assert seen["Retention"] == seen["Rollback of scores"]
    assert (shop / "scored" / "restatement").is_dir()
    april = pd.read_parquet(shop / "scored-april" / "journey_credit")
    assert april["day"].astype(str).min() >= "2024-04-01"
    scored = pd.read_parquet(shop / "scored" / "journey_credit")
    # One customer was forgotten.
    theirs = tables[1]["customer_id"].astype(str) == "17"
    assert theirs.any()
    assert set(scored["conversion_id"]) == set(tables[1].loc[~theirs, "conversion_id"])
    assert not (shop / "summaries" / "day=2024-03-01").exists()
    assert (shop / "metrics" / "shop.prom").read_text(encoding="utf-8").endswith("# EOF\n")


def test_it_installs_what_this_is() -> None:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    names = [words[-1] for words in map(shlex.split, blocks) if words[:4] == ["python3", "-m", "pip", "install"]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert names == [project["name"]]
    assert set(re.findall(r"journey-attribution\[(\w+)\]", PAGE)) <= set(project["optional-dependencies"])
    source = ["--dry-run", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", str(ROOT)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--force-reinstall", *source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"Would install {project['name']}-{project['version']}" in done.stdout


def test_the_formats_are_those_that_are_read() -> None:
    rows = re.findall(r"^\| (\w[\w ]*) \| (\d) \| ([\d and]+) \| `(attribution [^`]*)` \|$", PAGE, re.MULTILINE)
    newest = {
        "scores": ledger.SCHEMA_VERSION,
        "daily summaries": summaries.SCHEMA_VERSION,
        "models": models.SCHEMA_VERSION,
        "runs": tracking_record._SCHEMA,
    }
    assert {name: int(number) for name, number, *_ in rows} == newest
    for name, _, read, _ in rows:
        assert [int(number) for number in read.split(" and ")] == list(range(1, newest[name] + 1))


def test_every_reason_and_every_figure_has_a_row() -> None:
    from attribution.production.openmetrics import _FAMILIES
    from attribution.production.status import REASONS

    alerts = sections()["Alerts"]
    assert set(re.findall(r'reason="(\w+)"', alerts)) == set(REASONS)
    shown = set(re.findall(r"attribution_\w+", PAGE))
    names = {family.name for family in _FAMILIES}
    assert shown <= names
    # Rows, conversions, days and versions tell how much there is: no alert follows from them.
    figures = {"attribution_rows", "attribution_conversions", "attribution_days", "attribution_version"}
    assert names - shown == figures | {"attribution_job_at_work", "attribution_written_timestamp_seconds"}


def test_the_upgrade_works_on_folders_of_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tarfile

    with tarfile.open(ROOT / "tests" / "written_before" / "0.1.0.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    shutil.move("scorer", "models/shop")
    shutil.move("scores", "scored")
    shutil.copy("shop.toml", "nightly.toml")
    then = credit(tmp_path / "scored")
    assert len(then) > 5
    for command, code in commands(sections()["Upgrades"]):
        words = shlex.split(command)
        if words[0] == "attribution":
            assert call(monkeypatch, *words[1:]) == code, command
        else:
            subprocess.run(["sh", "-ec", command], check=True)
    assert credit(tmp_path / "scored") == then == credit(tmp_path / "scored-before")
