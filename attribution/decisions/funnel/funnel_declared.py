"""The tables that a funnel writes: what happens from stage to stage, and which channels it is owed to."""

from __future__ import annotations

import pandas as pd

from attribution.schema.tables.definition import Column, Table, null

_MODEL = Column("model", "text", "label of the model")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed arrivals; incremental: what ads caused")
_STAGE = Column("stage", "text", "stage of the funnel, in the order of funnel.stages")
_CHANNEL = Column("channel", "text", "channel, (unattributed) or (baseline)")
_OF_CHANNELS = "; null for campaigns"
_OF_WINS = "; of channels in the stage that is the win, null elsewhere"
_RATES = "; it covers sampling of arrivals, with credit as it is; null where there are no arrivals"
_PROGRESS = (
    null("rate_to_next", "number", "share that moved on so far; open cases are not lost, so it can still rise"),
    null("rate_matured", "number", "share that moves on in the end, open cases counted up to their age"),
    null(
        "median_days_to_next",
        "number",
        "median days until the next arrival, of those that moved on: shorter than that of all while many are open",
    ),
    null(
        "median_days_of_all",
        "number",
        "days until half of all arrivals have moved on, open cases counted up to their age; null where fewer do",
    ),
    null("win_rate", "number", "share that is won so far"),
    null("median_days_to_win", "number", "days until the win, of those won"),
    null("open_share", "number", "share neither moved on nor lost: not decided yet"),
)
_GAINS = (
    null("wins_through", "number", "wins that passed through here; null from the win on"),
    null(
        "elasticity",
        "number",
        "per cent of all wins gained by one per cent more of the rate: the share of all wins that passed through here, "
        "so 1 by construction of a whole stage that no win skips; null from the win on",
    ),
    null("wins_per_point", "number", "wins gained by one point more of the rate, all else alike; null without one"),
    null("value_per_point", "number", "these, at the average amount of a win"),
)
_MATURED_ENDS = (
    null(
        "rate_matured_low",
        "number",
        "lower end of the interval of rate_matured, wider the more cases are open; null while no outcome is known",
    ),
    null("rate_matured_high", "number", "upper end of the interval of rate_matured"),
)
_ENDS = (
    null("rate_low", "number", f"lower end of the interval of rate_to_next{_RATES}"),
    null("rate_high", "number", "upper end of the interval of rate_to_next"),
    null("win_rate_low", "number", f"lower end of the interval of win_rate{_RATES}"),
    null("win_rate_high", "number", "upper end of the interval of win_rate"),
    *_MATURED_ENDS,
)

FUNNEL = Table(
    "funnel",
    "stage",
    (
        _STAGE,
        Column("arrivals", "integer", "first arrivals of customers, or of deals where they are told apart"),
        Column("customers", "integer", "customers among them"),
        Column("moved_on", "integer", "arrivals followed by one in a later stage"),
        Column("lost", "integer", "arrivals lost, or not moved within window_days"),
        Column("open", "integer", "arrivals neither moved on nor lost when the data end"),
        *_PROGRESS,
        null("rate_low", "number", "lower end of the interval of rate_to_next"),
        null("rate_high", "number", "upper end of the interval of rate_to_next"),
        *_MATURED_ENDS,
        null("win_rate_matured", "number", "share that is won in the end: matured rates, stage after stage"),
        null("value", "number", "amounts of the arrivals; null where none is known"),
        null("value_per_arrival", "number", "win_rate_matured × average amount of a win: what an arrival is worth"),
        Column("skipped", "integer", "arrivals in a later stage without one here or before"),
        Column("out_of_order", "integer", "arrivals dated after one in a later stage"),
        *_GAINS,
        Column("is_bottleneck", "flag", "whether one point more of the rate is worth most here, of all stages"),
    ),
    question="How do cases get from stage to stage, and where is one point more worth most?",
)

FUNNEL_CREDIT = Table(
    "funnel_credit",
    "model × stage × channel, or × campaign within it: column grain says which, and adding up both counts twice",
    (
        _MODEL,
        _ESTIMAND,
        _STAGE,
        Column("grain", "text", "channel: the channel as a whole; campaign: a part of it, where touchpoints name any"),
        _CHANNEL,
        null(
            "campaign", "text", "campaign within the channel; null for the whole channel, and for parts without a name"
        ),
        Column("credit", "number", "arrivals in the stage credited to the channel or campaign", unit="arrivals"),
        null("share", "number", f"share of credited arrivals; null where one is negative{_OF_CHANNELS}"),
        null("value", "number", f"amounts credited to the channel; null where none is known{_OF_CHANNELS}"),
        null(
            "quality",
            "number",
            "average quality of its credited arrivals, of those with one",
            unit="that of the stages table",
        ),
        null("worth", "number", "credited arrivals × value_per_arrival of the stage; null from the win on"),
        null("quality_credit", "number", "credited arrivals, each weighed by its quality", unit="arrivals × quality"),
        null("spend", "number", f"spend in the period; null where none is known{_OF_CHANNELS}"),
        null("cost_per_arrival", "number", "spend ÷ credited arrivals: cost per lead, per MQL, …, per win"),
        null(
            "handling",
            "number",
            f"what working its cases through earlier stages cost; null without funnel.costs{_OF_CHANNELS}",
        ),
        null("full_cost_per_arrival", "number", "(spend + handling) ÷ credited arrivals"),
        *_PROGRESS,
        *_ENDS,
        *_GAINS,
        null("roi", "number", f"(value − spend) ÷ spend: realised{_OF_WINS}"),
        null("full_roi", "number", f"(value − spend − handling) ÷ (spend + handling){_OF_WINS}"),
        null("expected_wins", "number", f"wins expected of its open cases in all stages{_OF_WINS}"),
        null("expected_value", "number", f"value expected of its open cases in all stages{_OF_WINS}"),
        null("roi_if_expected", "number", f"roi if exactly that comes in on top: not realised{_OF_WINS}"),
    ),
    question="Which channels and campaigns do arrivals in a stage come from, at what cost, and what becomes of them?",
)

FUNNEL_TOUCHES = Table(
    "funnel_touches",
    "model × stage that customers were in when touched × channel",
    (
        _MODEL,
        null("stage", "text", "last stage reached before the touchpoint; null before the first"),
        Column("channel", "text", "channel"),
        Column("touchpoints", "integer", "touchpoints before a win, of customers in that stage"),
        Column("credit", "number", "wins credited to them", unit="wins"),
    ),
    question="In which stage were customers when the touchpoints that won them met them?",
)

CONVERSION_RATES = Table(
    "conversion_rates",
    "stage × channel × position in the journey",
    (
        _STAGE,
        Column("channel", "text", "channel"),
        Column("touch_position", "text", "anywhere, first or last in the journey"),
        Column(
            "journeys",
            "number",
            "journeys with the channel there; with a period those that arrived in it, or did not and were last touched "
            "in it",
        ),
        Column(
            "open", "number", "of these, not converted and still within their window when the data end", unit="journeys"
        ),
        Column("arrivals", "number", "of these, ended by an arrival in the stage"),
        null("rate", "number", "arrivals ÷ journeys"),
        null("rate_low", "number", "lower end of the interval"),
        null("rate_high", "number", "upper end of the interval"),
    ),
    question="Which share of the journeys with a channel, anywhere, first or last, ends in a stage?",
)

PIPELINE = Table(
    "pipeline",
    "model × stage × channel, cases that are open when the data end; no part of ROI",
    (
        _MODEL,
        _STAGE,
        _CHANNEL,
        Column("open", "number", "open cases credited to the channel"),
        null("probability", "number", "average probability that they are won"),
        Column("expected_wins", "number", "open cases, each weighed by its probability"),
        null("amount", "number", "their amounts; the average win where none is known"),
        null("expected_value", "number", "amounts, each weighed by its probability"),
        Column("without_amount", "number", "open cases that took the average win for an amount"),
    ),
    question="What is to be expected of the cases that are still open?",
)

FUNNEL_BREAKS = Table(
    "funnel_breaks",
    "stage, as a whole and by channel of the last touchpoint; against its past, and channels against each other",
    (
        _STAGE,
        null("channel", "text", "channel of the last touchpoint before the arrival; null for the stage as a whole"),
        Column("compared_with", "text", "history: arrivals before the recent ones; peers: the other channels"),
        Column("cases", "integer", "arrivals looked at, all old enough to tell"),
        Column("reference_cases", "integer", "arrivals they are compared with"),
        null("drop", "number", "share that did not move on within break_days"),
        null("reference_drop", "number", "the same of the arrivals they are compared with"),
        null("excess", "number", "drop − reference_drop"),
        null("excess_low", "number", "lower end of its interval, corrected for the number of comparisons"),
        null("excess_high", "number", "upper end of its interval"),
        Column("is_break", "flag", "whether the whole interval lies above 0"),
    ),
    question="Where do more cases stop moving on than before, or than those of other channels?",
)

FUNNEL_TABLES = (
    FUNNEL,
    FUNNEL_CREDIT,
    FUNNEL_TOUCHES,
    CONVERSION_RATES,
    PIPELINE,
    FUNNEL_BREAKS,
)


def empty_table(table: Table) -> pd.DataFrame:
    """No rows, in the columns and types of ``table``.

    Examples
    --------
    >>> str(empty_table(PIPELINE)["open"].dtype)
    'float64'
    """
    kinds = {"text": object, "flag": bool, "integer": "int64"}
    return pd.DataFrame({column.name: pd.Series(dtype=kinds.get(column.type, "float64")) for column in table.columns})
