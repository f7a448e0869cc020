"""Many models, one pass over the journeys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from attribution.arguments import check_arguments
from attribution.journeys import Journeys, Reader, Summary, observe
from attribution.models.base import AttributionModel
from attribution.models.chance import Shuffling, with_chance
from attribution.models.credit import Credit, check_labels
from attribution.models.machinery import check_parameters, get_machinery
from attribution.models.trial import Trial, attempt


@check_arguments
def attribute(
    journeys: Journeys, models: AttributionModel | Iterable[AttributionModel], *, chance: bool = False
) -> Credit:
    """Fit models and put their channel totals into one long table.

    Parameters
    ----------
    journeys : what to attribute
    models : one, or several whose labels differ; fitted in place
    chance : whether credit is held against what chance alone gives, in columns ``chance_conversions``,
        ``chance_value`` and ``beyond_conversions``

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

    Search closes every journey; by chance it would get its share of touchpoints, 3 of 5.

    >>> credit = attribute(journeys, [at.LastTouch()], chance=True).table
    >>> credit[["channel", "chance_conversions", "beyond_conversions"]].round(6).values.tolist()[:2]
    [['mail', 1.2, -1.2], ['search', 1.8, 1.2]]
    """
    models = listed_models(models)
    if not chance:
        fit_models(models, journeys)
        return Credit.of(models)
    for model in models:
        get_machinery(model).prepare(journeys)
    shuffling = Shuffling(journeys, tuple(models))
    observed, shuffled = fit_models(models, journeys, shuffling.read)
    credit = Credit.of(models)
    return replace(credit, table=with_chance(credit.table, shuffling.solve(shuffled, observed)))


def listed_models(models: AttributionModel | Iterable[AttributionModel]) -> list[AttributionModel]:
    """One model or several as a list; `InputError` if there is none, a parameter is impossible or labels repeat."""
    several = [models] if isinstance(models, AttributionModel) else list(models)
    for model in several:
        check_parameters(model)
    check_labels(several)
    return several


def check_models(
    models: Sequence[AttributionModel], journeys: Journeys, *readers: Reader, trial: Trial | None = None
) -> list[Summary]:
    """Refuse in one pass over the journeys what `fit_models` would refuse, and fit nothing.

    Returns
    -------
    list
        As that of `fit_models`.

    Raises
    ------
    InputError
        If a model cannot be learned from these journeys. What only its solution shows is not seen.
    """
    machineries = [get_machinery(model) for model in models]
    for machinery in machineries:
        machinery.prepare(journeys)
    observed, *summaries = journeys.read(observe, *(machinery.read_for_check for machinery in machineries), *readers)
    untouched = journeys.untouched() if any(machinery.needs_untouched for machinery in machineries) else None
    for machinery, summary in zip(machineries, summaries, strict=False):
        if untouched is not None and machinery.needs_untouched:
            summary = summary + machinery.read_for_check(untouched)
        with attempt(machinery.model, trial):
            machinery.check(summary, observed)
    return [observed, *summaries[len(models) :]]


def fit_models(
    models: Sequence[AttributionModel], journeys: Journeys, *readers: Reader, trial: Trial | None = None
) -> list[Summary]:
    """Fit all models in one pass over the journeys; one of them may be that of a ``trial``.

    Returns
    -------
    list
        What `observe` and then further ``readers`` summed up in that pass.
    """
    for model in models:
        get_machinery(model).prepare(journeys)
    observed, *summaries = journeys.read(observe, *(model.summarise for model in models), *readers)
    for model, summary in zip(models, summaries, strict=False):
        machinery = get_machinery(model)
        with attempt(model, trial):
            machinery.finish_fit(summary + machinery.summarise_untouched(journeys), observed)
    return [observed, *summaries[len(models) :]]
