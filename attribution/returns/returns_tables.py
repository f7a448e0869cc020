"""What credit and spend come to, as tables: returns, unit economics, claims; and as metrics."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.data.loading import Sources
from attribution.journeys import Journeys
from attribution.models import AttributionModel
from attribution.models.credit import Credit
from attribution.returns.channel_costs import CostBasis, read_costs
from attribution.returns.cost_ledger import Days, totals_of
from attribution.returns.lifetime import payback
from attribution.returns.returns_declared import PLATFORM_CLAIMS, RETURNS, UNIT_ECONOMICS
from attribution.returns.terms import COST_BASES, Basis, Terms, known_measures
from attribution.returns.worth import Worth, read_worth
from attribution.schema.experiment import Period, ReturnsOptions, checked
from attribution.schema.tables import NO_CHANNELS

Floats = NDArray[np.float64]

_CHANCE = ["chance_conversions", "chance_value", "beyond_conversions"]
"""Columns of ``credit`` that add up over the parts of a channel."""


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
    settings = checked(ReturnsOptions, options, origin="compute_returns")
    costs = read_costs(sources, settings, period=period, copies=copies)
    measures = known_measures(sources, settings) if journeys is not None else frozenset[str]()
    terms = Terms(settings, costs, measures)
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
    if "is_known" in credit:
        idle["is_known"] = True
    rows = models.merge(idle, how="cross")
    if "chance_value" in credit:
        has_chance = set(credit.loc[credit["chance_value"].notna(), "model"])
        rows.loc[rows["model"].isin(has_chance), _CHANCE] = 0.0
    table = pd.concat([credit, rows], ignore_index=True) if len(idle) else credit.copy()
    position = table["model"].map({model: index for index, model in enumerate(models["model"])})
    last = table["channel"].isin(NO_CHANNELS)
    order = np.lexsort([table["channel"].to_numpy(str), last.to_numpy(), position.to_numpy()])
    return table.iloc[order].reset_index(drop=True)


def spend_of(table: pd.DataFrame, terms: Terms, cost_basis: CostBasis) -> pd.Series:
    """Spend of each row of a table of credit; null where none is known, and in rows that are no channels."""
    spend = pd.Series(np.nan, index=table.index)
    for _, part in table[~table["channel"].isin(NO_CHANNELS)].groupby("model", sort=False):
        spend[part.index] = terms.costs.spend(cost_basis, list(part["channel"]), part["conversions"].to_numpy(float))
    return spend


def paid_of(table: pd.DataFrame, terms: Terms, cost_basis: CostBasis) -> pd.Series:
    """The spend that ratios are made of: that of channels with a cost of their own; null where it is 0.

    What a model cannot tell the effect of has no ratios.
    """
    has_own = terms.costs.has_own(cost_basis, list(table["channel"]))
    return table["spend"].where(has_own & (table["spend"] > 0) & is_known(table))


def ratio(above: pd.Series, below: pd.Series) -> pd.Series:
    """Quotient where ``below`` is above 0; null elsewhere, and where next to nothing would make it infinite."""
    quotient = above / below.where(below > 0)
    return quotient.where(np.isfinite(quotient))


def is_known(table: pd.DataFrame) -> pd.Series:
    """Whether each row can be read as what it stands for; all of a table that does not say."""
    return table["is_known"].astype(bool) if "is_known" in table else pd.Series(True, index=table.index)


def _rows(credit: pd.DataFrame, terms: Terms, basis: Basis, cost_basis: CostBasis) -> pd.DataFrame:
    amounts = {name: credit[name].to_numpy(float) for name in ("value", *terms.measures)}
    table = credit.assign(basis=basis, cost_basis=cost_basis, value=terms.earned(basis, amounts))
    table["is_known"] = is_known(credit)
    table["spend"] = spend_of(credit, terms, cost_basis)
    paid = paid_of(table, terms, cost_basis)
    table["roas"] = ratio(table["value"], paid) if basis == "revenue" else np.nan
    table["roi"] = ratio(table["value"] - table["spend"], paid)
    table["roi_beyond_chance"] = ratio(table["value"] - _by_chance(credit, table["value"]) - table["spend"], paid)
    table["cpa"] = ratio(paid, table["conversions"])
    table["rank"] = table.groupby("model", sort=False)["roi"].rank(ascending=False, method="average")
    table[[f"{name}_{end}" for name in ("roi", "rank", "conversions", "value") for end in ("low", "high")]] = np.nan
    return table


def _by_chance(credit: pd.DataFrame, earned: pd.Series) -> pd.Series:
    """What chance alone would have earned: of all that a model's channels earned, as much as of their value."""
    if "chance_value" not in credit:
        return earned * np.nan
    is_channel = ~credit["channel"].isin(NO_CHANNELS)
    whole = [of.where(is_channel).groupby(credit["model"]).transform("sum") for of in (earned, credit["value"])]
    return credit["chance_value"] * ratio(*whole)


# ---------------------------------------------------------------- unit economics: CPA, CAC, LTV ÷ CAC


def unit_economics(credit: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """The ``unit_economics`` table of a ``credit`` table with its measures.

    With a margin of g, spend breaks even at a ROAS of 1 ÷ g, and at a CPA of g times the average value of a
    conversion.
    """
    table = with_idle_channels(credit, terms)
    table = table[~table["channel"].isin(NO_CHANNELS)].reset_index(drop=True)
    cost_bases = COST_BASES if terms.costs.is_ledger else COST_BASES[:1]
    parts = [_economics_rows(table, terms, cost_basis) for cost_basis in cost_bases]
    return pd.concat(parts, ignore_index=True)[list(UNIT_ECONOMICS.column_names)]


def _economics_rows(credit: pd.DataFrame, terms: Terms, cost_basis: CostBasis) -> pd.DataFrame:
    table = credit.assign(cost_basis=cost_basis, spend=spend_of(credit, terms, cost_basis))
    paid = paid_of(table, terms, cost_basis)
    table["average_value"] = ratio(table["value"], table["conversions"])
    if "margin" in terms.measures:
        table["margin"] = ratio(credit["margin"], credit["value"])
    else:
        table["margin"] = np.nan if terms.options.margin is None else terms.options.margin
    table["new_customers"] = credit["new_customers"]
    lifetime = terms.options.margin * credit["ltv"] if "ltv" in terms.measures else credit["value"] * np.nan
    table["lifetime_margin"] = ratio(lifetime, table["new_customers"])
    table["cpa"] = ratio(paid, table["conversions"])
    table["cac"] = ratio(paid, table["new_customers"])
    table["ltv_to_cac"] = ratio(table["lifetime_margin"], table["cac"])
    lifetime_options = terms.options.lifetime
    paid_back = table["cac"] * np.nan
    if lifetime_options is not None:
        paid_back[:] = payback(table["lifetime_margin"].to_numpy(float), table["cac"].to_numpy(float), lifetime_options)
    table["payback"] = paid_back
    table["break_even_roas"] = ratio(table["margin"] * 0 + 1, table["margin"])
    table["break_even_cpa"] = table["margin"] * table["average_value"]
    table[[f"{name}_{end}" for name in ("cpa", "cac", "ltv_to_cac") for end in ("low", "high")]] = np.nan
    table[["cpa_empty_draws", "cac_empty_draws"]] = np.nan
    return table


# ---------------------------------------------------------------- what ad platforms claim for themselves

ALL = "(all)"


def platform_claims(sources: Sources, credit: pd.DataFrame, period: Period) -> pd.DataFrame | None:
    """The ``platform_claims`` table; None where the costs table has no column ``claimed_conversions``.

    Platforms that met the same customer claim the same order each, so that claims add up to more than was observed.

    Parameters
    ----------
    sources : the costs table; claims of a day, or of a period pro rata, that lie in the period count
    credit : the ``credit`` table, ``(unattributed)`` among it
    period : of the analysis
    """
    if not sources.has("costs", "claimed_conversions"):
        return None
    table = sources.engine.query("select * from costs").to_pandas()
    days, claimed = Days.of(table), table["claimed_conversions"].to_numpy(np.float64)
    if days.are_known:
        claimed = claimed * days.share_inside(period.bounds())
    has_claim = table["channel"].notna().to_numpy() & ~np.isnan(claimed)
    names, group = np.unique(table["channel"].to_numpy(object)[has_claim].astype(str), return_inverse=True)
    claims = pd.Series(totals_of(group, claimed[has_claim], len(names)), index=names)
    whole = credit.groupby(["model", "estimand"], sort=False)["conversions"].sum().reset_index()
    rows = credit[["model", "estimand", "channel", "conversions"]].assign(is_known=is_known(credit))
    rows["claimed"] = rows["channel"].map(claims)
    missing = [
        pair.assign(channel=name, claimed=claims[name], conversions=0.0, is_known=True)
        for (_, pair) in whole.groupby(["model", "estimand"], sort=False)
        for name in names
        if name not in set(rows.loc[rows["model"] == pair["model"].iloc[0], "channel"])
    ]
    result = pd.concat(
        [rows.dropna(subset="claimed"), *missing, whole.assign(channel=ALL, claimed=claims.sum(), is_known=True)]
    )
    order = {model: index for index, model in enumerate(dict.fromkeys(credit["model"]))}
    result = result.sort_values("model", key=lambda of: of.map(order), kind="stable").reset_index(drop=True)
    credited = result["conversions"].to_numpy(float)
    has_ratio = (credited > 0) & result["is_known"].to_numpy(bool)
    result["claimed_ratio"] = np.divide(
        result["claimed"].to_numpy(float), credited, out=np.full(len(result), np.nan), where=has_ratio
    )
    return result[list(PLATFORM_CLAIMS.column_names)]


# ---------------------------------------------------------------- channels that a path transform has split


def credit_of_channels(credit: pd.DataFrame, journeys: Journeys, terms: Terms) -> pd.DataFrame:
    """Credit by the channels that money is spent on, where a path transform has split them."""
    whole = whole_channels(journeys)
    if not whole:
        return credit
    table = credit.assign(channel=credit["channel"].replace(whole))
    keys = ["model", "estimand", "channel"]
    columns = ["conversions", "value", "share", *(name for name in _CHANCE if name in credit), *sorted(terms.measures)]
    by_channel = table.groupby(keys, sort=False)
    return by_channel[columns].sum(min_count=1).assign(is_known=by_channel["is_known"].all()).reset_index()


def whole_channels(journeys: Journeys) -> dict[str, str]:
    """For every channel that a path transform has split off, the channel it is a part of."""
    names = journeys.dimensions.channels
    if journeys.channels == names:
        return {}
    split = len(journeys.channels) // len(names)
    return {part: names[index // split] for index, part in enumerate(journeys.channels)}
