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
from attribution.journeys import Journeys, Placebo, build_journeys, journey_options
from attribution.journeys.placebo_channel import with_placebo
from attribution.journeys.structure import count_touchpoints
from attribution.models import AttributionModel, fit_models
from attribution.models.fitting import listed_models
from attribution.schema.experiment import Period
from attribution.schema.experiment.settings import Number, Settings
from attribution.schema.tables import PLACEBO_CHANNEL
from attribution.schema.tables.definition import Column, Table, null
from attribution.sections import RunContext, Section

_MODEL = Column("model", "text", "label of the model")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused")

PLACEBO = Table(
    "placebo",
    "model; what it credits to a channel that does nothing",
    (
        _MODEL,
        _ESTIMAND,
        Column("conversions", "number", "conversions credited to (placebo)"),
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
    period, **options : as `attribution.build_journeys` takes them

    Returns
    -------
    DataFrame
        One row per model: ``model``, ``estimand``, ``conversions``, ``value``, ``share`` (of the conversions
        credited to channels), ``touchpoint_share`` (of touchpoints in journeys), ``seed``.

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
    _, counted = fit_models(copies, journeys, count_touchpoints)
    touchpoints = counted.dense("touchpoints", len(journeys.channels))
    own = placebo_channels(journeys)
    rows = [
        {
            "model": model.label,
            "estimand": model.estimand,
            "conversions": float(model.credit_.conversions[:-1][own].sum()),
            "value": float(model.credit_.value[:-1][own].sum()),
            "share": _share(model.credit_.conversions[:-1], own),
            "touchpoint_share": _share(touchpoints, own),
            "seed": seed,
        }
        for model in copies
    ]
    return pd.DataFrame(rows, columns=list(PLACEBO.column_names))


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
            context.sources, context.models, seed=placebo.seed, rate=placebo.rate, period=experiment.period, **options
        )
        return {"placebo": table}

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """Its share of each model's credit."""
        if model is None or "placebo" not in tables:
            return {}
        row = tables["placebo"].set_index("model").loc[model]
        return {f"placebo_{what}": float(row[what]) for what in ("share", "touchpoint_share")}
