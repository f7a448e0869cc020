"""The advertiser's own channel rules: read from TOML, checked, tried before the default grouping."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.arguments import check_fields
from attribution.data.channels.addresses import extract_host, read_paths, source_text
from attribution.data.channels.coded import Coded, Mask, absent
from attribution.data.channels.evidence import DIRECT, Evidence, to_texts
from attribution.data.channels.ignored_referrers import DEFAULT, ignored_hosts
from attribution.data.channels.spelling import fold, medium_text, tag_text, unquote_text
from attribution.errors import InputError, did_you_mean
from attribution.schema.clicks import MARKS
from attribution.schema.tables import RESERVED

# Text patterns in which ``*`` stands for any text.


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
    first, *parts = map(re.escape, pattern.split("*"))
    if not parts:
        return first
    *middle, last = parts
    return first + "".join(f"(?>.*?{piece})" for piece in middle if piece) + ".*" + last


# The rules.


@dataclass(frozen=True)
class Rule:
    """A channel and the conditions under which a touchpoint belongs to it; all that are given must hold.

    A condition is one pattern, or several of which one must match, whatever the case; ``*`` stands for any text. It
    never holds where there is nothing to match.

    Parameters
    ----------
    channel : the channel
    source, medium : as click ids and the referrer complete them; ``(direct)`` is the source where nothing is known
    campaign, content, term : utm values
    referrer : host of the referring page, without ``www.`` and ``m.``
    landing : path of the page landed on, from its first slash
    click_id : name of a click id that must be present

    Raises
    ------
    InputError
        If the channel has no name or a reserved one, there is no condition, or a pattern can match nothing.

    Examples
    --------
    >>> Rule("Brand search", medium="cpc", campaign=["*brand*", "*acme*"]).campaign
    ('*brand*', '*acme*')
    """

    channel: str
    source: tuple[str, ...] = ()
    medium: tuple[str, ...] = ()
    campaign: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    term: tuple[str, ...] = ()
    referrer: tuple[str, ...] = ()
    landing: tuple[str, ...] = ()
    click_id: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        table = {name: value for name in CONDITIONS if (value := getattr(self, name))}
        _read_conditions({"channel": self.channel, **table}, "Rule")

    @property
    def conditions(self) -> dict[str, tuple[str, ...]]:
        """The given conditions, patterns in the spelling of what they are compared with."""
        conditions = {name: getattr(self, name) for name in CONDITIONS}
        return {name: tuple(map(_SPELLING[name], patterns)) for name, patterns in conditions.items() if patterns}


CONDITIONS = tuple(field.name for field in fields(Rule) if field.name != "channel")
"""What a rule may ask about."""


@dataclass(frozen=True)
class ChannelRules:
    """How raw touchpoints get their channel.

    Parameters
    ----------
    own : rules tried in this order before the default grouping; the first that holds decides
    own_sites : the advertiser's hosts; a referrer there or under one of them is none from outside
    ignored_referrers : hosts of payment, sign-in and captcha pages; who comes from there, or from ``own_sites``,
        without a tag or click id was not sent by them, and is no touchpoint unless an own rule names the site.
        ``"default"`` stands for the list that is shipped; an empty list leaves no touchpoint out.

    Raises
    ------
    InputError
        If a rule can never match, or a site is no host.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> rules = at.ChannelRules([at.Rule("Brand search", campaign="*brand*")], own_sites="www.example.com")
    >>> sources = at.load_sources(
    ...     pd.DataFrame({"customer_id": ["a"], "touched_at": ["2024-01-01"], "utm_source": ["google"],
    ...                   "utm_medium": ["cpc"], "utm_campaign": ["acme brand"]}),
    ...     pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-02"]}),
    ...     channels=rules,
    ... )
    >>> at.build_journeys(sources).channels
    ('Brand search',)
    """

    own: tuple[Rule, ...] = ()
    own_sites: tuple[str, ...] = ()
    ignored_referrers: tuple[str, ...] = (DEFAULT,)

    def __post_init__(self) -> None:
        check_fields(self)
        _refuse_shadowed(self.own, "ChannelRules")
        object.__setattr__(self, "own_sites", _read_sites(self.own_sites, "own_sites", "ChannelRules"))
        ignored = _read_sites(self.ignored_referrers, "ignored_referrers", "ChannelRules")
        object.__setattr__(self, "ignored_referrers", ignored)

    @property
    def ignored_hosts(self) -> frozenset[str]:
        """All hosts that nobody is sent by, the own ones among them."""
        return ignored_hosts(self.own_sites, self.ignored_referrers)


def read_rules(document: Mapping[str, Any], origin: str) -> ChannelRules:
    """Channel rules from a parsed TOML table.

    Parameters
    ----------
    document : ``own_sites`` and ``ignored_referrers``, lists of hosts, and ``rules``, a list of tables with
        ``channel`` and conditions, each a pattern or a list of patterns
    origin : where the table stands, for messages

    Raises
    ------
    InputError
        If there is an unknown field, a rule without a condition, a name that is empty or reserved, a pattern
        that nothing can match, or a rule that an earlier one leaves nothing.

    Examples
    --------
    >>> rules = read_rules(
    ...     {"own_sites": ["www.example.com"], "rules": [{"channel": "Brand Search", "campaign": "*brand*"}]},
    ...     origin="[channels]",
    ... )
    >>> rules.own_sites, rules.own[0].campaign
    (('example.com',), ('*brand*',))
    """
    _check_fields(document, ("own_sites", "ignored_referrers", "rules"), origin)
    tables = document.get("rules", [])
    if not isinstance(tables, list | tuple):
        raise InputError(f"{origin}: 'rules' must be a list of tables", given=repr(tables))
    own = tuple(_read_rule(table, f"{origin}: rule {number}") for number, table in enumerate(tables, start=1))
    _refuse_shadowed(own, origin)
    sites = _read_sites(document.get("own_sites", []), "own_sites", origin)
    ignored = _read_sites(document.get("ignored_referrers", [DEFAULT]), "ignored_referrers", origin)
    return ChannelRules(own, sites, ignored)


def match_rules(evidence: Evidence, rules: ChannelRules, raw: pa.Table, *, ignored: Mask) -> NDArray[np.int32]:
    """The place of the first own rule that holds for every row; −1 where none holds.

    For a row from an ignored referrer only a rule that names its site holds.
    """
    columns = {name: evidence.tags[f"utm_{name}"] for name in ("campaign", "content", "term")}
    columns |= {"source": evidence.source, "medium": evidence.medium, "referrer": evidence.referrer}
    if any(rule.landing for rule in rules.own):
        has_pages = "url" in raw.column_names
        columns["landing"] = read_paths(to_texts(raw, "url")) if has_pages else absent(raw.num_rows)
    codes = np.full(raw.num_rows, -1, dtype=np.int32)
    for code, rule in reversed(list(enumerate(rules.own))):
        names_site = evidence.referrer.is_there() if rule.referrer else np.zeros(raw.num_rows, dtype=bool)
        if rule.source:
            names_site |= ~evidence.source.where(DIRECT.__eq__)
        codes[_holds(rule, columns, evidence) & (names_site | ~ignored)] = code
    return codes


def _holds(rule: Rule, columns: Mapping[str, Coded], evidence: Evidence) -> Mask:
    masks = [
        _has_click(evidence, matcher(patterns)) if name == "click_id" else columns[name].where(matcher(patterns))
        for name, patterns in rule.conditions.items()
    ]
    result: Mask = np.logical_and.reduce(masks)
    return result


def _has_click(evidence: Evidence, matches: Callable[[str], object]) -> Mask:
    masks = [mask for name, mask in evidence.marks.items() if matches(name)]
    result: Mask = np.logical_or.reduce([np.zeros(len(evidence.kind), dtype=bool), *masks])
    return result


def _read_rule(table: object, where: str) -> Rule:
    channel, conditions = _read_conditions(table, where)
    return Rule(channel, **conditions)


def _read_conditions(table: object, where: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    if not isinstance(table, Mapping):
        raise InputError(
            f"{where}: a rule must be a table", given=repr(table), allowed='{ channel = "…", source = "…" }'
        )
    _check_fields(table, ("channel", *CONDITIONS), where)
    channel = table.get("channel")
    if not isinstance(channel, str) or not channel.strip():
        raise InputError(f"{where}: 'channel' must be a name", given=repr(channel))
    if channel.strip() in RESERVED:
        raise InputError(f"{where}: the name {channel!r} is reserved", allowed=f"any but {', '.join(RESERVED)}")
    where = f"{where} ({channel.strip()!r})"
    conditions = {name: _read_patterns(table[name], name, where) for name in CONDITIONS if name in table}
    if not conditions:
        raise InputError(f"{where} has no condition, so it would match every touchpoint", allowed=CONDITIONS)
    return channel.strip(), conditions


def _read_patterns(value: object, name: str, where: str) -> tuple[str, ...]:
    patterns = (value,) if isinstance(value, str) else value
    if not isinstance(patterns, list | tuple) or not patterns:
        raise InputError(f"{where}: {name!r} must be a pattern or a list of patterns", given=repr(value))
    for pattern in patterns:
        problem = _problem(pattern, name) if isinstance(pattern, str) else "is not text"
        if problem:
            raise InputError(f"{where}: a pattern of {name!r} {problem}", given=repr(pattern), **_help(pattern, name))
    return tuple(patterns)


def _problem(pattern: str, name: str) -> str | None:
    """Why nothing can match ``pattern``, or None."""
    if not pattern.strip():
        return "is empty"
    if name == "landing" and not re.fullmatch(r"[/*][^?#]*", pattern.strip()):
        return "is not a path: a path begins with / or * and has no ? or #"
    if name == "referrer" and "/" in _host_pattern(pattern):
        return "is not a host: a host has no /"
    if name == "click_id":
        return None if any(map(matcher([_SPELLING[name](pattern)]), MARKS)) else "is not a click id"
    if name not in ("landing", "referrer") and tag_text(pattern) is None:
        return "stands for an empty tag, and empty tags match no pattern"
    return None


def _help(pattern: object, name: str) -> dict[str, Any]:
    if name != "click_id" or not isinstance(pattern, str):
        return {}
    return {"allowed": tuple(MARKS), "hint": did_you_mean(pattern, MARKS)}


def _refuse_shadowed(own: tuple[Rule, ...], origin: str) -> None:
    for later, narrow in enumerate(own):
        for earlier, wide in enumerate(own[:later]):
            if _takes_all(wide, narrow):
                raise InputError(
                    f"{origin}: rule {later + 1} ({narrow.channel!r}) can never match: "
                    f"rule {earlier + 1} ({wide.channel!r}) comes first and matches everything that it matches",
                    hint=f"put rule {later + 1} before rule {earlier + 1}, or remove it",
                )


def _takes_all(wide: Rule, narrow: Rule) -> bool:
    conditions = narrow.conditions
    return all(
        name in conditions and _is_wider(name, patterns, conditions[name]) for name, patterns in wide.conditions.items()
    )


def _is_wider(name: str, wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    # Of click ids there are few, so that patterns may differ and yet name the same.
    return covers(wide, filter(matcher(narrow), MARKS) if name == "click_id" else narrow)


def _read_sites(value: object, field: str, origin: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{origin}: {field!r} must be a list of hosts", given=repr(value))
    hosts = []
    for site in value:
        if field == "ignored_referrers" and site == DEFAULT:
            hosts.append(site)
            continue
        host = extract_host(site) if isinstance(site, str) and "*" not in site else None
        if host is None:
            hint = "name the domain alone: its subdomains are included" if "*" in str(site) else None
            raise InputError(
                f"{origin}: {field!r} has an entry that is not a host",
                given=repr(site),
                allowed="example.com" if field == "own_sites" else f"example.com, or {DEFAULT!r} for the list shipped",
                hint=hint,
            )
        hosts.append(host)
    return tuple(dict.fromkeys(hosts))


def _check_fields(table: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for name in table:
        if name not in allowed:
            raise InputError(f"{where}: unknown field {name!r}", allowed=allowed, hint=did_you_mean(str(name), allowed))


def _host_pattern(pattern: str) -> str:
    host = re.sub(r"^[a-z-]+://", "", fold(pattern)).rstrip("/")
    return host if "/" in host else extract_host(host) or host


def _path_pattern(pattern: str) -> str:
    return fold(unquote_text(pattern)).rstrip("/") or "/"


def _tag_pattern(pattern: str) -> str:
    return tag_text(pattern) or ""


_SPELLING: dict[str, Callable[[str], str]] = {
    "source": lambda pattern: source_text(_tag_pattern(pattern)),
    "medium": lambda pattern: medium_text(_tag_pattern(pattern)),
    "campaign": _tag_pattern,
    "content": _tag_pattern,
    "term": _tag_pattern,
    "referrer": _host_pattern,
    "landing": _path_pattern,
    "click_id": lambda pattern: pattern.strip().lower(),
}
