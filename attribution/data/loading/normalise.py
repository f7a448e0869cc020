"""Canonical tables put in order: each checked against itself and net of what was paid back, campaigns, lifetimes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from attribution.amounts import percent, pluralise
from attribution.data.engine import Engine, quote
from attribution.data.loading.contract import check_channels
from attribution.data.loading.findings import Finding, count_finding
from attribution.data.loading.totals import check_totals
from attribution.errors import InputError

# ---------------------------------------------------------------- costs and rates of exchange

_BOUNDS = ("cost_low", "cost_high")


def optional_cost_columns(columns: Collection[str]) -> set[str]:
    """Columns of a costs table that may hold nulls, given those that it has."""
    # Beside a cost type, a row without a channel is a cost that channels share.
    shared = {"channel"} if "cost_type" in columns else set()
    return shared | ({"amount"} if set(_BOUNDS) <= set(columns) else set())


def check_costs(engine: Engine, columns: Collection[str]) -> None:
    """Refuse a costs table that contradicts itself, and fill in the middle where only bounds are known.

    Parameters
    ----------
    engine : holds the table ``costs``, and afterwards the filled one and ``media_costs``
    columns : of the table

    Raises
    ------
    InputError
        If a cost has days that cannot be, bounds that cannot be, or nothing to be spread from.
    """
    _check_days(engine, columns)
    if set(_BOUNDS) & set(columns):
        _fill_bounds(engine, columns)
    check_channels("costs", engine.query("select distinct channel from costs")["channel"].to_pylist())
    is_media = " where channel is not null and coalesce(lower(trim(cost_type)), 'media') = 'media'"
    engine.view("media_costs", f"select * from costs{is_media if 'cost_type' in columns else ''}")


def check_rates(engine: Engine, columns: Collection[str]) -> None:
    """Refuse a table ``rates`` that says two things of one currency and day, or nothing."""
    _refuse_costs(engine, "rates", "rate <= 0", "a rate is 0", "concat(currency, ' ', rate)")
    day = "day" if "day" in columns else "null"
    keys = f"select upper(trim(currency)) as name, {day} as day from rates"
    twice = f"select name, day from ({keys}) t group by name, day having count(*) > 1"
    row = engine.query(f"select min(concat(name, ' ', day)) as example from ({twice}) t").to_pylist()[0]
    if row["example"] is not None:
        raise InputError("table 'rates': a currency has several rates for one day", given=row["example"])


def _check_days(engine: Engine, columns: Collection[str]) -> None:
    period = set(columns) & {"period_start", "period_end"}
    if len(period) == 1 or (period and "day" in columns):
        raise InputError(
            "table 'costs': a cost belongs to a day, to a period, or to the whole run",
            given=sorted(set(columns) & {"day", "period_start", "period_end"}),
            allowed="day, or period_start and period_end, or none of them",
        )
    if period:
        # Ratios to a period need both ends; a lump sum has neither.
        shown = "concat(period_start, ' … ', period_end)"
        for test, problem in (
            ("(period_start is null) <> (period_end is null)", "only one of period_start and period_end is given"),
            ("period_end < period_start", "period_end lies before period_start"),
        ):
            _refuse_costs(engine, "costs", test, problem, shown)
    if "amortise_days" in columns:
        begins = "day" if "day" in columns else "period_start" if period else "null"
        for test, problem in (
            ("amortise_days < 1 or amortise_days <> floor(amortise_days)", "amortise_days is not a whole number ≥ 1"),
            (f"amortise_days is not null and {begins} is null", "amortise_days is given without a day to start from"),
        ):
            _refuse_costs(engine, "costs", test, problem, "amortise_days::varchar")


def _fill_bounds(engine: Engine, columns: Collection[str]) -> None:
    if not set(_BOUNDS) <= set(columns):
        missing = (set(_BOUNDS) - set(columns)).pop()
        raise InputError(
            f"table 'costs': an uncertain cost needs both cost_low and cost_high, but {missing} is missing"
        )
    shown = "concat(cost_low, ' … ', cost_high)"
    for test, problem in (
        ("(cost_low is null) <> (cost_high is null)", "only one of cost_low and cost_high is given"),
        ("amount is null and cost_low is null", "neither the amount nor cost_low and cost_high are given"),
        ("cost_low > cost_high", "cost_low is above cost_high"),
        ("amount < cost_low or amount > cost_high", "the amount is not between cost_low and cost_high"),
    ):
        _refuse_costs(engine, "costs", test, problem, shown)
    engine.define("written_costs", "select * from costs")
    filled = {
        "amount": "coalesce(amount, (cost_low + cost_high) / 2) as amount",
        **{name: f"coalesce({name}, amount) as {name}" for name in _BOUNDS},
    }
    select = ", ".join(filled.get(name, quote(name)) for name in columns)
    engine.view("costs", f"select {select} from written_costs")


def _refuse_costs(engine: Engine, table: str, test: str, problem: str, shown: str) -> None:
    row = engine.query(f"select count(*) as n, min({shown}) as example from {table} where {test}").to_pylist()[0]
    if row["n"]:
        text = f"{problem}, in {pluralise(row['n'], 'row')}"
        raise InputError(f"table {table!r}: {text}", given=row["example"])


# ---------------------------------------------------------------- refunds and cancellations


def net_conversions(engine: Engine, columns: Sequence[str]) -> list[Finding]:
    """Take refunds off the value of ``conversions`` and leave cancelled ones out, before anything is credited.

    Parameters
    ----------
    engine : holds the canonical table
    columns : of the table

    Returns
    -------
    list of Finding
        How much was taken off; none where the table tells neither refunds nor cancellations.

    Raises
    ------
    InputError
        If more is refunded than was paid, or a margin is larger than the value it is part of.
    """
    if "refund" in columns:
        if "value" not in columns:
            raise InputError("table 'conversions' has refunds, but no column 'value' to subtract them from")
        _refuse_refunds(
            engine, "refund > coalesce(value, 0)", "the refund is more than was paid", "refund", "up to the value"
        )
    findings = []
    if {"refund", "is_cancelled"} & set(columns):
        findings = _net_conversions(engine, columns)
    if "margin" in columns and "value" in columns:
        _refuse_refunds(
            engine, "margin > coalesce(value, 0)", "the margin is above the value", "margin", "up to the value"
        )
    return findings


def net_paths(engine: Engine, columns: Sequence[str]) -> list[Finding]:
    """Take refunds and cancelled conversions off ``paths``.

    A cancelled conversion is a journey that did not convert: it is added to ``nulls``, where the table has them.

    Parameters
    ----------
    engine : holds the canonical table
    columns : of the table

    Raises
    ------
    InputError
        If more is refunded than was paid, or more is cancelled than there was.
    """
    taken_off = {"refund": "value", "cancelled": "conversions"}
    reductions = {column: of for column, of in taken_off.items() if column in columns}
    if not reductions:
        return []
    problems = {
        "refund": "the refund is more than was paid",
        "cancelled": "more conversions are cancelled than there were",
    }
    for column, of in reductions.items():
        if of not in columns:
            raise InputError(f"table 'paths' has a column {column!r}, but no column {of!r} to subtract it from")
        _refuse_refunds(
            engine, f"{column} > coalesce({of}, 0)", problems[column], column, f"up to the {of}", table="paths"
        )
    engine.define("gross_paths", "select * from paths")
    net = {of: f"{of} - coalesce({column}, 0) as {of}" for column, of in reductions.items()}
    if "cancelled" in reductions:
        net["nulls"] = "coalesce(nulls, 0) + coalesce(cancelled, 0) as nulls"
    select = ", ".join(net.get(name, quote(name)) for name in columns)
    engine.view("paths", f"select {select} from gross_paths")
    listed = ", ".join(f"coalesce(sum({column}), 0)::double as {column}" for column in reductions)
    sums = engine.query(f"select {listed}, sum(conversions)::double as n from gross_paths").to_pylist()[0]
    texts = {
        "refund": "refunded amount (subtracted before credit is allocated)",
        "cancelled": "cancelled conversions (counted as journeys that did not convert)",
    }
    checks = {"refund": ("refunded", None), "cancelled": ("cancelled", sums["n"])}
    return [
        Finding(checks[column][0], "paths", "pass", sums[column], checks[column][1], None, texts[column])
        for column in reductions
    ]


def _net_conversions(engine: Engine, columns: Sequence[str]) -> list[Finding]:
    cancelled = "coalesce(is_cancelled, false)" if "is_cancelled" in columns else "false"
    refund = "coalesce(refund, 0)" if "refund" in columns else "0"
    engine.define("gross_conversions", f"select *, {cancelled} as is_off, {refund} as paid_back from conversions")
    net = {"value": "value - paid_back as value"}
    select = ", ".join(net.get(name, quote(name)) for name in columns)
    engine.view("conversions", f"select {select} from gross_conversions where not is_off")
    in_full = "paid_back > 0 and paid_back >= value and not is_off" if "refund" in columns else "false"
    row = engine.query(
        "select count(*) as n, count(*) filter (is_off) as cancelled, "
        "count(*) filter (paid_back > 0 and not is_off) as refunded, "
        f"count(*) filter ({in_full}) as in_full, "
        "coalesce(sum(case when is_off then 0 else paid_back end), 0)::double as amount from gross_conversions"
    ).to_pylist()[0]
    texts = {
        "cancelled": "cancelled conversions (left out)",
        "refunded": f"conversions with a refund ({row['amount']:,.2f} in total, subtracted before credit is allocated)",
    }
    columns_by_check = {"cancelled": "is_cancelled", "refunded": "refund"}
    findings = [
        Finding(check, "conversions", "pass", row[check], row["n"], None, message)
        for check, message in texts.items()
        if columns_by_check[check] in columns
    ]
    if row["in_full"]:
        counted = row["n"] - row["cancelled"]
        message = _in_full_message(row["in_full"], counted)
        findings.append(Finding("refunded_in_full", "conversions", "pass", row["in_full"], counted, None, message))
    return findings


def _in_full_message(in_full: int, counted: int) -> str:
    """What conversions that brought nothing do to costs per conversion; which channel has how many is not known here.

    Examples
    --------
    >>> print(_in_full_message(20, 100).partition("; ")[2])
    they count in CPA and CAC. Without them a conversion costs 25 % more on average (set is_cancelled to leave them out)
    """
    left = counted - in_full
    without = f"a conversion costs {percent(in_full / left)} more on average" if left else "there is no conversion"
    return (
        f"conversions refunded in full; they count in CPA and CAC. Without them {without} (set is_cancelled to leave "
        "them out)"
    )


def _refuse_refunds(
    engine: Engine, test: str, problem: str, column: str, allowed: str, *, table: str = "conversions"
) -> None:
    shown = f"min({column})::varchar as example"
    row = engine.query(f"select count(*) as n, {shown} from {table} where {test}").to_pylist()[0]
    if row["n"]:
        where = f"table {table!r}, column {column!r}"
        raise InputError(f"{where}: {problem}, in {pluralise(row['n'], 'row')}", given=row["example"], allowed=allowed)


# ---------------------------------------------------------------- campaigns in place of channels

SEPARATOR = " / "
"""Between the names of a channel and of its campaign."""

_AMOUNTS = ("amount", "cost_low", "cost_high", "claimed_conversions")


def split_campaigns(engine: Engine, columns: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Let every campaign be a channel of its own, "search / brand"; touchpoints without one stay with their channel.

    A cost of a whole channel is shared by its campaigns, by their touchpoints.

    Parameters
    ----------
    engine : holds the canonical tables, and afterwards those by campaign under the same names
    columns : of the canonical tables

    Raises
    ------
    InputError
        If touchpoints tell no campaigns, or a campaign would get the name of another channel.
    """
    if "campaign" not in columns.get("touchpoints", ()):
        raise InputError(
            "grain is 'campaign', but touchpoints have no column 'campaign'",
            given=list(columns.get("touchpoints", columns)),
            hint="if it has another name, map 'campaign' to it in columns",
        )
    engine.define("channel_touchpoints", "select * from touchpoints")
    engine.define(
        "campaigns",
        f"select channel, campaign, {_name()} as name, count(*) as touchpoints from channel_touchpoints "
        "where channel is not null group by channel, campaign",
    )
    names = engine.query("select name, min(channel) as channel, count(*) as n from campaigns group by name")
    check_channels("touchpoints", names["name"].to_pylist())
    twice = sorted(row["name"] for row in names.to_pylist() if row["n"] > 1)
    if twice:
        raise InputError(
            f"two channels or campaigns would share the name {twice[0]!r}", hint="rename one of them in a query"
        )
    engine.view("touchpoints", f"select {_select_list(columns['touchpoints'])} from channel_touchpoints")
    return _split_costs(engine, columns["costs"]) if "costs" in columns else []


def _split_costs(engine: Engine, columns: Sequence[str]) -> list[Finding]:
    engine.define("channel_costs", "select * from costs")
    if "campaign" in columns:
        own = f"select {_select_list(columns)} from channel_costs where campaign is not null or channel is null"
        whole = "c.campaign is null and c.channel is not null"
    else:
        own, whole = f"select {_select_list(columns)} from channel_costs where channel is null", "c.channel is not null"
    shared = {name: f"c.{name} * coalesce(p.part, 1) as {name}" for name in _AMOUNTS}
    shared |= {"channel": "coalesce(p.name, c.channel) as channel"}
    listed = ", ".join(shared.get(name, f"c.{quote(name)}") for name in columns)
    parts = (
        "select s.channel, s.name, s.touchpoints::double / t.touchpoints as part from campaigns s join "
        "(select channel, sum(touchpoints) as touchpoints from campaigns group by channel) t on s.channel = t.channel"
    )
    joined = f"select {listed} from channel_costs c left join ({parts}) p on p.channel = c.channel where {whole}"
    engine.define("campaign_costs", f"{own} union all {joined}")
    engine.view("costs", "select * from campaign_costs")
    with_campaigns = "select distinct channel from campaigns where campaign is not null"
    row = engine.query(
        "select count(*) as n, min(c.channel) as example from channel_costs c "
        f"join ({with_campaigns}) w on w.channel = c.channel where {whole}"
    ).to_pylist()[0]
    message = (
        "costs without a campaign, in channels with campaigns (divided among the campaigns by touchpoints): name the "
        "campaign where it is known"
    )
    return [count_finding("cost_without_campaign", "costs", row["n"], message, example=row["example"])]


def _name() -> str:
    return f"case when campaign is null then channel else channel || '{SEPARATOR}' || campaign end"


def _select_list(columns: Sequence[str]) -> str:
    expressions = {"channel": f"{_name()} as channel"} if "campaign" in columns else {}
    return ", ".join(expressions.get(name, quote(name)) for name in columns)


# ---------------------------------------------------------------- expected lifetime revenue of customers


def join_lifetimes(engine: Engine, columns: Sequence[str]) -> tuple[tuple[str, ...], Finding]:
    """Give each conversion the LTV of its customer, where it does not say one itself.

    Parameters
    ----------
    engine : holds ``conversions`` and ``lifetimes``, with the ids of one person alike in both
    columns : of ``conversions``

    Returns
    -------
    columns, finding
        The columns that conversions have then, and how many of them found no LTV.
    """
    own = "c.ltv" if "ltv" in columns else "null::double"
    engine.define("conversions_without_lifetimes", "select * from conversions")
    other_columns = ", ".join(f"c.{quote(name)}" for name in columns if name != "ltv")
    engine.define(
        "conversions_with_lifetimes",
        # Ids that turned out to be one person's: each was foretold its own part.
        f"select {other_columns}, coalesce({own}, l.ltv) as ltv from conversions_without_lifetimes c left join "
        "(select customer_id, sum(ltv) as ltv from lifetimes where customer_id is not null group by customer_id) l "
        "on l.customer_id = c.customer_id",
    )
    engine.view("conversions", "select * from conversions_with_lifetimes")
    row = engine.query(
        "select count(*) as n, count(*) filter (ltv is null) as lacking, "
        "min(case when ltv is null then customer_id end)::varchar as example from conversions"
    ).to_pylist()[0]
    message = (
        "conversions whose customer has no LTV in lifetimes: add these customers there, or set returns.ltv, which is "
        "used for them"
    )
    finding = count_finding("no_lifetime", "lifetimes", row["lacking"], message, total=row["n"], example=row["example"])
    return (*(name for name in columns if name != "ltv"), "ltv"), finding


def check_lifetimes(engine: Engine) -> None:
    """Refuse a table that says two things of one customer."""
    row = engine.query(
        "select count(*) as n, min(customer_id)::varchar as example from (select customer_id from lifetimes "
        "where customer_id is not null group by customer_id having count(*) > 1) t"
    ).to_pylist()[0]
    if row["n"]:
        raise InputError(
            f"table 'lifetimes': {pluralise(row['n'], 'customer')} with more than one row", given=row["example"]
        )


# ---------------------------------------------------------------- all of it, in order

Grain = Literal["channel", "campaign"]
Columns = Mapping[str, Sequence[str]]


class Completed(NamedTuple):
    """The tables that are no longer what they were with their columns, and what was found on the way."""

    columns: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...]


def normalise(engine: Engine, columns: Columns) -> list[Finding]:
    """Refuse tables that contradict themselves, and take off what was paid back; ``columns`` of each table.

    Raises
    ------
    InputError
        If a table says what cannot be.
    """
    findings: list[Finding] = []
    if "costs" in columns:
        check_costs(engine, columns["costs"])
        findings += check_totals(engine, columns["costs"])
    if "rates" in columns:
        check_rates(engine, columns["rates"])
    if "lifetimes" in columns:
        check_lifetimes(engine)
    if "paths" in columns:
        return findings + net_paths(engine, columns["paths"])
    return findings + net_conversions(engine, columns["conversions"])


def complete(engine: Engine, columns: Columns, grain: Grain) -> Completed:
    """Campaigns in place of channels where asked for, and the LTV of customers joined to their conversions.

    Raises
    ------
    InputError
        If there is no such grain, or campaigns are asked for and not known.
    """
    if grain not in get_args(Grain):
        raise InputError("there is no such grain", given=repr(grain), allowed=get_args(Grain))
    changed: dict[str, tuple[str, ...]] = {}
    findings: list[Finding] = []
    if grain == "campaign":
        findings += split_campaigns(engine, columns)
        changed |= {name: tuple(columns[name]) for name in ("costs",) if name in columns}
    if "lifetimes" in columns:
        changed["conversions"], finding = join_lifetimes(engine, columns["conversions"])
        findings.append(finding)
    return Completed(changed, tuple(findings))
