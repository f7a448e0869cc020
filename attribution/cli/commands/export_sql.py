"""``attribution export … --sql``: a model as one SELECT, for databases in which nothing of this package runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from attribution.cli.console import print_json
from attribution.errors import InputError

if TYPE_CHECKING:
    from attribution.models.saved import Scorer
    from attribution.production.sql import SqlTables


def write_select(
    scorer: Scorer, dialect: str, tables: SqlTables, to: Path | None, *, unknown_channels: str | None, as_json: bool
) -> None:
    """Write the SELECT of ``scorer`` to a file, or to standard output."""
    from attribution.production.sql import select_of

    if unknown_channels is not None:
        scorer = scorer.with_policy(unknown_channels)
    sql = f"{select_of(scorer, dialect, tables)}\n"
    if to is not None:
        if to.is_dir():
            raise InputError("--sql writes a file, and this is a folder", given=f"--to {to}")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(sql, encoding="utf-8")
    if as_json:
        print_json({"sql": sql, "dialect": dialect, "file": None if to is None else str(to), "version": scorer.version})
    elif to is None:
        typer.echo(sql, nl=False)
    else:
        typer.echo(f"Model {scorer.state.label}, version {scorer.version}, is in {to} as SQL of {dialect}.")


@contextmanager
def chosen_scorer(reference: str, model: str | None, name: str | None, uri: str | None) -> Iterator[Scorer]:
    """A scorer with its version: of a run, of an exported folder, or of the registry."""
    from attribution.cli.commands.finished import exported_scorer, opened_folder
    from attribution.cli.commands.models import opened_model
    from attribution.models.saved import Scorer
    from attribution.schema.experiment import TrackingOptions

    if reference.startswith("models:/") or (Path(reference) / "model.json").is_file():
        if model is not None or name is not None:
            raise InputError("an exported model has its name already", given=f"--model {model}, --name {name}")
        with opened_model(reference, uri=uri) as folder:
            yield Scorer.load(folder)
        return
    with (
        opened_folder(reference, Path(), uri=uri or TrackingOptions().uri) as run,
        tempfile.TemporaryDirectory(prefix="attribution-export-") as copies,
    ):
        yield exported_scorer(run, model, name).save(Path(copies) / "scorer")
