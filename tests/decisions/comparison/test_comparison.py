"""Experiments side by side: sweeps, runs that are there already, comparisons, and logging what is on disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from attribution.decisions.comparison import compare_runs, list_specifications, read_sweep, review_runs
from attribution.errors import InputError, TrackingError
from attribution.pipeline.sections import read_experiment
from attribution.pipeline.stores import choose_store
from attribution.schema.tables import TOTAL
from attribution.tracking import mlflow_store
from tests.cli.test_cli import EXPERIMENT, call, write_log
from tests.decisions.comparison.test_review import first, make_run, second

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = EXPERIMENT.split("[[models]]")[0] + (
    '[[models]]\nmodel = "LastTouch"\n\n[[models]]\nmodel = "TimeDecay"\n\n[tracking]\nenabled = false\n'
)


def small_log(folder: Path, **options: Any) -> Path:
    toml = write_log(folder, customers=120, **options)
    toml.write_text(SMALL, encoding="utf-8")
    return toml


# ------------------------------------------------------------------------------------------ sweeps


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=7,14.5", ["7", "14.5"]),
        ("a=reset, cumulative", ['"reset"', '"cumulative"']),
        ('a="x,y","z"', ['"x,y"', '"z"']),
        ("a=true,false", ["true", "false"]),
        ('a=["x"],["x", "y"]', ['["x"]', '["x", "y"]']),
        ("a=微信,😀", ['"微信"', '"😀"']),
    ],
)
def test_a_sweep_is_a_list_of_toml_values(text: str, values: list[str]) -> None:
    assert read_sweep(text)[1] == values


@pytest.mark.parametrize("text", ["a", "a=", "=7", "a..b=7", "a=7,7", "a=x,,y"])
def test_a_sweep_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--sweep"):
        read_sweep(text)


def test_every_combination_becomes_an_experiment_with_a_folder_name(tmp_path: Path) -> None:
    toml = small_log(tmp_path)
    sweeps = ["journeys.lookback_days=7,14", "models.TimeDecay.half_life_days=3,7,14"]
    found = list_specifications(toml, ["name=spring"], sweeps, read=read_experiment)
    assert [each.name for each in found] == [
        f"lookback_days={days},half_life_days={half}" for days in (7, 14) for half in (3, 7, 14)
    ]
    last = found[-1].experiment
    assert (last.name, last.journeys.lookback_days) == ("spring", 14)
    assert [spec.settings for spec in last.models] == [{}, {"half_life_days": 14}]
    nested = list_specifications(
        toml, [], ['tables.touchpoints.where="channel <> \'a/b\'","true"'], read=read_experiment
    )
    assert all("/" not in each.name for each in nested)


def test_what_a_section_does_not_take_is_refused_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml, out = small_log(tmp_path), tmp_path / "out"
    sweep = ("--sweep", "journeys.lookback_days=7,14", "--set", "stability.prats=2")
    assert call(monkeypatch, "run", toml, *sweep, "--out", out) == 2
    assert "unknown key 'stability.prats'" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_is_all_of_its_experiments(tmp_path: Path) -> None:
    small_log(tmp_path)
    (tmp_path / "other.toml").write_text(SMALL, encoding="utf-8")
    assert [each.name for each in list_specifications(tmp_path, read=read_experiment)] == ["other", "shop"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no experiment"):
        list_specifications(tmp_path / "empty", read=read_experiment)


def test_a_wrong_value_of_a_sweep_is_refused_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = small_log(tmp_path)
    arguments = ("run", toml, "--out", tmp_path / "out")
    assert call(monkeypatch, *arguments, "--sweep", "journeys.lookback_days=7,-1") == 2
    assert call(monkeypatch, *arguments, "--sweep", "models.TimeDecy.half_life_days=7,1") == 2
    assert "did you mean 'TimeDecay'" in capsys.readouterr().err
    assert call(monkeypatch, *arguments, "--sweep", "journeys.lookback_days=7") == 2
    twice = ("--sweep", "journeys.lookback_days=7,8", "--sweep", "journeys.lookback_days=9,10")
    assert call(monkeypatch, *arguments, *twice) == 2
    assert not (tmp_path / "out").exists()


def test_set_reaches_a_model_by_its_name_or_class(tmp_path: Path) -> None:
    toml = small_log(tmp_path)
    toml.write_text(SMALL.replace('"TimeDecay"', '"TimeDecay"\nname = "short"'), encoding="utf-8")
    for key in ("models.short.half_life_days=2", "models.TimeDecay.half_life_days=2"):
        assert read_experiment(toml, [key]).models[1].settings == {"half_life_days": 2}


# ------------------------------------------------------------------------------------------ what is there already


def stamp(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in sorted(out.rglob("manifest.json"))}


def test_a_run_is_not_made_again_unless_data_settings_code_or_files_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml, out = small_log(tmp_path), tmp_path / "out"

    def made(*more: object) -> bool:
        before = stamp(out)
        assert call(monkeypatch, "run", toml, "--out", out, *more) == 0
        return stamp(out) != before

    assert made()
    printed = capsys.readouterr().out
    assert not made()
    again = capsys.readouterr().out
    assert "nothing was run again" in again
    assert again.splitlines()[:8] == printed.splitlines()[:8]
    assert made("--again")
    # Neither the order of rows, nor comments, nor where it is logged.
    frame = pd.read_parquet(tmp_path / "touchpoints.parquet")
    frame.iloc[::-1].to_parquet(tmp_path / "touchpoints.parquet")
    toml.write_text(SMALL + "\n# no matter\n", encoding="utf-8")
    assert not made()
    assert not made("--set", "tracking.uri=sqlite:///elsewhere.db")
    assert made("--set", "journeys.lookback_days=5")
    assert made()
    frame.iloc[1:].to_parquet(tmp_path / "touchpoints.parquet")
    assert made()
    assert not made()
    (out / "credit.parquet").write_bytes((out / "credit.parquet").read_bytes()[:-1])
    assert made()
    (out / "report.html").unlink()
    assert made()
    monkeypatch.setattr("attribution.pipeline.reuse.code_version", lambda: "other")
    assert made()


@pytest.mark.parametrize(
    "setting",
    [
        "sensitivity.draws=60",
        "sensitivity.hurdle_roi=0.5",
        "budget.total=100",
        "returns.margin=0.4",
        "resampling.seed=3",
        "placebo.seed=2",
        "stability.parts=3",
        "output.unit_economics=true",
        "output.draws=true",
        "output.pictures=true",
    ],
)
def test_no_two_runs_that_differ_in_a_setting_are_one(tmp_path: Path, setting: str) -> None:
    from attribution.pipeline.reuse import content_key

    toml = tmp_path / "one.toml"
    toml.write_text('[tables.paths]\nsource = "p.csv"\n[[models]]\nmodel = "LastTouch"\n', encoding="utf-8")
    part = setting.split(".")[0]
    plain, empty = (read_experiment(toml, keys) for keys in ([], [f"{part}={{}}"]))
    asked = read_experiment(toml, [setting])
    assert content_key(asked, {}) not in (content_key(plain, {}), content_key(empty, {}))


def test_a_change_of_a_model_of_ones_own_or_of_channel_rules_is_a_change(tmp_path: Path) -> None:
    from attribution.pipeline.reuse import content_key

    toml = small_log(tmp_path)
    source = "from attribution import Linear\nclass Mine(Linear):\n    pass\n"
    (tmp_path / "mine_for_reuse.py").write_text(source)
    toml.write_text(SMALL.replace('"TimeDecay"', '"mine_for_reuse:Mine"'), encoding="utf-8")
    keys = [content_key(read_experiment(toml), {"touchpoints": "a"})]
    (tmp_path / "mine_for_reuse.py").write_text(source + "# changed\n")
    keys.append(content_key(read_experiment(toml), {"touchpoints": "a"}))
    keys.append(content_key(read_experiment(toml), {"touchpoints": "b"}))
    (tmp_path / "rules.toml").write_text('[[rules]]\nchannel = "a"\nsource = "b"\n')
    keys.append(content_key(read_experiment(toml, ["channels.file=rules.toml"]), {}))
    (tmp_path / "rules.toml").write_text('[[rules]]\nchannel = "c"\nsource = "b"\n')
    keys.append(content_key(read_experiment(toml, ["channels.file=rules.toml"]), {}))
    assert len(set(keys)) == len(keys)


def test_a_sweep_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml, out = small_log(tmp_path), tmp_path / "out"
    arguments = ("run", toml, "--out", out, "--json", "--sweep", "journeys.lookback_days=3,9")
    assert call(monkeypatch, *arguments) == 0
    assert json.loads(capsys.readouterr().out)["reused"] == []
    assert {path.name for path in out.iterdir()} == {"lookback_days=3", "lookback_days=9", "comparison"}
    assert call(monkeypatch, *arguments[:-1], "journeys.lookback_days=3,9,20") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["reused"] == ["lookback_days=3", "lookback_days=9"]
    assert {row["specification"] for row in document["comparison"]} == {f"lookback_days={d}" for d in (3, 9, 20)}
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "one", "--set", "journeys.lookback_days=3") == 0
    alone, swept = (
        pd.read_parquet(folder / "returns.parquet") for folder in (tmp_path / "one", out / "lookback_days=3")
    )
    pd.testing.assert_frame_equal(alone, swept)


# ------------------------------------------------------------------------------------------ side by side


def test_changes_are_held_against_the_first_run_and_the_baseline_model() -> None:
    compared = compare_runs({"winter": first(), "spring": second()}, "seasons")
    table = compared.tables["comparison"].set_index(["specification", "model", "channel"])
    for model in ("last", "linear"):
        for channel in ("mail", "search"):
            before, after = first().returns(model).loc[channel], second().returns(model).loc[channel]
            row = table.loc[("spring", model, channel)]
            assert row["roi_change"] == pytest.approx(after["roi"] - before["roi"])
            assert table.loc[("winter", model, channel), "roi_change"] == 0
    ranked = table[table.index.get_level_values("channel") != TOTAL]
    ranks = ranked["rank"].unstack("channel")
    moved = ranked["rank_change_from_baseline"].unstack("channel")
    # The base is last touch where it was asked for, and all models of these runs are.
    expected = ranks.loc[("winter", "linear")] - ranks.loc[("winter", "last")]
    assert moved.loc[("winter", "linear")].tolist() == pytest.approx(expected.tolist())
    assert np.isnan(table.loc[("spring", "last", "微信"), "roi"])


def test_agreement_is_that_of_scipy_on_channels_that_both_rank() -> None:
    compared = compare_runs({"winter": first(), "spring": second()})
    table, pairs = compared.tables["comparison"], compared.tables["agreement"]
    assert len(pairs) == 6
    channels = table[table["channel"] != TOTAL]
    scores = channels.pivot(index="channel", columns=["specification", "model"], values="roi")
    for row in pairs.itertuples():
        both = scores[[(row.specification_a, row.model_a), (row.specification_b, row.model_b)]].dropna()
        assert row.channels == len(both)
        assert row.kendall_tau == pytest.approx(kendalltau(*both.to_numpy().T).statistic, nan_ok=True)


def test_verdicts_count_every_model_and_specification() -> None:
    compared = compare_runs({"a": with_intervals("a", [30, 5, 30], 0.2), "b": with_intervals("b", [15, 5, 5], 0.2)})
    assert compared.findings[0] == (
        "More is credited than spent, by every interval of 2 combinations of model and specification: mail."
    )
    assert compared.metrics["channels_that_depend"] == 1
    assert compared.verdicts is not None
    rows = compared.verdicts.set_index("channel")
    verdicts = {"mail": "credit above spend", "search": "credit below spend", "微信": "depends"}
    assert rows["verdict"].to_dict() == verdicts
    assert rows["above"].tolist() == [1, 0, 0.5]
    assert rows["moved_by_settings"].tolist() == pytest.approx([1.5, 0, 2.5])
    assert rows["moved_by_model"].tolist() == [0, 0, 0]


def with_intervals(name: str, values: list[float], half: float | None, **columns: Any) -> Any:
    """A run of one model, whose ROI has intervals of ``half`` to either side."""
    run = make_run(name, models={"m": ([1, 1, 1], values)}, spend=[10, 10, 10], journeys=[5, 5, 5], **columns)
    if half is not None:
        returns = run.tables["returns"]
        run.tables["returns"] = returns.assign(roi_low=returns["roi"] - half, roi_high=returns["roi"] + half)  # type: ignore[index]
    return run


def test_nothing_is_certain_that_an_interval_leaves_open() -> None:
    """ROI of mail is 2 and 0.5 at the estimate, and 0.5 ± 0.6 is no gain."""
    wide = compare_runs({"a": with_intervals("a", [30, 5, 30], 0.6), "b": with_intervals("b", [15, 5, 5], 0.6)})
    assert wide.findings[0] == (
        "Whether more is credited than spent depends on the sample, the model or the settings: mail, search, 微信."
    )
    bare = compare_runs({"a": with_intervals("a", [30, 5, 30], None), "b": with_intervals("b", [15, 5, 5], None)})
    assert bare.verdicts is not None
    assert set(bare.verdicts["verdict"]) == {"no intervals"}
    assert bare.findings[0].startswith("Whether more is credited than spent is not known without intervals")
    assert any("may be chance" in sentence for sentence in bare.findings)


def test_models_that_fail_a_check_have_no_say() -> None:
    columns = {"check": "immortal_time", "table": "journeys", "status": "warn", "example": "m", "message": "so"}
    runs = {name: with_intervals(name, [30, 5, 30], 0.2, quality=pd.DataFrame([columns])) for name in ("a", "b")}
    compared = compare_runs(runs)
    assert compared.verdicts is not None
    assert compared.verdicts.empty
    assert not any("credited than spent" in sentence for sentence in compared.findings)
    assert compared.metrics["channels_above_spend"] == 0


def test_two_businesses_are_not_compared() -> None:
    one, other = with_intervals("a", [30, 5, 30], None), with_intervals("b", [15, 5, 5], None)
    returns = other.tables["returns"]
    elsewhere = dataclasses.replace(other, tables={**other.tables, "returns": returns.assign(channel=list("xyz"))})
    with pytest.raises(InputError, match=r"no channel in common.*two businesses"):
        compare_runs({"a": one, "b": elsewhere})
    with pytest.raises(InputError, match="no channel in common"):
        review_runs(one, elsewhere)

    def priced(run: Any, currency: str) -> Any:
        options = run.experiment.returns.model_copy(update={"currency": currency})
        return dataclasses.replace(run, experiment=run.experiment.model_copy(update={"returns": options}))

    with pytest.raises(InputError, match="two currencies"):
        compare_runs({"a": priced(one, "EUR"), "b": priced(other, "USD")})
    assert compare_runs({"a": priced(one, "EUR"), "b": other}).specifications == ("a", "b")
    half = dataclasses.replace(
        other,
        tables={**other.tables, "returns": returns.assign(channel=["mail", "x", "y"])},
        digests={"touchpoints": "1"},
    )
    notes = compare_runs({"a": dataclasses.replace(one, digests={"paths": "0"}), "b": half}).notes
    assert "only 1 of 5 channels are in both" in notes[0]
    assert "no kind of table in common" in notes[0]


def test_verdicts_are_counted_from_the_table_and_never_from_its_totals() -> None:
    compared = compare_runs({"winter": first(), "spring": second()})
    table = compared.tables["comparison"]
    assert (table["channel"] == TOTAL).sum() == 4
    rows = table[table["roi"].notna() & (table["channel"] != TOTAL)]
    expected = rows.groupby("channel")["roi"].agg(tried="size", roi_least="min", roi_most="max")
    assert compared.verdicts is not None
    found = compared.verdicts.set_index("channel")[list(expected)]
    pd.testing.assert_frame_equal(found, expected, check_names=False)
    assert set(compared.tables["agreement"]["channels"]) <= {2, 3}
    assert table.loc[table["channel"] == TOTAL, ["rank", "rank_change"]].isna().all(axis=None)


def test_a_model_whose_setting_was_swept_is_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml, out = small_log(tmp_path), tmp_path / "out"
    assert call(monkeypatch, "run", toml, "--out", out, "--sweep", "models.TimeDecay.half_life_days=1,7") == 0
    table = pd.read_parquet(out / "comparison" / "comparison.parquet")
    swept = table[table["specification"] == "half_life_days=7"].query("model == 'time_decay'").set_index("channel")
    start = table.query("model == 'time_decay_1'").set_index("channel")
    assert swept["roi_change"].dropna().to_dict() == pytest.approx((swept["roi"] - start["roi"]).dropna().to_dict())
    assert swept["roi_change"].abs().max() > 0


def test_runs_on_other_terms_or_alone_are_refused() -> None:
    with pytest.raises(InputError, match="two runs"):
        compare_runs({"a": first()})
    other = second()
    other.tables["returns"]["basis"] = "margin"
    with pytest.raises(InputError, match="by another return or cost"):
        compare_runs({"a": first(), "b": other})


def test_compare_says_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = small_log(tmp_path)
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "a") == 0
    small_log(tmp_path, seed=3)
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "b", "--set", "journeys.lookback_days=5") == 0
    capsys.readouterr()
    assert call(monkeypatch, "compare", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert "journeys.lookback_days: not set → 5.0" in document["notes"][0]
    assert "other data in conversions, touchpoints" in document["notes"][0]
    assert (tmp_path / "c" / "comparison.html").exists()
    for wrong in ([tmp_path / "a"], [tmp_path / "a", tmp_path / "a"], [tmp_path / "a", tmp_path / "none"]):
        assert call(monkeypatch, "compare", *wrong, "--out", tmp_path / "d") == 2
    assert not (tmp_path / "d").exists()


# ------------------------------------------------------------------------------------------ logging


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], str]) -> str:
    return new_store(tmp_path_factory.mktemp("mlflow"))


def children(client: Any, run_id: str) -> dict[str, Any]:
    parent = client.get_run(run_id)
    query = f"tags.mlflow.parentRunId = '{run_id}'"
    return {run.info.run_name: run for run in client.search_runs([parent.info.experiment_id], filter_string=query)}


def test_a_sweep_is_one_parent_with_a_child_per_model_and_specification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: str
) -> None:
    from mlflow.tracking import MlflowClient

    toml, out = small_log(tmp_path), tmp_path / "out"
    on = ("--set", "tracking.enabled=true", "--set", f"tracking.uri={store}", "--set", "name=swept", "--json")
    arguments = ("run", toml, "--out", out, "--sweep", "journeys.lookback_days=3,9", "--set", "stability.parts=2", *on)
    assert call(monkeypatch, *arguments) == 0
    run_id = json.loads(capsys.readouterr().out)["mlflow_run"]
    client = MlflowClient(tracking_uri=store)
    parent, found = client.get_run(run_id), children(client, run_id)
    days = ("lookback_days=3", "lookback_days=9")
    assert set(found) == {f"{model} · {name}" for model in ("last_touch", "time_decay") for name in days}
    returns = pd.read_parquet(out / days[1] / "returns.parquet").set_index(["model", "channel"])
    child = found[f"time_decay · {days[1]}"]
    assert child.data.metrics["roi/search"] == returns.loc[("time_decay", "search"), "roi"]
    assert child.data.metrics["rank_change/search"] == (
        returns.loc[("time_decay", "search"), "rank"] - returns.loc[("last_touch", "search"), "rank"]
    )
    assert child.data.params["journeys.lookback_days"] == "9.0"
    assert child.data.params["half_life_days"] == "7.0"
    stability = pd.read_parquet(out / days[1] / "stability.parquet").set_index("model")
    assert child.data.metrics["stability_lowest_kendall_tau"] == stability.loc["time_decay", "kendall_tau"]
    assert parent.data.metrics["specifications"] == 2
    assert parent.data.tags["attribution.code_version"].startswith("0.")
    assert {item.path for item in client.list_artifacts(run_id)} == {*days, "comparison"}
    # Nothing changed: it is not logged twice.
    assert call(monkeypatch, *arguments) == 0
    assert json.loads(capsys.readouterr().out)["mlflow_run"] == run_id
    runs = client.search_runs([parent.info.experiment_id])
    assert len(runs) == 5


def test_what_could_not_be_logged_is_logged_later_as_it_would_have_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: str
) -> None:
    from mlflow.tracking import MlflowClient

    toml, client = small_log(tmp_path), MlflowClient(tracking_uri=store)
    away = (
        "--set",
        "tracking.enabled=true",
        "--set",
        "tracking.uri=http://127.0.0.1:9",
        "--set",
        "resampling.draws=50",
    )
    there = (*away[:2], "--set", f"tracking.uri={store}", *away[4:])
    out = tmp_path / "away"
    assert call(monkeypatch, "run", toml, "--out", out, *away) == 4
    assert f"attribution track {out}" in capsys.readouterr().err
    assert call(monkeypatch, "track", out, "--tracking-uri", store, "--json") == 0
    later = json.loads(capsys.readouterr().out)["mlflow_run"]
    assert call(monkeypatch, "track", out, "--tracking-uri", store, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mlflow_run"] == later
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "there", *there, "--json") == 0
    direct = json.loads(capsys.readouterr().out)["mlflow_run"]
    pairs = [(client.get_run(later), client.get_run(direct))]
    pairs += [(run, children(client, direct)[name]) for name, run in children(client, later).items()]
    assert len(pairs) == 3
    for one, other in pairs:
        assert one.data.metrics == other.data.metrics
        assert one.data.params == other.data.params
    assert "roi_width/search" in pairs[1][0].data.metrics
    # The server is back: the run is there, so that only its logging is made up for.
    before = stamp(out)
    assert call(monkeypatch, "run", toml, "--out", out, *there, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mlflow_run"] == later
    assert stamp(out) == before


def test_logging_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_store, "_PAUSE_SECONDS", 0.0)
    tries = []

    def act() -> str:
        tries.append(1)
        if len(tries) < 2:
            raise OSError("gone for a moment")
        return "run"

    assert mlflow_store.call_store(act, tmp_path, choose_store(f"sqlite:///{tmp_path}/x.db")) == "run"

    def never() -> str:
        raise OSError("gone")

    with pytest.raises(TrackingError, match="attribution track"):
        mlflow_store.call_store(never, tmp_path, choose_store(f"sqlite:///{tmp_path}/x.db"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "not the folder of a finished run"),
        ("{", "damaged"),
        ("{}", "damaged"),
        ('{"schema_version": 99}', "update the package"),
        ("[]", "damaged"),
    ],
)
def test_track_refuses_what_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    assert call(monkeypatch, "track", tmp_path) == 2
    assert said in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ parts of the time


def test_stability_is_that_of_runs_on_each_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = small_log(tmp_path)
    settings = ["--set", "period.start=2024-01-20", "--set", "period.end=2024-02-28"]
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "all", *settings, "--set", "stability.parts=2") == 0
    halves = []
    for name, start, end in (("a", "2024-01-20", "2024-02-08"), ("b", "2024-02-09", "2024-02-28")):
        period = ["--set", f"period.start={start}", "--set", f"period.end={end}"]
        assert call(monkeypatch, "run", toml, "--out", tmp_path / name, *period) == 0
        credit = pd.read_parquet(tmp_path / name / "credit.parquet").query("channel != '(unattributed)'")
        halves.append(credit.set_index(["model", "channel"])["conversions"])
    table = pd.read_parquet(tmp_path / "all" / "stability.parquet").set_index("model")
    for model in ("last_touch", "time_decay"):
        before, after = (half.loc[model] for half in halves)
        moved = (before / before.sum() - after / after.sum()).abs().sum() / 2
        assert table.loc[model, "share_moved"] == pytest.approx(moved)
        expected = kendalltau(before, after.reindex(before.index)).statistic
        assert table.loc[model, "kendall_tau"] == pytest.approx(expected)


def test_held_out_scores_are_those_of_the_choice_of_an_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = small_log(tmp_path)
    chains = '[[models]]\nmodel = "Markov"\norder = 2\n\n[[models]]\nmodel = "Markov"\norder = "auto"\n\n[tracking]'
    toml.write_text(SMALL.replace("[tracking]", chains), encoding="utf-8")
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "out", "--set", "stability.parts=2") == 0
    held = pd.read_parquet(tmp_path / "out" / "held_out.parquet").set_index("model")
    tried = held.loc["markov_auto"].set_index("order")
    assert held.loc["markov_2", ["log_loss", "auc"]].tolist() == tried.loc[2, ["log_loss", "auc"]].tolist()


def test_stability_needs_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.csv").write_text("path,conversions\na > b,1\n")
    text = (
        '[tables.paths]\nsource = "p.csv"\n[[models]]\nmodel = "LastTouch"\n[stability]\n[tracking]\nenabled = false\n'
    )
    (tmp_path / "p.toml").write_text(text)
    assert call(monkeypatch, "run", tmp_path / "p.toml", "--out", tmp_path / "out") == 2
