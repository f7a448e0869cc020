"""``attribution compare``: finished runs side by side; and comparisons written into a folder and tracked from there."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution.cli.commands.arguments import Json
from attribution.cli.commands.run import Completed
from attribution.cli.console import print_json, print_page, progress, records
from attribution.errors import InputError, TrackingError
from attribution.logs import without_credentials

if TYPE_CHECKING:
    from attribution.decisions.comparison import Comparison
    from attribution.schema.experiment import TrackingOptions

# ---------------------------------------------------------------- comparisons in a folder, and tracked from there

FOLDER = "comparison"


def write_compared(compared: Comparison, out: Path, tracking: TrackingOptions) -> None:
    """Write a comparison of the runs in ``out`` into a folder of its own there, with what is to be logged of it."""
    from attribution.cli.commands.saved_runs import Made, write_made
    from attribution.pipeline.provenance import code_version
    from attribution.pipeline.record import Numbers
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
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    write_made(made, out / FOLDER, [out / name for name in compared.specifications], manifest=text)


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
    from attribution.pipeline.record import Numbers, read_record
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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged: {type(error).__name__}: {error}", hint="compare the runs again") from None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


# ---------------------------------------------------------------- the command


def compare(
    references: Annotated[
        list[str], typer.Argument(metavar="RUN RUN…", help="Output folders or MLflow run ids; the first is the base.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Output folder; runs/FIRST-comparison unless given. Replaced whole.")
    ] = None,
    uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow tracking URI; that of the first run unless given.")
    ] = None,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log to MLflow, if the first run was.")] = True,
    as_json: Json = False,
) -> None:
    """Print and log what changed between runs: settings, data, and ROI and rank of every channel under every model."""
    from attribution.cli.commands.saved_runs import Made, opened, written
    from attribution.decisions.comparison import compare_runs
    from attribution.reporting.report.pages import comparison_page
    from attribution.schema.experiment import TrackingOptions

    twice = [reference for reference, times in Counter(references).items() if times > 1]
    if twice:
        raise InputError("a run is named twice", given=twice[0])
    with progress() as say:
        say("reading runs")
        with opened(references, Path(), uri=uri or TrackingOptions().uri) as runs:
            pass
        names = [run.name for run in runs]
        named = {
            name if names.count(name) == 1 else at: run for name, at, run in zip(names, references, runs, strict=True)
        }
        compared = compare_runs(named, runs[0].name)
        out = out or Path("runs") / f"{runs[0].name}-comparison"
        say("writing tables and page")
        page = comparison_page(compared)
        tags = {f"attribution.run_{number}": at for number, at in enumerate(references, start=1)}
        asked = runs[0].experiment.tracking
        made = Made(runs[0].name, "comparison", compared.tables, compared.metrics, tags, page)
        tracking = TrackingOptions(enabled=asked.enabled and track, uri=uri or asked.uri)
        run_id, failure = written(made, out, [Path(reference) for reference in references], tracking)
    if as_json:
        head = {
            "out": str(out),
            "mlflow_run": run_id,
            "findings": list(compared.findings),
            "notes": list(compared.notes),
        }
        print_json(head | {name: records(table) for name, table in compared.tables.items()})
    else:
        print_page(page)
        where = f"Tables, comparison.md and comparison.html are in {out}"
        typer.echo(f"\n{where}" + (f"; MLflow run {run_id}." if run_id else "."))
    if failure is not None:
        raise failure
