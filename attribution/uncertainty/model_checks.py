"""Which models fail a check, so that nothing rests on them: no verdict, no budget, no task.

What a model of effects credits is held against what it should credit where the answer is clear: to a channel that does
nothing, and with channels at random. Effects that are estimated from whole journeys are wrong by how journeys are made.
A model that divides conversions claims no effect and cannot give a channel nothing for being there: what it credits to
one that does nothing is shown, and marked, in the table ``placebo``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from attribution.models.breakdowns import WHOLE_JOURNEYS
from attribution.schema.tables import NO_CHANNELS
from attribution.schema.tables.definition import Column, Table, null
from attribution.sections import Language, ReportPart, RunContext, Section
from attribution.uncertainty.placebo import placebo_sentences

Tables = Mapping[str, pd.DataFrame]

PLACEBO, CHANCE, JOURNEYS = "placebo", "chance", "whole_journeys"

MODEL_CHECKS = Table(
    "model_checks",
    "model of effects × check that it was put to",
    (
        Column("model", "text", "label of the model"),
        Column(
            "check",
            "text",
            "placebo: a channel that does nothing is credited with nothing; chance: with channels at random the model "
            "credits no less than nothing; whole_journeys: effects are not estimated from journeys that end with the "
            "conversion",
        ),
        null("passes", "flag", "whether it does; null where these data cannot tell"),
        Column("says", "text", "what was seen, in a sentence"),
    ),
    question="Which models fail a check, so that no verdict, budget or task rests on them?",
)


def model_checks(tables: Tables) -> pd.DataFrame:
    """The ``model_checks`` table of the other tables of a run.

    Parameters
    ----------
    tables : ``quality``, ``placebo`` and ``credit`` by name; a check that needs one that is absent is not made

    Examples
    --------
    >>> credit = pd.DataFrame({"model": "rates", "estimand": "incremental", "channel": ["mail", "tv"],
    ...     "conversions": [-40.0, -60.0], "conversions_low": [-50.0, -70.0], "chance_conversions": [-45.0, -55.0]})
    >>> model_checks({"credit": credit})[["model", "check", "passes"]].values.tolist()
    [['rates', 'chance', False]]
    """
    rows = [*_whole_journeys(tables), *_placebo(tables), *_chance(tables)]
    return pd.DataFrame(rows, columns=list(MODEL_CHECKS.column_names)).astype({"passes": "boolean"})


def failed_checks(tables: Tables) -> dict[str, str]:
    """Why nothing may rest on a model, by its label: the first check that it fails.

    Examples
    --------
    >>> failed_checks({})
    {}
    """
    checks = model_checks(tables)
    failed = checks[~checks["passes"].fillna(True)].drop_duplicates("model")
    return dict(zip(failed["model"], failed["says"], strict=True))


def reliable(rows: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    """The rows of a table by ``model`` whose models fail no check."""
    failed = failed_checks(tables)
    return rows[~rows["model"].isin(list(failed))] if failed else rows


def _whole_journeys(tables: Tables) -> list[dict[str, object]]:
    quality = tables.get("quality")
    if quality is None:
        return []
    warned = quality[(quality["check"] == WHOLE_JOURNEYS) & quality["example"].notna()]
    says = (
        "{} estimates effects from whole journeys. They end with the conversion, so that converters have fewer "
        "touchpoints and effects come out too small."
    )
    return [
        {"model": label, "check": JOURNEYS, "passes": False, "says": says.format(label)} for label in warned["example"]
    ]


def _placebo(tables: Tables) -> list[dict[str, object]]:
    placebo = tables.get("placebo", pd.DataFrame())
    if "passes" not in placebo:
        return []
    claims = placebo[placebo["estimand"] == "incremental"]
    return [
        {"model": model, "check": PLACEBO, "passes": passes, "says": says}
        for model, passes, says in zip(
            claims["model"], claims["passes"], placebo_sentences({"placebo": claims}), strict=True
        )
    ]


def _chance(tables: Tables) -> list[dict[str, object]]:
    """Of models of effects: what channels at random cause together is what touching does, and that is not to harm."""
    credit = tables.get("credit", pd.DataFrame())
    if not {"chance_conversions", "conversions_low"} <= set(credit):
        return []
    effects = credit[(credit["estimand"] == "incremental") & ~credit["channel"].isin(NO_CHANNELS)]
    rows: list[dict[str, object]] = []
    for model, own in effects[effects["chance_conversions"].notna()].groupby("model", sort=False):
        level = float(own["chance_conversions"].sum())
        # Half the widths of the intervals together: no narrower than that of the sum.
        leeway = float((own["conversions"] - own["conversions_low"]).sum(skipna=False))
        says = (
            f"With channels at random {model} credits them with {level:,.1f} conversions, give or take {leeway:,.1f}."
        )
        if np.isnan(leeway):
            says = (
                f"With channels at random {model} credits them with {level:,.1f} conversions; no interval tells more."
            )
        passes = pd.NA if np.isnan(leeway) else level >= -leeway
        rows.append({"model": model, "check": CHANCE, "passes": passes, "says": says})
    return rows


class ModelChecksSection(Section):
    """Which models fail a check, in a table, at the top of the report and beside every number of them."""

    name = "model_checks"
    declared = (MODEL_CHECKS,)

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """``model_checks``, where a model was put to one."""
        checks = model_checks(context.tables)
        return {"model_checks": checks} if len(checks) else {}

    def metrics(self, tables: Tables, model: str | None = None) -> Mapping[str, float]:
        """Of the run, how many models fail one."""
        return (
            {}
            if model is not None or "model_checks" not in tables
            else {"models_failing": float(len(failed_checks(tables)))}
        )

    def part(self, tables: Tables, language: Language) -> ReportPart | None:
        """The table, and a headline that names the models which fail."""
        if "model_checks" not in tables:
            return None
        values = {"says": (), "tables": {"What each model was put to": tables["model_checks"]}}
        return ReportPart((("model_checks", "Checks of models"),), failure_sentences(tables), values=values)


def failure_sentences(tables: Tables) -> tuple[str, ...]:
    """What to know of the numbers of models that fail a check.

    Examples
    --------
    >>> failure_sentences({})
    ()
    """
    return tuple(
        f"{label} fails a check, so no verdict, budget or task rests on it. {says}"
        for label, says in failed_checks(tables).items()
    )
