"""A run, or a comparison of several, written into a folder and tracked from there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.cli.console import progress
from attribution.errors import InputError, TrackingError
from attribution.logs import without_credentials

if TYPE_CHECKING:
    from attribution.decisions.comparison import Comparison
    from attribution.pipeline.outcome import Outcome, Stage
    from attribution.schema.experiment import Experiment, TrackingOptions

# ---------------------------------------------------------------- a run


@dataclass(frozen=True)
class Completed:
    """A run that is in its folder.

    Attributes
    ----------
    run_id : in MLflow; None where it was not tracked
    failure : why it could not be tracked
    """

    run_id: str | None
    failure: TrackingError | None

    @property
    def tracked_as(self) -> str:
        """The end of a sentence about the folder."""
        return f"; MLflow run {self.run_id}." if self.run_id else "."


def complete(experiment: Experiment, out: Path, make: Callable[[Stage], Outcome]) -> Completed:
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


def track_run(experiment: Experiment, out: Path, say: Stage) -> Completed:
    """Log a run that is in its folder, unless it is logged already or was not to be."""
    from attribution.pipeline.record import read_record

    if not experiment.tracking.enabled:
        return Completed(None, None)
    say("logging to MLflow")
    try:
        from attribution.tracking.tracked_runs import track_record

        return Completed(track_record(read_record(out), out, uri=experiment.tracking.uri), None)
    except TrackingError as error:
        return Completed(None, error)


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


def write_compared(compared: Comparison, out: Path, tracking: TrackingOptions) -> None:
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
        "uri": without_credentials(tracking.uri) if tracking.enabled else None,
        "runs": runs,
        "code": {"version": code_version()},
    }
    made = Made(compared.name, "comparison", compared.tables, {}, {}, comparison_page(compared))
    write_made(made, out / FOLDER, [out / name for name in compared.specifications], manifest=manifest)


def is_compared(folder: Path) -> bool:
    """Whether ``folder`` holds runs and a comparison of them."""
    return (folder / FOLDER / "manifest.json").is_file()


def track_compared(out: Path, tracking: TrackingOptions) -> Completed:
    """Log a comparison that is in its folder, unless it is logged already or was not to be."""
    if not tracking.enabled:
        return Completed(None, None)
    try:
        return Completed(track_folder(out, tracking.uri), None)
    except TrackingError as error:
        return Completed(None, error)


def track_folder(folder: Path, uri: str | None) -> str:
    """Log what a finished run or comparison left in ``folder``, to ``uri`` or where it asked for.

    Raises
    ------
    InputError
        If the folder is not that of a finished run.
    TrackingError
        If MLflow cannot be reached or refuses; the folder is untouched.
    """
    from attribution.pipeline.outcome import Numbers
    from attribution.pipeline.record import read_record
    from attribution.schema.experiment import TrackingOptions
    from attribution.tracking.tracked_runs import track_comparison, track_record

    if not is_compared(folder):
        record = read_record(folder)
        return track_record(record, folder, uri=uri or record.uri or TrackingOptions().uri)
    manifest = _read(folder / FOLDER / "manifest.json")
    records = {name: read_record(folder / name) for name in manifest["runs"]}
    where = uri or manifest["uri"] or TrackingOptions().uri
    return track_comparison(Numbers(**manifest["run"]), records, folder, uri=where)


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
