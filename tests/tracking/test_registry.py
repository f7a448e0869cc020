"""Models of finished runs exported, registered under an alias, loaded elsewhere, and what is refused on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.pipeline.stores import choose_store
from attribution.production.scoring.rows import example_rows, score_rows
from tests.cli.test_cli import call
from tests.decisions.comparison.test_comparison import small_log

pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], str]) -> str:
    return new_store(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """A tracked run with a time decay that is exported as ``shop``, alias ``champion``."""
    folder = tmp_path_factory.mktemp("shop")
    toml, patch = small_log(folder), pytest.MonkeyPatch()
    on = ("--set", "tracking.enabled=true", "--set", f"tracking.uri={store}")
    with patch.context() as context:
        assert call(context, "run", toml, "--out", folder / "run", *on) == 0
        to = ("--to", folder / "models" / "shop", "--alias", "champion")
        assert call(context, "export", folder / "run", "--model", "time_decay", *to) == 0
    keep_compiled(Path(store.removeprefix("sqlite:///")).parent)
    return folder


def keep_compiled(store: Path) -> None:
    """Put what is compiled already beside the copy of the code that is logged: its files have the same content and age.

    Processes that load it would compile it all again, which takes far longer than what they are to show.
    """
    (kernels,) = store.glob("mlruns/models/*/artifacts/code/attribution/kernels")
    own = ROOT / "attribution" / "kernels"
    for compiled in own.glob("*/__pycache__"):
        shutil.copytree(compiled, kernels / compiled.relative_to(own), dirs_exist_ok=True)


def client_of(store: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store)


# ------------------------------------------------------------------------------------------ rows


def journeys_of(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    touchpoints = rows[["channel", "touched_at"]].explode(["channel", "touched_at"]).rename_axis("customer_id")
    conversions = rows[["converted_at"]].rename_axis("customer_id").reset_index()
    named = conversions.assign(value=1.0, conversion_id=conversions["customer_id"].astype(str))
    return touchpoints.dropna().reset_index(), named


def test_rows_are_scored_as_the_same_journeys_are_as_tables(finished: Path) -> None:
    scorer = at.Scorer.load(finished / "models" / "shop")
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(40):
        size = int(rng.integers(0, 6))
        days = rng.integers(1, 60, size)
        moments = [str(np.datetime64("2024-03-01") + np.timedelta64(int(day), "D")) for day in days]
        channels = rng.choice(["email", "search", "微信", "never seen"], size).tolist()
        rows.append({"channel": channels, "touched_at": moments, "converted_at": "2024-04-20"})
    given = pd.DataFrame(rows, index=pd.RangeIndex(40))
    expected = scorer.score(*journeys_of(given)).groupby("conversion_id")
    found = score_rows(scorer, given)
    assert len(found) == 40
    for number, row in found.iterrows():
        alone = expected.get_group(str(number))
        assert row["channel"] == alone["channel"].tolist()
        assert row["credit"] == pytest.approx(alone["credit"].tolist(), abs=1e-15)
        assert sum(row["credit"]) == pytest.approx(1)
    assert ["(unattributed)"] in found["channel"].tolist()


def test_rows_that_break_the_contract_are_refused(finished: Path) -> None:
    scorer = at.Scorer.load(finished / "models" / "shop")
    rows = example_rows(scorer)
    for wrong, said in (
        (rows.drop(columns="touched_at"), "needs the column 'touched_at'"),
        (rows.assign(channel=[["email"], ["email"]]), "have different lengths"),
        (rows.assign(channel="email"), "needs a list"),
        (rows.assign(touched_at=[["x", "y"], ["z"]]), "touched_at"),
    ):
        with pytest.raises(InputError, match=said):
            score_rows(scorer, wrong)
    assert score_rows(scorer, rows.iloc[:0]).empty


# ------------------------------------------------------------------------------------------ the registry


def test_the_alias_loads_in_a_fresh_process_without_the_package_at_hand(
    finished: Path, store: str, tmp_path: Path
) -> None:
    rows = example_rows(at.Scorer.load(finished / "models" / "shop"))
    rows.to_json(tmp_path / "rows.json", orient="split")
    code = (
        "import json, sys, mlflow, pandas as pd\n"
        f"mlflow.set_tracking_uri({store!r})\n"
        "model = mlflow.pyfunc.load_model('models:/shop@champion')\n"
        f"rows = pd.DataFrame(**json.load(open({str(tmp_path / 'rows.json')!r})))\n"
        "print(json.dumps(model.predict(rows)['credit'].tolist()))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    expected = score_rows(at.Scorer.load(finished / "models" / "shop"), rows)["credit"].tolist()
    assert json.loads(done.stdout.splitlines()[-1]) == expected


def test_it_is_registered_with_signature_example_and_pins_and_no_pickle(
    finished: Path, store: str, tmp_path: Path
) -> None:
    import mlflow

    client = client_of(store)
    version = client.get_model_version_by_alias("shop", "champion")
    run = client.get_run(version.run_id)
    assert run.data.tags["attribution.kind"] == "comparison"
    assert version.tags["attribution.scorer_version"] == at.Scorer.load(finished / "models" / "shop").version
    mlflow.set_tracking_uri(store)
    info = mlflow.models.get_model_info("models:/shop@champion")
    assert info.signature.inputs.input_names() == ["channel", "touched_at", "converted_at"]
    assert info.signature.outputs.input_names() == ["channel", "touched_at", "credit"]
    assert info.saved_input_example_info is not None
    folder = Path(mlflow.artifacts.download_artifacts("models:/shop@champion", dst_path=str(tmp_path)))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".cloudpickle")]
    pins = (folder / "requirements.txt").read_text().split()
    assert all("==" in pin for pin in pins)


@pytest.mark.parametrize("named", [None, "http://tracking.example"])
def test_a_store_that_was_used_leaves_no_address_behind(
    named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    from attribution.tracking.registry import use_store

    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
        if named is not None:
            monkeypatch.setenv(name, named)
    with use_store(choose_store(f"sqlite:///{tmp_path}/a.db")):
        assert mlflow.get_registry_uri() == mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/a.db"
    assert [os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")] == [named, named]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/b.db")
    assert mlflow.get_registry_uri() == (named or f"sqlite:///{tmp_path}/b.db")


def test_exporting_again_makes_no_new_version(
    finished: Path, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ("--to", finished / "models" / "shop", "--alias", "champion", "--json")
    assert call(monkeypatch, "export", finished / "run", "--model", "time_decay", *to) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["registered"] == {
        "uri": "models:/shop@champion",
        "version": "1",
        "store": f"{store} (the run's own)",
        "in_effect": [{"from": None, "version": "1"}],
    }
    assert len(client_of(store).search_model_versions("name = 'shop'")) == 1


def test_a_run_is_exported_by_its_id_and_an_alias_moves(
    finished: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from attribution.tracking.registry import fetch_scorer, roll_back_alias

    run_id = client_of(store).get_model_version_by_alias("shop", "champion").run_id
    arguments = ("--tracking-uri", store, "--alias", "best", "--json", "--name", "moved")
    for model, number in (("time_decay", "1"), ("last_touch", "2")):
        assert call(monkeypatch, "export", run_id, "--model", model, "--to", tmp_path / "moved", *arguments) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["registered"]["version"] == number
        found = at.Scorer.load(fetch_scorer("models:/moved@best", tmp_path / model, store=choose_store(store)))
        assert (found.state.label, found.version) == (model, document["version"])
    back = roll_back_alias("moved", "best", store=choose_store(store))
    assert (back.version, back.before) == ("1", "2")
    assert (
        at.Scorer.load(fetch_scorer("models:/moved@best", tmp_path / "c", store=choose_store(store))).state.label
        == "time_decay"
    )


def test_a_registered_model_scores_new_conversions(
    finished: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = ("--touchpoints", finished / "touchpoints.parquet", "--conversions", finished / "conversions.parquet")
    for name, model in (("a", finished / "models" / "shop"), ("b", "models:/shop@champion")):
        uri = ("--tracking-uri", store)
        assert call(monkeypatch, "score", model, *tables, "--out", tmp_path / name, *uri) == 0
    one, other = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name / "journey_credit").rglob("*.parquet")
        }
        for name in "ab"
    )
    assert one == other != {}


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("models:/shop@challenger", "no alias 'challenger'. Allowed: champion"),
        ("models:/shop/99", "no version 99"),
        ("models:/shup@champion", "no model 'shup'"),
        ("models:/shop", "not the name of a registered model"),
    ],
)
def test_what_the_registry_does_not_have_is_named(
    finished: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    reference: str, said: str,
) -> None:  # fmt: skip
    tables = ("--touchpoints", finished / "touchpoints.parquet", "--conversions", finished / "conversions.parquet")
    uri = ("--tracking-uri", store)
    assert call(monkeypatch, "score", reference, *tables, "--out", tmp_path / "out", *uri) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_scores_are_left_alone_while_the_registry_is_away(
    finished: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = ("--touchpoints", finished / "touchpoints.parquet", "--conversions", finished / "conversions.parquet")
    job = ("models:/shop@champion", *tables, "--out", tmp_path / "out", "--tracking-uri")
    assert call(monkeypatch, "score", *job, store) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    capsys.readouterr()
    for command in ("score", "monitor"):
        assert call(monkeypatch, command, *job, "http://127.0.0.1:9") == 4
        said = capsys.readouterr().err
        assert "the registry does not answer" in said
        assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_nothing_is_written_when_an_export_is_refused(
    finished: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: object, code: int = 2) -> str:
        assert call(monkeypatch, "export", *arguments) == code
        return capsys.readouterr().err

    to = ("--to", tmp_path / "m")
    assert "not the folder of a finished run" in refused(tmp_path / "none", *to)
    assert "no model 'lost_touch'" in refused(finished / "run", "--model", "lost_touch", *to)
    assert "several models" in refused(finished / "run", *to)
    away = ("--tracking-uri", "http://127.0.0.1:9")
    assert "registry does not answer" in refused(finished / "run", "--model", "last_touch", *to, *away, code=4)
    assert "did not return the run" in refused("0" * 32, "--model", "last_touch", *to, "--tracking-uri", store)
    assert "an alias cannot have this name" in refused(finished / "run", "--model", "last_touch", *to, "--alias", "a b")
    assert not (tmp_path / "m").exists()
    # A folder of another model, with the server there and away, stays what it was.
    kept = (finished / "models" / "shop" / "manifest.json").read_bytes()
    other = ("--model", "last_touch", "--to", finished / "models" / "shop")
    assert "holds" in refused(finished / "run", *other, "--name", "else")
    assert "registry does not answer" in refused(finished / "run", *other, *away, code=4)
    assert (finished / "models" / "shop" / "manifest.json").read_bytes() == kept
    assert [model.name for model in client_of(store).search_registered_models() if model.name == "else"] == []


def test_a_run_that_was_not_tracked_is_exported_as_a_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", small_log(tmp_path), "--out", tmp_path / "run") == 0
    capsys.readouterr()
    to = ("--to", tmp_path / "m", "--alias", "champion", "--json")
    assert call(monkeypatch, "export", tmp_path / "run", "--model", "last_touch", *to) == 0
    assert json.loads(capsys.readouterr().out)["registered"] is None
    assert at.Scorer.load(tmp_path / "m").name == "m"


@pytest.mark.slow
def test_a_column_of_spark_is_what_is_loaded(finished: Path, store: str) -> None:
    pytest.importorskip("pyspark")
    import mlflow
    from pyspark.sql.functions import struct

    from attribution.data.engine.spark import session

    try:
        session.check_java()
    except InputError as error:
        pytest.skip(str(error))
    scorer = at.Scorer.load(finished / "models" / "shop")
    rows = pd.concat([example_rows(scorer)] * 3, ignore_index=True)
    rows.at[5, "channel"] = ["微信", "search", "new"]
    rows.at[5, "touched_at"] = ["2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z"]
    mlflow.set_tracking_uri(store)
    shape = "channel array<string>, touched_at array<string>, credit array<double>"
    engine = at.SparkEngine(master="local[1]")
    try:
        column = mlflow.pyfunc.spark_udf(
            engine._session, "models:/shop@champion", result_type=shape, env_manager="local"
        )
        types = "channel array<string>, touched_at array<string>, converted_at string"
        frame = engine._session.createDataFrame([tuple(row) for row in rows.itertuples(index=False)], types)
        found = frame.select(column(struct(*frame.columns)).alias("of")).select("of.*").collect()
    finally:
        engine._session.stop()
        mlflow.set_tracking_uri(None)
    expected = score_rows(scorer, rows)
    for row, (_, wanted) in zip(found, expected.iterrows(), strict=True):
        assert row["channel"] == wanted["channel"]
        assert row["credit"] == pytest.approx(wanted["credit"], abs=1e-12)


@pytest.mark.slow
def test_a_server_scores_it(finished: Path, store: str, tmp_path: Path) -> None:
    import socket
    import time

    rows = example_rows(at.Scorer.load(finished / "models" / "shop"))
    expected = score_rows(at.Scorer.load(finished / "models" / "shop"), rows)["credit"].tolist()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": store,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        "models:/shop@champion",
        "--env-manager",
        "local",
    ]
    server = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port), "-w", "1"],
        env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        body = json.dumps({"dataframe_split": json.loads(rows.to_json(orient="split", index=False))}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
        )
        for _ in range(120):
            try:
                answer = json.load(urllib.request.urlopen(request, timeout=120))
                break
            except (ConnectionError, urllib.error.URLError):
                assert server.poll() is None
                time.sleep(1)
        assert [row["credit"] for row in answer["predictions"]] == expected
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
