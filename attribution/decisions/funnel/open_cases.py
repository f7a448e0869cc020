"""Cases that are not decided yet: what may come of them, kept apart from what has come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from attribution.decisions.funnel.credit import StageCredit
from attribution.decisions.funnel.funnel_declared import PIPELINE, empty_table
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.decisions.funnel.progress import Progress
from attribution.decisions.funnel.stages import Chances, average_win
from attribution.kernels.statistics.incidence import STILL_OPEN
from attribution.returns.returns_tables import ratio
from attribution.schema.tables import NO_CHANNELS


def open_cases(progress: Progress, chances: Chances) -> pd.DataFrame:
    """Cases before the win that are neither moved on nor lost: ``probability``, ``amount``, ``is_assumed``.

    The amount is the last one known; where there is none, that of the average win.
    """
    table = progress.table
    rows = table[(table["outcome"] == STILL_OPEN) & (table["stage"] < progress.won_at)].copy()
    rows["probability"] = np.nan
    for stage, part in rows.groupby("stage"):
        rows.loc[part.index, "probability"] = chances.of_open(int(stage), part["age"].to_numpy())
    amounts = _last_known_amount(progress).reindex(rows.index)
    rows["is_assumed"] = amounts.isna()
    rows["amount"] = amounts.fillna(average_win(progress))
    rows["expected_value"] = rows["probability"] * rows["amount"]
    return rows


def _last_known_amount(progress: Progress) -> pd.Series:
    """The latest amount of each arrival's case, in its stage or one before it."""
    table = progress.table
    with_amount = table[table["latest_amount"].notna()]
    pairs = (
        table.rename_axis("row_of")
        .reset_index()
        .merge(
            with_amount[["customer", "deal_id", "stage", "at", "latest_amount"]], on="customer", suffixes=("_of", "")
        )
    )
    same = (pairs["deal_id_of"] == pairs["deal_id"]) | (pairs["deal_id"] == "")
    pairs = pairs[same & (pairs["stage"] <= pairs["stage_of"])].sort_values(["row_of", "stage", "at"], kind="stable")
    return pairs.groupby("row_of")["latest_amount"].last()


def pipeline_table(progress: Progress, credited: Sequence[StageCredit], chances: Chances) -> pd.DataFrame:
    """The ``pipeline`` table: open cases, credited as their last arrival is."""
    cases = open_cases(progress, chances)
    measured = cases[["stage", "probability", "amount", "expected_value", "is_assumed"]]
    parts = [
        allocated.join(measured, on="arrival", how="inner").assign(model=label)
        for stage in credited
        for label, allocated in stage.allocated.items()
    ]
    parts = [part for part in parts if len(part)]
    if not parts:
        return empty_table(PIPELINE)
    table = pd.concat(parts, ignore_index=True)
    credit = table["credit"]
    table = table.assign(
        open=credit,
        expected_wins=credit * table["probability"],
        amount=credit * table["amount"],
        expected_value=credit * table["expected_value"],
        without_amount=credit * table["is_assumed"],
    )
    order = {model: position for position, model in enumerate(dict.fromkeys(table["model"]))}
    table["_model"], table["_last"] = table["model"].map(order), table["channel"].isin(NO_CHANNELS)
    keys = ["_model", "stage", "_last", "channel", "model"]
    sums = table.groupby(keys, sort=True)[["open", "expected_wins", "amount", "expected_value", "without_amount"]]
    summed = sums.sum(min_count=1).reset_index()
    summed["probability"] = ratio(summed["expected_wins"], summed["open"])
    summed["stage"] = np.array(progress.stages, dtype=object)[summed["stage"].to_numpy(np.int64)]
    return summed[list(PIPELINE.column_names)]


def won_of(credited: Sequence[StageCredit], options: FunnelOptions) -> StageCredit | None:
    """The credit of wins; None where there is none."""
    return next((stage for stage in credited if stage.stage == options.won_at), None)
