"""Channel rules: the default grouping by hand and by a slow twin, own rules, normal forms, refusals, the lint."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attribution.data.channels import ChannelRules, Rule, derive_channels, lint_channels, read_rules
from attribution.data.channels.addresses import extract_host, extract_path, source_text
from attribution.data.channels.channel_rules import covers, matcher
from attribution.data.channels.lint import near_duplicates
from attribution.data.channels.platforms import KINDS, platform_kind
from attribution.data.channels.spelling import medium_text, tag_text, unquote_text
from attribution.errors import InputError
from attribution.schema.clicks import CLICK_IDS, DEFAULT_CHANNELS, MARKS, TAGS
from attribution.schema.tables import RAW_MARKETING as RAW_COLUMNS
from attribution.schema.tables import RESERVED
from tests.scale import examples

NO_RULES = ChannelRules()


def table(*rows: dict[str, str | None], columns: tuple[str, ...] = RAW_COLUMNS) -> pa.Table:
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns})


def derive(rules: ChannelRules = NO_RULES, **row: str | None) -> dict[str, str | None]:
    """What is derived from one row; ``source`` and so on stand for ``utm_source``."""
    named = {f"utm_{name}" if f"utm_{name}" in RAW_COLUMNS else name: value for name, value in row.items()}
    assert set(named) <= set(RAW_COLUMNS)
    (derived,) = derive_channels(table(named), rules).drop_columns("ignored_referrer").to_pylist()
    return derived


def channel_of(rules: ChannelRules = NO_RULES, **row: str | None) -> str | None:
    return derive(rules, **row)["channel"]


def own(*rules: dict[str, Any], own_sites: tuple[str, ...] = ()) -> ChannelRules:
    return read_rules({"rules": list(rules), "own_sites": list(own_sites)}, origin="test")


# ---------------------------------------------------------------- the default grouping, by hand

WORKED = [
    ("Direct", {"source": "(direct)", "medium": "(none)"}),
    ("Direct", {"source": "(direct)", "medium": "(not set)"}),
    ("Direct", {"source": "(direct)"}),
    ("Direct", {"source": "(direct)", "medium": "(none)", "referrer": "https://blog.example.org/"}),
    ("Direct", {}),
    ("Direct", {"url": "https://example.com/"}),
    ("Cross-network", {"source": "google", "medium": "cpc", "campaign": "EU Cross-Network 1"}),
    ("Paid Shopping", {"source": "amazon", "medium": "cpc"}),
    ("Paid Shopping", {"source": "google", "medium": "cpc", "campaign": "Shopping DE"}),
    ("Paid Shopping", {"source": "google", "medium": "cpc", "campaign": "eshop"}),
    ("Paid Shopping", {"source": "京东", "medium": "cpc"}),
    ("Paid Search", {"source": "google", "medium": "cpc", "campaign": "workshop"}),
    ("Paid Search", {"source": "bing", "medium": "ppc"}),
    ("Paid Search", {"source": "baidu", "medium": "cpm"}),
    ("Paid Search", {"source": "so.com", "medium": "retargeting"}),
    ("Paid Social", {"source": "facebook", "medium": "paid-social"}),
    ("Paid Social", {"source": "微信", "medium": "cpc"}),
    ("Paid Video", {"source": "youtube", "medium": "cpm"}),
    ("Paid Video", {"source": "douyin", "medium": "cpa_cpc"}),
    ("Display", {"source": "some-network", "medium": "cpm"}),
    ("Display", {"source": "some-network", "medium": "Banner"}),
    ("Display", {"medium": "display"}),
    ("Display", {"medium": "expandable"}),
    ("Display", {"medium": "interstitial"}),
    ("Paid Other", {"source": "some-network", "medium": "cpc"}),
    ("Paid Other", {"source": "chatgpt.com", "medium": "paid"}),
    ("Organic Shopping", {"source": "taobao", "medium": "feed"}),
    ("Organic Shopping", {"source": "google", "medium": "organic", "campaign": "e-shop"}),
    ("Organic Shopping", {"referrer": "https://www.amazon.co.uk/dp/1"}),
    ("Organic Social", {"source": "news", "medium": "social"}),
    ("Organic Social", {"source": "news", "medium": "sm"}),
    ("Organic Social", {"source": "news", "medium": "social_media"}),
    ("Organic Social", {"source": "news", "medium": "Social Network"}),
    ("Organic Social", {"referrer": "https://t.co/x"}),
    ("Organic Social", {"referrer": "https://mp.weixin.qq.com/s/x"}),
    ("Organic Video", {"source": "news", "medium": "in-video link"}),
    ("Organic Video", {"referrer": "https://m.youtube.com/watch?v=1"}),
    ("Organic Video", {"referrer": "https://www.bilibili.com/video/1"}),
    ("Organic Search", {"source": "somewhere", "medium": "organic"}),
    ("Organic Search", {"referrer": "https://www.google.co.uk/"}),
    ("Organic Search", {"referrer": "https://www.baidu.com/link?url=x"}),
    ("AI Assistants", {"referrer": "https://chatgpt.com/"}),
    ("AI Assistants", {"source": "chatgpt.com"}),
    ("AI Assistants", {"source": "perplexity", "medium": "referral"}),
    ("AI Assistants", {"referrer": "https://www.doubao.com/chat/1"}),
    ("Referral", {"source": "blog", "medium": "referral"}),
    ("Referral", {"source": "blog", "medium": "app"}),
    ("Referral", {"source": "blog", "medium": "link"}),
    ("Referral", {"referrer": "https://blog.example.org/post"}),
    ("Email", {"source": "newsletter", "medium": "email"}),
    ("Email", {"source": "newsletter", "medium": "E-Mail"}),
    ("Email", {"source": "newsletter", "medium": "e_mail"}),
    ("Email", {"source": "e mail", "medium": "may"}),
    ("Affiliates", {"source": "partner", "medium": "affiliate"}),
    ("Audio", {"source": "podcast", "medium": "audio"}),
    ("SMS", {"source": "twilio", "medium": "sms"}),
    ("SMS", {"source": "SMS", "medium": "may"}),
    ("Mobile Push Notifications", {"source": "app", "medium": "web-push"}),
    ("Mobile Push Notifications", {"source": "app", "medium": "mobile"}),
    ("Mobile Push Notifications", {"source": "app", "medium": "notifications"}),
    ("Mobile Push Notifications", {"source": "firebase"}),
    ("Unassigned", {"source": "content_marketing"}),
    ("Unassigned", {"source": "content_marketing", "medium": "whitepaper"}),
    ("Unassigned", {"campaign": "spring"}),
    ("Unassigned", {"source": "(direct)", "medium": "hall"}),
    ("Unassigned", {"source": "blog", "referrer": "https://blog.example.org/"}),
]


@pytest.mark.parametrize(("channel", "row"), WORKED)
def test_default_grouping(channel: str, row: dict[str, str]) -> None:
    assert channel_of(**row) == channel


def test_every_default_channel_is_worked() -> None:
    spec = (
        "Direct|Cross-network|Paid Shopping|Paid Search|Paid Social|Paid Video|Display|Paid Other|Organic Shopping|"
        "Organic Social|Organic Video|Organic Search|AI Assistants|Referral|Email|Affiliates|Audio|SMS|"
        "Mobile Push Notifications|Unassigned"
    )
    assert {channel for channel, _ in WORKED} == set(spec.split("|"))


@pytest.mark.parametrize(
    ("first", "second", "row"),
    [
        ("Direct", "Cross-network", {"source": "(direct)", "campaign": "cross-network"}),
        ("Cross-network", "Paid Shopping", {"source": "amazon", "medium": "cpc", "campaign": "cross-network shop"}),
        ("Paid Shopping", "Paid Search", {"source": "google", "medium": "cpc", "campaign": "shopping"}),
        ("Paid Search", "Display", {"source": "google", "medium": "cpm"}),
        ("Paid Social", "Display", {"source": "facebook", "medium": "cpm"}),
        ("Display", "Paid Other", {"source": "elsewhere", "medium": "cpm"}),
        ("Display", "Organic Social", {"source": "facebook", "medium": "display"}),
        ("Organic Shopping", "Organic Social", {"source": "facebook", "medium": "social", "campaign": "shop"}),
        ("Organic Social", "Email", {"source": "facebook", "medium": "email"}),
        ("Organic Social", "Organic Search", {"source": "facebook", "medium": "organic"}),
        ("Organic Social", "Organic Video", {"source": "youtube", "medium": "social"}),
        ("Organic Video", "Organic Search", {"source": "google", "medium": "video"}),
        ("Organic Search", "AI Assistants", {"source": "chatgpt", "medium": "organic"}),
        ("Organic Video", "Mobile Push Notifications", {"source": "elsewhere", "medium": "video push"}),
        ("Organic Search", "Referral", {"source": "google", "medium": "referral"}),
        ("AI Assistants", "Email", {"source": "chatgpt", "medium": "email"}),
        ("Referral", "Email", {"source": "email", "medium": "link"}),
        ("Email", "Affiliates", {"source": "email", "medium": "affiliate"}),
        ("Audio", "SMS", {"source": "sms", "medium": "audio"}),
        ("SMS", "Mobile Push Notifications", {"source": "sms", "medium": "mobile"}),
    ],
)
def test_the_first_rule_that_holds_decides(first: str, second: str, row: dict[str, str]) -> None:
    assert first != second
    assert channel_of(**row) == first


def test_content_marketing_is_a_source_like_any_other() -> None:
    derived = derive(source="content_marketing", medium="Referral", campaign="白皮书 Q3")
    assert derived == {
        "channel": "Referral",
        "campaign": "白皮书 q3",
        "source": "content_marketing",
        "medium": "referral",
    }


# ---------------------------------------------------------------- click ids

_SEARCH, _SOCIAL = ("Paid Search", "cpc"), ("Paid Social", "cpc")
_OTHER, _SHOWN, _PARTNER = ("Paid Other", "cpc"), ("Display", "cpm"), ("Affiliates", "affiliate")
CLICKED = {
    "gclid": (*_SEARCH, "google"),
    "gbraid": (*_SEARCH, "google"),
    "wbraid": (*_SEARCH, "google"),
    "msclkid": (*_SEARCH, "bing"),
    "bd_vid": (*_SEARCH, "baidu"),
    "qhclickid": (*_SEARCH, "360"),
    "yclid": (*_SEARCH, "yandex"),
    "ymclid": ("Paid Shopping", "cpc", "market.yandex.ru"),
    "sznclid": (*_SEARCH, "seznam"),
    "ttclid": (*_SOCIAL, "tiktok"),
    "sccid": (*_SOCIAL, "snapchat"),
    "rdt_cid": (*_SOCIAL, "reddit"),
    "epik": (*_SOCIAL, "pinterest"),
    "li_fat_id": (*_SOCIAL, "linkedin"),
    "twclid": (*_SOCIAL, "twitter"),
    "qclid": (*_SOCIAL, "quora"),
    "ndclid": (*_SOCIAL, "nextdoor"),
    "rb_clickid": (*_SOCIAL, "vk"),
    "ldtag_cl": (*_SOCIAL, "line"),
    "gdt_vid": (*_SOCIAL, "tencent"),
    "qz_gdt": (*_SOCIAL, "tencent"),
    "dclid": (*_SHOWN, "dfa"),
    "tblci": (*_OTHER, "taboola"),
    "dicbo": (*_OTHER, "outbrain"),
    "vmcid": (*_SHOWN, "yahoo dsp"),
    "auctid": (*_SHOWN, "teads"),
    "awc": (*_PARTNER, "awin"),
    "cjevent": (*_PARTNER, "cj"),
    "irclickid": (*_PARTNER, "impact"),
    "ransiteid": (*_PARTNER, "rakuten"),
    "sscid": (*_PARTNER, "shareasale"),
    "tduid": (*_PARTNER, "tradedoubler"),
    "clickref": (*_PARTNER, "partnerize"),
    "admitad_uid": (*_PARTNER, "admitad"),
    "tagtag_uid": (*_PARTNER, "admitad"),
    "adcref": (*_PARTNER, "adcell"),
    "_ef_transaction_id": (*_PARTNER, "everflow"),
    "srsltid": ("Organic Search", "organic", "google"),
    "ysclid": ("Organic Search", "organic", "yandex"),
    "fbclid": ("Organic Social", "social", "facebook"),
}


@pytest.mark.parametrize("name", CLICKED)
def test_a_click_id_stands_in_for_missing_tags(name: str) -> None:
    channel, medium, source = CLICKED[name]
    expected = {"channel": channel, "campaign": None, "source": source, "medium": medium}
    assert derive(**{name: "AbC-123"}) == expected
    assert derive(url=f"https://example.com/?a=1&{name}=AbC-123#top") == expected
    assert derive(url=f"/page?{name.upper()}=1") == expected


def test_every_click_id_is_worked() -> None:
    assert (
        set(CLICKED)
        == set(CLICK_IDS)
        == set(RAW_COLUMNS)
        - {
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "utm_content",
            "utm_term",
            "referrer",
            "url",
            "channel_group",
        }
    )


@pytest.mark.parametrize(
    ("channel", "query"),
    [
        ("Paid Search", "gad_source=1&gad_campaignid=17"),
        ("Paid Search", "gad=1"),
        ("Paid Search", "_openstat=abc"),
        ("Paid Search", "n_media=1&n_rank=2"),
        ("Paid Other", "ef_id=a:G:s"),
        ("Paid Other", "hsa_cam=1&hsa_net=adwords"),
        ("Paid Social", "hsa_cam=1&utm_source=facebook&utm_medium=social"),
        ("Email", "mc_cid=1&mc_eid=2"),
        ("Email", "_kx=a"),
        ("Email", "mkt_tok=a"),
        ("Email", "_hsenc=a&_hsmi=1"),
        ("Email", "ElqTrackId=a"),
        ("Email", "vero_id=a"),
        ("Affiliates", "irgwc=1"),
        ("Affiliates", "ranMID=1"),
        ("Affiliates", "sca_ref=1"),
        ("Organic Social", "igshid=1"),
    ],
)
def test_a_mark_without_an_id_tells_the_channel_too(channel: str, query: str) -> None:
    assert channel_of(url=f"https://example.com/p?a=1&{query}") == channel
    assert derive(url=f"https://example.com/p?{query.split('&')[0]}")["campaign"] is None


def test_ids_that_posts_carry_too_make_no_click_paid() -> None:
    links = [name for name, mark in MARKS.items() if mark.proof == "link"]
    assert links == ["srsltid", "ysclid", "igshid", "igsh", "fbclid"]
    for name in links:
        assert (
            channel_of(url=f"https://example.com/?{name}=1&utm_source=facebook&utm_medium=social") == "Organic Social"
        )
        assert channel_of(url=f"https://example.com/?{name}=1&utm_source=facebook&utm_medium=paid") == "Paid Social"


@pytest.mark.parametrize("medium", ["organic", "pla", "sem", "referral", "social", "email", "(none)", "anything"])
@pytest.mark.parametrize(
    ("click_id", "source", "channel"),
    [
        ("gclid", "google", "Paid Search"),
        ("msclkid", "bing", "Paid Search"),
        ("yclid", "yandex", "Paid Search"),
        ("ttclid", "tiktok", "Paid Social"),
        ("rdt_cid", "reddit", "Paid Social"),
        ("li_fat_id", "a source that nobody knows", "Paid Social"),
        ("gclid", "youtube", "Paid Video"),
        ("awc", "google", "Affiliates"),
        ("irclickid", "a blog", "Affiliates"),
    ],
)
def test_a_paid_click_is_paid_whatever_the_medium_says(medium: str, click_id: str, source: str, channel: str) -> None:
    assert channel_of(source=source, medium=medium, **{click_id: "1"}) == channel


@pytest.mark.parametrize("medium", ["display", "banner", "cpm"])
def test_a_display_click_stays_one(medium: str) -> None:
    assert channel_of(medium=medium, source="a network", dclid="1") == "Display"
    assert channel_of(medium=medium, source="a network", awc="1") == "Display"


def test_own_rules_see_the_medium_as_it_is_written() -> None:
    rules = own({"channel": "Shopping ads", "medium": "pla"}, {"channel": "Clicks", "click_id": "gad_*"})
    assert channel_of(rules, source="google", medium="pla", gclid="1") == "Shopping ads"
    assert channel_of(rules, url="/?gad_source=1") == "Clicks"


@pytest.mark.parametrize(
    ("channel", "host"),
    [
        ("Display", "googleads.g.doubleclick.net"),
        ("Display", "ad.doubleclick.net"),
        ("Paid Search", "www.googleadservices.com"),
        ("Paid Other", "tpc.googlesyndication.com"),
        ("Display", "an.yandex.ru"),
        ("Paid Other", "trc.taboola.com"),
        ("Referral", "doubleclick.example"),
        ("Referral", "notdoubleclick.net"),
    ],
)
def test_ad_servers_are_paid_clicks_unless_tags_tell_more(channel: str, host: str) -> None:
    assert channel_of(referrer=f"https://{host}/pagead/x") == channel
    assert derive(referrer=f"https://{host}/")["source"] == extract_host(f"https://{host}")
    assert channel_of(referrer=f"https://{host}/", source="letter", medium="email") == "Email"
    assert channel_of(own(own_sites=(host,)), referrer=f"https://{host}/") is None


@pytest.mark.parametrize(
    ("channel", "row"),
    [
        ("Email", {"referrer": "https://mail.google.com/"}),
        ("Email", {"referrer": "android-app://com.google.android.gm/"}),
        ("Email", {"source": "klaviyo", "medium": "flow"}),
        ("SMS", {"source": "klaviyo", "medium": "sms"}),
        # A mail system is a known site, and no network that sells clicks.
        ("Paid Other", {"source": "mailchimp", "medium": "cpc", "ttclid": "1"}),
        ("SMS", {"source": "attentive", "medium": "text"}),
        ("Affiliates", {"source": "awin", "medium": "partner"}),
        ("Email", {"source": "awin", "medium": "email"}),
        ("Paid Social", {"source": "campaign 7", "medium": "paid_social"}),
        ("Paid Search", {"source": "campaign 7", "medium": "paid-search"}),
        ("Paid Video", {"source": "campaign 7", "medium": "paidvideo"}),
        ("Paid Shopping", {"source": "campaign 7", "medium": "paid shopping"}),
        ("Paid Search", {"source": "google", "medium": "paid_social"}),
        ("Paid Other", {"source": "campaign 7", "medium": "paid"}),
    ],
)
def test_senders_and_mediums_that_say_enough(channel: str, row: dict[str, str | None]) -> None:
    assert channel_of(**row) == channel


def test_a_channel_that_the_log_names_comes_between_own_rules_and_the_default_ones() -> None:
    rules = own({"channel": "Brand", "campaign": "*brand*"})
    assert channel_of(channel_group="cross-network", gclid="1") == "Cross-network"
    assert channel_of(rules, channel_group="Cross-network", gclid="1", campaign="brand") == "Brand"
    assert channel_of(channel_group="Our own group", gclid="1") == "Paid Search"
    assert channel_of(channel_group=None, gclid="1") == "Paid Search"


@pytest.mark.parametrize("nothing", [None, "", "  ", "null", "undefined", "(not set)", "NaN"])
def test_an_empty_click_id_is_none(nothing: str | None) -> None:
    assert channel_of(gclid=nothing) == "Direct"
    if nothing is not None:
        assert channel_of(url=f"https://example.com/?gclid={quote(nothing)}") == "Direct"


@pytest.mark.parametrize(
    ("channel", "row"),
    [
        # What utm says stands; what it leaves open the click id decides.
        ("Paid Search", {"gclid": "1", "source": "newsletter", "medium": "email"}),
        ("Paid Search", {"gclid": "1", "source": "bing"}),
        ("Paid Search", {"gclid": "1", "source": "newsletter"}),
        ("Paid Social", {"gclid": "1", "source": "facebook"}),
        ("Paid Search", {"gclid": "1", "source": "(direct)", "medium": "(none)"}),
        ("Paid Shopping", {"gclid": "1", "campaign": "Shopping"}),
        ("Cross-network", {"gbraid": "1", "campaign": "Cross-network"}),
        ("Paid Social", {"fbclid": "1", "source": "facebook", "medium": "paid"}),
        ("Organic Social", {"fbclid": "1", "source": "summer post"}),
        ("Email", {"fbclid": "1", "source": "newsletter", "medium": "email"}),
        # A referrer names the site more exactly if it is of the kind that was clicked on, and else says nothing.
        ("Organic Social", {"fbclid": "1", "referrer": "https://l.instagram.com/"}),
        ("Paid Search", {"gclid": "1", "referrer": "https://www.youtube.com/"}),
        ("Paid Search", {"gclid": "1", "referrer": "https://blog.example.org/"}),
        ("Affiliates", {"irclickid": "1", "referrer": "https://www.youtube.com/"}),
        ("Organic Search", {"srsltid": "1", "referrer": "https://www.google.com/"}),
        # An ad's click id proves more than Meta's, which every link gets.
        ("Paid Search", {"gclid": "1", "fbclid": "1"}),
    ],
)
def test_a_click_id_beside_tags_and_referrers(channel: str, row: dict[str, str]) -> None:
    assert channel_of(**row) == channel


def test_a_referrer_names_the_site_of_a_click() -> None:
    assert derive(fbclid="1", referrer="https://l.instagram.com/")["source"] == "l.instagram.com"
    assert derive(gclid="1", referrer="https://www.google.de/")["source"] == "google.de"
    assert derive(gclid="1", referrer="https://www.youtube.com/")["source"] == "google"
    assert derive(irclickid="1", referrer="https://blog.example.org/")["source"] == "impact"


# ---------------------------------------------------------------- addresses

HOSTS = [
    ("https://www.google.com/search?q=a", "google.com"),
    ("HTTP://WWW.GOOGLE.COM", "google.com"),
    ("www.google.com/search", "google.com"),
    ("google.com", "google.com"),
    ("//google.com/x", "google.com"),
    ("https:/www.google.com/", "google.com"),
    ("https:www.google.com", "google.com"),
    ("https//www.google.com/", "google.com"),
    (r"https:\\www.google.com\x", "google.com"),
    ("  https://google.com.:443/  ", "google.com"),
    ("https://user:secret@google.com:8080/", "google.com"),
    ("https%3A%2F%2Fwww.google.com%2Fsearch%3Fq%3Da", "google.com"),
    ("https%253A%252F%252Fwww.google.com%252F", "google.com"),
    ("http://m.facebook.com/", "facebook.com"),
    ("http://m.cn/", "m.cn"),
    ("http://mail.google.com", "mail.google.com"),
    ("android-app://com.google.android.gm/", "com.google.android.gm"),
    ("android-app://com.google.android.googlequicksearchbox/https/x.com", "com.google.android.googlequicksearchbox"),
    ("ios-app://544007664/vnd.youtube/x", "544007664"),
    ("http://xn--fiqs8s.com/", "中国.com"),
    ("http://XN--FIQS8S.com/", "中国.com"),
    ("http://中国。com/", "中国.com"),
    ("http://www.xn--e1afmkfd.xn--p1ai/", "пример.рф"),
    ("http://xn--.com", "xn--.com"),
    ("http://xn--99999999999.com", "xn--99999999999.com"),
    ("http://www.ＧＯＯＧＬＥ.com", "google.com"),
    ("http://%67oogle.com/", "google.com"),
    ("http://[2001:DB8::1]:8080/x", "[2001:db8::1]"),
    ("http://192.168.0.1:80/", "192.168.0.1"),
    ("http://localhost:3000", "localhost"),
    ("https://🍕.example/", "🍕.example"),
    ("", None),
    ("-", None),
    ("null", None),
    ("direct", None),
    ("about:blank", None),
    ("/checkout?a=b.com", None),
    ("http://", None),
    ("http:///", None),
    ("https://?q", None),
    ("http://a b.com/", None),
    ("file:///C:/index.html", None),
    ("javascript:void(0)", None),
    ("data:text/html,a.b", None),
    ("http://[::1", None),
    ("%", None),
]


@pytest.mark.parametrize(("address", "host"), HOSTS)
def test_host(address: str, host: str | None) -> None:
    assert extract_host(address) == host
    # Alone and among others: what the fast way reads of a column is the same.
    derived = derive_channels(table({"referrer": address}, {"referrer": "https://other.org/"}), NO_RULES)
    assert derived["source"].to_pylist() == [host or "(direct)", "other.org"]


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("https://example.com", "/"),
        ("https://example.com/", "/"),
        ("https://example.com?a=/b", "/"),
        ("https://example.com/Radio/", "/radio"),
        ("https://example.com/a/b.html?x#y", "/a/b.html"),
        ("/radio", "/radio"),
        ("//example.com/radio", "/radio"),
        ("example.com/radio#x", "/radio"),
        ("https://example.com/caf%C3%A9%20%31", "/café 1"),
        ("https%3A%2F%2Fexample.com%2Fradio%3Fx", "/radio"),
        ("https://example.com/春节", "/春节"),
        ("", "/"),
    ],
)
def test_path(address: str, path: str) -> None:
    assert extract_path(address) == path


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/?utm_source=news&utm_medium=email&utm_campaign=may+sale",
        "https://example.com/?utm_source=News&utm_medium=E-Mail&utm_campaign=%20May%20Sale",
        "/?UTM_Source=news&Utm_Medium=email&utm_campaign=may%2520sale",
        "?a&b=&utm_source=news&utm_medium=email&utm_campaign=may sale#top",
        "https://example.com/?utm_source=news&amp;utm_medium=email&amp;utm_campaign=may+sale",
        "https%3A%2F%2Fexample.com%2F%3Futm_source%3Dnews%26utm_medium%3Demail%26utm_campaign%3Dmay%2520sale",
        "https%253A%252F%252Fexample.com%253Futm_source%253Dnews%2526utm_medium%253Demail%2526utm_campaign%253Dmay%252520sale",
        "https://example.com/#/page?utm_source=news&utm_medium=email&utm_campaign=may+sale",
        "https://example.com/?utm_source=&utm_source=news&utm_source=x&utm_medium=email&utm_campaign=may+sale",
        "https://example.com/?to=https://a.b/?utm_source=x&utm_source=news&utm_medium=email&utm_campaign=may+sale",
        "https://example.com/?a=1?utm_source=news&utm_medium=email?utm_campaign=may+sale",
        "https://example.com/?utm_source=news&amp;amp;utm_medium=email&amp;amp;utm_campaign=may+sale",
        "https://example.com/#utm_source=news&utm_medium=email&utm_campaign=may+sale",
        "https://example.com/?a=1#utm_source=news&utm_medium=email&utm_campaign=may+sale",
        "https://example.com/?a=1#/page?utm_source=news&utm_medium=email&utm_campaign=may+sale",
        "https://example.com/?mtm_source=news&mtm_medium=email&mtm_campaign=may+sale",
        "https://example.com/?PK_Source=news&pk_medium=email&pk_cpn=may+sale",
        "https://example.com/?piwik_source=news&matomo_medium=email&piwik_campaign=may+sale",
        "https://example.com/?at_platform=news&at_medium=email&at_campaign=may+sale",
        "https://example.com/?mtm_source=x&pk_medium=y&utm_source=news&utm_medium=email&mtm_campaign=&at_campaign=may+sale",
    ],
)
def test_tags_are_read_from_the_url(url: str) -> None:
    expected = {"channel": "Email", "campaign": "may sale", "source": "news", "medium": "email"}
    assert derive(url=url) == expected
    # A column wins over the address, unless it says nothing.
    assert derive(url=url, source=" ", medium=None, campaign="(not set)") == expected
    assert derive(url=url, source="Other") == expected | {"source": "other"}
    assert derive(url=url, medium="cpc") == expected | {"medium": "cpc", "channel": "Paid Other"}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/?xutm_source=a",
        "https://example.com/utm_source=a",
        "utm_source=a",
        # A letter that some take for an s where case does not count.
        "?utm_ſource=a&mſclkid=1",
    ],
)
def test_what_is_no_parameter_is_not_read(url: str) -> None:
    assert derive(url=url)["source"] == "(direct)"


@pytest.mark.parametrize("size", [100_000])
def test_huge_values_do_no_harm(size: int) -> None:
    for text in (
        "a" * size,
        "%" * size,
        "a." * size,
        "m." * size,
        "xn--a." * size,
        "[" * size,
        "é&" * size,
        "@" * size,
    ):
        for prefix in ("", "http://", "https://example.com/?utm_source=", "?utm_medium=x&utm_campaign="):
            derived = derive(url=prefix + text, referrer=prefix + text, source=text, campaign=text)
            assert derived["channel"] is not None


def test_bytes_that_are_no_utf8_stay_apart() -> None:
    assert unquote_text("%B4%BA") == "%b4%ba"
    assert unquote_text("%E6%98%A5%B4") == "春%b4"
    campaigns = [derive(url=f"?utm_campaign={text}")["campaign"] for text in ("%B4%BA", "%CF%C4", "%zz", "100%")]
    assert campaigns == ["%b4%ba", "%cf%c4", "%zz", "100%"]
    assert channel_of(url="?utm_source=%ff&utm_medium=cpc%ff") == "Paid Other"


@given(st.text(max_size=20))
def test_a_column_and_its_address_say_the_same(text: str) -> None:
    for escape in (quote, quote_plus):
        in_url = derive(url=f"https://example.com/?utm_campaign={escape(text, safe='')}")["campaign"]
        # A plus in a column is a blank, since columns often hold the raw query string.
        assert in_url == derive(campaign=text.replace("+", "%2B"))["campaign"]


@given(st.text(max_size=30))
def test_normal_forms_are_stable(text: str) -> None:
    host = extract_host(text)
    assert host is None or extract_host(f"http://{host}") == host
    tag = tag_text(text.replace("+", ""))
    assume_stable = tag is None or "+" in tag or "%" in tag
    assert assume_stable or (tag_text(tag), source_text(source_text(tag))) == (tag, source_text(tag))
    assert assume_stable or medium_text(medium_text(tag)) == medium_text(tag)


# ---------------------------------------------------------------- referrers and own sites


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("google.co.uk", "search"),
        ("google.com.tr", "search"),
        ("yahoo.co.jp", "search"),
        ("search.yahoo.co.jp", "search"),
        ("yandex.com.tr", "search"),
        ("cn.bing.com", "search"),
        ("so.com", "search"),
        ("sm.cn", "search"),
        ("so.toutiao.com", "search"),
        ("search.naver.com", "search"),
        ("search.daum.net", "search"),
        ("search.seznam.cz", "search"),
        ("com.google.android.googlequicksearchbox", "search"),
        ("mail.google.com", "mail"),
        ("docs.google.com", None),
        ("google.example.com", None),
        ("notgoogle.com", None),
        ("google.com.evil.example", None),
        ("mail.yahoo.com", "mail"),
        ("mail.yandex.ru", "mail"),
        ("com.google.android.gm", "mail"),
        ("shopping.google.de", "shopping"),
        ("market.yandex.ru", "shopping"),
        ("smile.amazon.com.br", "shopping"),
        ("world.taobao.com", "shopping"),
        ("detail.tmall.com", "shopping"),
        ("item.jd.com", "shopping"),
        ("mobile.pinduoduo.com", "shopping"),
        ("lm.facebook.com", "social"),
        ("t.co", "social"),
        ("pinterest.co.uk", "social"),
        ("mp.weixin.qq.com", "social"),
        ("passport.weibo.com", "social"),
        ("zhuanlan.zhihu.com", "social"),
        ("xiaohongshu.com", "social"),
        ("movie.douban.com", "social"),
        ("vk.com", "social"),
        ("line.me", "social"),
        ("com.tencent.mm", "social"),
        ("v.qq.com", "video"),
        ("qq.com", "social"),
        ("mail.qq.com", "mail"),
        ("douyin.com", "video"),
        ("live.kuaishou.com", "video"),
        ("space.bilibili.com", "video"),
        ("v.youku.com", "video"),
        ("iqiyi.com", "video"),
        ("yiyan.baidu.com", "assistant"),
        ("pan.baidu.com", None),
        ("tieba.baidu.com", "search"),
        ("gemini.google.com", "assistant"),
        ("copilot.microsoft.com", "assistant"),
        ("microsoft.com", None),
        ("kakaotalk", "social"),
        ("Kakao Talk".lower(), "social"),
        ("linked-in", "social"),
        ("you_tube", "video"),
        ("content_marketing", None),
        ("newsletter", None),
        ("", None),
        (".", None),
    ],
)
def test_kind_of_a_site(host: str, kind: str | None) -> None:
    assert platform_kind(host) == kind


def test_own_sites_are_no_outside_referrers() -> None:
    rules = own(own_sites=("https://www.例子.中国/", "example.com"))
    assert rules.own_sites == ("例子.中国", "example.com")
    for referrer in ("http://example.com/a", "https://pay.example.com", "http://xn--fsqu00a.xn--fiqs8s/x"):
        assert derive(rules, referrer=referrer) == derive() | {"channel": None}
    assert channel_of(rules, referrer="https://notexample.com/") == "Referral"
    # The host landed on is the advertiser's, said or not.
    assert channel_of(referrer="https://www.shop.org/a", url="https://shop.org/b") is None
    assert channel_of(referrer="https://shop.org/a", url="/b") == "Referral"


def test_a_tag_counts_even_from_an_own_site() -> None:
    rules = own(own_sites=("example.com",))
    assert channel_of(rules, referrer="https://example.com", source="newsletter", medium="email") == "Email"
    assert channel_of(rules, referrer="https://example.com", gclid="1") == "Paid Search"


# ---------------------------------------------------------------- own rules


def test_own_rules_come_before_the_grouping_and_in_order() -> None:
    rules = own(
        {"channel": "Brand Search", "source": "google*", "medium": "cpc", "campaign": ["*brand*", "*品牌*"]},
        {"channel": "Search Ads", "source": ["google", "bing"], "medium": "cp?".replace("?", "*")},
        {"channel": "Radio 📻", "landing": ["/radio*", "/fm"]},
        {"channel": "Partners", "referrer": "*.partner.org"},
        {"channel": "App Ads", "click_id": ["gbraid", "wbraid"], "content": "app-*"},
        {"channel": "Term", "term": "running shoes"},
        {"channel": "Typed in", "source": "(direct)"},
    )
    cases = [
        ("Brand Search", {"source": "Google", "medium": "CPC", "campaign": "My BRAND 1"}),
        ("Brand Search", {"source": "google", "medium": "cpc", "campaign": "春季品牌"}),
        ("Search Ads", {"source": "google", "medium": "cpc", "campaign": "generic"}),
        ("Search Ads", {"source": "bing", "medium": "cpm"}),
        ("Paid Search", {"source": "baidu", "medium": "cpc"}),
        ("Search Ads", {"gclid": "1"}),
        ("Radio 📻", {"url": "https://example.com/Radio-5/?a=1"}),
        ("Radio 📻", {"url": "/fm/"}),
        ("Typed in", {"url": "/fm2"}),
        ("Partners", {"referrer": "https://a.Partner.org/x"}),
        ("Referral", {"referrer": "https://partner.org/x"}),
        ("App Ads", {"wbraid": "1", "content": "App-7", "source": "x"}),
        ("Paid Social", {"wbraid": "1", "content": "web", "source": "x"}),
        ("Term", {"term": "Running+Shoes"}),
        ("Typed in", {}),
    ]
    for channel, row in cases:
        assert channel_of(rules, **row) == channel, row
    derived = derive_channels(
        table(*({f"utm_{k}" if f"utm_{k}" in RAW_COLUMNS else k: v for k, v in row.items()} for _, row in cases)), rules
    )
    assert derived["channel"].to_pylist() == [channel for channel, _ in cases]


def test_patterns_are_spelled_like_what_they_match() -> None:
    rules = own(
        {"channel": "Mail", "medium": "E-Mail*", "source": "www.Example.com"},
        {"channel": "Café", "campaign": "caf%C3%A9 *"},
        {"channel": "中国", "referrer": "http://www.xn--fiqs8s.com/"},
        {"channel": "Full width", "campaign": "ＡＢＣ＊"},
    )
    assert channel_of(rules, source="example.com", medium="email") == "Mail"
    assert channel_of(rules, source="https://m.example.com/", medium="e_mail blast") == "Mail"
    assert channel_of(rules, campaign="CAFÉ+Mai") == "Café"
    assert channel_of(rules, referrer="https://中国.com/") == "中国"
    assert channel_of(rules, campaign="abc-1") == "Full width"


def test_a_condition_needs_something_to_match() -> None:
    rules = own({"channel": "Any campaign", "campaign": "*"})
    assert channel_of(rules, campaign="x") == "Any campaign"
    assert channel_of(rules, campaign=None) == "Direct"
    assert channel_of(own({"channel": "Any page", "landing": "*"}), url=None) == "Direct"


def test_rules_made_in_python_match_like_read_ones() -> None:
    rules = ChannelRules(own=(Rule("Brand", campaign=("*BRAND*",)),))
    assert channel_of(rules, campaign="My Brand") == "Brand"


REFUSED = [
    ({"rule": []}, "unknown field 'rule'", "Allowed: own_sites, ignored_referrers, rules", "did you mean 'rules'"),
    ({"rules": {"channel": "A"}}, "'rules' must be a list of tables"),
    ({"rules": ["A"]}, "rule 1: a rule must be a table"),
    ({"rules": [{"channel": "A", "sorce": "x"}]}, "rule 1", "'sorce'", "did you mean 'source'", "click_id"),
    ({"rules": [{"source": "x"}]}, "rule 1: 'channel' must be a name"),
    ({"rules": [{"channel": "", "source": "x"}]}, "'channel' must be a name", "Given: ''"),
    ({"rules": [{"channel": " ", "source": "x"}]}, "'channel' must be a name"),
    ({"rules": [{"channel": 3, "source": "x"}]}, "'channel' must be a name", "Given: 3"),
    ({"rules": [{"channel": "A"}]}, "rule 1 ('A') has no condition", "landing"),
    ({"rules": [{"channel": "A", "source": []}]}, "'source' must be a pattern or a list of patterns"),
    ({"rules": [{"channel": "A", "source": 5}]}, "'source' must be a pattern", "Given: 5"),
    ({"rules": [{"channel": "A", "source": ["x", 5]}]}, "a pattern of 'source' is not text", "Given: 5"),
    ({"rules": [{"channel": "A", "source": " "}]}, "a pattern of 'source' is empty"),
    ({"rules": [{"channel": "A", "medium": "(none)"}]}, "stands for an empty tag", "'(none)'"),
    ({"rules": [{"channel": "A", "click_id": "gclkid"}]}, "is not a click id", "did you mean", "srsltid"),
    ({"rules": [{"channel": "A", "landing": "radio"}]}, "'landing' is not a path"),
    ({"rules": [{"channel": "A", "landing": "/radio?x=1"}]}, "'landing' is not a path"),
    ({"rules": [{"channel": "A", "referrer": "https://a.com/x"}]}, "'referrer' is not a host"),
    ({"own_sites": "example.com"}, "'own_sites' must be a list of hosts"),
    ({"own_sites": [5]}, "'own_sites' has an entry that is not a host", "Given: 5"),
    ({"own_sites": ["example"]}, "'own_sites' has an entry that is not a host", "Allowed: example.com"),
    (
        {"own_sites": ["*.example.com"]},
        "'own_sites' has an entry that is not a host",
        "name the domain alone: its subdomains are included",
    ),
]


@pytest.mark.parametrize(("document", "parts"), [(document, parts) for document, *parts in REFUSED])
def test_rules_that_cannot_be_meant_are_refused(document: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as refusal:
        read_rules(document, origin="experiments/may.toml [channels]")
    message = str(refusal.value)
    assert message.startswith("experiments/may.toml [channels]: ")
    assert all(part in message for part in parts), message


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_channel_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="is reserved"):
        own({"channel": f" {name} ", "source": "x"})


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"source": "google"}, {"source": "Google"}),
        ({"source": "google"}, {"source": "google", "medium": "cpc"}),
        ({"source": "goo*"}, {"source": "google*"}),
        ({"source": ["bing", "google"]}, {"source": ["google"]}),
        ({"campaign": "*brand*"}, {"campaign": ["brand", "*my brand*"], "term": "x"}),
        ({"medium": "email"}, {"medium": "e-mail"}),
        ({"referrer": "*example.com"}, {"referrer": "https://www.example.com/"}),
        ({"click_id": "*"}, {"click_id": "gclid"}),
        ({"click_id": ["gclid", "gbraid", "wbraid"]}, {"click_id": "gb*id", "medium": "x"}),
        ({"landing": "/a*"}, {"landing": "/ab/"}),
    ],
)
def test_a_rule_that_an_earlier_one_leaves_nothing_is_refused(wide: dict[str, Any], narrow: dict[str, Any]) -> None:
    rules = ({"channel": "Wide", **wide}, {"channel": "Between", "term": "y"}, {"channel": "Narrow", **narrow})
    with pytest.raises(InputError, match=r"rule 3 \('Narrow'\) can never match: rule 1 \('Wide'\)"):
        own(*rules)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"source": "google", "medium": "cpc"}, {"source": "google"}),
        ({"source": "google"}, {"source": ["google", "bing"]}),
        ({"source": "a*b"}, {"source": "a*"}),
        ({"source": "*ab*"}, {"source": "a*b"}),
        ({"source": "google"}, {"medium": "google"}),
        ({"click_id": "gclid"}, {"click_id": "g*"}),
    ],
)
def test_a_rule_with_something_left_is_kept(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert len(own({"channel": "First", **first}, {"channel": "Second", **second}).own) == 2


def test_containment_of_patterns_by_brute_force() -> None:
    """Patterns over two letters against every text over three: the third is the one that no pattern names."""
    patterns = ["".join(letters) for size in range(1, 5) for letters in itertools.product("ab*", repeat=size)]
    texts = ["".join(letters) for size in range(7) for letters in itertools.product("abc", repeat=size)]
    matched = {
        pattern: frozenset(text for text in texts if re.fullmatch(pattern.replace("*", ".*"), text))
        for pattern in patterns
    }
    for wide, narrow in itertools.product(patterns, repeat=2):
        assert covers([wide], [narrow]) == (matched[narrow] <= matched[wide]), (wide, narrow)
    choose = random.Random(1)
    for _ in range(3000):
        wide = choose.choices(patterns, k=2)
        narrow = choose.choices(patterns, k=2)
        contained = matched[narrow[0]] | matched[narrow[1]] <= matched[wide[0]] | matched[wide[1]]
        assert covers(wide, narrow) == contained, (wide, narrow)


@given(st.lists(st.text("ab*.\n", min_size=1, max_size=6), min_size=1, max_size=3), st.text("ab.\n", max_size=8))
def test_patterns_match_as_a_slow_twin_does(patterns: list[str], text: str) -> None:
    expressions = (".*".join(re.escape(piece) for piece in pattern.split("*")) for pattern in patterns)
    assert bool(matcher(patterns)(text)) == any(re.fullmatch(e, text, re.DOTALL) for e in expressions)


def test_many_stars_take_no_time() -> None:
    assert not matcher(["*a" * 50 + "b"])("a" * 100_000)


# ---------------------------------------------------------------- a slow twin, any text, any order

WORDS = st.sampled_from(
    [
        *(
            "google",
            "Facebook",
            "face book",
            "google.com",
            "(direct)",
            "email",
            "e-mail",
            "cpc",
            "cpm",
            "paid",
            "social",
        ),
        *(
            "social media",
            "video",
            "organic",
            "referral",
            "affiliate",
            "audio",
            "sms",
            "web-push",
            "mobile",
            "firebase",
        ),
        *("shop", "workshop", "shopping", "cross-network", "youtube", "amazon", "chatgpt.com", "display", "(none)", ""),
        *("null", "content_marketing", "百度", "抖音", "淘宝", "🎉"),
    ]
)
SITES = st.sampled_from(
    [
        *("https://www.google.de/", "https://t.co/x", "https://m.youtube.com/", "https://www.amazon.fr/", "blog.org/x"),
        *("https://claude.ai/", "https://example.com/", "https://mail.google.com/", "about:blank", "", "-"),
    ]
)


SOME_IDS = ("gclid", "gbraid", "msclkid", "ttclid", "dclid", "tblci", "awc", "srsltid", "ysclid", "fbclid")
SOME_COLUMNS = (*TAGS, "referrer", "url", "channel_group", *SOME_IDS)


@st.composite
def urls(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(["utm_source", "utm_medium", "utm_campaign", "utm_term", *SOME_IDS, "a"])))
    query = "&".join(f"{name}={quote_plus(draw(WORDS))}" for name in names)
    return draw(st.sampled_from(["https://example.com/", "https://shop.org/p", "/p"])) + (f"?{query}" if query else "")


@st.composite
def plausible_rows(draw: st.DrawFn) -> dict[str, str | None]:
    row: dict[str, str | None] = {}
    for name in SOME_COLUMNS:
        if draw(st.integers(0, 3)) == 0:
            row[name] = draw(urls() if name == "url" else SITES if name == "referrer" else WORDS)
    return row


def twin(row: dict[str, str | None], own_sites: tuple[str, ...]) -> str:
    """The table of the default grouping as it is written, for one row, with the standard library's URL reader."""
    in_url: dict[str, str] = {}
    for name, value in parse_qsl(urlsplit(row.get("url") or "").query):
        if tag_text(value) is not None:
            in_url.setdefault(name, value)
    value = {name: tag_text(row.get(name) or "") or tag_text(in_url.get(name, "")) for name in RAW_COLUMNS}
    click = next((name for name in MARKS if value.get(name)), None)
    proof = MARKS[click].proof if click else None
    referrer = extract_host(row.get("referrer") or "")
    inside = referrer is None or referrer in own_sites or referrer == extract_host(row.get("url") or "")
    tagged = any(value[f"utm_{name}"] for name in ("source", "medium", "campaign", "content", "term"))
    source, medium, campaign = value["utm_source"], value["utm_medium"] or "", value["utm_campaign"] or ""
    if click and source in (None, "(direct)"):
        source, kind = MARKS[click].source, MARKS[click].kind
    else:
        source = source or (None if inside else referrer) or ("" if tagged else "(direct)")
        kind = platform_kind(source_text(source))
        if click and kind is None and proof == "ad":
            kind = MARKS[click].kind
    if click and not medium:
        medium = MARKS[click].medium
    shown = {"display", "banner", "expandable", "interstitial", "cpm"}
    paid = re.fullmatch(r"^(.*cp.*|ppc|retargeting|paid.*)$", medium) or (proof == "ad" and medium not in shown)
    shop = kind == "shopping" or re.fullmatch(r"^(.*(([^a-df-z]|^)shop|shopping).*)$", campaign)
    social = {"social", "social-network", "social-media", "sm", "social network", "social media"}
    mail = {"email", "e-mail", "e_mail", "e mail"}
    table = {
        "Direct": source == "(direct)" and not medium,
        "Cross-network": "cross-network" in campaign,
        "Paid Shopping": (shop or (kind is None and "shopping" in medium)) and paid,
        "Paid Search": (kind or medium).count("search") and paid,
        "Paid Social": (kind or medium).count("social") and paid,
        "Paid Video": (kind or medium).count("video") and paid,
        "Display": medium in shown,
        "Paid Other": paid,
        "Affiliates ": proof == "affiliate",
        "Organic Shopping": shop,
        "Organic Social": kind == "social" or medium in social,
        "Organic Video": kind == "video" or "video" in medium,
        "Organic Search": kind == "search" or medium == "organic",
        "AI Assistants": kind == "assistant",
        "Referral": kind != "mail" and (medium in {"referral", "app", "link"} or not (tagged or click or inside)),
        "Email": source in mail or medium in mail,
        "Affiliates": medium == "affiliate",
        "Audio": medium == "audio",
        "SMS": "sms" in (source, medium),
        "Mobile Push Notifications": re.search("push$|mobile|notification", medium) or source == "firebase",
        "Email ": kind == "mail",
        "Unassigned": True,
    }
    named = [name for name in DEFAULT_CHANNELS if name.lower() == (row.get("channel_group") or "").lower()]
    return named[0] if named else next(channel.strip() for channel, holds in table.items() if holds)


@examples(50)
@given(st.lists(plausible_rows(), min_size=1, max_size=12))
def test_the_grouping_equals_its_slow_twin(rows: list[dict[str, str | None]]) -> None:
    rules = own(own_sites=("example.com",))
    derived = derive_channels(table(*rows), rules)["channel"].to_pylist()
    assert derived == [twin(row, rules.own_sites) for row in rows]


ANY_ROW = st.dictionaries(st.sampled_from(SOME_COLUMNS), st.one_of(st.none(), st.text(), WORDS, SITES, urls()))
SOME_RULES = own(
    {"channel": "A", "source": "*a*", "landing": "/*"},
    {"channel": "B", "referrer": "*.*", "medium": ["*", "x"]},
    {"channel": "C", "click_id": "*", "campaign": "*"},
    own_sites=("example.com",),
)


@examples(34)
@given(st.lists(ANY_ROW, max_size=8), st.randoms(use_true_random=False))
@example(
    [{"utm_source": "\x00", "url": "?utm_medium=%00&gclid=%f0%28%8c%bc", "referrer": "http://\ud7ff.\uffff"}], None
)
def test_any_text_in_any_order(rows: list[dict[str, str | None]], shuffler: random.Random | None) -> None:
    derived = derive_channels(table(*rows), SOME_RULES)
    assert derived.num_rows == len(rows)
    assert derived["channel"].null_count == 0
    order = list(range(len(rows)))
    if shuffler is not None:
        shuffler.shuffle(order)
    shuffled = derive_channels(table(*(rows[place] for place in order)), SOME_RULES)
    assert shuffled.to_pylist() == [derived.to_pylist()[place] for place in order]
    weighted = table(*rows).append_column("touchpoints", pa.array([1] * len(rows), pa.int64()))
    assert lint_channels(weighted, SOME_RULES).equals(
        lint_channels(weighted.take(pa.array(order, pa.int64())), SOME_RULES)
    )


def flipped(text: str | None) -> str | None:
    return None if text is None else "".join(c.swapcase() if c.isascii() else c for c in text)


@given(ANY_ROW)
def test_case_changes_nothing(row: dict[str, str | None]) -> None:
    changed = {name: flipped(text) for name, text in row.items()}
    assert derive_channels(table(changed), SOME_RULES).equals(derive_channels(table(row), SOME_RULES))


# ---------------------------------------------------------------- tables in, tables out


def test_columns_of_every_text_type_are_read() -> None:
    expected = ["Paid Search", "Direct"]
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        raw = pa.table({"utm_source": pa.array(["Bing", None], kind), "utm_medium": pa.array(["cpc", None], kind)})
        assert derive_channels(raw, NO_RULES)["channel"].to_pylist() == expected
    numbers = pa.table({"utm_campaign": pa.array([1205, None]), "utm_source": pa.nulls(2), "other": [1, 2]})
    assert derive_channels(numbers, NO_RULES)["campaign"].to_pylist() == ["1205", None]


def test_chunks_and_empty_tables_are_read() -> None:
    part = table({"url": "/?gclid=1"}, {"referrer": "https://www.bing.com/"})
    whole = pa.concat_tables([part, part.slice(1)])
    assert derive_channels(whole, NO_RULES)["channel"].to_pylist() == [
        "Paid Search",
        "Organic Search",
        "Organic Search",
    ]
    empty = derive_channels(part.slice(0, 0), SOME_RULES)
    assert empty.num_rows == 0
    assert empty.column_names == ["channel", "campaign", "source", "medium", "ignored_referrer"]
    assert (
        lint_channels(part.slice(0, 0).append_column("touchpoints", pa.array([], pa.int64())), SOME_RULES).num_rows == 0
    )


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(InputError, match=r"need at least one column to read.*Given: \['channel'\].*utm_source"):
        derive_channels(pa.table({"channel": ["a"]}), NO_RULES)
    with pytest.raises(InputError, match="column 'utm_source' does not hold text"):
        derive_channels(pa.table({"utm_source": [["a"]]}), NO_RULES)
    with pytest.raises(InputError, match="column 'url' does not hold text"):
        derive_channels(pa.table({"url": pa.array([b"\xff"], pa.binary())}), NO_RULES)
    with pytest.raises(InputError, match="needs a column 'touchpoints'"):
        lint_channels(pa.table({"utm_source": ["a"]}), NO_RULES)
    with pytest.raises(InputError, match="'touchpoints' does not hold whole numbers"):
        lint_channels(pa.table({"utm_source": ["a"], "touchpoints": ["many"]}), NO_RULES)


# ---------------------------------------------------------------- the lint


def lint(rows: list[dict[str, Any]], rules: ChannelRules = NO_RULES) -> list[tuple[Any, ...]]:
    raw = table(*rows).append_column("touchpoints", pa.array([row["touchpoints"] for row in rows]))
    return [tuple(row.values()) for row in lint_channels(raw, rules).drop(["message", "example"]).to_pylist()]


def test_lint_lists_what_no_rule_claims_by_traffic() -> None:
    rows = [
        {"utm_source": "hall", "utm_medium": "qr", "utm_campaign": "a", "touchpoints": 3},
        {"utm_source": "Hall", "utm_medium": "QR", "utm_campaign": "b", "touchpoints": 4},
        {"utm_source": "content_marketing", "touchpoints": 9},
        {"utm_campaign": "c", "touchpoints": 1},
        {"utm_source": "news", "utm_medium": "email", "touchpoints": 100},
        {"utm_source": "fair", "utm_medium": "booth", "touchpoints": 7},
    ]
    assert lint(rows) == [
        ("unmapped", "content_marketing", None, None, 9),
        ("unmapped", "fair", "booth", None, 7),
        ("unmapped", "hall", "qr", None, 7),
        ("unmapped", None, None, None, 1),
    ]
    assert lint(rows, own({"channel": "Events", "medium": ["qr", "booth"]})) == [
        ("unmapped", "content_marketing", None, None, 9),
        ("unmapped", None, None, None, 1),
    ]


def test_lint_finds_names_spelled_twice() -> None:
    rows = [
        {"utm_source": source, "utm_medium": "social", "utm_campaign": campaign, "touchpoints": count}
        for source, campaign, count in [
            ("facebook", "spring_sale", 50),
            ("face book", "spring-sale", 20),
            ("Facebook.com", "Spring Sale", 10),
            ("facebok", "sale_1", 5),
            ("FACEBOOK", "sale_2", 2),
        ]
    ]
    assert lint(rows) == [
        ("near_duplicate_campaign", None, None, "spring-sale", 20),
        ("near_duplicate_source", "face book", None, None, 20),
        ("near_duplicate_campaign", None, None, "spring sale", 10),
        ("near_duplicate_source", "facebook.com", None, None, 10),
        ("near_duplicate_source", "facebok", None, None, 5),
    ]
    raw = table(*rows).append_column("touchpoints", pa.array([row["touchpoints"] for row in rows]))
    assert (
        lint_channels(raw, NO_RULES)["message"][1].as_py()
        == "probably means 'facebook', which has 52 touchpoints: use one spelling"
    )


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (["newsletter", "newsleter"], True),
        (["newsletter", "newsletters"], True),
        (["newsletter", "nwesletter"], True),
        (["newsletter", "news-letter"], True),
        (["café", "cafe"], True),
        (["春节 促销", "春节促销"], True),
        (["spring sale", "spring_slae"], False),
        (["spring_summer", "spring_sumer"], True),
        (["sale_2024", "sale_2025"], False),
        (["sale_1_12", "sale_11_2"], False),
        (["shoes_de", "shoes_dk"], False),
        (["ad_a", "ad_b"], False),
        (["email", "gmail"], False),
        (["春季促销活动", "秋季促销活动"], False),
        (["🎉", "🎈"], False),
        (["example.com", "example.de"], False),
    ],
)
def test_names_that_are_alike(names: list[str], alike: bool) -> None:
    first, second = names
    assert near_duplicates({first: 2, second: 1}) == ([(second, first)] if alike else [])
    assert near_duplicates({second: 2, first: 1}) == ([(first, second)] if alike else [])


def test_ends_of_domains_tell_sources_apart_only_elsewhere() -> None:
    assert near_duplicates({"example.com": 2, "example": 1}, are_sites=True) == [("example", "example.com")]
    assert near_duplicates({"example.com": 2, "example": 1}) == []


def test_paid_clicks_without_a_campaign_are_listed() -> None:
    rows = [
        {"gclid": "1", "touchpoints": 5},
        {"gclid": "2", "utm_campaign": "named", "touchpoints": 50},
        {"utm_source": "facebook", "utm_medium": "paid", "utm_campaign": "(not set)", "touchpoints": 6},
        {"utm_source": "facebook", "utm_medium": "social", "touchpoints": 7},
    ]
    assert lint(rows) == [
        ("paid_without_campaign", "facebook", "paid", None, 6),
        ("paid_without_campaign", "google", "cpc", None, 5),
    ]


def test_paid_clicks_whose_campaign_the_log_knows_are_not_listed() -> None:
    rows = [{"gclid": "1"}, {"utm_source": "bing", "utm_medium": "cpc"}, {"utm_source": "x", "utm_medium": "cpc"}]
    raw = table(*rows).append_column("touchpoints", pa.array([5, 6, 7]))
    raw = raw.append_column("without_campaign", pa.array([5, 2, 0]))
    assert lint_channels(raw, NO_RULES).select(["check", "source", "touchpoints"]).to_pylist() == [
        {"check": "paid_without_campaign", "source": "google", "touchpoints": 5},
        {"check": "paid_without_campaign", "source": "bing", "touchpoints": 2},
    ]
    wrong = raw.set_column(raw.num_columns - 1, "without_campaign", pa.array(["a", "b", "c"]))
    with pytest.raises(InputError, match="'without_campaign' does not hold whole numbers"):
        lint_channels(wrong, NO_RULES)


def test_visits_from_own_sites_are_listed() -> None:
    rows = [
        {"referrer": "https://pay.example.com/", "url": "https://shop.org/", "touchpoints": 5},
        {"referrer": "https://pay.example.com/", "utm_medium": "email", "touchpoints": 50},
        {"referrer": "https://pay.example.com/", "gclid": "1", "utm_campaign": "a", "touchpoints": 50},
        {"referrer": "https://www.shop.org/a", "url": "https://shop.org/b", "touchpoints": 6},
        {"referrer": "https://checkout.shop.org/a", "url": "https://shop.org/b", "touchpoints": 4},
        {"referrer": "https://elsewhere.org/a", "url": "https://shop.org/b", "touchpoints": 8},
        {"referrer": "https://elsewhere.org/a", "url": "https://rare.org/b", "touchpoints": 8},
    ]
    assert lint(rows) == [
        ("self_referral", "shop.org", None, None, 6),
        ("self_referral", "checkout.shop.org", None, None, 4),
    ]
    assert lint(rows, own(own_sites=("example.com", "shop.org"))) == [
        ("self_referral", "shop.org", None, None, 6),
        ("self_referral", "pay.example.com", None, None, 5),
        ("self_referral", "checkout.shop.org", None, None, 4),
    ]


# ---------------------------------------------------------------- the list of sites


def test_every_entry_is_known_once_and_in_its_normal_spelling() -> None:
    document = tomllib.loads(files("attribution.data.channels").joinpath("sites.toml").read_text("utf-8"))
    assert list(document) == [*KINDS, "other"]
    entries = [(kind, entry) for kind, known in document.items() for names in known.values() for entry in names]
    names = [entry for _, entry in entries]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    for kind, known in document.items():
        for host in (*known["sites"], *known["hosts"]):
            example = host.removesuffix("*") + "de" if host.endswith(".*") else host
            assert extract_host(f"https://{example}/") == example
            assert platform_kind(example) == (None if kind == "other" else kind), host
        for app in known["apps"]:
            assert platform_kind(app) == kind
        for name in known["names"]:
            assert "." not in name
            assert platform_kind(source_text(tag_text(name) or "")) == kind, name


def reference(name: str) -> dict[str, Any]:
    given = os.environ.get("ATTRIBUTION_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[4] / "shared" / "data"
    file = folder / "channel-reference" / f"matomo_{name}.json"
    if not file.is_file():
        pytest.skip("the shared data are not here; ATTRIBUTION_DATA names their folder")
    return json.loads(file.read_text(encoding="utf-8"))


def listed_hosts(addresses: list[str]) -> list[str]:
    """Hosts of one entry; ``{}`` stands for a country, and places within a site are left out."""
    filled = [address.replace(".{}", ".de").replace("{}.", "de.") for address in addresses if "/" not in address]
    return [host for host in (extract_host(f"http://{address}") for address in filled) if host is not None]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "kinds", "elsewhere", "at_least", "well_known"),
    [
        (
            "search_engines",
            {"search"},
            # Assistants, and social networks with a search of their own.
            {"chat.openai.com", "chatgpt.com", "perplexity.ai", "you.com", "facebook.com", "searchservice.myspace.com"},
            95,
            "Google|Google Images|Google News|Google Maps|Bing|Yahoo!|Yahoo! Japan|DuckDuckGo|Ecosia|Brave|Qwant|"
            "StartPage|Baidu|Sogou|360search|sm.cn|Haosou|Yandex|Mailru|Naver|Daum|Nate|Seznam|Ask|AOL|Kagi|Mojeek|Lycos|"
            "Cốc Cốc",
        ),
        (
            "socials",
            {"social", "video"},
            set(),
            50,
            "Facebook|Instagram|Threads|Twitter|LinkedIn|Pinterest|reddit|Snapchat|TikTok|tumblr|YouTube|Vimeo|Telegram|"
            "Discord|Bluesky|Vkontakte|Odnoklassniki|WeChat|Weibo|Ozone|Douban|Douyin|bilibili|Renren|mixi|XING|Mastodon",
        ),
        (
            "ai_assistants",
            {"assistant"},
            set(),
            19,
            "ChatGPT|Claude|Copilot|Deepseek|Gemini|Grok|Le Chat|Meta AI|Perplexity|Qwen|Baidu AI|ChatGLM",
        ),
    ],
)
def test_known_sites_are_what_the_reference_says(
    name: str, kinds: set[str], elsewhere: set[str], at_least: int, well_known: str
) -> None:
    listed = {
        site: listed_hosts(addresses if isinstance(addresses[0], str) else [u for a in addresses for u in a["urls"]])
        for site, addresses in reference(name).items()
    }
    found = {site: {host: platform_kind(host) for host in hosts} for site, hosts in listed.items()}
    differ = {host: kind for hosts in found.values() for host, kind in hosts.items() if kind and kind not in kinds}
    assert set(differ) == elsewhere, differ
    known = {site for site, hosts in found.items() if kinds & set(hosts.values())}
    assert {site.lower() for site in well_known.split("|")} - {site.lower() for site in known} == set()
    assert len(known) >= at_least, sorted(set(found) - known)
