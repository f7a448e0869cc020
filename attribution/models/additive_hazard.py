"""What channels caused, as far as the log can tell: an additive hazard on customers at risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding
from attribution.errors import InputError
from attribution.journeys import DAY, Buckets, JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.buckets import Bucketwise
from attribution.kernels.incremental import additive_hazard as kernel
from attribution.kernels.statistics.draws import draw_words, uniform
from attribution.models.at_risk import Evidence, Setting, fading_sql, hazard_findings
from attribution.models.base import Assumptions, AttributionModel
from attribution.models.credit import Totals
from attribution.models.daily_risk import (
    RECODINGS,
    SUMS_TABLE,
    daily_sums,
    history_days,
    history_findings,
    read_days,
    setting_of_days,
)
from attribution.models.hazard_options import check_options, is_number
from attribution.models.machinery import DOUBLING, Daywise, Draws, Machinery, attributable, check_parameters
from attribution.models.recoding import Recoding
from attribution.models.risk_summary import RISK_TABLE, summarise_bucket_risk, summarise_risk
from attribution.schema.tables import ASSIGNMENT

Floats = NDArray[np.float64]

FEWEST = 200
"""Conversions below which nothing can be said."""

KERNEL_SPREAD = 0.10
"""Standard deviation of ln credit for what sampling leaves out: the shape of the effect over time."""

_BLOCK = 50
_LUCK = 0x68617A617264
_LARGEST_VALUE = 2.0**61

CHANCE, HARMLESS = "chance", "harmless"
FOLLOWS_INTENT, FOLLOWS_TRAITS = "unknown: follows intent", "unknown: follows traits"
NOT_SCREENED = "unknown: not screened"


class AdditiveHazard(AttributionModel):
    """Conversions that would not have happened without each channel, estimated on customers at risk.

    A customer who has not converted yet may do so at any time, at a rate that is the sum of a baseline, free on every
    day, and of what each touchpoint so far still adds. What a touchpoint adds fades with a half-life; several are
    weighed by how well they explain the data. The credit of a channel is what its touchpoints added over all time at
    risk. It is less than the conversions observed, the rest is ``(baseline)``; it may be negative, and is reported as
    it is. Where further touchpoints do less and less, it is too low: what one more adds is taken for what all added.
    Journeys, lookback windows and what options leave out of journeys do not matter: touchpoints are read as they were
    logged.

    **Who is at risk.** Customers who were never touched belong to those at risk. Give them as the ``customers`` table,
    or their number: without, a customer is at risk from the first credited touchpoint on, which is right where
    touchpoints come by chance, and overstates broad channels two or three times where others follow intent.

    **Screening.** Where channels follow customers who would convert anyway, a log cannot tell what they caused. With
    unpaid channels (direct visits, searches that cost nothing) it can tell *that* they follow: touchpoints then arrive
    more often after unpaid ones, or at customers who were touched often before. Such channels are marked as unknown in
    the table ``assignment``, and their credit is corrected by what unpaid history says. An unpaid touchpoint counts as
    history only a day later, since the visit at which somebody buys is often logged as one.

    **One conversion** is divided by what each of its touchpoints still added to the rate at that moment, beside the
    average rate of the baseline, which has the rest. Unpaid touchpoints and channels of negative credit get nothing.
    Channels that are not known are divided as they are published.

    A touchpoint at the very instant of a conversion is no cause of it here, though it is in its journey. With one
    half-life and nothing screened, every customer twice gives twice the credit; otherwise twice the data makes surer of
    half-lives and flags, so that credit all but doubles.

    Parameters
    ----------
    half_lives_days : one half-life, or several; those of 2, 7 and 21 days that are at most a quarter of the data
    credited : channels whose effect is wanted; those with costs, or else all but ``unpaid``
    unpaid : channels that no money brings about; those without costs
    guard_days : how long an unpaid touchpoint takes to count as history
    customers : number of customers who could be reached, touched or not; those of the ``customers`` table
    adjust : ``auto`` screens and corrects, ``none`` takes touchpoints as if they came by chance
    screening : thresholds, from ``intent`` (0.1), ``trait`` (0.05), ``spread`` (0.005) and ``z`` (3)
    name : label in tables; the class in snake case with its non-default parameters unless given

    Attributes
    ----------
    half_lives_, half_life_weights_ : days, and how much each counts
    added_rate_ : (channels,) conversions per day that a touchpoint adds at first, 0 where credit is negative
    baseline_rate_ : conversions per day and customer that the baseline alone makes
    is_known_ : (channels,) whether a channel's credit can be read as what it caused
    assignment_ : how touchpoints of each credited channel arrive; see `attribution.schema.tables.ASSIGNMENT`

    References
    ----------
    .. [1] D. Y. Lin, Z. Ying, "Semiparametric analysis of the additive risk model", Biometrika 81(1), 1994.
    .. [2] O. O. Aalen, "A linear regression model for the analysis of life times", Statistics in Medicine 8(8), 1989.
    .. [3] J. A. Hausman, "Specification tests in econometrics", Econometrica 46(6), 1978.

    Examples
    --------
    Mail makes one in ten buy within days; the other half of conversions come by themselves.

    >>> import numpy as np, pandas as pd
    >>> import attribution as at
    >>> rng = np.random.default_rng(1)
    >>> first = pd.Timestamp("2024-01-01")
    >>> mailed = pd.DataFrame({"customer_id": np.arange(6000), "channel": "mail",
    ...                        "touched_at": first + pd.to_timedelta(rng.uniform(0, 40, 6000), "D")})
    >>> caused = mailed.sample(600, random_state=1)
    >>> later = caused["touched_at"] + pd.to_timedelta(rng.exponential(2 / np.log(2), 600), "D")
    >>> alone = first + pd.to_timedelta(rng.uniform(0, 40, 600), "D")
    >>> bought = pd.DataFrame({"customer_id": [*caused["customer_id"], *rng.choice(9000, 600, replace=False)],
    ...                        "converted_at": [*later, *alone]})
    >>> journeys = at.build_journeys(at.load_sources(mailed, bought))
    >>> model = at.AdditiveHazard(half_lives_days=2, credited=["mail"], customers=9000).fit(journeys)
    >>> bool(450 < model.credit_.conversions[0] < 650)
    True
    """

    needs_times = True

    setting_: Setting
    half_lives_: tuple[float, ...]
    half_life_weights_: Floats
    is_known_: NDArray[np.bool_]
    added_rate_: Floats
    baseline_rate_: float
    assignment_: pd.DataFrame

    def __init__(
        self,
        *,
        half_lives_days: float | Sequence[float] | None = None,
        credited: Sequence[str] | None = None,
        unpaid: Sequence[str] | None = None,
        guard_days: float = 1.0,
        customers: int | None = None,
        adjust: str = "auto",
        screening: Mapping[str, float] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.half_lives_days = half_lives_days
        self.credited = credited
        self.unpaid = unpaid
        self.guard_days = guard_days
        self.customers = customers
        self.adjust = adjust
        self.screening = screening

    @property
    def estimand(self) -> str:
        return "incremental"

    @property
    def assumptions(self) -> Assumptions:
        return Assumptions(
            "What touchpoints add to the rate of converting adds up and fades, and they come by chance.",
            "Overstates channels that follow customers who would convert anyway, and marks those it sees.",
        )

    @property
    def _machinery(self) -> HazardMachinery:
        return HazardMachinery(self)

    def validate(self) -> None:
        check_options(self)

    def summarise(self, chunk: JourneyChunk) -> Summary:
        return summarise_risk(chunk, self.setting_.rules)

    def solve(self, summary: Summary) -> Totals:
        setting, design = self.setting_, self.setting_.design
        moments = self._machinery.moments(self._machinery.tables_of(summary))
        own = design.stocks(design.credited, 0)
        together = kernel.inseparable(moments, own)
        if len(together):
            names = [self.channels_[position] for position in setting.credited[together]]
            raise InputError(
                f"model {self.label!r} cannot tell channels apart that always come together",
                given=names,
                hint="give them one name, or leave one of them out of credited",
            )
        screening = kernel.unscreened(len(own))
        if setting.screens:
            screening = kernel.screen(moments, design, setting.thresholds)
        self.half_lives_ = setting.half_lives
        self.half_life_weights_ = kernel.weigh_half_lives(moments, design, screening.is_flagged)
        effects = kernel.estimate(moments, design, screening)
        self.verdict_ = _judge(effects, self.half_life_weights_, screening)
        self.screening_ = screening
        by_half = kernel.publish(effects, screening, self.verdict_.takes_within)
        credit = kernel.average(by_half, self.half_life_weights_)
        self._describe(effects, credit, moments)
        return self._machinery.spread(credit[0]), self._machinery.spread(credit[1])

    def _describe(self, effects: kernel.Effects, credit: Floats, moments: kernel.Moments) -> None:
        """Set what is known of each channel, and what a touchpoint of it adds."""
        setting, weights = self.setting_, self.half_life_weights_
        screening, verdict = self.screening_, self.verdict_
        words = np.full(len(credit[0]), CHANCE if setting.screens else NOT_SCREENED, dtype=object)
        words[screening.follows_traits] = FOLLOWS_TRAITS
        words[screening.follows_traits & verdict.is_harmless] = HARMLESS
        words[screening.follows_intent] = FOLLOWS_INTENT
        is_known = np.isin(words, [CHANCE, HARMLESS])
        self.is_known_ = np.zeros(len(self.channels_), bool)
        self.is_known_[setting.credited] = is_known
        exposure = sum(
            weight * moments.exposure[setting.design.stocks(setting.design.credited, half)]
            for half, weight in enumerate(weights)
        )
        adds = np.divide(np.maximum(credit[0], 0.0), exposure, out=np.zeros(len(credit[0])), where=exposure > 0)
        self.added_rate_ = self._machinery.spread(adds)
        self.baseline_rate_ = max(attributable(self, "conversions") - credit[0].sum(), 0.0) / float(moments.at_risk)
        columns = {
            "model": self.label,
            "channel": np.array(self.channels_, dtype=object)[setting.credited],
            **{name: getattr(screening, name) if setting.screens else np.nan for name in screening._fields[:6]},
            "hausman_z": np.where(screening.follows_traits, verdict.z, np.nan),
            "ratio": np.where(screening.follows_intent, float(weights @ effects.ratio), np.nan),
            "plain": weights @ effects.plain[0],
            "within": weights @ effects.within[0],
            "corrected": np.where(screening.follows_intent, weights @ effects.corrected[0], np.nan),
            "published": credit[0],
            "is_known": is_known,
            "verdict": words,
        }
        self.assignment_ = pd.DataFrame(columns)[list(ASSIGNMENT.column_names)]

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        assert chunk.touched_at is not None
        assert chunk.ended_at is not None
        age = (np.repeat(chunk.ended_at, chunk.lengths) - chunk.touched_at) / DAY
        shape = np.zeros(len(age))
        for half_life, weight in zip(self.half_lives_, self.half_life_weights_, strict=True):
            shape += weight * np.exp2(-age / half_life)
        # What comes at the very instant has not added anything yet.
        return np.asarray(self.added_rate_[chunk.channel] * shape * (age > 0))

    def weigh_baseline(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return np.full(len(chunk), self.baseline_rate_)

    def learned(self) -> dict[str, Any]:
        return {
            "added_rate_": self.added_rate_,
            "baseline_rate_": float(self.baseline_rate_),
            "half_lives_": [float(days) for days in self.half_lives_],
            "half_life_weights_": [float(weight) for weight in self.half_life_weights_],
        }

    @property
    def weight_sql(self) -> str:
        # Before it is fitted nobody knows half-lives: one day stands for them.
        half_lives = getattr(self, "half_lives_", (1.0,))
        return fading_sql(half_lives, getattr(self, "half_life_weights_", (1.0,)))

    @property
    def baseline_sql(self) -> str:
        return repr(getattr(self, "baseline_rate_", 0.0))


class HazardMachinery(Machinery):
    """One table of sums, solved at once for every draw."""

    model: AdditiveHazard

    @property
    def needs_untouched(self) -> bool:
        return self.model.customers is None

    @property
    def known_channels(self) -> NDArray[np.bool_]:
        return self.model.is_known_

    @property
    def has_chance_level(self) -> bool:
        """Touchpoints are read as they were logged, not as journeys have them."""
        return False

    @property
    def knows_channels(self) -> bool:
        return True

    @property
    def least_conversions(self) -> int:
        return FEWEST

    @property
    def broken_by_design(self) -> tuple[str, ...]:
        # Twice the data makes surer of half-lives and flags.
        return () if is_number(self.model.half_lives_days) and self.model.adjust == "none" else (DOUBLING,)

    @property
    def lacks_days(self) -> str | None:
        return None

    def daywise(self, journeys: Journeys, days: range) -> Daywise:
        check_parameters(self.model)
        return read_days(self.model, journeys, days)

    @property
    def history_days(self) -> int:
        return history_days(self.model)

    @property
    def is_comparable(self) -> bool:
        """A few days do not tell what channels caused."""
        return False

    def recoding(self, table: str) -> Recoding | None:
        return RECODINGS.get(table)

    @property
    def lacks_segments(self) -> str | None:
        if self.model.customers is None:
            return None
        return "knows how many customers there are, but not how many in each segment; give a customers table instead"

    def prepare(self, journeys: Journeys) -> None:
        super().prepare(journeys)
        self.model.setting_ = Setting.of(self.model, journeys)

    def finish_fit(self, summary: Summary, observed: Summary) -> None:
        if SUMS_TABLE in summary.tables:
            self.model.setting_ = setting_of_days(self.model, self.model.channels_, summary)
        super().finish_fit(summary, observed)

    def check(self, summary: Summary, observed: Summary) -> None:
        super().check(summary, observed)
        conversions = observed.number("conversions")
        if conversions < FEWEST:
            raise InputError(
                f"model {self.model.label!r} has too few conversions to tell what caused them",
                given=f"{conversions:,.0f} conversions",
                allowed=f"{FEWEST} or more",
                hint="use more data, or leave the model out",
            )
        if observed.number("value") > _LARGEST_VALUE:
            raise InputError(
                f"model {self.model.label!r}: the sum of all value is too large",
                given=f"{observed.number('value'):g}",
                hint="use a larger unit, for example thousands",
            )
        if RISK_TABLE in summary.tables or SUMS_TABLE in summary.tables:
            self._days_beyond(self.tables_of(summary))

    # ------------------------------------------------------------ sums

    def tables_of(self, summary: Summary) -> dict[str, Floats]:
        """The tables of a summary, by name; with an axis of days where each is by itself."""
        setting = self.model.setting_
        if setting.by_day:
            tables = setting.layout.split(daily_sums(summary, setting, self.model))
            return tables | {"untouched": (setting.listed or 0) - tables["customers"][-1:]}
        return setting.layout.split(summary.dense(RISK_TABLE, setting.layout.size))

    def totals_of(self, tables: Mapping[str, Floats]) -> kernel.DailyTotals:
        """What the customers of these tables add up to."""
        totals = kernel.total(tables, self.model.setting_.rules.rate)
        return kernel.join_days(totals) if self.model.setting_.by_day else totals

    def moments(self, tables: Mapping[str, Floats]) -> kernel.Moments:
        """What is left of the tables of all customers once days are taken out."""
        return kernel.centre(self.totals_of(tables), self._days_beyond(tables))

    def _days_beyond(self, tables: Mapping[str, Floats]) -> Floats:
        """(days,) customer-days of those of whom nothing is known but that they could be reached."""
        setting, customers = self.model.setting_, tables["customers"]
        every = setting.listed if self.model.customers is None else self.model.customers
        if every is None:
            return np.zeros(setting.rules.layout.days)
        if customers.max() > every:
            raise InputError(
                f"model {self.model.label!r}: more customers are in the log than could be reached",
                given=f"customers = {every:,}, and {customers.max():,.0f} in the log",
                hint="give the number of all customers, touched or not",
            )
        return np.asarray((every - customers) * setting.day_lengths)

    def spread(self, credit: Floats) -> Floats:
        """(…, channels) from (…, credited): channels that are not credited have nothing."""
        result = np.zeros((*credit.shape[:-1], len(self.model.channels_)))
        result[..., self.model.setting_.credited] = credit
        return result

    # ------------------------------------------------------------ draws

    @property
    def buckets_reader(self) -> Reader | Bucketwise:
        return Bucketwise(partial(summarise_bucket_risk, rules=self.model.setting_.rules))

    def redraw(self, own: Buckets, observed: Buckets, weights: Floats) -> Draws:
        """Flags stay as they are; half-lives are weighed again, and a draw takes one of them."""
        model, layout = self.model, self.model.setting_.rules.layout
        table = own.tables[RISK_TABLE]
        sums, dense = table.sums.tocoo(), np.zeros((own.size, layout.size))
        dense[sums.col, table.keys[sums.row, 0]] = sums.data
        by_bucket = self.totals_of(layout.split(dense))
        beyond = self._days_beyond(self.tables_of(model.summary_))
        luck = _luck(own.labels, weights)
        credit = np.zeros((2, len(weights), len(model.setting_.design.credited)))
        for low in range(0, len(weights), _BLOCK):
            block = weights[low : low + _BLOCK]
            moments = kernel.centre(by_bucket.weigh(block), beyond)
            credit[:, low : low + _BLOCK] = self._credit_of(moments, luck[low : low + _BLOCK])
        return Draws(self.spread(credit[0]), self.spread(credit[1]))

    def solve_again(self, own: Buckets, observed: Buckets, weights: Floats) -> Draws:
        return self.redraw(own, observed, weights)

    def _credit_of(self, moments: kernel.Moments, luck: Floats) -> Floats:
        """(2, draws, credited); ``luck`` (draws, 2) is not a number where nothing is left to chance."""
        from scipy.special import ndtri

        model = self.model
        design, screening = model.setting_.design, model.screening_
        half_lives = kernel.weigh_half_lives(moments, design, screening.is_flagged)
        effects = kernel.estimate(moments, design, screening)
        by_half = kernel.publish(effects, screening, model.verdict_.takes_within)
        half = np.minimum((np.cumsum(half_lives, axis=1) <= luck[:, :1]).sum(axis=1), design.halves - 1)
        chosen = by_half[np.arange(len(luck)), :, half] * np.exp(KERNEL_SPREAD * ndtri(luck[:, 1]))[:, None, None]
        credit = np.where(np.isnan(luck)[:, :1, None], kernel.average(by_half, half_lives), chosen)
        return np.swapaxes(credit, 0, 1)

    # ------------------------------------------------------------ describing

    def tables(self) -> Mapping[str, pd.DataFrame]:
        return {**super().tables(), "assignment": self.model.assignment_}

    def findings(self) -> list[Finding]:
        """Who is at risk, how sure the numbers are, and channels of which nothing is known."""
        model = self.model
        conversions = model.observed_.number("conversions")
        evidence = Evidence(self.tables_of(model.summary_), conversions, model.assignment_)
        findings = [*super().findings(), *hazard_findings(model, model.setting_, evidence)]
        return findings + (history_findings(model, model.summary_) if model.setting_.by_day else [])


def _luck(labels: NDArray[np.int64], weights: Floats) -> Floats:
    """(draws, 2) uniform numbers for each row of ``weights`` (draws, buckets), from what is drawn in it alone.

    Not numbers for rows that draw nothing: all customers once, or all without one bucket.
    """
    luck = np.full((len(weights), 2), np.nan)
    is_drawn = (weights == np.floor(weights)).all(axis=1) & ~(weights == 1).all(axis=1)
    if is_drawn.any():
        words = weights[is_drawn].astype(np.uint64) @ draw_words(labels.view(np.uint64), _LUCK)
        luck[is_drawn] = np.stack([uniform(words, stream) for stream in (1, 2)], axis=1)
    return np.asarray(np.clip(luck, 1e-12, 1 - 1e-12))


class _Verdict(NamedTuple):
    """Of channels that follow traits, (credited,) each: what controlling for them changes, in standard errors, whether
    that is little, and whether it is done."""

    z: Floats
    is_harmless: NDArray[np.bool_]
    takes_within: NDArray[np.bool_]


def _judge(effects: kernel.Effects, weights: Floats, screening: kernel.Screening) -> _Verdict:
    plain, within, added = (weights @ each for each in (effects.plain[0], effects.within[0], effects.added_variance))
    error = np.sqrt(np.maximum(added, 0.0))
    z = np.divide(np.abs(plain - within), error, out=np.zeros(len(plain)), where=error > 0)
    is_harmless = (z <= 2) & (1.64 * error < 0.25 * np.abs(plain))
    return _Verdict(z, is_harmless, screening.follows_traits & (z > 2))
