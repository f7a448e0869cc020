"""The input tables of a job on an exported model: options of the command, or as an experiment reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from attribution.errors import InputError

LOG = ("touchpoints", "conversions")
READ = (*LOG, "identities", "customers", "codes")
"""Tables that journeys of new conversions are made of."""

Source = Annotated[
    str | None, typer.Option(help="Path, glob or SELECT. Needed if the model was fitted with this table.")
]
TablesFile = Annotated[
    Path | None,
    typer.Option(
        "--tables",
        metavar="EXPERIMENT.toml",
        help="Read all tables as this experiment does: columns, filters, queries, identities, codes, customers.",
    ),
]


class InputTables(NamedTuple):
    """Sources by table, and where their relative paths start."""

    sources: Mapping[str, Any]
    folder: Path = Path()


def input_tables(tables: Path | None, sources: Mapping[str, Any], further: Mapping[str, object]) -> InputTables:
    """What a job reads.

    Parameters
    ----------
    tables : an experiment file, whose tables are read as it says; its models and settings do not matter
    sources : what each option of a table names, None where it is not given
    further : other options on how tables are read, by their names; falsy where they are not given

    Raises
    ------
    InputError
        If the log is not given, or an option stands beside an experiment that says the same.
    """
    if tables is None:
        missing = [name for name in LOG if sources.get(name) is None]
        if missing:
            raise InputError(
                f"a model folder holds no data: {' and '.join(missing)} are needed",
                hint="give --touchpoints and --conversions, or --tables EXPERIMENT.toml, which says how to read them",
            )
        return InputTables({name: source for name, source in sources.items() if source is not None})
    options = {f"--{name}": source for name, source in sources.items()} | dict(further)
    twice = [option for option, value in options.items() if value]
    if twice:
        raise InputError(
            f"--tables says how all tables are read, and {twice[0]} says it again",
            given=", ".join(twice),
            hint=f"leave {twice[0]} out, and write it into {tables}",
        )
    from attribution.pipeline.sections import read_experiment

    experiment = read_experiment(tables)
    missing = [name for name in LOG if name not in experiment.tables]
    if missing:
        raise InputError(
            f"experiment {tables} has no table {missing[0]!r}, which new conversions are attributed from",
            given=", ".join(experiment.tables),
            hint=f"add [tables.{missing[0]}] to it",
        )
    read = {name: spec for name, spec in experiment.tables.items() if name in (*READ, "rates")}
    return InputTables(read, experiment.folder)
