"""Ids that are texts: UUIDs travel as numbers, and nobody can tell."""

from __future__ import annotations

import uuid
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.data.loading.events import open_events
from attribution.kernels.journeys.batches import customer_ids, customer_starts, id_changes
from attribution.kernels.journeys.ids import uuid_texts, uuid_words

CUSTOMERS = 60
CANONICAL = [str(uuid.UUID(int=(n * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << 128))) for n in range(1, CUSTOMERS + 1)]
# Time-ordered ids share their first half, and ids of one machine their second.
HALVES = [f"01890a5d-ac96-774b-bcce-b302099a{n:04x}" for n in range(30)]
HALVES += [f"0189{n:04x}-ac96-774b-bcce-b302099a8057" for n in range(CUSTOMERS - 30)]
IDS = {
    "canonical": CANONICAL,
    "equal halves": HALVES,
    "upper": [name.upper() for name in CANONICAL],
    "one upper": [name.upper() if n == 59 else name for n, name in enumerate(CANONICAL)],
    "both cases": [name.upper() if n % 2 else CANONICAL[n + 1] for n, name in enumerate(CANONICAL)],
    "braces": [f"{{{name}}}" for name in CANONICAL],
    "no dashes": [name.replace("-", "") for name in CANONICAL],
    "dash elsewhere": [*CANONICAL[:-1], "0000000-00000-0000-0000-000000000000"],
    "no digit": [*CANONICAL[:-1], "g0000000-0000-0000-0000-000000000000"],
    "longer": [*CANONICAL[:-1], f"{CANONICAL[-1]}0"],
    "padded": [*CANONICAL[:-1], f" {CANONICAL[-1]}"],
    "wide": [*CANONICAL[:-1], f"é{CANONICAL[-1][2:]}"],
    "short": [f"customer {n}" for n in range(CUSTOMERS)],
}


def tables(names: list[Any]) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(5)
    start = np.datetime64("2024-01-01", "us")
    touched, converted = rng.integers(0, CUSTOMERS, 900), rng.integers(0, CUSTOMERS, 120)
    return {
        "touchpoints": pd.DataFrame(
            {
                "customer_id": [names[n] for n in touched],
                "touched_at": start + rng.integers(0, 60 * 24, 900) * np.timedelta64(1, "h"),
                "channel": rng.choice(["search", "mail", "tv"], 900),
            }
        ),
        "conversions": pd.DataFrame(
            {
                "customer_id": [names[n] for n in converted],
                "converted_at": start + rng.integers(0, 60 * 24, 120) * np.timedelta64(1, "h"),
                "value": rng.integers(1, 9, 120).astype(float),
            }
        ),
    }


def listed(given: dict[str, Any], **settings: Any) -> Counter[tuple[Any, ...]]:
    """Every journey in full, as a multiset."""
    journeys = at.build_journeys(at.load_sources(**given, engine=at.DuckDBEngine(**settings)), lookback_days=10)
    found: Counter[tuple[Any, ...]] = Counter()
    for chunk in journeys:
        assert chunk.customer_ids is not None
        assert chunk.touched_at is not None
        names = chunk.customer_ids.to_pylist()
        for j in range(len(chunk)):
            steps = slice(chunk.start[j], chunk.stop[j])
            touches = tuple(chunk.touched_at[steps].tolist()), tuple(chunk.channel[steps].tolist())
            found[names[chunk.customer[j]], touches, chunk.conversion[j] >= 0, float(chunk.value[j])] += 1
    return found


@cache
def numbered() -> Counter[tuple[Any, ...]]:
    """With integers as ids."""
    return listed(tables(list(range(CUSTOMERS))), partitions=3)


@pytest.mark.parametrize("kind", IDS)
def test_partitions_change_no_journey_and_no_id(kind: str) -> None:
    """Against the same histories held in memory, and with integers as ids."""
    names = IDS[kind]
    whole = listed(tables(names))
    assert {name for name, *_ in whole} <= set(names)
    assert whole == listed(tables(names), partitions=3, batch_rows=50)
    assert whole == listed(tables(names), partitions=100)
    named: Counter[tuple[Any, ...]] = Counter()
    for (number, *rest), count in numbered().items():
        named[names[number], *rest] += count  # in "both cases" no two customers share a name either
    assert whole == named


@pytest.mark.parametrize(("kind", "packed"), [("canonical", True), ("no digit", False)])
def test_only_uuids_are_written_as_numbers(kind: str, packed: bool) -> None:
    engine = at.DuckDBEngine(partitions=3)
    events = open_events(at.load_sources(**tables(IDS[kind]), engine=engine)).events
    kinds = engine.map_partitions(events, lambda batches: [batch.schema.field("customer_id").type for batch in batches])
    assert kinds == [[pa.struct({"high": pa.int64(), "low": pa.int64()}) if packed else pa.string()]] * 3


def test_one_customer_alone_has_journeys() -> None:
    """DuckDB hands over a column of one value in a shape of its own."""
    names = [CANONICAL[0]] * CUSTOMERS
    assert listed(tables(names), partitions=3) == listed(tables(names))


@pytest.mark.parametrize("lacking", [None, "", "  "])
@pytest.mark.parametrize("format", ["frame", "parquet", "statistics in one file", "no statistics"])
def test_ids_that_are_lacking_are_counted(lacking: str | None, format: str, tmp_path: Path) -> None:
    """Whatever the statistics of Parquet files tell; they are asked for the smallest id."""
    given: dict[str, Any] = tables(CANONICAL)
    for name in given:
        given[name].loc[given[name].index[-7:], "customer_id"] = lacking
    frames = dict(given)
    if format != "frame":
        for name, frame in frames.items():
            halves = [frame.iloc[:50], frame.iloc[50:]]
            for n, half in enumerate(halves):
                kept = format == "parquet" or (format == "statistics in one file" and n == 0)
                half.to_parquet(tmp_path / f"{name}-{n}.parquet", write_statistics=kept, row_group_size=20)
            given[name] = str(tmp_path / f"{name}-*.parquet")
    assert listed(given, partitions=2) == listed({name: frame.iloc[:-7] for name, frame in frames.items()})
    findings = at.build_journeys(at.load_sources(**given)).findings
    counted = {(finding.check, finding.table): finding.count for finding in findings}
    assert counted["null_customer", "touchpoints"] == 7
    assert counted["null_customer", "conversions"] == 7


def test_only_parquet_is_asked_what_it_rules_out(tmp_path: Path) -> None:
    given = tables(CANONICAL)["conversions"]
    given.to_parquet(tmp_path / "ids.parquet")
    given.to_csv(tmp_path / "ids.csv", index=False)
    for file, told in (("ids.parquet", True), ("ids.csv", False)):
        engine = at.DuckDBEngine()
        at.load_sources(conversions=str(tmp_path / file), engine=engine)
        assert engine.rules_out("raw_conversions", "customer_id < '!'") == told
        assert not engine.rules_out("raw_conversions", "customer_id > '!'")


@given(st.lists(st.uuids(), max_size=20), st.integers(0, 3))
def test_a_uuid_is_two_numbers_and_itself_again(ids: list[uuid.UUID], cut: int) -> None:
    texts = pa.array([str(name) for name in ids], pa.string()).slice(min(cut, len(ids)))
    words = uuid_words(texts)
    assert words is not None
    halves = [(name.int >> 64, name.int & (1 << 64) - 1) for name in ids[cut:]]
    assert [(w["high"] % (1 << 64), w["low"] % (1 << 64)) for w in words.to_pylist()] == halves
    assert uuid_texts(words).equals(texts)
    assert uuid_texts(words.slice(1)).equals(texts.slice(1))


@given(st.sampled_from(CANONICAL), st.integers(0, 35), st.characters(codec="utf-8"))
def test_only_what_comes_back_as_itself_is_a_uuid(name: str, place: int, other: str) -> None:
    changed = name[:place] + other + name[place + 1 :]
    words = uuid_words(pa.array([name, changed]))
    try:
        same = str(uuid.UUID(changed)) == changed
    except ValueError:
        same = False
    assert (words is not None) == same
    if words is not None:
        assert uuid_texts(words).to_pylist() == [name, changed]


@pytest.mark.parametrize("texts", [[None], [""], [CANONICAL[0], None]])
def test_a_missing_text_is_no_uuid(texts: list[str | None]) -> None:
    assert uuid_words(pa.array(texts, pa.string())) is None


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12))
def test_two_ids_differ_in_either_half(halves: list[tuple[int, int]]) -> None:
    texts = pa.array([str(uuid.UUID(int=(high << 64) + low)) for high, low in halves])
    words = uuid_words(texts)
    assert words is not None
    assert id_changes(words).tolist() == [a != b for a, b in zip(halves[1:], halves, strict=False)]
    starts = customer_starts(words)
    assert starts.tolist() == customer_starts(texts).tolist()
    assert customer_ids(words, starts).equals(customer_ids(texts, starts))
