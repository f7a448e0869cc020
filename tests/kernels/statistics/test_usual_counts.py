"""Usual counts: as rarely exceeded as said, against exact tails, and told apart from quiet days."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, nbinom, norm, t

from attribution.kernels.statistics.usual_counts import WEEK, highest_share, usual_counts

Floats = NDArray[np.float64]
SEASON = np.array([1.2, 1.3, 1.1, 1.0, 0.9, 0.5, 0.4])
MEANS = np.array([400.0, 200.0, 100.0, 50.0, 20.0, 5.0, 0.5])


def nights(random: np.random.Generator, days: int, repeats: int, scatter: float) -> Floats:
    """(days, repeats, channels) counts with a weekly season, that scatter more than Poisson counts by a factor."""
    means = np.broadcast_to((SEASON[np.arange(days) % WEEK][:, None] * MEANS)[:, None, :], (days, repeats, len(MEANS)))
    rates = means if scatter == 1 else random.gamma(means / (scatter - 1), scatter - 1)
    return random.poisson(rates).astype(float)


@pytest.mark.parametrize("scatter", [1.0, 3.0])
@pytest.mark.parametrize("days", [14, 28, 56])
def test_unchanged_days_are_outside_as_rarely_as_said(days: int, scatter: float) -> None:
    """One night judges seven channels and their sum; any of them outside is a false alarm."""
    repeats, significance = 10_000, 0.05
    counts = nights(np.random.default_rng(days), days + 1, repeats, scatter)
    level = significance / (2 * (len(MEANS) + 1))
    alarm = np.zeros(repeats, dtype=bool)
    for every in (counts, counts.sum(axis=-1, keepdims=True)):
        usual = usual_counts(every[:days], every[days:], level=level)
        alarm |= ((every[days] < usual.lowest) | (every[days] > usual.highest)).any(axis=-1)
    allowed = significance + 3 * np.sqrt(significance / repeats)
    assert alarm.mean() <= allowed
    if days == 56:
        assert alarm.mean() >= significance / 10, "bounds that nothing ever exceeds judge nothing"


@pytest.mark.parametrize(("share", "total"), [(0.05, 1_000), (0.2, 300), (0.39, 150)])
def test_a_channel_that_is_gone_for_a_day_is_outside(share: float, total: float) -> None:
    """A shop of 20 channels, four weeks of history, 200 such shops for each weekday; some weekends are too quiet."""
    random = np.random.default_rng(1)
    for weekday in range(WEEK):
        days = 28 + weekday
        mean = total * share * SEASON[np.arange(days + 1) % WEEK] / SEASON.mean()
        rest = total * (1 - share) * SEASON[np.arange(days + 1) % WEEK] / SEASON.mean()
        counts = np.stack([random.poisson(each[:, None], (days + 1, 200)) for each in (mean, rest)], axis=-1).astype(
            float
        )
        counts[days, :, 0] = 0
        usual = usual_counts(counts[:days], counts[days:], level=0.001 / (2 * 10 * 21))
        found = (usual.lowest[:, 0] > 0).mean()
        assert found >= (0.99 if mean[days] >= 45 else 0.8 if mean[days] >= 30 else 0.0), (weekday, found)
        assert (counts[days, :, 1] >= usual.lowest[:, 1]).all(), "the other channels are not missing"


def test_bounds_are_those_of_the_exact_tail() -> None:
    """Poisson counts, whose dispersion is 1: the tail is that of a negative binomial, with t in place of normal."""
    before = np.tile(np.array([[50.0], [48.0], [52.0], [49.0], [51.0], [20.0], [21.0]]), (4, 1))
    level = 1e-4
    usual = usual_counts(before, np.zeros((1, 1)), level=level)
    widening = float((t.ppf(level, 21) / norm.ppf(level)) ** 2)
    assert usual.expected.tolist() == [50.0]
    lowest = next(count for count in range(60) if nbinom.cdf(count / widening, 200 / widening, 200 / 250) > level)
    # Scipy's cdf steps at whole numbers, ours does not: both lie within one step.
    assert abs(usual.lowest[0] - lowest) <= np.ceil(widening)
    assert usual.lowest[0] < 50 < usual.highest[0]
    highest = next(count for count in range(50, 200) if nbinom.sf(count / widening, 200 / widening, 200 / 250) < level)
    assert abs(usual.highest[0] - highest) <= np.ceil(widening)


def test_the_next_day_is_held_against_its_own_weekday() -> None:
    before = np.tile(np.array([[100.0], [100.0], [100.0], [100.0], [100.0], [0.0], [0.0]]), (5, 1))
    monday = usual_counts(before, np.zeros((1, 1)), level=1e-3)
    saturday = usual_counts(before[:33], np.zeros((1, 1)), level=1e-3)
    assert (monday.expected[0], saturday.expected[0]) == (100.0, 0.0)
    assert monday.lowest[0] > 0
    assert saturday.lowest[0] == 0


def test_a_quiet_day_misses_no_channel() -> None:
    """On a holiday all channels fall to a third; then one of them falls to nothing."""
    random = np.random.default_rng(3)
    before = random.poisson(np.array([300.0, 200.0, 100.0]), (42, 3)).astype(float)
    holiday = np.array([[100.0, 66.0, 33.0]])
    usual = usual_counts(before, holiday, level=1e-5)
    assert (holiday[0] >= usual.lowest).all()
    gone = np.array([[100.0, 66.0, 0.0]])
    assert usual_counts(before, gone, level=1e-5).lowest[2] > 0
    crowd = np.array([[3_000.0, 2_000.0, 1_000.0]])
    assert (crowd[0] <= usual_counts(before, crowd, level=1e-5).highest).all()


def test_a_channel_that_nobody_knew_is_not_judged() -> None:
    usual = usual_counts(np.zeros((14, 1)), np.array([[50.0]]), level=1e-3)
    assert (usual.lowest[0], usual.highest[0]) == (0.0, np.inf)


@pytest.mark.parametrize(("total", "share"), [(100, 0.2), (10, 0.2), (1_000, 0.05), (3, 0.05)])
def test_the_highest_share_is_that_of_the_binomial(total: int, share: float) -> None:
    level = 0.001
    count = highest_share(total, share, level) * total
    assert binom.sf(round(count), total, share) <= level
    assert binom.sf(round(count) - 1, total, share) > level


def test_shares_at_the_ends() -> None:
    assert highest_share(50, 1.0, 0.01) == 1.0
    assert highest_share(50, 0.0, 0.01) == 0.0
    assert highest_share(0, 0.5, 0.01) == 1.0


@pytest.mark.parametrize(
    ("total", "share", "highest"),
    [
        (0, 0.2, 1.0),
        (-1, 0.2, 1.0),
        (10, 1.5, 1.0),
        (10, 1.0, 1.0),
        (10, -0.1, 0.0),
        (10, 0.0, 0.0),
        (1, 0.2, 1.0),
        (1, 1e-4, 0.0),
    ],
)
def test_of_nothing_and_beyond_all_every_share_is_possible(total: float, share: float, highest: float) -> None:
    assert highest_share(total, share, 0.001) == highest
