"""Slow, obvious answers for the four experiments on shared data, to hold the toolkit's output against.

Nothing here uses the toolkit or its database: tables are read with pandas, joined with ``merge``, and every
rule is a loop over a journey. Options (lookback window, conversion mode, half-life) repeat those of the
experiment files and are written out again on purpose: a change there must be noticed here.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

UNATTRIBUTED = "(unattributed)"
UNMATCHED = "(unmatched)"
SHOP_ZONE = "America/New_York"
DAY_US = 86_400_000_000

CLICK_COST = {"a": 7, "b": 5, "c": 4, "d": 2}


@dataclass(frozen=True)
class Journey:
    """Channels in order, their ages in days, and the conversions and value they led to."""

    channels: tuple[str, ...]
    conversions: float
    value: float
    ages: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Observed:
    """What one experiment must report.

    ``rows`` counts the rows of each input table, ``credit`` maps model → channel → (conversions, value) and
    leaves out channels without credit, ``spend`` maps channel → amount.
    """

    rows: dict[str, int]
    conversions: float
    value: float
    without_touchpoint: float
    spend: dict[str, float]
    credit: dict[str, dict[str, tuple[float, float]]]

    @property
    def share_without_touchpoint(self) -> float:
        return self.without_touchpoint / self.conversions


# ---------------------------------------------------------------- the rules


def _first_touch(journey: Journey) -> list[float]:
    return [1.0 if place == 0 else 0.0 for place in range(len(journey.channels))]


def _last_touch(journey: Journey) -> list[float]:
    return _first_touch(journey)[::-1]


def _last_non_direct(journey: Journey) -> list[float]:
    places = [place for place, channel in enumerate(journey.channels) if channel.lower() != "direct"]
    chosen = places[-1] if places else len(journey.channels) - 1
    return [1.0 if place == chosen else 0.0 for place in range(len(journey.channels))]


def _linear(journey: Journey) -> list[float]:
    return [1.0 for _ in journey.channels]


def _position_based(journey: Journey) -> list[float]:
    count = len(journey.channels)
    if count <= 2:
        return [1.0] * count
    return [0.4] + [0.2 / (count - 2)] * (count - 2) + [0.4]


def _time_decay(half_life_days: float) -> Callable[[Journey], list[float]]:
    def weigh(journey: Journey) -> list[float]:
        assert journey.ages is not None
        newest = min(journey.ages)
        return [2.0 ** (-(age - newest) / half_life_days) for age in journey.ages]

    return weigh


RULES: dict[str, Callable[[Journey], list[float]]] = {
    "first_touch": _first_touch,
    "last_touch": _last_touch,
    "last_non_direct": _last_non_direct,
    "linear": _linear,
    "position_based": _position_based,
}


def _credit(journeys: Sequence[Journey], weigh: Callable[[Journey], list[float]]) -> dict[str, tuple[float, float]]:
    conversions: dict[str, list[float]] = defaultdict(list)
    value: dict[str, list[float]] = defaultdict(list)
    for journey in journeys:
        channels = journey.channels or (UNATTRIBUTED,)
        weights = weigh(journey) if journey.channels else [1.0]
        total = math.fsum(weights)
        for channel, weight in zip(channels, weights, strict=True):
            if weight:
                conversions[channel].append(weight / total * journey.conversions)
                value[channel].append(weight / total * journey.value)
    return {channel: (math.fsum(conversions[channel]), math.fsum(value[channel])) for channel in conversions}


def _observed(
    journeys: Sequence[Journey],
    *,
    rows: dict[str, int],
    spend: dict[str, float],
    half_life_days: float | None = None,
) -> Observed:
    rules = dict(RULES)
    if half_life_days is not None:
        rules["time_decay"] = _time_decay(half_life_days)
    return Observed(
        rows=rows,
        conversions=math.fsum(journey.conversions for journey in journeys),
        value=math.fsum(journey.value for journey in journeys),
        without_touchpoint=math.fsum(journey.conversions for journey in journeys if not journey.channels),
        spend=spend,
        credit={name: _credit(journeys, weigh) for name, weigh in rules.items()},
    )


# ---------------------------------------------------------------- journeys from customers


def _microseconds(times: pd.Series) -> pd.Series:
    return times.astype("datetime64[us]").astype("int64")


def _converting_journeys(
    touchpoints: pd.DataFrame, conversions: pd.DataFrame, *, lookback_days: int, reset: bool
) -> list[Journey]:
    """One journey per conversion, from columns ``customer``, ``us`` and ``channel`` or ``value``."""
    touched: dict[object, list[tuple[int, str]]] = defaultdict(list)
    for customer, at, channel in touchpoints[["customer", "us", "channel"]].itertuples(index=False):
        touched[customer].append((at, channel))
    for contacts in touched.values():
        contacts.sort()
    times = {customer: [at for at, _ in contacts] for customer, contacts in touched.items()}
    closed: dict[object, int] = {}
    journeys = []
    ordered = conversions.sort_values(["customer", "us"])
    for customer, at, value in ordered[["customer", "us", "value"]].itertuples(index=False):
        begin = bisect_left(times.get(customer, []), at - lookback_days * DAY_US)
        end = bisect_right(times.get(customer, []), at)
        if reset:
            begin = max(begin, closed.get(customer, 0))
            closed[customer] = end
        used = touched.get(customer, [])[begin:end]
        ages = tuple((at - moment) / DAY_US for moment, _ in used)
        journeys.append(Journey(tuple(channel for _, channel in used), 1.0, value, ages))
    return journeys


# ---------------------------------------------------------------- one function per experiment


def sme_loan(data: Path) -> Observed:
    """Loans to small firms: 730 days, reset, half-life 90 days; CH06 is the opportunity and no channel."""
    folder = data / "sme-loan-crm"
    names = pd.read_csv(folder / "channel.csv").set_index("ChannelID")["ChannelName"]
    contacts = pd.read_csv(folder / "touchpoints.csv", parse_dates=["Timestamp"])
    customer_of = contacts.set_index("TouchpointID")["CustomerID"]
    contacts = contacts[contacts["ChannelID"] != "CH06"]
    touchpoints = pd.DataFrame(
        {
            "customer": contacts["CustomerID"],
            "us": _microseconds(contacts["Timestamp"]),
            "channel": contacts["ChannelID"].map(names),
        }
    )
    won = pd.read_csv(folder / "sales_opportunities.csv").dropna(subset="LoanID")
    touch_of = won.set_index("LoanID")["TouchpointID"]
    loans = pd.read_csv(folder / "loan.csv", parse_dates=["Timestamp"])
    conversions = pd.DataFrame(
        {
            "customer": loans["LoanID"].map(touch_of).map(customer_of),
            "us": _microseconds(loans["Timestamp"]),
            "value": loans["LoanAmount"].astype(float),
        }
    )
    spending = pd.read_csv(folder / "channel_spending.csv")
    spend = spending.groupby(spending["ChannelID"].map(names))["NetSpending"].sum().astype(float).to_dict()
    return _observed(
        _converting_journeys(touchpoints, conversions, lookback_days=730, reset=True),
        rows={"touchpoints": len(touchpoints), "conversions": len(conversions), "costs": len(spending)},
        spend=spend,
        half_life_days=90,
    )


def four_campaign(data: Path) -> Observed:
    """Clicks in order, without times; every user converts at most once, after the last click."""
    users = pd.read_csv(data / "four-campaign-clicks" / "user_click.csv")
    journeys: list[Journey] = []
    clicks: list[str] = []
    for row in users.to_dict("records"):
        path = tuple(row[f"click_{place}"] for place in range(1, 6) if isinstance(row[f"click_{place}"], str))
        clicks.extend(path)
        if row["conversion"]:
            journeys.append(Journey(path, 1.0, float(row["value"])))
    return _observed(
        journeys,
        rows={"touchpoints": len(clicks), "conversions": len(journeys)},
        spend={channel: float(cost * clicks.count(channel)) for channel, cost in CLICK_COST.items()},
    )


def complete_journey(data: Path) -> Observed:
    """Sends and baskets of a grocer: 60 days, cumulative, half-life 14 days; days are those of the shop."""
    folder = data / "complete-journey"
    campaigns = pd.read_parquet(folder / "campaign_descriptions.parquet")
    sends = pd.read_parquet(folder / "campaigns.parquet").merge(campaigns, on="campaign_id")
    lines = pd.read_parquet(folder / "transactions.parquet")
    sent_at = sends["start_date"].dt.tz_localize(SHOP_ZONE).dt.tz_convert("UTC").dt.tz_localize(None)
    touchpoints = pd.DataFrame(
        {"customer": sends["household_id"], "us": _microseconds(sent_at), "channel": sends["campaign_type"]}
    )
    lines["cents"] = (lines["sales_value"] * 100).round().astype("int64")
    baskets = lines.groupby("basket_id").agg(
        customer=("household_id", "first"), at=("transaction_timestamp", "first"), cents=("cents", "sum")
    )
    baskets["us"] = _microseconds(baskets["at"])
    baskets["value"] = baskets["cents"] / 100
    spend = coupon_discounts(sends, pd.read_parquet(folder / "coupons.parquet"), lines)
    return _observed(
        _converting_journeys(touchpoints, baskets, lookback_days=60, reset=False),
        rows={"touchpoints": len(touchpoints), "conversions": len(baskets)},
        spend={channel: cents / 100 for channel, cents in spend.items()},
        half_life_days=14,
    )


def coupon_discounts(sends: pd.DataFrame, coupons: pd.DataFrame, lines: pd.DataFrame) -> dict[str, int]:
    """Cents of coupon discounts per campaign type, each line of a basket given to one campaign or to none."""
    offered = set(zip(coupons["campaign_id"], coupons["product_id"], strict=True))
    received: dict[int, list[tuple[pd.Timestamp, pd.Timestamp, int, str]]] = defaultdict(list)
    columns = ["household_id", "start_date", "end_date", "campaign_id", "campaign_type"]
    for household, *campaign in sends[columns].itertuples(index=False):
        received[household].append(tuple(campaign))
    for running in received.values():
        running.sort(key=lambda campaign: (-campaign[0].value, campaign[2]))
    discounts = lines[lines["coupon_disc"] != 0]
    days = discounts["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert(SHOP_ZONE)
    days = days.dt.tz_localize(None).dt.normalize()
    cents = (discounts["coupon_disc"] * 100).round().astype("int64")
    total: dict[str, int] = defaultdict(int)
    for household, product, day, amount in zip(
        discounts["household_id"], discounts["product_id"], days, cents, strict=True
    ):
        fitting = (
            kind
            for start, end, campaign, kind in received[household]
            if start <= day <= end and (campaign, product) in offered
        )
        total[next(fitting, UNMATCHED)] += int(amount)
    return dict(total)


def path_data(data: Path) -> Observed:
    """Aggregated paths: no customers, no times, no costs."""
    paths = read_paths(data)
    journeys = [
        Journey(channels, float(conversions), float(value))
        for channels, conversions, value in zip(
            paths["channels"], paths["total_conversions"], paths["total_conversion_value"], strict=True
        )
    ]
    return _observed(journeys, rows={"paths": len(paths)}, spend={})


def read_paths(data: Path) -> pd.DataFrame:
    """The rows of the path file, with the path split into a tuple of channels."""
    paths = pd.read_csv(data / "channelattribution-pathdata" / "path_data.csv")
    paths["channels"] = [_split(path) for path in paths["path"]]
    return paths


def _split(path: str) -> tuple[str, ...]:
    return tuple(channel.strip() for channel in path.split(">"))


def no_send_at_any_time(data: Path) -> float:
    """Share of baskets before which no campaign was ever sent to the household."""
    folder = data / "complete-journey"
    sends = pd.read_parquet(folder / "campaigns.parquet").merge(
        pd.read_parquet(folder / "campaign_descriptions.parquet"), on="campaign_id"
    )
    first = sends.groupby("household_id")["start_date"].min().dt.tz_localize(SHOP_ZONE).dt.tz_convert("UTC")
    lines = pd.read_parquet(
        folder / "transactions.parquet", columns=["basket_id", "household_id", "transaction_timestamp"]
    )
    baskets = lines.drop_duplicates("basket_id")
    before = baskets["household_id"].map(first) <= baskets["transaction_timestamp"].dt.tz_localize("UTC")
    return 1 - float(before.mean())


ORACLES: dict[str, Callable[[Path], Observed]] = {
    "sme_loan": sme_loan,
    "four_campaign": four_campaign,
    "complete_journey": complete_journey,
    "path_data": path_data,
}
