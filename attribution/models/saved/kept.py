"""Scorers that a run keeps in its folder, so that exporting one needs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

from attribution.errors import InputError, did_you_mean
from attribution.models.saved.fitted import Fitted
from attribution.models.saved.folder import name_in
from attribution.models.saved.scorer import Scorer

FOLDER = "models"
_REFUSED = "not_saved.json"


def keep_scorers(outcome: Fitted, run: Path) -> None:
    """Save every model of ``outcome`` below the folder ``run``; why one cannot be saved is written beside them."""
    refused = {}
    for number, model in enumerate(outcome.models, start=1):
        slug = re.sub(r"[^\w.-]+", "_", model.label).strip("._")[:80]
        try:
            Scorer.of(outcome, model.label).save(run / FOLDER / f"{number:02d}_{slug}")
        except InputError as error:
            refused[model.label] = str(error)
    if refused:
        (run / FOLDER).mkdir(exist_ok=True)
        text = json.dumps(refused, indent=2, ensure_ascii=False) + "\n"
        (run / FOLDER / _REFUSED).write_text(text, encoding="utf-8")


def kept_scorer(run: str | Path, label: str | None = None) -> Scorer:
    """The scorer of the model ``label`` in the output folder of a run; of the only one if None.

    Raises
    ------
    InputError
        If the folder keeps no such model, or that one could not be saved.
    """
    folder = Path(run) / FOLDER
    if not folder.is_dir():
        raise InputError(f"run {run} keeps no models", hint="give a folder that `attribution run` wrote")
    names = {name_in(path): path for path in sorted(folder.iterdir()) if path.is_dir()}
    found = {name: path for name, path in names.items() if name is not None}
    refused = {}
    if (folder / _REFUSED).is_file():
        refused = json.loads((folder / _REFUSED).read_text(encoding="utf-8"))
    if label is None and len(found) == 1:
        (label,) = found
    if label in refused:
        raise InputError(f"model {label!r} of run {run} could not be saved: {refused[label]}")
    if label not in found:
        raise InputError(
            f"run {run} has more than one model" if label is None else f"run {run} has no model {label!r}",
            allowed=list(found),
            hint="name one with --model" if label is None else did_you_mean(label, found),
        )
    return Scorer.load(found[label])
