"""What a funnel says of some channels in one stage: arrivals, their cost, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from attribution.decisions.funnel import FunnelOptions
from attribution.decisions.kpis.runs import Run
from attribution.errors import InputError, did_you_mean
from attribution.schema.tables import NO_CHANNELS


class StageRows(NamedTuple):
    """Rows of ``funnel_credit`` of one model and stage, by whole channel, and the row of ``funnel`` of the stage."""

    credit: pd.DataFrame
    whole: pd.Series


def stage_rows(run: Run, model: str, stage: str | None, metric: str) -> StageRows:
    """What a run knows of one stage.

    Raises
    ------
    InputError
        If no stage is named, or the run has no such funnel.
    """
    if "funnel_credit" not in run.tables:
        raise InputError(
            f"run {run.name!r} has no funnel, but {metric} is defined per stage",
            hint="run the experiment again with funnel options",
        )
    whole = run.tables["funnel"].set_index("stage")
    if stage is None:
        raise InputError(
            f"{metric} is defined per stage, so it needs one", allowed=list(whole.index), hint='funnel_stage = "…"'
        )
    if stage not in whole.index:
        hint = did_you_mean(stage, list(whole.index))
        raise InputError(f"run {run.name!r} has no stage {stage!r}", allowed=list(whole.index), hint=hint)
    table = run.tables["funnel_credit"]
    of_stage = (table["model"] == model) & (table["stage"] == stage) & (table["grain"] == "channel")
    rows = table[of_stage].set_index("channel")
    if rows.empty:
        rows = _without_arrivals(run, model)
    cost_basis = stage_cost_basis(run)
    returns = run.tables["returns"]
    with_roi = returns.loc[(returns["cost_basis"] == cost_basis) & returns["roi"].notna(), "channel"]
    return StageRows(rows.assign(is_paid=rows.index.isin(set(with_roi))), whole.loc[stage])


def _without_arrivals(run: Run, model: str) -> pd.DataFrame:
    """Rows of a stage that nobody has reached yet: every channel of the run, with no arrival."""
    channels = run.returns(model).index
    return pd.DataFrame(
        {"credit": 0.0, "spend": 0.0, "handling": 0.0, "rate_to_next": np.nan, "win_rate": np.nan}, index=channels
    )


def stage_cost_basis(run: Run) -> str:
    """Which costs the funnel of a run counts: media or loaded."""
    options = run.experiment.options("funnel", FunnelOptions)
    return (None if options is None else options.cost_basis) or run.experiment.returns.cost_basis


def stage_sums(rows: pd.DataFrame, channels: Sequence[str] | None) -> dict[str, float]:
    """Every sum that is known, over all rows or those of some channels; ``paid_`` of channels with a cost of their own.

    Parameters
    ----------
    rows : of one model and stage, by channel; ``is_paid``: whether it has a cost of its own, as ratios need
    channels : all, and arrivals of no channel too, where it is None
    """
    chosen = rows if channels is None else rows.loc[list(channels)]
    own = chosen[~chosen.index.isin(NO_CHANNELS)]
    paid = own[own["is_paid"]]
    sums = {
        "arrivals": float(chosen["credit"].sum()),
        "all_arrivals": float(rows["credit"].sum()),
        "paid_arrivals": float(paid["credit"].sum()),
    }
    if len(paid):
        sums["spend"] = float(paid["spend"].sum())
        if paid["handling"].notna().all():
            sums["full_spend"] = float((paid["spend"] + paid["handling"]).sum())
    for name, rate in (("moved_on", "rate_to_next"), ("won", "win_rate")):
        # Rows without arrivals have no rate, and bring nothing; where no row has one the stage has none.
        counts = chosen[chosen["credit"] > 0]
        if len(counts) and counts[rate].notna().all():
            sums[name] = float((counts["credit"] * counts[rate]).sum())
    return sums


def stage_ends(rows: StageRows, metric: str, channels: Sequence[str] | None) -> tuple[float, float]:
    """Interval of a rate, where a table of the run has it: of one channel, or of the whole stage; else NaN."""
    ends = {"rate_to_next": ("rate_low", "rate_high"), "win_rate": ("win_rate_low", "win_rate_high")}.get(metric)
    row = rows.whole if channels is None else rows.credit.loc[channels[0]] if len(channels) == 1 else None
    if ends is None or row is None or not set(ends) <= set(row.index):
        return np.nan, np.nan
    low, high = (float(row[name]) for name in ends)
    return low, high
