"""What MLflow shows of a registered model and of its versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attribution.amounts import pluralise
from attribution.models.saved.applied import POLICIES
from attribution.production.scoring.row_columns import explain_answer, explain_columns, known_channels

if TYPE_CHECKING:
    from attribution.models.saved import Scorer

MODEL_DESCRIPTION = (
    "Multi-touch attribution: it divides each conversion among the touchpoints before it. It takes one row per "
    "conversion and gives one row back, in the same order. Each version describes its model and its columns."
)
_MOST_CHANNELS = 30
_LONGEST = 5000
"""Characters that MLflow's database holds."""


def describe_version(scorer: Scorer) -> str:
    """What a version is and which columns it takes and gives, as Markdown.

    Examples
    --------
    >>> import attribution as at
    >>> import pandas as pd
    >>> paths = pd.DataFrame({"path": ["mail"], "conversions": [1]})
    >>> model = at.Linear().fit(at.build_journeys(at.load_sources(paths=paths)))
    >>> describe_version(at.Scorer.of(model, name="shop")).splitlines()[0]
    'Model `linear` (Linear) of the scorer `shop`. It was fitted on 1 channel: mail.'
    """
    state, training = scorer.state, scorer.definition.training
    channels = known_channels(scorer)
    listed = ", ".join(channels[:_MOST_CHANNELS]) + (", …" if len(channels) > _MOST_CHANNELS else "")
    of_version = f", version `{scorer.version}`" if scorer.version else ""
    parts = [
        f"Model `{state.label}` ({state.kind}) of the scorer `{scorer.name}`{of_version}. "
        f"It was fitted on {pluralise(len(channels), 'channel')}: {listed}.",
        f"Unknown channels: `{scorer.unknown_channels}` – {POLICIES[scorer.unknown_channels]}.",
        _table("A row holds", explain_columns(scorer)),
        _table("The answer holds", explain_answer(scorer)),
        "A row that cannot be scored is refused alone. The card of the model, `card.md`, lies among the artifacts.",
    ]
    if training is not None and training.first is not None:
        parts.insert(1, f"Its data are from {training.first} to {training.last}.")
    return "\n\n".join(parts)[:_LONGEST]


def _table(head: str, columns: Mapping[str, str]) -> str:
    rows = (f"| `{name}` | {text} |" for name, text in columns.items())
    return "\n".join([f"| {head} | |", "|---|---|", *rows])
