"""Held-out scores of classifiers: against scikit-learn on single journeys, one planted truth, and chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

import attribution as at
from attribution.journeys.buckets import Dealing
from attribution.models.held_out import score_classifier, summarise_folds
from attribution.models.order import FOLDS
from attribution.models.valuation import make_classifier
from attribution.pipeline.outcome import Outcome
from attribution.schema.experiment import Experiment
from attribution.schema.tables import HELD_OUT

CHANNELS = ["email", "search", "social"]


def log(customers: int = 500, *, chance: Any = lambda channels: 0.3, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Customers with one journey each, in which ``chance`` of its channels decides on a conversion."""
    rng = np.random.default_rng(seed)
    touched, converted = [], []
    for customer in range(customers):
        channels = rng.choice(CHANNELS, int(rng.integers(1, 6))).tolist()
        begun = pd.Timestamp("2024-01-01") + pd.Timedelta(days=customer % 100)
        touched += [(customer, begun + pd.Timedelta(hours=hour), channel) for hour, channel in enumerate(channels)]
        if rng.random() < chance(channels):
            converted.append((customer, begun + pd.Timedelta(days=2), 1.0))
    # The log goes on, so that the others' journeys close without a conversion.
    touched.append((customers, pd.Timestamp("2024-06-01"), "email"))
    return {
        "touchpoints": pd.DataFrame(touched, columns=["customer_id", "touched_at", "channel"]),
        "conversions": pd.DataFrame(converted, columns=["customer_id", "converted_at", "value"]),
    }


def scores(journeys: at.Journeys, classifier: Any = None) -> tuple[float, float]:
    (summary,) = journeys.read(lambda chunk: summarise_folds(chunk, len(journeys.channels)))
    return score_classifier(summary, len(journeys.channels), classifier or make_classifier(None, None))


def journeys_of(**options: Any) -> at.Journeys:
    return at.build_journeys(at.load_sources(**log(**options)))


def test_scores_are_those_of_cross_validation_journey_by_journey() -> None:
    journeys = journeys_of(chance=lambda channels: 0.1 + 0.15 * channels.count("search"))
    features, converted, fold = [], [], []
    for chunk in journeys:
        bucket = Dealing().deal(chunk).bucket
        for place, (start, stop) in enumerate(zip(chunk.start, chunk.stop, strict=True)):
            if chunk.conversions[place] or chunk.nulls[place]:
                touched = chunk.channel[start:stop].tolist()
                features.append([touched.count(channel) for channel in range(len(journeys.channels))])
                converted.append(int(chunk.conversions[place]))
                fold.append(int(bucket[place]) % FOLDS)
    x, y, of = np.array(features, dtype=float), np.array(converted), np.array(fold)
    assert len(y) == 501
    expected = []
    for held in range(FOLDS):
        settings = {"solver": "newton-cholesky", "tol": 1e-9, "C": 1e10, "max_iter": 1000}
        fitted = LogisticRegression(**settings).fit(x[of != held], y[of != held])
        chance = fitted.predict_proba(x[of == held])[:, 1]
        expected.append((log_loss(y[of == held], chance), roc_auc_score(y[of == held], chance)))
    assert scores(journeys) == pytest.approx(np.mean(expected, axis=0), rel=1e-6)
    assert 0.55 < scores(journeys)[1] < 0.9


def test_what_one_channel_decides_is_foretold_and_chance_is_not() -> None:
    loss, auc = scores(journeys_of(chance=lambda channels: float("search" in channels)), LogisticRegression(C=1e4))
    assert auc == pytest.approx(1.0, abs=1e-3)
    assert loss < 0.1
    loss, auc = scores(journeys_of(customers=2000, chance=lambda channels: 0.3))
    assert auc == pytest.approx(0.5, abs=0.04)
    assert loss == pytest.approx(-0.3 * np.log(0.3) - 0.7 * np.log(0.7), abs=0.02)


def test_a_classifier_that_was_given_fitted_has_held_out_nothing() -> None:
    fitted = LogisticRegression().fit(np.eye(3), [0, 1, 1])
    assert np.isnan(scores(journeys_of(customers=60), fitted)).all()


def test_without_both_outcomes_nothing_is_scored() -> None:
    assert np.isnan(scores(journeys_of(customers=40, chance=lambda channels: 1.0))[1])


def outcome_of(models: list[dict[str, Any]]) -> Outcome:
    tables = {name: {"source": frame} for name, frame in log(120).items()}
    asked = {"tables": tables, "models": models, "stability": {"parts": 2}, "tracking": {"enabled": False}}
    return at.run_experiment(Experiment.model_validate({"name": "shop", **asked}))


def test_a_run_tells_of_chains_and_classifiers_what_each_predicts() -> None:
    chain, game = {"model": "Markov"}, {"model": "Shapley", "game": "classifier", "name": "game"}
    held = outcome_of([chain, game, {"model": "LastTouch"}]).tables["held_out"].set_index("model")
    assert held["per"].to_dict() == {"markov": "step", "game": "journey"}
    assert held["order"].tolist() == [1, pd.NA]
    assert held[["aic", "bic", "log_loss_se", "states", "chosen"]].isna().all(axis=None)
    assert held.loc["game", ["log_loss", "auc"]].tolist() == list(scores(journeys_of(customers=120)))
    assert "held_out" not in outcome_of([{"model": "LastTouch"}]).tables


def test_a_chain_that_chose_its_order_is_scored_once_at_each() -> None:
    """One row of a model is the model as it is: the order that it has, chosen or given; metrics are of that row."""
    models = [{"model": "Markov", "order": "auto", "name": "auto"}, {"model": "Markov", "order": 2, "name": "two"}]
    outcome = outcome_of(models)
    held = outcome.tables["held_out"]
    assert tuple(held.columns) == HELD_OUT.column_names
    assert held["model"].tolist() == ["auto"] * 5 + ["two"]
    assert held["order"].tolist() == [1, 2, 3, 4, 5, 2]
    is_model = held["chosen"].fillna(True)
    assert held[is_model].groupby("model").size().to_dict() == {"auto": 1, "two": 1}
    assert held.loc[1, ["log_loss", "auc"]].tolist() == held.loc[5, ["log_loss", "auc"]].tolist()
    for label, row in held[is_model].set_index("model").iterrows():
        metrics = outcome.sections.metrics(outcome.tables, str(label))
        assert [metrics["held_out_log_loss"], metrics["held_out_auc"]] == row[["log_loss", "auc"]].tolist()
