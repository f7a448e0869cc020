"""What a run reports on, as sections: what a section is, and the plain types that sections and the pipeline share."""

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
"""In which a report is written."""


@dataclass(frozen=True)
class RunContext:
    """All that a section may ask of a run.

    Attributes
    ----------
    experiment, sources, models : what was asked for, the input tables, and the models; fitted where there is credit
    terms : what counts as return and as cost, see `attribution.returns.Terms`
    journeys, graph, profile : the journeys, their graph, and the table ``journey_profile``
    segments, segment_credit : of customers, and the table of that name, where the experiment names a column of them
    credit, returns, agreement : the tables of these names
    credit_with_worth : ``credit`` of channels as money is spent on them, with all that conversions are worth
    draws : of every measure, see `attribution.uncertainty.intervals.Sampled`; None without resampling
    findings : of the pass over the journeys
    tables : of the sections before, and ``quality`` with all that was found so far
    memory : what a section keeps from one question to the next, under a key of its own

    Before any work is done (`Section.check`) there are experiment, sources and models; where only data are checked,
    there is no credit and nothing that is made of it.
    """

    experiment: Experiment
    sources: Sources
    models: tuple[AttributionModel, ...]
    terms: Any = None
    journeys: Any = None
    graph: Any = None
    profile: pd.DataFrame = field(default_factory=pd.DataFrame)
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


@dataclass(frozen=True)
class FigureSpec:
    """A figure before it is drawn.

    Attributes
    ----------
    draw : a function of `attribution.reporting.charts` by its name, or ``package.module:function``; it gives a `Figure`
    arguments : what it is called with; a function that has an argument ``channels`` is told all channels of the run
    """

    draw: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class ReportPart:
    """What a section says in the report of a run.

    Attributes
    ----------
    contents : anchor and title of each heading, for the table of contents; without any there is no body
    headlines : sentences for the top of the report
    template : body: a template of `attribution.reporting.report`, or ``package:file`` of a package of one's own. It
        reads ``part.values``; the one that is taken unless given shows ``says`` (sentences) and ``tables`` (by title)
    values : what the template shows
    is_first : whether it stands before the data that all is made of
    """

    contents: tuple[tuple[str, str], ...] = ()
    headlines: tuple[str, ...] = ()
    template: str = "part.html.j2"
    values: Mapping[str, Any] = field(default_factory=dict)
    is_first: bool = False


class Section(Protocol):
    """One thing that a run reports on. A class that inherits from this one says only what is not as here.

    The pipeline asks `is_wanted` and `check` first of all, then `tables` and `findings` of each section in turn, and
    `metrics`, `figures` and `part` of the tables of a finished run: those give nothing where their tables are not.

    Attributes
    ----------
    name : also the key of its options in the experiment file
    options : what that key holds; None where the section has no options of its own
    declared : the tables that it may give
    """

    name: str
    options: type[BaseModel] | None = None
    declared: tuple[Table, ...] = ()

    def is_wanted(self, experiment: Experiment) -> bool:
        """Whether a run has it: those with options where they are given, the others always."""
        return self.options is None or experiment.options(self.name, self.options) is not None

    def check(self, context: RunContext) -> None:
        """Refuse, by an `InputError` and before any work, what these data or this request cannot give."""

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """The tables by name, each with the columns that are declared."""
        return {}

    def findings(self, context: RunContext, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
        """What goes into the table ``quality``; ``tables`` are its own, none where only data are checked."""
        return []

    def settings(self, experiment: Experiment) -> Mapping[str, object]:
        """What of the request decides its results: two runs that differ in it are two, and the report shows it."""
        asked = None if self.options is None else experiment.options(self.name, self.options)
        return {} if asked is None else {f"{self.name}.{key}": value for key, value in asked.model_dump().items()}

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """Numbers that are tracked: of the run, or of one of its models."""
        return {}

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> Sequence[FigureSpec]:
        """What is drawn of the tables of a run; ``tables`` are those that have rows."""
        return ()

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """What the report says."""
        return None


def listed(names: Iterable[object], most: int = 12) -> str:
    """Names in a sentence.

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
