"""A hundred thousand channels are a column of something else: said before any model asks for the memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.test_cli import call

EXPERIMENT = """
[tables]
touchpoints = { source = "t.parquet" }
conversions = { source = "c.parquet" }
[[models]]
model = "Linear"
[[models]]
model = "Markov"
[tracking]
enabled = false
"""


def write_pages(folder: Path, pages: int) -> None:
    n = 2 * pages
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta(np.arange(n) % 86_400, "s")
    pages_of = [f"/flowers/{place % pages}" for place in range(n)]
    pd.DataFrame({"customer_id": np.arange(n) // 4, "touched_at": at, "channel": pages_of}).to_parquet(
        folder / "t.parquet"
    )
    pd.DataFrame({"customer_id": np.arange(n // 8), "converted_at": "2024-03-03"}).to_parquet(folder / "c.parquet")
    (folder / "shop.toml").write_text(EXPERIMENT)


def test_a_hundred_thousand_channels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pages(tmp_path, 100_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for command in (
        ("run", "shop.toml", "--out", "run"),
        ("validate", "shop.toml"),
        ("summarise", "shop.toml", "--to", "d"),
    ):
        assert call(monkeypatch, *command) == 2
        said = capsys.readouterr().err
        assert "the data have 100,000 channels" in said
        assert "most_channels" in said
        assert "group them with channel rules" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.parquet", "shop.toml", "t.parquet"]
    kilobytes = 1 if sys.platform != "darwin" else 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_500_000 * kilobytes


def test_the_limit_is_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pages(tmp_path, 40)
    assert call(monkeypatch, "validate", "shop.toml", "--set", "most_channels=39") == 2
    assert "the data have 40 channels" in capsys.readouterr().err
    assert call(monkeypatch, "validate", "shop.toml", "--set", "most_channels=40") == 0
