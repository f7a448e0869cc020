"""How far credit lies beyond what labels at random would get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from attribution.schema.experiment import Experiment
from attribution.schema.tables import NO_CHANNELS
from attribution.sections import FigureSpec, Section


class ChanceSection(Section):
    """What models credit when channels are labels at random, beside what they credit."""

    name = "chance"

    def is_wanted(self, experiment: Experiment) -> bool:
        """Unless it is turned off."""
        return experiment.incrementality.enabled

    def settings(self, experiment: Experiment) -> Mapping[str, object]:
        """Whether it is turned off."""
        return {} if self.is_wanted(experiment) else {"incrementality.enabled": False}

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """Of a model: the chance level of each channel, what lies beyond it, and how much of all credit it explains."""
        rows = chance_rows(tables)
        rows = rows[rows["model"] == model]
        if rows.empty:
            return {}
        metrics = {
            f"{what}/{channel}": float(amount)
            for what in ("chance_conversions", *(f"beyond_conversions{end}" for end in ("", "_low", "_high")))
            for channel, amount in zip(rows["channel"], rows[what], strict=True)
            if pd.notna(amount)
        }
        total = rows["conversions"].sum()
        return {**metrics, "chance_share": explained(rows) / total} if total > 0 else metrics

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> Sequence[FigureSpec]:
        """Credit of each channel with its chance level."""
        rows = chance_rows(tables)
        return () if rows.empty else (FigureSpec("credit_and_chance", {"credit": rows}),)


def chance_rows(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of ``credit`` that have a chance level; none of runs without it."""
    credit = tables.get("credit", pd.DataFrame())
    if "chance_conversions" not in credit:
        return pd.DataFrame(columns=["model", "channel"])
    return credit[credit["chance_conversions"].notna() & ~credit["channel"].isin(NO_CHANNELS)]


def explained(rows: pd.DataFrame) -> float:
    """Conversions of one model that lie where chance alone puts them, too.

    Examples
    --------
    >>> explained(pd.DataFrame({"conversions": [6.0, 4.0], "chance_conversions": [5.0, 5.0]}))
    9.0
    """
    return float(np.minimum(rows["conversions"], rows["chance_conversions"]).sum())


def chance_sentence(tables: Mapping[str, pd.DataFrame]) -> str | None:
    """How much of the credit chance alone gives, under the model where it is least and the one where it is most.

    Only of models that divide what was observed.

    Examples
    --------
    >>> credit = pd.DataFrame({"model": "linear", "estimand": "allocated", "channel": ["mail", "search"],
    ...     "conversions": [6.0, 4.0], "chance_conversions": [5.0, 5.0]})
    >>> chance_sentence({"credit": credit})
    'of 10 conversions credited, chance alone gives 9'
    """
    rows = chance_rows(tables)
    if rows.empty or not (rows["estimand"] == "allocated").any():
        return None
    rows = rows[rows["estimand"] == "allocated"]
    by_model = {str(model): explained(part) for model, part in rows.groupby("model", sort=False)}
    total = rows.loc[rows["model"] == rows["model"].iloc[0], "conversions"].sum()
    least, most = min(by_model, key=by_model.__getitem__), max(by_model, key=by_model.__getitem__)
    start = f"of {_whole(total)} conversions credited, chance alone gives"
    if least == most:
        return f"{start} {_whole(by_model[least])}"
    return f"{start} {_whole(by_model[least])} ({least}) to {_whole(by_model[most])} ({most})"


def _whole(amount: float) -> str:
    return f"{amount:,.0f}"
