"""From raw tags, referrers, pages and click ids to channel and campaign."""

from __future__ import annotations

import pyarrow as pa

from attribution.data.channels.evidence import Evidence, read_evidence
from attribution.data.channels.grouping import default_channels
from attribution.data.channels.rules import ChannelRules, own_channels


def derive_channels(raw: pa.Table, rules: ChannelRules) -> pa.Table:
    """The channel and campaign of every row of a raw log.

    Parameters
    ----------
    raw : any of `RAW_COLUMNS`, as texts; nulls and blanks say nothing. What a column leaves open is read from the
        query string of ``url``.
    rules : own rules and sites

    Returns
    -------
    pa.Table
        A row for every row of ``raw``, in its order: ``channel`` (never null), ``campaign``, ``source`` and
        ``medium`` as they were used (null where there is none).

    Raises
    ------
    InputError
        If ``raw`` has none of the columns, or one of them holds no texts.

    Examples
    --------
    >>> raw = pa.table({
    ...     "url": ["https://example.com/?utm_source=News&utm_medium=e-mail&utm_campaign=May%20Sale", None, None],
    ...     "referrer": [None, "https://www.google.co.uk/", None],
    ... })
    >>> derived = derive_channels(raw, ChannelRules())
    >>> derived["channel"].to_pylist(), derived["campaign"].to_pylist()
    (['Email', 'Organic Search', 'Direct'], ['may sale', None, None])
    """
    evidence = read_evidence(raw, rules.own_sites)
    return derived_table(evidence, raw, rules)


def derived_table(evidence: Evidence, raw: pa.Table, rules: ChannelRules) -> pa.Table:
    """`derive_channels` of evidence that is read already."""
    channel = own_channels(evidence, rules, raw).or_else(default_channels(evidence))
    return pa.table(
        {
            "channel": channel.to_arrow(),
            "campaign": evidence.tags["utm_campaign"].to_arrow(),
            "source": evidence.source.to_arrow(),
            "medium": evidence.medium.to_arrow(),
        }
    )
