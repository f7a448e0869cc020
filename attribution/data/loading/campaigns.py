"""Campaigns in place of channels: credit, costs and ranks of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attribution.data.engine import Engine, quote
from attribution.data.loading.contract import check_channels
from attribution.data.loading.quality import Finding, count_finding
from attribution.errors import InputError

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
            "grain = 'campaign', and touchpoints have no column 'campaign'",
            given=list(columns.get("touchpoints", columns)),
            hint='map it: columns = { campaign = "source" }',
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
            f"the campaign {twice[0]!r} would have the name of another channel", hint="rename one of them in a query"
        )
    engine.view("touchpoints", f"select {_listed(columns['touchpoints'])} from channel_touchpoints")
    return _split_costs(engine, columns["costs"]) if "costs" in columns else []


def _split_costs(engine: Engine, columns: Sequence[str]) -> list[Finding]:
    engine.define("channel_costs", "select * from costs")
    if "campaign" in columns:
        own = f"select {_listed(columns)} from channel_costs where campaign is not null or channel is null"
        whole = "c.campaign is null and c.channel is not null"
    else:
        own, whole = f"select {_listed(columns)} from channel_costs where channel is null", "c.channel is not null"
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
    found = engine.query(
        "select count(*) as n, min(c.channel) as example from channel_costs c "
        f"join ({with_campaigns}) w on w.channel = c.channel where {whole}"
    ).to_pylist()[0]
    message = "costs of channels with campaigns that name none: shared by the campaigns, by touchpoints"
    return [count_finding("cost_without_campaign", "costs", found["n"], message, example=found["example"])]


def _name() -> str:
    return f"case when campaign is null then channel else channel || '{SEPARATOR}' || campaign end"


def _listed(columns: Sequence[str]) -> str:
    named = {"channel": f"{_name()} as channel"} if "campaign" in columns else {}
    return ", ".join(named.get(name, quote(name)) for name in columns)
