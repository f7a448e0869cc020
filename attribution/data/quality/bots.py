"""Touchpoints that no human made, or that were loaded twice."""

from __future__ import annotations

from attribution.amounts import percent
from attribution.data.engine import quote
from attribution.data.loading.findings import Finding, Status, listed, on_day
from attribution.data.loading.load import Sources
from attribution.data.quality.timeline import DAY

_MOST_A_DAY = 500
"""A touchpoint every two minutes of a waking day of 16 hours: no human does that."""

_MOST = 2_000
"""In a whole log: more than five on every day of a year."""

_FAIL_SHARE = 0.5
"""With most touchpoints on such ids, the channels' shares are theirs and not the customers'."""

_PER_BUCKET = 256
"""Touchpoints per bucket of ids on average. Fewer would need more buckets, and more would hide a bot's."""

_SAMPLE = 500_000
"""Larger logs are searched for repetitions in a part of the moments: rows that repeat share theirs."""

_PRIMES = (7, 11, 17, 29, 41, 67, 101, 151, 211, 307)
"""Which part. They divide no second, minute, hour or day, so that whole ones are not left out, or taken, together."""

_LOADED_TWICE = 0.3
"""Share of a day's touchpoints that repeat another. Clicks that are counted twice are far fewer."""

_LEAST_REPEATED = 50


def check_bots(sources: Sources) -> Finding:
    """Whether any id has more touchpoints than a human can have."""
    check, table, total = "bots", "touchpoints", sources.tables["touchpoints"].rows
    crowded = _find_busy_ids(sources, total)
    if not crowded:
        message = f"no id has more than {_MOST_A_DAY} touchpoints"
        return Finding(check, table, "pass", 0, total, None, message)
    suspects = [row for row in crowded if row["n"] > _MOST or row["busiest"] > _MOST_A_DAY]
    count = sum(row["n"] for row in suspects)
    message = (
        f"no id has more than {_MOST:,} touchpoints, or {_MOST_A_DAY} on a day; the highest is {crowded[0]['n']:,}"
    )
    if not suspects:
        return Finding(check, table, "pass", 0, total, None, message)
    status: Status = "fail" if count > _FAIL_SHARE * total else "warn"
    ids = listed([f"{row['customer_id']!r} ({row['n']:,})" for row in suspects])
    message = (
        f"probably bots or ids shared by many people, {len(suspects):,} in number, with {percent(count / total)} "
        "of all "
        f"touchpoints: {ids}; leave them out with a row filter (where)"
    )
    return Finding(check, table, status, count, total, str(suspects[0]["customer_id"]), message)


def _find_busy_ids(sources: Sources, total: int) -> list[dict[str, int]]:
    """Ids with more touchpoints than a day can have, the most frequent first, and their busiest day.

    Counting buckets of ids first leaves few ids to count: a table of all of them would cost as much as a sort.
    """
    bucket = f"hash(customer_id) % {total // _PER_BUCKET + 1}"
    buckets = sources.engine.query(
        f"select {bucket} as bucket from touchpoints where customer_id is not null "
        f"group by 1 having count(*) > {_MOST_A_DAY}"
    )["bucket"].to_pylist()
    if not buckets:
        return []
    among = f"{bucket} in ({', '.join(map(str, sorted(buckets)))})"
    day = "0" if sources.integer_times else f"touched_at - touched_at % {DAY}"
    busiest = "0" if sources.integer_times else "max(n)"
    result: list[dict[str, int]] = sources.engine.query(
        f"select customer_id, sum(n)::bigint as n, {busiest} as busiest from (select customer_id, {day} as day, "
        f"count(*) as n from touchpoints where customer_id is not null and {among} group by 1, 2) "
        f"group by 1 having sum(n) > {_MOST_A_DAY} order by n desc, customer_id"
    ).to_pylist()
    return result


def check_loaded_twice(sources: Sources) -> Finding:
    """Whether whole days of touchpoints are there twice.

    Only for times that are moments: of touchpoints with a mere day, many are alike.
    """
    check, table, total = "loaded_twice", "touchpoints", sources.tables["touchpoints"].rows
    columns = ", ".join(quote(name) for name in sources.tables["touchpoints"].columns)
    part = max((prime for prime in _PRIMES if prime * _SAMPLE <= total), default=1)
    rows = sources.engine.query(
        f"select day, sum(n)::bigint as n, sum(n - 1)::bigint as repeated from (select touched_at - touched_at % {DAY} "
        f"as day, count(*) as n from touchpoints where touched_at % {part} = 0 group by {columns}) "
        "group by day order by day"
    ).to_pylist()
    looked_at, repeated = sum(row["n"] for row in rows), sum(row["repeated"] for row in rows)
    twice = [row for row in rows if row["repeated"] >= max(_LEAST_REPEATED, _LOADED_TWICE * row["n"])]
    share = f"{percent(repeated / max(looked_at, 1))} of touchpoints repeat another row in every column"
    if not twice:
        return Finding(
            check, table, "pass", 0, total, None, f"{share}, but less than {percent(_LOADED_TWICE)} on any day"
        )
    days = [on_day(row["day"]) for row in twice]
    count = round(sum(row["repeated"] for row in twice) * total / looked_at)
    message = f"{share}, most of them on {listed(days)}: check whether a file was loaded twice"
    return Finding(check, table, "warn", count, total, days[0], message)
