"""The sections of a run, in the order in which they are asked: the one place that knows them all."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from attribution.arguments import check_arguments, describe
from attribution.data.loading import quality_table
from attribution.decisions.budget.budget_section import BudgetSection
from attribution.decisions.diagnosis.diagnosis_section import DiagnosisSection
from attribution.decisions.funnel.funnel_section import FunnelSection
from attribution.errors import AttributionError, InputError, did_you_mean
from attribution.incrementality.calibration_section import CalibrationSection
from attribution.incrementality.caused_section import CausedSection
from attribution.incrementality.lift_section import LiftPowerSection, LiftReadingsSection
from attribution.pipeline.standing_sections import DataSection, JourneysSection, ModelsSection
from attribution.returns.returns_section import ReturnsSection
from attribution.schema.experiment import Experiment, checked, core_keys, parse_experiment
from attribution.schema.renames import new_name
from attribution.schema.tables import DICTIONARY, OUTPUTS, TRUTH, Table, dictionary_rows
from attribution.sections import FigureSpec, Finding, Language, ReportPart, RunContext, Section
from attribution.uncertainty.chance_level import ChanceSection
from attribution.uncertainty.disagreement import DisagreementSection
from attribution.uncertainty.economics import EconomicsSection
from attribution.uncertainty.intervals import ResamplingSection
from attribution.uncertainty.model_checks import ModelChecksSection
from attribution.uncertainty.placebo import PlaceboSection
from attribution.uncertainty.sensitivity.sensitivity_section import SensitivitySection
from attribution.uncertainty.stability import StabilitySection

SHIPPED: tuple[type[Section], ...] = (
    DataSection,
    ReturnsSection,
    CausedSection,
    LiftReadingsSection,
    CalibrationSection,
    LiftPowerSection,
    JourneysSection,
    DisagreementSection,
    FunnelSection,
    ResamplingSection,
    EconomicsSection,
    ModelsSection,
    ChanceSection,
    PlaceboSection,
    ModelChecksSection,
    StabilitySection,
    SensitivitySection,
    # Its tasks are made of the tables of all before.
    DiagnosisSection,
    BudgetSection,
)
"""Those of other packages come after them."""

GROUP = "attribution.sections"
"""Entry points of this group are sections of other packages, or functions without arguments that give one."""

QUALITY = "quality"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ASKED = {
    "is_wanted": ("experiment",),
    "check": ("context",),
    "check_journeys": ("context",),
    "tables": ("context",),
    "findings": ("context", "tables"),
    "settings": ("experiment",),
    "metrics": ("tables", "model"),
    "figures": ("tables",),
    "part": ("tables", "language"),
}
_GIVES: Mapping[str, type] = {
    "tables": Mapping,
    "findings": list,
    "settings": Mapping,
    "metrics": Mapping,
    "figures": Sequence,
}


@dataclass(frozen=True)
class Sections:
    """All sections that there are.

    Attributes
    ----------
    each : in the order in which they are asked
    packages : the distribution that each of them comes from, by its name; those shipped are not in it
    """

    each: tuple[Section, ...]
    packages: Mapping[str, str]

    @property
    def declared(self) -> dict[str, Table]:
        """Every table that a run may write, by its name."""
        return {table.name: table for section in self.each for table in section.declared}

    @property
    def files(self) -> list[Path]:
        """What those of other packages are written in: a change of it changes what a run gives."""
        foreign = [type(section) for section in self.each if section.name in self.packages]
        return [Path(path) for path in map(inspect.getsourcefile, foreign) if path is not None]

    def check_options(self, experiment: Experiment, origin: str | None = None) -> Experiment:
        """The experiment with all options checked.

        Parameters
        ----------
        experiment : what was asked for
        origin : where that was written, for messages

        Raises
        ------
        InputError
            If there are options that no section owns, or that their section does not take.
        """
        origin = origin or f"experiment {experiment.name!r}"
        owners = {section.name: section.options for section in self.each if section.options is not None}
        for name in experiment.further:
            if name not in owners:
                allowed = [*core_keys(), *owners]
                renamed = new_name("Experiment", name)
                hint = did_you_mean(name, allowed) if renamed is None else f"it is called {renamed} now"
                raise InputError(f"{origin}: unknown key {name!r}", allowed=allowed, hint=hint)
        options = {}
        for name, value in experiment.further.items():
            kind = owners[name]
            assert kind is not None
            options[name] = value if isinstance(value, kind) else checked(kind, value, origin=origin, within=name)
        return experiment.model_copy(update=options)

    def select(self, experiment: Experiment) -> list[Section]:
        """Those that a run of an experiment has."""
        return [section for section in self.each if self._ask(section, "is_wanted", experiment)]

    def check(self, context: RunContext) -> None:
        """Refuse, before any work, what these data or this request cannot give."""
        for section in self.select(context.experiment):
            self._ask(section, "check", context)

    def check_journeys(self, context: RunContext) -> None:
        """Refuse, before any model is fitted, what these journeys cannot give."""
        for section in self.select(context.experiment):
            self._ask(section, "check_journeys", context)

    def findings(self, context: RunContext) -> list[Finding]:
        """What is found in data alone."""
        sections = self.select(context.experiment)
        return [each for section in sections for each in self._ask(section, "findings", context, {})]

    def tables(self, context: RunContext) -> dict[str, pd.DataFrame]:
        """The tables of a run, section by section, and ``quality`` with the findings of all."""
        findings: list[Finding] = []
        tables = {QUALITY: quality_table(findings)}
        for section in self.select(context.experiment):
            section_tables = self._tables_of(section, replace(context, tables=dict(tables)))
            tables |= section_tables
            findings += self._ask(section, "findings", context, section_tables)
            tables[QUALITY] = quality_table(findings)
        return tables

    def settings(self, experiment: Experiment) -> dict[str, object]:
        """What sections were asked for, one line per setting."""
        return {key: value for each in self.each for key, value in self._ask(each, "settings", experiment).items()}

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> dict[str, float]:
        """What is tracked of a run, or of one of its models."""
        return {key: value for each in self.each for key, value in self._ask(each, "metrics", tables, model).items()}

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> list[FigureSpec]:
        """The figures that the tables of a run allow, in the order of a report."""
        present = {name: table for name, table in tables.items() if not table.empty}
        return [figure for section in self.each for figure in self._ask(section, "figures", present)]

    def parts(self, tables: Mapping[str, pd.DataFrame], language: Language = "en") -> list[ReportPart]:
        """What the report says, section by section."""
        parts = (self._ask(section, "part", tables, language) for section in self.each)
        return [part for part in parts if part is not None]

    def dictionary(self, tables: Mapping[str, pd.DataFrame]) -> list[dict[str, str | bool | None]]:
        """What every column of the tables of a run means; see `attribution.schema.tables.DICTIONARY`."""
        declared = self.declared
        return dictionary_rows({name: tables[name].columns for name in tables if name in declared}, declared)

    def _tables_of(self, section: Section, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """The tables of one, refused where they are not what it declares."""
        tables: Mapping[str, pd.DataFrame] = self._ask(section, "tables", context)
        declared = {table.name: table for table in section.declared}
        for name, table in tables.items():
            if not isinstance(table, pd.DataFrame):
                raise self._contract_error(section, f"returns {name!r} as {describe(table)} instead of a DataFrame")
            if name not in declared:
                raise self._contract_error(
                    section, f"returns the table {name!r}, but declares {', '.join(declared) or 'none'}"
                )
            missing = [column for column in declared[name].required if column not in table]
            if missing:
                raise self._contract_error(section, f"returns the table {name!r} without its column {missing[0]!r}")
        return tables

    def _ask(self, section: Section, method: str, *arguments: Any) -> Any:
        """What a method gives; whatever goes wrong in one of another package is said with the name of the package."""
        try:
            result = getattr(section, method)(*arguments)
        except Exception as error:
            if section.name not in self.packages or isinstance(error, AttributionError):
                raise
            raise self._contract_error(section, f"failed in {method}: {type(error).__name__}: {error}") from error
        kind = _GIVES.get(method)
        if kind is not None and not isinstance(result, kind):
            raise self._contract_error(
                section, f"returns {describe(result)} from {method} instead of a {kind.__name__.lower()}"
            )
        return result

    def _contract_error(self, section: Section, how: str) -> InputError:
        package = self.packages.get(section.name, "journey-attribution")
        return InputError(f"section {section.name!r} of package {package!r} {how}")


def load_sections() -> Sections:
    """Those shipped, and those of other packages by entry point.

    Raises
    ------
    InputError
        If one of another package cannot be loaded, is no section, or takes a name that is taken.
    """
    each: list[Section] = [kind() for kind in SHIPPED]
    packages: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (_package_of(point), point.name)):
        package = _package_of(point)
        section = _load(point, package)
        taken = _name_clash(section, each)
        if taken is not None:
            raise InputError(
                f"section {section.name!r} of package {package!r} {taken}", hint="rename it, or uninstall it"
            )
        packages[section.name] = package
        each.append(section)
    return Sections(tuple(each), packages)


@check_arguments
def read_experiment(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    r"""Read an experiment file.

    Parameters
    ----------
    path : path of the TOML file
    overrides : ``KEY=VALUE`` texts, KEY dotted (``journeys.lookback_days=14``), VALUE as TOML or else text

    Returns
    -------
    Experiment
        Checked for shape; whether the data fit is seen when it runs.

    Raises
    ------
    InputError
        If the file is missing, not TOML, or asks for something that does not exist.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import attribution as at
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "paths.csv").write_text("path,conversions\nmail > search,2\n")
    >>> _ = (folder / "shop.toml").write_text('''
    ... [tables.paths]
    ... source = "paths.csv"
    ... [[models]]
    ... model = "Linear"
    ... ''')
    >>> experiment = at.read_experiment(folder / "shop.toml", ["journeys.transform=first"])
    >>> experiment.name, experiment.models[0].model, experiment.journeys.transform
    ('shop', 'Linear', 'first')
    """
    return load_sections().check_options(parse_experiment(path, overrides), origin=str(path))


def beside_a_budget(experiment: Experiment) -> Experiment:
    """Without sections that no budget is made of and that take longer than all the rest."""
    return experiment.model_copy(update={SensitivitySection.name: None})


def _package_of(point: EntryPoint) -> str:
    return "?" if point.dist is None else point.dist.name


def _load(point: EntryPoint, package: str) -> Section:
    """A section of another package, as far as can be seen before it is asked."""
    try:
        loaded = point.load()
        section: Section = loaded() if callable(loaded) else loaded
    except Exception as error:  # whatever the module of somebody else raises
        raise InputError(
            f"section {point.name!r} of package {package!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from None
    problem = _problem(section)
    if problem is not None:
        raise InputError(
            f"section {point.name!r} of package {package!r} {problem}",
            hint="inherit from attribution.sections.Section, which has defaults for the rest",
        )
    return section


def _problem(section: object) -> str | None:
    """What about an object is not as a section's; None where all is."""
    name, options = getattr(section, "name", None), getattr(section, "options", None)
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        return f"has the name {name!r}; a name is made of a-z, 0-9 and _"
    if options is not None and not (isinstance(options, type) and issubclass(options, BaseModel)):
        return f"has options that are not a pydantic model: {options!r}"
    declared = getattr(section, "declared", None)
    if not isinstance(declared, Iterable) or not all(isinstance(table, Table) for table in declared):
        return "does not declare its tables as a tuple of Table"
    for method, arguments in _ASKED.items():
        function = getattr(section, method, None)
        if not callable(function):
            return f"has no method {method}({', '.join(arguments)})"
        try:
            inspect.signature(function).bind(*arguments)
        except TypeError:
            return f"has a method {method} that does not take ({', '.join(arguments)})"
    return None


def _name_clash(section: Section, before: Iterable[Section]) -> str | None:
    """Which of its names is another's; None where none is."""
    if section.name in {*core_keys(), *(other.name for other in before)}:
        return "has a name that is already in use"
    tables = {*OUTPUTS, TRUTH.name, DICTIONARY.name, *(table.name for other in before for table in other.declared)}
    for table in section.declared:
        if table.name in tables or not _NAME.fullmatch(table.name):
            return f"declares the table {table.name!r}, a name that is already in use or not made of a-z, 0-9 and _"
        tables.add(table.name)
    return None
