"""What further tables add to touchpoints and conversions: channels, codes, persons, accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from attribution.engine import Engine, quote
from attribution.errors import InputError
from attribution.sources.accounts import account_findings, map_accounts
from attribution.sources.channels import ChannelRules, derive_channels, lint_channels
from attribution.sources.identity import LinkedRows, identity_findings, stitch_identities
from attribution.sources.quality import Finding, count_finding
from attribution.tables import RAW_MARKETING

OFFLINE, INFERRED = "offline", "inferred"
"""Kinds of touchpoints that a code stands for, and of those that only its redemption shows."""


def derive_from_raw(engine: Engine, columns: Sequence[str], rules: ChannelRules) -> tuple[pa.Table, list[Finding]]:
    """Give ``touchpoints`` the channel and campaign that channel rules derive; return the lint and its findings."""
    raw = [name for name in RAW_MARKETING if name in columns]
    listed = ", ".join(quote(name) for name in raw)
    found = engine.query(f"select {listed}, count(*) as touchpoints from touchpoints group by {listed}")
    derived = derive_channels(found.select(raw), rules)
    known = found.select(raw)
    for name in ("channel", "campaign"):
        known = known.append_column(f"derived_{name}", derived[name])
    engine.register_arrow("derived", known)
    same = " and ".join(f"t.{quote(name)} is not distinct from d.{quote(name)}" for name in raw)
    kept = [f"t.{quote(name)}" for name in columns if name not in (*raw, "channel", "campaign")]
    own = {name: f"t.{quote(name)}" if name in columns else "null" for name in ("channel", "campaign")}
    told = [f"coalesce({sql}, d.derived_{name}) as {name}" for name, sql in own.items()]
    _redefine(
        engine,
        "touchpoints",
        "channelled",
        f"select {', '.join([*kept, *told])} from touchpoints t join raw_derived d on {same}",
    )
    lint = lint_channels(found, rules)
    return lint, _lint_findings(lint, sum(found["touchpoints"].to_pylist()))


def _lint_findings(lint: pa.Table, touchpoints: int) -> list[Finding]:
    checks = {
        "unmapped": "pairs of source and medium that no channel rule knows",
        "near_duplicate_source": "sources spelled nearly alike",
        "near_duplicate_medium": "mediums spelled nearly alike",
        "near_duplicate_campaign": "campaigns spelled nearly alike",
        "paid_without_campaign": "sources and mediums of paid touchpoints without a campaign",
        "self_referral": "own sites that appear as referrers",
    }
    findings = []
    for check, message in checks.items():
        rows = [row for row in lint.to_pylist() if row["check"] == check]
        concerned = sum(row["touchpoints"] for row in rows)
        text = f"{len(rows)} {message}, {concerned:,} of {touchpoints:,} touchpoints (see channel_lint)"
        example = rows[0]["message"] if rows else None
        findings.append(count_finding(check, "touchpoints", len(rows), text, example=example))
    return findings


def redeem_codes(engine: Engine, touchpoints: Sequence[str], conversions: Sequence[str]) -> list[Finding]:
    """Turn codes into touchpoints.

    A touchpoint with a code and no channel takes the code's. A conversion with a code whose customer has no
    earlier touchpoint of the code's channel gets one at its own instant, of kind `INFERRED`.
    """
    findings = []
    engine.define("known_codes", "select * from codes")
    repeated = engine.query("select count(*) - count(distinct code) as n, min(code) as example from codes").to_pylist()
    if repeated[0]["n"]:
        raise InputError(f"table 'codes': {repeated[0]['n']} codes are given twice", given=repeated[0]["example"])
    optional = [name for name in ("campaign", "kind") if engine.schema("codes").get_field_index(name) >= 0]
    fallback = {"channel": "k.channel", "campaign": "null", "kind": f"'{OFFLINE}'"}
    fallback |= {name: f"k.{name}" for name in optional}
    fallback["kind"] = f"coalesce({fallback['kind']}, '{OFFLINE}')"
    others = [name for name in touchpoints if name not in ("channel", "campaign", "kind", "code")]
    told = []
    for name, of_code in fallback.items():
        own = f"t.{quote(name)}" if name in touchpoints else "null"
        # A code speaks only where the log does not name a channel itself.
        told.append(
            f"case when {'t.channel' if 'channel' in touchpoints else 'null'} is null "
            f"then coalesce({own}, case when k.code is not null then {of_code} end) else {own} end as {name}"
        )
    listed = ", ".join([*(f"t.{quote(name)}" for name in others), *told])
    code = "t.code" if "code" in touchpoints else "null::varchar"
    joined = f"touchpoints t left join known_codes k on {code} = k.code"
    if "code" in touchpoints:
        unknown = engine.query(
            "select count(*) as n, min(t.code) as example "
            "from touchpoints t left join known_codes k on t.code = k.code where t.code is not null and k.code is null"
        ).to_pylist()[0]
        message = "touchpoints with a code that the codes table does not know"
        findings.append(count_finding("unknown_code", "touchpoints", unknown["n"], message, example=unknown["example"]))
    _redefine(engine, "touchpoints", "coded", f"select {listed} from {joined}")
    if "code" in conversions:
        findings += _infer(engine, others, fallback)
    return findings


def _infer(engine: Engine, others: Sequence[str], fallback: Mapping[str, str]) -> list[Finding]:
    engine.define(
        "inferred_touchpoints",
        f"select c.customer_id, c.converted_at as touched_at, {fallback['channel']} as channel, "
        f"{fallback['campaign']}::varchar as campaign, '{INFERRED}' as kind "
        "from conversions c join known_codes k on c.code = k.code "
        "left join (select customer_id, channel, min(touched_at) as first_at from touchpoints group by 1, 2) t "
        "on t.customer_id = c.customer_id and t.channel = k.channel and t.first_at <= c.converted_at "
        "where t.customer_id is null and c.customer_id is not null and c.converted_at is not null",
    )
    counted = engine.query(
        "select (select count(*) from inferred_touchpoints) as n, count(c.code) as total, "
        "count(c.code) - count(k.code) as unknown, min(case when k.code is null then c.code end) as example "
        "from conversions c left join known_codes k on c.code = k.code"
    ).to_pylist()[0]
    extra = [name for name in others if name not in ("customer_id", "touched_at")]
    listed = ["customer_id", "touched_at", "channel", "campaign", "kind", *extra]
    empty = ["customer_id", "touched_at", "channel", "campaign", "kind", *(f"null as {quote(name)}" for name in extra)]
    _redefine(
        engine,
        "touchpoints",
        "inferred",
        f"select {', '.join(quote(name) for name in listed)} from touchpoints "
        f"union all select {', '.join(empty)} from inferred_touchpoints",
    )
    inferred = "codes redeemed without an earlier touchpoint of their channel: one is inferred at the conversion"
    unknown = "conversions with a code that the codes table does not know"
    return [
        Finding("inferred_touchpoints", "conversions", "pass", counted["n"], counted["total"], None, inferred),
        count_finding("unknown_code", "conversions", counted["unknown"], unknown, example=counted["example"]),
    ]


def stitch_persons(engine: Engine, tables: Mapping[str, Sequence[str]], account: str | None) -> list[Finding]:
    """Put the person, or the account, in the place of every customer id of touchpoints and conversions."""
    findings: list[Finding] = []
    mapping = None
    present = [name for name in ("touchpoints", "conversions") if name in tables]
    if "identities" in tables:
        stitching = stitch_identities(engine.query("select visitor_id, customer_id from identities"))
        mapping = stitching.mapping
        engine.register_arrow("persons", mapping)
        findings += identity_findings(stitching, _linked_rows(engine, present))
    if account is not None:
        customers = engine.query(f"select customer_id, {quote(account)} from customers")
        accounts = map_accounts(customers, account, persons=mapping)
        mapping = accounts.mapping
        findings += account_findings(accounts)
    if mapping is not None and mapping.num_rows:
        engine.register_arrow("stitched", mapping)
        for name in present:
            listed = [
                "coalesce(m.person, t.customer_id) as customer_id" if column == "customer_id" else f"t.{quote(column)}"
                for column in tables[name]
            ]
            _redefine(
                engine,
                name,
                "stitched",
                f"select {', '.join(listed)} from {name} t left join raw_stitched m on m.id = t.customer_id",
            )
    return findings


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


def _redefine(engine: Engine, name: str, stage: str, sql: str) -> None:
    """Compute a table anew from what it was."""
    engine.define(f"{name}_{stage}", sql)
    engine.view(name, f"select * from {name}_{stage}")
