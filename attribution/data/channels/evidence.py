"""What a row of a raw log says about where a visitor came from, every text in its one spelling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.data.channels.addresses import Parameters, is_given, read_hosts, read_parameters, source_text, unwrap
from attribution.data.channels.coded import Coded, Mask, absent, encode
from attribution.data.channels.platforms import KINDS, ad_server, platform_kind
from attribution.data.channels.spelling import MACRO, fold, medium_text, tag_text
from attribution.errors import InputError
from attribution.schema.clicks import CLICK_IDS, DEFAULT_CHANNELS, MARKS, TAGS
from attribution.schema.tables import RAW_MARKETING

DIRECT = "(direct)"
"""The source of a visitor whom nothing sent."""

_NO_KIND = -1
_NAMES = tuple(MARKS)
_PLACES = {name: index for index, name in enumerate(MARKS)}


@dataclass(frozen=True)
class Parts:
    """Parts of addresses: in ``rows``, which may have several, by ``names``, ``texts`` as they are written."""

    rows: NDArray[np.int64]
    names: Coded
    texts: pa.Array

    def take(self, mask: Mask) -> Parts:
        """Those of the rows where ``mask`` is true."""
        is_kept = mask[self.rows]
        new_rows = np.cumsum(mask) - 1
        return Parts(new_rows[self.rows[is_kept]], self.names.take(is_kept), self.texts.filter(pa.array(is_kept)))


@dataclass(frozen=True)
class Evidence:
    """Row by row, what tags, click ids and addresses say.

    Attributes
    ----------
    tags : the utm values, by column name
    marks : where a click id or mark is present, by name; only those that are anywhere
    click : the mark that counts
    click_id, click_id_kind : the id itself, of those that name a click, and the name of its parameter
    referrer : host of the referring page, the advertiser's own included
    landing_host : host of the page that was landed on
    is_inside : where the referrer is the advertiser's own
    is_served : where an ad server is the referrer and nothing else tells the source
    source, medium : after click ids and referrer have stood in for missing tags
    kind : what kind of site the source is, a place in ``platforms.KINDS`` or −1
    channel_group : the default channel that the log itself names
    strays : what looks like a tag and is none
    unfilled : click ids that are placeholders
    """

    tags: Mapping[str, Coded]
    marks: Mapping[str, Mask]
    click: Coded
    click_id: pa.Array
    click_id_kind: Coded
    referrer: Coded
    landing_host: Coded
    is_inside: Mask
    is_served: Mask
    source: Coded
    medium: Coded
    kind: NDArray[np.int8]
    channel_group: Coded
    strays: Parts
    unfilled: Parts

    @property
    def is_tagged(self) -> Mask:
        """Where any utm value is there."""
        result: Mask = np.logical_or.reduce([tag.is_there() for tag in self.tags.values()])
        return result

    @property
    def is_clicked(self) -> Mask:
        """Where any click id or mark is there."""
        return self.click.is_there()

    @property
    def is_ad(self) -> Mask:
        """Where the click was paid for, whatever the medium says."""
        return self.click.where(lambda name: MARKS[name].proof == "ad") | self.is_served

    @property
    def is_affiliate(self) -> Mask:
        """Where an affiliate network counted the click."""
        return self.click.where(lambda name: MARKS[name].proof == "affiliate")

    @property
    def is_referred(self) -> Mask:
        """Where an outside referrer is all there is."""
        return ~self.is_tagged & ~self.is_clicked & self.referrer.is_there() & ~self.is_inside

    def is_kind(self, kind: str) -> Mask:
        """Where the source is a site of this kind."""
        result: Mask = self.kind == KINDS.index(kind)
        return result

    def take(self, mask: Mask) -> Evidence:
        """The rows where ``mask`` is true."""
        return Evidence(**{field.name: _take(getattr(self, field.name), mask) for field in fields(self)})


def _take(part: Any, mask: Mask) -> Any:
    if isinstance(part, Mapping):
        return {name: _take(inner, mask) for name, inner in part.items()}
    if isinstance(part, Coded | Parts):
        return part.take(mask)
    return part[mask] if isinstance(part, np.ndarray) else part.filter(pa.array(mask))


def read_evidence(raw: pa.Table, own_sites: tuple[str, ...]) -> Evidence:
    """Read the raw columns of a log.

    Parameters
    ----------
    raw : any of `attribution.schema.tables.RAW_MARKETING`, as texts
    own_sites : hosts of the advertiser, as `attribution.data.channels.addresses.extract_host` spells them

    Raises
    ------
    InputError
        If there is none of the columns, or one holds no texts.
    """
    rows = raw.num_rows
    texts = {name: to_texts(raw, name) for name in RAW_MARKETING if name in raw.column_names}
    if not texts:
        allowed = (*TAGS, "referrer", "url", "or a click id such as gclid")
        raise InputError("channel rules need at least one column to read", given=raw.column_names, allowed=allowed)
    texts |= {name: unwrap(texts[name]) for name in ("referrer", "url") if name in texts}
    tags = {name: _column(texts, name, rows).translate(tag_text) for name in TAGS}
    marks = {name: is_given(texts[name]) for name in CLICK_IDS if name in texts}
    in_url = None
    referrer = landing_host = absent(rows)
    if "url" in texts:
        in_url = read_parameters(texts["url"])
        tags = {name: tag.or_else(in_url.tags[name]) for name, tag in tags.items()}
        marks = {name: marks[name] | mask if name in marks else mask for name, mask in in_url.marks.items()} | {
            name: mask for name, mask in marks.items() if name not in in_url.marks
        }
    if "referrer" in texts:
        referrer = read_hosts(texts["referrer"])
        landing_host = read_hosts(texts["url"]) if "url" in texts else landing_host
    marks = {name: marks[name] for name in MARKS if name in marks and marks[name].any()}
    ids = _read_ids(texts, marks, in_url, rows)
    group = _column(texts, "channel_group", rows).translate(lambda name: _DEFAULT.get(fold(name)))
    if in_url is None:
        strays = Parts(np.zeros(0, np.int64), absent(0), pa.array([], pa.large_string()))
    else:
        strays = Parts(in_url.stray_rows, in_url.stray_names, in_url.strays)
    return _complete(tags, marks, ids, (referrer, landing_host), group, strays, own_sites)


_DEFAULT = {name.casefold(): name for name in DEFAULT_CHANNELS}


def to_texts(raw: pa.Table, name: str) -> pa.Array:
    """One column as an array of texts.

    Raises
    ------
    InputError
        If the column holds no texts.
    """
    try:
        texts = raw.column(name).cast(pa.large_string()).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"column {name!r} does not hold text: {error}", given=raw.schema.field(name).type) from None
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts


def is_own(host: str, own_sites: tuple[str, ...]) -> bool:
    """Whether a host is one of ``own_sites`` or lies under one."""
    return any(host == site or host.endswith(f".{site}") for site in own_sites)


def _column(texts: Mapping[str, pa.Array], name: str, rows: int) -> Coded:
    return encode(texts[name]) if name in texts else absent(rows)


def _read_ids(
    texts: Mapping[str, pa.Array], marks: Mapping[str, Mask], in_url: Parameters | None, rows: int
) -> tuple[pa.Array, Coded, Parts]:
    """The click id of every row and its kind, and those that are placeholders.

    Of several kinds the first of `CLICK_IDS` counts, and its column before the url.
    """
    all_rows, all_ranks, all_texts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [pa.array([], pa.large_string())]
    for name in (name for name in marks if name in texts):
        is_there = is_given(texts[name])
        all_rows.append(np.flatnonzero(is_there))
        all_ranks.append(np.full(int(is_there.sum()), 2 * _PLACES[name]))
        all_texts.append(texts[name].filter(pa.array(is_there)))
    if in_url is not None and len(in_url.id_rows):
        places = np.array([_PLACES.get(name, -1) for name in in_url.id_names.values], dtype=np.int64)
        all_rows.append(in_url.id_rows)
        all_ranks.append(2 * places[in_url.id_names.codes] + 1)
        all_texts.append(_unquote(in_url.id_texts))
    owners, ranks = np.concatenate(all_rows), np.concatenate(all_ranks)
    values = pc.utf8_trim_whitespace(pa.concat_arrays([part.cast(pa.large_string()) for part in all_texts]))
    # A macro that was never filled stands in the link of an ad, and names no click.
    is_macro = pc.match_substring_regex(values, MACRO).to_numpy(zero_copy_only=False)
    unfilled = Parts(
        owners[is_macro], Coded(_NAMES, ranks[is_macro].astype(np.int32) // 2), values.filter(pa.array(is_macro))
    )
    usable = np.flatnonzero(is_given(values) & ~is_macro)
    order = usable[np.lexsort((ranks[usable], owners[usable]))]
    first_rows, firsts = np.unique(owners[order], return_index=True)
    chosen = order[firsts]
    index = np.full(rows, -1, dtype=np.int64)
    index[first_rows] = chosen
    codes = np.full(rows, -1, dtype=np.int32)
    codes[first_rows] = ranks[chosen] // 2
    ids = values.take(pa.array(index, mask=index < 0)).cast(pa.string())
    return ids, Coded(_NAMES, codes), unfilled


def _unquote(texts: pa.Array) -> pa.Array:
    is_quoted = pc.match_substring(texts, "%")
    if not pc.any(is_quoted).as_py():
        return texts
    plain = [unquote(text) for text in texts.filter(is_quoted).to_pylist()]
    return pc.replace_with_mask(texts, is_quoted, pa.array(plain, texts.type))


def _complete(
    tags: dict[str, Coded],
    marks: Mapping[str, Mask],
    ids: tuple[pa.Array, Coded, Parts],
    hosts: tuple[Coded, Coded],
    channel_group: Coded,
    strays: Parts,
    own_sites: tuple[str, ...],
) -> Evidence:
    """Let click ids and referrers say what tags leave open."""
    referrer, landing_host = hosts
    tags["utm_source"] = tags["utm_source"].translate(source_text)
    tags["utm_medium"] = tags["utm_medium"].translate(medium_text)
    is_inside = referrer.where(lambda host: is_own(host, own_sites)) | referrer.same_as(landing_host)
    outside = referrer.subset(~is_inside)
    click = _first(marks, len(is_inside))
    # What proves most may not say where: of Meta's id and another product's mark of an ad, the id does.
    site = _first({name: mask for name, mask in marks.items() if MARKS[name].source}, len(is_inside))
    click_kind = site.number_by(lambda name: _kind_number(MARKS[name].kind), none=_NO_KIND)

    source_names = tags["utm_source"].subset(~tags["utm_source"].where(DIRECT.__eq__))
    by_click = ~source_names.is_there() & click.is_there()
    outside_kind = _kinds(outside)
    # The site that the click id stands for may be named more exactly by the referrer: Instagram for Meta.
    exact = outside.subset(by_click & (click_kind != _NO_KIND) & (outside_kind == click_kind))
    by_referrer = ~tags["utm_source"].is_there() & ~by_click
    is_served = by_referrer & outside.where(ad_server)
    is_tagged = np.logical_or.reduce([tag.is_there() for tag in tags.values()])
    direct = Coded((DIRECT,), np.where(is_tagged | click.is_there(), -1, 0).astype(np.int32))
    source = source_names.or_else(exact).or_else(site.translate(lambda name: MARKS[name].source))
    source = source.or_else(tags["utm_source"]).or_else(outside).or_else(direct)
    medium = tags["utm_medium"].or_else(click.translate(lambda name: MARKS[name].medium))
    medium = medium.or_else(outside.subset(is_served).translate(_served_medium))
    served_kind = outside.number_by(_served_kind, none=_NO_KIND)
    kind = np.select(
        [by_click, is_served, by_referrer], [click_kind, served_kind, outside_kind], default=_kinds(source_names)
    )
    # What is tagged with a source that nobody knows is at least a click on the platform whose id it carries.
    is_open = (kind == _NO_KIND) & click.where(lambda name: MARKS[name].proof == "ad")
    kind = np.where(is_open, click_kind, kind)
    return Evidence(
        tags, marks, click, ids[0], ids[1], referrer, landing_host, is_inside, is_served, source, medium,
        kind.astype(np.int8), channel_group, strays, ids[2],
    )  # fmt: skip


def _served_medium(host: str) -> str | None:
    server = ad_server(host)
    return None if server is None else server.medium


def _served_kind(host: str) -> int:
    server = ad_server(host)
    return _NO_KIND if server is None else _kind_number(server.kind)


def _first(marks: Mapping[str, Mask], rows: int) -> Coded:
    """The mark that counts."""
    codes = np.full(rows, -1, dtype=np.int32)
    for code, mask in reversed(list(enumerate(marks.values()))):
        codes[mask] = code
    return Coded(tuple(marks), codes)


def _kind_number(kind: str | None) -> int:
    return _NO_KIND if kind is None else KINDS.index(kind)


def _kinds(sources: Coded) -> NDArray[np.int8]:
    return sources.number_by(lambda source: _kind_number(platform_kind(source)), none=_NO_KIND)
