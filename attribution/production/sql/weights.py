"""What each model weighs, in SQL."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attribution.data.engine import text
from attribution.errors import InputError
from attribution.journeys import DAY
from attribution.models import AttributionModel, FullPath, WShaped
from attribution.models.saved.state import ModelState
from attribution.production.sql.paths import direct_test

Added = Mapping[str, str]
"""Columns by name, with their SQL."""

_NOTHING = -1e300
_VANISHES = -600.0
"""A logarithm below this is no weight beside 1: some databases fail where a number becomes too small."""

SHIPPED = (
    "FirstTouch", "LastTouch", "LastNonDirect", "Linear", "LinearDistinct", "PositionBased", "TimeDecay",
    "CustomWeights", "WShaped", "FullPath", "Markov", "Shapley",
)  # fmt: skip


@dataclass(frozen=True)
class Weighing:
    """How touchpoints are weighed, by their ``place_known`` among the ``length_known`` that share the conversion.

    Attributes
    ----------
    steps : columns to be added before, one table after another
    weight : SQL of the weight
    learned : logarithm of the weight of each channel; None for rules
    """

    weight: str
    steps: tuple[Added, ...] = ()
    learned: Mapping[str, float] | None = None


def number(value: float) -> str:
    """A float, to the last bit in every database."""
    return f"cast('{float(value)!r}' as double)"


def weighing(state: ModelState, model: AttributionModel, columns: Mapping[str, str], share: str) -> Weighing:
    """How ``model`` weighs.

    Parameters
    ----------
    state, model : the fitted model
    columns : what the SELECT calls each dimension
    share : by what touchpoints are grouped that share a conversion

    Raises
    ------
    InputError
        If it cannot be said.
    """
    given: Any = model
    over = f"over (partition by {share})"
    if state.kind in ("Markov", "Shapley") and state.knows_channels:
        return _published(state, share)
    if state.kind in ("LinearDistinct", "Shapley"):
        return Weighing("cast(1 as double) / of_channel", ({"of_channel": _of_channel("count(*)", share)},))
    if state.kind == "LastNonDirect":
        is_direct = direct_test(list(given.direct), state.channels)
        last = f"coalesce(max(case when not {is_direct} then place_known end) {over}, length_known)"
        return Weighing(_one("place_known = chosen_place"), ({"chosen_place": last},))
    if state.kind == "TimeDecay":
        age = f"(cast(newest_us - touched_us as double) / {number(DAY)} / {number(given.half_life_days)})"
        weight = f"case when {age} > 800 then cast(0 as double) else power({number(2)}, -{age}) end"
        return Weighing(weight, ({"newest_us": f"max(touched_us) {over}"},))
    if isinstance(model, WShaped | FullPath):
        return _staged(model, columns[model.column], over)
    simple = {
        "FirstTouch": _one("place_known = 1"),
        "LastTouch": _one("place_known = length_known"),
        "Linear": "cast(1 as double)",
    }
    if state.kind in simple:
        return Weighing(simple[state.kind])
    if state.kind == "PositionBased":
        return Weighing(_position(float(given.first), float(given.last)))
    return Weighing(_by_place(given.weights))


def _one(test: str) -> str:
    return f"case when {test} then cast(1 as double) else cast(0 as double) end"


def _of_channel(what: str, share: str) -> str:
    return f"{what} over (partition by {share}, channel)"


def _position(first: float, last: float) -> str:
    middle = max(0.0, 1.0 - first - last)
    return (
        f"case when length_known = 1 then {number(1)} when place_known = length_known then {number(last)} "
        f"when place_known = 1 then {number(first)} else {number(middle)} / (length_known - 2) end"
    )


def _by_place(weights: Sequence[float]) -> str:
    whens = " ".join(f"when {place} then {number(weight)}" for place, weight in enumerate(weights[:-1], start=1))
    return f"case place_known {whens} else {number(weights[-1])} end" if whens else number(weights[-1])


def _published(state: ModelState, share: str) -> Weighing:
    """Channels share as was learned: each as a whole where totals were reconciled, or else every touchpoint."""
    largest = {"largest_log": f"max(log_weight) over (partition by {share})"}
    behind = "log_weight - largest_log"
    ratio = f"case when {behind} < {number(_VANISHES)} then {number(0)} else exp({behind}) end"
    if "log_weights" in state.arrays:
        logs = state.arrays["log_weights"]
        learned = dict(zip(state.channels, logs.tolist(), strict=True))
        return Weighing(
            f"({ratio}) / of_channel", ({**largest, "of_channel": _of_channel("sum(factor)", share)},), learned
        )
    totals = np.maximum(state.arrays["conversions"], 0.0).tolist()
    learned = {
        channel: math.log(total) if total > 0 else _NOTHING
        for channel, total in zip(state.channels, totals, strict=True)
    }
    weight = f"case when log_weight < {number(_NOTHING / 10)} then {number(0)} else {ratio} end"
    return Weighing(weight, (largest,), learned)


def _staged(model: WShaped | FullPath, column: str, over: str) -> Weighing:
    anchors = {
        f"anchor_{place}": f"min(case when {column} = {text(stage)} then place_known end) {over}"
        for place, stage in enumerate(model._stages, start=1)
    }
    tests = ["place_known = 1", "place_known = length_known", *(f"place_known = {anchor}" for anchor in anchors)]
    shares = " + ".join(f"case when {test} then 1 else 0 end" for test in tests)
    others = f"sum(case when anchored = 0 then 1 else 0 end) {over}"
    weight = f"case when anchored = 0 then {number(model._spread)} / others else anchored * {number(model._share)} end"
    return Weighing(weight, (anchors, {"anchored": shares}, {"others": others}))


def learned_rows(learned: Mapping[str, float]) -> Iterator[str]:
    """A SELECT for each channel."""
    for channel, weight in learned.items():
        yield f"select {text(channel)} as channel, {number(weight)} as log_weight"


def refuse_model(state: ModelState, model: AttributionModel) -> None:
    """Raise `InputError` if what ``model`` weighs cannot be said in SQL."""
    if state.kind not in SHIPPED:
        raise InputError(
            f"model {state.label!r} cannot be said in SQL: it is a class of your own",
            given=state.kind,
            allowed=list(SHIPPED),
            hint="score it with attribution score, or with mlflow.pyfunc.spark_udf",
        )
    function = getattr(model, "function", None)
    if function is not None:
        raise InputError(
            f"model {state.label!r} cannot be said in SQL: its weights are a function of Python",
            given=f"function = {function!r}",
            allowed="CustomWeights(weights=[…])",
            hint="score it with attribution score",
        )
