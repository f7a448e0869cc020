"""Experiments and targets to begin with, one pair of files for each kind of business."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from attribution.errors import InputError, did_you_mean

__all__ = ["read_profiles", "write_profile"]

_TARGETS = "_targets"
_NAMED = 'experiment = "experiment.toml"'


def read_profiles() -> dict[str, str]:
    """The name of each profile, and what kind of business it is for.

    Examples
    --------
    >>> read_profiles()["shop"]
    'A shop whose customers decide within days.'
    """
    file_names = sorted(entry.name for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))
    names = [name.removesuffix(".toml") for name in file_names if not name.endswith(f"{_TARGETS}.toml")]
    return {name: _text(name).splitlines()[0].removeprefix("# ") for name in names}


def write_profile(name: str, to: str | Path) -> tuple[Path, Path]:
    """Write the experiment file of a profile to ``to``, and its targets beside it, to be edited.

    Returns
    -------
    paths of the experiment and of the targets

    Raises
    ------
    InputError
        If there is no such profile, ``to`` is no TOML file, or one of both files is there already.
    """
    profiles = read_profiles()
    if name not in profiles:
        raise InputError(f"there is no profile {name!r}", allowed=profiles, hint=did_you_mean(name, profiles))
    experiment = Path(to)
    targets = experiment.with_name(f"{experiment.stem}-targets.toml")
    if experiment.suffix != ".toml" or experiment.name.startswith("."):
        raise InputError("an experiment is a TOML file", given=str(to), hint=f"--to {name}.toml")
    for path in (experiment, targets):
        if path.exists():
            raise InputError(f"file {path} is there already, and is left as it is", hint="name another with --to")
    experiment_line = f"experiment = {json.dumps(experiment.name, ensure_ascii=False)}"
    try:
        experiment.parent.mkdir(parents=True, exist_ok=True)
        experiment.write_text(_text(name), encoding="utf-8")
        targets.write_text(_text(name + _TARGETS).replace(_NAMED, experiment_line), encoding="utf-8")
    except OSError as error:
        for path in (experiment, targets):
            path.unlink(missing_ok=True)
        raise InputError(f"file {to} cannot be written: {error.strerror}") from None
    return experiment, targets


def _text(name: str) -> str:
    return files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
