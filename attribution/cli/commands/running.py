"""A run made, written and tracked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attribution.cli.console import progress
from attribution.errors import TrackingError

if TYPE_CHECKING:
    from attribution.pipeline.outcome import Outcome, Stage
    from attribution.schema.experiment import Experiment


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
    with replaced_folder(out, files_of(experiment)) as folder:
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
        from attribution.tracking.tracking import track_record

        return Completed(track_record(read_record(out), out, uri=experiment.tracking.uri), None)
    except TrackingError as error:
        return Completed(None, error)


def files_of(experiment: Experiment) -> list[Path]:
    """What the run reads: the experiment's folder, and the files of its tables that are on this machine."""
    from attribution.data.engine import is_remote

    sources = [spec.source for spec in experiment.tables.values()]
    named = [source for source in sources if isinstance(source, str)]
    named += [item for source in sources if isinstance(source, list) for item in source if isinstance(item, str)]
    named += [name for options in experiment.further.values() for name in getattr(options, "files", ())]
    named += [str(experiment.channels["file"])] if "file" in experiment.channels else []
    return [experiment.folder, *(experiment.folder / Path(name).expanduser() for name in named if not is_remote(name))]
