"""Page views become visits: against a slow and obvious reference, and case by case."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.schema.experiment import JourneyOptions

START = pd.Timestamp("2024-03-30T20:00:00")


def read(touchpoints: pd.DataFrame, visits: dict | None, **tables: object) -> pd.DataFrame:
    """The touchpoints of ``sources``, in order."""
    has_zone = isinstance(touchpoints, at.TableSpec) and touchpoints.time_zone is not None
    conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-05-01T00:00:00" + "Z" * has_zone]})
    sources = at.load_sources(touchpoints, conversions, visits=visits, **tables)
    frame = sources.engine.query("select * from touchpoints").to_pandas()
    frame["touched_at"] = pd.to_datetime(frame["touched_at"], unit="us")
    return frame.sort_values(["customer_id", "touched_at", "channel"]).reset_index(drop=True)


def pages(*rows: tuple[float, str | None], customer: str = "a") -> pd.DataFrame:
    """Page views of a customer, by minutes after the start."""
    return pd.DataFrame(
        {
            "customer_id": customer,
            "touched_at": [START + pd.Timedelta(minutes=minutes) for minutes, _ in rows],
            "channel": pd.array([channel for _, channel in rows], dtype="str"),
        }
    )


def shown(frame: pd.DataFrame) -> list[tuple[float, str]]:
    minutes = (frame["touched_at"] - START) / pd.Timedelta(minutes=1)
    return list(zip(minutes, frame["channel"], strict=True))


GAP = {"visit_gap_minutes": 30}


@pytest.mark.parametrize(
    ("rows", "options", "expected"),
    [
        # A visit lasts as long as no pause is longer than the gap, however long that is.
        ([(0, "mail"), (29, "mail"), (58, "mail"), (89, "mail")], {}, [(0, "mail"), (89, "mail")]),
        ([(0, "mail"), (30, "search")], {}, [(0, "mail")]),
        ([(0, "mail"), (30.01, "search")], {}, [(0, "mail"), (30.01, "search")]),
        # Direct traffic carries no source: the first page view that carries one decides.
        ([(0, "Direct"), (5, "ads"), (9, "mail")], {}, [(0, "ads")]),
        ([(0, "Direct"), (5, "direct ")], {}, [(0, "Direct")]),
        ([(0, "web"), (5, "ads")], {"direct_channels": ["WEB"]}, [(0, "ads")]),
        # Rows without a channel continue a visit and begin none; what follows them does once it carries a source.
        (
            [(0, None), (1, "mail"), (20, None), (45, "Direct"), (500, None), (510, "Direct"), (529, "ads")],
            {},
            [(1, "mail"), (529, "ads")],
        ),
        ([(0, "mail"), (45, None), (50, "Direct"), (80, None)], {}, [(0, "mail")]),
        ([(0, None), (1, "Direct"), (2, None)], {}, []),
        ([(0, None), (1, None)], {}, []),
        ([(0, "mail"), (200, None), (231, "Direct")], {}, [(0, "mail"), (231, "Direct")]),
        # Another channel begins a visit if that is asked for; direct traffic does not.
        (
            [(0, "mail"), (1, "mail"), (2, "Direct"), (3, "mail"), (4, "ads"), (5, "mail")],
            {"visit_breaks": "campaign"},
            [(0, "mail"), (4, "ads"), (5, "mail")],
        ),
        ([(0, "Direct"), (1, "ads")], {"visit_breaks": ["campaign"]}, [(0, "Direct"), (1, "ads")]),
        # Midnight is four hours after the start; what goes on after it has the source it had.
        (
            [(230, "mail"), (239, None), (241, None), (250, "Direct"), (260, "ads")],
            {"visit_breaks": ["midnight"]},
            [(230, "mail"), (241, "ads")],
        ),
        ([(230, "mail"), (241, None), (250, "Direct")], {"visit_breaks": ["midnight"]}, [(230, "mail"), (241, "mail")]),
        ([(239, "Direct"), (240, None)], {"visit_breaks": ["midnight"]}, [(239, "Direct"), (240, "Direct")]),
        # A direct visit takes over what was known last, if it is not too long ago.
        (
            [(0, "Direct"), (60, "mail"), (120, "Direct"), (180, "Direct"), (60 + 1441, "Direct")],
            {"visit_source": "last_non_direct", "visit_lookback_days": 1},
            [(0, "Direct"), (60, "mail"), (120, "mail"), (180, "mail"), (1501, "Direct")],
        ),
        (
            [(0, "mail"), (90 * 1440, "Direct"), (90 * 1440 + 60, "Direct")],
            {"visit_source": "last_non_direct"},
            [(0, "mail"), (90 * 1440, "mail"), (90 * 1440 + 60, "Direct")],
        ),
    ],
)
def test_visits(rows: list, options: dict, expected: list) -> None:
    assert shown(read(pages(*rows, (10**6, "end")), {**GAP, **options})) == [*expected, (10**6, "end")]


def test_a_visit_has_the_cost_of_all_its_page_views_and_the_rest_from_its_source() -> None:
    log = pages((0, "Direct"), (1, "ads"), (2, "ads")).assign(
        cost=[0.5, 1.0, 0.25], campaign=["none", "spring", "summer"], page=["home", "shoes", "hats"], kind="page_view"
    )
    columns = {name: name for name in log}
    (visit,) = read(at.TableSpec(source=log, columns=columns), GAP).to_dict("records")
    assert visit == {
        "customer_id": "a", "touched_at": START, "channel": "ads", "cost": 1.75, "campaign": "spring", "page": "shoes",
        "kind": "page_view",
    }  # fmt: skip


def test_only_page_views_join() -> None:
    log = pages((0, "mail"), (1, "banner"), (2, "mail"), (3, "mail"), (4, "shop"))
    log["kind"] = [None, "impression", "click", "Page_View", "sales_visit"]
    log["stage"] = [None, None, None, None, None]
    lead = pages((5, "mail")).assign(kind=None, stage="lead")
    nobody = pages((6, "mail")).assign(customer_id=None, kind=None, stage=None)
    frame = read(pd.concat([log, lead, nobody]), GAP)
    assert shown(frame[frame["customer_id"].notna()]) == [(0, "mail"), (1, "banner"), (4, "shop"), (5, "mail")]
    assert frame["customer_id"].isna().sum() == 1


def test_visits_are_those_of_people_not_of_devices_or_accounts() -> None:
    log = pd.concat([pages((0, "mail"), customer="phone"), pages((10, "ads"), customer="laptop"),
                     pages((15, "ads"), customer="b")])  # fmt: skip
    links = pd.DataFrame({"visitor_id": ["phone", "laptop"], "customer_id": ["a", "a"]})
    firms = pd.DataFrame({"customer_id": ["a", "b"], "firm": ["acme", "acme"]})
    frame = read(log, GAP, identities=links, customers=firms, account="firm")
    assert shown(frame) == [(0, "mail"), (15, "ads")]
    assert frame["customer_id"].nunique() == 1


def test_midnight_is_that_of_the_touchpoints() -> None:
    log = pages((0, "mail"), (20, "mail")).assign(touched_at=["2024-03-31T21:50:00Z", "2024-03-31T22:10:00Z"])
    columns = {name: name for name in log}
    visits = {
        zone: len(read(at.TableSpec(source=log, columns=columns, time_zone=zone), {**GAP, "visit_breaks": "midnight"}))
        for zone in ("UTC", "Europe/Paris", "Europe/London")
    }
    # Paris is two hours before UTC from that very day on.
    assert visits == {"UTC": 1, "Europe/Paris": 2, "Europe/London": 1}


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"visit_gap_minutes": 0}, "visit_gap_minutes"),
        ({**GAP, "visit_gap": 30}, "visit_gap"),
        ({"visit_source": "last_non_direct"}, "visit_gap_minutes"),
        ({**GAP, "visit_source": "last"}, "visit_source"),
        ({**GAP, "visit_breaks": ["noon"]}, "visit_breaks"),
        ({**GAP, "visit_lookback_days": 5}, "visit_lookback_days needs visit_source = 'last_non_direct'"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict, part: str) -> None:
    with pytest.raises(InputError, match=part):
        read(pages((0, "mail")), options)
    with pytest.raises(InputError, match=part):
        JourneyOptions(**options)


def test_visits_need_touchpoints_with_times_and_are_made_while_tables_are_read() -> None:
    positions = pd.DataFrame({"customer_id": ["a"], "touched_at": [1], "channel": ["mail"]})
    orders = pd.DataFrame({"customer_id": ["a"], "converted_at": [2]})
    with pytest.raises(InputError, match="visit_gap_minutes needs timestamps"):
        at.load_sources(positions, orders, visits=GAP)
    with pytest.raises(InputError, match="there is no such table"):
        at.load_sources(paths=pd.DataFrame({"path": ["mail"], "conversions": [1]}), visits=GAP)
    sources = at.load_sources(positions, orders)
    with pytest.raises(InputError, match="visit_gap_minutes is an option of load_sources"):
        at.build_journeys(sources, visit_gap_minutes=30)
    with pytest.raises(InputError, match="direct_channels needs direct"):
        at.build_journeys(sources, direct_channels=["web"])


# ---------------------------------------------------------------- against a reference


def reference(log: pd.DataFrame, options: dict, zone: str = "UTC") -> list[tuple]:
    """One person after the other, one page view after the other."""
    gap = pd.Timedelta(minutes=options["visit_gap_minutes"])
    breaks = options.get("visit_breaks", [])
    visits = []
    for customer, rows in log.groupby("customer_id"):
        own: list[dict] = []
        before = source = day = None
        is_in_visit = False
        for row in rows.itertuples():
            opens = isinstance(row.channel, str)
            known = (row.channel, row.campaign) if opens and row.channel != "Direct" else None
            today = row.touched_at.tz_localize("UTC").astimezone(ZoneInfo(zone)).date()
            begins = before is None or row.touched_at - before > gap
            if begins:
                is_in_visit, source = False, None
            first = (opens and begins) or (known is not None and not is_in_visit)
            first |= "campaign" in breaks and known is not None and known != source
            later = is_in_visit and "midnight" in breaks and today != day
            if first or later:
                past = None if first else own[-1]["source"]
                label = row.channel if first else own[-1]["label"]
                own.append({"at": row.touched_at, "source": past, "label": label, "is_own": False})
                is_in_visit = True
            if known is not None:
                source = known
                if not own[-1]["is_own"]:
                    own[-1].update(source=known, is_own=True)
            before, day = row.touched_at, today
        past = None
        window = dt.timedelta(days=options.get("visit_lookback_days", -1))
        for visit in own:
            shown_source = visit["source"]
            if visit["source"] is not None:
                past = visit
            elif past is not None and visit["at"] - past["at"] <= window:
                shown_source = past["source"]
            channel, campaign = shown_source or (visit["label"], None)
            visits.append((customer, visit["at"], channel, campaign))
    return visits


@pytest.mark.parametrize("source", ["first", "last_non_direct"])
@pytest.mark.parametrize("breaks", [[], ["midnight"], ["campaign"], ["campaign", "midnight"]])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_any_log_is_as_the_reference_has_it(source: str, breaks: list[str], zone: str) -> None:
    rng = np.random.default_rng([len(source), len(breaks), len(zone)])
    n = 2_000
    log = pd.DataFrame(
        {
            "customer_id": [f"c{number:02d}" for number in rng.integers(0, 60, n)],
            "touched_at": START + pd.to_timedelta(rng.permutation(n * 12)[:n], unit="min"),
            "channel": rng.choice(np.array(["mail", "ads", "Direct", None], dtype=object), n, p=[0.1, 0.1, 0.3, 0.5]),
            "campaign": rng.choice(np.array(["x", "y"], dtype=object), n),
        }
    )
    log.loc[log["channel"].isin(["Direct", None]) | log["channel"].isna(), "campaign"] = None
    log = log.sort_values(["customer_id", "touched_at"]).reset_index(drop=True)
    options = {"visit_gap_minutes": 400, "visit_source": source, "visit_breaks": breaks}
    options |= {"visit_lookback_days": 2.5} if source != "first" else {}
    expected = reference(log, {**options}, zone)
    local = log.assign(touched_at=log["touched_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    spec = at.TableSpec(source=local.sample(frac=1, random_state=1), columns={c: c for c in log}, time_zone=zone)
    frame = read(spec, options)
    made = [
        (row.customer_id, row.touched_at, row.channel, row.campaign if isinstance(row.campaign, str) else None)
        for row in frame.itertuples()
    ]
    assert 300 < len(expected) < 1_200
    assert made == sorted(expected, key=lambda visit: visit[:2])
