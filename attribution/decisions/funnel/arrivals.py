"""Who arrived in which stage and when, for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from attribution.amounts import pluralise
from attribution.data.loading import Finding, Sources, count_finding
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Arrivals:
    """The stage table, cleaned.

    Attributes
    ----------
    table : one row per customer (or deal) and stage, in order of ``customer_id``, ``deal_id``, ``stage``:
        ``stage`` is its position in the funnel, ``at`` the first arrival in microseconds, ``amount`` and ``quality``
        what was known then, ``latest_amount`` what was known last; ``customer`` numbers customers
    lost : ``customer``, ``deal_id``, ``at`` of rows that end a case without a win
    end : last instant of the data, until which a case without a further arrival is known to be open
    findings : rows that could not be used
    """

    table: pd.DataFrame
    lost: pd.DataFrame
    end: int
    findings: tuple[Finding, ...]


def read_arrivals(sources: Sources, options: FunnelOptions) -> Arrivals:
    """The first arrival of every customer, or deal, in every stage.

    Raises
    ------
    InputError
        If the data have no times, a stage is unknown, or no row can be used.
    """
    if sources.integer_times:
        raise InputError(
            "a funnel needs timestamps, but the times of this log are positions",
            hint="set what the integers mean, e.g. time_format = 'epoch_s'",
        )
    columns = ("customer_id", "stage", "stage_time", "deal_id", "amount", "quality")
    available = sources.tables["stages"].columns
    listed = ", ".join(name if name in available else f"null as {name}" for name in columns)
    raw = sources.engine.query(f"select {listed} from stages", table="stages").to_pandas()
    raw["stage"] = raw["stage"].astype("string").str.strip().astype(object)
    findings = [_null_finding(raw, name) for name in ("customer_id", "stage", "stage_time")]
    usable = raw.dropna(subset=["customer_id", "stage", "stage_time"])
    usable, unknown = _known_stages(usable, options)
    rows, future = _that_have_come(_set_types(usable))
    is_lost = rows["stage"].isin(options.lost)
    if is_lost.all():
        raise InputError(
            "table 'stages' has no usable row",
            hint="each row needs a customer, a stage of funnel.stages, and a time in the past",
        )
    positions = {name: position for position, name in enumerate(options.stages)}
    moves = rows[~is_lost].assign(stage=rows["stage"].map(positions))
    table, repeated = _first(moves)
    again = "rows that repeat a stage of the same customer or deal (only the first counts)"
    findings += [unknown, future, Finding("stage_repeated", "stages", "pass", repeated, len(raw), None, again)]
    lost = rows.loc[is_lost, ["customer", "deal_id", "at"]].sort_values(["customer", "deal_id", "at"])
    return Arrivals(table, lost.reset_index(drop=True), _end(sources, rows), tuple(findings))


def _null_finding(raw: pd.DataFrame, name: str) -> Finding:
    is_null = raw[name].isna()
    what = {"customer_id": "customer", "stage_time": "date"}.get(name, name)
    example = raw.loc[is_null, "stage"].dropna().sort_values().iloc[:1].tolist() if name == "stage_time" else []
    message = f"stages without {what} (left out): complete them"
    return count_finding(
        f"null_{what}", "stages", int(is_null.sum()), message, total=len(raw), example=[*example, None][0]
    )


def _known_stages(rows: pd.DataFrame, options: FunnelOptions) -> tuple[pd.DataFrame, Finding]:
    stages = [*options.stages, *options.lost]
    strange = ~rows["stage"].isin(stages)
    names = sorted(rows.loc[strange, "stage"].unique())
    if names and options.unknown == "refuse":
        raise InputError(
            f"table 'stages': a stage is not in funnel.stages, in {pluralise(int(strange.sum()), 'row')}",
            given=names[:5],
            allowed=stages,
            hint=did_you_mean(names[0], stages) or "add it to stages or lost, or set unknown = 'drop'",
        )
    message = "rows with a stage that is not in funnel.stages (left out): add the stage, or correct the rows"
    count = int(strange.sum())
    finding = count_finding("unknown_stage", "stages", count, message, total=len(rows), example=[*names, None][0])
    return rows[~strange], finding


def _that_have_come(rows: pd.DataFrame) -> tuple[pd.DataFrame, Finding]:
    """A date on which a deal is expected to be won is no win, and would be the end of the data."""
    # Somewhere on earth tomorrow has begun.
    future = rows["at"] >= (np.datetime64("now", "D") + 2).astype("datetime64[us]").astype(np.int64)
    example = rows.loc[future, "stage"].sort_values().iloc[:1].tolist()
    message = "stages with a date in the future, such as expected wins (left out): correct dates that are wrong"
    count = int(future.sum())
    finding = count_finding("future_stage", "stages", count, message, total=len(rows), example=[*example, None][0])
    return rows[~future], finding


def _set_types(rows: pd.DataFrame) -> pd.DataFrame:
    typed = pd.DataFrame(
        {
            "customer_id": rows["customer_id"],
            # A text in every row, so that rows of no deal sort and join like the others.
            "deal_id": rows["deal_id"].astype(object).where(rows["deal_id"].notna(), ""),
            "stage": rows["stage"],
            "at": rows["stage_time"].astype(np.int64),
            "amount": rows["amount"].astype(np.float64),
            "quality": rows["quality"].astype(np.float64),
        }
    )
    typed["customer"] = pd.factorize(typed["customer_id"], sort=True)[0]
    return typed


def _first(moves: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    keys = ["customer", "deal_id", "stage"]
    # Equal times in one order, whatever the order of rows.
    moves = moves.sort_values([*keys, "at", "amount", "quality"], kind="stable")
    latest = moves.groupby(keys, sort=False)["amount"].last()
    table = moves.drop_duplicates(keys).reset_index(drop=True)
    table["latest_amount"] = latest.to_numpy()
    return table.astype({"stage": np.int64}), len(moves) - len(table)


def _end(sources: Sources, rows: pd.DataFrame) -> int:
    """The last instant that anything is known of."""
    ends = [int(rows["at"].max())]
    for table, column in (("touchpoints", "touched_at"), ("conversions", "converted_at")):
        if sources.has(table):
            last = sources.engine.query(f"select max({column}) as last from {table}").to_pylist()[0]["last"]
            ends += [] if last is None else [int(last)]
    return max(ends)


def of_stages(names: Sequence[str], table: pd.DataFrame) -> pd.DataFrame:
    """The table with the names of its stages in place of their positions."""
    return table.assign(stage=np.array(names, dtype=object)[table["stage"].to_numpy()])
