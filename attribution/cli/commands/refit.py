"""``attribution refit``: the models of daily summaries, fitted on the last days of them."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from attribution import logs
from attribution.amounts import pluralise
from attribution.cli.commands.arguments import DAY, NEGATIVE_VERDICT, AllowOwnCode, DryRun, Json
from attribution.cli.console import print_json, progress, records, warn
from attribution.errors import InputError
from attribution.schema.names import named_folder

if TYPE_CHECKING:
    from attribution.data.loading import Finding
    from attribution.models import AttributionModel
    from attribution.models.credit import Credit
    from attribution.models.saved import Scorer
    from attribution.pipeline.tracking_record import Record
    from attribution.production.refit import SummaryStore, Window

Summaries = Annotated[
    Path, typer.Argument(metavar="SUMMARIES", help="Folder of daily summaries, written by `attribution summarise`.")
]
Through = Annotated[
    dt.datetime | None, typer.Option(formats=DAY, help="Last day. Default: the last one in the folder.")
]


def refit(
    summaries: Summaries,
    last: Annotated[int | None, typer.Option("--days", min=1, help="Number of days to fit on. Default: all.")] = None,
    through: Through = None,
    out: Annotated[
        Path | None, typer.Option(help="Output folder. Default: runs/NAME-refit. An earlier result in it is replaced.")
    ] = None,
    champion: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Model to refit: its folder, or models:/NAME@ALIAS. It is only read: the refitted one is written to "
            "the output folder, for `attribution promote --challenger`.",
        ),
    ] = None,
    uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow tracking URI, for models:/NAME@ALIAS.")
    ] = None,
    allow_own_code: AllowOwnCode = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Fit models on stored daily summaries, without reading touchpoints again."""
    from attribution.production.refit import SummaryStore, check_champion, day_name, read_window
    from attribution.production.refit import refit as fit

    summary_store = SummaryStore.open(summaries)
    logs.bind(experiment=summary_store.definition.name, summaries_version=summary_store.definition.digest)
    days = choose_window(summary_store, last, through)
    stale = [day_name(day) for day in summary_store.read_log_state().stale if days[0] <= day <= days[1]]
    out = out or named_folder("runs", f"{summary_store.definition.name}-refit")
    document: dict[str, object] = {"out": str(out), "first": day_name(days[0]), "last": day_name(days[1])}
    document["stale"] = stale
    models = summary_models(summary_store, allow_own_code=allow_own_code)
    with progress() as say, _open_champion(champion, uri, allow_own_code=allow_own_code) as opened:
        if opened is not None:
            check_champion(opened.scorer, summary_store, models, opened.reference)
        say("reading summaries")
        window = read_window(summary_store, models, *days)
        if dry_run:
            _tell(document | {"dry_run": True}, as_json=as_json)
            return
        say(f"fitting {', '.join(model.label for model in models)}")
        credit = fit(window, models)
        made = Refit(summary_store, window, models, credit, opened)
        document |= _write_folder(out, made)
    document["warnings"] = [finding.check for finding in _findings(made) if finding.status == "warn"]
    _tell(document | {"dry_run": False, "credit": records(credit.table)}, as_json=as_json)
    if stale:
        raise typer.Exit(NEGATIVE_VERDICT)


def summary_models(store: SummaryStore, *, allow_own_code: bool) -> list[AttributionModel]:
    """The models of daily summaries, refused where these name code of one's own that is not allowed: they are data."""
    from attribution.models.saved.own_code import refuse_own_code
    from attribution.pipeline.builders import make_model

    specs = store.definition.specs
    if not allow_own_code:
        for spec in specs:
            refuse_own_code(spec.model, spec.settings, f"folder {store.folder}")
    return [make_model(spec, Path()) for spec in specs]


def choose_window(store: SummaryStore, days: int | None, through: dt.datetime | None) -> tuple[int, int]:
    """Numbers of the first and the last day of the ``days`` that end with ``through``."""
    from attribution.production.refit import day_name, day_number

    held = store.days
    if not held:
        raise InputError(f"{store.folder} has no days yet", hint="write some with `attribution summarise`")
    last = held[-1] if through is None else day_number(through.date())
    first = held[0] if days is None else last - days + 1
    if first < held[0] or last > held[-1]:
        raise InputError(
            f"{store.folder} does not have all of these days",
            given=f"{day_name(first)} to {day_name(last)}",
            allowed=f"{day_name(held[0])} to {day_name(held[-1])}",
        )
    return first, last


class Champion(NamedTuple):
    """The model in use: how it was named, where it lies, and the address of its registry, if it came from one."""

    reference: str
    folder: Path
    scorer: Scorer
    uri: str | None


class Refit(NamedTuple):
    """Models fitted on days of daily summaries, and the model in use that one of them is to replace, if any."""

    store: SummaryStore
    window: Window
    models: Sequence[AttributionModel]
    credit: Credit
    champion: Champion | None


@contextlib.contextmanager
def _open_champion(reference: str | None, uri: str | None, *, allow_own_code: bool) -> Iterator[Champion | None]:
    from attribution.cli.commands.saved_runs import open_model
    from attribution.logs import without_credentials
    from attribution.models.saved import Scorer
    from attribution.pipeline.stores import choose_store

    if reference is None:
        yield None
        return
    store = choose_store(uri)
    with open_model(reference, store=store) as folder:
        address = without_credentials(store.tracking) if reference.startswith("models:/") else None
        yield Champion(reference, folder, Scorer.load(folder, allow_own_code=allow_own_code), address)


def _findings(made: Refit) -> list[Finding]:
    from attribution.models.model_tables import model_findings

    return model_findings(made.models)


def _write_folder(out: Path, made: Refit) -> dict[str, object]:
    """Write tables and the challenger, all or nothing; what is to be challenger_document of the challenger."""
    from attribution.data.loading import quality_table
    from attribution.models.model_tables import model_tables
    from attribution.models.saved import save_in_run
    from attribution.pipeline.output import replaced_folder, write_dictionary, write_manifest, write_table
    from attribution.pipeline.provenance import code_version, git_commit
    from attribution.production.output_tables import output_tables
    from attribution.production.refit import SUMMARIES, day_name
    from attribution.schema.tables import DICTIONARY

    store, window, models, credit, champion = made
    tables = {"credit": credit.table, **model_tables(models, interactions=False)}
    tables |= {"quality": quality_table(findings)} if (findings := _findings(made)) else {}
    digests = {SUMMARIES: store.digest_days(window.first, window.last)}
    keep = [store.folder, *([] if champion is None else [champion.folder])]
    with replaced_folder(out, keep, kind="refit") as folder:
        declared = output_tables()
        written = {name: write_table(folder, declared[name], table) for name, table in tables.items()}
        written[DICTIONARY.name] = write_dictionary(folder, tables, declared)
        manifest: dict[str, Any] = {
            "name": store.definition.name,
            "summaries": str(store.folder),
            "definition": store.definition.content,
            "first": day_name(window.first),
            "last": day_name(window.last),
            "code": {"version": code_version(), "git_commit": git_commit(store.folder)},
            "inputs": digests,
            "tables": written,
        }
        challenger_document: dict[str, object] = {}
        if champion is not None:
            challenger = save_in_run(_challenger(made, champion, digests), folder)
            _record(made, challenger, champion.uri).write(folder)
            manifest["champion"] = {"name": champion.scorer.name, "version": champion.scorer.version}
            challenger_document = {"challenger": challenger.state.label, "version": challenger.version}
        write_manifest(folder, "refit", manifest)
    return challenger_document


def _challenger(made: Refit, champion: Champion, digests: Mapping[str, str]) -> Scorer:
    from attribution.cli.commands.saved_runs import judge_laws
    from attribution.production.refit import make_challenger

    return judge_laws(make_challenger(champion.scorer, champion.folder, made.window, made.credit, digests))


def _record(made: Refit, challenger: Scorer, uri: str | None) -> Record:
    """What is to be logged of the challenger, as of a run."""
    from attribution.pipeline.outcome import Numbers
    from attribution.pipeline.tracking_record import Record, as_texts
    from attribution.production.refit import SUMMARIES

    training, name = challenger.definition.training, made.store.definition.name
    assert training is not None
    days = {"summaries": made.store.folder, "first": training.first, "last": training.last}
    metrics = {"conversions": training.conversions, "value": training.value}
    model = Numbers(challenger.name, as_texts({"model": challenger.state.kind, **challenger.state.parameters}), {})
    run = Numbers(name, as_texts(days), metrics, {"attribution.kind": "refit"})
    source = {"name": SUMMARIES, "digest": training.digests[SUMMARIES], "source": str(made.store.folder)}
    return Record(run, (model,), (source,), uri)


def _tell(document: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    elif document["dry_run"]:
        typer.echo(f"Would fit on {document['first']} to {document['last']} and write {document['out']}.")
    else:
        typer.echo(f"Fitted on {document['first']} to {document['last']}; tables are in {document['out']}.")
        if "version" in document:
            typer.echo(
                f"The refitted {document['challenger']} is version {document['version']}. The model in use is "
                f"unchanged; `attribution promote NAME --challenger {document['out']} --holdout EXPERIMENT.toml` "
                "replaces it if it meets the criteria."
            )
    stale, warnings = document["stale"], document.get("warnings", [])
    assert isinstance(stale, list)
    assert isinstance(warnings, list)
    if warnings:
        warn([f"Look at the table quality: {', '.join(warnings)}."])
    logs.count(first=document["first"], last=document["last"], days_stale=len(stale), version=document.get("version"))
    if stale:
        shown = ", ".join(stale[:5]) + (" …" if len(stale) > 5 else "")
        sentence = (
            f"{pluralise(len(stale), 'day')} may be out of date ({shown}). Run `attribution summarise` on tables "
            "with these days and those before them that it asks for."
        )
        warn([sentence])
