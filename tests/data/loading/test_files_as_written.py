"""Files as products write them: title lines, encodings, arrays, unmarked texts, sheets, SQL in columns, clocks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attribution as at
from attribution.data.loading.times import clock_changes
from attribution.errors import InputError
from attribution.models.saved import Definition

TOUCHES = "customer_id,touched_at,channel\na,2024-05-01 08:00,Köln\nb,2024-05-02 08:00,print\n"
ORDERS = pd.DataFrame({"customer_id": ["a", "b"], "converted_at": ["2024-05-01 09:00", "2024-05-02 09:00"]})


def channels(table: Any, conversions: Any = ORDERS, **options: Any) -> dict[str, float]:
    """Conversions by channel of the last touch."""
    journeys = at.build_journeys(at.load_sources(table, conversions, **options))
    rows = at.attribute(journeys, [at.LastTouch()]).table
    return {row["channel"]: row["conversions"] for row in rows.to_dict("records") if row["conversions"]}


BOTH = {"Köln": 1.0, "print": 1.0}


def written(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ------------------------------------------------------------------- lines above, encodings


@pytest.mark.parametrize(
    ("title", "lines"),
    [("Report\n", 1), ('Report\n"1 May 2024 - 2 May 2024"\n', 2), ("Report\r\n\r\nAccount,7\r\n", 3)],
)
def test_lines_above_the_header_are_skipped_where_told(title: str, lines: int, tmp_path: Path) -> None:
    path = written(tmp_path, title + (TOUCHES.replace("\n", "\r\n") if "\r" in title else TOUCHES))
    with pytest.raises(InputError, match=f"line {lines + 1}, below a title.*skip_rows = {lines}"):
        channels(path)
    assert channels(at.TableSpec(source=path, skip_rows=lines)) == BOTH


def test_texts_with_other_marks_are_no_title(tmp_path: Path) -> None:
    path = written(tmp_path, "customer_id;touched_at;channel\n" + "a;2024-05-01 08:00;x, y, z, w\n" * 3)
    assert channels(path) == {"x, y, z, w": 1.0, "(unattributed)": 1.0}


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1252", "utf-16-be"])
@pytest.mark.parametrize("mark", [",", "\t"])
def test_encodings_are_read_where_told(encoding: str, mark: str, tmp_path: Path) -> None:
    path = written(tmp_path, TOUCHES.replace(",", mark).encode(encoding))
    with pytest.raises(InputError):
        channels(path)
    assert channels(at.TableSpec(source=path, encoding=encoding)) == BOTH


def test_an_encoding_is_hinted_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="encoding = 'utf-16'"):
        channels(written(tmp_path, TOUCHES.encode("utf-16")))
    with pytest.raises(InputError, match="encoding = 'cp1252'"):
        channels(written(tmp_path, TOUCHES.encode("latin-1")))
    far = TOUCHES + "c,2024-05-01 08:00,mail\n" * 60_000
    with pytest.raises(InputError, match="set encoding"):
        channels(written(tmp_path, far.encode() + "c,2024-05-01 08:00,Köln\n".encode("latin-1")))
    with pytest.raises(InputError, match="must be an encoding such as"):
        at.TableSpec(source="t.csv", encoding="base64")
    with pytest.raises(InputError, match="set encoding to that of the file"):
        channels(at.TableSpec(source=written(tmp_path, TOUCHES.encode("utf-8")), encoding="ascii"))


def test_keys_of_files_are_refused_for_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"customer_id": ["a"], "touched_at": [1], "channel": ["x"]}), path)
    for keys in ({"skip_rows": 1}, {"encoding": "latin-1"}, {"sheet": "x"}):
        with pytest.raises(InputError, match="changes nothing in files of this format"):
            at.load_sources(at.TableSpec(source=path, **keys), ORDERS)
    with pytest.raises(InputError, match="skip_rows is a key of files"):
        at.load_sources(at.TableSpec(query=f"select * from '{path}'", skip_rows=1), ORDERS)


# ------------------------------------------------------------------- JSON, Parquet, Excel

ROWS = [
    {"customer_id": "a", "touched_at": "2024-05-01 08:00", "channel": "Köln"},
    {"customer_id": "b", "touched_at": "2024-05-02 08:00", "channel": "print"},
]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_json_array_is_read_as_lines_are(indent: int | None, encoding: str, tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps(ROWS, indent=indent, ensure_ascii=False).encode(encoding), "t.json")
    table = at.TableSpec(source=path, encoding=None if encoding == "utf-8" else encoding)
    assert channels(table) == BOTH


def test_json_arrays_and_lines_may_stand_side_by_side(tmp_path: Path) -> None:
    lines = written(tmp_path, json.dumps(ROWS[0]) + "\n", "1.json")
    array = written(tmp_path, json.dumps([{**ROWS[1], "cost": 5}]), "2.json")
    assert channels([lines, array]) == BOTH
    drift = next(f for f in at.load_sources([lines, array], ORDERS).findings if f.check == "schema_drift")
    assert (drift.count, drift.example) == (1, "cost")


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_texts_without_their_mark_are_texts(kind: pa.DataType, tmp_path: Path) -> None:
    times = [pd.Timestamp(row["touched_at"]) for row in ROWS]
    texts = {name: pa.array([row[name].encode() for row in ROWS], kind) for name in ("customer_id", "channel")}
    table = pa.table({**texts, "touched_at": times})
    pq.write_table(table, tmp_path / "1.parquet")
    assert channels(tmp_path / "1.parquet") == BOTH
    assert channels(table) == BOTH
    assert channels(table.to_pandas()) == BOTH
    marked = pa.table(
        {name: [row[name] for row in ROWS] for name in ("customer_id", "channel")} | {"touched_at": times}
    )
    pq.write_table(marked, tmp_path / "2.parquet")
    both = at.load_sources([tmp_path / "1.parquet", tmp_path / "2.parquet"], ORDERS)
    assert both.tables["touchpoints"].rows == 4
    broken = table.set_column(0, "customer_id", pa.array([b"\xff\xfe", b"x"], kind))
    with pytest.raises(InputError, match="are not ids"):
        at.load_sources(broken, ORDERS)


def sheet(path: Path, *rows: tuple[Any, ...], name: str = "Data") -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    page = book.create_sheet(name, 0) if name else book.active
    for row in rows:
        page.append(row)
    book.save(path)
    return path


def test_sheets_are_read(tmp_path: Path) -> None:
    moments = [pd.Timestamp(row["touched_at"]).to_pydatetime() for row in ROWS]
    header = ("customer_id", "touched_at", "channel", "cost")
    path = sheet(
        tmp_path / "t.xlsx", ("Report",), header, ("a", moments[0], "Köln", 1.5), ("b", moments[1], "print", 2)
    )
    with pytest.raises(InputError, match=r"row 1 of the sheet in .* is no header.*skip_rows"):
        channels(path)
    read = at.TableSpec(source=path, skip_rows=1)
    assert channels(read) == BOTH
    sources = at.load_sources(at.TableSpec(source=path, skip_rows=1, sheet="Data", where="cost > 1.7"), ORDERS)
    assert sources.engine.query("select customer_id, cost from touchpoints").to_pylist() == [
        {"customer_id": "b", "cost": 2.0}
    ]
    with pytest.raises(InputError, match=r"has no sheet 'Dat'.*did you mean 'Data'"):
        channels(at.TableSpec(source=path, sheet="Dat"))
    other = sheet(tmp_path / "u.xlsx", header, ("7", moments[0], "tv", None), (8, moments[0], None, None))
    mixed = at.load_sources(at.TableSpec(source=other), ORDERS).engine.query("select customer_id from touchpoints")
    assert sorted(mixed["customer_id"].to_pylist()) == ["7", "8"]


def test_a_file_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    with pytest.raises(InputError, match="is not a readable Excel file"):
        channels(written(tmp_path, "no zip", "t.xlsx"))


def test_without_openpyxl_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(InputError, match=r"Excel files need openpyxl.*journey-attribution\[excel\]"):
        channels(written(tmp_path, b"", "t.xlsx"))


# ------------------------------------------------------------------- SQL in columns


def test_columns_may_be_sql_that_reads() -> None:
    raw = pd.DataFrame(
        {"id": ["A", "B"], "moment": ["2024-05-01", "2024-05-02"], "net-cost": [300, 500], "cents": [100, 200]}
    )
    columns = {
        "customer_id": "lower(id)", "touched_at": "moment || ' 08:00'", "channel": "'radio'",
        "cost": '("net-cost" + cents) / 100',
    }  # fmt: skip
    sources = at.load_sources(at.TableSpec(source=raw, columns=columns), ORDERS)
    rows = sources.engine.query("select customer_id, channel, cost from touchpoints order by 1").to_pylist()
    assert [tuple(row.values()) for row in rows] == [("a", "radio", 4.0), ("b", "radio", 7.0)]
    named = raw.rename(columns={"cents": "cents / 100"})
    spec = at.TableSpec(source=named, columns={**columns, "cost": "cents / 100"})
    assert at.load_sources(spec, ORDERS).engine.query("select max(cost) as x from touchpoints")["x"].to_pylist() == [
        200.0
    ]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("cost) , (cost", "exactly one expression"),
        ("*, 1", "expression"),
        ("cost) from t where (1 = 1", "columns.cost: Parser Error"),
        ("getenv('HOME')", "not allowed"),
        ("(select x from 'https://host/a.csv')", "cannot be read"),
        ("nothing / 2", "check the SQL in columns"),
        ("Kost (EUR)", "table 'touchpoints' cannot be read"),
        ("cost /", "it is no SQL either"),
    ],
)
def test_columns_that_do_more_than_read_are_refused(expression: str, said: str) -> None:
    raw = pd.DataFrame({"customer_id": ["a"], "touched_at": ["2024-05-01"], "channel": ["x"], "Cost (EUR)": [1.0]})
    columns = {name: name for name in ("customer_id", "touched_at", "channel")} | {"cost": expression}
    with pytest.raises(InputError, match=said):
        at.load_sources(at.TableSpec(source=raw, columns=columns), ORDERS)


def test_a_model_folder_runs_no_query_of_a_column(tmp_path: Path) -> None:
    scorer_reads = {"touchpoints": {"columns": {"channel": "(select max(x) from 'secret.csv')"}}}
    with pytest.raises(InputError, match="reads a column of the table touchpoints by a query"):
        Definition(reading=scorer_reads).refuse_other_tables("model.json")
    Definition(reading={"touchpoints": {"columns": {"cost": "Cost (EUR)", "x": "a / 2"}}}).refuse_other_tables("m")


# ------------------------------------------------------------------- downloads of platforms


def test_downloads_of_google_ads_are_read(tmp_path: Path) -> None:
    text = (
        'Campaigns\n"May"\nDay,Campaign,Campaign type,Currency code,Cost\n2024-05-01,a,Search,EUR,"1,000.50"\n'
        '2024-05-02,b,Demand Gen,EUR,20.00\nTotal: Account, --, --,EUR,"1,020.50"\n'
    )
    path = written(tmp_path, text, "g.csv")
    keys = {"adapter": "google_ads", "source": path, "skip_rows": 2, "thousands": ","}
    spec = at.TableSpec(**keys, where="Day not like 'Total%'")
    sources = at.load_sources(ORDERS.rename(columns={"converted_at": "touched_at"}).assign(channel="x"), ORDERS, spec)
    rows = sources.engine.query("select channel, campaign, amount, currency from costs order by amount").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("Cross-network", "b", 20.0, "EUR"),
        ("Paid Search", "a", 1000.5, "EUR"),
    ]
    with pytest.raises(InputError, match="rows of totals, leave them out with where"):
        at.load_sources(written(tmp_path, TOUCHES), ORDERS, at.TableSpec(**keys))


@pytest.mark.parametrize("day", ["Day,", ""])
def test_downloads_of_meta_are_read(day: str, tmp_path: Path) -> None:
    rows = [("", "", "30.5", "2024-05-01", "2024-05-02"), ("a", "2024-05-01,", "10", "2024-05-01", "2024-05-01"),
            ("b", "2024-05-02,", "20.5", "2024-05-02", "2024-05-02")]  # fmt: skip
    lines = [f"{name},{on if day else ''}{amount},{first},{last}" for name, on, amount, first, last in rows]
    lines[0] = f",{',' if day else ''}30.5,2024-05-01,2024-05-02"
    text = f"Campaign name,{day}Amount spent (GBP),Reporting starts,Reporting ends\n" + "\n".join(lines) + "\n"
    path = written(tmp_path, text, "m.csv")
    touches = written(tmp_path, TOUCHES)
    spec = at.TableSpec(adapter="meta_ads", source=path, where='"Campaign name" is not null')
    sources = at.load_sources(touches, ORDERS, spec)
    rows_read = sources.engine.query("select campaign, amount, currency from costs order by campaign").to_pylist()
    assert [tuple(row.values()) for row in rows_read] == [("a", 10.0, "GBP"), ("b", 20.5, "GBP")]
    with pytest.raises(InputError, match=r"of the rows without a (day|campaign) sum up those with one"):
        at.load_sources(touches, ORDERS, at.TableSpec(adapter="meta_ads", source=path))


# ------------------------------------------------------------------- clocks


@pytest.mark.parametrize(
    "written_at",
    ["2024-05-01 08:00:00 UTC", "2024-05-01 08:00:00.000000 UTC", "2024-05-01 08:00:00 +0000", "2024-05-01 08:00 GMT",
     "2024-05-01 08:00:00.000 Z", "2024-05-01 10:00:00.000 +0200", "2024-05-01T08:00:00Z"],
)  # fmt: skip
def test_times_of_warehouses_are_read(written_at: str) -> None:
    table = pd.DataFrame(
        {"customer_id": ["a", "a"], "touched_at": [written_at, "2024-05-01 07:00:00Z"], "channel": "x"}
    )
    sources = at.load_sources(table, ORDERS.assign(converted_at=["2024-05-03 00:00:00 UTC", "2024-05-03T00:00:00Z"]))
    found = sources.engine.query("select max(touched_at) as t from touchpoints")["t"].to_pylist()
    assert found == [1_714_550_400_000_000]
    assert sources.zoned is True


def zoned(*moments: str, zone: str = "Europe/Berlin") -> list[tuple[str, str, float]]:
    table = pd.DataFrame({"customer_id": "a", "touched_at": [*moments], "channel": "x"})
    orders = at.TableSpec(source=ORDERS, time_zone=zone)
    findings = at.load_sources(at.TableSpec(source=table, time_zone=zone), orders).findings
    return [(f.check, f.status, f.count) for f in findings if f.check.startswith("times_that")]


def test_times_that_no_clock_shows_or_that_come_twice_are_said() -> None:
    assert zoned("2024-03-31 01:59", "2024-03-31 03:00", "2024-10-27 03:00", "2024-10-27 01:59:59") == []
    assert zoned("2024-03-31 02:00", "2024-03-31 02:59:59.5", "2024-03-31 03:00") == [
        ("times_that_never_were", "warn", 2)
    ]
    assert zoned("2024-10-27 02:30", "2024-10-27 02:00") == [("times_that_came_twice", "pass", 2)]
    assert zoned("2024-10-06 02:15", "2024-04-07 01:45", zone="Australia/Lord_Howe") == [
        ("times_that_never_were", "warn", 1), ("times_that_came_twice", "pass", 1),
    ]  # fmt: skip
    assert zoned("2024-03-31 02:30", zone="Asia/Kolkata") == []
    assert zoned("2024-03-31", zone="Europe/Berlin") == []
    assert clock_changes("Nowhere/At_all") == ((), ())


DAYS = pd.DataFrame({"customer_id": ["a", "b"], "converted_at": ["2024-05-01", "2024-05-02"]})


@pytest.mark.parametrize(
    ("times", "keys"),
    [
        (["2024-05-01", "2024-05-02"], {}),
        (["2024-05-01 00:00", "2024-05-02 00:00:00"], {"time_zone": "America/New_York"}),
        (["2024-05-01T00:00:00-04:00", "2024-05-02T00:00:00-04:00"], {}),
        ([20240501, 20240502], {"time_format": "%Y%m%d"}),
        ([pd.Timestamp("2024-05-01").date(), pd.Timestamp("2024-05-02").date()], {}),
        ([pd.Timestamp("2024-05-01"), pd.Timestamp("2024-05-02")], {}),
    ],
)
def test_touches_of_the_day_of_a_mere_day_count_where_told(
    times: list[Any], keys: dict[str, str], tmp_path: Path
) -> None:
    zone = {} if not keys.get("time_zone") else keys
    offset = "-04:00" if isinstance(times[0], str) and times[0].endswith("-04:00") else ""
    text = TOUCHES.replace("08:00", "08:00:00" + offset)
    touches = at.TableSpec(source=written(tmp_path, text), **zone)
    orders = DAYS.assign(converted_at=times)
    assert channels(touches, at.TableSpec(source=orders, **keys)) == {"(unattributed)": 2.0}
    counted = at.TableSpec(source=orders, **keys, same_day="counts")
    assert channels(touches, counted) == BOTH
    later = at.TableSpec(source=written(tmp_path, text.replace(" 08", " 23").replace("-01", "-02")), **zone)
    assert channels(later, counted) == {"(unattributed)": 1.0, "print": 1.0}


def test_times_with_a_clock_stay_what_they_are(tmp_path: Path) -> None:
    orders = DAYS.assign(converted_at=["2024-05-01 07:59", "2024-05-02 00:00"])
    counted = at.TableSpec(source=orders, same_day="counts")
    assert channels(written(tmp_path, TOUCHES), counted) == {"(unattributed)": 1.0, "print": 1.0}
    order = pd.DataFrame({"customer_id": ["a"], "touched_at": [1], "channel": ["x"]})
    with pytest.raises(InputError, match="same_day is for days, and these are positions"):
        at.load_sources(order, at.TableSpec(source=DAYS.assign(converted_at=[1, 2]), same_day="counts"))
