"""What channels caused, by credit and lift tests together: as a section."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError, did_you_mean
from attribution.incrementality.assumptions import CalibrationOptions
from attribution.incrementality.calibrated_run import CALIBRATED, CALIBRATION, EXPERTS
from attribution.incrementality.calibration_declared import (
    CALIBRATION_MODELS,
    CALIBRATION_TABLES,
    CALIBRATION_TESTS,
    INCREMENTAL,
)
from attribution.incrementality.lift_section import LiftReadingsSection, readings_of_run
from attribution.schema.experiment import Experiment
from attribution.sections import Language, ReportPart, RunContext, Section, listed

Tables = Mapping[str, pd.DataFrame]


class CalibrationSection(Section):
    """What each channel caused, with everything that this rests on."""

    name = CALIBRATION
    options = CalibrationOptions
    declared = CALIBRATION_TABLES

    def is_wanted(self, experiment: Experiment) -> bool:
        """Where it is asked for, and where there are lift tests."""
        return super().is_wanted(experiment) or LiftReadingsSection().is_wanted(experiment)

    def check(self, context: RunContext) -> None:
        """Refuse channels that are no channels, and assumptions of models that are not calibrated."""
        experiment = context.experiment
        if experiment.journeys.transform == "frequency":
            raise InputError(
                "calibration needs channels as they are, and here they are told apart by how often they came before",
                given='transform = "frequency"',
                hint="leave the transform or calibration out",
            )
        options = experiment.options(self.name, CalibrationOptions)
        for model in () if options is None else options.assumptions:
            if model not in EXPERTS:
                raise InputError(
                    f"calibration.assumptions names {model!r}, whose credit a run does not calibrate",
                    allowed=EXPERTS,
                    hint=did_you_mean(model, EXPERTS),
                )

    def tables(self, context: RunContext) -> Tables:
        """What was found out beside credit; nothing where no test is evidence and nobody asked."""
        if CALIBRATION not in context.memory:
            return {}
        calibration = context.memory[CALIBRATION].calibration
        return {
            INCREMENTAL.name: calibration.incremental,
            CALIBRATION_MODELS.name: calibration.models,
            CALIBRATION_TESTS.name: calibration.tests,
        }

    def findings(self, context: RunContext, tables: Tables) -> list[Finding]:
        """Tests that contradict the rest, and that there is none."""
        if not tables:
            return []
        tests = tables[CALIBRATION_TESTS.name]
        contradicting = tests[tests["contradicts"].astype(bool)]
        message = (
            "lift tests that credit and the other tests make very unlikely: check how they were run, and leave out "
            "what cannot be trusted"
        )
        untold = _without_spend(context, tables[INCREMENTAL.name])
        example = None if contradicting.empty else contradicting["test"].iloc[0]
        rests_on = (
            "without a lift test, what channels caused rests on assumptions: test the channel with most spend first"
            if tests.empty
            else "lift tests that credit is calibrated by"
        )
        return [
            Finding("calibration", "credit", "pass", len(tests), None, None, rests_on),
            count_finding(
                "contradicting_tests", "credit", len(contradicting), message, total=len(tests), example=example
            ),
            count_finding(
                "tests_without_spend",
                "credit",
                len(untold),
                "lift tests of channels that no money is spent on, which are not calibrated: give their costs, or read "
                "the tests in lift_readings",
                example=untold[0] if untold else None,
            ),
        ]

    def metrics(self, tables: Tables, model: str | None = None) -> Mapping[str, float]:
        """What each channel caused, how much each model counts, and how many tests there are."""
        if model is not None or INCREMENTAL.name not in tables:
            return {}
        table, models = tables[INCREMENTAL.name], tables[CALIBRATION_MODELS.name]
        metrics = {
            f"incremental_{column}/{channel}": float(number)
            for column in ("mean", "low", "high", "probability_pays")
            for channel, number in zip(table["channel"], table[column], strict=True)
            if np.isfinite(number)
        }
        weights = zip(models["model"], models["weight"], strict=True)
        tests, contradicts = tables[CALIBRATION_TESTS.name], "contradicts"
        return {
            **metrics,
            **{f"calibration_weight/{name}": float(weight) for name, weight in weights},
            "calibrating_tests": float(len(tests)),
            "contradicting_tests": float(tests[contradicts].sum()),
        }

    def part(self, tables: Tables, language: Language) -> ReportPart | None:
        """What each channel caused, on what it rests, and which tests contradict the rest."""
        if INCREMENTAL.name not in tables:
            return None
        shown = {"Channels": tables[INCREMENTAL.name], "Models": tables[CALIBRATION_MODELS.name]}
        tests = tables[CALIBRATION_TESTS.name]
        return ReportPart(
            contents=((CALIBRATION, "What channels caused, by credit and tests"),),
            values={"says": calibration_sentences(tables), "tables": shown | ({} if tests.empty else {"Tests": tests})},
        )


def _without_spend(context: RunContext, incremental: pd.DataFrame) -> list[str]:
    """Tests that are evidence on channels that are not calibrated."""
    readings = readings_of_run(context)
    if readings is None:
        return []
    evidence = readings[readings["calibrates"].astype(bool)]
    return sorted(set(evidence.loc[~evidence["channel"].isin(incremental["channel"]), "test"]))


def calibration_sentences(tables: Tables) -> list[str]:
    """What was caused, and how far it can be relied on."""
    table, tests = tables[INCREMENTAL.name], tables[CALIBRATION_TESTS.name]
    tested = table.loc[table["tests"] > 0, "channel"]
    sentences = [
        f"Channels caused about {table['mean'].sum():,.0f} conversions ({CALIBRATED}: credit and lift tests together).",
        f"Lift tests measured {listed(tested)}; all else is carried over from them and from credit."
        if len(tested)
        else "No channel has a lift test, so all of this rests on what is assumed of credit: intervals are wide.",
    ]
    contradicting = tests.loc[tests["contradicts"].astype(bool), "test"]
    if len(contradicting):
        sentences.append(
            f"Credit and the other tests make the results of {listed(contradicting)} very unlikely: check how these "
            "tests were run."
        )
    return sentences
