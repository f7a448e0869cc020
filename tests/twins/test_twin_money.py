"""Costs, returns, targets and reviews against a slow twin that shares no code, on random ledgers and logs."""

from __future__ import annotations

import datetime as dt
import math
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

import attribution as at
from attribution.schema.experiment import Period
from tests.scale import examples
from tests.twins import money as twin
from tests.twins.money import Cost, Person, Terms, Window

pytestmark = pytest.mark.filterwarnings("ignore")

CHANNELS = ("fair", "mail", "search")
KINDS = ("media", "labour", "venue", "tools")
SEGMENTS = ((2, 17), (18, 40), (41, 44), (45, 75))
QUARTERS = st.integers(1, 160).map(lambda quarters: Fraction(quarters, 4))
FIRST_DAY = dt.date(2024, 1, 1)


def date(day: int) -> dt.date:
    return FIRST_DAY + dt.timedelta(days=day)


# ---------------------------------------------------------------- what is drawn


@st.composite
def ledgers(draw: DrawFn, forms: tuple[str, ...] = ("day", "days", "lump")) -> list[Cost]:
    """Rows of all types in one form; those over days do not overlap where channel and type are the same."""
    form = draw(st.sampled_from(forms))
    when = {
        "day": st.integers(0, 80).map(lambda day: {"day": day}),
        "days": st.sampled_from(SEGMENTS).map(lambda days: {"days": days}),
        "lump": st.just({}),
    }[form]
    rows, taken = [], set()
    first_row: dict[str, Any] = {"day": {"day": 40}, "days": {"days": (18, 41)}, "lump": {}}[form]
    rows.append(Cost("mail", draw(QUARTERS), kind="media", **first_row))
    for _ in range(draw(st.integers(0, 7))):
        channel, kind = draw(st.sampled_from((*CHANNELS, None))), draw(st.sampled_from(KINDS))
        paid: dict[str, Any] = draw(when)
        key = (channel, kind, paid.get("days"))
        if "days" in paid and (key in taken or (channel, kind) == ("mail", "media")):
            continue
        taken.add(key)
        serves = draw(st.none() | st.integers(1, 60)) if paid else None
        currency = draw(st.sampled_from((None, "EUR", "USD"))) if paid else None
        rows.append(Cost(channel, draw(QUARTERS), kind=kind, currency=currency, serves=serves, **paid))
    return rows


@st.composite
def terms_of_costs(draw: DrawFn) -> Terms:
    """Daily rates, fees, days of use by type, and what each type is shared by."""
    tenths = st.integers(1, 20).map(lambda tenths: Fraction(tenths, 10))
    weights = st.fixed_dictionaries({}, optional=dict.fromkeys(CHANNELS, tenths)).filter(bool)
    drivers = st.sampled_from(("spend", "touchpoints", "credit")) | weights
    fees = st.sampled_from((Fraction(0), Fraction(1, 10))) | st.just({"mail": Fraction(1, 4)})
    return Terms(
        rates={"USD": {-1000: draw(tenths), **draw(st.dictionaries(st.integers(1, 80), tenths, max_size=4))}},
        serves=draw(st.dictionaries(st.sampled_from(KINDS[1:]), st.integers(1, 90), max_size=2)),
        fees=draw(fees),
        drivers=draw(st.dictionaries(st.sampled_from(KINDS), drivers, max_size=3)),
    )


@st.composite
def logs(draw: DrawFn) -> list[Person]:
    """People with up to three touchpoints, about half of whom convert, and some of those are won later."""
    days = st.integers(0, 75)
    people = []
    for _ in range(draw(st.integers(2, 7))):
        drawn = draw(st.lists(st.tuples(days, st.sampled_from(CHANNELS)), min_size=1, max_size=3, unique_by=first))
        touches = tuple(sorted(drawn))
        waits, waits_more = draw(st.none() | st.integers(0, 3)), draw(st.none() | st.integers(1, 9))
        converts = None if waits is None else touches[-1][0] + waits
        wins = None if converts is None or waits_more is None else converts + waits_more
        people.append(Person(touches, converts, draw(QUARTERS), draw(st.booleans()), wins))
    return people


def first(touch: tuple[int, str]) -> int:
    return touch[0]


windows = st.none() | st.tuples(st.integers(0, 40), st.integers(40, 80))


# ---------------------------------------------------------------- as the package reads it


def tables(people: list[Person], ledger: list[Cost], terms: Terms) -> dict[str, pd.DataFrame]:
    """The same as raw tables; all at noon, where touchpoints come before what they lead to."""
    touched = [(f"p{n}", at_(day), channel) for n, each in enumerate(people) for day, channel in each.touches]
    bought = [(f"p{n}", each, each.converts) for n, each in enumerate(people) if each.converts is not None]
    rates = [("USD", float(rate), None if since < 0 else date(since)) for since, rate in terms.rates["USD"].items()]
    times = [name for name in ("day", "days") if any(getattr(row, name) is not None for row in ledger)]
    ends = {"day": ["day"], "days": ["period_start", "period_end"]}
    absent = [column for name, columns in ends.items() if name not in times for column in columns]
    return {
        "touchpoints": pd.DataFrame(touched, columns=["customer_id", "touched_at", "channel"]),
        "conversions": pd.DataFrame(
            [(name, at_(day), float(each.value), each.is_new) for name, each, day in bought],
            columns=["customer_id", "converted_at", "value", "is_new_customer"],
        ),
        "costs": pd.DataFrame(
            {
                "channel": [row.channel for row in ledger],
                "amount": [float(row.amount) for row in ledger],
                "cost_type": [row.kind for row in ledger],
                "currency": [row.currency for row in ledger],
                "day": [None if row.day is None else date(row.day) for row in ledger],
                "period_start": [None if row.days is None else date(row.days[0]) for row in ledger],
                "period_end": [None if row.days is None else date(row.days[1]) for row in ledger],
                "amortise_days": pd.array([row.serves for row in ledger], "Int64"),
            }
        ).drop(columns=absent),
        "rates": pd.DataFrame(rates, columns=["currency", "rate", "day"]),
    }


def at_(day: int) -> pd.Timestamp:
    return pd.Timestamp(date(day)) + pd.Timedelta(hours=12)


def options(terms: Terms, ledger: list[Cost]) -> dict[str, Any]:
    """The same as ``[returns]``, which names only types that are there."""
    shared = {row.kind for row in ledger if row.channel is None}
    fees = terms.fees if isinstance(terms.fees, Fraction) else None
    drivers = {
        kind: by if isinstance(by, str) else {name: float(weight) for name, weight in by.items()}
        for kind, by in terms.drivers.items()
        if kind in shared
    }
    dated = {row.kind for row in ledger if row.paid}
    return {
        "cost_basis": "loaded",
        "margin": 0.4,
        "currency": "EUR",
        "amortise_days": {kind: days for kind, days in terms.serves.items() if kind in dated},
        "fee_rate": {name: float(fee) for name, fee in terms.fees.items()} if fees is None else float(fees) or None,
        **({"shared_by": drivers} if drivers else {}),
    }


def period(window: Window) -> dict[str, dt.date]:
    return {} if window is None else {"start": date(window[0]), "end": date(window[1])}


def same(value: float | None, expected: Fraction | None) -> bool:
    """Within 1e-9; a cost of nothing may be null."""
    if value is None or math.isnan(value):
        return not expected
    return math.isclose(value, float(expected or 0), rel_tol=1e-9, abs_tol=1e-9)


def costs_of(people: list[Person], ledger: list[Cost], terms: Terms, window: Window) -> twin.Costs:
    """The twin's costs, where everything that is shared by has an amount above nothing."""
    credit = twin.share(people, window, "conversions")
    media = {row.channel for row in ledger if row.channel and row.kind == "media" and twin.booked(row, terms, window)}
    shared = [terms.drivers.get(row.kind, "spend") for row in ledger if row.channel is None]
    known = {row.channel for row in ledger} | {channel for each in people for _, channel in each.touches}
    assume(all(set(by) <= known for by in shared if not isinstance(by, str)))
    assume(not ("spend" in shared and not media))
    assume(not ("credit" in shared and not credit))
    assume(not ("touchpoints" in shared and not twin.touched(people, window)))
    return twin.add_costs(ledger, terms, window, touches=twin.touched(people, window), credit=credit)


# ---------------------------------------------------------------- costs and returns


@examples(25)
@given(people=logs(), ledger=ledgers(), terms=terms_of_costs(), window=windows)
def test_costs_and_returns_are_those_of_the_twin(
    people: list[Person], ledger: list[Cost], terms: Terms, window: Window
) -> None:
    assume(any(each.converts is not None for each in people))
    costs = costs_of(people, ledger, terms, window)
    sources = at.load_sources(**tables(people, ledger, terms))
    asked = Period(**period(window))
    journeys = at.build_journeys(sources, period=asked)
    credit = at.attribute(journeys, [at.Linear()])
    returns = at.compute_returns(credit, sources, period=asked, **options(terms, ledger))
    returns = returns.set_index(["basis", "cost_basis", "channel"])
    conversions, value = (twin.share(people, window, what) for what in ("conversions", "value"))
    for channel in CHANNELS:
        for cost_basis, spend in (("media", costs.media), ("loaded", costs.loaded)):
            for basis, margin in (("revenue", Fraction(1)), ("margin", Fraction(2, 5))):
                if (basis, cost_basis, channel) not in returns.index:
                    assert not spend.get(channel)
                    assert not conversions.get(channel)
                    continue
                row = returns.loc[(basis, cost_basis, channel)]
                earned, spent = margin * value.get(channel, Fraction(0)), spend.get(channel)
                assert same(row["spend"], spent), (channel, cost_basis, row["spend"], spent)
                assert same(row["conversions"], conversions.get(channel))
                assert same(row["value"], earned)
                has_roi = bool(spent) and (cost_basis == "media" or channel in costs.known)
                assert np.isnan(row["roi"]) != has_roi, (channel, cost_basis)
                if has_roi and spent:
                    assert same(row["roi"], (earned - spent) / spent)


# ---------------------------------------------------------------- runs: unit economics, stages, targets, reviews

MONTHS = ((5, 38), (39, 75))
LEAD_COSTS = Fraction(5)


def run(
    people: list[Person], ledger: list[Cost], terms: Terms, window: tuple[int, int], *, with_stages: bool = False
) -> Any:
    asked: dict[str, Any] = {
        "name": f"from {window[0]}",
        "tables": tables(people, ledger, terms),
        "models": [{"model": "Linear"}],
        "period": period(window),
        "returns": options(terms, ledger),
    }
    if with_stages:
        arrivals = [
            (f"p{n}", stage, at_(day))
            for n, each in enumerate(people)
            for stage, day in (("lead", each.converts), ("won", each.wins))
            if day is not None
        ]
        asked["tables"]["stages"] = pd.DataFrame(arrivals, columns=["customer_id", "stage", "stage_time"])
        asked["funnel"] = {"stages": ["lead", "won"], "costs": {"lead": float(LEAD_COSTS)}}
        asked["output"] = {"unit_economics": True}
    return at.run_of(at.run_experiment(at.Experiment(**asked)))


class TwinRun:
    """What a run with costs fully loaded says, by the twin."""

    def __init__(self, people: list[Person], ledger: list[Cost], terms: Terms, window: tuple[int, int]) -> None:
        self.costs = costs_of(people, ledger, terms, window)
        self.credit = {
            what: twin.share(people, window, what) for what in ("conversions", "value", "new_customers", "won")
        }
        self.all = {what: twin.count(people, window, what) for what in ("conversions", "value", "new_customers", "won")}
        self.journeys = twin.journeys(people, window)
        self.paid = {name for name in self.costs.known if self.costs.loaded.get(name)}

    def of(self, what: str, channel: str | None) -> Fraction:
        """Credit of a channel, or of all with spend."""
        names = self.paid if channel is None else {channel}
        amounts = self.costs.loaded if what == "spend" else self.credit[what]
        return sum((amounts.get(name, Fraction(0)) for name in names), Fraction(0))

    def factors(self, channel: str) -> dict[str, Fraction]:
        """What return and cost of a channel are products of; what cannot be told is 0."""
        spend, conversions = self.of("spend", channel), self.of("conversions", channel)
        media = self.costs.media.get(channel) or spend
        journeys = self.journeys.get(channel, Fraction(0))
        if channel not in self.paid:
            return dict.fromkeys(("volume", "rate", "value", "spend", "cost"), Fraction(0))
        return {
            "volume": journeys,
            "rate": conversions / journeys if journeys else Fraction(0),
            "value": self.of("value", channel) / conversions if conversions else Fraction(0),
            "spend": media,
            "cost": spend / media,
        }

    def handling(self, channel: str | None) -> Fraction:
        """What leads cost to work."""
        return LEAD_COSTS * self.of("conversions", channel)

    def metrics(self, channel: str | None) -> dict[str, Fraction | None]:
        """Every metric of targets, by name and stage; None where it is not known."""
        spend = self.of("spend", channel)
        known = bool(self.paid) if channel is None else channel in self.paid
        ratios = {
            "roas": (self.of("value", channel), spend),
            "roi": (self.of("value", channel) - spend, spend),
            "cpa": (spend, self.of("conversions", channel)),
            "cac": (spend, self.of("new_customers", channel)),
            "cost_per_arrival lead": (spend, self.of("conversions", channel)),
            "cost_per_arrival won": (spend, self.of("won", channel)),
            "full_cost_per_arrival won": (spend + self.handling(channel), self.of("won", channel)),
        }
        counts = {what: self.all[what] if channel is None else self.of(what, channel) for what in self.all}
        return {
            "spend": self.costs.everything if channel is None else spend,
            **{what: counts[what] for what in ("conversions", "value", "new_customers")},
            "arrivals won": counts["won"],
            **{name: above / below if known and below else None for name, (above, below) in ratios.items()},
            **({"mer": self.all["value"] / self.costs.everything} if channel is None else {}),
        }


ADDS_UP = ("spend", "conversions", "value", "new_customers", "arrivals won")
AT_MOST = ("spend", "cpa", "cac", "cost_per_arrival lead", "cost_per_arrival won", "full_cost_per_arrival won")


def held_against(made: Any, metrics: Mapping[str | None, list[str]], goal: Fraction, days: tuple[int, int]) -> Any:
    """Every metric of every scope against one goal."""
    entries = []
    for channel, names in metrics.items():
        for name in names:
            metric, _, stage = name.partition(" ")
            at_most = f'direction = "{"at_most" if name in AT_MOST else "at_least"}"'
            lines = [f'metric = "{metric}"', f"target = {float(goal)}", 'owner = "Ann"', at_most]
            lines += ['unit = "x"' if metric in ("roas", "roi", "mer") else 'unit = "1"']
            lines += [f"period = {{ start = {date(days[0])}, end = {date(days[1])} }}"]
            lines += [f'channel = "{channel}"'] if channel else []
            lines += [f'funnel_stage = "{stage}"'] if stage else []
            entries.append("\n".join(["[[targets]]", *lines]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "targets.toml"
        path.write_text("\n".join(['experiment = "shop.toml"', *entries]))
        kpis = at.check_targets(at.read_targets(path), made)
    keys = [(channel, name) for channel, names in metrics.items() for name in names]
    return dict(zip(keys, kpis.to_dict("records"), strict=True))


@examples(4)
@given(
    people=logs(),
    ledger=ledgers(),
    terms=terms_of_costs(),
    goal=QUARTERS,
    more=st.integers(0, 40),
    channel=st.sampled_from(CHANNELS),
)
def test_targets_of_a_run_are_those_of_the_twin(
    people: list[Person], ledger: list[Cost], terms: Terms, goal: Fraction, more: int, channel: str
) -> None:
    window = MONTHS[0]
    assume(any(each.converts is not None and twin.is_inside(each.converts, window) for each in people))
    assume(any(name == channel for each in people for _, name in each.touches))
    expected = TwinRun(people, ledger, terms, window)
    assume(expected.costs.everything)
    made = run(people, ledger, terms, window, with_stages=True)
    metrics = {scope: expected.metrics(scope) for scope in (None, channel)}
    rows = held_against(made, {scope: list(of) for scope, of in metrics.items()}, goal, window)
    for scope, of in metrics.items():
        for name, value in of.items():
            row = rows[scope, name]
            where = (scope, name, row["value"], value)
            assert same(row["value"], value), where
            if value is None or np.isnan(row["value"]):
                assert row["verdict"] == "unknown", where
                continue
            attainment, verdict = twin.attain(value, goal, at_most=name in AT_MOST)
            assert row["verdict"] == verdict, where
            assert attainment is None or same(row["attainment"], attainment), where
    days = window[1] - window[0] + 1
    part_way = held_against(made, {None: list(ADDS_UP)}, goal, (window[0], window[1] + more))
    for row in part_way.values():
        assert same(row["covered"], Fraction(days, days + more))
        assert same(row["due_by_now"], goal * Fraction(days, days + more))


REGULARS = [
    Person(((first_day + 10, channel),), first_day + 12, value)
    for first_day, _ in MONTHS
    for channel, value in zip(CHANNELS, (Fraction(40), Fraction(20), Fraction(75)), strict=True)
]
"""Somebody for each channel in each month, so that no factor of its return is 0."""


@examples(4)
@given(people=logs(), ledger=ledgers(), terms=terms_of_costs())
def test_parts_of_a_review_are_those_of_the_twin(people: list[Person], ledger: list[Cost], terms: Terms) -> None:
    people = [*REGULARS, *people]
    sides = [TwinRun(people, ledger, terms, window) for window in MONTHS]
    assume(all(side.paid for side in sides))
    before, after = (run(people, ledger, terms, window) for window in MONTHS)
    table = at.review_runs(before, after).tables["roi_parts"].set_index(["slice", "part"])
    ratios = [side.of("value", None) / side.of("spend", None) for side in sides]
    assert math.isclose(table.loc["(total)"]["total_change"].sum(), float(ratios[1] - ratios[0]), abs_tol=1e-9)
    names = sorted(sides[0].paid | sides[1].paid)
    assert set(table.index.get_level_values(0)) == {*names, "(total)"}
    factors = [{name: side.factors(name) for name in names} for side in sides]
    for name in sides[0].paid & sides[1].paid:
        for part, of in factors[0][name].items():
            assert same(table.loc[(name, part), "reference"], of), (name, part)
            assert same(table.loc[(name, part), "here"], factors[1][name][part]), (name, part)
    if sides[0].paid != sides[1].paid:
        return  # what a channel has that has no spend cannot be told
    own, total = twin.split(*factors)
    for name in names:
        for part in own[name]:
            assert same(table.loc[(name, part), "roi_gap"], own[name][part]), (name, part)
            assert same(table.loc[(name, part), "total_change"], total[name][part]), (name, part)


# ---------------------------------------------------------------- what the twin has found

QUIET = [
    Person(((30, "fair"),), 36, Fraction(5), wins=45),
    Person(((12, "mail"),), 14, Fraction(9)),
]
"""In the first month nobody wins."""


@pytest.mark.parametrize("people", [QUIET, [Person(each.touches, each.converts, each.value) for each in QUIET]])
def test_a_month_without_a_win_is_no_fault_of_the_channel(people: list[Person]) -> None:
    """Neither where costs are shared by credit, nor where somebody wins in another month, or never."""
    ledger = [Cost("mail", Fraction(10), day=20), Cost(None, Fraction(4), day=20, kind="tools")]
    terms = Terms(rates={"USD": {-1000: Fraction(1)}}, drivers={"tools": "credit"})
    made = run(people, ledger, terms, MONTHS[0], with_stages=True)
    stages = made.tables["funnel_credit"].set_index(["stage", "channel"])["spend"]
    assert stages["lead"][["fair", "mail"]].tolist() == [2, 12]
    asked: list[str] = ["arrivals won", "cost_per_arrival won", "full_cost_per_arrival won", "cost_per_arrival lead"]
    rows = held_against(made, {"mail": asked}, Fraction(3), MONTHS[0])
    assert [rows["mail", name]["verdict"] for name in asked] == ["missed", "unknown", "unknown", "missed"]
    assert rows["mail", "arrivals won"]["value"] == 0
    assert rows["mail", "cost_per_arrival lead"]["value"] == 12


def test_spend_is_the_same_in_every_stage_whatever_it_is_shared_by() -> None:
    people = [*QUIET, Person(((12, "fair"),), 14, Fraction(9), wins=20)]
    ledger = [Cost("mail", Fraction(10), day=20), Cost(None, Fraction(6), day=20, kind="tools")]
    terms = Terms(rates={"USD": {-1000: Fraction(1)}}, drivers={"tools": "credit"})
    made = run(people, ledger, terms, MONTHS[0], with_stages=True)
    stages = made.tables["funnel_credit"].set_index(["stage", "channel"])["spend"]
    for stage in ("lead", "won"):
        assert stages[stage][["fair", "mail"]].tolist() == [4, 12]


def test_a_weight_of_yours_says_what_a_channel_costs() -> None:
    ledger = [Cost("mail", Fraction(10), day=20), Cost(None, Fraction(4), day=20, kind="tools")]
    terms = Terms(rates={"USD": {-1000: Fraction(1)}}, drivers={"tools": {"fair": Fraction(1)}})
    made = run(QUIET, ledger, terms, MONTHS[0])
    assert made.returns("linear")["roi"]["fair"] == Fraction(5 - 4, 4)
    no_cost = made.tables["quality"].query("check == 'no_cost'").iloc[0]
    assert (no_cost["status"], no_cost["count"]) == ("pass", 0)
