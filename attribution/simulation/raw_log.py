"""A simulated world as its web server saw it: page views with addresses, sign-ins, and orders, all in one log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.simulation.simulation import Simulation
from attribution.simulation.world import Channel, World

if TYPE_CHECKING:
    import pandas as pd

SITE: Final = "https://shop.example"
_PAGES: Final = np.array(["/", "/shoes", "/hats", "/coats", "/sale", "/about"], dtype=object)
_PAYMENT: Final = np.array(["https://www.paypal.com/", "https://checkout.stripe.com/", "https://www.klarna.com/"])
_MORE_PAGES: Final = 2.0
_SECOND_DEVICE: Final = 0.3
_SIGNS_IN: Final = 0.3


class Link(NamedTuple):
    """How visitors of a channel arrive: with tags, a click id, from another page; and which channel that is in GA4."""

    source: str
    medium: str
    channel: str
    click_id: str = ""
    referrer: str = ""


LINKS: Final = {
    "display": Link("adnet", "display", "Display"),
    "video": Link("youtube", "cpc", "Paid Video"),
    "social": Link("facebook", "paid_social", "Paid Social", "fbclid", "https://l.facebook.com/"),
    "email": Link("newsletter", "email", "Email"),
    "affiliate": Link("coupons", "affiliate", "Affiliates", "", "https://coupons.example/"),
    "generic_search": Link("google", "cpc", "Paid Search", "gclid", "https://www.google.com/"),
    "brand_search": Link("google", "cpc", "Paid Search", "gclid", "https://www.google.com/"),
    "organic": Link("", "", "Organic Search", "", "https://www.google.com/"),
    "direct": Link("", "", "Direct"),
}
"""Of the shipped worlds; any other channel has its own name as source."""


def link_of(channel: Channel) -> Link:
    """How visitors of a channel arrive."""
    if channel.name in LINKS:
        return LINKS[channel.name]
    name = channel.name.lower().replace(" ", "-")
    return Link(name, "cpc", "Paid Other") if channel.paid else Link(name, "referral", "Referral")


@dataclass(frozen=True)
class RawLog:
    """What there is to start from.

    Attributes
    ----------
    log : a row for each page view and order, by time: ``time``, ``visitor_id``, ``email``, ``event``, ``url``,
        ``referrer``, ``order_id``, ``revenue``
    costs : spend by day, channel and campaign; a campaign is what the world calls a channel
    """

    log: pd.DataFrame
    costs: pd.DataFrame


@check_arguments
def make_raw_log(simulation: Simulation, world: World, *, seed: int = 0) -> RawLog:
    """The log of which the tables of a simulation could have been made.

    Every touchpoint is the entry of a visit of a few pages, seen on one of the customer's devices; some visitors sign
    in. A customer who buys comes straight to the shop, signs in, and returns from a payment page.

    Examples
    --------
    >>> from attribution.simulation import load_world, simulate
    >>> world = load_world("default")
    >>> raw = make_raw_log(simulate(world, customers=200, truth=False), world)
    >>> sorted(raw.log["event"].unique()), list(raw.costs.columns)
    (['order', 'page_view'], ['day', 'channel', 'campaign', 'amount'])
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    links = {channel.name: link_of(channel) for channel in world.channels}
    parts = [_visits(simulation.touchpoints, links, rng), *_orders(simulation.conversions, rng)]
    log = pd.concat(parts, ignore_index=True)
    log = log.sort_values(["time", "visitor_id", "event"], kind="stable", ignore_index=True)
    times = np.datetime_as_string(log["time"].to_numpy("datetime64[s]"), unit="s")
    log["time"] = np.char.add(times, "Z")
    costs = simulation.costs
    names = {name: link.channel for name, link in links.items()}
    days = costs["day"].dt.strftime("%Y-%m-%d")
    spend = {"day": days, "channel": costs["channel"].map(names), "campaign": costs["channel"]}
    return RawLog(log[_COLUMNS], pd.DataFrame({**spend, "amount": costs["amount"]}))


_COLUMNS: Final = ["time", "visitor_id", "email", "event", "url", "referrer", "order_id", "revenue"]


def _visits(touchpoints: pd.DataFrame, links: dict[str, Link], rng: np.random.Generator) -> pd.DataFrame:
    """The page views of all visits: the entry with tags or a referrer, then walks about the shop."""
    import pandas as pd

    n = len(touchpoints)
    pages = 1 + rng.poisson(_MORE_PAGES, n)
    seconds = rng.uniform(20, 120, n)
    device = np.where(rng.random(n) < _SECOND_DEVICE, "b", "a")
    signs_in = rng.random(n) < _SIGNS_IN
    visit = np.repeat(np.arange(n), pages)
    number = np.arange(len(visit)) - np.repeat(np.cumsum(pages) - pages, pages)
    is_entry, is_last = number == 0, number == pages[visit] - 1
    customer = touchpoints["customer_id"].to_numpy()[visit]
    clicks = np.char.add(np.char.add(customer.astype(str), "-"), visit.astype(str)).astype(object)
    path = SITE + _PAGES[rng.integers(0, len(_PAGES), len(visit))]
    names = touchpoints["channel"].to_numpy(object)[visit]
    tags = {name: _query(name, link) for name, link in links.items()}
    has_click = np.array([bool(links[name].click_id) for name in names])
    entry = path + pd.Series(names).map(tags).to_numpy(object) + np.where(has_click, clicks, "")
    referrers = pd.Series(names).map({name: link.referrer for name, link in links.items()}).to_numpy(object)
    at = touchpoints["touched_at"].to_numpy("datetime64[us]")[visit]
    return pd.DataFrame(
        {
            "time": at + (number * seconds[visit] * 1e6).astype("timedelta64[us]"),
            "visitor_id": _visitors(customer, device[visit]),
            "email": np.where(signs_in[visit] & is_last, _emails(customer), ""),
            "event": "page_view",
            "url": np.where(is_entry, entry, path),
            "referrer": np.where(is_entry, referrers, f"{SITE}/"),
            "order_id": "",
            "revenue": "",
        }
    )


def _query(name: str, link: Link) -> str:
    """What the address of an entry ends with; the click id itself comes behind it."""
    if not link.source:
        return ""
    tags = f"?utm_source={link.source}&utm_medium={link.medium}&utm_campaign={name.replace(' ', '+')}"
    return f"{tags}&{link.click_id}=" if link.click_id else tags


def _orders(conversions: pd.DataFrame, rng: np.random.Generator) -> list[pd.DataFrame]:
    """What a customer does who buys: home page, basket, payment and back, order."""
    import pandas as pd

    n = len(conversions)
    customer = conversions["customer_id"].to_numpy()
    bought_at = conversions["converted_at"].to_numpy("datetime64[us]")
    payment = _PAYMENT[rng.integers(0, len(_PAYMENT), n)].astype(object)
    emails, visitors = _emails(customer), _visitors(customer, np.full(n, "a"))
    steps = [(240, "/", "", False), (120, "/basket", f"{SITE}/", True), (10, "/paid", None, True)]
    parts = [
        pd.DataFrame(
            {
                "time": bought_at - np.timedelta64(before, "s"),
                "visitor_id": visitors,
                "email": emails if is_known else "",
                "event": "page_view",
                "url": SITE + path,
                "referrer": payment if referrer is None else referrer,
                "order_id": "",
                "revenue": "",
            }
        )
        for before, path, referrer, is_known in steps
    ]
    order = {
        "time": bought_at,
        "visitor_id": visitors,
        "email": emails,
        "event": "order",
        "url": f"{SITE}/thanks",
        "referrer": f"{SITE}/paid",
        "order_id": conversions["conversion_id"].astype(str),
        "revenue": conversions["value"].map("{:.2f}".format),
    }
    return [*parts, pd.DataFrame(order)]


def _visitors(customer: NDArray[np.int64], device: NDArray[np.str_]) -> NDArray[np.object_]:
    return np.char.add(np.char.add(customer.astype(str), "."), device).astype(object)


def _emails(customer: NDArray[np.int64]) -> NDArray[np.object_]:
    return np.char.add(customer.astype(str), "@mail.example").astype(object)
