"""Models against worked numbers, slow twins, and the laws every model must obey."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError, LawError
from attribution.kernels.markov import absorption
from attribution.testing import check_model
from tests.laws import laws_of
from tests.scale import examples
from tests.twins import models as twin
from tests.twins.strategies import path_tables

EVERY_MODEL = (
    at.FirstTouch(),
    at.LastTouch(),
    at.LastNonDirect(),
    at.Linear(),
    at.PositionBased(),
    at.PositionBased(first=0.2, last=0.6),
    at.PositionBased(first=0.6, last=0.2),
    at.TimeDecay(half_life_days=7),
    at.Markov(),
    at.Markov(order=2),
    at.Markov(order=4),
    at.Shapley(),
)
TWINS: dict[str, Any] = {
    "first_touch": (at.FirstTouch(), twin.first),
    "last_touch": (at.LastTouch(), twin.last),
    "last_non_direct": (at.LastNonDirect(), lambda rows: twin.last_non_direct(rows, {"direct"})),
    "linear": (at.Linear(), twin.linear),
    "u_shaped": (at.PositionBased(), lambda rows: twin.position(rows, 0.4, 0.4)),
    "j_shaped": (at.PositionBased(first=0.2, last=0.6), lambda rows: twin.position(rows, 0.2, 0.6)),
    "markov_1": (at.Markov(), lambda rows: twin.markov(rows, 1)),
    "markov_2": (at.Markov(order=2), lambda rows: twin.markov(rows, 2)),
    "markov_3": (at.Markov(order=3), lambda rows: twin.markov(rows, 3)),
    "shapley": (at.Shapley(), twin.shapley_set),
}


def from_rows(rows: Sequence[twin.PathRow]) -> at.Journeys:
    frame = pd.DataFrame(
        {
            "path": pd.Series([list(row.path) for row in rows], dtype=object),
            "conversions": [row.conversions for row in rows],
            "value": [row.value for row in rows],
            "nulls": [row.nulls for row in rows],
        }
    )
    return at.build_journeys(at.load_sources(paths=frame))


def journey(channels: str, days: Sequence[float], value: float = 1.0) -> at.Journeys:
    """One converting journey; ``days`` are ages before the conversion."""
    end = pd.Timestamp("2024-06-30")
    touched = [end - pd.Timedelta(days=day) for day in days]
    touchpoints = pd.DataFrame({"customer_id": "c", "touched_at": touched, "channel": channels.split()})
    conversions = pd.DataFrame({"customer_id": ["c"], "converted_at": [end], "value": [value]})
    return at.build_journeys(at.load_sources(touchpoints, conversions))


# ---------------------------------------------------------------- worked numbers

ORACLE = ("display social display search direct", (14, 7, 3, 1, 0))


@pytest.mark.parametrize(
    ("model", "shares"),
    [
        (at.Linear(), [0.2] * 5),
        (at.Shapley(), [0.125, 0.25, 0.125, 0.25, 0.25]),
        (at.TimeDecay(half_life_days=7), [0.073557, 0.147114, 0.218611, 0.266490, 0.294228]),
        (at.PositionBased(), [0.4, 0.066667, 0.066667, 0.066667, 0.4]),
        (at.PositionBased(first=0.2, last=0.6), [0.2, 0.066667, 0.066667, 0.066667, 0.6]),
        (at.LastNonDirect(), [0, 0, 0, 1, 0]),
        (at.FirstTouch(), [1, 0, 0, 0, 0]),
        (at.LastTouch(), [0, 0, 0, 0, 1]),
    ],
    ids=lambda value: value.label if isinstance(value, at.AttributionModel) else "",
)
def test_worked_journey(model: at.AttributionModel, shares: list[float]) -> None:
    journeys = journey(*ORACLE, value=50.0)
    table = model.fit(journeys).credit_journeys(journeys)
    assert table["position"].tolist() == [1, 2, 3, 4, 5]
    assert table["channel"].tolist() == ORACLE[0].split()
    np.testing.assert_allclose(table["credit"], shares, atol=5e-7)
    np.testing.assert_allclose(table["credited_value"], np.multiply(shares, 50.0), atol=5e-5)


def test_adobes_time_decay_example() -> None:
    """$50, four touchpoints, half-life of a week: 16.88, 16.88, 9.32, 6.92 for ages 0, 0, 6 and 9 days."""
    table = at.TimeDecay(half_life_days=7).fit(j := journey("a b c d", (9, 6, 0, 0), 50.0)).credit_journeys(j)
    np.testing.assert_allclose(table["credited_value"], [6.92, 9.32, 16.88, 16.88], atol=0.005)


@pytest.mark.parametrize(
    ("first", "last", "shares"), [(0.4, 0.4, [0.5, 0.5]), (0.2, 0.6, [0.25, 0.75]), (0.6, 0.2, [0.75, 0.25])]
)
def test_position_based_with_two_touchpoints(first: float, last: float, shares: list[float]) -> None:
    journeys = journey("a b", (1, 0))
    table = at.PositionBased(first=first, last=last).fit(journeys).credit_journeys(journeys)
    np.testing.assert_allclose(table["credit"], shares)


PATHS = [
    twin.PathRow(("a", "b"), 3, 3, 1),
    twin.PathRow(("a",), 1, 1, 3),
    twin.PathRow(("b", "c"), 2, 2, 2),
    twin.PathRow(("c",), 0, 0, 4),
    twin.PathRow(("a", "b", "c"), 2, 2, 2),
]


@pytest.mark.parametrize(
    ("order", "effects", "credit"),
    [
        (1, [43 / 72, 17 / 24, 0.5], [2.646154, 3.138462, 2.215385]),
        (2, [0.75, 0.875, 0.5], [2.823529, 3.294118, 1.882353]),
        (30, [0.75, 0.875, 0.5], [2.823529, 3.294118, 1.882353]),
    ],
)
@pytest.mark.parametrize("dense_states", [2_000, 0])
def test_markov_worked_numbers(
    order: int, effects: list[float], credit: list[float], dense_states: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absorption, "DENSE_STATES", dense_states)
    model = at.Markov(order=order).fit(from_rows(PATHS))
    np.testing.assert_allclose(model.removal_effects_, np.array([effects, effects]).T, rtol=1e-12)
    np.testing.assert_allclose(model.credit_.conversions, [*credit, 0], atol=5e-7)
    assert model.conversion_probability_ == pytest.approx(0.4, rel=1e-13)


# ---------------------------------------------------------------- twins


@examples(20)
@given(rows=path_tables())
def test_paths_equal_their_twin(rows: list[twin.PathRow]) -> None:
    if not rows:
        return
    journeys = from_rows(rows)
    for name, (model, slow) in TWINS.items():
        credit = type(model)(**model.get_params()).fit(journeys).credit_
        exact = slow(rows)
        for what in ("conversions", "value"):
            wanted = getattr(exact, what)
            for channel, found in zip((*credit.channels, "(unattributed)"), getattr(credit, what), strict=True):
                assert found == pytest.approx(float(wanted.get(channel, 0)), rel=1e-11, abs=1e-13), (name, channel)


@examples(20)
@given(rows=path_tables())
def test_removal_effects_equal_delete_and_resolve(rows: list[twin.PathRow]) -> None:
    """1e-12 relative for the dense solution and 1e-10 for the iterated one, against exact fractions."""
    if not any(row.path for row in rows):
        return
    journeys = from_rows(rows)
    for order, place in itertools.product((1, 2, 3), (0, 1)):
        exact = twin.removal(rows, order, ("conversions", "value")[place]).effects
        for dense_states, allowed in ((2_000, 1e-12), (0, 1e-10)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(absorption, "DENSE_STATES", dense_states)
                model = at.Markov(order=order).fit(journeys)
            for channel, found in zip(model.channels_, model.removal_effects_[:, place], strict=True):
                assert found == pytest.approx(float(exact.get(channel, Fraction(0))), rel=allowed, abs=0), order


def long_paths(channels: int, rows: int, seed: int) -> list[twin.PathRow]:
    rng = np.random.default_rng(seed)
    return [
        twin.PathRow(
            tuple(f"c{c:02d}" for c in rng.integers(0, channels, rng.integers(1, 9))),
            int(rng.integers(0, 3)),
            0.0,
            int(rng.integers(0, 30)),
        )
        for _ in range(rows)
    ]


def test_dense_and_iterated_agree_on_a_large_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    journeys = from_rows(long_paths(12, 600, seed=3))
    dense = at.Markov(order=3).fit(journeys)
    assert dense.states_ > 1_000
    monkeypatch.setattr(absorption, "DENSE_STATES", 0)
    iterated = at.Markov(order=3).fit(journeys)
    np.testing.assert_allclose(iterated.removal_effects_, dense.removal_effects_, rtol=1e-10)


def test_rare_conversions_on_looping_nulls_keep_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap of an absolute stopping rule: few conversions, long null journeys that go round and round."""
    rows = [
        twin.PathRow(("a", "b", "a", "b", "c") * 8, 0, 0, 90_000),
        twin.PathRow(("b", "c", "a") * 12, 0, 0, 70_000),
        twin.PathRow(("c", "a", "b", "a"), 7, 0, 3),
    ]
    exact = twin.removal(rows, 1, "conversions")
    for dense_states in (2_000, 0):
        monkeypatch.setattr(absorption, "DENSE_STATES", dense_states)
        model = at.Markov().fit(from_rows(rows))
        found = dict(zip(model.channels_, model.removal_effects_[:, 0], strict=True))
        assert found == {c: pytest.approx(float(e), rel=1e-10) for c, e in exact.effects.items()}


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_chain_reproduces_the_observed_conversion_rate(order: int) -> None:
    rows = long_paths(5, 300, seed=order)
    conversions, nulls = (sum(getattr(row, name) for row in rows) for name in ("conversions", "nulls"))
    model = at.Markov(order=order).fit(from_rows(rows))
    assert model.conversion_probability_ == pytest.approx(conversions / (conversions + nulls), rel=1e-12)


def test_high_order_is_participation() -> None:
    """With memory as long as the longest path, the effect is the share of conversions with the channel."""
    rows = long_paths(4, 200, seed=9)
    model = at.Markov(order=9).fit(from_rows(rows))
    total = sum(row.conversions for row in rows)
    for channel, effect in zip(model.channels_, model.removal_effects_[:, 0], strict=True):
        assert effect == pytest.approx(sum(r.conversions for r in rows if channel in r.path) / total, rel=1e-12)


def test_collapsing_repeats_leaves_order_one_unchanged() -> None:
    rows = long_paths(3, 150, seed=5)
    once = [
        twin.PathRow(tuple(c for i, c in enumerate(r.path) if i == 0 or c != r.path[i - 1]), r.conversions, 0, r.nulls)
        for r in rows
    ]
    a, b = (at.Markov().fit(from_rows(table)).removal_effects_ for table in (rows, once))
    np.testing.assert_allclose(a, b, rtol=1e-12)


def test_many_channels_and_a_long_memory_pack_into_several_words() -> None:
    """200 channels, order 9: ten digits of base 202 need two words; the effect is participation."""
    rows = [twin.PathRow(tuple(f"c{(i * 7 + k) % 200:03d}" for k in range(8)), 1 + i % 2, 0, i % 3) for i in range(200)]
    model = at.Markov(order=9).fit(from_rows(rows))
    total = sum(row.conversions for row in rows)
    for channel, effect in zip(model.channels_, model.removal_effects_[:, 0], strict=True):
        assert effect == pytest.approx(sum(r.conversions for r in rows if channel in r.path) / total, rel=1e-12)


# ---------------------------------------------------------------- time decay on events


@examples(10)
@given(
    ages=st.lists(st.integers(0, 400 * 24), min_size=1, max_size=8),
    half_life=st.sampled_from([0.04, 1.0, 7.0, 365.0]),
)
def test_time_decay_equals_its_definition(ages: list[int], half_life: float) -> None:
    """Weight 2^(−age ÷ half-life); old journeys keep their shares although every weight underflows."""
    hours = sorted(ages, reverse=True)
    end = pd.Timestamp("2024-06-30")
    touchpoints = pd.DataFrame(
        {
            "customer_id": "c",
            "touched_at": [end - pd.Timedelta(hours=h) for h in hours],
            "channel": [f"c{i}" for i in range(len(hours))],
        }
    )
    conversions = pd.DataFrame({"customer_id": ["c"], "converted_at": [end]})
    journeys = at.build_journeys(at.load_sources(touchpoints, conversions), lookback_days=500)
    model = at.TimeDecay(half_life_days=half_life).fit(journeys)
    newest = min(hours)
    weights = [2.0 ** (-(h - newest) / 24 / half_life) for h in hours]
    wanted = {f"c{i}": weight / sum(weights) for i, weight in enumerate(weights)}
    found = dict(zip(model.channels_, model.credit_.conversions, strict=False))
    assert found == {channel: pytest.approx(share, rel=1e-10, abs=1e-300) for channel, share in wanted.items()}


# ---------------------------------------------------------------- laws


@pytest.mark.parametrize("check", laws_of(EVERY_MODEL))
def test_law(check: Callable[[], None]) -> None:
    check()


class Wasteful(at.AttributionModel):
    """Loses half of every conversion."""

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.ones(len(chunk.channel))

    def solve(self, summary: at.Summary) -> tuple[np.ndarray, np.ndarray]:
        channels = len(self.channels_)
        return summary.dense("conversions", channels) / 2, summary.dense("value", channels)


class Positional(at.AttributionModel):
    """Weighs by the place in the chunk, which depends on how journeys are cut into chunks."""

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.arange(1.0, len(chunk.channel) + 1)


class Negative(at.AttributionModel):
    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return -np.ones(len(chunk.channel))


class Assigning(at.AttributionModel):
    """Changes its argument in the constructor, so that a clone is another model."""

    def __init__(self, *, scale: float = 1.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.scale = scale * 2

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.ones(len(chunk.channel))


def test_a_model_that_loses_credit_is_an_error() -> None:
    with pytest.raises(LawError, match=r"adds up to .* instead of"):
        Wasteful().fit(from_rows(PATHS))


def test_negative_weights_are_an_error() -> None:
    with pytest.raises(LawError, match="not negative"):
        Negative().fit(from_rows(PATHS))


@pytest.mark.parametrize("model", [Positional(), Assigning(scale=3.0)], ids=lambda m: m.label)
def test_check_model_finds_what_is_wrong(model: at.AttributionModel) -> None:
    with pytest.raises((LawError, RuntimeError), match=r"breaks the law|Cannot clone"):
        check_model(model)


def test_weights_that_are_all_zero_count_as_equal_and_are_counted() -> None:
    class Zero(at.AttributionModel):
        def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
            return np.zeros(len(chunk.channel))

    model = Zero().fit(from_rows(PATHS))
    linear = at.Linear().fit(from_rows(PATHS))
    np.testing.assert_allclose(model.credit_.conversions, linear.credit_.conversions)
    assert model.summary_.dense("zero_weights", 1).tolist() == [4.0]


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (at.TimeDecay(half_life_days=0), "half_life_days must be positive"),
        (at.TimeDecay(half_life_days=float("nan")), "half_life_days must be positive"),
        (at.Markov(order=0), "order"),
        (at.Markov(order=1.5), "order"),
        (at.Markov(order=True), "order"),
        (at.PositionBased(first=0.7, last=0.4), "together are more than"),
        (at.PositionBased(first=-0.1), "first must be a share"),
        (at.LastNonDirect(direct="direct"), "list of channel names"),
    ],
)
def test_impossible_settings_are_refused(model: at.AttributionModel, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        model.fit(from_rows(PATHS))


def test_time_decay_refuses_an_order_without_times() -> None:
    with pytest.raises(InputError, match="needs times"):
        at.TimeDecay().fit(from_rows(PATHS))


def test_labels() -> None:
    assert at.LastTouch().label == "last_touch"
    assert at.TimeDecay(half_life_days=14).label == "time_decay_14"
    assert at.Markov(order=3, name="deep").label == "deep"
    assert at.LastNonDirect(direct=["direct", "brand"]).label == "last_non_direct_direct-brand"
    assert at.Markov(continuation={"邮件": 0.1, "tv": 1.0}).label == "markov_邮件=0.1-tv=1"
    assert repr(at.PositionBased(first=0.3)) == "PositionBased(first=0.3)"


def test_two_models_with_one_label_are_refused() -> None:
    with pytest.raises(InputError, match="have the label 'linear'"):
        at.attribute(from_rows(PATHS), [at.Linear(), at.Linear()])


def test_other_channels_are_refused_by_partial_fit() -> None:
    model = at.Linear().fit(from_rows(PATHS))
    with pytest.raises(InputError, match="other channels"):
        model.partial_fit(from_rows([twin.PathRow(("z",), 1, 0, 0)]))


def test_credit_of_journeys_that_a_model_does_not_know_is_refused() -> None:
    touchpoints = pd.DataFrame({"customer_id": ["ann", "ann"], "touched_at": [1, 2], "channel": ["mail", "搜索"]})
    conversions = pd.DataFrame({"customer_id": ["ann"], "converted_at": [3]})
    known = at.build_journeys(at.load_sources(touchpoints, conversions))
    others = at.build_journeys(at.load_sources(touchpoints.assign(channel=["video", "搜索"]), conversions))
    for model in (at.Markov(), at.Shapley(), at.LastTouch()):
        with pytest.raises(InputError, match="is not fitted"):
            model.credit_journeys(known)
        with pytest.raises(InputError, match=r"fitted on other channels\. Given: .*video"):
            model.fit(known).credit_journeys(others)
