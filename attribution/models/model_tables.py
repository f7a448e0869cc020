"""Tables that only some models have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from attribution.data.loading import Finding, count_finding
from attribution.kernels.shapley.games import EXACT_PLAYERS
from attribution.models import AttributionModel, Markov, Shapley
from attribution.models.published import PublishedModel
from attribution.schema.tables import REMOVAL_EFFECTS


def model_tables(models: Sequence[AttributionModel], *, interactions: bool) -> dict[str, pd.DataFrame]:
    """``removal_effects``, and what else there is of ``reconciliation``, ``order_selection``,
    ``credit_by_position`` and ``interactions``, whose pairs of channels are only worked out on request.
    """
    found = {
        "reconciliation": _joined(_reconciliation(model) for model in models if isinstance(model, PublishedModel)),
        "order_selection": _joined(
            _labelled(model, model.order_selection_)
            for model in models
            if isinstance(model, Markov) and model.order == "auto"
        ),
        "credit_by_position": _joined(
            model.by_position() for model in models if isinstance(model, Shapley) and model.game == "set"
        ),
    }
    if interactions:
        found["interactions"] = _joined(
            model.interactions() for model in models if isinstance(model, Markov | Shapley) and _has_interactions(model)
        )
    return {
        "removal_effects": _removal_effects(models),
        **{k: table for k, table in found.items() if table is not None},
    }


def without_interactions(models: Sequence[AttributionModel]) -> list[Finding]:
    """One finding for each Shapley model that the table ``interactions`` has no rows of."""
    most = f"more than {EXACT_PLAYERS} channels are too many for the game 'rate'"
    return [
        count_finding(
            "no_interactions",
            "interactions",
            1,
            f"{model.label} gives no interactions: "
            + (most if model.game == "rate" else f"the game {model.game!r} has none"),
        )
        for model in models
        if isinstance(model, Shapley) and not _has_interactions(model)
    ]


def _has_interactions(model: Markov | Shapley) -> bool:
    return isinstance(model, Markov) or model.game == "set" or (model.game == "rate" and _is_small(model))


def _is_small(model: Shapley) -> bool:
    return len(model.channels_) <= EXACT_PLAYERS


def _joined(parts: Iterable[pd.DataFrame | None]) -> pd.DataFrame | None:
    there = [part for part in parts if part is not None]
    return pd.concat(there, ignore_index=True) if there else None


def _labelled(model: AttributionModel, table: pd.DataFrame) -> pd.DataFrame:
    rows = table.drop(columns="model", errors="ignore")
    rows.insert(0, "model", model.label)
    return rows


def _reconciliation(model: PublishedModel) -> pd.DataFrame | None:
    found = model.reconciliation_
    return None if found is None else _labelled(model, found.to_frame())


def _removal_effects(models: Sequence[AttributionModel]) -> pd.DataFrame:
    table = _joined(
        pd.DataFrame(
            {
                "model": model.label,
                "channel": model.channels_,
                "removal_effect": model.removal_effects_[:, 0],
                "removal_effect_value": model.removal_effects_[:, 1],
            }
        )
        for model in models
        if isinstance(model, Markov)
    )
    columns = list(REMOVAL_EFFECTS.column_names)
    return pd.DataFrame(columns=columns) if table is None else table[columns]
