"""Several source columns of one canonical column: the first of those present that is not null."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from tests.scale import examples

MAP = {"touched_at": "at", "customer_id": "id"}
ORDERS = pd.DataFrame({"customer_id": ["a", "b"], "converted_at": ["2024-01-05"] * 2, "value": [1.0, 2.0]})


def touches(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"id": ["a", "b"], "at": ["2024-01-01", "2024-01-02"], **columns})


def load(source: Any, columns: dict[str, Any], **more: Any) -> at.Sources:
    return at.load_sources(at.TableSpec(source=source, columns=MAP | columns, **more), ORDERS)


def column(sources: at.Sources, name: str = "channel") -> list[Any]:
    found = sources.engine.query(f'select "{name}" as v from touchpoints order by touched_at, customer_id')
    return found["v"].to_pylist()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"channel": ["x", None], "chan": ["y", "z"]}, ["x", "z"]),
        ({"channel": [" ", ""], "chan": ["y", "z"]}, ["y", "z"]),
        ({"channel": ["x", None], "chan": [None, None]}, ["x", None]),
        ({"chan": ["y", "z"]}, ["y", "z"]),
        ({"channel": ["x", "y"]}, ["x", "y"]),
        ({"channel": ["x", None], "chan": ["y", "z"], "channel or chan": ["no", "no"]}, ["x", "z"]),
    ],
)
def test_the_first_that_is_not_null(columns: dict[str, list[Any]], expected: list[Any]) -> None:
    assert column(load(touches(**columns), {"channel": ["channel", "chan"]})) == expected


def test_numbers_and_ids() -> None:
    frame = pd.DataFrame({
        "at": ["2024-01-01", "2024-01-02"], "channel": "mail",
        "u": pd.array([1, None], "Int64"), "v": pd.array([5, 7], "Int32"), "c": [None, 0.5], "d": [2, 3],
    })  # fmt: skip
    spec = at.TableSpec(
        source=frame,
        columns={"customer_id": ["u", "v"], "touched_at": "at", "channel": "channel", "cost": ["c", "d"]},
    )
    sources = at.load_sources(spec, ORDERS.assign(customer_id=[1, 7]))
    assert column(sources, "customer_id") == [1, 7]
    assert column(sources, "cost") == [2.0, 0.5]


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_files_of_which_some_renamed_a_column(tmp_path: Path, kind: str) -> None:
    for n, name in enumerate(("channel", "渠道"), 1):
        frame = touches(**{name: [f"x{n}", f"y{n}"]})
        if kind == "csv":
            frame.to_csv(tmp_path / f"{n}.csv", index=False)
        elif kind == "parquet":
            pq.write_table(pa.Table.from_pandas(frame), tmp_path / f"{n}.parquet")
        else:
            frame.to_json(tmp_path / f"{n}.jsonl", orient="records", lines=True)
    source = str(tmp_path / f"*.{kind}")
    if kind != "jsonl":  # any line of JSON may lack any key
        with pytest.raises(InputError, match=r'columns = \{ channel = \["channel", "渠道"\] \}'):
            load(source, {"channel": "channel"})
    sources = load(source, {"channel": ["channel", "渠道"]})
    assert sorted(column(sources)) == ["x1", "x2", "y1", "y2"]
    drift = next(finding for finding in sources.findings if finding.check == "schema_drift")
    assert (drift.table, drift.status, drift.example) == ("touchpoints", "warn", "channel")


def test_an_optional_column_that_some_files_lack(tmp_path: Path) -> None:
    touches(channel=["x", "y"], cost=[1.0, 2.0]).to_csv(tmp_path / "1.csv", index=False)
    touches(channel=["x", "y"]).to_csv(tmp_path / "2.csv", index=False)
    source = str(tmp_path / "*.csv")
    with pytest.raises(InputError, match=r'cost = \["cost"\] \} sets it to null where it is missing'):
        load(source, {"channel": "channel", "cost": "cost"})
    costs = column(load(source, {"channel": "channel", "cost": ["cost"]}), "cost")
    assert sorted(costs, key=str) == [1.0, 2.0, None, None]


def test_a_required_column_that_some_files_lack(tmp_path: Path) -> None:
    touches(channel=["x", "y"]).to_csv(tmp_path / "1.csv", index=False)
    touches(channel=["x", "y"]).drop(columns="at").to_csv(tmp_path / "2.csv", index=False)
    with pytest.raises(InputError, match=r"'at' or 'time' is missing in 1 of 2.*leave those files out"):
        load(str(tmp_path / "*.csv"), {"channel": "channel", "touched_at": ["at", "time"]})


def test_columns_that_are_not_read_may_drift(tmp_path: Path) -> None:
    touches(channel=["x", "y"], note=["", ""]).to_csv(tmp_path / "1.csv", index=False)
    touches(channel=["x", "y"]).to_csv(tmp_path / "2.csv", index=False)
    sources = load(str(tmp_path / "*.csv"), {"channel": "channel"})
    assert sources.tables["touchpoints"].rows == 4
    assert [finding.status for finding in sources.findings if finding.check.endswith("drift")] == ["warn", "pass"]


def test_files_of_different_types(tmp_path: Path) -> None:
    for n, ids in enumerate(([1, 2], ["1", "2"])):
        pq.write_table(pa.Table.from_pandas(touches(channel=["x", "y"]).assign(id=ids)), tmp_path / f"{n}.parquet")
    with pytest.raises(InputError, match=r"'id' is number in 0\.parquet, text in 1\.parquet"):
        load(str(tmp_path / "*.parquet"), {"channel": "channel"})


def test_none_of_several_is_there() -> None:
    with pytest.raises(InputError, match=r"none of the source columns \['chanel', 'kanal'\].*did you mean 'chan'"):
        load(touches(chan=["x", "y"]), {"channel": ["chanel", "kanal"]})


def test_several_of_different_kinds() -> None:
    with pytest.raises(InputError, match="have different types"):
        load(touches(channel=["x", None], chan=[1, 2]), {"channel": ["channel", "chan"]})


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_lists_that_say_nothing(names: list[str]) -> None:
    with pytest.raises(InputError, match="one or more different source columns"):
        at.TableSpec(source="t.csv", columns={"channel": names})


def test_a_merged_column_goes_with_a_filter_and_a_time_format() -> None:
    frame = touches(channel=["x", "y"], late=["03/01/2024", None])
    frame["at"] = [None, "02/01/2024"]
    columns = {"channel": "channel", "touched_at": ["at", "late"]}
    assert column(load(frame, columns, time_format="%d/%m/%Y")) == ["y", "x"]
    assert column(load(frame, columns, time_format="%d/%m/%Y", where="channel <> 'y'")) == ["x"]


@examples(14)
@given(st.lists(st.tuples(*[st.sampled_from([None, "", " ", "a", "b"])] * 3), min_size=1, max_size=12))
def test_like_the_first_that_is_not_blank(rows: list[tuple[str | None, ...]]) -> None:
    n = len(rows)
    table = pa.table({
        "id": [str(i) for i in range(n)], "at": pa.array(range(n), pa.timestamp("us")),
        **{name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate("xyz")},
    })  # fmt: skip
    spec = at.TableSpec(source=table, columns=MAP | {"channel": ["x", "y", "z"]})
    expected = [next((value for value in row if value and value.strip()), None) for row in rows]
    sources = at.load_sources(spec, ORDERS.assign(converted_at=pd.Timestamp("2024-01-05")))
    assert column(sources) == expected
