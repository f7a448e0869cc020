"""What lands in MLflow: one parent, one child per model, and nothing lost when the server is away."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.errors import TrackingError
from attribution.pipeline.output import replaced_folder, write_outcome
from attribution.schema.experiment import Experiment
from attribution.tracking.tracked_runs import track_outcome

pytestmark = pytest.mark.filterwarnings("ignore")


def experiment(name: str, **parts: Any) -> Experiment:
    touchpoints = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "c", "c"],
            "touched_at": pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-02", "2024-01-05", "2024-01-06"]),
            "channel": ["mail 😀/x", "search", "search", "广告", "mail 😀/x"],
        }
    )
    conversions = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "converted_at": pd.to_datetime(["2024-01-07"] * 3),
            "value": [10.0, 30.0, 7.0],
        }
    )
    costs = pd.DataFrame({"channel": ["mail 😀/x", "search"], "amount": [4.0, 6.0]})
    tables = {"touchpoints": touchpoints, "conversions": conversions, "costs": costs}
    document = {
        "name": name,
        "tables": {key: {"source": frame} for key, frame in tables.items()},
        "models": [{"model": "LastTouch"}, {"model": "Linear"}, {"model": "Markov", "order": 2}],
        **parts,
    }
    return Experiment.model_validate(document)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def tracked(store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[at.Outcome, str, Any]:
    from mlflow.tracking import MlflowClient

    outcome = at.run_experiment(experiment("春季 review"))
    out = tmp_path_factory.mktemp("runs") / "review"
    with replaced_folder(out, kind="run") as folder:
        write_outcome(folder, outcome, report="<html></html>", seconds=1.0)
    return outcome, track_outcome(outcome, out, uri=store), MlflowClient(tracking_uri=store)


def test_one_parent_and_one_child_per_model(tracked: tuple[at.Outcome, str, Any]) -> None:
    outcome, run_id, client = tracked
    parent = client.get_run(run_id)
    assert parent.info.status == "FINISHED"
    children = client.search_runs([parent.info.experiment_id], filter_string=f"tags.mlflow.parentRunId = '{run_id}'")
    assert {child.info.run_name for child in children} == {model.label for model in outcome.models}
    assert {child.info.status for child in children} == {"FINISHED"}
    markov = next(child for child in children if child.info.run_name == "markov_2")
    expected = {"model": "Markov", "order": "2", "continuation": "None", "reconcile": "True"}
    assert markov.data.params == expected
    assert parent.data.params["journeys.conversions"] == "reset"
    assert not [key for key in parent.data.params if key.startswith("channels")]


def test_metrics_are_the_numbers_of_the_tables(tracked: tuple[at.Outcome, str, Any]) -> None:
    outcome, run_id, client = tracked
    returns = outcome.tables["returns"].set_index(["model", "channel"])
    children = client.search_runs(
        [client.get_run(run_id).info.experiment_id], filter_string=f"tags.mlflow.parentRunId = '{run_id}'"
    )
    for child in children:
        metrics, label = child.data.metrics, child.info.run_name
        assert metrics["roi/search"] == pytest.approx(returns.loc[(label, "search"), "roi"])
        assert metrics["rank/mail __x"] == returns.loc[(label, "mail 😀/x"), "rank"]
        assert "roi/广告" not in metrics  # no spend, no ROI
        assert metrics["conversions/广告"] == pytest.approx(returns.loc[(label, "广告"), "conversions"])
        agreement = outcome.tables["agreement"].query(f"model_a == '{label}' and model_b == 'last_touch'").iloc[0]
        assert metrics["largest_move_with_last_touch"] == agreement["largest_move"]


def test_artifacts_are_the_output_folder(tracked: tuple[at.Outcome, str, Any]) -> None:
    _, run_id, client = tracked
    names = {item.path for item in client.list_artifacts(run_id)}
    assert {"credit.parquet", "returns.csv", "report.html", "experiment.toml", "manifest.json"} <= names


def test_a_file_of_channel_rules_is_logged_with_its_digest(store: str, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    rules = 'own_sites = ["shop.example"]\n[[rules]]\nchannel = "Züge 🚆"\nsource = "bahn*"\n'
    (tmp_path / "rules.toml").write_text(rules, encoding="utf-8")
    (tmp_path / "t.csv").write_text("customer_id,touched_at,utm_source\na,2024-01-01,bahnhof\n")
    (tmp_path / "c.csv").write_text("customer_id,converted_at,value\na,2024-01-02,3\n")
    tables = {"touchpoints": {"source": "t.csv"}, "conversions": {"source": "c.csv"}}
    models = [{"model": "LastTouch"}]
    document = {"name": "ruled", "tables": tables, "models": models, "folder": tmp_path}
    outcome = at.run_experiment(Experiment.model_validate({**document, "channels": {"file": "rules.toml"}}))
    with replaced_folder(tmp_path / "out", kind="run") as folder:
        write_outcome(folder, outcome, report="", seconds=1.0)
    client = MlflowClient(tracking_uri=store)
    run_id = track_outcome(outcome, tmp_path / "out", uri=store)
    logged = Path(client.download_artifacts(run_id, "channels.toml", str(tmp_path)))
    assert logged.read_text(encoding="utf-8") == rules
    params = client.get_run(run_id).data.params
    assert params["channels.file"] == "rules.toml"
    assert params["channels.digest"] == hashlib.sha256(rules.encode()).hexdigest()[:16]


def test_inputs_are_datasets_with_a_content_digest(tracked: tuple[at.Outcome, str, Any]) -> None:
    outcome, run_id, client = tracked
    datasets = {item.dataset.name: item.dataset.digest for item in client.get_run(run_id).inputs.dataset_inputs}
    assert datasets == dict(outcome.digests)
    assert len(datasets) == 3


def test_digests_follow_content_not_order_or_format(tmp_path: Path) -> None:
    from attribution.data.loading import content_digest

    frame = pd.DataFrame({"path": ["a > b", "c", "c"], "conversions": [1.0, 2.0, 2.0]})
    frame.to_csv(tmp_path / "paths.csv", index=False)
    frame.iloc[::-1].to_parquet(tmp_path / "paths.parquet")
    changed = frame.assign(conversions=[1.0, 2.0, 3.0])
    twice = pd.concat([frame, frame.iloc[[1, 2]]])
    given = [frame, tmp_path / "paths.csv", tmp_path / "paths.parquet", changed, twice]
    digests = [content_digest(at.load_sources(paths=source), "paths") for source in given]
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests)) == 3


def test_a_second_run_joins_the_same_experiment(
    tracked: tuple[at.Outcome, str, Any], store: str, tmp_path: Path
) -> None:
    outcome, run_id, client = tracked
    again = track_outcome(outcome, tmp_path, uri=store)
    assert again != run_id
    assert client.get_run(again).info.experiment_id == client.get_run(run_id).info.experiment_id


def test_a_store_that_cannot_be_reached_is_a_tracking_error(tmp_path: Path) -> None:
    outcome = at.run_experiment(experiment("away"))
    with pytest.raises(TrackingError, match=r"the run is complete in .*could not log it.*Hint"):
        track_outcome(outcome, tmp_path, uri="http://127.0.0.1:9")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(TrackingError, match="could not log it"):
        track_outcome(outcome, tmp_path, uri=f"sqlite:///{tmp_path}/file/mlflow.db")


def test_channel_names_that_mlflow_would_confuse_stay_apart() -> None:
    from attribution.tracking.mlflow_store import metric_keys

    assert metric_keys(["roi/a/b", "roi/a?b", "roi/a_b", "roi/微信"]) == [
        "roi/a_b",
        "roi/a_b 2",
        "roi/a_b 3",
        "roi/微信",
    ]
    assert all(len(key) <= 250 for key in metric_keys(["roi/" + "x" * 900, "roi/" + "x" * 901]))


def test_no_run_is_left_running_when_logging_fails_midway(
    tracked: tuple[at.Outcome, str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attribution.tracking import tracked_runs

    outcome, run_id, client = tracked
    log = tracked_runs.log_numbers

    def fail_on_the_second_model(*arguments: Any, **named: Any) -> None:
        if named["params"].get("model") == "Linear":
            raise OSError("the server went away")
        log(*arguments, **named)

    monkeypatch.setattr(tracked_runs, "log_numbers", fail_on_the_second_model)
    with pytest.raises(TrackingError, match="went away"):
        track_outcome(outcome, tmp_path, uri=client.tracking_uri)
    experiment_id = client.get_run(run_id).info.experiment_id
    states = {run.info.status for run in client.search_runs([experiment_id])}
    assert states == {"FINISHED", "FAILED"}


def test_sensitivity_is_logged_where_it_was_asked_for(store: str, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    outcome = at.run_experiment(experiment("sensitivity", resampling={"draws": 50}, placebo={"rate": 2.0}))
    (tmp_path / "out").mkdir()
    client = MlflowClient(tracking_uri=store)
    parent = client.get_run(track_outcome(outcome, tmp_path / "out", uri=store))
    of_parent = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    children = client.search_runs([parent.info.experiment_id], filter_string=of_parent)
    metrics = next(child for child in children if child.info.run_name == "linear").data.metrics
    row = outcome.tables["returns"].set_index(["model", "channel"]).loc[("linear", "search")]
    assert metrics["roi_low/search"] == pytest.approx(row["roi_low"])
    assert metrics["roi_high/search"] == pytest.approx(row["roi_high"])
    assert metrics["rank_high/search"] == pytest.approx(row["rank_high"])
    placebo = outcome.tables["placebo"].set_index("model").loc["linear"]
    assert metrics["placebo_share"] == pytest.approx(placebo["share"])
    assert metrics["placebo_touchpoint_share"] == pytest.approx(placebo["touchpoint_share"])
