"""What tasks say: every sentence that tells what to look at, in one place."""

from __future__ import annotations

LAGGING = "lagging_slice"
NEVER_TOUCHED = "spend_without_touchpoint"
WASTED = "wasted_spend"
LOSING = "spend_below_break_even"
DOES_NOT_PAY = "does_not_pay"
PAYS = "pays"
LIKELY_PAYS = "likely_pays"
PAYS_UNKNOWN = "unknown_whether_it_pays"
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
    NEVER_TOUCHED: UNKNOWN,
    WASTED: LOSS,
    LOSING: UNKNOWN,
    DOES_NOT_PAY: LOSS,
    PAYS: GAIN,
    LIKELY_PAYS: GAIN,
    PAYS_UNKNOWN: UNKNOWN,
    NO_COST: UNKNOWN,
    MEDIA_ONLY: UNKNOWN,
    UNATTRIBUTED: UNKNOWN,
    TRACKING: UNKNOWN,
    LINT: UNKNOWN,
    BOTTLENECK: GAIN,
}

SIZE_OF = {
    LAGGING: "additional return if it were credited as by chance",
    NEVER_TOUCHED: "spend without a touchpoint",
    WASTED: "spend that was not earned back",
    LOSING: "estimate of the spend that was not earned back",
    DOES_NOT_PAY: "what the spend loses at the least",
    PAYS: "what the spend earns",
    LIKELY_PAYS: "what the spend earns, if the estimate is right",
    PAYS_UNKNOWN: "the larger of what the spend may earn and what it may lose",
    NO_COST: "credited return without a known cost",
    MEDIA_ONLY: "media spend without other known costs",
    UNATTRIBUTED: "value of these conversions",
    TRACKING: "approximate value or spend of these rows",
    LINT: "approximate value: share of these touchpoints × value",
    BOTTLENECK: "value of one percentage point more of its rate",
}

CHECKS = {
    LAGGING: "Check what sets it apart before you change it: credit says where conversions were, and not why.",
    NEVER_TOUCHED: (
        "Look for touchpoints that are not tracked or have another name: money was spent, but there is no touchpoint."
    ),
    WASTED: "Pause or reduce it in one region or for one period and measure the effect before you cut it for good.",
    LOSING: "Check whether this is chance: set resampling in the experiment, or wait for more conversions.",
    DOES_NOT_PAY: "Check what would change the verdict, then reduce spend step by step and measure the effect.",
    PAYS: "Keep it. Raise its spend step by step and test again: more of it returns less per unit.",
    LIKELY_PAYS: "Test it before you spend more: leave it out for some customers or regions, and compare.",
    PAYS_UNKNOWN: "Test it: leave it out for some customers or regions, and compare. No log tells what it caused.",
    NO_COST: "Add its cost, including labour and content: without a cost it has no ROI and no rank.",
    MEDIA_ONLY: (
        "Add its fees, labour, content and tools: without them its ROI is too high compared with other channels."
    ),
    UNATTRIBUTED: "Check for untracked touchpoints, ids that do not match, and a lookback window that is too short.",
    TRACKING: "Correct it in the source or in the query that reads it, then run again.",
    LINT: "Correct the tags or the channel rules, then run again.",
    BOTTLENECK: "Find out why cases stop at this stage before you pay for more of them.",
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
