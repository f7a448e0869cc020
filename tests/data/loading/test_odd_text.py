"""Text that is none, or too much of it: one message, no traceback, and no row is lost in silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from tests.cli.test_cli import call
from tests.scale import examples

ROOT = Path(__file__).resolve().parents[3]
ORDERS = pd.DataFrame({"customer_id": ["k1", "k2"], "converted_at": "2024-06-09", "value": [1.0, 2.0]})
EXPERIMENT = (
    '[tables]\ntouchpoints = { source = "t.csv" }\nconversions = { source = "c.csv" }\n'
    '[[models]]\nmodel = "Linear"\n[tracking]\nenabled = false\n'
)


def rows_of(touchpoints: object, folder: Path | str = ".") -> int:
    """Touchpoints that were read; whatever cannot be read is refused as input."""
    sources = at.load_sources(touchpoints, ORDERS, folder=folder)
    return int(sources.engine.query("select count(*) as n from touchpoints")["n"][0].as_py())


def texts_of(values: list[bytes]) -> pa.Array:
    """A column that says that it is text, and has these bytes."""
    ends = [0]
    for value in values:
        ends.append(ends[-1] + len(value))
    offsets = pa.array(ends, pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(values), [None, offsets, pa.py_buffer(b"".join(values))])


def touches(column: str, values: pa.Array) -> pa.Table:
    plain = {
        "customer_id": pa.array(["k1", "k2"]),
        "touched_at": pa.array(["2024-06-01", "2024-06-02"]),
        "channel": pa.array(["letter", "fair"]),
    }
    return pa.table({**plain, column: values})


@examples(10)
@given(value=st.binary(min_size=1, max_size=12), column=st.sampled_from(["customer_id", "channel"]))
def test_bytes_that_claim_to_be_text(tmp_path_factory: pytest.TempPathFactory, value: bytes, column: str) -> None:
    table = touches(column, texts_of([value, b"fair"]))
    try:
        value.decode()
        is_text = True
    except UnicodeDecodeError:
        is_text = False
    path = tmp_path_factory.mktemp("bytes") / "t.parquet"
    pq.write_table(table, path)
    encoded = pa.table({**{n: table[n] for n in table.column_names}, column: table[column].dictionary_encode()})
    for given_table in (table, str(path), encoded):
        if is_text:
            try:
                assert rows_of(given_table) == 2
            except InputError as error:
                assert "UTF" not in str(error)  # noqa: PT017
        else:
            # Of a file, a column is decoded where it is needed.
            with pytest.raises(InputError, match=r"not text|UTF"):
                at.build_journeys(at.load_sources(given_table, ORDERS))


@examples(10)
@given(value=st.text(st.characters(exclude_categories=[]), min_size=1, max_size=8))
def test_any_text_of_python(value: str) -> None:
    """Half characters too, which Python can hold and UTF-8 cannot."""
    columns = {"customer_id": ["k1", "k2"], "touched_at": ["2024-06-01", "2024-06-02"], "channel": [value, "fair"]}
    frame = pd.DataFrame({name: pd.Series(each, dtype=object) for name, each in columns.items()})
    half = any(0xD800 <= ord(letter) <= 0xDFFF for letter in value)
    try:
        assert rows_of(frame) == 2
        assert not half
    except InputError as error:
        assert half == ("not text" in str(error))  # noqa: PT017
    for spec in (
        {"query": f"select 'k' as customer_id, '{value}' as a"},
        {"source": frame, "where": f"a <> '{value}'"},
    ):
        with pytest.raises(InputError):
            rows_of(at.TableSpec(**spec))


@examples(14)
@given(line=st.binary(max_size=40))
def test_any_line_in_a_file(tmp_path_factory: pytest.TempPathFactory, line: bytes) -> None:
    """Two good rows stay two, and a line between them is a row, or refused; never is a good one lost."""
    folder = tmp_path_factory.mktemp("lines")
    head, good = b"customer_id,touched_at,channel\n", b"k1,2024-06-01,letter\n"
    (folder / "t.csv").write_bytes(head + good + line + b"\n" + good)
    try:
        assert rows_of("t.csv", folder) >= 2
    except InputError as error:
        assert "touchpoints" in str(error)  # noqa: PT017
    row = b'{"customer_id":"k1","touched_at":"2024-06-01","channel":"letter"}\n'
    (folder / "t.jsonl").write_bytes(row + line + b"\n" + row)
    try:
        assert rows_of("t.jsonl", folder) >= 2
    except InputError as error:
        assert "touchpoints" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "content",
    [
        b"customer_id,touched_at,channel\nk1,2024-06-01," + b"x" * 100_000_000 + b"\nk2,2024-06-01,fair\n",
        b"customer_id,touched_at,channel," + b"x" * 100_000_000 + b"\nk1,2024-06-01,fair,1\n",
        b'customer_id,touched_at,channel\nk1,2024-06-01,"' + b"x\n" * 50_000_000,
    ],
    ids=["value", "header", "open quote"],
)
def test_a_line_of_100_megabytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match="table 'touchpoints'") as refused:
        rows_of("t.csv", tmp_path)
    assert len(str(refused.value)) < 1_500
    (tmp_path / "t.csv").unlink()


@pytest.mark.parametrize("depth", [100, 1_000, pytest.param(20_000, marks=pytest.mark.nightly)])
def test_toml_that_is_nested_deep(
    depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lists, names = "[" * depth + "]" * depth, ".".join(["a"] * depth)
    files = {
        "lists": f"{EXPERIMENT}[channels]\nx = {lists}\n",
        "tables": f"{EXPERIMENT}[channels.{names}]\nx = 1\n",
        "keys": f"{EXPERIMENT}[budget]\n{names} = 1\n",
    }
    for name, content in files.items():
        (tmp_path / f"{name}.toml").write_text(content)
        for command in (("run",), ("kpis",), ("simulate", "--customers", 5, "--out", "world")):
            assert call(monkeypatch, command[0], f"{name}.toml", *command[1:]) == 2, (name, command)
            said = capsys.readouterr().err
            assert said.startswith("attribution: ")
            assert said.count("\n") == 1
    assert call(monkeypatch, "validate", "lists.toml", "--set", f"channels.x={lists}") == 2


def test_json_that_is_nested_deep(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="cannot be read"):
        at.Scorer.load(folder)


@pytest.mark.parametrize(
    "terminal",
    [{"PYTHONIOENCODING": "ascii"}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["ascii", "C"],
)
def test_terminals_that_know_ascii_alone(terminal: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("customer_id,touched_at,channel\nk1,2024-06-01,花展 é\n", encoding="utf-8")
    (tmp_path / "c.csv").write_text("customer_id,converted_at,value\nk1,2024-06-02,1\n", encoding="utf-8")
    (tmp_path / "shop.toml").write_text(EXPERIMENT)
    environment = {**{k: v for k, v in os.environ.items() if k != "PYTHONUTF8"}, "PYTHONPATH": str(ROOT), **terminal}

    def said(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "attribution", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)

    shown = said("run", "shop.toml", "--out", "run")
    assert shown.returncode == 0, shown.stderr
    assert rb"\u82b1\u5c55" in shown.stdout
    document = json.loads(said("run", "shop.toml", "--out", "run", "--json").stdout)
    assert "花展 é" in {row["channel"] for row in document["returns"]}
    logged = said("--log", "json", "run", "花.toml").stderr
    assert [json.loads(line) for line in logged.splitlines()]
    assert "花展 é" in pd.read_csv(tmp_path / "run" / "credit.csv")["channel"].tolist()
