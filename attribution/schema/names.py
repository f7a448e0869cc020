"""Names that become files and folders: what a file system or a shell trips over is refused."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from attribution.errors import InputError

MOST_BYTES = 200
"""Of a name in UTF-8: with what is put before and behind it, it must stay below the 255 of a file system."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
_DIRECTIONS = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Marks that let a name look like another."""


def problem_of(name: str) -> str | None:
    """Why ``name`` cannot be that of a file or folder; None if it can.

    Examples
    --------
    >>> problem_of("spring review"), problem_of("客户"), problem_of("-rf"), problem_of("a/b"), problem_of("aux.toml")
    (None, None, "begins with '-'", "holds '/'", 'is reserved by Windows')
    """
    if not name or name != name.strip():
        return "begins or ends with a blank" if name else "is empty"
    if name[0] in "-.~":
        return f"begins with {name[0]!r}"
    if any(unicodedata.category(letter) in _UNSEEN or letter in _DIRECTIONS for letter in name):
        return "holds characters that cannot be seen"
    forbidden = next((letter for letter in '/\\:*?"<>|' if letter in name), None)
    if forbidden is not None:
        return f"holds {forbidden!r}"
    if _RESERVED.fullmatch(name):
        return "is reserved by Windows"
    if name.endswith("."):
        return "ends with '.'"
    size = len(name.encode("utf-8"))
    return f"has {size} bytes, more than {MOST_BYTES}" if size > MOST_BYTES else None


def named_folder(below: str, name: str, *, option: str = "--out") -> Path:
    """The folder ``below/name``, where nothing else was asked for with ``option``.

    Raises
    ------
    InputError
        If the name cannot be that of a folder.
    """
    problem = problem_of(name)
    if problem is not None:
        raise InputError(
            f"no folder can have this name: it {problem}", given=repr(name), hint=f"name one with {option}"
        )
    return Path(below) / name


def encode_name(text: str, most: int = 80) -> str:
    """A name made of ``text`` that every file system takes; two texts may give the same.

    Examples
    --------
    >>> encode_name("Brand / search?"), encode_name("../../etc"), encode_name("客户 1"), encode_name("?")
    ('Brand_search', 'etc', '客户_1', 'unnamed')
    """
    slug = re.sub(r"[^\w.+=-]+", "_", text).strip("._-")
    while len(slug.encode("utf-8", "replace")) > most:
        slug = slug[:-1]
    return f"_{slug}" if _RESERVED.fullmatch(slug) else slug or "unnamed"
