"""On which terms return is set against cost: what is known, and what channels are ranked by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.returns.channel_costs import CostBasis, Costs
from attribution.returns.lifetime import default_lifetime
from attribution.schema.experiment import ReturnsOptions

Floats = NDArray[np.float64]
Basis = Literal["revenue", "margin", "ltv"]

BASES: tuple[Basis, ...] = ("revenue", "margin", "ltv")
COST_BASES: tuple[CostBasis, ...] = ("media", "loaded")


@dataclass(frozen=True)
class Terms:
    """What counts as return and as cost in one run.

    Attributes
    ----------
    options : as asked for
    costs : all of them
    measures : what is known of conversions beside their value: ``new_customers``, ``margin``, ``ltv``
    """

    options: ReturnsOptions
    costs: Costs
    measures: frozenset[str] = frozenset()

    @property
    def bases(self) -> list[Basis]:
        """The returns that are known."""
        has_margin = self.options.margin is not None or "margin" in self.measures
        has_ltv = self.options.margin is not None and "ltv" in self.measures
        available = {"revenue": True, "margin": has_margin, "ltv": has_ltv}
        return [basis for basis in BASES if available[basis]]

    @property
    def combinations(self) -> list[tuple[Basis, CostBasis]]:
        """Basis and cost basis of the rows of ``returns``; channels are ranked by the first."""
        cost_bases = COST_BASES if self.costs.is_ledger else COST_BASES[:1]
        ranked = self.options.basis, self.options.cost_basis
        pairs = [(basis, cost_basis) for basis in self.bases for cost_basis in cost_bases]
        return [ranked, *(pair for pair in pairs if pair != ranked)]

    def earned(self, basis: Basis, amounts: Mapping[str, Floats]) -> Floats:
        """Return on ``basis``, given the credited ``value`` and measures, all of one shape."""
        if basis == "revenue":
            return amounts["value"]
        if basis == "margin" and "margin" in amounts:
            return amounts["margin"]
        assert self.options.margin is not None
        return self.options.margin * amounts["value" if basis == "margin" else "ltv"]

    def paid(self, channels: Sequence[str], conversions: Floats, cost_basis: CostBasis) -> Floats:
        """(draws, channels) spend that ratios are made of; NaN where there is none, or none of a channel's own."""
        spend = self.costs.spend(cost_basis, channels, conversions)
        return np.where((spend > 0) & self.costs.has_own(cost_basis, channels), spend, np.nan)

    def roi(
        self,
        channels: Sequence[str],
        amounts: Mapping[str, Floats],
        basis: Basis | None = None,
        cost_basis: CostBasis | None = None,
    ) -> Floats:
        """(draws, channels) ROI, given ``conversions``, ``value`` and measures; on what channels are ranked by."""
        paid = self.paid(channels, amounts["conversions"], cost_basis or self.options.cost_basis)
        return np.asarray((self.earned(basis or self.options.basis, amounts) - paid) / paid)

    def check(self) -> None:
        """Raise `InputError` if channels are to be ranked by what is not known."""
        options = self.options
        if options.basis not in self.bases:
            needs = {
                "margin": "set returns.margin, such as 0.4, or add a column 'margin' to conversions",
                "ltv": (
                    "set returns.margin, and set returns.ltv, add a column 'ltv' to conversions, or add the table "
                    "lifetimes"
                ),
            }
            raise InputError(f"returns.basis = {options.basis!r}, which is unknown", hint=needs[options.basis])
        if options.cost_basis == "loaded" and not self.costs.is_ledger:
            raise InputError(
                "returns.cost_basis is 'loaded', but no cost has a type",
                hint="add a column cost_type to the costs table: media, labour, tools, …",
            )


def known_measures(sources: Sources, options: ReturnsOptions, *, economics: bool = False) -> frozenset[str]:
    """What is known, and asked for, of conversions beside their value.

    Parameters
    ----------
    sources : their columns
    options : margin and LTV
    economics : whether the costs of a new customer are asked for

    Raises
    ------
    InputError
        If new customers are asked for of aggregated paths, or LTV comes in over time and is not known.
    """
    if sources.has("paths"):
        if options.ltv is not None or options.lifetime is not None or economics:
            raise InputError("aggregated paths have no new customers, so there is no LTV and no CAC")
        return frozenset()
    tells_ltv = default_lifetime(options) is not None or sources.has("conversions", "ltv")
    if options.lifetime is not None and not tells_ltv:
        raise InputError(
            "returns.lifetime needs an amount of lifetime revenue",
            hint="set lifetime.revenue or ltv, add a column 'ltv' to conversions, or add the table lifetimes",
        )
    names: Iterable[tuple[str, bool]] = (
        ("margin", sources.has("conversions", "margin")),
        ("ltv", options.margin is not None and tells_ltv),
        ("new_customers", economics),
    )
    return frozenset(name for name, is_known in names if is_known)
