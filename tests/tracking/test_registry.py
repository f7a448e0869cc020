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
import pyarrow as pa
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.pipeline.stores import choose_store
from attribution.production.scoring.row_columns import example_rows, explain_answer, explain_columns
from attribution.production.scoring.rows import score_rows
from attribution.tracking.environment import NEEDED, check_environment
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
        "from attribution.kernels.credit import rule_weights\n"
        "from attribution.kernels.journeys import cut\n"
        "compiled = [len(kernel.signatures) for kernel in (cut.order_ties, cut._cut, rule_weights.shares)]\n"
        "answer = model.predict(rows)['credit'].tolist()\n"
        "again = [len(kernel.signatures) for kernel in (cut.order_ties, cut._cut, rule_weights.shares)]\n"
        "print(json.dumps([answer, compiled, again, cut.__file__]))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    answer, compiled, again, file = json.loads(done.stdout.splitlines()[-1])
    assert answer == score_rows(at.Scorer.load(finished / "models" / "shop"), rows)["credit"].tolist()
    # Loading it compiles what it runs, so that a server that answers pings need not compile any more.
    assert compiled == again == [1, 1, 1]
    assert not Path(file).is_relative_to(ROOT)


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
    scorer = at.Scorer.load(finished / "models" / "shop")
    assert info.signature.inputs.input_names() == list(explain_columns(scorer))
    assert info.signature.inputs.optional_input_names() == ["conversion_id"]
    assert info.signature.outputs.input_names() == list(explain_answer(scorer))
    assert info.metadata["columns"] == explain_columns(scorer)
    assert info.metadata["answer"] == explain_answer(scorer)
    folder = Path(mlflow.artifacts.download_artifacts("models:/shop@champion", dst_path=str(tmp_path)))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".cloudpickle")]
    example = json.loads((folder / "input_example.json").read_text())
    assert example["columns"] == ["channel", "touched_at", "converted_at", "conversion_id"]
    pins = (folder / "requirements.txt").read_text().split()
    assert all("==" in pin for pin in pins)
    assert {pin.split("==")[0] for pin in pins} >= set(NEEDED)
    for name in (
        *explain_columns(scorer),
        *explain_answer(scorer),
        "time_decay",
        scorer.version,
        "email, search",
        "like_known",
    ):
        assert name in version.description
    assert "one row per conversion" in client.get_registered_model("shop").description


def test_what_somebody_wrote_about_a_model_stays(finished: Path, store: str) -> None:
    from attribution.tracking.registry import Placement, register_scorer

    client = client_of(store)
    client.create_registered_model("described", description="Ours: ask Ann")
    registered = register_scorer(finished / "models" / "shop", Placement("described", choose_store(store)))
    assert client.get_registered_model("described").description == "Ours: ask Ann"
    assert "time_decay" in client.get_model_version("described", registered.version).description


def test_rows_reach_the_model_as_they_are(finished: Path, store: str) -> None:
    """MLflow turns lists that are declared as such into NumPy's: a null then cuts all texts to their first letter."""
    import mlflow

    mlflow.set_tracking_uri(store)
    try:
        model = mlflow.pyfunc.load_model("models:/shop@champion")
    finally:
        mlflow.set_tracking_uri(None)
    scorer = at.Scorer.load(finished / "models" / "shop")
    good = example_rows(scorer).to_dict("records")[0]
    arrow = pd.Series([good["channel"]], dtype=pd.ArrowDtype(pa.list_(pa.string())))
    moments = [pd.Timestamp(text) for text in good["touched_at"]]
    same = pd.DataFrame(
        {
            "channel": [good["channel"], np.array(good["channel"], object), arrow[0]],
            "touched_at": [good["touched_at"], np.array(moments, "datetime64[ns]"), moments],
            "converted_at": pd.Timestamp(good["converted_at"]),
            "conversion_id": [1, 2, 3],
        }
    )
    answer = model.predict(same)
    assert answer["credit"].tolist() == [score_rows(scorer, example_rows(scorer))["credit"][0]] * 3
    assert answer["conversion_id"].tolist() == ["1", "2", "3"]
    for wrong in (["search", None], [None, "email"], ["search", float("nan")], "env", None):
        rows = pd.DataFrame([good, {**good, "channel": wrong}])
        answer = model.predict(rows)
        assert answer["credit"].tolist() == [score_rows(scorer, rows)["credit"][0], None]
        assert answer["error"][1].startswith("channel ")
    with pytest.raises(mlflow.exceptions.MlflowException, match="missing inputs"):
        model.predict(same[["channel"]])


def test_packages_that_are_not_there_are_named() -> None:
    check_environment()
    with pytest.raises(InputError, match=r"missing: no-such-package.*requirements\.txt.*virtualenv"):
        check_environment(["numpy", "no-such-package"])


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


@pytest.mark.nightly
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
    times = ["2024-05-01T00:00:00", "2024-05-02T00:00:00", "2024-05-03T00:00:00"]
    for row, channels in ((3, ["email", None, "search"]), (4, None), (5, ["微信", "search", "new"])):
        rows.at[row, "channel"] = channels
        rows.at[row, "touched_at"] = times
    mlflow.set_tracking_uri(store)
    engine = at.SparkEngine(master="local[1]")
    spark = engine._session
    zone = spark.conf.get("spark.sql.session.timeZone")
    try:
        # The signature says what comes back.
        column = mlflow.pyfunc.spark_udf(spark, "models:/shop@champion", env_manager="local")
        types = "channel array<string>, touched_at array<string>, converted_at string, conversion_id string"
        frame = spark.createDataFrame([tuple(row) for row in rows.itertuples(index=False)], types).coalesce(1)
        answers = frame.select(column(struct(*frame.columns)).alias("of")).select("of.*").collect()
        # These have no zone on the way to Python either, whatever that of the session.
        spark.conf.set("spark.sql.session.timeZone", "America/New_York")
        typed = frame.selectExpr(
            "channel",
            "transform(touched_at, time -> cast(time as timestamp_ntz)) as touched_at",
            "cast(converted_at as timestamp_ntz) as converted_at",
        )
        of_columns = typed.select(column(*typed.columns).alias("of")).select("of.*").collect()
    finally:
        spark.conf.set("spark.sql.session.timeZone", zone)
        spark.stop()
        mlflow.set_tracking_uri(None)
    expected = score_rows(scorer, rows)
    for answer, without_id, (_, row) in zip(answers, of_columns, expected.iterrows(), strict=True):
        assert answer.asDict() == row.to_dict()
        assert without_id.asDict() == {**row.to_dict(), "conversion_id": ""}
    assert expected["error"].tolist() == [*[""] * 3, *expected["error"][3:5], ""]
    assert expected["error"][3] == "channel of touchpoint 2 is missing"
    assert expected["unknown_channels"][5] == ["微信", "new"] if "微信" not in scorer.state.channels else ["new"]


FORMATS = {
    "dataframe_split": lambda rows: {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]},
    "dataframe_records": lambda rows: rows,
    "inputs": lambda rows: rows,
    "inputs by column": lambda rows: {name: [row[name] for row in rows] for name in rows[0]},
    "instances": lambda rows: rows,
}
"""The formats of JSON that MLflow reads."""


@pytest.mark.nightly
@pytest.mark.slow
def test_a_server_scores_it_in_every_format(finished: Path, store: str, tmp_path: Path) -> None:
    import socket
    import time

    scorer = at.Scorer.load(finished / "models" / "shop")
    good = example_rows(scorer).to_dict("records")[0]
    rows = [
        good,
        {**good, "channel": ["search", None]},
        {**good, "channel": ["serch", "email"], "conversion_id": "é 微信"},
        {**good, "touched_at": [good["touched_at"][0], ""]},
        {**good, "converted_at": None},
    ]
    ragged = [good, {**good, "channel": "env"}, {**good, "channel": [], "touched_at": []}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    served = ("models", "serve", "-m", "models:/shop@champion", "--env-manager", "local", "-w", "1")
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *served, "-h", "127.0.0.1", "-p", str(port)],
        env={**os.environ, "MLFLOW_TRACKING_URI": store, "PATH": path},
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def post(body: Any) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return response.status, json.load(response, parse_constant=pytest.fail)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    try:
        for _ in range(240):
            try:
                assert urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=120).status == 200
                break
            except (ConnectionError, urllib.error.URLError):
                assert server.poll() is None
                time.sleep(0.5)
        for name, shape in FORMATS.items():
            key = name.split()[0]
            # JSON has no NaN, but Python writes it; what came back is read strictly.
            for nothing in (None, float("nan")):
                sent = [rows[0], {**good, "channel": ["search", nothing]}, *rows[2:]]
                status, answer = post({key: shape(sent)})
                assert (name, status) == (name, 200)
                assert answer["predictions"] == score_rows(scorer, pd.DataFrame(rows)).to_dict("records")
            status, answer = post({key: shape(ragged)})
            if name == "instances":  # MLflow makes an array of it, so all lists must have one length
                assert (status, "inhomogeneous" in answer["message"]) == (400, True)
            else:
                assert answer["predictions"] == score_rows(scorer, pd.DataFrame(ragged)).to_dict("records")
        assert post({"inputs": good})[1]["predictions"] == score_rows(scorer, pd.DataFrame([good])).to_dict("records")
        status, answer = post({"dataframe_records": [{"channel": ["email"]}]})
        assert (status, "missing inputs ['touched_at', 'converted_at']" in answer["message"]) == (400, True)
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
