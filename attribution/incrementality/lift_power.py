"""What a lift test could tell of each channel before it is run, and what it would cost."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from attribution.incrementality.lift_declared import LIFT_POWER
from attribution.incrementality.log_period import Reach
from attribution.kernels.incremental.lift_sample_size import customers_needed, detectable_effect
from attribution.sections import listed

CONTROL_SHARES = (0.1, 0.2, 0.5)
DAYS = (14, 28, 56)
DESIGNS = ("holdout", "ghost_ads")

CAN_TELL, CANNOT_TELL = "can tell whether it pays", "cannot tell whether it pays"

_MOST_RATE = 0.99
"""Conversions per customer beyond which a rate is none: some customers buy several times."""


class Channel(NamedTuple):
    """A channel that could be tested, in the log's period; NaN where something is not known.

    Attributes
    ----------
    spend : on it
    needed : conversions at which it just pays
    credited : conversions that the first model credits it with
    mean, median, low, high : conversions that it caused, as far as calibration tells
    """

    spend: float
    needed: float
    credited: float
    mean: float = np.nan
    median: float = np.nan
    low: float = np.nan
    high: float = np.nan


def power_table(reach: Reach, days: float, channels: Mapping[str, Channel]) -> pd.DataFrame:
    """The table ``lift_power``.

    Parameters
    ----------
    reach : customers in the log's period
    days : how long that is
    channels : those with spend, by name
    """
    rows = [
        _row(name, channel, reach, days, design=design, share=share, length=length)
        for name, channel in channels.items()
        for design, share, length in product(DESIGNS, CONTROL_SHARES, DAYS)
        if reach.channels["exposed"].get(name, 0.0) > 0
    ]
    numbers = {c.name: "float64" for c in LIFT_POWER.columns if c.type in ("number", "count")}
    table = pd.DataFrame(rows, columns=list(LIFT_POWER.column_names)).astype({**numbers, "days": "int64"})
    return table.assign(verdict=table["verdict"].astype(object).where(table["verdict"].notna(), None))


def _row(
    name: str, channel: Channel, reach: Reach, days: float, *, design: str, share: float, length: int
) -> dict[str, object]:
    times = length / days
    # New customers come with the days, until all who can be reached are there; conversions come on.
    customers = reach.customers * min(times, 1.0)
    exposed, converted = reach.channels.loc[name, ["exposed", "converted"]]
    exposed_share = 1.0 if design == "holdout" else float(exposed / reach.customers)
    conversions = (reach.converted if design == "holdout" else float(converted)) * times
    rate = min(conversions / (customers * exposed_share), _MOST_RATE)
    detectable = detectable_effect(customers, rate, share, exposed_share=exposed_share)
    needed = channel.needed * times
    enough = np.nan
    if needed > 0 and rate > 0:
        enough = customers_needed(needed / (customers * exposed_share), rate, share) / exposed_share
    return {
        "channel": name,
        "design": design,
        "control_share": share,
        "days": length,
        "customers": customers,
        "exposed_share": exposed_share,
        "rate": rate,
        "detectable_effect": detectable,
        "needed_effect": needed,
        "credited_effect": channel.credited * times,
        "calibrated_median": channel.median * times,
        "calibrated_low": channel.low * times,
        "calibrated_high": channel.high * times,
        "customers_needed": enough,
        "sales_forgone": share * channel.mean * times,
        "verdict": _verdict(detectable, needed, channel.median * times),
    }


def _verdict(detectable: float, needed: float, median: float) -> str | None:
    """Whether the test tells the likely effect, or half of what is needed, from the effect at which it pays."""
    if not needed > 0:
        return None
    distance = needed / 2 if np.isnan(median) else max(abs(median - needed), needed / 2)
    return CAN_TELL if detectable <= distance else CANNOT_TELL


def power_sentences(power: pd.DataFrame) -> list[str]:
    """Per channel, the smallest test that can tell whether it pays; and what those need for which there is none."""
    sentences, needs = [], {}
    for name, rows in power[power["verdict"].notna()].groupby("channel", sort=False):
        able = rows[rows["verdict"] == CAN_TELL].sort_values(["days", "control_share", "design"])
        if able.empty:
            # Half of what is needed must show, so four times as many customers.
            needs[name] = 4 * rows["customers_needed"].min()
            continue
        row = able.iloc[0]
        sentences.append(
            f"A {row['design']} test of {row['days']} days with {100 * row['control_share']:.0f} % of customers in "
            f"control can tell whether {name} pays: it shows {row['detectable_effect']:,.0f} conversions, and "
            f"{row['needed_effect']:,.0f} are needed."
        )
    if needs:
        fewest = ", ".join(f"{name} {number:,.0f}" for name, number in needs.items())
        sentences.append(
            f"No test of up to {DAYS[-1]} days can tell whether {listed(needs)} "
            f"{'pays' if len(needs) == 1 else 'pay'}: {power['customers'].max():,.0f} customers can be reached, and "
            f"about so many are needed: {fewest}."
        )
    return sentences
