"""Checks that look at whole tables, or at two tables at once."""

from __future__ import annotations

from attribution.engine import quote
from attribution.sources.load import Sources
from attribution.sources.quality import Finding, Status, count_finding

_LOOKS_LIKE_EPOCH = 1_000_000_000


def check_sources(sources: Sources) -> list[Finding]:
    """What the loaded tables show before any journey is built: contracts kept, duplicates, money, channels."""
    findings = [
        Finding("contract", name, "pass", 0, loaded.rows, None, f"columns read: {', '.join(loaded.columns)}")
        for name, loaded in sources.tables.items()
    ]
    findings += _repeated_conversions(sources)
    findings += _time_order(sources)
    findings += _money(sources)
    findings += _channels(sources)
    return findings


def _repeated_conversions(sources: Sources) -> list[Finding]:
    if not sources.has("conversions"):
        return []
    columns = ", ".join(quote(name) for name in sources.tables["conversions"].columns)
    count = sources.engine.query(
        f"select coalesce(sum(n - 1), 0)::bigint as n from (select count(*) as n from conversions group by {columns})"
    )["n"][0].as_py()
    return [
        count_finding(
            "duplicates",
            "conversions",
            count,
            "conversions that repeat another in every column",
            total=sources.tables["conversions"].rows,
        )
    ]


def _time_order(sources: Sources) -> list[Finding]:
    found = []
    if sources.integer_times:
        largest = sources.engine.query("select min(converted_at) as v from conversions")["v"][0].as_py()
        suspect = largest is not None and largest >= _LOOKS_LIKE_EPOCH
        found.append(
            count_finding(
                "integer_times",
                "conversions",
                int(suspect),
                "integer times are positions; if they count from 1970, set time_format = 'epoch_s'",
                example=largest,
            )
        )
    if sources.has("touchpoints"):
        early = sources.engine.query(
            "select count(*) as n, min(c.customer_id)::varchar as example from conversions c join "
            "(select customer_id, min(touched_at) as first from touchpoints group by customer_id) t "
            "on c.customer_id = t.customer_id where c.converted_at < t.first"
        ).to_pylist()[0]
        found.append(
            count_finding(
                "time_order",
                "conversions",
                early["n"],
                "conversions before the first touchpoint of their customer",
                total=sources.tables["conversions"].rows,
                example=early["example"],
            )
        )
    return found


def _money(sources: Sources) -> list[Finding]:
    found = []
    for table in ("conversions", "paths"):
        if sources.has(table):
            status: Status = "pass" if sources.has(table, "value") else "warn"
            message = (
                "value of conversions" if status == "pass" else "no value column: every value is 0, so is every ROAS"
            )
            found.append(Finding("value_known", table, status, int(status == "warn"), None, None, message))
    has_cost = sources.has("costs") or sources.has("touchpoints", "cost")
    table = "costs" if sources.has("costs") or not has_cost else "touchpoints"
    message = "spend of channels" if has_cost else "no cost anywhere: no ROI, channels are ranked by conversions"
    found.append(Finding("cost_known", table, "pass" if has_cost else "warn", int(not has_cost), None, None, message))
    return found


def _channels(sources: Sources) -> list[Finding]:
    if not (sources.has("costs") and sources.has("touchpoints")):
        return []
    found = []
    for here, there, meaning in (
        ("costs", "touchpoints", "channels with costs and no touchpoint: they can get no credit"),
        ("touchpoints", "costs", "channels with touchpoints and no costs: no ROI, no rank"),
    ):
        row = sources.engine.query(
            f"select count(*) as n, (list(channel order by channel)[:5])::varchar as example from "
            f"(select distinct channel from {here} where channel is not null except select channel from {there})"
        ).to_pylist()[0]
        found.append(count_finding(f"channels_not_in_{there}", here, row["n"], meaning, example=row["example"]))
    return found
