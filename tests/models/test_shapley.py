"""The games of the Shapley model: worked numbers, twins, laws, samples, draws, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

import attribution as at
from attribution.errors import InputError
from attribution.journeys import observe
from attribution.journeys.buckets import Buckets, Dealing, bucket_reader, split_buckets
from attribution.kernels.statistics.draws import multinomial_weights
from attribution.models import games
from attribution.models.machinery import attributable, get_machinery
from attribution.models.model_tables import model_findings
from attribution.schema.tables import CREDIT_BY_POSITION, INTERACTIONS, UNATTRIBUTED
from attribution.testing import check_model
from tests.twins import models as twin
from tests.twins.strategies import path_tables

RATES = ("rate", "path_incremental", "classifier")
ORACLE = {
    "": (1, 50),
    "A": (1, 4),
    "B": (2, 10),
    "A > B": (6, 10),
    "C": (0, 10),
    "A > C": (1, 5),
    "B > C": (3, 6),
    "A > B > C": (5, 8),
}


def from_counts(counts: Mapping[str, tuple[float, float]], value: Sequence[float] | None = None) -> at.Journeys:
    """Paths with their conversions and journeys; value is ten per conversion unless given."""
    converted, journeys = np.array(list(counts.values()), float).T
    frame = pd.DataFrame({"path": list(counts), "conversions": converted, "nulls": journeys - converted})
    frame["value"] = 10 * converted if value is None else value
    return at.build_journeys(at.load_sources(paths=frame))


def simulated(channels: int, customers: int = 3_000, seed: int = 0) -> at.Journeys:
    """Paths of customers, a third of them untouched, whose channels have effects of their own."""
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(0.3, customers) * (rng.random(customers) < 2 / 3)
    popular = 1 / np.arange(1, channels + 1)
    effect = rng.gamma(2, 0.15, channels)
    rows = []
    for length in lengths:
        path = rng.choice(channels, length, p=popular / popular.sum())
        converts = rng.random() < 1 / (1 + np.exp(3 - effect[np.unique(path)].sum()))
        name = " > ".join(f"c{channel:02d}" for channel in path)
        rows.append((name, int(converts), int(not converts), converts * rng.gamma(2, 20)))
    frame = pd.DataFrame(rows, columns=["path", "conversions", "nulls", "value"])
    return at.build_journeys(at.load_sources(paths=frame))


class Lookup(ClassifierMixin, BaseEstimator):
    """Knows the rate of every set of channels, and of a set it never met, of all journeys within it."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> Lookup:
        self.classes_ = np.array([0, 1])
        self.seen_ = X > 0
        self.converted_, self.journeys_ = sample_weight * y, sample_weight
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        chance = np.array([self._rate(row) for row in X > 0])
        return np.stack([1 - chance, chance], axis=1)

    def _rate(self, row: np.ndarray) -> float:
        rows = (self.seen_ == row).all(axis=1)
        if not rows.any():
            rows = ~(self.seen_ & ~row).any(axis=1)
        return self.converted_[rows].sum() / self.journeys_[rows].sum()


class Constant(ClassifierMixin, BaseEstimator):
    """Gives one answer; fitted as it comes."""

    def __init__(self, answer: float = 0.5, columns: int = 2) -> None:
        self.answer = answer
        self.columns = columns
        self.classes_ = np.array([0, 1])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: np.ndarray, y: np.ndarray) -> Constant:
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.full((len(X), self.columns), self.answer)


# ---------------------------------------------------------------- worked numbers


@pytest.mark.parametrize(
    ("game", "credit", "baseline"),
    [
        ("set", [6.166667, 8.166667, 3.666667], None),
        ("rate", [103 * 0.05950968, 103 * 0.08372572, 103 * 0.02123062], 1.06),
        ("path_incremental", [6.891667, 9.236667, 0.811667], 1.06),
    ],
)
def test_worked_games(game: str, credit: list[float], baseline: float | None) -> None:
    model = at.Shapley(game=game).fit(from_counts(ORACLE))
    np.testing.assert_allclose(model.credit_.conversions, [*credit, 1], atol=1e-6)
    np.testing.assert_allclose(model.credit_.value, 10 * model.credit_.conversions, rtol=1e-12)
    assert model.estimand == ("allocated" if baseline is None else "incremental")
    assert model.credit_.baseline == (None if baseline is None else pytest.approx((baseline, 10 * baseline)))
    assert model.credit_.total("conversions") == pytest.approx(19)
    assert model.standard_error_.tolist() == [0, 0, 0]
    assert model.pairs_ == 0


@pytest.mark.parametrize("game", ["rate", "path_incremental"])
def test_value_is_a_game_of_its_own(game: str) -> None:
    value = [0.0, 3.5, 1.0, 4.0, 0.0, 2.5, 3.0, 8.0]
    model = at.Shapley(game=game).fit(from_counts(ORACLE, value))
    as_conversions = {path: (of, journeys) for (path, (_, journeys)), of in zip(ORACLE.items(), value, strict=True)}
    alone = at.Shapley(game=game).fit(from_counts(as_conversions, [0.0] * 8))
    np.testing.assert_allclose(model.credit_.value, alone.credit_.conversions, atol=1e-12)
    assert alone.credit_.value.tolist() == [0] * 4


def test_only_the_increment_over_no_ads_is_given() -> None:
    """Channels that change nothing get nothing, whatever their share of the conversions."""
    same = dict.fromkeys(ORACLE, (2, 10))
    for game in RATES:
        model = at.Shapley(game=game).fit(from_counts(same))
        np.testing.assert_allclose(model.credit_.conversions, [0, 0, 0, 2], atol=1e-6)
        assert model.credit_.baseline is not None
        assert model.credit_.baseline[0] == pytest.approx(14, abs=1e-6)


def test_journeys_that_nobody_touched_alone() -> None:
    for game in RATES:
        model = at.Shapley(game=game).fit(from_counts({"": (2, 10)}))
        assert model.credit_.conversions.tolist() == [2]


def test_not_one_journey() -> None:
    nothing = replace(from_counts(ORACLE), chunks=())
    model = at.Shapley().fit(nothing)
    assert model.credit_.conversions.tolist() == [0, 0, 0, 0]
    assert len(model.by_position()) == 0
    assert model.interactions()["interaction"].tolist() == [0.0] * 3
    assert at.Shapley(game="classifier").fit(nothing).credit_.conversions.tolist() == [0, 0, 0, 0]
    with pytest.raises(InputError, match="never touched"):
        at.Shapley(game="rate").fit(nothing)


def test_labels() -> None:
    models = [at.Shapley(), at.Shapley(game="rate"), at.Shapley(game="path_incremental")]
    assert [model.label for model in models] == ["shapley", "shapley_rate", "shapley_path_incremental"]


# ---------------------------------------------------------------- laws


@pytest.mark.parametrize(
    "model",
    [
        at.Shapley(),
        *(at.Shapley(game=game) for game in RATES),
        *(at.Shapley(game=game, negative="zero") for game in RATES),
        at.Shapley(game="rate", method="sampling"),
        at.Shapley(game="classifier", method="sampling", classifier="sklearn.naive_bayes:GaussianNB"),
    ],
    ids=lambda model: model.label,
)
def test_every_law_holds(model: at.AttributionModel) -> None:
    check_model(model)


def test_a_channel_that_is_in_every_game_for_nothing() -> None:
    """A null player: its journeys have the rates of journeys without it."""
    twice = {**ORACLE, **{f"{path} > D" if path else "D": pair for path, pair in ORACLE.items()}}
    for game in ("rate", "path_incremental"):
        model = at.Shapley(game=game).fit(from_counts(twice))
        assert model.credit_.conversions[3] == pytest.approx(0, abs=1e-12)


# ---------------------------------------------------------------- credit by position


def test_by_position_of_one_journey() -> None:
    journeys = from_counts({"A > B > A": (3, 3), "B": (1, 5)})
    table = at.Shapley(name="渠道").fit(journeys).by_position()
    assert tuple(table.columns) == CREDIT_BY_POSITION.column_names
    assert table.to_numpy().tolist() == [
        ["渠道", "A", 1, 0.75],
        ["渠道", "A", 3, 0.75],
        ["渠道", "B", 1, 1.0],
        ["渠道", "B", 2, 1.5],
    ]


@settings(max_examples=40)
@given(rows=path_tables())
def test_positions_add_up_to_the_credit(rows: list[twin.PathRow]) -> None:
    if not rows:
        return
    frame = pd.DataFrame(
        {
            "path": pd.Series([list(row.path) for row in rows], dtype=object),
            "conversions": [row.conversions for row in rows],
            "nulls": [row.nulls for row in rows],
        }
    )
    model = at.Shapley().fit(at.build_journeys(at.load_sources(paths=frame)))
    by_channel = model.by_position().groupby("channel")["conversions"].sum()
    credit = model.credit_.to_frame().set_index("channel")["conversions"].drop(UNATTRIBUTED)
    np.testing.assert_allclose(by_channel.reindex(credit.index, fill_value=0.0), credit, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("game", RATES)
def test_only_the_set_game_has_positions(game: str) -> None:
    with pytest.raises(InputError, match="only the game 'set' has credit by position"):
        at.Shapley(game=game).fit(from_counts(ORACLE)).by_position()


# ---------------------------------------------------------------- interactions


def test_interactions_of_the_set_game() -> None:
    table = at.Shapley().fit(from_counts(ORACLE)).interactions()
    assert tuple(table.columns) == INTERACTIONS.column_names
    assert table[["channel_a", "channel_b"]].to_numpy().tolist() == [["A", "B"], ["A", "C"], ["B", "C"]]
    # What the two have together, and half of what they share with a third.
    assert table["interaction"].tolist() == [6 + 2.5, 1 + 2.5, 3 + 2.5]
    assert set(table["measure"]) == {"shapley_interaction"}


def test_interactions_of_the_rate_game() -> None:
    """Two channels: what both bring beyond what each brings alone, by hand."""
    counts = {"": (1, 50), "A": (4, 10), "B": (5, 10), "A > B": (6, 10)}
    table = at.Shapley(game="rate").fit(from_counts(counts)).interactions()
    expected = 80 * (16 / 80 - 5 / 60 - 6 / 60 + 1 / 50)
    assert table["interaction"].tolist() == [pytest.approx(expected)]
    less = at.Shapley(game="rate").fit(from_counts(counts | {"A > B": (0, 10)})).interactions()
    assert table["interaction"][0] > 0 > less["interaction"][0]


def test_rounding_is_no_interaction() -> None:
    counts = {"": (0, 10), "A": (1, 10), "B": (1, 10), "C": (2, 10), "A > B": (0, 0), "A > C": (3, 7)}
    table = at.Shapley().fit(from_counts(counts)).interactions()
    assert np.sign(table["interaction"]).tolist() == [0, 1, 0]


def test_interactions_that_cannot_be_had() -> None:
    many = at.Shapley(game="rate").fit(simulated(23, customers=400))
    with pytest.raises(InputError, match=r"interactions of 23 channels .* up to 22"):
        many.interactions()
    with pytest.raises(InputError, match="Allowed: set, rate"):
        at.Shapley(game="path_incremental").fit(from_counts(ORACLE)).interactions()


# ---------------------------------------------------------------- exact and sampled


@pytest.mark.parametrize("game", RATES)
def test_samples_are_near_the_exact_credit(game: str) -> None:
    journeys = simulated(9, customers=600)
    exact = at.Shapley(game=game, method="exact").fit(journeys)
    drawn = at.Shapley(game=game, method="sampling").fit(journeys)
    assert drawn.pairs_ > 0
    assert (drawn.standard_error_ > 0).all()
    differs = np.abs(drawn.credit_.conversions - exact.credit_.conversions)[:-1]
    assert (differs <= 5 * drawn.standard_error_ + 1e-9).all()
    np.testing.assert_allclose(drawn.credit_.conversions.sum(), exact.credit_.conversions.sum(), rtol=1e-9)


def test_large_games_are_sampled_by_themselves() -> None:
    journeys = simulated(30)
    model = at.Shapley(game="rate").fit(journeys)
    assert model.pairs_ > 0
    assert model.standard_error_.max() <= 0.011 * np.abs(model.credit_.conversions[:-1]).mean()
    again = at.Shapley(game="rate", seed=1).fit(journeys)
    assert model.credit_.conversions.tobytes() != again.credit_.conversions.tobytes()
    spread = np.hypot(model.standard_error_, again.standard_error_)
    assert (np.abs(model.credit_.conversions - again.credit_.conversions)[:-1] <= 5 * spread).all()


def test_a_journey_of_many_channels_is_sampled_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    journeys = simulated(9, customers=600)
    exact = at.Shapley(game="path_incremental").fit(journeys)
    monkeypatch.setattr(games, "EXACT_PLAYERS", 3)
    mixed = at.Shapley(game="path_incremental").fit(journeys)
    assert exact.pairs_ == 0 < mixed.pairs_
    differs = np.abs(mixed.credit_.conversions - exact.credit_.conversions)[:-1]
    assert (differs <= 5 * mixed.standard_error_ + 1e-9).all()


@pytest.mark.parametrize(("channels", "reason"), [(23, "2\\^23 numbers\\. "), (64, "does not fit a machine word")])
@pytest.mark.parametrize("game", ["rate", "path_incremental"])
def test_exactness_that_cannot_be_had(game: str, channels: int, reason: str) -> None:
    path = " > ".join(f"c{channel:02d}" for channel in range(channels))
    journeys = from_counts({"": (1, 50), path: (1, 2)})
    with pytest.raises(InputError, match=f"{reason}.*up to 22 channels.*method = 'auto'"):
        at.Shapley(game=game, method="exact").fit(journeys)
    model = at.Shapley(game=game).fit(journeys)
    np.testing.assert_allclose(model.credit_.conversions[:-1], 2 * (0.5 - 0.02) / channels, rtol=0.2)


def test_the_set_game_is_exact_for_any_number_of_channels() -> None:
    path = " > ".join(f"c{channel:02d}" for channel in range(70))
    model = at.Shapley(method="exact").fit(from_counts({path: (7, 7)}))
    np.testing.assert_allclose(model.credit_.conversions[:-1], 0.1)


# ---------------------------------------------------------------- what is negative


HARM = {"": (10, 50), "A": (1, 50), "B": (30, 50)}


def test_negative_credit_is_kept_and_said() -> None:
    model = at.Shapley(game="path_incremental").fit(from_counts(HARM))
    assert model.credit_.conversions.tolist() == pytest.approx([-9, 20, 10])
    said = {finding.check: finding for finding in model_findings([model])}
    assert said["negative_credit"].example == "A"
    assert said["negative_credit"].status == "warn"
    assert at.Credit.of([model]).table["share"].isna().all()


@pytest.mark.parametrize("game", ["rate", "path_incremental"])
@pytest.mark.parametrize("seed", range(12))
def test_a_baseline_of_rounding_is_none_and_shares_are_given(game: str, seed: int) -> None:
    """Nobody converts untouched: channels add up to all conversions, in every digit or not."""
    rng = np.random.default_rng(seed)
    sets = ["A", "B", "A > B", "C", "A > C", "B > C", "A > B > C"]
    converted = rng.integers(size := np.arange(1, 8), 10 * size)
    counts = {name: (int(n), int(n + rng.integers(1, 60))) for name, n in zip(sets, converted, strict=True)}
    model = at.Shapley(game=game).fit(from_counts({"": (0, 400), **counts}))
    assert model.credit_.baseline == (0.0, 0.0)
    share = at.Credit.of([model]).table["share"]
    assert share.notna().all() == (model.credit_.conversions >= 0).all()


def test_negative_credit_is_not_handed_out_unless_by_a_named_rule() -> None:
    journeys = from_counts({**HARM, "A > B > A": (4, 8)})
    model = at.Shapley(game="path_incremental").fit(journeys)
    chunk = next(iter(journeys)).allocated
    with pytest.raises(InputError, match=r"negative credit.*Given: A: -.*negative = 'zero'"):
        model.weigh(chunk)
    lenient = at.Shapley(game="path_incremental", negative="zero").fit(journeys)
    assert lenient.credit_.conversions.tobytes() == model.credit_.conversions.tobytes()
    refused, given = (at.Credit.of([fitted]).table["share"] for fitted in (model, lenient))
    assert refused.isna().all()
    assert given.sum() == pytest.approx(1.0)
    assert given[0] == 0
    for reconciled in (True, False):
        last = lenient.set_params(reconcile=reconciled).fit(journeys).weigh(chunk)[-3:]
        assert last[[0, 2]].tolist() == [0, 0]
        assert last[1] > 0


def test_without_reconciling_a_touchpoint_weighs_its_channel_s_total() -> None:
    journeys = from_counts({"": (0, 50), "A": (5, 50), "B > A > B": (10, 20)})
    model = at.Shapley(game="rate", reconcile=False).fit(journeys)
    a, b = model.credit_.conversions[:2]
    assert model.weigh(next(iter(journeys)).allocated)[-3:].tolist() == [b, a, b]


# ---------------------------------------------------------------- customers who were never touched


def events(*, untouched: int) -> dict[str, pd.DataFrame]:
    touchpoints = pd.DataFrame(
        {
            "customer_id": ["a", "b", "b", "c"],
            "touched_at": pd.to_datetime(["2024-01-01"] * 4) + pd.to_timedelta([0, 0, 1, 0], "D"),
            "channel": ["mail", "mail", "search", "search"],
        }
    )
    conversions = pd.DataFrame({"customer_id": ["b", "d"], "converted_at": pd.to_datetime(["2024-01-03"] * 2)})
    customers = pd.DataFrame({"customer_id": ["a", "b", "c", "d", *(f"u{i}" for i in range(untouched))]})
    return {"touchpoints": touchpoints, "conversions": conversions, "customers": customers}


def test_untouched_customers_come_from_the_customers_table() -> None:
    journeys = at.build_journeys(at.load_sources(**events(untouched=9)))
    model = at.Shapley(game="rate").fit(journeys)
    # Rates: none 1/10, mail or search alone 1/11, both 2/13.
    each = 13 * (2 / 13 - 0.1) / 2
    assert model.credit_.conversions.tolist() == pytest.approx([each, each, 1])
    assert model.credit_.baseline == pytest.approx((2 - 1 - 2 * each, 0))


@pytest.mark.parametrize("game", ["rate", "path_incremental"])
def test_without_untouched_customers_there_is_no_rate(game: str) -> None:
    tables = events(untouched=0)
    for journeys in (
        at.build_journeys(at.load_sources(**tables)),
        at.build_journeys(at.load_sources(tables["touchpoints"], tables["conversions"])),
        from_counts({"A": (1, 2)}),
        from_counts({"A": (1, 2), "": (3, 3)}),
    ):
        with pytest.raises(InputError, match=f"game '{game}' needs customers who were never touched"):
            at.Shapley(game=game).fit(journeys)


def test_the_bias_of_journeys_that_stop_at_conversion_is_said() -> None:
    from_events = at.build_journeys(at.load_sources(**events(untouched=9)))
    for journeys, said in ((from_events, "journeys stop at conversion"), (from_counts(ORACLE), "if these paths stop")):
        assert "immortal_time" not in {finding.check for finding in model_findings([at.Shapley().fit(journeys)])}
        for game in RATES:
            (found,) = [f for f in model_findings([at.Shapley(game=game).fit(journeys)]) if f.check == "immortal_time"]
            assert found.status == "warn"
            assert said in found.message


# ---------------------------------------------------------------- a classifier as value function


def test_a_classifier_that_knows_every_set_is_the_game_of_paths() -> None:
    counts = {**ORACLE, "A > A": (3, 4), "B > A > B > A": (1, 7), "C > D > A": (2, 5), "B > D": (1, 2)}
    journeys = from_counts(counts)
    paths = at.Shapley(game="path_incremental").fit(journeys)
    model = at.Shapley(game="classifier", classifier=Lookup()).fit(journeys)
    np.testing.assert_allclose(model.credit_.conversions, paths.credit_.conversions, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.credit_.value, paths.credit_.value, rtol=1e-12, atol=1e-11)


def test_two_solvers_agree() -> None:
    """The optimiser trap: a solver that stops early credits less."""
    journeys = simulated(6)
    newton = at.Shapley(game="classifier").fit(journeys)
    settings = {"solver": "lbfgs", "tol": 1e-10, "max_iter": 10_000}
    other = at.Shapley(game="classifier", classifier_settings=settings).fit(journeys)
    np.testing.assert_allclose(other.credit_.conversions, newton.credit_.conversions, rtol=1e-4)
    early = at.Shapley(game="classifier", classifier_settings={"solver": "lbfgs", "max_iter": 2}).fit(journeys)
    assert np.abs(early.credit_.conversions / newton.credit_.conversions - 1).max() > 0.01
    (said,) = [finding for finding in model_findings([early]) if finding.check == "classifier_warnings"]
    assert said.status == "warn"
    assert "converge" in str(said.example)


def test_a_logistic_regression_adds_up_to_the_conversions() -> None:
    """Its mean probability is the rate, so that with the baseline nothing is left over."""
    model = at.Shapley(game="classifier").fit(journeys := simulated(6))
    unfitted = LogisticRegression(C=1e10, solver="newton-cholesky", tol=1e-9)
    again = at.Shapley(game="classifier", classifier=unfitted).fit(journeys)
    assert model.credit_.conversions.tobytes() == again.credit_.conversions.tobytes()
    assert not hasattr(unfitted, "coef_")
    assert model.credit_.baseline is not None
    assert 0 < model.credit_.baseline[0] < attributable(model, "conversions")


def test_a_fitted_classifier_is_used_as_it_is() -> None:
    journeys = from_counts(ORACLE)
    fitted = LogisticRegression().fit(np.eye(3), [0, 1, 1])
    fitted.coef_, fitted.intercept_ = np.array([[1.0, 0.0, 0.0]]), np.array([0.0])
    model = at.Shapley(game="classifier", classifier=fitted).fit(journeys)
    with_a = 4 + 10 + 5 + 8
    assert model.credit_.conversions[:3].tolist() == pytest.approx([with_a * (1 / (1 + np.exp(-1)) - 0.5), 0, 0])


def test_touchpoints_count_as_often_as_they_are() -> None:
    journeys = from_counts({"": (1, 9), "A > A > A": (3, 4), "A": (1, 7)})
    fitted = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    fitted.coef_, fitted.intercept_ = np.array([[1.0]]), np.array([0.0])
    model = at.Shapley(game="classifier", classifier=fitted).fit(journeys)
    expected = 4 / (1 + np.exp(-3)) + 7 / (1 + np.exp(-1)) - 11 / 2
    assert model.credit_.conversions[0] == pytest.approx(expected)


def test_a_classifier_that_saw_no_untouched_customer_says_so() -> None:
    said = {
        f.check for f in model_findings([at.Shapley(game="classifier").fit(from_counts({"A": (1, 4), "B": (2, 4)}))])
    }
    assert "classifier_without_untouched" in said


@pytest.mark.parametrize(
    ("classifier", "classifier_settings", "problem"),
    [
        (object(), None, "has no method predict_proba"),
        (LogisticRegression, None, "has no method predict_proba"),
        (3, None, "has no method predict_proba"),
        ("sklearn.linear_model:LinearRegression", None, "has no method predict_proba"),
        ("sklearn.linear_model:Nothing", None, "cannot be loaded: AttributeError"),
        ("no_such_module:Class", None, "cannot be loaded: ModuleNotFoundError"),
        ("", None, "cannot be loaded"),
        (None, {"depth": 3}, "does not accept these settings: TypeError"),
        (None, "fast", "classifier_settings must be arguments by name. Given: 'fast'"),
        ("sklearn.linear_model:LogisticRegression", [1, 2], "classifier_settings must be arguments by name"),
        (LogisticRegression(), {"C": 1}, "classifier_settings are only for a classifier"),
    ],
)
def test_what_is_no_classifier(classifier: Any, classifier_settings: Any, problem: str) -> None:
    model = at.Shapley(game="classifier", classifier=classifier, classifier_settings=classifier_settings)
    with pytest.raises(InputError, match=problem):
        model.validate()


@pytest.mark.parametrize(
    ("classifier", "problem"),
    [
        (Constant(np.nan), "that is no probability. Given: nan"),
        (Constant(1.5), r"that is no probability. Given: 1.5"),
        (Constant(columns=3), "array of the wrong shape"),
        (LogisticRegression().fit(np.eye(4), [0, 1, 1, 0]), "fitted on other features or classes. Given: 4 features"),
        (LogisticRegression().fit(np.eye(3), ["yes", "no", "no"]), "fitted on other features or classes.*no, yes"),
        (LogisticRegression(C=-1.0), "cannot be fitted: InvalidParameterError"),
        ("sklearn.neighbors:KNeighborsClassifier", "cannot be fitted: TypeError.*sample_weight"),
    ],
    ids=["nan", "above 1", "shape", "features", "classes", "parameters", "weights"],
)
def test_classifiers_that_cannot_be_used(classifier: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        at.Shapley(game="classifier", classifier=classifier).fit(from_counts(ORACLE))


def test_a_classifier_needs_both_outcomes() -> None:
    for counts in ({"A": (0, 3), "": (0, 5)}, {"A": (3, 3)}):
        with pytest.raises(InputError, match="journeys that converted and journeys that did not"):
            at.Shapley(game="classifier").fit(from_counts(counts))


def test_exact_predictions_for_many_channels_are_refused() -> None:
    path = " > ".join(f"c{channel:02d}" for channel in range(11))
    journeys = from_counts({"": (1, 50), path: (1, 2)})
    with pytest.raises(InputError, match=r"2\^11 predictions.*up to 10 channels"):
        at.Shapley(game="classifier", method="exact").fit(journeys)
    assert at.Shapley(game="classifier").fit(journeys).pairs_ > 0


# ---------------------------------------------------------------- draws


def in_buckets(model: at.Shapley, journeys: at.Journeys, size: int = 256) -> tuple[Buckets, Buckets]:
    (summed,) = journeys.read(bucket_reader([observe, model.summarise], Dealing(size=size)))
    (_, observed), (_, own) = split_buckets(summed, 2)
    return own, observed


@pytest.mark.parametrize(("game", "channels"), [("set", 12), ("rate", 12), ("path_incremental", 12), ("rate", 26)])
def test_draws_follow_the_solution(game: str, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small change of weights changes credit as solving again does; a whole draw nearly so."""
    journeys = simulated(channels)
    monkeypatch.setattr(games, "CHEAP_CELLS", 1)
    model = at.Shapley(game=game).fit(journeys)
    own, observed = in_buckets(model, journeys)
    assert get_machinery(model).is_linearised == (game != "set")
    step = 1e-3
    nearby = 1 + step * np.random.default_rng(5).normal(size=(3, own.size))
    weights = np.concatenate([np.ones((1, own.size)), nearby, multinomial_weights(6, own.size, seed=1)])
    fast, slow = (
        get_machinery(model).redraw(own, observed, weights),
        get_machinery(model).solve_again(own, observed, weights),
    )
    for what in ("conversions", "value"):
        a, b = getattr(fast, what), getattr(slow, what)
        np.testing.assert_allclose(a[0], getattr(model.credit_, what)[:-1], rtol=1e-9)
        slope, exact = (a[1:4] - a[0]) / step, (b[1:4] - b[0]) / step
        # The first-order approximation of a large game moves nearly as the game does: 6 % off here, however many
        # orders are drawn.
        assert np.abs(slope - exact).max() <= (0.1 if channels > 22 else 0.01) * np.abs(exact).max()
        # Sets that few journeys have bend.
        assert np.std(a[4:] - b[4:]) <= (0.5 if game == "path_incremental" else 0.1) * np.std(b[4:] - b[0])


def test_small_games_are_solved_again() -> None:
    journeys = simulated(5, customers=300)
    for game in RATES:
        model = at.Shapley(game=game).fit(journeys)
        own, observed = in_buckets(model, journeys)
        weights = np.random.default_rng(0).poisson(1, (2, own.size)).astype(float)
        assert not get_machinery(model).is_linearised
        fast, slow = (
            get_machinery(model).redraw(own, observed, weights),
            get_machinery(model).solve_again(own, observed, weights),
        )
        assert fast.conversions.tobytes() == slow.conversions.tobytes()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"game": "rates"}, "unknown game. Given: 'rates'. Allowed: set, rate, .*did you mean 'rate'"),
        ({"game": ["set"]}, "unknown game"),
        ({"method": "fast"}, "unknown method.*auto, exact, sampling"),
        ({"method": "sampling"}, "closed form"),
        ({"negative": "clip"}, "unknown negative.*refuse, zero"),
        ({"game": "rate", "tolerance": 0}, "tolerance"),
        ({"game": "rate", "tolerance": float("nan")}, "tolerance"),
        ({"game": "rate", "tolerance": "1 %"}, "tolerance"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"game": "rate", "classifier": LogisticRegression()}, "classifier is only for game = 'classifier'"),
        ({"classifier_settings": {"C": 1}}, "classifier_settings is only for game = 'classifier'"),
    ],
)
def test_impossible_settings(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        at.Shapley(**asked).fit(from_counts(ORACLE))
