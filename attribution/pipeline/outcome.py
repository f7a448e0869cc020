"""What a run gave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from attribution.arguments import check_arguments
from attribution.decisions.kpis import Run
from attribution.decisions.kpis.runs import with_channel_rules
from attribution.journeys import Journeys
from attribution.journeys.graph import JourneyGraph
from attribution.models import AttributionModel
from attribution.models.saved import Training
from attribution.pipeline.sections import Sections, load_sections
from attribution.returns.ranking import Ranking
from attribution.schema.experiment import Experiment
from attribution.sections import FigureSpec, ReportPart
from attribution.uncertainty.intervals import Sampled, draws_table

Stage = Callable[[str], None]
"""Told what is being done, for progress."""


@dataclass(frozen=True)
class Numbers:
    """Params, metrics and tags of one run of the tracking server, under its name."""

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The results of a run, as they are written, reported and tracked.

    Attributes
    ----------
    experiment : what was asked for
    span : first and last event of the data; None for aggregated paths
    models : fitted, in the order of the experiment; then, where it names none such, what says what channels caused
    tables : those that its sections declare, by name
    ranking : channels ranked under every model
    graph : the journey graph
    digests : fingerprint of the content of each input table
    draws : of every measure, where resampling was asked for
    training : what the data were like, for a model that is exported
    sections : those that were asked
    plan : numbers of a budget that was divided by it

    Examples
    --------
    >>> import attribution as at
    >>> paths = pd.DataFrame({"path": ["mail > search", "search"], "conversions": [2, 1]})
    >>> experiment = at.Experiment(name="shop", tables={"paths": paths}, models=[{"model": "Linear"}])
    >>> outcome = at.run_experiment(experiment)
    >>> outcome.models, sorted(outcome.tables)[:3]
    ((Linear(),), ['agreement', 'credit', 'disagreement'])
    """

    experiment: Experiment
    span: tuple[str, str] | None
    models: tuple[AttributionModel, ...]
    tables: Mapping[str, pd.DataFrame]
    ranking: Ranking
    graph: JourneyGraph
    digests: Mapping[str, str]
    draws: Sampled | None = None
    training: Training | None = None
    sections: Sections = field(default_factory=load_sections)
    plan: Numbers | None = None

    @property
    def figures(self) -> list[FigureSpec]:
        """What is drawn of it."""
        return self.sections.figures(self.tables)

    @property
    def parts(self) -> list[ReportPart]:
        """What its report says."""
        return self.sections.parts(self.tables)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of what was asked for and of the data: a run of both anew has the same."""
        content = json.dumps([self.experiment.name, self.settings, dict(self.digests)], sort_keys=True, default=str)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def settings(self) -> dict[str, object]:
        """What was asked for and on which data, one line per setting, as report and tracking show it."""
        experiment = self.experiment
        always_shown = {"basis": experiment.returns.basis, "spend_from": experiment.returns.spend_from}
        parts = {
            "journeys": experiment.journeys.model_dump(),
            "period": experiment.period.model_dump(),
            "returns": always_shown | experiment.returns.model_dump(exclude_defaults=True),
        }
        return {
            "engine": experiment.engine,
            **({} if experiment.grain == "channel" else {"grain": experiment.grain}),
            **{f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()},
            **self.sections.settings(experiment),
            "ranked_by": self.ranking.by,
            "models": ", ".join(f"{model.label} = {model!r}" for model in self.models),
            "data": {} if self.span is None else dict(zip(("first event", "last event"), self.span, strict=True)),
        }


@check_arguments
def run_of(outcome: Outcome) -> Run:
    """An outcome in memory as a finished run, for `check_targets` and `review_runs`.

    Parameters
    ----------
    outcome : what `run_experiment` returned

    Returns
    -------
    Run
        What `read_run` returns of the folder, once the outcome is written.

    Examples
    --------
    >>> import attribution as at
    >>> paths = pd.DataFrame({"path": ["mail > search", "search"], "conversions": [2, 1]})
    >>> experiment = at.Experiment(name="shop", tables={"paths": paths}, models=[{"model": "Linear"}])
    >>> run = at.run_of(at.run_experiment(experiment))
    >>> run.name, run.models
    ('shop', ['linear'])
    """
    tables = dict(outcome.tables)
    if outcome.draws is not None:
        tables["draws"] = draws_table(outcome.draws)
    experiment = outcome.experiment
    experiment = with_channel_rules(experiment, experiment.folder / str(experiment.channels.get("file")))
    return Run(experiment.name, experiment, tables, outcome.span, outcome.digests)


def span_of(journeys: Journeys) -> tuple[str, str] | None:
    """First and last event of the journeys, as text; None for aggregated paths."""
    if journeys.span is None:
        return None
    first, last = journeys.span
    if journeys.integer_times:
        return f"position {first}", f"position {last}"
    begin, end = (np.datetime64(at, "us").astype("datetime64[s]") for at in journeys.span)
    return f"{begin} UTC", f"{end} UTC"
