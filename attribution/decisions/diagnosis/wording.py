"""What tasks say: every sentence that tells what to look at, in one place."""

from __future__ import annotations

LAGGING = "lagging_slice"
WASTED = "wasted_spend"
LOSING = "spend_below_break_even"
CUT = "verdict_cut"
GROW = "verdict_grow"
UNCLEAR = "verdict_unclear"
NO_COST = "credit_without_cost"
MEDIA_ONLY = "media_cost_only"
UNATTRIBUTED = "conversions_without_touchpoint"
TRACKING = "tracking"
LINT = "channel_lint"
BOTTLENECK = "bottleneck"

LOSS, SHORTFALL, GAIN, UNKNOWN = "loss", "shortfall", "gain", "unknown"
ORDER = (LOSS, SHORTFALL, GAIN, UNKNOWN)

ABOUT = {
    LAGGING: SHORTFALL,
    WASTED: LOSS,
    LOSING: UNKNOWN,
    CUT: LOSS,
    GROW: GAIN,
    UNCLEAR: UNKNOWN,
    NO_COST: UNKNOWN,
    MEDIA_ONLY: UNKNOWN,
    UNATTRIBUTED: UNKNOWN,
    TRACKING: UNKNOWN,
    LINT: UNKNOWN,
    BOTTLENECK: GAIN,
}

SIZE_OF = {
    LAGGING: "what it would bring more, if it did as well as the rest",
    WASTED: "what its spend did not earn back",
    LOSING: "what its spend did not earn back, at the estimate",
    CUT: "money at stake in the verdict",
    GROW: "money at stake in the verdict",
    UNCLEAR: "money at stake in the verdict",
    NO_COST: "credited return that no cost stands beside",
    MEDIA_ONLY: "media spend beside which no other cost is known",
    UNATTRIBUTED: "value of these conversions",
    TRACKING: "value or spend of the rows concerned, about",
    LINT: "about: share of touchpoints concerned × value",
    BOTTLENECK: "value of one point more of its rate",
}

NEVER_TOUCHED = "Look for touchpoints that are not tracked or go by another name: money was spent and nobody seen."

LAGS_BY = {
    "rate": "Look at who it reaches and where they land: its journeys turn into conversions less often than the rest.",
    "value": "Look at what these customers buy, at discounts and at returned goods: its conversions are worth less.",
    "cost": "Look at prices and bids, and at costs other than media: a journey that it touches costs more.",
    None: "Look at its rate, value and cost side by side: none of them alone explains the gap.",
}

CHECKS = {
    WASTED: "Stop or shrink it for a while where that can be measured, before it is cut for good: credit is allocated, "
    "not incremental.",
    LOSING: "Find out whether this is chance: set resampling in the experiment, or wait for more conversions.",
    CUT: "Read what would change the verdict, then shrink it step by step and measure.",
    GROW: "Raise it by one step and measure what the next unit of money brings.",
    UNCLEAR: "Gather what decides: an experiment, more conversions, or the cost that is missing.",
    NO_COST: "Find out what it costs, labour and content included; without a cost it has no ROI and no rank.",
    MEDIA_ONLY: "Ask for its fees, labour, content and tools: its ROI is too high beside channels that tell them.",
    UNATTRIBUTED: "Look for touchpoints that are not tracked, ids that do not match, and a lookback window too short.",
    TRACKING: "Mend it in the source or in the query that reads it, then run again.",
    LINT: "Mend tags and channel rules, then run again.",
    BOTTLENECK: "Look at why cases stop at this stage before buying more of them.",
}

TRACKED = {
    ("duplicates", "conversions"): "value",
    ("null_customer", "conversions"): "value",
    ("null_time", "conversions"): "value",
    ("unmatched_customers", "conversions"): "value",
    ("time_order", "conversions"): "value",
    ("duplicates", "touchpoints"): "value",
    ("null_customer", "touchpoints"): "value",
    ("null_channel", "touchpoints"): "value",
    ("loaded_twice", "touchpoints"): "value",
    ("bots", "touchpoints"): "value",
    ("duplicate_costs", "costs"): "repeated",
    ("channels_not_in_touchpoints", "costs"): None,
    ("spend_without_conversion", "costs"): "idle",
    ("unit_jump", "costs"): None,
    ("unit_mix", "costs"): None,
    ("overlapping_periods", "costs"): None,
}
"""Checks of ``quality`` that are tasks, and the money that rows are a share of; None where they tell nothing of it."""
