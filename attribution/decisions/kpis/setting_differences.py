"""What two runs were asked to do differently: one answer for comparisons and for reviews.

Every key of an experiment counts, so that a new one cannot be forgotten; those that cannot change a number are named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from attribution.logs import without_credentials
from attribution.schema.experiment import Experiment, checked

if TYPE_CHECKING:
    from attribution.decisions.kpis.runs import Run

WITHOUT_NUMBERS = {
    "name": "names the run and its folder",
    "memory_limit": "decides how fast a run is",
    "most_channels": "refuses a run, or lets it be",
    "tracking": "says where a run is logged",
    "output.journey_credit": "writes one more table",
    "output.interactions": "writes one more table",
    "output.pictures": "writes figures as files",
    "output.draws": "writes one more table",
}
"""Settings that cannot change a number of a table that both runs have, and why."""

CREDIT = ("engine", "period", "tables", "channels", "journeys", "grain", "models", "returns")
"""Parts of an experiment that decide credit and ROI; the others decide intervals, verdicts and plans."""

_LONG = 80
"""A longer value is not shown."""

_UNSET = "not set"


@dataclass(frozen=True)
class SettingDifference:
    """One setting that two runs do not share.

    Attributes
    ----------
    key : dotted, as after ``--set``
    before, after : what it is in either run, as text
    """

    key: str
    before: str
    after: str

    @property
    def part(self) -> str:
        """The part of the experiment that it belongs to."""
        return self.key.split(".", 1)[0].split(" ", 1)[0]

    @property
    def decides_credit(self) -> bool:
        """Whether credit and ROI may differ by it."""
        return self.part in CREDIT

    def __str__(self) -> str:
        if max(len(self.before), len(self.after)) > _LONG:
            return f"{self.key} differs"
        return f"{self.key}: {self.before} → {self.after}"


def settings_that_differ(before: Run, after: Run) -> list[SettingDifference]:
    """Every setting that two runs do not share, but for those of `WITHOUT_NUMBERS`.

    Where tables come from is no setting: their content is held against each other by its fingerprint. A section that
    one run alone has checked is checked for the other too, so that a default that is written out is no difference.
    """
    was, now = (dict(_settings(run.experiment, other.experiment)) for run, other in ((before, after), (after, before)))
    keys = [*was, *(key for key in now if key not in was)]
    differences = [SettingDifference(key, _format_value(was.get(key)), _format_value(now.get(key))) for key in keys]
    return [each for each in differences if each.before != each.after] + _models_that_differ(before, after)


def counterparts(run: Run, first: Run) -> dict[str, str]:
    """Label of the same model in ``first``, for each model of ``run`` that has one there."""
    kinds, theirs = ([spec.model for spec in each.experiment.models] for each in (run, first))
    matches = {}
    for position, label in enumerate(run.models):
        alike = kinds == theirs and len(kinds) == len(run.models) == len(first.models)
        if label in first.models:
            matches[label] = label
        elif alike and first.models[position] not in run.models:
            matches[label] = first.models[position]
    return matches


def _settings(experiment: Experiment, other: Experiment) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of all that may change a number, models apart."""
    for name in type(experiment).model_fields:
        value = getattr(experiment, name)
        if name == "tables":
            for table, spec in value.items():
                yield f"tables.{table}", "given"
                yield from _flat(f"tables.{table}", spec.model_dump(exclude={"source"}, exclude_defaults=True))
        elif name not in ("models", "folder", "text"):
            yield from _flat(name, value.model_dump() if isinstance(value, BaseModel) else value)
    for name, options in experiment.further.items():
        yield name, "given"
        kind = next((type(each) for each in (options, other.further.get(name)) if isinstance(each, BaseModel)), None)
        if kind is not None and not isinstance(options, kind):
            options = checked(kind, options, origin=f"experiment {experiment.name!r}", within=name)
        yield from _flat(name, options.model_dump() if isinstance(options, BaseModel) else options)


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if key in WITHOUT_NUMBERS or value is None:
        return
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _flat(f"{key}.{name}", part)
    else:
        yield key, value


def _format_value(value: Any) -> str:
    if value is None:
        return _UNSET
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)
    return without_credentials(text.strip('"'))


def _models_that_differ(before: Run, after: Run) -> list[SettingDifference]:
    """Models that both runs have and that were asked to be different, and another order: the first one is the base."""
    was, now, same = _model_settings(before), _model_settings(after), counterparts(after, before)
    differences = []
    for label, earlier in same.items():
        is_in_both = earlier in was and label in now
        if is_in_both and (was[earlier] != now[label] or earlier != label):
            names = earlier if earlier == label else f"{earlier} ({label} in the other run)"
            differences.append(SettingDifference(f"models {names}", was[earlier], now[label]))
    shared = [label for label in before.models if label in after.models]
    order = [label for label in after.models if label in before.models]
    if shared != order:
        differences.append(SettingDifference("order of models", ", ".join(shared), ", ".join(order)))
    return differences


def _model_settings(run: Run) -> dict[str, str]:
    """What each model of a run was asked to be, by label."""
    specs = run.experiment.models
    if len(specs) != len(run.models):
        return {}
    shown = (f"{spec.model} {spec.settings}" if spec.settings else spec.model for spec in specs)
    return dict(zip(run.models, shown, strict=True))
