"""Shapley values: what a channel adds, averaged over the orders in which channels could join."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding
from attribution.errors import InputError, did_you_mean
from attribution.journeys import Buckets, JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.buckets import Bucketwise
from attribution.kernels.credit import rule_weights as kernel
from attribution.kernels.shapley.games import EXACT_PLAYERS
from attribution.kernels.statistics.sums import KeyedSums, sum_by_key
from attribution.models import games, valuation
from attribution.models.base import Assumptions
from attribution.models.breakdowns import (
    break_down,
    classifier_findings,
    interaction_table,
    negative_finding,
    position_table,
    sampling_finding,
    truncation_finding,
)
from attribution.models.credit import Totals, allocate, share_sums, share_sums_by_bucket
from attribution.models.games import ObservedGame, Sampling, Solution
from attribution.models.held_out import score_classifier, summarise_folds
from attribution.models.machinery import Draws, HeldOut, attributable
from attribution.models.published import PublishedMachinery, PublishedModel
from attribution.models.recoding import SHARES, Recoding, by_coalition, by_count, by_position

GAMES = {
    "set": "conversions of journeys that touched no channel outside the coalition",
    "rate": "conversion rate of journeys that touched no channel outside the coalition",
    "path_incremental": "for each set of channels by itself, conversion rates of exactly its subsets",
    "classifier": "what a classifier predicts for a journey without the touchpoints of other channels",
}
METHODS = ("auto", "exact", "sampling")
NEGATIVE = {
    "refuse": "a game with negative totals gives no shares and no credit per journey",
    "zero": "negative totals count as 0 in shares and in credit per journey",
}


class Shapley(PublishedModel):
    """Shapley value of a game over channels; the game is chosen by name.

    ``set`` divides the observed conversions. The other games estimate the conversions that ads added, and leave the
    rest as baseline. They compare rates, so they need customers who did not convert, also some who were never touched.

    * ``set``: a coalition gets the conversions of all journeys that touched no channel outside it. Its Shapley value
      divides every conversion equally among the *distinct* channels of its journey: **this game is linear over
      distinct channels.** Journeys that did not convert have no influence on it.
    * ``rate``: conversions ÷ journeys of all journeys that touched no channel outside the coalition; the empty
      coalition has the rate of the never touched. A channel gets its Shapley value times all journeys.
    * ``path_incremental``: for each set of channels that was observed, the rates of journeys with exactly its subsets,
      less that of the never touched; where no journey has exactly a subset, of all journeys within it. Every set's
      Shapley values are multiplied by its journeys and added up.
    * ``classifier``: what a classifier predicts for each journey without the touchpoints of channels outside the
      coalition, less what it expects of a journey without any. Features are the numbers of touchpoints per channel, in
      the order of ``channels_``, and nothing else: not order, not time. So journeys with equal numbers are one row of
      an additive table, and no second pass over them is needed. Value is the conversions times the mean value of a
      conversion.

    **Bias.** Journeys stop when they convert, so that converters have fewer touchpoints than they would have had. Rates
    over whole journeys, and classifiers fitted on them, take that for an effect (immortal-time bias): credit may be far
    too low, even negative for every paid channel, even without confounding. All games but ``set`` say so in the
    quality table. Paths built from customers at risk (all those who had not converted by a day, with the touchpoints
    up to it) are free of it.

    Credit can be negative, and is reported as it is. Shares are then null.

    Parameters
    ----------
    game : ``set``, ``rate``, ``path_incremental`` or ``classifier``
    method : ``auto`` is exact up to 22 channels in a game (in one journey for ``path_incremental``; up to 10 in one
        journey for ``classifier``) and samples orders of channels above; ``exact`` refuses larger games; ``sampling``
        always samples
    tolerance : sampling ends when no standard error exceeds this share of the mean absolute credit; > 0
    seed : of the orders drawn; the same seed gives the same bytes
    negative : where a total is negative, ``refuse`` shares and credit per journey, or count it as ``zero`` in both.
        Totals stay as they are
    reconcile : whether the credit of journeys adds up to the channels' totals, as nearly as possible; in the game
        ``set`` it always does
    classifier : for the game of this name: a scikit-learn classifier, fitted or not, or ``package.module:Class``;
        logistic regression unless given
    classifier_settings : arguments of that class
    name : label in tables; the class in snake case with its non-default parameters unless given

    Attributes
    ----------
    standard_error_ : (channels,) of the conversions credited, from sampling alone; 0 where nothing was sampled
    pairs_ : pairs of orders drawn; 0 where nothing was sampled

    References
    ----------
    .. [1] L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II, 1953.
    .. [2] K. Zhao, S. H. Mahboobi, S. R. Bagheri, "Shapley value methods for attribution modeling in online
       advertising", arXiv:1804.05327, 2018 (game ``set``: the "simplified" method; by position: the "ordered" one).
    .. [3] B. Dalessandro, C. Perlich, O. Stitelman, F. Provost, "Causally motivated attribution for online
       advertising", ADKDD 2012.
    .. [4] R. Du, Y. Zhong, H. Nair, B. Cui, R. Shou, "Causally driven incremental multi touch attribution using a
       recurrent neural network", arXiv:1902.00215, 2019 (game ``classifier``).

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search > mail", "search", ""], "conversions": [2, 1, 1], "nulls": [2, 3, 9]})))
    >>> at.Shapley().fit(journeys).credit_.conversions.tolist()
    [1.0, 2.0, 1.0]
    >>> at.Shapley(game="path_incremental").fit(journeys).credit_.conversions.round(3).tolist()
    [0.5, 1.7, 1.0]
    """

    from_paths_: bool

    def __init__(
        self,
        *,
        game: str = "set",
        method: str = "auto",
        tolerance: float = 0.01,
        seed: int = 0,
        negative: str = "refuse",
        reconcile: bool = True,
        classifier: Any = None,
        classifier_settings: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.game = game
        self.method = method
        self.tolerance = tolerance
        self.seed = seed
        self.negative = negative
        self.reconcile = reconcile
        self.classifier = classifier
        self.classifier_settings = classifier_settings

    @property
    def estimand(self) -> str:
        return "allocated" if self.game == "set" else "incremental"

    @property
    def assumptions(self) -> Assumptions:
        if self.game == "set":
            return Assumptions(
                "All distinct channels of a journey contributed equally to its conversion.",
                "Linear over distinct channels: favours those that are in many journeys, whatever their effect.",
            )
        return Assumptions(
            "Customers touched by a channel would otherwise have converted like similar customers without it.",
            "Journeys end when they convert, and the model mistakes short journeys for an effect: credit may be far "
            "too low.",
        )

    @property
    def weight_sql(self) -> str | None:
        return "1 / count(*) over (partition by journey, channel)" if self.game == "set" else super().weight_sql

    weigh_baseline, baseline_sql = PublishedModel.weigh_baseline, PublishedModel.baseline_sql

    @property
    def _machinery(self) -> ShapleyMachinery:
        return ShapleyMachinery(self)

    def validate(self) -> None:
        super().validate()
        for what, value, allowed in (
            ("game", self.game, GAMES),
            ("method", self.method, METHODS),
            ("negative", self.negative, NEGATIVE),
        ):
            if value not in list(allowed):
                hint = did_you_mean(str(value), allowed)
                raise InputError(f"Shapley: unknown {what}", given=repr(value), allowed=list(allowed), hint=hint)
        if self.game == "set" and self.method == "sampling":
            raise InputError(
                "Shapley: the game 'set' has a closed form, so it cannot be sampled",
                given="method = 'sampling'",
                allowed=["auto", "exact"],
            )
        if not _is_number(self.tolerance) or not 0 < self.tolerance < np.inf:
            raise InputError(
                "Shapley: tolerance must be a number above 0", given=repr(self.tolerance), allowed="such as 0.01"
            )
        if not _is_whole(self.seed) or not 0 <= self.seed < 2**63:
            raise InputError(
                "Shapley: seed is out of range or not a whole number",
                given=repr(self.seed),
                allowed="whole numbers from 0 to 2^63 − 1",
            )
        if self.game == "classifier":
            valuation.make_classifier(self.classifier, self.classifier_settings)
        elif self.classifier is not None or self.classifier_settings is not None:
            which = "classifier" if self.classifier is not None else "classifier_settings"
            raise InputError(f"Shapley: {which} is only for game = 'classifier'", given=f"game = {self.game!r}")

    def summarise(self, chunk: JourneyChunk) -> Summary:
        return self._summarise_game(chunk) + self._machinery.summarise_undrawn(chunk)

    def _summarise_game(self, chunk: JourneyChunk) -> Summary:
        if self.game == "set":
            return share_sums(self, chunk)
        count = valuation.count_rows if self.game == "classifier" else games.count_sets
        return count(chunk, len(self.channels_))

    def solve(self, summary: Summary) -> Totals:
        channels = len(self.channels_)
        self.standard_error_, self.pairs_ = np.zeros(channels), 0
        if self.game == "set":
            return super().solve(summary)
        solved, players = self._solve(summary)
        credit = np.zeros((2, channels))
        credit[: len(solved.credit), players] = solved.credit
        self.standard_error_[players], self.pairs_ = solved.errors[0], solved.pairs
        return credit[0], credit[1]

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        if self.game == "set":
            return np.asarray(kernel.distinct_channels(chunk.offsets, chunk.channel, len(self.channels_)))
        totals = self.credit_.conversions[:-1]
        if self.negative == "refuse" and (totals < 0).any():
            worst = int(totals.argmin())
            raise InputError(
                f"model {self.label!r} has no credit per journey, because a channel has negative credit",
                given=f"{self.channels_[worst]}: {totals[worst]:.6g} conversions",
                hint="set negative = 'zero' to give such channels nothing, or leave journey credit out for this model",
            )
        return super().weigh(chunk)

    # ------------------------------------------------------------ more than totals

    def by_position(self) -> pd.DataFrame:
        """The ordered breakdown: the credit of each channel by position in the journey.

        A channel's share of a journey is spread evenly over its touchpoints, and position is that of the touchpoint,
        so that positions add up to the channel's credit.

        Raises
        ------
        InputError
            If the game is not ``set``.
        """
        if self.game != "set":
            raise InputError("Shapley: only the game 'set' has credit by position", given=f"game = {self.game!r}")
        return position_table(self.label, self.channels_, self._table("positions"))

    def interactions(self) -> pd.DataFrame:
        """The Shapley interaction index of each pair of channels, in conversions.

        In the game ``set`` it is never negative, whatever channels do: a journey with two channels counts for neither
        of them alone. In the game ``rate`` it is above 0 where two channels gain by each other.

        Raises
        ------
        InputError
            If the game has none, or more than 22 channels and is not ``set``.
        """
        channels = len(self.channels_)
        if self.game == "set":
            pairs = games.interaction_of_set(self._table("converted_sets"), channels)
        elif self.game == "rate":
            game, pairs = self._observed_game(self.summary_), np.zeros((channels, channels))
            pairs[np.ix_(game.players, game.players)] = games.interaction_of_rate(game.sets)
        else:
            raise InputError(
                "Shapley: this game has no interactions", given=f"game = {self.game!r}", allowed=["set", "rate"]
            )
        return interaction_table(self.label, self.channels_, pairs)

    # ------------------------------------------------------------ the games

    def _table(self, name: str) -> KeyedSums:
        """A table of the summary; empty where there was not one journey."""
        return self.summary_.tables.get(name, sum_by_key(np.zeros((0, 1), np.int64), np.zeros(0)))

    def _observed_game(self, summary: Summary) -> ObservedGame:
        return games.observe_game(summary, len(self.channels_), game=self.game)

    def _solve(self, summary: Summary) -> tuple[Solution, NDArray[np.int64]]:
        """Credit by channel, and of which channels."""
        if self.game != "classifier":
            sets, players, _ = self._observed_game(summary)
            return games.solve(self.game, sets, Sampling.of(self)), players
        channels = len(self.channels_)
        classifier = valuation.make_classifier(self.classifier, self.classifier_settings)
        solved, self.classifier_notes_ = valuation.solve_classifier(summary, channels, classifier, Sampling.of(self))
        self.has_untouched_ = valuation.has_untouched(summary)
        conversions, value = attributable(self, "conversions"), attributable(self, "value")
        worth = value / conversions if conversions else 0.0
        return solved._replace(credit=np.concatenate([solved.credit, solved.credit * worth])), np.arange(channels)


class ShapleyMachinery(PublishedMachinery):
    """Large games are redrawn by influences."""

    model: Shapley

    @property
    def negative_is_zero(self) -> bool:
        return self.model.negative == "zero"

    @property
    def needs_untouched(self) -> bool:
        return self.model.game != "set"

    @property
    def knows_channels(self) -> bool:
        return self.model.game != "set"

    def prepare(self, journeys: Journeys) -> None:
        super().prepare(journeys)
        self.model.from_paths_ = journeys.integer_times is None

    def read_for_check(self, chunk: JourneyChunk) -> Summary:
        return Summary({}) if self.model.game == "set" else self.model._summarise_game(chunk)

    def check(self, summary: Summary, observed: Summary) -> None:
        super().check(summary, observed)
        model, how = self.model, Sampling.of(self.model)
        if model.game == "classifier":
            classifier = valuation.make_classifier(model.classifier, model.classifier_settings)
            valuation.check_rows(summary, len(model.channels_), classifier, how)
        elif model.game != "set":
            games.check_exact(model.game, model._observed_game(summary).sets, how)

    def summarise_undrawn(self, chunk: JourneyChunk) -> Summary:
        if self.model.game != "set":
            return super().summarise_undrawn(chunk)
        flattened, shares = allocate(self.model, chunk)[:2]
        return break_down(flattened, shares, len(self.model.channels_))

    def summarise_drawn(self, chunk: JourneyChunk) -> Summary:
        return self.model._summarise_game(chunk)

    @property
    def reads_converting_only(self) -> bool:
        return self.model.game == "set"

    @property
    def buckets_reader(self) -> Reader | Bucketwise:
        if self.model.game == "classifier":
            return self.model._summarise_game
        if self.model.game == "set":
            return Bucketwise(partial(share_sums_by_bucket, self.model))
        return Bucketwise(partial(games.count_bucket_sets, channels=len(self.model.channels_)))

    @property
    def is_linearised(self) -> bool:
        model = self.model
        counts = model.game in ("rate", "path_incremental")
        return counts and not games.is_cheap(model.game, model._observed_game(model.summary_).sets)

    def redraw(self, own: Buckets, observed: Buckets, weights: NDArray[np.float64]) -> Draws:
        model = self.model
        channels, game = len(model.channels_), model.game
        if game == "set":
            return self.redraw_shares(own, weights)
        if game == "classifier":
            return self.solve_again(own, observed, weights)
        if not self.is_linearised:
            return Draws(*games.solve_each(own, weights, channels, game=game, how=Sampling.of(model)))
        credit = np.stack([model.credit_.conversions, model.credit_.value])[:, :-1]
        return Draws(*games.follow(model._observed_game(model.summary_), credit, own, weights, game=game))

    def findings(self) -> list[Finding]:
        model, findings = self.model, super().findings()
        if model.game == "set":
            return findings
        credit = model.credit_.conversions[:-1]
        findings.append(
            truncation_finding(model.label, attributable(model, "conversions"), from_paths=model.from_paths_)
        )
        findings += negative_finding(model.label, model.channels_, credit)
        findings += sampling_finding(model.label, model.pairs_, model.standard_error_, credit)
        if model.game == "classifier":
            findings += classifier_findings(model.label, model.classifier_notes_, model.has_untouched_)
        return findings

    def recoding(self, table: str) -> Recoding | None:
        return _RECODINGS.get(table) or super().recoding(table)

    def tables(self) -> Mapping[str, pd.DataFrame]:
        tables = super().tables()
        return {**tables, "credit_by_position": self.model.by_position()} if self.model.game == "set" else tables

    def interactions(self) -> pd.DataFrame | None:
        return None if self.lacks_interactions else self.model.interactions()

    @property
    def lacks_interactions(self) -> str | None:
        if self.model.game not in ("set", "rate"):
            return f"the game {self.model.game!r} has no interactions"
        if self.model.game == "rate" and len(self.model.channels_) > EXACT_PLAYERS:
            return f"more than {EXACT_PLAYERS} channels are too many for the game 'rate'"
        return None

    def held_out(self) -> HeldOut | None:
        model = self.model
        if model.game != "classifier":
            return None
        channels = len(model.channels_)
        classifier = valuation.make_classifier(model.classifier, model.classifier_settings)
        return HeldOut(
            "journey",
            None,
            lambda chunk: summarise_folds(chunk, channels),
            lambda summary: score_classifier(summary, channels, classifier),
        )


_RECODINGS: Mapping[str, Recoding] = {
    **SHARES,
    "converted_sets": by_coalition,
    "set_journeys": by_coalition,
    "set_conversions": by_coalition,
    "set_value": by_coalition,
    "row_conversions": by_count,
    "row_nulls": by_count,
    "positions": by_position,
}


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
