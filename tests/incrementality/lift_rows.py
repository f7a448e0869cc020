"""Small lift tests of every design, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]
DAYS = {"first_day": "2024-03-01", "last_day": "2024-03-14"}


def two_arms(treated: Mapping[str, Any], control: Mapping[str, Any], **every: Any) -> list[Row]:
    common = {"test": "spring", "channel": "video", "design": "holdout", **DAYS, **every}
    return [{**common, "arm": "test", **treated}, {**common, "arm": "control", **control}]


def holdout(**every: Any) -> list[Row]:
    return two_arms({"customers": 80_000, "conversions": 2_800}, {"customers": 20_000, "conversions": 640}, **every)


def ghost(**every: Any) -> list[Row]:
    return two_arms(
        {"customers": 80_000, "exposed": 24_000, "conversions_of_exposed": 1_200},
        {"customers": 20_000, "exposed": 6_000, "conversions_of_exposed": 240},
        **{"test": "ghosts", "channel": "display", "design": "ghost_ads", **every},
    )


def geo(**every: Any) -> list[Row]:
    common = {"test": "cities", "channel": "radio", "design": "geo", **DAYS, **every}
    rates = {
        "before": (30, 33, 28, 34, 29, 32, 28, 35),
        "during": (31, 34, 29, 36, 27, 30, 26, 33),
    }
    return [
        {**common, "arm": "test" if i < 4 else "control", "region": f"city {i}", "phase": phase}
        | {"customers": 10_000, "conversions": 10 * counts[i]}
        for phase, counts in rates.items()
        for i in range(8)
    ]


def reported(**every: Any) -> list[Row]:
    return [{"test": "study", "channel": "tv", "design": "reported", "effect": 300, "standard_error": 120, **every}]


def variants(**every: Any) -> list[Row]:
    """An A/B test of a form in two segments."""
    counts = {
        ("mobile", "test"): (5_000, 300),
        ("mobile", "control"): (5_000, 240),
        ("desktop", "test"): (3_000, 160),
        ("desktop", "control"): (3_010, 158),
    }
    common = {"test": "checkout", "design": "ab", "what": "form", "planned_share": 0.5, **DAYS, **every}
    return [
        {**common, "segment": segment, "arm": arm, "customers": n, "conversions": y}
        for (segment, arm), (n, y) in counts.items()
    ]


def changed(rows: list[Row], where: int | None = None, **columns: Any) -> list[Row]:
    """The rows with columns set, in one row or in all."""
    return [{**row, **columns} if where in (None, number) else row for number, row in enumerate(rows)]
