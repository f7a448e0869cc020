"""The tables of targets: which are met, what changes did, and what came of decisions."""

from __future__ import annotations

from attribution.schema.tables.definition import Column, Table, null

_BASIS = Column("basis", "text", "what counts as return: revenue, margin or ltv")
_COST_BASIS = Column("cost_basis", "text", "which costs count: media or loaded")
_SCOPE = Column("scope", "text", "a channel, a role of channels, or (all)")
_METRIC = Column("metric", "text", "what is measured, see the list of metrics")
_OF_METRIC = "that of the metric; of a target, as its unit says"
_LOW = null(
    "low",
    "number",
    "lower end of the interval; it covers sampling, never bias; null where there are no draws",
    _OF_METRIC,
)
_HIGH = null("high", "number", "upper end of the interval", _OF_METRIC)
_OPEN_HIGH = null(
    "high",
    "number",
    "upper end of the interval; null without one, and where low stands alone: from there on, without an upper end, as "
    "empty_draws is too large",
    _OF_METRIC,
)

KPIS = Table(
    "kpis",
    "target × run: first every target in the run of today, then its metric in other runs, the oldest first",
    (
        Column("target", "integer", "number of the target in the file, from 1"),
        Column("when", "text", "now: the run that is held against the targets; baseline: the pinned run; or earlier"),
        Column("run", "text", "the run that the value is of"),
        null("run_start", "text", "first day of the run; null where its data have no dates"),
        null("run_end", "text", "last day of the run"),
        _METRIC,
        _SCOPE,
        null("role", "text", "role of the channels, such as brand"),
        null("stage", "text", "stage of the business that the target is for"),
        null("funnel_stage", "text", "stage of the funnel that the metric is of"),
        Column("unit", "text", "unit of target and value"),
        Column("owner", "text", "who answers for it"),
        Column("period_start", "text", "first day of the target's period"),
        Column("period_end", "text", "last day of the target's period"),
        null(
            "covered",
            "number",
            "share of these days that the run covers; null where its data have no dates, and unless now",
        ),
        Column("direction", "text", "at_least or at_most"),
        Column("goal", "number", "number that the target asks for", unit=_OF_METRIC),
        null("value", "number", "the metric in the run; null where it is not known", unit=_OF_METRIC),
        _LOW,
        _OPEN_HIGH,
        null(
            "empty_draws",
            "number",
            "share of draws in which there is nothing to divide by, such as no new customer; null without draws",
        ),
        null(
            "threshold",
            "number",
            "what the value is compared with: due_by_now part way through the period, where it is known, else goal",
            unit=_OF_METRIC,
        ),
        null("threshold_in_interval", "flag", "whether the interval holds the threshold; null without an interval"),
        null("probability", "number", "share of draws that meet the threshold; null without draws"),
        null("attainment", "number", "value ÷ goal (goal ÷ value where the target is a most)"),
        null("due_by_now", "number", "goal × covered, for what adds up over days", unit=_OF_METRIC),
        null(
            "verdict",
            "text",
            "attained, missed or undecided; part way, for what adds up, also on_pace, behind_pace or, where a most is "
            "due, over_pace; not_begun or over where the run has no day of the period; unknown; null unless now",
        ),
        null(
            "baseline",
            "number",
            "the metric in the baseline run, on the model and terms of this one; null unless now, and in another "
            "currency",
            unit=_OF_METRIC,
        ),
        null(
            "change",
            "number",
            "value − baseline; of what adds up over days, in a baseline of other days, value − baseline × days of this "
            "run ÷ days of the baseline",
            unit=_OF_METRIC,
        ),
        null("model", "text", "label of the model that gives credit"),
        _BASIS,
        _COST_BASIS,
        Column("note", "text", "what to know of the number"),
    ),
    question="Which targets are met, how surely, and how has each metric moved from run to run?",
)

BEFORE_AFTER = Table(
    "before_after",
    "change that was made",
    (
        Column("change", "text", "what was changed"),
        Column("measure", "text", "the series it is read from"),
        Column("changed_on", "text", "first day after the change"),
        Column("controls", "text", "series that the change cannot have moved"),
        Column("days_before", "integer", "points before"),
        Column("days_after", "integer", "points after"),
        Column("observed", "number", "mean after the change", unit="that of the series"),
        Column("expected", "number", "mean after the change, had things gone on as before", unit="that of the series"),
        Column("effect", "number", "observed − expected, per point", unit="that of the series"),
        null(
            "low",
            "number",
            "lower end of the interval of effect; null where the time before is too short to tell, see warning",
            unit="that of the series",
        ),
        null("high", "number", "upper end of the interval of effect", unit="that of the series"),
        null("total_effect", "number", "effect × days_after", unit="that of the series"),
        null(
            "p_value",
            "number",
            "chance of an effect as large had nothing changed: Student's t, with as many degrees of freedom as "
            "stretches of days_after fit into days_before side by side (20 at most; one less without placebos); at "
            "most 1 − level exactly where 0 lies outside low … high; null where these are",
        ),
        null(
            "widened_by",
            "number",
            "how much wider the interval is than the model alone would have it; ≥ 1, null without an interval",
        ),
        Column("placebos", "integer", "pretended changes"),
        Column("warning", "text", "what speaks against reading the effect as caused by the change; empty if nothing"),
    ),
    question="What did a change, such as a new landing page, do to a series of days?",
)

DECISIONS = Table(
    "decisions",
    "decision",
    (
        Column("decided_on", "text", "day of the decision"),
        Column("what", "text", "what was decided"),
        Column("owner", "text", "who answers for it"),
        Column("due", "text", "day by which the effect is expected"),
        Column("evidence", "text", "the run it rests on"),
        _METRIC,
        _SCOPE,
        null("before", "number", "the metric in that run", unit=_OF_METRIC),
        Column("expected", "number", "what it was expected to become", unit=_OF_METRIC),
        null("now", "number", "the metric in the run of today", unit=_OF_METRIC),
        null("achieved", "number", "(now − before) ÷ (expected − before)"),
        Column("status", "text", "open, reached, not_reached or unknown"),
        Column("note", "text", "why it is unknown; empty where it is known"),
    ),
    question="What came of each decision, against what was expected of it?",
)

KPI_TABLES = (KPIS, BEFORE_AFTER, DECISIONS)
