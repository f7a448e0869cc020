"""Web addresses taken apart: host, path and the parameters that say where a visitor came from.

Logs hold them in every state – without scheme, percent-encoded as a whole, cut, with the address of an app in
place of a site – so that nothing here raises: what cannot be read is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.data.channels.coded import Coded, Mask, absent, encode
from attribution.data.channels.spelling import NOTHING, bare_site, fold, mail_text, tag_text, unquote_text
from attribution.schema.clicks import CLICK_IDS, FURTHER_TAGS, MARKS, TAGS

_SCHEME = re.compile(r"https?:[/\\]*|https?[/\\]{2,}|[a-z][a-z0-9+.-]*:[/\\]{2,}|[/\\]{2,}")
_ENCODED_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*%(?:25)*3a%(?:25)*2f", re.IGNORECASE)
_NO_HOST = re.compile(r"[\s/?#@\\:\[\]]")
_IPV6 = re.compile(r"\[[0-9a-f:.]+\]")
_AFTER_HOST = re.compile(r"[/\\?#]")
_PATH = re.compile(rf"(?:{_SCHEME.pattern})?[^/\\?#]*([^?#]*)")

# Up to the end of the first part: few among many addresses, and the only thing that Python has to look at.
_HEAD = r"^(?P<head>[^/?#\\]*(?:[/\\]+[^/?#\\]*)?)"
_BEFORE_QUERY = r"^(?P<head>[^?#]*)"
_ESCAPES = (("3[Aa]", ":"), ("2[Ff]", "/"), ("3[Ff]", "?"), ("26", "&"), ("3[Dd]", "="), ("23", "#"))
_LETTERS = {"(": r"(?:\(|%28)", ")": r"(?:\)|%29)", " ": r"(?:\s|\+|%20)"}
_KNOWN = frozenset({*(name for names in TAGS.values() for name in names), *FURTHER_TAGS, *MARKS})
_LOOKS = (
    r"utm[-_.]\w+",
    r"utm(?:source|medium|campaign|content|term)",
    r"(?:mtm|matomo|piwik)_\w+",
    r"\w+[-_](?:source|medium|campaign)",
    r"\w*clid",
    r"\w*click_?id",
)
_PARAMETER = rf"(?:{'|'.join((*sorted(map(re.escape, _KNOWN)), *_LOOKS))})"
_REPAIRS = (
    (r"&amp;", r"&(?:amp;)+", "&"),
    # The route of an application, and tags behind a # without one.
    (r"#", rf"(?i)#(?:!?/[^?&#]*\?)?({_PARAMETER}=)", r"&\1"),
    (r"^\?", r"^\?", "&"),
    # A second question mark where an & was meant, which many redirects write; not that of an address in a parameter.
    (r"\?", rf"(?i)(&[^&/?]*)\?({_PARAMETER}=)", r"\1&\2"),
)
"""What to look for in a query string, what to replace there, and by what."""

_NOTHING = "|".join("".join(_LETTERS.get(letter, re.escape(letter)) for letter in word) for word in sorted(NOTHING))
_BLANK = rf"{_LETTERS[' ']}*(?:{_NOTHING}){_LETTERS[' ']}*"


def extract_host(address: str) -> str | None:
    """The site or app that an address belongs to, None where it names none.

    Lower case, without user, port, ``www.``, ``m.`` and trailing dots; names in other scripts are readable.

    Examples
    --------
    >>> extract_host("https://user@WWW.Example.com.:8080/a?b"), extract_host("m.weibo.cn/u/1")
    ('example.com', 'weibo.cn')
    >>> extract_host("android-app://com.google.android.gm/"), extract_host("http://xn--fiqs8s.com")
    ('com.google.android.gm', '中国.com')
    >>> extract_host("about:blank"), extract_host("/checkout"), extract_host("http://")
    (None, None, None)
    """
    text = fold(_unwrap_one(address))
    scheme = _SCHEME.match(text)
    if scheme and scheme[0].startswith("file:"):
        return None
    authority = _AFTER_HOST.split(text[scheme.end() if scheme else 0 :], maxsplit=1)[0].rpartition("@")[2]
    if ipv6 := _IPV6.match(authority):
        return ipv6[0]
    host = fold(unquote_text(authority.partition(":")[0])).replace("。", ".").strip(".")
    # Without a scheme only what looks like a host is one: texts such as "direct" or "n/a" are not.
    if not host or _NO_HOST.search(host) or not (scheme or "." in host):
        return None
    return bare_site(".".join(map(_readable, host.split("."))) if "xn--" in host else host)


def extract_path(address: str) -> str:
    """The path of an address, decoded, in lower case and without a slash at its end.

    Examples
    --------
    >>> extract_path("https://example.com/Spring%20Sale/?a=1"), extract_path("/radio"), extract_path("example.com")
    ('/spring sale', '/radio', '/')
    """
    path = _PATH.match(fold(_unwrap_one(address)))
    return "/" + fold(unquote_text(path[1])).strip("/\\") if path else "/"


def source_text(tag: str) -> str:
    """A source in its one spelling; a site as `extract_host` spells it.

    Examples
    --------
    >>> source_text("https://www.facebook.com/"), source_text("m.weibo.cn"), source_text("e-mail")
    ('facebook.com', 'weibo.cn', 'email')
    """
    looks_like_site = "://" in tag or ("." in tag and not _NO_HOST.search(tag))
    return (extract_host(tag) if looks_like_site else None) or mail_text(tag)


def unwrap(addresses: pa.Array) -> pa.Array:
    """``addresses``, those which are percent-encoded as a whole with their separators decoded."""
    whole = pc.match_substring_regex(addresses, rf"^\s*{_ENCODED_SCHEME.pattern}", ignore_case=True).fill_null(False)
    if not pc.any(whole).as_py():
        return addresses
    decoded = addresses.filter(whole)
    for escape, letter in _ESCAPES:
        decoded = pc.replace_substring_regex(decoded, f"%(?:25)*{escape}", letter)
    return pc.replace_with_mask(addresses, whole, decoded)


def read_hosts(addresses: pa.Array) -> Coded:
    """`extract_host` of every address."""
    return _heads(addresses, _HEAD).translate(extract_host)


def read_paths(addresses: pa.Array) -> Coded:
    """`extract_path` of every address."""
    return _heads(addresses, _BEFORE_QUERY).translate(extract_path)


@dataclass(frozen=True)
class Parameters:
    """What the query strings of many addresses say; the first of several counts.

    Attributes
    ----------
    tags : the text of every tag
    marks : where a mark of a click is present, by name; only those that are anywhere
    id_rows, id_names, id_texts : every click id, with the row it stands in
    stray_rows, stray_names, strays : every parameter that looks like a tag and is none, as it is written
    """

    tags: Mapping[str, Coded]
    marks: Mapping[str, Mask]
    id_rows: NDArray[np.int64]
    id_names: Coded
    id_texts: pa.Array
    stray_rows: NDArray[np.int64]
    stray_names: Coded
    strays: pa.Array


def read_parameters(addresses: pa.Array) -> Parameters:
    """What the query strings say. Parameters behind a ``#`` count too, as single page applications have them."""
    rows = len(addresses)
    owners, pairs = _read_pairs(addresses)
    names = encode(pc.utf8_lower(pc.struct_field(pc.extract_regex(pairs, r"^(?P<name>[^=]*)="), 0)))
    texts = pc.struct_field(pc.extract_regex(pairs, r"(?s)^[^=]*=(?P<text>[^#]*)"), 0)
    is_filled = ~_matches(texts, rf"(?i)^(?:{_BLANK})$")
    is_named = {name: names.codes == code for code, name in enumerate(names.values)}
    tags = {
        tag: _first_tag([is_named[name] for name in TAGS[tag] if name in is_named], owners, texts, rows) for tag in TAGS
    }
    marks = {}
    for name in (name for name in MARKS if name in is_named):
        marks[name] = np.zeros(rows, dtype=bool)
        marks[name][owners[is_named[name] & is_filled]] = True
    is_id = names.where(CLICK_IDS.__contains__) & is_filled
    is_stray = names.where(lambda name: name not in _KNOWN) & is_filled
    return Parameters(
        tags,
        {name: mask for name, mask in marks.items() if mask.any()},
        owners[is_id],
        Coded(names.values, names.codes[is_id]),
        texts.filter(pa.array(is_id)),
        owners[is_stray],
        Coded(names.values, names.codes[is_stray]),
        pairs.filter(pa.array(is_stray)),
    )


def is_given(texts: pa.Array) -> Mask:
    """Where a text says something, as `tag_text` sees it."""
    result: Mask = texts.is_valid().to_numpy(zero_copy_only=False) & ~_matches(texts, rf"(?i)^(?:{_BLANK})$")
    return result


def _first_tag(places: Sequence[Mask], owners: NDArray[np.int64], texts: pa.Array, rows: int) -> Coded:
    """The text of one tag, which may have several names, by row."""
    tag = absent(rows)
    for is_mine in places:
        mine = encode(texts.filter(pa.array(is_mine))).translate(tag_text)
        there = mine.is_there()
        first_rows, firsts = np.unique(owners[is_mine][there], return_index=True)
        codes = np.full(rows, -1, dtype=np.int32)
        codes[first_rows] = mine.codes[there][firsts]
        tag = tag.or_else(Coded(mine.values, codes))
    return tag


def _read_pairs(addresses: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Every ``name=text`` of a query string that is a tag or looks like one, with the row it stands in."""
    rows = np.flatnonzero(_matches(addresses, rf"(?i)[?&;#]{_PARAMETER}="))
    queries = addresses.take(pa.array(rows))
    queries = pc.struct_field(pc.extract_regex(queries, r"(?s)^[^?#]*(?P<query>.*)$"), 0)
    for sign, pattern, instead in _REPAIRS:
        if pc.any(pc.match_substring_regex(queries, sign)).as_py():
            queries = pc.replace_substring_regex(queries, pattern, instead)
    parts = pc.split_pattern(queries, "&")
    pairs = parts.flatten()
    is_tag = _matches(pairs, rf"(?i)^{_PARAMETER}=")
    return rows[parts.value_parent_indices().to_numpy()[is_tag]], pairs.filter(pa.array(is_tag))


def _heads(addresses: pa.Array, pattern: str) -> Coded:
    return encode(pc.struct_field(pc.extract_regex(pc.utf8_ltrim_whitespace(addresses), pattern), 0))


def _matches(texts: pa.Array, pattern: str) -> Mask:
    matches: Mask = pc.match_substring_regex(texts, pattern).fill_null(False).to_numpy(zero_copy_only=False)
    return matches


def _unwrap_one(address: str) -> str:
    return unquote_text(address) if "%" in address and _ENCODED_SCHEME.match(address.lstrip()) else address


def _readable(label: str) -> str:
    """A label of a host name in its own script."""
    if not label.startswith("xn--") or len(label) > 63:
        return label
    try:
        name = fold(label[4:].encode("ascii").decode("punycode"))
        name.encode("utf-8")
    except (UnicodeError, ValueError, OverflowError):
        return label
    return label if not name or name.isascii() or "." in name or _NO_HOST.search(name) else name


def registered_domain(host: str) -> str:
    """What of a host belongs to one company, by the public suffix list; the host itself where that tells nothing.

    Examples
    --------
    >>> [registered_domain(host) for host in ("checkout.shop.co.uk", "shop.github.io", "localhost")]
    ['shop.co.uk', 'shop.github.io', 'localhost']
    """
    # Loaded when it is used: most logs have no addresses.
    from tldextract import TLDExtract

    parts = TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)(host)
    return f"{parts.domain}.{parts.suffix}" if parts.domain and parts.suffix else host
