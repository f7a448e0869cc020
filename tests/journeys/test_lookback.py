"""The suggested lookback window, against statsmodels and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.journeys.lookback import TimeLag, lag_reader, lookback_finding, suggest_lookback, time_lag

DAY = np.timedelta64(1, "D")
START = np.datetime64("2024-01-01T12:00", "us")


def log(lags: list[int], unconverted: list[int], *, until: int) -> at.Journeys:
    """Journeys of one touchpoint that convert after ``lags`` days, others touched on the days ``unconverted``.

    Every lag begins on day 0; the data end on day ``until``, on which somebody else converts.
    """
    n, m = len(lags), len(unconverted)
    touchpoints = pd.DataFrame(
        {
            "customer_id": [*range(n), *range(n, n + m)],
            "touched_at": [*([START] * n), *(START + day * DAY for day in unconverted)],
            "channel": "mail",
        }
    )
    conversions = pd.DataFrame(
        {
            "customer_id": [*range(n), n + m],
            "converted_at": [*(START + lag * DAY for lag in lags), START + until * DAY],
        }
    )
    return at.build_journeys(at.load_sources(touchpoints, conversions), lookback_days=30)


def curve(journeys: at.Journeys) -> TimeLag:
    return time_lag(journeys.read(lag_reader(journeys))[0])


def test_the_curve_is_that_of_statsmodels() -> None:
    from statsmodels.duration.survfunc import SurvfuncRight

    rng = np.random.default_rng(1)
    lags = rng.integers(0, 25, 60).tolist()
    days = rng.integers(0, 40, 50).tolist()
    mine = curve(log(lags, days, until=40))
    seen = [min(30, 40 - day) for day in days]
    theirs = SurvfuncRight(np.array([*lags, *seen]), np.array([1] * 60 + [0] * 50))
    for day, probability in zip(theirs.surv_times, theirs.surv_prob, strict=True):
        assert mine.converted[int(day)] == pytest.approx(1 - probability, abs=1e-12)
    assert mine.conversions == 60


def test_open_journeys_move_the_window_outwards() -> None:
    """39 of 40 convert on day 0, one on day 20. 400 touched on the last day tell of day 0 only: that they did
    not convert yet says nothing against day 20, so the late one weighs more than by counting conversions."""
    lags = [0] * 39 + [20]
    assert suggest_lookback(curve(log(lags, [], until=30))) == 1
    assert suggest_lookback(curve(log(lags, [29] * 400, until=30))) == 21


def test_too_few_conversions_give_no_advice() -> None:
    journeys = log([1] * 29, [], until=30)
    assert suggest_lookback(curve(journeys)) is None
    (finding,) = lookback_finding(journeys.read(lag_reader(journeys))[0], journeys)
    assert "too few" in finding.message


def test_a_curve_that_rises_to_the_end_of_the_window_is_warned_of() -> None:
    journeys = log([0] * 20 + [30] * 20, [], until=60)
    (finding,) = lookback_finding(journeys.read(lag_reader(journeys))[0], journeys)
    assert (finding.status, finding.count) == ("warn", 31)


def test_positions_have_no_days() -> None:
    sources = at.load_sources(
        pd.DataFrame({"customer_id": [1], "touched_at": [1], "channel": ["mail"]}),
        pd.DataFrame({"customer_id": [1], "converted_at": [2]}),
    )
    journeys = at.build_journeys(sources)
    assert lookback_finding(journeys.read(lag_reader(journeys))[0], journeys) == []
