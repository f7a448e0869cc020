"""The measured processes of scoring: a model and daily summaries to start from, the scoring job, refits, a first score.

Only what every process needs is imported here: the first score counts what it imports itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.clock import Clock, arguments
from benchmarks.data import DAYS, TINY, event_files

if TYPE_CHECKING:
    import attribution as at

LIMIT = 1_500_000_000
"""Bytes that `attribution score` keeps to unless told."""

FIRST_DAY = 19_723
"""2024-01-01, counted from 1970-01-01."""

UNWANTED = ("mlflow", "sklearn", "statsmodels")
"""What a service that scores must not have to load."""

Asked = Mapping[str, Any]


def scorer_folder(folder: str | Path) -> Path:
    """Where the model is."""
    return Path(folder) / "scorer"


def prepare(asked: Asked, clock: Clock) -> dict[str, Any]:
    """A Markov model fitted on the files, and what each of their days adds to all models that days can hold."""
    import attribution as at
    from attribution.journeys import journeys_by_day
    from attribution.production.refit import Definition, SummaryStore, summarise_days

    files = event_files(asked["touchpoints"], "integer")
    with clock.step("scorer"):
        journeys = at.build_journeys(at.load_sources(*files))
        at.Scorer.of(at.Markov().fit(journeys), name="benchmark").save(scorer_folder(asked["folder"]))
        del journeys
    if asked["summaries"]:
        with clock.step("summaries"):
            by_day = journeys_by_day(at.load_sources(*files))
            days = summarise_days(by_day, models(), FIRST_DAY, FIRST_DAY + DAYS - 1)
            store = SummaryStore.of(Path(asked["folder"]) / "days", Definition("benchmark", {}, [], "", "channel"))
            with store.locked():
                for day, tables in days.items():
                    store.write(day, tables, by_day.channels)
    return {}


def models() -> list[at.AttributionModel]:
    """The models of the event benchmarks."""
    from benchmarks.event_jobs import ten_models

    return ten_models()


def score(asked: Asked, clock: Clock) -> dict[str, Any]:
    """From files to a file for each day, within the memory that the command keeps to."""
    import attribution as at
    from attribution.production.scoring.job import ScoringOptions, score_days

    touchpoints, conversions = event_files(asked["touchpoints"], "integer")
    tables = {"touchpoints": str(touchpoints), "conversions": str(conversions)}
    with clock.step("score"):
        scorer = at.Scorer.load(scorer_folder(asked["folder"]))
        done = score_days(scorer, ScoringOptions(tables, Path(asked["out"])), at.DuckDBEngine(memory_limit=LIMIT))
    return {"days": len(done.written), "conversions": done.conversions, "rows": done.rows}


def refit(asked: Asked, clock: Clock) -> dict[str, Any]:
    """All models from the summaries of all days; once from a single day before."""
    from attribution.production.refit import SummaryStore, read_window
    from attribution.production.refit import refit as fit

    store = SummaryStore.open(Path(asked["folder"]) / "days")
    for last, timed in ((FIRST_DAY, Clock()), (FIRST_DAY + DAYS - 1, clock)):
        with timed.step("refit"):
            fitted = models()
            credit = fit(read_window(store, fitted, FIRST_DAY, last), fitted)
    return {"credit": _credit(credit)}


def raw(asked: Asked, clock: Clock) -> dict[str, Any]:
    """The same from the files."""
    import datetime as dt

    import attribution as at

    first = dt.date(1970, 1, 1) + dt.timedelta(days=FIRST_DAY)
    period = at.Period(start=first, end=first + dt.timedelta(days=DAYS - 1))
    with clock.step("raw"):
        sources = at.load_sources(*event_files(asked["touchpoints"], "integer"))
        credit = at.attribute(at.build_journeys(sources, period=period), models())
    return {"credit": _credit(credit)}


def first(asked: Asked, clock: Clock) -> dict[str, Any]:
    """What a new process waits for until it has handed out its first conversion."""
    with clock.step("import"):
        import pandas as pd

        from attribution.models.saved import Scorer
    with clock.step("load"):
        scorer = Scorer.load(scorer_folder(asked["folder"]))
    channel = scorer.state.channels[0]
    touchpoints = {"customer_id": [1, 1, 2], "touched_at": ["2024-05-01", "2024-05-02", "2024-05-02"]}
    conversions = {"customer_id": [1, 2], "converted_at": ["2024-05-03", "2024-05-04"]}
    with clock.step("score"):
        credit = scorer.score(pd.DataFrame(touchpoints).assign(channel=channel), pd.DataFrame(conversions))
    return {"credit": float(credit["credit"].sum()), "unwanted": sorted(set(UNWANTED) & set(sys.modules))}


def _credit(credit: at.Credit) -> list[list[Any]]:
    return credit.table[["model", "channel", "conversions", "value"]].to_numpy().tolist()


JOBS: dict[str, Callable[[Asked, Clock], dict[str, Any]]] = {
    "prepare": prepare,
    "score": score,
    "refit": refit,
    "raw": raw,
    "first": first,
}

if __name__ == "__main__":
    request = arguments()
    job = JOBS[request["job"]]
    if "warm" in request:
        # Once on a tiny input: what is compiled or loaded when first used is not what is measured.
        job({**request, **request["warm"], "touchpoints": TINY}, Clock())
    clock = Clock()
    clock.report(notes=job(request, clock))
