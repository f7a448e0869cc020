"""The twins of the models and of the rankings against numbers worked out by hand or by other programs."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.scale import examples

from . import models, ranking
from .journeys import Conv, Touch, build
from .models import UNATTRIBUTED, PathRow
from .strategies import path_tables, score_pairs

# Rules: display 14 days before the conversion, social 7, display 3, search 1, direct at the conversion

NAMES = ("display", "social", "display", "search", "direct")
AGES = (14.0, 7.0, 3.0, 1.0, 0.0)
BY_TOUCHPOINT = [PathRow(("1", "2", "3", "4", "5"), conversions=1, value=10, nulls=3, ages=AGES)]


@pytest.mark.parametrize(
    ("credit", "weights"),
    [
        (models.first(BY_TOUCHPOINT), [1, 0, 0, 0, 0]),
        (models.last(BY_TOUCHPOINT), [0, 0, 0, 0, 1]),
        (models.linear(BY_TOUCHPOINT), [0.2, 0.2, 0.2, 0.2, 0.2]),
        (models.time_decay(BY_TOUCHPOINT, 7), [0.073557, 0.147114, 0.218611, 0.266490, 0.294228]),
        (models.position(BY_TOUCHPOINT, 0.4, 0.4), [0.4, 0.066667, 0.066667, 0.066667, 0.4]),
        (models.position(BY_TOUCHPOINT, 0.2, 0.6), [0.2, 0.066667, 0.066667, 0.066667, 0.6]),
        (models.position(BY_TOUCHPOINT, 0.6, 0.2), [0.6, 0.066667, 0.066667, 0.066667, 0.2]),
    ],
)
def test_rules_by_touchpoint(credit: models.TwinCredit, weights: list[float]) -> None:
    assert [float(share) for share in credit.conversions.values()] == pytest.approx(weights, abs=1e-6)
    assert [float(share) for share in credit.value.values()] == pytest.approx([10 * w for w in weights], abs=1e-5)


@pytest.mark.parametrize(
    ("first", "last", "shares"),
    [(0.4, 0.4, [0.5, 0.5]), (0.2, 0.6, [0.25, 0.75]), (0.6, 0.2, [0.75, 0.25]), (0.0, 0.0, [0.5, 0.5])],
)
def test_position_without_touchpoints_between(first: float, last: float, shares: list[float]) -> None:
    pair = models.position([PathRow(("a", "b"), conversions=1)], first, last)
    assert [float(share) for share in pair.conversions.values()] == pytest.approx(shares)
    assert models.position([PathRow(("a",), conversions=1)], first, last).conversions == {"a": 1}


def test_rules_that_look_at_the_channel() -> None:
    rows = [PathRow(NAMES, conversions=1, value=8)]
    quarter = Fraction(1, 4)
    unique = models.linear_unique(rows)
    assert unique.conversions == {"direct": quarter, "display": quarter, "search": quarter, "social": quarter}
    assert models.last_non_direct(rows, {"direct"}).value["search"] == 8
    assert models.last_non_direct(rows, {"direct", "search"}).value["display"] == 8
    assert models.last_non_direct(rows, set(NAMES)).value["direct"] == 8
    assert models.last_non_direct(rows, set()).value["direct"] == 8


@pytest.mark.parametrize("shift", [0.0, 3.5, 10_000.0])
def test_time_decay_depends_on_differences_of_age_only(shift: float) -> None:
    rows = [PathRow(("a", "b"), conversions=3, ages=(2.0 + shift, shift))]
    assert models.time_decay(rows, half_life=2.0).conversions == {"a": 1, "b": 2}
    forgotten = [PathRow(("a", "b"), conversions=3, ages=(5_000.0 + shift, shift))]
    assert models.time_decay(forgotten, half_life=2.0).conversions == {"a": 0, "b": 3}


def test_a_conversion_without_touchpoints_is_nobodys() -> None:
    rows = [PathRow((), 2, 20.0, 5), PathRow(("a",), 1, 10.0, 1, (0.0,))]
    for credit in _every_model(rows):
        assert credit.conversions == {"a": 1, UNATTRIBUTED: 2}
        assert credit.value == {"a": 10, UNATTRIBUTED: 20}


# Markov

CHAIN = [
    PathRow(("0", "1"), conversions=3, value=3, nulls=1),
    PathRow(("0",), conversions=1, value=1, nulls=3),
    PathRow(("1", "2"), conversions=2, value=2, nulls=2),
    PathRow(("2",), conversions=0, value=0, nulls=4),
    PathRow(("0", "1", "2"), conversions=2, value=2, nulls=2),
]


def test_markov_order_1() -> None:
    removal = models.removal(CHAIN, order=1)
    assert removal.per_journey == Fraction(2, 5)
    assert removal.effects == {"0": Fraction(43, 72), "1": Fraction(17, 24), "2": Fraction(1, 2)}
    credit = models.markov(CHAIN, order=1)
    assert list(map(float, credit.conversions.values())) == pytest.approx([2.646154, 3.138462, 2.215385], abs=1e-6)
    assert credit.value == credit.conversions


@pytest.mark.parametrize("order", [2, 3, 4])
def test_markov_order_2_and_more_is_participation_here(order: int) -> None:
    effects = models.removal(CHAIN, order).effects
    assert effects == {"0": Fraction(6, 8), "1": Fraction(7, 8), "2": Fraction(4, 8)}
    credit = list(map(float, models.markov(CHAIN, order).conversions.values()))
    assert credit == pytest.approx([2.823529, 3.294118, 1.882353], abs=1e-6)


@examples(34)
@given(path_tables(), st.integers(1, 3))
def test_the_chain_converts_as_often_as_observed(rows: list[PathRow], order: int) -> None:
    journeys = sum(Fraction(row.conversions) + Fraction(row.nulls) for row in rows if row.path)
    for outcome in ("conversions", "value"):
        observed = sum(Fraction(getattr(row, outcome)) for row in rows if row.path)
        assert models.removal(rows, order, outcome).per_journey * journeys == observed


@examples(34)
@given(path_tables())
def test_markov_as_long_as_the_paths_is_participation(rows: list[PathRow]) -> None:
    total = sum(Fraction(row.value) for row in rows if row.path)
    for channel, effect in models.removal(rows, 5, "value").effects.items():
        assert effect * total == sum(Fraction(row.value) for row in rows if channel in row.path)


@examples(34)
@given(path_tables())
def test_repeating_a_channel_at_once_changes_nothing_at_order_1(rows: list[PathRow]) -> None:
    collapsed = [
        PathRow(tuple(channel for channel, _ in groupby(row.path)), row.conversions, row.value, row.nulls)
        for row in rows
    ]
    assert models.markov(rows, 1) == models.markov(collapsed, 1)


# Shapley

SETS = [((), 1), ("A", 1), ("B", 2), ("AB", 6), ("C", 0), ("AC", 1), ("BC", 3), ("ABC", 5)]


def test_shapley_set() -> None:
    credit = models.shapley_set([PathRow(tuple(path), conversions=number) for path, number in SETS])
    assert credit.conversions == {
        "A": Fraction(37, 6),
        "B": Fraction(49, 6),
        "C": Fraction(11, 3),
        UNATTRIBUTED: 1,
    }


@examples(34)
@given(path_tables())
def test_shapley_set_is_linear_over_distinct_channels(rows: list[PathRow]) -> None:
    assert models.shapley_set(rows) == models.linear_unique(rows)


# All models


def _every_model(rows: list[PathRow]) -> list[models.TwinCredit]:
    return [
        models.first(rows),
        models.last(rows),
        models.last_non_direct(rows, {"direct"}),
        models.linear(rows),
        models.linear_unique(rows),
        models.position(rows, 0.4, 0.4),
        models.time_decay(rows, 7),
        models.markov(rows, 1),
        models.markov(rows, 2),
        models.shapley_set(rows),
    ]


@examples(34)
@given(path_tables(with_ages=True))
def test_credit_adds_up(rows: list[PathRow]) -> None:
    for credit in _every_model(rows):
        assert sum(credit.conversions.values()) == sum(Fraction(row.conversions) for row in rows)
        assert sum(credit.value.values()) == sum(Fraction(row.value) for row in rows)


def test_from_journeys_to_credit() -> None:
    day = models.DAY
    history = ([Touch(0, "a"), Touch(7 * day, "b"), Touch(20 * day, "c")], [Conv(7 * day, value=30.0)])
    rows = models.path_rows(build({"anna": history}, lookback=10 * day, mode="reset").journeys)
    assert rows == [PathRow(("a", "b"), 1, 30.0, 0, (7.0, 0.0)), PathRow(("c",), nulls=1)]
    assert models.time_decay(rows, half_life=7).value == {"a": 10, "b": 20, "c": 0}


# Rankings

X = {"a": 5.0, "b": 4.0, "c": 3.0, "d": 2.0, "e": 1.0}
Y = {"a": 4.0, "b": 5.0, "c": 3.0, "d": 1.0, "e": 2.0}


def _listed(order: str) -> dict[str, float]:
    return {channel: -float(place) for place, channel in enumerate(order)}


def test_two_rankings_by_hand() -> None:
    assert ranking.ranks(X) == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert ranking.kendall_tau_b(X, Y) == pytest.approx(0.6)
    assert ranking.spearman(X, Y) == pytest.approx(0.8)
    assert ranking.rank_biased_overlap(X, Y, p=0.9) == pytest.approx(0.881775)
    assert ranking.largest_move(X, Y) == 1
    assert [ranking.top_overlap(X, Y, k) for k in (1, 2, 3, 4, 5, 6)] == [0, 1, 1, 0.75, 1, 1]


@pytest.mark.parametrize(
    ("one", "other", "p", "overlap", "digits"),
    [
        ("abcde", "edcba", 0.9, 0.738, 3),
        ("abcdefgh", "hgfedcba", 0.9, 0.59, 2),
        ("abcdefgh", "hgfedcba", 0.7, 0.18, 2),
        ("abcdefgh", "hgfedcba", 0.5, 0.04, 2),
        ("abcdefgh", "bacdefgh", 0.9, 0.9, 12),
        ("abcdefgh", "bacdefgh", 0.7, 0.7, 12),
        ("abcdefgh", "bacdefgh", 0.5, 0.5, 12),
        ("abcdefgh", "abcdefgh", 0.7, 1.0, 12),
    ],
)
def test_rank_biased_overlap_of_short_lists(one: str, other: str, p: float, overlap: float, digits: int) -> None:
    found = ranking.rank_biased_overlap(_listed(one), _listed(other), p)
    assert found == pytest.approx(overlap, abs=0.5 * 10**-digits)


@given(score_pairs())
def test_rank_correlations_agree_with_scipy(pair: tuple[dict[str, float], dict[str, float]]) -> None:
    x, y = pair
    defined = len(set(x.values())) > 1 and len(set(y.values())) > 1
    tau, rho = ranking.kendall_tau_b(x, y), ranking.spearman(x, y)
    if not defined:
        assert (tau, rho) == (None, None)
        return
    channels = sorted(x)
    a, b = [x[channel] for channel in channels], [y[channel] for channel in channels]
    assert tau == pytest.approx(stats.kendalltau(a, b).statistic)
    assert rho == pytest.approx(stats.spearmanr(a, b).statistic)
    assert [ranking.ranks(x)[c] for c in channels] == list(stats.rankdata([-score for score in a]))


def test_rankings_of_nothing() -> None:
    nothing: dict[str, float] = {}
    assert ranking.rank_biased_overlap(nothing, nothing, 0.7) is None
    assert ranking.top_overlap(nothing, nothing, 3) is None
    assert ranking.largest_move(nothing, nothing) is None
