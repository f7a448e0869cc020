"""The weights of a model, in the columns of the SELECT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from attribution.data.engine import text
from attribution.errors import InputError
from attribution.models import AttributionModel
from attribution.models.saved.state import Floats, ModelState
from attribution.production.sql.dialects import bind_columns

AGE = "age_days"
"""Column with the days between a touchpoint and the conversion."""

_LEARNED = "learned."


@dataclass(frozen=True)
class Weighing:
    """How touchpoints are weighed, with ``place_known`` of ``length_known`` as position and length.

    Attributes
    ----------
    weight : SQL of the weight
    baseline : SQL of the weight of the baseline, alike for all touchpoints of a journey; None where the base says it
    learned : the learned values of each channel that it uses, by column
    needs_age : whether it uses `AGE`
    """

    weight: str
    baseline: str | None
    learned: Mapping[str, Floats]
    needs_age: bool


def number(value: float) -> str:
    """A float, to the last bit in every database."""
    return f"cast('{float(value)!r}' as double)"


def translate_weights(
    state: ModelState, model: AttributionModel, columns: Mapping[str, str], share: Sequence[str]
) -> Weighing:
    """The weights of ``model`` in SQL.

    Parameters
    ----------
    state, model : the fitted model
    columns : the column of the SELECT for each dimension
    share : columns that identify the touchpoints which share a conversion

    Raises
    ------
    InputError
        If its expression names a column that does not exist.
    """
    learned = {f"{_LEARNED}{name}": f"learned_{index}" for index, name in enumerate(state.arrays, start=1)}
    names = {
        "position": "place_known",
        "length": "length_known",
        "channel": "channel",
        "factor": "factor",
        AGE: AGE,
        **learned,
        **{f"touchpoint.{name}": column for name, column in columns.items()},
    }
    made = bind_columns(_expression(state, model), {**columns, **names}, tuple(share))
    used, baseline = made.names, None
    if state.estimand == "incremental" and weighs_baseline(model):
        own = bind_columns(_baseline_expression(state, model), {**columns, **names}, tuple(share))
        used, baseline = used | own.names, f"cast({own.sql} as double)"
    arrays = {learned[name]: state.arrays[name.removeprefix(_LEARNED)] for name in learned if name in used}
    return Weighing(f"cast({made.sql} as double)", baseline, arrays, AGE in used)


def learned_selects(learned: Mapping[str, Floats], channels: Sequence[str]) -> Iterator[str]:
    """A SELECT for each channel."""
    for index, channel in enumerate(channels):
        values = [f"{number(values[index])} as {name}" for name, values in learned.items()]
        yield f"select {', '.join([f'{text(channel)} as channel', *values])}"


def _expression(state: ModelState, model: AttributionModel) -> str:
    if model.weight_sql is None:
        raise InputError(
            f"model {state.label!r} cannot be exported to SQL: its weights have no SQL expression",
            given=f"{model!r}, whose weight_sql is None",
            hint="score it with `attribution score`, or with mlflow.pyfunc.spark_udf",
        )
    return model.weight_sql


def weighs_baseline(model: AttributionModel) -> bool:
    """Whether a model with a baseline weighs it itself, and not as the base says."""
    return model._overrides("weigh_baseline")


def _baseline_expression(state: ModelState, model: AttributionModel) -> str:
    if model.baseline_sql is None:
        raise InputError(
            f"model {state.label!r} cannot be exported to SQL: the weight of its baseline has no SQL expression",
            given=f"{model!r}, whose baseline_sql is None",
            hint="score it with `attribution score`, or with mlflow.pyfunc.spark_udf",
        )
    return model.baseline_sql


def check_expression(state: ModelState, model: AttributionModel) -> None:
    """Raise `InputError` if the weights of ``model`` cannot be exported to SQL."""
    _expression(state, model)
    if state.estimand == "incremental" and weighs_baseline(model):
        _baseline_expression(state, model)
