"""Credit and returns, as a section: the tables that every run has, what was found in costs, figures and report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from attribution.amounts import format_amount, format_money, format_roi
from attribution.data.loading import Finding, count_finding
from attribution.models.chance import beyond_chance
from attribution.returns.channel_costs import amortised_findings, coverage_findings, overlap_findings
from attribution.returns.ranking import compared_rows
from attribution.returns.returns_declared import COST_SENSITIVITY, PLATFORM_CLAIMS, RETURNS
from attribution.returns.returns_tables import is_known, main_basis, platform_claims
from attribution.returns.sensitivity_to_costs import bounded_costs, bounds_findings, cost_sensitivity, own_costs
from attribution.schema.tables import AGREEMENT, CREDIT, NO_CHANNELS
from attribution.sections import FigureSpec, Language, ReportPart, RunContext, Section, listed

_LAST_TOUCH = "last_touch"
_RANGES = ["amount_low", "amount", "amount_high", "roi_low", "roi", "roi_high", "rank_low", "rank_high"]
_BOUNDS = ["model", "channel", *_RANGES, "overlaps"]


class ReturnsSection(Section):
    """What channels are credited with, what they cost, and how they rank under every model."""

    name = "returns"
    declared = (CREDIT, RETURNS, AGREEMENT, COST_SENSITIVITY, PLATFORM_CLAIMS)

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """``credit``, ``returns`` and ``agreement``; of costs and claims what is known."""
        terms = context.terms
        where_known = {
            "cost_sensitivity": cost_sensitivity(context.credit_with_worth, context.returns, terms),
            "platform_claims": platform_claims(context.sources, context.credit, context.experiment.period),
        }
        always = {"credit": context.credit, "returns": context.returns, "agreement": context.agreement}
        return always | {name: table for name, table in where_known.items() if table is not None}

    def findings(self, context: RunContext, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
        """Spend that nothing came of, costs that overlap, are known in part, or in bounds that leave the order open."""
        costs, experiment, span = context.terms.costs, context.experiment, context.journeys.span
        return [
            _idle_spend(context),
            *overlap_findings(context.sources),
            *amortised_findings(context.sources, experiment.returns, experiment.period, span),
            *coverage_findings(costs, context.journeys.dimensions.channels),
            *bounds_findings(tables.get("cost_sensitivity")),
        ]

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """Of the run how far its models agree, of a model what it says of every channel."""
        if model is not None:
            return returns_metrics(tables, model)
        agreement = tables["agreement"]
        pairs = agreement[agreement["model_a"] < agreement["model_b"]]
        if pairs.empty:
            return {}
        return {
            "lowest_kendall_tau": float(pairs["kendall_tau"].min()),
            "largest_move": float(pairs["largest_move"].max()),
        }

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> Sequence[FigureSpec]:
        """Credit, ROI and ranks by channel; costs by type, and ROI within their bounds."""
        figures = []
        if "credit" in tables:
            figures.append(FigureSpec("credit_by_channel", {"credit": compared_rows(tables["credit"])}))
        returns = compared_rows(main_basis(tables["returns"])) if "returns" in tables else None
        if returns is not None and returns["roi"].notna().any():
            figures.append(FigureSpec("roi_by_channel", {"returns": returns}))
            if returns["model"].nunique() > 1 or "truth" in tables:
                figures.append(FigureSpec("rank_bump", {"returns": returns, "truth": tables.get("truth")}))
        costs = tables.get("cost_sensitivity")
        if costs is not None and (own_costs(costs)["amount"] > 0).any():
            figures.append(FigureSpec("costs_by_type", {"sensitivity": costs}))
        if costs is not None and bounded_costs(costs)["roi"].notna().any():
            figures.append(FigureSpec("roi_within_bounds", {"sensitivity": compared_rows(costs)}))
        return figures

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """Who leads under which model, how far models agree, and every return beside every cost."""
        ranking, taus, money = ranking_grid(tables), agreement_grid(tables), money_grids(tables)
        every = (
            ("ranking", "Ranking", ranking),
            ("agreement", "Agreement", taus),
            ("money", "Returns and costs", money),
        )
        return ReportPart(
            contents=tuple((anchor, title) for anchor, title, shown in every if shown is not None),
            headlines=tuple(headlines(tables)),
            template="returns.html.j2",
            values={"ranking": ranking, "taus": taus, "agreement": _pairs_of_models(tables), "money": money},
        )


def headlines(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The headline: leaders, widest ROI, largest rank move, agreement with last touch.

    Where no channel has spend, channels are compared by credited conversions. A channel leads only where its interval
    says so, and where it is credited with more than labels at random would get: a channel that is cheap or rare may
    lead on credit that chance alone gives.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Output tables of a run by name.

    Returns
    -------
    list of str
        Plain sentences, not escaped. Empty where there is no credit.

    Examples
    --------
    >>> returns = pd.DataFrame({"model": ["last_touch", "linear"] * 2, "estimand": "allocated",
    ...     "basis": "revenue", "cost_basis": "media", "channel": ["email", "email", "search", "search"],
    ...     "spend": 10.0, "roi": [1.0, 0.5, 0.2, 0.7], "rank": [1.0, 2.0, 2.0, 1.0],
    ...     "rank_high": [1.0, 2.0, 2.0, 2.0]})
    >>> for sentence in headlines({"returns": returns}): print(sentence)
    By ROI, email ranks first under last_touch. Under linear, sampling or chance may decide which channel does.
    The ROI of email depends most on the model: from +50 % under linear to +100 % under last_touch.
    The rank of email depends most on the model: 1 under last_touch, 2 under linear.
    """
    scores = _scores(tables)
    if scores.empty:
        return []
    by_roi = bool(scores["by_roi"].iloc[0])
    sentences = [_leaders(scores, _surely_first(scores, tables), "ROI" if by_roi else "credited conversions")]
    if scores["model"].nunique() > 1:
        sentences += [_widest(scores, "ROI" if by_roi else "credit"), _largest_move(scores)]
        sentences += _agreement(tables.get("agreement"), scores["model"])
    return [sentence for sentence in sentences if sentence]


def ranking_grid(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """ROI and rank of each channel with spend, a column per model; None where no channel has spend.

    Wide, unlike the tables of a run, because it is read and never computed with.
    """
    scores = _scores(tables)
    if scores.empty or not scores["by_roi"].iloc[0]:
        return None
    cells = scores.assign(
        cell=[f"{format_roi(roi)} ({rank:g})" for roi, rank in zip(scores["score"], scores["rank"], strict=True)]
    )
    order = cells.groupby("channel")["rank"].mean().sort_values(kind="stable").index
    grid = cells.pivot(index="channel", columns="model", values="cell").reindex(order)
    grid = grid[list(dict.fromkeys(cells["model"]))]
    grid.columns = mark_failed(grid.columns, tables)
    spend = cells.drop_duplicates("channel").set_index("channel")["spend"].reindex(order)
    # A model may be called "spend" or "channel" too.
    grid.insert(0, "spend", spend, allow_duplicates=True)
    return grid.reset_index(allow_duplicates=True)


def mark_failed(models: Iterable[str], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Labels of models as they are shown beside a number: with a mark where the table ``model_checks`` has a failure.

    Examples
    --------
    >>> checks = pd.DataFrame({"model": ["rates"], "passes": [False]})
    >>> mark_failed(["linear", "rates"], {"model_checks": checks})
    ['linear', 'rates (fails a check)']
    """
    checks = tables.get("model_checks")
    failed = set() if checks is None else set(checks.loc[checks["passes"].eq(False), "model"])
    return [f"{model} (fails a check)" if model in failed else model for model in models]


def agreement_grid(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Kendall tau of each pair of models, to be read like `ranking_grid`; None where there are no pairs."""
    agreement = tables.get("agreement")
    if agreement is None or agreement.empty:
        return None
    grid = agreement.pivot(index="model_a", columns="model_b", values="kendall_tau")
    grid = grid.reindex(index=agreement["model_a"].unique(), columns=agreement["model_b"].unique())
    return grid.reset_index(names="Kendall tau", allow_duplicates=True)


def _pairs_of_models(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Table ``agreement`` without the specifications, which are those of this run."""
    agreement = tables.get("agreement")
    return None if agreement is None else agreement.drop(columns=["specification_a", "specification_b"])


def money_grids(tables: Mapping[str, pd.DataFrame]) -> dict[str, object] | None:
    """What the report shows of returns and costs, by the names that its template knows; None where ROI is all.

    Wide tables, unlike those of a run, because they are read and never computed with.
    """
    returns = tables.get("returns", pd.DataFrame())
    has_terms = "basis" in returns and len(returns[["basis", "cost_basis"]].drop_duplicates()) > 1
    bounds = _bounds(tables)
    if not has_terms and bounds is None:
        return None
    return {
        "notes": money_sentences(tables),
        "roi": _roi_grid(returns.assign(model=mark_failed(returns["model"], tables))) if has_terms else None,
        "bounds": None if bounds is None else bounds[_BOUNDS],
    }


def money_sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Where full costs turn a gain into a loss, and where unknown costs leave the order open."""
    sentences = []
    returns = tables.get("returns", pd.DataFrame())
    if "cost_basis" in returns and returns["cost_basis"].nunique() > 1:
        basis = returns.iloc[0]["basis"]
        same = returns[(returns["basis"] == basis) & ~returns["channel"].isin(NO_CHANNELS)]
        wide = same.pivot(index=["model", "channel"], columns="cost_basis", values="roi").dropna()
        lost = wide[(wide["media"] > 0) & (wide["loaded"] <= 0)].reset_index()
        models = same["model"].nunique()
        under = lost.groupby("channel")["model"].nunique()
        names = [f"{name} (under {count} of {models} models)" for name, count in under.items()]
        if names:
            sentences.append(
                f"On {basis}, these channels pay back their media cost but not all their costs: {listed(names)}."
            )
    bounds = _bounds(tables)
    if bounds is not None:
        unsure = sorted(set(bounds.dropna(subset="overlaps")["channel"]))
        if unsure:
            sentences.append(
                f"Because costs are uncertain, {listed(unsure)} may have the same ROI as another channel: their "
                "rank is "
                "not certain."
            )
    return sentences


def _bounds(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Bounds of ROI on what channels are ranked by; None where all costs are known exactly."""
    bounds = bounded_costs(tables["cost_sensitivity"]) if "cost_sensitivity" in tables else pd.DataFrame()
    return None if bounds.empty else bounds


def _roi_grid(returns: pd.DataFrame) -> pd.DataFrame:
    """ROI of each channel with spend, a column per basis and cost basis; intervals where there are some."""
    rows = returns[returns["roi"].notna()]
    cells = rows.assign(
        terms=rows["basis"] + ", " + rows["cost_basis"] + " cost",
        cell=[
            f"{roi:,.2f}" + (f" [{low:,.2f}, {high:,.2f}]" if pd.notna(low) and pd.notna(high) else "")
            for roi, low, high in zip(rows["roi"], rows["roi_low"], rows["roi_high"], strict=True)
        ],
    )
    order = list(dict.fromkeys(zip(rows["model"], rows["channel"], strict=True)))
    grid = cells.pivot(index=["model", "channel"], columns="terms", values="cell")
    grid = grid.reindex(pd.MultiIndex.from_tuples(order, names=["model", "channel"]))
    return grid[list(dict.fromkeys(cells["terms"]))].reset_index()


def returns_metrics(tables: Mapping[str, pd.DataFrame], label: str) -> dict[str, float]:
    """Metrics of one model: on the terms that channels are ranked by, on all others, and within the bounds of costs.

    Parameters
    ----------
    tables : of a run
    label : of the model

    Returns
    -------
    ``what/channel`` to number: ``roi/mail``, ``roi_margin_loaded/mail`` with the ends of its interval where there is
    one, ``roi_at_highest_cost/mail``; null where a ratio is.
    """
    returns = tables["returns"]
    ranked = main_basis(returns)
    of_model = returns[(returns["model"] == label) & ~returns["channel"].isin(NO_CHANNELS)]
    of_model = of_model[is_known(of_model)]
    rows = of_model[of_model.index.isin(ranked.index)]
    metrics = {
        f"{what}/{channel}": float(value)
        for what in ("roi", "rank", "conversions")
        for channel, value in zip(rows["channel"], rows[what], strict=True)
    }
    for row in of_model.drop(ranked.index, errors="ignore").to_dict("records"):
        for end in ("", "_low", "_high"):
            metrics[f"roi_{row['basis']}_{row['cost_basis']}{end}/{row['channel']}"] = float(row[f"roi{end}"])
    bounds = _bounds(tables)
    if bounds is not None:
        for row in bounds[bounds["model"] == label].to_dict("records"):
            metrics[f"roi_at_highest_cost/{row['channel']}"] = float(row["roi_low"])
            metrics[f"roi_at_lowest_cost/{row['channel']}"] = float(row["roi_high"])
    return metrics


def _idle_spend(context: RunContext) -> Finding:
    """Spend on channels that are in no converting journey."""
    graph, spend = context.graph, context.terms.costs.media
    converting = {name for name, n in zip(graph.states[1:-2], graph.converting_touchpoints, strict=True) if n > 0}
    paid = {channel: amount for channel, amount in spend.items() if amount > 0}
    idle = {channel: amount for channel, amount in sorted(paid.items()) if channel not in converting}
    total = format_money(sum(idle.values()), context.experiment.returns.currency)
    message = f"channels with spend that are in no converting journey ({total} in total); "
    message += "check that costs and touchpoints name these channels alike"
    return count_finding(
        "spend_without_conversion", "costs", len(idle), message, total=len(paid), example=", ".join([*idle][:5])
    )


def _scores(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Allocated ``model``, ``channel``, ``score``, ``rank``, ``spend``: by ROI, else by conversions.

    ``is_first`` whether its interval says that it leads, null without intervals.
    """
    returns = tables.get("returns")
    if returns is not None:
        ranked = main_basis(returns)
        ranked = ranked[ranked["rank"].notna() & (ranked["estimand"] == "allocated")]
        if not ranked.empty:
            is_first = (ranked["rank_high"] <= 1).where(ranked["rank_high"].notna()) if "rank_high" in ranked else None
            columns = ranked[["model", "channel", "rank", "spend"]]
            return columns.assign(score=ranked["roi"], by_roi=True, is_first=is_first)
    credit = tables.get("credit")
    if credit is None or credit.empty:
        return pd.DataFrame()
    allocated = credit[~credit["channel"].isin(NO_CHANNELS) & (credit["estimand"] == "allocated")]
    rank = allocated.groupby("model")["conversions"].rank(ascending=False)
    columns = allocated[["model", "channel"]].assign(spend=None, by_roi=False, is_first=None)
    if "conversions_low" in allocated:
        # Above the upper end of whoever comes first of the rest.
        highest = allocated["conversions_high"].groupby(allocated["model"]).rank(ascending=False)
        second = allocated["conversions_high"].where(highest > 1).groupby(allocated["model"]).transform("max")
        is_first = (highest <= 1) & ((allocated["conversions_low"] > second) | second.isna())
        columns["is_first"] = is_first.where(allocated["conversions_low"].notna())
    return columns.assign(score=allocated["conversions"], rank=rank)


def _surely_first(scores: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Whether a row leads beyond sampling and chance; null where nothing tells."""
    is_more = beyond_chance(tables.get("credit", pd.DataFrame())).set_index(["model", "channel"])["is_more"]
    rows = pd.MultiIndex.from_frame(scores[["model", "channel"]])
    exceeds = is_more.reindex(rows).fillna(is_more.empty).to_numpy(bool)
    return (scores["is_first"] & exceeds).where(scores["is_first"].notna())


def _leaders(scores: pd.DataFrame, surely: pd.Series, measure: str) -> str:
    if surely.isna().all():
        return (
            f"Which channel ranks first by {measure} is not known without intervals. Set resampling in the experiment."
        )
    leaders: dict[str, list[str]] = {}
    unsure = []
    for model, part in scores.groupby("model", sort=False):
        first = part.loc[surely[part.index].eq(True), "channel"]
        if len(first):
            leaders.setdefault(str(first.iloc[0]), []).append(str(model))
        else:
            unsure.append(str(model))
    if not leaders:
        return f"By {measure}, no channel surely ranks first: sampling or chance may decide which one does."
    several = scores["model"].nunique() > 1
    (channel, models), *further = leaders.items()
    is_every = several and not further and not unsure
    sentence = f"By {measure}, {channel} ranks first under {'every model' if is_every else listed(models)}"
    rest = [sentence, *(f"{name} under {listed(of)}" for name, of in further)]
    doubts = f" Under {listed(unsure)}, sampling or chance may decide which channel does." if unsure else ""
    return f"{'; '.join(rest)}.{doubts}"


def _widest(scores: pd.DataFrame, measure: str) -> str:
    by_channel = scores.groupby("channel")["score"]
    spread = (by_channel.max() - by_channel.min()).sort_index()
    channel = spread.idxmax()
    if not spread[channel] > 0:
        return f"The {measure} of every channel is the same under every model."
    low, high = _ends(scores[scores["channel"] == channel], "score")
    shown = format_roi if scores["by_roi"].all() else format_amount
    return (
        f"The {measure} of {channel} depends most on the model: from {shown(low['score'])} under "
        f"{low['model']} to {shown(high['score'])} under {high['model']}."
    )


def _largest_move(scores: pd.DataFrame) -> str:
    by_channel = scores.groupby("channel")["rank"]
    moves = (by_channel.max() - by_channel.min()).sort_index()
    channel = moves.idxmax()
    if not moves[channel] > 0:
        return "No channel changes its rank between models."
    low, high = _ends(scores[scores["channel"] == channel], "rank")
    return (
        f"The rank of {channel} depends most on the model: {low['rank']:g} under {low['model']}, {high['rank']:g} "
        "under "
        f"{high['model']}."
    )


def _agreement(agreement: pd.DataFrame | None, models: Iterable[str]) -> list[str]:
    """Kendall tau with last touch, most alike first; with the first model where last touch was not run."""
    if agreement is None or agreement.empty:
        return []
    names = list(dict.fromkeys(models))
    base = _LAST_TOUCH if _LAST_TOUCH in names else names[0]
    taus: dict[str, float] = {}
    for row in agreement.itertuples(index=False):
        pair = {row.model_a, row.model_b}
        if base in pair and len(pair) == 2 and pd.notna(row.kendall_tau):
            taus[(pair - {base}).pop()] = float(row.kendall_tau)
    ordered = sorted(taus, key=lambda model: (-taus[model], model))
    values = ", ".join(f"{model} {taus[model]:.2f}" for model in ordered)
    return [f"Similarity to the ranking of {base} (Kendall tau, 1 = same order): {values}."] if taus else []


def _ends(rows: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    return rows.loc[rows[column].idxmin()], rows.loc[rows[column].idxmax()]
