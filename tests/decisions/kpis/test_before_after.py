"""Before and after a change: an effect that was put in is found, and the interval is as wide as placebos say."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attribution.decisions.kpis.before_after import before_after, spread_of_mean
from attribution.errors import InputError
from tests.scale import TIMES

BEFORE, AFTER = 100, 30
CHANGED = dt.date(2024, 1, 1) + dt.timedelta(days=BEFORE)


def world(seed: int, *, effect: float = 30.0) -> pd.DataFrame:
    """A control, and a series that follows it with an autoregressive error of 0.6; the effect from the change on."""
    rng = np.random.default_rng(seed)
    days = BEFORE + AFTER
    control = 100 + np.cumsum(rng.normal(0, 2, days))
    noise = np.zeros(days)
    for t in range(1, days):
        noise[t] = 0.6 * noise[t - 1] + rng.normal(0, 8)
    value = 50 + 1.5 * control + noise
    value[BEFORE:] += effect
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=days, freq="D"), "value": value, "别处": control})


def test_an_effect_that_was_put_in_is_found() -> None:
    row = before_after(world(1), measure="value", on=CHANGED, controls=["别处"], what="新落地页").iloc[0]
    assert row["low"] < 30 < row["high"]
    assert row["low"] > 0
    assert row["placebo_p"] == pytest.approx(1 / (1 + row["placebos"]))
    assert row["effect"] == pytest.approx(row["observed"] - row["expected"])
    assert row["total_effect"] == pytest.approx(30 * row["effect"])
    assert (row["days_before"], row["days_after"], row["change"]) == (100, 30, "新落地页")
    assert row["warning"] == ""


def test_without_a_control_it_warns_and_says_nothing_surer() -> None:
    row = before_after(world(1), measure="value", on=CHANGED).iloc[0]
    assert "no control series" in row["warning"]
    held = before_after(world(1), measure="value", on=CHANGED, controls=["别处"]).iloc[0]
    assert row["high"] - row["low"] > held["high"] - held["low"]


def test_the_expectation_is_that_of_the_model_written_out() -> None:
    """The oracle: the forecast of statsmodels' own model, fitted on the time before."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    table = world(2)
    y, x = table["value"].to_numpy(), table[["别处"]].to_numpy()
    y, x = ((of - of[:BEFORE].mean(axis=0)) / of[:BEFORE].std(axis=0) for of in (y, x))
    model = UnobservedComponents(y[:BEFORE], "llevel", exog=x[:BEFORE], autoregressive=1, mle_regression=False)
    ahead = model.fit(disp=False, maxiter=200).get_forecast(AFTER, exog=x[BEFORE:])
    unit = table["value"][:BEFORE].std(ddof=0)
    expected = table["value"][:BEFORE].mean() + unit * ahead.predicted_mean.mean()
    row = before_after(table, measure="value", on=CHANGED, controls=["别处"]).iloc[0]
    assert row["expected"] == pytest.approx(expected, rel=1e-6)
    # One point ahead its own standard error is the spread.
    first = before_after(table.iloc[: BEFORE + 1], measure="value", on=CHANGED, controls=["别处"], level=0.9).iloc[0]
    half = (first["high"] - first["low"]) / 2 / first["widened_by"]
    assert half == pytest.approx(1.6448536 * unit * ahead.se_mean[0], rel=1e-6)


def test_the_spread_is_that_of_the_covariance_written_out() -> None:
    """The oracle: the covariance of a random walk, an AR(1) and noise, point by point."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    y = np.append(world(2)["value"].to_numpy()[:BEFORE], np.full(12, np.nan))
    noise, level, persistence, shock = 4.0, 2.0, 0.6, 9.0
    known = UnobservedComponents(y, "llevel", autoregressive=1).filter([noise, level, shock, persistence])
    ahead = np.arange(1, 13)
    # State of the next point, as known today; the walk goes on from it and the AR(1) fades.
    today = known.predicted_state_cov[..., BEFORE]
    loads = np.stack([np.ones(12), persistence ** (ahead - 1.0)], axis=1)
    covariance = loads @ today @ loads.T + noise * np.eye(12)
    for i in range(12):
        for j in range(12):
            shared = np.arange(min(i, j))
            covariance[i, j] += level * len(shared)
            covariance[i, j] += shock * (persistence ** (i - 1.0 - shared) * persistence ** (j - 1.0 - shared)).sum()
    assert spread_of_mean(known, BEFORE) == pytest.approx(np.sqrt(covariance.mean()), rel=1e-9)


def test_the_same_series_gives_the_same_bytes_in_any_order() -> None:
    table = world(3)
    first = before_after(table, measure="value", on=CHANGED, controls=["别处"])
    again = before_after(table.sample(frac=1, random_state=1), measure="value", on=CHANGED, controls=["别处"])
    pd.testing.assert_frame_equal(first, again, check_exact=True)


def test_a_short_time_before_leaves_few_placebos_and_says_so() -> None:
    table = world(4).iloc[60:]
    row = before_after(table, measure="value", on=CHANGED, controls=["别处"]).iloc[0]
    assert "placebos" in row["warning"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measure": "sales"}, "no column 'sales'"),
        ({"on": dt.date(2024, 1, 5)}, "4 points before"),
        ({"on": dt.date(2025, 1, 5)}, "0 from then on"),
        ({"level": 95}, "level must be a coverage"),
        ({"controls": ["value"]}, "controls must be other series"),
        ({"controls": ["别处", "别处"]}, "each of them once"),
    ],
)
def test_what_cannot_be_read_is_refused(change: dict[str, Any], message: str) -> None:
    asked = {"measure": "value", "on": CHANGED, **change}
    with pytest.raises(InputError, match=message):
        before_after(world(5), **asked)


def test_days_with_an_offset_are_days() -> None:
    table = world(5)
    aware = table.assign(day=pd.to_datetime(table["day"]).dt.tz_localize("Asia/Shanghai"))
    found, expected = (before_after(of, measure="value", on=CHANGED) for of in (aware, table))
    pd.testing.assert_frame_equal(found, expected)


def test_gaps_and_repeated_days_are_refused() -> None:
    table = world(6)
    with pytest.raises(InputError, match="not equally spaced"):
        before_after(table.drop(index=10), measure="value", on=CHANGED)
    with pytest.raises(InputError, match="not equally spaced"):
        before_after(pd.concat([table, table.iloc[:1]]), measure="value", on=CHANGED)
    with pytest.raises(InputError, match="'value' has days without a number"):
        before_after(table.assign(value=[np.nan, *table["value"][1:]]), measure="value", on=CHANGED)
    with pytest.raises(InputError, match="constant before the change"):
        before_after(table.assign(value=1.0), measure="value", on=CHANGED)


@pytest.mark.slow
@pytest.mark.drawn
def test_bias_spread_and_coverage_over_many_worlds() -> None:
    """True effect 30, error AR(0.6), 100 points before and 30 after: 40 worlds."""
    seeds = range(40 * TIMES)
    rows = pd.concat([before_after(world(seed), measure="value", on=CHANGED, controls=["别处"]) for seed in seeds])
    # A standard deviation of about 5 makes a standard error of the mean of 0.8.
    assert abs(rows["effect"].mean() - 30) < 2.0
    assert rows["effect"].std() < 7.0

    def covered(scale: float) -> float:
        half = (rows["high"] - rows["low"]) / 2 * scale
        return float(((rows["effect"] - 30).abs() < half).mean())

    assert covered(1.0) >= 0.8, covered(1.0)
    assert covered(0.7) < 0.8  # so many worlds tell of intervals that are three tenths too narrow
    assert (rows["widened_by"] >= 1).all()
