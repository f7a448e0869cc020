"""What ad platforms claim for themselves, beside what channels are credited with."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attribution.data.loading import Sources
from attribution.returns.days import Days
from attribution.returns.ledger import totals_of
from attribution.schema.experiment import Period
from attribution.schema.tables import PLATFORM_CLAIMS

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
    told = table["channel"].notna().to_numpy() & ~np.isnan(claimed)
    names, place = np.unique(table["channel"].to_numpy(object)[told].astype(str), return_inverse=True)
    claims = pd.Series(totals_of(place, claimed[told], len(names)), index=names)
    whole = credit.groupby(["model", "estimand"], sort=False)["conversions"].sum().reset_index()
    rows = credit[["model", "estimand", "channel", "conversions"]].copy()
    rows["claimed"] = rows["channel"].map(claims)
    missing = [
        pair.assign(channel=name, claimed=claims[name], conversions=0.0)
        for (_, pair) in whole.groupby(["model", "estimand"], sort=False)
        for name in names
        if name not in set(rows.loc[rows["model"] == pair["model"].iloc[0], "channel"])
    ]
    found = pd.concat([rows.dropna(subset="claimed"), *missing, whole.assign(channel=ALL, claimed=claims.sum())])
    order = {model: place for place, model in enumerate(dict.fromkeys(credit["model"]))}
    found = found.sort_values("model", key=lambda of: of.map(order), kind="stable").reset_index(drop=True)
    credited = found["conversions"].to_numpy(float)
    found["claimed_ratio"] = np.divide(
        found["claimed"].to_numpy(float), credited, out=np.full(len(found), np.nan), where=credited > 0
    )
    return found[list(PLATFORM_CLAIMS.column_names)]
