"""The SELECT that hands out conversions as a scorer does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attribution.data.engine import quote, text
from attribution.errors import InputError
from attribution.journeys import DAY
from attribution.journeys.refine import IMPRESSION
from attribution.models.saved import Scorer
from attribution.models.saved.definition import Definition
from attribution.production.sql.dialects import check_dialect, written
from attribution.production.sql.inputs import Inputs, listed
from attribution.production.sql.paths import JOURNEY, Step, pairing, refining
from attribution.production.sql.weights import AGE, Weighing, learned_rows, number, refuse_model, weighing
from attribution.schema.tables import UNATTRIBUTED

_MAY_LACK = {"value": "double", "conversion_id": "varchar", "is_new_customer": "boolean"}
_HINT = "make these canonical tables in the database, and say that they are: --canonical"


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


def select_of(scorer: Scorer, dialect: str, tables: SqlTables | None = None) -> str:
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
    >>> select_of(at.Scorer.of(at.Linear().fit(journeys)), "duckdb").splitlines()[0]
    'WITH touches AS ('
    """
    check_dialect(dialect)
    tables = tables or SqlTables()
    refuse(scorer, tables)
    inputs = _inputs(scorer.definition, tables)
    steps = list(_steps(scorer, inputs))
    _check_names(steps, tables)
    common = ", ".join(f"{step.name} as ({step.sql})" for step in steps)
    named = {_TOUCHPOINTS: tables.touchpoints, _CONVERSIONS: tables.conversions}
    return written(f"with {common} {_rows(scorer, inputs)}", dialect, named)


def refuse(scorer: Scorer, tables: SqlTables) -> None:
    """Raise `InputError` if something of a scorer needs a pass of its own, or Python."""
    refuse_model(scorer.state, scorer.state.model())
    for what, given, hint in _unsayable(scorer, tables):
        if given:
            raise InputError(
                f"{what} of model {scorer.state.label!r} cannot be exported to SQL", given=given, hint=hint
            )
    if not scorer.state.channels:
        raise InputError(f"model {scorer.state.label!r} was fitted on no channel, so there is nothing to export to SQL")
    unknown = [name for name in tables.lacks if name not in _MAY_LACK]
    if unknown:
        raise InputError("conversions cannot do without this column", given=unknown, allowed=list(_MAY_LACK))


def _unsayable(scorer: Scorer, tables: SqlTables) -> Iterator[tuple[str, object, str]]:
    """What cannot be said, where it is asked for, and what to do about it."""
    definition = scorer.definition
    account = definition.journeys.account
    yield "journeys of accounts", account and f"account = {account!r}", "score it with attribution score"
    refuses = scorer.unknown_channels == "refuse" and "unknown_channels = 'refuse'"
    yield "the policy", refuses, "a SELECT refuses no row: export it with --unknown-channels zero"
    if tables.canonical:
        return
    fitted_with = () if definition.training is None else definition.training.tables
    beside = [name for name in ("identities", "codes") if name in fitted_with]
    yield "joining other tables", ", ".join(beside), _HINT
    told = {name: definition.reading.get(name, {}) for name in ("touchpoints", "conversions")}
    columns = {name: given.get("columns") or {} for name, given in told.items()}
    unread = [
        f"{name}.{key}"
        for name, given in told.items()
        for key in ("adapter", "time_format", "time_zone")
        if given.get(key) is not None
    ]
    yield "the reading of tables", ", ".join(unread), _HINT
    derives = bool(definition.channels) or (columns["touchpoints"] and "channel" not in columns["touchpoints"])
    yield "channel rules", derives and "channels derived from other columns", _HINT
    netted = sorted({"refund", "is_cancelled"} & set(columns["conversions"]))
    yield "netting", ", ".join(netted), _HINT


_TOUCHPOINTS, _CONVERSIONS = "given_touchpoints", "given_conversions"


def _inputs(definition: Definition, tables: SqlTables) -> Inputs:
    training = definition.training
    dimensions = () if training is None else training.dimensions
    told: Mapping[str, Mapping[str, Any]] = {} if tables.canonical else definition.reading
    return Inputs(
        _read(_TOUCHPOINTS, told.get("touchpoints", {})),
        _read(_CONVERSIONS, told.get("conversions", {}), tables.lacks),
        dimensions or ("channel",),
        training is None or training.has_times is not False,
        definition.journeys,
        definition.grain == "campaign",
    )


def _read(table: str, told: Mapping[str, Any], lacks: tuple[str, ...] = ()) -> str:
    """A table with canonical columns, as it was read in training; without what it lacks."""
    columns: Mapping[str, Any] = told.get("columns") or {}
    chosen = [f"{_merged(source)} as {quote(name)}" for name, source in columns.items()] or ["*"]
    if columns and table == _CONVERSIONS:
        lacks = tuple(name for name in _MAY_LACK if name not in columns)
    chosen += [f"cast(null as {_MAY_LACK[name]}) as {name}" for name in lacks]
    where = f" where {told['where']}" if told.get("where") else ""
    return table if chosen == ["*"] and not where else f"(select {', '.join(chosen)} from {table}{where}) as given"


def _merged(source: Any) -> str:
    if isinstance(source, str):
        return quote(source)
    values = [f"case when trim(cast({quote(name)} as varchar)) <> '' then {quote(name)} end" for name in source]
    return f"coalesce({', '.join(values)})"


def _steps(scorer: Scorer, inputs: Inputs) -> Iterator[Step]:
    """The common tables, each reading those before it."""
    yield Step("touches", inputs.touches())
    yield Step("usable", inputs.usable())
    yield Step("converted", inputs.converted())
    last = "placed"
    yield from pairing(inputs)
    for step in refining(inputs, scorer.state.channels, last):
        last = step.name
        yield step
    yield from _weighed(scorer, inputs, last)
    yield Step("compared", f"select *, max(weight) over (partition by {JOURNEY}) as largest from weighed")
    total = f"sum(weight / largest_or_1) over (partition by {JOURNEY})"
    yield Step("relative", "select *, case when largest > 0 then largest else 1 end as largest_or_1 from compared")
    share = f"case when largest > 0 then weight / largest_or_1 / {total} else {number(1)} / length end"
    yield Step("shared", f"select *, {share} as credit from relative")


def _weighed(scorer: Scorer, inputs: Inputs, source: str) -> Iterator[Step]:
    """What the touchpoints of ``source`` weigh, `AppliedModel.weigh` in SQL."""
    names = {dimension: inputs.column(dimension) for dimension in inputs.dimensions}
    sets_aside = scorer.unknown_channels == "zero"
    share = [*JOURNEY.split(", "), *(["is_known"] if sets_aside else [])]
    made = weighing(scorer.state, scorer.state.model(), names, share)
    if made.needs_age and not inputs.has_times:
        raise InputError(
            f"model {scorer.state.label!r} cannot be exported to SQL: its weight_sql names {AGE}, and it was fitted on "
            "touchpoints that have only an order",
            hint="fit it on touchpoints with timestamps",
        )
    yield Step("positioned", f"select *, {', '.join(_positions(scorer, inputs, made))} from {source}")
    if sets_aside:
        yield from _known(made, scorer.state.channels, ", ".join(share))
    else:
        yield Step("sharing", "select *, position as place_known, length as length_known from positioned")
    weight = made.weight
    if sets_aside:
        weight = f"case when known_here = 0 then {number(1)} when is_known = 0 then {number(0)} else {weight} end"
    yield Step("weighed", f"select *, ({weight}) * factor as weight from sharing")


def _positions(scorer: Scorer, inputs: Inputs, made: Weighing) -> Iterator[str]:
    """Columns with the place in the journey, what a view counts, and the age where it matters."""
    yield f"row_number() over (partition by {JOURNEY} order by place) as position"
    yield f"count(*) over (partition by {JOURNEY}) as length"
    weight = scorer.definition.journeys.view_through_weight
    is_view = f"case when kind = {text(IMPRESSION)} then {number(weight)} else {number(1)} end"
    yield f"{is_view if weight != 1 and 'kind' in inputs.dimensions else number(1)} as factor"
    if made.needs_age:
        yield f"cast(converted_us - touched_us as double) / {number(DAY)} as {AGE}"


def _known(made: Weighing, channels: Sequence[str], share: str) -> Iterator[Step]:
    """Touchpoints of channels that the model was fitted on, numbered as if the others had not been."""
    if made.learned:
        yield Step("learned", " union all ".join(learned_rows(made.learned, channels)))
        test = "case when l.channel is null then 0 else 1 end as is_known"
        columns = ", ".join(f"l.{name}" for name in made.learned)
        yield Step(
            "known", f"select p.*, {columns}, {test} from positioned p left join learned l on l.channel = p.channel"
        )
    else:
        test = f"case when channel in ({listed(channels)}) then 1 else 0 end as is_known"
        yield Step("known", f"select *, {test} from positioned")
    here = f"sum(is_known) over (partition by {JOURNEY}) as known_here"
    place = f"row_number() over (partition by {share} order by place) as place_known"
    length = f"count(*) over (partition by {share}) as length_known"
    yield Step("sharing", f"select *, {here}, {place}, {length} from known")


def _rows(scorer: Scorer, inputs: Inputs) -> str:
    """The last SELECT: a row for each touchpoint, and one for a conversion without any."""
    campaign = "s.campaign" if "campaign" in inputs.dimensions else "cast(null as varchar)"
    credit = f"coalesce(s.credit, {number(1)})"
    columns = {
        "model": text(scorer.state.label),
        "model_version": text(scorer.version),
        "conversion_id": "c.conversion_id",
        "customer_id": "c.customer_id",
        "touched_at": "s.touched_at",
        "channel": f"coalesce(s.channel, {text(UNATTRIBUTED)})",
        "campaign": campaign,
        "position": "s.position",
        "credit": credit,
        "credited_value": f"{credit} * c.value",
    }
    chosen = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
    joined = "converted c left join shared s on s.customer_id = c.customer_id and s.nth = c.nth"
    return f"select {chosen} from {joined} where {inputs.counted()}"


def _check_names(steps: list[Step], tables: SqlTables) -> None:
    """Refuse a table that goes by the name of one of ours."""
    taken = {step.name for step in steps} & {tables.touchpoints.lower(), tables.conversions.lower()}
    if taken:
        raise InputError(
            "the SELECT names a common table like this table of yours", given=sorted(taken),
            hint="name it with its schema: --conversions main.converted",
        )  # fmt: skip
