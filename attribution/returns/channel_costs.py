"""What each channel costs, in media alone or fully loaded, and which types of cost are not known of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.amounts import pluralise
from attribution.data.loading import Finding, Sources, count_finding
from attribution.errors import InputError, did_you_mean
from attribution.returns.cost_ledger import FEES, MEDIA, Bounds, Days, cost_types, overlapping, read_ledger, totals_of
from attribution.schema.experiment import Period, ReturnsOptions

Floats = NDArray[np.float64]

CostBasis = Literal["media", "loaded"]
Driver = str | Mapping[str, float]


@dataclass(frozen=True)
class Costs:
    """All costs of a run, in one currency and for one period.

    Attributes
    ----------
    amounts : by channel and cost type
    shared : costs of no channel, by cost type
    shared_by : what they are shared by, all of them or each type, see `ReturnsOptions`
    touchpoints : per channel, where these are what they are shared by
    is_ledger : whether cost types are told, so that there is more to know than media spend
    bounds : the least and the most that all costs may be, where some are known in bounds only
    """

    amounts: Mapping[tuple[str, str], float]
    shared: Mapping[str, float]
    shared_by: Driver | Mapping[str, Driver]
    touchpoints: Mapping[str, float]
    is_ledger: bool
    bounds: tuple[Costs, Costs] | None = None

    @property
    def media(self) -> dict[str, float]:
        """Media spend per channel; channels without a known one are absent."""
        return {channel: amount for (channel, kind), amount in self.amounts.items() if kind == MEDIA}

    @property
    def direct(self) -> dict[str, float]:
        """Costs of all types per channel, without what is shared."""
        types: dict[str, list[float]] = {}
        for (channel, _), amount in self.amounts.items():
            types.setdefault(channel, []).append(amount)
        return {channel: math.fsum(amounts) for channel, amounts in types.items()}

    @property
    def channels(self) -> set[str]:
        """Channels with a cost of their own."""
        return {channel for channel, _ in self.amounts}

    def spend(self, cost_basis: CostBasis, channels: Sequence[str], conversions: Floats) -> Floats:
        """(…, channels) spend of each channel; NaN where none is known.

        Parameters
        ----------
        cost_basis : which costs count
        channels : all channels of a model
        conversions : (…, channels) credited to them, which costs may be shared by
        """
        booked = self.media if cost_basis == "media" else self.direct
        own = np.array([booked.get(channel, np.nan) for channel in channels], dtype=np.float64)
        pots = [(driver, amount) for driver, amount in self._pots if amount != 0]
        if cost_basis == "media" or not pots:
            return np.broadcast_to(own, conversions.shape)
        part = sum((amount * self._shares(driver, channels, conversions) for driver, amount in pots), np.zeros(1))
        return np.where(np.isnan(own) & (part == 0), np.nan, np.nan_to_num(own) + part)

    def spend_bounds(
        self, cost_basis: CostBasis, channels: Sequence[str], conversions: Floats
    ) -> tuple[Floats, Floats]:
        """(…, channels) the least and the most that each channel may have spent, whatever the others did.

        Of what is shared by spend a channel bears most where it spent most and the others least.
        """
        if self.bounds is None:
            exact = self.spend(cost_basis, channels, conversions)
            return exact, exact
        ends = []
        for this, other in (self.bounds, self.bounds[::-1]):
            booked = this.media if cost_basis == "media" else this.direct
            own = np.array([booked.get(channel, np.nan) for channel in channels], dtype=np.float64)
            if cost_basis == "loaded" and self.shared:
                part = np.zeros(1)
                for driver, amount in this._pots:
                    mine, theirs = (each._weights(driver, channels, conversions) for each in (this, other))
                    whole = mine + theirs.sum(axis=-1, keepdims=True) - theirs
                    part = part + amount * np.divide(mine, whole, out=np.zeros_like(whole), where=whole > 0)
                own = np.where(np.isnan(own) & (part == 0), np.nan, np.nan_to_num(own) + part)
            ends.append(np.broadcast_to(own, conversions.shape))
        return ends[0], ends[1]

    def has_own(self, cost_basis: CostBasis, channels: Sequence[str]) -> NDArray[np.bool_]:
        """(channels,) whether a cost of its own, or a weight of yours, says what the channel costs.

        The others only bear a part of what is shared: an ROI on that would be an echo of what it is shared by.
        """
        own = set(self.media if cost_basis == "media" else self.direct)
        for driver, _ in self._pots if cost_basis == "loaded" else []:
            if isinstance(driver, Mapping):
                own |= {channel for channel, weight in driver.items() if weight > 0}
        return np.array([channel in own for channel in channels], dtype=bool)

    def fixed_spend(self, cost_basis: CostBasis, channels: Iterable[str]) -> dict[str, float]:
        """Spend of each channel with a cost of its own, the same under every model.

        Parameters
        ----------
        cost_basis : which costs count
        channels : all channels that costs may be shared by, beside those with a cost

        Raises
        ------
        InputError
            If some costs are shared by credit, which every model gives anew.
        """
        if cost_basis == "loaded" and any(driver == "credit" and amount for driver, amount in self._pots):
            raise InputError(
                "costs that are shared by credit are others under every model, so that there is no one spend",
                given="returns.shared_by = 'credit'",
                allowed="spend, touchpoints, or your own weights",
                hint='or count media alone: returns.cost_basis = "media"',
            )
        names = sorted({*channels, *self.channels})
        spend = self.spend(cost_basis, names, np.zeros(len(names)))
        own = zip(names, spend.tolist(), self.has_own(cost_basis, names).tolist(), strict=True)
        return {name: amount for name, amount, has_own in own if has_own}

    def shares(self, cost_type: str, channels: Sequence[str], conversions: Floats) -> Floats:
        """(…, channels) share of each channel in shared costs of one type; rows sum to 1, or see `spend`."""
        return self._shares(driver_of(self.shared_by, cost_type), channels, conversions)

    def check_drivers(self, channels: Iterable[str]) -> None:
        """Raise `InputError` if costs are shared by what no channel has, or weights name what is no channel.

        Credit, which some costs may be shared by, is not known before models are fitted.
        """
        every = sorted({*channels, *self.channels})
        for driver, _ in self._pots if self.is_ledger else []:
            if driver != "credit":
                self._shares(driver, every, np.zeros(len(every)))

    @property
    def _pots(self) -> list[tuple[Driver, float]]:
        """What costs are shared by, and how much by each."""
        pots: list[tuple[Driver, list[float]]] = []
        for kind, amount in self.shared.items():
            driver = driver_of(self.shared_by, kind)
            amounts = next((amounts for other, amounts in pots if other == driver), None)
            if amounts is None:
                pots.append((driver, [amount]))
            else:
                amounts.append(amount)
        return [(driver, math.fsum(amounts)) for driver, amounts in pots]

    def _shares(self, driver: Driver, channels: Sequence[str], conversions: Floats) -> Floats:
        """(…, channels) share of each channel in what is shared by ``driver``; rows sum to 1.

        A draw in which no channel has any of it, such as one without a conversion, has shares that are not known.

        Raises
        ------
        InputError
            If no channel has any of it in any row.
        """
        weights = np.broadcast_to(self._weights(driver, channels, conversions), conversions.shape)
        total = weights.sum(axis=-1, keepdims=True)
        if total.size and not (total > 0).any():
            raise InputError(
                "table 'costs' has shared costs, but every channel has 0 of what they are shared by",
                given=f"returns.shared_by = {driver!r}",
                allowed="spend, touchpoints, credit, or your own weights",
            )
        return np.asarray(np.divide(weights, total, out=np.full(weights.shape, np.nan), where=total > 0))

    def _weights(self, driver: Driver, channels: Sequence[str], conversions: Floats) -> Floats:
        if driver == "credit":
            return np.maximum(conversions, 0.0)
        if isinstance(driver, Mapping):
            unknown = sorted(set(driver) - set(channels))
            if unknown:
                raise InputError(
                    f"returns.shared_by has an unknown channel: {unknown[0]!r}",
                    allowed=sorted(channels),
                    hint=did_you_mean(unknown[0], channels),
                )
            weights = driver
        else:
            weights = self.media if driver == "spend" else self.touchpoints
        return np.array([weights.get(channel, 0.0) for channel in channels], dtype=np.float64)


def driver_of(shared_by: Driver | Mapping[str, Driver], cost_type: str) -> Driver:
    """What costs of one type are shared by; spend where only other types are spoken of."""
    if isinstance(shared_by, str):
        return shared_by
    own = {kind: driver for kind, driver in shared_by.items() if not isinstance(driver, (int, float))}
    if own:
        return own.get(cost_type, "spend")
    return {channel: weight for channel, weight in shared_by.items() if isinstance(weight, (int, float))}


def read_costs(
    sources: Sources,
    options: ReturnsOptions | None = None,
    *,
    period: Period | None = None,
    copies: bool = True,
    touchpoints: Mapping[str, float] | None = None,
) -> Costs:
    """All costs of the costs table and of touchpoints.

    Parameters
    ----------
    sources : where costs are found
    options : currencies, what counts where two sources know the spend of a channel, and what costs are shared by
    period : costs are pro-rated to it by days
    copies : whether a touchpoint that repeats another in every column costs again
    touchpoints : per channel, for costs that are shared by them; those of ``sources`` in the period unless given

    Raises
    ------
    InputError
        If two sources of cost cover the same channel, or the costs table cannot be read as a ledger.
    """
    options, period = options or ReturnsOptions(), period or Period()
    bounds = period.bounds()
    ledger = read_ledger(sources, period, options) if sources.has("costs") else None
    touched = _from_touchpoints(sources, bounds, copies) if sources.has("touchpoints", "cost") else {}
    booked = {} if ledger is None else _book(ledger, "amount")
    takes_booked, takes_touched = _media_from(sources, booked, touched, options)
    touched_by: dict[str, float] = {}
    shared_types = {kind for channel, kind in booked if channel is None}
    _check_types(options.shared_by, shared_types)
    if any(driver_of(options.shared_by, kind) == "touchpoints" for kind in shared_types):
        touched_by = _touchpoints(sources, bounds) if touchpoints is None else dict(touchpoints)

    def all_costs(column: str) -> Costs:
        amounts = {} if ledger is None else _book(ledger, column)
        every = {key: amount for key, amount in amounts.items() if takes_booked or key[1] != MEDIA}
        every |= {(channel, MEDIA): amount for channel, amount in touched.items() if takes_touched}
        every |= _fees(every, options)
        shared = {kind: amount for (channel, kind), amount in every.items() if channel is None}
        own = {(channel, kind): amount for (channel, kind), amount in every.items() if channel is not None}
        is_ledger = sources.has("costs", "cost_type") or options.fee_rate is not None
        return Costs(own, shared, options.shared_by, touched_by, is_ledger)

    costs = all_costs("amount")
    if ledger is None or "cost_low" not in ledger:
        return costs
    return replace(costs, bounds=(all_costs("cost_low"), all_costs("cost_high")))


def check_days_of_costs(sources: Sources, cost_basis: CostBasis) -> None:
    """Raise `InputError` if a cost that counts has no day, so that it belongs to no days in particular."""
    table = sources.engine.query("select * from costs").to_pandas()
    kinds = cost_types(table)
    undated = np.isnat(Days.of(table).first) & ((cost_basis == "loaded") | (kinds == MEDIA)) & (table["amount"] != 0)
    if undated.any():
        raise InputError(
            f"table 'costs': {pluralise(int(undated.sum()), 'cost')} without a day, which cannot be split between the "
            "training days and the recent days",
            given=sorted(set(kinds[undated]))[:5],
            hint="add a column day, or period_start and period_end; or leave out costs, and ROI is not compared",
        )


def spend_by_channel(
    sources: Sources, *, spend_from: str | None = None, period: Period | None = None, copies: bool = True
) -> dict[str, float]:
    """Media spend per channel in the unit of the input, summed exactly; channels without a known one are absent."""
    options = ReturnsOptions.model_validate({"spend_from": spend_from})
    return read_costs(sources, options, period=period, copies=copies).media


Amounts = dict[tuple[str | None, str], float]


def _book(ledger: pd.DataFrame, column: str) -> Amounts:
    channels = ledger["channel"].astype(object).where(ledger["channel"].notna(), None)
    keys = zip(channels, ledger["cost_type"], strict=True)
    return dict(zip(keys, ledger[column].tolist(), strict=True))


def _check_types(shared_by: Driver | Mapping[str, Driver], shared_types: set[str]) -> None:
    """Refuse drivers of types of cost that channels do not share."""
    types = (
        [] if isinstance(shared_by, str) else [key for key, by in shared_by.items() if isinstance(by, (str, Mapping))]
    )
    unknown = sorted(set(types) - shared_types)
    if unknown:
        raise InputError(
            f"returns.shared_by names {unknown[0]!r}, and no cost of that type is without a channel",
            allowed=sorted(shared_types),
            hint=did_you_mean(unknown[0], shared_types),
        )


def _media_from(
    sources: Sources, booked: Amounts, touched: Mapping[str, float], options: ReturnsOptions
) -> tuple[bool, bool]:
    """Whether media of the costs table, and cost of touchpoints, count."""
    source = options.spend_from
    if source is not None:
        if not (sources.has("costs") if source == "costs" else sources.has("touchpoints", "cost")):
            raise InputError(f"returns.spend_from names {source!r}, which have no costs")
        return source == "costs", source == "touchpoints"
    both = sorted({channel for channel, kind in booked if kind == MEDIA and channel is not None} & set(touched))
    if both:
        raise InputError(
            f"{pluralise(len(both), 'channel')} with costs both in the costs table and on touchpoints",
            given=both[:5],
            hint='set returns.spend_from to the one to use: "costs" or "touchpoints"',
        )
    return True, True


def _fees(every: Amounts, options: ReturnsOptions) -> Amounts:
    """What the fee rate makes of media spend; refused where fees are booked already, or nothing is spent."""
    rate = options.fee_rate
    if rate is None:
        return {}
    media = {channel: amount for (channel, kind), amount in every.items() if kind == MEDIA and channel is not None}
    rates = rate if isinstance(rate, Mapping) else dict.fromkeys(media, rate)
    unknown = sorted(set(rates) - set(media))
    if unknown:
        raise InputError(
            f"returns.fee_rate has a channel without media spend: {unknown[0]!r}",
            allowed=sorted(media),
            hint=did_you_mean(unknown[0], media),
        )
    twice = sorted(channel for channel in rates if (channel, FEES) in every)
    if twice:
        raise InputError(
            f"{pluralise(len(twice), 'channel')} with fees both in the costs table and in returns.fee_rate, which "
            "would count twice",
            given=twice[:5],
            hint="limit the rate to other channels: fee_rate = { channel = 0.1 }, or leave it out",
        )
    return {(channel, FEES): media[channel] * float(of) for channel, of in rates.items()}


def _from_touchpoints(sources: Sources, bounds: Bounds, copies: bool) -> dict[str, float]:
    rows = "touchpoints" if copies else "(select distinct * from touchpoints)"
    where = " and ".join(["trim(channel) <> ''", "cost is not null", *_inside(bounds)])
    table = sources.engine.query(f"select channel, cost from {rows} where {where}")
    encoded = table["channel"].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    totals = totals_of(np.asarray(encoded.indices), table["cost"].to_numpy().astype(np.float64), len(names))
    return {name: float(total) for name, total in sorted(zip(names, totals, strict=True))}


def _touchpoints(sources: Sources, bounds: Bounds) -> dict[str, float]:
    if not sources.has("touchpoints"):
        raise InputError(
            "returns.shared_by = 'touchpoints' needs touchpoints, but these are aggregated paths",
            allowed="spend, credit, or your own weights",
        )
    where = " and ".join(["trim(channel) <> ''", *_inside(bounds)])
    counts: pd.DataFrame = sources.engine.query(
        f"select channel, count(*) as n from touchpoints where {where} group by channel order by channel"
    ).to_pandas()
    return dict(zip(counts["channel"], counts["n"].astype(float), strict=True))


def _inside(bounds: Bounds) -> list[str]:
    tests = zip((">=", "<="), bounds, strict=True)
    return [f"touched_at {test} {bound}" for test, bound in tests if bound is not None]


# ---------------------------------------------------------------- which types of cost are known


def overlap_findings(sources: Sources) -> list[Finding]:
    """Periods of a costs table without types that overlap; nothing is said where none does."""
    if not sources.has("costs", "period_start") or sources.has("costs", "cost_type"):
        return []
    rows = overlapping(sources.engine.query("select * from costs").to_pandas())
    if rows.empty:
        return []
    total = sources.tables["costs"].rows
    message = "periods that overlap an earlier one of their channel (added up): check whether a cost is booked twice"
    return [count_finding("overlapping_periods", "costs", len(rows), message, total=total, example=rows.iloc[0, 0])]


def amortised_findings(
    sources: Sources, options: ReturnsOptions, period: Period, span: tuple[int, int] | None
) -> list[Finding]:
    """Costs that serve beyond the data and count in full, as no period says which part of them is meant.

    Parameters
    ----------
    sources : the costs table
    options : ``amortise_days`` by type
    period : of the analysis; up to its end each cost counts with its part
    span : first and last instant of the data, µs since 1970; None where they have no days
    """
    is_asked = sources.has("costs", "amortise_days") or (sources.has("costs") and options.amortise_days)
    if not is_asked or span is None or sources.integer_times or period.bounds()[1] is not None:
        return []
    table = sources.engine.query("select * from costs").to_pandas()
    table["cost_type"] = cost_types(table)
    days = Days.of(table).amortise(table, options)
    last = np.datetime64(span[1], "us").astype("datetime64[D]")
    beyond = days.is_spread & (days.last > last)
    kinds = sorted(set(table.loc[beyond, "cost_type"]))
    message = (
        f"amortised costs that serve beyond {last}, the last day of the data, and count in full: set period.end, so "
        "that only their part counts"
    )
    total = int(days.is_spread.sum())
    example = ", ".join(kinds[:5]) or None
    return [count_finding("amortised_beyond_data", "costs", int(beyond.sum()), message, total=total, example=example)]


def coverage_findings(costs: Costs, channels: Sequence[str]) -> list[Finding]:
    """Channels whose costs are known in part or not at all, where cost types are told: their ROI says too much."""
    if not costs.is_ledger:
        return []
    media, owned = set(costs.media), {channel for channel, kind in costs.amounts if kind != MEDIA}
    every = sorted(set(channels) | costs.channels)
    without = [name for name, has_own in zip(every, costs.has_own("loaded", every), strict=True) if not has_own]
    groups = {
        "no_cost": (
            without,
            "channels with credit but no cost of their own: they have no ROI and no rank; add their costs",
        ),
        "media_cost_only": (
            [name for name in every if name in media - owned],
            "channels with media cost only: their ROI is too high compared with the others; add their other costs",
        ),
        "no_media_cost": (
            [name for name in every if name in owned - media],
            "channels with costs but no media cost: they have no ROI on it; set returns.cost_basis = 'loaded'",
        ),
    }
    return [
        count_finding(check, "costs", len(names), message, total=len(every), example=", ".join(names[:5]))
        for check, (names, message) in groups.items()
    ]
