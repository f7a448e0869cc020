"""A shop's first months: there is nothing to compare yet, and that is no error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.test_cli import call
from tests.daily_logs import log_of

TOML = (
    'name = "shop"\n[tables.touchpoints]\nsource = "t.parquet"\n[tables.conversions]\nsource = "c.parquet"\n'
    '[journeys]\nlookback_days = 3\n[[models]]\nmodel = "Linear"\n[tracking]\nenabled = false\n'
)
Night = Callable[[int], tuple[int, str]]


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Night:
    """The shop's jobs in the night after a day: exit code of monitor, and what it prints."""
    monkeypatch.chdir(tmp_path)
    touchpoints, conversions = log_of(30, customers=200)
    (tmp_path / "shop.toml").write_text(TOML, encoding="utf-8")
    begin = touchpoints["touched_at"].min().normalize()
    # An order on the first day: a table without rows is refused.
    conversions.loc[conversions.index[0], "converted_at"] = begin + pd.Timedelta(hours=23)

    def run(days: int) -> tuple[int, str]:
        end = begin + pd.Timedelta(days=days)
        touchpoints[touchpoints["touched_at"] < end].to_parquet("t.parquet")
        conversions[conversions["converted_at"] < end].to_parquet("c.parquet")
        assert call(monkeypatch, "summarise", "shop.toml", "--to", "summaries") == 0
        capsys.readouterr()
        arguments = ("monitor", "summaries", "--recent-days", "5", "--training-days", "14", "--psi", "9")
        code = call(monkeypatch, *arguments, "--change", "9", "--out", "monitor", "--json")
        return code, capsys.readouterr().out

    return run


def test_monitor_waits_until_there_are_enough_days(night: Night, tmp_path: Path) -> None:
    """The last day waits for the next night, so that n nights have n − 1 days."""
    begins = set()
    for days in (1, 2, 7, 19):
        code, printed = night(days)
        document = json.loads(printed)
        assert (code, document["is_waiting"], document["drifted"]) == (0, True, False)
        assert (document["days"], document["days_needed"]) == (days - 1, 19)
        assert f"has {days - 1} of the 19 days that are needed" in document["sentence"]
        begins.add(document["begins"])
        assert not (tmp_path / "monitor").exists()
    # Whatever night it was asked in, the same day was promised; on the first nobody knows when days begin.
    assert begins == {None, "2024-03-19"}
    code, printed = night(20)
    document = json.loads(printed)
    assert (code, document["drifted"]) == (0, False)
    assert "is_waiting" not in document
    assert document["recent"] == ["2024-03-15", "2024-03-19"]
    assert (tmp_path / "monitor" / "drift.parquet").is_file()


def test_days_that_are_asked_for_by_name_are_not_waited_for(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night(10)
    assert call(monkeypatch, "monitor", "summaries", "--through", "2024-03-09") == 2
    assert "does not have all of these days" in capsys.readouterr().err
    assert call(monkeypatch, "monitor", "nothing") == 2
    assert call(monkeypatch, "refit", "summaries", "--days", "90") == 2


def test_a_model_that_was_fitted_yesterday_is_waited_for(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night(20)
    assert call(monkeypatch, "run", "shop.toml", "--out", "run") == 0
    assert call(monkeypatch, "export", "run", "--to", "model") == 0
    asked = ("monitor", "model", "--tables", "shop.toml", "--psi", "9", "--change", "9")
    # What can never be told is said at once, and not when the days are there.
    assert call(monkeypatch, *asked, "--recent-days", "3") == 2
    assert "compare 4 recent days (--recent-days 4)" in capsys.readouterr().err
    monitor = (*asked, "--recent-days", "4")
    for days, there in ((20, 0), (21, 0), (23, 2)):
        night(days)
        assert call(monkeypatch, *monitor) == 0
        said = capsys.readouterr().out
        assert f"Model 'model' has {there} of the 4 days that are needed: complete days after 2024-03-20" in said
        assert "2024-03-24 is the first that is compared" in said
    night(25)
    assert call(monkeypatch, *monitor) == 0
    assert "No drift in" in capsys.readouterr().out
    # A log that ends before the model was fitted is another log.
    night(10)
    assert call(monkeypatch, *monitor) == 2
