"""Who comes back from a payment page, a sign-in or the own site was not sent by it."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution.data.channels import ChannelRules, Rule, derive_channels, read_rules
from attribution.data.channels.ignored_referrers import default_ignored_referrers
from attribution.errors import InputError

NAMES = ("referrer", "url", "utm_source", "utm_medium", "utm_campaign", "gclid")


def derive(rules: ChannelRules | None = None, **row: str) -> tuple[str | None, str | None]:
    """Channel of one row, and the site that it comes back from."""
    raw = pa.table({name: pa.array([row.get(name)], pa.string()) for name in NAMES})
    (derived,) = derive_channels(raw, rules or ChannelRules()).to_pylist()
    return derived["channel"], derived["ignored_referrer"]


@pytest.mark.parametrize(
    "referrer",
    [
        "https://www.paypal.com/checkoutnow", "https://checkout.stripe.com/pay/1", "https://hooks.stripe.com/3d_secure",
        "https://www.klarna.com/", "https://accounts.google.com/o/oauth2", "https://login.microsoftonline.com/common",
        "https://newassets.hcaptcha.com/x", "https://ACS.Netcetera.ch.:443/", "https://secure.worldpay.com/wcc/purchase",
    ],
)  # fmt: skip
def test_returns_are_no_entries_unless_they_are_tagged(referrer: str) -> None:
    channel, site = derive(referrer=referrer)
    assert channel is None
    assert site is not None
    assert site in referrer.lower()
    assert derive(referrer=referrer, gclid="x") == ("Paid Search", None)
    assert derive(referrer=referrer, utm_source="news", utm_medium="email") == ("Email", None)
    assert derive(referrer=referrer, url="https://shop.example/?utm_campaign=may")[1] is None


@pytest.mark.parametrize(
    ("referrer", "channel"),
    [
        ("https://notpaypal.com/", "Referral"), ("https://paypal.com.evil.example/", "Referral"),
        ("https://www.google.com/", "Organic Search"), ("https://www.amazon.com/", "Organic Shopping"),
        ("https://www.facebook.com/", "Organic Social"), ("https://com/", "Referral"), ("", "Direct"),
    ],
)  # fmt: skip
def test_other_sites_send_people(referrer: str, channel: str) -> None:
    assert derive(referrer=referrer) == (channel, None)


def test_a_referral_written_as_source_and_medium_is_one_too() -> None:
    paypal = {"utm_source": "paypal.com", "utm_medium": "referral"}
    assert derive(**paypal) == (None, "paypal.com")
    assert derive(**paypal, utm_campaign="(referral)") == (None, "paypal.com")
    assert derive(**paypal, utm_campaign="offers") == ("Referral", None)
    assert derive(utm_source="paypal.com", utm_medium="cpc") == ("Paid Other", None)
    assert derive(utm_source="blog.example", utm_medium="referral") == ("Referral", None)


def test_own_sites_are_ignored_whether_named_or_seen() -> None:
    own = ChannelRules(own_sites=("shop.example",))
    assert derive(own, referrer="https://www.shop.example/cart") == (None, "shop.example")
    assert derive(own, utm_source="help.shop.example", utm_medium="referral") == (None, "help.shop.example")
    assert derive(referrer="https://shop.example/a", url="https://www.shop.example/b") == (None, "shop.example")
    assert derive(own, url="https://shop.example/") == ("Direct", None)


def test_the_list_can_be_extended_replaced_and_emptied() -> None:
    bank = {"referrer": "https://secure.bank.example/3ds"}
    paypal = {"referrer": "https://paypal.com/"}
    extended = read_rules({"ignored_referrers": ["default", "bank.example"]}, "test")
    replaced = read_rules({"ignored_referrers": ["bank.example"], "own_sites": ["shop.example"]}, "test")
    nothing = ChannelRules(own_sites=("shop.example",), ignored_referrers=())
    assert derive(**bank) == ("Referral", None)
    assert (derive(extended, **bank)[0], derive(extended, **paypal)[0]) == (None, None)
    assert (derive(replaced, **bank)[0], derive(replaced, **paypal)[0]) == (None, "Referral")
    assert derive(replaced, referrer="https://shop.example/")[0] is None
    assert derive(nothing, **paypal) == ("Referral", None)
    assert derive(nothing, referrer="https://shop.example/") == ("Direct", None)


def test_only_an_own_rule_that_names_the_site_brings_it_back() -> None:
    paypal = {"referrer": "https://www.paypal.com/", "url": "https://shop.example/offers"}
    own = {"referrer": "https://shop.example/", "url": "https://shop.example/offers"}

    def ruled(**conditions: str) -> ChannelRules:
        return ChannelRules((Rule("Offers", **conditions),))

    assert derive(ruled(referrer="paypal.com"), **paypal) == ("Offers", None)
    assert derive(ruled(source="paypal*"), **paypal) == ("Offers", None)
    assert derive(ruled(referrer="shop.example"), **own) == ("Offers", None)
    for rule in (ruled(landing="/offers"), ruled(source="(direct)")):
        assert derive(rule, **paypal)[0] is None
        assert derive(rule, **own)[0] is None
    assert derive(ruled(source="(direct)"), url="https://shop.example/") == ("Offers", None)


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("paypal.com", ["'ignored_referrers' must be a list of hosts"]),
        (["*.paypal.com"], ["'ignored_referrers' has an entry that is not a host", "its subdomains are included"]),
        (["defaults"], ["'ignored_referrers' has an entry that is not a host", "'default' for the list shipped"]),
        ([1], ["'ignored_referrers' has an entry", "Given: 1"]),
    ],
)
def test_what_is_no_host_is_refused(value: Any, parts: list[str]) -> None:
    with pytest.raises(InputError) as refusal:
        read_rules({"ignored_referrers": value}, "test")
    assert all(part in str(refusal.value) for part in parts)


def test_the_list_holds_hosts_alone_and_each_once() -> None:
    hosts = default_ignored_referrers()
    assert len(hosts) > 250
    assert [host for host in hosts if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host)] == []
    under = {host for host in hosts for part in hosts if host.endswith(f".{part}")}
    assert under == set()
    # Sites that send people as well are none.
    assert not hosts & {"google.com", "amazon.com", "facebook.com", "apple.com", "microsoft.com", "yahoo.com"}


def test_ignored_rows_are_left_out_and_counted() -> None:
    log = pd.DataFrame(
        {
            "customer_id": ["a", "a", "a", "b"],
            "touched_at": ["2024-05-01T10:00", "2024-05-01T10:05", "2024-05-01T10:09", "2024-05-01T11:00"],
            "url": ["https://shop.example/?utm_source=news&utm_medium=email", *["https://shop.example/cart"] * 2, None],
            "referrer": [None, "https://shop.example/", "https://www.paypal.com/", "https://blog.example/"],
        }
    )
    orders = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-05-01T10:10"]})
    sources = at.load_sources(log, orders)
    channels = sources.engine.query("select channel from touchpoints order by channel")["channel"].to_pylist()
    assert channels == ["Email", "Referral"]
    (finding,) = (finding for finding in sources.findings if finding.check == "ignored_referrer")
    assert (finding.status, finding.count, finding.total, finding.example) == ("pass", 2, 4, "paypal.com")
    # A channel that the log names itself is never in doubt.
    named = log.assign(channel=["Mail", "Shop", None, "Blog"])
    spec = at.TableSpec(source=named, columns={name: name for name in named})
    sources = at.load_sources(spec, orders)
    channels = sources.engine.query("select channel from touchpoints order by channel")["channel"].to_pylist()
    assert channels == ["Blog", "Mail", "Shop"]


def test_ignored_rows_continue_a_visit() -> None:
    log = pd.DataFrame(
        {
            "customer_id": "a",
            "touched_at": ["2024-05-01T10:00", "2024-05-01T10:25", "2024-05-01T12:00", "2024-05-01T12:25"],
            "utm_source": ["news", None, None, None],
            "utm_medium": ["email", None, None, None],
            "referrer": [None, "https://blog.example/", "https://checkout.stripe.com/", None],
        }
    )
    orders = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-05-01T13:00"]})
    sources = at.load_sources(log, orders, visits={"visit_gap_minutes": 30})
    assert sources.engine.query("select channel from touchpoints")["channel"].to_pylist() == ["Email"]
    messages = {finding.check: finding.message for finding in sources.findings}
    assert messages["ignored_referrer"].endswith("(they continue a visit)")
    assert messages["visits"].startswith("page views that became 1 visit, each one touchpoint")
