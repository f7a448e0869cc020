"""The tables of stability: models on parts of the time, and on customers that they have not seen."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_MODEL = Column("model", "text", "label of the model")

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
