"""Entries that nobody was sent by: returns from payment, sign-in and captcha pages, and walks about the own site."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files

import numpy as np

from attribution.data.channels.coded import Coded, Mask
from attribution.data.channels.evidence import DIRECT, Evidence

DEFAULT = "default"
"""Stands for the list that is shipped, among ``ignored_referrers``."""

_MOST_LABELS = 8  # no entry has more; a forged host may have thousands


@cache
def default_ignored_referrers() -> frozenset[str]:
    """The hosts of ``ignored_referrers.toml``.

    Examples
    --------
    >>> {"paypal.com", "accounts.google.com", "hcaptcha.com"} <= default_ignored_referrers()
    True
    """
    document = tomllib.loads(files(__package__).joinpath("ignored_referrers.toml").read_text(encoding="utf-8"))
    return frozenset(host for hosts in document.values() for host in hosts)


def ignored_hosts(own_sites: tuple[str, ...], ignored_referrers: tuple[str, ...]) -> frozenset[str]:
    """All hosts from which nobody is sent; none where ``ignored_referrers`` has no entry."""
    if not ignored_referrers:
        return frozenset()
    listed = frozenset(ignored_referrers) | frozenset(own_sites)
    return listed - {DEFAULT} | (default_ignored_referrers() if DEFAULT in listed else frozenset())


def is_under(sites: frozenset[str]) -> Callable[[str], bool]:
    """A function that says whether a host is one of ``sites`` or lies under one.

    Examples
    --------
    >>> [is_under(frozenset({"pay.example"}))(host) for host in ("pay.example", "eu.pay.example", "notpay.example")]
    [True, True, False]
    """
    # Of many hosts nearly all are told by their end alone.
    ends = frozenset(site[site.rfind(".", 0, site.rfind(".")) + 1 :] for site in sites)

    def holds(host: str) -> bool:
        if host[host.rfind(".", 0, max(host.rfind("."), 0)) + 1 :] not in ends:
            return False
        labels = host.split(".")[-_MOST_LABELS:]
        return any(".".join(labels[start:]) in sites for start in range(len(labels)))

    return holds


def find_ignored(evidence: Evidence, hosts: frozenset[str]) -> Mask:
    """Where a row is no entry from outside: it has neither tag nor click id, and comes from one of ``hosts``.

    A referral as exports of analytics tools write it, source and medium without a referrer, is such a row, too.
    """
    if not hosts:
        return np.zeros(len(evidence.source.codes), dtype=bool)
    is_ignored = is_under(hosts)
    ignored = ~evidence.is_tagged & (evidence.is_inside | evidence.referrer.where(is_ignored))
    written = evidence.tags["utm_medium"].where("referral".__eq__)
    if written.any():
        written &= evidence.tags["utm_source"].where(is_ignored)
        for name in ("utm_campaign", "utm_content", "utm_term"):
            written &= ~evidence.tags[name].where(lambda text: text != "(referral)")
        ignored |= written
    return ignored & ~evidence.is_clicked


def name_site(evidence: Evidence, ignored: Mask) -> Coded:
    """The site that each ignored row comes from."""
    return evidence.referrer.or_else(evidence.source.subset(~evidence.source.where(DIRECT.__eq__))).subset(ignored)
