"""Markov chains over channels: what conversions would be lost if a channel led nowhere."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError
from attribution.journeys import Buckets, JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.buckets import Bucketwise
from attribution.kernels.markov.absorption import joint_removal, removal_effects
from attribution.kernels.markov.chains import Chain, build_chain
from attribution.kernels.markov.influence import linearise, solve_at_once
from attribution.models.base import Assumptions
from attribution.models.breakdowns import truncation_finding
from attribution.models.continuation import (
    Continuation,
    check_named_channels,
    check_probabilities,
    outcomes_without_channel,
    subtract_continuation,
)
from attribution.models.credit import Totals
from attribution.models.machinery import Draws, HeldOut, Machinery, attributable
from attribution.models.order import (
    HIGHEST,
    THIN,
    held_out_table,
    longest_path,
    memory_findings,
    score_held_out_order,
    select_order,
    summarise_orders,
)
from attribution.models.published import PublishedMachinery, PublishedModel
from attribution.models.recoding import Recoding, by_step
from attribution.models.steps import Counting, shorten_summary, summarise_bucket_steps, summarise_steps
from attribution.schema.tables import HELD_OUT, INTERACTIONS

Floats = NDArray[np.float64]

LONGEST_MEMORY = 1_000
"""A state of this many channels holds whole journeys; more would only cost memory."""

EXACT_DRAWS = 100
"""Chains of order 1 with up to so many channels are solved again for every draw."""

DRAWN = 1e-5
"""Relative tolerance of a draw: far below what sampling does to it."""

NOTHING = 1e-9
"""Interactions below this are rounding."""

_OBSERVED = ("conversions", "value", "unattributed_conversions", "unattributed_value")


class Markov(PublishedModel):
    """Markov removal effect of any order, exact.

    The chain's state is the last ``order`` channels. A channel is removed by sending every step into it to
    null; its removal effect is the share of conversions then lost, computed in closed form, never simulated.
    Credit is the total times the channel's share in the sum of all removal effects; value has removal effects
    of its own.

    What it is not: the removal effect is the *participation rate among converters* that the chain implies, the share
    of conversions that pass through the channel. It is not what would be lost in reality. With a higher order it comes
    nearer to the share of converting journeys with the channel, and it equals that share once the order reaches the
    longest path; journeys that did not convert then have no influence at all. Removal effects do not add up to 1, and
    dividing by their sum is a convention: all conversions are credited, whatever the ads caused.

    With ``continuation`` a removed channel does not lead to null. It leads to a journey without the ad, which converts
    with the given probability: from an experiment, or from similar customers who were not touched. Credit of channel c
    is then journeys × Σ_a h(a) · (V(a) − b_c), with h(a) the probability that a is the first of its states, V the
    conversion probability from there and b_c the continuation; for value b_c times the mean value of a conversion. It
    may be negative. What channels leave is the baseline. It is negative where the effects, each measured while all
    other channels stay as they are, add up to more conversions than there are.

    Parameters
    ----------
    order : how many channels a state remembers, ≥ 1; ``"auto"`` tries 1 to 5, but none beyond the longest path, and
        takes the smallest whose held-out log-loss per step is within one standard error of the best (customers in
        five folds). Intervals keep the order chosen. More data may lead to another order
    continuation : probability of converting without the channel, one number for all or by channel (null, so 0, for
        channels not named); None removes to null and divides what happened
    reconcile : whether the credit of journeys adds up to the channels' totals, as nearly as possible
    name : label in tables; the class in snake case with its non-default parameters unless given

    Attributes
    ----------
    order_ : the order used
    order_selection_ : table of the orders tried, with ``order="auto"``; see `attribution.schema.tables.HELD_OUT`
    removal_effects_ : (channels, 2) removal effect for conversions and for value; incremental with ``continuation``
    conversion_probability_ : probability of converting from the start
    states_ : number of states of the chain
    thin_steps_ : share of steps out of states that occur fewer than 10 times

    References
    ----------
    .. [1] E. Anderl, I. Becker, F. von Wangenheim, J. H. Schumann, "Mapping the customer journey: Lessons
       learned from graph-based online attribution modeling", International Journal of Research in Marketing
       33(3), 2016.
    .. [2] N. Archak, V. Mirrokni, S. Muthukrishnan, "Mining advertiser-specific user behavior using adfactors",
       WWW 2010.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> paths = pd.DataFrame({
    ...     "path": ["a > b", "a", "b > c", "c", "a > b > c"],
    ...     "conversions": [3, 1, 2, 0, 2],
    ...     "nulls": [1, 3, 2, 4, 2],
    ... })
    >>> at.Markov().fit(at.build_journeys(at.load_sources(paths=paths))).removal_effects_[:, 0].round(6).tolist()
    [0.597222, 0.708333, 0.5]
    """

    order_: int
    order_selection_: pd.DataFrame
    removal_effects_: Floats
    conversion_probability_: float
    states_: int
    thin_steps_: float
    from_paths_: bool

    def __init__(
        self,
        *,
        order: int | str = 1,
        continuation: Continuation = None,
        reconcile: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.order = order
        self.continuation = continuation
        self.reconcile = reconcile

    @property
    def estimand(self) -> str:
        """``allocated``, or ``incremental`` with a continuation."""
        return "allocated" if self.continuation is None else "incremental"

    @property
    def assumptions(self) -> Assumptions:
        bias = "Close to participation: favours channels that many converting journeys pass through."
        if self.continuation is None:
            return Assumptions(
                "The next step of a journey depends on its last channels alone. Without a channel, a journey ends "
                "where it would have met it.",
                bias,
            )
        return Assumptions(
            "Without a channel, a journey that would have met it converts with the given probability.",
            f"As wrong as that probability. {bias}",
            f"continuation = {self.continuation}",
        )

    weight_sql, baseline_sql = PublishedModel.weight_sql, PublishedModel.baseline_sql
    weigh_baseline = PublishedModel.weigh_baseline

    @property
    def _machinery(self) -> MarkovMachinery:
        return MarkovMachinery(self)

    def validate(self) -> None:
        super().validate()
        is_whole = isinstance(self.order, int | np.integer) and not isinstance(self.order, bool)
        if self.order != "auto" and not (is_whole and 1 <= int(self.order) <= LONGEST_MEMORY):
            raise InputError(
                "Markov: order must be the number of channels that a state remembers",
                given=repr(self.order),
                allowed=f'whole numbers from 1 to {LONGEST_MEMORY}, or "auto"',
                hint="an order beyond the longest path changes nothing",
            )
        check_probabilities(self.continuation)

    def summarise(self, chunk: JourneyChunk) -> Summary:
        return self._summarise_steps(chunk) + self._machinery.summarise_undrawn(chunk)

    def _summarise_bucket_steps(self, chunk: JourneyChunk) -> Summary:
        return summarise_bucket_steps(chunk, channels=len(self.channels_), order=int(self.order))

    def _summarise_steps(self, chunk: JourneyChunk) -> Summary:
        if self.order == "auto":
            return summarise_orders(chunk.touched, len(self.channels_))
        return summarise_steps(chunk, channels=len(self.channels_), order=int(self.order))

    def solve(self, summary: Summary) -> Totals:
        chain = self._counting.chain(summary)
        removal = removal_effects(chain, len(self.channels_), self._instead(chain))
        self.states_ = len(chain.exits)
        self.thin_steps_ = _thin_steps(chain)
        self.conversion_probability_ = float(removal.expected[0])
        journeys = float(chain.steps[[0]].sum() + chain.exits[0])
        totals = np.array([[attributable(self, "conversions"), attributable(self, "value")]])
        credit = self._credit(removal.effects[None], journeys * removal.lost[None], totals)
        self.removal_effects_ = removal.effects
        return credit.conversions[0], credit.value[0]

    def weigh(self, chunk: JourneyChunk) -> Floats:
        credit = self.credit_.conversions[:-1]
        if (credit < 0).any():
            worst = int(np.argmin(credit))
            raise InputError(
                f"model {self.label!r} has no credit per journey, because a channel has negative credit",
                given=f"{self.channels_[worst]} = {credit[worst]:g} conversions",
                hint="use the credit of channels, or Markov without a continuation",
            )
        return super().weigh(chunk)

    def interactions(self) -> pd.DataFrame:
        """The ``interactions`` table: what removing two channels loses beyond the sum of removing each alone.

        Without a continuation it is minus the share of conversions that pass through both channels: its sign tells
        nothing of how they work together. With a continuation it may have either sign.
        """
        channels = len(self.channels_)
        chain = self._counting.chain(self.summary_)
        first, second = np.triu_indices(channels, 1)
        removed = np.zeros((len(first), channels), dtype=bool)
        removed[np.arange(len(first)), first] = removed[np.arange(len(first)), second] = True
        effects = joint_removal(chain, removed, self._instead(chain)).effects[:, 0]
        single = self.removal_effects_[:, 0]
        beyond = effects - single[first] - single[second]
        beyond[np.abs(beyond) <= NOTHING] = 0.0
        names = np.array(self.channels_, dtype=object)
        columns = {
            "model": self.label,
            "channel_a": names[first],
            "channel_b": names[second],
            "measure": "second_order_removal",
            "interaction": beyond,
        }
        return pd.DataFrame(columns)[list(INTERACTIONS.column_names)]

    # ------------------------------------------------------------ the chain

    def _choose(self, summary: Summary) -> int:
        order, tried = select_order(summary, len(self.channels_))
        tried.insert(0, "model", self.label)
        self.order_selection_ = tried[list(HELD_OUT.column_names)]
        return order

    @property
    def _counting(self) -> Counting:
        return Counting(len(self.channels_), self.order_, self.order == "auto")

    def _instead(self, chain: Chain) -> Floats | None:
        return outcomes_without_channel(self.continuation, self.channels_, chain.rewards.sum(axis=0))

    def _credit(self, effects: Floats, lost: Floats, totals: Floats) -> Draws:
        """Credit from ``effects`` and ``lost`` (draws, channels, 2) of all that was brought, ``totals`` (draws, 2)."""
        if self.continuation is not None:
            return Draws(lost[..., 0], lost[..., 1], effects)
        # Value on paths that never ran cannot be seen by the chain; it follows conversions.
        by_value = np.where(effects[..., 1].any(axis=1, keepdims=True), effects[..., 1], effects[..., 0])
        return Draws(_divide(totals[:, 0], effects[..., 0]), _divide(totals[:, 1], by_value), effects)


class MarkovMachinery(PublishedMachinery):
    """Chains are redrawn by influences, or all at once."""

    model: Markov

    def check(self, summary: Summary, observed: Summary) -> None:
        super().check(summary, observed)
        model = self.model
        check_named_channels(model.continuation, model.channels_)
        if model.continuation is not None and observed.number("nulls") == 0:
            raise InputError(
                "Markov: a continuation needs journeys that did not convert, and there are none",
                hint="give journeys or nulls that did not convert, or leave the continuation out",
            )

    def finish_fit(self, summary: Summary, observed: Summary) -> None:
        self.check(summary, observed)
        model = self.model
        # Solving again, on other weights, keeps the order.
        model.order_ = model._choose(summary) if model.order == "auto" else int(model.order)
        super().finish_fit(summary, observed)

    @property
    def buckets_reader(self) -> Reader | Bucketwise:
        model = self.model
        return model._summarise_steps if model.order == "auto" else Bucketwise(model._summarise_bucket_steps)

    def summarise_drawn(self, chunk: JourneyChunk) -> Summary:
        return self.model._summarise_steps(chunk)

    def derive_drawn(self, source: Machinery) -> Callable[[Summary], Summary] | None:
        if type(source.model) is not type(self.model) or "auto" in (source.model.order, self.model.order):
            return None
        order, to = int(source.model.order), int(self.model.order)
        return partial(shorten_summary, channels=len(self.model.channels_), order=order, to=to) if order > to else None

    def repeat(self) -> Markov:
        again = copy.copy(self.model)
        again.order = again.order_ = self.model.order_ if self.chooses_reading else int(self.model.order)
        return again

    @property
    def chooses_reading(self) -> bool:
        return self.model.order == "auto"

    def prepare(self, journeys: Journeys) -> None:
        super().prepare(journeys)
        self.model.from_paths_ = journeys.integer_times is None

    def findings(self) -> list[Finding]:
        """An order that paths or data do not fill, negative credit or baselines, and the bias of a continuation."""
        model, findings = self.model, super().findings()
        longest = model.order_
        if model.order != "auto":
            longest = longest_path(model.summary_.tables["steps"].keys, len(model.channels_), model.order_)
        findings += memory_findings(model.label, model.order_, longest, model.thin_steps_)
        credit = model.credit_
        below = [name for name, total in zip(model.channels_, credit.conversions, strict=False) if total < 0]
        if below:
            message = (
                f"channels with negative credit from {model.label}: journeys with them convert less often than its "
                "continuation says journeys without them do. Check the continuation"
            )
            findings.append(count_finding("negative_credit", "credit", len(below), message, example=below[0]))
        if model.continuation is not None:
            converted = attributable(model, "conversions")
            findings.append(truncation_finding(model.label, converted, from_paths=model.from_paths_))
        if credit.baseline is not None and credit.baseline[0] < 0:
            message = (
                f"conversions that the channels of {model.label} claim beyond those observed. Its baseline is negative "
                "because each effect assumes that all other channels stay as they are: do not add up its channels"
            )
            findings.append(count_finding("negative_baseline", "credit", -credit.baseline[0], message))
        return findings

    @property
    def is_linearised(self) -> bool:
        """Whether `redraw` goes by influences; chains of order 1 are small enough to be solved for every draw."""
        model = self.model
        return model.order_ > 1 or len(model.channels_) > EXACT_DRAWS

    def redraw(self, own: Buckets, observed: Buckets, weights: Floats) -> Draws:
        model = self.model
        channels = len(model.channels_)
        joined, steps, value = model._counting.by_bucket(own)
        if self.is_linearised:
            rewards = np.arange(2 if model.continuation is None else 3)
            solution = linearise(joined, steps, value, weights, rewards=rewards, channels=channels)
        else:
            solution = solve_at_once(joined, (steps @ weights.T).T, (value @ weights.T).T, channels=channels)
        lost, brought = (
            subtract_continuation(model.continuation, model.channels_, solution),
            solution.brought[:, None, :2],
        )
        effects = np.divide(lost, brought, out=np.zeros_like(lost), where=brought > 0)
        return model._credit(effects, lost, _attributable(observed, weights))

    def solve_again(self, own: Buckets, observed: Buckets, weights: Floats) -> Draws:
        model = self.model
        joined, steps, value = model._counting.by_bucket(own)
        journeys = (weights @ steps[joined.origin == 0].sum(axis=0))[:, None, None]
        solved = []
        for row in weights:
            chain = build_chain(joined, steps @ row, value @ row)
            solved.append(removal_effects(chain, len(model.channels_), model._instead(chain), tolerance=DRAWN))
        effects, lost = (np.stack([getattr(each, what) for each in solved]) for what in ("effects", "lost"))
        return model._credit(effects, journeys * lost, _attributable(observed, weights))

    def recoding(self, table: str) -> Recoding | None:
        is_dealt = self.model.order == "auto"
        order = HIGHEST if is_dealt else int(self.model.order)
        steps = {"value": by_step(order, 0), "steps": by_step(order, int(is_dealt))}
        return steps.get(table) or super().recoding(table)

    @property
    def removal_effects(self) -> Floats:
        return self.model.removal_effects_

    def tables(self) -> Mapping[str, pd.DataFrame]:
        model, tables = self.model, dict(super().tables())
        if model.order == "auto":
            tables["held_out"] = held_out_table([model.order_selection_.assign(model=model.label)])
        return tables

    def interactions(self) -> pd.DataFrame:
        return self.model.interactions()

    def held_out(self) -> HeldOut | None:
        """Of chains up to the highest order that is tried; one that chose its order has scored it then."""
        model = self.model
        channels, order = len(model.channels_), model.order_
        if model.order == "auto" or order > HIGHEST:
            return None
        return HeldOut(
            "step",
            order,
            lambda chunk: summarise_orders(chunk.touched, channels),
            lambda summary: score_held_out_order(summary, channels, order),
        )


def _attributable(observed: Buckets, weights: Floats) -> Floats:
    """(draws, 2) conversions and value that channels can have."""
    sums = {what: weights @ observed.totals(what, 1)[0] for what in _OBSERVED}
    return np.stack([sums[what] - sums[f"unattributed_{what}"] for what in ("conversions", "value")], axis=1)


def _thin_steps(chain: Chain) -> float:
    leaving = np.asarray(chain.steps.sum(axis=1)).ravel() + chain.exits
    return float(leaving[leaving < THIN].sum() / leaving.sum())


def _divide(totals: Floats, effects: Floats) -> Floats:
    """(draws, channels) ``totals`` (draws,) in proportion to ``effects`` (draws, channels); equally where all are 0."""
    whole = effects.sum(axis=1, keepdims=True)
    equal = np.full_like(effects, 1.0 / max(effects.shape[1], 1))
    result: Floats = totals[:, None] * np.divide(effects, whole, out=equal, where=whole > 0)
    return result
