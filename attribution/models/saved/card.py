"""The model card: what a scorer assumes, where it comes from, and what it is good for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attribution.models.saved.applied import POLICIES

if TYPE_CHECKING:
    from attribution.models.saved.scorer import Scorer

_ESTIMAND = {
    "allocated": "It divides conversions that were observed. It does not say what would be lost without a channel.",
    "incremental": "Its totals estimate what came on top of no ads. Journey by journey, every conversion is handed "
    "out whole all the same, in the proportions of these totals.",
}


def card_text(scorer: Scorer) -> str:
    """The card as Markdown; nothing in it changes from one export of the same model to the next."""
    state, definition = scorer.state, scorer.definition
    parts = [
        f"# {scorer.name}",
        f"`{state.label}`, a {state.kind} model, {state.estimand}; {len(state.channels)} channels.",
        "## What it assumes",
        _ESTIMAND[state.estimand],
        "\n".join(f"* {said}" for said in (state.assumptions.premise, state.assumptions.effects) if said),
        _listed({name: value for name, value in state.parameters.items() if name != "name"} or {"settings": "none"}),
        f"Unknown channels: `{scorer.unknown_channels}` – {POLICIES[scorer.unknown_channels]}.",
        "## Data it was fitted on",
        _data(scorer),
        "## Journeys",
        _listed(definition.journeys.model_dump(mode="json", exclude_defaults=True) or {"settings": "the defaults"}),
        "## Laws it was judged by",
        "\n".join(f"* {law}" for law in scorer.laws),
        "## Intervals",
        _intervals(scorer),
        "## Known bias",
        f"* {state.kind}: {state.assumptions.bias}",
        "* Touchpoints that were not recorded have no credit; whoever buys anyway makes every channel look good.",
        "## Who may use it for what",
        "Reporting credit per conversion, channel and campaign, on data collected and read like those above. "
        "Not for deciding spend by itself, and not for judging people: credit is a convention over groups.",
    ]
    return "\n\n".join(parts) + "\n"


def _data(scorer: Scorer) -> str:
    training = scorer.definition.training
    if training is None:
        return "Nobody said."
    window = "aggregated paths" if training.first is None else f"{training.first} to {training.last}"
    rows = {
        "window": window,
        "journeys": f"{training.journeys:,.0f}",
        "conversions": f"{training.conversions:,.6g}",
        "value": f"{training.value:,.2f}",
        **{f"digest of {table}": digest for table, digest in training.digests.items()},
    }
    return _listed(rows)


def _intervals(scorer: Scorer) -> str:
    frame = scorer.reference.get("credit")
    if frame is None or frame["conversions_low"].isna().all():
        return "None were asked for: how far credit would move with other customers is not known."
    lines = ["| channel | conversions | low | high |", "|---|---|---|---|"]
    lines += [
        f"| {row.channel} | {row.conversions:,.1f} | {row.conversions_low:,.1f} | {row.conversions_high:,.1f} |"
        for row in frame.itertuples()
    ]
    return "\n".join(lines)


def _listed(rows: Mapping[str, object]) -> str:
    return "\n".join(f"* {name}: {value}" for name, value in rows.items())
