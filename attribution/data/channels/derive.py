"""From raw tags, referrers, pages and click ids to channel and campaign."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.data.channels.channel_rules import ChannelRules, match_rules
from attribution.data.channels.coded import Coded, Mask
from attribution.data.channels.evidence import DIRECT, Evidence, read_evidence
from attribution.data.channels.ignored_referrers import find_ignored, name_site
from attribution.data.channels.platforms import AFFILIATE, ASSISTANT, MAIL, SEARCH, SHOPPING, SMS, SOCIAL, VIDEO

# ---------------------------------------------------------------- default channels

UNASSIGNED = "Unassigned"
"""The channel of what no rule claims."""

_PAID = re.compile(r".*cp.*|ppc|retargeting|paid.*", re.DOTALL)
_SHOPPING = re.compile(r"([^a-df-z]|^)shop|shopping")
DISPLAY_MEDIUMS = {"display", "banner", "expandable", "interstitial", "cpm"}
_SOCIAL = {"social", "social-network", "social-media", "sm"}
_REFERRAL = {"referral", "app", "link"}


def is_paid(medium: str) -> bool:
    """Whether a medium is paid for.

    Examples
    --------
    >>> [is_paid(medium) for medium in ("cpc", "paid-social", "email", "ppc", "prepaid")]
    [True, True, False, True, False]
    """
    return _PAID.fullmatch(medium) is not None


def default_channels(evidence: Evidence) -> Coded:
    """The channel of every row; the first rule that holds names it."""
    names, masks = zip(*_rules(evidence), strict=True)
    codes = np.select(masks, range(len(names)), default=len(names))
    return Coded((*names, UNASSIGNED), codes.astype(np.int32)).translate(str)


def find_paid(evidence: Evidence) -> Mask:
    """Where a click was paid for: its medium says so, or what the platform wrote into the address."""
    medium = evidence.medium
    return medium.where(is_paid) | (evidence.is_ad & ~medium.where(DISPLAY_MEDIUMS.__contains__))


def _rules(evidence: Evidence) -> Iterator[tuple[str, Mask]]:
    """Every default channel with where its condition holds, in order."""
    source, medium, campaign = evidence.source, evidence.medium, evidence.tags["utm_campaign"]
    paid = find_paid(evidence)
    shopping = evidence.is_kind(SHOPPING) | campaign.where(_SHOPPING.search)
    sent = evidence.is_kind(MAIL)
    # A source that nobody knows is of the kind that a paid medium names: paid_social, video_cpc.
    unknown = evidence.kind < 0
    yield "Direct", source.where(DIRECT.__eq__) & ~medium.is_there()
    yield "Cross-network", campaign.where(lambda name: "cross-network" in name)
    yield "Paid Shopping", (shopping | (unknown & medium.where(lambda name: "shopping" in name))) & paid
    yield "Paid Search", (evidence.is_kind(SEARCH) | (unknown & medium.where(lambda name: "search" in name))) & paid
    yield "Paid Social", (evidence.is_kind(SOCIAL) | (unknown & medium.where(lambda name: "social" in name))) & paid
    yield "Paid Video", (evidence.is_kind(VIDEO) | (unknown & medium.where(lambda name: "video" in name))) & paid
    yield "Display", medium.where(DISPLAY_MEDIUMS.__contains__)
    yield "Paid Other", paid
    yield "Affiliates", evidence.is_affiliate
    yield "Organic Shopping", shopping
    yield "Organic Social", evidence.is_kind(SOCIAL) | medium.where(_SOCIAL.__contains__)
    yield "Organic Video", evidence.is_kind(VIDEO) | medium.where(lambda name: "video" in name)
    yield "Organic Search", evidence.is_kind(SEARCH) | medium.where("organic".__eq__)
    yield "AI Assistants", evidence.is_kind(ASSISTANT)
    yield "Referral", (medium.where(_REFERRAL.__contains__) | evidence.is_referred) & ~sent
    yield "Email", source.where("email".__eq__) | medium.where("email".__eq__)
    yield "Affiliates", medium.where("affiliate".__eq__)
    yield "Audio", medium.where("audio".__eq__)
    yield "SMS", source.where("sms".__eq__) | medium.where("sms".__eq__)
    yield "Mobile Push Notifications", source.where("firebase".__eq__) | medium.where(_is_push)
    # What no medium places, a source that does one thing only.
    yield "Email", sent
    yield "SMS", evidence.is_kind(SMS)
    yield "Affiliates", evidence.is_kind(AFFILIATE)


def _is_push(medium: str) -> bool:
    return medium.endswith("push") or "mobile" in medium or "notification" in medium


# ---------------------------------------------------------------- own rules first, then the default channels


def derive_channels(raw: pa.Table, rules: ChannelRules) -> pa.Table:
    """The channel and campaign of every row of a raw log.

    Parameters
    ----------
    raw : any of `attribution.schema.tables.RAW_MARKETING`, as texts; nulls and blanks say nothing. What a
        column leaves open is read from the query string of ``url``.
    rules : own rules and sites

    Returns
    -------
    pa.Table
        A row for every row of ``raw``, in its order: ``channel``, ``campaign``, ``source`` and ``medium`` as they
        were used (null where there is none), and ``ignored_referrer``: the site that an entry came back from which
        nobody was sent by. Such rows alone have no channel.

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
    grouped = group_channels(evidence, raw, rules)
    return pa.table(
        {
            "channel": grouped.channel.to_arrow(),
            "campaign": evidence.tags["utm_campaign"].to_arrow(),
            "source": evidence.source.to_arrow(),
            "medium": evidence.medium.to_arrow(),
            "ignored_referrer": name_site(evidence, grouped.ignored).to_arrow(),
        }
    )


class Grouped(NamedTuple):
    """Channels of the rows of a raw log.

    ``by_rule`` is the place of the own rule that decided, or −1; ``ignored`` is where a row has no channel because
    nobody was sent by its referrer.
    """

    channel: Coded
    by_rule: NDArray[np.int32]
    ignored: Mask


def group_channels(evidence: Evidence, raw: pa.Table, rules: ChannelRules) -> Grouped:
    """The channel of every row: that of its own rule, else that which the log names, else the default one."""
    ignored = find_ignored(evidence, rules.ignored_hosts)
    by_rule = match_rules(evidence, rules, raw, ignored=ignored)
    own = Coded(tuple(map(str, range(len(rules.own)))), by_rule).translate(lambda code: rules.own[int(code)].channel)
    further = evidence.channel_group.or_else(default_channels(evidence)).subset(~ignored)
    return Grouped(own.or_else(further), by_rule, ignored & ~own.is_there())
