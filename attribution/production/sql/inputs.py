"""The two tables as a model reads them: usable touchpoints, and conversions numbered in the order of a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from attribution.data.engine import quote, text
from attribution.data.loading.normalise import SEPARATOR
from attribution.production.sql.dialects import ORDERED
from attribution.production.sql.times import MICROS, MOMENT
from attribution.schema.experiment import JourneyOptions

BY_NAME = ("kind", "channel", "campaign", "stage")
"""Columns of touchpoints that keep their names; a further one might have the name of a column of the SELECT."""


@dataclass(frozen=True)
class Inputs:
    """The tables that are read, and the columns that distinguish touchpoints.

    Attributes
    ----------
    touchpoints, conversions : names of the tables, or selects in parentheses
    dimensions : columns of touchpoints, in the order in which they break ties
    has_times : whether times are timestamps; positions otherwise
    options : how journeys are made
    by_campaign : whether channel and campaign together are the channel
    zones : time zone of the times of a table that have no offset, by ``touchpoints`` and ``conversions``
    """

    touchpoints: str
    conversions: str
    dimensions: tuple[str, ...]
    has_times: bool
    options: JourneyOptions
    by_campaign: bool = False
    zones: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_cost(self) -> bool:
        """Whether the cost of a touchpoint matters: copies of a row cost the same."""
        return self.options.dedupe == "unique"

    def column(self, dimension: str) -> str:
        """The name by which the SELECT knows a dimension."""
        return dimension if dimension in BY_NAME else f"dimension_{self.dimensions.index(dimension) + 1}"

    @property
    def columns(self) -> list[str]:
        """Names of all dimensions."""
        return [self.column(dimension) for dimension in self.dimensions]

    def instant(self, column: str, table: str) -> str:
        """SQL for a time of a table as an integer."""
        if not self.has_times:
            return f"cast({column} as bigint)"
        zone = f", {text(self.zones[table])}" if table in self.zones else ""
        return f"{MICROS}({column}{zone})"

    def moment(self, instant: str) -> str:
        """SQL for a time as results have it, of an integer."""
        return f"{MOMENT}({instant})" if self.has_times else instant

    @property
    def tie_break(self) -> list[str]:
        """SQL by which touchpoints at one instant of one customer are ordered."""
        keys = []
        for dimension in self.dimensions:
            key = f"coalesce({self.column(dimension)}, '')"
            if dimension == "kind":
                keys.append(f"case {key} when '' then 0 when 'click' then 1 when 'impression' then 2 else 3 end")
            keys.append(f"{ORDERED}({key})")
        return keys + (["cost"] if self.has_cost else [])

    def select_touchpoints(self) -> str:
        """SELECT of the usable touchpoints."""
        columns = [f"{self._dimension(name)} as {self.column(name)}" for name in self.dimensions]
        cost = ["coalesce(cost, 0) as cost"] if self.has_cost else []
        chosen = ["customer_id", f"{self.instant('touched_at', 'touchpoints')} as touched_us", *columns, *cost]
        return (
            f"select * from (select {', '.join(chosen)} from {self.touchpoints} "
            f"where {_is_filled('customer_id')} and {_is_filled('channel')}) as read where touched_us is not null"
        )

    def _dimension(self, name: str) -> str:
        """SQL for a dimension; every campaign is a channel of its own where that is the grain."""
        own = _text_or_null(f"lower(trim(cast({quote(name)} as varchar)))" if name == "kind" else quote(name))
        if name != "channel" or not self.by_campaign:
            return own
        joined = f"cast(channel as varchar) || {text(SEPARATOR)} || cast(campaign as varchar)"
        return f"case when {_is_filled('campaign')} then {joined} else {own} end"

    def select_usable(self) -> str:
        """SELECT of the usable conversions; ``copy`` numbers those of one id."""
        options = self.options
        is_new = ["is_new_customer"] if options.customers == "new" else []
        kinds = (
            ""
            if options.conversion_kinds is None
            else f" and lower(trim(cast(kind as varchar))) in ({quoted_list(options.conversion_kinds)})"
        )
        inner = (
            f"select customer_id, {self.instant('converted_at', 'conversions')} as converted_us, "
            f"cast(value as double) as given_value, {_text_or_null('conversion_id')} as conversion_id"
            f"{''.join(f', {name}' for name in is_new)} from {self.conversions} "
            f"where {_is_filled('customer_id')}{kinds}"
        )
        no_value = "case when given_value is null then 1 else 0 end"
        customer = f"{ORDERED}(cast(customer_id as varchar))"
        order = ["converted_us", customer, no_value, "coalesce(given_value, 0)", *_flag_keys(is_new)]
        return (
            "select *, coalesce(given_value, 0) as value, row_number() over (partition by conversion_id, "
            "case when conversion_id is null then customer_id end "
            f"order by {', '.join(order)}) as copy from ({inner}) as read where converted_us is not null"
        )

    def select_converted(self) -> str:
        """SELECT of the distinct conversions, ``nth`` of their customer, and whether they count."""
        is_new = ["is_new_customer"] if self.options.customers == "new" else []
        ties = [
            "case when conversion_id is null then 1 else 0 end",
            f"{ORDERED}(coalesce(conversion_id, ''))",
            "value",
            *_flag_keys(is_new),
        ]
        at_once = f"row_number() over (partition by customer_id, converted_us order by {', '.join(ties)})"
        made = (
            f"cast(customer_id as varchar) || '@' || cast(converted_us as varchar) || '#' || cast({at_once} as varchar)"
        )
        nth = f"row_number() over (partition by customer_id order by converted_us, {', '.join(ties)})"
        return (
            f"select customer_id, converted_us, value{', is_new_customer' if is_new else ''}, "
            f"coalesce(conversion_id, {made}) as conversion_id, {nth} as nth "
            "from usable where conversion_id is null or copy = 1"
        )

    def condition_to_count(self) -> str:
        """Condition that a conversion ``c`` counts; the others still close journeys."""
        conditions = ["c.nth = 1"] if self.options.conversions == "first_only" else []
        if self.options.customers == "new":
            conditions.append("coalesce(c.is_new_customer, c.nth = 1)")
        return " and ".join(conditions) or "true"


def quoted_list(values: Sequence[str]) -> str:
    """Texts for ``in (…)``."""
    return ", ".join(text(value) for value in values)


def _text_or_null(column: str) -> str:
    """A text; a blank one is null."""
    return f"case when {_is_filled(column)} then cast({column} as varchar) end"


def _is_filled(column: str) -> str:
    return f"replace(cast({column} as varchar), ' ', '') <> ''"


def _flag_keys(columns: list[str]) -> list[str]:
    return [f"case when {name} then 1 when not {name} then 0 else 2 end" for name in columns]
