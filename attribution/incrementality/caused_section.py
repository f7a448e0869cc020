"""What channels caused, as far as the log can tell, beside what they are credited with: as a section."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from attribution.incrementality.calibration_declared import INCREMENTAL
from attribution.returns import main_basis
from attribution.schema.tables import ASSIGNMENT, TOTAL
from attribution.sections import Language, ReportPart, Section, listed

LEFT_OUT = "caused_left_out"
"""The row of ``quality`` that says why there is no answer on what channels caused."""

ALL_PAID = "all paid channels"
_BECAUSE = {
    "follows intent": "their touchpoints come more often after unpaid ones, so they follow customers who are about to "
    "buy",
    "follows traits": "their touchpoints come more often to customers who are touched often, so they follow what these "
    "are like",
    "not screened": "without a channel that costs nothing, such as direct visits, nobody sees whether touchpoints "
    "follow customers who would convert anyway",
}
"""Why the effect of a channel cannot be told, in a sentence, by the reason in its row of ``assignment``."""

_LAST_TOUCH = "last_touch"

Tables = Mapping[str, pd.DataFrame]


class CausedSection(Section):
    """The second answer on every channel: not how conversions are divided, but which would not have happened."""

    name = "caused"

    def metrics(self, tables: Tables, model: str | None = None) -> Mapping[str, float]:
        """Of the model that says what was caused: all of it, and how many channels it can tell the effect of."""
        shown = caused_table(tables)
        if shown is None or model != str(shown["model"].iloc[0]):
            return {}
        channels = shown[shown["channel"] != ALL_PAID]
        metrics = {"channels_with_known_effect": float(channels["is_known"].sum())}
        total = shown.loc[shown["channel"] == ALL_PAID, "caused"]
        return metrics | {"caused_conversions": float(total.iloc[0])}

    def part(self, tables: Tables, language: Language) -> ReportPart | None:
        """Credited beside caused, channel by channel, and why they differ; or why there is no such answer."""
        sentences = caused_sentences(tables)
        if not sentences:
            return None
        shown = caused_table(tables)
        return ReportPart(
            contents=(("caused", "What channels caused"),),
            headlines=() if shown is None else (sentences[0],),
            template="caused.html.j2",
            values={"says": sentences, "table": None if shown is None else caused_grid(shown)},
            is_first=shown is not None,
        )


def caused_table(tables: Tables) -> pd.DataFrame | None:
    """Conversions that each paid channel is credited with and that it caused; None where no model says the latter.

    Parameters
    ----------
    tables : of a run

    Returns
    -------
    DataFrame
        One row per channel whose effect was asked for, by spend, and `ALL_PAID`: ``channel``, ``credited`` by the
        model ``credited_by``, ``caused`` with ``low`` and ``high`` by ``model``, ``is_known``, ``reason`` where it is
        not, ``calibrated`` with ``calibrated_low`` and ``calibrated_high`` by lift tests and credit, ``tests`` of the
        channel, null where there are none at all, and ``true``, null where the truth is not known. What is not known
        has no number.

    Examples
    --------
    >>> credit = pd.DataFrame({"model": ["linear", "additive_hazard"], "estimand": ["allocated", "incremental"],
    ...     "channel": "mail", "conversions": [50.0, 20.0], "conversions_low": [40.0, 5.0],
    ...     "conversions_high": [60.0, 35.0], "is_known": True})
    >>> assignment = pd.DataFrame({"model": ["additive_hazard"], "channel": "mail", "verdict": "chance"})
    >>> table = caused_table({"credit": credit, "assignment": assignment})
    >>> table[["channel", "credited", "caused", "low", "high"]].values.tolist()
    [['mail', 50.0, 20.0, 5.0, 35.0], ['all paid channels', 50.0, 20.0, nan, nan]]
    """
    assignment, credit = tables.get(ASSIGNMENT.name), tables.get("credit")
    if assignment is None or assignment.empty or credit is None:
        return None
    model = str(assignment["model"].iloc[0])
    own = assignment[assignment["model"] == model].set_index("channel")["verdict"]
    caused = credit[(credit["model"] == model) & credit["channel"].isin(own.index)].set_index("channel")
    chosen = credit[credit["estimand"] == "allocated"]
    labels = list(dict.fromkeys(chosen["model"]))
    label = _LAST_TOUCH if _LAST_TOUCH in labels else next(iter(labels), None)
    credited = chosen[chosen["model"] == label].set_index("channel")["conversions"].reindex(caused.index)
    truth = tables.get("truth")
    effects = pd.Series(dtype=float) if truth is None else truth.set_index("channel")["incremental_conversions"]
    is_known = caused["is_known"].astype(bool)
    table = pd.DataFrame(
        {
            "credited": credited,
            "caused": caused["conversions"].where(is_known),
            "low": caused["conversions_low"],
            "high": caused["conversions_high"],
            "is_known": is_known,
            "reason": own.reindex(caused.index).str.removeprefix("unknown: ").where(~is_known, None),
            "true": effects.reindex(caused.index).astype(float),
        }
    )
    table = table.loc[_by_spend(tables, list(table.index))].join(_calibrated(tables))
    # A sum with an unknown in it is none.
    total = {
        "credited": table["credited"].sum(),
        "caused": table["caused"].sum() if is_known.all() else np.nan,
        "is_known": bool(is_known.all()),
        "calibrated": table["calibrated"].sum(min_count=1),
        "true": float(effects.get(TOTAL, np.nan)),
    }
    table = pd.concat([table, pd.DataFrame([total], index=[ALL_PAID])]).rename_axis("channel").reset_index()
    return table.assign(model=model, credited_by=label)


def _calibrated(tables: Tables) -> pd.DataFrame:
    """What channels caused by lift tests and credit; no rows without a test."""
    names = {"mean": "calibrated", "low": "calibrated_low", "high": "calibrated_high", "tests": "tests"}
    table = tables.get(INCREMENTAL.name)
    if table is None or not table["tests"].any():
        return pd.DataFrame(columns=list(names.values()), dtype=float)
    return table.set_index("channel")[list(names)].rename(columns=names).astype(float)


def _by_spend(tables: Tables, channels: list[str]) -> list[str]:
    """The channels with most spend first, and then by name."""
    returns = tables.get("returns", pd.DataFrame())
    if returns.empty or "spend" not in returns:
        return sorted(channels)
    spend = main_basis(returns).drop_duplicates("channel").set_index("channel")["spend"].fillna(0.0)
    return sorted(channels, key=lambda name: (-float(spend.get(name, 0.0)), name))


def caused_sentences(tables: Tables) -> list[str]:
    """What channels caused and how sure that is, or why it cannot be told; nothing where it was not asked for."""
    table = caused_table(tables)
    if table is None:
        return left_out_sentences(tables)
    total = table.iloc[-1]
    sentences = []
    if total["is_known"] and table["credited_by"].notna().all():
        sentences.append(
            f"{total['credited_by']} credits paid channels with {total['credited']:,.0f} conversions. They caused "
            f"about {total['caused']:,.0f}, if touches are as good as random."
        )
    sentences += unknown_sentences(table)
    if "truth" in tables:
        sentences.append(_why_they_differ(table))
    return sentences


def unknown_sentences(table: pd.DataFrame) -> list[str]:
    """Which channels' effect cannot be told, by why; ``table`` as `caused_table` gives it."""
    unknown = table[~table["is_known"] & (table["channel"] != ALL_PAID)]
    return [
        f"What {listed(rows['channel'])} caused cannot be told from the log: {_BECAUSE.get(reason, reason)}. Only a "
        "test of spend would tell."
        for reason, rows in unknown.groupby("reason")
    ]


def left_out_sentences(tables: Tables) -> list[str]:
    """Why there is no answer on what channels caused; nothing where there is one, or none was wanted."""
    quality = tables.get("quality")
    if quality is None:
        return []
    messages = quality.loc[quality["check"] == LEFT_OUT, "message"]
    return [f"{message[0].upper()}{message[1:]}." for message in messages]


def _why_they_differ(table: pd.DataFrame) -> str:
    total = table.iloc[-1]
    joint = ""
    if np.isfinite(total["true"]):
        joint = (
            f" Here {total['credited_by']} credits paid channels with {total['credited']:,.0f} conversions, and "
            f"without all of them {total['true']:,.0f} fewer would have happened."
        )
    return (
        "Credited and caused answer different questions. Credit divides the conversions that happened among the "
        f"touchpoints before them, also those of customers who would have bought anyway.{joint} Caused is estimated "
        "from how much more often customers convert after a touchpoint than other customers do on the same day. Most "
        "of its intervals hold the true number; the others miss it by chance, or by what the log does not show. True "
        "is known because this shop is simulated: each channel was switched off, with all else left to the same luck. "
        "Where channels strengthen or replace each other, their numbers do not add up to that of all together."
    )


def caused_grid(table: pd.DataFrame) -> pd.DataFrame:
    """What people read: headings in words, whole conversions, and one cell for an estimate with its interval."""
    cells = [_cell(*row) for row in zip(table["caused"], table["low"], table["high"], table["reason"], strict=True)]
    credited = table["credited_by"].iloc[0]
    columns = {
        "channel": table["channel"],
        "credited" if credited is None else f"credited ({credited})": [_whole(each) for each in table["credited"]],
        "caused": cells,
    }
    if table["calibrated"].notna().any():
        ends = (table[name] for name in ("calibrated", "calibrated_low", "calibrated_high", "tests"))
        columns["caused, with lift tests"] = [
            _cell(mean, low, high, None) + (", tested" if tests > 0 else "")
            for mean, low, high, tests in zip(*ends, strict=True)
        ]
    if table["true"].notna().any():
        columns["true"] = [_whole(each) for each in table["true"]]
    return pd.DataFrame(columns)


def _cell(caused: float, low: float, high: float, reason: str | None) -> str:
    if pd.isna(caused):
        return f"unknown: {reason}" if isinstance(reason, str) else "unknown"
    return _whole(caused) if pd.isna(low) else f"{_whole(caused)} [{_whole(low)}, {_whole(high)}]"


def _whole(number: float) -> str:
    return "–" if pd.isna(number) else f"{number:z,.0f}"
