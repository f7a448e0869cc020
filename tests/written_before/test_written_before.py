"""Folders that earlier versions wrote are read by this one; each archive is named after the version that made it.

An archive holds the inputs, a plain run, one with every section, a budget, a sweep, an exported scorer, its scores,
daily summaries and a refit of them; one in the folder ``funnel`` holds a run with stages and its inputs. Archives are
never made again: what they prove is that they were made before.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.decisions.comparison import compare_runs
from attribution.decisions.diagnosis import judge_spend
from attribution.decisions.migration import migrate_tables
from attribution.production.output_tables import output_tables
from attribution.returns import borne_costs, bounded_costs, own_costs
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


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("scorer", "model"), ("scores", "scores"), ("summaries", "summaries"), ("refitted", "refit"), ("run", "run")],
)
def test_its_status_is_read(
    before: Path, folder: str, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "status", before / folder, "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)["folders"]
    assert (document["kind"], document["job"]) == (kind, "none")
    assert document["first_day"] < document["last_day"] <= "2026-03-16"


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


@pytest.mark.parametrize("run", ["run", "rich", "budget"])
def test_wasted_spend_is_found_among_tasks(before: Path, run: str) -> None:
    then = {path.stem: pd.read_parquet(path) for path in (before / run).glob("*.parquet")}
    now = at.read_run(before / run).tables
    assert "wasted_spend" not in now
    tasks, wasted = now["tasks"], then["wasted_spend"].set_index(["model", "channel"])
    pd.testing.assert_frame_equal(tasks[list(then["tasks"])], then["tasks"], check_dtype=False)
    found = tasks[tasks["kind"].isin(["wasted_spend", "spend_below_break_even"])]
    numbers = ["spend", "roi", "roi_low", "roi_high", "break_even_roas", "basis", "cost_basis", "estimand"]
    rows = wasted.loc[zip(found["model"], found["slice"], strict=True), numbers]
    pd.testing.assert_frame_equal(found[numbers].reset_index(drop=True), rows.reset_index(drop=True), check_dtype=False)
    # Of spend that pays, or of the other models, the returns tell all that the table told.
    judged = judge_spend(now["returns"]).set_index(["model", "channel"])
    pd.testing.assert_frame_equal(judged[list(wasted)], wasted, check_dtype=False, rtol=1e-12)


def test_costs_of_old_tables_are_found_in_the_one_of_today() -> None:
    """As 0.1.0 wrote them: what is known by type, what types do to ROI, and what bounds allow."""
    coverage = pd.DataFrame(
        {
            "channel": ["mail", "mail", "tv", "tv", None, None],
            "cost_type": ["media", "tools"] * 3,
            "amount": [10.0, None, None, 7.0, None, 4.0],
            "share": [1.0, None, None, 1.0, None, 1.0],
            "is_known": [True, False, False, True, False, True],
        }
    )
    ends = {"roi_low": [0.1, 0.1, 0.2], "roi_high": [0.7, 0.7, 0.8]}
    types = {"channel": ["mail", "mail", "tv"], "cost_type": ["media", "tools", "tools"]}
    numbers = {"amount": [10.0, 2.0, 9.0], "share": [0.8, 0.2, 1.0], "roi": [0.5, 0.5, 0.6]}
    effects = {"roi_change": [-0.12, -0.02, -0.14], "roi_without": [8.0, 0.8, None]}
    borne = pd.DataFrame({"model": "linear", **types, **numbers, **effects, **ends})
    bounds = pd.DataFrame({"model": "linear", "estimand": "allocated", "channel": ["mail", "tv"], "basis": "margin"})
    bounds = bounds.assign(cost_basis="media", spend_low=[1.0, 2.0], spend=[2.0, 3.0], spend_high=[3.0, 4.0])
    bounds = bounds.assign(roi_low=[0.1, 0.2], roi=[0.3, 0.4], roi_high=[0.5, None])
    bounds = bounds.assign(rank_low=1.0, rank_high=2.0, overlaps=["tv", "mail"])
    returns = pd.DataFrame({"model": ["linear"], "estimand": "allocated", "basis": "margin", "cost_basis": "media"})
    old = {"returns": returns, "cost_coverage": coverage, "cost_sensitivity": borne, "cost_bounds": bounds}
    now = migrate_tables(old)
    assert set(now) == {"returns", "cost_sensitivity"}
    costs = now["cost_sensitivity"]
    pd.testing.assert_frame_equal(own_costs(costs), coverage, check_dtype=False)
    again = borne_costs(costs).reset_index(drop=True)
    kept = [*types, *numbers, *effects]
    pd.testing.assert_frame_equal(again[["model", *kept]], borne[["model", *kept]], check_dtype=False)
    assert again[["roi_low", "roi_high"]].isna().all(axis=None)
    ranges = bounded_costs(costs).rename(columns=lambda name: name.replace("amount", "spend")).reset_index(drop=True)
    pd.testing.assert_frame_equal(ranges[list(bounds)], bounds, check_dtype=False)
    assert migrate_tables(now)["cost_sensitivity"] is costs
    alone = migrate_tables({"returns": returns, "cost_bounds": bounds})["cost_sensitivity"]
    assert own_costs(alone).empty
    assert bounded_costs(alone)["amount_high"].tolist() == [3.0, 4.0]


@pytest.mark.parametrize("run", ["run", "rich", "budget"])
def test_every_table_of_a_run_is_one_of_today(before: Path, run: str) -> None:
    now = at.read_run(before / run).tables
    assert {name: set(table.columns) for name, table in now.items()} == {
        name: set(output_tables()[name].column_names) for name in now
    }


def test_pairs_and_ranks_are_found_where_they_are_now(before: Path) -> None:
    names = ("pairwise_probability", "model_differences", "rank_swaps", "joint_rank_probability", "rank_probability")
    then = {name: pd.read_parquet(before / "rich" / f"{name}.parquet") for name in names}
    now = at.read_run(before / "rich").tables
    differences = now["differences"]
    channels = differences[differences["model_a"] == differences["model_b"]]
    assert 2 * len(channels) == len(then["pairwise_probability"])
    roi = now["returns"].set_index(["model", "channel"])["roi"]
    stood = then["pairwise_probability"].set_index(["model", "channel_a", "channel_b"])["probability"]
    for row in channels.itertuples():
        assert row.probability == stood[row.model_a, row.channel_a, row.channel_b]
        assert row.probability == pytest.approx(1 - stood[row.model_a, row.channel_b, row.channel_a])
        assert row.difference == roi[row.model_a, row.channel_a] - roi[row.model_a, row.channel_b]
    models = differences[(differences["channel_a"] == differences["channel_b"])]
    numbers = ["difference", "low", "high"]
    np.testing.assert_array_equal(models[numbers].astype(float), then["model_differences"][numbers])
    swaps = differences[differences["measure"] == "order"]
    np.testing.assert_array_equal(swaps["probability"].astype(float), then["rank_swaps"]["probability"])
    ranks = now["rank_probability"]
    assert set(ranks["estimand"]) == {"allocated"}
    for is_joint, name in ((False, "rank_probability"), (True, "joint_rank_probability")):
        rows = ranks[(ranks["model"] == "(all)") == is_joint]
        np.testing.assert_array_equal(rows["probability"].astype(float), then[name]["probability"])


def test_intervals_stand_beside_their_estimates(before: Path) -> None:
    then = pd.read_parquet(before / "budget" / "intervals.parquet")
    now = at.read_run(before / "budget").tables
    assert "intervals" not in now
    tables = {
        "credit": ("conversions", "value", "share"),
        "returns": ("roi", "rank", "conversions", "value"),
        "published_credit": ("removal_effect", "removal_effect_value"),
    }
    assert {name for names in tables.values() for name in names} == set(then["measure"])
    for name, measures in tables.items():
        rows = now[name].set_index(["model", "channel"])
        for measure in measures:
            of = then[then["measure"] == measure].set_index(["model", "channel"])
            own = rows.loc[of.index]
            for old, column in {"estimate": measure, "low": f"{measure}_low", "high": f"{measure}_high"}.items():
                np.testing.assert_allclose(own[column], of[old], rtol=1e-12, err_msg=f"{name}.{column}")
    assert at.read_run(before / "run").tables["credit"]["value_low"].isna().all()


@pytest.mark.parametrize("run", ["run", "budget"])
def test_published_and_allocated_credit_stand_in_one_table(before: Path, run: str) -> None:
    now = at.read_run(before / run).tables
    assert not {"reconciliation", "removal_effects"} & set(now)
    table = now["published_credit"]
    assert tuple(table.columns) == output_tables()["published_credit"].column_names
    for name, renamed in {"reconciliation": {"handed_out": "allocated"}, "removal_effects": {}}.items():
        then = pd.read_parquet(before / run / f"{name}.parquet").rename(columns=renamed)
        pd.testing.assert_frame_equal(table[then.columns], then, check_dtype=False)


def test_a_scorer_holds_the_intervals_of_its_credit(before: Path, tmp_path: Path) -> None:
    folder = before / "budget" / "models" / "03_markov_2"
    then = pd.read_parquet(folder / "reference" / "intervals.parquet")
    then = then[then["measure"] == "value"].set_index("channel")
    saved = at.Scorer.load(folder).save(tmp_path / "again")
    assert sorted(path.stem for path in (tmp_path / "again" / "reference").iterdir()) == [
        "credit", "journey_profile", "placebo", "returns"
    ]  # fmt: skip
    assert saved.version == at.Scorer.load(tmp_path / "again").version
    now = at.Scorer.load(tmp_path / "again").reference["credit"].set_index("channel").loc[then.index]
    np.testing.assert_array_equal(now[["value_low", "value_high"]], then[["low", "high"]])


@pytest.mark.parametrize("run", ["run", "rich"])
def test_agreement_of_a_run_is_what_it_was(before: Path, run: str) -> None:
    then = pd.read_parquet(before / run / "agreement.parquet")
    now = at.read_run(before / run).tables["agreement"]
    assert tuple(now) == output_tables()["agreement"].column_names
    pd.testing.assert_frame_equal(now[list(then)], then)
    assert now["specification_a"].isna().all()
    assert (now["channels"] > 1).all()


def test_a_comparison_of_runs_says_what_it_said(before: Path) -> None:
    then = {path.stem: pd.read_parquet(path) for path in (before / "sweep" / "comparison").glob("*.parquet")}
    runs = {name: at.read_run(before / "sweep" / name) for name in then["comparison"]["specification"].unique()}
    compared = compare_runs(runs)
    table = compared.tables["comparison"].query("channel != '(total)'")
    keys = ["specification", "model", "channel"]
    columns = list(then["comparison"])
    pd.testing.assert_frame_equal(
        table[columns].sort_values(keys, ignore_index=True), then["comparison"].sort_values(keys, ignore_index=True)
    )
    agreement = then["comparison_agreement"]
    pd.testing.assert_frame_equal(compared.tables["agreement"][list(agreement)], agreement)
    assert compared.verdicts is not None
    # What it called a verdict went by estimates alone; those are what they were.
    counted = compared.verdicts.rename(columns={"above": "pays"}).drop(columns="verdict")
    pd.testing.assert_frame_equal(counted, then["comparison_verdicts"].drop(columns="verdict"))


@pytest.mark.parametrize("run", ["run", "rich", "budget"])
def test_parts_of_a_gap_in_roi_are_what_they_were(before: Path, run: str) -> None:
    then = pd.read_parquet(before / run / "roi_gaps.parquet").rename(columns={"rest": "reference"})
    now = at.read_run(before / run).tables["roi_parts"]
    assert tuple(now) == output_tables()["roi_parts"].column_names
    pd.testing.assert_frame_equal(now[list(then)], then)
    assert (now["compared_with"] == "rest").all()


def test_targets_are_held_against_runs(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = '[[targets]]\nmetric = "conversions"\nunit = "orders"\ntarget = 1\nperiod = 2026\nowner = "Ann"\n'
    runs = 'run = "run"\nbaseline = "rich"\nhistory = ["budget"]\n[tracking]\nenabled = false\n'
    (before / "targets.toml").write_text(runs + target, encoding="utf-8")
    monkeypatch.chdir(before)
    assert call(monkeypatch, "kpis", "targets.toml", "--out", "kpis") in (0, 3)
    table = pd.read_parquet("kpis/kpis.parquet").set_index("run")
    assert table["when"].to_dict() == {"run": "now", "rich": "baseline", "budget": "earlier"}
    for run, value in table["value"].items():
        credit = pd.read_parquet(before / str(run) / "credit.parquet").query("model == 'last_touch'")
        assert value == pytest.approx(credit["conversions"].sum())


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
