"""The ``returns`` table: what each channel earned on its spend, under every model."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from attribution.arguments import check_arguments
from attribution.data.loading import Sources
from attribution.journeys import Journeys
from attribution.models import AttributionModel
from attribution.models.credit import Credit
from attribution.returns.spend import CostBasis, read_costs
from attribution.returns.terms import Basis, Terms, known_measures
from attribution.returns.worth import Worth, read_worth
from attribution.schema.experiment import Period, ReturnsOptions, checked
from attribution.schema.tables import NO_CHANNELS, RETURNS


@check_arguments
def compute_returns(
    credit: Credit,
    sources: Sources,
    *,
    period: Period | None = None,
    copies: bool = True,
    journeys: Journeys | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The ``returns`` table: what each channel earned on its spend, under every model.

    Parameters
    ----------
    credit : channel totals of every model
    sources : where spend is found: the costs table, or the cost of touchpoints
    period : costs are pro-rated to it by days
    copies : whether a touchpoint that repeats another in every column costs again
    journeys : what the models were fitted on; needed for margin and LTV of single conversions and for new customers
    **options : what `attribution.schema.experiment.ReturnsOptions` knows: ``basis``, ``cost_basis``, ``margin``, …

    Returns
    -------
    One row per basis, cost basis, model and channel, those that channels are ranked by first. Channels with spend and
    no touchpoint have a row with credit 0; ratios and rank are null where there is no spend.

    Raises
    ------
    InputError
        If two sources of cost cover the same channel, or what channels are ranked by is not known.

    Examples
    --------
    5 : 1 is a ROAS; at a margin of 30 % it is a profit of 50 % on what was spent.

    >>> import attribution as at
    >>> sources = at.load_sources(
    ...     paths=pd.DataFrame({"path": ["mail"], "conversions": [100], "value": [50_000.0]}),
    ...     costs=pd.DataFrame({"channel": ["mail"], "amount": [10_000.0]}),
    ... )
    >>> credit = at.attribute(at.build_journeys(sources), [at.LastTouch()])
    >>> returns = compute_returns(credit, sources, margin=0.3)
    >>> returns.query("channel == 'mail'")[["basis", "roas", "roi"]].values.tolist()
    [['revenue', 5.0, 4.0], ['margin', nan, 0.5]]
    """
    asked = checked(ReturnsOptions, options, origin="compute_returns")
    costs = read_costs(sources, asked, period=period, copies=copies)
    measures = known_measures(sources, asked) if journeys is not None else frozenset[str]()
    terms = Terms(asked, costs, measures)
    terms.check()
    # Models that gave credit are fitted, which is all that is asked of them here.
    models = cast(tuple[AttributionModel, ...], credit.models)
    worth = None if journeys is None else read_worth(journeys, models, sources, terms)
    return returns_table(with_worth(credit.table, worth), terms)


def with_worth(credit: pd.DataFrame, worth: Worth | None) -> pd.DataFrame:
    """The ``credit`` table with a further column for each measure."""
    return credit if worth is None else credit.merge(worth.table, on=["model", "channel"], how="left")


def returns_table(credit: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """The ``returns`` table of a ``credit`` table with its measures, on all terms that are known."""
    table = with_idle_channels(credit, terms)
    parts = [_rows(table, terms, basis, cost_basis) for basis, cost_basis in terms.combinations]
    return pd.concat(parts, ignore_index=True)[list(RETURNS.column_names)]


def main_basis(returns: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first basis and cost basis, the ones channels are ranked by."""
    if returns.empty or "basis" not in returns:
        return returns
    first = returns.iloc[0]
    return returns[(returns["basis"] == first["basis"]) & (returns["cost_basis"] == first["cost_basis"])]


def with_idle_channels(credit: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Credit with a row of zeros for every channel that has costs and no touchpoint, in order of channels."""
    models = credit[["model", "estimand"]].drop_duplicates()
    idle = pd.DataFrame({"channel": sorted(terms.costs.channels - set(credit["channel"]))})
    idle[["conversions", "value", *sorted(terms.measures)]] = 0.0
    table = pd.concat([credit, models.merge(idle, how="cross")], ignore_index=True) if len(idle) else credit.copy()
    place = table["model"].map({model: place for place, model in enumerate(models["model"])})
    last = table["channel"].isin(NO_CHANNELS)
    order = np.lexsort([table["channel"].to_numpy(str), last.to_numpy(), place.to_numpy()])
    return table.iloc[order].reset_index(drop=True)


def spend_of(table: pd.DataFrame, terms: Terms, cost_basis: CostBasis) -> pd.Series:
    """Spend of each row of a table of credit; null where none is known, and in rows that are no channels."""
    spend = pd.Series(np.nan, index=table.index)
    for _, part in table[~table["channel"].isin(NO_CHANNELS)].groupby("model", sort=False):
        spend[part.index] = terms.costs.spend(cost_basis, list(part["channel"]), part["conversions"].to_numpy(float))
    return spend


def paid_of(table: pd.DataFrame, terms: Terms, cost_basis: CostBasis) -> pd.Series:
    """The spend that ratios are made of: that of channels with a cost of their own; null where it is 0."""
    has_own = terms.costs.has_own(cost_basis, list(table["channel"]))
    return table["spend"].where(has_own & (table["spend"] > 0))


def ratio(above: pd.Series, below: pd.Series) -> pd.Series:
    """Quotient where ``below`` is above 0; null elsewhere, and where next to nothing would make it infinite."""
    quotient = above / below.where(below > 0)
    return quotient.where(np.isfinite(quotient))


def _rows(credit: pd.DataFrame, terms: Terms, basis: Basis, cost_basis: CostBasis) -> pd.DataFrame:
    amounts = {name: credit[name].to_numpy(float) for name in ("value", *terms.measures)}
    table = credit.assign(basis=basis, cost_basis=cost_basis, value=terms.earned(basis, amounts))
    table["spend"] = spend_of(credit, terms, cost_basis)
    paid = paid_of(table, terms, cost_basis)
    table["roas"] = ratio(table["value"], paid) if basis == "revenue" else np.nan
    table["roi"] = ratio(table["value"] - table["spend"], paid)
    table["cpa"] = ratio(paid, table["conversions"])
    table["rank"] = table.groupby("model", sort=False)["roi"].rank(ascending=False, method="average")
    table[["roi_low", "roi_high", "rank_low", "rank_high"]] = np.nan
    return table
