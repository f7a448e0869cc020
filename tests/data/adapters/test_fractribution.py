"""A Snowplow event file with published paths, credit and ROAS: the twin gives them all, the package its share.

The files are not shipped, see `test_real_data`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

import attribution as at
from attribution.schema.experiment import TableSpec
from tests.test_real_data import data_folder
from tests.twins import fractribution as twin

pytestmark = pytest.mark.data

CHANNELS = ("Direct", "Organic_Search", "Paid_Search_Other", "Referral", "Unmatched_Channel", "Video")
SHARES: dict[str, Callable[[twin.Path, twin.Tallies], twin.Shares]] = {
    "shapley": twin.shapley,
    "last_touch": twin.last_touch,
}


@pytest.fixture(scope="module")
def folder() -> Path:
    data = data_folder()
    if data is None or not (data / "snowplow-fractribution-fixtures").is_dir():
        pytest.skip("the shared data are not here; ATTRIBUTION_DATA names their folder")
    return data / "snowplow-fractribution-fixtures"


def read(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of one file, column names in lower case."""
    with (folder / f"snowplow_fractribution_{name}.csv").open(encoding="utf-8", newline="") as file:
        return [{key.lower(): value for key, value in row.items()} for row in csv.DictReader(file)]


def published(folder: Path, name: str) -> list[dict[str, str]]:
    return read(folder, f"{name}_expected")


def arrow(path: twin.Path) -> str:
    return " > ".join(path)


@pytest.fixture(scope="module")
def visits(folder: Path) -> list[twin.Visit]:
    return twin.read_visits(read(folder, "events"))


@pytest.fixture(scope="module")
def orders(folder: Path) -> list[twin.Order]:
    return twin.read_orders(read(folder, "events"))


@pytest.fixture(scope="module")
def tallies(visits: list[twin.Visit], orders: list[twin.Order]) -> dict[twin.Path, twin.Tally]:
    return twin.tally(
        [(twin.exposure(path), order.revenue) for order, path in twin.converting_paths(visits, orders)],
        [twin.exposure(path) for _, path in twin.other_paths(visits, orders)],
    )


def from_published_paths(folder: Path) -> dict[twin.Path, twin.Tally]:
    """The published path summary."""
    return {
        tuple(row["transformed_path"].split(" > ")): twin.Tally(
            int(row["conversions"]), int(row["non_conversions"]), Fraction(row["revenue"] or 0)
        )
        for row in published(folder, "path_summary")
    }


# ---------------------------------------------------------------- the twin, step by step


def test_the_file_holds_what_is_known_of_it(folder: Path) -> None:
    events = read(folder, "events")
    assert len(events) == 98
    assert len({event["domain_userid"] for event in events}) == 67
    assert Counter(event["event_name"] for event in events) == {"page_view": 97, "checkout": 1}


def test_page_views_are_the_sessions(folder: Path, visits: list[twin.Visit]) -> None:
    sessions = published(folder, "sessions_by_customer_id")
    assert sorted((v.customer, f"{v.at:%Y-%m-%d %H:%M:%S}", v.channel) for v in visits) == sorted(
        (row["customer_id"], row["visit_start_tstamp"], row["channel"]) for row in sessions
    )


def test_events_with_a_total_are_the_conversions(folder: Path, orders: list[twin.Order]) -> None:
    expected = published(folder, "conversions_by_customer_id")
    assert sorted((o.customer, f"{o.at:%Y-%m-%d %H:%M:%S}.000", o.revenue) for o in orders) == sorted(
        (row["customer_id"], row["conversion_tstamp"], Fraction(row["revenue"])) for row in expected
    )


def test_channels_are_counted_by_campaign(folder: Path) -> None:
    counts = Counter(
        (twin.channel_of(e["mkt_source"], e["mkt_medium"]), e["mkt_campaign"], e["mkt_source"], e["mkt_medium"])
        for e in read(folder, "events")
        if e["event_name"] == "page_view"
    )
    expected = published(folder, "channel_counts")
    assert counts == {
        (row["channel"], row["campaign"], row["source"], row["medium"]): int(row["number_of_sessions"])
        for row in expected
    }


def test_paths_to_conversion(folder: Path, visits: list[twin.Visit], orders: list[twin.Order]) -> None:
    found = twin.converting_paths(visits, orders)
    assert sorted(
        (order.customer, order.revenue, arrow(path), arrow(twin.exposure(path))) for order, path in found
    ) == (
        sorted(
            (row["customer_id"], Fraction(row["revenue"]), row["path"], row["transformed_path"])
            for row in published(folder, "paths_to_conversion")
        )
    )


def test_paths_to_non_conversion(folder: Path, visits: list[twin.Visit], orders: list[twin.Order]) -> None:
    found = twin.other_paths(visits, orders)
    assert sorted((customer, arrow(path), arrow(twin.exposure(path))) for customer, path in found) == sorted(
        (row["customer_id"], row["path"], row["transformed_path"])
        for row in published(folder, "paths_to_non_conversion")
    )


def test_path_summary(folder: Path, tallies: dict[twin.Path, twin.Tally]) -> None:
    assert tallies == from_published_paths(folder)


@pytest.mark.parametrize("kind", SHARES)
def test_shares_of_every_path(folder: Path, kind: str) -> None:
    tallies = from_published_paths(folder)
    rows = [row for row in published(folder, "path_summary_with_channels") if row["attribution_type"] == kind]
    assert len(rows) == len(tallies)
    for row in rows:
        path = tuple(row["transformed_path"].split(" > "))
        # Published to three places.
        mine = {channel: f"{float(share):.3f}" for channel, share in SHARES[kind](path, tallies).items()}
        theirs = {c: f"{float(row[c.lower()]):.3f}" for c in CHANNELS if row[c.lower()]}
        assert mine == theirs, row["transformed_path"]


PRECISION = {"shapley": 1e-9, "last_touch": 1e-13}
"""The published shares have slips of their own in the tenth place, see `test_published_shares_do_not_add_up`."""


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize("name", ["channel_attribution", "report_table"])
def test_credit_and_roas(folder: Path, kind: str, name: str) -> None:
    spend = {row["channel"]: Fraction(row["spend"]) for row in published(folder, "channel_spend")}
    credit = twin.credit(from_published_paths(folder), SHARES[kind], CHANNELS)
    rows = [row for row in published(folder, name) if row["attribution_type"] == kind]
    assert sorted(row["channel"] for row in rows) == sorted(spend) == sorted(CHANNELS)
    for row in rows:
        conversions, revenue = credit[row["channel"]]
        assert abs(conversions - Fraction(row["conversions"])) < PRECISION[kind]
        assert abs(revenue - Fraction(row["revenue"])) < PRECISION[kind]
        if name == "report_table":
            assert Fraction(row["spend"]) == spend[row["channel"]]
            # Published to ten places.
            assert abs(revenue / spend[row["channel"]] - Fraction(row["roas"])) < 1e-11


def test_published_shares_do_not_add_up(folder: Path) -> None:
    rows = [row for row in published(folder, "channel_attribution") if row["attribution_type"] == "shapley"]
    off = sum(Fraction(row["conversions"]) for row in rows) - 6
    assert Fraction("7e-10") < off < Fraction("8e-10")
    tallies = from_published_paths(folder)
    assert sum(conversions for conversions, _ in twin.credit(tallies, twin.shapley, CHANNELS).values()) == 6


def test_shapley_by_hand(folder: Path) -> None:
    """One path of two converts, 3 of 28 with the last channel alone, 1 of 27 with the first alone."""
    shares = twin.shapley(("Organic_Search", "Direct"), from_published_paths(folder))
    first, last = Fraction(1, 2) - Fraction(3, 28), Fraction(1, 2) - Fraction(1, 27)
    assert shares == {"Organic_Search": first / (first + last), "Direct": last / (first + last)}
    assert shares["Direct"] == Fraction(350, 647)


def test_the_window_of_the_results_covers_every_visit(folder: Path, visits: list[twin.Visit]) -> None:
    window = {
        (row["conversion_window_start_date"], row["conversion_window_end_date"])
        for row in published(folder, "report_table")
    }
    days = [f"{visit.at:%Y-%m-%d}" for visit in visits]
    assert window == {(min(days), max(days))}


# ---------------------------------------------------------------- the package

CHANNEL = """
case when lower(mkt_medium) = 'cpc' then 'Paid_Search_Other' when lower(mkt_medium) = 'organic' then 'Organic_Search'
  when lower(mkt_source) like '%youtube%' then 'Video' when mkt_source = '(direct)' then 'Direct'
  when lower(mkt_medium) = 'referral' then 'Referral' else 'Unmatched_Channel' end"""


@pytest.fixture(scope="module")
def sources(folder: Path) -> at.Sources:
    events = f"read_csv('{folder}/snowplow_fractribution_events.csv', all_varchar = true)"
    spend = f"read_csv('{folder}/snowplow_fractribution_channel_spend_expected.csv')"
    return at.load_sources(
        TableSpec(
            query=f"select 'f' || domain_userid as customer_id, derived_tstamp as touched_at, {CHANNEL} as channel "
            f"from {events} where event_name = 'page_view'"
        ),
        TableSpec(
            query="select 'f' || domain_userid as customer_id, derived_tstamp as converted_at, tr_total as value, "
            f"event_id as conversion_id from {events} where try_cast(tr_total as double) > 0"
        ),
        TableSpec(query=f"select channel, spend as amount from {spend}"),
    )


@pytest.fixture(scope="module")
def journeys(sources: at.Sources) -> at.Journeys:
    return at.build_journeys(sources, lookback_days=30, conversions="first_only")


def test_the_package_gives_the_published_paths(folder: Path, journeys: at.Journeys) -> None:
    found: dict[twin.Path, twin.Tally] = {}
    for chunk in journeys:
        for j in range(len(chunk)):
            steps = chunk.channel[chunk.start[j] : chunk.stop[j]]
            path = twin.exposure(journeys.channels[step] for step in steps)
            one = [(path, Fraction(str(chunk.value[j])))] if chunk.conversions[j] else []
            new = twin.tally(one, [] if one else [path])[path]
            old = found.get(path, twin.Tally())
            found[path] = twin.Tally(
                old.conversions + new.conversions, old.nulls + new.nulls, old.revenue + new.revenue
            )
    assert found == from_published_paths(folder)


def test_the_package_gives_the_published_last_touch(folder: Path, sources: at.Sources, journeys: at.Journeys) -> None:
    returns = at.compute_returns(at.attribute(journeys, [at.LastTouch()]), sources).set_index("channel")
    rows = [row for row in published(folder, "report_table") if row["attribution_type"] == "last_touch"]
    for row in rows:
        mine = returns.loc[row["channel"]]
        assert mine["conversions"] == float(row["conversions"])
        assert mine["value"] == pytest.approx(float(row["revenue"]), rel=1e-15)
        assert mine["spend"] == float(row["spend"])
        assert mine["roas"] == pytest.approx(float(row["roas"]), rel=1e-14)
    assert set(returns.index) == {*CHANNELS, "(unattributed)"}
    assert returns.loc["(unattributed)", "conversions"] == 0
