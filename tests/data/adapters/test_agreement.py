"""Spend and clicks of one platform meet in one channel: cost adapters beside click ids and tags."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.data.adapters import adapter_names, read_adapter
from attribution.pipeline.standing_sections import check_channels_known
from attribution.schema.clicks import AD_SERVERS, DEFAULT_CHANNELS, MARKS
from attribution.schema.experiment import TableSpec

SOCIAL = [
    "utm_source={}&utm_medium=paid_social",
    "utm_source={}&utm_medium=cpc",
    "utm_source={}_feed_7&utm_medium=paid-social",
]


def social(name: str, *further: str) -> list[str]:
    return [*(tags.format(name) for tags in SOCIAL), *further]


DAY = {"date": "2026-03-01", "campaign_name": "c"}
GOOGLE = DAY | {"cost_micros": "5000000"}
BOUGHT: list[tuple[str, dict[str, str], str, list[str]]] = [
    (
        "google_ads",
        GOOGLE | {"advertising_channel_type": "SEARCH"},
        "Paid Search",
        [
            "gclid=1",
            "gbraid=1",
            "WBRAID=1",
            "gad_source=1&gad_campaignid=7",
            "gclid=1&utm_source=google&utm_medium=organic",
            "gclid=1&utm_source=google&utm_medium=sem",
            "gclid=1&utm_source=brand_de&utm_medium=cpc",
            "utm_source=google&utm_medium=cpc",
            "utm_source=adwords&utm_medium=ppc",
            "mtm_source=google&mtm_medium=cpc",
        ],
    ),
    (
        "google_ads",
        GOOGLE | {"advertising_channel_type": "SHOPPING"},
        "Paid Shopping",
        ["gclid=1&utm_campaign=shopping_shoes", "utm_source=google&utm_medium=cpc&utm_campaign=Shopping"],
    ),
    (
        "google_ads",
        GOOGLE | {"advertising_channel_type": "VIDEO"},
        "Paid Video",
        ["gclid=1&utm_source=youtube", "utm_source=youtube&utm_medium=cpc", "utm_source=spot&utm_medium=paid_video"],
    ),
    (
        "google_ads",
        GOOGLE | {"advertising_channel_type": "DISPLAY"},
        "Display",
        ["gclid=1&utm_source=google&utm_medium=display", "dclid=1", "utm_source=gdn&utm_medium=cpm"],
    ),
    (
        "google_ads",
        GOOGLE | {"advertising_channel_type": "PERFORMANCE_MAX"},
        "Cross-network",
        ["gclid=1&utm_campaign=cross-network", "gclid=1|Cross-network"],
    ),
    (
        "microsoft_ads",
        DAY | {"spend": "5", "type": "Search"},
        "Paid Search",
        ["msclkid=1", "msclkid=1&utm_source=bing&utm_medium=organic", "utm_source=bing&utm_medium=cpc"],
    ),
    (
        "microsoft_ads",
        DAY | {"spend": "5", "type": "Shopping"},
        "Paid Shopping",
        ["msclkid=1&utm_campaign=shopping", "utm_source=bing&utm_medium=cpc&utm_campaign=shopping"],
    ),
    (
        "microsoft_ads",
        DAY | {"spend": "5", "type": "Audience"},
        "Display",
        ["msclkid=1&utm_source=bing&utm_medium=display"],
    ),
    (
        "microsoft_ads",
        DAY | {"spend": "5", "type": "PerformanceMax"},
        "Cross-network",
        ["msclkid=1|Cross-network"],
    ),
    (
        "meta_ads",
        DAY | {"spend": "5"},
        "Paid Social",
        [
            *social("facebook", "fbclid=1&utm_source=ig&utm_medium=paidsocial"),
            *social("instagram", "fbclid=1&utm_source=Facebook_Mobile_Feed&utm_medium=paid"),
            "fbclid=1&hsa_cam=7&hsa_net=facebook",
        ],
    ),
    (
        "linkedin_ads",
        {"day": "2026-03-01", "campaign_name": "c", "cost_in_usd": "5"},
        "Paid Social",
        social("linkedin", "li_fat_id=1"),
    ),
    ("pinterest_ads", DAY | {"spend_in_dollar": "5"}, "Paid Social", social("pinterest", "epik=1")),
    ("reddit_ads", DAY | {"spend": "5000000"}, "Paid Social", social("reddit", "rdt_cid=1")),
]  # fmt: skip


def load(adapter: str, cost: dict[str, str], clicks: list[str]) -> at.Sources:
    """A shop with one campaign and its clicks; what follows a bar is what the analytics product calls the channel."""
    parts = [click.partition("|") for click in clicks]
    touchpoints = pd.DataFrame(
        {
            "customer_id": [f"u{place}" for place in range(len(parts))],
            "touched_at": pd.Timestamp("2026-03-01 10:00"),
            "url": [f"https://shop.example/?{query}" for query, _, _ in parts],
            "channel_group": pd.Series([group or None for _, _, group in parts], dtype=object),
        }
    )
    conversions = pd.DataFrame(
        {"customer_id": ["u0"], "converted_at": [pd.Timestamp("2026-03-01 11:00")], "value": [9.0]}
    )
    return at.load_sources(touchpoints, conversions, TableSpec(adapter=adapter, source=pd.DataFrame([cost])))


def channels(sources: at.Sources, table: str) -> list[str]:
    return sources.engine.query(f"select distinct channel from {table} order by 1")["channel"].to_pylist()


def spend_findings(sources: at.Sources) -> dict[str, Any]:
    return {finding.check: finding for finding in check_channels_known(sources, channels(sources, "touchpoints"))}


@pytest.mark.parametrize(("adapter", "cost", "channel", "clicks"), BOUGHT)
def test_spend_and_clicks_of_a_platform_are_in_one_channel(
    adapter: str, cost: dict[str, str], channel: str, clicks: list[str]
) -> None:
    sources = load(adapter, cost, clicks)
    assert channels(sources, "costs") == [channel]
    assert channels(sources, "touchpoints") == [channel]
    assert spend_findings(sources)["spend_beside_click_ids"].status == "pass"


def test_every_adapter_of_costs_is_worked() -> None:
    assert {adapter for adapter, *_ in BOUGHT} == {
        name for name in adapter_names() if "costs" in read_adapter(name).tables
    }


def test_adapters_and_click_ids_name_the_default_channels_only() -> None:
    named = set()
    for name in adapter_names():
        for export in read_adapter(name).tables.get("costs", ()):
            template = export.columns["channel"]
            named |= set(re.findall(r"(?:^|then |else )'([^']+)'", template))
    assert named == {"Cross-network", "Paid Shopping", "Paid Search", "Paid Social", "Paid Video", "Display"}
    assert named <= set(DEFAULT_CHANNELS)
    assert {channel for mark in MARKS.values() for channel in mark.sells} <= set(DEFAULT_CHANNELS)
    assert len(DEFAULT_CHANNELS) == len(set(DEFAULT_CHANNELS)) == 20
    assert all(host == host.lower() and "/" not in host for host in AD_SERVERS)


def test_spend_without_visits_beside_clicks_of_its_platform_is_said() -> None:
    sources = load("meta_ads", DAY | {"spend": "5"}, ["fbclid=1", "fbclid=2", "utm_source=letter&utm_medium=email"])
    finding = spend_findings(sources)["spend_beside_click_ids"]
    assert (finding.status, finding.count) == ("warn", 2)
    assert finding.example == "5.00 of 'Paid Social' beside 2 touchpoints (2 with fbclid) in Organic Social"
    assert "an id that marks posts and ads alike proves no ad" in finding.message
    maximum = load("google_ads", GOOGLE | {"advertising_channel_type": "PERFORMANCE_MAX"}, ["gclid=1", "gad_source=1"])
    finding = spend_findings(maximum)["spend_beside_click_ids"]
    assert finding.example == (
        "5.00 of 'Cross-network' beside 2 touchpoints (1 with gad_source, 1 with gclid) in Paid Search"
    )
    assert "proves no ad" not in finding.message
    nothing = load("reddit_ads", DAY | {"spend": "5000000"}, ["gclid=1"])
    assert spend_findings(nothing)["spend_beside_click_ids"].status == "pass"
