"""A small shop that sells every day alike, for tests of daily summaries and of drift."""

from __future__ import annotations

import numpy as np
import pandas as pd

CHANNELS = ("direct", "mail 📧", "search", "搜索")


def log_of(
    days: int, *, customers: int = 400, channels: tuple[str, ...] = CHANNELS, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Touchpoints and conversions from 2024-03-01 on, every customer at some time within ``days`` days."""
    random = np.random.default_rng(seed)
    begin = pd.Timestamp("2024-03-01")
    touches = random.poisson(3.0, customers) + 1
    customer = np.repeat(np.arange(customers), touches)
    at = np.repeat(random.uniform(0, days, customers), touches) + random.exponential(2.0, touches.sum())
    touchpoints = pd.DataFrame(
        {
            "customer_id": customer,
            "touched_at": begin + pd.to_timedelta(np.round(at * 86_400), unit="s"),
            "channel": random.choice(channels, len(customer)),
            "kind": random.choice(["click", "impression"], len(customer)),
        }
    )
    buyers = random.choice(customers, customers // 3, replace=True)
    last = touchpoints.groupby("customer_id")["touched_at"].max().to_numpy()[buyers]
    wait = pd.to_timedelta(np.round(random.exponential(1.0, len(buyers)) * 86_400), unit="s")
    conversions = pd.DataFrame(
        {"customer_id": buyers, "converted_at": last + wait, "value": random.uniform(1, 100, len(buyers)).round(2)}
    )
    end = begin + pd.Timedelta(days=days)
    return touchpoints[touchpoints["touched_at"] < end], conversions[conversions["converted_at"] < end]
