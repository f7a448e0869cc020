"""What raw marketing columns say of touchpoints: channels and campaigns, flaws of tags, clicks, rows by day."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from attribution.data.channels import (
    ChannelRules,
    Evidence,
    Flaw,
    group_channels,
    id_table,
    lint_evidence,
    name_site,
    read_evidence,
)
from attribution.data.engine import Engine, quote, text
from attribution.data.loading.findings import Finding, count_finding
from attribution.data.loading.times import DAY
from attribution.schema.clicks import MARKS, UNPAID_CHANNELS
from attribution.schema.tables import RAW_MARKETING


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
    engine: Engine, stage: Stage, rules: ChannelRules, *, click_ids: bool, keep_ignored: bool
) -> tuple[Stage, Marketing, list[Finding]]:
    """Touchpoints with the channel and campaign that channel rules derive where there are none; findings.

    With ``click_ids`` they have these and their kinds, too. Entries from ignored referrers are left out, or kept
    without a channel.
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
    grouped = group_channels(evidence, combinations, rules)
    derived = {"channel": grouped.channel.to_arrow(), "campaign": evidence.tags["utm_campaign"].to_arrow()}
    if click_ids:
        for name, ids in zip(("click_id", "click_id_kind"), id_table(evidence).columns, strict=True):
            derived[name], own[name] = ids, stage.text(name)
    mapping = combinations.select(raw)
    for name in own:
        mapping = mapping.append_column(f"derived_{name}", derived[name])
    mapping = mapping.append_column("is_ignored", pa.array(grouped.ignored))
    engine.register_arrow("derived", mapping)
    same = " and ".join(f"t.{quote(name)} is not distinct from d.{quote(name)}" for name in raw)
    names = [name for name in stage.columns if name not in (*raw, *own)]
    terms = [f"coalesce({sql}, d.derived_{name}) as {name}" for name, sql in own.items()]
    listed = ", ".join([*(f"t.{quote(name)}" for name in names), *terms])
    left_out = "" if keep_ignored else f" where not (d.is_ignored and {own['channel']} is null)"
    engine.view("channelled_touchpoints", f"select {listed} from {stage.view} t join raw_derived d on {same}{left_out}")
    shared = _find_shared_clicks(engine, stage, combinations, evidence)
    lint = lint_evidence(evidence, combinations, rules, grouped, further=shared)
    total = pc.sum(combinations["touchpoints"]).as_py() or 0
    marketing = Marketing(lint, _count_clicks(combinations, evidence, derived["channel"]), _count_days(engine, stage))
    sites = name_site(evidence, grouped.ignored).to_arrow()
    ignored = _ignored_finding(combinations["touchpoints"], sites, are_kept=keep_ignored)
    return Stage("channelled_touchpoints", (*names, *own)), marketing, [ignored, *_lint_findings(lint, total)]


def _ignored_finding(touchpoints: pa.ChunkedArray, sites: pa.Array, *, are_kept: bool) -> Finding:
    """How many touchpoints nobody was sent by, and the site that most of them come from."""
    table = pa.table({"site": sites, "n": touchpoints}).filter(pc.is_valid(sites))
    by_site = table.group_by("site").aggregate([("n", "sum")]).filter(pc.field("n_sum") > 0)
    by_site = by_site.sort_by([("n_sum", "descending"), ("site", "ascending")])
    count, total = pc.sum(by_site["n_sum"]).as_py() or 0, pc.sum(touchpoints).as_py() or 0
    message = "touchpoints without tags that come from own sites, or back from payment, sign-in or captcha pages "
    message += "(they continue a visit)" if are_kept else "(left out; journeys.visit_gap_minutes joins them to visits)"
    example = by_site["site"][0].as_py() if by_site.num_rows else None
    return Finding("ignored_referrer", "touchpoints", "pass", count, total, example, message)


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
        "one id of a click on {:,} customers: a link that was shared or bookmarked, not as many clicks; leave these "
        "rows out with where, or take the id out of the link"
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
