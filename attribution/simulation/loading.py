"""Worlds by name or from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, cast

from attribution.arguments import check_arguments
from attribution.errors import InputError, did_you_mean
from attribution.simulation.shipped import FAMILIES, WORLDS, Family, random_world
from attribution.simulation.world import Channel, World


@check_arguments
def load_world(name_or_path: str | Path, seed: int = 0) -> World:
    """A shipped world by its name, one drawn from a family, or a world from a TOML file.

    The file has the keys of `World`, and one ``[[channels]]`` table per channel with the keys of `Channel`;
    what has a default may be left out.

    Parameters
    ----------
    name_or_path : str or Path
        ``"default"`` or another of `attribution.simulation.WORLDS`; ``"random"``, ``"activity"`` or ``"null"``, see
        `random_world`; or the path of a file ending in ``.toml``.
    seed : int
        Which world of a family; without meaning for the others.

    Raises
    ------
    InputError
        If there is no such world or file, or it has unknown keys or impossible values.

    Examples
    --------
    >>> load_world("default").days
    30
    """
    if isinstance(name_or_path, str) and name_or_path in WORLDS:
        return WORLDS[name_or_path]
    if name_or_path in FAMILIES:
        return random_world(cast(Family, name_or_path), seed)
    path = Path(name_or_path)
    if path.suffix.lower() != ".toml":
        raise InputError(
            "unknown world",
            given=repr(str(name_or_path)),
            allowed=[*WORLDS, *FAMILIES, "the path of a .toml file"],
            hint=did_you_mean(str(name_or_path), [*WORLDS, *FAMILIES]),
        )
    return _world_from(_read(path), path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the world file cannot be read ({error.strerror})", given=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the world file is not TOML: {error}", given=str(path)) from error
    except RecursionError:
        raise InputError("the world file is nested too deeply to be read", given=str(path)) from None


def _world_from(keys: dict[str, Any], path: Path) -> World:
    _check_keys(keys, World, f"world file '{path}'")
    tables = keys["channels"]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"world file '{path}': 'channels' must be a list of tables", hint="write [[channels]]")
    for number, table in enumerate(tables, start=1):
        _check_keys(table, Channel, f"world file '{path}', channel {number}")
    return World(**{**keys, "channels": tuple(Channel(**table) for table in tables)})


def _check_keys(keys: Iterable[str], shape: type, where: str) -> None:
    field_names = [field.name for field in fields(shape)]
    for key in keys:
        if key not in field_names:
            raise InputError(f"{where}: unknown key {key!r}", allowed=field_names, hint=did_you_mean(key, field_names))
    missing = [field.name for field in fields(shape) if field.default is MISSING and field.name not in keys]
    if missing:
        raise InputError(f"{where}: missing {', '.join(map(repr, missing))}", given=", ".join(keys) or "no key")
