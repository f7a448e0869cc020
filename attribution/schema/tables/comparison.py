"""The tables of a comparison: runs side by side, how far they agree, and what that means for each channel."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_SPECIFICATION = Column("specification", "text", "the run, by the settings that it differs in")
_MODEL = Column("model", "text", "label of the model in that run")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused")
_CHANNEL = Column("channel", "text", "channel")

COMPARISON = Table(
    "comparison",
    "specification × model × channel",
    (
        _SPECIFICATION,
        _MODEL,
        _ESTIMAND,
        _CHANNEL,
        null("spend", "number", "spend; null where none is known"),
        Column("conversions", "number", "credited conversions"),
        Column("value", "number", "credited value"),
        null("roi", "number", "ROI on the terms that the run ranks channels by; null where there is no spend"),
        null("roi_low", "number", "lower end of its interval; null where the run drew none"),
        null("roi_high", "number", "upper end of its interval"),
        null("rank", "number", "1 is the highest; ties share their average"),
        null("rank_change_from_baseline", "number", "rank − rank under the baseline model of the same specification"),
        null("roi_change", "number", "ROI − ROI under the same model in the first specification"),
        null("rank_change", "number", "rank − rank under the same model in the first specification"),
    ),
)

COMPARISON_AGREEMENT = Table(
    "comparison_agreement",
    "pair of model and specification, on the channels that both rank",
    (
        Column("specification_a", "text", "one specification"),
        Column("model_a", "text", "a model in it"),
        Column("specification_b", "text", "the same specification or a later one"),
        Column("model_b", "text", "a model in that"),
        Column("channels", "integer", "channels that both rank"),
        null("kendall_tau", "number", "Kendall tau-b, −1 … 1; null where a ranking is all ties"),
        null("spearman", "number", "Spearman rank correlation, −1 … 1; null where a ranking is all ties"),
        null("rank_biased_overlap", "number", "rank-biased overlap, p = 0.7, 0 … 1"),
        null("top3_overlap", "number", "share of the top three channels that both name"),
        null("largest_move", "number", "places moved by the channel that moves most"),
    ),
)

COMPARISON_VERDICTS = Table(
    "comparison_verdicts",
    "estimand × channel with spend",
    (
        _ESTIMAND,
        _CHANNEL,
        Column("verdict", "text", "pays under every, pays under none, or depends"),
        Column("tried", "integer", "models × specifications that give it an ROI"),
        Column("pays", "number", "share of these in which ROI is above 0"),
        Column("roi_least", "number", "smallest ROI"),
        Column("roi_most", "number", "largest ROI"),
        Column("rank_best", "number", "best rank"),
        Column("rank_worst", "number", "worst rank"),
        Column("moved_by_model", "number", "largest − smallest ROI over models, mean over specifications"),
        Column("moved_by_settings", "number", "largest − smallest ROI over specifications, mean over models"),
    ),
)

STABILITY = Table(
    "stability",
    "model × pair of neighbouring parts of the time",
    (
        _MODEL,
        Column("part", "integer", "number of the earlier part, from 1"),
        Column("ends_at", "time", "last microsecond of the earlier part"),
        Column("conversions_before", "number", "conversions in the earlier part"),
        Column("conversions_after", "number", "conversions in the later part"),
        null("kendall_tau", "number", "Kendall tau-b of credited conversions in both parts; null where all tie"),
        Column("share_moved", "number", "share of credit that is with other channels in the later part, 0 … 1"),
    ),
)

HELD_OUT = Table(
    "held_out",
    "model that foretells: a Markov chain, or the classifier of a game; customers in five folds, each foretold from "
    "the others",
    (
        _MODEL,
        null("order", "integer", "how many channels a state of the chain remembers; null for a classifier"),
        Column("per", "text", "what is foretold: each step of a journey by a chain, each journey by a classifier"),
        null(
            "log_loss",
            "number",
            "mean over folds of the held-out log-loss per step or journey, which are not comparable; null where "
            "nothing was held out, such as of a classifier that was given fitted",
        ),
        null(
            "auc",
            "number",
            "mean over folds of how often a conversion ranks above a null: by its last state, or by the classifier's "
            "probability",
        ),
    ),
)

PROMOTION = Table(
    "promotion",
    "check of a model that is to take the place of another",
    (
        Column("check", "text", "what was looked at, on the held-out window"),
        Column("bound", "number", "the most that is allowed", unit="that of the check"),
        null("champion", "number", "what was found of the model in place; null without one", unit="that of the check"),
        null(
            "challenger",
            "number",
            "what was found of the other; null where its laws are broken",
            unit="that of the check",
        ),
        Column("holds", "flag", "whether the challenger keeps to the bound"),
    ),
)

COMPARISON_TABLES = (COMPARISON, COMPARISON_AGREEMENT, COMPARISON_VERDICTS, STABILITY, HELD_OUT, PROMOTION)
