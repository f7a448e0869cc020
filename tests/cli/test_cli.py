"""The command line as a user meets it."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.cli import main as cli
from attribution.cli.console import print_ranking
from attribution.production.output_tables import output_tables

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = """
[tables.touchpoints]
source = "touchpoints.parquet"

[tables.conversions]
source = "conversions.parquet"

[tables.costs]
source = "costs.csv"

[[models]]
model = "LastTouch"

[[models]]
model = "Linear"

[[models]]
model = "TimeDecay"

[[models]]
model = "Markov"
order = 2

[[models]]
model = "Shapley"

[tracking]
enabled = false
"""


def write_log(folder: Path, *, seed: int = 0, shuffle: int | None = None, customers: int = 400) -> Path:
    rng = np.random.default_rng(seed)
    n = customers * 4
    touchpoints = pd.DataFrame(
        {
            "customer_id": rng.integers(0, customers, n),
            "touched_at": np.datetime64("2024-01-01", "us") + rng.integers(0, 60 * 24, n) * np.timedelta64(1, "h"),
            "channel": rng.choice(["email", "search", "social", "微信"], n, p=[0.2, 0.4, 0.3, 0.1]),
        }
    )
    conversions = pd.DataFrame(
        {
            "customer_id": rng.integers(0, customers, customers // 4),
            "converted_at": np.datetime64("2024-01-20", "us")
            + rng.integers(0, 40 * 24, customers // 4) * np.timedelta64(1, "h"),
            "value": rng.gamma(2, 40, customers // 4).round(2),
        }
    )
    costs = pd.DataFrame({"channel": ["email", "search", "social"], "amount": [300.0, 1200.0, 900.1]})
    if shuffle is not None:
        touchpoints = touchpoints.sample(frac=1, random_state=shuffle)
        conversions = conversions.sample(frac=1, random_state=shuffle)
    folder.mkdir(parents=True, exist_ok=True)
    touchpoints.to_parquet(folder / "touchpoints.parquet", index=False)
    conversions.to_parquet(folder / "conversions.parquet", index=False)
    costs.to_csv(folder / "costs.csv", index=False)
    (folder / "shop.toml").write_text(EXPERIMENT, encoding="utf-8")
    return folder / "shop.toml"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["attribution", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def table_bytes(out: Path) -> dict[str, bytes]:
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_run_writes_every_table_and_prints_the_ranking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = write_log(tmp_path)
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "rank under each model" in printed
    assert "微信" in printed
    assert "Not ranked, because they have no spend: 微信." in printed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    expected = {"credit", "returns", "agreement", "transitions", "journey_profile", "quality"}
    assert {f"{name}.{ending}" for name in expected for ending in ("csv", "parquet")} <= names
    assert {"report.html", "experiment.toml", "manifest.json", "journey_graph.graphml"} <= names
    for name in expected:
        assert (
            tuple(pd.read_parquet(tmp_path / "out" / f"{name}.parquet").columns) == output_tables()[name].column_names
        )
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["inputs"]) == {"touchpoints", "conversions", "costs"}
    assert (tmp_path / "out" / "experiment.toml").read_text(encoding="utf-8") == toml.read_text(encoding="utf-8")


def test_settings_can_be_overridden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = write_log(tmp_path)
    settings = ("--set", "journeys.lookback_days=3", "--set", "journeys.conversions=first_only")
    assert (
        call(
            monkeypatch,
            "run",
            toml,
            "--out",
            tmp_path / "out",
            *settings,
            "--set",
            "output.journey_credit=true",
        )
        == 0
    )
    written = (tmp_path / "out" / "experiment.toml").read_text(encoding="utf-8")
    assert "# --set journeys.lookback_days=3" in written
    credit = pd.read_parquet(tmp_path / "out" / "journey_credit.parquet")
    assert tuple(credit.columns) == output_tables()["journey_credit"].column_names
    sums = credit.groupby(["model", "conversion_id"])["credit"].sum()
    np.testing.assert_allclose(sums, 1.0, rtol=1e-12)
    totals = pd.read_parquet(tmp_path / "out" / "credit.parquet").groupby("model")["value"].sum()
    np.testing.assert_allclose(credit.groupby("model")["credited_value"].sum(), totals[sorted(totals.index)])


def test_json_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "run", write_log(tmp_path), "--out", tmp_path / "out", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in document["returns"]} == {
        "last_touch",
        "linear",
        "time_decay",
        "markov_2",
        "shapley",
    }
    assert document["returns"][0]["roi_low"] is None


def test_two_runs_shuffled_rows_and_other_engines_write_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import attribution.pipeline.builders as request
    from attribution.data.engine import DuckDBEngine

    (tmp_path / "one").mkdir()
    first = write_log(tmp_path / "one")
    second = write_log(tmp_path / "two", shuffle=5)
    option = ("--set", "output.journey_credit=true")
    assert call(monkeypatch, "run", first, "--out", tmp_path / "a", *option) == 0
    assert call(monkeypatch, "run", first, "--out", tmp_path / "b", *option) == 0
    monkeypatch.setattr(request, "DuckDBEngine", lambda **_: DuckDBEngine(threads=1, batch_rows=37))
    assert call(monkeypatch, "run", second, "--out", tmp_path / "c", *option) == 0
    monkeypatch.setattr(request, "DuckDBEngine", lambda **_: DuckDBEngine(threads=2, partitions=3))
    assert call(monkeypatch, "run", second, "--out", tmp_path / "d", *option) == 0
    wanted = table_bytes(tmp_path / "a")
    for other in "bcd":
        found = table_bytes(tmp_path / other)
        assert found.keys() == wanted.keys()
        assert [name for name in wanted if wanted[name] != found[name]] == []


def test_an_existing_folder_is_replaced_whole_and_only_on_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = write_log(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").write_text("old")
    (out / "manifest.json").write_text('{"kind": "run"}')
    assert call(monkeypatch, "run", toml, "--out", out, "--set", "tables.costs.source=missing.csv") == 2
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "old.txt"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    assert call(monkeypatch, "run", toml, "--out", out) == 0
    assert not (out / "old.txt").exists()
    assert "missing.csv does not exist" in capsys.readouterr().err


def test_without_the_tracking_server_the_tables_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = write_log(tmp_path)
    uri = "http://127.0.0.1:9"
    code = call(
        monkeypatch,
        "run",
        toml,
        "--out",
        tmp_path / "out",
        "--set",
        "tracking.enabled=true",
        "--set",
        f"tracking.uri={uri}",
    )
    assert code == 4
    assert "the run is complete" in capsys.readouterr().err
    assert (tmp_path / "out" / "credit.parquet").exists()


def test_validate_says_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = write_log(tmp_path)
    assert call(monkeypatch, "validate", toml) == 0
    assert "channels_not_in_costs" in capsys.readouterr().out
    assert call(monkeypatch, "validate", toml, "--strict") == 3
    assert call(monkeypatch, "validate", toml, "--json") == 0
    capsys_out = capsys.readouterr().out
    document = json.loads(capsys_out[capsys_out.index("{\n") :])
    assert document["status"] == "warn"
    checks = {(row["check"], row["table"]): row for row in document["checks"]}
    assert checks["channels_not_in_costs", "touchpoints"]["example"] == "微信"
    assert call(monkeypatch, "validate", toml, "--set", "tables.touchpoints.where=false") == 2


def test_simulate_writes_the_canonical_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "simulate", "confounded", "--customers", 500, "--out", tmp_path / "world") == 0
    names = sorted(path.name for path in (tmp_path / "world").iterdir())
    tables = [f"{name}.parquet" for name in ("conversions", "costs", "customers", "touchpoints", "truth")]
    assert names == sorted([*tables, "manifest.json"])
    assert len(pd.read_parquet(tmp_path / "world" / "customers.parquet")) == 500
    assert call(monkeypatch, "simulate", "no-such-world", "--customers", 500, "--out", tmp_path / "x") == 2
    assert not (tmp_path / "x").exists()


def test_a_world_can_be_changed_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "world"
    arguments = ("simulate", "random", "--customers", 300, "--seed", 4, "--out", out)
    options = ("--days", 9, "--repeat-purchases", "--reach", 0.5, "--season-amplitude", 0.3)
    assert call(monkeypatch, *arguments, *options) == 0
    assert "world 'random 4'" in capsys.readouterr().out
    asked = dataclasses.replace(
        at.load_world("random", 4), days=9, repeat_purchases=True, reach=0.5, season_amplitude=0.3
    )
    expected = at.simulate(asked, customers=300, seed=4)
    for name in ("touchpoints", "conversions", "costs", "truth", "customers"):
        pd.testing.assert_frame_equal(pd.read_parquet(out / f"{name}.parquet"), getattr(expected, name))
    assert expected.touchpoints["customer_id"].nunique() < 170

    assert call(monkeypatch, *arguments[:-1], tmp_path / "x", "--reach", 2) == 2
    assert "'reach' is out of range" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_demo_shows_the_truth_beside_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("demo", "--customers", 8000, "--out", tmp_path / "demo", "--set", "tracking.enabled=false")
    assert call(monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    assert "truth" in printed
    truth = pd.read_parquet(tmp_path / "demo" / "truth.parquet").set_index("channel")
    assert len(truth) == 8 + 1
    # What is credited, caused with its interval, and true; and all paid channels together.
    beside = printed[printed.index("credited (last_touch)") :]
    video = next(line for line in beside.splitlines() if "video" in line)
    assert re.search(r"│ +\d+ +│ +-?\d+ \[-?\d+, \d+\] +│ +(\d+) +│", video).group(1) == (
        f"{truth.loc['video', 'incremental_conversions']:.0f}"
    )
    whole = next(line for line in beside.splitlines() if "all paid channels" in line)
    assert f"│ {truth.loc['(total)', 'incremental_conversions']:.0f} " in whole
    report = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert report.count("Credited and caused answer different questions.") == 1


def test_a_demo_too_small_to_tell_what_was_caused_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("demo", "--customers", 1000, "--out", tmp_path / "demo", "--set", "tracking.enabled=false")
    assert call(monkeypatch, *arguments) == 0
    sentence = "There is no answer on what channels caused, because additive_hazard has too few conversions"
    assert sentence in capsys.readouterr().out
    assert sentence in (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("basis", "named"), [("revenue", "truth "), ("margin", "truth (revenue)")])
def test_the_truth_says_of_which_return_it_is(basis: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    shop = at.simulate("default", customers=400, seed=1)
    tables = {name: {"source": getattr(shop, name)} for name in ("touchpoints", "conversions", "costs", "truth")}
    asked = {"name": "shop", "tables": tables, "models": [{"model": "LastTouch"}]}
    asked["returns"] = {"basis": basis, "margin": 0.4}
    outcome = at.run_experiment(at.Experiment.model_validate(asked))
    print_ranking(outcome.experiment, outcome.tables, outcome.ranking)
    assert named in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("no-such-command",), ("run",), ("run", "x.toml", "--no-such-option")])
def test_usage_errors_exit_with_two(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, *arguments) == 2


def test_the_installed_command_and_the_module_are_the_same() -> None:
    for command in (
        [str(Path(sys.executable).with_name("attribution"))],
        [sys.executable, "-m", "attribution"],
    ):
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
        for name in ("run", "demo", "simulate", "validate"):
            assert name in done.stdout


def test_what_a_run_reads_is_not_replaced_by_what_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where an input is named through ``~``, and for the file of a world."""
    write_log(tmp_path / "home" / "data")
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    toml = tmp_path / "here" / "shop.toml"
    text = EXPERIMENT.replace('source = "', 'source = "~/data/')
    toml.write_text(text, encoding="utf-8")
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "home" / "data") == 2
    assert "has files that this command reads" in capsys.readouterr().err
    assert (tmp_path / "home" / "data" / "costs.csv").exists()
    world = tmp_path / "worlds" / "mine.toml"
    world.parent.mkdir()
    world.write_text("", encoding="utf-8")
    assert call(monkeypatch, "simulate", world, "--customers", 10, "--out", world.parent) == 2
    assert world.exists()


def test_a_period_given_as_text_lasts_to_the_end_of_its_last_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = write_log(tmp_path)
    orders = pd.read_parquet(tmp_path / "conversions.parquet")
    inside = orders["converted_at"].between("2024-02-01", "2024-02-10", inclusive="left").sum()
    assert 0 < inside < len(orders)
    settings = ["--set", "period.start=2024-02-01", "--set", "period.end=2024-02-09"]
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "out", *settings) == 0
    credit = pd.read_parquet(tmp_path / "out" / "credit.parquet")
    assert credit.groupby("model")["conversions"].sum().to_numpy() == pytest.approx(inside)


def test_journeys_without_any_weight_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A U without a middle gives a journey of three nothing but its ends; all to the middle gives two nothing."""
    toml = write_log(tmp_path)
    text = EXPERIMENT.replace('model = "Linear"', 'model = "PositionBased"\nfirst = 0\nlast = 0')
    toml.write_text(text, encoding="utf-8")
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "out") == 0
    quality = pd.read_parquet(tmp_path / "out" / "quality.parquet").query("check == 'zero_weights'")
    profile = pd.read_parquet(tmp_path / "out" / "journey_profile.parquet")
    pairs = profile.query("measure == 'path_length' and bin == 2 and outcome == 'converted'")["count"].sum()
    assert pairs > 0
    assert quality["count"].tolist() == [pairs]


def test_the_command_ends_with_the_exit_code_of_main(tmp_path: Path) -> None:
    """`command` leaves without taking the interpreter apart; what was printed and the code must survive."""
    toml = write_log(tmp_path)
    for arguments, code, said in (
        (["validate", toml, "--json"], 0, '"status"'),
        (["run", tmp_path / "none.toml"], 2, "does not exist"),
        (["nonsense"], 2, "No such command"),
    ):
        result = subprocess.run(
            [sys.executable, "-m", "attribution", *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert result.returncode == code, result.stderr
        assert said in result.stdout + result.stderr
