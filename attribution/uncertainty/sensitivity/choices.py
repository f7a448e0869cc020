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
    options, journey_options = sensitivity_options(experiment), experiment.journeys
    if not any(amount > 0 for amount in terms.costs.amounts.values()):
        raise InputError("sensitivity needs the ROI of channels, but no channel has a cost", hint="add a costs table")
    has_windows = sources.integer_times is False and not sources.has("paths")
    own_days = None
    if has_windows:
        own_days = float(
            DEFAULT_LOOKBACK_DAYS if journey_options.lookback_days is None else journey_options.lookback_days
        )
    elif options.lookback_days is not None:
        raise InputError(
            "sensitivity.lookback_days needs timestamps, but these data have only an order",
            given=options.lookback_days,
            hint="leave it out, or use touchpoints with timestamps",
        )
    direct_channels = journey_options.direct_channels if options.direct_channels is None else options.direct_channels
    names = None if direct_channels is None else tuple(direct_channels)
    own = (own_days, journey_options.direct, terms.options.cost_basis)
    has_direct = bool(direct_among(journeys.dimensions.channels, names))
    return Choices(
        _windows(options.lookback_days, own_days, journeys),
        _policies(options.direct, journey_options.direct, has_direct, sources.has("paths")),
        _cost_bases(options.cost_bases, terms),
        own,
        names,
    )


def _windows(windows: Sequence[float] | None, own: float | None, journeys: Journeys) -> tuple[float | None, ...]:
    if own is None or journeys.span is None:
        return (None,)
    if windows is None:
        # A window as long as the data already holds all there is.
        is_whole = own * DAY >= journeys.span[1] - journeys.span[0]
        windows = [own / 2] if is_whole else [own / 2, own * 2]
    return tuple(sorted({own, *map(float, windows)}))


def _policies(policies: Sequence[str] | None, own: str, has_direct: bool, is_paths: bool) -> tuple[str, ...]:
    if policies is not None and is_paths:
        raise InputError(
            "sensitivity.direct cannot be used with aggregated paths, which are complete journeys",
            given=policies,
            hint="leave it out",
        )
    if policies is not None and set(policies) != {own} and not has_direct:
        raise InputError(
            "sensitivity.direct has no effect, because no channel is direct traffic",
            given=policies,
            hint='set sensitivity.direct_channels = ["…"], or leave it out',
        )
    if is_paths or not has_direct:
        return (own,)
    return tuple(dict.fromkeys([own, *(["keep", "drop_if_other"] if policies is None else policies)]))


def _cost_bases(bases: Sequence[CostBasis] | None, terms: Terms) -> tuple[CostBasis, ...]:
    available: tuple[CostBasis, ...] = COST_BASES if terms.costs.is_ledger else COST_BASES[:1]
    if bases is not None and not set(bases) <= set(available):
        raise InputError(
            "sensitivity.cost_bases has 'loaded', but no cost has a type",
            hint="add a column cost_type to the costs table: media, labour, tools, …",
        )
    return tuple(dict.fromkeys([terms.options.cost_basis, *(available if bases is None else bases)]))
