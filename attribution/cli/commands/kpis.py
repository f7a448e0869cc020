"""``attribution kpis``: a run against its targets."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution.cli.commands.arguments import NEGATIVE_VERDICT, Json
from attribution.cli.console import print_json, print_page, progress, records

if TYPE_CHECKING:
    import pandas as pd

    from attribution.decisions.kpis import Run, Targets
    from attribution.pipeline.outcome import Outcome, Stage

_SHORT_OF = ("missed", "behind_pace")


def kpis(
    targets: Annotated[Path, typer.Argument(metavar="TARGETS.toml", help="The file of targets.")],
    out: Annotated[
        Path | None, typer.Option(help="Output folder; runs/NAME-kpis unless given. Replaced whole.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare a run with targets, a baseline and earlier runs; exit 3 if a target is missed or behind schedule."""
    from attribution.cli.commands.saved_runs import Made, opened, written
    from attribution.decisions.kpis import read_targets, target_findings, target_metrics
    from attribution.pipeline.outcome import run_of
    from attribution.reporting.report.pages import targets_page

    asked = read_targets(targets)
    out = out or Path("runs") / f"{asked.name}-kpis"
    references = _references(asked)
    with progress() as say, opened(references, asked.folder, uri=asked.tracking.uri) as runs:
        say("reading runs")
        known = dict(zip(references, runs, strict=True))
        run = known[asked.run] if asked.run is not None else run_of(_run(asked, say))
        tables = _tables(asked, run, known)
        said = target_findings(tables["kpis"])
        page = targets_page(asked.name, tables, said)
        tags = {"attribution.run": asked.run or run.name, "attribution.baseline": asked.baseline or ""}
        made = Made(asked.name, "kpis", tables, target_metrics(tables["kpis"]), tags, page)
        kept = [asked.folder, *(asked.folder / name for name in references)]
        run_id, failure = written(made, out, kept, asked.tracking)
    if as_json:
        print_json({"out": str(out), "mlflow_run": run_id, **{name: records(table) for name, table in tables.items()}})
    else:
        print_page(page)
        typer.echo(f"\nTables, kpis.md and kpis.html are in {out}" + (f"; MLflow run {run_id}." if run_id else "."))
    if failure is not None:
        raise failure
    if tables["kpis"]["verdict"].isin(_SHORT_OF).any():
        raise typer.Exit(NEGATIVE_VERDICT)


def _references(asked: Targets) -> list[str]:
    """Every run that the file names, once."""
    named = [asked.run, asked.baseline, *(decision.run for decision in asked.decisions), *earlier_runs(asked)]
    return list(dict.fromkeys(name for name in named if name is not None))


def earlier_runs(asked: Targets) -> list[str]:
    """Earlier runs, in order of name; a pattern that finds none stands for itself, and is refused when it is opened.

    A proposal of ``attribution budget`` holds the tables of its run too and is no run of its own: patterns pass it by.
    """
    pinned = {(asked.folder / name).resolve() for name in (asked.run, asked.baseline) if name is not None}
    named: list[str] = []
    for pattern in asked.history:
        found = sorted(glob.glob(pattern, root_dir=asked.folder))
        runs = [name for name in found if name == pattern or _is_run(asked.folder / name)] or [pattern]
        named += [name for name in runs if (asked.folder / name).resolve() not in pinned]
    return list(dict.fromkeys(named))


def _is_run(folder: Path) -> bool:
    return (folder / "returns.parquet").is_file() and not (folder / "budget.parquet").is_file()


def _run(asked: Targets, say: Stage) -> Outcome:
    from attribution.pipeline.pipeline import run_experiment
    from attribution.pipeline.sections import read_experiment

    return run_experiment(read_experiment(asked.folder / str(asked.experiment)), on_stage=say)


def _tables(asked: Targets, run: Run, known: Mapping[str, Run]) -> dict[str, pd.DataFrame]:
    import pandas as pd

    from attribution.decisions.kpis import before_after, check_targets, kpi_history, score_decisions

    baseline = None if asked.baseline is None else known[asked.baseline]
    tables = {"kpis": check_targets(asked, run, baseline)}
    tables["kpi_history"] = kpi_history(asked, [*(known[name] for name in earlier_runs(asked)), run], baseline)
    if asked.decisions:
        tables["decisions"] = score_decisions(asked, run, [known[decision.run] for decision in asked.decisions])
    if asked.changes:
        rows = [
            before_after(
                _series(asked.folder / change.source),
                measure=change.measure,
                on=change.on,
                controls=change.controls,
                day=change.day,
                what=change.what,
                level=asked.level,
            )
            for change in asked.changes
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
