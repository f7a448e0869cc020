"""Many models, one pass over the journeys."""

from __future__ import annotations

from collections.abc import Sequence

from attribution.journeys import Journeys, Reader, Summary, observe
from attribution.models.base import AttributionModel
from attribution.models.credit import Credit, check_labels
from attribution.models.machinery import machinery_of


def attribute(journeys: Journeys, models: Sequence[AttributionModel]) -> Credit:
    """Fit models and put their channel totals into one long table.

    Parameters
    ----------
    journeys : what to attribute
    models : fitted in place; labels must differ

    Raises
    ------
    LawError
        If a model's credit does not add up to the conversions and value observed.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search", "search"], "conversions": [2, 1]})))
    >>> attribute(journeys, [at.LastTouch()]).table[["channel", "conversions"]].values.tolist()
    [['mail', 0.0], ['search', 3.0], ['(unattributed)', 0.0]]
    """
    check_labels(models)
    fit_models(models, journeys)
    return Credit.of(models)


def fit_models(models: Sequence[AttributionModel], journeys: Journeys, *readers: Reader) -> list[Summary]:
    """Fit all models in one pass over the journeys.

    Returns
    -------
    list
        What `observe` and then further ``readers`` summed up in that pass.
    """
    for model in models:
        machinery_of(model).prepare(journeys)
    observed, *summaries = journeys.read(observe, *(model.summarise for model in models), *readers)
    for model, summary in zip(models, summaries, strict=False):
        machinery = machinery_of(model)
        machinery.finish_fit(summary + machinery.summarise_untouched(journeys), observed)
    return [observed, *summaries[len(models) :]]
