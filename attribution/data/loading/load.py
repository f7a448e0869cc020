"""From raw exports to the canonical tables, checked; and a fingerprint of what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from attribution.arguments import check_arguments
from attribution.data.channels import ChannelRules, read_rules
from attribution.data.engine import DuckDBEngine, Engine, quote, text
from attribution.data.loading.currencies import (
    Currencies,
    base_currency,
    check_currencies,
    convert_values,
    find_currencies,
)
from attribution.data.loading.enrich import enrich
from attribution.data.loading.findings import Finding
from attribution.data.loading.loaded_tables import LoadedTable, ReadTables, check_spelling, count_rows, load_tables
from attribution.data.loading.marketing import Marketing
from attribution.data.loading.normalise import Grain, complete, normalise
from attribution.data.loading.null_texts import (
    words_for,
)
from attribution.data.loading.order_rows import net_refund_rows
from attribution.data.loading.raw_tables import OpenedTable, as_spec, open_table
from attribution.data.loading.times import DAY
from attribution.data.loading.visits import read_visits
from attribution.errors import InputError
from attribution.schema.experiment import TableSpec, VisitOptions
from attribution.schema.tables import TOUCHPOINTS


@dataclass(frozen=True)
class Sources:
    """The canonical tables of one run, held by the engine.

    Attributes
    ----------
    engine : who answers SQL about them, under their names in ``tables.INPUTS``
    tables : what was loaded, by name
    dimensions : names of the columns that tell touchpoints apart (channel first)
    integer_times : whether times are mere positions; None where there are none
    separator : between the channels of a path
    no_channels : what is no channel of a path, in lower case
    findings : what was found while files were read and channels, codes and persons put in
    marketing : what raw marketing columns said, where channel rules were used: lint, clicks, days
    conversions_view : what conversions are read from; arrivals in a stage can take their place
    zoned : whether times tell their time zone, or were given one; None where there is nothing to tell
    currency : of values, as far as it is told
    currencies : which currencies each table with money tells

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> sources = at.load_sources(
    ...     pd.DataFrame({"customer_id": ["a"], "touched_at": ["2024-01-01"], "channel": ["mail"], "campaign": ["x"]}),
    ...     pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-02"]}),
    ... )
    >>> sorted(sources.tables), sources.has("touchpoints", "campaign"), sources.has("costs")
    (['conversions', 'touchpoints'], True, False)
    """

    engine: Engine
    tables: Mapping[str, LoadedTable]
    dimensions: tuple[str, ...] = ()
    integer_times: bool | None = None
    separator: str = ">"
    no_channels: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    marketing: Marketing | None = None
    conversions_view: str = "conversions"
    zoned: bool | None = None
    currency: str | None = None
    currencies: Mapping[str, Currencies] = field(default_factory=dict)

    @check_arguments
    def has(self, table: str, column: str | None = None) -> bool:
        """Whether ``table`` was given, with ``column`` if named."""
        loaded = self.tables.get(table)
        return loaded is not None and (column is None or column in loaded.columns)

    @property
    def channel_lint(self) -> pa.Table | None:
        """The ``channel_lint`` table, where channel rules were used."""
        return None if self.marketing is None else self.marketing.lint

    @cached_property
    def channel_days(self) -> pa.Table | None:
        """Touchpoints by ``channel`` and ``day`` (µs since 1970); None where there are no times."""
        if not self.has("touchpoints") or self.integer_times is not False:
            return None
        return self.engine.query(
            f"select channel, touched_at - touched_at % {DAY} as day, count(*) as touchpoints from touchpoints "
            "where touched_at is not null and channel is not null group by 1, 2 order by 1, 2",
            table="touchpoints",
        )

    @cached_property
    def first_touches(self) -> str:
        """Name of a table with a row for each converting customer who was touched; made when first asked for.

        ``first_at`` is the first touchpoint, ``last_at`` the last one that was not after the first conversion,
        ``touchpoints`` their number.
        """
        self.engine.define(
            "first_touches",
            "select t.customer_id, min(t.touched_at) as first_at, count(*) as touchpoints, "
            "max(case when t.touched_at <= c.first_at then t.touched_at end) as last_at from touchpoints t join "
            "(select customer_id, min(converted_at) as first_at from conversions where customer_id is not null "
            "group by customer_id) c on t.customer_id = c.customer_id group by t.customer_id",
        )
        return "first_touches"


@check_arguments
def load_sources(
    touchpoints: Any = None,
    conversions: Any = None,
    costs: Any = None,
    *,
    paths: Any = None,
    truth: Any = None,
    identities: Any = None,
    customers: Any = None,
    codes: Any = None,
    rates: Any = None,
    lifetimes: Any = None,
    stages: Any = None,
    lift_tests: Any = None,
    channels: ChannelRules | Mapping[str, Any] | None = None,
    account: str | None = None,
    visits: VisitOptions | Mapping[str, Any] | None = None,
    grain: Grain = "channel",
    currency: str | None = None,
    exchange_rates: Mapping[str, float] | None = None,
    engine: Engine | None = None,
    folder: str | Path = ".",
    latest: bool = False,
    click_ids: bool = False,
) -> Sources:
    """Read and check the input tables.

    Parameters
    ----------
    touchpoints, conversions, costs, paths, truth, identities, customers, codes, rates, lifetimes, stages, lift_tests
        A DataFrame, Arrow table, path, glob, list of paths, SQL query (``select …``), or a `TableSpec` for
        column maps, filters and time formats. Columns: see `attribution.schema.tables`.
    channels : rules of your own, in front of the default grouping, for touchpoints without a channel column;
        `ChannelRules`, or a dict of ``own_sites``, ``ignored_referrers`` and ``rules`` as an experiment file has them
    account : column of ``customers`` whose values own the journeys, instead of customers
    visits : how page views become visits, such as ``{"visit_gap_minutes": 30}``, with the keys of ``[journeys]`` in an
        experiment file; touchpoints stay as they are unless given
    grain : ``campaign`` lets every campaign be a channel of its own, named "search / brand"
    currency : of values; conversions in others are converted, and refused without rates
    exchange_rates : what one unit of another currency is worth; ``rates`` has rates that change
    engine : the engine to hold them; DuckDB in this process unless given
    folder : where relative paths start
    latest : of rows with one ``conversion_id`` keep the latest by ``updated_at``, else the last; else the earliest
    click_ids : give touchpoints the click id that their raw columns or their ``url`` hold, as ``click_id``, and the
        name of its parameter (``gclid``, ``msclkid``, …), as ``click_id_kind``; reading takes longer

    Raises
    ------
    InputError
        If a table is missing, empty, unreadable, or breaks its contract.

    Examples
    --------
    >>> import pandas as pd
    >>> sources = load_sources(
    ...     pd.DataFrame({"customer_id": [1, 1], "touched_at": [1, 2], "channel": ["search", "mail"]}),
    ...     pd.DataFrame({"customer_id": [1], "converted_at": [3], "value": [10.0]}),
    ... )
    >>> sources.tables["touchpoints"].rows, sources.integer_times
    (2, True)
    """
    values = {
        "touchpoints": touchpoints,
        "conversions": conversions,
        "costs": costs,
        "paths": paths,
        "truth": truth,
        "identities": identities,
        "customers": customers,
        "codes": codes,
        "rates": rates,
        "lifetimes": lifetimes,
        "stages": stages,
        "lift_tests": lift_tests,
    }
    if isinstance(channels, Mapping):
        channels = read_rules(channels, "channels")
    specs = {name: as_spec(value) for name, value in values.items() if value is not None}
    _check_request(specs, account)
    (engine := engine or DuckDBEngine()).claim()
    opened = {name: open_table(engine, name, spec, Path(folder)) for name, spec in specs.items()}
    options = _Options(account, channels, visits, grain, currency, exchange_rates or {}, latest, click_ids)
    return _make_sources(engine, opened, options)


def read_table(engine: Engine, name: str, source: Any, folder: Path) -> pd.DataFrame:
    """One input table alone, checked against its contract.

    Parameters
    ----------
    engine : to read it with
    name : of the table, see `attribution.schema.tables.INPUTS`
    source : whatever `load_sources` takes
    folder : where relative paths start
    """
    opened = {name: open_table(engine, name, as_spec(source), folder)}
    load_tables(engine, opened, None, latest=False)
    return engine.query(f"select * from {quote(name)}", table=name).to_pandas()


class _Options(NamedTuple):
    """How tables become sources, see `load_sources`."""

    account: str | None
    channels: ChannelRules | None
    visits: VisitOptions | Mapping[str, Any] | None
    grain: Grain
    currency: str | None
    exchange_rates: Mapping[str, float]
    latest: bool
    click_ids: bool


def _make_sources(engine: Engine, opened: Mapping[str, OpenedTable], options: _Options) -> Sources:
    read = load_tables(engine, opened, options.account, latest=options.latest)
    loaded, specs = dict(read.tables), {name: table.spec for name, table in opened.items()}
    money = _put_in_one_currency(engine, read, options.currency, options.exchange_rates)
    refunds = _net_refund_rows(engine, opened, loaded)
    findings = normalise(engine, _columns(loaded))
    visits = read_visits(options.visits, specs, read.integer_times)
    rules, account = options.channels, options.account
    enriched = enrich(engine, _columns(loaded), rules, account, click_ids=options.click_ids, visits=visits)
    loaded |= _load_again(engine, enriched.columns)
    completed = complete(engine, _columns(loaded), options.grain)
    loaded |= _load_again(engine, completed.columns)
    all_findings = (read.findings, money.findings, refunds, findings, enriched.findings, completed.findings)
    return Sources(
        engine,
        loaded,
        dimensions=_dimensions(loaded),
        integer_times=read.integer_times,
        **_how_to_split(specs.get("paths")),
        findings=(*_findings_of(opened), *chain.from_iterable(all_findings)),
        marketing=enriched.marketing,
        zoned=read.zoned,
        currency=money.base,
        currencies=money.currencies,
    )


def _load_again(engine: Engine, columns: Mapping[str, tuple[str, ...]]) -> dict[str, LoadedTable]:
    """Tables that are no longer what they were."""
    for name, of_table in columns.items():
        check_spelling(name, of_table)
    return {name: LoadedTable(name, of_table, count_rows(engine, name)) for name, of_table in columns.items()}


def _how_to_split(paths: TableSpec | None) -> dict[str, Any]:
    """Of `Sources`, what says how paths become channels."""
    if paths is None:
        return {}
    return {"separator": paths.separator, "no_channels": words_for("channels", paths.null_texts)}


def _columns(loaded: Mapping[str, LoadedTable]) -> dict[str, tuple[str, ...]]:
    return {name: table.columns for name, table in loaded.items()}


def _findings_of(opened: Mapping[str, OpenedTable]) -> Iterator[Finding]:
    return (finding for table in opened.values() for finding in table.findings)


class _Money(NamedTuple):
    base: str | None
    currencies: Mapping[str, Currencies]
    findings: tuple[Finding, ...]


def _put_in_one_currency(engine: Engine, read: ReadTables, currency: str | None, rates: Mapping[str, float]) -> _Money:
    """Convert conversions to the currency of values, and refuse other money that is not in it."""
    columns = _columns(read.tables)
    currencies = find_currencies(engine, columns, read.signs)
    base = base_currency(currencies, currency)
    check_currencies(currencies, base)
    findings: list[Finding] = []
    if base is not None and "conversions" in currencies and currencies["conversions"].is_read:
        findings = convert_values(
            engine,
            columns["conversions"],
            base,
            rates,
            dated=columns.get("rates", ()),
            has_times=read.integer_times is not True,
        )
    return _Money(base, currencies, tuple(findings))


def _net_refund_rows(
    engine: Engine, opened: Mapping[str, OpenedTable], loaded: dict[str, LoadedTable]
) -> list[Finding]:
    if "conversions" not in opened or opened["conversions"].spec.negative is None:
        return []
    columns, finding = net_refund_rows(engine, loaded["conversions"].columns)
    loaded["conversions"] = LoadedTable("conversions", columns, count_rows(engine, "conversions"))
    return [finding]


def _check_request(specs: Mapping[str, TableSpec], account: str | None) -> None:
    events = sorted({"touchpoints", "conversions"} & set(specs))
    customer_tables = sorted({"identities", "customers", "codes", "lifetimes", "stages"} & set(specs))
    if "paths" not in specs and "conversions" not in specs:
        raise InputError("a conversions table is needed", given=sorted(specs), allowed="conversions, or paths")
    if "paths" in specs and events:
        raise InputError("give either paths, or touchpoints and conversions, not both")
    if "paths" in specs and customer_tables:
        raise InputError(
            f"table {customer_tables[0]!r} needs customers, and aggregated paths have none", given=sorted(specs)
        )
    if account is not None and ("customers" not in specs or account.casefold() == "customer_id"):
        raise InputError(
            "account must name the column of the customers table that holds each customer's account",
            given=repr(account) if "customers" in specs else "no customers table",
        )


def _dimensions(loaded: Mapping[str, LoadedTable]) -> tuple[str, ...]:
    """Columns that tell touchpoints apart, in the order in which they break ties."""
    if "touchpoints" not in loaded:
        return ()
    columns = loaded["touchpoints"].columns
    further = sorted(name for name in columns if TOUCHPOINTS.column(name) is None)
    return tuple(name for name in ("kind", "channel", "campaign", "stage", *further) if name in columns)


# ---------------------------------------------------------------- fingerprint


def content_digest(sources: Sources, table: str) -> str:
    """16 hexadecimal digits of the canonical content of ``table``."""
    columns = sorted(sources.tables[table].columns)
    texts = ", ".join(f"coalesce(length({quote(c)}::varchar) || ':' || {quote(c)}::varchar, '-')" for c in columns)
    # A sum of row fingerprints: it depends on how often a row is there, not on where.
    row = sources.engine.query(
        "select count(*) as n, sum(md5_number_lower(t)::hugeint)::varchar as low, "
        "sum(md5_number_upper(t)::hugeint)::varchar as high "
        f"from (select concat_ws('|', {texts}) as t from {quote(table)})"
    ).to_pylist()[0]
    content = "\n".join([table, *columns, str(row["n"]), str(row["low"]), str(row["high"])])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def without_customer(sources: Sources, customer: str) -> tuple[Sources, dict[str, int]]:
    """Tables without one customer, and how many rows of them each table of events had.

    Parameters
    ----------
    sources : changed in their engine: their views leave the customer out from now on
    customer : id after linked ids have been resolved, as text
    """
    engine, counts, tables = sources.engine, {"touchpoints": 0, "conversions": 0}, dict(sources.tables)
    for name, loaded in sources.tables.items():
        if "customer_id" not in loaded.columns:
            continue
        view = f"{name}_without_customer"
        is_other = f"cast(customer_id as varchar) is distinct from {text(customer)}"
        engine.define(view, f"select * from {quote(name)} where {is_other}")
        engine.view(name, f"select * from {quote(view)}")
        rows = count_rows(engine, name)
        if name in counts:
            counts[name] = loaded.rows - rows
        tables[name] = replace(loaded, rows=rows)
    return replace(sources, tables=tables), counts
