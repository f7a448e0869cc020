"""``attribution export``: a model of a finished run as a portable folder, registered in MLflow, or as one SELECT."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from attribution import logs
from attribution.cli.commands.arguments import AllowOwnCode, Json, Restate, parse_day
from attribution.cli.console import print_json, progress
from attribution.errors import InputError
from attribution.schema.names import named_folder

if TYPE_CHECKING:
    from attribution.models.saved import Scorer
    from attribution.pipeline.stores import Store
    from attribution.pipeline.tracking_record import Record
    from attribution.production.sql import SqlTables
    from attribution.tracking.registry import Registered

# ---------------------------------------------------------------- as SQL


def write_select(
    scorer: Scorer, dialect: str, tables: SqlTables, to: Path | None, *, unknown_channels: str | None, as_json: bool
) -> None:
    """Write the SELECT of ``scorer`` to a file, or to standard output."""
    from attribution.cli.commands.saved_runs import replace_file
    from attribution.production.sql import build_select, is_select

    if unknown_channels is not None:
        scorer = scorer.with_policy(unknown_channels)
    sql = f"{build_select(scorer, dialect, tables)}\n"
    if to is not None:
        if to.is_dir():
            raise InputError("with --sql, --to must be a file, but it is a folder", given=f"--to {to}")
        replace_file(to, sql, is_own=is_select)
    if as_json:
        print_json({"sql": sql, "dialect": dialect, "file": None if to is None else str(to), "version": scorer.version})
    elif to is None:
        typer.echo(sql, nl=False)
    else:
        typer.echo(f"Model {scorer.state.label}, version {scorer.version}, is in {to} as {dialect} SQL.")


@contextmanager
def open_scorer(
    reference: str, model: str | None, name: str | None, *, uri: str | None, allow_own_code: bool
) -> Iterator[Scorer]:
    """A scorer with its version: of a run, of an exported folder, or of the registry."""
    from attribution.cli.commands.saved_runs import judge_scorer, open_model, open_run_folder
    from attribution.models.saved import Scorer
    from attribution.pipeline.stores import choose_store

    if reference.startswith("models:/") or (Path(reference) / "model.json").is_file():
        if model is not None or name is not None:
            raise InputError("an exported model already has a name", given=f"--model {model}, --name {name}")
        with open_model(reference, store=choose_store(uri)) as folder:
            yield Scorer.load(folder, allow_own_code=allow_own_code)
        return
    with (
        open_run_folder(reference, Path(), store=choose_store(uri)) as run,
        tempfile.TemporaryDirectory(prefix="attribution-export-") as copies,
    ):
        exported = judge_scorer(run, model, name, allow_own_code=allow_own_code)
        yield exported.save(Path(copies) / "scorer")


# ---------------------------------------------------------------- the command

Dialect = Annotated[
    str | None,
    typer.Option(
        metavar="DIALECT",
        help="Write the model as one SQL SELECT instead, for duckdb, spark, bigquery, snowflake or postgres. It goes "
        "to the file --to or to standard output. RUN may also be an exported model.",
    ),
]
TableName = Annotated[str, typer.Option(help="With --sql: name of this table in the warehouse.")]
Canonical = Annotated[
    bool,
    typer.Option(
        "--canonical", help="With --sql: the tables use this package's column names, not those of the experiment."
    ),
]
Lacks = Annotated[
    list[str] | None,
    typer.Option(
        "--missing-column",
        help="With --sql: column that conversions lack (value, conversion_id or is_new_customer). Can be repeated.",
    ),
]
UnknownChannels = Annotated[
    str | None,
    typer.Option(
        help=(
            "With --sql: weight of channels that the model does not know: like_known or zero. Default: the "
            "setting of the model."
        )
    ),
]


Model = Annotated[
    str | None, typer.Option(help="Label of the model, such as markov_2. Not needed if the run has only one.")
]
To = Annotated[
    Path | None, typer.Option(help="Model folder. Default: models/NAME. An earlier result in it is replaced.")
]


def export(
    reference: Annotated[str, typer.Argument(metavar="RUN", help="Output folder of a run, or its MLflow run id.")],
    model: Model = None,
    to: To = None,
    name: Annotated[
        str | None, typer.Option(help="Name in the registry. Default: the last part of --to, or the label.")
    ] = None,
    alias: Annotated[str | None, typer.Option(help="Alias to give this version, such as champion.")] = None,
    restate: Restate = None,
    uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow tracking URI. Default: that of the run.")
    ] = None,
    register: Annotated[
        bool, typer.Option("--register/--no-register", help="Register the model in MLflow if the run was logged.")
    ] = True,
    sql: Dialect = None,
    touchpoints: TableName = "touchpoints",
    conversions: TableName = "conversions",
    canonical: Canonical = False,
    lacks: Lacks = None,
    unknown_channels: UnknownChannels = None,
    allow_own_code: AllowOwnCode = False,
    as_json: Json = False,
) -> None:
    """Write one model of a finished run to a folder and register it in MLflow, or write it as SQL."""
    if sql is not None:
        from attribution.production.sql import SqlTables

        if alias is not None:
            raise InputError(
                "--alias cannot be used with --sql, which does not register the model", given=f"--alias {alias}"
            )
        tables = SqlTables(touchpoints, conversions, canonical, tuple(lacks or ()))
        with open_scorer(reference, model, name, uri=uri, allow_own_code=allow_own_code) as scorer:
            write_select(scorer, sql, tables, to, unknown_channels=unknown_channels, as_json=as_json)
        return
    from attribution.cli.commands.saved_runs import judge_scorer, open_run_folder
    from attribution.pipeline.stores import choose_store
    from attribution.pipeline.tracking_record import read_record

    since = parse_day(restate, "--restate")
    if since is not None and alias is None:
        raise InputError("--restate needs an alias", given=f"--restate {restate}", hint="add --alias champion")
    with progress() as say, open_run_folder(reference, Path(), store=choose_store(uri)) as run:
        say("reading the run")
        record = read_record(run)
        say("evaluating the model")
        called = name or (to.name if to is not None else None)
        exported = judge_scorer(run, model, called, allow_own_code=allow_own_code)
        folder = to or named_folder("models", exported.name, option="--to")
        say("writing and registering")
        store = choose_store(uri, record.uri) if register and (uri or record.uri) else None
        to_registry = Registry(store, alias, since, allow_own_code)
        scorer, registered = _write(exported, folder, run, record, to_registry)
    logs.bind(model=exported.name, model_version=scorer.version)
    _print(exported.name, folder, scorer, registered, to_registry, as_json=as_json)


def _print(
    name: str, folder: Path, scorer: Scorer, registered: Registered | None, registry: Registry, *, as_json: bool
) -> None:
    from attribution.cli.commands.saved_runs import effect_records
    from attribution.production.versions import describe_effect

    if as_json:
        entry = registered and {
            "uri": registered.uri,
            "version": registered.version,
            "store": str(registry.store),
            "in_effect": effect_records(registered.timeline),
        }
        print_json({"folder": str(folder), "name": name, "version": scorer.version, "registered": entry})
        return
    typer.echo(f"Model {scorer.state.label} is in {folder}, version {scorer.version}.")
    if registered is not None:
        before = f"; the alias was at version {registered.before}" if registered.before else ""
        typer.echo(f"Registered as {registered.uri}, version {registered.version}, in {registry.store}{before}.")
        if registered.timeline is not None:
            typer.echo(describe_effect(registered.timeline))
    elif registry.alias is not None:
        typer.echo("The model was not registered, so the alias was not set.")


class Registry(NamedTuple):
    """Where a scorer is registered; nowhere if ``store`` is None."""

    store: Store | None
    alias: str | None
    restate: int | None
    allow_own_code: bool


def _write(scorer: Scorer, to: Path, run: Path, record: Record, registry: Registry) -> tuple[Scorer, Registered | None]:
    """Write the folder and register it: both or neither."""
    from attribution.cli.commands.saved_runs import find_training_run
    from attribution.models.saved.folder import write_folder

    with (
        tempfile.TemporaryDirectory(prefix="attribution-export-") as copies,
        write_folder(to, scorer.name) as staging,
    ):
        made = Path(copies) / "scorer"
        saved = scorer.save(made)
        shutil.copytree(made, staging, dirs_exist_ok=True)
        if registry.store is None:
            return saved, None
        from attribution.tracking.registry import Placement, register_scorer
        from attribution.tracking.versions import provenance_tags

        run_id = find_training_run(run, record, registry.store)
        placement = Placement(scorer.name, registry.store, registry.alias, registry.restate)
        tags = provenance_tags(run, saved, run_id or run.resolve().name)
        registered = register_scorer(made, placement, run_id=run_id, tags=tags, allow_own_code=registry.allow_own_code)
        return saved, registered
