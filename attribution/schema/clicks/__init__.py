"""What an address says about a click, as data (``clicks.toml``): channels, tags, click ids, ad servers."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

Proof = Literal["ad", "affiliate", "mail", "link"]


@dataclass(frozen=True)
class Mark:
    """What a parameter of an address stands for.

    Attributes
    ----------
    title : whose it is
    proof : what it proves: ``ad`` and ``affiliate`` clicks are paid for, ``mail`` was sent, ``link`` says only where
    medium : what it stands in for where there is no medium
    source : and where there is no source; None where many share the parameter
    kind : the kind of site that was clicked on, if one is known
    is_id : whether it names a click, so that it may be a column of its own
    is_unique : whether an id belongs to one click only
    sells : the channels whose spend its clicks can belong to
    """

    title: str
    proof: Proof
    medium: str
    source: str | None
    kind: str | None
    is_id: bool
    is_unique: bool
    sells: tuple[str, ...]


@dataclass(frozen=True)
class AdServer:
    """What a referrer says that serves ads: the medium of its clicks, and the kind of site if one is known."""

    medium: str
    kind: str | None


_DOCUMENT = tomllib.loads(files(__name__).joinpath("clicks.toml").read_text(encoding="utf-8"))

PAID_CHANNELS: tuple[str, ...] = tuple(_DOCUMENT["channels"]["paid"])
UNPAID_CHANNELS: tuple[str, ...] = tuple(_DOCUMENT["channels"]["unpaid"])
DEFAULT_CHANNELS: tuple[str, ...] = (*PAID_CHANNELS, *_DOCUMENT["channels"]["affiliate"], *UNPAID_CHANNELS)
"""The channels of the default grouping, which adapters of costs use, too."""

TAGS: Mapping[str, tuple[str, ...]] = {
    name: tuple(names) for name, names in _DOCUMENT["tags"].items() if name.startswith("utm_")
}
"""The five tags, each with the parameters that say it, the first that is there counts."""

FURTHER_TAGS: frozenset[str] = frozenset(_DOCUMENT["tags"]["further"])
"""Tags on which no channel depends."""

MARKS: Mapping[str, Mark] = {
    name: Mark(
        platform["title"],
        platform["proof"],
        platform["medium"],
        platform.get("source"),
        platform.get("kind"),
        name in platform.get("ids", ()),
        platform.get("unique", True),
        tuple(platform.get("sells", ())),
    )
    for platform in _DOCUMENT["platforms"]
    for name in (*platform.get("ids", ()), *platform.get("marks", ()))
}
"""By name in lower case, in the order in which they count where an address carries several."""

CLICK_IDS: tuple[str, ...] = tuple(name for name, mark in MARKS.items() if mark.is_id)
"""Those that name a click."""

AD_SERVERS: Mapping[str, AdServer] = {
    host: AdServer(server["medium"], server.get("kind"))
    for server in _DOCUMENT["ad_servers"]
    for host in server["hosts"]
}
"""By host; what lies under it is meant, too."""
