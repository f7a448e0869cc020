"""Returns and spend of every channel under every specification, as one array."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.journeys import Journeys
from attribution.journeys.refine import are_direct
from attribution.models import AdditiveHazard, AttributionModel, LastNonDirect
from attribution.models.additive_hazard import FOLLOWS_INTENT, FOLLOWS_TRAITS
from attribution.returns import Terms, whole_channels
from attribution.returns.channel_costs import CostBasis
from attribution.uncertainty.sensitivity.choices import Choices

Floats = NDArray[np.float64]

FLAGS = (FOLLOWS_INTENT, FOLLOWS_TRAITS)
"""What is said of a channel whose touchpoints are seen to follow customers who would convert anyway."""

AXES = ("model", "lookback_days", "direct", "cost_basis")
"""What a specification consists of, in the order of the axes of a `Grid`."""


@dataclass(frozen=True)
class Grid:
    """Every specification: model × lookback window × direct policy × cost basis.

    Attributes
    ----------
    models, estimands : labels, and what each estimates
    choices : the windows, policies and cost bases, and the run's own
    channels : those with a cost of their own under some cost basis
    basis : what counts as return
    returned : (models, windows, policies, 1, draws + 1, channels) credited return; first of all data, then of draws;
        NaN where a model cannot tell the effect of a channel
    spend : (models, windows, policies, cost bases, draws + 1, channels); NaN where none of its own is known, or 0
    margin : (channels,) share of revenue in the return; 1 where revenue is the return
    average : return of a conversion, over all channels and models
    unseen : channels of which there is no touchpoint in the data
    assumptions : what each model assumes about effects, in words; empty where nothing
    failed : models that fail a check, see `attribution.uncertainty.model_checks`, and why
    ignored : of each model, channels that it gives no credit whatever they do
    unknown : of each model of customers at risk, channels whose effect it cannot tell, and why
    """

    models: tuple[str, ...]
    estimands: tuple[str, ...]
    choices: Choices
    channels: tuple[str, ...]
    basis: str
    returned: Floats
    spend: Floats
    margin: Floats
    average: float = 0.0
    unseen: frozenset[str] = frozenset()
    assumptions: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unknown: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def roi(self) -> Floats:
        """(models, windows, policies, cost bases, draws + 1, channels)."""
        return np.asarray((self.returned - self.spend) / self.spend)

    @property
    def roas(self) -> Floats:
        """Return ÷ spend, whatever the basis; as `roi`."""
        return np.asarray(self.returned / self.spend)

    @property
    def ranked(self) -> NDArray[np.int64]:
        """Positions of the channels that have an ROI under every specification."""
        every = tuple(range(5))
        return np.flatnonzero(np.isfinite(self.spend).all(axis=every) & np.isfinite(self.returned).all(axis=every))

    @property
    def levels(self) -> tuple[tuple[object, ...], ...]:
        """The choices along each of `AXES`."""
        return (self.models, self.choices.lookback_days, self.choices.direct, self.choices.cost_bases)

    @property
    def own(self) -> tuple[int, int, int]:
        """Position of the run's own window, policy and cost basis."""
        days, direct, cost_basis = self.choices.own
        every = self.choices
        return every.lookback_days.index(days), every.direct.index(direct), every.cost_bases.index(cost_basis)

    def of(self, estimand: str) -> Grid:
        """The models that estimate the same: allocated and incremental credit are never put together."""
        return self._at([position for position, other in enumerate(self.estimands) if other == estimand])

    def reason(self, channel: str) -> str:
        """Why nothing can be said of a channel; empty where something can.

        A channel that is seen to follow customers is unknown under every model; one that was not screened, or that is
        not among those whose effect was wanted, only under the model that says so.
        """
        words = {model: of[channel] for model, of in self.unknown.items() if channel in of}
        own = (words[model] for model in self.models if model in words)
        return next(own, next((word for word in words.values() if word in FLAGS), ""))

    @property
    def at_risk(self) -> bool:
        """Whether all models follow customers at risk."""
        return set(self.models) <= set(self.unknown)

    @property
    def reliable(self) -> Grid:
        """Without the models that fail a check; all of them where there is no other."""
        return self.without(self.failed)

    def without(self, models: Container[str]) -> Grid:
        """Without some of the models; all of them where there is no other."""
        positions = [position for position, model in enumerate(self.models) if model not in models]
        return self._at(positions) if positions else self

    def _at(self, positions: Sequence[int]) -> Grid:
        return replace(
            self,
            models=tuple(self.models[position] for position in positions),
            estimands=tuple(self.estimands[position] for position in positions),
            assumptions=tuple(self.assumptions[position] for position in positions) if self.assumptions else (),
            returned=self.returned[positions],
            spend=self.spend[positions],
        )


def grid_of(
    models: Sequence[AttributionModel],
    choices: Choices,
    amounts: Sequence[Sequence[Sequence[Mapping[str, Floats]]]],
    journeys: Journeys,
    terms: Terms,
) -> Grid:
    """Amounts by window, policy and model, each (draws + 1, channels of ``journeys``), as a `Grid`."""
    unknown = {model.label: _unknown_channels(model) for model in models if isinstance(model, AdditiveHazard)}
    names = sorted({*journeys.dimensions.channels, *terms.costs.channels})
    into = _into(journeys, names)
    basis = terms.options.basis
    revenue, returned, spend, conversions = [], [], [], []
    for index in range(len(models)):
        for row in amounts:
            for each in row:
                of = {name: amount @ into for name, amount in each[index].items()}
                revenue.append(of["value"])
                conversions.append(of["conversions"])
                returned.append(terms.earned(basis, of))
                spend.append([_spend(terms, each_basis, names, of["conversions"]) for each_basis in choices.cost_bases])
    shape = (len(models), len(choices.lookback_days), len(choices.direct))
    paid = np.array(spend).reshape(*shape, len(choices.cost_bases), *revenue[0].shape)
    with_cost = np.flatnonzero(np.isfinite(paid).any(axis=tuple(range(5))))
    may_say = np.array([[name not in unknown.get(model.label, {}) for name in names] for model in models])
    every_return = np.array(returned).reshape(*shape, 1, *revenue[0].shape)
    return Grid(
        tuple(model.label for model in models),
        tuple(model.estimand for model in models),
        choices,
        tuple(names[index] for index in with_cost),
        basis,
        np.where(may_say[:, None, None, None, None, :], every_return, np.nan)[..., with_cost],
        paid[..., with_cost],
        _margin(terms, np.array(revenue)[..., with_cost], np.array(returned)[..., with_cost]),
        _average(np.array(returned)[:, 0], np.array(conversions)[:, 0]),
        frozenset(names) - set(journeys.dimensions.channels),
        tuple(f"{model.label}: {model.assumptions.effects}" if model.assumptions.effects else "" for model in models),
        ignored={model.label: _ignored_channels(model) for model in models if isinstance(model, LastNonDirect)},
        unknown=unknown,
    )


def _ignored_channels(model: LastNonDirect) -> frozenset[str]:
    return frozenset(compress(model.channels_, are_direct(model.channels_, model.direct)))


def _unknown_channels(model: AdditiveHazard) -> dict[str, str]:
    rows = model.assignment_[~model.assignment_["is_known"]]
    return dict(zip(rows["channel"], rows["verdict"], strict=True))


def _margin(terms: Terms, revenue: Floats, returned: Floats) -> Floats:
    """(channels,) margin of (…, channels) revenue and return."""
    channels = revenue.shape[-1]
    if terms.options.basis == "revenue":
        return np.ones(channels)
    if terms.options.basis == "ltv":
        return np.full(channels, terms.options.margin)
    sold, earned = (of.reshape(-1, channels).sum(axis=0) for of in (revenue, returned))
    result: Floats = np.divide(earned, sold, out=np.ones(channels), where=sold > 0)
    return result


def check_returned(returned: float) -> None:
    """Raise `InputError` if nothing has come back: every ROI is then −100 %."""
    if returned == 0:
        raise InputError(
            "sensitivity: every conversion has the value 0, so every ROI is −100 %",
            hint="add a column value to the conversions table, or leave sensitivity out of the experiment",
        )


def _average(returned: Floats, conversions: Floats) -> float:
    """Return of a conversion, given those (specifications, channels) that channels are credited with.

    Raises
    ------
    InputError
        If nothing has come back: every ROI is then −100 %.
    """
    check_returned(float(np.abs(returned).max(initial=0.0)))
    # Credit below zero, as incremental models may give, is no conversion.
    gained = (returned > 0) & (conversions > 0)
    return float(returned[gained].sum() / conversions[gained].sum()) if gained.any() else 0.0


def _into(journeys: Journeys, names: Sequence[str]) -> Floats:
    """(channels of journeys, names) 1 where the former is, or is a part of, the latter."""
    whole = whole_channels(journeys)
    into = np.zeros((len(journeys.channels), len(names)))
    columns = {name: position for position, name in enumerate(names)}
    for position, channel in enumerate(journeys.channels):
        into[position, columns[whole.get(channel, channel)]] = 1.0
    return into


def _spend(terms: Terms, cost_basis: CostBasis, names: Sequence[str], conversions: Floats) -> Floats:
    spend = terms.costs.spend(cost_basis, names, conversions)
    return np.where((spend > 0) & terms.costs.has_own(cost_basis, names), spend, np.nan)
