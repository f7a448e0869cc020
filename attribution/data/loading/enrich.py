"""What further tables add to touchpoints and conversions: channels, codes, persons, accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from attribution.amounts import pluralise
from attribution.data.channels import (
    ChannelRules,
    Evidence,
    Flaw,
    id_table,
    lint_evidence,
    match_rules,
    group_channels,
    read_evidence,
)
from attribution.data.engine import Engine, quote, text
from attribution.data.loading.contract import check_channels
from attribution.data.loading.findings import Finding, count_finding
from attribution.data.loading.identity import (
    LinkedRows,
    account_findings,
    identity_findings,
    map_accounts,
    stitch_identities,
)
from attribution.errors import InputError
from attribution.schema.clicks import MARKS, UNPAID_CHANNELS
from attribution.schema.tables import RAW_MARKETING

# ---------------------------------------------------------------- QR and coupon codes

OFFLINE, INFERRED = "offline", "inferred"
"""Kinds of touchpoints that a code stands for, and of those that only its redemption shows."""


@dataclass(frozen=True)
class Stage:
    """A table on its way: what the engine knows it as by now, and its columns."""

    view: str
    columns: tuple[str, ...]

    def text(self, name: str) -> str:
        """SQL for a text column of ``t``: null where it is blank, or where there is no such column."""
        if name not in self.columns:
            return "null::varchar"
        return f"case when trim(t.{quote(name)}) <> '' then t.{quote(name)} end"


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
) -> Enriched:
    """Give touchpoints and conversions what codes, channel rules, identities and accounts say about them.

    A code names the channel of a touchpoint that has none, then channel rules do; persons and accounts take the
    place of customers; only then is it known which codes were redeemed without an earlier touchpoint.

    Parameters
    ----------
    engine : holds the canonical tables, and afterwards the enriched ones under the same names
    columns : the canonical tables and their columns
    rules : own channel rules; the default grouping alone unless given
    account : column of ``customers`` whose values own the journeys
    click_ids : whether touchpoints get the click ids of their raw columns

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
            engine, stages["touchpoints"], rules or ChannelRules(), click_ids=click_ids
        )
        findings += more
    elif "touchpoints" in stages:
        findings += shared_click_findings(engine, stages["touchpoints"])
    mapping, more = find_persons(engine, columns, account)
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


@dataclass(frozen=True)
class Marketing:
    """What raw marketing columns said.

    Attributes
    ----------
    lint : the ``channel_lint`` table
    clicks : ``mark``, ``channel`` (null: of the log's own) and ``touchpoints``: what marks clicks, and where they went
    days : ``start``, rows ``n`` and, for each raw column, rows with a value, by day
    """

    lint: pa.Table
    clicks: pa.Table
    days: pa.Table


def apply_rules(
    engine: Engine, stage: Stage, rules: ChannelRules, *, click_ids: bool
) -> tuple[Stage, Marketing, list[Finding]]:
    """Touchpoints with the channel and campaign that channel rules derive where there are none; findings.

    With ``click_ids`` they have these and their kinds, too.
    """
    raw = [name for name in RAW_MARKETING if name in stage.columns]
    listed = ", ".join(quote(name) for name in raw)
    own = {name: stage.text(name) for name in ("channel", "campaign")}
    unpaid = ", ".join(text(name.lower()) for name in UNPAID_CHANNELS)
    # Sorted, so that nothing depends on the order in which the engine finds them.
    combinations = engine.query(
        f"select {listed}, count(*) filter ({own['channel']} is null) as touchpoints, "
        f"count(*) filter ({own['channel']} is null and {own['campaign']} is null) as without_campaign, "
        f"count(*) filter (lower(trim({own['channel']})) in ({unpaid})) as unpaid, count(*) as n "
        f"from {stage.view} t group by {listed} order by {listed}",
        table="touchpoints",
    )
    evidence = read_evidence(combinations.select(raw), rules.own_sites)
    by_rule = match_rules(evidence, rules, combinations)
    channel = group_channels(evidence, by_rule, rules)
    derived = {"channel": channel.to_arrow(), "campaign": evidence.tags["utm_campaign"].to_arrow()}
    if click_ids:
        for name, ids in zip(("click_id", "click_id_kind"), id_table(evidence).columns, strict=True):
            derived[name], own[name] = ids, stage.text(name)
    mapping = combinations.select(raw)
    for name in own:
        mapping = mapping.append_column(f"derived_{name}", derived[name])
    engine.register_arrow("derived", mapping)
    same = " and ".join(f"t.{quote(name)} is not distinct from d.{quote(name)}" for name in raw)
    names = [name for name in stage.columns if name not in (*raw, *own)]
    terms = [f"coalesce({sql}, d.derived_{name}) as {name}" for name, sql in own.items()]
    listed = ", ".join([*(f"t.{quote(name)}" for name in names), *terms])
    engine.view("channelled_touchpoints", f"select {listed} from {stage.view} t join raw_derived d on {same}")
    shared = _find_shared_clicks(engine, stage, combinations, evidence)
    lint = lint_evidence(evidence, combinations, rules, by_rule, channel, further=shared)
    total = pc.sum(combinations["touchpoints"]).as_py() or 0
    marketing = Marketing(lint, _count_clicks(combinations, evidence, derived["channel"]), _count_days(engine, stage))
    return Stage("channelled_touchpoints", (*names, *own)), marketing, _lint_findings(lint, total)


def _count_clicks(combinations: pa.Table, evidence: Evidence, channel: pa.Array) -> pa.Table:
    ruled = combinations["touchpoints"]
    parts = [
        pa.table({"mark": evidence.click.to_arrow(), "channel": channel, "touchpoints": ruled}),
        pa.table(
            {
                "mark": evidence.click.to_arrow(),
                "channel": pa.nulls(len(channel), pa.string()),
                "touchpoints": pc.subtract(combinations["n"], ruled),
            }
        ),
    ]
    rows = pa.concat_tables(parts)
    rows = rows.filter(pc.and_(pc.is_valid(rows["mark"]), pc.greater(rows["touchpoints"], 0)))
    sums = rows.group_by(["mark", "channel"]).aggregate([("touchpoints", "sum")])
    sums = sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names])
    return sums.select(["mark", "channel", "touchpoints"]).sort_by([("mark", "ascending"), ("channel", "ascending")])


DAY = 86_400_000_000
_BY_DAY = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "referrer", "url")


def _count_days(engine: Engine, stage: Stage) -> pa.Table:
    """How many rows have each raw column, by day: the touchpoints have them no longer."""
    names = [name for name in _BY_DAY if name in stage.columns]
    counts = "".join(f", count({stage.text(name)}) as {quote(name)}" for name in names)
    return engine.query(
        f"select touched_at - touched_at % {DAY} as start, count(*) as n{counts} from {stage.view} t "
        "where touched_at is not null group by 1 order by 1",
        table="touchpoints",
    )


# ---------------------------------------------------------------- one click id on many people

_MANY = 5
"""A person may have a few cookies; a click has one person."""


def _find_shared_clicks(engine: Engine, stage: Stage, combinations: pa.Table, evidence: Evidence) -> list[Flaw]:
    """Ids of paid clicks that come with many customers: one link that was passed on or kept, not many clicks."""
    kinds = evidence.click_id_kind
    is_single = kinds.where(lambda name: MARKS[name].is_unique and MARKS[name].proof != "link")
    ids = pc.if_else(pa.array(is_single), evidence.click_id, None)
    if "click_id" in stage.columns:
        return _ask_shared(engine, f"{stage.view} t", stage.text("click_id"), "click_id")
    rows = pa.table({"id": ids, "n": combinations["n"]}).filter(pc.is_valid(ids))
    sums = rows.group_by("id").aggregate([("n", "sum")])
    frequent = sums.filter(pc.greater_equal(sums["n_sum"], _MANY))["id"]
    if not len(frequent):
        return []
    raw = [name for name in RAW_MARKETING if name in stage.columns]
    suspects = combinations.select(raw).append_column("shared_id", ids)
    suspects = suspects.append_column("shared_kind", kinds.to_arrow())
    engine.register_arrow("suspects", suspects.filter(pc.is_in(ids, frequent)))
    same = " and ".join(f"t.{quote(name)} is not distinct from d.{quote(name)}" for name in raw)
    return _ask_shared(engine, f"{stage.view} t join raw_suspects d on {same}", "d.shared_id", "d.shared_kind")


def _ask_shared(engine: Engine, view: str, click_id: str, kind: str) -> list[Flaw]:
    kind = f"min({kind})" if kind.startswith("d.") else f"'{kind}'"
    rows = engine.query(
        f"select {click_id} as id, {kind} as kind, count(distinct t.customer_id) as people, count(*) as n from {view} "
        f"where {click_id} is not null group by 1 having count(distinct t.customer_id) >= {_MANY} order by 1",
        table="touchpoints",
    ).to_pylist()
    message = (
        "one id of a click on {:,} customers: a link that was shared or bookmarked, not as many clicks; leave these rows "
        "out with where, or take the id out of the link"
    )
    return [
        Flaw("shared_click_id", None, None, None, row["n"], message.format(row["people"]), f"{row['kind']}={row['id']}")
        for row in rows
    ]


def shared_click_findings(engine: Engine, stage: Stage) -> list[Finding]:
    """The same of touchpoints that have click ids and no raw marketing columns."""
    if "click_id" not in stage.columns:
        return []
    return [
        _flaws_finding("shared_click_id", _ask_shared(engine, f"{stage.view} t", stage.text("click_id"), "click_id"))
    ]


def _flaws_finding(check: str, flaws: list[Flaw]) -> Finding:
    message = flaws[0].message if flaws else "no id of a click comes with many customers"
    example = flaws[0].example if flaws else None
    return count_finding(check, "touchpoints", sum(flaw.touchpoints for flaw in flaws), message, example=example)


_LINT = {
    "unmapped": "pairs of source and medium that match no channel rule",
    "near_duplicate_source": "sources that differ only in spelling",
    "near_duplicate_medium": "mediums that differ only in spelling",
    "near_duplicate_campaign": "campaigns that differ only in spelling",
    "paid_without_campaign": "sources and mediums of paid touchpoints without a campaign",
    "self_referral": "your own sites that appear as referrers",
    "unread_tag": "parameters of addresses that look like tags and that no rule reads",
    "unread_medium": "pairs of source and medium that look paid and that no rule takes for paid",
    "unfilled_macro": "placeholders in tags and click ids that were never filled",
    "paid_click_id": "ids of paid clicks beside a medium or channel that is not paid",
    "shared_click_id": "ids of one click that come with many customers",
    "rule_without_hits": "channel rules of your own that match no touchpoint",
}


def _lint_findings(lint: pa.Table, touchpoints: int) -> list[Finding]:
    findings = []
    for check, message in _LINT.items():
        rows = lint.filter(pc.equal(lint["check"], check))
        if check == "self_referral":
            # Those of own_sites are dealt with.
            rows = rows.filter(pc.match_substring(rows["message"], "add it to own_sites"))
        concerned = pc.sum(rows["touchpoints"]).as_py() or 0
        text = f"{message}: {concerned:,} of {touchpoints:,} touchpoints; read in table channel_lint what to do"
        names = rows.select(["source", "medium", "campaign"]).slice(0, 1).to_pylist()
        example = " / ".join(name or "–" for name in names[0].values()).removesuffix(" / –") if names else None
        example = (rows["example"][0].as_py() if names else None) or example
        findings.append(count_finding(check, "touchpoints", rows.num_rows, text, example=example))
    return findings


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
        mapping = accounts.mapping
        findings += account_findings(accounts)
    return mapping, findings


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
