"""Channels and raw columns that appear, vanish or jump, in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.data.loading import quality_findings
from attribution.data.loading.findings import Finding
from attribution.pipeline.standing_sections import DataSection

DAYS = 20
A_DAY = {"search": 50, "mail": 30, "social": 20}


def log(**changes: dict[int, int]) -> pd.DataFrame:
    """So many touchpoints a day by channel; ``changes`` says what a channel has on single days instead."""
    usual = A_DAY | dict.fromkeys(set(changes) - set(A_DAY), 0)
    rows = [
        (f"u{day}-{name}-{place}", pd.Timestamp("2026-03-01") + pd.Timedelta(days=day, minutes=place), name)
        for name in usual
        for day in range(DAYS)
        for place in range(changes.get(name, {}).get(day, usual[name]))
    ]
    return pd.DataFrame(rows, columns=["customer_id", "touched_at", "channel"])


ORDERS = pd.DataFrame({"customer_id": ["u1-search-0"], "converted_at": [pd.Timestamp("2026-03-19")], "value": [1.0]})


def jump(touchpoints: pd.DataFrame) -> Finding:
    findings = quality_findings(at.load_sources(touchpoints, ORDERS))
    return next(finding for finding in findings if finding.check == "channel_jump")


def on(days: range, n: int) -> dict[int, int]:
    return dict.fromkeys(days, n)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mail": on(range(12, DAYS), 0)}, "'mail' vanishes from 2026-03-13 on (30 % otherwise)"),
        ({"mail": on(range(12), 0)}, "'mail' appears from 2026-03-13 on (30 %)"),
        ({"video": on(range(12, DAYS), 4)}, "'video' appears from 2026-03-13 on (3.8 %)"),
        ({"social": on(range(12, DAYS), 60)}, "'social' is 42.9 % from 2026-03-13 on, 20 % otherwise"),
        ({"mail": on(range(8, 12), 0)}, "'mail' vanishes from 2026-03-09 to 2026-03-12 (30 % otherwise)"),
    ],
)
def test_a_channel_that_changes_is_found(changes: dict[str, dict[int, int]], text: str) -> None:
    finding = jump(log(**changes))
    assert finding.status == "warn"
    assert text in finding.message
    assert "channel_days" in finding.message


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mail": on(range(5, 8), 300)},  # a campaign
        {"mail": on(range(12, 14), 0)},  # two days
        {"mail": {day: 0 for day in range(DAYS) if day % 7 > 4}},  # weekends
        {"social": on(range(12, DAYS), 22)},
        {"video": on(range(12, DAYS), 1)},  # too small to matter
    ],
)
def test_a_channel_that_comes_and_goes_is_none(changes: dict[str, dict[int, int]]) -> None:
    assert jump(log(**changes)).status == "pass"


@pytest.mark.parametrize("column", ["referrer", "url", "utm_source", "utm_content"])
def test_a_raw_column_that_is_lost_half_way_is_found(column: str) -> None:
    touchpoints = log().drop(columns="channel")
    names = ("referrer", "url", "utm_source", "utm_content")
    touchpoints = touchpoints.assign(**{name: f"https://a.example/{name}" for name in names})
    touchpoints.loc[touchpoints["touched_at"] >= "2026-03-11", column] = " "
    findings = quality_findings(at.load_sources(touchpoints, ORDERS))
    warned = {
        finding.check: finding
        for finding in findings
        if finding.check.startswith("null_jump") and finding.status == "warn"
    }
    assert [*warned] == [f"null_jump_{column}"]
    assert "100 % of rows from 2026-03-11 on, but in 0 % of the others" in warned[f"null_jump_{column}"].message


def test_touchpoints_by_channel_and_day_are_a_table(tmp_path: Path) -> None:
    log(mail=on(range(1, DAYS), 10)).to_csv(tmp_path / "touches.csv", index=False)
    ORDERS.to_csv(tmp_path / "orders.csv", index=False)
    (tmp_path / "e.toml").write_text(
        '[tables]\ntouchpoints = { source = "touches.csv" }\nconversions = { source = "orders.csv" }\n'
        '[[models]]\nmodel = "LastTouch"\n'
    )
    table = at.run_experiment(tmp_path / "e.toml").tables["channel_days"]
    assert table[table["day"] == "2026-03-01"].to_dict("list") == {
        "day": [pd.Timestamp("2026-03-01")] * 3,
        "channel": ["mail", "search", "social"],
        "touchpoints": [30, 50, 20],
        "share": [0.3, 0.5, 0.2],
    }
    assert len(table) == 3 * DAYS
    np.testing.assert_allclose(table.groupby("day")["share"].sum(), 1.0)
    assert DataSection.declared[2].name == "channel_days"


def test_positions_are_no_days() -> None:
    touchpoints = pd.DataFrame({"customer_id": ["a", "b"], "touched_at": [1, 2], "channel": ["x", "y"]})
    sources = at.load_sources(touchpoints, pd.DataFrame({"customer_id": ["a"], "converted_at": [3]}))
    assert sources.channel_days is None
    assert not any(finding.check == "channel_jump" for finding in quality_findings(sources))
