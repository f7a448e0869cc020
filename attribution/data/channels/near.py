"""Names that are probably the same, spelled twice: ``face book`` and ``facebook``, ``newsletter`` and ``newsleter``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

_SEPARATORS = re.compile(r"[\W_]+")
_DOMAIN_END = re.compile(r"\.(?:(?:co|com|ne|or|org|net)\.)?[a-z]{2,3}$")
_LONG_WORD = re.compile(r"[a-z]{5,}")
_LONGEST_NAME = 80
_MOST_NAMES = 2_000


def near_duplicates(traffic: Mapping[str, int], *, are_sites: bool = False) -> list[tuple[str, str]]:
    """Pairs of a name and a more frequent one that it probably stands for.

    Two names are alike if they differ in separators, accents or (``are_sites``) in the end of a domain only, or in
    one letter of one long word. Numbers, short words and letters of other scripts may differ on purpose, and are
    never taken for a slip. Slips are looked for among the 2,000 most frequent names.

    Parameters
    ----------
    traffic : how often each name, in its normal spelling, occurs

    Examples
    --------
    >>> near_duplicates({"facebook": 90, "face book": 5, "facebok": 2, "sale_1": 4, "sale_2": 4, "shoes_de": 2})
    [('face book', 'facebook'), ('facebok', 'facebook')]
    """
    ranked = sorted(traffic, key=lambda name: (-traffic[name], name))
    heads: dict[str, str] = {}
    pairs = {name: head for name in ranked if (head := heads.setdefault(_plain(name, are_sites), name)) != name}
    frequent = [name for name in heads.values() if len(name) <= _LONGEST_NAME][:_MOST_NAMES]
    slips: dict[str, list[str]] = {}
    for name in frequent:
        keys = set(_shortened(name))
        known = (other for key in sorted(keys) for other in slips.get(key, ()) if _is_slip(name, other))
        if (other := next(known, None)) is not None:
            pairs[name] = other
        for key in keys:
            slips.setdefault(key, []).append(name)
    return [(name, pairs[name]) for name in ranked if name in pairs]


def _plain(name: str, is_site: bool) -> str:
    """What is left of a name without separators and accents; separators between numbers stay."""
    letters = unicodedata.normalize("NFKD", _DOMAIN_END.sub("", name) if is_site else name)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"(?<!\d)_|_(?!\d)", "", _SEPARATORS.sub("_", bare)) or name


def _shortened(name: str) -> Iterable[str]:
    """The name, and the name without any one letter of a long word: names one slip apart share one of them."""
    yield name
    for word in _LONG_WORD.finditer(name):
        for place in range(*word.span()):
            yield name[:place] + name[place + 1 :]


def _is_slip(name: str, other: str) -> bool:
    words, others = _SEPARATORS.split(name), _SEPARATORS.split(other)
    if len(words) != len(others):
        return False
    differing = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
    return len(differing) == 1 and _is_one_slip(*differing[0])


def _is_one_slip(word: str, other: str) -> bool:
    """Whether two long words of Latin letters differ by one letter, or by two that changed places."""
    if not (_LONG_WORD.fullmatch(word) and _LONG_WORD.fullmatch(other)):
        return False
    start = _shared(word, other)
    left, right = word[start:], other[start:]
    end = _shared(left[::-1], right[::-1])
    left, right = left[: len(left) - end], right[: len(right) - end]
    # A first letter is hardly ever mistyped: gmail is not email.
    return start > 0 and (max(len(left), len(right)) == 1 or (len(left) == 2 and left == right[::-1]))


def _shared(word: str, other: str) -> int:
    """How many letters two words begin with in common."""
    same = (left == right for left, right in zip(word, other, strict=False))
    return next((place for place, is_same in enumerate(same) if not is_same), min(len(word), len(other)))
