"""What a customer costs and is worth, with the intervals that draws give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.kernels.statistics.intervals import divide_draws
from attribution.returns import CostBasis, Terms, unit_economics
from attribution.returns.returns_declared import UNIT_ECONOMICS
from attribution.schema.experiment import Experiment
from attribution.sections import Language, ReportPart, RunContext, Section
from attribution.uncertainty.intervals import Sampled

Floats = NDArray[np.float64]

_COSTS_PER = {"cpa": "conversions", "cac": "new_customers"}
_TRACKED = ("cpa", "cac", "ltv_to_cac", "payback")
_UNIT = ["channel", "spend", "conversions", "new_customers", "cpa", "cac", "lifetime_margin", "ltv_to_cac", "payback"]
_BREAK_EVEN = ["break_even_roas", "break_even_cpa"]


class EconomicsSection(Section):
    """What a customer costs and brings, under every model."""

    name = "unit_economics"
    declared = (UNIT_ECONOMICS,)

    def is_wanted(self, experiment: Experiment) -> bool:
        """On request."""
        return experiment.output.unit_economics

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """The table ``unit_economics``."""
        return {self.name: sampled_economics(context.credit_with_worth, context.terms, context.draws)}

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """Costs of a conversion and of a customer, and when they are earned back."""
        if model is None or self.name not in tables:
            return {}
        table = tables[self.name]
        return {
            f"{name}_{row['cost_basis']}/{row['channel']}": float(row[name])
            for row in table[table["model"] == model].to_dict("records")
            for name in _TRACKED
        }

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """All of it as a table."""
        if self.name not in tables:
            return None
        shown = tables[self.name][["model", "cost_basis", *_UNIT, *_BREAK_EVEN]]
        return ReportPart((("economics", "Customers"),), template="economics.html.j2", values={"economics": shown})


def sampled_economics(credit: pd.DataFrame, terms: Terms, sampled: Sampled | None = None) -> pd.DataFrame:
    """The ``unit_economics`` table of a ``credit`` table with its measures.

    Parameters
    ----------
    credit : with what conversions are worth beside their value
    terms : what counts as cost
    sampled : draws of credit, for intervals; none without
    """
    table = unit_economics(credit, terms)
    if sampled is None:
        return table
    for (label, cost_basis), part in table.groupby(["model", "cost_basis"], sort=False):
        kinds = [_ratios(terms, sampled.channels, amounts, cost_basis) for amounts in sampled.amounts[label]]
        for name in kinds[0]:
            low, high = sampled.resamples.interval(*(of[name] for of in kinds))
            # No table holds an infinite number: a lower end alone says that there is no upper one.
            shown = {end: np.where(np.isinf(of), np.nan, of) for end, of in (("low", low), ("high", high))}
            if name in _COSTS_PER:
                shown["empty_draws"] = (kinds[0][name] == np.inf).mean(axis=0)
            for what, values in shown.items():
                by_channel = dict(zip(sampled.channels, values, strict=True))
                column = part["channel"].map(by_channel).astype(float)
                table.loc[part.index, f"{name}_{what}"] = column.where(part[name].notna())
    return table


def _ratios(
    terms: Terms, channels: tuple[str, ...], amounts: dict[str, Floats], cost_basis: CostBasis
) -> dict[str, Floats]:
    """(draws, channels) of each ratio that has an interval; what nobody was won for costs infinitely much."""
    paid = terms.paid(channels, amounts["conversions"], cost_basis)
    ratios = {name: divide_draws(paid, amounts[of]) for name, of in _COSTS_PER.items()}
    if "ltv" in amounts:
        ratios["ltv_to_cac"] = terms.earned("ltv", amounts) / paid
    return ratios
