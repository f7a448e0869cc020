"""One day as one small Parquet file: exact sums as integers, with a checksum of what they say."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.kernels.statistics.sums import ExactSums, KeyedSums
from attribution.production.refit.days import DayTables, day_name, day_number

SCHEMA_VERSION = 1

_HEAD = b"attribution"


@dataclass(frozen=True)
class DayFile:
    """One day.

    Attributes
    ----------
    day : its number
    channels : names, whose positions are in the keys of ``tables``
    definition : digest of the settings
    tables : exact sums
    """

    day: int
    channels: tuple[str, ...]
    definition: str
    tables: DayTables


def write_day(path: Path, day: DayFile) -> None:
    """Write ``day`` aside and put it in the place of ``path`` at once.

    Raises
    ------
    InputError
        If the file cannot be written; what was there before stays.
    """
    parts = sorted(day.tables.items())
    keys = _end_to_end([table.keys for _, table in parts])
    limbs = _end_to_end([table.sums.limbs for _, table in parts])
    head: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "day": day_name(day.day),
        "channels": list(day.channels),
        "definition": day.definition,
        "tables": [
            [name, len(table.keys), table.keys.shape[1], table.sums.base, table.sums.limbs.shape[1]]
            for name, table in parts
        ],
    }
    head["sha256"] = _checksum(head, keys, limbs)
    arrow = pa.table(
        {
            "table": pa.array([name for name, table in parts for _ in range(len(table.keys))], pa.string()),
            "key": _lists(keys, [table.keys.shape for _, table in parts]),
            "limbs": _lists(limbs, [table.sums.limbs.shape for _, table in parts]),
        }
    ).replace_schema_metadata({_HEAD: json.dumps(head, ensure_ascii=False, sort_keys=True).encode()})
    # Nobody else writes meanwhile: what lies there was left by a job that was killed.
    aside = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            pq.write_table(arrow, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise InputError(f"{path} cannot be written: {error.strerror or error}", hint="what was there stays") from None


def read_day(path: Path) -> DayFile:
    """The day in a file.

    Raises
    ------
    InputError
        If it is no such file, is damaged, or was written by a later version.
    """
    again = "write the day anew: attribution summarise … --since"
    try:
        arrow = pq.read_table(path, partitioning=None)
        head = json.loads((arrow.schema.metadata or {})[_HEAD])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(f"{path} is no daily summary: {type(error).__name__}: {error}", hint=again) from None
    version = head.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has another schema", given=f"version {version}", allowed=f"version {SCHEMA_VERSION}", hint=again
        )
    keys, limbs = (_flat(arrow[name]) for name in ("key", "limbs"))
    if head.pop("sha256", None) != _checksum(head, keys, limbs):
        raise InputError(f"{path} was changed after it was written: its checksum differs", hint=again)
    tables, at_key, at_limb = {}, 0, 0
    for name, rows, width, base, limb_width in head["tables"]:
        key = keys[at_key : at_key + rows * width].reshape(rows, width)
        limb = limbs[at_limb : at_limb + rows * limb_width].reshape(rows, limb_width)
        tables[name] = KeyedSums(key, ExactSums(limb, base))
        at_key, at_limb = at_key + rows * width, at_limb + rows * limb_width
    return DayFile(day_number(dt.date.fromisoformat(head["day"])), tuple(head["channels"]), head["definition"], tables)


def _end_to_end(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *(array.ravel() for array in arrays)]).astype("<i8", copy=False)


def _lists(flat: NDArray[np.int64], shapes: list[tuple[int, ...]]) -> pa.ListArray:
    widths = np.concatenate([np.zeros(1, np.int32), *(np.full(rows, width, np.int32) for rows, width in shapes)])
    return pa.ListArray.from_arrays(np.cumsum(widths, dtype=np.int32), pa.array(flat))


def _flat(column: pa.ChunkedArray) -> NDArray[np.int64]:
    joined = column.combine_chunks()
    values = (joined.flatten() if isinstance(joined, pa.Array) else pa.array([], pa.int64())).to_numpy()
    return np.asarray(values, dtype=np.int64)


def _checksum(head: dict[str, Any], keys: NDArray[np.int64], limbs: NDArray[np.int64]) -> str:
    digest = hashlib.sha256(json.dumps(head, ensure_ascii=False, sort_keys=True).encode())
    for array in (keys, limbs):
        digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
    return digest.hexdigest()
