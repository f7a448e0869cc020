"""Policies for direct traffic on journeys that are built already, so that several cost one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial, reduce

from attribution.journeys.refine import DIRECT, Refinement
from attribution.journeys.structure import Chunks, JourneyChunk, Journeys, Reader, Readings, add_readings
from attribution.journeys.summary import Summary
from attribution.schema.experiment import JourneyOptions

_LAST = ("direct", "direct_channels", "transform", "max_touchpoints", "view_through_weight")
"""What `Refinement` does last, in this order; everything before does not depend on the policy."""


def before_policies(options: JourneyOptions) -> JourneyOptions:
    """The options of journeys that every policy for direct traffic can be applied to."""
    kept = options.model_dump(exclude_unset=True)
    return JourneyOptions.model_validate({name: value for name, value in kept.items() if name not in _LAST})


@dataclass(frozen=True)
class Policy:
    """The rest of ``options`` with one policy for direct traffic: what `before_policies` has left out."""

    refinement: Refinement

    @classmethod
    def of(cls, journeys: Journeys, options: JourneyOptions, direct: str, names: Iterable[str] | None) -> Policy:
        """Of journeys built with `before_policies` of ``options``; ``names`` are the channels of direct traffic."""
        asked = {name: getattr(options, name) for name in _LAST}
        asked |= {"direct": direct, "direct_channels": None if direct == "keep" or names is None else list(names)}
        return cls(Refinement(JourneyOptions.model_validate(asked), journeys.dimensions, None))

    def journeys(self, journeys: Journeys) -> Journeys:
        """``journeys`` under this policy, made anew for every pass."""
        return replace(journeys, chunks=_Refined(journeys.chunks, self), channels=self.refinement.channels)

    def reader(self, read: Reader) -> Reader:
        """What reads journeys as they are under this policy."""
        return partial(_read, self, read)


@dataclass(frozen=True)
class _Refined:
    """Chunks that are refined whenever they are read."""

    chunks: tuple[JourneyChunk, ...] | Chunks
    policy: Policy

    def __iter__(self) -> Iterator[JourneyChunk]:
        return (self.policy.refinement.apply(piece) for chunk in self.chunks for piece in chunk.pieces())

    def map(self, step: Callable[[JourneyChunk], Readings]) -> Iterable[Readings]:
        if isinstance(self.chunks, tuple):
            return map(step, self)
        return self.chunks.map(partial(_step, self.policy, step))


def direct_among(channels: Iterable[str], names: Iterable[str] | None) -> list[str]:
    """Which channels are direct traffic, in any case of letters."""
    direct = {name.casefold() for name in (DIRECT if names is None else names)}
    return [channel for channel in channels if channel.casefold() in direct]


def _read(policy: Policy, read: Reader, chunk: JourneyChunk) -> Summary:
    return read(policy.refinement.apply(chunk))


def _step(policy: Policy, step: Callable[[JourneyChunk], Readings], chunk: JourneyChunk) -> Readings:
    return reduce(add_readings, (step(policy.refinement.apply(piece)) for piece in chunk.pieces()))
