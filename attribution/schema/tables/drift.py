"""The table of drift, which checks of models and of earlier budgets share."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

DRIFT = Table(
    "drift",
    "measure (× model) (× channel)",
    (
        Column(
            "measure",
            "text",
            "channel_mix, path_length, time_lag_days, conversion_rate, value_per_conversion, credit, or roi: of "
            "revenue, on the costs that --costs says; "
            "plan_return: what a channel with spend now, or in an earlier budget, returns",
        ),
        null("model", "text", "label of the model; null where none is asked"),
        null("channel", "text", "channel; null where the row is of all of them"),
        null(
            "training",
            "number",
            "in the training window: a share, a mean, a rate or an ROI; of plan_return what the curve of the earlier "
            "budget says of the spend now, null of a channel that it did not have",
            unit="that of the measure",
        ),
        null(
            "recent",
            "number",
            "in the recent window; of plan_return the return now, in a period as long as that of the earlier data",
            unit="that of the measure",
        ),
        null(
            "change",
            "number",
            "recent ÷ training − 1; of ROI, that of returns per unit of spend",
            unit="ratio (1 = 100 %)",
        ),
        null("psi", "number", "population stability index of the whole distribution, or what a channel adds to it"),
        null(
            "p_value",
            "number",
            "share of ways to call other days of the same weekdays recent that lie as far apart; of plan_return, the "
            "chance of a difference as large from sampling alone (Student's t); null: not tested",
        ),
        null(
            "p_adjusted",
            "number",
            "share of such ways in which any measure at all lies as far apart; of plan_return, p_value corrected "
            "for the number of channels and models compared (Holm)",
        ),
        null(
            "limit",
            "number",
            "what psi, or the size of change, must exceed beside being unlikely",
            unit="that of psi or of change",
        ),
        Column(
            "drifted",
            "flag",
            "whether it is beyond the limit, and p_adjusted at most the level; of plan_return, whether status is "
            "above, below, new or gone",
        ),
        null("spend", "number", "spend now, in a period as long as that of the earlier data; of plan_return only"),
        null(
            "standard_error",
            "number",
            "of recent less training, of sampling both times; of plan_return only, null without resampling",
            unit="money (in a budget: what its objective counts)",
        ),
        null(
            "status",
            "text",
            "of plan_return: below or above where p_adjusted is at most 0.05, else as expected; new or gone; unknown "
            "without a standard error",
        ),
        null("valid_until", "text", "last day of the earlier budget"),
        null("expired", "flag", "whether that day lies before the end of the data"),
    ),
    question="What has moved since a model was fitted or a budget was planned, and is that more than chance?",
)
