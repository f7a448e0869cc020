"""One customer taken out of scores and daily summaries, with a receipt that does not name them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from attribution.amounts import pluralise
from attribution.data.loading import without_customer
from attribution.errors import InputError
from attribution.journeys import journeys_by_day
from attribution.pipeline.builders import make_models, open_sources
from attribution.production.refit import (
    Definition,
    SummaryStore,
    Tonight,
    choose_tonight,
    day_name,
    given_log,
    history_of_days,
    summarise_days,
)
from attribution.production.refit.days import DayTables
from attribution.production.scoring.days import daily_digests
from attribution.production.scoring.ledger import MANIFEST, RESTATEMENT, Ledger, day_place, opened_ledger
from attribution.production.scoring.publication import day_entry
from attribution.schema.experiment import Experiment

_SUMMARIES = "summaries.json"
_BRINGS_BACK = "delete the customer from the input tables as well: otherwise {job} a day again brings them back"


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


def forget(
    customer: str,
    folders: Sequence[Path],
    experiment: Experiment | None = None,
    covers: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Take ``customer`` out of all ``folders``; the receipt, which holds a hash in place of the id.

    Parameters
    ----------
    customer : id, as in the scores
    folders : of scores or daily summaries
    experiment : whose tables the summaries are of: they hold sums, from which nobody can be taken without them
    covers : numbers of the first and last day that these tables tell all of; from the first to the last conversion,
        the customer's too, unless given

    Raises
    ------
    InputError
        If a folder holds neither scores nor summaries, or summaries and no ``experiment`` is given, or one that they
        are not of; nothing has been written then.
    """
    kinds = [_kind(folder) for folder in folders]
    summarised = [folder for folder, kind in zip(folders, kinds, strict=True) if kind == "summaries"]
    if summarised and experiment is None:
        raise InputError(
            f"{summarised[0]} has daily summaries, which hold sums of days and no customer",
            hint="give --tables EXPERIMENT.toml, the experiment that they are of: the days are summed up again without "
            "this customer, whether its tables still have them or not",
        )
    # What can fail for want of tables comes first: nothing is forgotten in one folder and kept in another.
    prepared = [_without(customer, folder, experiment, covers) for folder in summarised if experiment is not None]
    scored = [folder for folder, kind in zip(folders, kinds, strict=True) if kind == "scores"]
    done = [*(each.write() for each in prepared), *(_forget_scores(folder, customer) for folder in scored)]
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
    files = tuple(sorted([*places, *removed]))
    return Forgotten(str(folder), "scores", rows, len(ids), files, _BRINGS_BACK.format(job="scoring"))


@dataclass(frozen=True)
class _Resummarised:
    """Daily summaries made again without a customer, not written yet.

    Attributes
    ----------
    store : the folder
    rows, conversions : how many the tables had of them
    tonight : what the tables without them mean for the days that are there
    days : tables of the days to write
    channels : of these tables
    """

    store: SummaryStore
    rows: int
    conversions: int
    tonight: Tonight
    days: Mapping[int, DayTables]
    channels: Sequence[str]

    def write(self) -> Forgotten:
        before = self.store.read_log_state()
        with self.store.locked():
            files = [
                f"day={day_name(day)}/summary.parquet"
                for day, tables in self.days.items()
                if self.store.write(day, tables, tuple(self.channels))
            ]
            state = replace(self.tonight.log_state, guards=before.guards, summarised_at=before.summarised_at)
            self.store.write_log_state(state)
        note = _BRINGS_BACK.format(job="summarising")
        if not self.rows:
            note = (
                "the tables no longer have this customer; the days that changed were summed up again. If theirs was "
                "the first or last conversion of the tables, repeat with --covers FROM..TO"
            )
        if self.tonight.stale:
            stale = self.tonight.stale
            note = (
                f"{pluralise(len(stale), 'day')} from {day_name(stale[0])} on could not be summed up again, because "
                "the tables lack the touchpoints before them: repeat with longer tables, or remove these days; and "
                f"{note}"
            )
        return Forgotten(str(self.store.folder), "summaries", self.rows, self.conversions, tuple(files), note)


def _without(customer: str, folder: Path, experiment: Experiment, covers: tuple[int, int] | None) -> _Resummarised:
    """Sum up again what changes in a folder when the tables of its experiment lose a customer."""
    store = SummaryStore.of(folder, Definition.of(experiment))
    models, sources = make_models(experiment), open_sources(experiment, latest=True)
    options = experiment.journeys.model_dump(exclude_unset=True, exclude={"account", "segment"})
    converted_days = sorted(daily_digests(sources, "conversions", "converted_at", sources.conversions_view))
    sources, counts = without_customer(sources, customer)
    journeys = journeys_by_day(sources, **options)
    assert journeys.lookback_days is not None
    # The tables tell all of the days that they told of with the customer, who may have had the first or the last.
    covers = covers or ((converted_days[0], converted_days[-1]) if converted_days else None)
    # Gaps have been judged when the days were first summed up, and one customer less makes them no more doubtful.
    history = history_of_days(models)
    log = given_log(sources, journeys.lookback_days, covers, history_days=history, max_gap_days=sys.maxsize)
    held = store.days
    tonight = choose_tonight(log, journeys, store.read_log_state(), held, last=held[-1] if held else -1)
    write = tonight.write
    days = summarise_days(journeys, models, write[0], write[-1]) if write else {}
    days = {day: days[day] for day in write}
    return _Resummarised(store, sum(counts.values()), counts["conversions"], tonight, days, journeys.channels)


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
