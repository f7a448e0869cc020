"""The tables that a run with ``[sensitivity]`` writes: ROI under every specification, verdicts and regret."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null
from attribution.uncertainty.intervals_declared import DIFFERENCES, RANK_PROBABILITY

AVERAGE, NO_CHANGE = "(average)", "(no change)"
"""What may be acted on besides a model."""

_MODEL = Column("model", "text", "label of the model")
_ESTIMAND = Column("estimand", "text", "allocated: credit that divides observed conversions, not what ads caused")
_CHANNEL = Column("channel", "text", "channel with a cost of its own")
_TRIED = "over all models of the estimand, windows, policies, cost bases and draws"

SPECIFICATIONS = Table(
    "specifications",
    "model × lookback window × direct policy × cost basis × channel with spend",
    (
        _MODEL,
        _ESTIMAND,
        null("lookback_days", "number", "lookback window; null where times are positions or there are none"),
        Column("direct", "text", "what becomes of touchpoints of direct traffic: keep, drop_if_other or drop"),
        Column("cost_basis", "text", "media or loaded"),
        Column("basis", "text", "what counts as return: revenue, margin or ltv"),
        _CHANNEL,
        Column("is_own", "flag", "whether window, policy and cost basis are the run's own"),
        null("spend", "number", "cost of the channel; null where none of its own is known"),
        Column("value", "number", "credited return"),
        null("roi", "number", "(value − spend) ÷ spend"),
        null("roi_low", "number", "lower end of the interval; it covers sampling of customers, never bias"),
        null("roi_high", "number", "upper end of the interval"),
        null("rank", "number", "by ROI within the specification, 1 is the highest; ties share their average"),
    ),
    question="What is the ROI of a channel under every choice that could have been made?",
)

ROI_VARIANCE = Table(
    "roi_variance",
    "estimand × channel × source of variance; every combination of choices counts alike",
    (
        _ESTIMAND,
        _CHANNEL,
        Column(
            "source",
            "text",
            "model, lookback_days, direct, cost_basis; interactions of these; sampling, alone and with any of them",
        ),
        null("variance", "number", "of ROI; null where it is too large for a number"),
        null("share", "number", "of all its variance; the shares of a channel sum to 1; null where it never varies"),
        null("share_any", "number", "what the source has any part in, its interactions included; null for these"),
    ),
    question="Which choice does the ROI of a channel depend on most?",
)

VERDICTS = Table(
    "verdicts",
    "estimand × channel",
    (
        _ESTIMAND,
        _CHANNEL,
        Column("verdict", "text", "grow, keep, cut or not enough evidence"),
        Column("probability", "number", f"that what the verdict claims is so, {_TRIED}; else of the likeliest claim"),
        Column("probability_least", "number", "the same under the specification in which it is smallest"),
        Column("probability_grow", "number", "that one unit of money more pays, at the least incremental share"),
        Column("probability_keep", "number", "that the spend pays on average, at the least incremental share"),
        Column("probability_cut", "number", "that it does not pay, at the most incremental share and once matured"),
        Column("spend", "number", "mean cost over specifications"),
        Column("roi", "number", "mean ROI at face value of the credit"),
        Column("roi_low", "number", "smallest lower end of an interval under any specification"),
        Column("roi_high", "number", "largest upper end of an interval under any specification"),
        Column(
            "money_at_stake",
            "number",
            "grow: gained by a step more; keep: earned; cut: lost; else the larger of what may be earned or lost",
        ),
        null("days_to_flip", "number", "smallest change of the run's window with another verdict; null: none tried"),
        null("margin_points_to_flip", "number", "smallest change of margin with another verdict, in percentage points"),
        null("cost_to_flip", "number", "missing cost, in money, that would change the verdict; null: none would"),
        null("lost_touchpoints_to_flip", "number", "share of its own touchpoints that, if unseen, would change it"),
        null("others_lost_to_flip", "number", "share of all other touchpoints that, if unseen, would change it"),
        null("share_to_break_even", "number", "share of its credit that it must have caused for its spend to pay"),
        null("maturity", "number", "share of the conversions after its touchpoints that have come by the end of data"),
        null("assumptions", "text", "what its models assume of effects and did not learn; null where nothing"),
        Column("says", "text", "the verdict as a sentence"),
    ),
    question="What should be done with a channel, and what would change that?",
)

REGRET = Table(
    "regret",
    "model acted on × model that is right, in the run's own window, policy and cost basis",
    (
        _ESTIMAND,
        Column("acting_on", "text", "label of a model, (average) of them, or (no change) of spend"),
        Column("if_right", "text", "label of the model whose credit is right"),
        Column("regret", "number", "return lost against acting on the right one; mean over draws"),
        Column("regret_low", "number", "lower end of its interval; it covers sampling of customers, never bias"),
        Column("regret_high", "number", "upper end of its interval"),
        Column("moved", "number", "money that acting on it moves between channels"),
        Column("worst", "number", "largest regret of acting on it, whichever model is right"),
        Column("is_minimax", "flag", "whether its worst regret is the smallest of all"),
    ),
    question="What is lost by acting on one model if another is right?",
)

SENSITIVITY_TABLES = (SPECIFICATIONS, RANK_PROBABILITY, DIFFERENCES, ROI_VARIANCE, VERDICTS, REGRET)
