"""Canonical tables put in order: each checked against itself and net of what was paid back, campaigns, lifetimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from attribution.data.engine import Engine
from attribution.data.loading.campaigns import split_campaigns
from attribution.data.loading.costs import check_costs, check_rates
from attribution.data.loading.lifetimes import check_lifetimes, join_lifetimes
from attribution.data.loading.quality import Finding
from attribution.data.loading.refunds import net_conversions, net_paths
from attribution.errors import InputError

Grain = Literal["channel", "campaign"]
Columns = Mapping[str, Sequence[str]]


class Completed(NamedTuple):
    """The tables that are no longer what they were with their columns, and what was found on the way."""

    columns: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...]


def settle(engine: Engine, columns: Columns) -> list[Finding]:
    """Refuse tables that contradict themselves, and take off what was paid back; ``columns`` of each table.

    Raises
    ------
    InputError
        If a table says what cannot be.
    """
    if "costs" in columns:
        check_costs(engine, columns["costs"])
    if "rates" in columns:
        check_rates(engine, columns["rates"])
    if "lifetimes" in columns:
        check_lifetimes(engine)
    if "paths" in columns:
        return net_paths(engine, columns["paths"])
    return net_conversions(engine, columns["conversions"])


def complete(engine: Engine, columns: Columns, grain: Grain) -> Completed:
    """Campaigns in place of channels where asked for, and the LTV of customers joined to their conversions.

    Raises
    ------
    InputError
        If there is no such grain, or campaigns are asked for and not known.
    """
    if grain not in get_args(Grain):
        raise InputError("grain: there is no such one", given=repr(grain), allowed=get_args(Grain))
    changed: dict[str, tuple[str, ...]] = {}
    findings: list[Finding] = []
    if grain == "campaign":
        findings += split_campaigns(engine, columns)
        changed |= {name: tuple(columns[name]) for name in ("costs",) if name in columns}
    if "lifetimes" in columns:
        changed["conversions"], lacking = join_lifetimes(engine, columns["conversions"])
        findings.append(lacking)
    return Completed(changed, tuple(findings))
