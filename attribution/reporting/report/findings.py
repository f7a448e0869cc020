"""What a run says, in sentences with numbers, by fixed rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from attribution.reporting.charts import listed
from attribution.reporting.report.funnel import funnel_sentences
from attribution.returns import main_basis
from attribution.schema.tables import NO_CHANNELS, UNATTRIBUTED

_LAST_TOUCH = "last_touch"


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The headline: leaders, widest ROI, largest rank move, agreement with last touch.

    Where no channel has spend, channels are compared by credited conversions.

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
    ...     "spend": 10.0, "roi": [1.0, 0.5, 0.2, 0.7], "rank": [1.0, 2.0, 2.0, 1.0]})
    >>> for sentence in findings({"returns": returns}): print(sentence)
    By ROI, email ranks first under last_touch; search under linear.
    The ROI of email depends most on the model: from 0.50 under linear to 1.00 under last_touch.
    email moves furthest: rank 1 under last_touch, rank 2 under linear.
    """
    scores = _scores(tables)
    if scores.empty:
        return []
    by_roi = bool(scores["by_roi"].iloc[0])
    sentences = [_leaders(scores, "ROI" if by_roi else "credited conversions")]
    if scores["model"].nunique() > 1:
        sentences += [_widest(scores, "ROI" if by_roi else "credit"), _largest_move(scores)]
        sentences += _agreement(tables.get("agreement"), scores["model"])
    sentences += funnel_sentences(tables)
    return [sentence for sentence in sentences if sentence]


def ranking_grid(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """ROI and rank of each channel with spend, a column per model; None where no channel has spend.

    Wide, unlike the tables of a run, because it is read and never computed with.
    """
    scores = _scores(tables)
    if scores.empty or not scores["by_roi"].iloc[0]:
        return None
    cells = scores.assign(
        cell=[f"{_two(roi)} ({rank:g})" for roi, rank in zip(scores["score"], scores["rank"], strict=True)]
    )
    order = cells.groupby("channel")["rank"].mean().sort_values(kind="stable").index
    grid = cells.pivot(index="channel", columns="model", values="cell").reindex(order)
    grid = grid[list(dict.fromkeys(cells["model"]))]
    spend = cells.drop_duplicates("channel").set_index("channel")["spend"].reindex(order)
    # A model may be called "spend" or "channel" too.
    grid.insert(0, "spend", spend, allow_duplicates=True)
    return grid.reset_index(allow_duplicates=True)


def agreement_grid(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Kendall tau of each pair of models, to be read like `ranking_grid`; None where there are no pairs."""
    agreement = tables.get("agreement")
    if agreement is None or agreement.empty:
        return None
    grid = agreement.pivot(index="model_a", columns="model_b", values="kendall_tau")
    grid = grid.reindex(index=agreement["model_a"].unique(), columns=agreement["model_b"].unique())
    return grid.reset_index(names="Kendall tau", allow_duplicates=True)


def data_facts(tables: Mapping[str, pd.DataFrame]) -> dict[str, object]:
    """What the run was computed from, counted from its own tables."""
    facts: dict[str, object] = {}
    credit = tables.get("credit")
    if credit is not None and not credit.empty:
        # Every allocated model divides the same conversions, so that one of them tells the totals.
        allocated = credit[credit["estimand"] == "allocated"]
        one = allocated[allocated["model"] == allocated["model"].iloc[:1].squeeze()]
        if not one.empty:
            unattributed = one.loc[one["channel"] == UNATTRIBUTED, "conversions"].sum()
            facts |= {"conversions": one["conversions"].sum(), "value": one["value"].sum()}
            facts |= {"conversions without a touchpoint": unattributed}
        facts |= {"channels": credit.loc[~credit["channel"].isin(NO_CHANNELS), "channel"].nunique()}
        facts |= {"models": credit["model"].nunique()}
    profile = tables.get("journey_profile")
    if profile is not None:
        lengths = profile[profile["measure"] == "path_length"].groupby("outcome")["count"].sum()
        facts |= {f"journeys, {outcome}": count for outcome, count in lengths.items()}
    returns = tables.get("returns")
    if returns is not None and not returns.empty:
        spend = main_basis(returns).drop_duplicates("channel")["spend"]
        facts |= {"spend": spend.sum(), "channels with spend": spend.notna().sum()}
    return facts


def caveats(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """What the numbers do not say."""
    returns = tables.get("returns", pd.DataFrame())
    has_intervals = "roi_low" in returns and returns["roi_low"].notna().any()
    lines = [
        "Allocated is not incremental: allocated credit divides the conversions that were observed among the "
        "touchpoints before them. It does not say what would have been lost without a channel; only an "
        "experiment or a causal model can.",
        "Models that agree do not prove each other: all of them see the same journeys and miss the same touchpoints.",
        "A channel without spend has no ROI and no rank; that is not an ROI of zero.",
        f"Conversions without a touchpoint in the lookback window stand under {UNATTRIBUTED}, so that the "
        "totals of every model equal what was observed.",
    ]
    if has_intervals:
        lines.append(
            "Intervals cover sampling, never bias: how far another sample of customers might differ, not touchpoints "
            "nobody saw, not customers who would have bought anyway, not the choice of a model."
        )
    else:
        lines.append("There are no intervals, because resampling was not asked for: small differences may be chance.")
    if "truth" in tables:
        lines.append("The data are simulated: the true effects are known here, as they never are for real data.")
    return lines


def _scores(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Allocated ``model``, ``channel``, ``score``, ``rank``, ``spend``: by ROI, else by conversions."""
    returns = tables.get("returns")
    if returns is not None:
        ranked = main_basis(returns)
        ranked = ranked[ranked["rank"].notna() & (ranked["estimand"] == "allocated")]
        if not ranked.empty:
            return ranked[["model", "channel", "rank", "spend"]].assign(score=ranked["roi"], by_roi=True)
    credit = tables.get("credit")
    if credit is None or credit.empty:
        return pd.DataFrame()
    known = credit[~credit["channel"].isin(NO_CHANNELS) & (credit["estimand"] == "allocated")]
    rank = known.groupby("model")["conversions"].rank(ascending=False)
    return known[["model", "channel"]].assign(score=known["conversions"], rank=rank, spend=None, by_roi=False)


def _leaders(scores: pd.DataFrame, measure: str) -> str:
    best = scores.groupby("model")["rank"].transform("min")
    leaders: dict[str, list[str]] = {}
    for model, part in scores[scores["rank"] == best].groupby("model", sort=False):
        names = sorted(part["channel"])
        text = listed(names) + (" tie" if len(names) > 1 else "")
        leaders.setdefault(text, []).append(str(model))
    verb = {True: " for first place", False: " ranks first"}
    (first, models), *others = leaders.items()
    if not others:
        under = "under every model" if len(models) > 1 else f"under {models[0]}"
        return f"By {measure}, {first}{verb[first.endswith(' tie')]} {under}."
    rest = "; ".join(f"{text} under {listed(names)}" for text, names in others)
    return f"By {measure}, {first}{verb[first.endswith(' tie')]} under {listed(models)}; {rest}."


def _widest(scores: pd.DataFrame, measure: str) -> str:
    by_channel = scores.groupby("channel")["score"]
    spread = (by_channel.max() - by_channel.min()).sort_index()
    channel = spread.idxmax()
    if not spread[channel] > 0:
        return f"The {measure} of every channel is the same under every model."
    low, high = _ends(scores[scores["channel"] == channel], "score")
    return (
        f"The {measure} of {channel} depends most on the model: from {_two(low['score'])} under "
        f"{low['model']} to {_two(high['score'])} under {high['model']}."
    )


def _largest_move(scores: pd.DataFrame) -> str:
    by_channel = scores.groupby("channel")["rank"]
    moves = (by_channel.max() - by_channel.min()).sort_index()
    channel = moves.idxmax()
    if not moves[channel] > 0:
        return "No channel changes its rank between models."
    low, high = _ends(scores[scores["channel"] == channel], "rank")
    return (
        f"{channel} moves furthest: rank {low['rank']:g} under {low['model']}, rank {high['rank']:g} under "
        f"{high['model']}."
    )


def _agreement(agreement: pd.DataFrame | None, models: Iterable[str]) -> list[str]:
    """Kendall tau with last touch, most alike first; with the first model where last touch was not run."""
    if agreement is None or agreement.empty:
        return []
    known = list(dict.fromkeys(models))
    base = _LAST_TOUCH if _LAST_TOUCH in known else known[0]
    taus: dict[str, float] = {}
    for row in agreement.itertuples(index=False):
        pair = {row.model_a, row.model_b}
        if base in pair and len(pair) == 2 and pd.notna(row.kendall_tau):
            taus[(pair - {base}).pop()] = float(row.kendall_tau)
    ordered = sorted(taus, key=lambda model: (-taus[model], model))
    values = ", ".join(f"{model} {taus[model]:.2f}" for model in ordered)
    return [f"Agreement with the ranking of {base} (Kendall tau, 1 = same order): {values}."] if taus else []


def _two(number: float) -> str:
    """Two decimals, and no minus before a zero."""
    return f"{round(number, 2) + 0.0:,.2f}"


def _ends(rows: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    return rows.loc[rows[column].idxmin()], rows.loc[rows[column].idxmax()]
