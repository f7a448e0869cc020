"""From files, folders and sweeps to the experiments that are compared."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attribution.errors import InputError
from attribution.schema.experiment import Experiment
from attribution.schema.names import encode_name

MOST = 1_000
"""More specifications than this are probably a mistake."""


@dataclass(frozen=True)
class Specification:
    """One of the experiments that are compared.

    Attributes
    ----------
    name : also that of its folder, ``lookback_days=7,half_life_days=3``
    experiment : what it asks for
    """

    name: str
    experiment: Experiment


def list_specifications(
    path: Path,
    overrides: Sequence[str] = (),
    sweeps: Sequence[str] = (),
    *,
    read: Callable[[Path, Sequence[str]], Experiment],
) -> list[Specification]:
    """The experiments of a file or of all TOML files in a folder, with every combination of the values swept.

    Parameters
    ----------
    path : file or folder
    overrides : ``KEY=VALUE``, the same in every one
    sweeps : ``KEY=VALUE,VALUE…``; every combination is tried, the last key changing fastest
    read : reads an experiment file with overrides and checks all of it

    Raises
    ------
    InputError
        If a file or a combination is wrong: all of them are checked before any is run.
    """
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"folder {path} has no experiment", allowed="files that end in .toml")
    axes = [read_sweep(text) for text in sweeps]
    keys = [key for key, _ in axes]
    if len(set(keys)) < len(keys):
        raise InputError(
            "--sweep has the same key twice", given=", ".join(keys), hint="give all its values in one --sweep"
        )
    combinations = list(itertools.product(*(values for _, values in axes)))
    if len(files) * len(combinations) > MOST:
        raise InputError("there are too many specifications", given=len(files) * len(combinations), allowed=MOST)
    specifications = []
    for file in files:
        for chosen in combinations:
            settings = [f"{key}={value}" for key, value in zip(keys, chosen, strict=True)]
            parts = ([file.stem] if path.is_dir() else []) + _short(keys, chosen)
            name = ",".join(parts) or file.stem
            specifications.append(Specification(name, read(file, [*overrides, *settings])))
    names = [each.name for each in specifications]
    if len(set(names)) < len(names):
        raise InputError("two specifications have the same name", given=next(n for n in names if names.count(n) > 1))
    _check_terms(specifications)
    return specifications


def _check_terms(specifications: Sequence[Specification]) -> None:
    """Refuse before any run is made what could not be compared after all of them."""
    first = specifications[0].experiment.returns
    for each in specifications[1:]:
        returns = each.experiment.returns
        if (returns.basis, returns.cost_basis) != (first.basis, first.cost_basis):
            raise InputError(
                f"specification {each.name!r} would rank channels on other terms than {specifications[0].name!r}",
                given=f"{returns.basis} on {returns.cost_basis}",
                allowed=f"{first.basis} on {first.cost_basis}",
                hint="rows of every basis that is known are in the table returns of one run: sweep another key",
            )


def read_sweep(text: str) -> tuple[str, list[str]]:
    """Key and values of ``KEY=VALUE,VALUE…``, each value as it is written after ``--set KEY=``.

    Examples
    --------
    >>> read_sweep("journeys.lookback_days=7,14")
    ('journeys.lookback_days', ['7', '14'])
    >>> read_sweep('journeys.conversions=reset,cumulative')[1]
    ['"reset"', '"cumulative"']
    """
    key, equals, written = text.partition("=")
    key = key.strip()
    if not equals or not all(part.strip() for part in key.split(".")) or not written.strip():
        raise InputError("--sweep needs KEY=VALUE,VALUE", given=repr(text), hint="journeys.lookback_days=7,14,30")
    try:
        values = tomllib.loads(f"values = [{written}]")["values"]
    except (tomllib.TOMLDecodeError, RecursionError):
        values = [value.strip() for value in written.split(",")]
    shown = [_toml(value) for value in values]
    if len(set(shown)) < len(shown) or "" in values:
        raise InputError(f"--sweep {key}: a value is empty or appears twice", given=written)
    return key, shown


def _toml(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, bool | str | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _short(keys: Sequence[str], values: Sequence[str]) -> list[str]:
    """``lookback_days=7``: the last part of each key, more of it where two would be the same; fit for a folder."""
    last = [key.rpartition(".")[2] for key in keys]
    names = [key if last.count(short) > 1 else short for key, short in zip(keys, last, strict=True)]
    parts = [f"{name}={value.strip(chr(34))}" for name, value in zip(names, values, strict=True)]
    return [encode_name(part) for part in parts]
