"""The tables that a calibration gives: what channels caused, what it rests on, and which tests contradict the rest."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

TESTED, CARRIED_OVER, ASSUMPTION = "tested", "carried over", "assumption"
"""What the row of a channel rests on: its own tests, tests of other channels, or nothing but what is assumed."""

INCREMENTAL = Table(
    "incremental",
    "channel",
    (
        Column("channel", "text", "channel"),
        Column("estimand", "text", "incremental: conversions that would not have happened without the channel"),
        Column("mean", "number", "expected conversions that the channel caused: add these up", unit="conversions"),
        Column("median", "number", "it caused as likely more as less", unit="conversions"),
        Column("low", "number", "lower end of the interval; 0 where it may have caused nothing", unit="conversions"),
        Column("high", "number", "upper end of the interval", unit="conversions"),
        null("value", "number", "mean × average value of the conversions it touched; null without values"),
        null("value_low", "number", "lower end of its interval"),
        null("value_high", "number", "upper end of its interval"),
        Column("probability_nothing", "number", "that it caused nothing at all", unit="share (0 … 1)"),
        null("probability_pays", "number", "that it caused more than needed; null where that is", unit="share (0 … 1)"),
        null(
            "needed",
            "number",
            "conversions at which spend just pays: spend ÷ (margin × average value); null without spend or value",
            unit="conversions",
        ),
        null(
            "at_most",
            "number",
            "the most that the log allows without any assumption here: never more than the converters it touched; null "
            "where a model of what was caused is there without an interval",
            unit="conversions",
        ),
        null(
            "known_within",
            "number",
            "factor √(high ÷ low); null where it may have caused nothing",
            unit="ratio (1 = 100 %)",
        ),
        Column("basis", "text", "tested; carried over: only other channels were tested; assumption: no tests"),
        Column("tests", "integer", "tests of the channel", unit="tests"),
    ),
    question="How many conversions did each channel cause, by credit and tests together, and how sure is that?",
)

CALIBRATION_MODELS = Table(
    "calibration_models",
    "model whose credit was calibrated",
    (
        Column("model", "text", "label of the model"),
        Column("weight", "number", "how much it counts, by how well it foretold the tests"),
        Column("log_evidence", "number", "ln of how likely it made them", unit="nats"),
        Column(
            "log_share", "number", "assumed: ln of the share of its credit that channels typically cause", unit="ln"
        ),
        Column("client_spread", "number", "assumed: standard deviation of what all channels have in common", unit="ln"),
        Column("channel_spread", "number", "assumed: standard deviation of what is a channel's own", unit="ln"),
        Column("nothing", "number", "assumed: probability that a channel causes nothing", unit="share (0 … 1)"),
    ),
    question="What is assumed of each model before any test, and which of them foretold the tests best?",
)

CALIBRATION_TESTS = Table(
    "calibration_tests",
    "test",
    (
        Column("test", "text", "name of the test"),
        Column("channel", "text", "channel"),
        Column("effect", "number", "conversions caused, as the test measured them", unit="conversions"),
        Column("standard_error", "number", "its standard error", unit="conversions"),
        Column("expected", "number", "mean of what credit and all other tests say", unit="conversions"),
        Column(
            "probability_lower",
            "number",
            "of a measurement as low or lower, by credit and all other tests",
            unit="share (0 … 1)",
        ),
        Column("contradicts", "flag", "whether that is below 1 % or above 99 %"),
    ),
    question="Does each test agree with credit and the other tests?",
)

CALIBRATION_TABLES = (INCREMENTAL, CALIBRATION_MODELS, CALIBRATION_TESTS)
