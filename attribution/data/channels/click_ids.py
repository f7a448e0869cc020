"""Click ids themselves, with their kinds: what bidding systems know a click by."""

from __future__ import annotations

import pyarrow as pa

from attribution.data.channels.evidence import Evidence, read_evidence

ID, KIND = "click_id", "click_id_kind"
"""Columns of touchpoints: the id as the platform gave it, and the name of its parameter."""


def read_click_ids(raw: pa.Table) -> pa.Table:
    """The click id of every row of a raw log, and its kind.

    Parameters
    ----------
    raw : any of `attribution.schema.tables.RAW_MARKETING`, as texts

    Returns
    -------
    pa.Table
        A row for every row of ``raw``, in its order: ``click_id`` and ``click_id_kind``, null where there is none. Of
        several kinds the first in `attribution.schema.clicks` counts; of one kind its own column counts before
        ``url``, and in ``url`` the first.

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
    return id_table(read_evidence(raw, ()))


def id_table(evidence: Evidence) -> pa.Table:
    """`read_click_ids` of evidence that is read already."""
    return pa.table({ID: evidence.click_id, KIND: evidence.click_id_kind.to_arrow()})
