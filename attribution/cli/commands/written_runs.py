"""A run, or a comparison of several, written into a folder and tracked from there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.cli.commands.saved_runs import Tracked, track
from attribution.cli.console import progress
from attribution.errors import InputError
from attribution.logs import without_credentials

if TYPE_CHECKING:
    from attribution.decisions.comparison import Comparison
    from attribution.pipeline.outcome import Outcome, Stage
    from attribution.pipeline.stores import Store
    from attribution.schema.experiment import Experiment, TrackingOptions

# ---------------------------------------------------------------- a run


def complete(experiment: Experiment, out: Path, make: Callable[[Stage], Outcome]) -> Tracked:
    """Make a run, write its folder, and track it: results are on disk before that."""
    with progress() as say:
        write_run(experiment, out, make, say)
        return track_run(experiment, out, say)


def write_run(experiment: Experiment, out: Path, make: Callable[[Stage], Outcome], say: Stage) -> None:
    """Make a run and write its folder, which is replaced whole."""
    from attribution.pipeline.output import replaced_folder, write_outcome
    from attribution.reporting.charts import draw_figures, save_png
    from attribution.reporting.report import render_report

    begun = time.perf_counter()
    with replaced_folder(out, input_files(experiment), kind="run") as folder:
        outcome = make(say)
        say("writing tables and report")
        figures = draw_figures(outcome.figures, outcome.tables)
        report = render_report(
            experiment.name,
            outcome.tables,
            figures,
            outcome.settings,
            parts=outcome.parts,
            dictionary=outcome.sections.dictionary(outcome.tables),
        )
        write_outcome(folder, outcome, report=report, seconds=time.perf_counter() - begun)
        if experiment.output.pictures:
            (folder / "pictures").mkdir()
            for figure in figures:
                save_png(figure, folder / "pictures" / f"{figure.name}.png")


def track_run(experiment: Experiment, out: Path, say: Stage) -> Tracked:
    """Log a run that is in its folder, unless it is logged already or was not to be."""
    store = tracking_store(experiment.tracking)
    if store is not None:
        say(f"logging to MLflow, {store}")
    return track(lambda store: log_folder(out, store), store)


def tracking_store(tracking: TrackingOptions, option: str | None = None) -> Store | None:
    """Where an experiment asks to be logged; None where it does not."""
    from attribution.pipeline.stores import choose_store

    return choose_store(option, tracking.uri) if tracking.enabled else None


def input_files(experiment: Experiment) -> list[Path]:
    """What the run reads: the experiment's folder, and the files of its tables that are on this machine."""
    from attribution.data.engine import is_remote

    sources = [spec.source for spec in experiment.tables.values()]
    names = [source for source in sources if isinstance(source, str)]
    names += [item for source in sources if isinstance(source, list) for item in source if isinstance(item, str)]
    names += [name for options in experiment.further.values() for name in getattr(options, "files", ())]
    names += [str(experiment.channels["file"])] if "file" in experiment.channels else []
    return [experiment.folder, *(experiment.folder / Path(name).expanduser() for name in names if not is_remote(name))]


# ---------------------------------------------------------------- a comparison of runs in one folder

FOLDER = "comparison"


def write_compared(compared: Comparison, out: Path, store: Store | None) -> None:
    """Write a comparison of the runs in ``out`` into a folder of its own there, with what is to be logged of it."""
    from attribution.cli.commands.saved_runs import Made, write_made
    from attribution.pipeline.outcome import Numbers
    from attribution.pipeline.provenance import code_version
    from attribution.reporting.report.pages import comparison_page

    numbers = Numbers(compared.name, {"specifications": ", ".join(compared.specifications)}, dict(compared.metrics))
    runs = {name: _digest(out / name / "manifest.json") for name in compared.specifications}
    # No times: a comparison of the same runs is the same, and is logged once.
    manifest = {
        "run": asdict(numbers),
        "uri": None if store is None else without_credentials(store.tracking),
        "runs": runs,
        "code": {"version": code_version()},
    }
    made = Made(compared.name, "comparison", compared.tables, {}, {}, comparison_page(compared))
    write_made(made, out / FOLDER, [out / name for name in compared.specifications], manifest=manifest)


def is_compared(folder: Path) -> bool:
    """Whether ``folder`` holds runs and a comparison of them."""
    return (folder / FOLDER / "manifest.json").is_file()


def own_address(folder: Path) -> str | None:
    """Where what a finished run or comparison left in ``folder`` asked to be logged.

    Raises
    ------
    InputError
        If the folder is not that of a finished run.
    """
    from attribution.pipeline.tracking_record import read_record

    uri: str | None = (
        _read(folder / FOLDER / "manifest.json")["uri"] if is_compared(folder) else read_record(folder).uri
    )
    return uri


def log_folder(folder: Path, store: Store) -> str:
    """Log what a finished run or comparison left in ``folder``; return the id of its MLflow run.

    Raises
    ------
    InputError
        If the folder is not that of a finished run.
    TrackingError
        If MLflow cannot be reached or refuses; the folder is untouched.
    """
    from attribution.pipeline.outcome import Numbers
    from attribution.pipeline.tracking_record import read_record
    from attribution.tracking.tracked_runs import track_comparison, track_record

    if not is_compared(folder):
        return track_record(read_record(folder), folder, store=store)
    manifest = _read(folder / FOLDER / "manifest.json")
    records = {name: read_record(folder / name) for name in manifest["runs"]}
    return track_comparison(Numbers(**manifest["run"]), records, folder, store=store)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: content[key] for key in ("run", "uri", "runs")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged: {type(error).__name__}: {error}", hint="run the comparison again"
        ) from None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
