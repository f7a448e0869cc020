"""How often each sentence of a run is wrong, in worlds whose truth is known, and in worlds where nothing has an effect.

The nightly test is what docs/sensitivity.md states; the quick ones guard it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.decisions.diagnosis import tasks_table
from attribution.returns.returns_section import headlines
from attribution.schema.experiment import Experiment
from attribution.simulation import Simulation, random_world
from attribution.uncertainty.sensitivity.sensitivity_section import notes_of

MODELS = [{"model": name} for name in ("FirstTouch", "LastTouch", "Linear", "TimeDecay", "Shapley", "Markov")]
OPTIONS = {"resampling": {"draws": 50}, "sensitivity": {"draws": 50, "lookback_days": [7]}}

ACTING = "note: acting on a model loses less than changing nothing"

Rows = list[tuple[str, str, bool]]
"""Each sentence that was said, of whom, and whether it is wrong."""


def run_of(shop: Simulation, seed: int, price: float, models: Any = MODELS) -> at.Outcome:
    """A run on the log of a world. Creatives are tosses of a coin, and every price is multiplied by ``price``."""
    creative = np.random.default_rng(seed).choice(list("abcd"), len(shop.touchpoints), p=[0.5, 0.3, 0.15, 0.05])
    touchpoints = shop.touchpoints.assign(creative=creative)
    tables = {
        "touchpoints": {"source": touchpoints, "columns": {name: name for name in touchpoints}},
        "conversions": {"source": shop.conversions},
        "costs": {"source": shop.costs.assign(amount=shop.costs["amount"] * price)},
        "customers": {"source": shop.customers},
    }
    asked = {"name": "world", "tables": tables, "models": models, "output": {"slices": ["creative"]}, **OPTIONS}
    return at.run_experiment(Experiment.model_validate(asked))


def truth_of(shop: Simulation, price: float) -> pd.DataFrame:
    """True ROI and effect per touchpoint of each channel with spend."""
    spend = shop.costs.groupby("channel")["amount"].sum() * price
    touchpoints = shop.touchpoints["channel"].value_counts()
    caused = shop.truth.set_index("channel").reindex(spend.index).fillna(0.0)
    return pd.DataFrame(
        {
            "roi": caused["incremental_value"] / spend - 1,
            "effect": caused["incremental_conversions"],
            "reach": touchpoints.reindex(spend.index).fillna(0.0),
        }
    )


def sentences_of(tables: Mapping[str, pd.DataFrame], truth: pd.DataFrame) -> Rows:
    """What a run says of channels, creatives and models."""
    rows: Rows = []
    pays = truth["roi"] >= 0
    for row in tables["verdicts"].query("verdict != 'unknown'").itertuples():
        says_it_pays = row.verdict == "likely_pays"
        rows.append((f"verdict: {row.verdict}", row.channel, bool(pays[row.channel]) != says_it_pays))
    # What would be said of spend without a verdict.
    without = {name: table for name, table in tables.items() if name != "verdicts"}
    for task in tasks_table(without).itertuples():
        if task.kind == "wasted_spend":
            rows.append(("task: wasted spend", task.slice, bool(pays[task.slice])))
        elif task.kind == "lagging_slice" and task.dimension == "creative":
            rows.append(("task: lagging creative", task.slice, True))
        elif task.kind == "lagging_slice":
            own, rest = truth.loc[task.slice], truth.drop(index=task.slice).sum()
            is_behind = own["effect"] / own["reach"] < rest["effect"] / rest["reach"]
            rows.append(("task: lagging channel", task.slice, not is_behind))
    is_best = (truth["roi"] == truth["roi"].max()) & ~truth["roi"].duplicated(keep=False)
    first = re.findall(r"(?:, |; )(\w+) (?:ranks first )?under", headlines(tables)[0])
    rows += [("headline: ranks first", name, not is_best[name]) for name in first]
    # Where nothing has an effect, no plan gains by moving money.
    acts = any("loses less than changing nothing" in note for note in notes_of(tables))
    return rows + [(ACTING, "(plan)", bool((truth["effect"] == 0).all()))] * acts


def sentences_in(family: Any, seed: int, customers: int, price: float = 1.0, models: Any = MODELS) -> Rows:
    """All sentences of a run in the world of a seed."""
    shop = at.simulate(random_world(family, seed), customers=customers, seed=seed, truth=family != "null")
    return sentences_of(run_of(shop, seed, price, models).tables, truth_of(shop, price))


@pytest.mark.parametrize(
    ("seed", "price", "sentences"),
    [(1, 0.01, set()), (2, 1.0, {"task: wasted spend"}), (3, 100.0, {"verdict: does_not_pay", "task: wasted spend"})],
)
def test_where_nothing_has_an_effect_nothing_wrong_is_said(seed: int, price: float, sentences: set[str]) -> None:
    """Whatever the price; what is too dear is said to be, and rightly so."""
    rows = sentences_in("null", seed, 2_500, price)
    assert [row for row in rows if row[2]] == []
    assert {sentence for sentence, *_ in rows} == sentences


@pytest.mark.slow
def test_an_estimate_of_effects_says_nothing_pays_where_nothing_has_an_effect() -> None:
    """At prices that any credit would pay back."""
    for seed in (3, 303, 305):
        rows = sentences_in("null", seed, 6_000, 0.01, [{"model": "Linear"}, {"model": "AdditiveHazard"}])
        assert [row for row in rows if row[2]] == []


def is_wrong(rows: Rows, *sentences: str) -> bool:
    """Whether any of these sentences, or any at all unless named, is wrong."""
    return any(wrong for sentence, _, wrong in rows if not sentences or sentence in sentences)


@pytest.mark.nightly
def test_error_rates_are_those_that_the_docs_state() -> None:
    """56 null worlds with prices from a hundredth to a hundredfold, and 36 random ones."""
    sizes = {**dict.fromkeys(range(100, 124), 6_000), **dict.fromkeys(range(200, 232), 4_000)}
    prices = {seed: 10 ** np.random.default_rng(seed).uniform(-2, 2) for seed in sizes}
    null = [sentences_in("null", seed, customers, prices[seed]) for seed, customers in sizes.items()]
    assert not any(sentence == "verdict: likely_pays" for rows in null for sentence, *_ in rows)
    # One in twenty, and two standard deviations.
    assert sum(map(is_wrong, null)) <= 56 * 0.05 + 2 * (56 * 0.05 * 0.95) ** 0.5
    random = [sentences_in("random", seed, 8_000) for seed in range(100, 136)]
    verdicts = [row for rows in random for row in rows if row[0] == "verdict: does_not_pay"]
    assert len(verdicts) >= 3
    assert not is_wrong(verdicts)
    assert sum(is_wrong(rows, "task: lagging channel", "task: lagging creative") for rows in random) <= 5
