"""What further tables add to touchpoints and conversions: channels, codes, persons, accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from attribution.amounts import pluralise
from attribution.data.channels import ChannelRules
from attribution.data.engine import Engine, quote
from attribution.data.loading.contract import check_channels
from attribution.data.loading.findings import Finding, count_finding
from attribution.data.loading.identity import (
    Accounts,
    LinkedRows,
    account_findings,
    identity_findings,
    map_accounts,
    stitch_identities,
)
from attribution.data.loading.marketing import Marketing, Stage, apply_rules, shared_click_findings
from attribution.data.loading.visits import VisitRows, Visits, make_visits
from attribution.errors import InputError
from attribution.schema.tables import RAW_MARKETING

# ---------------------------------------------------------------- QR and coupon codes

OFFLINE, INFERRED = "offline", "inferred"
"""Kinds of touchpoints that a code stands for, and of those that only its redemption shows."""


def read_codes(engine: Engine) -> None:
    """Make the codes table ``known_codes``: each code once, without blanks around it, with channel, campaign, kind.

    Raises
    ------
    InputError
        If a code is given twice, or has a channel that cannot be one.
    """
    columns = engine.schema("codes").names
    campaign, kind = (name if name in columns else "null::varchar" for name in ("campaign", "kind"))
    engine.define(
        "known_codes",
        f"select trim(code) as code, channel, {campaign} as campaign, coalesce({kind}, '{OFFLINE}') as kind from codes",
    )
    repeated = engine.query(
        "select count(*) as n, min(code) as example from "
        "(select code, count(*) as n from known_codes group by code) where n > 1"
    ).to_pylist()[0]
    if repeated["n"]:
        raise InputError(
            f"table 'codes': {pluralise(repeated['n'], 'code')} in more than one row",
            given=repr(repeated["example"]),
            allowed="one channel per code",
        )
    check_channels("codes", engine.query("select distinct channel from known_codes")["channel"].to_pylist())


def name_channels(engine: Engine, stage: Stage) -> tuple[Stage, list[Finding]]:
    """Touchpoints with a code and no channel take channel, campaign and kind from the code."""
    own = stage.text("channel")
    terms = [f"coalesce({own}, k.channel) as channel"]
    for name in ("campaign", "kind"):
        # A code speaks only where the log does not name a channel itself.
        terms.append(f"case when {own} is null then coalesce({stage.text(name)}, k.{name}) else {stage.text(name)} end")
        terms[-1] += f" as {name}"
    names = tuple(name for name in stage.columns if name not in ("channel", "campaign", "kind", "code"))
    joined = f"{stage.view} t left join known_codes k on k.code = trim(t.code)"
    listed = ", ".join([*(f"t.{quote(name)}" for name in names), *terms])
    engine.view("coded_touchpoints", f"select {listed} from {joined}")
    return Stage("coded_touchpoints", (*names, "channel", "campaign", "kind")), [
        _unknown_code_finding(engine, "touchpoints", stage)
    ]


def infer_touchpoints(
    engine: Engine, touched: Sequence[str] | None, converted: Sequence[str]
) -> tuple[tuple[str, ...], list[Finding]]:
    """Add a touchpoint of kind `INFERRED` for each conversion with a code of a channel its customer has not met.

    It lies at the instant of the conversion. Copies of a conversion count once, the earliest.

    Parameters
    ----------
    engine : holds conversions and, unless ``touched`` is None, ``enriched_touchpoints``
    touched : columns of touchpoints; None where there is no such table
    converted : columns of conversions

    Returns
    -------
    Columns of ``touchpoints``, none where there are no touchpoints now either, and findings.
    """
    _redeem(engine, converted)
    engine.define("inferred_touchpoints", _MISSING if touched is None else f"{_MISSING} {_UNMET}")
    counted = engine.query(
        "select (select count(*) from inferred_touchpoints) as n, (select count(*) from redeemed) as total"
    ).to_pylist()[0]
    findings = [
        Finding("inferred_touchpoints", "conversions", "pass", counted["n"], counted["total"], None, _INFERRED),
        _unknown_code_finding(engine, "conversions", Stage("conversions", tuple(converted))),
    ]
    if touched is None and not counted["n"]:
        return (), findings
    has = dict.fromkeys(touched or ()) | dict.fromkeys(_COLUMNS)
    if touched is None:
        engine.view("touchpoints", f"select {', '.join(_COLUMNS)} from inferred_touchpoints")
        return tuple(has), findings
    old = ", ".join(quote(name) if name in touched else f"null::varchar as {quote(name)}" for name in has)
    new = ", ".join(quote(name) if name in _COLUMNS else f"null as {quote(name)}" for name in has)
    engine.view(
        "touchpoints", f"select {old} from enriched_touchpoints union all select {new} from inferred_touchpoints"
    )
    return tuple(has), findings


def _redeem(engine: Engine, converted: Sequence[str]) -> None:
    """Make ``redeemed`` of the conversions that count and redeem a known code."""
    unique = ""
    if "conversion_id" in converted:
        order = ["converted_at", "customer_id", *(name for name in ("value", "code") if name in converted)]
        rank = f"row_number() over (partition by conversion_id order by {', '.join(order)})"
        unique = f"qualify conversion_id is null or {rank} = 1"
    usable = "select * from conversions where customer_id is not null and converted_at is not null"
    engine.define(
        "redeemed",
        "select distinct c.customer_id, c.converted_at, k.channel, k.campaign "
        f"from ({usable} {unique}) c join known_codes k on k.code = trim(c.code)",
    )


_COLUMNS = ("customer_id", "touched_at", "channel", "campaign", "kind")
_MISSING = (
    f"select r.customer_id, r.converted_at as touched_at, r.channel, r.campaign, '{INFERRED}' as kind from redeemed r"
)
_UNMET = (
    "left join (select t.customer_id, t.channel, min(t.touched_at) as first_at from touchpoints t "
    "join (select distinct customer_id, channel from redeemed) s "
    "on s.customer_id = t.customer_id and s.channel = t.channel group by t.customer_id, t.channel) f "
    "on f.customer_id = r.customer_id and f.channel = r.channel and f.first_at <= r.converted_at "
    "where f.customer_id is null"
)
_INFERRED = "codes redeemed without an earlier touchpoint of their channel: a touchpoint at the conversion is added"


def _unknown_code_finding(engine: Engine, table: str, stage: Stage) -> Finding:
    """Codes that are in use, and nobody knows what for."""
    counts = engine.query(
        "select count(*) as total, count(*) filter (k.code is null) as n, "
        f"min(case when k.code is null then t.code end) as example from {stage.view} t "
        "left join known_codes k on k.code = trim(t.code) where trim(t.code) <> ''"
    ).to_pylist()[0]
    message = f"{table} with a code that is not in the codes table: add it there"
    return count_finding("unknown_code", table, counts["n"], message, total=counts["total"], example=counts["example"])


# ---------------------------------------------------------------- all that further tables add

Columns = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Enriched:
    """What came of it.

    Attributes
    ----------
    columns : the tables that are no longer what they were, and their columns
    marketing : what raw marketing columns said, where channel rules were used
    findings : what was found on the way
    """

    columns: Mapping[str, tuple[str, ...]]
    marketing: Marketing | None
    findings: tuple[Finding, ...]


def enrich(
    engine: Engine,
    columns: Columns,
    rules: ChannelRules | None = None,
    account: str | None = None,
    *,
    click_ids: bool = False,
    visits: Visits | None = None,
) -> Enriched:
    """Give touchpoints and conversions what codes, channel rules, identities and accounts say about them.

    A code names the channel of a touchpoint that has none, then channel rules do; page views of a person become
    visits; persons and accounts take the place of customers; only then is it known which codes were redeemed without an
    earlier touchpoint.

    Parameters
    ----------
    engine : holds the canonical tables, and afterwards the enriched ones under the same names
    columns : the canonical tables and their columns
    rules : own channel rules; the default grouping alone unless given
    account : column of ``customers`` whose values own the journeys
    click_ids : whether touchpoints get the click ids of their raw columns
    visits : how page views become visits, and the time zone whose midnight counts; touchpoints stay as they are if None

    Raises
    ------
    InputError
        If something is asked for that the tables do not tell.
    """
    _check_use(columns, rules)
    stitched = ("touchpoints", "conversions", "customers", "lifetimes", "stages")
    stages = {name: Stage(name, tuple(columns[name])) for name in stitched if name in columns}
    before = dict(stages)
    findings: list[Finding] = []
    marketing = None
    if "codes" in columns:
        read_codes(engine)
        if "code" in columns.get("touchpoints", ()):
            stages["touchpoints"], more = name_channels(engine, stages["touchpoints"])
            findings += more
    if set(columns.get("touchpoints", ())) & set(RAW_MARKETING):
        stages["touchpoints"], marketing, more = apply_rules(
            engine, stages["touchpoints"], rules or ChannelRules(), click_ids=click_ids, keep_ignored=visits is not None
        )
        findings += more
    elif "touchpoints" in stages:
        findings += shared_click_findings(engine, stages["touchpoints"])
    mapping, more = find_persons(engine, columns, account)
    findings += more
    if visits is not None:
        pages, persons = stages["touchpoints"], "raw_persons" if "identities" in columns else None
        made, more = make_visits(engine, VisitRows(pages.view, pages.columns, persons), visits)
        stages["touchpoints"] = Stage(made, pages.columns)
        findings += more
    if mapping is not None and mapping.num_rows:
        stages = stitch(engine, stages, mapping)
    redeems = "codes" in columns and "code" in columns["conversions"]
    changed = [name for name in stages if stages[name] != before[name] or (redeems and name == "touchpoints")]
    for name in changed:
        # Every step is a view on the one before; the last is computed once and kept.
        engine.define(f"enriched_{name}", f"select * from {stages[name].view}")
        engine.view(name, f"select * from enriched_{name}")
    updated = {name: stages[name].columns for name in changed}
    if redeems:
        touched, more = infer_touchpoints(engine, updated.get("touchpoints"), columns["conversions"])
        findings += more
        updated |= {"touchpoints": touched} if touched else {}
    return Enriched(updated, marketing, tuple(findings))


def _check_use(columns: Columns, rules: ChannelRules | None) -> None:
    """Refuse what would have no effect, and touchpoints that nothing gives a channel."""
    touched, converted = columns.get("touchpoints", ()), columns.get("conversions", ())
    has_raw = bool(set(touched) & set(RAW_MARKETING))
    if rules is not None and rules != ChannelRules() and not has_raw:
        raise InputError(
            "there are channel rules, but touchpoints have no utm, referrer or url columns to apply them to",
            given=list(touched),
            allowed=RAW_MARKETING,
            hint="where there is a channel column, map these as well, e.g. 'utm_source' in columns",
        )
    if "codes" in columns and "code" not in {*touched, *converted}:
        raise InputError(
            "there is a codes table, but neither touchpoints nor conversions have a column 'code'",
            hint="if it has another name, map 'code' to it in columns",
        )
    if touched and "channel" not in touched and not has_raw and "codes" not in columns:
        raise InputError(
            "touchpoints have a column 'code' but no channel, and there is no codes table",
            hint="add a table 'codes' with the columns code and channel",
        )


def find_persons(engine: Engine, columns: Columns, account: str | None) -> tuple[pa.Table | None, list[Finding]]:
    """Which person, or account, takes the place of which customer id; None where nobody asks."""
    findings: list[Finding] = []
    mapping = None
    if "identities" in columns:
        stitching = stitch_identities(engine.query("select visitor_id, customer_id from identities"))
        mapping = stitching.mapping
        engine.register_arrow("persons", mapping)
        present = [name for name in ("touchpoints", "conversions", "stages") if name in columns]
        findings += identity_findings(stitching, _linked_rows(engine, present))
    if account is not None:
        customers = engine.query(f"select customer_id, {quote(account)} from customers")
        accounts = map_accounts(customers, account, persons=mapping)
        mapping = pa.concat_tables([accounts.mapping, accounts.own_ids])
        findings += [*account_findings(accounts), *_booked_on_accounts(engine, accounts)]
    return mapping, findings


def _booked_on_accounts(engine: Engine, accounts: Accounts) -> list[Finding]:
    """Conversions that are an account's and not one customer's; none where there are none."""
    engine.register_arrow("accounts", accounts.own_ids)
    (row,) = engine.query(
        "select count(*) as n, count(a.id) as booked, min(a.id)::varchar as example from conversions c "
        "left join raw_accounts a on a.id = c.customer_id"
    ).to_pylist()
    if not row["booked"]:
        return []
    message = "conversions whose customer_id is an account (they belong to the journeys of its customers)"
    return [Finding("account_ids", "conversions", "pass", row["booked"], row["n"], row["example"], message)]


def stitch(engine: Engine, stages: Mapping[str, Stage], mapping: pa.Table) -> dict[str, Stage]:
    """Every id replaced by that of its person."""
    engine.register_arrow("stitched", mapping)
    stitched = {}
    for name, stage in stages.items():
        listed = ", ".join(
            "coalesce(m.person, t.customer_id) as customer_id" if column == "customer_id" else f"t.{quote(column)}"
            for column in stage.columns
        )
        stitched[name] = Stage(f"stitched_{name}", stage.columns)
        joined = f"{stage.view} t left join raw_stitched m on m.id = t.customer_id"
        engine.view(stitched[name].view, f"select {listed} from {joined}")
    return stitched


def _linked_rows(engine: Engine, tables: Sequence[str]) -> LinkedRows:
    """What is stitched, counted on the ids as they were."""
    ids = " union ".join(f"select customer_id as id from {name} where customer_id is not null" for name in tables)
    engine.define("known_ids", ids)
    touched = {"touchpoints": 0, "stitched": 0}
    if "touchpoints" in tables:
        touched = engine.query(
            "select count(t.customer_id) as touchpoints, count(p.id) as stitched "
            "from touchpoints t left join raw_persons p on p.id = t.customer_id"
        ).to_pylist()[0]
    customers = engine.query(
        "select count(k.id) as n, count(p.id) as stitched from known_ids k left join raw_persons p on p.id = k.id"
    ).to_pylist()[0]
    unknown = {
        column: engine.query(
            f"select count(*) as n, min(i.{column})::varchar as example from identities i "
            f"left join known_ids k on k.id = i.{column} "
            "where k.id is null and i.visitor_id is not null and i.customer_id is not null"
        ).to_pylist()[0]
        for column in ("visitor_id", "customer_id")
    }
    return LinkedRows(
        touchpoints=touched["touchpoints"],
        stitched_touchpoints=touched["stitched"],
        customers=customers["n"],
        stitched_customers=customers["stitched"],
        unknown_visitors=unknown["visitor_id"]["n"],
        unknown_visitor=unknown["visitor_id"]["example"],
        unknown_customers=unknown["customer_id"]["n"],
        unknown_customer=unknown["customer_id"]["example"],
    )
