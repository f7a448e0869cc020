"""The tables of runs side by side: what differs between them, and what moved by more than it should have."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null
from attribution.schema.tables.roi_parts import ROI_PARTS

COMPARISON = Table(
    "comparison",
    "specification × model × channel, and (total) of the channels with spend there: never add it to them",
    (
        Column("specification", "text", "the run, by its name or its settings; the first comes first"),
        Column("model", "text", "label of the model in that run"),
        null("counterpart", "text", "label of the same model in the first specification; null where it has none"),
        Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused"),
        Column("basis", "text", "what counts as return: revenue, margin or ltv"),
        Column("cost_basis", "text", "which costs count: media or loaded"),
        Column("channel", "text", "channel of any of the runs, or (total)"),
        null("spend", "number", "spend; null where none is known"),
        Column("conversions", "number", "credited conversions; 0 where the run does not have the channel"),
        Column("value", "number", "credited return on the basis"),
        null("roi", "number", "(value − spend) ÷ spend; null where there is no spend"),
        null("roi_low", "number", "lower end of its interval; null where the run drew none"),
        null("roi_high", "number", "upper end of its interval"),
        null(
            "rank",
            "number",
            "1 is the highest ROI, or the most conversions unless every run has spend; ties share their average",
        ),
        null("rank_change_from_baseline", "number", "rank − rank under the baseline model of the same specification"),
        null("roi_change", "number", "ROI − ROI under the counterpart in the first specification"),
        null("rank_change", "number", "rank − rank under the counterpart in the first specification"),
        null("beyond_sampling", "flag", "whether both intervals of ROI lie apart; null without intervals"),
    ),
    question="What differs between runs for each channel under each model?",
)

ALERTS = Table(
    "alerts",
    "what moved by more than its threshold between two runs; then, by kind, channels at the place of one that declined",
    (
        Column(
            "kind", "text", "decline, roi_decline, credit_drift or quality; substitute: no alert, what may follow one"
        ),
        null("model", "text", "label of the model, the same in both runs; null for quality"),
        Column("subject", "text", "a channel, (all), or the check of a table"),
        Column("measure", "text", "what was compared; of a substitute, its own credited conversions"),
        null("before", "number", "in the earlier run", unit="that of the measure"),
        null("after", "number", "in the later run", unit="that of the measure"),
        null(
            "change",
            "number",
            "after ÷ before − 1; for credit_drift the share of credit that moved",
            unit="ratio (1 = 100 %)",
        ),
        null("threshold", "number", "what the change must exceed; null where there is none", unit="ratio (1 = 100 %)"),
        null("beyond_sampling", "flag", "whether the intervals of both runs lie apart; null without intervals"),
        Column("message", "text", "in a sentence"),
        null("other", "text", "the channel that may take the subject's place, or needs it; null for alerts"),
        null("rank", "integer", "1 = likeliest substitute; null for alerts"),
        null("role", "text", "substitute, complement, or similar where no interaction is known; null for alerts"),
        null("similarity", "number", "cosine of their steps in and out in the journey graph beyond chance, −1 … 1"),
        null(
            "interaction",
            "number",
            "worth of the pair beyond the sum of both; below 0 one stands in for the other",
            unit="share of conversions, or conversions, by measure",
        ),
        null("interaction_from", "text", "model and measure of the interaction"),
        null("roi_after", "number", "ROI of the other in the later run"),
    ),
    question="What got worse from one run to the next, and which channels could take the place of one that declined?",
)

COMPARISON_TABLES = (COMPARISON, ROI_PARTS, ALERTS)
