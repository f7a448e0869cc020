"""The model card: what a scorer assumes, where it comes from, and how it may be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attribution.amounts import format_amount, pluralise
from attribution.models.saved.applied import POLICIES
from attribution.models.saved.fitted import NOT_OF_DAYS

if TYPE_CHECKING:
    from attribution.models.saved.scorer import Scorer

_ESTIMAND = {
    "allocated": "It divides the observed conversions. Credit is not the number that would be lost without a channel "
    "(docs/credit-is-not-cause.md).",
    "incremental": "Its totals estimate the conversions that ads caused. Credit per journey divides every conversion "
    "among its touchpoints and the baseline, which has what would have come without any channel. On new conversions it "
    "adds up to these totals only roughly.",
}


def card_text(scorer: Scorer) -> str:
    """The card as Markdown; the same model always has the same card."""
    state, definition = scorer.state, scorer.definition
    parts = [
        f"# {scorer.name}",
        f"`{state.label}` is a {state.kind} model with {state.estimand} credit for "
        f"{pluralise(len(state.channels), 'channel')}.",
        "## What it assumes",
        _ESTIMAND[state.estimand],
        "\n".join(f"* {sentence}" for sentence in (state.assumptions.premise, state.assumptions.effects) if sentence),
        _bullets({name: value for name, value in state.parameters.items() if name != "name"} or {"settings": "none"}),
        f"Unknown channels: `{scorer.unknown_channels}` – {POLICIES[scorer.unknown_channels]}.",
        "## Data it was fitted on",
        _data(scorer),
        *_history(scorer),
        "## Journeys",
        _bullets(definition.journeys.model_dump(mode="json", exclude_defaults=True) or {"settings": "the defaults"}),
        "## Checked laws",
        "\n".join(f"* {law}" for law in scorer.laws),
        "## Intervals",
        _intervals(scorer),
        "## Known bias",
        f"* {state.kind}: {state.assumptions.bias}",
        "* Touchpoints that were not recorded get no credit. Customers who would buy anyway make every channel "
        "look better than it is.",
        "## Intended use",
        "Use it to report credit per conversion, channel and campaign, on data that are collected and read like those "
        "above. Do not decide on spend by it alone. Do not judge individual people by it: it is made for totals.",
    ]
    return "\n\n".join(parts) + "\n"


def _data(scorer: Scorer) -> str:
    training = scorer.definition.training
    if training is None:
        return "Not recorded."
    window = "aggregated paths" if training.first is None else f"{training.first} to {training.last}"
    rows = {
        "window": window,
        "journeys": f"{training.journeys:,.0f}",
        "conversions": f"{format_amount(training.conversions)}",
        "value": f"{training.value:,.2f}",
        **{f"digest of {table}": digest for table, digest in training.digests.items()},
    }
    return _bullets(rows)


def _history(scorer: Scorer) -> list[str]:
    """What a refit took over, and what it could not make anew."""
    if not scorer.history:
        return []
    lines = ["| version | written on | fitted on |", "|---|---|---|"]
    for past in scorer.history:
        window = "not recorded" if past.first is None else f"{past.first} to {past.last}"
        lines.append(f"| {past.version} | {past.written_on or 'not recorded'} | {window} |")
    missing = [text for name, text in NOT_OF_DAYS.items() if name not in scorer.reference]
    parts = ["## Earlier versions", "\n".join(lines)]
    if missing:
        parts.append(f"This version was refitted on daily summaries, which do not give {' and '.join(missing)}.")
    return parts


def _intervals(scorer: Scorer) -> str:
    frame = scorer.reference.get("credit")
    if scorer.history and (frame is None or frame["conversions_low"].isna().all()):
        return "There are none, because daily summaries do not give them. The uncertainty of its credit is unknown."
    if frame is None or frame["conversions_low"].isna().all():
        return "There are none, because the run had no resampling. The uncertainty of its credit is unknown."
    lines = ["| channel | conversions | low | high |", "|---|---|---|---|"]
    lines += [
        f"| {row.channel} | {row.conversions:,.1f} | {row.conversions_low:,.1f} | {row.conversions_high:,.1f} |"
        for row in frame.itertuples()
    ]
    return "\n".join(lines)


def _bullets(rows: Mapping[str, object]) -> str:
    return "\n".join(f"* {name}: {value}" for name, value in rows.items())
