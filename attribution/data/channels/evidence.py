"""What a row of a raw log says about where a visitor came from, every text in its one spelling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.data.channels.addresses import is_given, read_hosts, read_parameters, source_text, unwrap
from attribution.data.channels.coded import Coded, Mask, absent, encode
from attribution.data.channels.platforms import CLICK_IDS, KINDS, platform_kind
from attribution.data.channels.spelling import medium_text, tag_text
from attribution.errors import InputError

TAGS = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
RAW_COLUMNS = (*TAGS, "referrer", "url", *CLICK_IDS)
"""The raw columns from which channels are derived."""

DIRECT = "(direct)"
"""The source of a visitor whom nothing sent."""

_NO_KIND = -1


@dataclass(frozen=True)
class Evidence:
    """Row by row, what tags, click ids and addresses say.

    Attributes
    ----------
    tags : the utm values, by column name
    click_ids : where a click id is present, by name
    referrer : host of the referring page, the advertiser's own included
    landing_host : host of the page that was landed on
    is_inside : where the referrer is the advertiser's own
    source, medium : after click ids and referrer have stood in for missing tags
    kind : what kind of site the source is, a place in ``sites.KINDS`` or −1
    """

    tags: Mapping[str, Coded]
    click_ids: Mapping[str, Mask]
    referrer: Coded
    landing_host: Coded
    is_inside: Mask
    source: Coded
    medium: Coded
    kind: NDArray[np.int8]

    @property
    def is_tagged(self) -> Mask:
        """Where any utm value is there."""
        result: Mask = np.logical_or.reduce([tag.is_there() for tag in self.tags.values()])
        return result

    @property
    def is_clicked(self) -> Mask:
        """Where any click id is there."""
        result: Mask = np.logical_or.reduce(list(self.click_ids.values()))
        return result

    @property
    def is_referred(self) -> Mask:
        """Where an outside referrer is all there is."""
        return ~self.is_tagged & ~self.is_clicked & self.referrer.is_there() & ~self.is_inside

    def is_kind(self, kind: str) -> Mask:
        """Where the source is a site of this kind."""
        result: Mask = self.kind == KINDS.index(kind)
        return result


def read_evidence(raw: pa.Table, own_sites: tuple[str, ...]) -> Evidence:
    """Read the raw columns of a log.

    Parameters
    ----------
    raw : any of `RAW_COLUMNS`, as texts
    own_sites : hosts of the advertiser, as `attribution.data.channels.addresses.extract_host` spells them

    Raises
    ------
    InputError
        If there is none of the columns, or one holds no texts.
    """
    texts = {name: to_texts(raw, name) for name in RAW_COLUMNS if name in raw.column_names}
    if not texts:
        raise InputError("channel rules need at least one column to read", given=raw.column_names, allowed=RAW_COLUMNS)
    texts |= {name: unwrap(texts[name]) for name in ("referrer", "url") if name in texts}
    tags = {name: _column(texts, name, raw.num_rows).translate(tag_text) for name in TAGS}
    clicks = {name: is_given(texts[name]) if name in texts else np.zeros(raw.num_rows, bool) for name in CLICK_IDS}
    referrer = landing_host = absent(raw.num_rows)
    if "url" in texts:
        in_url, clicks_in_url = read_parameters(texts["url"], TAGS, CLICK_IDS)
        tags = {name: tag.or_else(in_url[name]) for name, tag in tags.items()}
        clicks = {name: there | clicks_in_url[name] for name, there in clicks.items()}
    if "referrer" in texts:
        referrer = read_hosts(texts["referrer"])
        landing_host = read_hosts(texts["url"]) if "url" in texts else landing_host
    return _complete(tags, clicks, referrer, landing_host, own_sites)


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


def _complete(
    tags: dict[str, Coded],
    clicks: dict[str, Mask],
    referrer: Coded,
    landing_host: Coded,
    own_sites: tuple[str, ...],
) -> Evidence:
    """Let click ids and referrers say what tags leave open."""
    tags["utm_source"] = tags["utm_source"].translate(source_text)
    tags["utm_medium"] = tags["utm_medium"].translate(medium_text)
    is_inside = referrer.where(lambda host: is_own(host, own_sites)) | referrer.same_as(landing_host)
    outside = referrer.subset(~is_inside)
    click = _first(clicks)
    click_kind = click.number_by(lambda name: _kind_number(CLICK_IDS[name].kind), none=_NO_KIND)

    source_names = tags["utm_source"].subset(~tags["utm_source"].where(DIRECT.__eq__))
    by_click = ~source_names.is_there() & click.is_there()
    # The site that the click id stands for may be named more exactly by the referrer: Instagram for Meta.
    outside_kind = _kinds(outside)
    exact = outside.subset(by_click & (click_kind != _NO_KIND) & (outside_kind == click_kind))
    by_referrer = ~tags["utm_source"].is_there() & ~by_click
    is_tagged = np.logical_or.reduce([tag.is_there() for tag in tags.values()])
    direct = Coded((DIRECT,), np.where(is_tagged, -1, 0).astype(np.int32))
    source = source_names.or_else(exact).or_else(click.translate(lambda name: CLICK_IDS[name].source))
    source = source.or_else(tags["utm_source"]).or_else(outside).or_else(direct)
    medium = tags["utm_medium"].or_else(click.translate(lambda name: CLICK_IDS[name].medium))
    kind = np.select([by_click, by_referrer], [click_kind, outside_kind], default=_kinds(source_names))
    return Evidence(tags, clicks, referrer, landing_host, is_inside, source, medium, kind)


def _first(clicks: Mapping[str, Mask]) -> Coded:
    """The click id that counts."""
    codes = np.full(len(next(iter(clicks.values()))), -1, dtype=np.int32)
    for code, mask in reversed(list(enumerate(clicks.values()))):
        codes[mask] = code
    return Coded(tuple(clicks), codes)


def _kind_number(kind: str | None) -> int:
    return _NO_KIND if kind is None else KINDS.index(kind)


def _kinds(sources: Coded) -> NDArray[np.int8]:
    return sources.number_by(lambda source: _kind_number(platform_kind(source)), none=_NO_KIND)
