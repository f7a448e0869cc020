"""Whether a model may replace another: evidence on data that neither was fitted on, against criteria."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.errors import AttributionError, InputError
from attribution.incrementality.reported_effects import ReportedEffect, check_covered, reported_effects
from attribution.journeys import JourneyChunk, Summary, journeys_of
from attribution.journeys.structure import number
from attribution.kernels.statistics.sums import sum_by_key
from attribution.models.credit import allocate
from attribution.models.machinery import get_machinery
from attribution.models.saved import Scorer
from attribution.models.saved.applied import AppliedModel
from attribution.pipeline.builders import open_sources
from attribution.pipeline.outcome import Outcome
from attribution.pipeline.pipeline import run_experiment
from attribution.production.promotion.criteria import Criteria
from attribution.returns import main_basis
from attribution.schema.experiment import Experiment, ModelSpec, ResamplingOptions, TrackingOptions
from attribution.schema.tables import LIFT_TESTS, NO_CHANNELS
from attribution.schema.tables.definition import Column, Table, null
from attribution.testing import judge_model
from attribution.uncertainty.placebo import PlaceboOptions
from attribution.uncertainty.stability import StabilityOptions, share_moved

PROMOTION = Table(
    "promotion",
    "check of a model that is to replace another",
    (
        Column("check", "text", "the check, on the held-out window"),
        Column("bound", "number", "largest value that is allowed", unit="that of the check"),
        null("champion", "number", "value of the model in place; null without one", unit="that of the check"),
        null(
            "challenger",
            "number",
            "value of the new model; null where it cannot be known",
            unit="that of the check",
        ),
        null("holds", "flag", "whether the challenger meets the bound; null where there is nothing to check"),
    ),
    question="Does a new model meet every criterion for replacing the one in place?",
)


CHECKS = (
    "laws_broken",
    "days_of_window_seen",
    "outcome_leak",
    "stability_share_moved",
    "transfer_share_moved",
    "placebo_excess",
    "interval_width",
    "lift_tests_z",
)


@dataclass(frozen=True)
class Decision:
    """Whether the challenger may replace the champion.

    Attributes
    ----------
    passes : whether it meets every criterion
    table : the ``promotion`` table: every check, its bound, and the values of both
    reasons : the criteria that it does not meet, in sentences
    """

    passes: bool
    table: pd.DataFrame
    reasons: tuple[str, ...]


def decide(
    challenger: Scorer,
    champion: Scorer | None,
    window: Experiment,
    criteria: Criteria,
    *,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Decision:
    """Judge both models on the same window.

    Parameters
    ----------
    challenger, champion : the fitted models; without a champion the challenger is judged alone
    window : tables and period of the data; its models and journeys are those of the scorers
    criteria : what the challenger must meet
    on_stage : called with a text at every step

    Raises
    ------
    InputError
        If the window has no timestamps, or lacks what a model needs, or the models do not estimate the same.
    """
    if champion is not None and champion.state.estimand != challenger.state.estimand:
        raise InputError(
            "the two models do not answer the same question, so one cannot take the place of the other",
            given=f"a challenger with {challenger.state.estimand} credit for a champion with "
            f"{champion.state.estimand} credit",
            hint="register the new model under a name of its own",
        )
    evidence_by_role: dict[str, Mapping[str, float]] = {}
    for role, scorer in (("challenger", challenger), ("champion", champion)):
        if scorer is not None:
            on_stage(f"evaluating the {role}")
            evidence_by_role[role] = evidence(scorer, window, criteria)
    limits = {**criteria.model_dump(include=set(CHECKS)), "days_of_window_seen": 0.0}
    unknown = dict.fromkeys(CHECKS, np.nan)
    rows, reasons = [], []
    for name in CHECKS:
        of, limit = evidence_by_role["challenger"][name], float(limits[name])
        # A check without a value fails, except for lift tests where there are none.
        is_asked = name != "lift_tests_z" or bool(criteria.lift_tests)
        holds = bool(of <= limit) if is_asked else None
        rows.append((name, limit, evidence_by_role.get("champion", unknown)[name], of, holds))
        if holds is False:
            reasons.append(_reason(name, of, limit, evidence_by_role["challenger"]))
    table = pd.DataFrame(rows, columns=list(PROMOTION.column_names)).astype({"holds": "boolean"})
    return Decision(not reasons, table, tuple(reasons))


def _reason(name: str, value: float, limit: float, values: Mapping[str, float]) -> str:
    """Why a check fails."""
    if value == value:
        return f"{name} is {value:.4g}, but at most {limit:.4g} is allowed"
    if values["laws_broken"]:
        return f"{name} cannot be checked, because the model breaks a law"
    why = {
        "days_of_window_seen": "the model or the held-out data do not say on which days they are",
        "interval_width": "the held-out data have no conversion with a touchpoint",
    }
    return f"{name} cannot be checked, because {why.get(name, 'the held-out data are too few')}"


def evidence(scorer: Scorer, window: Experiment, criteria: Criteria) -> dict[str, float]:
    """The values of all `CHECKS` for one model."""
    model = scorer.state.model()
    exempt = get_machinery(model).broken_by_design
    broken = float(sum(not verdict.holds and verdict.law not in exempt for verdict in judge_model(model)))
    if broken:
        # The numbers of a model that breaks a law mean nothing, and it may even fail.
        return dict.fromkeys(CHECKS, np.nan) | {"laws_broken": broken}
    experiment = _window(scorer, window, criteria)
    sources = open_sources(experiment)
    journeys = journeys_of(experiment, sources)
    applied = scorer.apply(journeys)
    tests = reported_effects(criteria.lift_tests)
    leak, of, *of_tests = journeys.read(
        _Leak(applied), _Credit(applied), *(_Credit(applied, *test.days.bounds()) for test in tests)
    )
    size = len(journeys.channels) + (scorer.state.estimand == "incremental")
    frozen, *in_tests = (credit.dense("credit", size) for credit in (of, *of_tests))
    try:
        outcome = run_experiment(experiment)
    except AttributionError as error:
        if isinstance(error, InputError):
            raise
        return dict.fromkeys(CHECKS, np.nan) | {"laws_broken": 1.0}
    check_covered(tests, window.period, outcome.training)
    refitted = outcome.models[0].credit_.divided
    total = max(float(frozen.sum()), 1e-300)
    return {
        "laws_broken": broken,
        "days_of_window_seen": _days_seen(scorer, outcome),
        "outcome_leak": leak.number("moved") / total,
        "stability_share_moved": float(outcome.tables["stability"]["share_moved"].max(skipna=False)),
        "transfer_share_moved": share_moved(frozen, refitted),
        "placebo_excess": _placebo_excess(outcome),
        "interval_width": _width(outcome),
        "lift_tests_z": _distance(journeys.channels, in_tests, tests),
    }


def _window(scorer: Scorer, window: Experiment, criteria: Criteria) -> Experiment:
    """The window as an experiment on one model, with the journey options of that model."""
    definition, state = scorer.definition, scorer.state
    parameters = {key: value for key, value in state.parameters.items() if key != "name" and value is not None}
    changed = {
        "models": (ModelSpec(model=state.kind, name=state.label, **parameters),),
        "journeys": definition.journeys,
        "grain": definition.grain,
        "resampling": ResamplingOptions(draws=criteria.draws, seed=criteria.seed),
        "placebo": PlaceboOptions(seed=criteria.seed),
        "stability": StabilityOptions(parts=2),
        "tracking": TrackingOptions(enabled=False),
        "sensitivity": None,
        "budget": None,
        # Lift tests of the experiment are of other days, and say nothing of a model alone.
        "lift_tests": (),
        "tables": {name: table for name, table in window.tables.items() if name != LIFT_TESTS.name},
    }
    return window.model_copy(update=changed)


@dataclass(frozen=True)
class _Leak:
    """Sums up how much credit moves if conversions have other values."""

    model: AppliedModel

    def __call__(self, chunk: JourneyChunk) -> Summary:
        # Journeys that do not convert keep the value 0: they are not allocated.
        other = replace(chunk, value=np.where(chunk.converting, chunk.value[::-1] * 3.0 + 1.0, chunk.value))
        before, after = allocate(self.model, chunk), allocate(self.model, other)
        moved = np.abs(before.shares - after.shares).sum()
        if before.baseline is not None and after.baseline is not None:
            moved += np.abs(before.baseline - after.baseline).sum()
        return Summary({"moved": number(np.array([float(moved / 2)]))})


@dataclass(frozen=True)
class _Credit:
    """Sums up the credit of each channel, and of the baseline after them, of conversions between two instants."""

    model: AppliedModel
    start: int | None = None
    end: int | None = None

    def __call__(self, chunk: JourneyChunk) -> Summary:
        for bound, compare in ((self.start, np.greater_equal), (self.end, np.less_equal)):
            if bound is not None:
                chunk = chunk.subset(compare(np.asarray(chunk.ended_at), bound))
        flattened, shares, baseline, _ = allocate(self.model, chunk)
        journey = np.repeat(np.arange(len(flattened)), flattened.lengths)
        keys, terms = flattened.channel.astype(np.int64), shares * flattened.conversions[journey]
        if baseline is not None:
            keys = np.append(keys, np.full(len(baseline), len(self.model.channels)))
            terms = np.append(terms, baseline * flattened.conversions)
        return Summary({"credit": sum_by_key(keys[:, None], terms)})


def _days_seen(scorer: Scorer, outcome: Outcome) -> float:
    """Days of the window that the model was fitted on; NaN where they are not known."""
    trained, judged = scorer.definition.training, outcome.training
    return float("nan") if trained is None or judged is None else trained.days_shared(judged)


def _placebo_excess(outcome: Outcome) -> float:
    row = outcome.tables["placebo"].iloc[0]
    if row["estimand"] == "incremental":
        # Who estimates what was caused has no reason to credit it with anything.
        return abs(float(row["share"]))
    return max(float(row["share"] - row["touchpoint_share"]), 0.0)


def _width(outcome: Outcome) -> float:
    rows = main_basis(outcome.tables["returns"])
    rows = rows[~rows["channel"].isin(NO_CHANNELS)]
    total = float(outcome.models[0].credit_.conversions[:-1].sum())
    return float((rows["conversions_high"] - rows["conversions_low"]).mean() / total) if total > 0 else float("nan")


def _distance(channels: Sequence[str], credit: Sequence[NDArray[np.float64]], tests: Sequence[ReportedEffect]) -> float:
    """Largest distance of ``credit`` (channels,), one for each test, from the test, in standard errors."""
    if not tests:
        return float("nan")
    missing = sorted({test.channel for test in tests} - set(channels))
    if missing:
        raise InputError(
            f"a lift test names channel {missing[0]!r}, which the held-out data do not have", allowed=sorted(channels)
        )
    credited = [of[channels.index(test.channel)] for of, test in zip(credit, tests, strict=True)]
    return max(abs(float(of) - test.effect) / test.standard_error for of, test in zip(credited, tests, strict=True))
