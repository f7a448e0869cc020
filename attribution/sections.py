"""The protocol of sections, and the plain types that sections and the pipeline share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pandas as pd

from attribution.data.loading import Finding

if TYPE_CHECKING:
    from pydantic import BaseModel

    from attribution.data.loading import Sources
    from attribution.models import AttributionModel
    from attribution.schema.experiment import Experiment
    from attribution.schema.tables import Table

__all__ = ["FigureSpec", "Finding", "Language", "ReportPart", "RunContext", "Section", "listed"]

Language = Literal["en"]
"""The language of a report."""


@dataclass(frozen=True)
class RunContext:
    """Everything of a run that a section may use.

    Attributes
    ----------
    experiment, sources, models : the request, the input tables, and the models; fitted where there is credit, and
        then last of all what says what channels caused, where the experiment names none such, see `candidates`
    terms : what counts as return and as cost, see `attribution.returns.Terms`
    journeys, graph, profile : the journeys, their graph, and the table ``journey_profile``
    credit_bounds : how far models can disagree, see `attribution.journeys.credit_bounds`
    segments, segment_credit : segments of customers, and the table of that name, where the experiment has segments
    credit, returns, agreement : the tables of these names
    credit_with_worth : ``credit`` of the channels that spend is known for, with every measure of worth
    draws : of every measure, see `attribution.uncertainty.intervals.Sampled`; None without resampling
    findings : of the pass over the journeys
    tables : of the earlier sections, and ``quality`` with all findings so far
    memory : results that a section stores between its calls, under a key of its own

    During `Section.check` there are only experiment, sources and models; during `Section.check_journeys` there are
    terms, journeys and segments too, and no model is fitted. Where only data are checked, there is no credit and
    nothing that is made from it.
    """

    experiment: Experiment
    sources: Sources
    models: tuple[AttributionModel, ...]
    terms: Any = None
    journeys: Any = None
    graph: Any = None
    profile: pd.DataFrame = field(default_factory=pd.DataFrame)
    credit_bounds: Any = None
    segments: Any = None
    segment_credit: pd.DataFrame | None = None
    credit: pd.DataFrame = field(default_factory=pd.DataFrame)
    returns: pd.DataFrame = field(default_factory=pd.DataFrame)
    agreement: pd.DataFrame = field(default_factory=pd.DataFrame)
    credit_with_worth: pd.DataFrame = field(default_factory=pd.DataFrame)
    draws: Any = None
    findings: tuple[Finding, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    memory: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @property
    def candidates(self) -> tuple[AttributionModel, ...]:
        """The models of the experiment: what is compared, ranked and chosen from."""
        return self.models[: len(self.experiment.models)]


@dataclass(frozen=True)
class FigureSpec:
    """A figure before it is drawn.

    Attributes
    ----------
    draw : name of a function of `attribution.reporting.charts`, or ``package.module:function``; it returns a `Figure`
    arguments : its arguments; a function with an argument ``channels`` also gets all channels of the run
    """

    draw: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class ReportPart:
    """The part of a report that a section writes.

    Attributes
    ----------
    contents : anchor and title of each heading, for the table of contents; without headings there is no body
    headlines : sentences for the top of the report
    template : of the body: a template of `attribution.reporting.report`, or ``package:file`` of your own package. It
        reads ``part.values``; the default template shows ``says`` (sentences) and ``tables`` (by title)
    values : what the template shows
    is_first : whether it comes before the section on data
    """

    contents: tuple[tuple[str, str], ...] = ()
    headlines: tuple[str, ...] = ()
    template: str = "part.html.j2"
    values: Mapping[str, Any] = field(default_factory=dict)
    is_first: bool = False


class Section(Protocol):
    """One topic of a run's results. A class that inherits from this one overrides only what differs.

    The pipeline calls `is_wanted`, `check` and `check_journeys` first, of a run and where only data are checked; then
    `tables` and `findings` of each section in turn, and `metrics`, `figures` and `part` with the tables of a finished
    run: these return nothing without their tables.

    Attributes
    ----------
    name : also the key of its options in the experiment file
    options : class of the options under that key; None where the section has no options
    declared : the tables that it may return
    """

    name: str
    options: type[BaseModel] | None = None
    declared: tuple[Table, ...] = ()

    def is_wanted(self, experiment: Experiment) -> bool:
        """Whether a run has this section: with options where they are given, without options always."""
        return self.options is None or experiment.options(self.name, self.options) is not None

    def check(self, context: RunContext) -> None:
        """Raise `InputError`, before any work, if the section is impossible with these data or this request."""

    def check_journeys(self, context: RunContext) -> None:
        """Raise `InputError`, before a model is fitted, if the section is impossible with the journeys there are."""

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """The tables by name, each with the columns that are declared."""
        return {}

    def findings(self, context: RunContext, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
        """Rows for the table ``quality``; ``tables`` are its own, none where only data are checked."""
        return []

    def settings(self, experiment: Experiment) -> Mapping[str, object]:
        """Settings that decide its results: runs with different settings are not the same, and reports show them."""
        options = None if self.options is None else experiment.options(self.name, self.options)
        return {} if options is None else {f"{self.name}.{key}": value for key, value in options.model_dump().items()}

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """Numbers that are tracked for the run, or for one of its models."""
        return {}

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> Sequence[FigureSpec]:
        """The figures of a run; ``tables`` are those that have rows."""
        return ()

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """The part of the report."""
        return None


def listed(names: Iterable[object], most: int = 12) -> str:
    """Names joined for a sentence.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    >>> listed("abcde", most=2)
    'a, b and 3 more'
    """
    words = [str(name) for name in names]
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
