"""Worlds by name or from a file: the two that are shipped, and reading others from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, Final

from attribution.arguments import check_arguments
from attribution.errors import InputError, did_you_mean
from attribution.simulation.world import Channel, World

# About ten touchpoints per customer in 30 days, four of them impressions. Effects span two orders of
# magnitude and prices do not follow them, so true returns lie on both sides of zero: from about +1 for email
# to -1 for affiliate, which causes next to nothing (on 300,000 customers of the default world).
_PAID: Final = (
    Channel("display", 0.10, effect=0.03, cost=0.05, kind="impression"),
    Channel("video", 0.03, effect=0.30, cost=0.28, kind="impression"),
    Channel("social", 0.05, effect=0.12, cost=0.10),
    Channel("email", 0.04, effect=0.10, cost=0.05),
    Channel("affiliate", 0.02, effect=0.002, cost=0.25),
    Channel("generic_search", 0.02, effect=0.45, cost=0.35, boosted_by="video", boost=1.6),
    Channel("brand_search", 0.02, effect=0.04, cost=0.12),
    Channel("retargeting", 0.04, effect=0.05, cost=0.10),
)

# Unpaid touchpoints follow intent in both worlds: .008 a day, .128 while in market.
_UNPAID: Final = tuple(
    Channel(name, 0.008, paid=False, in_market_factor=16.0, goodwill_slope=0.4) for name in ("organic", "direct")
)

# How the confounded world chooses whom to touch. Base probabilities are lower than in the default world
# because targeting multiplies them: 9 touchpoints per customer and 3.9 % buyers come out, not 10 and 3.4 %.
_TARGETING: Final[dict[str, dict[str, Any]]] = {
    "social": {"probability": 0.030, "latent_slope": 0.8},
    "email": {"probability": 0.025, "latent_slope": 0.8},
    "affiliate": {"probability": 0.003, "in_market_factor": 76.0},
    "generic_search": {"probability": 0.006, "in_market_factor": 17.0},
    "brand_search": {"probability": 0.004, "in_market_factor": 40.0, "goodwill_slope": 0.5},
    "retargeting": {"probability": 0.15, "visited_within_days": 10},
}

_DEFAULT: Final = World("default", (*_PAID, *_UNPAID))

WORLDS: Final[dict[str, World]] = {
    "default": _DEFAULT,
    "confounded": replace(
        _DEFAULT,
        name="confounded",
        channels=tuple(replace(c, **_TARGETING.get(c.name, {})) for c in _DEFAULT.channels),
    ),
}
"""The shipped worlds, with the same channels, effects and prices.

``default``: whom a paid channel touches is pure chance. ``confounded``: social and email are targeted on the
latent propensity, search and affiliate are met by those in market, goodwill leads to brand search, and
retargeting follows visits to the site; so touched customers would have bought more often anyway.
"""


@check_arguments
def load_world(name_or_path: str | Path) -> World:
    """A shipped world by its name, or a world from a TOML file.

    The file has the keys of `World`, and one ``[[channels]]`` table per channel with the keys of `Channel`;
    what has a default may be left out.

    Parameters
    ----------
    name_or_path : str or Path
        ``"default"``, ``"confounded"``, or the path of a file ending in ``.toml``.

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
    path = Path(name_or_path)
    if path.suffix.lower() != ".toml":
        raise InputError(
            "there is no such world",
            given=repr(str(name_or_path)),
            allowed=[*WORLDS, "the path of a .toml file"],
            hint=did_you_mean(str(name_or_path), WORLDS),
        )
    return _world_from(_read(path), path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the world file cannot be read ({error.strerror})", given=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the world file is not TOML: {error}", given=str(path)) from error


def _world_from(keys: dict[str, Any], path: Path) -> World:
    _check_keys(keys, World, f"world file '{path}'")
    tables = keys["channels"]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"world file '{path}': 'channels' is not a list of tables", hint="write [[channels]]")
    for number, table in enumerate(tables, start=1):
        _check_keys(table, Channel, f"world file '{path}', channel {number}")
    return World(**{**keys, "channels": tuple(Channel(**table) for table in tables)})


def _check_keys(keys: Iterable[str], shape: type, where: str) -> None:
    known = [field.name for field in fields(shape)]
    for key in keys:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}", allowed=known, hint=did_you_mean(key, known))
    missing = [field.name for field in fields(shape) if field.default is MISSING and field.name not in keys]
    if missing:
        raise InputError(f"{where}: missing {', '.join(map(repr, missing))}", given=", ".join(keys) or "no key")
