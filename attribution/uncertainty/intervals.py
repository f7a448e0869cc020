"""Tables of how sure credit, ROI and ranks are, as far as sampling goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.kernels.statistics.intervals import (
    descending_ranks,
    percentile,
    probability_above,
    rank_probabilities,
)
from attribution.models import AttributionModel
from attribution.models.chance import Chance
from attribution.models.machinery import Draws
from attribution.models.resampling import Resamples, Sample
from attribution.returns import MEDIA, Basis, CostBasis, Costs, Terms, Worth, is_known, main_basis
from attribution.schema.experiment import Experiment, ReturnsOptions
from attribution.schema.tables import NO_CHANNELS
from attribution.sections import Finding, RunContext, Section
from attribution.uncertainty.intervals_declared import (
    DIFFERENCES,
    DRAWS,
    RANK_PROBABILITY,
)

Floats = NDArray[np.float64]
Measures = dict[str, Floats]


@dataclass(frozen=True)
class Sampled:
    """What draws say of channels as money is spent on them.

    ``measures[label]`` holds conversions, value, share and ROI (draws, channels), ``estimates`` and ``jackknife``
    alike, not a number where the model cannot tell the effect of a channel; ``by`` is what ranks go by,
    ``estimands[label]`` what a model estimates. ``amounts[label]`` holds what ROI is made of, on whatever ``terms``:
    draws, estimates and jackknife of conversions, value and what conversions are worth beside it.
    """

    resamples: Resamples
    channels: tuple[str, ...]
    by: str
    estimands: Mapping[str, str]
    estimates: Mapping[str, Measures]
    measures: Mapping[str, Measures]
    jackknife: Mapping[str, Measures]
    terms: Terms
    amounts: Mapping[str, tuple[Measures, Measures, Measures]]

    def roi(self, label: str, basis: Basis, cost_basis: CostBasis) -> tuple[Floats, Floats, Floats]:
        """Draws, estimate and jackknife (…, channels) of ROI under one model, on any basis and cost basis."""
        draws, estimate, jackknife = (
            self.terms.roi(self.channels, amounts, basis, cost_basis) for amounts in self.amounts[label]
        )
        return draws, estimate, jackknife

    def peers(self, label: str) -> list[str]:
        """The models that estimate the same as this one."""
        return [other for other in self.resamples.labels if self.estimands[other] == self.estimands[label]]

    def ranked(self, label: str) -> NDArray[np.int64]:
        """Positions of the channels that have a rank under a model and all its peers."""
        has_score = [np.isfinite(self.estimates[other][self.by][0]) for other in self.peers(label)]
        return np.flatnonzero(np.all(has_score, axis=0))

    def scores(self, label: str) -> Floats:
        """(draws, ranked channels) what the ranks of a model go by."""
        return self.measures[label][self.by][:, self.ranked(label)]


class ResamplingSection(Section):
    """How sure credit, ROI and ranks are, as far as sampling goes."""

    name = "resampling"
    declared = (RANK_PROBABILITY, DIFFERENCES, DRAWS)

    def is_wanted(self, experiment: Experiment) -> bool:
        """Where draws are asked for, or to be kept."""
        return experiment.resampling is not None or experiment.output.draws

    def check(self, context: RunContext) -> None:
        """Refuse to keep draws that are not made."""
        if context.experiment.resampling is None:
            raise InputError("output.draws needs resampling", hint="set resampling in the experiment")

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """Ranks and differences between channels and models; on request the draws themselves."""
        tables = sampling_tables(context.draws)
        return tables | {"draws": draws_table(context.draws)} if context.experiment.output.draws else tables

    def findings(self, context: RunContext, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
        """How the draws were made."""
        return context.draws.resamples.findings() if tables else []

    def settings(self, experiment: Experiment) -> Mapping[str, object]:
        """All of them: they are only there where draws are asked for."""
        options = experiment.resampling
        return {} if options is None else {f"{self.name}.{key}": value for key, value in options.model_dump().items()}

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """Ends and widths of the intervals of a model, on the terms that channels are ranked by."""
        if model is None:
            return {}
        rows, metrics = main_basis(tables["returns"]), dict[str, float]()
        rows = rows[(rows["model"] == model) & ~rows["channel"].isin(NO_CHANNELS)]
        for measure in ("conversions", "roi", "rank"):
            with_interval = rows[rows[f"{measure}_low"].notna()]
            low, high = (with_interval[f"{measure}_{end}"].to_numpy(float) for end in ("low", "high"))
            for name, values in (("low", low), ("high", high), ("width", high - low)):
                keys = f"{measure}_{name}/" + with_interval["channel"]
                metrics |= dict(zip(keys, values.tolist(), strict=True))
            if len(with_interval):
                metrics[f"mean_{measure}_width"] = float((high - low).mean())
        return metrics


def sample_measures(
    resamples: Resamples,
    returns: pd.DataFrame,
    whole: Mapping[str, str] | None = None,
    *,
    terms: Terms | None = None,
    worth: Worth | None = None,
) -> Sampled:
    """Draws of every measure of every channel, on the terms that channels are ranked by.

    Parameters
    ----------
    resamples : the draws
    returns : the ``returns`` table, for spend and channels
    whole : for channels that a path transform has split, the channel each is a part of
    terms : what counts as return and as cost; revenue and the spend of ``returns`` unless given
    worth : draws of what conversions are worth beside their value, where the terms need them
    """
    rows = main_basis(returns)
    estimands = dict(zip(rows["model"], rows["estimand"], strict=True))
    rows = rows[~rows["channel"].isin(NO_CHANNELS)]
    has_effect = rows.assign(is_known=is_known(rows)).pivot(index="model", columns="channel", values="is_known")
    rows = rows.drop_duplicates("channel")
    channels = tuple(rows["channel"])
    spend = rows["spend"].to_numpy(float)
    columns = {channel: position for position, channel in enumerate(channels)}
    into = np.zeros((len(resamples.channels), len(channels)))
    for position, channel in enumerate(resamples.channels):
        into[position, columns[(whole or {}).get(channel, channel)]] = 1.0

    by = "roi" if rows["roi"].notna().any() else "conversions"
    if terms is None:
        costs = Costs({(name, MEDIA): cost for name, cost in zip(channels, spend, strict=True)}, {}, "spend", {}, False)
        terms = Terms(ReturnsOptions(), costs)
    nothing: Mapping[str, Mapping[str, Floats]] = {}
    kinds = ("estimates", "draws", "jackknife")
    amounts: dict[str, dict[str, Measures]] = {}
    for kind in kinds:
        further = nothing if worth is None else getattr(worth, kind)
        amounts[kind] = {
            label: _amounts(sample.channels, into, further.get(label, {}))
            for label, sample in getattr(resamples, kind).items()
        }
    roi = partial(terms.roi, channels)
    estimates, draws, jackknife = (
        {
            label: _measures(of, roi, has_effect.loc[label, list(channels)].to_numpy(bool))
            for label, of in amounts[kind].items()
        }
        for kind in kinds
    )
    by_model = {
        label: (amounts["draws"][label], amounts["estimates"][label], amounts["jackknife"][label])
        for label in resamples.labels
    }
    return Sampled(resamples, channels, by, estimands, estimates, draws, jackknife, terms, by_model)


def _amounts(draws: Draws, into: Floats, further: Mapping[str, Floats]) -> Measures:
    amounts = {"conversions": draws.conversions @ into, "value": draws.value @ into}
    return amounts | {name: of @ into for name, of in further.items()}


def _measures(
    amounts: Measures, roi: Callable[[Mapping[str, Floats]], Floats], has_effect: NDArray[np.bool_]
) -> Measures:
    """Of what is credited; ``has_effect`` (channels,) where the model can tell the effect of a channel."""
    conversions, value = amounts["conversions"], amounts["value"]
    total = conversions.sum(axis=1, keepdims=True)
    signed = (conversions < 0).any(axis=1, keepdims=True) | (total <= 0)
    share = np.divide(conversions, total, out=np.full_like(conversions, np.nan), where=~signed & (total != 0))
    measures = {"conversions": conversions, "value": value, "share": share, "roi": roi(amounts)}
    return {name: np.where(has_effect, of, np.nan) for name, of in measures.items()}


def fill_credit(
    credit: pd.DataFrame, sampled: Sampled, models: Sequence[AttributionModel], chance: Chance | None = None
) -> pd.DataFrame:
    """The ``credit`` table of ``models`` with its intervals; a channel that is split has some for each of its parts."""
    filled, resamples = credit.copy(), sampled.resamples
    for model in models:
        every = _kinds(resamples, model.label)
        channels = resamples.channels
        names = (*channels, *every[0].other_rows)
        conversions = [np.column_stack([of.channels.conversions, *of.other_rows.values()]) for of in every]
        shares = [_shares(of, negative_is_zero=model.credit_.negative_is_zero) for of in conversions]
        value = [of.channels.value for of in every]
        for measure, of, channel_names in (
            ("conversions", conversions, names),
            ("value", value, channels),
            ("share", shares, names),
        ):
            rows = (filled["model"] == model.label) & filled[measure].notna() & is_known(filled)
            _set_ends(filled, rows, measure, (channel_names, resamples.interval(*of)))
        if chance is not None and model.label in chance.shuffles:
            ends = channels, resamples.interval(*chance.beyond(model.label, resamples))
            _set_ends(filled, filled["model"] == model.label, "beyond_conversions", ends)
    return filled


def _kinds(resamples: Resamples, label: str) -> tuple[Sample, Sample, Sample]:
    """Draws, estimate and jackknife of one model, the order that `Resamples.interval` takes them in."""
    return resamples.draws[label], resamples.estimates[label], resamples.jackknife[label]


def _shares(conversions: Floats, *, negative_is_zero: bool) -> Floats:
    """(draws, rows of credit) shares as the ``credit`` table has them; NaN in draws that have none."""
    shared = np.maximum(conversions, 0.0) if negative_is_zero else conversions
    total = shared.sum(axis=1, keepdims=True)
    has_shares = (total > 0) & (shared >= 0).all(axis=1, keepdims=True)
    return np.asarray(np.divide(shared, total, out=np.full_like(shared, np.nan), where=has_shares))


def _set_ends(table: pd.DataFrame, rows: pd.Series, measure: str, ends: tuple[Sequence[str], Floats]) -> None:
    """Set the ends of the interval of a measure in some rows; ``ends`` are names of channels and (2, channels)."""
    names, values = ends
    for end, of in zip(("low", "high"), values, strict=True):
        by_name = dict(zip(names, of, strict=True))
        table.loc[rows, f"{measure}_{end}"] = table.loc[rows, "channel"].map(by_name).astype(float)


def fill_removal_effects(table: pd.DataFrame, sampled: Sampled) -> pd.DataFrame:
    """The ``published_credit`` table with the intervals of removal effects."""
    filled, resamples = table.copy(), sampled.resamples
    for label in resamples.labels:
        every = [of.channels.effects for of in _kinds(resamples, label)]
        for index, measure in enumerate(("removal_effect", "removal_effect_value")):
            effects = [of[..., index] for of in every if of is not None]
            if effects:
                ends = (resamples.channels, resamples.interval(*effects))
                _set_ends(filled, filled["model"] == label, measure, ends)
    return filled


def fill_returns(returns: pd.DataFrame, sampled: Sampled) -> pd.DataFrame:
    """The ``returns`` table with its intervals, on every basis and cost basis."""
    parts = [
        _filled_on_terms(part.copy(), sampled, basis, cost_basis)
        for (basis, cost_basis), part in returns.groupby(["basis", "cost_basis"], sort=False)
    ]
    return pd.concat(parts)


def _filled_on_terms(part: pd.DataFrame, sampled: Sampled, basis: Basis, cost_basis: CostBasis) -> pd.DataFrame:
    """Ranks go by ROI; where no channel has one by credited conversions, as the tables of ranks do."""
    resamples, names = sampled.resamples, sampled.channels
    roi = {label: sampled.roi(label, basis, cost_basis) for label in resamples.labels}
    by_roi = bool(part["roi"].notna().any())
    for label, amounts in sampled.amounts.items():
        rows = (part["model"] == label) & is_known(part)
        has_effect = np.isin(names, part.loc[rows, "channel"])
        measures: Mapping[str, Sequence[Floats]] = {
            "roi": roi[label],
            "conversions": [of["conversions"] for of in amounts],
            "value": [sampled.terms.earned(basis, of) for of in amounts],
        }
        for measure, of in measures.items():
            _set_ends(part, rows & part[measure].notna(), measure, (names, resamples.interval(*of)))
        has_roi = np.all([np.isfinite(roi[peer][1][0]) for peer in sampled.peers(label)], axis=0)
        is_ranked = has_effect & (has_roi | (not by_roi))
        ranked = [name for name, has_rank in zip(names, is_ranked, strict=True) if has_rank]
        scores = measures["roi" if by_roi else "conversions"][0][:, is_ranked]
        ends = percentile(descending_ranks(scores), resamples.options.level)
        _set_ends(part, rows & part["rank"].notna() if by_roi else rows, "rank", (ranked, ends))
    return part


def sampling_tables(sampled: Sampled) -> dict[str, pd.DataFrame]:
    """The tables ``rank_probability`` and ``differences``."""
    return {
        "rank_probability": _rank_probability(sampled),
        "differences": _differences(sampled),
    }


def draws_table(sampled: Sampled) -> pd.DataFrame:
    """The ``draws`` table: every draw of what channels are credited with, so that sums of them have intervals too."""
    parts, terms = [], sampled.terms
    for label in sampled.resamples.labels:
        amounts = sampled.amounts[label][0]
        conversions = amounts["conversions"]
        measures = {
            "conversions": conversions,
            "value": amounts["value"],
            "new_customers": amounts.get("new_customers", np.full_like(conversions, np.nan)),
            "return": terms.earned(terms.options.basis, amounts),
            "spend": terms.costs.spend(terms.options.cost_basis, sampled.channels, conversions),
        }
        draws, channels = conversions.shape
        keys = {"model": label, "draw": np.repeat(np.arange(1, draws + 1), channels)}
        names = np.tile(np.array(sampled.channels, dtype=object), draws)
        parts.append(pd.DataFrame({**keys, "channel": names, **{name: of.ravel() for name, of in measures.items()}}))
    return pd.concat(parts, ignore_index=True)[list(DRAWS.column_names)]


def _rank_probability(sampled: Sampled) -> pd.DataFrame:
    parts = []
    for label in sampled.resamples.labels:
        names = [sampled.channels[position] for position in sampled.ranked(label)]
        columns = {
            "model": label,
            "estimand": sampled.estimands[label],
            "channel": np.repeat(names, len(names)),
            "rank": np.tile(np.arange(1, len(names) + 1), len(names)),
            "probability": rank_probabilities(sampled.scores(label)).ravel(),
            "least": np.nan,
            "most": np.nan,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)[list(RANK_PROBABILITY.column_names)]


def _differences(sampled: Sampled) -> pd.DataFrame:
    """Each pair once, the earlier first: of channels by what ranks go by, and of models by share and ROI."""
    columns = list(DIFFERENCES.column_names)
    parts = [*_between_channels(sampled), *_between_models(sampled)]
    if not parts:
        return pd.DataFrame(columns=columns)
    table = pd.concat(parts, ignore_index=True)
    return table[table["difference"].notna()].reset_index(drop=True)[columns]


def _between_channels(sampled: Sampled) -> Iterator[pd.DataFrame]:
    """One channel against all later ones at a time, so that memory grows with channels and not with pairs."""
    for label in sampled.resamples.labels:
        ranked = sampled.ranked(label)
        names = [sampled.channels[position] for position in ranked]
        of = (sampled.measures, sampled.estimates, sampled.jackknife)
        every = [kind[label][sampled.by][:, ranked] for kind in of]
        for index, name in enumerate(names[:-1]):
            apart = [scores[:, [index]] - scores[:, index + 1 :] for scores in every]
            keys = {"model_a": label, "channel_a": name, "model_b": label, "channel_b": names[index + 1 :]}
            yield _pairs(keys, sampled.by, sampled.resamples, apart)


def _between_models(sampled: Sampled) -> Iterator[pd.DataFrame]:
    """Paired: both models saw the same draws. Those that estimate different things are not held against each other."""
    of = (sampled.measures, sampled.estimates, sampled.jackknife)
    for a, b in combinations(sampled.resamples.labels, 2):
        if b not in sampled.peers(a):
            continue
        for measure in ("share", "roi"):
            apart = [kind[a][measure] - kind[b][measure] for kind in of]
            keys = {"model_a": a, "channel_a": sampled.channels, "model_b": b, "channel_b": sampled.channels}
            yield _pairs(keys, measure, sampled.resamples, apart)


def _pairs(keys: Mapping[str, object], measure: str, resamples: Resamples, apart: Sequence[Floats]) -> pd.DataFrame:
    """Rows of ``differences``; ``apart`` is draws, estimate and jackknife (…, pairs) of the difference."""
    draws, estimate, jackknife = apart
    low, high = resamples.interval(draws, estimate, jackknife)
    return pd.DataFrame(
        {
            **keys,
            "measure": measure,
            "difference": estimate[0],
            "low": low,
            "high": high,
            "probability": probability_above(draws),
        }
    )
