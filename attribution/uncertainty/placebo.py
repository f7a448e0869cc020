"""What models credit to a channel that does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from attribution.arguments import check_arguments
from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.journeys import Journeys, Placebo, Reader, Summary, build_journeys, journey_options
from attribution.journeys.placebo_channel import with_placebo
from attribution.journeys.structure import count_touchpoints
from attribution.kernels.statistics.beyond_chance import label_z
from attribution.models import AttributionModel, fit_models
from attribution.models.chance import Chance, Shuffling
from attribution.models.fitting import listed_models
from attribution.models.machinery import get_machinery
from attribution.models.resampling import Resamples, fit_and_resample
from attribution.schema.experiment import Period, ResamplingOptions
from attribution.schema.experiment.settings import Number, Settings
from attribution.schema.tables import PLACEBO_CHANNEL
from attribution.schema.tables.definition import Column, Table, null
from attribution.sections import Language, ReportPart, RunContext, Section

_MODEL = Column("model", "text", "label of the model")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused")

MOST_BEYOND = 3.0
"""Standard deviations up to which credit of the placebo is taken for chance: of 700 sound models one exceeds it."""

PLACEBO = Table(
    "placebo",
    "model; what it credits to a channel that does nothing",
    (
        _MODEL,
        _ESTIMAND,
        Column("conversions", "number", "conversions credited to (placebo)"),
        null(
            "conversions_low",
            "number",
            "lower end of the interval of these; null without resampling, or where a draw cannot be solved",
        ),
        null("conversions_high", "number", "upper end of it"),
        null(
            "chance_conversions",
            "number",
            "what the model would credit to (placebo) if channels were labels at random; null where that is turned off",
        ),
        null(
            "beyond",
            "number",
            "standard deviations between its conversions and what a channel that does nothing should get: 0 of an "
            "incremental model (null without resampling), at most chance_conversions of one that divides",
        ),
        null(
            "passes",
            "flag",
            "false where beyond is above 3, of an incremental model also below −3; null where it cannot be told",
        ),
        Column("value", "number", "value credited to (placebo)"),
        null("share", "number", "share of the conversions credited to channels; null where these are not positive"),
        null(
            "touchpoint_share",
            "number",
            "share of all touchpoints, which a model that only counts touchpoints would give it",
        ),
        Column("seed", "integer", "seed of its touchpoints; another seed gives other touchpoints"),
    ),
    question="How much credit does each model give to a channel that does nothing?",
)


class PlaceboOptions(Settings):
    """A channel that does nothing, to see what models credit to it.

    Parameters
    ----------
    seed : int
        Another seed gives it other touchpoints.
    rate : float > 0
        Touchpoints per customer over the span of the data; as many as the average channel has unless set.
    """

    seed: Annotated[int, Field(ge=0, lt=1 << 63, strict=True)] = 0
    rate: Annotated[Number, Field(gt=0, allow_inf_nan=False)] | None = None


@check_arguments
def placebo_test(
    sources: Sources,
    models: AttributionModel | Iterable[AttributionModel],
    *,
    seed: int = 0,
    rate: float | None = None,
    period: Period | None = None,
    chance: bool = False,
    resampling: ResamplingOptions | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The ``placebo`` table: credit of a channel that touches customers at random and does nothing.

    Every customer of the log (and of the ``customers`` table) gets touchpoints of ``(placebo)`` at random
    instants, the models are fitted again, and what they credit to it is reported. Conversions and all other
    touchpoints stay as they are.

    A model that divides observed conversions cannot give it zero: whoever is in a journey gets a share. The number
    shows how much credit a channel gets for merely being there; a channel with a share near it has shown nothing.
    A model of what ads cause should give about zero.

    Parameters
    ----------
    sources : with touchpoints and conversions, and times
    models : one or several; copies of them are fitted; they stay as they are
    seed : another seed gives other touchpoints; a few seeds show how much of the number is chance
    rate : touchpoints of the placebo per customer over the span of the data; unless given, it has as many as the
        average channel
    chance : whether to add what each model would credit to it if channels were labels at random
    resampling : draws of customers, for intervals; none unless given
    period, **options : as `attribution.build_journeys` takes them

    Returns
    -------
    DataFrame
        One row per model: ``model``, ``estimand``, ``conversions`` with the ends of its interval,
        ``chance_conversions``, ``beyond``, ``passes``, ``value``, ``share`` (of the conversions credited to channels),
        ``touchpoint_share`` (of touchpoints in journeys), ``seed``.

    Raises
    ------
    InputError
        If the input is aggregated paths, has integer times or no touchpoint.

    Examples
    --------
    >>> import attribution as at
    >>> log = at.simulate("default", customers=300, truth=False)
    >>> table = placebo_test(at.load_sources(log.touchpoints, log.conversions), [at.Linear()])
    >>> bool(0 < table["share"][0] < 0.4)
    True
    """
    models = listed_models(models)
    copies = [type(model)(**deepcopy(model.get_params())) for model in models]
    journeys = build_journeys(sources, period=period, placebo=Placebo(seed, rate), **options)
    for model in copies:
        get_machinery(model).prepare(journeys)
    shuffling = Shuffling(journeys, tuple(copies)) if chance else None
    readers: list[Reader] = [count_touchpoints] if shuffling is None else [count_touchpoints, shuffling.read]
    (observed, counted, *shuffled), resamples = _fit(copies, journeys, resampling, readers)
    by_chance = None if shuffling is None else shuffling.solve(shuffled[0], observed)
    touchpoints = counted.dense("touchpoints", len(journeys.channels))
    own = placebo_channels(journeys)
    rows = [
        {
            "model": model.label,
            "estimand": model.estimand,
            **_against_nothing(model, own, by_chance, resamples),
            "value": float(model.credit_.value[:-1][own].sum()),
            "share": _share(model.credit_.conversions[:-1], own),
            "touchpoint_share": _share(touchpoints, own),
            "seed": seed,
        }
        for model in copies
    ]
    return pd.DataFrame(rows, columns=list(PLACEBO.column_names)).astype({"passes": "boolean"})


def _fit(
    models: list[AttributionModel], journeys: Journeys, options: ResamplingOptions | None, readers: list[Reader]
) -> tuple[list[Summary], Resamples | None]:
    """Draws are left out where a model cannot be solved for every one: the placebo touches all but a few customers."""
    if options is not None:
        try:
            return fit_and_resample(models, journeys, options, *readers)
        except InputError:
            pass
    return fit_models(models, journeys, *readers), None


def _against_nothing(
    model: AttributionModel, own: NDArray[np.bool_], chance: Chance | None, resamples: Resamples | None
) -> dict[str, Any]:
    """What a model credits to the placebo, its interval, and how far that is from what it should be."""
    credited = float(model.credit_.conversions[:-1][own].sum())
    columns = dict.fromkeys(("conversions_low", "conversions_high", "chance_conversions", "beyond"), np.nan)
    if resamples is not None:
        kinds = (resamples.draws, resamples.estimates, resamples.jackknife)
        draws, *ends = (kind[model.label].channels.conversions[:, own].sum(axis=1, keepdims=True) for kind in kinds)
        low, high = resamples.interval(draws, *ends)[:, 0]
        columns |= {"conversions_low": float(low), "conversions_high": float(high)}
        if model.estimand == "incremental" and draws.std(ddof=1) > 0:
            columns["beyond"] = credited / float(draws.std(ddof=1))
    if chance is not None and model.label in chance.shuffles:
        expected = float(chance.level(model.label, "conversions")[own].sum())
        columns["chance_conversions"] = expected
        if model.estimand == "allocated":
            total = float(model.credit_.conversions[:-1].sum())
            columns["beyond"] = float(label_z(np.array([credited]), np.array([expected]), total)[0])
    size = abs(columns["beyond"]) if model.estimand == "incremental" else columns["beyond"]
    return {"conversions": credited, **columns, "passes": pd.NA if np.isnan(size) else bool(size <= MOST_BEYOND)}


def placebo_channels(journeys: Journeys) -> NDArray[np.bool_]:
    """(channels,) which channels of ``journeys`` are the placebo's: several where a path transform splits channels."""
    names = journeys.dimensions.channels
    split = len(journeys.channels) // len(names)
    return np.repeat([name == PLACEBO_CHANNEL for name in names], split)


def _share(amounts: NDArray[np.float64], own: NDArray[np.bool_]) -> float:
    total = amounts.sum()
    return float(amounts[own].sum() / total) if total > 0 else np.nan


class PlaceboSection(Section):
    """What each model credits to a channel that does nothing."""

    name = "placebo"
    options = PlaceboOptions
    declared = (PLACEBO,)

    def check(self, context: RunContext) -> None:
        """Refuse data without times."""
        if context.sources.integer_times is not False:
            raise InputError(
                "a placebo needs timestamps, but these data have only an order",
                hint="use touchpoints with timestamps, or leave placebo out of the experiment",
            )
        placebo = context.experiment.options(self.name, PlaceboOptions) or PlaceboOptions()
        Placebo(placebo.seed, placebo.rate)

    def check_journeys(self, context: RunContext) -> None:
        """Refuse a log without a channel to compare with."""
        with_placebo(context.journeys.dimensions)

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """The table ``placebo``."""
        experiment = context.experiment
        placebo = experiment.options(self.name, PlaceboOptions) or PlaceboOptions()
        options = journey_options(experiment)
        table = placebo_test(
            context.sources,
            context.models,
            seed=placebo.seed,
            rate=placebo.rate,
            period=experiment.period,
            chance=experiment.incrementality.enabled,
            resampling=experiment.resampling,
            **options,
        )
        return {"placebo": table}

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """Its credit under each model, with interval and chance level, and its share."""
        if model is None or "placebo" not in tables:
            return {}
        row = tables["placebo"].set_index("model").loc[model]
        measures = ("conversions", "conversions_low", "conversions_high", "chance_conversions", "beyond")
        return {
            f"placebo_{what}": float(row[what])
            for what in (*measures, "share", "touchpoint_share")
            if pd.notna(row.get(what))
        }

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """What each model credits to it, beside what it should."""
        if "placebo" not in tables:
            return None
        values = {
            "says": placebo_sentences(tables),
            "tables": {"Credit of a channel that does nothing": tables["placebo"]},
        }
        return ReportPart((("placebo", "A channel that does nothing"),), values=values)


def placebo_sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """What each model credits to a channel that does nothing, with its interval and the chance level, in a sentence.

    Examples
    --------
    >>> table = pd.DataFrame({"model": ["linear"], "estimand": "allocated", "conversions": 6.0, "conversions_low": 4.0,
    ...     "conversions_high": 9.0, "chance_conversions": 5.5, "passes": [True]})
    >>> placebo_sentences({"placebo": table})
    ['linear credits a channel that does nothing with 6.0 conversions (4.0 to 9.0); chance alone gives 5.5.']
    >>> placebo_sentences({})
    []
    """
    sentences = []
    for row in tables.get("placebo", pd.DataFrame()).to_dict("records"):
        ends = row.get("conversions_low", np.nan), row.get("conversions_high", np.nan)
        interval = "" if np.isnan(ends[0]) else f" ({ends[0]:,.1f} to {ends[1]:,.1f})"
        chance = row.get("chance_conversions", np.nan)
        aim = "it should be none" if row["estimand"] == "incremental" else "no more would be right than chance gives"
        if row["estimand"] == "allocated" and not np.isnan(chance):
            aim = f"chance alone gives {chance:,.1f}"
        passes = row.get("passes", pd.NA)
        fails = (
            " That is too far off to be chance." if row["estimand"] == "incremental" else " That is more than chance."
        )
        mark = fails if pd.notna(passes) and not passes else ""
        sentences.append(
            f"{row['model']} credits a channel that does nothing with {row['conversions']:,.1f} conversions{interval}; "
            f"{aim}.{mark}"
        )
    return sentences
