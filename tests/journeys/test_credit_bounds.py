"""Bounds of credit: by hand, against a slow second way, and as a law of every model that divides journeys."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.data.engine import DuckDBEngine
from attribution.journeys.credit_bounds import CreditBounds, bounds_reader, credit_bounds
from attribution.journeys.structure import Summary

DAY = pd.Timedelta(days=1)
RULES = [
    at.FirstTouch(),
    at.LastTouch(),
    at.LastNonDirect(),
    at.Linear(),
    at.LinearDistinct(),
    at.PositionBased(),
    at.Shapley(),
]
PATHS = pd.DataFrame(
    {
        "path": ["mail > search", "mail > mail", "search", "ads > search > ads", "", "ads > mail"],
        "conversions": [6, 3, 2, 4, 5, 0],
        "value": [60.0, 30.0, 10.0, 80.0, 9.0, 0.0],
        "nulls": [10, 0, 4, 1, 100, 7],
    }
)


def of_paths(paths: pd.DataFrame) -> at.Journeys:
    return at.build_journeys(at.load_sources(paths=paths))


def as_events(paths: pd.DataFrame, *, order: int | None = None, integers: bool = False) -> at.Journeys:
    """Every journey of a path by a customer of its own."""
    touchpoints: list[dict[str, object]] = []
    conversions: list[dict[str, object]] = []
    for row in paths.itertuples():
        steps = [step for step in str(row.path).split(" > ") if step]
        for number in range(int(row.conversions) + int(row.nulls)):
            customer = f"{row.Index}-{number}"
            touchpoints += [{"customer_id": customer, "touched_at": at, "channel": c} for at, c in enumerate(steps)]
            if number < row.conversions:
                value = row.value / row.conversions
                conversions.append({"customer_id": customer, "converted_at": len(steps), "value": value})
    tables = [pd.DataFrame(touchpoints), pd.DataFrame(conversions)]
    if not integers:
        for table, name in zip(tables, ("touched_at", "converted_at"), strict=True):
            table[name] = pd.Timestamp("2024-01-01") + table[name] * DAY
    if order is not None:
        tables = [table.sample(frac=1, random_state=order) for table in tables]
    return at.build_journeys(at.load_sources(*tables))


def slow_bounds(paths: pd.DataFrame, channels: tuple[str, ...]) -> dict[str, list[float]]:
    """A second way: journey by journey, over sets of names."""
    sets = [set(filter(None, path.split(" > "))) for path in paths["path"]]

    def total(column: str, channel: str, *, alone: bool) -> float:
        chosen = [members == {channel} if alone else channel in members for members in sets]
        return float(paths.loc[chosen, column].sum())

    return {
        "alone": [total("conversions", channel, alone=True) for channel in channels],
        "took_part": [total("conversions", channel, alone=False) for channel in channels],
        "alone_value": [total("value", channel, alone=True) for channel in channels],
        "took_part_value": [total("value", channel, alone=False) for channel in channels],
    }


def numbers(bounds: CreditBounds) -> dict[str, list[float]]:
    return {name: getattr(bounds, name).tolist() for name in ("alone", "took_part", "alone_value", "took_part_value")}


def test_a_worked_example() -> None:
    bounds = credit_bounds(of_paths(PATHS))
    assert bounds.channels == ("ads", "mail", "search")
    assert numbers(bounds) == {
        "alone": [0, 3, 2],
        "took_part": [4, 9, 12],
        "alone_value": [0, 30, 10],
        "took_part_value": [80, 90, 150],
    }
    assert (bounds.conversions, bounds.one_touchpoint, bounds.one_channel, bounds.repeated) == (15, 2, 5, 4)
    assert bounds.disputed_share == 10 / 15


def test_events_paths_and_integers_give_the_same_bounds() -> None:
    made = [credit_bounds(j) for j in (of_paths(PATHS), as_events(PATHS), as_events(PATHS, integers=True))]
    assert numbers(made[0]) == numbers(made[1]) == numbers(made[2])
    for each in made[1:]:
        # A path is one row of ten journeys, or ten journeys: what order does is the same, what chance does is drawn.
        for name, effect in made[0].orders.items():
            assert each.orders[name].share == pytest.approx(effect.share, abs=1e-12)


COUNTS = st.integers(0, 4)
PATH_ROWS = st.lists(
    st.tuples(st.lists(st.sampled_from("abcd"), max_size=4), COUNTS, COUNTS), min_size=1, max_size=8
).filter(lambda rows: any(path and conversions for path, conversions, _ in rows))


def table_of(rows: list[tuple[list[str], int, int]]) -> pd.DataFrame:
    columns = [" > ".join(path) for path, _, _ in rows], [c for _, c, _ in rows], [n for _, _, n in rows]
    table = pd.DataFrame(dict(zip(("path", "conversions", "nulls"), columns, strict=True)))
    return table.assign(value=table["conversions"] * 2.0)


@given(rows=PATH_ROWS)
@settings(max_examples=25)
def test_bounds_are_those_of_a_slow_second_way_and_hold(rows: list[tuple[list[str], int, int]]) -> None:
    paths = table_of(rows)
    journeys = of_paths(paths)
    bounds = credit_bounds(journeys)
    assert numbers(bounds) == slow_bounds(paths, bounds.channels)
    models = [*RULES, at.Markov(), at.Markov(order=2)]
    at.attribute(journeys, models)
    for model in models:
        # What Markov publishes may be impossible; what it allocates journey by journey is not.
        if isinstance(model, at.Markov):
            assert model.reconciliation_ is not None
            credit = model.reconciliation_.allocated
        else:
            credit = model.credit_.conversions[:-1]
        assert (credit >= bounds.alone - 1e-9).all(), model
        assert (credit <= bounds.took_part + 1e-9).all(), model
        shares = credit / max(bounds.conversions, 1)
        linear = models[3].credit_.conversions[:-1] / max(bounds.conversions, 1)
        assert np.abs(shares - linear).sum() / 2 <= bounds.disputed_share + 1e-9


def test_both_bounds_are_reached() -> None:
    class Favourite(at.AttributionModel):
        """All for one channel wherever it is, or nothing wherever it can be helped."""

        def __init__(self, *, channel: int = 0, likes: bool = True, name: str | None = None) -> None:
            super().__init__(name=name)
            self.channel, self.likes = channel, likes

        def weigh(self, chunk: Any) -> Any:
            return ((chunk.channel == self.channel) == self.likes).astype(float)

    journeys = of_paths(PATHS)
    bounds = credit_bounds(journeys)
    for channel in range(3):
        most = Favourite(channel=channel).fit(journeys).credit_.conversions[channel]
        least = Favourite(channel=channel, likes=False).fit(journeys).credit_.conversions[channel]
        assert (least, most) == (bounds.alone[channel], bounds.took_part[channel])


# ---------------------------------------------------------------- order


def all_orders(paths: pd.DataFrame) -> pd.DataFrame:
    """Each path in every order of its touchpoints, its journeys divided among them."""
    parts = []
    for row in paths.itertuples():
        orders = list(permutations(str(row.path).split(" > ")))
        shares = {"conversions": row.conversions / len(orders), "nulls": row.nulls / len(orders)}
        parts += [{"path": " > ".join(order), **shares} for order in orders]
    return pd.DataFrame(parts).groupby("path", as_index=False).sum()


def shares(journeys: at.Journeys, model: at.AttributionModel) -> np.ndarray:
    credit = model.fit(journeys).credit_.conversions[:-1]
    return np.asarray(credit / credit.sum())


@pytest.mark.parametrize(
    ("name", "model"), [("first_touch", at.FirstTouch()), ("last_touch", at.LastTouch()), ("markov", at.Markov())]
)
def test_order_is_held_against_all_orders(name: str, model: at.AttributionModel) -> None:
    paths = PATHS[PATHS["path"] != ""].drop(columns="value")
    observed, shuffled = shares(of_paths(paths), model), shares(of_paths(all_orders(paths)), model)
    effect = credit_bounds(of_paths(paths)).orders[name]
    assert effect.share == pytest.approx(np.abs(observed - shuffled).sum() / 2, abs=1e-12)
    assert effect.share > 0


def test_order_that_is_always_the_same_is_information() -> None:
    paths = pd.DataFrame({"path": ["mail > search"], "conversions": [400], "nulls": [0]})
    for journeys in (of_paths(paths), as_events(paths.assign(value=400.0))):
        orders = credit_bounds(journeys).orders
        assert orders["first_touch"].share == orders["last_touch"].share == 0.5
        assert orders["first_touch"].is_information
        assert 0 < orders["first_touch"].by_chance.max() < 0.1
        # Every conversion passes through both, in whatever order: a chain makes nothing of it.
        assert orders["markov"].share == pytest.approx(0, abs=1e-12)
        assert not orders["markov"].is_information


def test_chance_moves_paths_as_far_as_journeys() -> None:
    """400 journeys of two orders: the deviation of their share has a standard deviation of a half ÷ 20."""
    paths = pd.DataFrame({"path": ["mail > search", "search > mail"], "conversions": [200, 200], "nulls": [0, 0]})
    by_events = credit_bounds(as_events(paths.assign(value=400.0))).orders["last_touch"].by_chance
    by_paths = credit_bounds(of_paths(paths)).orders["last_touch"].by_chance
    assert len(by_events) == len(by_paths) == 5
    for by_chance in (by_events, by_paths):
        assert 0.3 / 20 / 2 < np.sqrt((by_chance**2).mean()) < 1.7 / 20


def test_random_order_is_no_information() -> None:
    """Of 16 logs with touchpoints in random order, none or one is taken for more than that."""
    rng = np.random.default_rng(7)
    taken = 0
    for seed in range(16):
        paths = [" > ".join(rng.choice(list("abcde"), rng.integers(1, 5))) for _ in range(100)]
        converts = rng.random(100) < 0.4
        table = pd.DataFrame({"path": paths, "conversions": converts.astype(int), "nulls": (~converts).astype(int)})
        journeys = of_paths(table) if seed % 2 else as_events(table.assign(value=1.0))
        taken += any(effect.is_information for effect in credit_bounds(journeys).orders.values())
    assert taken <= 1


def test_without_a_journey_of_several_channels_there_is_no_order() -> None:
    alone = credit_bounds(of_paths(pd.DataFrame({"path": ["a > a", "b"], "conversions": [2, 1], "nulls": [3, 0]})))
    assert (alone.orders, alone.disputed, alone.one_channel) == ({}, 0, 3)
    fails = pd.DataFrame({"path": ["a > b", "b"], "conversions": [0, 1], "nulls": [3, 0]})
    assert credit_bounds(of_paths(fails)).orders == {}
    untouched = credit_bounds(of_paths(pd.DataFrame({"path": [""], "conversions": [4], "nulls": [3]})))
    assert (untouched.conversions, untouched.disputed_share, untouched.orders) == (0, 0, {})


# ---------------------------------------------------------------- whatever the order of reading


def summed(journeys: at.Journeys) -> Summary:
    return journeys.read(bounds_reader(journeys))[0]


def bytes_of(summary: Summary) -> dict[str, bytes]:
    tables = summary.tables.items()
    return {name: table.keys.tobytes() + table.sums.limbs.tobytes() for name, table in tables if len(table.keys)}


def test_order_of_rows_batches_and_memory_change_no_byte(tmp_path: Any) -> None:
    log = at.simulate("default", customers=250, truth=False)
    tables = [log.touchpoints, log.conversions]
    mixed = [table.sample(frac=1, random_state=3) for table in tables]
    engines = [DuckDBEngine(), DuckDBEngine(threads=1, batch_rows=31), DuckDBEngine(threads=2, partitions=3)]
    made = [
        bytes_of(summed(at.build_journeys(at.load_sources(*each, engine=engine))))
        for each, engine in zip((tables, mixed, mixed), engines, strict=True)
    ]
    assert made[0].keys() >= {"shuffle/0", "expected", "single", "alone", "took_part"}
    assert made[0] == made[1] == made[2]
