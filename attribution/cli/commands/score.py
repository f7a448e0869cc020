"""``attribution score``: credit of new conversions, a file for each day."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution.cli.commands.arguments import AllowOwnCode, Covers, Json, MaxGapDays, days_covered, parse_day
from attribution.cli.commands.input_tables import LOG, READ, Source, TablesFile, input_tables
from attribution.cli.console import print_json, progress, records
from attribution.errors import InputError

if TYPE_CHECKING:
    from attribution.data.engine import Engine
    from attribution.production.scoring.publication import Scored

_SHOWN = 5


def score(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder of an exported model, or models:/NAME@ALIAS.")],
    out: Annotated[Path, typer.Option(help="Output folder: journey_credit/day=…, restatement/, manifest.json.")],
    touchpoints: Annotated[
        str | None, typer.Option(help="Path, glob or SELECT, including the history before the days to score.")
    ] = None,
    conversions: Annotated[str | None, typer.Option(help="Path, glob or SELECT.")] = None,
    tables: TablesFile = None,
    identities: Source = None,
    customers: Source = None,
    codes: Source = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First day to score, also if it was scored before.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day to score, also if it was scored before.")] = None,
    covers: Covers = None,
    max_gap_days: MaxGapDays = 400,
    unknown_channels: Annotated[
        str | None, typer.Option(help="like_known, zero or refuse, by default as the model was exported.")
    ] = None,
    canonical: Annotated[
        bool, typer.Option("--canonical", help="Tables have canonical columns, however they were read in training.")
    ] = False,
    time_zone: Annotated[str | None, typer.Option(help="Zone of times without an offset, e.g. Europe/Paris.")] = None,
    engine: Annotated[str, typer.Option(help="duckdb or spark.")] = "duckdb",
    memory_limit: Annotated[str, typer.Option(help="Memory limit of DuckDB.")] = "1.5GB",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which days would be scored; write nothing.")] = False,
    uri: Annotated[str | None, typer.Option("--tracking-uri", help="Where models:/NAME@ALIAS is looked up.")] = None,
    allow_own_code: AllowOwnCode = False,
    as_json: Json = False,
) -> None:
    """Attribute new conversions, one file per day. Unchanged days are skipped, and corrected ones are scored again."""
    from attribution.cli.commands.saved_runs import open_model
    from attribution.models.saved import Scorer
    from attribution.production.scoring.job import Request, score_days

    with open_model(model, uri=uri) as folder:
        scorer = Scorer.load(folder, allow_own_code=allow_own_code)
    if unknown_channels is not None:
        scorer = scorer.with_policy(unknown_channels)
    sources = dict(zip(READ, (touchpoints, conversions, identities, customers, codes), strict=True))
    read = input_tables(tables, sources, {"--canonical": canonical, "--time-zone": time_zone})
    request = Request(
        {name: _spec(scorer, name, source, canonical, time_zone) for name, source in read.sources.items()},
        out,
        parse_day(first, "--from"),
        parse_day(last, "--to"),
        canonical=canonical,
        dry_run=dry_run,
        covers=days_covered(covers),
        max_gap_days=max_gap_days,
        folder=read.folder,
    )
    with progress() as say:
        scored = score_days(scorer, request, _engine(engine, memory_limit), on_stage=say)
    if as_json:
        print_json(_document(scorer.name, scorer.version, out, scored))
    else:
        _print(out, scored, dry_run=dry_run)
    if scored.unmended or scored.damaged:
        raise typer.Exit(3)


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


def _document(name: str, version: str, out: Path, scored: Scored) -> dict[str, Any]:
    fields = {field: value for field, value in vars(scored).items() if field != "restatement"}
    return {
        "model": name,
        "model_version": version,
        "out": str(out),
        **fields,
        "restatement": records(scored.restatement),
    }


def _print(out: Path, scored: Scored, *, dry_run: bool) -> None:
    days = f"{scored.written[0]} to {scored.written[-1]}" if scored.written else "none"
    if dry_run:
        print(f"{len(scored.written)} days would be scored ({days}); nothing is written.")
        _print_left(scored)
        return
    print(f"{len(scored.written)} days written ({days}), {len(scored.unchanged)} scored again and unchanged.")
    if scored.written:
        print(f"{scored.conversions:,} conversions in {scored.rows:,} rows.")
    if scored.removed:
        print(f"Without conversions now, removed: {', '.join(scored.removed)}.")
    if scored.kept:
        print(f"Unchanged, because the input lacks the history before them: {', '.join(scored.kept)}.")
    _print_left(scored)
    for channel, count in scored.unknown_channels.items():
        print(f"Channel {channel!r} is not known to the model: {count:,} touchpoints.")
    changed = (
        scored.restatement["day"][scored.restatement["channel"].notna()].nunique() if len(scored.restatement) else 0
    )
    if changed:
        print(f"Credit of {changed} days was restated: see restatement/revision={scored.revision:06d}.")
    print(f"Output is in {out}.")


def _print_left(scored: Scored) -> None:
    """What a job could not do."""
    if scored.cut:
        print(
            f"Unchanged, because the input begins or ends in the middle of them: {', '.join(scored.cut)}. "
            "If the input covers them completely, say so with --covers FROM..TO."
        )
    if scored.damaged:
        print(
            f"Damaged, and this input cannot restore them: {', '.join(scored.damaged)}. Score again with an input "
            "that has their conversions and one lookback window before them."
        )
    if scored.deferred:
        print(f"Changed, but outside --from and --to: {', '.join(scored.deferred)}.")
    if scored.unmended:
        ids = [name for names in scored.unmended.values() for name in names]
        shown = ", ".join(ids[:_SHOWN]) + (" …" if len(ids) > _SHOWN else "")
        days = f"{min(scored.unmended)} to {max(scored.unmended)}" if len(scored.unmended) > 1 else min(scored.unmended)
        print(
            f"{len(ids):,} conversions may be wrong and cannot be corrected from this input ({days}): {shown}. "
            "They are listed in restatement/ and in manifest.json. Score these days again with the history before them."
        )
