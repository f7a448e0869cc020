"""One rule for the MLflow store that is meant, in every command and in Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import attribution as at
from attribution.pipeline.stores import Store, choose_store
from attribution.pipeline.tracking_record import read_record
from tests.cli.test_cli import call
from tests.decisions.comparison.test_comparison import small_log

VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("option", "own", "tracking", "registry", "expected"),
    [
        ("http://a", "http://b", "http://c", "http://d", Store("http://a", "http://a", "as given")),
        (None, "http://b", "http://c", "http://d", Store("http://b", "http://b", "the run's own")),
        (None, None, "http://c", "http://d", Store("http://c", "http://d", " and ".join(VARIABLES))),
        (None, None, "http://c", None, Store("http://c", "http://c", "MLFLOW_TRACKING_URI")),
        (None, None, "http://c", "", Store("http://c", "http://c", "MLFLOW_TRACKING_URI")),
    ],
)
def test_an_option_decides_then_the_run_then_the_environment(
    option: str | None,
    own: str | None,
    tracking: str,
    registry: str | None,
    expected: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    if registry is not None:
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)
    assert choose_store(option, own) == expected


def test_without_any_it_is_a_database_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert choose_store() == Store(address, address, "the default")
    assert choose_store(own="sqlite:///here.db").tracking == f"sqlite:///{tmp_path / 'here.db'}"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://d")
    assert choose_store() == Store(address, "http://d", "MLFLOW_REGISTRY_URI")


def test_a_password_is_not_printed() -> None:
    assert str(choose_store("http://me:secret@host")) == "http://host (as given)"


# ---------------------------------------------------------------- commands

Call = Callable[..., tuple[int, dict[str, object], str]]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls a command in a folder with a shop; gives exit code, what ``--json`` printed, and what stderr says."""
    small_log(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, dict[str, object], str]:
        code = call(monkeypatch, *arguments)
        printed = capsys.readouterr()
        return code, json.loads(printed.out or "{}"), printed.err

    return run


def here(folder: Path) -> list[str]:
    """Databases in ``folder``, and in the working directory below it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.db"))


def test_every_command_finds_the_store_of_the_environment(
    shop: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], str]
) -> None:
    (tmp_path / "server").mkdir()
    address = new_store(tmp_path / "server")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    toml = next(tmp_path.glob("*.toml"))
    on = ("--set", "tracking.enabled=true")
    code, run, _ = shop("run", toml, "--out", "run", *on, "--json")
    assert (code, run["mlflow_store"]) == (0, f"{address} (MLFLOW_TRACKING_URI)")
    assert read_record("run").uri == address
    # What the run says of its store holds without the environment, and in another working directory.
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, exported, _ = shop(
        "export", tmp_path / "run", "--model", "last_touch", "--to", "shop", "--alias", "champion", "--json"
    )
    assert code == 0
    assert exported["registered"] == {
        "uri": "models:/shop@champion",
        "version": "1",
        "store": f"{address} (the run's own)",
        "in_effect": [{"from": None, "version": "1"}],
    }
    code, tracked, _ = shop("track", tmp_path / "run", "--json")
    assert (code, tracked["mlflow_run"]) == (0, run["mlflow_run"])
    code, compared, _ = shop(
        "promote", "shop", "--challenger", tmp_path / "run", "--model", "last_touch", "--holdout", toml, "--json"
    )
    assert code in (0, 3)
    assert compared["mlflow_store"] == f"{address} (the run's own)"
    assert here(tmp_path) == ["server/mlflow.db"]


@pytest.mark.parametrize(
    "look_up",
    [
        ("score", "models:/shop@champion", "--touchpoints", "t.csv", "--conversions", "c.csv", "--out", "o"),
        ("monitor", "models:/shop@champion", "--touchpoints", "t.csv", "--conversions", "c.csv"),
        ("export", "0" * 32, "--model", "last_touch"),
        ("export", "models:/shop@champion", "--sql", "duckdb"),
        ("export-conversions", "0" * 32),
        ("compare", "0" * 32, "1" * 32),
        ("review", "0" * 32, "1" * 32),
        ("promote", "shop", "--rollback"),
    ],
)
@pytest.mark.parametrize("option", [(), ("--tracking-uri", "sqlite:///typo.db")])
def test_a_look_up_never_makes_a_store(
    shop: Call, tmp_path: Path, look_up: tuple[str, ...], option: tuple[str, ...]
) -> None:
    code, _, said = shop(*look_up, *option)
    assert code == 2
    name = "typo.db" if option else "mlflow.db"
    assert f"there is no MLflow store at sqlite:///{tmp_path / name}" in said
    assert "(as given)" in said if option else "(the default)" in said
    assert "--tracking-uri or MLFLOW_TRACKING_URI" in said
    assert here(tmp_path) == []


def test_a_promotion_looks_for_the_champion_before_it_makes_a_store(shop: Call, tmp_path: Path) -> None:
    toml = next(tmp_path.glob("*.toml"))
    assert shop("run", toml, "--out", "run", "--json")[0] == 0
    asked = ("promote", "shop", "--challenger", "run", "--model", "last_touch", "--holdout", toml)
    code, _, said = shop(*asked)
    assert code == 2
    assert "there is no MLflow store" in said
    assert here(tmp_path) == []


def test_python_follows_the_same_rule(
    shop: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], str]
) -> None:
    (tmp_path / "server").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_store(tmp_path / "server"))
    toml = next(tmp_path.glob("*.toml"))
    assert shop("run", toml, "--out", "run", "--json")[0] == 0
    run_id = at.track_outcome(at.run_experiment(toml), tmp_path / "run")
    from mlflow.tracking import MlflowClient

    assert MlflowClient().get_run(run_id).info.status == "FINISHED"
    assert here(tmp_path) == ["server/mlflow.db"]
