"""Verdicts that rest on lift tests: they go before what a log alone can say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from attribution.amounts import percent
from attribution.incrementality.calibrated_run import CALIBRATED
from attribution.incrementality.calibration import Calibration
from attribution.uncertainty.sensitivity.rules import DOES_NOT_PAY, PAYS, TESTED, UNKNOWN
from attribution.uncertainty.sensitivity.sensitivity_declared import VERDICTS
from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions

_OF_RETURNS = ["channel", "spend", "roi", "roi_low", "roi_high"]


def with_tested(
    verdicts: pd.DataFrame, calibration: Calibration, returns: pd.DataFrame, options: SensitivityOptions
) -> pd.DataFrame:
    """``verdicts`` with that of each tested channel in place of what was estimated without its tests.

    Parameters
    ----------
    verdicts : the table of the same name
    calibration : what channels caused, by credit and tests
    returns : of all models, on the basis that channels are ranked by
    options : hurdle and level

    Notes
    -----
    Spend pays, or does not, with probability (1 + level) / 2 in the run's own specification. How long the window is,
    and what is done about direct traffic, changes credit, and hardly what a test measured.
    """
    own = returns.loc[returns["model"] == CALIBRATED, _OF_RETURNS]
    table = calibration.incremental.merge(own, on="channel", how="left")
    hurdle = 1 + options.hurdle_roi
    # Where nothing was caused, what a conversion earns is that of all.
    earned = ((1 + table["roi"]) * table["spend"] / table["mean"]).where(table["mean"] > 0)
    table["needed"] = hurdle * (table["spend"] / earned).fillna(table["needed"])
    table["pays"] = calibration.posterior.exceeding(table["needed"].to_numpy())
    tested = table[(table["tests"] > 0) & table["pays"].notna()]
    rows = [_row(row, options) for row in tested.to_dict("records")]
    stays = verdicts[(verdicts["estimand"] == "allocated") | ~verdicts["channel"].isin(tested["channel"])]
    own = pd.DataFrame(rows, columns=list(VERDICTS.column_names)) if rows else stays[:0]
    table = pd.concat([part for part in (stays, own) if len(part)])
    return table.sort_values(["estimand", "channel"], kind="stable", ignore_index=True)


def _row(of: Mapping[str, Any], options: SensitivityOptions) -> dict[str, Any]:
    pays, surely, hurdle = of["pays"], (1 + options.level) / 2, options.hurdle_roi
    verdict = PAYS if pays >= surely else DOES_NOT_PAY if pays <= 1 - surely else UNKNOWN
    per_unit = {
        PAYS: of["roi"] - hurdle,
        DOES_NOT_PAY: hurdle - of["roi"],
        UNKNOWN: max(of["roi_high"] - hurdle, hurdle - of["roi_low"]),
    }
    return {
        "estimand": "incremental",
        "channel": of["channel"],
        "verdict": verdict,
        "basis": TESTED,
        **dict.fromkeys(("probability_pays_low", "probability_pays_high", "probability_pays_most"), pays),
        "money_at_stake": of["spend"] * per_unit[verdict],
        **{name: of[name] for name in ("spend", "roi", "roi_low", "roi_high")},
        "assumptions": None,
        "says": _says(of, verdict),
    }


def _says(of: Mapping[str, Any], verdict: str) -> str:
    caused = f"between {of['low']:,.0f} and {of['high']:,.0f} conversions, and {of['needed']:,.0f} would pay for it"
    chance = {
        PAYS: f"pays back with a probability of {_chance(of['pays'])}",
        DOES_NOT_PAY: f"does not pay back with a probability of {_chance(1 - of['pays'])}",
        UNKNOWN: f"pays back with a probability of {_chance(of['pays'])}",
    }[verdict]
    head = f"{of['channel']}: {verdict.replace('_', ' ')}."
    return f"{head} By lift tests and credit, its spend {chance}: it caused {caused}."


def _chance(probability: float) -> str:
    """Nothing that is measured is certain."""
    return f"over {percent(0.999)}" if probability > 0.999 else percent(probability)
