"""Rank agreement against worked numbers and plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from attribution.kernels.statistics import agreement as kernel
from tests.twins import ranking as twin
from tests.twins.strategies import score_pairs

X, Y = np.array([5.0, 4, 3, 2, 1]), np.array([4.0, 5, 3, 1, 2])


def test_worked_numbers() -> None:
    assert kernel.kendall_tau(X, Y) == pytest.approx(0.6)
    assert kernel.spearman(X, Y) == pytest.approx(0.8)
    assert kernel.rank_biased_overlap(X, Y, p=0.9) == pytest.approx(0.881775, abs=5e-7)
    assert kernel.largest_move(X, Y) == 1
    assert kernel.top_overlap(X, Y) == 1


@pytest.mark.parametrize(("p", "items", "overlap"), [(0.9, 5, 0.738), (0.9, 8, 0.59), (0.7, 8, 0.18), (0.5, 8, 0.04)])
def test_a_reversed_short_list_shows_how_much_p_inflates(p: float, items: int, overlap: float) -> None:
    scores = np.arange(float(items))
    assert kernel.rank_biased_overlap(scores, scores[::-1].copy(), p=p) == pytest.approx(overlap, abs=0.006)


@given(score_pairs())
def test_statistics_equal_their_twin(pair: tuple[dict[str, float], dict[str, float]]) -> None:
    x, y = pair
    a, b = np.array(list(x.values())), np.array(list(y.values()))
    assert [x.keys()] == [y.keys()]
    for fast, slow in ((kernel.kendall_tau, twin.kendall_tau_b), (kernel.spearman, twin.spearman)):
        found, wanted = fast(a, b), slow(x, y)
        assert math.isnan(found) if wanted is None else found == pytest.approx(wanted, abs=1e-12)
    if x:
        assert kernel.largest_move(a, b) == twin.largest_move(x, y)
        assert dict(zip(x, kernel.ranks(a), strict=True)) == twin.ranks(x)


@given(score_pairs())
def test_statistics_equal_scipy(pair: tuple[dict[str, float], dict[str, float]]) -> None:
    a, b = (np.array(list(scores.values())) for scores in pair)
    assert kernel.ranks(a).tolist() == stats.rankdata(-a, method="average").tolist()
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert kernel.kendall_tau(a, b) == pytest.approx(stats.kendalltau(a, b, variant="b").statistic, abs=1e-12)
        assert kernel.spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


@given(score_pairs())
def test_overlaps_equal_their_twin_where_nothing_is_tied(
    pair: tuple[dict[str, float], dict[str, float]],
) -> None:
    """Ties are broken by spreading the scores; how ties are averaged is tested below."""
    x, y = ({name: score + i / 10 for i, (name, score) in enumerate(scores.items())} for scores in pair)
    a, b = np.array(list(x.values())), np.array(list(y.values()))
    if x:
        assert kernel.rank_biased_overlap(a, b, p=0.7) == pytest.approx(twin.rank_biased_overlap(x, y, 0.7))
        assert kernel.top_overlap(a, b) == pytest.approx(twin.top_overlap(x, y, 3))


def test_tied_items_share_the_places_left() -> None:
    tied, strict = np.array([3.0, 2, 2, 1]), np.array([4.0, 3, 2, 1])
    # Top two: the first in full, and half of each of the tied pair, of which one is in the other's top two.
    assert kernel.top_overlap(tied, strict, depth=2) == pytest.approx((1 + 0.5) / 2)
    assert kernel.rank_biased_overlap(tied, tied, p=0.7) == pytest.approx(
        0.7**4 + 0.3 / 0.7 * (0.7 + (1.5 + 0.0) / 2 * 0 + 0.49 * (1 + 0.5 + 0.5) / 2 + 0.7**3 + 0.7**4)
    )
