"""``attribution run``: one experiment, or several and a comparison of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution import logs
from attribution.cli.commands.arguments import Json, Overrides
from attribution.cli.commands.written_runs import input_files, track_run, write_run
from attribution.cli.console import print_json, print_ranking, progress, records
from attribution.errors import InputError
from attribution.schema.names import named_folder

if TYPE_CHECKING:
    from attribution.decisions.comparison import Specification
    from attribution.pipeline.outcome import Stage
    from attribution.schema.experiment import Experiment


def run(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="EXPERIMENT.toml", help="The experiment file, or a folder of experiment files to compare."
        ),
    ],
    overrides: Overrides = None,
    sweeps: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep", metavar="KEY=A,B,…", help="Run and compare every combination of these values. Can be repeated."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output folder. Default: runs/NAME. An earlier result in it is replaced.")
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Run even if the folder already holds a run with the same data, settings and code."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run an experiment: write tables and a report, log to MLflow, and print the ROI ranking of every model.

    With --sweep, or for a folder of experiments, every run has its own folder below OUT, and the runs are compared.
    """
    from attribution.pipeline.sections import read_experiment

    if not path.is_dir() and not sweeps:
        return run_one(read_experiment(path, overrides or ()), out, as_json=as_json, again=again)
    from attribution.decisions.comparison import list_specifications

    specifications = list_specifications(path, overrides or (), sweeps or (), read=read_experiment)
    if len(specifications) == 1 and not sweeps:
        return run_one(specifications[0].experiment, out, as_json=as_json, again=again)
    name = path.resolve().name if path.is_dir() else specifications[0].experiment.name
    return _run_several(
        name, specifications, out or named_folder("runs", f"{name}-comparison"), as_json=as_json, again=again
    )


def run_one(experiment: Experiment, out: Path | None, *, as_json: bool, again: bool = False) -> None:
    """The whole line of one experiment, unless its folder is there already."""
    from attribution.decisions.kpis import read_run
    from attribution.returns.ranking import compare_rankings

    out = out or named_folder("runs", experiment.name)
    with progress() as say:
        made = _make_run(experiment, out, say, again=again)
        tracked = track_run(experiment, out, say)
    tables = read_run(out).tables
    credit = tables["credit"]
    logs.count(experiment=experiment.name, models=int(credit["model"].nunique()), rows=len(credit), is_reused=not made)
    if as_json:
        head = {"out": str(out), "reused": not made, **tracked.document}
        print_json(head | {name: records(tables[name]) for name in ("returns", "agreement")})
    else:
        print_ranking(experiment, tables, compare_rankings(tables["returns"]))
        where = (
            "Tables and report.html are"
            if made
            else "Data, settings and code are unchanged, so nothing was run again. The results are"
        )
        typer.echo(f"\n{where} in {out}{tracked.sentence_end}")
    if tracked.failure is not None:
        raise tracked.failure


def _make_run(experiment: Experiment, out: Path, say: Stage, *, again: bool) -> bool:
    """Whether the run had to be made; one that is there with the same data, settings and code is left as it is."""
    from attribution.pipeline.reuse import is_there

    say("looking for a finished run")
    if not again and is_there(experiment, out):
        return False
    from attribution.pipeline.pipeline import run_experiment

    write_run(experiment, out, lambda stage: run_experiment(experiment, on_stage=stage), say)
    return True


def _run_several(name: str, specifications: Sequence[Specification], out: Path, *, as_json: bool, again: bool) -> None:
    from attribution.cli.commands.saved_runs import track
    from attribution.cli.commands.written_runs import log_folder, tracking_store, write_compared
    from attribution.decisions.comparison import compare_runs
    from attribution.decisions.kpis import read_run

    if len(specifications) < 2:
        raise InputError(
            "a comparison needs at least two specifications", hint="give --sweep at least two values: KEY=A,B"
        )
    _check_apart(specifications, out)
    made = []
    with progress() as say:
        for number, each in enumerate(specifications, start=1):

            def tell(what: str, progress_label: str = f"{number}/{len(specifications)} {each.name}") -> None:
                say(f"{progress_label}: {what}")

            try:
                if _make_run(each.experiment, out / each.name, tell, again=again):
                    made.append(each.name)
            except InputError as error:
                raise type(error)(f"specification {each.name!r}: {error}") from None
        say("comparing")
        compared = compare_runs({each.name: read_run(out / each.name) for each in specifications}, name)
        store = tracking_store(specifications[0].experiment.tracking)
        write_compared(compared, out, store)
        say("logging to MLflow" if store is None else f"logging to MLflow, {store}")
        tracked = track(lambda store: log_folder(out, store), store)
    if as_json:
        reused = [each.name for each in specifications if each.name not in made]
        head = {"out": str(out), "reused": reused, **tracked.document}
        sentences = {"findings": list(compared.findings), "notes": list(compared.notes)}
        print_json(head | sentences | {key: records(table) for key, table in compared.tables.items()})
    else:
        for sentence in compared.findings:
            typer.echo(sentence)
        typer.echo(f"\n{len(made)} of {len(specifications)} runs are new, the others are unchanged. ", nl=False)
        typer.echo(f"The runs are in {out}, their comparison in {out / 'comparison'}{tracked.sentence_end}")
    if tracked.failure is not None:
        raise tracked.failure


def _check_apart(specifications: Sequence[Specification], out: Path) -> None:
    """Refuse before any run is made an output folder that holds what runs read."""
    folders = [out / each.name for each in specifications] + [out / "comparison"]
    for each in specifications:
        if each.name == "comparison":
            raise InputError("a specification cannot be called 'comparison'", hint="rename the file")
        for path in input_files(each.experiment):
            taken = [folder for folder in folders if folder.resolve() in (path.resolve(), *path.resolve().parents)]
            if taken:
                raise InputError(
                    f"output folder {taken[0]} holds a file that the run reads, so it is not replaced",
                    given=str(path),
                )
