"""The comment above a SELECT: which model it is, how its journeys are made, and what the tables must have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attribution.amounts import pluralise
from attribution.production.sql.dialects import DIALECTS
from attribution.production.sql.inputs import Inputs
from attribution.production.sql.times import allowed_types

if TYPE_CHECKING:
    from attribution.models.saved import Scorer

FIRST = "-- Credit of conversions by model "
"""How the first line begins."""

_TRAINED = {
    True: "; the model was fitted on times with a time zone",
    False: "; the model was fitted on times without a time zone",
    None: "",
}


def write_header(scorer: Scorer, dialect: str, inputs: Inputs, columns: Mapping[str, Iterable[str]]) -> str:
    """Comment lines; the same model has the same ones.

    Parameters
    ----------
    scorer : the model
    dialect : one of `attribution.production.sql.DIALECTS`
    inputs : what the SELECT reads
    columns : which columns it reads of each table
    """
    from attribution import __version__

    state, definition = scorer.state, scorer.definition
    training = definition.training
    settings = {name: value for name, value in state.parameters.items() if name != "name" and value is not None}
    journeys = definition.journeys.model_dump(mode="json", exclude_defaults=True)
    lines = [
        f"{FIRST[3:]}{state.label} ({state.kind}) of the scorer {scorer.name}, version {scorer.version or 'none'}.",
        f"Written by journey-attribution {__version__} for {DIALECTS[dialect]}.",
        f"Settings: {_shown(settings)}.",
        f"Journeys: {_shown(journeys)}; grain: {definition.grain}; unknown channels: {scorer.unknown_channels}.",
    ]
    if training is not None:
        of_days = "" if training.first is None else f" from {training.first} to {training.last}"
        lines.append(f"Fitted on {pluralise(round(training.journeys), 'journey')}{of_days}.")
    lines += [f"It reads {table}: {', '.join(names)}." for table, names in columns.items()]
    if not inputs.has_times:
        lines.append("Times are whole numbers: the model was fitted on touchpoints that have only an order.")
    else:
        for table in columns:
            zone = inputs.zones.get(table)
            lines.append(
                f"Times of {table}: {allowed_types(dialect, zone)}. Those without an offset are of "
                f"{zone or 'UTC'}{_TRAINED[None if training is None else training.zoned]}."
            )
    # A name may have line breaks, and a comment ends at one.
    return "\n".join(f"-- {' '.join(line.split())}" for line in lines)


def _shown(settings: Mapping[str, Any]) -> str:
    texts = (f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}" for name, value in settings.items())
    return ", ".join(texts) or "the defaults"
