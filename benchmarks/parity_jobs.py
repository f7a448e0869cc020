"""The measured processes of parity: the same conversions handed out by the scoring job, SQL, and a column of Spark.

Each writes ``NAME.parquet`` with ``conversion_id``, ``position`` and ``credit``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

import attribution as at
from attribution.pipeline.stores import choose_store
from attribution.production.scoring.job import ScoringOptions, score_days
from attribution.production.sql import SqlTables, build_select
from attribution.tracking.registry import Placement, register_scorer
from benchmarks.clock import Clock, arguments
from benchmarks.data import sensitivity_folder
from benchmarks.spark_jobs import MASTER, missing

NAMES = ("job", "sql", "udf")


def prepare(touchpoints: Path, folder: Path, clock: Clock) -> dict[str, Any]:
    """A conversion an hour after the last touchpoint of every customer; a Markov model fitted on them, registered."""
    conversions = folder / "conversions.parquet"
    duckdb.execute(
        "copy (select customer_id, customer_id::varchar as conversion_id, max(touched_at) + interval 1 hour as "
        f"converted_at, 1 + customer_id % 7 as value from '{touchpoints}' group by all) to '{conversions}'"
    )
    with clock.step("prepare"):
        journeys = at.build_journeys(at.load_sources(touchpoints, conversions))
        at.Scorer.of(at.Markov().fit(journeys), name="parity").save(folder / "scorer")
    register_scorer(folder / "scorer", Placement("parity", choose_store(_store(folder)), "champion"))
    return {"conversions": int(journeys.total("conversions"))}


def _store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def job(touchpoints: Path, folder: Path, clock: Clock) -> dict[str, Any]:
    """By the scoring job."""
    tables = {"touchpoints": str(touchpoints), "conversions": str(folder / "conversions.parquet")}
    with clock.step("job"):
        score_days(at.Scorer.load(folder / "scorer"), ScoringOptions(tables, folder / "scored"), at.DuckDBEngine())
    _write(f"select * from '{folder}/scored/journey_credit/*/*.parquet'", folder / "job.parquet")
    return {}


def sql(touchpoints: Path, folder: Path, clock: Clock) -> dict[str, Any]:
    """By the SELECT, in DuckDB alone."""
    tables = {"touchpoints": touchpoints, "conversions": folder / "conversions.parquet"}
    for name, path in tables.items():
        duckdb.execute(f"create view {name} as from '{path}'")
    select = build_select(at.Scorer.load(folder / "scorer"), "duckdb", SqlTables(lacks=("is_new_customer",)))
    with clock.step("sql"):
        _write(select, folder / "sql.parquet")
    return {}


def _write(rows: str, path: Path) -> None:
    columns = "conversion_id, coalesce(position, 1)::integer as position, credit"
    duckdb.execute(f"copy (select {columns} from ({rows})) to '{path}'")


def udf(touchpoints: Path, folder: Path, clock: Clock) -> dict[str, Any]:
    """By ``mlflow.pyfunc.spark_udf``, a row for each conversion with its touchpoints as lists."""
    if (lacks := missing()) is not None:
        return {"missing": lacks}
    import mlflow

    engine = at.SparkEngine(master=MASTER)
    session = engine._session
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "20000")
    mlflow.set_tracking_uri(_store(folder))
    score = mlflow.pyfunc.spark_udf(session, "models:/parity@champion", env_manager="local")
    session.udf.register("score", score)
    session.read.parquet(str(touchpoints)).createOrReplaceTempView("touchpoints")
    session.read.parquet(str(folder / "conversions.parquet")).createOrReplaceTempView("conversions")
    # In the order of the journey, so that credit has the positions that the job gives it.
    of_customers = """
        select conversion_id, touches.channel as channel, touches.touched_at as touched_at, converted_at from (
            select conversion_id, first(converted_at) as converted_at,
                   array_sort(collect_list(struct(touched_at, channel))) as touches
            from touchpoints join conversions using (customer_id) group by conversion_id)
    """
    # Scored once: what is taken apart again would be computed for each part.
    scored = session.sql(f"select conversion_id, score(channel, touched_at, converted_at) as of from ({of_customers})")
    with clock.step("udf"):
        scored.write.parquet(str(folder / "udf"))
    session.read.parquet(str(folder / "udf")).createOrReplaceTempView("scored")
    # Touchpoints before the window get nothing, and have no position in the job's rows.
    _counting = "filter(of.credit, share -> share > 0)"
    _exploded = session.sql(f"select conversion_id, posexplode({_counting}) as (at, credit) from scored")
    _exploded.selectExpr("conversion_id", "cast(at + 1 as int) as position", "credit").coalesce(1).write.parquet(
        str(folder / "exploded")
    )
    _write(f"from '{folder}/exploded/*.parquet'", folder / "udf.parquet")
    engine.close()
    return {}


def compare(touchpoints: Path, folder: Path, clock: Clock) -> dict[str, Any]:
    """Rows that only one of two has, and the largest difference of credit in those of both."""
    found: dict[str, Any] = {}
    there = [name for name in NAMES if (folder / f"{name}.parquet").exists()]
    for name in there[1:]:
        rows, alone, gap = duckdb.execute(
            "select count(*), count(*) filter (a.credit is null or b.credit is null), max(abs(a.credit - b.credit)) "
            f"from '{folder}/{there[0]}.parquet' a full join '{folder}/{name}.parquet' b "
            "on a.conversion_id = b.conversion_id and a.position = b.position"
        ).fetchall()[0]
        found[name] = {"rows": rows, "alone": alone, "gap": gap}
    return found


JOBS: dict[str, Callable[[Path, Path, Clock], dict[str, Any]]] = {
    "prepare": prepare,
    "job": job,
    "sql": sql,
    "udf": udf,
    "compare": compare,
}

if __name__ == "__main__":
    asked = arguments()
    clock = Clock()
    touched = sensitivity_folder(asked["journeys"]) / "touchpoints.parquet"
    clock.report(notes=JOBS[asked["job"]](touched, Path(asked["folder"]), clock))
