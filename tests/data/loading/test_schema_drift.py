"""Columns that some files of one table lack, or hold in another type: found, named, and matched with their new name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.data.engine import Files
from attribution.data.loading import Finding
from attribution.data.loading.schema_drift import Layout, drift_findings, find_drift, read_layouts, refuse_drift
from attribution.errors import InputError

GOOD = {"customer_id": ["a"], "touched_at": ["2024-01-01"], "channel": ["mail"]}

REMEDY = "; give all files the same columns, or read them with a query that does"


def layouts(*columns: str) -> list[Layout]:
    """One layout per text of column names."""
    return [Layout(Path(f"{n}.csv"), dict.fromkeys(names.split(), "")) for n, names in enumerate(columns, 1)]


def renamed(*columns: str) -> dict[str, str | None]:
    return {drift.column: drift.renamed for drift in find_drift(layouts(*columns))}


def write(folder: Path, kind: str, tables: dict[str, dict[str, Any]]) -> Files:
    paths = []
    for name, columns in tables.items():
        paths.append(folder / f"{name}.{kind}")
        if kind == "csv":
            pd.DataFrame(columns).to_csv(paths[-1], index=False)
        elif kind == "parquet":
            pq.write_table(pa.table(columns), paths[-1])
        else:
            rows = pd.DataFrame(columns).to_dict("records")
            paths[-1].write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return Files(tuple(paths), "json" if kind == "jsonl" else kind)  # type: ignore[arg-type]


def found(files: Files) -> dict[str, Finding]:
    findings = {
        finding.check: finding for finding in drift_findings("touchpoints", read_layouts("touchpoints", [files]))
    }
    assert [*findings] == ["schema_drift", "type_drift"]
    for finding in findings.values():
        assert (finding.count > 0) == (finding.status != "pass")
        assert finding.total is not None
        assert finding.count <= finding.total
    return findings


# ------------------------------------------------------------------- which column became which


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["a b", "a b"], {}),
        (["a b", "b a"], {}),
        (["id t channel", "id t chan"], {"channel": "chan", "chan": "channel"}),
        (["id t channel", "id t 渠道"], {"channel": "渠道", "渠道": "channel"}),
        (["id Channel", "id channel"], {"Channel": "channel", "channel": "Channel"}),
        # Moved to another place, and still alike.
        (["channel id t", "id t chan"], {"channel": "chan", "chan": "channel"}),
        # Neither alike nor at the same place.
        (["cost id t", "id t device"], {"cost": None, "device": None}),
        (["id t", "id t cost"], {"cost": None}),
        # Both in one file: not the same column.
        (["id channel", "id chan", "id channel chan"], {"channel": None, "chan": None}),
        # Two at once: by place and likeness.
        (
            ["id channel value", "id chan values"],
            {"channel": "chan", "value": "values", "chan": "channel", "values": "value"},
        ),
        # Renamed twice.
        (["id channel", "id chan", "id chann"], {"channel": "chann", "chan": "chann", "chann": "chan"}),
    ],
)
def test_the_likeliest_new_name(columns: list[str], expected: dict[str, str | None]) -> None:
    assert renamed(*columns) == expected


def test_a_column_of_another_type_is_not_the_one_renamed() -> None:
    before = Layout(Path("1.parquet"), {"id": "text", "value": "number"})
    after = Layout(Path("2.parquet"), {"id": "text", "valued": "text"})
    assert [drift.renamed for drift in find_drift([before, after])] == [None, None]


names = st.lists(st.sampled_from(["a", "b", "channel", "chan", "渠道", "x y"]), unique=True, max_size=6)


@given(st.lists(names, min_size=1, max_size=5))
def test_drift_is_whatever_is_not_everywhere(files: list[list[str]]) -> None:
    drifts = find_drift([Layout(Path(f"{n}.csv"), dict.fromkeys(columns, "")) for n, columns in enumerate(files)])
    everywhere, anywhere = set.intersection(*map(set, files)), set.union(*map(set, files))
    assert {drift.column for drift in drifts} == anywhere - everywhere
    for drift in drifts:
        assert [*drift.present_in] == [f"{n}.csv" for n, columns in enumerate(files) if drift.column in columns]
        assert len(drift.present_in) + len(drift.missing_in) == len(files)
        assert not set(drift.replaced_in) & set(drift.present_in)
        assert (drift.renamed is None) == (drift.replaced_in == ())


# ------------------------------------------------------------------- findings


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_files_that_agree_pass(tmp_path: Path, kind: str) -> None:
    findings = found(write(tmp_path, kind, {"1": GOOD, "2": dict(reversed(GOOD.items()))}))
    assert [finding.status for finding in findings.values()] == ["pass", "pass"]
    assert findings["schema_drift"].message == "all 2 files have the same columns"
    alone = found(write(tmp_path, kind, {"3": GOOD}))
    assert {finding.message for finding in alone.values()} == {"the table is one file"}


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_renamed_column_is_named_with_its_files(tmp_path: Path, kind: str) -> None:
    other = {"customer_id": ["a"], "touched_at": ["2024-01-01"], "渠道": ["mail"]}
    files = write(tmp_path, kind, {"2024-01": GOOD, "2024-02": GOOD, "2024-03": other})
    finding = found(files)["schema_drift"]
    assert (finding.status, finding.count, finding.total, finding.example) == ("warn", 2, 4, "channel")
    assert finding.message == (
        f"'channel' is in 2024-01.{kind}, 2024-02.{kind} and not in 2024-03.{kind}; "
        f"'渠道' is in 2024-03.{kind}: probably renamed{REMEDY}"
    )


def test_many_files_are_counted_rather_than_listed() -> None:
    drifts = find_drift(layouts(*["a b"] * 9, *["a"] * 5))
    assert str(drifts[0]) == "'b' is in 1.csv, 2.csv, 3.csv and 6 more and not in 10.csv, 11.csv, 12.csv and 2 more"


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = []
    for name, columns in (("x", "a,b"), ("y", "a")):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "t.csv")
        paths[-1].write_text(f"{columns}\n1,2\n")
    finding = found(Files(tuple(paths), "csv"))["schema_drift"]
    assert str(tmp_path / "y" / "t.csv") in finding.message


@pytest.mark.parametrize(
    ("one", "other", "kinds"),
    [
        (pa.array([1]), pa.array(["1"]), ("number", "text")),
        (pa.array([1.0]), pa.array([True]), ("number", "flag")),
        (pa.array([0], pa.timestamp("us")), pa.array([0], pa.timestamp("us", "UTC")), ("time", "time with zone")),
        (pa.array(["a"]).dictionary_encode(), pa.array([["a"]]), ("text", "list")),
    ],
)
def test_columns_of_different_types(tmp_path: Path, one: pa.Array, other: pa.Array, kinds: tuple[str, str]) -> None:
    files = write(tmp_path, "parquet", {"1": {"x": one}, "2": {"x": other}, "3": {"x": other}})
    finding = found(files)["type_drift"]
    assert (finding.status, finding.count, finding.example) == ("warn", 1, "x")
    assert finding.message == f"'x' is {kinds[0]} in 1.parquet, {kinds[1]} in 2.parquet, 3.parquet{REMEDY}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([1], pa.int32()), pa.array([1.5])),
        (pa.array([0], pa.timestamp("ns")), pa.array([0], pa.timestamp("ms"))),
        (pa.array([0], pa.date32()), pa.array([0], pa.timestamp("us"))),
        (pa.array(["a"]), pa.array(["a"], pa.large_string())),
        (pa.array(["a"]), pa.nulls(1)),
        (pa.array(["a"]), pa.array([None], pa.float64())),  # how pandas writes texts that are all missing
    ],
)
def test_types_that_go_together(tmp_path: Path, one: pa.Array, other: pa.Array) -> None:
    assert found(write(tmp_path, "parquet", {"1": {"x": one}, "2": {"x": other}}))["type_drift"].status == "pass"


def test_a_key_of_json_that_few_lines_have_is_no_drift(tmp_path: Path) -> None:
    def lines(name: str, rows: list[dict[str, Any]]) -> Path:
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
        return tmp_path / name

    often, seldom, never = (
        lines(name, [{"a": 1} | ({"b": 1} if n % every == 0 else {}) for n in range(20)])
        for name, every in (("often.jsonl", 2), ("seldom.jsonl", 3), ("never.jsonl", 99))
    )
    (tmp_path / "never.jsonl").write_text('{"a": 1}\nno json\n[1]\n')
    assert found(Files((seldom, never), "json"))["schema_drift"].status == "pass"
    assert found(Files((often, never), "json"))["schema_drift"].status == "warn"
    assert found(Files((often, seldom), "json"))["schema_drift"].status == "pass"


# ------------------------------------------------------------------- layouts


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('\ufeff"a;b";c\n', ["a;b", "c"]),
        ("a\tb\n", ["a", "b"]),
        ("a,,b\n", ["a", "column1", "b"]),
        ("名,渠道\n", ["名", "渠道"]),
    ],
)
def test_the_header_of_a_csv(tmp_path: Path, text: str, columns: list[str]) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    [layout] = read_layouts("touchpoints", [Files((tmp_path / "t.csv",), "csv")])
    assert [*layout.columns] == columns


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,A\n", "twice"),
        ("t.csv", b"\xff\xfe\xff", "cannot be read"),
        ("t.csv", b"a\x00,b\n", "not a text file"),
        ("t.parquet", b"PAR1", "not a readable Parquet"),
        ("t.jsonl", b"\xff\xfe\xff", "cannot be read"),
    ],
)
def test_files_that_are_not_what_their_ending_says(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    kind: Any = {"csv": "csv", "parquet": "parquet", "jsonl": "json"}[name.split(".")[1]]
    with pytest.raises(InputError, match=said):
        read_layouts("touchpoints", [Files((tmp_path / name,), kind)])


# ------------------------------------------------------------------- what is refused


def refusal(needed: dict[str, tuple[str, ...]], *columns: str) -> str:
    with pytest.raises(InputError) as error:
        refuse_drift("touchpoints", layouts(*columns), needed)
    return str(error.value)


def test_a_needed_column_that_was_renamed() -> None:
    message = refusal({"channel": ("channel",)}, "id channel", "id channel", "id chan")
    assert "differ in columns ['channel', 'chan']: 'channel' is missing in 1 of 3" in message
    assert "'channel' is in 1.csv, 2.csv and not in 3.csv; 'chan' is in 3.csv: probably renamed" in message
    assert 'columns = { channel = ["channel", "chan"] } reads the first of these columns that is not null' in message


def test_a_needed_column_that_one_file_lacks() -> None:
    message = refusal({"cost": ("cost",)}, "id cost", "id")
    assert "'cost' is in 1.csv and not in 2.csv" in message
    assert 'columns = { cost = ["cost"] } sets it to null where it is missing' in message
    with pytest.raises(InputError, match="leave those files out"):
        refuse_drift("touchpoints", layouts("id t", "id"), {"t": ("t",)}, required=["t"])


def test_names_that_toml_has_to_quote() -> None:
    message = refusal({"渠道": ('a"b',)}, 'id a"b', "id a\\b")
    assert r'columns = { "渠道" = ["a\"b", "a\\b"] }' in message


@pytest.mark.parametrize(
    ("needed", "columns"),
    [
        ({}, ["id channel", "id chan"]),
        ({"id": ("id",)}, ["id channel", "id chan"]),
        ({"channel": ("channel", "chan")}, ["id channel", "id chan"]),
        ({"cost": ("cost",)}, ["id channel", "id chan"]),
    ],
    ids=["nothing needed", "needed are others", "one of several", "nowhere"],
)
def test_drift_that_does_not_matter(needed: dict[str, tuple[str, ...]], columns: list[str]) -> None:
    refuse_drift("touchpoints", layouts(*columns), needed)


def test_a_needed_column_of_different_types() -> None:
    files = [Layout(Path("1.parquet"), {"id": "number", "x": "text"}), Layout(Path("2.parquet"), {"id": "text"})]
    refuse_drift("touchpoints", files, {"y": ("y",)})
    with pytest.raises(InputError, match=r"'id' is number in 1\.parquet, text in 2\.parquet"):
        refuse_drift("touchpoints", files, {"customer_id": ("id",)})
