"""The tables of every run, in exactly these columns and this order."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_MODEL = Column("model", "text", "label of the model")
_ESTIMAND = Column("estimand", "text", "allocated: divides observed conversions; incremental: what ads caused")
_CHANNEL = Column("channel", "text", "channel, (unattributed) or (baseline)")

IS_KNOWN = (
    "whether the number can be read as what it stands for; false where a model of what channels caused cannot tell the "
    "effect of this one: the number is there so that rows add up, and has no interval, no ROI and no rank"
)

CREDIT = Table(
    "credit",
    "model × channel",
    (
        _MODEL,
        _ESTIMAND,
        _CHANNEL,
        Column("conversions", "number", "conversions credited to the channel"),
        Column("value", "number", "value credited to the channel"),
        null(
            "share", "number", "share of credited conversions; null where one is negative, unless that counts as zero"
        ),
        null(
            "conversions_low",
            "number",
            "lower end of the interval; null without resampling, but for what is calibrated; it covers no bias",
        ),
        null("conversions_high", "number", "upper end of the interval; null without resampling"),
        null("value_low", "number", "lower end of the interval; null without resampling and for what is no channel"),
        null("value_high", "number", "upper end of the interval; null without resampling and for what is no channel"),
        null("share_low", "number", "lower end of the interval; null without resampling"),
        null("share_high", "number", "upper end of the interval; null without resampling"),
        null(
            "chance_conversions",
            "number",
            "conversions credited if channels were labels at random; null for what is no channel, and where chance is "
            "turned off",
        ),
        null("chance_value", "number", "value credited if channels were labels at random; null as chance_conversions"),
        null("beyond_conversions", "number", "conversions − chance_conversions; it does not say what was caused"),
        null("beyond_conversions_low", "number", "lower end of the interval; null without resampling"),
        null("beyond_conversions_high", "number", "upper end of the interval; null without resampling"),
        Column("is_known", "flag", IS_KNOWN),
    ),
    question="How many conversions, and how much value, does each model credit to each channel?",
)

CREDIT_BY_POSITION = Table(
    "credit_by_position",
    "Shapley model of the game set × channel × position",
    (
        _MODEL,
        Column("channel", "text", "channel"),
        Column("position", "integer", "1 = first touchpoint of the journey"),
        Column("conversions", "number", "conversions credited to the channel there; positions add up to its credit"),
    ),
    question="At which position in a journey does each channel earn its credit?",
)

AGREEMENT = Table(
    "agreement",
    "model × model within a run, both ways; across runs each pair once. By ROI, or by conversions without spend",
    (
        null("specification_a", "text", "the run of model_a, by the settings that it differs in; null within one run"),
        Column("model_a", "text", "label of the first model"),
        null("specification_b", "text", "the run of model_b, the same or a later one; null within one run"),
        Column("model_b", "text", "label of the second model"),
        Column("channels", "integer", "channels that both rank: the measures are of these"),
        null("kendall_tau", "number", "Kendall tau-b, −1 … 1; null where a ranking is all ties"),
        null("spearman", "number", "Spearman rank correlation, −1 … 1; null where a ranking is all ties"),
        null("rank_biased_overlap", "number", "rank-biased overlap, p = 0.7, 0 … 1"),
        null("top3_overlap", "number", "share of the top three channels that both models name"),
        null("largest_move", "number", "places moved by the channel that moves most"),
    ),
    question="How far do two models, or two runs, rank channels alike?",
)

JOURNEY_CREDIT = Table(
    "journey_credit",
    "model × touchpoint of a converting journey, and what is no channel's",
    (
        _MODEL,
        Column("conversion_id", "id", "the conversion; made from customer, time and occurrence where absent"),
        Column("customer_id", "id", "the customer"),
        null("touched_at", "time", "time of the touchpoint; null for (unattributed) and (baseline)"),
        _CHANNEL,
        null("campaign", "text", "campaign of the touchpoint"),
        null("position", "integer", "1 = first touchpoint of the journey; null for (unattributed) and (baseline)"),
        Column("credit", "number", "share of the conversion; sums to 1 per conversion", unit="conversions"),
        Column("credited_value", "number", "credit × value of the conversion"),
        Column("converted_at", "time", "time of the conversion"),
        null("click_id", "text", "id of the click: of a column mapped to click_id, or of raw columns and url"),
        null("click_id_kind", "text", "its kind: gclid, gbraid, wbraid, msclkid, …; null where it is not known"),
    ),
    question="Which part of each conversion does each touchpoint get?",
)

PUBLISHED_CREDIT = Table(
    "published_credit",
    "model × channel, for models whose totals are published first and then allocated journey by journey",
    (
        _MODEL,
        Column("channel", "text", "channel"),
        Column("published", "number", "conversions credited to the channel"),
        null("allocated", "number", "conversions that the credit of journeys adds up to; null with reconcile = false"),
        null("alone", "number", "conversions of journeys that touched no other channel: the least, without a baseline"),
        null("took_part", "number", "conversions of journeys that touched the channel: the most it can get"),
        null("gap", "number", "allocated − published; not 0 where what is published cannot be allocated"),
        null("group", "integer", "number of the group of channels that together must get more than was published"),
        null("removal_effect", "number", "share of conversions lost without the channel; null where a game published"),
        null("removal_effect_value", "number", "share of value lost then"),
        null("removal_effect_low", "number", "lower end of the interval; null without resampling"),
        null("removal_effect_high", "number", "upper end of the interval; null without resampling"),
        null("removal_effect_value_low", "number", "lower end of the interval; null without resampling"),
        null("removal_effect_value_high", "number", "upper end of the interval; null without resampling"),
    ),
    question="What do published totals come from, and does credit per journey add up to them?",
)

ASSIGNMENT = Table(
    "assignment",
    "hazard model × credited channel",
    (
        _MODEL,
        Column("channel", "text", "channel"),
        null(
            "intent",
            "number",
            "how much more often the channel reaches customers who, by what they did unpaid, are about to convert; 1: "
            "as much as unpaid touchpoints do; null where nothing was screened",
            unit="ratio (1 = 100 %)",
        ),
        null("intent_z", "number", "the same in standard errors", unit="standard errors"),
        null(
            "trait",
            "number",
            "by how much the channel reaches those more often whom it reached before",
            unit="ratio (1 = 100 %)",
        ),
        null("trait_z", "number", "the same in standard errors", unit="standard errors"),
        null(
            "spread",
            "number",
            "squared variation of its reach that other channels' touchpoints predict",
            unit="ratio (1 = 100 %)",
        ),
        null("spread_z", "number", "the same in standard errors", unit="standard errors"),
        null(
            "hausman_z",
            "number",
            "what controlling for traits changes, in standard errors; null without traits",
            unit="standard errors",
        ),
        null(
            "ratio",
            "number",
            "how much more unpaid history says of conversions than of unpaid touchpoints",
            unit="ratio (1 = 100 %)",
        ),
        Column("plain", "number", "conversions that it caused if touchpoints come by chance", unit="conversions"),
        Column("within", "number", "the same, controlled for traits", unit="conversions"),
        null(
            "corrected",
            "number",
            "the same, corrected for intent; null unless it follows intent",
            unit="conversions",
        ),
        Column("published", "number", "what stands in credit", unit="conversions"),
        Column("is_known", "flag", "whether this can be read as what the channel caused"),
        Column("verdict", "text", "chance, harmless, or unknown and why"),
    ),
    question="Do a channel's touchpoints come by chance, or do they follow customers who would convert anyway?",
)

TRANSITIONS = Table(
    "transitions",
    "state × state of the order-1 journey graph",
    (
        Column("from_state", "text", "(start) or a channel"),
        Column("to_state", "text", "a channel, (conversion) or (null)"),
        Column("count", "number", "how often the step was taken", unit="steps"),
        Column("probability", "number", "count ÷ all steps out of from_state"),
    ),
    question="Which channel follows which, and how often?",
)

JOURNEY_PROFILE = Table(
    "journey_profile",
    "measure × bin or channel × outcome",
    (
        Column(
            "measure",
            "text",
            "path_length, time_lag_days, touchpoints, participation, or, with a period, last_touched and "
            "touchpoints_last_touched: as participation and touchpoints, but a journey without a conversion counts "
            "when it was last touched, not when it closes one lookback window later",
        ),
        null("channel", "text", "for touchpoints and participation, and both when last touched"),
        null(
            "bin",
            "number",
            "for path_length touchpoints, for time_lag_days whole days, lower end of the bin",
            unit="touchpoints or days, by measure",
        ),
        Column("outcome", "text", "converted or not_converted"),
        Column(
            "count",
            "number",
            "journeys in the bin (touchpoints for measures of touchpoints)",
            unit="journeys, or touchpoints for measures of touchpoints",
        ),
        Column("share", "number", "count ÷ all journeys (touchpoints) with this outcome; of last_touched ÷ all of it"),
    ),
    question="How long are journeys, and which channels are in those that convert and those that do not?",
)

DISAGREEMENT = Table(
    "disagreement",
    "measure, or measure × channel, or measure × model; before any model is fitted",
    (
        Column(
            "measure",
            "text",
            "recommendation: what to report; one_touchpoint, one_channel, repeats: what journeys are like; "
            "order_first_touch, order_last_touch, order_markov: what touchpoints in random order would change; bounds: "
            "the least and the most that a channel can be credited with; assumption: what a model assumes",
        ),
        null("channel", "text", "the channel, for bounds"),
        null("model", "text", "label of the model, for assumption"),
        null("conversions", "number", "conversions concerned; for bounds took_part − alone"),
        null("share", "number", "share of the conversions with a touchpoint"),
        null("by_chance", "number", "for order_…: the largest share among orders that were drawn"),
        null("alone", "number", "conversions of journeys that touched no other channel: the least credit it can get"),
        null("took_part", "number", "conversions of journeys that touched the channel: the most credit it can get"),
        null("alone_value", "number", "value of journeys that touched no other channel"),
        null("took_part_value", "number", "value of journeys that touched the channel"),
        Column("says", "text", "the same in a sentence"),
    ),
    question="On which channels can models that divide each journey differ at all, and what should be reported?",
)

QUALITY = Table(
    "quality",
    "one check of one table",
    (
        Column("check", "text", "name of the check"),
        Column("table", "text", "the table it looked at"),
        Column("status", "text", "pass, warn or fail"),
        Column("count", "number", "rows concerned", unit="rows"),
        null("total", "number", "rows looked at", unit="rows"),
        null("example", "text", "one offending value"),
        Column("message", "text", "what was found and what was done about it"),
    ),
    question="What was checked of the data and of this run, and what should be looked at?",
)

SEGMENT_CREDIT = Table(
    "segment_credit",
    "segment × model × channel, each segment's journeys alone",
    (
        Column("segment", "text", "value of the segment column, or (none)"),
        _MODEL,
        _ESTIMAND,
        _CHANNEL,
        Column("conversions", "number", "conversions of the segment credited to the channel"),
        Column("value", "number", "value of the segment credited to the channel"),
        null("share", "number", "share of the segment's conversions; null where a total is negative or zero"),
    ),
    question="How does the credit of channels differ between segments of customers?",
)

CHANNEL_LINT = Table(
    "channel_lint",
    "one flaw of the raw marketing columns",
    (
        Column("check", "text", "name of the check"),
        null("source", "text", "source as channel rules read it"),
        null("medium", "text", "medium as channel rules read it"),
        null("campaign", "text", "campaign as channel rules read it"),
        Column("touchpoints", "integer", "touchpoints concerned"),
        Column("message", "text", "what is wrong, and what to do"),
        null("example", "text", "one tag, parameter or click id as the log has it; null where a name says it"),
    ),
    question="Which raw sources, media and campaigns should be tagged better or get a channel rule?",
)

CHANNEL_DAYS = Table(
    "channel_days",
    "channel × day with touchpoints; only where touchpoints have times",
    (
        Column("day", "day", "the day (UTC)"),
        Column("channel", "text", "the channel, as touchpoints name it or channel rules derived it"),
        Column("touchpoints", "integer", "touchpoints of the channel on the day"),
        Column("share", "number", "share of all touchpoints of the day"),
    ),
    question="On which days does a channel appear, vanish or jump?",
)

HELD_OUT = Table(
    "held_out",
    "Markov model × order tried, or × the order it has, and classifier of a game; customers in five folds, each "
    "predicted from the others",
    (
        _MODEL,
        null("order", "integer", "how many channels a state of the chain remembers; null for a classifier"),
        Column("per", "text", "what is predicted: each step of a journey by a chain, each journey by a classifier"),
        null(
            "log_loss",
            "number",
            "mean over folds of the held-out log-loss per step or journey, which are not comparable; null where "
            "nothing was held out, such as of a classifier that was given fitted",
        ),
        null(
            "log_loss_se",
            "number",
            "standard error over folds of the difference to the order with the least log-loss; null where no order "
            "was chosen",
        ),
        null(
            "auc",
            "number",
            "mean over folds of how often a conversion ranks above a null: by its last state, or by the classifier's "
            "probability",
        ),
        null("aic", "number", "Akaike's criterion, fitted on everything; null where no order was chosen"),
        null("bic", "number", "Schwarz's criterion, fitted on everything; null where no order was chosen"),
        null("states", "integer", "states of the chain; null where no order was chosen"),
        null(
            "chosen",
            "flag",
            "whether the model has this order, the smallest within one standard error of the least log-loss; null "
            "where its order was given",
        ),
    ),
    question="How well does each model predict customers it has not seen, and at which order best?",
)

INTERACTIONS = Table(
    "interactions",
    "model × pair of channels",
    (
        _MODEL,
        Column("channel_a", "text", "the first channel of the pair"),
        Column("channel_b", "text", "the second channel of the pair"),
        Column("measure", "text", "second_order_removal (share of conversions) or shapley_interaction"),
        Column(
            "interaction",
            "number",
            "worth of the pair beyond the sum of both; never above 0 for Markov without a continuation, never below 0 "
            "for the game of sets, however channels work together",
            unit="share of conversions, or conversions, by measure",
        ),
    ),
    question="What does each pair of channels bring beyond the sum of both?",
)

OUTPUTS = {
    table.name: table
    for table in (
        CREDIT,
        CREDIT_BY_POSITION,
        AGREEMENT,
        JOURNEY_CREDIT,
        PUBLISHED_CREDIT,
        TRANSITIONS,
        JOURNEY_PROFILE,
        DISAGREEMENT,
        QUALITY,
        SEGMENT_CREDIT,
        CHANNEL_LINT,
        CHANNEL_DAYS,
        HELD_OUT,
        ASSIGNMENT,
        INTERACTIONS,
    )
}
"""What journeys, models and their comparison give; the tables of a section are declared beside the section."""
