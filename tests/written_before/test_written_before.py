"""Folders that earlier versions wrote are read by this one; each archive is named after the version that made it.

An archive holds the inputs, a plain run, one with every section, a budget, a sweep, an exported scorer, its scores,
daily summaries and a refit of them; one in the folder ``funnel`` holds a run with stages and its inputs. Archives are
never made again: what they prove is that they were made before.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.production.output_tables import output_tables
from tests.cli.test_cli import call

HERE = Path(__file__).parent
ARCHIVES = sorted(HERE.glob("*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What an archive holds, unpacked."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def journey_credit(scores: Path) -> pd.DataFrame:
    rows = pd.concat([pd.read_parquet(path) for path in sorted(scores.glob("journey_credit/day=*/*.parquet"))])
    return rows.sort_values(["conversion_id", "touched_at", "channel"]).reset_index(drop=True)


def test_there_is_an_archive() -> None:
    assert ARCHIVES


def test_a_scorer_scores_as_it_did(before: Path) -> None:
    scored = at.Scorer.load(before / "scorer").score(before / "touchpoints.csv", before / "orders.csv")
    then = journey_credit(before / "scores")
    assert len(then) > 50
    now = scored.sort_values(["conversion_id", "touched_at", "channel"]).reset_index(drop=True)
    np.testing.assert_allclose(now["credit"], then["credit"], rtol=0, atol=1e-12)


def test_scores_are_continued_and_unchanged(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    then = {path: path.read_bytes() for path in (before / "scores").rglob("*.parquet")}
    assert then
    files = ("--touchpoints", before / "touchpoints.csv", "--conversions", before / "orders.csv")
    assert call(monkeypatch, "score", before / "scorer", *files, "--out", before / "scores") == 0
    assert {path: path.read_bytes() for path in (before / "scores").rglob("*.parquet")} == then


def test_a_run_is_read(before: Path) -> None:
    assert at.read_run(before / "run").models == ["last_touch", "time_decay_3", "markov_2", "shapley"]


def test_a_model_of_a_run_is_exported(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(before)
    assert call(monkeypatch, "export", "run", "--model", "markov_2", "--to", "again") == 0
    then, now = at.Scorer.load("scorer"), at.Scorer.load("again")
    assert now.state.label == then.state.label == "markov_2"


def test_options_under_an_old_name_are_read_under_the_new_one(before: Path) -> None:
    assert "[doubt]" in (before / "rich" / "experiment.toml").read_text(encoding="utf-8")
    assert at.read_run(before / "rich").experiment.further["sensitivity"] == {"lookback_days": [7, 30]}


@pytest.mark.parametrize("run", ["rich", "budget"])
def test_runs_are_compared_reviewed_and_tracked(
    before: Path, run: str, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], str]
) -> None:
    monkeypatch.chdir(before)
    assert call(monkeypatch, "compare", "run", run) in (0, 3)
    assert call(monkeypatch, "review", "run", run) in (0, 3)
    assert call(monkeypatch, "track", run, "--tracking-uri", new_store(before)) == 0


def test_daily_summaries_give_the_refit_that_they_gave(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(before)
    assert call(monkeypatch, "refit", "summaries", "--out", "again") == 0
    then, now = (pd.read_parquet(before / name / "credit.parquet") for name in ("refitted", "again"))
    assert then["conversions"].sum() > 0
    pd.testing.assert_frame_equal(now[then.columns], then, check_exact=False, rtol=1e-12)


def test_daily_summaries_are_continued(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    then = {path: path.read_bytes() for path in (before / "summaries").rglob("*") if path.is_file()}
    monkeypatch.chdir(before)
    assert call(monkeypatch, "summarise", "shop.toml", "--to", "summaries") == 0
    kept = {path: path.read_bytes() for path in then if path.suffix == ".parquet"}
    assert kept == {path: content for path, content in then.items() if path.suffix == ".parquet"}


def test_a_budget_follows_an_earlier_one(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(before)
    assert call(monkeypatch, "budget", "shop.toml", "--total", 800, "--set", "budget.previous=budget") in (0, 3)


def test_tables_that_were_merged_are_read_where_they_are_now(before: Path) -> None:
    then = {path.stem: pd.read_parquet(path) for path in (before / "budget").glob("*.parquet")}
    now = at.read_run(before / "budget").tables
    gone = [name for name in now if name not in output_tables()]
    assert gone == []
    scenarios = now["budget_scenarios"]
    assert scenarios["kind"].tolist().count("plan") == then["budget_scenarios"]["scenario"].tolist().count("plan")
    what_if, today = then["budget_what_if"], scenarios.query("kind == 'today'")
    np.testing.assert_array_equal(today["return"], what_if.query("what_if == 'today'")["return"])
    np.testing.assert_array_equal(today["short_of_plan"], what_if.query("what_if == 'today'")["short_of_plan"])
    for name in ("run", "data_start", "data_end", "valid_until", "curves_assumed"):
        assert today[name].tolist() == then["budget_evidence"][name].tolist()


@pytest.fixture
def with_funnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the archive with a funnel holds, unpacked; commands run there."""
    with tarfile.open(HERE / "funnel" / "0.1.0.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("with_funnel")
def test_a_funnel_is_found_in_the_tables_that_are_now() -> None:
    then = {path.stem: pd.read_parquet(path) for path in Path("sales").glob("*.parquet")}
    now = at.read_run("sales").tables
    assert [name for name in now if name not in output_tables()] == []
    keys = ["model", "stage", "channel"]
    parts, old_parts = now["funnel_credit"], then["funnel_campaigns"]
    channels, campaigns = (parts[parts["grain"] == grain] for grain in ("channel", "campaign"))
    _assert_has(channels.set_index(keys), then["funnel_credit"].set_index(keys))
    _assert_has(campaigns.set_index([*keys, "campaign"]), old_parts.set_index([*keys, "campaign"]))
    gains = then["bottlenecks"]
    is_whole = gains["model"].isna()
    whole = gains[is_whole].set_index("stage").drop(columns=["model", "channel"])
    _assert_has(now["funnel"].set_index("stage"), whole.astype({"is_bottleneck": bool}))
    assert now["funnel"]["is_bottleneck"].sum() == 1
    _assert_has(channels.set_index(keys), gains[~is_whole].drop(columns="is_bottleneck").set_index(keys))
    won = then["funnel_returns"].rename(columns={"wins": "credit", "won_value": "value"}).assign(stage="won")
    _assert_has(channels.set_index(keys), won.set_index(keys))
    assert now["funnel_credit"].query("stage != 'won' or grain == 'campaign'")["roi"].isna().all()


def _assert_has(now: pd.DataFrame, then: pd.DataFrame) -> None:
    """The rows and columns of ``then`` are among those of ``now``, each once."""
    assert len(then) > 1
    assert now.index.is_unique
    pd.testing.assert_frame_equal(now.loc[then.index, then.columns], then, check_dtype=False, rtol=1e-9, atol=1e-12)


def test_a_funnel_is_compared_tracked_and_held_against_targets(
    with_funnel: Path, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], str]
) -> None:
    shutil.copytree("sales", "again")
    assert call(monkeypatch, "compare", "sales", "again", "--no-track") == 0
    assert call(monkeypatch, "review", "sales", "again", "--no-track") in (0, 3)
    assert call(monkeypatch, "track", "sales", "--tracking-uri", new_store(with_funnel)) == 0
    target = 'metric = "arrivals"\nfunnel_stage = "lead"\nunit = "x"\ntarget = 1\nperiod = "2024"\nowner = "sales"\n'
    Path("t.toml").write_text(f'run = "sales"\n[[targets]]\n{target}[tracking]\nenabled = false\n', encoding="utf-8")
    assert call(monkeypatch, "kpis", "t.toml", "--out", "kpis") in (0, 3)
    # Campaigns are parts of channels, and no further arrivals.
    assert pd.read_parquet("kpis/kpis.parquet")["value"].tolist() == pytest.approx([60.0])


READS = {
    "scorer/manifest.json": ("score", "scorer", "--touchpoints", "touchpoints.csv", "--conversions", "orders.csv"),
    "scores/manifest.json": ("score", "scorer", "--touchpoints", "touchpoints.csv", "--conversions", "orders.csv"),
    "run/record.json": ("track", "run"),
    "summaries/summaries.json": ("refit", "summaries"),
}


@pytest.mark.parametrize("file", READS)
@pytest.mark.parametrize("number", ["99", "0", "null", '"one"'])
def test_a_format_that_is_not_read_is_said_with_what_to_do(
    before: Path, file: str, number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(before)
    text = Path(file).read_text(encoding="utf-8")
    Path(file).write_text(text.replace('"schema_version": 1', f'"schema_version": {number}'), encoding="utf-8")
    out = () if file.startswith("run") else ("--out", "scores" if file.startswith("sco") else "refitted-again")
    assert call(monkeypatch, *READS[file], *out) == 2
    message = capsys.readouterr().err
    if number in ("99", "0"):
        assert f"Given: format {number}. Allowed: format" in message
        assert "make it again: attribution " in message
        assert ("update the package" in message) == (number == "99")
    else:
        assert "Traceback" not in message
        assert file.split("/")[0] in message
