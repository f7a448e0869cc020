"""Customers of one table in the other: none, few, or the same ones written in another way."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from attribution.amounts import percent
from attribution.data.engine import text
from attribution.data.loading.findings import Finding, Status
from attribution.data.loading.load import Sources

_MOSTLY_UNMATCHED = 0.5
"""With more converting customers who were never touched than touched, credit tells of a minority."""

_ONLY_CONVERTERS = 100
"""So many customers, all of them converting, are no chance."""

_SEARCHED = 1_000
"""Unmatched customers who are looked for under another spelling: the first in order, the same on any engine."""

_WORTH_SEARCHING = 0.05
"""Fewer customers without a touchpoint than this share are what every log has, and the search costs a scan."""

_NEAR_MISSES = 0.10
"""Share of those searched that must be found in one and the same way: short ids are alike by chance."""

_LEAST_PREFIXED = 10
"""A prefix must explain at least so many: u1 and v1 may well be two customers."""

_PREFIX_LETTERS = " abcdefghijklmnopqrstuvwxyz_-.:/#|"


def check_customers(sources: Sources) -> list[Finding]:
    """Whether customers of conversions and touchpoints are the same people."""
    counts = sources.engine.query(
        "select count(*) as conversions, count(distinct c.customer_id) as customers, "
        "count(distinct f.customer_id) as matched, "
        "coalesce(sum(case when f.first_at <= c.converted_at then 1 else 0 end), 0)::bigint as touched "
        f"from conversions c left join {sources.first_touches} f on c.customer_id = f.customer_id "
        "where c.customer_id is not null and c.converted_at is not null"
    ).to_pylist()[0]
    customers, matched = counts["customers"], counts["matched"]
    return [
        _check_matched(sources, customers, matched),
        _check_touched(counts["conversions"], counts["touched"], matched),
        _check_converters(sources, matched),
        _check_spelling(sources, customers, matched),
    ]


def _check_matched(sources: Sources, customers: int, matched: int) -> Finding:
    unmatched = customers - matched
    status: Status = "fail" if customers and not matched else "pass"
    if matched and unmatched > _MOSTLY_UNMATCHED * customers:
        status = "warn"
    first = None if status == "pass" else sources.engine.query(_unmatched_sql(sources, 1))["customer_id"][0].as_py()
    example = None if first is None else str(first)
    message = f"{percent(unmatched / max(customers, 1))} of converting customers have no touchpoint"
    if status == "warn":
        message += ": check that both tables use the same ids, and that touchpoints begin early enough"
    if status == "fail":
        message = "no converting customer has a touchpoint: use the same customer ids in both tables"
    count = 0 if status == "pass" else unmatched
    return Finding("unmatched_customers", "conversions", status, count, customers, example, message)


def _check_touched(conversions: int, touched: int, matched: int) -> Finding:
    check, table = "no_earlier_touchpoint", "conversions"
    if touched or not matched:
        share = percent(touched / max(conversions, 1))
        message = f"{share} of conversions have an earlier touchpoint of their customer"
        return Finding(check, table, "pass", 0, conversions, None, message)
    message = "every touchpoint is later than its customer's conversions, so no channel can get credit; check the times"
    return Finding(check, table, "fail", conversions, conversions, None, message)


def _check_converters(sources: Sources, matched: int) -> Finding:
    check, table = "only_converters", "touchpoints"
    counts = sources.engine.query(
        "select (select count(customer_id) from touchpoints) as touchpoints, "
        f"(select coalesce(sum(touchpoints), 0)::bigint from {sources.first_touches}) as converting"
    ).to_pylist()[0]
    touchpoints, converting = counts["touchpoints"], counts["converting"]
    if converting < touchpoints or matched < _ONLY_CONVERTERS:
        message = f"{percent(converting / max(touchpoints, 1))} of touchpoints belong to converting customers"
        return Finding(check, table, "pass", 0, touchpoints, None, message)
    message = (
        "all touchpoints belong to converting customers, but Markov and Shapley also need journeys that did not "
        "convert; add the touchpoints of customers who did not convert"
    )
    return Finding(check, table, "warn", touchpoints, touchpoints, None, message)


# ---------------------------------------------------------------- one customer, two spellings


def _check_spelling(sources: Sources, customers: int, matched: int) -> Finding:
    check, table = "customer_spelling", "conversions"
    unmatched = customers - matched
    kind = sources.engine.schema("conversions").field("customer_id").type
    if pa.types.is_integer(kind) or unmatched <= _WORTH_SEARCHING * customers:
        message = (
            "customer ids are integers" if pa.types.is_integer(kind) else "few converting customers have no touchpoint"
        )
        return Finding(check, table, "pass", 0, customers, None, f"{message}, so other spellings were not searched for")
    searched = min(unmatched, _SEARCHED)
    pairs = _near_misses(sources)
    ways = Counter(way for one, other in pairs if (way := difference(one, other)) is not None)
    likely = [
        way
        for way, n in sorted(ways.items(), key=lambda item: (-item[1], item[0]))
        if n >= _NEAR_MISSES * searched and (n >= _LEAST_PREFIXED or not way.startswith("prefix"))
    ]
    if not likely:
        message = f"none of {searched} customers without a touchpoint appears in touchpoints under a similar id"
        return Finding(check, table, "pass", 0, customers, None, message)
    one, other = next(pair for pair in pairs if difference(*pair) == likely[0])
    message = (
        f"{ways[likely[0]]} of {searched} customers without a touchpoint match an id in touchpoints except for "
        f"{likely[0]}: write ids the same way in both tables"
    )
    return Finding(check, table, "warn", ways[likely[0]], searched, f"{one!r} and {other!r}", message)


def difference(one: str, other: str) -> str | None:
    """In what two spellings of an id differ; None if that is more than spelling.

    Examples
    --------
    >>> difference("Ada", "ada "), difference("7", "007"), difference("7", "user_7"), difference("7", "8")
    ('blanks and case', 'leading zeros', "prefix 'user_'", None)
    """
    if one == other:
        return None
    ways = []
    for way, plain in (("blanks", str.strip), ("case", str.lower)):
        if plain(one) != one or plain(other) != other:
            one, other = plain(one), plain(other)
            ways.append(way)
    if one == other:
        return " and ".join(ways)
    digits = [name.lstrip(_PREFIX_LETTERS) for name in (one, other)]
    if not all(name.isdecimal() for name in digits) or int(digits[0]) != int(digits[1]):
        return None
    prefixes = [name.removesuffix(digit) for name, digit in zip((one, other), digits, strict=True)]
    if prefixes[0] == prefixes[1]:
        return "leading zeros"
    return None if all(prefixes) else f"prefix {max(prefixes)!r}"


def _near_misses(sources: Sources) -> list[tuple[str, str]]:
    """Pairs of an unmatched customer and one of touchpoints whose ids may differ in spelling alone."""
    return [
        (row["one"], row["other"])
        for row in sources.engine.query(
            "select u.customer_id as one, min(t.customer_id) as other from "
            f"(select customer_id, {_KEY} as spelling from ({_unmatched_sql(sources, _SEARCHED)})) u join "
            f"(select customer_id, {_KEY} as spelling from "
            "(select distinct customer_id from touchpoints where customer_id is not null)) t "
            "on u.spelling = t.spelling group by u.customer_id order by u.customer_id"
        ).to_pylist()
    ]


_PLAIN = "lower(trim(customer_id))"
_KEY = f"coalesce(try_cast(ltrim({_PLAIN}, {text(_PREFIX_LETTERS)}) as bigint)::varchar, {_PLAIN})"


def _unmatched_sql(sources: Sources, most: int) -> str:
    return (
        f"select c.customer_id from conversions c left join {sources.first_touches} f on c.customer_id = f.customer_id "
        "where f.customer_id is null and c.customer_id is not null and c.converted_at is not null "
        f"group by c.customer_id order by c.customer_id limit {most}"
    )
