"""Rows that look like the pages of a visit, and not like the contacts that led to it."""

from __future__ import annotations

from attribution.amounts import percent
from attribution.data.engine import quote, text
from attribution.data.loading.findings import Finding
from attribution.data.loading.load import Sources
from attribution.data.loading.visits import DIRECT, PAGE_KINDS

_MINUTES = 30
"""The gap that analytics tools end a visit after."""

_SHARE = 0.3
"""People click twice, and come back by the same link within the hour; a third of a log does not come of that."""

_LEAST = 20

_SAMPLE = 100_000
"""Larger logs are searched in a part of their customers."""


def check_page_views(sources: Sources) -> Finding:
    """Whether many touchpoints follow another of the same customer within minutes, from the same channel or direct.

    Only for times that are moments, and for logs whose page views are not joined to visits already.
    """
    check, table, total = "page_views", "touchpoints", sources.tables["touchpoints"].rows
    part = total // _SAMPLE + 1
    columns = sources.tables["touchpoints"].columns
    source = [quote(name) for name in ("channel", "campaign") if name in columns]
    tests = ["customer_id is not null", "touched_at is not null"]
    if "kind" in columns:
        tests.append(f"coalesce(lower(trim(kind)), '') in ('', {', '.join(map(text, PAGE_KINDS))})")
    if part > 1:
        tests.append(f"hash(customer_id) % {part} = 0")
    # Copies count once, and rows of one instant go by channel: nothing may depend on the order of rows.
    order = ", ".join(["touched_at", *source])
    window = f"over (partition by {{}} order by {order} rows between unbounded preceding and 1 preceding)"
    before, before_same = (
        f"max(touched_at) {window.format(', '.join(keys))}" for keys in (["customer_id"], ["customer_id", *source])
    )
    is_direct = f"lower(trim(channel)) in ({', '.join(map(text, DIRECT))})"
    gap = _MINUTES * 60_000_000
    (row,) = sources.engine.query(
        f"select count(*) as n, count(*) filter (repeats) as repeated, min(case when repeats then customer_id end) "
        f"as example from (select customer_id, touched_at - before_same <= {gap} or "
        f"({is_direct} and touched_at - before_any <= {gap}) as repeats from (select customer_id, channel, touched_at, "
        f"{before} as before_any, {before_same} as before_same from (select distinct customer_id, touched_at, "
        f"{', '.join(source)} from touchpoints where {' and '.join(tests)})))"
    ).to_pylist()
    share = row["repeated"] / max(row["n"], 1)
    says = f"{percent(share)} of touchpoints follow another of the same customer and channel within {_MINUTES} minutes"
    if row["repeated"] < _LEAST or share < _SHARE:
        return Finding(check, table, "pass", 0, total, None, says)
    message = (
        f"{says}, as the pages of a visit do, and each counts as a touchpoint: set journeys.visit_gap_minutes = "
        f"{_MINUTES} to make visits of them"
    )
    count = round(share * total) if part > 1 else row["repeated"]
    return Finding(check, table, "warn", count, total, str(row["example"]), message)
