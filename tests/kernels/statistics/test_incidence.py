"""Ends of cases that have not all ended, and shares with intervals: against statsmodels and against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from attribution.kernels.statistics.incidence import LOST, MOVED, STILL_OPEN, cumulative_incidence, weighted_median
from attribution.kernels.statistics.intervals import difference_interval, wilson_interval

cases = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=1, max_size=60)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning:statsmodels.*")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:statsmodels.*")
@given(cases)
def test_incidence_is_that_of_statsmodels(rows: list[tuple[int, int]]) -> None:
    duration, outcome = (np.array(part) for part in zip(*rows, strict=True))
    found = cumulative_incidence(duration.astype(float), outcome)
    if not (outcome == MOVED).any():
        assert found.final == 0.0
        return
    # statsmodels wants ages above 0; a shift changes nothing but the ages.
    theirs = CumIncidenceRight(duration + 1.0, outcome)
    assert found.final == pytest.approx(theirs.cinc[0][-1])
    survival = SurvfuncRight(duration + 1.0, (outcome != STILL_OPEN).astype(int))
    for age in range(13):
        at = np.searchsorted(survival.surv_times, age + 1, side="right") - 1
        ours = np.searchsorted(found.times, age, side="right") - 1
        expected = survival.surv_prob[at] if at >= 0 else 1.0
        assert (found.remaining[ours] if ours >= 0 else 1.0) == pytest.approx(expected, abs=1e-12)


@given(cases)
def test_a_weight_is_how_often_a_case_is_there(rows: list[tuple[int, int]]) -> None:
    duration, outcome = (np.array(part) for part in zip(*rows, strict=True))
    weight = 1 + np.arange(len(rows)) % 3
    one = cumulative_incidence(duration.astype(float), outcome, weight.astype(float))
    other = cumulative_incidence(np.repeat(duration, weight).astype(float), np.repeat(outcome, weight))
    assert one.moved == pytest.approx(other.moved)
    middle = weighted_median(duration.astype(float), weight.astype(float))
    assert middle == pytest.approx(float(np.median(np.repeat(duration, weight))))


def test_without_open_cases_incidence_is_a_share() -> None:
    found = cumulative_incidence(np.array([1.0, 2.0, 2.0, 5.0]), np.array([1, 2, 1, 2]))
    assert found.final == pytest.approx(0.5)
    assert found.remaining[-1] == 0.0


def test_what_has_waited_long_has_less_before_it() -> None:
    """Of four, one moves on after a day and one after three; the others are lost after five."""
    found = cumulative_incidence(np.array([1.0, 3.0, 5.0, 5.0]), np.array([1, 1, 2, 2]))
    assert found.still_to_move(np.array([0.0, 1.0, 2.0, 3.0, 9.0])) == pytest.approx([1 / 2, 1 / 3, 1 / 3, 0.0, 0.0])


def test_no_case_has_no_share() -> None:
    nothing = np.zeros(0)
    assert np.isnan(cumulative_incidence(nothing, np.zeros(0, int)).final)
    assert np.isnan(weighted_median(nothing, nothing))


@given(st.integers(0, 40), st.integers(1, 40), st.integers(0, 40), st.integers(1, 40), st.floats(0.5, 0.99))
def test_intervals_are_those_of_statsmodels(a: int, n: int, b: int, m: int, level: float) -> None:
    a, b = min(a, n), min(b, m)
    low, high = wilson_interval(np.array([float(a)]), np.array([float(n)]), level)
    assert (low[0], high[0]) == pytest.approx(proportion_confint(a, n, 1 - level, method="wilson"), abs=1e-12)
    of = (np.array([float(number)]) for number in (a, n, b, m))
    low, high = difference_interval(*of, level)
    expected = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff", alpha=1 - level)
    assert (low[0], high[0]) == pytest.approx(expected, abs=1e-12)


def test_no_case_has_no_interval() -> None:
    low, high = wilson_interval(np.zeros(1), np.zeros(1), 0.9)
    assert np.isnan([low[0], high[0]]).all()


def test_without_open_cases_the_variance_is_that_of_a_share() -> None:
    rng = np.random.default_rng(3)
    outcome = rng.choice([MOVED, LOST], 50, p=[0.3, 0.7])
    days = rng.integers(0, 9, 50).astype(float)
    assert cumulative_incidence(days, outcome).cases == pytest.approx(50)
    assert cumulative_incidence(days, outcome, np.full(50, 0.25)).cases == pytest.approx(50)
    # Cases that weigh nothing, and are the last of all, count for nothing.
    nothing = np.append(np.ones(50), np.zeros(2))
    assert cumulative_incidence(np.append(days, [20.0, 30.0]), np.append(outcome, [MOVED, LOST]), nothing).cases == (
        pytest.approx(50)
    )
    # Where all or none move on, outcomes that are known count.
    assert cumulative_incidence(days, np.full(50, MOVED)).cases == pytest.approx(50)
    half_open = np.where(np.arange(50) < 20, LOST, STILL_OPEN)
    assert cumulative_incidence(days, half_open).cases == pytest.approx(20)
    assert cumulative_incidence(days, np.full(50, STILL_OPEN)).cases == 0.0


def test_the_variance_with_open_cases_is_that_of_greenwood_where_nothing_is_lost() -> None:
    """The oracle: F²-free form of Greenwood, (1 − F)² Σ d ÷ (n (n − d)), by hand for 1 of 4, then 1 of 2."""
    result = cumulative_incidence(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 1, 0]))
    variance = 0.375**2 * (1 / (4 * 3) + 1 / (2 * 1))
    assert result.cases == pytest.approx(0.625 * 0.375 / variance)


def test_intervals_of_matured_rates_cover() -> None:
    """Three in ten move on, after 5 days on average, and are seen for 0 to 20 days: 1,000 samples of 80."""
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(1000):
        moves, days, seen = rng.random(80) < 0.3, rng.exponential(5, 80), rng.uniform(0, 20, 80)
        days = np.minimum(days, 19)
        outcome = np.where(days <= seen, np.where(moves, MOVED, LOST), STILL_OPEN)
        result = cumulative_incidence(np.minimum(days, seen), outcome)
        cases = np.array([result.cases])
        low, high = wilson_interval(result.final * cases, cases, 0.9)
        covered += bool(low[0] <= 0.3 <= high[0])
    assert 0.87 <= covered / 1000 <= 0.94


def test_the_median_of_all_is_an_age_by_which_half_have_moved_on() -> None:
    days = np.array([1.0, 2.0, 3.0, 4.0])
    assert cumulative_incidence(days, np.array([1, 1, 0, 0])).median == 2.0
    assert cumulative_incidence(days, np.array([1, 0, 1, 0])).median == 3.0
    assert np.isnan(cumulative_incidence(days, np.array([1, 2, 2, 2])).median)


def test_what_weighs_next_to_nothing_moves_no_median() -> None:
    """Ten tenths do not add up to 1 exactly: half of them is the fifth all the same."""
    tenths = np.full(10, 0.1)
    assert weighted_median(np.arange(1.0, 11.0), tenths) == 5.5
    assert weighted_median(np.arange(11.0), np.append(1e-20, tenths)) == 5.5
    assert weighted_median(np.append(np.arange(1.0, 11.0), 99.0), np.append(tenths, 1e-20)) == 5.5
    assert weighted_median(np.arange(1.0, 11.0), 7e5 * tenths) == 5.5
    assert weighted_median(np.array([1.0, 2.0]), np.array([0.4999, 0.5001])) == 2.0
    assert weighted_median(np.array([7.0, 3.0]), np.array([1.0, 0.0])) == 7.0
    assert np.isnan(weighted_median(np.array([7.0]), np.array([0.0])))


def test_ages_before_the_first_outcome_and_at_it() -> None:
    found = cumulative_incidence(np.array([1.0, 2.0, 3.0, 4.0]), np.array([MOVED, STILL_OPEN, MOVED, STILL_OPEN]))
    np.testing.assert_allclose(found.still_to_move(np.array([0.5, 1.0, 2.9, 3.0, 9.0])), [0.625, 0.5, 0.5, 0.0, 0.0])
    assert (found.final, found.median) == (0.625, 3.0)
