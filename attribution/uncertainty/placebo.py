"""What models credit to a channel that does nothing."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.data.loading import Sources
from attribution.journeys import JourneyChunk, Journeys, Placebo, Summary, build_journeys
from attribution.journeys.structure import tally
from attribution.kernels.journeys.batches import gather_slices
from attribution.models import AttributionModel, fit_models
from attribution.models.fitting import listed_models
from attribution.schema.experiment import Period
from attribution.schema.tables import PLACEBO, PLACEBO_CHANNEL


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

    Every customer of the log (and of the ``customers`` table) gets touchpoints of ``(placebo)`` at instants that
    depend on nothing, the models are fitted again, and what they credit to it is reported. Conversions and all other
    touchpoints stay as they are.

    A model that divides observed conversions cannot give it zero: whoever is in a journey gets a share. The number
    shows how much credit a channel gets for merely being there; a channel with a share near it has shown nothing.
    A model of what ads cause should give about zero.

    Parameters
    ----------
    sources : with touchpoints and conversions, and times
    models : one or several; copies of them are fitted; they stay as they are
    seed : another seed puts the placebo elsewhere: a few tell how much of the number is chance
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


def count_touchpoints(chunk: JourneyChunk) -> Summary:
    """Touchpoints by channel, each as often as journeys hold it."""
    channel = gather_slices(chunk.channel, chunk.start, chunk.stop)
    return Summary({"touchpoints": tally(channel, np.ones(len(channel), bool))})


def _share(amounts: NDArray[np.float64], own: NDArray[np.bool_]) -> float:
    total = amounts.sum()
    return float(amounts[own].sum() / total) if total > 0 else np.nan
