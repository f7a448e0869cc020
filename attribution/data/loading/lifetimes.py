"""What customers are worth, from a model of their own: the expected lifetime revenue of each."""

from __future__ import annotations

from collections.abc import Sequence

from attribution.data.engine import Engine, quote
from attribution.data.loading.quality import Finding, count_finding
from attribution.errors import InputError


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
    kept = ", ".join(f"c.{quote(name)}" for name in columns if name != "ltv")
    engine.define(
        "conversions_with_lifetimes",
        # Ids that turned out to be one person's: each was foretold its own part.
        f"select {kept}, coalesce({own}, l.ltv) as ltv from conversions_without_lifetimes c left join "
        "(select customer_id, sum(ltv) as ltv from lifetimes where customer_id is not null group by customer_id) l "
        "on l.customer_id = c.customer_id",
    )
    engine.view("conversions", "select * from conversions_with_lifetimes")
    found = engine.query(
        "select count(*) as n, count(*) filter (ltv is null) as lacking, "
        "min(case when ltv is null then customer_id end)::varchar as example from conversions"
    ).to_pylist()[0]
    message = "conversions whose customer has no LTV in lifetimes: returns.ltv is for those"
    lacking = count_finding(
        "no_lifetime", "lifetimes", found["lacking"], message, total=found["n"], example=found["example"]
    )
    return (*(name for name in columns if name != "ltv"), "ltv"), lacking


def check_lifetimes(engine: Engine) -> None:
    """Refuse a table that says two things of one customer."""
    found = engine.query(
        "select count(*) as n, min(customer_id)::varchar as example from (select customer_id from lifetimes "
        "where customer_id is not null group by customer_id having count(*) > 1) t"
    ).to_pylist()[0]
    if found["n"]:
        raise InputError(f"table 'lifetimes': {found['n']} customers have several rows", given=found["example"])
