"""The tables that a run with ``[sensitivity]`` writes: ROI under every specification, verdicts and regret."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null
from attribution.uncertainty.intervals_declared import DIFFERENCES, RANK_PROBABILITY

AVERAGE, NO_CHANGE = "(average)", "(no change)"
"""What may be acted on besides a model."""

_MODEL = Column("model", "text", "label of the model")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused")
_CHANNEL = Column("channel", "text", "channel with a cost of its own")
_TRIED = "over all models of the estimand, windows, policies and cost bases"

SPECIFICATIONS = Table(
    "specifications",
    "model × lookback window × direct policy × cost basis × channel with spend",
    (
        _MODEL,
        _ESTIMAND,
        null("lookback_days", "number", "lookback window; null for integer times and aggregated paths"),
        Column("direct", "text", "treatment of direct traffic: keep, drop_if_other or drop"),
        Column("cost_basis", "text", "media or loaded"),
        Column("basis", "text", "what counts as return: revenue, margin or ltv"),
        _CHANNEL,
        Column("is_own", "flag", "whether window, policy and cost basis are the run's own"),
        null("spend", "number", "cost of the channel; null where it has no cost of its own"),
        null("value", "number", "credited return; null where the model cannot tell the effect of the channel"),
        null("roi", "number", "(value − spend) ÷ spend"),
        null("roi_low", "number", "lower end of the interval; it covers sampling of customers, never bias"),
        null("roi_high", "number", "upper end of the interval"),
        null("rank", "number", "by ROI within the specification, 1 is the highest; ties share their average"),
    ),
    question="What is the ROI of a channel under every combination of choices?",
)

ROI_VARIANCE = Table(
    "roi_variance",
    "estimand × channel × source of variance; every combination of choices has the same weight",
    (
        _ESTIMAND,
        _CHANNEL,
        Column(
            "source",
            "text",
            "model, lookback_days, direct, cost_basis; interactions of these; sampling, alone and with any of them",
        ),
        null(
            "variance", "number", "variance of ROI that comes from the source; null where it is too large for a number"
        ),
        null(
            "share",
            "number",
            "variance ÷ all variance of the channel's ROI; sums to 1 per channel; null where its ROI never varies",
        ),
        null("share_any", "number", "share including all interactions of the source; null in rows of interactions"),
    ),
    question="Which choice does the ROI of a channel depend on most?",
)

VERDICTS = Table(
    "verdicts",
    "estimand × channel",
    (
        _ESTIMAND,
        _CHANNEL,
        Column(
            "verdict",
            "text",
            "pays, likely_pays, does_not_pay or unknown; only a lift test shows that spend pays",
        ),
        Column(
            "basis",
            "text",
            "what it rests on; bound: the most that a channel may have caused, which is the highest incremental share "
            "of its credit or, with an estimate, what last touch or the upper end of its interval says; estimate: of "
            "what it caused, never tested; tested: lift tests of the channel, and credit",
        ),
        null(
            "probability_pays_low",
            "number",
            f"share of draws in which the spend pays back, {_TRIED}, if it caused the lowest incremental share of its "
            "credit",
        ),
        null(
            "probability_pays_high",
            "number",
            "the same if it caused the highest incremental share, once its touchpoints have matured",
        ),
        null(
            "probability_pays_most", "number", "the same as probability_pays_high in the specification where it is most"
        ),
        Column("spend", "number", "mean spend over specifications"),
        null("roi", "number", "mean ROI over specifications, as if all credit was caused; null if unknown"),
        null("roi_low", "number", "lowest end of the intervals of ROI over all specifications"),
        null("roi_high", "number", "highest end of the intervals of ROI over all specifications"),
        null(
            "money_at_stake",
            "number",
            "pays, likely_pays: what the spend earns; does_not_pay: what it loses (at the least, if not tested); "
            "unknown: the larger of what it may earn and what it may lose",
        ),
        null(
            "days_to_flip",
            "number",
            "smallest change of the run's window that changes the verdict; null: no window tried does",
        ),
        null(
            "margin_points_to_flip",
            "number",
            "smallest change of margin that changes the verdict, in percentage points",
        ),
        null(
            "cost_to_flip",
            "number",
            "cost that would change the verdict if it was missing from the data; null: none would",
        ),
        null(
            "lost_touchpoints_to_flip",
            "number",
            "share of its own touchpoints that would change the verdict if they were not recorded",
        ),
        null(
            "others_lost_to_flip",
            "number",
            "share of all other touchpoints that would change the verdict if they were not recorded",
        ),
        null("share_to_break_even", "number", "share of its credit that it must have caused for its spend to pay back"),
        null(
            "maturity", "number", "share of the conversions after its touchpoints that have come by the end of the data"
        ),
        null(
            "assumptions",
            "text",
            "effects that its models assume and did not learn from the data; null where there are none",
        ),
        Column("says", "text", "the verdict as a sentence"),
    ),
    question="Does the spend of a channel pay, as far as that is known, and what would change the answer?",
)

REGRET = Table(
    "regret",
    "model acted on × model that is right, under the run's own window, policy and cost basis; without models that fail "
    "a check or are told to give a channel with spend nothing",
    (
        _ESTIMAND,
        Column("acting_on", "text", "label of a model, (average) of them, or (no change) of spend"),
        Column("if_right", "text", "label of the model whose credit is right"),
        Column("regret", "number", "return lost by acting on it and not on the right model; mean over draws"),
        Column("regret_low", "number", "lower end of its interval; it covers sampling of customers, never bias"),
        Column("regret_high", "number", "upper end of its interval"),
        Column("moved", "number", "money that acting on it moves between channels"),
        Column("worst", "number", "largest regret of acting on it, whichever model is right"),
        Column("is_minimax", "flag", "whether its worst regret is the smallest of all"),
    ),
    question="What is lost by acting on one model if another is right?",
)

SENSITIVITY_TABLES = (SPECIFICATIONS, RANK_PROBABILITY, DIFFERENCES, ROI_VARIANCE, VERDICTS, REGRET)
