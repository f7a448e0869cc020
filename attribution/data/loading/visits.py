"""Page views become visits, each of which is one touchpoint.

A visit begins with a page view that comes from outside after some time without activity, and holds all that follow.
Its source is what Google Analytics 4 calls that of a session: that of the first page view that carries one. Direct
traffic carries none, so that a visit typed in and tagged a minute later is one of the tag. Rows without a channel, such
as walks about the own site and returns from payment pages, carry none and begin nothing, even after a pause.

This happens while tables are read, and not while journeys are built, since the checks of data, the days of nightly
jobs, spend per touchpoint and stages of a funnel are then all about the same touchpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from attribution.amounts import pluralise
from attribution.data.engine import Engine, quote, text
from attribution.data.loading.findings import Finding, listed
from attribution.data.loading.times import DAY
from attribution.errors import InputError
from attribution.schema.experiment import TableSpec, VisitOptions, checked

DIRECT = ("direct",)
"""Channels that carry no source, unless others are named."""

PAGE_KINDS = ("click", "visit", "session", "pageview", "page_view", "page view", "page", "screen_view")
"""Kinds of touchpoints that are part of a visit, as are those without a kind; all others stay as they are."""

_MINUTE = 60_000_000


@dataclass(frozen=True)
class VisitRows:
    """The touchpoints that visits are made of.

    Attributes
    ----------
    view : of touchpoints
    columns : of the view
    persons : a table of ``id`` and ``person``, where people have several ids; visits are those of people
    """

    view: str
    columns: tuple[str, ...]
    persons: str | None = None


class Visits(NamedTuple):
    """How page views become visits, and the IANA time zone whose midnight counts; UTC if None."""

    options: VisitOptions
    zone: str | None = None


def read_visits(
    visits: VisitOptions | Mapping[str, Any] | None, tables: Mapping[str, TableSpec], integer_times: bool | None
) -> Visits | None:
    """The options of visits, checked against the tables that were read; None where touchpoints stay as they are.

    Raises
    ------
    InputError
        If an option is wrong, there are no touchpoints, or their times are mere positions.
    """
    if visits is None:
        return None
    options = visits if isinstance(visits, VisitOptions) else checked(VisitOptions, visits, origin="visits")
    if "touchpoints" not in tables:
        raise InputError(
            "visit_gap_minutes makes visits of touchpoints, and there is no such table",
            given=sorted(tables),
            hint="leave it out, or add a table of touchpoints",
        )
    if integer_times:
        raise InputError(
            "visit_gap_minutes needs timestamps; the times of this log are integers",
            given=f"visit_gap_minutes = {options.visit_gap_minutes:g}",
            hint="leave it out, or set what the integers mean, e.g. time_format = 'epoch_s'",
        )
    return Visits(options, tables["touchpoints"].time_zone)


def make_visits(engine: Engine, rows: VisitRows, visits: Visits) -> tuple[str, list[Finding]]:
    """Name of a view with the same columns and a row for each visit, and what was joined.

    A row has the time of the page view that opened the visit, the sum of costs, and all else from the page view that
    carried its source, or opened it where none did.
    """
    options = visits.options
    _number_rows(engine, rows, options)
    _begin_visits(engine, rows, visits)
    cost = ", sum(cost) as visit_cost" if "cost" in rows.columns else ""
    engine.define(
        "visit_spans",
        "select visit_person, stretch, visit, min(touched_at) as opened_at, count(*) as page_views, "
        f"min(place) as first_place, min(case when carries then place end) as source_place{cost} "
        "from visit_parts group by visit_person, stretch, visit",
    )
    # Where midnight parted a visit, the later part has the source of the earlier one, unless it has one itself.
    in_stretch = "over (partition by visit_person, stretch"
    engine.view(
        "visit_sources",
        f"select *, max(source_place) {in_stretch} order by visit rows between unbounded preceding and current row) "
        f"as known_place, min(first_place) {in_stretch}) as stretch_place from visit_spans",
    )
    own = {"touched_at": "v.opened_at", "cost": "v.visit_cost"}
    parts = [f"{own.get(name, f'r.{quote(name)}')} as {quote(name)}" for name in rows.columns]
    engine.define(
        "visits",
        f"select {', '.join(parts)}, v.visit_person, v.visit, v.page_views, v.known_place is not null as is_sourced "
        "from visit_sources v join visit_rows r "
        "on r.visit_person = v.visit_person and r.place = coalesce(v.known_place, v.stretch_place)",
    )
    made, inherited = "visits", 0
    if options.visit_source == "last_non_direct":
        made, inherited = _inherit_sources(engine, rows, options)
    names = ", ".join(map(quote, rows.columns))
    rest = f"select {names} from {rows.view} t where not ({_is_page(rows)})"
    engine.view("visiting_touchpoints", f"select {names} from {made} union all {rest}")
    return "visiting_touchpoints", _findings(engine, rows, options, inherited)


def _is_page(rows: VisitRows) -> str:
    """SQL: whether a touchpoint ``t`` can be part of a visit."""
    tests = ["t.customer_id is not null", "t.touched_at is not null"]
    if "kind" in rows.columns:
        kinds = ", ".join(map(text, PAGE_KINDS))
        tests.append(f"coalesce(lower(trim(t.kind)), '') in ('', {kinds})")
    if "stage" in rows.columns:
        tests.append("coalesce(trim(t.stage), '') = ''")
    return " and ".join(tests)


def _number_rows(engine: Engine, rows: VisitRows, options: VisitOptions) -> None:
    """Page views of each person in order, and which can open a visit (``opens``) or carry a source (``carries``)."""
    direct = ", ".join(text(name.strip().lower()) for name in options.direct_channels or DIRECT)
    person, joined = "t.customer_id", ""
    if rows.persons is not None:
        person = "coalesce(p.person, t.customer_id)"
        joined = f" left join {rows.persons} p on p.id = t.customer_id"
    opens = "coalesce(trim(t.channel), '') <> ''" if "channel" in rows.columns else "false"
    names = ", ".join(f"t.{quote(name)}" for name in rows.columns)
    engine.view(
        "visit_pages",
        f"select {names}, {person} as visit_person, {opens} as opens, "
        f"{opens} and lower(trim(t.channel)) not in ({direct}) as carries from {rows.view} t{joined} "
        f"where {_is_page(rows)}",
    )
    # Of page views at one instant that with a source comes first; the rest only makes the order one and the same.
    order = ["touched_at", "case when carries then 0 when opens then 1 else 2 end"]
    order += [
        "coalesce(cost, 0)" if name == "cost" else f"coalesce({quote(name)}, '')"
        for name in rows.columns
        if name not in ("customer_id", "touched_at")
    ]
    in_order = f"over (partition by visit_person order by {', '.join(order)})"
    engine.define("visit_rows", f"select *, row_number() {in_order} as place from visit_pages")


def _begin_visits(engine: Engine, rows: VisitRows, visits: Visits) -> None:
    """``visit_parts``: the number of the visit of each page view that is part of one.

    A session is what no pause divides. One that begins with a walk about the own site, or a return from a payment page,
    continues a visit that is over, and is none before a page view carries a source. How a page view is taken therefore
    depends on its session alone, and not on how far back the log goes. A stretch is what visits would be if midnight
    began none.
    """
    options, zone = visits
    earlier = "rows between unbounded preceding and 1 preceding"
    so_far = "over (partition by visit_person order by place rows between unbounded preceding and current row)"
    gap = round(options.visit_gap_minutes * _MINUTE)
    engine.view(
        "visit_pauses",
        f"select *, max(touched_at) over (partition by visit_person order by place {earlier}) as before_at "
        "from visit_rows",
    )
    engine.view(
        "visit_begins",
        "select *, case when before_at is null or touched_at - before_at > "
        f"{gap} then 1 else 0 end as begins from visit_pauses",
    )
    engine.view("visit_sessions", f"select *, sum(begins) {so_far}::bigint as session from visit_begins")
    engine.view(
        "visit_history",
        "select *, max(case when begins = 1 and opens then 1 else 0 end) over (partition by visit_person, session) "
        "as is_entered, max(case when carries then place end) over (partition by visit_person, session order by place "
        f"{earlier}) as source_before from visit_sessions",
    )
    starts = "(h.begins = 1 and h.opens) or (h.carries and h.is_entered = 0 and h.source_before is null)"
    history = "visit_history h"
    if "campaign" in options.visit_breaks:
        history += " left join visit_rows s on s.visit_person = h.visit_person and s.place = h.source_before"
        names = [name for name in ("channel", "campaign") if name in rows.columns]
        same = " and ".join(f"coalesce(s.{name}, '') = coalesce(h.{name}, '')" for name in names)
        starts += f" or (h.carries and not ({same}))"
    later = "false"
    if "midnight" in options.visit_breaks:
        later = f"h.begins = 0 and {_day('h.touched_at', zone)} <> {_day('h.before_at', zone)}"
    columns = ["visit_person", "touched_at", "place", "carries", *(["cost"] if "cost" in rows.columns else [])]
    engine.view(
        "visit_starts",
        f"select {', '.join(f'h.{name}' for name in columns)}, case when {starts} then 1 else 0 end as is_start, "
        f"case when {later} then 1 else 0 end as is_later from {history} "
        "where h.is_entered = 1 or h.carries or h.source_before is not null",
    )
    engine.define(
        "visit_parts",
        f"select *, sum(is_start) {so_far}::bigint as stretch, "
        f"sum(case when is_start + is_later > 0 then 1 else 0 end) {so_far}::bigint as visit from visit_starts",
    )


def _day(column: str, zone: str | None) -> str:
    """SQL for the number of the day of a time, as clocks in ``zone`` have it."""
    local = column if zone is None else f"epoch_us(timezone({text(zone)}, make_timestamptz({column})))"
    return f"floor({local} / {DAY})"


def _inherit_sources(engine: Engine, rows: VisitRows, options: VisitOptions) -> tuple[str, int]:
    """Visits without a source with the channel and campaign of the last one that had one, and how many there are."""
    engine.view(
        "known_visits",
        "select *, max(case when is_sourced then visit end) over (partition by visit_person order by visit "
        "rows between unbounded preceding and current row) as source_visit from visits",
    )
    names = [quote(name) for name in rows.columns]
    is_known = f"(not v.is_sourced and v.touched_at - s.touched_at <= {round(options.lookback_days * DAY)})"
    inherited = {'"channel"', '"campaign"'}
    listed_columns = ", ".join(
        f"case when {is_known} then s.{name} else v.{name} end as {name}" if name in inherited else f"v.{name}"
        for name in names
    )
    engine.define(
        "inherited_visits",
        f"select {listed_columns}, coalesce({is_known}, false) as is_inherited from known_visits v "
        "left join visits s on s.visit_person = v.visit_person and s.visit = v.source_visit",
    )
    counted = engine.query("select count(*) filter (is_inherited) as n from inherited_visits")
    return "inherited_visits", int(counted["n"][0].as_py())


def _findings(engine: Engine, rows: VisitRows, options: VisitOptions, inherited: int) -> list[Finding]:
    counts = engine.query("select count(*) as n, coalesce(sum(page_views), 0)::bigint as pages from visits").to_pylist()
    visits, joined = counts[0]["n"], counts[0]["pages"]
    pages = int(engine.query("select count(*) as n from visit_rows")["n"][0].as_py())
    text_of_visits = (
        f"page views that became {pluralise(visits, 'visit')}, each one touchpoint; a visit begins after "
        f"{options.visit_gap_minutes:g} minutes without activity{_also(options)}"
    )
    findings = [
        Finding("visits", "touchpoints", "pass", joined, pages, None, text_of_visits),
        Finding("outside_visits", "touchpoints", "pass", pages - joined, pages, None, _OUTSIDE),
    ]
    if options.visit_source == "last_non_direct":
        findings.append(Finding("inherited_source", "touchpoints", "pass", inherited, visits, None, _INHERITED))
    if "kind" in rows.columns:
        by_kind = engine.query(
            f"select kind, count(*) as n from {rows.view} t where t.customer_id is not null and t.touched_at is not "
            f"null and not ({_is_page(rows)}) group by kind order by kind"
        ).to_pylist()
        if by_kind:
            kinds = listed([row["kind"] for row in by_kind])
            count = sum(row["n"] for row in by_kind)
            message = "touchpoints of other kinds, or that opened a stage: they are no page views and stay as they are"
            findings.append(Finding("no_page_views", "touchpoints", "pass", count, None, kinds, message))
    return findings


def _also(options: VisitOptions) -> str:
    texts = {"midnight": "at midnight", "campaign": "with another channel or campaign"}
    more = [words for name, words in texts.items() if name in options.visit_breaks]
    return f", and {' and '.join(more)}" if more else ""


_OUTSIDE = (
    "page views after a return from own sites, payment or sign-in pages that came later than a visit lasts (left out): "
    "nobody was sent by them, so they begin no visit"
)
_INHERITED = "direct visits that took over the last known channel of their customer (visit_source)"
