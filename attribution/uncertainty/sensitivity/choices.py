"""Which choices of an analyst are tried beside the run's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.journeys import DAY, Journeys
from attribution.journeys.refine import direct_among
from attribution.returns import Terms
from attribution.returns.channel_costs import CostBasis
from attribution.returns.terms import COST_BASES
from attribution.schema.experiment import DEFAULT_LOOKBACK_DAYS, Experiment
from attribution.uncertainty.sensitivity.sensitivity_options import sensitivity_options


@dataclass(frozen=True)
class Choices:
    """What is tried, all of it with all of it, and what the run itself chose.

    Attributes
    ----------
    lookback_days : ascending; a single None where times are positions or there are none
    direct : policies for direct traffic
    cost_bases : which costs count
    own : the run's own window, policy and cost basis
    direct_channels : which are direct traffic; None for those that are called so
    """

    lookback_days: tuple[float | None, ...]
    direct: tuple[str, ...]
    cost_bases: tuple[CostBasis, ...]
    own: tuple[float | None, str, CostBasis]
    direct_channels: tuple[str, ...] | None = None


def choices_of(experiment: Experiment, sources: Sources, journeys: Journeys, terms: Terms) -> Choices:
    """What an experiment has to try; ``journeys`` are the run's own.

    Raises
    ------
    InputError
        If no channel has an ROI, or a choice is named that these data do not allow.
    """
    asked, options = sensitivity_options(experiment), experiment.journeys
    if not any(amount > 0 for amount in terms.costs.amounts.values()):
        raise InputError("sensitivity needs the ROI of channels, but no channel has a cost", hint="add a costs table")
    has_windows = sources.integer_times is False and not sources.has("paths")
    own_days = None
    if has_windows:
        own_days = float(DEFAULT_LOOKBACK_DAYS if options.lookback_days is None else options.lookback_days)
    elif asked.lookback_days is not None:
        raise InputError(
            "sensitivity.lookback_days needs timestamps, but these data have only an order",
            given=asked.lookback_days,
            hint="leave it out, or use touchpoints with timestamps",
        )
    given = options.direct_channels if asked.direct_channels is None else asked.direct_channels
    names = None if given is None else tuple(given)
    own = (own_days, options.direct, terms.options.cost_basis)
    has_direct = bool(direct_among(journeys.dimensions.channels, names))
    return Choices(
        _windows(asked.lookback_days, own_days, journeys),
        _policies(asked.direct, options.direct, has_direct, sources.has("paths")),
        _cost_bases(asked.cost_bases, terms),
        own,
        names,
    )


def _windows(asked: Sequence[float] | None, own: float | None, journeys: Journeys) -> tuple[float | None, ...]:
    if own is None or journeys.span is None:
        return (None,)
    if asked is None:
        # A window as long as the data already holds all there is.
        is_whole = own * DAY >= journeys.span[1] - journeys.span[0]
        asked = [own / 2] if is_whole else [own / 2, own * 2]
    return tuple(sorted({own, *map(float, asked)}))


def _policies(asked: Sequence[str] | None, own: str, has_direct: bool, is_paths: bool) -> tuple[str, ...]:
    if asked is not None and is_paths:
        raise InputError(
            "sensitivity.direct cannot be used with aggregated paths, which are complete journeys",
            given=asked,
            hint="leave it out",
        )
    if asked is not None and set(asked) != {own} and not has_direct:
        raise InputError(
            "sensitivity.direct has no effect, because no channel is direct traffic",
            given=asked,
            hint='set sensitivity.direct_channels = ["…"], or leave it out',
        )
    if is_paths or not has_direct:
        return (own,)
    return tuple(dict.fromkeys([own, *(["keep", "drop_if_other"] if asked is None else asked)]))


def _cost_bases(asked: Sequence[CostBasis] | None, terms: Terms) -> tuple[CostBasis, ...]:
    known: tuple[CostBasis, ...] = COST_BASES if terms.costs.is_ledger else COST_BASES[:1]
    if asked is not None and not set(asked) <= set(known):
        raise InputError(
            "sensitivity.cost_bases has 'loaded', but no cost has a type",
            hint="add a column cost_type to the costs table: media, labour, tools, …",
        )
    return tuple(dict.fromkeys([terms.options.cost_basis, *(known if asked is None else asked)]))
