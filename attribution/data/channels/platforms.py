"""Sites that are known for what they are (data in ``sites.toml``), and hosts that serve ads."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

from attribution.schema.clicks import AD_SERVERS, AdServer

SEARCH, SOCIAL, VIDEO, SHOPPING, ASSISTANT, OTHER = "search", "social", "video", "shopping", "assistant", "other"
MAIL, SMS, AFFILIATE = "mail", "sms", "affiliate"
KINDS = (SEARCH, SOCIAL, VIDEO, SHOPPING, ASSISTANT, MAIL, SMS, AFFILIATE)
"""What a site can be."""

_SEPARATORS = re.compile(r"[\s_-]+")
_SECOND_LEVEL = frozenset({"co", "com", "ne", "or", "org", "net"})
_COUNTRYLESS = frozenset({"com", "net", "org"})
_MOST_LABELS = 8  # no entry has more; a forged host may have thousands


def platform_kind(source: str) -> str | None:
    """What kind of site a source is, one of `KINDS`; None where it is none of them.

    Parameters
    ----------
    source : a host or the address of an app, or a name such as ``facebook``, in its normal spelling

    Examples
    --------
    >>> [platform_kind(name) for name in ("google.co.uk", "mail.google.com", "face book", "content_marketing")]
    ['search', 'mail', 'social', None]
    """
    sites, hosts, names = _read_platforms()
    kind = hosts.get(source) or hosts.get(_any_country(source))
    if kind is None and "." in source:
        kind = next((sites[part] for part in _parts(source) if part in sites), None)
    elif kind is None:
        kind = names.get(_SEPARATORS.sub("", source))
    return None if kind == OTHER else kind


def _parts(host: str) -> list[str]:
    """The host and the domains it lies under, the longest first, each also for any country."""
    labels = host.split(".")[-_MOST_LABELS:]
    domains = [".".join(labels[start:]) for start in range(len(labels))]
    return [part for domain in domains for part in (domain, _any_country(domain))]


def _any_country(host: str) -> str:
    """``google.*`` for google.com, google.de and google.co.uk."""
    name, _, last = host.rpartition(".")
    if len(last) == 2:
        stem, _, second = name.rpartition(".")
        name = stem if stem and second in _SECOND_LEVEL else name
    elif last not in _COUNTRYLESS:
        return host
    return f"{name}.*"


@cache
def _read_platforms() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Kind by site, by single host or app, and by name."""
    document = tomllib.loads(files(__package__).joinpath("sites.toml").read_text(encoding="utf-8"))
    sites = {site: kind for kind, platform in document.items() for site in platform["sites"]}
    hosts = {host: kind for kind, platform in document.items() for host in (*platform["hosts"], *platform["apps"])}
    names = {name: kind for kind, platform in document.items() for name in platform["names"]}
    return sites, hosts, names


def ad_server(host: str) -> AdServer | None:
    """What is known of a host that serves ads; None where it is none.

    Examples
    --------
    >>> ad_server("googleads.g.doubleclick.net").medium, ad_server("doubleclick.example")
    ('cpm', None)
    """
    return next((AD_SERVERS[part] for part in _parts(host) if part in AD_SERVERS), None)
