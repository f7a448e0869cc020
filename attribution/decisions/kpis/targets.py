"""The file of targets: what is wanted, of what, in which unit, by when, and who answers for it."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from attribution.arguments import check_arguments
from attribution.decisions.kpis.metrics import METRICS, check_metric
from attribution.errors import InputError, did_you_mean
from attribution.schema.experiment import TrackingOptions, checked, read_toml
from attribution.schema.experiment.settings import Number, Settings

NEEDED = ("metric", "unit", "target", "period", "owner")
"""Without one of these a wish is no target."""

RATIO_UNITS = ("%", "x", "×", "1", "ratio")
"""Of ratios; in another unit, such as a currency, a target for them cannot be meant."""

Text = Annotated[str, Field(min_length=1)]
Wanted = Annotated[Number, Field(allow_inf_nan=False)]
Days = tuple[dt.date, dt.date]


class Scoped(Settings):
    """What is measured, of whom, and on which terms."""

    metric: str
    channel: Text | None = None
    role: Text | None = None
    model: Text | None = None
    basis: Literal["revenue", "margin", "ltv"] | None = None
    cost_basis: Literal["media", "loaded"] | None = None
    funnel_stage: Text | None = None

    @model_validator(mode="after")
    def _one_scope(self) -> Scoped:
        metric = METRICS.get(self.metric)
        if metric is not None and metric.of_stage != (self.funnel_stage is not None):
            of_stage = ", ".join(name for name, each in METRICS.items() if each.of_stage)
            raise ValueError(f"funnel_stage must be set for these metrics, and only for these: {of_stage}")
        if metric is not None and metric.of_stage and (self.basis is not None or self.cost_basis is not None):
            raise ValueError(f"{self.metric} takes no basis and no cost_basis: its costs are those of funnel.costs")
        if self.channel is not None and self.role is not None:
            raise ValueError("set a channel or a role, not both")
        return self


class Target(Scoped):
    """One target.

    Parameters
    ----------
    metric : see `attribution.decisions.kpis.metrics.METRICS`
    unit : of the target; of ratios ``x``, or ``%`` for hundredths
    target : what is wanted
    period : a year, a quarter (``2024-Q2``), a month (``2024-04``), or a mapping of ``start`` and ``end``
    owner : who answers for it
    direction : ``at_least`` or ``at_most``; what the metric suggests unless set
    channel, role : of whom; everything unless set
    funnel_stage : for metrics of a stage of the funnel
    stage : of the business; a label
    model, basis, cost_basis : on which terms; those of the run unless set
    """

    unit: Text
    target: Wanted
    period: Days
    owner: Text
    direction: Literal["at_least", "at_most"] | None = None
    stage: Text | None = None

    @field_validator("period", mode="before")
    @classmethod
    def _read_period(cls, value: object) -> object:
        return days_of(value)

    @field_validator("unit")
    @classmethod
    def _fits_the_metric(cls, value: str, info: ValidationInfo) -> str:
        metric = METRICS.get(str(info.data.get("metric")))
        if value == "%" and metric is not None and not metric.is_ratio:
            ratios = ", ".join(name for name, each in METRICS.items() if each.is_ratio)
            raise ValueError(f"% is a unit for ratios only: {ratios}")
        if metric is not None and metric.is_ratio and value not in RATIO_UNITS:
            raise ValueError(f"{info.data['metric']} is a ratio, so its unit must be one of {', '.join(RATIO_UNITS)}")
        return value

    @property
    def scale(self) -> float:
        """What a value is multiplied with to stand in the target's unit."""
        return 100.0 if self.unit == "%" else 1.0


class Decision(Scoped):
    """What was decided, on which evidence, and what was expected of it."""

    what: Text
    decided_on: dt.date
    run: Text
    owner: Text
    due: dt.date
    expected: Wanted

    @model_validator(mode="after")
    def _in_order(self) -> Decision:
        if self.due < self.decided_on:
            raise ValueError(f"the due date {self.due} is before the decision on {self.decided_on}")
        return self


class Change(Settings):
    """A change whose effect is read from a series of days, see `attribution.decisions.kpis.before_after`."""

    what: Text
    on: dt.date
    source: Text
    measure: Text
    controls: tuple[Text, ...] = ()
    day: Text = "day"


class Targets(Settings):
    """A whole file of targets.

    Parameters
    ----------
    name : of the file, for MLflow
    run : the run that is measured: an output folder, or an MLflow run id
    experiment : or an experiment file, which is run
    baseline : a pinned run that every target is shown against
    history : folders (globs) of earlier runs
    model : label of the model that gives credit; the first of the run unless set
    level : coverage of the intervals of changes
    roles : channels of each role, such as brand
    """

    name: Text
    run: Text | None = None
    experiment: Text | None = None
    baseline: Text | None = None
    history: tuple[Text, ...] = ()
    model: Text | None = None
    level: Annotated[Number, Field(gt=0, lt=1)] = 0.9
    roles: dict[str, Annotated[tuple[Text, ...], Field(min_length=1)]] = Field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    decisions: tuple[Decision, ...] = ()
    changes: tuple[Change, ...] = ()
    tracking: TrackingOptions = TrackingOptions()
    folder: Path = Field(default=Path("."), exclude=True)
    text: str = Field(default="", exclude=True)

    def channels_of(self, scoped: Scoped) -> list[str] | None:
        """Channels that something is asked of; None for everything."""
        if scoped.role is not None:
            return list(self.roles[scoped.role])
        return None if scoped.channel is None else [scoped.channel]

    @model_validator(mode="after")
    def _one_run(self) -> Targets:
        if (self.run is None) == (self.experiment is None):
            raise ValueError("set either run (an output folder or an MLflow run id) or experiment (a TOML file)")
        if not self.targets and not self.decisions and not self.changes:
            raise ValueError("there are no targets")
        return self


@check_arguments
def read_targets(path: str | Path) -> Targets:
    """Read a file of targets.

    Parameters
    ----------
    path : of the TOML file

    Returns
    -------
    Targets
        What is wanted, in which unit, by when, and what was decided.

    Raises
    ------
    InputError
        If a target lacks its metric, unit, target, period or owner, or the file asks for what does not exist.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import attribution as at
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "targets.toml").write_text('''
    ... experiment = "shop.toml"
    ... [[targets]]
    ... metric = "conversions"
    ... unit = "1"
    ... target = 3
    ... period = "2024"
    ... owner = "Ann"
    ... ''')
    >>> targets = at.read_targets(folder / "targets.toml")
    >>> targets.targets[0].metric, targets.targets[0].target, targets.targets[0].owner
    ('conversions', 3.0, 'Ann')
    """
    path = Path(path)
    text, document = read_toml(path)
    document.setdefault("name", path.stem)
    roles = document.get("roles", {})
    kinds: tuple[tuple[str, type[Settings]], ...] = (("targets", Target), ("decisions", Decision), ("changes", Change))
    read: dict[str, list[Settings]] = {}
    for key, kind in kinds:
        entries = document.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(one, Mapping) for one in entries):
            raise InputError(f"{path}: {key} must be a list", hint=f"write each under [[{key}]]")
        read[key] = [
            _check_entry(kind, one, f"{path}: {key[:-1]} {n}", roles) for n, one in enumerate(entries, start=1)
        ]
    for key in ("folder", "text"):
        if key in document:
            raise InputError(f"{path}: unknown key {key!r}", allowed=[k for k in Targets.model_fields if k != key])
    return checked(Targets, {**document, **read, "folder": path.parent, "text": text}, origin=str(path))


def days_of(period: object) -> Days:
    """First and last day of a period.

    Examples
    --------
    >>> [day.isoformat() for day in days_of("2024-Q1")], [day.isoformat() for day in days_of("2024-02")]
    (['2024-01-01', '2024-03-31'], ['2024-02-01', '2024-02-29'])
    """
    if isinstance(period, Mapping) and set(period) == {"start", "end"}:
        start, end = (_day(period[key]) for key in ("start", "end"))
        if start > end:
            raise ValueError("the period ends before it starts")
        return start, end
    if isinstance(period, tuple) and len(period) == 2:
        return _day(period[0]), _day(period[1])
    parts = re.fullmatch(r"(\d{4})(?:-(?:Q([1-4])|(0[1-9]|1[0-2])))?", str(period))
    if parts is None:
        raise ValueError("a period is a year, '2024-Q2', '2024-04', or { start = 2024-04-01, end = 2024-06-30 }")
    year = int(parts[1])
    first, last = (1, 12)
    if parts[2]:
        first, last = 3 * int(parts[2]) - 2, 3 * int(parts[2])
    elif parts[3]:
        first = last = int(parts[3])
    return dt.date(year, first, 1), dt.date(year, last, calendar.monthrange(year, last)[1])


def _day(value: object) -> dt.date:
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise ValueError("start and end of a period are days, such as 2024-04-01")
    return value


def _check_entry(kind: type[Settings], entry: Mapping[str, Any], origin: str, roles: Mapping[str, Any]) -> Settings:
    needed = NEEDED if kind is Target else tuple(k for k, f in kind.model_fields.items() if f.is_required())
    missing = [name for name in needed if entry.get(name) in (None, "")]
    if missing:
        why = "a target needs a metric, a unit, a value, a period and an owner"
        hint = why if kind is Target else None
        raise InputError(
            f"{origin} has no {' and no '.join(missing)}", allowed=f"needed are {', '.join(needed)}", hint=hint
        )
    settings = checked(kind, entry, origin=origin)
    if isinstance(settings, Scoped):
        check_metric(settings.metric, origin)
        if settings.role is not None and settings.role not in roles:
            hint = did_you_mean(settings.role, roles) or "list its channels under [roles]"
            raise InputError(f"{origin}: unknown role {settings.role!r}", allowed=list(roles) or None, hint=hint)
    return settings
