"""How models are fitted, redrawn and described: everything beside the contract.

Everything here follows from the contract alone, so it serves any model. Models of this package that have a faster
way, or more tables and findings, have a subclass of `Machinery` in their own file and return it from ``_machinery``;
nobody else overrides it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_type_hints

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import accept
from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError, LawError
from attribution.journeys import Buckets, JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.buckets import Bucketwise
from attribution.models.credit import ChannelTotals, check_totals, share_sums_by_bucket
from attribution.models.recoding import SHARES, Recoding

if TYPE_CHECKING:
    from attribution.models.base import AttributionModel

What = Literal["conversions", "value"]

_ROUNDING = 1e-12

DOUBLING = "doubling_customers_doubles_credit"
"""The law that a model breaks which is surer of a choice with more data."""


class Draws(NamedTuple):
    """Credit of re-weighted journeys.

    ``conversions``, ``value`` (draws, channels); ``effects`` (draws, channels, 2) removal effects, None for models
    without.
    """

    conversions: NDArray[np.float64]
    value: NDArray[np.float64]
    effects: NDArray[np.float64] | None = None


class Daywise(NamedTuple):
    """How a model sums up days where each needs more than its own journeys; the day leads the keys of all tables.

    ``read`` sums up a part of the journeys, ``rest`` is what none of them holds.
    """

    read: Reader
    rest: Summary


class HeldOut(NamedTuple):
    """How well a model predicts unseen customers.

    ``unit`` is what is predicted, ``order`` that of a chain. Models of one unit share what ``read`` sums up; ``score``
    makes log-loss and AUC of it.
    """

    unit: str
    order: int | None
    read: Reader
    score: Callable[[Summary], tuple[float, float]]


def get_machinery(model: AttributionModel) -> Machinery:
    """How ``model`` is fitted, redrawn and described."""
    return model._machinery


def attributable(model: AttributionModel, what: What) -> float:
    """What a fitted model observed in journeys with a touchpoint."""
    return model.observed_.number(what) - model.observed_.number(f"unattributed_{what}")


def check_parameters(model: AttributionModel) -> None:
    """Raise `InputError` if a parameter of ``model`` is impossible, or a table or array where none is allowed."""
    hints = get_type_hints(type(model).__init__)
    for name, value in model.get_params().items():
        if name == "name" or hasattr(value, "ndim"):
            accept(type(model).__name__, name, value, hints.get(name, Any))
    model.validate()


class Machinery:
    """What the package does with a model, by its contract alone."""

    def __init__(self, model: AttributionModel) -> None:
        self.model = model

    # ------------------------------------------------------------ fitting

    @property
    def needs_untouched(self) -> bool:
        """Whether customers matter who were never touched."""
        return False

    @property
    def negative_is_zero(self) -> bool:
        """Whether shares count negative credit as 0; else a model with negative credit has no shares."""
        return False

    @property
    def known_channels(self) -> NDArray[np.bool_] | None:
        """(channels,) whether the fitted model can tell the effect of a channel; None where it can tell all."""
        return None

    @property
    def has_chance_level(self) -> bool:
        """Whether its credit can be held against that of channels dealt at random to the touchpoints of journeys."""
        return True

    @property
    def knows_channels(self) -> bool:
        """Whether `weigh` depends on what was learned of each channel, so that it knows nothing of a new one."""
        return bool(self.model.learned())

    @property
    def least_conversions(self) -> int:
        """Conversions below which `check` refuses."""
        return 0

    @property
    def broken_by_design(self) -> tuple[str, ...]:
        """Laws of `attribution.testing` that do not hold for this model, as its documentation says."""
        return ()

    @property
    def lacks_days(self) -> str | None:
        """Why what it sums up cannot be told apart by days; None where it can."""
        return "counts customers without touchpoints, who belong to no day" if self.needs_untouched else None

    def daywise(self, journeys: Journeys, days: range) -> Daywise | None:
        """What sums up ``days`` of ``journeys``; None where `summarise` of the journeys of a day will do."""
        self.prepare(journeys)
        return None

    @property
    def history_days(self) -> int:
        """How long before a day touchpoints and conversions matter to it, whatever the lookback window."""
        return 0

    @property
    def is_comparable(self) -> bool:
        """Whether its credit of a few days can be held against that of earlier ones."""
        return True

    @property
    def lacks_segments(self) -> str | None:
        """Why it cannot be fitted on a segment of customers; None where it can."""
        return None

    def prepare(self, journeys: Journeys) -> None:
        """Check that ``journeys`` can be learned from, and note their channels."""
        check_parameters(self.model)
        if self.model.needs_times and not journeys.has_times:
            raise InputError(
                f"model {self.model.label!r} needs timestamps, and these journeys have only an order",
                hint="give touchpoints with timestamps, or leave the model out",
            )
        self.model.channels_ = journeys.channels

    def summarise_untouched(self, journeys: Journeys) -> Summary:
        """The contribution of customers who were never touched; nothing for a model that does not need them."""
        chunk = journeys.untouched() if self.needs_untouched else None
        return Summary({}) if chunk is None else self.model.summarise(chunk)

    def read_for_check(self, chunk: JourneyChunk) -> Summary:
        """Tables of `summarise` that `check` needs."""
        return Summary({})

    def check(self, summary: Summary, observed: Summary) -> None:
        """Raise `InputError`, before anything is solved, if these journeys cannot be learned from.

        Parameters
        ----------
        summary : what `summarise` gives of all journeys, or `read_for_check`
        observed : what was observed in them
        """
        for what in ("conversions", "value"):
            if not np.isfinite(observed.number(what)):
                hint = "use a larger unit, for example thousands"
                raise InputError(f"the sum of all {what} is too large for a float", hint=hint)

    def finish_fit(self, summary: Summary, observed: Summary) -> None:
        """Solve, given what all journeys contribute and what was observed, and check that credit adds up."""
        self.check(summary, observed)
        model = self.model
        model.summary_, model.observed_ = summary, observed
        model.credit_ = self.solve_totals(summary)
        check_totals(model, **{what: observed.number(what) for what in ("conversions", "value")})

    def solve_totals(self, summary: Summary) -> ChannelTotals:
        """Solved channel totals with what is unattributed, and the baseline of an incremental model.

        The baseline is what its channels leave of the observed totals.
        """
        model = self.model
        conversions, value = _check_solution(model, model.solve(summary))
        unattributed = [model.observed_.number(f"unattributed_{what}") for what in ("conversions", "value")]
        baseline = None
        if model.estimand == "incremental":
            baseline = self._remainder("conversions", conversions), self._remainder("value", value)
        by_channel = np.append(conversions, unattributed[0]), np.append(value, unattributed[1])
        return ChannelTotals(model.channels_, *by_channel, baseline, self.negative_is_zero, self.known_channels)

    def _remainder(self, what: What, credited: NDArray[np.float64]) -> float:
        """What channels leave of the total; 0 where only rounding is left, which might be negative."""
        total = attributable(self.model, what)
        left = float(total - credited.sum())
        return 0.0 if abs(left) <= _ROUNDING * total else left

    def findings(self) -> list[Finding]:
        """Findings about the fitted model, as rows of the quality table."""
        equal = self.model.summary_.number("zero_weights")
        if not equal:
            return []
        message = (
            f"journeys in which {self.model.label} gives every touchpoint the weight 0. Their credit is shared equally:"
            " check the weights"
        )
        return [count_finding("zero_weights", "journeys", equal, message)]

    # ------------------------------------------------------------ redrawing

    @property
    def is_linearised(self) -> bool:
        """Whether `redraw` approximates by influences instead of solving again."""
        return False

    @property
    def buckets_reader(self) -> Reader | Bucketwise:
        """What reads the journeys of many buckets, for `redraw`."""
        if self.model._overrides("summarise"):
            return self.model.summarise
        return Bucketwise(partial(share_sums_by_bucket, self.model))

    def summarise_undrawn(self, chunk: JourneyChunk) -> Summary:
        """Tables of `summarise` that `redraw` does not need, so that `buckets_reader` leaves them out."""
        return Summary({})

    def summarise_drawn(self, chunk: JourneyChunk) -> Summary:
        """Tables of `summarise` that `solve` needs; with those of `summarise_undrawn` they are all."""
        return self.model.summarise(chunk)

    def derive_drawn(self, source: Machinery) -> Callable[[Summary], Summary] | None:
        """How `summarise_drawn` follows from what it gives for the model of ``source``, so that one reading will do.

        None where it does not.
        """
        return None

    @property
    def reads_converting_only(self) -> bool:
        """Whether `summarise_drawn` looks at no journey but those with credit to allocate."""
        return not self.model._overrides("summarise")

    def repeat(self) -> AttributionModel:
        """A copy that reads and solves other journeys the way that the model, once fitted, has read its own.

        None of what was learned is changed by what the copy learns.
        """
        return copy.copy(self.model)

    @property
    def chooses_reading(self) -> bool:
        """Whether only fitting tells what `repeat` is to read."""
        return False

    def redraw(self, own: Buckets, observed: Buckets, weights: NDArray[np.float64]) -> Draws:
        """Credit of the fitted model, had bucket b been counted ``weights[d, b]`` times, for each draw d.

        Parameters
        ----------
        own, observed : what `summarise` and `attribution.journeys.observe` give for each bucket
        weights : (draws, buckets) floats ≥ 0
        """
        if self.model._overrides("solve"):
            return self.solve_again(own, observed, weights)
        return self.redraw_shares(own, weights)

    def redraw_shares(self, own: Buckets, weights: NDArray[np.float64]) -> Draws:
        """What `redraw` gives where totals are the sums of shares."""
        channels = len(self.model.channels_)
        return Draws(*(weights @ own.totals(what, channels).T for what in ("conversions", "value")))

    def solve_again(self, own: Buckets, observed: Buckets, weights: NDArray[np.float64]) -> Draws:
        """What `redraw` gives, by solving every draw."""
        solved = []
        for row in weights:
            again = copy.copy(self.model)
            again.summary_, again.observed_ = own.weighted(row), observed.weighted(row)
            solved.append(_check_solution(again, again.solve(again.summary_)))
        return Draws(*(np.array([totals[index] for totals in solved]) for index in (0, 1)))

    # ------------------------------------------------------------ describing

    def recoding(self, table: str) -> Recoding | None:
        """How the keys of a table of `summarise` are rewritten for more channels; None where that is not known."""
        return None if self.model._overrides("summarise") else SHARES.get(table)

    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Tables that only this model has, by name; see `attribution.schema.tables`."""
        return {}

    def interactions(self) -> pd.DataFrame | None:
        """The ``interactions`` table of this model; None where it has none."""
        return None

    @property
    def lacks_interactions(self) -> str | None:
        """Why a model whose kind has `interactions` has none here."""
        return None

    def held_out(self) -> HeldOut | None:
        """How well it predicts unseen customers; None where it predicts nothing, or `tables` says it already."""
        return None


def _check_solution(model: AttributionModel, solved: object) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What `solve` returned, refused unless it is conversions and value of every channel."""
    problem = f"model {model.label!r}: solve must return two arrays, the conversions and the value of each channel"
    if not isinstance(solved, tuple) or len(solved) != 2:
        raise LawError(f"{problem}, got {type(solved).__name__}")
    conversions, value = (np.asarray(amounts, dtype=np.float64) for amounts in solved)
    shape = (len(model.channels_),)
    if conversions.shape != shape or value.shape != shape:
        raise LawError(f"{problem}, got shapes {conversions.shape} and {value.shape} for {shape[0]} channels")
    return conversions, value
