"""What journey options make of journeys that are cut: lookback windows of their own, policies, path transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray

from attribution.data.loading import Finding
from attribution.data.loading.checks import letters_of
from attribution.data.loading.events import Dimensions
from attribution.errors import InputError, did_you_mean
from attribution.journeys.structure import Chunks, JourneyChunk, Journeys, Reader, Readings, Summary, add_readings
from attribution.kernels.journeys import cut as cutting
from attribution.kernels.journeys import selection as kernel
from attribution.schema.experiment import DEFAULT_LOOKBACK_DAYS, JourneyOptions

DAY = 86_400_000_000
"""Microseconds."""

MINUTE = 60_000_000
GAP_MINUTES = 30.0

IMPRESSION = "impression"
DIRECT = ("direct",)
MOST_COUNTED = 10
"""The ``frequency`` transform tells 1 … 9 touchpoints of a channel apart, and 10 or more."""

_LONGEST_DAYS = 10_000_000.0
"""Longer than any log, and short enough for sums of microseconds."""

_NO_LIMIT = 1 << 62
_DEDUPE = {
    "none": kernel.NO_DEDUPE, "consecutive": kernel.CONSECUTIVE, "gap": kernel.GAP, "unique": kernel.UNIQUE,
}  # fmt: skip
_DIRECT = {"keep": kernel.KEEP, "drop_if_other": kernel.DROP_IF_OTHER, "drop": kernel.DROP}
_VIEWS = {"equal": kernel.KEEP, "clicks_dominate": kernel.DROP_IF_OTHER, "clicks_only": kernel.DROP}
_TRANSFORMS = {
    "unique": kernel.AS_IS, "exposure": kernel.EXPOSURE, "first": kernel.FIRST, "frequency": kernel.FIRST,
}  # fmt: skip

REMOVED = ("expired", "views", "repeats", "direct", "transform")
"""Why a touchpoint went, in the order in which it is looked at."""


def lookback_windows(options: JourneyOptions, dimensions: Dimensions, default: int) -> cutting.Windows:
    """Lookback windows of all touchpoints; of two that apply to one, the shorter.

    Raises
    ------
    InputError
        If a window is given for a channel or kind that does not occur.
    """
    by = {"channel": options.lookback_by_channel, "kind": options.lookback_by_kind}
    by = {name: days for name, days in by.items() if days}
    if not by:
        return cutting.Windows.alike(default)
    lengths: list[NDArray[np.int64]] = []
    digits: list[tuple[int, int, int]] = []
    step = 1
    for name, days in by.items():
        # Digit 0 of a dimension that may be null is null.
        values = (None, *_values(dimensions, name, days)) if name != "channel" else _values(dimensions, name, days)
        lengths.append(np.array([microseconds(days[value]) if value in days else _NO_LIMIT for value in values]))
        digits.append((*dimensions.stride_and_radix(name), step))
        step *= len(values)
    table = lengths[0] if len(lengths) == 1 else np.minimum(lengths[0][None, :], lengths[1][:, None]).ravel()
    # The default is no window of its own: it shortens none.
    table = np.where(table == _NO_LIMIT, default, table)
    return cutting.Windows(table.astype(np.int64), np.array(digits, np.int64))


def default_window(options: JourneyOptions, *, has_times: bool) -> int:
    """The lookback window of touchpoints that have none of their own; there is none where times are positions."""
    days = DEFAULT_LOOKBACK_DAYS if options.lookback_days is None else options.lookback_days
    return microseconds(days) if has_times else cutting.NO_LOOKBACK


def microseconds(days: float) -> int:
    """A lookback window; further back than time itself is no window at all."""
    return round(days * DAY) if days < _LONGEST_DAYS else cutting.NO_LOOKBACK


def _values(dimensions: Dimensions, name: str, days: Mapping[str, float]) -> tuple[str, ...]:
    values = dimensions.values[dimensions.names.index(name)] if name in dimensions.names else ()
    unknown = sorted(set(days) - set(values))
    if unknown:
        raise InputError(
            f"lookback_by_{name} names {unknown[0]!r}, but no touchpoint has this {name}",
            allowed=list(values) or f"none, because touchpoints have no {name}",
            hint=did_you_mean(unknown[0], values),
        )
    return values


@dataclass(frozen=True)
class Refinement:
    """What is left of journeys. ``windows`` are set where slices may hold touchpoints out of their own window."""

    options: JourneyOptions
    dimensions: Dimensions
    windows: cutting.Windows | None

    @property
    def rules(self) -> kernel.Rules:
        options = self.options
        gap = options.dedupe_gap_minutes or GAP_MINUTES
        return kernel.Rules(
            views=_VIEWS[options.view_through],
            dedupe=_DEDUPE[options.dedupe],
            gap=round(min(gap * MINUTE, _NO_LIMIT)),
            longest=0 if self.windows is None else int(self.windows.length.max()),
            direct=_DIRECT[options.direct],
            transform=_TRANSFORMS[options.transform],
            most=min(options.max_touchpoints or _NO_LIMIT, _NO_LIMIT),
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels after the path transform."""
        names = self.dimensions.channels
        if self.options.transform != "frequency":
            return names
        counts = [*map(str, range(1, MOST_COUNTED)), f"{MOST_COUNTED}+"]
        return tuple(f"{name} ({count})" for name in names for count in counts)

    @property
    def changes_steps(self) -> bool:
        """Whether any touchpoint may go."""
        plain = kernel.Rules(kernel.KEEP, kernel.NO_DEDUPE, 0, 0, kernel.KEEP, kernel.AS_IS, _NO_LIMIT)
        return self.windows is not None or self.rules._replace(gap=0) != plain

    @property
    def leaves_out(self) -> bool:
        """Whether any touchpoint or journey may go."""
        options = self.options
        return self.changes_steps or options.customers != "all" or options.open_journeys != "keep"

    def apply(self, chunk: JourneyChunk) -> JourneyChunk:
        """The journeys with the touchpoints that stay; non-converting ones without any are left out."""
        refined = self.trace(chunk)[0]
        return refined if chunk.later is None else replace(refined, later=self.trace(chunk.later)[0])

    def trace(self, chunk: JourneyChunk) -> tuple[JourneyChunk, NDArray[np.int64] | None]:
        """As `apply`, and which touchpoints of ``chunk`` those of the result are; None where all stay as they lie."""
        if self.options.open_journeys == "drop":
            still_open = int(chunk.is_open.sum())
            chunk = replace(chunk.subset(~chunk.is_open), counted={**chunk.counted, "dropped_open": still_open})
        position = None
        if self.changes_steps:
            chunk, position = self._refine(chunk)
        if self.options.view_through_weight != 1:
            weight = np.where(self._is_view(chunk), self.options.view_through_weight, 1.0)
            chunk = replace(chunk, factor=weight)
        return chunk, position

    def _is_view(self, chunk: JourneyChunk) -> NDArray[np.bool_]:
        if "kind" not in self.dimensions.names:
            return np.zeros(len(chunk.code), bool)
        kinds = (None, *self.dimensions.values[self.dimensions.names.index("kind")])
        marked = np.array([kind == IMPRESSION for kind in kinds])
        return np.asarray(marked[self.dimensions.digit(chunk.code.astype(np.int64), "kind")])

    def _refine(self, chunk: JourneyChunk) -> tuple[JourneyChunk, NDArray[np.int64]]:
        assert chunk.touched_at is not None
        assert chunk.ended_at is not None
        is_direct = are_direct(self.dimensions.channels, self.options.direct_channels or DIRECT)
        steps = kernel.Steps(
            chunk.code,
            chunk.channel,
            chunk.touched_at,
            self._is_view(chunk),
            is_direct[chunk.channel],
            np.zeros(0) if chunk.cost is None else chunk.cost,
            np.zeros(0, np.int64) if self.windows is None else self.windows.of(chunk.code.astype(np.int64)),
        )
        made = kernel.refine(
            chunk.start,
            chunk.stop,
            chunk.ended_at,
            chunk.conversion >= 0,
            steps,
            rules=self.rules,
            channels=len(self.dimensions.channels),
        )
        stop = np.cumsum(made.length)
        removed = dict(zip((f"removed_{why}" for why in REMOVED), made.removed.tolist(), strict=True))
        channel = chunk.channel[made.position]
        if self.options.transform == "frequency":
            channel = channel * MOST_COUNTED + (np.minimum(made.times, MOST_COUNTED) - 1).astype(np.int32)
        refined = replace(
            chunk,
            channel=channel,
            code=chunk.code[made.position],
            touched_at=chunk.touched_at[made.position],
            cost=None if chunk.cost is None else made.cost,
            start=stop - made.length,
            stop=stop,
            counted={**chunk.counted, **removed},
        )
        return refined.subset((made.length > 0) | refined.converting), made.position

    def describe(self, overview: Summary) -> list[Finding]:
        """What went, as rows of the quality table."""
        total = overview.number("touchpoints")
        findings = [
            Finding(f"removed_{why}", "touchpoints", "pass", overview.number(f"removed_{why}"), total, None, message)
            for why, message in _MESSAGES.items()
            if f"removed_{why}" in overview.tables
        ]
        if self.options.open_journeys == "drop":
            message = "journeys still open at the end of the data (left out)"
            count = overview.number("dropped_open")
            findings.append(Finding("dropped_open_journeys", "journeys", "pass", count, None, None, message))
        return findings


_MESSAGES = {
    "expired": "touchpoints older than their own lookback window (not counted for that conversion)",
    "views": "impressions left out by view_through",
    "repeats": "touchpoints that repeat the one before (merged into it by dedupe)",
    "direct": "touchpoints of direct traffic (left out by direct)",
    "transform": "touchpoints left out by transform or max_touchpoints",
}


# ---------------------------------------------------------------- direct traffic in journeys that are built already

_LAST = ("direct", "direct_channels", "transform", "max_touchpoints", "view_through_weight")
"""What `Refinement` does last, in this order; everything before does not depend on the policy."""


def before_policies(options: JourneyOptions) -> JourneyOptions:
    """The options of journeys that every policy for direct traffic can be applied to."""
    settings = options.model_dump(exclude_unset=True)
    return JourneyOptions.model_validate({name: value for name, value in settings.items() if name not in _LAST})


@dataclass(frozen=True)
class Policy:
    """The rest of ``options`` with one policy for direct traffic: what `before_policies` has left out."""

    refinement: Refinement

    @classmethod
    def of(cls, journeys: Journeys, options: JourneyOptions, direct: str, names: Iterable[str] | None) -> Policy:
        """Of journeys built with `before_policies` of ``options``; ``names`` are the channels of direct traffic."""
        settings = {name: getattr(options, name) for name in _LAST}
        settings |= {"direct": direct, "direct_channels": None if direct == "keep" or names is None else list(names)}
        return cls(Refinement(JourneyOptions.model_validate(settings), journeys.dimensions, None))

    def journeys(self, journeys: Journeys) -> Journeys:
        """``journeys`` under this policy, made anew for every pass."""
        return replace(
            journeys,
            chunks=_RefinedChunks(journeys.chunks, self),
            channels=self.refinement.channels,
            counted_touchpoints=None,
        )

    def reader(self, read: Reader) -> Reader:
        """What reads journeys as they are under this policy."""
        return partial(_read, self, read)


@dataclass(frozen=True)
class _RefinedChunks:
    """Chunks that are refined whenever they are read."""

    chunks: tuple[JourneyChunk, ...] | Chunks
    policy: Policy

    def __iter__(self) -> Iterator[JourneyChunk]:
        return (self.policy.refinement.apply(piece) for chunk in self.chunks for piece in chunk.batches())

    def map(self, step: Callable[[JourneyChunk], Readings]) -> Iterable[Readings]:
        if isinstance(self.chunks, tuple):
            return map(step, self)
        return self.chunks.map(partial(_step, self.policy, step))


_CALLED_DIRECT = ("direct", "directnone", "directtraffic", "directentry")
"""Letters of what products call direct traffic: "(direct) / (none)", "Direct Traffic", "Direct Entry"."""


def fold_channel(name: str) -> str:
    """A channel in one case of letters; whatever a product calls direct traffic is ``direct``.

    Examples
    --------
    >>> fold_channel("(direct) / (none)"), fold_channel("Direct mail")
    ('direct', 'direct mail')
    """
    return DIRECT[0] if letters_of(name) in _CALLED_DIRECT else name.casefold()


def are_direct(channels: Iterable[str], names: Iterable[str]) -> NDArray[np.bool_]:
    """(channels,) whether each of them is one of ``names``, in any case of letters."""
    direct = {fold_channel(name) for name in names}
    return np.array([fold_channel(channel) in direct for channel in channels], dtype=bool)


def direct_among(channels: Sequence[str], names: Iterable[str] | None) -> list[str]:
    """Which channels are direct traffic."""
    marks = are_direct(channels, DIRECT if names is None else names)
    return [channel for channel, is_direct in zip(channels, marks, strict=True) if is_direct]


def _read(policy: Policy, read: Reader, chunk: JourneyChunk) -> Summary:
    return read(policy.refinement.apply(chunk))


def _step(policy: Policy, step: Callable[[JourneyChunk], Readings], chunk: JourneyChunk) -> Readings:
    return reduce(add_readings, (step(policy.refinement.apply(piece)) for piece in chunk.batches()))
