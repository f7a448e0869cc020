"""QR and coupon codes: the channel of a touchpoint, and touchpoints that only a redemption shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attribution.data.engine import Engine, quote
from attribution.data.loading.contract import check_channels
from attribution.data.loading.quality import Finding, count_finding
from attribution.errors import InputError

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
            f"table 'codes': {repeated['n']} codes are given more than once",
            given=repr(repeated["example"]),
            allowed="one channel per code",
        )
    check_channels("codes", engine.query("select distinct channel from known_codes")["channel"].to_pylist())


def name_channels(engine: Engine, stage: Stage) -> tuple[Stage, list[Finding]]:
    """Touchpoints with a code and no channel take channel, campaign and kind from the code."""
    own = stage.text("channel")
    told = [f"coalesce({own}, k.channel) as channel"]
    for name in ("campaign", "kind"):
        # A code speaks only where the log does not name a channel itself.
        told.append(f"case when {own} is null then coalesce({stage.text(name)}, k.{name}) else {stage.text(name)} end")
        told[-1] += f" as {name}"
    kept = tuple(name for name in stage.columns if name not in ("channel", "campaign", "kind", "code"))
    joined = f"{stage.view} t left join known_codes k on k.code = trim(t.code)"
    listed = ", ".join([*(f"t.{quote(name)}" for name in kept), *told])
    engine.view("coded_touchpoints", f"select {listed} from {joined}")
    return Stage("coded_touchpoints", (*kept, "channel", "campaign", "kind")), [_unknown(engine, "touchpoints", stage)]


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
        _unknown(engine, "conversions", Stage("conversions", tuple(converted))),
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
_INFERRED = "codes redeemed without an earlier touchpoint of their channel: one is inferred at the conversion"


def _unknown(engine: Engine, table: str, stage: Stage) -> Finding:
    """Codes that are in use, and nobody knows what for."""
    found = engine.query(
        "select count(*) as total, count(*) filter (k.code is null) as n, "
        f"min(case when k.code is null then t.code end) as example from {stage.view} t "
        "left join known_codes k on k.code = trim(t.code) where trim(t.code) <> ''"
    ).to_pylist()[0]
    message = f"{table} with a code that the codes table does not know"
    return count_finding("unknown_code", table, found["n"], message, total=found["total"], example=found["example"])
