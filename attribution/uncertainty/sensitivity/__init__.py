"""How far the ranking can be trusted: every specification, verdicts, and the regret of acting on one model."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attribution.data.loading import Sources
from attribution.journeys import Journeys
from attribution.models import AttributionModel
from attribution.returns import Terms
from attribution.schema.experiment import Experiment
from attribution.uncertainty.sensitivity.fits import draw_grid
from attribution.uncertainty.sensitivity.grid import Grid
from attribution.uncertainty.sensitivity.metrics import doubt_metrics
from attribution.uncertainty.sensitivity.regret import regret_table
from attribution.uncertainty.sensitivity.spread import joint_ranks, rank_swaps, roi_variance, specification_table
from attribution.uncertainty.sensitivity.verdicts import verdict_table

__all__ = ["Grid", "doubt_metrics", "doubt_tables", "draw_grid"]


def doubt_tables(
    experiment: Experiment,
    sources: Sources,
    journeys: Journeys,
    models: Sequence[AttributionModel],
    terms: Terms,
) -> dict[str, pd.DataFrame]:
    """The tables of `attribution.schema.tables.doubt`, if an experiment asks for them; none if it does not.

    Parameters
    ----------
    experiment : its ``[doubt]`` says what to try
    sources : the input tables
    journeys : the run's own
    models : fitted on them
    terms : what counts as return and as cost

    Raises
    ------
    InputError
        If there is no ROI to doubt, nothing converted, or a choice is named that these data do not leave.
    """
    asked = experiment.doubt
    if asked is None:
        return {}
    grid, matured = draw_grid(experiment, sources, journeys, models, terms)
    # Allocated and incremental credit are never put together.
    each = [grid.of(estimand) for estimand in dict.fromkeys(grid.estimands)]
    return {
        "specifications": specification_table(grid, asked.level),
        "joint_rank_probability": _joined([joint_ranks(part) for part in each]),
        "rank_swaps": _joined([rank_swaps(part) for part in each]),
        "roi_variance": _joined([roi_variance(part) for part in each]),
        "verdicts": _joined([verdict_table(part, asked, matured) for part in each]),
        "regret": _joined([regret_table(part, asked) for part in each]),
    }


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]
