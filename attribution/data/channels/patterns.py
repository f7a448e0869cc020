"""Text patterns in which ``*`` stands for any text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable


def matcher(patterns: Iterable[str]) -> Callable[[str], object]:
    """A function that says whether a text matches one of ``patterns``.

    Examples
    --------
    >>> [bool(matcher(["*brand*", "launch"])(text)) for text in ("my brand 1", "launch", "launch 2")]
    [True, True, False]
    """
    return re.compile("|".join(map(_expression, patterns)), re.DOTALL).fullmatch


def covers(wide: Iterable[str], narrow: Iterable[str]) -> bool:
    """Whether ``wide`` patterns match every text that ``narrow`` ones match.

    A pattern read as a text, its ``*`` a letter that no pattern names, is the least obliging text it matches:
    only a ``*`` can match that letter, and would then match any text in its place.

    Examples
    --------
    >>> covers(["*brand*"], ["my brand", "brand*"]), covers(["a*b"], ["a*"]), covers(["*ab*"], ["a*b"])
    (True, False, False)
    """
    return all(map(matcher(wide), narrow))


def _expression(pattern: str) -> str:
    # Each piece at its first place is as good as at any other, so nothing is tried twice: a pattern with many
    # stars takes no longer than its text is long.
    first, *pieces = map(re.escape, pattern.split("*"))
    if not pieces:
        return first
    *middle, last = pieces
    return first + "".join(f"(?>.*?{piece})" for piece in middle if piece) + ".*" + last
