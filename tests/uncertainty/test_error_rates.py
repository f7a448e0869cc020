"""How often each sentence of a run is wrong, in worlds whose truth is known, and in worlds where nothing has an effect."""

from __future__ import annotations

from typing import Any

import re

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.decisions.diagnosis import tasks_table
from attribution.returns.returns_section import headlines
from attribution.schema.experiment import Experiment
from attribution.simulation import Simulation, random_world
from attribution.uncertainty.sensitivity.sensitivity_section import notes_of
from tests.scale import TIMES

MODELS = [{"model": name} for name in ("FirstTouch", "LastTouch", "Linear", "TimeDecay", "Shapley", "Markov")]

Rows = list[tuple[str, str, bool]]
"""Each sentence that was said, of whom, and whether it is wrong."""


def shop_of(family: Any, seed: int, customers: int) -> Simulation:
    return at.simulate(random_world(family, seed), customers=customers, seed=seed, truth=family != "null")


def run_of(shop: Simulation, *, price: float = 1.0, models: Any = MODELS, **further: Any) -> at.Outcome:
    """A run on the log of a world. Creatives are tosses of a coin, and every price is multiplied by ``price``."""
    random = np.random.default_rng(5)
    touchpoints = shop.touchpoints.assign(
        creative=random.choice(list("abcd"), len(shop.touchpoints), p=[0.5, 0.3, 0.15, 0.05])
    )
    tables = {
        "touchpoints": {"source": touchpoints, "columns": {name: name for name in touchpoints}},
        "conversions": {"source": shop.conversions},
        "costs": {"source": shop.costs.assign(amount=shop.costs["amount"] * price)},
        "customers": {"source": shop.customers},
    }
    asked = {"name": "world", "tables": tables, "models": models, "resampling": {"draws": 50}}
    return at.run_experiment(Experiment.model_validate(asked | {"output": {"slices": ["creative"]}} | further))


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


def sentences_of(tables: Any, truth: pd.DataFrame) -> Rows:
    """What a run says of channels, creatives and models."""
    rows: Rows = []
    pays = truth["roi"] >= 0
    for row in tables.get("verdicts", pd.DataFrame()).itertuples():
        if row.verdict != "unknown":
            rows.append((f"verdict: {row.verdict}", row.channel, bool(pays[row.channel]) != (row.verdict == "likely_pays")))
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
    gains = any("loses less than changing nothing" in note for note in notes_of(tables)) if "regret" in tables else False
    return rows + [("note: acting loses less than nothing", "(plan)", bool((truth["effect"] == 0).all()))] * gains
