"""Which version of a model scores which day; each version is loaded when it is first needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

from attribution.errors import InputError
from attribution.models.saved.scorer import Scorer
from attribution.production.scoring.days import FAR, Reach, day_name, day_number, longest_window
from attribution.production.versions import Promotion, Timeline
from attribution.schema.experiment import JourneyOptions, checked

VERSION_TAG = "attribution.scorer_version"
"""Tag of a registered version: which scorer it is."""

PARAMETERS_TAG = "attribution.parameters"
"""Tag of a registered version: settings of the model, its journeys, and its policy for unknown channels."""


def reach_of(options: JourneyOptions) -> Reach:
    """How far an event reaches on journeys with these options."""
    return Reach.of(longest_window(options), options.conversions, options.customers)


@dataclass(frozen=True)
class ReachByDay(Reach):
    """How far events reach if the journeys of some days have other options: ``days`` and ``closes`` are the widest.

    Attributes
    ----------
    of_day : the reach of each day
    """

    of_day: Callable[[int], Reach]

    def meets(self, day: int, causes: list[int]) -> bool:
        """Whether any of ``causes``, sorted days, reaches ``day``."""
        return self.of_day(day).meets(day, causes)


class VersionRecord(NamedTuple):
    """What is known of a registered version without loading it.

    Attributes
    ----------
    scorer_version : which scorer it is
    unknown_channels : its policy
    reading : digest of what decides which tables it reads from an input
    reach : how far events reach on its journeys
    kinds : kinds of conversions that it scores; all if None
    """

    scorer_version: str
    unknown_channels: str
    reading: str
    reach: Reach
    kinds: tuple[str, ...] | None

    @classmethod
    def of(cls, scorer: Scorer) -> VersionRecord:
        """Of a scorer that was loaded."""
        options = scorer.definition.journeys
        kinds = None if options.conversion_kinds is None else tuple(options.conversion_kinds)
        return cls(scorer.version, scorer.unknown_channels, digest_reading(scorer), reach_of(options), kinds)

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> VersionRecord | None:
        """From the tags of a version; None where they do not tell: an earlier version registered it."""
        try:
            parameters = json.loads(tags[PARAMETERS_TAG])
            options = checked(JourneyOptions, parameters["journeys"], origin=PARAMETERS_TAG)
            kinds = None if options.conversion_kinds is None else tuple(options.conversion_kinds)
            policy, reading = parameters["unknown_channels"], parameters["reading"]
            return cls(tags[VERSION_TAG], policy, reading, reach_of(options), kinds)
        except (KeyError, ValueError, TypeError, InputError):
            return None


def describe_parameters(scorer: Scorer) -> dict[str, Any]:
    """What `VersionRecord.read` reads, and the settings of the model, as JSON has them in a tag of a version."""
    return {
        "model": scorer.state.kind,
        **scorer.state.parameters,
        "journeys": scorer.definition.journeys.model_dump(mode="json", exclude_defaults=True),
        "grain": scorer.definition.grain,
        "unknown_channels": scorer.unknown_channels,
        "reading": digest_reading(scorer),
    }


def digest_reading(scorer: Scorer) -> str:
    """16 hexadecimal digits of what decides which tables a scorer reads from an input."""
    definition = scorer.definition
    reading = {name: dict(options) for name, options in definition.reading.items()}
    content: list[Any] = [reading, dict(definition.channels), definition.grain, definition.journeys.account]
    if definition.journeys.visits is not None:
        content.append(definition.journeys.visits.model_dump(exclude_defaults=True))
    if definition.currency is not None:
        content += [definition.currency, dict(definition.rates)]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class VersionsInEffect:
    """The versions of a model that score, each on its own days.

    Parameters
    ----------
    timeline : which version is in effect on which day
    load : the scorer of a version
    records_by_version : what is known of versions without loading them
    unknown_channels : policy in place of that of each version
    is_registered : whether the versions are those of a registered model, and not one scorer from a folder
    """

    def __init__(
        self,
        timeline: Timeline,
        load: Callable[[str], Scorer],
        records_by_version: Mapping[str, VersionRecord] | None = None,
        *,
        unknown_channels: str | None = None,
        is_registered: bool = True,
    ) -> None:
        self.timeline, self.is_registered = timeline, is_registered
        self._load, self._known, self._policy = load, dict(records_by_version or {}), unknown_channels
        self._loaded: dict[str, Scorer] = {}

    @classmethod
    def of(cls, scorer: Scorer) -> VersionsInEffect:
        """One scorer on all days."""
        return cls(Timeline.of(scorer.version), lambda _: scorer, is_registered=False)

    @property
    def newest(self) -> Scorer:
        """The scorer of the version that was promoted last."""
        return self._scorer(self.timeline.newest)

    @property
    def reach(self) -> Reach:
        """How far an event reaches, by the version of each day."""
        reaches = {version: self._about(version).reach for _, version in self.timeline.stretches}
        if len({*reaches.values()}) == 1:
            return reaches[self.timeline.newest]
        days, closes = max(reach.days for reach in reaches.values()), any(reach.closes for reach in reaches.values())
        return ReachByDay(days, closes, lambda day: reaches[self.timeline.version_on(day)])

    @property
    def kinds(self) -> tuple[str, ...] | None:
        """Kinds of conversions that any version scores; all if None."""
        by_version = [self._about(version).kinds for _, version in self.timeline.stretches]
        every = {kind for kinds in by_version for kind in kinds or ()}
        return None if None in by_version else tuple(sorted(every))

    def reads_as_newest(self, day: int) -> bool:
        """Whether the version in effect on a day reads the same tables from an input as the newest one."""
        reading = self._about(self.timeline.newest).reading
        return self._about(self.timeline.version_on(day)).reading == reading

    @property
    def records(self) -> list[dict[str, str | None]]:
        """From which day on each version is in effect, and which scorer it is, for the manifest."""
        return [
            {
                "from": None if since is None else day_name(since),
                "version": version if self.is_registered else None,
                "model_version": self._about(version).scorer_version,
            }
            for since, version in self.timeline.stretches
        ]

    def made_by(self, day: int) -> str:
        """The version in effect on a day, and its policy, as the manifest keeps them of every day."""
        about = self._about(self.timeline.version_on(day))
        return f"{about.scorer_version}/{self._policy or about.unknown_channels}"

    def by_version(self, days: Iterable[int]) -> list[tuple[Scorer, list[int]]]:
        """Each version in effect on any of ``days``, and its days."""
        groups: dict[str, list[int]] = {}
        for version, own in groupby(sorted(days), key=self.timeline.version_on):
            groups.setdefault(version, []).extend(own)
        return [(self._scorer(version), own) for version, own in groups.items()]

    def made_otherwise(self, days: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        """Days of a manifest that are not by the version in effect on them."""
        return tuple(name for name, entry in days.items() if entry["made_by"] != self.made_by(day_number(name)))

    def continued(self, records: Sequence[Mapping[str, str | None]]) -> VersionsInEffect:
        """With the day that a job before found an alias moved by hand, which is on no other record.

        Parameters
        ----------
        records : that the job before left in the manifest
        """
        *earlier, last = [*records] or [{}]
        mine = self.records
        is_same = earlier == mine[:-1] and last.get("version") == mine[-1]["version"] and last.get("from") is not None
        if not self.timeline.is_by_hand or not is_same:
            return self
        since = min(day_number(str(last["from"])), self.timeline.promotions[-1].since or -FAR)
        *rest, hand = self.timeline.promotions
        timeline = replace(self.timeline, promotions=(*rest, Promotion(since, hand.version)))
        again = VersionsInEffect(timeline, self._load, self._known, unknown_channels=self._policy)
        again._loaded = self._loaded
        return again

    def _about(self, version: str) -> VersionRecord:
        if version not in self._known:
            self._known[version] = VersionRecord.of(self._scorer(version))
        return self._known[version]

    def _scorer(self, version: str) -> Scorer:
        if version not in self._loaded:
            scorer = self._load(version)
            self._loaded[version] = scorer.with_policy(self._policy) if self._policy else scorer
        return self._loaded[version]
