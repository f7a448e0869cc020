"""What a job changes in its output folder: day files, restatements, the manifest."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from attribution.pipeline.provenance import code_version
from attribution.production.guards import GuardResult, failed_guards, guard_records
from attribution.production.scoring.days import Choice, day_name
from attribution.production.scoring.in_effect import VersionsInEffect
from attribution.production.scoring.ledger import RESTATEMENT, SCHEMA_VERSION, Ledger, day_place
from attribution.production.scoring.takeback import TakeBack
from attribution.production.scoring.takeback import names as by_name
from attribution.schema.tables import BASELINE, UNATTRIBUTED
from attribution.schema.tables.scoring import RESTATEMENT as RESTATED

_VERSIONS = ("numpy", "pandas", "pyarrow", "duckdb", "numba")
_LASTING = (
    "schema_version",
    "model_version",
    "unknown_channels",
    "in_effect",
    "days",
    "inputs",
    "outdated",
    "deferred",
)
"""Entries of the manifest; where they are as they were, nothing is written."""

_NOTHING = 1e-12
_NUMBERS = ("conversions_before", "conversions_after", "value_before", "value_after")
_CHANGED = pa.schema(
    {
        "revision": pa.int64(),
        "day": pa.string(),
        "channel": pa.string(),
        **dict.fromkeys(_NUMBERS, pa.float64()),
        "conversions_changed": pa.int64(),
    }
)
"""Columns of ``restatement`` that say what changed."""


@dataclass(frozen=True)
class Scored:
    """What a job did.

    Attributes
    ----------
    revision : number of the last job that changed something
    written : days whose file is new or another than before
    unchanged : days that were scored again and are as they were
    without_history : days of an earlier version of the model, or asked for, whose input lacks what led to them
    removed : days that have no conversions any more
    conversions, rows : of the days written
    unknown_channels : touchpoints of channels the model was not fitted on, by channel, on the days scored
    outdated : ids of conversions whose credit may be wrong now and cannot be made right from this input, by day
    cut : days in the middle of which the input begins or ends, left as they were
    deferred : days that changed and were not asked for
    damaged : days whose file is not what was written, and that cannot be made again from this input
    made_otherwise : days that are not by the version of a registered model that is in effect on them, since this input
        lacks them or what led to them
    restatement : the ``restatement`` rows of this job
    guards : what guards say of the input and of the days that are published
    """

    revision: int
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    without_history: tuple[str, ...]
    removed: tuple[str, ...]
    conversions: int = 0
    rows: int = 0
    unknown_channels: Mapping[str, int] = field(default_factory=dict)
    outdated: Mapping[str, list[str]] = field(default_factory=dict)
    cut: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    made_otherwise: tuple[str, ...] = ()
    restatement: pd.DataFrame = field(default_factory=pd.DataFrame)
    guards: tuple[GuardResult, ...] = ()

    @classmethod
    def planned(
        cls, manifest: Mapping[str, Any], choice: Choice, taken: TakeBack, guards: Sequence[GuardResult] = ()
    ) -> Scored:
        """What a job would do: ``written`` are all days that would be scored."""
        days = [tuple(map(day_name, days)) for days in (choice.score, choice.without_history, choice.emptied)]
        return cls(
            int(manifest.get("revision", 0)),
            days[0],
            (),
            days[1],
            days[2],
            outdated=by_name(taken.outdated(choice)),
            cut=tuple(map(day_name, taken.news.conversions.cut)),
            deferred=tuple(map(day_name, choice.deferred)),
            guards=tuple(guards),
        )


Judge = Callable[[Scored, Mapping[str, Any], Mapping[str, Any]], Sequence[GuardResult]]


class Publication:
    """Files written aside one after the other, and then put in place all together.

    Parameters
    ----------
    versions : allocate credit, each on its days
    ledger : the output folder
    taken : what the input takes back
    manifest : of what is there
    damaged : days whose file is not what was written
    """

    def __init__(
        self,
        versions: VersionsInEffect,
        ledger: Ledger,
        taken: TakeBack,
        manifest: Mapping[str, Any],
        *,
        damaged: Collection[int] = (),
    ) -> None:
        self.ledger, self.taken = ledger, taken
        self._versions, self._before = versions, manifest
        self._damaged = set(map(day_name, damaged))
        self._days: dict[str, Any] = dict(manifest.get("days", {}))
        self._revision = int(manifest.get("revision", 0)) + 1
        self._written: list[str] = []
        self._unchanged: list[str] = []
        self._changes: list[pa.Table] = []
        self._unknown: dict[str, int] = {}

    def add(self, day: int, table: pa.Table, unknown: Mapping[str, int]) -> None:
        """Stage the credit of a day, unless it is what is there; ``unknown`` counts touchpoints by channel."""
        name = day_name(day)
        path = self.ledger.stage(day_place(name))
        pq.write_table(table, path, compression="zstd")
        entry, before = day_entry(path, table, self._versions.made_by(day)), self._days.get(name)
        entry["unknown"] = sum(unknown.values())
        is_same = before is not None and before["sha256"] == entry["sha256"]
        if is_same and name not in self._damaged:
            path.unlink()
            self._unchanged.append(name)
        else:
            self._written.append(name)
            if before is not None and not is_same:
                self._restate(name, table)
        self._days[name] = entry
        for channel, count in unknown.items():
            self._unknown[channel] = self._unknown.get(channel, 0) + count

    def _withdraw(self, name: str, ids: pa.ChunkedArray) -> bool:
        """Take conversions out of a day that is not scored again; whether none is left."""
        if name in self._damaged:
            return False
        old = pq.ParquetFile(self.ledger.day_path(name)).read()
        left = old.filter(pc.invert(pc.is_in(old["conversion_id"], value_set=ids.combine_chunks())))
        if not left.num_rows:
            return True
        path = self.ledger.stage(day_place(name))
        pq.write_table(left, path, compression="zstd")
        self._restate(name, left)
        self._days[name] = day_entry(path, left, self._days[name]["made_by"])
        self._written.append(name)
        return False

    def commit(self, choice: Choice, judge: Judge, *, now: dt.datetime) -> Scored:
        """Put everything in place; what was there is unchanged until then.

        Parameters
        ----------
        choice : what becomes of each day
        judge : says what guards think of what was done, of the days as they were, and as they are
        now : the time of the job
        """
        emptied = {*map(day_name, choice.emptied), *map(day_name, choice.score)} - {*self._written, *self._unchanged}
        emptied |= {day_name(day) for day, ids in self.taken.gone(choice).items() if self._withdraw(day_name(day), ids)}
        removed = sorted(emptied & set(self._days))
        for name in removed:
            self._restate(name, None)
            del self._days[name]
        self._written.sort()
        outdated = by_name(self.taken.outdated(choice))
        places = [day_place(name) for name in self._written]
        restatement = self._restatement(outdated)
        if restatement.num_rows:
            places.append(f"{RESTATEMENT}/revision={self._revision:06d}/{RESTATEMENT}.parquet")
            pq.write_table(restatement, self.ledger.stage(places[-1]))
        has_changed = bool(places or removed)
        rows, conversions = (sum(self._days[name][what] for name in self._written) for what in ("rows", "conversions"))
        scored = Scored(
            self._revision if has_changed else self._revision - 1,
            tuple(self._written),
            tuple(self._unchanged),
            tuple(map(day_name, choice.without_history)),
            tuple(removed),
            conversions,
            rows,
            dict(sorted(self._unknown.items())),
            outdated,
            tuple(map(day_name, self.taken.news.conversions.cut)),
            tuple(map(day_name, choice.deferred)),
            tuple(sorted(self._damaged - {*self._written, *removed})),
            self._versions.made_otherwise(self._days) if self._versions.is_registered else (),
            restatement.to_pandas(),
        )
        scored = replace(scored, guards=tuple(judge(scored, self._before.get("days", {}), self._days)))
        manifest = self._manifest(scored, choice, now)
        has_changed |= manifest["guards"] != self._before.get("guards", [])
        if has_changed or any(manifest[name] != self._before.get(name) for name in _LASTING):
            self.ledger.commit(manifest, places=places, removed=list(map(day_place, removed)))
        return scored

    def _restatement(self, outdated: Mapping[str, list[str]]) -> pa.Table:
        """What changed, and the ids that could not be corrected and were not named before."""
        before = self._before.get("outdated", {})
        newly_outdated = [
            (day, name) for day, ids in outdated.items() for name in sorted({*ids} - {*before.get(day, ())})
        ]
        days, ids = ([pair[column] for pair in newly_outdated] for column in (0, 1))
        size = len(newly_outdated)
        lost = {
            "revision": [self._revision] * size,
            "day": days,
            "conversions_changed": [0] * size,
            "outdated_id": ids,
        }
        empty = {name: lost.get(name, [None] * size) for name in RESTATED.column_names}
        schema = _CHANGED.append(pa.field("outdated_id", pa.string()))
        changes = pa.concat_tables([_CHANGED.empty_table(), *self._changes])
        changes = changes.append_column("outdated_id", pa.nulls(changes.num_rows, pa.string()))
        return pa.concat_tables([changes, pa.table(empty, schema)]).combine_chunks()

    def _restate(self, name: str, table: pa.Table | None) -> None:
        try:
            old = pq.ParquetFile(self.ledger.day_path(name)).read()
        except (OSError, pa.ArrowException):  # damaged: nobody knows what it said
            return
        new = old.schema.empty_table() if table is None else table
        self._changes.append(restated(old, new, day=name, revision=self._revision))

    def _manifest(self, scored: Scored, choice: Choice, now: dt.datetime) -> dict[str, Any]:
        deferred = {*self._before.get("deferred", ()), *scored.deferred}
        done = set(map(day_name, (*choice.score, *choice.emptied, *choice.without_history, *choice.outdated)))
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self._versions.newest.name,
            "model_version": self._versions.newest.version,
            "unknown_channels": self._versions.newest.unknown_channels,
            "in_effect": self._versions.records,
            "revision": scored.revision,
            "scored_at": now.isoformat(timespec="seconds"),
            "versions": _versions(),
            "unknown_touchpoints": dict(scored.unknown_channels),
            "without_history": list(scored.without_history),
            "days": dict(sorted(self._days.items())),
            "outdated": dict(scored.outdated),
            "deferred": sorted(deferred - done),
            "inputs": self.taken.news.merge_inputs(),
            "guards": guard_records(failed_guards(scored.guards)),
        }


@cache
def _versions() -> dict[str, str]:
    return {"journey-attribution": code_version(), **{name: version(name) for name in _VERSIONS}}


def day_entry(path: Path, table: pa.Table, made_by: str) -> dict[str, Any]:
    """What the manifest tells of a day whose credit ``table`` is in the file ``path``."""
    content = path.read_bytes()
    of_baseline = table.filter(pc.equal(table["channel"], BASELINE))["credit"]
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "rows": table.num_rows,
        "conversions": len(table["conversion_id"].unique()),
        "unattributed": pc.sum(pc.equal(table["channel"], UNATTRIBUTED)).as_py() or 0,
        **({"baseline": pc.sum(of_baseline).as_py()} if len(of_baseline) else {}),
        "made_by": made_by,
    }


def restated(before: pa.Table, after: pa.Table, *, day: str, revision: int) -> pa.Table:
    """The ``restatement`` rows of one day, as far as they say what changed.

    Parameters
    ----------
    before, after : its credit, see `attribution.schema.tables.scoring.SCORED`
    day, revision : for the columns of these names
    """
    both = pa.concat_tables([_of_time(before, "before"), _of_time(after, "after")])
    # On one thread, so that sums have one order.
    rows = _sum_by(both, ["conversion_id", "channel"])
    credit_before, credit_after, value_before, value_after = (rows[name].to_numpy() for name in _NUMBERS)
    has_moved = np.abs(credit_after - credit_before) > _NOTHING
    has_moved |= np.abs(value_after - value_before) > _NOTHING * np.maximum(np.abs(value_before), 1.0)
    rows = rows.append_column("conversions_changed", pa.array(has_moved.astype(np.int64)))
    totals = _sum_by(rows.drop_columns("conversion_id"), ["channel"])
    totals = totals.filter(pc.greater(totals["conversions_changed"], 0)).sort_by("channel")
    totals = totals.append_column("revision", pa.repeat(pa.scalar(revision), totals.num_rows))
    totals = totals.append_column("day", pa.repeat(pa.scalar(day), totals.num_rows))
    return totals.select(_CHANGED.names).cast(_CHANGED)


def _of_time(table: pa.Table, time: str) -> pa.Table:
    """Credit and value in the columns that end in ``time``, zeros in the others."""
    columns = {"conversions": table["credit"], "value": table["credited_value"]}
    zeros = pa.array(np.zeros(table.num_rows))
    numbers = {name: columns[name.rpartition("_")[0]] if name.endswith(time) else zeros for name in _NUMBERS}
    return pa.table({"conversion_id": table["conversion_id"], "channel": table["channel"], **numbers})


def _sum_by(table: pa.Table, keys: list[str]) -> pa.Table:
    names = [name for name in table.column_names if name not in keys]
    sums = table.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in names])
    return sums.select([*keys, *(f"{name}_sum" for name in names)]).rename_columns([*keys, *names])
