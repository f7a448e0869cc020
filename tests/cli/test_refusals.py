"""Input that must be refused: exit code 2, one clear line on stderr, and nothing left behind."""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attribution as at
from attribution.cli import main as cli
from attribution.data.engine import duckdb as duckdb_engine
from attribution.errors import InputError

TOUCHES = "customer_id,touched_at,channel\na,2024-01-01,mail\na,2024-01-02,search\n"
ORDERS = "customer_id,converted_at,value\na,2024-01-03,10\n"
EVENTS = '[tables.touchpoints]\nsource = "t.csv"\n[tables.conversions]\nsource = "c.csv"\n'
PATHS = '[tables.paths]\nsource = "p.csv"\n'
LAST_TOUCH = '[[models]]\nmodel = "LastTouch"\n'
RESERVED = ["(unattributed)", "(start)", "(conversion)", "(null)"]

Refused = Callable[..., str]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a good experiment and its data, which a refusal must leave as it was."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, text in {"t.csv": TOUCHES, "c.csv": ORDERS, "p.csv": "path,conversions\na > b,1\n"}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs an experiment that must be refused; gives the message."""

    def run(toml: str | bytes = EVENTS + LAST_TOUCH, *arguments: str, out: str = "out", command: str = "run") -> str:
        experiment = data / "e.toml"
        experiment.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        monkeypatch.chdir(work)
        before = snapshot(tmp_path)
        where = ["--out", out] if command == "run" else []
        monkeypatch.setattr(sys, "argv", ["attribution", command, str(experiment), *where, *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr()
        assert stopped.value.code == 2, printed.err
        assert printed.out == ""
        assert snapshot(tmp_path) == before, "something was left behind"
        return clear(printed.err)

    return run


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def clear(message: str) -> str:
    """One line that speaks of the user's tables, not of ours or of the engine's SQL."""
    assert message.startswith("attribution: ")
    assert message.count("\n") == 1
    assert len(message) < 1500
    for inner in ("raw_", "unfiltered_", "select count(", "select channel as v", "DuckDB refused a query"):
        assert inner not in message, message
    return message


def touches(**columns: Any) -> pd.DataFrame:
    base: dict[str, Any] = {
        "customer_id": ["a", "a"], "touched_at": ["2024-01-01", "2024-01-02"], "channel": ["mail", "search"],
    }  # fmt: skip
    return pd.DataFrame({**base, **columns})


def orders(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-03"], "value": [10.0], **columns})


def refuse(match: str, *tables: Any, **options: Any) -> str:
    """The message of `load_sources` and `build_journeys`, which must match."""
    with pytest.raises(InputError, match=match) as error:
        at.build_journeys(at.load_sources(*tables, **options))
    return clear(f"attribution: {error.value}\n")


# ------------------------------------------------------------------- the experiment file


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (
            "lookback = 3",
            ["unknown key 'lookback'", "Allowed: name, engine, memory_limit, most_channels, period, tables, channels"],
        ),
        (
            "[journeys]\nlookbak_days = 3",
            ["unknown key 'journeys.lookbak_days'", "did you mean 'lookback_days'?"],
        ),
        (
            '[tables.costs]\nsource = "c.csv"\nformat = "x"',
            ["unknown key 'tables.costs.format'", "separator"],
        ),
        ("[period]\nfrom = 2024-02-01", ["unknown key 'period.from'", "Allowed: start, end"]),
        ("[resampling]\ndraw = 500", ["unknown key 'resampling.draw'", "did you mean 'draws'?"]),
        ("[placebo]\nrate = 0", ["placebo.rate", "Given: 0"]),
        ('engine = "dask"', ["engine", "'duckdb'", "Given: 'dask'"]),
        ('engine = "polars"', ["engine", "'duckdb'", "Given: 'polars'"]),
        ('name = "a/b"', ["name", "Given: 'a/b'"]),
        ('name = ".."', ["name", "Given: '..'"]),
        ('name = ""', ["name", "Given: ''"]),
        ('name = "a\\nb"', ["name", r"Given: 'a\nb'"]),
        ("name = 5", ["name", "Given: 5"]),
        (
            "[journeys]\nlookback_days = -1",
            ["journeys.lookback_days", "greater than 0", "Given: -1"],
        ),
        ("[journeys]\nlookback_days = nan", ["journeys.lookback_days", "Given: nan"]),
        *[
            (f"[journeys]\n{window}", [f"journeys.{key}: must be greater than 0", f"Given: {given}."])
            for window, key, given in (
                ("lookback_days = 0", "lookback_days", 0),
                ("lookback_by_kind = { click = 0 }", "lookback_by_kind.click", 0),
                ("lookback_by_kind = { click = -7 }", "lookback_by_kind.click", -7),
                ("lookback_by_channel = { mail = 0 }", "lookback_by_channel.mail", 0),
                ("lookback_by_channel = { mail = -0.5 }", "lookback_by_channel.mail", -0.5),
                ('dedupe = "gap"\ndedupe_gap_minutes = 0', "dedupe_gap_minutes", 0),
                ('dedupe = "gap"\ndedupe_gap_minutes = -30', "dedupe_gap_minutes", -30),
            )
        ],
        ("[journeys]\ndedupe_gap_minutes = 30", ["dedupe_gap_minutes needs dedupe = 'gap'"]),
        ('[journeys]\ndirect_channels = ["mail"]', ["direct_channels needs direct = 'drop' or 'drop_if_other'"]),
        (
            '[journeys]\nview_through = "clicks_only"\nview_through_weight = 0.5',
            ["view_through_weight", "'clicks_only' leaves none"],
        ),
        (
            '[journeys]\naccount = "firm"',
            ["journeys.account names a column of the customers table, but there is no such table"],
        ),
        (
            '[journeys]\nsegment = "firm"',
            ["journeys.segment names a column of the customers table, but there is no such table"],
        ),
        ('engine = "spark"\nmemory_limit = "4GB"', ["memory_limit is for DuckDB"]),
        *[(f"memory_limit = {given}", ["memory_limit", "4GB"]) for given in ('"-4GB"', '"4"', '"4 gigs"', "4.5", '""')],
        *[(f"memory_limit = {given}", ["too low", "1 GB or more"]) for given in ("0", "-5", '"0GB"', '"999MB"')],
        ('[tables.identities]\nsource = "i*.csv"', ["table 'identities'", "no file matches", "i*.csv"]),
        ("[journeys]\nlookback_days = true", ["journeys.lookback_days", "Given: True"]),
        ('[journeys]\nlookback_days = "long"', ["journeys.lookback_days", "Given: 'long'"]),
        ('[journeys]\nconversions = "all"', ["'reset', 'cumulative' or 'first_only'", "Given: 'all'"]),
        ("journeys = 5", ["journeys", "Given: 5"]),
        ('period = "2024"', ["period", "Given: '2024'"]),
        ("[period]\nstart = 2024-02-01\nend = 2024-01-01", ["start 2024-02-01 lies after end 2024-01-01"]),
        ("[period]\nstart = 07:32:00", ["period.start"]),
        ("[period]\nstart = 5", ["period.start", "Given: 5"]),
        ('[period]\nstart = "soon"', ["period.start", "Given: 'soon'"]),
        (
            '[tables.touches]\nsource = "t.csv"',
            ["unknown table 'touches'", "touchpoints, conversions, costs"],
        ),
        ('[tables.paths]\nsource = "p.csv"', ["either paths, or touchpoints and conversions, not both"]),
        ('[tables.costs]\nsource = "c.csv"\nquery = "select 1"', ["tables.costs", "'source' or 'query'"]),
        ('[tables.costs]\nwhere = "true"', ["tables.costs", "'source' or 'query'"]),
        (
            '[tables.costs]\nquery = "select 1"\nwhere = "true"',
            ["tables.costs", "drop 'columns' and 'where'"],
        ),
        ("[tables.costs]\nsource = 5", ["table 'costs'", "Given: int", "path"]),
        ("[tables.costs]\nsource = []", ["table 'costs'", "list of files is empty"]),
        ("[tables.costs]\nsource = [1]", ["table 'costs'", "Given: 1"]),
        ('[tables.costs]\nsource = "c.csv"\ncolumns = "x"', ["tables.costs.columns", "Given: 'x'"]),
        ('[tables.costs]\nsource = "c.csv"\ncolumns = { channel = 5 }', ["tables.costs.columns.channel"]),
        ('[tables.costs]\nsource = "c.csv"\nwhere = 5', ["tables.costs.where", "Given: 5"]),
        ('[tables.costs]\nsource = "nope.csv"', ["table 'costs'", "nope.csv", "does not exist"]),
        ('[tables.costs]\nsource = "nope*.csv"', ["table 'costs'", "no file matches", "nope*.csv"]),
        ('[returns]\nbasis = "profit"', ["returns.basis", "'revenue', 'margin' or 'ltv'", "Given: 'profit'"]),
        ('[returns]\nbasis = "margin"', ["returns.basis = 'margin'", "unknown", "returns.margin"]),
        ("[returns]\nmargin = 0", ["returns.margin", "greater than 0", "Given: 0"]),
        ("[returns]\nmargin = 30", ["returns.margin", "less than or equal to 1", "Given: 30"]),
        ("[returns]\nltv = 300", ["returns", "ltv is a revenue, so it needs margin"]),
        ("[returns]\nrates = { USD = 0.9 }", ["returns", "rates need currency"]),
        ("[returns.rates]\nUSD = 0", ["returns.rates.USD", "greater than 0", "Given: 0"]),
        ('[returns]\ncost_basis = "loaded"', ["returns.cost_basis is 'loaded'", "cost_type"]),
        ('[returns]\nspend_from = "x"', ["returns.spend_from", "'costs' or 'touchpoints'", "Given: 'x'"]),
        ('[returns]\nspend_from = "costs"', ["spend_from", "'costs'", "no cost"]),
        ("[tracking]\nuri = 5", ["tracking.uri", "Given: 5"]),
        ("[output]\njourney_credit = 5", ["output.journey_credit", "Given: 5"]),
        ('folder = "x"', ["unknown key 'folder'"]),
        ('text = "x"', ["unknown key 'text'"]),
    ],
)
def test_what_the_experiment_cannot_ask_for(refused: Refused, toml: str, said: list[str]) -> None:
    message = refused(f"{toml}\n{EVENTS}{LAST_TOUCH}")
    assert all(part in message for part in said), message


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("", ["models", "required"]),
        ('[[models]]\nname = "x"\n', ["models.0.model", "required"]),
        ("[[models]]\nmodel = 5\n", ["models.0.model", "Given: 5"]),
        (
            '[[models]]\nmodel = "LastTuch"\n',
            ["unknown model 'LastTuch'", "FirstTouch, FullPath", "mean 'LastTouch'"],
        ),
        ('[[models]]\nmodel = "AttributionModel"\n', ["unknown model 'AttributionModel'"]),
        ('[[models]]\nmodel = "Markov"\nordr = 2\n', ["'Markov' has no setting 'ordr'", "Allowed: order"]),
        ('[[models]]\nmodel = "Linear"\nx = 2\n', ["'Linear' has no setting 'x'", "no settings"]),
        *[
            (f'[[models]]\nmodel = "Markov"\norder = {order}\n', ["Markov: order", "whole numbers from 1 to 1000"])
            for order in ("0", "-1", "1.5", "true", '"2"', "99999999999999999999")
        ],
        *[
            (f'[[models]]\nmodel = "TimeDecay"\nhalf_life_days = {days}\n', ["half_life_days", "positive"])
            for days in ("0", "-1", "nan", "inf", '"7"', "true")
        ],
        *[
            (f'[[models]]\nmodel = "PositionBased"\n{share}\n', ["PositionBased"])
            for share in ("first = 0.7\nlast = 0.7", "first = -0.1", "first = nan", 'first = "x"', "last = 2")
        ],
        *[
            (f'[[models]]\nmodel = "LastNonDirect"\ndirect = {direct}\n', ["direct", "list of channel names"])
            for direct in ('"direct"', "[1]", "1")
        ],
        (LAST_TOUCH * 2, ["two models have the label 'last_touch'", "another name"]),
        (
            '[[models]]\nmodel = "Linear"\nname = "m"\n[[models]]\nmodel = "LastTouch"\nname = "m"\n',
            ["two models have the label 'm'"],
        ),
        ('[[models]]\nmodel = "Linear"\nname = ""\n', ["models.0.name", "Given: ''"]),
        ('[[models]]\nmodel = "no_such_module:X"\n', ["no_such_module:X", "cannot be loaded"]),
        ('[[models]]\nmodel = "os:getcwd"\n', ["os:getcwd", "not an AttributionModel"]),
        ('[[models]]\nmodel = "os:"\n', ["'os:'"]),
        ('[[models]]\nmodel = ":X"\n', ["':X'"]),
        ('[[models]]\nmodel = "broken_module:X"\n', ["broken_module:X", "cannot be loaded"]),
        ('[[models]]\nmodel = "raising_module:X"\n', ["raising_module:X", "cannot be loaded"]),
    ],
)
def test_models_that_cannot_be_made(refused: Refused, data: Path, models: str, said: list[str]) -> None:
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    (data / "broken_module.py").write_text("def (:\n")
    (data / "raising_module.py").write_text("1 / 0\n")
    try:
        message = refused(EVENTS + models)
    finally:
        sys.dont_write_bytecode = kept
    assert all(part in message for part in said), message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("this is = = not", "is not TOML"),
        (b"\xff\xfe\x00", "is not TOML"),
        ("", "tables"),
        ("[tables]\n" + LAST_TOUCH, "a conversions table is needed"),
        ("tables = 5\n" + LAST_TOUCH, "tables"),
        ('[tables]\nconversions = "c.csv"\n' + LAST_TOUCH, "tables.conversions"),
        ('[tables.touchpoints]\nsource = "t.csv"\n' + LAST_TOUCH, "a conversions table is needed"),
        ("models = []\n" + EVENTS, "must have at least one model"),
        ('models = "x"\n' + EVENTS, "models"),
        ('name = "a"\nname = "b"\n' + EVENTS + LAST_TOUCH, "is not TOML"),
        (EVENTS + LAST_TOUCH + "[broken", "is not TOML"),
    ],
)
def test_a_file_that_is_no_experiment(refused: Refused, text: str | bytes, said: str) -> None:
    assert said in refused(text)


def test_a_byte_order_mark_before_the_experiment_is_read_over(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "e.toml").write_bytes(b"\xef\xbb\xbf" + (EVENTS + LAST_TOUCH).encode())
    assert at.read_experiment(data / "e.toml").name == "e"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("x", ["a setting needs the form KEY=VALUE", "Given: 'x'"]),
        ("=3", ["a setting needs the form KEY=VALUE"]),
        ("a.b.c=3", ["unknown key 'a'"]),
        ("..=3", ["a setting needs the form KEY=VALUE"]),
        ("journeys..lookback_days=3", ["a setting needs the form KEY=VALUE"]),
        ("journeys.lookback_days=-3", ["journeys.lookback_days", "Given: -3"]),
        ("journeys.lookback_days=", ["journeys.lookback_days"]),
        ("name.x=3", ["name"]),
        ("models=3", ["models", "Given: 3"]),
        ("models.0.order=2", ["the experiment has no model '0'", "Allowed: LastTouch"]),
        ("resampling.draws=5", ["resampling.draws", "50"]),
        ("engine=dask", ["engine", "Given: 'dask'"]),
        ("period.start=2024-13-01", ["period.start", "Given: '2024-13-01'"]),
        ("tables.costs.source=nope.csv", ["table 'costs'", "nope.csv", "does not exist"]),
    ],
)
def test_what_set_cannot_set(refused: Refused, override: str, said: list[str]) -> None:
    message = refused(EVENTS + LAST_TOUCH, "--set", override)
    assert all(part in message for part in said), message


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[journeys]\nlookback_days = 3\n" + PATHS + LAST_TOUCH, "lookback_days needs timestamps"),
        ("[period]\nstart = 2024-01-01\n" + PATHS + LAST_TOUCH, "period needs timestamps"),
        (PATHS + '[[models]]\nmodel = "TimeDecay"\n', "'time_decay' needs timestamps"),
        ('[journeys]\nconversions = "cumulative"\n' + PATHS + LAST_TOUCH, "complete journeys"),
        ("[output]\njourney_credit = true\n" + PATHS + LAST_TOUCH, "needs customers"),
    ],
)
def test_time_based_options_on_paths(refused: Refused, toml: str, said: str, command: str) -> None:
    """`validate` lets nothing pass that `run` refuses."""
    assert said in refused(toml, command=command)


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("[journeys]\nlookback_days = 3\n", "lookback_days = 3"),
        ("[period]\nstart = 2024-01-01\n", "period"),
        ("[period]\nend = 1970-01-01\n", "period"),
        ('[[models]]\nmodel = "TimeDecay"\n', "'time_decay' needs timestamps"),
    ],
)
def test_time_based_options_on_integer_times(
    refused: Refused, data: Path, options: str, said: str, command: str
) -> None:
    (data / "t.csv").write_text("customer_id,touched_at,channel\na,1,mail\n")
    (data / "c.csv").write_text("customer_id,converted_at\na,2\n")
    assert said in refused(options + EVENTS + LAST_TOUCH, command=command)


def test_a_time_zone_on_integer_times() -> None:
    spec = at.TableSpec(source=touches(touched_at=[1, 2]), time_zone="Europe/Berlin")
    refuse("time_zone", spec, orders(converted_at=[3]))


# ------------------------------------------------------------------- the output folder


@pytest.mark.parametrize("out", ["a_file", "a_file/below", "a_file/below/further"])
def test_an_output_folder_that_cannot_be(refused: Refused, tmp_path: Path, out: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a_file").write_text("keep me")
    assert "output folder a_file" in refused(out=out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_permission(refused: Refused, tmp_path: Path) -> None:
    locked = tmp_path / "work" / "locked"
    locked.mkdir(parents=True)
    locked.chmod(0o500)
    assert "cannot be written" in refused(out="locked/out")


def test_the_working_directory_is_no_output_folder(refused: Refused) -> None:
    assert "output folder" in refused(out=".")


@pytest.mark.parametrize("name", ["data", "work"])
def test_an_output_folder_with_other_things_in_it_is_not_wiped(refused: Refused, tmp_path: Path, name: str) -> None:
    """`--out` is replaced whole; a folder that no run wrote must not vanish with the user's data."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years of work")
    assert "output folder" in refused(out=f"../{name}")


def test_an_earlier_result_survives_a_refusal(refused: Refused, tmp_path: Path) -> None:
    out = tmp_path / "work" / "out"
    out.mkdir(parents=True)
    (out / "manifest.json").write_text("{}")
    (out / "credit.csv").write_text("earlier")
    refused(EVENTS + LAST_TOUCH, "--set", "tables.costs.source=nope.csv")
    assert (out / "credit.csv").read_text() == "earlier"


def test_parents_made_for_the_output_are_taken_away_again(refused: Refused) -> None:
    assert "nope.csv" in refused(EVENTS + LAST_TOUCH, "--set", "tables.costs.source=nope.csv", out="new/er/est")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nope.toml", "--out", "out"], "nope.toml does not exist"),
        (["validate", "."], "cannot be read"),
        (
            ["run", "e.toml", "--set", "tables.costs.source=nope.csv", "--out", "out"],
            "nope.csv does not exist",
        ),
        (["run", "e.toml", "--set", "engine=dask"], "'duckdb'"),
        (["validate", "e.toml", "--set", "engine=dask"], "'duckdb'"),
    ],
)
def test_a_real_process_refuses(data: Path, arguments: list[str], said: str) -> None:
    (data / "e.toml").write_text(EVENTS + LAST_TOUCH)
    before = snapshot(data)
    done = subprocess.run([sys.executable, "-m", "attribution", *arguments], cwd=data, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in clear(done.stderr)
    assert snapshot(data) == before


ONE_AFTER_THE_OTHER = """
import sys
from attribution.cli.main import main
for name in sys.argv[1:]:
    sys.argv = ["attribution", "validate", name]
    try:
        main()
    except SystemExit as end:
        print(name, end.code)
"""


def test_an_amount_that_is_not_a_number_in_a_real_process(data: Path) -> None:
    """NaN is null, and a cost needs an amount. In a process of its own: this has been seen to kill it."""
    experiments = []
    for kind, amounts in itertools.product(("csv", "parquet"), (["nan", "2"], ["2", "NaN"])):
        name = f"{kind}-{len(experiments)}"
        table = pa.table({"channel": ["mail", "search"], "amount": amounts})
        if kind == "csv":
            (data / f"{name}.csv").write_text(table.to_pandas().to_csv(index=False))
        else:
            numbers = table.set_column(1, "amount", table["amount"].cast(pa.float64()))
            pq.write_table(numbers, data / f"{name}.parquet")
        (data / f"{name}.toml").write_text(EVENTS + f'[tables.costs]\nsource = "{name}.{kind}"\n' + LAST_TOUCH)
        experiments.append(f"{name}.toml")
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, *experiments]
    done = subprocess.run(command, cwd=data, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name} 2" for name in experiments]
    messages = [clear(line) for line in done.stderr.splitlines(keepends=True)]
    assert len(messages) == 4
    for message in messages:
        assert "table 'costs', column 'amount': values are null in 1 of 2 rows" in message


# ------------------------------------------------------------------- Spark, and disk

AS_IF = """
import sys
{change}
sys.argv = ["attribution", "run", "e.toml", "--out", "new/out"]
from attribution.cli.main import main
main()
"""


def as_if(change: str, folder: Path, *under: str, code: int = 2, **environment: str) -> str:
    """The message of a process of its own that must refuse to run; ``change`` makes its world another one."""
    before = snapshot(folder)
    command = [*under, sys.executable, "-c", AS_IF.format(change=change)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | environment)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert snapshot(folder) == before, "something was left behind"
    return clear(done.stderr)


@pytest.mark.parametrize("package", ["pyspark", "sqlglot"])
def test_spark_that_is_not_installed_names_the_extra(data: Path, package: str) -> None:
    (data / "e.toml").write_text('engine = "spark"\n' + EVENTS + LAST_TOUCH)
    if package == "sqlglot":
        pytest.importorskip("pyspark")
    message = as_if(f"sys.modules[{package!r}] = None", data)
    assert f"needs the package {package}, which is not installed" in message
    assert "pip install 'journey-attribution[spark]'" in message


def test_java_that_is_not_there(data: Path) -> None:
    pytest.importorskip("pyspark")
    pytest.importorskip("sqlglot")
    (data / "e.toml").write_text('engine = "spark"\n' + EVENTS + LAST_TOUCH)
    message = as_if("", data, JAVA_HOME=str(data))
    assert "engine 'spark' needs Java 17 or later, but it was not found" in message
    assert "set JAVA_HOME" in message


def test_no_room_for_what_is_spilled(data: Path, tmp_path: Path) -> None:
    """A disk of one megabyte: events that are partitioned do not fit, and what was written of them goes."""
    small = tmp_path / "small"
    small.mkdir()
    on_small_disk = ("unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size=1m none {small} && exec "$@"', "sh")
    try:
        allowed = subprocess.run([*on_small_disk, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("only where a process may mount a disk of its own")
    n = 200_000
    frame = pd.DataFrame({"customer_id": np.arange(n) * 7 % n, "touched_at": np.arange(n), "channel": "mail"})
    frame.to_parquet(data / "t.parquet")
    orders(customer_id=[1], converted_at=[n]).to_parquet(data / "c.parquet")
    (data / "e.toml").write_text((EVENTS + LAST_TOUCH).replace(".csv", ".parquet"))
    change = (
        "import atexit, os\n"
        "from attribution.data.engine import duckdb\n"
        "duckdb.HELD_ROWS = 10_000\n"
        f"atexit.register(lambda: os.listdir({str(small)!r}) and print('left on the small disk', file=sys.stderr))\n"
    )
    message = as_if(change, data, *on_small_disk, code=4, TMPDIR=str(small))
    assert "the data cannot be read" in message
    assert "No space left on device" in message
    assert f"Hint: free disk space under {small}, or raise memory_limit" in message


def test_no_room_for_what_is_sorted(refused: Refused, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sort that needs more than memory and disk together allow."""

    def cramped(**_: Any) -> at.DuckDBEngine:
        limits = "set memory_limit = '16MB'; set max_temp_directory_size = '1MB';"
        with pytest.MonkeyPatch.context() as context:
            # Settings are locked once an engine is made.
            context.setattr(duckdb_engine, "SETTINGS", limits + duckdb_engine.SETTINGS)
            return at.DuckDBEngine()

    n = 400_000
    frame = pd.DataFrame({"customer_id": np.arange(n) * 7 % n, "touched_at": np.arange(n), "channel": "mail"})
    frame.astype({"customer_id": str}).to_parquet(data / "t.parquet")
    orders(customer_id=["1"], converted_at=[n]).to_parquet(data / "c.parquet")
    monkeypatch.setattr("attribution.pipeline.builders.DuckDBEngine", cramped)
    message = refused((EVENTS + LAST_TOUCH).replace(".csv", ".parquet"))
    assert "cannot be read" in message
    assert "Hint: free disk space under" in message


# ------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", ["empty.csv", "empty"]),
        ("header.csv", b"customer_id,touched_at,channel\n", ["'touchpoints'", "no rows"]),
        ("noeol.csv", b"customer_id,touched_at,channel", ["'touchpoints'", "no rows"]),
        ("short.csv", TOUCHES.encode() + b"b,2024-01-01\n", ["'touchpoints'", "short.csv", "4"]),
        ("long.csv", TOUCHES.encode() + b"b,2024-01-01,x,y\n", ["'touchpoints'", "long.csv", "4"]),
        ("cut.csv", TOUCHES.encode() + b'b,2024-01-01,"ma', ["'touchpoints'", "cut.csv", "4"]),
        ("cutrow.csv", TOUCHES.encode() + b"b,2024-0", ["'touchpoints'", "cutrow.csv", "4"]),
        ("cut.csv.gz", gzip.compress(TOUCHES.encode() * 50, mtime=0)[:40], ["'touchpoints'", "cut.csv.gz"]),
        ("plain.csv.gz", TOUCHES.encode(), ["'touchpoints'", "plain.csv.gz"]),
        ("zipped.csv", gzip.compress(TOUCHES.encode(), mtime=0), ["'touchpoints'", "zipped.csv"]),
        ("utf16.csv", TOUCHES.encode("utf-16"), ["'touchpoints'", "utf16.csv", "utf-8"]),
        ("latin.csv", TOUCHES.replace("mail", "café").encode("latin-1"), ["'touchpoints'", "latin.csv"]),
        (
            "late.csv",
            TOUCHES.encode() + b"b,2024-01-01,x\n" * 2000 + b"b,2024-01-01,caf\xe9\n",
            ["'touchpoints'", "late.csv", "utf-8"],
        ),
        ("twice.csv", b"customer_id,touched_at,channel,channel\na,2024-01-01,x,y\n", ["twice.csv", "twice"]),
        ("case.csv", b"customer_id,touched_at,channel,Channel\na,2024-01-01,x,y\n", ["case.csv", "twice"]),
        ("blanks.csv", b"customer_id, touched_at, channel\na,2024-01-01,x\n", ["'touched_at' is missing"]),
        (
            "comment.csv",
            b"# made today\n" + TOUCHES.encode(),
            ["seems to stand in line 2", "# made today", "skip_rows = 1"],
        ),
        ("csv_in_truth.parquet", TOUCHES.encode(), ["'touchpoints'", "csv_in_truth.parquet"]),
        ("nothing.parquet", b"", ["'touchpoints'", "nothing.parquet"]),
        ("cut.jsonl", b'{"customer_id":"a","touched_at":"2024-01-01","channel":"m"}\n{"cus', ["cut.jsonl"]),
        ("array.json", b'[{"customer_id":"a","touched_at":"2024-01-01","channel":"m"}', ["'touchpoints'"]),
        ("numbers.jsonl", b"1\n2\n", ["'touchpoints'"]),
        ("nothing.jsonl", b"", ["'touchpoints'"]),
        ("book.xlsx", b"PK", ["book.xlsx is not a readable Excel file"]),
        ("noending", TOUCHES.encode(), ["noending", "unknown ending"]),
    ],
)
def test_files_that_cannot_be_read(refused: Refused, data: Path, name: str, content: bytes, said: list[str]) -> None:
    (data / name).write_bytes(content)
    message = refused(EVENTS.replace("t.csv", name) + LAST_TOUCH)
    assert all(part in message for part in said), message


def test_a_parquet_file_named_csv_and_a_cut_off_one(refused: Refused, data: Path) -> None:
    pq.write_table(pa.Table.from_pandas(touches()), data / "whole.parquet")
    content = (data / "whole.parquet").read_bytes()
    (data / "parquet_in_truth.csv").write_bytes(content)
    assert "parquet_in_truth.csv" in refused(EVENTS.replace("t.csv", "parquet_in_truth.csv") + LAST_TOUCH)
    for size in (4, len(content) // 2, len(content) - 1):
        (data / "cut.parquet").write_bytes(content[:size])
        message = refused(EVENTS.replace("t.csv", "cut.parquet") + LAST_TOUCH)
        assert "'touchpoints'" in message
        assert "cut.parquet" in message


def test_a_gzip_file_cut_off_late(refused: Refused, data: Path) -> None:
    rows = "".join(f"{i},2024-01-01,c{i * 7919 % 1000}\n" for i in range(50_000))
    content = gzip.compress(f"customer_id,touched_at,channel\n{rows}".encode(), mtime=0)
    (data / "t.csv.gz").write_bytes(content[:-1000])
    message = refused(EVENTS.replace("t.csv", "t.csv.gz") + LAST_TOUCH)
    assert "'touchpoints'" in message
    assert "t.csv.gz" in message


@pytest.mark.parametrize("missing", [1, 4, 8, 9, 500, 40_000])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_gzip_file_that_ends_early_by_any_number_of_bytes(
    refused: Refused, data: Path, kind: str, missing: int
) -> None:
    """Even if all rows are there, and only the check sum is not."""
    frame = pd.DataFrame({"customer_id": [f"c{i * 7919 % 9973}" for i in range(20_000)]})
    frame = frame.assign(touched_at="2024-01-01", channel="mail")
    text = frame.to_csv(index=False) if kind == "csv" else frame.to_json(orient="records", lines=True)
    content = gzip.compress(text.encode(), mtime=0)
    (data / f"t.{kind}.gz").write_bytes(content[:-missing])
    message = refused(EVENTS.replace("t.csv", f"t.{kind}.gz") + LAST_TOUCH)
    assert "'touchpoints'" in message
    assert f"t.{kind}.gz" in message


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_bytes_that_are_no_utf8(refused: Refused, data: Path, kind: str) -> None:
    if kind == "jsonl":
        (data / "t.jsonl").write_bytes(b'{"customer_id":"a","touched_at":"2024-01-01","channel":"caf\xe9"}\n')
    else:
        channel = pa.array([b"caf\xe9"], pa.binary()).view(pa.string())
        table = pa.table({"customer_id": ["a"], "touched_at": ["2024-01-01"], "channel": channel})
        pq.write_table(table, data / "t.parquet")
    message = refused(EVENTS.replace("t.csv", f"t.{kind}") + LAST_TOUCH)
    assert "'touchpoints'" in message
    assert f"t.{kind}" in message
    assert "utf" in message.lower()


def test_files_of_one_glob_with_different_types(refused: Refused, data: Path) -> None:
    for n, ids in enumerate(([1, 2], ["1", "b"])):
        pq.write_table(pa.Table.from_pandas(touches(customer_id=ids)), data / f"part{n}.parquet")
    message = refused(EVENTS.replace("t.csv", "part*.parquet") + LAST_TOUCH)
    assert "table 'touchpoints': the files differ in the type of a column" in message
    assert "'customer_id' is number in part0.parquet, text in part1.parquet" in message


def test_folders_and_files_of_two_kinds(refused: Refused, data: Path) -> None:
    (data / "folder.csv").mkdir()
    assert "is a folder" in refused(EVENTS.replace("t.csv", "folder.csv") + LAST_TOUCH)
    pq.write_table(pa.Table.from_pandas(touches()), data / "t.parquet")
    message = refused(EVENTS.replace('"t.csv"', '["t.csv", "t.parquet"]') + LAST_TOUCH)
    assert "all files must have the same format" in message
    assert "csv" in message
    assert "parquet" in message


@pytest.mark.parametrize("order", [("with.parquet", "without.parquet"), ("without.parquet", "with.parquet")])
def test_parquet_files_that_differ_in_columns(data: Path, order: tuple[str, str]) -> None:
    """Whichever comes first: a column that one file lacks is not dropped from the other in silence."""
    pq.write_table(pa.Table.from_pandas(touches(cost=[1.0, 2.0])), data / "with.parquet")
    pq.write_table(pa.Table.from_pandas(touches()), data / "without.parquet")
    message = refuse("cost", [str(data / name) for name in order], orders())
    assert "with.parquet" in message


def test_csv_files_that_differ_in_columns(data: Path) -> None:
    (data / "more.csv").write_text("customer_id,touched_at,channel,cost\na,2024-01-02,radio,3\n")
    message = refuse(r"differ in columns \['cost'\]", [str(data / "t.csv"), str(data / "more.csv")], orders())
    assert "more.csv" in message


def test_names_that_no_file_has() -> None:
    refuse("touchpoints", "x" * 5000 + ".csv", orders())
    refuse("touchpoints", "", orders())
    refuse("touchpoints", "https://example.com/touches.csv", orders())


# ------------------------------------------------------------------- queries and filters


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select * frm 't.csv'", "syntax error"),
        ("select * from 'nope.csv'", "nope.csv"),
        ("select * from 't.csv' where false", "no rows"),
        ("select 1 as x", "'customer_id' is missing"),
        ("select channel::int as customer_id, touched_at, channel from 't.csv'", "mail"),
        ("select * from nowhere", "nowhere"),
        ("create table x as select 1", "touchpoints"),
        ("copy (select 1) to 'left_behind.csv'", "touchpoints"),
        ("select * from 't.csv'; copy (select 1) to 'left_behind.csv'", "touchpoints"),
        ("", "touchpoints"),
    ],
)
def test_bad_queries(refused: Refused, query: str, said: str) -> None:
    toml = f'[tables.touchpoints]\nquery = """{query}"""\n[tables.conversions]\nsource = "c.csv"\n{LAST_TOUCH}'
    message = refused(toml)
    assert "'touchpoints'" in message
    assert said in message


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("channel === 'x'", "==="),
        ("chanel = 'x'", "chanel"),
        ("channel = 'zzz'", "no rows"),
        ("channel::int = 1", "mail"),
        ("true) --", "touchpoints"),
        ("true; copy (select 1) to 'left_behind.csv'", "touchpoints"),
    ],
)
def test_bad_filters(refused: Refused, where: str, said: str) -> None:
    toml = EVENTS.replace('"t.csv"', f'"t.csv"\nwhere = "{where}"')
    message = refused(toml + LAST_TOUCH)
    assert "'touchpoints'" in message
    assert said in message


# ------------------------------------------------------------------- columns


def test_a_missing_column_is_named_with_what_is_there() -> None:
    message = refuse("column 'channel' is missing", touches().drop(columns="channel"), orders())
    assert "['customer_id', 'touched_at']" in message
    assert "required columns: customer_id, touched_at, channel" in message
    refuse("'customer_id' is missing", touches().rename(columns=str.upper), orders())


def test_column_maps_that_name_nothing() -> None:
    good = {"customer_id": "customer_id", "converted_at": "converted_at"}
    refuse(
        "'conversions' has no column 'valu'.*did you mean 'value'",
        None, at.TableSpec(source=orders(), columns={**good, "valu": "value"}),
    )  # fmt: skip
    refuse(
        "source column 'user' .for 'customer_id'. is missing",
        None, at.TableSpec(source=orders(), columns={**good, "customer_id": "user"}),
    )  # fmt: skip
    refuse("'customer_id' is missing", None, at.TableSpec(source=orders(), columns={}))


def test_a_dimension_without_a_name() -> None:
    mapping = {name: name for name in ("customer_id", "touched_at", "channel")}
    spec = at.TableSpec(source=touches(device=["x", "y"]), columns={**mapping, "": "device"})
    refuse("column.*name", spec, orders())


def test_a_column_given_twice() -> None:
    names = ["customer_id", "touched_at", "channel", "channel"]
    arrays = [pa.array(["a"]), pa.array(["2024-01-01"]), pa.array(["x"]), pa.array(["y"])]
    refuse("'channel' twice", pa.Table.from_arrays(arrays, names=names), orders())
    refuse("'channel' twice", pa.Table.from_arrays(arrays, names=names).to_pandas(), orders())


def test_things_that_are_no_tables() -> None:
    for thing in (5, {"a": 1}, [], [1], [touches()]):
        refuse("touchpoints", thing, orders())
    refuse("conversions table is needed", touches())
    refuse("either paths, or touchpoints", touches(), paths=pd.DataFrame({"path": ["a"], "conversions": [1]}))


@pytest.mark.parametrize("table", ["touchpoints", "conversions", "costs"])
def test_a_table_given_but_empty(table: str) -> None:
    costs = pd.DataFrame({"channel": ["mail"], "amount": [1.0]})
    tables = {"touchpoints": touches(), "conversions": orders(), "costs": costs}
    tables[table] = tables[table].iloc[:0]
    refuse(f"'{table}' has no rows", **tables)


@pytest.mark.parametrize("column", ["channel", "campaign"])
@pytest.mark.parametrize("values", [[["a"], ["b"]], [{"a": 1}, {"a": 2}]], ids=["list", "struct"])
def test_nested_values_are_no_text(column: str, values: list[Any]) -> None:
    refuse(f"'touchpoints', column '{column}'", touches(**{column: values}), orders())


@pytest.mark.parametrize("values", [[1.5, 2.0], [np.inf, 1.0], [2.0**60, 1.0]])
def test_floats_that_are_no_ids(values: list[float]) -> None:
    message = refuse(
        "'touchpoints', column 'customer_id': values are not ids in 1 of 2 rows", touches(customer_id=values), orders()
    )
    assert "text or whole numbers" in message


@pytest.mark.parametrize("name", RESERVED)
def test_channels_named_like_added_states(name: str) -> None:
    """They would fall together with the states of the graph and with the row of (unattributed)."""
    pattern = name.replace("(", r"\(").replace(")", r"\)")
    refuse(pattern, touches(channel=["mail", name]), orders())
    refuse(pattern, paths=pd.DataFrame({"path": [f"mail > {name}"], "conversions": [1]}))
    refuse(pattern, touches(), orders(), pd.DataFrame({"channel": [name], "amount": [1.0]}))


# ------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("times", "count", "shown"),
    [
        (["03/04/2024", "2024-01-01"], "1 of 2", "'03/04/2024'"),
        (["13.04.2024", "14.04.2024"], "2 of 2", "'13.04.2024'"),
        (["3-4-24", "2024-01-01"], "1 of 2", "'3-4-24'"),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"], "1 of 2", "'2024-01-01T00:00:00Z'"),
        (["20240101", "20240102"], "2", "'20240101'"),
        (["20240101T101010", "2024-01-01"], "1 of 2", "'20240101T101010'"),
        (["yesterday", "2024-01-01"], "1 of 2", "'yesterday'"),
        (["2024-1-3", "2024-01-01"], "1 of 2", "'2024-1-3'"),
        (["Jan 3 2024", "2024-01-01"], "1 of 2", "'Jan 3 2024'"),
        (["10000-01-01", "2024-01-01"], "1 of 2", "'10000-01-01'"),
        (["2024-01-01 BC", "2024-01-01"], "1 of 2", "'2024-01-01 BC'"),
        (["infinity", "2024-01-01"], "1 of 2", "'infinity'"),
        (["2024-W01-1", "2024-01-01"], "1 of 2", "'2024-W01-1'"),
        (["2024-01-01 00:00:00 Europe/Berlin", "2024-01-01"], "1 of 2", "Berlin"),
        (["1", "2024-01-01"], "1 of 2", "'1'"),
        (["1.5", "2.5"], "2 of 2", "'1.5'"),
        (["2024-02-30", "2024-01-02"], "1 of 2", "'2024-02-30'"),
        (["2023-02-29T10:00:00Z", "2024-01-02T00:00:00Z"], "1 of 2", "'2023-02-29T10:00:00Z'"),
        (["2024-01-01T23:59:60", "2024-01-02"], "1 of 2", "'2024-01-01T23:59:60'"),
        (["2024-01-01T25:00:00", "2024-01-02"], "1 of 2", "'2024-01-01T25:00:00'"),
        (["2024-01-01T00:00:00+25:00", "2024-01-02T00:00:00Z"], "1 of 2", "+25:00"),
        ([1.5, 2.0], "1 of 2", "'1.5'"),
        ([np.inf, 1.0], "1 of 2", "inf"),
        ([1e300, 1.0], "1 of 2", "1e+300"),
        (np.array([2**64 - 1, 1], dtype="uint64"), "1 of 2", "18446744073709551615"),
        ([2**61, 1], "1 of 2", "2305843009213693952"),
        ([-(2**61), 1], "1 of 2", "-2305843009213693952"),
        (["9" * 20, "1"], "1 of 2", "9" * 20),
        ([True, False], "", "bool"),
        ([dt.time(1), dt.time(2)], "", "time"),
        (pd.to_timedelta([1, 2]), "", "these values are not times"),
        ([["2024-01-01"], ["2024-01-02"]], "", "list"),
    ],
)
def test_times_that_cannot_be_read(times: Any, count: str, shown: str) -> None:
    """Table, column, number of rows, and an example of what is wrong (not of what is right)."""
    message = refuse("table 'touchpoints', column 'touched_at'", touches(touched_at=times), orders())
    assert count in message
    assert shown in message


def test_times_with_and_without_a_zone_in_one_pandas_column() -> None:
    aware = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    refuse("'touched_at'.*time zone", touches(touched_at=[aware, dt.datetime(2024, 1, 2)]), orders())


def test_integer_and_real_times_side_by_side() -> None:
    message = refuse("'touchpoints'", touches(touched_at=[1, 2]), orders())
    assert "'conversions'" in message
    assert "time_format = 'epoch_s'" in message


@pytest.mark.parametrize(
    ("times", "time_format", "said"),
    [
        (["31/12/2023", "2024-01-02"], "%d/%m/%Y", ["1 of 2 rows", "'2024-01-02'", "%d/%m/%Y"]),
        (["2024-01-01", "2024-01-02"], "%Q", ["'touched_at'", "%Q"]),
        ([1, 2], "epoch_h", ["epoch_h", "epoch_s"]),
        (["1704067200", "x"], "epoch_s", ["1 of 2 rows", "'x'"]),
        ([np.inf, 1.0], "epoch_s", ["1 of 2 rows", "inf"]),
        ([2**62, 1], "epoch_s", ["1 of 2 rows", str(2**62)]),
        (np.array(["2024-01-01", "2024-01-02"], "datetime64[us]"), "epoch_s", ["values are times already"]),
    ],
)
def test_time_formats_that_do_not_fit(times: Any, time_format: str, said: list[str]) -> None:
    spec = at.TableSpec(source=touches(touched_at=times), time_format=time_format)
    message = refuse("touchpoints", spec, orders())
    assert all(part in message for part in said), message


@pytest.mark.parametrize("zone", ["Mars/Phobos", "", "GMT+25"])
def test_time_zones_that_do_not_exist(zone: str) -> None:
    message = refuse("touchpoints", at.TableSpec(source=touches(), time_zone=zone), orders())
    assert "time_zone" in message
    assert repr(zone) in message


# ------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "problem", "shown"),
    [
        (-1.0, "negative", "'-1.0'"),
        (-5e-324, "negative", "'-5e-324'"),
        ("-3", "negative", "'-3'"),
        (np.inf, "infinite", "'inf'"),
        (-np.inf, "infinite", "'-inf'"),
        ("1e400", "infinite", "'1e400'"),
        ("ten", "not numbers", "'ten'"),
        ("5%", "not numbers", "'5%'"),
        ("1,5", "not numbers", "'1,5'"),
        ("5 of 8", "not numbers", "'5 of 8'"),
        ("0x10", "not numbers", "'0x10'"),
        ("NULL", "not numbers", "'NULL'"),
        (pd.Timestamp("2024-01-01"), "not numbers", "2024-01-01"),
        ([1], "not numbers", "[1]"),
    ],
)
@pytest.mark.parametrize("table", ["conversions", "touchpoints", "costs", "paths"])
def test_money_that_is_none(table: str, value: Any, problem: str, shown: str) -> None:
    good: Any = "7" if isinstance(value, str) else value if not isinstance(value, float) else 7.0
    n, values = (1, [value]) if isinstance(value, list | pd.Timestamp) else (2, [good, value])
    column, frame = {
        "conversions": (
            "value",
            pd.DataFrame({"customer_id": "a", "converted_at": "2024-01-03", "value": values}),
        ),
        "touchpoints": ("cost", touches(cost=values) if n == 2 else touches().iloc[:1].assign(cost=values)),
        "costs": ("amount", pd.DataFrame({"channel": "mail", "amount": values})),
        "paths": ("value", pd.DataFrame({"path": "a", "conversions": 1, "value": values})),
    }[table]
    tables: dict[str, Any] = {"touchpoints": touches(), "conversions": orders()}
    tables = {"paths": frame} if table == "paths" else {**tables, table: frame}
    message = refuse(f"table '{table}', column '{column}': values are {problem} in 1 of {n} rows", **tables)
    assert shown in message
    assert "Allowed: " in message


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["true", "maybe"], "'maybe'"),
        (["1", "2"], "'2'"),
        ([1, 2], "'2'"),
        ([1.0, 0.5], "'0.5'"),
    ],
)
def test_flags_that_are_none(values: list[Any], shown: str) -> None:
    """A number of an order is no flag, although any number but 0 could be taken for true."""
    converted = pd.DataFrame({"customer_id": ["a", "a"], "converted_at": ["2024-01-03", "2024-01-04"]})
    message = refuse(
        "column 'is_new_customer': values are not true or false in 1 of 2 rows",
        touches(),
        converted.assign(is_new_customer=values),
    )
    assert f"Given: {shown}. Allowed: true, false, 1, 0." in message


@pytest.mark.parametrize("column", ["conversions", "nulls"])
@pytest.mark.parametrize(("bad", "problem"), [(-1.0, "negative"), (np.inf, "infinite")])
def test_counts_of_paths_that_are_none(column: str, bad: float, problem: str) -> None:
    paths = pd.DataFrame({"path": ["a", "b"], "conversions": [1.0, 1.0], "nulls": [0.0, 0.0]})
    paths[column] = [1.0, bad]
    refuse(f"table 'paths', column '{column}': values are {problem} in 1 of 2 rows", paths=paths)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_paths_without_a_number_of_conversions(missing: float | None) -> None:
    table = pa.table({"path": ["a", "b"], "conversions": pa.array([1.0, missing], pa.float64(), from_pandas=False)})
    refuse("table 'paths', column 'conversions': values are null in 1 of 2 rows", paths=table)


def test_sums_beyond_every_float() -> None:
    """Each value is finite, their sum is not: ROI would be infinite."""
    paths = pd.DataFrame({"path": ["a", "b"], "conversions": [1, 1], "value": [1.5e308, 1.5e308]})
    with pytest.raises(InputError, match="value"):
        at.attribute(at.build_journeys(at.load_sources(paths=paths)), [at.Linear()])
    sources = at.load_sources(touches(), orders(), pd.DataFrame({"channel": "mail", "amount": [1.5e308, 1.5e308]}))
    credit = at.attribute(at.build_journeys(sources), [at.Linear()])
    with pytest.raises(InputError, match=r"amount|spend"):
        at.compute_returns(credit, sources)


# ------------------------------------------------------------------- costs


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"channel": [None, "mail"]}, "column 'channel': values are null in 1 of 2 rows"),
        ({"channel": ["", "mail"]}, "column 'channel': values are null in 1 of 2 rows"),
        ({"channel": [" ", "mail"]}, "column 'channel': values are null in 1 of 2 rows"),
        ({"amount": [None, 1.0]}, "column 'amount': values are null in 1 of 2 rows"),
        ({"amount": ["", "1"]}, "column 'amount': values are null in 1 of 2 rows"),
        ({"day": ["31.12.2023", "2024-01-01"]}, "column 'day': values are not days in 1 of 2 rows"),
        ({"day": ["03/04/2024", "2024-01-01"]}, "column 'day': values are not days in 1 of 2 rows"),
        ({"day": ["2024-02-30", "2024-01-01"]}, "column 'day': values are not days in 1 of 2 rows"),
        ({"day": [20240101, 20240102]}, "column 'day': values are not days in 2 of 2 rows"),
        ({"day": [True, False]}, "column 'day': values are not days in 2 of 2 rows"),
        ({"day": [1.5, 2.5]}, "column 'day': values are not days in 2 of 2 rows"),
        ({"period_start": ["2024-01-01"] * 2}, "period_start and period_end"),
        ({"period_end": ["2024-01-01"] * 2}, "period_start and period_end"),
        (
            {"day": ["2024-01-01"] * 2, "period_start": ["2024-01-01"] * 2, "period_end": ["2024-01-01"] * 2},
            "a cost belongs to a day, to a period, or to the whole run",
        ),
        (
            {"period_start": ["2024-02-01", "2024-01-01"], "period_end": ["2024-01-31"] * 2},
            "period_end .*before period_start, in 1 row",
        ),
        (
            {"period_start": ["2024-01-01"] * 2, "period_end": ["2024-01-31", None]},
            "period.*, in 1 row",
        ),
    ],
)
def test_costs_that_cannot_be(columns: dict[str, list[Any]], said: str) -> None:
    frame = pd.DataFrame({"channel": ["mail", "search"], "amount": [1.0, 2.0], **columns})
    assert "'costs'" in refuse(said, touches(), orders(), frame)


def test_two_sources_of_cost_for_one_channel(refused: Refused, data: Path) -> None:
    (data / "t.csv").write_text("customer_id,touched_at,channel,cost\na,2024-01-01,mail,3\na,2024-01-02,search,\n")
    (data / "s.csv").write_text("channel,amount\nmail,5\nsearch,2\n")
    costs = '[tables.costs]\nsource = "s.csv"\n'
    for command in ("run", "validate"):
        message = refused(EVENTS + costs + LAST_TOUCH, command=command)
        assert "1 channel with costs both" in message
        assert "['mail']" in message
        assert 'set returns.spend_from to the one to use: "costs" or "touchpoints"' in message
    (data / "e.toml").write_text('[returns]\nspend_from = "touchpoints"\n' + EVENTS + costs + LAST_TOUCH)
    returns = at.run_experiment(data / "e.toml").tables["returns"].set_index("channel")
    assert returns.loc["mail", "spend"] == 3.0


# ------------------------------------------------------------------- from Python


@pytest.mark.parametrize(
    "options",
    [
        {"lookback_days": -1}, {"lookback_days": float("nan")}, {"lookback_days": "long"},
        {"lookback_days": dt.timedelta(days=3)}, {"conversions": "last"},
    ],
)  # fmt: skip
def test_options_from_python_are_refused_like_those_from_a_file(options: dict[str, Any]) -> None:
    sources = at.load_sources(touches(), orders())
    with pytest.raises(InputError, match=next(iter(options))):
        at.build_journeys(sources, **options)


def test_nothing_usable_at_all() -> None:
    refuse("no usable touchpoint", touches(customer_id=None), orders(customer_id=None))


def test_a_type_the_engine_does_not_know() -> None:
    refuse("'conversions'", touches(), orders(value=np.array([1.5], dtype="float16")))
