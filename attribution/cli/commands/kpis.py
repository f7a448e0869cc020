"""``attribution kpis``: a run against its targets."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution.cli.commands.arguments import NEGATIVE_VERDICT, Json
from attribution.cli.console import print_json, print_page, progress, records
from attribution.schema.names import named_folder

if TYPE_CHECKING:
    import pandas as pd

    from attribution.decisions.kpis import Run, Targets
    from attribution.pipeline.outcome import Outcome, Stage


def kpis(
    targets: Annotated[Path, typer.Argument(metavar="TARGETS.toml", help="The file of targets.")],
    out: Annotated[
        Path | None, typer.Option(help="Output folder. Default: runs/NAME-kpis. An earlier result in it is replaced.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare a run with targets, a baseline and earlier runs.

    Exit code 3: a target is missed or exceeded, behind schedule, or above what is due by now.
    """
    from attribution.cli.commands.saved_runs import Made, open_runs, write_outputs
    from attribution.cli.commands.written_runs import tracking_store
    from attribution.decisions.kpis import read_targets, target_findings, target_metrics
    from attribution.decisions.kpis.attainment import SHORT_OF, baseline_notes, check_notes, model_note
    from attribution.pipeline.outcome import run_of
    from attribution.pipeline.stores import choose_store
    from attribution.reporting.report.pages import targets_page

    declared = read_targets(targets)
    out = out or named_folder("runs", f"{declared.name}-kpis")
    references = _references(declared)
    with (
        progress() as say,
        open_runs(references, declared.folder, store=choose_store(own=declared.tracking.uri)) as runs,
    ):
        say("reading runs")
        runs_by_name = dict(zip(references, runs, strict=True))
        run = runs_by_name[declared.run] if declared.run is not None else run_of(_run(declared, say))
        tables = _tables(declared, run, runs_by_name)
        sentences = target_findings(tables["kpis"])
        note = model_note(declared, run)
        baseline = None if declared.baseline is None else runs_by_name[declared.baseline]
        notes = [*([] if note is None else [note]), *check_notes(tables["kpis"], run)]
        notes += baseline_notes(declared, run, baseline)
        page = targets_page(declared.name, tables, sentences, notes)
        tags = {"attribution.run": declared.run or run.name, "attribution.baseline": declared.baseline or ""}
        made = Made(declared.name, "kpis", tables, target_metrics(tables["kpis"]), tags, page)
        protected = [declared.folder, *(declared.folder / name for name in references)]
        tracked = write_outputs(made, out, protected, tracking_store(declared.tracking))
    if as_json:
        print_json({"out": str(out), **tracked.document, **{name: records(table) for name, table in tables.items()}})
    else:
        print_page(page)
        typer.echo(f"\nTables, kpis.md and kpis.html are in {out}{tracked.sentence_end}")
    if tracked.failure is not None:
        raise tracked.failure
    if tables["kpis"]["verdict"].isin(SHORT_OF).any():
        raise typer.Exit(NEGATIVE_VERDICT)


def _references(declared: Targets) -> list[str]:
    """Every run that the file names, once."""
    references = [
        declared.run,
        declared.baseline,
        *(decision.run for decision in declared.decisions),
        *earlier_runs(declared),
    ]
    return list(dict.fromkeys(name for name in references if name is not None))


def earlier_runs(declared: Targets) -> list[str]:
    """Earlier runs, in order of name; a pattern that finds none stands for itself, and is refused when it is opened.

    A proposal of ``attribution budget`` holds the tables of its run too and is no run of its own: patterns pass it by.
    """
    pinned = {(declared.folder / name).resolve() for name in (declared.run, declared.baseline) if name is not None}
    names: list[str] = []
    for pattern in declared.history:
        matches = sorted(glob.glob(pattern, root_dir=declared.folder))
        runs = [name for name in matches if name == pattern or _is_run(declared.folder / name)] or [pattern]
        names += [name for name in runs if (declared.folder / name).resolve() not in pinned]
    return list(dict.fromkeys(names))


def _is_run(folder: Path) -> bool:
    return (folder / "returns.parquet").is_file() and not (folder / "budget.parquet").is_file()


def _run(declared: Targets, say: Stage) -> Outcome:
    from attribution.pipeline.pipeline import run_experiment
    from attribution.pipeline.sections import read_experiment

    return run_experiment(read_experiment(declared.folder / str(declared.experiment)), on_stage=say)


def _tables(declared: Targets, run: Run, runs_by_name: Mapping[str, Run]) -> dict[str, pd.DataFrame]:
    import pandas as pd

    from attribution.decisions.kpis import before_after, check_targets, score_decisions

    baseline = None if declared.baseline is None else runs_by_name[declared.baseline]
    earlier = [runs_by_name[name] for name in earlier_runs(declared)]
    tables = {"kpis": check_targets(declared, run, baseline, earlier=earlier)}
    if declared.decisions:
        tables["decisions"] = score_decisions(
            declared, run, [runs_by_name[decision.run] for decision in declared.decisions]
        )
    if declared.changes:
        rows = [
            before_after(
                _series(declared.folder / change.source),
                measure=change.measure,
                on=change.on,
                controls=change.controls,
                day=change.day,
                what=change.what,
                level=declared.level,
            )
            for change in declared.changes
        ]
        tables["before_after"] = pd.concat(rows, ignore_index=True)
    return tables


def _series(path: Path) -> pd.DataFrame:
    import pandas as pd

    from attribution.errors import InputError

    if not path.is_file():
        raise InputError(f"file {path} does not exist")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"file {path} cannot be read: {str(error).splitlines()[0]}") from None
