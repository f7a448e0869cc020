"""Lift tests as sections of a run: what they measured, and what further ones could tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from attribution.data.loading import Finding
from attribution.errors import InputError, did_you_mean
from attribution.incrementality.lift_declared import LIFT_POWER, LIFT_READINGS
from attribution.incrementality.lift_power import Channel, power_sentences, power_table
from attribution.incrementality.lift_readings import LogPeriod, readings_table, scaling_of
from attribution.incrementality.lift_sentences import lift_grid, lift_sentences
from attribution.incrementality.lift_tests import DeclaredTest, tests_of_experiment
from attribution.incrementality.lift_warnings import lift_findings
from attribution.incrementality.log_period import log_period, read_reach
from attribution.incrementality.regional_budgets import RegionalBudgets, read_regional_budgets
from attribution.returns import main_basis
from attribution.schema.experiment import Experiment
from attribution.schema.tables import LIFT_TESTS
from attribution.sections import Language, ReportPart, RunContext, Section

Tables = Mapping[str, pd.DataFrame]

MOST_POWER = 8
"""Channels of which the report says what a test could tell: those with most spend."""


class LiftReadingsSection(Section):
    """What lift tests and A/B tests measured, in their own days and in the period of the log."""

    name = "lift_readings"
    declared = (LIFT_READINGS,)

    def is_wanted(self, experiment: Experiment) -> bool:
        """Where there are tests, or chance moved budgets between regions."""
        has_tests = bool(experiment.lift_tests) or LIFT_TESTS.name in experiment.tables
        return has_tests or experiment.incrementality.budgets is not None

    def check(self, context: RunContext) -> None:
        """Refuse tests that cannot be trusted."""
        _tests(context)

    def check_journeys(self, context: RunContext) -> None:
        """Refuse tests of unknown channels or that nothing brings to the log's period, and regions that say nothing."""
        _regional(context)
        tests, log = _tests(context), _log(context)
        channels = context.journeys.dimensions.channels
        for test in tests:
            if test.channel is not None and test.channel not in channels:
                raise InputError(
                    f"lift test {test.name!r} is of channel {test.channel!r}, which the log does not have",
                    allowed=channels,
                    hint=did_you_mean(test.channel, channels),
                )
            if test.design not in ("ab", "on_off") and scaling_of(test, log) is None:
                span = "no days" if log.first is None else f"{log.first} to {log.last}"
                raise InputError(
                    f"lift test {test.name!r} lies outside the log, and nothing says what its effect is there",
                    given=f"{test.first_day} to {test.outcome_until}, beside a log of {span}",
                    allowed="a test in the days of the log; or exposed customers, spend, or scale to bring it there",
                    hint="set scale to how many times as much of the channel the log's period has",
                )

    def tables(self, context: RunContext) -> Tables:
        """The readings."""
        return {LIFT_READINGS.name: measure_readings(context)}

    def findings(self, context: RunContext, tables: Tables) -> list[Finding]:
        """What to know of the tests before they are believed."""
        of_tests = lift_findings(
            _tests(context), measure_readings(context), _log(context), context.journeys.lookback_days
        )
        return [*of_tests, *_regional(context).findings]

    def metrics(self, tables: Tables, model: str | None = None) -> Mapping[str, float]:
        """Effects of tests, by test."""
        readings = tables.get(LIFT_READINGS.name)
        if readings is None or model is not None:
            return {}
        rows = readings[readings["segment"].isna() & (readings["measure"] == "conversions")]
        return {f"lift_effect/{row.test}": float(row.effect) for row in rows.itertuples(index=False)}

    def part(self, tables: Tables, language: Language) -> ReportPart | None:
        """What each test says, and all numbers."""
        readings = tables.get(LIFT_READINGS.name)
        if readings is None:
            return None
        says = lift_sentences(readings)
        values = {"says": says, "tables": {"What tests measured": lift_grid(readings)}}
        return ReportPart((("lift", "Lift tests"),), headlines=tuple(says[:3]), values=values)


class LiftPowerSection(Section):
    """What a lift test of each channel could tell."""

    name = "lift_power"
    declared = (LIFT_POWER,)

    def is_wanted(self, experiment: Experiment) -> bool:
        """Unless incrementality is turned off; without spend, customers or days the table is left out."""
        return experiment.incrementality.enabled

    def tables(self, context: RunContext) -> Tables:
        """Detectable and needed effects."""
        log = _log(context)
        reach, channels = read_reach(context), _channels(context)
        if reach is None or not channels:
            return {}
        return {LIFT_POWER.name: power_table(reach, log.days, channels)}

    def part(self, tables: Tables, language: Language) -> ReportPart | None:
        """The smallest test of each channel that can tell whether it pays."""
        power = tables.get(LIFT_POWER.name)
        if power is None or power["verdict"].isna().all():
            return None
        spent = power["channel"].drop_duplicates().head(MOST_POWER)
        says = power_sentences(power[power["channel"].isin(spent)])
        values = {"says": says, "tables": {"What tests could tell": power.drop(columns=_empty(power))}}
        return ReportPart((("lift_power", "What a test could tell"),), values=values)


def readings_of_run(context: RunContext) -> pd.DataFrame | None:
    """The table ``lift_readings`` of a run; None where it has no tests."""
    return measure_readings(context) if LiftReadingsSection().is_wanted(context.experiment) else None


def measure_readings(context: RunContext) -> pd.DataFrame:
    """The table ``lift_readings`` of a run, from its journeys on; made once."""
    if LIFT_READINGS.name not in context.memory:
        context.memory[LIFT_READINGS.name] = readings_table(
            _tests(context), _log(context), further=_regional(context).rows
        )
    table: pd.DataFrame = context.memory[LIFT_READINGS.name]
    return table


def _tests(context: RunContext) -> list[DeclaredTest]:
    if LIFT_TESTS.name not in context.memory:
        context.memory[LIFT_TESTS.name] = tests_of_experiment(context.experiment.lift_tests, context.sources)
    tests: list[DeclaredTest] = context.memory[LIFT_TESTS.name]
    return tests


def _regional(context: RunContext) -> RegionalBudgets:
    if "regional_budgets" not in context.memory:
        context.memory["regional_budgets"] = read_regional_budgets(context, _log(context))
    budgets: RegionalBudgets = context.memory["regional_budgets"]
    return budgets


def _log(context: RunContext) -> LogPeriod:
    if "log_period" not in context.memory:
        context.memory["log_period"] = log_period(context)
    log: LogPeriod = context.memory["log_period"]
    return log


def _channels(context: RunContext) -> dict[str, Channel]:
    """Channels with spend, most spend first: what they need to pay, are credited with, and caused as far as known."""
    rows = main_basis(context.returns)
    rows = rows[rows["model"] == context.candidates[0].label]
    conversions = float(rows["conversions"].sum())
    worth = float(rows["value"].sum()) / conversions if conversions > 0 else 0.0
    caused = context.tables.get("incremental", pd.DataFrame({"channel": []})).set_index("channel")
    ends = [name for name in ("mean", "median", "low", "high") if name in caused]
    return {
        row.channel: Channel(
            row.spend,
            row.spend / worth if worth > 0 else np.nan,
            row.conversions,
            **{name: float(caused[name].get(row.channel, np.nan)) for name in ends},
        )
        for row in rows[rows["spend"] > 0].sort_values(["spend", "channel"], ascending=[False, True]).itertuples()
    }


def _empty(table: pd.DataFrame) -> Sequence[str]:
    """Columns in which nothing is known."""
    return [str(name) for name in table if table[name].isna().all()]
