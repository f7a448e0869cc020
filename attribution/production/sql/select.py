"""The SELECT that attributes conversions as a scorer does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attribution.data.engine import quote, text
from attribution.data.loading import is_expression
from attribution.errors import InputError
from attribution.journeys import DAY
from attribution.journeys.refine import IMPRESSION
from attribution.models.saved import Scorer
from attribution.models.saved.definition import Definition
from attribution.production.sql.dialects import check_dialect, translate
from attribution.production.sql.header import FIRST, write_header
from attribution.production.sql.inputs import Inputs, quoted_list
from attribution.production.sql.paths import JOURNEY, Step, pair_steps, refine_steps
from attribution.production.sql.weights import (
    AGE,
    Weighing,
    check_expression,
    learned_selects,
    number,
    translate_weights,
    weighs_baseline,
)
from attribution.schema.tables import BASELINE, UNATTRIBUTED

_MAY_LACK = {"value": "double", "conversion_id": "varchar", "is_new_customer": "boolean"}
_ZONE = re.compile(r"[A-Za-z0-9_+/-]*")
_HINT = "create tables with this package's column names in the database, and add --canonical (canonical=True in Python)"


@dataclass(frozen=True)
class SqlTables:
    """The tables of a database that a SELECT reads.

    Attributes
    ----------
    touchpoints, conversions : their names, as the database has them
    canonical : whether columns have canonical names, however tables were read in training
    lacks : columns that its conversions do not have: ``value``, ``conversion_id``, ``is_new_customer``
    """

    touchpoints: str = "touchpoints"
    conversions: str = "conversions"
    canonical: bool = False
    lacks: tuple[str, ...] = ()


def build_select(scorer: Scorer, dialect: str, tables: SqlTables | None = None) -> str:
    """One SELECT whose rows are those of `Scorer.score`, in no particular order.

    Parameters
    ----------
    scorer : saved, so that it has a version
    dialect : one of `attribution.production.sql.DIALECTS`
    tables : what it reads; ``touchpoints`` and ``conversions`` unless given

    Raises
    ------
    InputError
        If model, journeys or reading of the tables cannot be exported to SQL; it names what.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> touchpoints = pd.DataFrame({"customer_id": ["a"], "touched_at": ["2024-01-01"], "channel": ["mail"]})
    >>> conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-03"]})
    >>> journeys = at.build_journeys(at.load_sources(touchpoints, conversions))
    >>> sql = build_select(at.Scorer.of(at.Linear().fit(journeys)), "duckdb").splitlines()
    >>> sql[0], next(line for line in sql if not line.startswith("--"))
    ('-- Credit of conversions by model linear (Linear) of the scorer linear, version none.', 'WITH touches AS (')
    """
    check_dialect(dialect)
    tables = tables or SqlTables()
    check_exportable(scorer, tables)
    inputs = _inputs(scorer.definition, tables)
    steps = list(_steps(scorer, inputs))
    _check_names(steps, tables)
    common = ", ".join(f"{step.name} as ({step.sql})" for step in steps)
    table_names = {_TOUCHPOINTS: tables.touchpoints, _CONVERSIONS: tables.conversions}
    select = translate(f"with {common} {_rows(scorer, inputs)}", dialect, table_names)
    return f"{write_header(scorer, dialect, inputs, _columns_read(scorer.definition, tables, inputs))}\n{select}"


def is_select(first_line: str) -> bool:
    """Whether a file that begins so was written from `build_select`, by this version or by the first one."""
    return first_line.startswith(FIRST) or re.match(r"with\W+touches\b", first_line, re.IGNORECASE) is not None


def _columns_read(definition: Definition, tables: SqlTables, inputs: Inputs) -> dict[str, list[str]]:
    """The columns that the SELECT reads of each table, by their names there."""
    options = inputs.options
    needed = {
        "touchpoints": ["customer_id", "touched_at", *inputs.dimensions, *(["cost"] if inputs.has_cost else [])],
        "conversions": [
            *("customer_id", "converted_at", "value", "conversion_id"),
            *(["kind"] if options.conversion_kinds is not None else []),
            *(["is_new_customer"] if options.customers == "new" else []),
        ],
    }
    if inputs.by_campaign and "campaign" not in inputs.dimensions:
        needed["touchpoints"].append("campaign")
    columns = {}
    for table, names in needed.items():
        mapping = {} if tables.canonical else definition.reading.get(table, {}).get("columns") or {}
        lacks = [name for name in _MAY_LACK if name not in mapping] if mapping else tables.lacks
        sources = [mapping.get(name, name) for name in names if table == "touchpoints" or name not in lacks]
        columns[table] = [name for source in sources for name in ([source] if isinstance(source, str) else source)]
    return columns


def check_exportable(scorer: Scorer, tables: SqlTables) -> None:
    """Raise `InputError` if a part of the scorer cannot be expressed in one SELECT."""
    check_expression(scorer.state, scorer.state.model())
    for what, feature, hint in _unsupported(scorer, tables):
        if feature:
            raise InputError(
                f"{what} of model {scorer.state.label!r} cannot be exported to SQL", given=feature, hint=hint
            )
    if not scorer.state.channels:
        raise InputError(
            f"model {scorer.state.label!r} was fitted without channels, so there is nothing to export to SQL"
        )
    unknown = [name for name in tables.lacks if name not in _MAY_LACK]
    if unknown:
        raise InputError("the conversions table must have this column", given=unknown, allowed=list(_MAY_LACK))


def _unsupported(scorer: Scorer, tables: SqlTables) -> Iterator[tuple[str, object, str]]:
    """Features without SQL, the settings that ask for them, and what to do about it."""
    definition = scorer.definition
    account = definition.journeys.account
    yield "journeys of accounts", account and f"account = {account!r}", "score it with `attribution score`"
    gap = definition.journeys.visit_gap_minutes
    yield (
        "visits",
        gap and f"visit_gap_minutes = {gap:g}",
        "score it with `attribution score`, or make the visits where your tables are made and fit the model on them "
        "without visit_gap_minutes",
    )
    refuses = scorer.unknown_channels == "refuse" and "unknown_channels = 'refuse'"
    yield (
        "the policy",
        refuses,
        "a SELECT cannot refuse a row: use --unknown-channels zero (unknown_channels='zero' in Python)",
    )
    if tables.canonical:
        return
    fitted_with = () if definition.training is None else definition.training.tables
    beside = [name for name in ("identities", "codes") if name in fitted_with]
    yield "joining other tables", ", ".join(beside), _HINT
    reading = {name: definition.reading.get(name, {}) for name in ("touchpoints", "conversions")}
    columns = {name: options.get("columns") or {} for name, options in reading.items()}
    unread = [
        f"{name}.{key}"
        for name, options in reading.items()
        for key in ("adapter", "time_format", "decimal", "thousands", "same_day", "same_id", "negative")
        if options.get(key) is not None
    ]
    zones = [str(options.get("time_zone", "")) for options in reading.values()]
    yield "the time zone", ", ".join(zone for zone in zones if not _ZONE.fullmatch(zone)), _HINT
    yield "the reading of tables", ", ".join(unread), _HINT
    derives = bool(definition.channels) or (columns["touchpoints"] and "channel" not in columns["touchpoints"])
    yield "channel rules", derives and "channels derived from other columns", _HINT
    computed = [
        f"{table}.columns.{name}"
        for table, mapping in columns.items()
        for name, source in mapping.items()
        if isinstance(source, str) and is_expression(source)
    ]
    yield "SQL in columns", ", ".join(computed), _HINT
    yield "converting currencies", ", ".join(sorted(definition.rates)), _HINT
    netted = sorted({"refund", "is_cancelled"} & set(columns["conversions"]))
    yield "netting", ", ".join(netted), _HINT


_TOUCHPOINTS, _CONVERSIONS = "given_touchpoints", "given_conversions"


def _inputs(definition: Definition, tables: SqlTables) -> Inputs:
    training = definition.training
    dimensions = () if training is None else training.dimensions
    reading: Mapping[str, Mapping[str, Any]] = {} if tables.canonical else definition.reading
    return Inputs(
        _read(_TOUCHPOINTS, reading.get("touchpoints", {})),
        _read(_CONVERSIONS, reading.get("conversions", {}), tables.lacks),
        dimensions or ("channel",),
        training is None or training.has_times is not False,
        definition.journeys,
        definition.grain == "campaign",
        {name: str(options["time_zone"]) for name, options in reading.items() if options.get("time_zone")},
    )


def _read(table: str, options: Mapping[str, Any], lacks: tuple[str, ...] = ()) -> str:
    """A table with canonical columns, as it was read in training; missing columns are null."""
    columns: Mapping[str, Any] = options.get("columns") or {}
    chosen = [f"{_coalesce(source)} as {quote(name)}" for name, source in columns.items()] or ["*"]
    if columns and table == _CONVERSIONS:
        lacks = tuple(name for name in _MAY_LACK if name not in columns)
    chosen += [f"cast(null as {_MAY_LACK[name]}) as {name}" for name in lacks]
    where = f" where {options['where']}" if options.get("where") else ""
    return table if chosen == ["*"] and not where else f"(select {', '.join(chosen)} from {table}{where}) as given"


def _coalesce(source: Any) -> str:
    if isinstance(source, str):
        return quote(source)
    values = [f"case when trim(cast({quote(name)} as varchar)) <> '' then {quote(name)} end" for name in source]
    return f"coalesce({', '.join(values)})"


def _steps(scorer: Scorer, inputs: Inputs) -> Iterator[Step]:
    """The common tables, each of which reads earlier ones."""
    yield Step("touches", inputs.select_touchpoints())
    yield Step("usable", inputs.select_usable())
    yield Step("converted", inputs.select_converted())
    last = "placed"
    yield from pair_steps(inputs)
    for step in refine_steps(inputs, scorer.state.channels, last):
        last = step.name
        yield step
    yield from _weight_steps(scorer, inputs, last)
    yield from _divide_with_baseline(scorer) if _has_baseline(scorer) else _divide()


def _divide() -> Iterator[Step]:
    """Weights relative to the largest of the journey, and shares of their sum."""
    yield Step("compared", f"select *, max(weight) over (partition by {JOURNEY}) as largest from weighed")
    total = f"sum(weight / largest_or_1) over (partition by {JOURNEY})"
    yield Step("relative", "select *, case when largest > 0 then largest else 1 end as largest_or_1 from compared")
    share = f"case when largest > 0 then weight / largest_or_1 / {total} else {number(1)} / length end"
    yield Step("shared", f"select *, {share} as credit from relative")


def _divide_with_baseline(scorer: Scorer) -> Iterator[Step]:
    """The same with the baseline, which has all where nothing weighs anything; its part is in each row of a journey."""
    over = f"over (partition by {JOURNEY})"
    model = scorer.state.model()
    base = f"coalesce(max(baseline_weight) {over}, 0)"
    if not weighs_baseline(model):
        base = f"{number(model.credit_.baseline_odds)} * sum(weight) {over}"
    yield Step("with_baseline", f"select *, max(weight) {over} as most, {base} as base from weighed")
    yield Step("compared", "select *, case when most > base then most else base end as largest from with_baseline")
    yield Step("relative", "select *, case when largest > 0 then largest else 1 end as largest_or_1 from compared")
    yield Step("added", f"select *, sum(weight / largest_or_1) {over} + base / largest_or_1 as total from relative")
    shares = {"credit": ("weight", 0), "of_baseline": ("base", 1)}
    chosen = ", ".join(
        f"case when largest > 0 then {weight} / largest_or_1 / total else {number(otherwise)} end as {name}"
        for name, (weight, otherwise) in shares.items()
    )
    yield Step("shared", f"select *, {chosen} from added")


def _has_baseline(scorer: Scorer) -> bool:
    return scorer.state.estimand == "incremental"


def _weight_steps(scorer: Scorer, inputs: Inputs, source: str) -> Iterator[Step]:
    """The weights of the touchpoints of ``source``: `AppliedModel.weigh` in SQL."""
    names = {dimension: inputs.column(dimension) for dimension in inputs.dimensions}
    sets_aside = scorer.unknown_channels == "zero"
    share = [*JOURNEY.split(", "), *(["is_known"] if sets_aside else [])]
    weights = translate_weights(scorer.state, scorer.state.model(), names, share)
    if weights.needs_age and not inputs.has_times:
        raise InputError(
            f"model {scorer.state.label!r} cannot be exported to SQL: its weight_sql uses {AGE}, but it was fitted on "
            "touchpoints that have only an order",
            hint="fit it on touchpoints with timestamps",
        )
    yield Step("positioned", f"select *, {', '.join(_positions(scorer, inputs, weights))} from {source}")
    if sets_aside:
        yield from _known_channel_steps(weights, scorer.state.channels, ", ".join(share))
    else:
        yield Step("sharing", "select *, position as place_known, length as length_known from positioned")
    weight, baseline = weights.weight, weights.baseline
    if sets_aside:
        alone = number(0 if _has_baseline(scorer) else 1)
        weight = f"case when known_here = 0 then {alone} when is_known = 0 then {number(0)} else {weight} end"
    columns = f"({weight}) * factor as weight"
    if baseline is not None:
        columns += f", {f'case when is_known = 1 then {baseline} end' if sets_aside else baseline} as baseline_weight"
    yield Step("weighed", f"select *, {columns} from sharing")


def _positions(scorer: Scorer, inputs: Inputs, weights: Weighing) -> Iterator[str]:
    """Columns with the position in the journey, the weight of a view, and the age where it matters."""
    yield f"row_number() over (partition by {JOURNEY} order by place) as position"
    yield f"count(*) over (partition by {JOURNEY}) as length"
    weight = scorer.definition.journeys.view_through_weight
    is_view = f"case when kind = {text(IMPRESSION)} then {number(weight)} else {number(1)} end"
    yield f"{is_view if weight != 1 and 'kind' in inputs.dimensions else number(1)} as factor"
    if weights.needs_age:
        yield f"cast(converted_us - touched_us as double) / {number(DAY)} as {AGE}"


def _known_channel_steps(weights: Weighing, channels: Sequence[str], share: str) -> Iterator[Step]:
    """Touchpoints of channels that the model was fitted on, numbered without the others."""
    if weights.learned:
        yield Step("learned", " union all ".join(learned_selects(weights.learned, channels)))
        test = "case when l.channel is null then 0 else 1 end as is_known"
        columns = ", ".join(f"l.{name}" for name in weights.learned)
        yield Step(
            "known", f"select p.*, {columns}, {test} from positioned p left join learned l on l.channel = p.channel"
        )
    else:
        test = f"case when channel in ({quoted_list(channels)}) then 1 else 0 end as is_known"
        yield Step("known", f"select *, {test} from positioned")
    here = f"sum(is_known) over (partition by {JOURNEY}) as known_here"
    place_sql = f"row_number() over (partition by {share} order by place) as place_known"
    length = f"count(*) over (partition by {share}) as length_known"
    yield Step("sharing", f"select *, {here}, {place_sql}, {length} from known")


def _rows(scorer: Scorer, inputs: Inputs) -> str:
    """The last SELECT: a row for each touchpoint, for a conversion without any, and for what is the baseline's."""
    campaign = "s.campaign" if "campaign" in inputs.dimensions else "cast(null as varchar)"
    credit = f"coalesce(s.credit, {number(1)})"
    columns = {
        "model": text(scorer.state.label),
        "model_version": text(scorer.version),
        "conversion_id": "c.conversion_id",
        "customer_id": "c.customer_id",
        "touched_at": inputs.moment("s.touched_us"),
        "channel": f"coalesce(s.channel, {text(UNATTRIBUTED)})",
        "campaign": campaign,
        "position": "s.position",
        "credit": credit,
        "credited_value": f"{credit} * c.value",
    }
    joined = "converted c {} join shared s on s.customer_id = c.customer_id and s.nth = c.nth"
    counts = inputs.condition_to_count()
    rows = _select(columns, f"{joined.format('left')} where {counts}")
    if not _has_baseline(scorer):
        return rows
    columns |= {
        "touched_at": inputs.moment("cast(null as bigint)"),
        "channel": text(BASELINE),
        "campaign": "cast(null as varchar)",
        "position": "cast(null as bigint)",
        "credit": "s.of_baseline",
        "credited_value": "s.of_baseline * c.value",
    }
    of_baseline = _select(columns, f"{joined.format('inner')} where {counts} and s.position = 1")
    return f"{rows} union all {of_baseline}"


def _select(columns: Mapping[str, str], source: str) -> str:
    return f"select {', '.join(f'{sql} as {name}' for name, sql in columns.items())} from {source}"


def _check_names(steps: list[Step], tables: SqlTables) -> None:
    """Raise `InputError` if a table has the name of a common table of the SELECT."""
    taken = {step.name for step in steps} & {tables.touchpoints.lower(), tables.conversions.lower()}
    if taken:
        raise InputError(
            "the SELECT already uses the name of your table", given=sorted(taken),
            hint="add the schema to the name of your table, as in main.converted",
        )  # fmt: skip
