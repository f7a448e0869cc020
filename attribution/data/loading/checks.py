"""Checks that look at whole tables, or at two tables at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attribution.amounts import pluralise
from attribution.data.engine import quote
from attribution.data.loading.findings import Finding, Status, count_finding, listed
from attribution.data.loading.load import Sources
from attribution.schema.clicks import MARKS

_LOOKS_LIKE_EPOCH = 1_000_000_000
_FIRST_DAY, _LAST_DAY = 1900_01_01, 2100_12_31


def check_sources(sources: Sources) -> list[Finding]:
    """What the loaded tables show before any journey is built: contracts kept, duplicates, money."""
    findings = [
        Finding("contract", name, "pass", 0, loaded.rows, None, f"columns read: {', '.join(loaded.columns)}")
        for name, loaded in sources.tables.items()
    ]
    findings += _repeated_conversions(sources)
    findings += _repeated_costs(sources)
    findings += _time_order(sources)
    findings += _money(sources)
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
            "conversions that repeat another row in every column: remove them, or map a conversion_id that tells "
            "them apart",
            total=sources.tables["conversions"].rows,
        )
    ]


def repeated_costs(sources: Sources) -> tuple[int, float | None, str | None]:
    """Costs that repeat another in every column: how many, how much in all (None in several currencies), a channel."""
    columns = ", ".join(quote(name) for name in sources.tables["costs"].columns)
    row = sources.engine.query(
        "select coalesce(sum(n - 1), 0)::bigint as n, coalesce(sum((n - 1) * amount), 0)::double as amount, "
        "min(channel) as example "
        f"from (select count(*) as n, {columns} from costs where amount > 0 group by {columns}) where n > 1"
    ).to_pylist()[0]
    return row["n"], None if sources.has("costs", "currency") else row["amount"], row["example"]


def _repeated_costs(sources: Sources) -> list[Finding]:
    if not sources.has("costs"):
        return []
    count, amount, example = repeated_costs(sources)
    message = "no cost repeats another row in every column"
    if count:
        in_all = "" if amount is None else f" ({amount:,.2f} in total)"
        message = (
            f"costs that repeat another row in every column{in_all}: remove them, or map the column that tells "
            "them apart"
        )
    total = sources.tables["costs"].rows
    return [count_finding("duplicate_costs", "costs", count, message, total=total, example=example)]


def _time_order(sources: Sources) -> list[Finding]:
    findings = []
    if sources.integer_times:
        span = sources.engine.query("select min(converted_at) as low, max(converted_at) as high from conversions")
        low, high = span["low"][0].as_py(), span["high"][0].as_py()
        is_day = low is not None and _FIRST_DAY <= low <= high <= _LAST_DAY
        suspect = low is not None and (low >= _LOOKS_LIKE_EPOCH or is_day)
        findings.append(
            count_finding(
                "integer_times",
                "conversions",
                int(suspect),
                "integer times are read as positions; if they are timestamps or days, set time_format = 'epoch_s' "
                "or '%Y%m%d'",
                example=low,
            )
        )
    if sources.has("touchpoints"):
        early = sources.engine.query(
            "select count(*) as n, min(c.customer_id)::varchar as example from conversions c join "
            f"{sources.first_touches} f on c.customer_id = f.customer_id where c.converted_at < f.first_at"
        ).to_pylist()[0]
        findings.append(
            count_finding(
                "time_order",
                "conversions",
                early["n"],
                "conversions before the first touchpoint of their customer: if there are many, check time zones, and "
                "whether touchpoints begin early enough",
                total=sources.tables["conversions"].rows,
                example=early["example"],
            )
        )
    return findings


def _money(sources: Sources) -> list[Finding]:
    findings = []
    for table in ("conversions", "paths"):
        if sources.has(table):
            status: Status = "pass" if sources.has(table, "value") else "warn"
            message = (
                "conversions have values"
                if status == "pass"
                else "no value column: every value and every ROAS is 0; map a value column"
            )
            findings.append(Finding("value_known", table, status, int(status == "warn"), None, None, message))
    has_cost = sources.has("costs") or sources.has("touchpoints", "cost")
    table = "costs" if sources.has("costs") or not has_cost else "touchpoints"
    message = (
        "channels have spend" if has_cost else "no costs: channels are ranked by conversions; add costs to see ROI"
    )
    findings.append(
        Finding("cost_known", table, "pass" if has_cost else "warn", int(not has_cost), None, None, message)
    )
    return findings


def check_channels_known(sources: Sources, touched: Sequence[str]) -> list[Finding]:
    """Channels that have costs and are in no journey's data, and the reverse."""
    if not sources.has("costs"):
        return []
    paid = set(
        sources.engine.query("select distinct channel from costs where channel is not null")["channel"].to_pylist()
    )
    table = "paths" if sources.has("paths") else "touchpoints"
    unknown, unpaid = sorted(paid - set(touched)), sorted(set(touched) - paid)
    message = _UNKNOWN + "".join(
        f"; {name!r}: did you mean {meant!r}?" for name, meant in _match_spellings(unknown, touched)[:5]
    )
    return [
        count_finding(
            f"channels_not_in_{table}", "costs", len(unknown), message, total=len(paid), example=", ".join(unknown[:5])
        ),
        count_finding(
            "channels_not_in_costs", table, len(unpaid), _UNPAID, total=len(touched), example=", ".join(unpaid[:5])
        ),
        *_spend_beside_clicks(sources, unknown),
    ]


def _spend_beside_clicks(sources: Sources, unknown: Sequence[str]) -> list[Finding]:
    """Spend of channels without touchpoints, where clicks of a platform that sells them lie in other channels."""
    if sources.marketing is None:
        return []
    spent = sources.engine.query(
        "select channel, sum(amount)::double as amount from costs where channel is not null and amount > 0 "
        "group by channel order by channel"
    ).to_pylist()
    clicks = sources.marketing.clicks.to_pylist()
    texts, touchpoints = [], 0
    for row in (row for row in spent if row["channel"] in unknown):
        beside = [click for click in clicks if row["channel"] in MARKS[click["mark"]].sells]
        if beside:
            touchpoints += sum(click["touchpoints"] for click in beside)
            texts.append(f"{row['amount']:,.2f} of {row['channel']!r} beside {_describe_clicks(beside)}")
    check, total = "spend_beside_click_ids", float(len(spent))
    if not texts:
        return [
            Finding(
                check, "costs", "pass", 0, total, None, "no spend without touchpoints beside clicks of its platform"
            )
        ]
    is_open = any(MARKS[click["mark"]].proof == "link" for click in clicks)
    remedy = "tag the links of ads (utm_medium = cpc or paid, utm_campaign), or name their channel in a rule"
    if is_open:
        remedy += "; an id that marks posts and ads alike proves no ad"
    message = f"spend of channels without touchpoints: {listed(texts)}: {remedy}"
    return [Finding(check, "costs", "warn", touchpoints, None, texts[0], message)]


def _describe_clicks(clicks: Sequence[Mapping[str, Any]]) -> str:
    by_mark: dict[str, int] = {}
    for click in clicks:
        by_mark[click["mark"]] = by_mark.get(click["mark"], 0) + click["touchpoints"]
    channels = sorted({click["channel"] for click in clicks if click["channel"] is not None})
    marks = listed([f"{n:,} with {mark}" for mark, n in sorted(by_mark.items(), key=lambda item: (-item[1], item[0]))])
    return f"{pluralise(sum(by_mark.values()), 'touchpoint')} ({marks})" + (
        f" in {listed(channels)}" if channels else ""
    )


def spelling_findings(table: str, channels: Iterable[str]) -> list[Finding]:
    """Channels that are the same but for case, blanks and marks; none where there are none.

    Examples
    --------
    >>> [finding.example for finding in spelling_findings("touchpoints", ["Paid Search", "mail", "paid_search"])]
    ["'Paid Search', 'paid_search'"]
    """
    alike: dict[str, list[str]] = {}
    for name in channels:
        alike.setdefault(letters_of(name) or name, []).append(name)
    groups = [", ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if not groups:
        return []
    message = (
        f"channels that are spelled in several ways, and counted as several: {'; '.join(groups[:5])}; write each in "
        "one way in a query, or with channel rules"
    )
    return [count_finding("channel_spellings", table, len(groups), message, total=len(alike), example=groups[0])]


def _match_spellings(unknown: Sequence[str], channels: Sequence[str]) -> list[tuple[str, str]]:
    """Names with the known ones that are the same but for case, blanks and marks.

    Examples
    --------
    >>> _match_spellings(["Video", "paid_search", "tv"], ["Paid Search", "video"])
    [('Video', 'video'), ('paid_search', 'Paid Search')]
    """
    letters = {letters_of(name): name for name in channels}
    return [(name, letters[letters_of(name)]) for name in unknown if letters_of(name) and letters_of(name) in letters]


def letters_of(name: str) -> str:
    """What of a name is left without case, blanks and marks.

    Examples
    --------
    >>> letters_of("Facebook  Ads "), letters_of("(direct) / (none)")
    ('facebookads', 'directnone')
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())


_UNKNOWN = "channels with costs but no touchpoints: they cannot get credit; check how they are spelled"
_UNPAID = "channels with touchpoints but no costs: they have no ROI and no rank; add their costs"
