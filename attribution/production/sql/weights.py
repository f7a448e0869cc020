"""What a model weighs, in the columns of the SELECT that hands out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from attribution.data.engine import text
from attribution.errors import InputError
from attribution.models import AttributionModel
from attribution.models.saved.state import Floats, ModelState
from attribution.production.sql.dialects import bound

AGE = "age_days"
"""Column with the days between a touchpoint and the conversion."""

_LEARNED = "learned."


@dataclass(frozen=True)
class Weighing:
    """How touchpoints are weighed, by their ``place_known`` among the ``length_known`` that share the conversion.

    Attributes
    ----------
    weight : SQL of the weight
    learned : columns of what was learned of each channel that it names
    needs_age : whether it names `AGE`
    """

    weight: str
    learned: Mapping[str, Floats]
    needs_age: bool


def number(value: float) -> str:
    """A float, to the last bit in every database."""
    return f"cast('{float(value)!r}' as double)"


def weighing(state: ModelState, model: AttributionModel, columns: Mapping[str, str], share: Sequence[str]) -> Weighing:
    """How ``model`` weighs.

    Parameters
    ----------
    state, model : the fitted model
    columns : what the SELECT calls each dimension
    share : columns by which touchpoints are grouped that share a conversion

    Raises
    ------
    InputError
        If its expression names what is not there.
    """
    learned = {f"{_LEARNED}{name}": f"learned_{place}" for place, name in enumerate(state.arrays, start=1)}
    names = {
        "position": "place_known",
        "length": "length_known",
        "channel": "channel",
        "factor": "factor",
        AGE: AGE,
        **learned,
        **{f"touchpoint.{name}": column for name, column in columns.items()},
    }
    made = bound(_expression(state, model), {**columns, **names}, tuple(share))
    arrays = {learned[name]: state.arrays[name.removeprefix(_LEARNED)] for name in learned if name in made.names}
    return Weighing(f"cast({made.sql} as double)", arrays, AGE in made.names)


def learned_rows(learned: Mapping[str, Floats], channels: Sequence[str]) -> Iterator[str]:
    """A SELECT for each channel."""
    for place, channel in enumerate(channels):
        values = [f"{number(values[place])} as {name}" for name, values in learned.items()]
        yield f"select {', '.join([f'{text(channel)} as channel', *values])}"


def _expression(state: ModelState, model: AttributionModel) -> str:
    if model.weight_sql is None:
        raise InputError(
            f"model {state.label!r} cannot be exported to SQL: it has no SQL expression of its weights",
            given=f"{model!r}, whose weight_sql is None",
            hint="score it with attribution score, or with mlflow.pyfunc.spark_udf",
        )
    return model.weight_sql


def refuse_model(state: ModelState, model: AttributionModel) -> None:
    """Raise `InputError` if what ``model`` weighs cannot be exported to SQL."""
    _expression(state, model)
