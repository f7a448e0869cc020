"""A fitted model on journeys of other days, whose channels may be others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.journeys import JourneyChunk
from attribution.models import AttributionModel
from attribution.models.credit import ChannelTotals
from attribution.models.saved.state import ModelState

Policy = Literal["like_known", "zero", "refuse"]

POLICIES: dict[Policy, str] = {
    "like_known": "a new channel counts like any other; only for rules that depend on position and time alone",
    "zero": "a new channel gets no credit; a journey with new channels only is shared equally, or is the baseline's "
    "where the model has one",
    "refuse": "a new channel stops the job",
}


def default_policy(state: ModelState) -> Policy:
    """The policy for channels that the model was not fitted on, unless another one is set."""
    return "zero" if state.knows_channels else "like_known"


def check_policy(state: ModelState, policy: str) -> Policy:
    """``policy``, or an `InputError` where the model cannot follow it."""
    match = next((name for name in POLICIES if name == policy), None)
    if match is None:
        raise InputError("unknown_channels: there is no such policy", given=repr(policy), allowed=list(POLICIES))
    if match == "like_known" and state.knows_channels:
        raise InputError(
            f"model {state.label!r} uses what it learned of each channel, so a new channel cannot count like any other",
            given="unknown_channels = 'like_known'",
            allowed=["zero", "refuse"],
        )
    return match


@dataclass(frozen=True)
class AppliedModel:
    """A fitted model that weighs journeys of ``channels``, in any order.

    Attributes
    ----------
    model : with all of ``channels`` among its names
    channels : names of the journeys' channels
    positions : (channels,) int32 position of each among the model's
    is_known : (channels,) whether the model was fitted on it
    policy : see `POLICIES`
    """

    model: AttributionModel
    channels: tuple[str, ...]
    positions: NDArray[np.int32]
    is_known: NDArray[np.bool_]
    policy: Policy

    @classmethod
    def of(cls, state: ModelState, channels: tuple[str, ...], policy: Policy) -> AppliedModel:
        """The model of ``state`` for journeys of ``channels``.

        Raises
        ------
        InputError
            If a channel is not known, and the policy is ``refuse``.
        """
        fitted_channels = set(state.channels)
        further = [name for name in channels if name not in fitted_channels]
        if further and policy == "refuse":
            raise InputError(
                f"model {state.label!r} was not fitted on {len(further)} of the channels",
                given=further,
                allowed=list(state.channels),
                hint="fit it again on data with them, or set unknown_channels to 'zero'",
            )
        model = state.model(further)
        position = {name: index for index, name in enumerate(model.channels_)}
        positions = np.array([position[name] for name in channels], dtype=np.int32)
        return cls(model, channels, positions, positions < len(state.channels), policy)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Channels that the model was not fitted on."""
        return tuple(name for name, is_known in zip(self.channels, self.is_known, strict=True) if not is_known)

    @property
    def credit_(self) -> ChannelTotals:
        """Training totals of the journeys' channels."""
        credit, unattributed = self.model.credit_, len(self.model.channels_)
        rows = np.append(self.positions, unattributed)
        return ChannelTotals(self.channels, credit.conversions[rows], credit.value[rows], credit.baseline)

    @property
    def estimand(self) -> str:
        """The estimand of the model."""
        return self.model.estimand

    @property
    def label(self) -> str:
        """The label of the model."""
        return self.model.label

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        """Weights of the touchpoints of ``chunk``; see `AttributionModel.weigh`."""
        is_known = self.is_known[chunk.channel]
        if self.policy != "zero" or is_known.all():
            return self.model.weigh(replace(chunk, channel=self.positions[chunk.channel]))
        journey, left = _known_touchpoints(chunk, is_known)
        weights = np.zeros(len(journey))
        if self.estimand == "allocated":
            weights[left[journey] == 0] = 1.0
        if is_known.any():
            weights[is_known] = self.model.weigh(self._drop_unknown(chunk, is_known, left))
        return weights

    def weigh_baseline(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        """Weights of the baseline in the journeys of ``chunk``; see `AttributionModel.weigh_baseline`."""
        is_known = self.is_known[chunk.channel]
        if self.policy != "zero" or is_known.all():
            return self.model.weigh_baseline(replace(chunk, channel=self.positions[chunk.channel]))
        _, left = _known_touchpoints(chunk, is_known)
        weights = np.ones(len(chunk))
        if is_known.any():
            weights[left > 0] = self.model.weigh_baseline(self._drop_unknown(chunk, is_known, left))
        return weights

    def _drop_unknown(self, chunk: JourneyChunk, is_known: NDArray[np.bool_], left: NDArray[np.int64]) -> JourneyChunk:
        """The journeys without touchpoints of new channels; ``left`` (journeys,) of each remain."""
        stop = np.cumsum(left[left > 0])
        return replace(
            chunk.subset(left > 0),
            channel=self.positions[chunk.channel[is_known]],
            code=chunk.code[is_known],
            touched_at=None if chunk.touched_at is None else chunk.touched_at[is_known],
            cost=None if chunk.cost is None else chunk.cost[is_known],
            factor=None if chunk.factor is None else chunk.factor[is_known],
            start=stop - left[left > 0],
            stop=stop,
        )


def _known_touchpoints(chunk: JourneyChunk, is_known: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(touchpoints,) the journey of each, and (journeys,) how many of it are of channels that are known."""
    journey = np.repeat(np.arange(len(chunk)), chunk.lengths)
    return journey, np.bincount(journey[is_known], minlength=len(chunk))
