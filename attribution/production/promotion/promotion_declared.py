"""The table of a decision to promote."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

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
