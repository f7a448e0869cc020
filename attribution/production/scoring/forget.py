"""One customer taken out of the folders of scoring jobs, with a receipt that does not name them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from attribution.errors import InputError
from attribution.production.scoring.ledger import MANIFEST, RESTATEMENT, Ledger, day_place, opened_ledger
from attribution.production.scoring.publication import day_entry

_SUMMARIES = "summaries.json"
_SUMS = (
    "holds sums of days, hashes of the ids of conversions and no id of a customer; `attribution summarise` of a log "
    "without them takes their part out, day by day"
)


@dataclass(frozen=True)
class Forgotten:
    """What was taken out of a folder.

    Attributes
    ----------
    folder : which one
    kind : ``scores`` or ``summaries``
    rows, conversions : how many were taken out
    files : that were written again without them, or removed
    note : what is left to do
    """

    folder: str
    kind: str
    rows: int = 0
    conversions: int = 0
    files: tuple[str, ...] = ()
    note: str = ""


def forget(customer: str, folders: list[Path]) -> dict[str, Any]:
    """Take ``customer`` out of all ``folders``; the receipt, which holds a hash in place of the id.

    Raises
    ------
    InputError
        If a folder holds neither scores nor summaries; nothing has been written then.
    """
    kinds = [_kind(folder) for folder in folders]
    done = [
        Forgotten(str(folder), kind, note=_SUMS) if kind == "summaries" else _forget_scores(folder, customer)
        for folder, kind in zip(folders, kinds, strict=True)
    ]
    return {
        "customer_sha256": hashlib.sha256(customer.encode("utf-8", "surrogatepass")).hexdigest(),
        "forgotten_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "rows": sum(each.rows for each in done),
        "conversions": sum(each.conversions for each in done),
        "folders": [asdict(each) for each in done],
    }


def _kind(folder: Path) -> str:
    if (folder / _SUMMARIES).is_file():
        return "summaries"
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    if isinstance(manifest, dict) and "days" in manifest and "model" in manifest:
        return "scores"
    raise InputError(
        f"{folder} has neither scores nor daily summaries",
        given="a folder that does not exist" if not folder.exists() else "another folder",
        allowed="folders that `attribution score` or `attribution summarise` wrote",
        hint=(
            "to remove the customer from runs and models, make them again from tables without the customer: "
            "attribution run, attribution export"
        ),
    )


def _forget_scores(folder: Path, customer: str) -> Forgotten:
    model = str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["model"])
    with opened_ledger(folder, model) as ledger:
        manifest = ledger.read() or {}
        days, ids, rows, places, removed = dict(manifest["days"]), set[str](), 0, list[str](), list[str]()
        for day, entry in manifest["days"].items():
            table = _read(ledger, day)
            is_theirs = pc.equal(table["customer_id"].cast(pa.string()), customer)
            count = pc.sum(is_theirs).as_py() or 0
            if not count:
                continue
            rows += count
            ids |= set(table.filter(is_theirs)["conversion_id"].to_pylist())
            left = table.filter(pc.invert(is_theirs))
            if left.num_rows:
                path = ledger.stage(day_place(day))
                pq.write_table(left, path, compression="zstd")
                days[day] = day_entry(path, left, entry["made_by"])
                places.append(day_place(day))
            else:
                del days[day]
                removed.append(day_place(day))
        outdated_before = manifest.get("outdated", {})
        # Ids that were made where the table had none begin with the customer's.
        ids |= {name for names in outdated_before.values() for name in names if name.startswith(f"{customer}@")}
        outdated = {day: [name for name in names if name not in ids] for day, names in outdated_before.items()}
        places += _restatements(ledger, ids)
        if places or removed or outdated != outdated_before:
            manifest |= {"days": days, "revision": int(manifest["revision"]) + 1}
            manifest |= {"outdated": {day: names for day, names in outdated.items() if names}}
            ledger.commit(manifest, places=places, removed=removed)
    note = "delete the customer from the input tables as well: otherwise scoring a day again brings them back"
    return Forgotten(str(folder), "scores", rows, len(ids), tuple(sorted([*places, *removed])), note)


def _read(ledger: Ledger, day: str) -> pa.Table:
    try:
        return pq.ParquetFile(ledger.day_path(day)).read()
    except (OSError, pa.ArrowException):
        raise InputError(
            f"{ledger.day_path(day)} is damaged or missing, so the customers in it are unknown",
            hint=f"score {day} again with `attribution score`, then repeat `attribution forget`",
        ) from None


def _restatements(ledger: Ledger, ids: set[str]) -> list[str]:
    """Stage restatements without the conversions ``ids``; their places."""
    places = []
    for path in sorted((ledger.out / RESTATEMENT).glob("revision=*/*.parquet")):
        table = pq.ParquetFile(path).read()
        if "outdated_id" not in table.column_names:
            continue
        is_theirs = pc.is_in(table["outdated_id"], value_set=pa.array(sorted(ids), pa.string()), skip_nulls=True)
        if pc.any(is_theirs).as_py():
            places.append(path.relative_to(ledger.out).as_posix())
            pq.write_table(table.filter(pc.invert(is_theirs)), ledger.stage(places[-1]))
    return places
