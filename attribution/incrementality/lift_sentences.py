"""What lift tests say, in sentences and in a table to read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from attribution.amounts import format_amount, percent


def lift_sentences(readings: pd.DataFrame) -> list[str]:
    """One or two sentences per test, those of all customers together.

    Parameters
    ----------
    readings : the table ``lift_readings``

    Examples
    --------
    >>> import attribution as at
    >>> tests = pd.DataFrame({"test": ["spring"], "channel": "video", "design": "reported", "effect": 300.0,
    ...                       "standard_error": 120.0, "spend": 9000.0})
    >>> lift_sentences(at.measure_lift(tests))
    ['video caused about 300 conversions (103 to 497), says test spring. One more conversion cost 30 (18.09 to 87.7).']
    """
    whole = _with_none(readings[readings["segment"].isna()])
    sentences = []
    for _, rows in whole.groupby("test", sort=False):
        conversions = rows[rows["measure"] == "conversions"].iloc[0]
        values = rows[rows["measure"] == "value"]
        if conversions["design"] == "ab":
            sentences.append(_variant_sentence(conversions))
        else:
            sentences.append(_channel_sentence(conversions, None if values.empty else values.iloc[0]))
    return sentences


def _channel_sentence(row: pd.Series, value: pd.Series | None) -> str:
    name = row["channel"] if row["campaign"] is None else f"{row['channel']} / {row['campaign']}"
    effect, low, high = (f"{row[end]:z,.0f}" for end in ("effect", "low", "high"))
    span = f"{low} to {high}"
    if row["design"] == "on_off":
        return (
            f"On days with {name} there were about {effect} conversions more ({span}), says test {row['test']}. "
            "Days on and off were not assigned by chance, so something else may have made the difference."
        )
    if row["low"] > 0:
        parts = [f"{name} caused about {effect} conversions ({span}), says test {row['test']}."]
    elif row["high"] < 0:
        parts = [f"There were fewer conversions with {name} than without ({span}), says test {row['test']}."]
    else:
        parts = [f"Test {row['test']} cannot tell whether {name} caused any conversions: {effect} ({span})."]
    if row["low"] > 0 and pd.notna(row["cost_per_incremental"]):
        cost = [_amount(row[f"cost_per_incremental{end}"]) for end in ("", "_low", "_high")]
        parts.append(f"One more conversion cost {cost[0]} ({cost[1]} to {cost[2]}).")
    if value is not None and pd.notna(value["iroas"]):
        ratio = [f"{value[f'iroas{end}']:.2f}" for end in ("", "_low", "_high")]
        parts.append(f"Each unit of spend brought {ratio[0]} of value ({ratio[1]} to {ratio[2]}).")
    if pd.notna(row["period_effect"]) and row["scaled_by"] != "none":
        effect, low, high = (f"{row[end]:z,.0f}" for end in ("period_effect", "period_low", "period_high"))
        parts.append(f"In the period of the log that is about {effect} ({low} to {high}).")
    return " ".join(parts)


def _variant_sentence(row: pd.Series) -> str:
    what = row["what"] or "variant"
    rates = (
        f"{percent(row['rate_test'])} of customers convert with the new {what} and {percent(row['rate_control'])} with "
        "the present one"
    )
    lift = f"{_change(row['lift'])} ({_change(row['lift_low'])} to {_change(row['lift_high'])})"
    if row["low"] > 0 or row["high"] < 0:
        verdict = f"The new {what} converts {'better' if row['low'] > 0 else 'worse'}, says test {row['test']}"
    else:
        verdict = f"Test {row['test']} cannot tell which {what} converts better"
    return f"{verdict}: {rates}, {lift}."


def _amount(number: float) -> str:
    return "∞" if np.isposinf(number) else format_amount(round(number) if abs(number) >= 100 else number)


def _change(ratio: float) -> str:
    return "–" if pd.isna(ratio) else f"{100 * ratio:+.1f} %"


def lift_grid(readings: pd.DataFrame) -> pd.DataFrame:
    """What people read: one row per test, measure and segment, with intervals in one cell."""
    readings = _with_none(readings)
    has_period = readings["period_effect"].notna().any()
    columns: dict[str, Any] = {
        "test": readings["test"],
        "of": [_subject(row) for row in readings.itertuples(index=False)],
        "design": readings["design"],
        "measure": readings["measure"],
        "caused": [_whole(*ends) for ends in _ends(readings, "effect", "low", "high")],
        "lift": [
            "" if pd.isna(middle) else f"{_change(middle)} [{_change(low)}, {_change(high)}]"
            for middle, low, high in _ends(readings, "lift", "lift_low", "lift_high")
        ],
        "cost per conversion": [_cell(*ends) for ends in _ratio(readings, "cost_per_incremental")],
        "value per spend": [_cell(*ends) for ends in _ratio(readings, "iroas")],
    }
    if has_period:
        period = _ends(readings, "period_effect", "period_low", "period_high")
        columns["in the log's period"] = [_whole(*ends) for ends in period]
    grid = pd.DataFrame(columns)
    return grid.drop(
        columns=[name for name in ("lift", "cost per conversion", "value per spend") if _is_blank(grid[name])]
    )


def _with_none(readings: pd.DataFrame) -> pd.DataFrame:
    """With None for every text that is not there: a table that was written and read again has NaN."""
    texts = ["channel", "campaign", "what", "segment"]
    return readings.assign(
        **{name: readings[name].astype(object).where(readings[name].notna(), None) for name in texts}
    )


def _subject(row: Any) -> str:
    parts = [row.channel, row.campaign, row.what, row.segment]
    return " / ".join(part for part in parts if part is not None) or "–"


def _ends(readings: pd.DataFrame, *names: str) -> list[tuple[float, float, float]]:
    return [tuple(row) for row in readings[list(names)].to_numpy(dtype=float)]


def _ratio(readings: pd.DataFrame, name: str) -> list[tuple[float, float, float]]:
    return _ends(readings, name, f"{name}_low", f"{name}_high")


def _cell(middle: float, low: float, high: float) -> str:
    return "" if pd.isna(middle) else f"{_amount(middle)} [{_amount(low)}, {_amount(high)}]"


def _whole(middle: float, low: float, high: float) -> str:
    ends = "" if pd.isna(low) else f" [{low:z,.0f}, {high:z,.0f}]"
    return "" if pd.isna(middle) else f"{middle:z,.0f}{ends}"


def _is_blank(column: pd.Series) -> bool:
    return bool((column == "").all())
