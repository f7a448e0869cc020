"""The measured processes on touchpoints and conversions: (a) sort, (b) journeys, (c) models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attribution as at
from attribution.data.engine import Engine
from benchmarks.clock import Clock, arguments
from benchmarks.data import EVENT_CHANNELS, TINY, event_files

Files = tuple[Path, Path]


def sort(files: Files, clock: Clock) -> dict[str, Any]:
    """(a): DuckDB alone reads both tables, sorts them by customer and time, and hands them over as Arrow."""
    import duckdb

    touchpoints, conversions = files
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    connection.execute("set preserve_insertion_order = false")
    names = ", ".join(f"'channel {number:02d}'" for number in range(1, EVENT_CHANNELS + 1))
    connection.execute(f"create type channel_enum as enum ({names})")
    sql = f"""
        select customer_id, touched_at as happened_at, channel::channel_enum as channel, null::double as value
        from read_parquet('{touchpoints}')
        union all
        select customer_id, converted_at, null, value from read_parquet('{conversions}')
        order by customer_id, happened_at
    """
    with clock.step("sort"):
        table = connection.sql(sql).to_arrow_table()
    return {"rows": table.num_rows}


def journeys(files: Files, clock: Clock) -> dict[str, Any]:
    """(b): from files to journeys, with every check on the way."""
    with clock.step("journeys"):
        built = at.build_journeys(at.load_sources(*files))
    return {"journeys": len(built), "touchpoints": sum(len(chunk.channel) for chunk in built)}


def models(files: Files, clock: Clock) -> dict[str, Any]:
    """(c): every model on journeys that are there already, one by one and in one pass."""
    built = at.build_journeys(at.load_sources(*files))
    for model in ten_models():
        with clock.step(model.label):
            model.fit(built)
    with clock.step("all in one pass"):
        at.attribute(built, ten_models())
    return {"journeys": len(built)}


def credit(files: Files, clock: Clock, *, limit: int = 1 << 30) -> dict[str, Any]:
    """(d): from files to the credit of every model, the process within ``limit`` bytes."""
    with clock.step("credit"):
        found = credit_of(files, at.DuckDBEngine(memory_limit=limit))
    return {"credit": digest(found)}


def credit_of(files: Files, engine: Engine) -> at.Credit:
    """The credit of every model, on one engine."""
    return at.attribute(at.build_journeys(at.load_sources(*files, engine=engine)), ten_models())


def digest(credit: at.Credit) -> str:
    """What is the same if every digit of the table is."""
    return hashlib.sha256(credit.table.to_csv(index=False).encode()).hexdigest()


def ten_models() -> list[at.AttributionModel]:
    """All models, three orders of Markov among them."""
    return [
        at.FirstTouch(),
        at.LastTouch(),
        at.LastNonDirect(),
        at.Linear(),
        at.PositionBased(),
        at.TimeDecay(),
        at.Shapley(),
        at.Markov(name="markov_1"),
        at.Markov(order=2, name="markov_2"),
        at.Markov(order=3, name="markov_3"),
    ]


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "sort": sort,
    "journeys": journeys,
    "models": models,
    "credit": credit,
}

if __name__ == "__main__":
    asked = arguments()
    job = JOBS[asked["job"]]
    # Once on a tiny input: what is compiled or loaded when first used is not what is measured.
    job(event_files(TINY, asked["ids"]), Clock())
    clock = Clock()
    more = {"limit": asked["limit"]} if "limit" in asked else {}
    notes = job(event_files(asked["touchpoints"], asked["ids"]), clock, **more)
    clock.report(notes=notes)
