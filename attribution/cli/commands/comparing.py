"""A comparison of runs in one folder: written beside them, and tracked from there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.cli.commands.running import Completed
from attribution.errors import InputError, TrackingError
from attribution.logs import without_credentials

if TYPE_CHECKING:
    from attribution.decisions.comparison import Comparison
    from attribution.schema.experiment import TrackingOptions

FOLDER = "comparison"


def write_compared(compared: Comparison, out: Path, tracking: TrackingOptions) -> None:
    """Write a comparison of the runs in ``out`` into a folder of its own there, with what is to be logged of it."""
    from attribution.cli.commands.finished import Made, write_made
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
    from attribution.tracking.tracking import track_comparison, track_record

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
