"""Finished runs and exported models opened, and what is made of runs written and tracked."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attribution.errors import InputError, TrackingError
from attribution.folders import write_error

if TYPE_CHECKING:
    import pandas as pd

    from attribution.decisions.kpis import Run
    from attribution.models.saved import Scorer
    from attribution.pipeline.output import Kind
    from attribution.pipeline.stores import Store
    from attribution.pipeline.tracking_record import Record
    from attribution.production.versions import Timeline
    from attribution.reporting.charts import Figure
    from attribution.reporting.report.pages import Page

# ---------------------------------------------------------------- finished runs


@dataclass(frozen=True)
class Made:
    """What was made of finished runs.

    Attributes
    ----------
    name, kind : under which it is tracked
    tables, metrics, tags : its numbers, and the runs that they are of
    page, figures : how it is read
    """

    name: str
    kind: Kind
    tables: Mapping[str, pd.DataFrame]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    page: Page
    figures: Sequence[Figure] = ()


class Tracked(NamedTuple):
    """Where something was tracked: id of its MLflow run, its store, and why there is no run if there should be one."""

    run_id: str | None = None
    store: Store | None = None
    failure: TrackingError | None = None

    @property
    def sentence_end(self) -> str:
        """The end of a sentence about the folder."""
        return "." if self.run_id is None else f"; MLflow run {self.run_id} in {self.store}."

    @property
    def document(self) -> dict[str, str | None]:
        """As it stands in what ``--json`` prints."""
        return {"mlflow_run": self.run_id, "mlflow_store": None if self.run_id is None else str(self.store)}


def track(log: Callable[[Store], str], store: Store | None) -> Tracked:
    """What ``log`` makes of a store, whose failure is told after all results; nothing where there is no store."""
    if store is None:
        return Tracked()
    try:
        return Tracked(log(store), store)
    except TrackingError as error:
        return Tracked(None, store, error)


@contextmanager
def open_runs(references: Sequence[str], folder: Path, *, store: Store) -> Iterator[list[Run]]:
    """Runs by their output folder, relative to ``folder``, or by their MLflow run id."""
    import tempfile

    from attribution.decisions.kpis import read_run

    with tempfile.TemporaryDirectory(prefix="attribution-runs-") as copies:
        yield [read_run(_run_folder(reference, folder, Path(copies), store)) for reference in references]


@contextmanager
def open_run_folder(reference: str, folder: Path, *, store: Store) -> Iterator[Path]:
    """The folder of a run, by its path relative to ``folder`` or by its MLflow run id."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="attribution-run-") as copies:
        yield _run_folder(reference, folder, Path(copies), store)


def judge_scorer(run: Path, model: str | None, name: str | None, *, allow_own_code: bool = False) -> Scorer:
    """A model of a finished run or refit as it is exported: by its name, and judged by every law, for its card.

    Parameters
    ----------
    run : output folder of the run or refit
    model : label of the model; may be left out where there is one
    name : of the scorer; the label unless given, or the name of the model that was refitted
    allow_own_code : see `Scorer.load`
    """
    from attribution.models.saved import load_saved_scorer
    from attribution.models.saved.fitted import only_model
    from attribution.pipeline.tracking_record import read_record

    record = read_record(run)
    label = model or only_model([each.name for each in record.models])
    saved = load_saved_scorer(run, label, allow_own_code=allow_own_code)
    return judge_laws(replace(saved, name=name or saved.name))


def judge_laws(scorer: Scorer) -> Scorer:
    """The scorer with what every law says of it, for its card; laws that were judged before are judged again."""
    from attribution.testing import judge_model

    verdicts = judge_model(scorer.state.model())
    laws = [verdict.meaning if verdict.holds else f"**broken**: {verdict.meaning}" for verdict in verdicts]
    return replace(scorer, laws=(*scorer.laws[:1], *laws))


def write_outputs(made: Made, out: Path, keep: Sequence[Path], store: Store | None) -> Tracked:
    """Write tables and page into ``out``, replaced whole, and track them unless ``store`` is None."""
    write_made(made, out, keep)
    from attribution.tracking.mlflow_store import track_tables

    def log(store: Store) -> str:
        return track_tables(out, name=made.name, kind=made.kind, metrics=made.metrics, tags=made.tags, store=store)

    return track(log, store)


def write_made(made: Made, out: Path, keep: Sequence[Path], *, manifest: Mapping[str, Any] | None = None) -> None:
    """Write tables and page into ``out``, replaced whole, and a manifest beside them if there is one."""
    from attribution.pipeline.output import replaced_folder, write_dictionary, write_manifest, write_table
    from attribution.production.output_tables import output_tables

    with replaced_folder(out, keep, kind=made.kind) as folder:
        declared = output_tables()
        for name, table in made.tables.items():
            write_table(folder, declared[name], table)
        write_dictionary(folder, made.tables, declared)
        (folder / f"{made.kind}.md").write_text(made.page.markdown(), encoding="utf-8")
        (folder / f"{made.kind}.html").write_text(made.page.html(made.figures), encoding="utf-8")
        if manifest is not None:
            write_manifest(folder, made.kind, manifest)


def replace_file(to: Path, text: str, *, is_own: Callable[[str], bool]) -> None:
    """Write a file, whole or not at all; one that is there is replaced if its first line says that it is one of ours.

    Raises
    ------
    InputError
        If something else is there, or it cannot be written.
    """
    staging = to.with_name(f".{to.name}.part")
    try:
        if to.exists():
            with to.open(encoding="utf-8", errors="replace") as file:
                first = file.readline(10_000).rstrip("\n")
            if first and not is_own(first):
                problem = f"file {to} was not written by this command, so it is not replaced"
                raise InputError(
                    problem, given=repr(first[:80]), hint="choose another file with --to, or remove it first"
                )
        to.parent.mkdir(parents=True, exist_ok=True)
        staging.write_text(text, encoding="utf-8", newline="")
        staging.replace(to)
    except OSError as error:
        staging.unlink(missing_ok=True)
        raise write_error(f"file {to} cannot be written", error) from None


def _run_folder(reference: str, folder: Path, copies: Path, store: Store) -> Path:
    path = folder / Path(reference).expanduser()
    if path.is_dir() or re.fullmatch(r"[0-9a-f]{32}", reference) is None:
        return path
    from attribution.tracking.mlflow_store import fetch_run

    into = copies / reference
    into.mkdir(exist_ok=True)
    try:
        return fetch_run(reference, into, store=store)
    except TrackingError as error:
        hint = "give its output folder, or another tracking server with --tracking-uri"
        raise error.refuse(str(error), hint=hint) from None


def find_training_run(run: Path, record: Record, store: Store) -> str | None:
    """Id of the MLflow run that a run or refit in a folder was logged as; None where it was not.

    Raises
    ------
    InputError
        If the store does not answer.
    """
    from attribution.tracking.registry import away
    from attribution.tracking.tracked_runs import find_tracked

    try:
        return find_tracked(run, name=record.run.name, store=store)
    except TrackingError as error:
        raise away(error) from None


def effect_records(timeline: Timeline | None) -> list[dict[str, str | None]]:
    """From which day on each version is in effect, as it stands in what ``--json`` prints."""
    from attribution.production.scoring.days import day_name

    stretches = [] if timeline is None else timeline.stretches
    return [{"from": None if since is None else day_name(since), "version": version} for since, version in stretches]


# ---------------------------------------------------------------- exported models


@contextmanager
def open_model(reference: str, *, store: Store) -> Iterator[Path]:
    """The folder of a scorer, by its path, or a copy by ``models:/NAME@ALIAS`` that lasts as long as the block.

    Raises
    ------
    InputError
        If the registry has no such model, version or alias, or does not answer.
    """
    if not reference.startswith("models:/"):
        from attribution.folders import existing_folder

        yield existing_folder(Path(reference))
        return
    from attribution.tracking.registry import fetch_scorer

    with tempfile.TemporaryDirectory(prefix="attribution-model-") as copies:
        yield fetch_scorer(reference, Path(copies), store=store)
