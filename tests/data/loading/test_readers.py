"""Readers: the same table through every format gives the same journeys and the same credit."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from tests.scale import examples

TOUCHES = "customer_id,touched_at,channel\na,2024-01-01,mail\na,2024-01-02,search\n"
HALF = {"mail": 0.5, "search": 0.5, "(unattributed)": 0.0}
RESERVED = {"(start)", "(null)", "(conversion)", "(unattributed)"}


def touches(**columns: Any) -> pd.DataFrame:
    base: dict[str, Any] = {
        "customer_id": ["a", "a"], "touched_at": ["2024-01-01", "2024-01-02"], "channel": ["mail", "search"],
    }  # fmt: skip
    return pd.DataFrame({**base, **columns})


def orders(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-03"], "value": [10.0], **columns})


def credit(*tables: Any, folder: Path | str = ".", **options: Any) -> dict[str, float]:
    """Conversions by channel under equal shares."""
    journeys = at.build_journeys(at.load_sources(*tables, folder=folder), **options)
    return by_channel(journeys)


def by_channel(journeys: at.Journeys) -> dict[str, float]:
    rows = at.attribute(journeys, [at.Linear()]).table
    return dict(zip(rows["channel"], rows["conversions"], strict=True))


def times(*tables: Any) -> list[int]:
    """Times of the touchpoints of all journeys, in order of the journeys."""
    return [t for chunk in at.build_journeys(at.load_sources(*tables)) for t in chunk.touched_at.tolist()]


# ------------------------------------------------------------------- one table, every format

Rows = list[dict[str, Any]]
Write = Callable[[Rows, Path], Any]
_COLUMNS = ("customer_id", "touched_at", "channel", "campaign", "cost")


def iso(microseconds: int) -> str:
    return (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=microseconds)).isoformat()


def arrow(rows: Rows, text: pa.DataType, time: pa.DataType) -> pa.Table:
    def column(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([row[name] for row in rows], kind)

    return pa.table(
        {
            "customer_id": column("customer_id", text),
            "touched_at": column("touched_at", pa.int64()).cast(pa.timestamp("us")).cast(time),
            "channel": column("channel", text),
            "campaign": column("campaign", text),
            "cost": column("cost", pa.float64()),
        }
    )


def as_csv(rows: Rows, folder: Path, *, delimiter: str = ",", head: str = "", end: str = "\n") -> Path:
    out = io.StringIO()
    # Python leaves a lone carriage return unquoted, which no reader can tell from the end of a line.
    has_return = any("\r" in str(value) for row in rows for value in row.values())
    quoting = csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow(["" if row[c] is None else iso(row[c]) if c == "touched_at" else row[c] for c in _COLUMNS])
    path = folder / "rows.csv"
    path.write_bytes((head + out.getvalue()).encode())
    return path


def as_gzip(rows: Rows, folder: Path) -> Path:
    path = folder / "rows.csv.gz"
    path.write_bytes(gzip.compress(as_csv(rows, folder).read_bytes()))
    return path


def as_jsonl(rows: Rows, folder: Path, *, ascii_only: bool = True) -> Path:
    path = folder / "rows.jsonl"
    made = [{**row, "touched_at": None if row["touched_at"] is None else iso(row["touched_at"])} for row in rows]
    path.write_text("".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in made), encoding="utf-8")
    return path


def as_parquet(rows: Rows, folder: Path) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(arrow(rows, pa.string(), pa.timestamp("us")), path)
    return path


def as_parts(rows: Rows, folder: Path) -> str:
    half = len(rows) // 2
    for name, part in (("1", rows[:half]), ("2", rows[half:])):
        pq.write_table(arrow(part, pa.string(), pa.timestamp("us")), folder / f"part-{name}.parquet")
    return str(folder / "part-*.parquet")


def as_dictionary(rows: Rows, folder: Path) -> pa.Table:
    table = arrow(rows, pa.string(), pa.timestamp("us"))
    for name in ("customer_id", "channel", "campaign"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].dictionary_encode())
    return table


FORMATS: dict[str, Write] = {
    "csv": as_csv,
    "csv with semicolons": lambda rows, folder: as_csv(rows, folder, delimiter=";"),
    "csv with tabs": lambda rows, folder: as_csv(rows, folder, delimiter="\t"),
    "csv with mark and crlf": lambda rows, folder: as_csv(rows, folder, head="\ufeff", end="\r\n"),
    "csv.gz": as_gzip,
    "json lines": as_jsonl,
    "json lines in utf-8": lambda rows, folder: as_jsonl(rows, folder, ascii_only=False),
    "parquet": as_parquet,
    "parquet in parts": as_parts,
    "pandas": lambda rows, _: arrow(rows, pa.string(), pa.timestamp("us")).to_pandas(),
    "pandas, categories": lambda rows, folder: as_dictionary(rows, folder).to_pandas(),
    "pandas, texts as times": lambda rows, _: pd.DataFrame(
        [{**row, "touched_at": None if row["touched_at"] is None else iso(row["touched_at"])} for row in rows],
        columns=list(_COLUMNS),
    ),
    "arrow, large strings": lambda rows, _: arrow(rows, pa.large_string(), pa.timestamp("ns")),
    "arrow, string views": lambda rows, _: arrow(rows, pa.string_view(), pa.timestamp("us")),
    "arrow, dictionaries": as_dictionary,
}

hostile = st.one_of(
    st.sampled_from(
        [
            "mail", "007", "1e5", "1", "1.0", "true", "null", "NULL", "nan", "None", "a > b", "a,b", 'say "x"', "o'x",
            "a\nb", "a;b\tc|d", " lead", "trail ", "10:30", "10:30:00", "2024-01-01", "2024-01-01T00:00:00Z", "\\",
            "6F9619FF-8B86-D011-B42D-00C04FC964FF", "中文", "🦄", "\u202e", "#",
            "--", "a\\nb", "[1]", "{}", '"', "'", "é",
        ]
    ),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=6).filter(
        lambda s: bool(s.strip()) and s not in RESERVED
    ),
)  # fmt: skip
rows_of = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": st.one_of(st.none(), st.sampled_from(["007", "7", "b"]), hostile),
            "touched_at": st.one_of(st.none(), st.integers(0, 10**14)),
            "channel": st.one_of(st.none(), hostile),
            "campaign": st.one_of(st.none(), hostile),
            "cost": st.one_of(st.none(), st.floats(0, 1e9)),
        }
    ),
    min_size=2,
    max_size=8,
)


def outcome(table: Any, conversions: pd.DataFrame) -> tuple[Any, ...]:
    """Everything that must not depend on the format."""
    sources = at.load_sources(table, conversions)
    journeys = at.build_journeys(sources, lookback_days=400)
    listed = []
    for chunk in journeys:
        names = chunk.customer_ids.to_pylist()
        channel, campaign = (journeys.dimensions.decode(chunk.code, n).tolist() for n in ("channel", "campaign"))
        for j in range(len(chunk)):
            part = slice(int(chunk.start[j]), int(chunk.stop[j]))
            listed.append(
                (
                    names[chunk.customer[j]], tuple(chunk.touched_at[part].tolist()), tuple(channel[part]),
                    tuple(campaign[part]), tuple(chunk.cost[part].tolist()), float(chunk.value[j]),
                )
            )  # fmt: skip
    totals = at.attribute(journeys, [at.Linear(), at.Markov(), at.Shapley()])
    returns = at.compute_returns(totals, sources)
    counts = [(f.check, f.table, f.count) for f in journeys.findings]
    frames = tuple(
        tuple(map(tuple, t.astype(object).where(t.notna(), None).to_numpy())) for t in (totals.table, returns)
    )
    return sorted(listed, key=repr), frames, counts


UUID = "6F9619FF-8B86-D011-B42D-00C04FC964FF"


FIXED: Rows = [
    {"customer_id": "007", "touched_at": 10**13, "channel": "a > b", "campaign": None, "cost": 0.1},
    {"customer_id": "007", "touched_at": 10**13, "channel": 'say "x", y', "campaign": "1.0", "cost": None},
    {"customer_id": "7", "touched_at": 10**13 + 1, "channel": "中文", "campaign": "null", "cost": 1e-9},
    {"customer_id": "7", "touched_at": None, "channel": "a\nb", "campaign": " x ", "cost": 3.0},
    {"customer_id": None, "touched_at": 5, "channel": "1", "campaign": None, "cost": 0.0},
    {"customer_id": "b", "touched_at": 5, "channel": None, "campaign": None, "cost": 0.0},
]


@pytest.mark.parametrize("name", [*FORMATS])
def test_every_format_gives_the_same(name: str, tmp_path: Path) -> None:
    """The oracle is the plain Arrow table, whose types say everything."""
    conversions = pd.DataFrame({"customer_id": ["007", "7"], "converted_at": np.datetime64(10**14, "us"), "value": 1.5})
    expected = outcome(arrow(FIXED, pa.string(), pa.timestamp("us")), conversions)
    assert outcome(FORMATS[name](FIXED, tmp_path), conversions) == expected


@pytest.mark.slow
@examples(2)
@given(rows=rows_of)
@example(rows=[{"customer_id": UUID, "touched_at": 5, "channel": "10:30", "campaign": None, "cost": None}] * 2)
@example(rows=[{"customer_id": "007", "touched_at": 5, "channel": "2024-01-01", "campaign": "1", "cost": 0.1}] * 2)
def test_every_format_gives_the_same_for_any_rows(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> None:
    ids = sorted({row["customer_id"] for row in rows if row["customer_id"] and row["customer_id"].strip()}) or ["b"]
    conversions = pd.DataFrame(
        {"customer_id": ids, "converted_at": np.datetime64(10**14, "us"), "value": 1.5 + np.arange(len(ids))}
    )
    expected = outcome(arrow(rows, pa.string(), pa.timestamp("us")), conversions)
    for name, written in FORMATS.items():
        assert outcome(written(rows, tmp_path_factory.mktemp("formats")), conversions) == expected, name


# ------------------------------------------------------------------- CSV as it comes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", TOUCHES.encode()),
        ("mark.csv", b"\xef\xbb\xbf" + TOUCHES.encode()),
        ("crlf.csv", TOUCHES.replace("\n", "\r\n").encode()),
        ("cr.csv", TOUCHES.replace("\n", "\r").encode()),
        ("semicolon.csv", TOUCHES.replace(",", ";").encode()),
        ("pipe.txt", TOUCHES.replace(",", "|").encode()),
        ("tab.tsv", TOUCHES.replace(",", "\t").encode()),
        ("all.csv", b"\xef\xbb\xbf" + TOUCHES.replace(",", ";").replace("\n", "\r\n").encode()),
        ("no_newline.csv", TOUCHES.rstrip("\n").encode()),
        ("blank_lines.csv", TOUCHES.replace("a,2024-01-02", "\na,2024-01-02").encode() + b"\n\n"),
        ("LOUD.CSV", TOUCHES.encode()),
        ("zipped.csv.gz", gzip.compress(TOUCHES.encode(), mtime=0)),
        ("zipped.csv.zst", pa.compress(TOUCHES.encode(), codec="zstd", asbytes=True)),
        ("quoted.csv", b'"customer_id","touched_at","channel"\n"a","2024-01-01","mail"\n"a","2024-01-02","search"\n'),
        ("name with [magic]*?.csv", TOUCHES.encode()),
        ("o'brien \"x\".csv", TOUCHES.encode()),
        ("unnamed_last.csv", TOUCHES.replace("\n", ",\n").encode()),
        ("index.csv", b",customer_id,touched_at,channel\n0,a,2024-01-01,mail\n1,a,2024-01-02,search\n"),
        (
            "other.csv",
            b'channel;"a,b,c,d,e,f";touched_at;customer_id\nmail;x;2024-01-01;a\nsearch;"y\nz";2024-01-02;a\n',
        ),
        (
            "lines.jsonl",
            b'{"customer_id":"a","touched_at":"2024-01-01","channel":"mail"}\r\n'
            b'{"channel":"search","touched_at":"2024-01-02","customer_id":"a","more":[1]}\n\n',
        ),
    ],
)  # fmt: skip
def test_files_as_they_come(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert credit(name, orders(), folder=tmp_path) == HALF
    assert credit(tmp_path / name, orders()) == HALF


def test_quoted_newlines_and_quotes_are_part_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('customer_id,touched_at,channel\na,2024-01-01,"m\n""x"", y"\n')
    assert credit(tmp_path / "t.csv", orders()) == {'m\n"x", y': 1.0, "(unattributed)": 0.0}


def test_globs_and_lists(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a1.csv").write_text("customer_id,touched_at,channel\na,2024-01-01,mail\n")
    (tmp_path / "deep" / "er" / "a2.csv").write_text("channel;touched_at;customer_id\nsearch;2024-01-02;a\n")
    assert credit("**/a*.csv", orders(), folder=tmp_path) == HALF
    assert credit(["a1.csv", "deep/er/a2.csv"], orders(), folder=tmp_path) == HALF
    assert credit([tmp_path / "deep/er/a2.csv", "a1.csv"], orders(), folder=tmp_path) == HALF
    assert credit("a?.csv", orders(), folder=tmp_path) == {"mail": 1.0, "(unattributed)": 0.0}


def test_a_column_of_integers_that_is_narrow_in_one_file_and_wide_in_another(tmp_path: Path) -> None:
    for name, kind, customer in (("1", pa.int32(), 7), ("2", pa.int64(), 2**40)):
        table = pa.table({"customer_id": pa.array([customer], kind), "touched_at": ["2024-01-01"], "channel": ["mail"]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    conversions = orders(customer_id=[2**40])
    for files in (["1.parquet", "2.parquet"], ["2.parquet", "1.parquet"]):
        assert credit(files, conversions, folder=tmp_path)["mail"] == 1.0


def test_json_lines_whose_types_change_from_line_to_line(tmp_path: Path) -> None:
    """Ids that are numbers here and texts there are texts; strings keep no quotes."""
    lines = ['{"customer_id": "a", "touched_at": "2024-01-01", "channel": "mail"}'] * 2
    lines += ['{"customer_id": 5, "touched_at": "2024-01-01", "channel": 7}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    conversions = orders(customer_id=["a", "5"], converted_at="2024-01-03", value=1.0)
    assert credit(tmp_path / "t.jsonl", conversions) == {"7": 1.0, "mail": 1.0, "(unattributed)": 0.0}


@pytest.mark.parametrize("late", ['"customer_id": "b"', '"customer_id": "b", "device": "tv"'])
def test_json_lines_that_change_after_many_lines(tmp_path: Path, late: str) -> None:
    """DuckDB looks at the first 20,480 lines to decide on types and keys."""
    line = '{"customer_id": 1, "touched_at": "2024-01-01", "channel": "x"}\n'
    (tmp_path / "t.jsonl").write_text(line * 25_000 + f'{{{late}, "touched_at": "2024-01-01", "channel": "y"}}\n')
    assert credit(tmp_path / "t.jsonl", orders(customer_id=["b"]))["y"] == 1.0


# ------------------------------------------------------------------- column maps, filters, queries


@pytest.mark.parametrize(
    "names",
    [
        ["select", "group", "order by"], ['a"b', "c'd", "e;--"], ["CUSTOMER_ID", "TOUCHED_AT", "CHANNEL"],
        ["touched_at", "channel", "customer_id"], ["名", "🦄", "a b"], ["raw_touchpoints", "rowid", "ref"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["pandas", "csv", "parquet", "json"])
def test_columns_of_any_name(tmp_path: Path, names: list[str], kind: str) -> None:
    frame = touches().set_axis(names, axis=1)
    source: Any = frame
    if kind == "csv":
        source = tmp_path / "t.csv"
        frame.to_csv(source, index=False)
    elif kind == "parquet":
        source = tmp_path / "t.parquet"
        frame.to_parquet(source)
    elif kind == "json":
        source = tmp_path / "t.jsonl"
        frame.to_json(source, orient="records", lines=True)
    columns = dict(zip(("customer_id", "touched_at", "channel"), names, strict=True))
    assert credit(at.TableSpec(source=source, columns=columns), orders()) == HALF


def test_numbers_as_column_names_of_pandas() -> None:
    columns = {"customer_id": "0", "touched_at": "1", "channel": "2"}
    assert credit(at.TableSpec(source=touches().set_axis([0, 1, 2], axis=1), columns=columns), orders()) == HALF


def test_without_a_map_further_columns_are_not_read() -> None:
    sources = at.load_sources(touches(CHANNEL=["x", "y"], junk=[[1], [2]]), orders(note=["\x00"]))
    assert sources.tables["touchpoints"].columns == ("customer_id", "touched_at", "channel")
    assert by_channel(at.build_journeys(sources)) == HALF


def test_further_dimensions_by_map() -> None:
    columns = {n: n for n in ("customer_id", "touched_at", "channel")} | {"ref": "d", 'a"b': "e"}
    sources = at.load_sources(at.TableSpec(source=touches(d=["x", None], e=[1, 2]), columns=columns), orders())
    assert sources.dimensions == ("channel", 'a"b', "ref")
    journeys = at.build_journeys(sources)
    (chunk,) = journeys.chunks
    assert journeys.dimensions.decode(chunk.code, "ref").tolist() == ["x", None]
    assert journeys.dimensions.decode(chunk.code, 'a"b').tolist() == ["1", "2"]


def test_where_uses_the_names_of_the_source() -> None:
    columns = {"customer_id": "who", "touched_at": "touched_at", "channel": "channel"}
    frame = touches(channel=["test", "mail"]).rename(columns={"customer_id": "who"}).assign(secret=[1, 0])
    spec = at.TableSpec(source=frame, columns=columns, where="secret = 0 and who = 'a' -- of ours")
    assert credit(spec, orders()) == {"mail": 1.0, "(unattributed)": 0.0}


@pytest.mark.parametrize(
    "query",
    [
        "select * from 't.csv'", "SELECT\n*\nFROM 't.csv';", "select\t* from 't.csv'", "from 't.csv'",
        "with x as (select * from 't.csv') select * from x", "-- why\nselect * from 't.csv'",
        "(select * from 't.csv')", "  select *, 1 as more from 't.csv' -- end",
    ],
)  # fmt: skip
def test_queries_start_at_the_folder(tmp_path: Path, query: str) -> None:
    (tmp_path / "t.csv").write_text(TOUCHES)
    assert credit(at.TableSpec(query=query), orders(), folder=tmp_path) == HALF
    assert credit(query, orders(), folder=tmp_path) == HALF


def test_a_query_does_not_read_python_variables() -> None:
    secret = touches()
    with pytest.raises(InputError, match="secret"):
        at.load_sources("select * from secret", orders())
    assert len(secret) == 2


# ------------------------------------------------------------------- ids


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ([1, 1], ["1"]),
        (["1", "1"], [1]),
        ([1.0, np.nan], [1]),
        ([1.0, np.nan], ["1"]),
        (pd.array([1, None], dtype="Int64"), [1]),
        (pd.Categorical([1, 1]), [1]),
        (pd.Categorical(["a", "a"]), ["a"]),
        (np.array([1, 1], dtype="uint8"), np.array([1], dtype="int64")),
        (np.array([2**63 + 5] * 2, dtype="uint64"), np.array([2**63 + 5], dtype="uint64")),
        ([-(2**63)] * 2, [-(2**63)]),
        (["007", "007"], ["007"]),
        ([Decimal("1")] * 2, [1]),
        ([Decimal("12345678901234567890123")] * 2, ["12345678901234567890123"]),
        (["o'\"\\;🦄"] * 2, ["o'\"\\;🦄"]),
        (["a\x00b"] * 2, ["a\x00b"]),
        (["x" * 5000] * 2, ["x" * 5000]),
        (["nancy", "nancy"], ["nancy"]),
    ],
)
def test_ids_that_are_the_same(here: Any, there: Any) -> None:
    assert credit(touches(customer_id=here), orders(customer_id=there))["mail"] > 0


@pytest.mark.parametrize(
    ("here", "there"),
    [(["01", "01"], [1]), (["A", "A"], ["a"]), (["a\x00b"] * 2, ["a\x00c"]), (["é"] * 2, ["e\u0301"]), ([1, 1], [2])],
)
def test_ids_that_differ(here: Any, there: Any) -> None:
    assert credit(touches(customer_id=here), orders(customer_id=there))["(unattributed)"] == 1.0


def test_whole_numbers_as_names_survive_a_gap() -> None:
    """pandas turns integers with a gap into floats: channel 1 must not become '1.0'."""
    frame = touches(channel=[1, None], campaign=[7, None])
    assert credit(frame, orders()) == {"1": 1.0, "(unattributed)": 0.0}
    journeys = at.build_journeys(at.load_sources(frame, orders()))
    assert journeys.dimensions.values[journeys.dimensions.names.index("campaign")] == ("7",)


# ------------------------------------------------------------------- times

HOUR = 3_600_000_000
DAY = 24 * HOUR
JAN = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z in microseconds


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # pyarrow reading times with a zone
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2024-01-01", "2024-01-02"], [JAN, JAN + DAY]),
        (["2024-01-01T00:00:00Z", "2024-01-01T23:00:00-01:00"], [JAN, JAN + DAY]),
        (["2024-01-01 02:00:00+02", "2024-01-01T01:00:00+0100"], [JAN, JAN]),
        (["2024-01-01 00:00", "2024-01-01T00:00:00,5"], [JAN, JAN + 500_000]),
        (["2024-01-01T00:00:00.123456789Z", "2024-01-01T00:00:01.1Z"], [JAN + 123_456, JAN + 1_100_000]),
        ([" 2024-01-01 ", "2024-01-02"], [JAN, JAN + DAY]),
        ([dt.date(2024, 1, 1), dt.date(2024, 1, 2)], [JAN, JAN + DAY]),
        (np.array(["2024-01-01", "2024-01-02"], "datetime64[s]"), [JAN, JAN + DAY]),
        (np.array(["2024-01-01", "2024-01-01T00:00:00.000001999"], "datetime64[ns]"), [JAN, JAN + 1]),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]).tz_localize("Asia/Tokyo"), [JAN - 9 * HOUR, JAN + 15 * HOUR]),
        (pd.Categorical(["2024-01-01", "2024-01-02"]), [JAN, JAN + DAY]),
    ],
)  # fmt: skip
def test_times_in_every_shape(values: Any, expected: list[int]) -> None:
    assert times(touches(touched_at=values), orders(converted_at=["2024-01-05"])) == expected


@pytest.mark.parametrize(
    ("values", "time_format", "expected"),
    [
        (["01/02/2024", "02/02/2024"], "%d/%m/%Y", [JAN + 31 * DAY, JAN + 32 * DAY]),
        (["01/02/2024", "02/02/2024"], "%m/%d/%Y", [JAN + DAY, JAN + 32 * DAY]),
        (["20240101", "20240102"], "%Y%m%d", [JAN, JAN + DAY]),
        ([20240101, 20240102], "%Y%m%d", [JAN, JAN + DAY]),
        (["2024-01-01 +0200", "2024-01-02 +0000"], "%Y-%m-%d %z", [JAN - DAY // 12, JAN + DAY]),
        ([JAN // 10**6, JAN // 10**6 + 1], "epoch_s", [JAN, JAN + 10**6]),
        ([str(JAN // 10**6), str(JAN // 10**6 + 1)], "epoch_s", [JAN, JAN + 10**6]),
        ([JAN / 10**6, JAN / 10**6 + 0.5], "epoch_s", [JAN, JAN + 500_000]),
        ([JAN // 1000, JAN // 1000 + 1], "epoch_ms", [JAN, JAN + 1000]),
        ([JAN, JAN + 1], "epoch_us", [JAN, JAN + 1]),
        ([-1, 0], "epoch_s", [-1_000_000, 0]),
    ],
)
def test_times_by_format(values: Any, time_format: str, expected: list[int]) -> None:
    spec = at.TableSpec(source=touches(touched_at=values), time_format=time_format)
    journeys = at.build_journeys(at.load_sources(spec, orders(converted_at=["2024-02-03"])))
    assert journeys.has_times
    assert sorted(t for chunk in journeys for t in chunk.touched_at.tolist()) == sorted(expected)


def test_microseconds_beyond_two_to_the_53_are_exact() -> None:
    spec = at.TableSpec(source=touches(touched_at=[2**53 + 1, 2**53 + 3]), time_format="epoch_us")
    assert times(spec, orders()) == [2**53 + 1, 2**53 + 3]


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
@pytest.mark.parametrize("zoned", [["2024-01-01T10:00:00+01:00"], pd.to_datetime(["2024-01-01T09:00:00Z"])])
@pytest.mark.parametrize("naive", [["2024-01-01 12:00"], pd.to_datetime(["2024-01-01 12:00"])])
def test_zones_told_in_one_table_only_are_refused_until_the_other_is_said(zoned: Any, naive: Any) -> None:
    """Hours of difference would decide which touchpoints come before the conversion."""
    touched = touches(customer_id=["a"], channel=["mail"], touched_at=zoned)
    converted = orders(customer_id=["a"], converted_at=naive)
    with pytest.raises(InputError, match="'touchpoints' have a time zone, but those of 'conversions' have none"):
        at.load_sources(touched, converted)
    said = at.TableSpec(source=converted, time_zone="Europe/Berlin")
    journeys = at.build_journeys(at.load_sources(touched, said))
    assert [t for c in journeys for t in c.ended_at.tolist()] == [JAN + 11 * HOUR]
    days = orders(customer_id=["a"], converted_at=["2024-01-02"])
    assert len(at.build_journeys(at.load_sources(touched, days))) == 1


def test_times_without_offset_lie_in_the_zone_that_is_named() -> None:
    """Berlin: one hour ahead in January, two in July; the clocks change on 31 March and 27 October 2024."""
    local = ["2024-01-01T12:00:00", "2024-07-01T12:00:00", "2024-03-31T03:00:00", "2024-10-27T01:30:00"]
    utc = ["2024-01-01T11:00:00", "2024-07-01T10:00:00", "2024-03-31T01:00:00", "2024-10-26T23:30:00"]
    conversion = orders(customer_id=["a"], converted_at=["2024-12-31"])

    def read(values: list[str], zone: str | None) -> list[int]:
        frame = pd.DataFrame({"customer_id": "a", "touched_at": values, "channel": "mail"})
        spec = at.TableSpec(source=frame, time_zone=zone)
        sources = at.load_sources(spec, conversion)
        return [t for c in at.build_journeys(sources, lookback_days=500) for t in c.touched_at.tolist()]

    assert read(local, "Europe/Berlin") == read(utc, None)
    with_offset = [f"{t}Z" for t in utc]
    assert read(with_offset, "Europe/Berlin") == read(utc, None)


def test_days_on_which_the_clock_changes_are_not_24_hours_long() -> None:
    """From noon to noon over 31 March 2024 it is 23 hours in Berlin: a window of one day reaches further."""
    touch = at.TableSpec(
        source=touches(touched_at=["2024-03-30T11:30:00", "2024-03-30T10:59:59"]), time_zone="Europe/Berlin"
    )
    order = at.TableSpec(source=orders(converted_at=["2024-03-31T12:00:00"]), time_zone="Europe/Berlin")
    assert credit(touch, order, lookback_days=1) == {"mail": 1.0, "search": 0.0, "(unattributed)": 0.0}


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([-5, -3], -1), ([0, 2**59], 2**60 - 1), (np.array([1, 2], "int8"), 3), (np.array([1, 2], "uint64"), 3),
        ([Decimal("1"), Decimal("2")], 3), ([1.0, 2.0], 3), (["1", "2"], "3"), (["-2", "+1"], 3), ([3, 3], 3),
    ],
)  # fmt: skip
def test_positions_in_place_of_times(values: Any, end: Any) -> None:
    sources = at.load_sources(touches(touched_at=values), orders(converted_at=[end]))
    assert sources.integer_times is True
    assert by_channel(at.build_journeys(sources)) == HALF


# ------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10, 10.0), ("10", 10.0), (" 10 ", 10.0), ("1e2", 100.0), ("+5", 5.0), (Decimal("10.10"), 10.10),
        (-0.0, 0.0), ("-0", 0.0), (2**63 - 1, float(2**63)), (np.float32(0.1), float(np.float32(0.1))), (1e308, 1e308),
        (Decimal("NaN"), 0.0), (None, 0.0),
    ],
)  # fmt: skip
def test_values_in_every_shape(value: Any, expected: float) -> None:
    journeys = at.build_journeys(at.load_sources(touches(), orders(value=[value])))
    assert journeys.total("value") == expected
    assert math.copysign(1.0, journeys.total("value")) == 1.0


@pytest.mark.parametrize(
    "flags",
    [
        ["true", "false", None], ["1", "0", " "], ["TRUE", "f", ""], [1, 0, None], [1.0, 0.0, float("nan")],
        pd.array([True, False, None], dtype="boolean"), [Decimal(1), Decimal(0), None],
    ],
    ids=str,
)  # fmt: skip
def test_flags_in_every_shape(flags: Any) -> None:
    converted = pd.DataFrame({"customer_id": ["a", "b", "c"], "converted_at": "2024-01-03", "is_new_customer": flags})
    sources = at.load_sources(touches(), converted)
    found = sources.engine.query("select is_new_customer as flag from conversions order by customer_id")
    assert found["flag"].to_pylist() == [True, False, None]


# ------------------------------------------------------------------- any type in any column

_TYPES = [
    pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_(), pa.string(),
    pa.large_string(), pa.binary(),
    pa.date32(), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("s"), pa.time64("us"), pa.duration("us"),
    pa.decimal128(20, 3), pa.null(), pa.list_(pa.string()), pa.struct([("x", pa.int64())]),
    pa.dictionary(pa.int32(), pa.string()), pa.string_view(), pa.float16(), pa.decimal256(50, 2), pa.large_binary(),
    pa.map_(pa.string(), pa.string()), pa.list_(pa.int64(), 2), pa.date64(),
]  # fmt: skip
_VALUES: dict[str, list[Any]] = {
    "int": [1, 2, None], "float": [1.5, 2.0, None], "text": ["1", "2024-01-01", None], "flag": [True, False, None],
    "bytes": [b"1", b"\xff", None], "moment": [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2), None],
    "date": [dt.date(2024, 1, 1), dt.date(2024, 1, 2), None], "time": [dt.time(1), dt.time(2), None],
    "span": [dt.timedelta(1), dt.timedelta(2), None], "decimal": [Decimal("1.000"), Decimal("2.500"), None],
    "list": [["a"], [], None], "struct": [{"x": 1}, {"x": None}, None], "pair": [[1, 2], [3, 4], None],
    "map": [[("a", "b")], [], None], "nothing": [None, None, None],
}  # fmt: skip


def _column(kind: pa.DataType) -> pa.Array:
    for values in _VALUES.values():
        try:
            return pa.array(values, kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError):
            continue
    raise AssertionError(kind)


@pytest.mark.slow
@examples(12)
@given(
    st.sampled_from(_TYPES), st.sampled_from(_TYPES), st.sampled_from(_TYPES), st.sampled_from(_TYPES),
    st.sampled_from(["touchpoints", "conversions", "costs", "paths"]),
)  # fmt: skip
def test_any_type_in_any_column_is_read_or_refused(
    first: pa.DataType, second: pa.DataType, third: pa.DataType, fourth: pa.DataType, table: str
) -> None:
    """Nothing but `InputError` may come out, and if nothing comes out, totals are what was observed."""
    names = {
        "touchpoints": ("customer_id", "touched_at", "channel", "campaign"),
        "conversions": ("customer_id", "converted_at", "value", "conversion_id"),
        "costs": ("channel", "amount", "day", "campaign"),
        "paths": ("path", "conversions", "value", "nulls"),
    }[table]
    made = pa.table([_column(kind) for kind in (first, second, third, fourth)], names=list(names))
    tables: dict[str, Any] = {"touchpoints": touches(), "conversions": orders()}
    tables = {"paths": made} if table == "paths" else {**tables, table: made}
    try:
        sources = at.load_sources(**tables)
        journeys = at.build_journeys(sources)
        totals = at.attribute(journeys, [at.Linear(), at.Markov()])
        returns = at.compute_returns(totals, sources)
    except InputError as error:
        told = str(error)
    else:
        told = ""
    assert "raw_" not in told
    assert "select count(" not in told
    if told:
        return
    linear = totals.table[totals.table["model"] == "linear"]
    assert math.isclose(linear["conversions"].sum(), journeys.total("conversions"), rel_tol=1e-12)
    assert not np.isinf(returns[["spend", "roas", "roi", "cpa"]].to_numpy(float)).any()


def test_an_engine_holds_the_tables_of_one_run() -> None:
    engine = at.DuckDBEngine()
    first = at.load_sources(touches(), orders(), engine=engine)
    with pytest.raises(InputError, match="holds the tables of another run"):
        at.load_sources(touches(channel=["x", "y"]), orders(), engine=engine)
    assert at.build_journeys(first).channels == ("mail", "search")


@pytest.mark.parametrize("at_end", [2**62, -(2**62)])
def test_times_beyond_any_calendar_are_refused(at_end: int) -> None:
    spec = at.TableSpec(source=touches(touched_at=np.array([0, at_end], "datetime64[us]")))
    with pytest.raises(InputError, match="too far from 1970"):
        at.build_journeys(at.load_sources(spec, orders()))
