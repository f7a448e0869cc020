"""What ad platforms append to a link, and what it proves where utm says nothing."""

from __future__ import annotations

from dataclasses import dataclass

from attribution.data.channels.sites import SEARCH, SHOPPING, SOCIAL


@dataclass(frozen=True)
class ClickId:
    """What a click id stands for: a source, a medium, and the kind of site that was clicked on."""

    source: str
    medium: str
    kind: str | None = None


_GOOGLE = ClickId("google", "cpc", SEARCH)

CLICK_IDS = {
    "gclid": _GOOGLE,
    "gbraid": _GOOGLE,
    "wbraid": _GOOGLE,
    "msclkid": ClickId("bing", "cpc", SEARCH),
    "bd_vid": ClickId("baidu", "cpc", SEARCH),
    "ttclid": ClickId("tiktok", "cpc", SOCIAL),
    "li_fat_id": ClickId("linkedin", "cpc", SOCIAL),
    "twclid": ClickId("twitter", "cpc", SOCIAL),
    "irclickid": ClickId("impact", "affiliate"),
    "srsltid": ClickId("google", "organic", SHOPPING),
    # Meta appends it to every link that leaves its apps, paid or not; so it decides last.
    "fbclid": ClickId("facebook", "social", SOCIAL),
}
"""By name, in the order in which they count where a link carries several."""
