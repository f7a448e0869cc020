"""The data a model was fitted on, and how its journeys were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from attribution.data.engine import check_condition, check_expression, reads_tables
from attribution.data.loading import Sources, is_expression
from attribution.errors import InputError
from attribution.journeys import Journeys
from attribution.models import AttributionModel
from attribution.models.saved.own_code import TRUSTED
from attribution.schema.experiment import JourneyOptions, Period, TableSpec

EVENTS = ("touchpoints", "conversions")
BESIDE = ("identities", "customers", "codes")
"""Tables that change what journeys are."""


def _lasting(dimensions: tuple[str, ...]) -> tuple[str, ...]:
    """Those that tables to be scored must have as well: click ids of raw columns are read for exports of a run."""
    is_derived = "click_id_kind" in dimensions
    return tuple(name for name in dimensions if not (is_derived and name in ("click_id", "click_id_kind")))


@dataclass(frozen=True)
class Training:
    """The data that a model was fitted on.

    Attributes
    ----------
    tables : names of the tables
    dimensions : columns that distinguish touchpoints
    has_times : whether times were timestamps, not positions; None for aggregated paths
    zoned : whether timestamps had a time zone; None where there were no timestamps
    first, last : ends of the data, as text: of the period as far as there are events; None for aggregated paths
    journeys, conversions, value : how many and how much
    digests : fingerprint of the content of each table
    touched_first : when the first touchpoint was, before the period or in it; None where that is not known
    currency : of the value; None where that is not told
    """

    tables: tuple[str, ...]
    dimensions: tuple[str, ...]
    has_times: bool | None
    zoned: bool | None
    first: str | None
    last: str | None
    journeys: float
    conversions: float
    value: float
    digests: Mapping[str, str] = field(default_factory=dict)
    touched_first: str | None = None
    currency: str | None = None

    @classmethod
    def of(
        cls,
        sources: Sources,
        journeys: Journeys,
        digests: Mapping[str, str] | None = None,
        *,
        period: Period | None = None,
    ) -> Training:
        """From the sources and journeys that a model is fitted on, and their ``period``."""
        first, last = _ends(journeys, period or Period())
        return cls(
            tables=tuple(sorted(sources.tables)),
            dimensions=_lasting(sources.dimensions),
            has_times=None if journeys.integer_times is None else journeys.has_times,
            zoned=sources.zoned,
            first=first,
            last=last,
            journeys=float(len(journeys)),
            conversions=journeys.total("conversions"),
            value=journeys.total("value"),
            digests=dict(digests or {}),
            touched_first=_first_touchpoint(sources),
            currency=sources.currency,
        )

    def days_shared(self, other: Training) -> float:
        """Days that both were fitted on; NaN where the days of one are not known.

        Examples
        --------
        >>> common = dict(tables=(), dimensions=(), has_times=True, zoned=None, journeys=1, conversions=1, value=0)
        >>> winter = Training(first="2024-01-01", last="2024-02-29T23:59:59.999999", **common)
        >>> winter.days_shared(Training(first="2024-02-28T12", last="2024-03-31", **common)).__round__(6)
        1.5
        >>> winter.days_shared(Training(first="2024-03-01", last="2024-03-31", **common))
        0.0
        """
        texts = (self.first, self.last, other.first, other.last)
        if None in texts or not (self.has_times and other.has_times):
            return float("nan")
        begun, ended, other_begun, other_ended = (np.datetime64(str(text), "us") for text in texts)
        shared = min(ended, other_ended) - max(begun, other_begun)
        return max(float(shared / np.timedelta64(1, "D")), 0.0)


@dataclass(frozen=True)
class PastTraining:
    """The training of an earlier version of a model, from before it was refitted.

    Attributes
    ----------
    version : of its folder
    written_on : day on which that was written; None if the folder does not say
    first, last : ends of its data, as text; None if they are not known
    """

    version: str
    written_on: str | None
    first: str | None
    last: str | None


def _first_touchpoint(sources: Sources) -> str | None:
    if not sources.has("touchpoints") or sources.integer_times is not False:
        return None
    (row,) = sources.engine.query("select min(touched_at) as first from touchpoints", table="touchpoints").to_pylist()
    return None if row["first"] is None else str(np.datetime64(row["first"], "us"))


def _ends(journeys: Journeys, period: Period) -> tuple[str | None, str | None]:
    if journeys.span is None:
        return None, None
    if not journeys.has_times:
        first, last = journeys.span
        return str(first), str(last)
    start, end = period.bounds()
    first = journeys.span[0] if start is None else max(journeys.span[0], start)
    last = journeys.span[1] if end is None else min(journeys.span[1], end)
    return str(np.datetime64(first, "us")), str(np.datetime64(last, "us"))


@dataclass(frozen=True)
class Definition:
    """How touchpoints and conversions become the journeys of a model.

    Attributes
    ----------
    journeys : the journey options
    grain : ``channel`` or ``campaign``
    channels : document of channel rules, see `attribution.data.channels.read_rules`
    reading : how raw tables were read, by table: columns, filters and time formats of a `TableSpec`
    training : the data; None if not known
    rates : what one unit of another currency is worth in that of the data
    """

    journeys: JourneyOptions = field(default_factory=JourneyOptions)
    grain: Literal["channel", "campaign"] = "channel"
    channels: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    training: Training | None = None
    rates: Mapping[str, float] = field(default_factory=dict)

    @property
    def currency(self) -> str | None:
        """The currency of values; None where that is not told."""
        return None if self.training is None else self.training.currency

    def refuse_other_tables(self, origin: str) -> None:
        """Refuse a reading that would read more than the tables given to it: model folders are data, not code.

        Raises
        ------
        InputError
            Naming the table and its ``origin``.
        """
        for table, options in self.reading.items():
            for name, source in (options.get("columns") or {}).items():
                _check_expression(origin, table, name, source)
            where = options.get("where")
            if where is None:
                continue
            check_condition(table, str(where))
            if reads_tables(str(where)):
                raise InputError(
                    f"{origin} filters the table {table} by a query, which is run only if you allow it",
                    given=repr(where),
                    hint=TRUSTED,
                )

    def spec(self, table: str, source: Any, *, canonical: bool) -> Any:
        """How ``source`` is read as ``table``: as in training, unless it has canonical columns or says so itself."""
        options = self.reading.get(table)
        if canonical or not options or isinstance(source, TableSpec):
            return source
        is_query = isinstance(source, str) and source.lstrip().lower().startswith(("select ", "with ", "from "))
        return source if is_query else TableSpec(source=source, **options)

    def needed_dimensions(self, model: AttributionModel) -> tuple[str, ...]:
        """Columns of touchpoints that decide journeys or weights."""
        dimensions = () if self.training is None else self.training.dimensions
        options = self.journeys
        needed = set(dimensions) if options.dedupe != "none" else {"channel"}
        if options.lookback_by_kind or options.view_through != "equal" or options.view_through_weight != 1:
            needed |= {"kind"} & set(dimensions)
        column, function = getattr(model, "column", None), getattr(model, "function", None)
        if isinstance(column, str) and not (hasattr(model, "weights") and function is None):
            needed |= {column} & set(dimensions)
        if function is not None:
            needed |= {"kind"} & set(dimensions)
        return tuple(sorted(needed))

    def check(self, sources: Sources, model: AttributionModel) -> None:
        """Raise `InputError` if ``sources`` lack what the model needs, or their times are of another kind."""
        missing = [name for name in self.needed_dimensions(model) if name not in sources.dimensions]
        if missing and sources.has("touchpoints"):
            raise InputError(
                f"model {model.label!r} needs the column {missing[0]!r} of touchpoints",
                given=list(sources.tables["touchpoints"].columns),
                allowed=f"needed are {', '.join(self.needed_dimensions(model))}",
            )
        trained = self.training
        if trained is None:
            return
        for table in BESIDE:
            needed = table != "customers" or self.journeys.account is not None
            if needed and table in trained.tables and not sources.has(table):
                raise InputError(
                    f"model {model.label!r} was fitted with a table {table!r}, which is missing here",
                    hint=f"give the table {table!r} as well",
                )
        _check_clock(model, trained, sources)


def _check_expression(origin: str, table: str, name: str, source: object) -> None:
    """Refuse a column that is SQL which reads another table; a source may also be called like SQL."""
    if not isinstance(source, str) or not is_expression(source):
        return
    try:
        check_expression(table, name, source)
    except InputError:
        return  # no SQL, and refused where no column has this name
    if reads_tables(source):
        raise InputError(
            f"{origin} reads a column of the table {table} by a query, which is run only if you allow it",
            given=repr(source),
            hint=TRUSTED,
        )


def _check_clock(model: AttributionModel, trained: Training, sources: Sources) -> None:
    if trained.has_times is not None and trained.has_times == sources.integer_times:
        kinds = {True: "timestamps", False: "only an order"}
        raise InputError(
            f"model {model.label!r} was fitted on touchpoints with {kinds[trained.has_times]}",
            given=f"touchpoints with {kinds[not trained.has_times]}",
            hint="give touchpoints of the same kind, or fit the model again",
        )
    if trained.zoned is not None and sources.zoned is not None and trained.zoned != sources.zoned:
        kinds_of_zone = {True: "with a time zone", False: "without a time zone, read as UTC"}
        raise InputError(
            f"model {model.label!r} was fitted on timestamps {kinds_of_zone[trained.zoned]}",
            given=f"timestamps {kinds_of_zone[sources.zoned].split(',')[0]}",
            hint="set the time zone of these tables, such as Europe/Paris"
            if trained.zoned
            else "give times in UTC without an offset, or fit the model again",
        )
