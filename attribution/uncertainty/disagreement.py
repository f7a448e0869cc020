"""How far models can disagree, what each of them assumes, and what to report: known before any is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from attribution.amounts import format_amount, percent
from attribution.data.loading import Finding
from attribution.journeys.credit_bounds import CreditBounds, OrderEffect
from attribution.models import AttributionModel
from attribution.schema.tables import DISAGREEMENT
from attribution.sections import Language, ReportPart, RunContext, Section, listed

FEW = 0.05
"""Up to this share of conversions it hardly matters what models do with them."""

NARROW = 0.1
"""A channel whose credit no choice of model changes by more than this share of the most it can get."""

_ORDERED = {"first_touch": "FirstTouch", "last_touch": "LastTouch", "markov": "Markov"}


class DisagreementSection(Section):
    """How far models can disagree on these journeys."""

    name = "disagreement"
    declared = (DISAGREEMENT,)

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """The table ``disagreement``."""
        return {"disagreement": disagreement_table(context.credit_bounds, context.models)}

    def findings(self, context: RunContext, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
        """On how many conversions models can differ."""
        bounds: CreditBounds = context.credit_bounds
        message = (
            f"models that divide each journey can differ on {bounds.disputed:,.0f} conversions, those of journeys with "
            "several channels, and on no more"
        )
        return [Finding("models_can_differ", "conversions", "pass", 0, bounds.conversions, None, message)]

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """The share of conversions on which models can differ."""
        share = _disputed_share(tables)
        return {} if share is None or model is not None else {"models_can_differ_share": share}

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """What to report, why, and what each channel and model has to do with it."""
        table = tables.get("disagreement")
        if table is None:
            return None
        by_channel = table[table["measure"] == "bounds"].sort_values("conversions", ascending=False, kind="stable")
        columns = {
            "channel": "channel",
            "alone": "least conversions",
            "took_part": "most conversions",
            "alone_value": "least value",
            "took_part_value": "most value",
            "share": "share of conversions in dispute",
        }
        models = table[table["measure"] == "assumption"]
        shown = {
            "What a channel can be credited with, whichever model divides each journey": by_channel,
            "What each model assumes": models.rename(columns={"says": "assumption"}),
        }
        picked = [list(columns), ["model", "assumption"]]
        values = {
            "says": table.loc[table["channel"].isna() & table["model"].isna(), "says"].tolist(),
            "tables": {
                title: rows[names].rename(columns=columns)
                for (title, rows), names in zip(shown.items(), picked, strict=True)
                if len(rows)
            },
        }
        return ReportPart((("disagreement", "How far models can disagree"),), values=values)


def disagreement_table(bounds: CreditBounds, models: Sequence[AttributionModel]) -> pd.DataFrame:
    """The ``disagreement`` table.

    Parameters
    ----------
    bounds : of the journeys
    models : whose assumptions are listed; they need not be fitted
    """
    rows = [
        *({"measure": "recommendation", "says": sentence} for sentence in recommend(bounds)),
        *_rows_of_log(bounds),
        *_rows_of_channels(bounds),
        *(
            {
                "measure": "assumption",
                "model": model.label,
                "says": f"{model.assumptions.premise} {model.assumptions.bias}",
            }
            for model in models
        ),
    ]
    table = pd.DataFrame(rows, columns=list(DISAGREEMENT.column_names))
    texts = ["measure", "channel", "model", "says"]
    numbers = [name for name in table if name not in texts]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), None)
    return table.astype(dict.fromkeys(numbers, "float64"))


def recommend(bounds: CreditBounds) -> list[str]:
    """What to report, in sentences."""
    if bounds.conversions == 0:
        return ["No conversion has a touchpoint, so models have nothing to divide."]
    if bounds.disputed == 0:
        return ["Report any one model: every converting journey has a single channel, so that models agree."]
    advice = []
    if bounds.disputed_share <= FEW:
        advice.append(
            f"Report one model: those that divide each journey can differ on no more than "
            f"{percent(bounds.disputed_share)} of conversions."
        )
    else:
        narrow, wide = _by_width(bounds)
        if narrow:
            advice.append(
                f"Report one number for {listed(narrow, 5)}: no choice of model changes it by more than "
                f"{percent(NARROW)}."
            )
        if wide:
            advice.append(
                f"Report a range over several models for {listed(wide, 5)}: there the model decides how much is "
                "credited."
            )
    return [*advice, *_advice_on_order(bounds.orders), *_advice_on_repeats(bounds)]


def disagreement_sentence(tables: Mapping[str, pd.DataFrame]) -> str | None:
    """On how many conversions models can differ; None without the table, and where there are none.

    Examples
    --------
    >>> rows = {"measure": ["one_channel"], "share": [0.25]}
    >>> disagreement_sentence({"disagreement": pd.DataFrame(rows)})
    'Models can differ on at most 75 % of the conversions, those of journeys with several channels.'
    """
    share = _disputed_share(tables)
    if share is None:
        return None
    return f"Models can differ on at most {percent(share)} of the conversions, those of journeys with several channels."


def _disputed_share(tables: Mapping[str, pd.DataFrame]) -> float | None:
    table = tables.get("disagreement")
    if table is None:
        return None
    share = table.loc[table["measure"] == "one_channel", "share"].dropna()
    return None if share.empty else 1.0 - float(share.iloc[0])


# ---------------------------------------------------------------- rows


def _rows_of_log(bounds: CreditBounds) -> list[dict[str, object]]:
    if bounds.conversions == 0:
        return []
    counts = {
        "one_touchpoint": (bounds.one_touchpoint, "come from journeys with a single touchpoint."),
        "one_channel": (
            bounds.one_channel,
            "come from journeys with a single channel. All models that divide each journey credit them alike.",
        ),
        "repeats": (
            bounds.repeated,
            "come from journeys with several channels of which one touches more than once. There it matters whether a "
            "model counts touchpoints or channels.",
        ),
    }
    rows: list[dict[str, object]] = []
    for measure, (count, says) in counts.items():
        share = count / bounds.conversions
        sentence = f"{percent(share)} of the conversions with a touchpoint {says}"
        rows.append({"measure": measure, "conversions": count, "share": share, "says": sentence})
    for name, effect in bounds.orders.items():
        by_chance = float(effect.by_chance.max(initial=0.0))
        more = "" if effect.is_information else "That is no sign that order matters to it. "
        rows.append(
            {
                "measure": f"order_{name}",
                "conversions": effect.share * bounds.conversions,
                "share": effect.share,
                "by_chance": by_chance,
                "says": f"Compared with touchpoints in random order, {_ORDERED[name]} credits {percent(effect.share)} "
                f"of the conversions to other channels. {more}Chance alone moves up to {percent(by_chance)}.",
            }
        )
    return rows


def _rows_of_channels(bounds: CreditBounds) -> list[dict[str, object]]:
    whole = bounds.conversions
    return [
        {
            "measure": "bounds",
            "channel": channel,
            "conversions": most - least,
            "share": (most - least) / whole if whole > 0 else np.nan,
            "alone": least,
            "took_part": most,
            "alone_value": least_value,
            "took_part_value": most_value,
            "says": _say_bounds(least, most),
        }
        for channel, least, most, least_value, most_value in zip(
            bounds.channels,
            bounds.alone.tolist(),
            bounds.took_part.tolist(),
            bounds.alone_value.tolist(),
            bounds.took_part_value.tolist(),
            strict=True,
        )
    ]


def _say_bounds(least: float, most: float) -> str:
    if most == 0:
        return "It is in no converting journey: every model that divides journeys credits it nothing."
    if least == most:
        return f"It always converts alone: every model that divides journeys credits it {format_amount(most)}."
    between = f"Credit lies between {format_amount(least)} and {format_amount(most)} conversions, whichever model."
    if least == 0:
        return f"{between} It never converts alone: a model may give it nothing."
    if most - least <= NARROW * most:
        return f"{between} The choice of a model hardly matters."
    return between


# ---------------------------------------------------------------- advice


def _by_width(bounds: CreditBounds) -> tuple[list[str], list[str]]:
    """Channels for which the choice of a model hardly matters, and the others, largest difference first."""
    difference = bounds.took_part - bounds.alone
    is_narrow = difference <= NARROW * bounds.took_part
    converts = bounds.took_part > 0
    order = np.argsort(-difference, kind="stable")
    narrow = [bounds.channels[index] for index in np.flatnonzero(is_narrow & converts)]
    return narrow, [bounds.channels[index] for index in order if not is_narrow[index]]


def _advice_on_order(orders: Mapping[str, OrderEffect]) -> list[str]:
    if not orders:
        return []
    matters = {name: effect.share for name, effect in orders.items() if effect.is_information}
    if not matters:
        return [
            "Report Linear or Shapley: FirstTouch, LastTouch and Markov credit what they would with touchpoints in "
            "random order, but for chance."
        ]
    by_position = max(matters.get("first_touch", 0.0), matters.get("last_touch", 0.0))
    if by_position == 0:
        return [
            f"Report Markov beside Linear: it makes something of order, {percent(matters['markov'])} of conversions."
        ]
    advice = [
        "Report FirstTouch and LastTouch side by side: with touchpoints in random order up to "
        f"{percent(by_position)} of the conversions would go to other channels."
    ]
    if "markov" not in matters:
        advice.append("Markov makes nothing of the order of touchpoints here: it counts which channels take part.")
    return advice


def _advice_on_repeats(bounds: CreditBounds) -> list[str]:
    share = bounds.repeated / bounds.conversions
    if share <= FEW:
        return ["Report either of Linear and Shapley: hardly any channel touches a journey twice, so they agree."]
    return [
        f"Say whether touchpoints or channels are counted: in journeys with {percent(share)} of the conversions a "
        "channel touches more than once, and Linear and Shapley differ there."
    ]
