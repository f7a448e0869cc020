"""Rows that sum up other rows, as reports end with: they are no channel, no campaign and no customer."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.engine import Engine, text
from attribution.data.loading.findings import Finding
from attribution.errors import InputError

_NAMES = (
    "total", "totals", "grand total", "subtotal", "sub-total", "sub total", "total general", "gesamt", "gesamtsumme",
    "gesamtergebnis", "summe", "zwischensumme", "somme", "sous-total", "total général", "totale", "totale complessivo",
    "totaal", "eindtotaal", "suma", "suma total", "total geral", "razem", "toplam", "itogo", "итого", "всего",
    "合计", "总计", "小计", "合計", "總計", "小計", "総計", "합계",
)  # fmt: skip
_COLUMNS = {
    "costs": ("channel", "campaign"),
    "paths": ("path",),
    "conversions": ("customer_id",),
    "lifetimes": ("customer_id",),
}
_CENT = 0.01
_LEAST_ROWS = 2
_LEAST_CHANNELS = 3
"""Of two others one may well be as large as both."""


def is_total(table: str, column: str, raw: str) -> str | None:
    """SQL for whether a text names a row of totals; None in columns in which none would be noticed."""
    if column not in _COLUMNS.get(table, ()):
        return None
    if column == "customer_id":
        # Conversions are many: as a program writes it, or a person, but not in any case of letters.
        cases = (case(name) for name in _NAMES for case in (str, str.capitalize, str.upper))
        return f"{raw} in ({', '.join(map(text, dict.fromkeys(cases)))})"
    name = f"lower(trim({raw}))"
    listed = ", ".join(map(text, _NAMES))
    # What is summed up may be named behind a colon, as in "Total: Account".
    return f"{name} in ({listed}) or {name} like 'total:%'"


@np.errstate(over="ignore", invalid="ignore")  # sums beyond every float are refused where returns are computed
def check_totals(engine: Engine, columns: Collection[str]) -> list[Finding]:
    """Refuse costs that sum up others, by what they lack; say which channel equals all the others together.

    Parameters
    ----------
    engine : holds the canonical table ``costs``
    columns : of it

    Raises
    ------
    InputError
        If a row without the day or campaign that others have is as large as all the others, or as all of its channel.
    """
    places = [name for name in ("day", "period_start", "campaign") if name in columns]
    listed = ", ".join(["channel", "amount", *places])
    table: pd.DataFrame = engine.query(f"select {listed} from costs where amount is not null").to_pandas()
    amount = table["amount"].to_numpy(np.float64)
    for column in places:
        is_without = table[column].isna().to_numpy(bool)
        if is_without.any() and not is_without.all():
            _refuse_sums(table["channel"], amount, is_without, column)
    if "currency" in columns:
        return []
    sums = table.groupby("channel")["amount"].sum()
    of_others = sums.sum() - sums
    total = sums[(sums > 0) & (np.abs(of_others - sums) <= _CENT) & (len(sums) > _LEAST_CHANNELS)]
    if total.empty:
        return []
    name = str(total.index[0])
    message = (
        f"costs of {name!r} equal those of all {len(sums) - 1} other channels together, {total.iloc[0]:,.2f}: if it "
        "sums them up, leave it out with where"
    )
    return [Finding("total_channel", "costs", "warn", 1, len(sums), name, message)]


def _refuse_sums(channel: pd.Series, amount: NDArray[np.float64], is_without: NDArray[np.bool_], column: str) -> None:
    """Refuse rows that lack a ``column`` and are the sum of those that have one."""
    has_place = ~is_without
    by_channel = pd.Series(amount[has_place]).groupby(channel[has_place].to_numpy()).agg(["sum", "size"])
    own = by_channel.reindex(channel[is_without].to_numpy())
    sums = [(own["sum"].to_numpy(np.float64), own["size"].to_numpy(np.float64))]
    sums.append((np.full(is_without.sum(), amount[has_place].sum()), np.full(is_without.sum(), float(has_place.sum()))))
    is_sum = np.zeros(is_without.sum(), bool)
    for total, rows in sums:
        # Amounts are rounded, and their total is rounded again.
        is_near = np.abs(amount[is_without] - total) <= _CENT * (1 + rows / 2)
        is_sum |= (rows >= _LEAST_ROWS) & (amount[is_without] > 0) & is_near
    if is_sum.any():
        first = int(np.flatnonzero(is_sum)[0])
        source = column if column != "period_start" else "period"
        raise InputError(
            f"table 'costs': {int(is_sum.sum())} of the rows without a {source} sum up those with one",
            given=f"{channel[is_without].iloc[first]}, {amount[is_without][first]:,.2f}",
            hint=f"leave totals out with where: the {source} is not null",
        )
