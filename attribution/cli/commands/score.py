"""``attribution score``: credit of new conversions, a file for each day."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution import logs
from attribution.amounts import pluralise
from attribution.cli.commands.arguments import (
    NEGATIVE_VERDICT,
    AllowOwnCode,
    Covers,
    Due,
    Json,
    MaxGapDays,
    ThresholdsFile,
    check_order,
    days_covered,
    parse_day,
    report_guards,
)
from attribution.cli.commands.input_tables import LOG, READ, Source, TablesFile, input_tables
from attribution.cli.console import print_json, progress, records, warn
from attribution.errors import InputError

if TYPE_CHECKING:
    from attribution.data.engine import Engine
    from attribution.models.saved import Scorer
    from attribution.pipeline.stores import Store
    from attribution.production.guards import Thresholds
    from attribution.production.scoring.in_effect import VersionsInEffect
    from attribution.production.scoring.publication import Scored
    from attribution.production.versions import Timeline

_SHOWN = 5


Touchpoints = Annotated[
    str | None, typer.Option(help="Path, glob or SELECT. Include one lookback window before the first day to score.")
]
First = Annotated[str | None, typer.Option("--from", help="First day to score, even if it was scored before.")]
Last = Annotated[str | None, typer.Option("--through", help="Last day to score, even if it was scored before.")]
UnknownChannels = Annotated[
    str | None,
    typer.Option(
        help=(
            "Weight of channels that the model does not know: like_known, zero or refuse. Default: the model's setting."
        )
    ),
]
Canonical = Annotated[
    bool,
    typer.Option("--canonical", help="The tables use this package's column names, not those of the experiment."),
]

TimeZone = Annotated[str | None, typer.Option(help="Time zone of times without an offset, e.g. Europe/Paris.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show which days would be scored, but write nothing.")]
RegistryUri = Annotated[str | None, typer.Option("--tracking-uri", help="MLflow tracking URI, for models:/NAME@ALIAS.")]


def score(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder of an exported model, or models:/NAME@ALIAS.")],
    out: Annotated[Path, typer.Option(help="Output folder for journey_credit/day=…, restatement/ and manifest.json.")],
    touchpoints: Touchpoints = None,
    conversions: Annotated[str | None, typer.Option(help="Path, glob or SELECT.")] = None,
    tables: TablesFile = None,
    identities: Source = None,
    customers: Source = None,
    codes: Source = None,
    first: First = None,
    last: Last = None,
    covers: Covers = None,
    max_gap_days: MaxGapDays = 400,
    due: Due = None,
    thresholds: ThresholdsFile = None,
    unknown_channels: UnknownChannels = None,
    canonical: Canonical = False,
    time_zone: TimeZone = None,
    engine: Annotated[str, typer.Option(help="Engine: duckdb or spark.")] = "duckdb",
    memory_limit: Annotated[str, typer.Option(help="Memory limit of DuckDB.")] = "1.5GB",
    dry_run: DryRun = False,
    uri: RegistryUri = None,
    allow_own_code: AllowOwnCode = False,
    as_json: Json = False,
) -> None:
    """Attribute new conversions, one file per day. Unchanged days are skipped, and corrected ones are scored again.

    Exit code 3: the tables lack something, such as a channel or the history of a day.
    """
    from attribution.pipeline.stores import choose_store
    from attribution.production.guards import read_thresholds
    from attribution.production.scoring.job import ScoringOptions, score_days

    days = check_order(parse_day(first, "--from"), parse_day(last, "--through"))
    opened = _open_versions(model, choose_store(uri), unknown_channels, allow_own_code=allow_own_code)
    with opened as versions, progress() as say:
        scorer = versions.newest
        logs.bind(model=scorer.name, model_version=scorer.version)
        sources = dict(zip(READ, (touchpoints, conversions, identities, customers, codes), strict=True))
        read = input_tables(tables, sources, {"--canonical": canonical, "--time-zone": time_zone})
        specs = {name: _spec(scorer, name, source, canonical, time_zone) for name, source in read.sources.items()}
        whole = ScoringOptions(specs, out, *days, canonical=canonical, dry_run=dry_run, folder=read.folder)
        limits, due_day = read_thresholds(thresholds), parse_day(due, "--due")
        options = replace(whole, covers=days_covered(covers), max_gap_days=max_gap_days, thresholds=limits, due=due_day)
        new_engine = partial(_engine, engine, memory_limit)
        scored = score_days(versions, options, new_engine(), open_engine=new_engine, on_stage=say)
        document = _document(versions, out, scored)
    if as_json:
        print_json(document)
    else:
        _print(out, scored, dry_run=dry_run)
        _print_versions(versions, scored)
    holds = _warn(out, scored, limits, dry_run=dry_run)
    if not as_json and not dry_run:
        print(f"Output is in {out}.")
    if scored.outdated or scored.damaged or scored.made_otherwise or not holds:
        raise typer.Exit(NEGATIVE_VERDICT)


def _warn(out: Path, scored: Scored, thresholds: Thresholds, *, dry_run: bool) -> bool:
    """Say in log and terminal what could not be done, and which guards do not hold; whether all hold."""
    _count(out, scored)
    warn(_warnings(scored))
    is_written = bool(scored.written) and not dry_run
    return report_guards(scored.guards, thresholds, written="scores" if is_written else None)


@contextmanager
def _open_versions(
    reference: str, store: Store, unknown_channels: str | None, *, allow_own_code: bool
) -> Iterator[VersionsInEffect]:
    """The versions under an alias, found once: where it is moved meanwhile, this job does not change. Or one scorer."""
    from attribution.cli.commands.saved_runs import open_model
    from attribution.models.saved import Scorer
    from attribution.production.scoring.in_effect import VersionsInEffect
    from attribution.tracking.registry import fetch_scorer, find_versions, parse_alias

    alias = parse_alias(reference)
    if alias is None:
        with open_model(reference, store=store) as folder:
            scorer = Scorer.load(folder, allow_own_code=allow_own_code)
        yield VersionsInEffect.of(scorer if unknown_channels is None else scorer.with_policy(unknown_channels))
        return
    name, _ = alias
    timeline, registered = find_versions(*alias, store=store)
    if timeline.is_by_hand:
        warn([_describe_hand(timeline, *alias)])
    with tempfile.TemporaryDirectory(prefix="attribution-model-") as copies:

        def load(version: str) -> Scorer:
            into = Path(copies) / version
            into.mkdir()
            folder = fetch_scorer(f"models:/{name}/{version}", into, store=store)
            return Scorer.load(folder, allow_own_code=allow_own_code)

        yield VersionsInEffect(timeline, load, registered, unknown_channels=unknown_channels)


def _describe_hand(timeline: Timeline, name: str, alias: str) -> str:
    """That an alias was moved without a promotion, and what to do."""
    *_, recorded, hand = timeline.promotions
    command = f"attribution promote {name} --alias {alias} --rollback"
    return (
        f"Alias {alias!r} of model {name!r} points to version {hand.version}, but version {recorded.version} was "
        f"promoted last. Version {hand.version} scores the days from the first job on that found this. To put it on "
        f"record: `{command} --version {hand.version}`. To go back to version {recorded.version}: `{command}`."
    )


def _spec(scorer: Any, table: str, source: Any, canonical: bool, time_zone: str | None) -> Any:
    """The source, with a time zone if one is named and the table has times."""
    if time_zone is None or table not in LOG:
        return source
    from attribution.schema.experiment import TableSpec

    reading = {} if canonical else dict(scorer.definition.reading.get(table, {}))
    return TableSpec(source=source, **{**reading, "time_zone": time_zone})


def _engine(name: str, memory_limit: str) -> Engine:
    from attribution.data.engine import DuckDBEngine

    if name == "duckdb":
        size = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(MB|GB)\s*", memory_limit, re.IGNORECASE)
        if size is None:
            raise InputError("--memory-limit must be a size", given=repr(memory_limit), allowed="sizes such as 1.5GB")
        return DuckDBEngine(memory_limit=round(float(size[1]) * {"MB": 1e6, "GB": 1e9}[size[2].upper()]))
    if name != "spark":
        raise InputError("unknown engine", given=repr(name), allowed=["duckdb", "spark"])
    from attribution.data.engine.spark import SparkEngine

    return SparkEngine()


def _document(versions: VersionsInEffect, out: Path, scored: Scored) -> dict[str, Any]:
    from attribution.production.guards import guard_records, guards_hold

    return {
        "model": versions.newest.name,
        "model_version": versions.newest.version,
        "in_effect": versions.records,
        "out": str(out),
        "revision": scored.revision,
        "days_written": scored.written,
        "days_unchanged": scored.unchanged,
        "days_without_history": scored.without_history,
        "days_removed": scored.removed,
        "days_incomplete": scored.cut,
        "days_deferred": scored.deferred,
        "days_damaged": scored.damaged,
        "days_by_other_versions": scored.made_otherwise,
        "conversions": scored.conversions,
        "rows": scored.rows,
        "conversions_outdated": scored.outdated,
        "unknown_channels": scored.unknown_channels,
        "restatement": records(scored.restatement),
        "guards_hold": guards_hold(scored.guards),
        "guards": guard_records(scored.guards),
    }


def _count(out: Path, scored: Scored) -> None:
    """What the log of the job says at its end."""
    days = sum(1 for _ in out.glob("journey_credit/day=*"))
    logs.count(
        revision=scored.revision,
        rows=scored.rows,
        conversions=scored.conversions,
        days_scored=len(scored.written) + len(scored.unchanged),
        days_written=len(scored.written),
        days_kept=max(days - len(scored.written), 0),
        days_restated=_days_restated(scored),
        days_removed=len(scored.removed),
        days_deferred=len(scored.deferred),
        days_outdated=len(scored.outdated),
        days_damaged=len(scored.damaged),
        unknown_channels=dict(scored.unknown_channels),
    )


def _days_restated(scored: Scored) -> int:
    table = scored.restatement
    return int(table["day"][table["channel"].notna()].nunique()) if len(table) else 0


def _print(out: Path, scored: Scored, *, dry_run: bool) -> None:
    days = f"{scored.written[0]} to {scored.written[-1]}" if scored.written else "none"
    if dry_run:
        print(f"{pluralise(len(scored.written), 'day')} would be scored ({days}). Nothing was written.")
        return
    print(
        f"{pluralise(len(scored.written), 'day')} written ({days}), {len(scored.unchanged)} scored again without a "
        "change."
    )
    if scored.written:
        print(f"{pluralise(scored.conversions, 'conversion')} in {pluralise(scored.rows, 'row')}.")
    if scored.removed:
        print(f"Removed, because they no longer have conversions: {', '.join(scored.removed)}.")
    if changed := _days_restated(scored):
        print(
            f"Credit changed on {pluralise(changed, 'day')} that had been scored before: see "
            f"restatement/revision={scored.revision:06d}."
        )


def _print_versions(versions: VersionsInEffect, scored: Scored) -> None:
    """Which version made which days, if it was not one alone."""
    from attribution.production.scoring.days import day_number

    by_version = Counter(versions.timeline.version_on(day_number(day)) for day in scored.written)
    if len(by_version) > 1:
        parts = [f"{pluralise(count, 'day')} by version {version}" for version, count in by_version.items()]
        print(f"Days written by version: {', '.join(parts)}.")


def _warnings(scored: Scored) -> Iterator[str]:
    """What a job could not do, and what to do about it."""
    if scored.made_otherwise:
        shown = ", ".join(scored.made_otherwise[:_SHOWN]) + (" …" if len(scored.made_otherwise) > _SHOWN else "")
        yield (
            f"{pluralise(len(scored.made_otherwise), 'day')} keep the credit of a version not in effect on them "
            f"({shown}). Score again with an input that has these days and one lookback window before them."
        )
    if scored.without_history:
        yield f"Not scored, because the input lacks the touchpoints before them: {', '.join(scored.without_history)}."
    if scored.cut:
        yield (
            f"Not scored, because the input may cover only part of them: {', '.join(scored.cut)}. "
            "If it covers them completely, add --covers FROM..TO."
        )
    if scored.damaged:
        yield (
            f"The files of these days are damaged: {', '.join(scored.damaged)}. To restore them, score again with "
            "an input "
            "that has their conversions and one lookback window before them."
        )
    if scored.deferred:
        yield f"Changed but not scored, because they are outside --from and --through: {', '.join(scored.deferred)}."
    if scored.outdated:
        ids = [name for names in scored.outdated.values() for name in names]
        shown = ", ".join(ids[:_SHOWN]) + (" …" if len(ids) > _SHOWN else "")
        days = f"{min(scored.outdated)} to {max(scored.outdated)}" if len(scored.outdated) > 1 else min(scored.outdated)
        yield (
            f"The credit of {pluralise(len(ids), 'conversion')} may be out of date, and this input cannot correct it "
            f"({days}): {shown}. "
            "All are listed in restatement/ and manifest.json. Score these days again with the touchpoints before them."
        )
    for channel, touchpoints in scored.unknown_channels.items():
        rows = pluralise(touchpoints, "touchpoint")
        yield f"The model does not know channel {channel!r}, which has {rows}: refit it."
