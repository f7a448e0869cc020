"""Click ids themselves, with their kinds: what bidding systems know a click by."""

from __future__ import annotations

from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from attribution.data.channels.addresses import is_given, read_pairs, unwrap
from attribution.data.channels.evidence import to_texts
from attribution.data.channels.platforms import CLICK_IDS

ID, KIND = "click_id", "click_id_kind"
"""Columns of touchpoints: the id as the platform gave it, and the name of its parameter."""


def read_click_ids(raw: pa.Table) -> pa.Table:
    """The click id of every row of a raw log, and its kind.

    Parameters
    ----------
    raw : any of `attribution.data.channels.RAW_COLUMNS`, as texts

    Returns
    -------
    pa.Table
        A row for every row of ``raw``, in its order: ``click_id`` and ``click_id_kind``, null where there is none. Of
        several kinds the first of `CLICK_IDS` counts; of one kind its own column counts before ``url``, and in
        ``url`` the first.

    Raises
    ------
    InputError
        If a column holds no texts.

    Examples
    --------
    >>> raw = pa.table({"url": ["https://shop.com/?gbraid=0AAA%2Db&utm_source=x", "https://shop.com/"]})
    >>> read_click_ids(raw).to_pylist()[0]
    {'click_id': '0AAA-b', 'click_id_kind': 'gbraid'}
    """
    ids = np.full(raw.num_rows, None, dtype=object)
    kinds = np.full(raw.num_rows, None, dtype=object)
    in_url = _read_addresses(unwrap(to_texts(raw, "url"))) if "url" in raw.column_names else {}
    for kind in reversed(CLICK_IDS):
        for row, text in in_url.get(kind, {}).items():
            ids[row], kinds[row] = text, kind
        if kind in raw.column_names:
            texts = to_texts(raw, kind)
            is_there = is_given(texts)
            ids[is_there] = [text.strip() for text in texts.filter(pa.array(is_there)).to_pylist()]
            kinds[is_there] = kind
    return pa.table({ID: pa.array(ids, pa.string()), KIND: pa.array(kinds, pa.string())})


def _read_addresses(addresses: pa.Array) -> dict[str, dict[int, str]]:
    """The ids in query strings, by kind and row."""
    rows, pairs = read_pairs(addresses, tuple(CLICK_IDS))
    by_kind: dict[str, dict[int, str]] = {}
    names_and_texts = [pair.partition("#")[0].partition("=") for pair in pairs.to_pylist()]
    texts = pa.array([unquote(text).strip() for _, _, text in names_and_texts], pa.large_string())
    is_filled = is_given(texts)
    for row, (name, _, _), text, is_there in zip(
        rows.tolist(), names_and_texts, texts.to_pylist(), is_filled, strict=True
    ):
        if is_there:
            by_kind.setdefault(name.lower(), {}).setdefault(row, text)
    return by_kind
