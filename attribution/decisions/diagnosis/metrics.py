"""What tracking logs of a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from attribution.decisions.diagnosis.wording import ORDER


def diagnosis_metrics(tables: Mapping[str, pd.DataFrame], label: str | None = None) -> dict[str, float]:
    """Metrics of a run, or of the model with a ``label``, by name.

    Parameters
    ----------
    tables : of a run
    label : of a model; the run as a whole unless given

    Returns
    -------
    Of a run ``tasks_loss``, ``tasks_shortfall``, ``tasks_gain`` and ``tasks_doubt``; of a model ``wasted_spend``, where
    there are intervals, and for every slice of a dimension with costs ``money_against_rest/slice``.

    Examples
    --------
    >>> diagnosis_metrics({})
    {}
    """
    if label is None:
        tasks = tables.get("tasks")
        return {} if tasks is None else {f"tasks_{about}": float((tasks["about"] == about).sum()) for about in ORDER}
    metrics: dict[str, float] = {}
    if "wasted_spend" in tables:
        rows = tables["wasted_spend"]
        wasted = rows.loc[rows["model"] == label, "wasted"]
        if wasted.notna().any():
            metrics["wasted_spend"] = float(wasted.sum())
    if "roi_slices" in tables:
        rows = tables["roi_slices"]
        rows = rows[(rows["model"] == label) & rows["roi_gap"].notna()]
        metrics |= {f"money_against_rest/{row.slice}": float(row.money) for row in rows.itertuples(index=False)}
    return metrics
