"""Markov: choice of order, what removal means, pairs, and draws."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.journeys import observe
from attribution.journeys.buckets import Buckets, Dealing, bucket_reader, split_buckets
from attribution.kernels.statistics.sums import to_float
from attribution.models import order as choice
from attribution.models.machinery import get_machinery
from attribution.models.model_tables import model_findings
from attribution.models.steps import shorten_summary, summarise_steps
from attribution.schema.tables import HELD_OUT, INTERACTIONS

Row = tuple[Sequence[str], float, float, float]
"""A path, its conversions, their value, its nulls."""

WORKED: list[Row] = [
    (("a", "b"), 3, 30, 1),
    (("a",), 1, 10, 3),
    (("b", "c"), 2, 20, 2),
    (("c",), 0, 0, 4),
    (("a", "b", "c"), 2, 20, 2),
]


def journeys_of(rows: Iterable[Row]) -> at.Journeys:
    paths, conversions, value, nulls = zip(*rows, strict=True)
    columns = {"conversions": conversions, "value": value, "nulls": nulls}
    frame = pd.DataFrame({"path": pd.Series([list(path) for path in paths], dtype=object), **columns})
    return at.build_journeys(at.load_sources(paths=frame))


def second_order(journeys: int, seed: int) -> list[Row]:
    """Journeys in which both the next channel and the conversion depend on the last two channels."""
    rng = np.random.default_rng(seed)
    channels = 6
    following = rng.dirichlet(np.full(channels, 0.5), size=(channels + 1, channels + 1))
    converting = rng.beta(0.5, 1.0, size=(channels + 1, channels + 1))
    rows: list[Row] = []
    for _ in range(journeys):
        before, last, path = channels, channels, []
        while not path or rng.random() > 0.3:
            before, last = last, int(rng.choice(channels, p=following[before, last]))
            path.append("abcdef"[last])
        converted = int(rng.random() < converting[before, last])
        rows.append((path, converted, 7.0 * converted, 1 - converted))
    return rows


# ---------------------------------------------------------------- choice of order


@pytest.mark.parametrize("seed", [1, 2])
def test_data_of_order_two_are_known_as_such(seed: int) -> None:
    model = at.Markov(order="auto").fit(journeys_of(second_order(6_000, seed)))
    table = model.order_selection_.set_index("order")
    assert model.order_ == 2
    assert table["log_loss"].idxmin() == table["bic"].idxmin() == table["auc"].idxmax() == 2
    assert table.index[table["chosen"]].tolist() == [2]
    fixed = at.Markov(order=2).fit(journeys_of(second_order(6_000, seed)))
    np.testing.assert_allclose(model.removal_effects_, fixed.removal_effects_, rtol=1e-12)
    assert model.states_ == fixed.states_ == table.loc[2, "states"]
    assert model.label == "markov_auto"


def by_fold(journeys: at.Journeys) -> list[tuple[int, tuple[str, ...], bool]]:
    """(fold, path, whether it converted) of each journey of paths that are one journey each."""
    (chunk,) = journeys
    dealt = Dealing().deal(chunk)
    assert dealt.bucket is not None
    assert set((dealt.conversions + dealt.nulls).tolist()) == {1.0}
    return [
        (int(bucket) % choice.FOLDS, tuple(journeys.channels[c] for c in dealt.channel[start:stop]), bool(converted))
        for bucket, start, stop, converted in zip(dealt.bucket, dealt.start, dealt.stop, dealt.conversions, strict=True)
    ]


def steps_of(path: tuple[str, ...], converted: bool, order: int) -> list[tuple[tuple[Any, ...], str]]:
    padded = (None,) * order + path
    follows = [*path, "(conversion)" if converted else "(null)"]
    return [(padded[i : i + order], follow) for i, follow in enumerate(follows)]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_scores_equal_their_slow_twin(order: int) -> None:
    journeys = journeys_of(second_order(400, seed=5))
    dealt = by_fold(journeys)
    losses, areas = [], []
    for fold in range(choice.FOLDS):
        learned: Counter[Any] = Counter()
        for other, path, converted in dealt:
            if other != fold:
                learned.update(steps_of(path, converted, order))
        leaving: dict[Any, int] = defaultdict(int)
        for (state, _), count in learned.items():
            leaving[state] += count
        surprises, ends = [], []
        for other, path, converted in dealt:
            if other != fold:
                continue
            steps = steps_of(path, converted, order)
            for state, follow in steps:
                share = (learned[state, follow] + 0.5) / (leaving[state] + 0.5 * (len(journeys.channels) + 2))
                surprises.append(-math.log(share))
            last = steps[-1][0]
            good, bad = learned[last, "(conversion)"] + 0.5, learned[last, "(null)"] + 0.5
            ends.append((good / (good + bad), converted))
        losses.append(sum(surprises) / len(surprises))
        pairs = [(a, b) for a, won in ends if won for b, too in ends if not too]
        areas.append(sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs))
    row = at.Markov(order="auto").fit(journeys).order_selection_.set_index("order").loc[order]
    assert row["log_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-12)
    assert row["auc"] == pytest.approx(sum(areas) / len(areas), rel=1e-12)


@pytest.mark.parametrize("order", [1, 3])
def test_criteria_equal_their_slow_twin(order: int) -> None:
    rows = second_order(200, seed=6)
    counts = Counter(step for path, converted, _, _ in rows for step in steps_of(tuple(path), bool(converted), order))
    leaving: Counter[Any] = Counter()
    for (state, _), count in counts.items():
        leaving[state] += count
    likelihood = sum(count * math.log(count / leaving[state]) for (state, _), count in counts.items())
    parameters = len(counts) - len(leaving)
    row = at.Markov(order="auto").fit(journeys_of(rows)).order_selection_.set_index("order").loc[order]
    assert row["aic"] == pytest.approx(-2 * likelihood + 2 * parameters, rel=1e-12)
    assert row["bic"] == pytest.approx(-2 * likelihood + parameters * math.log(sum(counts.values())), rel=1e-12)
    assert row["states"] == len(leaving)


def test_the_smallest_order_within_one_standard_error() -> None:
    losses = np.array([[0.52, 0.60, 0.55], [0.51, 0.61, 0.54], [0.50, 0.59, 0.56]])
    place, errors = choice.smallest_good_order(losses)
    difference = losses[0] - losses[2]
    assert errors[0] == pytest.approx(difference.std(ddof=1) / math.sqrt(3))
    assert difference.mean() <= errors[0]
    assert place == 0
    assert choice.smallest_good_order(losses + np.array([[0.1], [0.0], [0.0]]))[0] == 1


def test_no_order_beyond_the_longest_path_is_tried() -> None:
    assert at.Markov(order="auto").fit(journeys_of(WORKED)).order_selection_["order"].tolist() == [1, 2, 3]
    model = at.Markov(order="auto").fit(journeys_of([(("a",), 1, 5, 2), (("b",), 0, 0, 4)]))
    assert (model.order_, model.order_selection_["order"].tolist()) == (1, [1])


def test_orders_are_chosen_without_nulls_and_on_one_journey() -> None:
    model = at.Markov(order="auto").fit(journeys_of([(("a", "b"), 5, 0, 0), (("b",), 2, 0, 0)]))
    assert model.order_selection_["auc"].isna().all()
    assert model.conversion_probability_ == 1.0
    assert at.Markov(order="auto").fit(journeys_of([(("a", "b"), 1, 0, 0)])).order_ == 1
    table = at.Markov(order="auto").fit(journeys_of([((), 3, 0, 1)])).order_selection_
    assert table["log_loss"].isna().all()


def test_the_table_of_orders_is_as_declared_and_does_not_depend_on_the_order_of_rows() -> None:
    rows = [(tuple(path), *rest) for path, *rest in second_order(500, seed=7)]
    model = at.Markov(order="auto", name="best").fit(journeys_of(rows))
    table = model.order_selection_
    assert tuple(table.columns) == HELD_OUT.column_names
    assert set(table["model"]) == {"best"}
    mixed = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    pd.testing.assert_frame_equal(at.Markov(order="auto", name="best").fit(journeys_of(mixed)).order_selection_, table)


def events(customers: int) -> at.Journeys:
    rng = np.random.default_rng(3)
    owner = rng.integers(0, customers, 6 * customers)
    hours = rng.integers(0, 24 * 300, len(owner))
    start = pd.Timestamp("2024-01-01")
    touchpoints = pd.DataFrame(
        {
            "customer_id": [f"客{c}" for c in owner],
            "touched_at": start + pd.to_timedelta(hours, "h"),
            "channel": rng.choice(["搜索", "mail", "social 🎉"], len(owner)),
        }
    )
    bought = rng.choice(customers, customers // 3, replace=False)
    conversions = pd.DataFrame(
        {
            "customer_id": [f"客{c}" for c in bought],
            "converted_at": start + pd.to_timedelta(rng.integers(24 * 30, 24 * 300, len(bought)), "h"),
            "value": rng.exponential(40.0, len(bought)),
        }
    )
    return at.build_journeys(at.load_sources(touchpoints, conversions))


def test_folds_are_of_customers() -> None:
    """All journeys of one customer are in one fold: what the folds sum up is what their customers do."""
    journeys = events(300)
    (summary,) = journeys.read(lambda chunk: choice.summarise_orders(chunk.touched, 3))
    wanted: Counter[int] = Counter()
    for chunk in journeys:
        dealt = Dealing().deal(chunk.touched)
        assert dealt.bucket is not None
        folds = defaultdict(set)
        for customer, bucket, length in zip(dealt.customer, dealt.bucket, dealt.lengths, strict=True):
            folds[int(customer)].add(int(bucket) % choice.FOLDS)
            wanted[int(bucket) % choice.FOLDS] += int(length) + 1
        assert all(len(found) == 1 for found in folds.values())
    table = summary.tables["steps"]
    found = np.bincount(table.keys[:, 0], to_float(table.sums), minlength=choice.FOLDS)
    assert found.tolist() == [wanted[fold] for fold in range(choice.FOLDS)]
    assert at.Markov(order="auto").fit(journeys).order_ == 1


# ---------------------------------------------------------------- what removal means


def test_continuation_by_hand() -> None:
    """One channel, 4 of 10 convert; without it 1 of 10 would: 3 of the 4 are its own. Values are 5 each."""
    model = at.Markov(continuation=0.1).fit(journeys_of([(("a",), 4, 20, 6)]))
    assert model.estimand == "incremental"
    assert model.credit_.conversions.tolist() == pytest.approx([3, 0])
    assert model.credit_.value.tolist() == pytest.approx([15, 0])
    assert model.credit_.baseline == pytest.approx((1, 5))
    assert model.removal_effects_[0].tolist() == pytest.approx([0.75, 0.75])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_continuation_equals_its_formula(order: int) -> None:
    """Journeys × f (V − b), with f V from the effects of removal to null; f by counting the paths at order 3."""
    journeys = journeys_of(WORKED)
    plain = at.Markov(order=order).fit(journeys)
    without = {"a": 0.2, "c": 0.05}
    model = at.Markov(order=order, continuation=without).fit(journeys)
    gap = 8 * plain.removal_effects_[:, 0] - model.credit_.conversions[:-1]
    reached = np.array([12, 12, 12]) if order == 3 else gap / [0.2, 1, 0.05]
    assert gap[1] == pytest.approx(0, abs=1e-12)
    assert gap[[0, 2]] == pytest.approx(reached[[0, 2]] * [0.2, 0.05])
    half = at.Markov(order=order, continuation={"a": 0.1}).fit(journeys)
    assert half.credit_.conversions[0] == pytest.approx(8 * plain.removal_effects_[0, 0] - gap[0] / 2)
    assert half.credit_.total("conversions") == pytest.approx(8)
    at.attribute(journeys, [model])


def test_of_a_continuation_of_nothing_removal_effects_are_left() -> None:
    journeys = journeys_of(second_order(300, seed=8))
    plain, model = (at.Markov(order=2, continuation=b).fit(journeys) for b in (None, 0))
    np.testing.assert_allclose(model.removal_effects_, plain.removal_effects_, rtol=1e-12)
    total = journeys.total("conversions")
    np.testing.assert_allclose(model.credit_.conversions[:-1], total * plain.removal_effects_[:, 0], rtol=1e-12)
    assert model.credit_.baseline is not None
    assert model.credit_.baseline[0] < 0
    found = {finding.check: finding for finding in model_findings([model])}
    assert found["negative_baseline"].count == pytest.approx(-model.credit_.baseline[0])
    assert "baseline is negative" in found["negative_baseline"].message


def test_credit_below_nothing_is_kept_shown_and_not_handed_out() -> None:
    journeys = journeys_of(WORKED)
    model = at.Markov(continuation={"c": 0.9}).fit(journeys)
    c = model.channels_.index("c")
    assert model.credit_.conversions[c] < 0
    (finding,) = [finding for finding in model_findings([model]) if finding.check == "negative_credit"]
    assert (finding.count, finding.example) == (1, "c")
    assert at.attribute(journeys, [model]).table["share"].isna().all()
    (chunk,) = journeys
    with pytest.raises(InputError, match="negative credit"):
        model.weigh(chunk)


# ---------------------------------------------------------------- pairs


def test_pairs_of_a_long_memory_are_counted_paths() -> None:
    """With memory of whole paths the interaction is minus the share of conversions that touched both."""
    rows = second_order(250, seed=9)
    model = at.Markov(order=40).fit(journeys_of(rows))
    table = model.interactions()
    assert tuple(table.columns) == INTERACTIONS.column_names
    assert len(table) == 15
    converted = [set(path) for path, conversions, _, _ in rows if conversions]
    for row in table.itertuples():
        both = sum({row.channel_a, row.channel_b} <= path for path in converted) / len(converted)
        assert row.interaction == pytest.approx(-both, rel=1e-9, abs=1e-12)
        assert row.measure == "second_order_removal"


def test_channels_that_never_meet_do_not_interact() -> None:
    table = at.Markov().fit(journeys_of([(("a",), 2, 0, 3), (("b",), 1, 0, 5)])).interactions()
    assert table[["channel_a", "channel_b", "interaction"]].values.tolist() == [["a", "b", 0.0]]


def test_pairs_may_gain_by_each_other_where_journeys_go_on() -> None:
    """Whichever of the two is met first, the journey goes on; a > b: without a it converts as often as with both.

    Without b, which converts 6 of 10, 9 of 10 would: effect −0.5. Without a, or both, 6 of 10: effect 0.
    """
    model = at.Markov(continuation={"a": 0.6, "b": 0.9}).fit(journeys_of([(("a", "b"), 6, 0, 4)]))
    assert model.removal_effects_[:, 0].tolist() == pytest.approx([0, -0.5])
    (row,) = model.interactions().itertuples()
    assert row.interaction == pytest.approx(0.5)


def test_one_channel_has_no_pairs() -> None:
    assert len(at.Markov().fit(journeys_of([(("a",), 1, 0, 1)])).interactions()) == 0


# ---------------------------------------------------------------- draws


def in_buckets(model: at.AttributionModel, journeys: at.Journeys) -> tuple[Buckets, Buckets]:
    (summary,) = journeys.read(bucket_reader([model.summarise, observe], Dealing(64)))
    (_, own), (_, observed) = split_buckets(summary, 2)
    return own, observed


SOLVED = [{"order": 1}, {"order": 1, "continuation": 0.1}, {"order": 30}, {"order": 30, "continuation": {"a": 0.1}}]


@pytest.mark.parametrize("params", SOLVED, ids=str)
def test_draws_of_small_chains_and_of_whole_paths_are_exact(params: dict[str, Any]) -> None:
    journeys = journeys_of(second_order(400, seed=10))
    model = at.Markov(**params).fit(journeys)
    own, observed = in_buckets(model, journeys)
    weights = np.random.default_rng(0).integers(0, 3, (8, own.size)).astype(float)
    drawn, solved = (
        draw(own, observed, weights) for draw in (get_machinery(model).redraw, get_machinery(model).solve_again)
    )
    for name in ("conversions", "value", "effects"):
        np.testing.assert_allclose(getattr(drawn, name), getattr(solved, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("params", [{"order": 2}, {"order": "auto"}, {"order": 2, "continuation": 0.1}], ids=str)
def test_linearised_draws_are_near_the_exact_ones(params: dict[str, Any]) -> None:
    """Off by a tenth of what draws differ by at most; unit weights give the model itself."""
    journeys = journeys_of(second_order(12_000, seed=1))
    model = at.Markov(**params).fit(journeys)
    assert get_machinery(model).is_linearised
    assert model.order_ == 2
    own, observed = in_buckets(model, journeys)
    itself = get_machinery(model).redraw(own, observed, np.ones((1, own.size)))
    np.testing.assert_allclose(itself.conversions[0], model.credit_.conversions[:-1], rtol=1e-8)
    np.testing.assert_allclose(itself.value[0], model.credit_.value[:-1], rtol=1e-8)
    assert itself.effects is not None
    np.testing.assert_allclose(itself.effects[0], model.removal_effects_, rtol=1e-8)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(own.size, np.full(own.size, 1 / own.size), size=30).astype(float)
    drawn, solved = (
        draw(own, observed, weights) for draw in (get_machinery(model).redraw, get_machinery(model).solve_again)
    )
    off = np.abs(drawn.conversions - solved.conversions).max(axis=0)
    assert (off < 0.1 * solved.conversions.std(axis=0)).all()
    assert np.corrcoef(drawn.value.ravel(), solved.value.ravel())[0, 1] > 0.999


def test_customers_in_buckets_are_redrawn_too() -> None:
    journeys = events(400)
    model = at.Markov(order=2).fit(journeys)
    own, observed = in_buckets(model, journeys)
    itself = get_machinery(model).redraw(own, observed, np.ones((1, own.size)))
    np.testing.assert_allclose(itself.value[0], model.credit_.value[:-1], rtol=1e-8)


# ---------------------------------------------------------------- what to know, and bad input


def test_an_order_beyond_the_longest_path_is_computed_and_flagged() -> None:
    journeys = journeys_of(WORKED)
    model = at.Markov(order=7).fit(journeys)
    assert model.removal_effects_[:, 0].tolist() == pytest.approx([0.75, 0.875, 0.5])
    (finding,) = [finding for finding in model_findings([model]) if finding.check == "order_beyond_paths"]
    assert (finding.status, finding.count) == ("warn", 4)
    assert "longest path, which has 3" in finding.message
    checks = {finding.check for finding in model_findings([at.Markov(order=3).fit(journeys)])}
    assert "order_beyond_paths" not in checks


def test_states_hardly_ever_seen_are_flagged() -> None:
    journeys = journeys_of(second_order(40, seed=2))
    assert "thin_states" in {finding.check for finding in model_findings([at.Markov(order=5).fit(journeys)])}
    assert "thin_states" not in {finding.check for finding in model_findings([at.Markov().fit(journeys)])}


def test_without_nulls_every_journey_converts() -> None:
    model = at.Markov(order=2).fit(journeys_of([(("a", "b"), 3, 9, 0), (("b",), 1, 1, 0)]))
    assert model.conversion_probability_ == 1.0
    assert model.removal_effects_[:, 0].tolist() == pytest.approx([0.75, 1.0])
    with pytest.raises(InputError, match="needs journeys that did not convert"):
        at.Markov(continuation=0.1).fit(journeys_of([(("a",), 3, 9, 0)]))


@pytest.mark.parametrize("order", [0, -1, 1.5, True, "otto", None, math.nan, "2", [2]])
def test_impossible_orders_are_refused(order: Any) -> None:
    with pytest.raises(InputError, match=r'whole numbers from 1 to 1000, or "auto"'):
        at.Markov(order=order).fit(journeys_of(WORKED))


@pytest.mark.parametrize("given", [-0.1, 1.01, math.nan, math.inf, "0.1", True, {"a": 2.0}, {"a": None}])
def test_impossible_continuations_are_refused(given: Any) -> None:
    with pytest.raises(InputError, match="numbers from 0 to 1"):
        at.Markov(continuation=given).fit(journeys_of(WORKED))


def test_a_continuation_of_an_unknown_channel_is_refused() -> None:
    with pytest.raises(InputError, match=r"'serach', which no journey has.*did you mean 'search'"):
        at.Markov(continuation={"serach": 0.1}).fit(journeys_of([(("search",), 1, 0, 1)]))


def test_params_are_kept_as_given() -> None:
    clone = pytest.importorskip("sklearn.base").clone
    model = at.Markov(order="auto", continuation={"a": 0.25})
    assert clone(model).get_params() == model.get_params()
    assert repr(model) == "Markov(order='auto', continuation={'a': 0.25})"


def test_a_continuation_without_a_touched_conversion_credits_no_more_than_it_says() -> None:
    paths = pd.DataFrame({"path": ["", "a > b", "c"], "conversions": [3, 0, 0], "nulls": [1, 3, 2]})
    model = at.Markov(continuation=0.1).fit(at.build_journeys(at.load_sources(paths=paths)))
    # Each of three journeys through a or b, and two through c, would have converted with 0.1.
    np.testing.assert_allclose(model.credit_.conversions[:-1], [-0.3, -0.3, -0.2], rtol=1e-12)


@pytest.mark.parametrize(("channels", "order"), [(3, 3), (40, 12)])
def test_steps_of_a_lower_order_follow_from_those_of_a_higher_one(channels: int, order: int) -> None:
    (chunk,) = journeys_of([(path, conversions, 0.1 * value, nulls) for path, conversions, value, nulls in WORKED])
    high = summarise_steps(chunk, channels=channels, order=order)
    for to in range(1, order):
        made = shorten_summary(high, channels=channels, order=order, to=to)
        expected = summarise_steps(chunk, channels=channels, order=to)
        for name in ("steps", "value"):
            assert made.tables[name].keys.tolist() == expected.tables[name].keys.tolist()
            assert to_float(made.tables[name].sums).tobytes() == to_float(expected.tables[name].sums).tobytes()
