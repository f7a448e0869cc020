"""Before and after a change: an effect that was put in is found, and the interval is as wide as placebos say."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from attribution.decisions.kpis.before_after import (
    FEWEST_BEFORE,
    FEWEST_STRETCHES,
    before_after,
    count_stretches,
    fewest_before,
    judge,
    spread_of_mean,
)
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
    assert row["p_value"] < 0.1
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


@given(
    size=st.floats(-50, 50),
    spread=st.floats(0.01, 10),
    scores=st.lists(st.floats(-5, 5), max_size=20),
    stretches=st.integers(FEWEST_STRETCHES, 20),
    level=st.floats(0.5, 0.99),
)
def test_p_value_and_interval_answer_one_question(
    size: float, spread: float, scores: list[float], stretches: int, level: float
) -> None:
    p_value, half = judge(size, spread, np.array(scores), stretches, level)
    assert 0 <= p_value <= 1
    if abs(abs(size) / half - 1) > 1e-9:  # at the very end itself, rounding decides
        assert (p_value <= 1 - level) == (abs(size) > half)


def test_p_value_and_interval_of_a_table_by_hand() -> None:
    """Student's t of 3 degrees of freedom has 2.3534 at 95 %, and two scores of 2 double the error."""
    p_value, half = judge(2.3534 * 6, 3.0, np.array([2.0, -2.0]), 3, 0.9)
    assert (p_value, half) == (pytest.approx(0.1, abs=1e-5), pytest.approx(2.3534 * 6, abs=1e-3))
    # Placebos that fare better than the model thinks do not make it surer than it is.
    assert judge(1.0, 3.0, np.array([0.1]), 3, 0.9) == judge(1.0, 3.0, np.array([]), 3, 0.9)


@given(after=st.integers(1, 400), longer=st.integers(0, 50))
def test_the_fewest_points_before_are_those_that_leave_enough_stretches(after: int, longer: int) -> None:
    def stretches(before: int) -> int:
        return count_stretches(before, after, before - after >= FEWEST_BEFORE)

    fewest = fewest_before(after)
    assert stretches(fewest + longer) >= FEWEST_STRETCHES
    assert fewest == FEWEST_BEFORE or stretches(fewest - 1) < FEWEST_STRETCHES


@pytest.mark.parametrize(("before", "after"), [(100, 30), (60, 15), (365, 28), (200, 1)])
def test_overlapping_placebos_of_pure_noise_raise_no_false_alarm(before: int, after: int) -> None:
    """The law without the fit: means of noise, in units of their error as the time before says it, 4,000 times.

    As many placebos overlap as the package makes; shares of them as large, which look like p-values, are below .05
    in more than a tenth of the series.
    """
    rng = np.random.default_rng(7)
    noise = rng.normal(size=(4000, before + after))
    spread = noise[:, :before].std(axis=1, ddof=1) / np.sqrt(after)
    sums = np.cumsum(np.pad(noise, ((0, 0), (1, 0))), axis=1)
    splits = np.unique(np.linspace(FEWEST_BEFORE, before - after, 20).astype(int))
    effects = (sums[:, splits + after] - sums[:, splits]) / after - sums[:, splits] / splits
    placebos = effects / (spread[:, None] * np.sqrt(1 + after / splits))
    own = noise[:, before:].mean(axis=1) - noise[:, :before].mean(axis=1)
    spread = spread * np.sqrt(1 + after / before)
    stretches = count_stretches(before, after, True)
    p_values = np.array([judge(*each, stretches, 0.9)[0] for each in zip(own, spread, placebos, strict=True)])
    assert (p_values <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)
    assert (p_values <= 0.1).mean() <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 4000)
    if (before, after) == (100, 30):
        shares = (1 + (np.abs(placebos) >= np.abs(own / spread)[:, None]).sum(axis=1)) / (1 + len(splits))
        assert (shares <= 0.05).mean() > 0.1  # so many series tell the wrong rule from the right one


def wandering(seed: int, before: int, after: int) -> pd.DataFrame:
    """A random walk with noise on top, which nothing moved."""
    rng = np.random.default_rng(seed)
    value = 100 + np.cumsum(rng.normal(0, 2, before + after)) + rng.normal(0, 8, before + after)
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=before + after), "value": value})


@pytest.mark.drawn
@pytest.mark.parametrize(("before", "after"), [(30, 10), (40, 10)])
def test_short_series_that_nothing_moved(before: int, after: int) -> None:
    """The whole way, where least is known: seldom below .05, and 0 inside the interval nine times in ten."""
    series, changed = 60 * TIMES, dt.date(2024, 1, 1) + dt.timedelta(days=before)
    rows = pd.concat(
        [before_after(wandering(seed, before, after), measure="value", on=changed) for seed in range(series)]
    )
    assert (rows["p_value"] <= 0.05).sum() <= binom.ppf(0.999, series, 0.05)
    inside = (rows["low"] <= 0) & (rows["high"] >= 0)
    assert inside.sum() >= binom.ppf(0.001, series, 0.9)
    assert ((rows["p_value"] > 0.1) == inside).all()


def test_too_short_a_time_before_has_no_interval_and_says_how_long_it_must_be() -> None:
    rows = wandering(1, 44, 15)
    short = before_after(rows, measure="value", on=dt.date(2024, 2, 14)).iloc[0]
    assert np.isnan(short[["low", "high", "p_value", "widened_by"]].to_numpy(float)).all()
    assert np.isfinite(short["effect"])
    assert "15 points after the change need at least 45 points before, and there are 44" in short["warning"]
    enough = before_after(rows.iloc[:-1], measure="value", on=dt.date(2024, 2, 14)).iloc[0]
    assert np.isfinite(enough[["low", "high", "p_value", "widened_by"]].to_numpy(float)).all()


def test_a_series_that_did_not_move_at_first_has_no_placebo_and_needs_more() -> None:
    rows = wandering(2, 60, 30)
    rows.loc[:39, "value"] = 100.0
    row = before_after(rows, measure="value", on=dt.date(2024, 3, 1)).iloc[0]
    assert (row["placebos"], np.isnan(row["p_value"])) == (0, True)
    assert "need at least 90 points before, and there are 60" in row["warning"]


def test_a_short_time_before_leaves_few_placebos_and_says_so() -> None:
    table = world(4).iloc[60:-20]
    row = before_after(table, measure="value", on=CHANGED, controls=["别处"]).iloc[0]
    assert "40 points before and 10 after the change allow only 1 placebo to check it" in row["warning"]


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
@pytest.mark.nightly
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
    # Three degrees of freedom make it 1.43 times as wide as it had to be if its error were known; so many worlds tell
    # of intervals that are three tenths narrower than that.
    assert covered(0.7 * 1.6449 / 2.3534) < 0.8
    assert (rows["widened_by"] >= 1).all()
