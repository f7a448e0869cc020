"""What "low ROI" comes down to: things to look at, the largest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.amounts import format_money, format_roi, percent, pluralise
from attribution.decisions.diagnosis import wording
from attribution.decisions.diagnosis.diagnosis_declared import TASKS
from attribution.decisions.diagnosis.waste import UNKNOWN, WASTED, judge_spend
from attribution.kernels.statistics.beyond_chance import least_z
from attribution.returns import MEDIA, main_basis, own_costs
from attribution.schema.tables import NO_CHANNELS, UNATTRIBUTED
from attribution.uncertainty.model_checks import reliable
from attribution.uncertainty.sensitivity.rules import DOES_NOT_PAY, LIKELY_PAYS, PAYS
from attribution.uncertainty.sensitivity.verdicts import one_per_channel

Task = dict[str, object]
Tables = Mapping[str, pd.DataFrame]


def tasks_table(tables: Tables, *, repeated_costs: float | None = None, currency: str | None = None) -> pd.DataFrame:
    """The ``tasks`` table of the other tables of a run; those that are absent have nothing to say.

    Losses come first, then shortfalls against the rest, gains, and what is not known, each the largest first. Where
    models differ, the size is the middle one over those that agree, and most of them must. Sizes overlap, so they do
    not add up. Nothing rests on a model that fails a check, see `attribution.uncertainty.model_checks`.

    Parameters
    ----------
    tables : ``roi_slices``, ``returns``, ``cost_sensitivity``, ``verdicts``, ``quality``, ``placebo``, ``credit``,
        ``channel_lint`` and ``funnel`` by name
    repeated_costs : how much costs that repeat others come to, where that is known
    currency : of all money, where that is known
    """
    rows = [
        *_of_spend(tables, currency),
        *_without_cost(tables),
        *_tracking(tables, repeated_costs),
        *_lint(tables),
        *_bottlenecks(tables),
    ]
    table = pd.DataFrame(rows, columns=list(TASKS.column_names))
    numbers = [column.name for column in TASKS.columns if column.type == "number"]
    for name in (*numbers, "models_agreeing", "models"):
        table[name] = table[name].astype(float)
    table["about"] = table["kind"].map(wording.ABOUT)
    table["size_of"] = table["kind"].map(wording.SIZE_OF).where(table["size"].notna())
    # Names decide between equal sizes, so that the order of rows never does.
    order = np.lexsort(
        (
            *(_texts(table[name]) for name in ("evidence", "slice", "dimension", "kind")),
            -table["size"].fillna(-1.0).to_numpy(),
            table["about"].map(wording.ORDER.index).to_numpy(float),
        )
    )
    table = table.iloc[order].reset_index(drop=True)
    table["rank"] = np.arange(1, len(table) + 1)
    table[["models_agreeing", "models"]] = table[["models_agreeing", "models"]].astype("Int64")
    return table


def _task(kind: str, evidence: str, columns: Task) -> Task:
    return {"kind": kind, "evidence": evidence, "check": wording.CHECKS[kind], **columns}


def _middle(rows: pd.DataFrame, key: list[str], size: pd.Series) -> pd.DataFrame:
    """The row of each group whose size is the middle one (the smaller of two), with the ends and how many agree."""
    sized = rows.assign(size=size, by_model=_texts(rows["model"]))
    sized = sized.sort_values([*key, "size", "by_model"], kind="stable", ignore_index=True)
    groups = sized.groupby(key, sort=False)
    sized["models_agreeing"] = groups["size"].transform("size")
    for end, of in (("size_low", "min"), ("size_high", "max")):
        sized[end] = groups["size"].transform(of)
    middle = sized[groups.cumcount() == (sized["models_agreeing"] - 1) // 2]
    # Where no model has a say, none can differ.
    lone = ["size_low", "size_high", "models_agreeing", "models"]
    middle = middle.astype(dict.fromkeys(lone, float))
    middle.loc[middle["model"].isna(), lone] = np.nan
    return middle


_SIZED = ("model", "size", "size_low", "size_high", "models_agreeing", "models")

_JUDGED = ("spend", "roi", "roi_low", "roi_high", "break_even_roas", "basis", "cost_basis", "estimand")


def _size_columns(row: Task) -> Task:
    return {name: row[name] for name in _SIZED}


def _of_spend(tables: Tables, currency: str | None) -> Iterator[Task]:
    """One task of each channel about its spend: its verdict if it has one, else what its interval or estimate says.

    Slices that are no channels have no spend; each has its own.
    """
    taken: set[object] = set()
    for row in (*_verdicts(tables), *_never_touched(tables), *_waste(tables, currency), *_lagging(tables)):
        if row["dimension"] not in ("channel", "campaign"):
            yield row
        elif row["slice"] not in taken:
            taken.add(row["slice"])
            yield row


def _lagging(tables: Tables) -> Iterator[Task]:
    """Slices that get less credit than their touchpoints get by chance, under most models that can tell."""
    slices = tables.get("roi_slices")
    if slices is None:
        return
    key = ["dimension", "slice"]
    tested = slices[slices["money"].notna() & slices["beyond_chance"].notna()]
    if tested.empty:
        return
    is_behind = (tested["beyond_chance"] < -least_z(len(tested[key].drop_duplicates()))) & (tested["money"] < 0)
    groups = [tested[name] for name in key]
    tested = tested.assign(
        models=is_behind.groupby(groups).transform("size"), behind=is_behind.groupby(groups).transform("sum")
    )
    of_all = tested.groupby(["dimension", "model"], dropna=False)
    worth = of_all["value"].transform("sum") / of_all["conversions"].transform("sum")
    shortfall = (tested["expected"] - tested["conversions"]) * worth
    behind = is_behind & (2 * tested["behind"] > tested["models"])
    for row in _middle(tested[behind], key, shortfall[behind]).to_dict("records"):
        unit = "journeys" if str(row["dimension"]).startswith("customers.") else "touchpoints"
        evidence = (
            f"its {row['reach']:,.0f} {unit} are credited with {row['conversions']:,.1f} conversions; by chance it "
            f"would be {row['expected']:,.1f}"
        )
        columns = {name: row[name] for name in ("dimension", "slice", "spend", "roi")}
        yield _task(wording.LAGGING, evidence, {**columns, **_size_columns(row)})


def _never_touched(tables: Tables) -> Iterator[Task]:
    """Channels with spend and without a touchpoint: of what nobody recorded nobody can say that it does not pay."""
    slices = tables.get("roi_slices")
    if slices is None:
        return
    idle = slices[(slices["reach"] == 0) & (slices["spend"] > 0)].drop_duplicates(["dimension", "slice"])
    for row in idle.to_dict("records"):
        columns: Task = {name: row[name] for name in ("dimension", "slice", "spend")}
        yield _task(wording.NEVER_TOUCHED, "it has spend, but no touchpoint", {**columns, "size": row["spend"]})


def _waste(tables: Tables, currency: str | None) -> Iterator[Task]:
    """Spend below break-even under most models: by its interval, or at the estimate where there are no intervals.

    An estimate of what a channel caused goes before credit that is divided.
    """
    if "returns" not in tables:
        return
    judged = judge_spend(reliable(tables["returns"], tables))
    estimated = set(judged.loc[judged["estimand"] == "incremental", "channel"])
    judged = judged[(judged["estimand"] == "incremental") | ~judged["channel"].isin(estimated)]
    surely = judged[(judged["status"] == WASTED) & (2 * judged["models_wasted"] > judged["models"])]
    losing = (judged["status"] == UNKNOWN) & (judged["loss"] > 0)
    most = 2 * losing.groupby([judged["estimand"], judged["channel"]]).transform("sum") > judged["models"]
    for kind, part in (
        (wording.WASTED, surely),
        (wording.LOSING, judged[losing & most & (judged["models_wasted"] == 0)]),
    ):
        for row in _middle(part, ["estimand", "channel"], part["loss"]).to_dict("records"):
            spend = format_money(row["spend"], currency)
            evidence = f"{spend} was spent at an ROI on {row['basis']} of {format_roi(row['roi'])}"
            if kind == wording.WASTED:
                evidence += f" (at most {format_roi(row['roi_high'])} within its interval)"
            evidence += f", with {row['estimand']} credit"
            columns = {name: row[name] for name in _JUDGED}
            yield _task(
                kind, evidence, {"dimension": "channel", "slice": row["channel"], **columns, **_size_columns(row)}
            )


def _verdicts(tables: Tables) -> Iterator[Task]:
    verdicts = tables.get("verdicts")
    if verdicts is None:
        return
    kinds = {PAYS: wording.PAYS, LIKELY_PAYS: wording.LIKELY_PAYS, DOES_NOT_PAY: wording.DOES_NOT_PAY}
    for row in one_per_channel(verdicts).to_dict("records"):
        pays = row["probability_pays_high"]
        chance = {PAYS: pays, LIKELY_PAYS: pays, DOES_NOT_PAY: 1 - pays}.get(row["verdict"], np.nan)
        columns: Task = {"dimension": "channel", "slice": row["channel"], "size": row["money_at_stake"]}
        kind = kinds.get(row["verdict"], wording.PAYS_UNKNOWN)
        yield _task(kind, str(row["says"]), {**columns, "probability": chance})


def _without_cost(tables: Tables) -> Iterator[Task]:
    """Credit that no cost, or only that of media, stands beside; and conversions that no channel has touched."""
    returns = tables.get("returns")
    if returns is None or returns.empty:
        return
    rows = main_basis(returns)
    rows = rows[rows["estimand"] == "allocated"]
    channels = rows[~rows["channel"].isin(NO_CHANNELS)]
    models = channels["model"].nunique()
    if channels["roi"].notna().any():
        # A part of what is shared is no cost of its own; a cost that is known to be 0 is one.
        free = channels[channels["roi"].isna() & (channels["spend"] != 0) & (channels["value"] > 0)]
        free = free.assign(models=models)
        for row in _middle(free, ["channel"], free["value"]).to_dict("records"):
            evidence = "it has credit, but no cost of its own"
            yield _task(
                wording.NO_COST, evidence, {"dimension": "channel", "slice": row["channel"], **_size_columns(row)}
            )
    untouched = rows[(rows["channel"] == UNATTRIBUTED) & (rows["value"] > 0)]
    if len(untouched):
        first = untouched.iloc[0]
        evidence = f"{first['conversions']:,.0f} conversions have no touchpoint in the lookback window"
        yield _task(wording.UNATTRIBUTED, evidence, {"size": float(first["value"])})
    if "cost_sensitivity" not in tables:
        return
    own = own_costs(tables["cost_sensitivity"])
    known_costs = own[own["channel"].notna() & own["is_known"]]
    alone = known_costs[
        (known_costs.groupby("channel")["cost_type"].transform("size") == 1) & (known_costs["cost_type"] == MEDIA)
    ]
    for row in alone.to_dict("records"):
        columns: Task = {"dimension": "channel", "slice": row["channel"], "size": row["amount"]}
        yield _task(wording.MEDIA_ONLY, "its only known cost is media", columns)


def _tracking(tables: Tables, repeated: float | None) -> Iterator[Task]:
    """Checks of the data that warn or fail, with the share of the money that their rows are of."""
    quality = tables.get("quality")
    if quality is None:
        return
    money = _money(tables) | {"repeated": np.nan if repeated is None else repeated}
    for row in quality[quality["status"] != "pass"].to_dict("records"):
        key = (row["check"], row["table"])
        if key not in wording.TRACKED:
            continue
        of = wording.TRACKED[key]
        size = np.nan
        if of in ("idle", "repeated"):
            size = money[of]
        elif of is not None and row["total"] and not np.isnan(row["total"]):
            size = row["count"] / row["total"] * money[of]
        evidence = f"{row['check']} in {row['table']}, {pluralise(round(row['count']), 'time')}: {row['message']}"
        yield _task(wording.TRACKING, evidence, {"size": size if size > 0 else np.nan})


def _lint(tables: Tables) -> Iterator[Task]:
    """Flaws of the raw marketing columns, check by check."""
    lint, quality = tables.get("channel_lint"), tables.get("quality")
    if lint is None or lint.empty or quality is None:
        return
    total = quality.loc[(quality["check"] == "contract") & (quality["table"] == "touchpoints"), "total"].sum()
    for check, rows in lint.groupby("check", sort=True):
        count = float(rows["touchpoints"].sum())
        size = min(count / total, 1.0) * _money(tables)["value"] if total > 0 else np.nan
        evidence = f"{check}, {pluralise(round(count), 'touchpoint')}; for example: {rows['message'].iloc[0]}"
        yield _task(wording.LINT, evidence, {"size": size if size > 0 else np.nan})


def _bottlenecks(tables: Tables) -> Iterator[Task]:
    funnel = tables.get("funnel")
    if funnel is None or funnel.empty:
        return
    for row in funnel[funnel["is_bottleneck"].astype(bool)].to_dict("records"):
        evidence = (
            f"{percent(row['rate_to_next'])} move on from {row['stage']}; one percentage point more is worth most here"
        )
        columns: Task = {"dimension": "stage", "slice": row["stage"], "size": row["value_per_point"]}
        yield _task(wording.BOTTLENECK, evidence, columns)


def _money(tables: Tables) -> dict[str, float]:
    """All credited value, all spend, and the spend of channels without credit; under the first allocated model."""
    returns = tables.get("returns")
    if returns is None or returns.empty:
        return dict.fromkeys(("value", "spend", "idle"), np.nan)
    rows = main_basis(returns)
    rows = rows[rows["model"] == rows["model"].iloc[0]]
    spend = rows["spend"].fillna(0.0)
    return {
        "value": float(rows["value"].sum()),
        "spend": float(spend.sum()),
        "idle": float(spend[rows["conversions"] == 0].sum()),
    }


def _texts(column: pd.Series) -> NDArray[np.str_]:
    result: NDArray[np.str_] = column.astype(object).where(column.notna(), "").to_numpy(str)
    return result
