"""Parts of scores: which journeys a writer takes, and the table of each day that comes of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import attribution as at
from attribution.errors import LawError
from attribution.journeys import JourneyChunk, Journeys, journeys_by_day
from attribution.models.saved import Scorer
from attribution.production.scoring.days import day_number
from attribution.production.scoring.parts import Names, Parts, PartWriter


def test_the_first_conversion_is_written_and_journeys_without_one_are_not(tmp_path: Path) -> None:
    """Three customers of one day: the first and the last of the file convert."""
    touchpoints = pd.DataFrame(
        {"customer_id": ["a", "b", "c"], "touched_at": "2024-03-01 10:00", "channel": ["mail", "search", "mail"]}
    )
    conversions = pd.DataFrame(
        {"customer_id": ["a", "c"], "converted_at": "2024-03-01 12:00", "conversion_id": ["one", "two"], "value": 2.0}
    )
    journeys = journeys_by_day(at.load_sources(touchpoints, conversions), lookback_days=1)
    scorer = Scorer.of(at.Linear().fit(journeys), name="shop")
    days = np.array([np.datetime64("2024-03-01", "D").astype(np.int64)])
    journeys.read(PartWriter(tmp_path, scorer.apply(journeys), days))
    parts = ds.dataset(tmp_path, format="ipc").to_table().to_pandas()
    assert sorted(parts["row"]) == [0, 1]
    elsewhere = tmp_path / "another day"
    elsewhere.mkdir()
    journeys.read(PartWriter(elsewhere, scorer.apply(journeys), days + 1))
    assert not list(elsewhere.iterdir())


class Rising:
    """Each touchpoint weighs its position, and the baseline as much as the first."""

    label = "rising"

    def __init__(self, estimand: str) -> None:
        self.estimand = estimand

    def weigh(self, chunk: JourneyChunk) -> Any:
        return np.arange(len(chunk.channel)) - np.repeat(chunk.offsets[:-1], chunk.lengths) + 1.0

    def weigh_baseline(self, chunk: JourneyChunk) -> Any:
        return np.ones(len(chunk))


FIRST, SECOND, THIRD = (day_number(f"2024-03-0{day}") for day in (1, 2, 3))


def four_orders(campaigns: bool = True) -> Journeys:
    """An order on the first of March, three on the second and one on the third; three had no touchpoint."""
    touchpoints = pd.DataFrame(
        [("a", "2024-03-01 08:00", "mail", "spring"), ("a", "2024-03-01 09:00", "search", None),
         ("c", "2024-03-01 23:00", "mail", "autumn"), ("z", "2024-02-29 23:00", "tv", None)],
        columns=["customer_id", "touched_at", "channel", "campaign"],
    )  # fmt: skip
    conversions = pd.DataFrame(
        [("a", "2024-03-01 12:00", "1", 12.0), ("b", "2024-03-02 13:00", "2", 4.0),
         ("c", "2024-03-02 00:00", "3", 6.0), ("d", "2024-03-02 23:59", "4", 8.0), ("e", "2024-03-03 00:00", "5", 0.0)],
        columns=["customer_id", "converted_at", "conversion_id", "value"],
    )  # fmt: skip
    return journeys_by_day(
        at.load_sources(touchpoints if campaigns else touchpoints.drop(columns="campaign"), conversions),
        lookback_days=2,
    )


def parts_of(folder: Path, journeys: Journeys, estimand: str, days: tuple[int, ...] = (FIRST, SECOND, THIRD)) -> Parts:
    (summary,) = journeys.read(PartWriter(folder, Rising(estimand), np.array(days)))  # type: ignore[arg-type]
    return Parts(folder, summary.tables["parts"].keys[:, 0].tolist())


def names_of(journeys: Journeys) -> Names:
    return Names("shop", "7f", journeys.channels, journeys.dimensions, journeys.conversion_ids())


def shown(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = ("conversion_id", "customer_id", "channel", "campaign", "position", "credit", "credited_value")
    return [tuple(row[name] for name in columns) for row in table.to_pylist()]


def test_a_day_has_the_rows_of_its_touchpoints_and_then_of_the_baseline(tmp_path: Path) -> None:
    journeys = four_orders()
    parts = parts_of(tmp_path, journeys, "incremental")
    assert parts.days == [FIRST, SECOND, THIRD]
    names = names_of(journeys)
    first, second, third = (parts.table(day, names) for day in parts.days)
    assert shown(first) == [
        ("1", "a", "mail", "spring", 1, 0.25, 3.0),
        ("1", "a", "search", None, 2, 0.5, 6.0),
        ("1", "a", "(baseline)", None, None, 0.25, 3.0),
    ]
    assert shown(second) == [
        ("2", "b", "(unattributed)", None, None, 1.0, 4.0),
        ("3", "c", "mail", "autumn", 1, 0.5, 3.0),
        ("3", "c", "(baseline)", None, None, 0.5, 3.0),
        ("4", "d", "(unattributed)", None, None, 1.0, 8.0),
    ]
    assert shown(third) == [("5", "e", "(unattributed)", None, None, 1.0, 0.0)]
    times = [pd.Timestamp("2024-03-01 08:00"), pd.Timestamp("2024-03-01 09:00"), None]
    assert first["touched_at"].to_pylist() == times
    assert {(row["model"], row["model_version"]) for row in first.to_pylist()} == {("shop", "7f")}


def test_a_model_without_a_baseline_divides_all_and_tables_without_campaigns_have_none(tmp_path: Path) -> None:
    journeys = four_orders(campaigns=False)
    parts = parts_of(tmp_path, journeys, "allocated", (SECOND, SECOND + 9))
    assert parts.days == [SECOND]
    assert shown(parts.table(SECOND, names_of(journeys))) == [
        ("2", "b", "(unattributed)", None, None, 1.0, 4.0),
        ("3", "c", "mail", None, 1, 1.0, 6.0),
        ("4", "d", "(unattributed)", None, None, 1.0, 8.0),
    ]


def test_touchpoints_of_new_channels_are_counted_by_day(tmp_path: Path) -> None:
    journeys = four_orders()
    parts = parts_of(tmp_path, journeys, "incremental")
    unknown = {journeys.channels.index(name): name for name in ("mail", "tv")}
    assert [parts.unknown(day, unknown) for day in parts.days] == [{"mail": 1}, {"mail": 1}, {}]
    assert parts.unknown(FIRST, {journeys.channels.index("search"): "search"}) == {"search": 1}
    assert parts.unknown(SECOND, {journeys.channels.index("search"): "search"}) == {}


@pytest.mark.parametrize(("off", "fits"), [(0.0, True), (9e-10, True), (-9e-10, True), (2e-9, False), (-2e-9, False)])
def test_credit_that_does_not_add_up_is_refused(tmp_path: Path, off: float, fits: bool) -> None:
    journeys = four_orders()
    writer = PartWriter(tmp_path, Rising("allocated"), np.array([FIRST]))  # type: ignore[arg-type]
    journeys.read(writer)
    (path,) = tmp_path.iterdir()
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        table, schema = reader.read_all(), reader.schema
    credit = table["credit"].to_numpy().copy()
    credit[-1] += off
    table = table.set_column(table.column_names.index("credit"), "credit", pa.array(credit)).cast(schema)
    changed = tmp_path / "part-1.arrow"
    with pa.OSFile(str(changed), "wb") as sink, pa.ipc.new_file(sink, schema) as out:
        out.write_table(table)
    if fits:
        assert Parts(tmp_path, [1]).table(FIRST, names_of(journeys)).num_rows == 2
    else:
        with pytest.raises(LawError, match=r"adds up to (1.00000000|0.9999999)[0-9]+, not 1"):
            Parts(tmp_path, [1]).table(FIRST, names_of(journeys))


def test_the_number_of_a_part_fits_into_what_sums_have_for_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: b"\xff" * size)
    parts_of(tmp_path, four_orders(), "allocated")
    assert [path.name for path in tmp_path.iterdir()] == [f"part-{2**56 - 1:x}.arrow"]
