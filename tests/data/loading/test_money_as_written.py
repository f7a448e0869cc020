"""Money as products write it: marks and signs, currencies, totals, items of an order, refunds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.data.loading.numbers import hint_number
from attribution.errors import InputError

TOUCHES = pd.DataFrame({"customer_id": ["a", "b"], "touched_at": ["2024-05-01 08:00", "2024-05-02 08:00"],
                        "channel": ["radio", "print"]})  # fmt: skip
ORDERS = pd.DataFrame({"customer_id": ["a", "b"], "converted_at": ["2024-05-01 09:00", "2024-05-02 09:00"],
                       "value": [100.0, 300.0]})  # fmt: skip


def costs(*amounts: str, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"channel": ["radio", "print", "tv", "web"][: len(amounts)], "amount": [*amounts], **columns})


def spend(table: Any, conversions: Any = None, **options: Any) -> dict[str, float]:
    """Spend by channel, as returns have it."""
    sources = at.load_sources(TOUCHES, ORDERS if conversions is None else conversions, table)
    credit = at.attribute(at.build_journeys(sources), [at.LastTouch()])
    rows = at.compute_returns(credit, sources, **options).dropna(subset="spend")
    return dict(zip(rows["channel"], rows["spend"], strict=True))


def values(conversions: Any, **options: Any) -> dict[str, float]:
    """Value by customer, once journeys could be built of it."""
    sources = at.load_sources(TOUCHES, conversions, **options)
    at.build_journeys(sources)
    table = sources.engine.query("select customer_id, sum(value) as value from conversions group by 1 order by 1")
    return dict(zip(table["customer_id"].to_pylist(), table["value"].to_pylist(), strict=True))


def orders(*rows: tuple[Any, ...], names: str = "customer_id converted_at value conversion_id") -> pd.DataFrame:
    return pd.DataFrame(rows, columns=names.split())


def finding(check: str, *tables: Any, **options: Any) -> Any:
    (only,) = (found for found in at.load_sources(*tables, **options).findings if found.check == check)
    return only


# ------------------------------------------------------------------- marks and signs


@pytest.mark.parametrize(
    ("keys", "amounts", "expected"),
    [
        ({"thousands": ","}, ("1,234.50", "2,000,000"), (1234.5, 2_000_000.0)),
        ({"thousands": ","}, ("12,34,567.5", "950"), (1_234_567.5, 950.0)),
        ({"thousands": "."}, ("1.234", "950,25"), (1234.0, 950.25)),
        ({"decimal": ","}, ("1234,5", "7"), (1234.5, 7.0)),
        ({"decimal": ",", "thousands": " "}, ("1 234,5", "1\u202f000\u00a0000"), (1234.5, 1_000_000.0)),
        ({"thousands": "'"}, ("1'234.5", "2’000"), (1234.5, 2000.0)),
        ({"decimal": "."}, ("1.234", "950"), (1.234, 950.0)),
        ({}, ("$1234.50", "US 7"[3:]), (1234.5, 7.0)),
        ({}, ("EUR 12.5", "3 EUR"), (12.5, 3.0)),
        ({"thousands": ","}, ("€ 1,234.50", "€950"), (1234.5, 950.0)),
        ({}, ("1e3", " 5 "), (1000.0, 5.0)),
        ({}, ("1.25", "900"), (1.25, 900.0)),
        ({}, ("1.125", "3"), (1.125, 3.0)),
    ],
)
def test_numbers_are_read_as_they_are_said_to_be_written(
    keys: dict[str, str], amounts: tuple[str, str], expected: tuple[float, float]
) -> None:
    found = spend(at.TableSpec(source=costs(*amounts), **keys))
    assert (found["radio"], found["print"]) == expected


@pytest.mark.parametrize(
    ("keys", "amounts", "said"),
    [
        ({}, ("1,234.50", "5"), "thousands = ','"),
        ({}, ("1.234,50", "5"), "decimal = ',' and thousands = '.'"),
        ({}, ("12,5", "5"), "decimal = ','"),
        ({}, (" --", "5"), "leave such rows out with where"),
        ({}, ("1.107", "901"), "thousands = '.' if so, or decimal = '.'"),
        ({}, ("$5", "€5"), "several currencies"),
        ({}, ("5EUR3", "5"), "are not numbers"),
        ({"thousands": ","}, ("1,5", "5"), "are not numbers"),
        ({"decimal": ","}, ("1.234", "5"), "are not numbers"),
    ],
)
def test_numbers_that_could_be_others_are_refused_with_the_key_that_decides(
    keys: dict[str, str], amounts: tuple[str, str], said: str
) -> None:
    with pytest.raises(InputError) as refused:
        spend(at.TableSpec(source=costs(*amounts), **keys))
    assert said in str(refused.value)


def test_marks_are_those_of_every_table_with_numbers() -> None:
    number = {"decimal": ",", "thousands": "."}
    sources = at.load_sources(
        at.TableSpec(source=TOUCHES.assign(cost=["1.000,5", "2"]), **number),
        at.TableSpec(source=ORDERS.assign(value=["2.000,5", "1"]), **number),
        rates=at.TableSpec(source=pd.DataFrame({"currency": ["USD"], "rate": ["0,5"]}), **number),
        lifetimes=at.TableSpec(source=pd.DataFrame({"customer_id": ["a"], "ltv": ["3.000"]}), **number),
        stages=at.TableSpec(
            source=pd.DataFrame(
                {"customer_id": ["a"], "stage": ["won"], "stage_time": ["2024-05-03"], "amount": ["4.000"]}
            ),
            **number,
        ),
    )
    read = {"touchpoints": "cost", "conversions": "value", "rates": "rate", "lifetimes": "ltv", "stages": "amount"}
    found = {
        name: sources.engine.query(f"select max({column}) as x from {name}")["x"].to_pylist()[0]
        for name, column in read.items()
    }
    assert found == {"touchpoints": 1000.5, "conversions": 2000.5, "rates": 0.5, "lifetimes": 3000.0, "stages": 4000.0}
    paths = at.TableSpec(source=pd.DataFrame({"path": ["x > y"], "conversions": ["1.000"], "value": ["2,5"]}), **number)
    whole = at.build_journeys(at.load_sources(paths=paths))
    assert (whole.total("conversions"), whole.total("value")) == (1000.0, 2.5)


def test_hints_name_the_key_that_reads_an_example() -> None:
    assert hint_number("1'234'567.8") == 'set thousands = "\'"'
    assert hint_number("1.234.567") == "set thousands = '.'"
    assert hint_number("many") == "leave such rows out with where"
    assert hint_number("3 of 4") is None


# ------------------------------------------------------------------- currencies

MIXED = ORDERS.assign(value=[100.0, 200.0], currency=["EUR", "usd "])


def test_conversions_in_two_currencies_are_refused_or_converted() -> None:
    for given in (MIXED, MIXED.rename(columns={"currency": "Order currency"})):
        with pytest.raises(InputError, match="several currencies"):
            at.load_sources(TOUCHES, given)
    with pytest.raises(InputError, match="no rate is known for currency 'USD'"):
        at.load_sources(TOUCHES, MIXED, currency="EUR")
    assert values(MIXED, currency="EUR", exchange_rates={"USD": 0.5}) == {"a": 100.0, "b": 100.0}
    rates = pd.DataFrame({"currency": ["USD"] * 2, "rate": [0.5, 2.0], "day": ["2024-01-01", "2024-05-02"]})
    assert values(MIXED, currency="EUR", rates=rates) == {"a": 100.0, "b": 400.0}
    with pytest.raises(InputError, match="the rate of USD is not known on the days of 1 conversion"):
        at.load_sources(TOUCHES, MIXED, currency="EUR", rates=rates.assign(day=["2024-06-01", "2024-07-01"]))
    with pytest.raises(InputError, match=r"in both returns\.rates and the table"):
        at.load_sources(TOUCHES, MIXED, currency="EUR", rates=rates, exchange_rates={"USD": 0.5})


def test_all_money_of_a_conversion_is_converted() -> None:
    given = MIXED.assign(refund=[0.0, 20.0], margin=[10.0, 40.0], ltv=[100.0, 500.0])
    sources = at.load_sources(TOUCHES, given, currency="EUR", exchange_rates={"USD": 0.5})
    (row,) = sources.engine.query("select * from conversions where customer_id = 'b'").to_pylist()
    assert {name: row[name] for name in ("value", "refund", "margin", "ltv", "currency")} == {
        "value": 90.0, "refund": 10.0, "margin": 20.0, "ltv": 250.0, "currency": "EUR",
    }  # fmt: skip


def test_costs_are_held_against_the_currency_of_orders() -> None:
    euros = ORDERS.assign(currency="EUR")
    assert spend(costs("5", "6", currency=["EUR", None]), euros) == {"radio": 5.0, "print": 6.0}
    yen = costs("500", "600", currency="JPY")
    with pytest.raises(InputError, match="no rate is known for currency 'JPY'"):
        spend(yen, euros)
    options: dict[str, Any] = {"currency": "EUR", "rates": {"JPY": 0.01}}
    assert spend(yen, euros, **options) == {"radio": 5.0, "print": 6.0}
    with pytest.raises(InputError, match="its money is in JPY, and that of values in EUR") as refused:
        spend(at.TableSpec(source=yen, columns={"channel": "channel", "amount": "amount"}), euros)
    assert "currency = 'currency'" in str(refused.value)
    said = {"channel": "channel", "amount": "amount", "currency": "'EUR'"}
    assert spend(at.TableSpec(source=yen, columns=said), euros) == {"radio": 500.0, "print": 600.0}
    with pytest.raises(InputError, match="its money is in GBP, and that of values in EUR"):
        spend(costs("£5", "£6"), euros)


def test_other_tables_are_held_against_it_too() -> None:
    euros = ORDERS.assign(currency="EUR")
    with pytest.raises(InputError, match="table 'touchpoints': its money is in USD"):
        at.load_sources(TOUCHES.assign(cost=1.0, cost_currency="USD"), euros)
    lifetimes = pd.DataFrame({"customer_id": ["a", "b"], "ltv": [1.0, 2.0], "currency": ["EUR", "USD"]})
    with pytest.raises(InputError, match="table 'lifetimes': amounts are in several currencies"):
        at.load_sources(TOUCHES, euros, lifetimes=lifetimes)
    rows = {"path": ["x", "y"], "conversions": [1, 1], "value": [1.0, 2.0], "ccy": ["EUR", "USD"]}
    with pytest.raises(InputError, match="table 'paths': amounts are in several currencies"):
        at.load_sources(paths=pd.DataFrame(rows))
    rate = ORDERS.assign(currency_rate=["0.9", "1.1"])
    assert at.load_sources(TOUCHES, rate).currency is None


@pytest.mark.parametrize(
    ("adapter", "rows"),
    [
        ("google_ads", {"date": "2024-05-01", "campaign_name": "x", "cost_micros": 5_000_000,
                        "customer_currency_code": ["EUR", "JPY"]}),
        ("meta_ads", {"date": "2024-05-01", "campaign_name": "x", "spend": 5.0, "account_currency": ["EUR", "JPY"]}),
        ("microsoft_ads", {"date": "2024-05-01", "campaign_name": "x", "spend": 5.0, "currency_code": ["EUR", "JPY"]}),
        ("linkedin_ads", {"day": "2024-05-01", "cost_in_local_currency": 5.0, "currency": ["EUR", "JPY"]}),
        ("pinterest_ads", {"date": "2024-05-01", "spend_in_dollar": 5.0, "currency": ["EUR", "JPY"]}),
        ("reddit_ads", {"date": "2024-05-01", "spend": 5_000_000, "currency": ["EUR", "JPY"]}),
    ],
)  # fmt: skip
def test_exports_in_two_currencies_are_refused_or_converted(adapter: str, rows: dict[str, Any]) -> None:
    table = at.TableSpec(adapter=adapter, source=pd.DataFrame(rows))
    with pytest.raises(InputError, match="amounts are in several currencies"):
        spend(table)
    options: dict[str, Any] = {"currency": "EUR", "rates": {"JPY": 0.2}}
    assert spend(table, **options) == {spend_channel(adapter): 6.0}


def spend_channel(adapter: str) -> str:
    return "Paid Search" if adapter in ("google_ads", "microsoft_ads") else "Paid Social"


def test_dollars_of_linkedin_are_dollars() -> None:
    rows = pd.DataFrame({"day": ["2024-05-01"], "cost_in_usd": [5.0]})
    table = at.TableSpec(adapter="linkedin_ads", source=rows)
    assert spend(table) == {"Paid Social": 5.0}
    with pytest.raises(InputError, match="no rate is known for currency 'USD'"):
        spend(table, ORDERS.assign(currency="EUR"))


# ------------------------------------------------------------------- totals


@pytest.mark.parametrize("name", ["Total", " TOTAL ", "Grand total", "Subtotal", "Gesamt", "合计", "Total: account"])
def test_rows_named_as_totals_are_refused(name: str) -> None:
    table = costs("5", "6", "11").assign(channel=["radio", "print", name])
    with pytest.raises(InputError, match="seem to sum up other rows in 1 of 3 rows"):
        at.load_sources(TOUCHES, ORDERS, table)
    campaigns = costs("5", "6", "11", campaign=["x", "y", name])
    with pytest.raises(InputError, match="column 'campaign': values seem to sum up"):
        at.load_sources(TOUCHES, ORDERS, campaigns)
    paths = pd.DataFrame({"path": ["radio", name.strip()], "conversions": [1, 1]})
    if ":" not in name:
        with pytest.raises(InputError, match="column 'path': values seem to sum up"):
            at.load_sources(paths=paths)
    kept = at.TableSpec(source=table, where=f"channel <> '{name}'")
    assert spend(kept) == {"radio": 5.0, "print": 6.0}
    total = at.TableSpec(source=costs("5", "6").assign(channel=["Total sports", "Totally"]))
    assert set(spend(total)) == {"Total sports", "Totally"}


def test_rows_that_lack_the_day_and_sum_up_the_others_are_refused() -> None:
    days = ["2024-05-01", "2024-05-02", None]
    whole = costs("5.25", "6.5", "11.75").assign(channel=["radio", "print", "radio"], day=days)
    with pytest.raises(InputError, match="1 of the rows without a day sum up those with one"):
        at.load_sources(TOUCHES, ORDERS, whole)
    own = costs("5", "6", "11", "99").assign(channel=["radio", "radio", "radio", "tv"], day=[*days, "2024-05-03"])
    with pytest.raises(InputError, match="rows without a day sum up"):
        at.load_sources(TOUCHES, ORDERS, own)
    assert spend(whole.assign(amount=["5.25", "6.5", "12"]))["radio"] == 17.25


def test_a_channel_as_large_as_all_others_is_said() -> None:
    found = finding("total_channel", TOUCHES, ORDERS, costs("1", "2", "3", "6").assign(channel=["x", "y", "z", "all"]))
    assert (found.status, found.example) == ("warn", "all")
    checks = {found.check for found in at.load_sources(TOUCHES, ORDERS, costs("1", "2", "3")).findings}
    assert "total_channel" not in checks


# ------------------------------------------------------------------- items of an order, repeated ids

ITEMS = orders(
    ("a", "2024-05-01 09:00", 20.0, "o1"), ("a", "2024-05-01 09:05", 30.0, "o1"), ("b", "2024-05-02 09:00", 80.0, "o2"),
    ("b", "2024-05-02 09:00", 5.0, None),
)  # fmt: skip


def test_items_of_an_order_add_up_where_that_is_asked_for() -> None:
    spec = at.TableSpec(source=ITEMS.assign(refund=[1.0, 2.0, 0.0, 0.0]), same_id="sum")
    assert values(spec) == {"a": 47.0, "b": 85.0}
    found = finding("added_up_items", TOUCHES, at.TableSpec(source=ITEMS, same_id="sum"))
    assert (found.status, found.count, found.total) == ("pass", 1, 3)
    off = at.TableSpec(source=ITEMS.assign(is_cancelled=[True, False, True, False]), same_id="sum")
    assert values(off) == {"a": 30.0, "b": 5.0}
    with pytest.raises(InputError, match="cannot tell a changed item from another"):
        at.load_sources(TOUCHES, at.TableSpec(source=ITEMS.assign(updated_at="2024-05-09"), same_id="sum"))
    with pytest.raises(InputError, match="same_id needs a column 'conversion_id'"):
        at.load_sources(TOUCHES, at.TableSpec(source=ORDERS, same_id="sum"))


def test_items_add_up_alike_where_the_latest_of_an_id_counts() -> None:
    spec = at.TableSpec(source=ITEMS, same_id="sum")
    assert values(spec, latest=True) == values(spec)
    earliest = at.TableSpec(source=ITEMS, same_id="earliest")
    assert values(earliest, latest=True) == values(earliest) == {"a": 20.0, "b": 85.0}
    assert values(ITEMS, latest=True)["a"] == 30.0


def test_what_is_left_out_of_repeated_ids_is_said_in_money() -> None:
    def repeated(table: Any) -> Any:
        journeys = at.build_journeys(at.load_sources(TOUCHES, table))
        return next(found for found in journeys.findings if found.check == "duplicate_id")

    found = repeated(ITEMS)
    assert (found.status, found.count) == ("warn", 1)
    assert "30.00 in total is left out; the values of 1 id differ" in found.message
    assert "same_id = 'sum'" in found.message
    assert repeated(at.TableSpec(source=ITEMS, same_id="earliest")).count == 0


# ------------------------------------------------------------------- refunds and credits


def test_negative_values_are_refused_with_the_way_and_netted_where_asked_for() -> None:
    table = orders(
        ("a", "2024-05-01 09:00", 100.0), ("a", "2024-05-03 09:00", -40.0), ("b", "2024-05-01 09:00", 50.0),
        ("b", "2024-05-02 09:00", 10.0), ("b", "2024-05-03 09:00", -50.0), ("c", "2024-05-03 09:00", -7.0),
        names="customer_id converted_at value",
    )  # fmt: skip
    with pytest.raises(InputError, match="negative = 'net'"):
        at.load_sources(TOUCHES, table)
    spec = at.TableSpec(source=table, negative="net")
    assert values(spec) == {"a": 60.0, "b": 10.0}
    lost = finding("refund_rows", TOUCHES, spec)
    assert (lost.status, lost.count, lost.total, lost.example) == ("warn", 1, 3, "c")
    assert "7.00 in total" in lost.message
    assert values(at.TableSpec(source=ORDERS, negative="net")) == {"a": 100.0, "b": 300.0}


def test_a_refund_with_an_id_is_taken_off_the_order_of_that_id() -> None:
    table = orders(
        ("a", "2024-05-01 09:00", 100.0, "x"), ("a", "2024-05-02 09:00", 90.0, "y"),
        ("z", "2024-05-03 09:00", -30.0, "x"),
    ).assign(margin=[50.0, 40.0, -10.0])  # fmt: skip
    sources = at.load_sources(TOUCHES, at.TableSpec(source=table, negative="net"))
    rows = sources.engine.query("select conversion_id, value, refund, margin from conversions order by 1").to_pylist()
    assert [tuple(row.values()) for row in rows] == [("x", 70.0, 30.0, 40.0), ("y", 90.0, 0.0, 40.0)]


def test_credits_reduce_the_costs_of_their_channel() -> None:
    table = costs("100.1", "50", "-0.1").assign(channel=["radio", "print", "radio"])
    with pytest.raises(InputError, match="negative = 'net' if they are credits"):
        spend(table)
    assert spend(at.TableSpec(source=table, negative="net")) == {"radio": 100.0, "print": 50.0}
    with pytest.raises(InputError, match="the credits of 1 channel are more than the costs"):
        spend(at.TableSpec(source=table.assign(amount=["5", "50", "-6"]), negative="net"))


# ------------------------------------------------------------------- keys where they change nothing


@pytest.mark.parametrize(
    ("table", "keys", "said"),
    [
        ("touchpoints", {"same_day": "counts"}, "same_day in conversions, stages"),
        ("costs", {"same_id": "sum"}, "same_id in conversions"),
        ("touchpoints", {"negative": "net"}, "negative in conversions, costs"),
        ("customers", {"thousands": ","}, "thousands changes nothing in this table"),
        ("identities", {"decimal": ","}, "decimal changes nothing in this table"),
        ("touchpoints", {"skip_rows": 1}, "skip_rows is a key of files"),
        ("costs", {"encoding": "cp1252"}, "encoding is a key of files"),
        ("costs", {"sheet": "x"}, "sheet is a key of files"),
    ],
)
def test_keys_are_refused_where_they_change_nothing(table: str, keys: dict[str, Any], said: str) -> None:
    frames = {
        "touchpoints": TOUCHES, "conversions": ORDERS, "costs": costs("1", "2"),
        "customers": pd.DataFrame({"customer_id": ["a"]}),
        "identities": pd.DataFrame({"visitor_id": ["v"], "customer_id": ["a"]}),
    }  # fmt: skip
    with pytest.raises(InputError) as refused:
        at.load_sources(**{**frames, table: at.TableSpec(source=frames[table], **keys)})
    assert said in str(refused.value)


def test_a_model_keeps_how_money_was_read(tmp_path: Path) -> None:
    log = {"touchpoints": TOUCHES, "conversions": at.TableSpec(
        source=MIXED.assign(value=["1.000", "2.000,5"]), thousands=".", same_id=None)}  # fmt: skip
    experiment = at.Experiment(
        name="shop",
        tables=log,
        models=[{"model": "LastTouch"}],
        returns={"currency": "EUR", "rates": {"USD": 0.5}},
        tracking={"enabled": False},
    )
    at.Scorer.of(at.run_experiment(experiment)).save(tmp_path / "model")
    scorer = at.Scorer.load(tmp_path / "model")
    sources = scorer.open({"touchpoints": TOUCHES, "conversions": MIXED.assign(value=["3.000", "4.000"])})
    found = sources.engine.query("select value from conversions order by value")["value"].to_pylist()
    assert found == [2000.0, 3000.0]
