"""A channel that does nothing: where its touchpoints lie, what they leave alone, and what models make of it."""

from __future__ import annotations

import math
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from attribution.journeys import DAY, JourneyChunk, Placebo, Summary
from attribution.journeys.structure import tally
from attribution.kernels.journeys.insertion import poisson_distribution, random_instants
from attribution.kernels.statistics.draws import draw_words, id_words
from attribution.kernels.statistics.sums import sum_by_key
from attribution.production.output_tables import output_tables
from attribution.schema.experiment import Period
from attribution.schema.tables import PLACEBO_CHANNEL
from tests.data.engine.test_spark import why_not
from tests.journeys.test_journeys import MODES, clicks, expected, frames, listed
from tests.scale import examples
from tests.twins import journeys as twin
from tests.twins.strategies import histories, lookbacks

MODELS = (at.FirstTouch(), at.LastTouch(), at.Linear(), at.TimeDecay(), at.Markov(order=2), at.Shapley())


# ---------------------------------------------------------------- a slow twin of the draws

MASK = (1 << 64) - 1
STREAM = int.from_bytes(b"placebo", "big")


def mix(word: int) -> int:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & MASK
    return word ^ (word >> 31)


def keyed(word: int, stream: int) -> int:
    return mix((mix((word + 0x9E3779B97F4A7C15) & MASK) + stream * 0xD1342543DE82EF95) & MASK)


def word_of(customer: int | str) -> int:
    if isinstance(customer, int):
        return keyed(customer & MASK, 1)
    data = customer.encode()
    state = len(data) * 0x9E3779B97F4A7C15 & MASK
    for low in range(0, len(data), 8):
        state = (state ^ int.from_bytes(data[low : low + 8].ljust(8, b"\0"), "big")) * 0xBF58476D1CE4E5B9 & MASK
        state ^= state >> 29
    return keyed(state, 2)


def slow_instants(customer: int | str, seed: int, rate: float, first: int, last: int) -> list[int]:
    word = keyed(keyed(word_of(customer), STREAM), seed)
    draws = [(keyed(word, stream) >> 11) / (1 << 53) for stream in range(1_000)]
    below, term = 0.0, math.exp(-rate)
    for touchpoints in count():
        below += term
        if draws[0] < below:
            return sorted(first + int(draw * (last - first + 1)) for draw in draws[1 : touchpoints + 1])
        term *= rate / (touchpoints + 1)
    raise AssertionError


def with_placebo(
    history: dict[str, twin.History], rename: dict[str, Any], seed: int, rate: float
) -> dict[str, twin.History]:
    """The history with the placebo's touchpoints written down."""
    events = [event.at for touches, converted in history.values() for event in (*touches, *converted)]
    return {
        customer: (
            [
                *touches,
                *(
                    twin.Touch(at, PLACEBO_CHANNEL, kind="click")
                    for at in slow_instants(rename[customer], seed, rate, min(events), max(events))
                ),
            ],
            converted,
        )
        for customer, (touches, converted) in history.items()
        if touches or converted
    }


@examples(9)
@given(
    histories(unit=DAY),
    lookbacks(),
    st.sampled_from(MODES),
    st.booleans(),
    st.integers(0, 99),
    st.sampled_from([0.2, 1.0, 6.5]),
)
def test_journeys_are_those_of_a_log_in_which_the_placebo_is_written_down(
    history: dict[str, twin.History], lookback: int | None, mode: Any, integer_ids: bool, seed: int, rate: float
) -> None:
    history = clicks(history)
    if not all(any(events[part] for events in history.values()) for part in (0, 1)):
        return
    rename = {c: sorted(history).index(c) if integer_ids else c for c in history}
    journeys = at.build_journeys(
        at.load_sources(
            **frames(history, integer_ids=integer_ids, timestamps=True),
            engine=at.DuckDBEngine(batch_rows=3, partitions=2),
        ),
        lookback_days=float("inf") if lookback is None else lookback,
        conversions=mode,
        placebo=Placebo(seed, rate),
    )
    slow = twin.build(
        with_placebo(history, rename, seed, rate), lookback=None if lookback is None else lookback * DAY, mode=mode
    )
    assert as_clicks(listed(journeys)) == expected(slow, rename)


def as_clicks(found: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """The placebo has no kind; the twin calls what has none a click."""
    plain: Counter[tuple[Any, ...]] = Counter()
    for (customer, touches, *rest), n in found.items():
        plain[customer, tuple((*touch[:3], touch[3] or "click", touch[4]) for touch in touches), *rest] += n
    return plain


def test_instants_are_a_poisson_process() -> None:
    """Counts with mean and variance of a Poisson number, instants uniform, one customer as good as another."""
    customers, rate, last = 20_000, 1.3, 999
    words = id_words(pa.array(np.arange(customers)))
    customer, instant = random_instants(words, poisson_distribution(rate), 0, last)
    counts = np.bincount(customer, minlength=customers)
    assert counts.mean() == pytest.approx(rate, abs=4 * math.sqrt(rate / customers))
    assert counts.var() == pytest.approx(rate, abs=4 * math.sqrt((rate + 2 * rate**2) / customers))
    tenths = np.bincount(instant // 100)
    assert np.square(tenths - len(instant) / 10).sum() / (len(instant) / 10) < 27.9  # chi-square, 9 df, p = 0.001
    assert instant.min() == 0
    assert instant.max() == last
    halves = counts[: customers // 2].mean() - counts[customers // 2 :].mean()
    assert abs(halves) < 4 * math.sqrt(4 * rate / customers)


# ---------------------------------------------------------------- what models make of it


@pytest.fixture(scope="module")
def world() -> at.Sources:
    """A log whose ads do something."""
    log = at.simulate("default", customers=12_000, truth=False)
    return at.load_sources(log.touchpoints, log.conversions)


class Followed(at.AttributionModel):
    """Conversions within a day after a touchpoint, beyond as many as come in any day of a customer.

    For a channel that touches at random the two are equal in expectation.
    """

    def __init__(self, *, per_customer_day: float = 0.0, value_per_customer_day: float = 0.0, name: str | None = None):
        super().__init__(name=name)
        self.per_customer_day = per_customer_day
        self.value_per_customer_day = value_per_customer_day

    @property
    def estimand(self) -> str:
        return "incremental"

    def summarise(self, chunk: JourneyChunk) -> Summary:
        laid_out = chunk.touched
        assert laid_out.ended_at is not None
        assert laid_out.touched_at is not None
        laid_out = laid_out.flatten(np.ones(len(laid_out), bool))
        journey = np.repeat(np.arange(len(laid_out)), laid_out.lengths)
        soon = laid_out.converting[journey] & (laid_out.ended_at[journey] - laid_out.touched_at < DAY)
        keys = laid_out.channel.astype(np.int64)
        return Summary(
            {
                "touchpoints": tally(keys, np.ones(len(keys), bool)),
                "conversions": tally(keys, soon),
                "value": sum_by_key(keys[:, None], soon * laid_out.value[journey]),
            }
        )

    def solve(self, summary: Summary) -> tuple[np.ndarray, np.ndarray]:
        touchpoints, conversions, value = (
            summary.dense(name, len(self.channels_)) for name in ("touchpoints", "conversions", "value")
        )
        self.expected_ = touchpoints * self.per_customer_day
        return conversions - self.expected_, value - touchpoints * self.value_per_customer_day


def test_what_models_that_divide_give_is_near_its_share_of_touchpoints(world: at.Sources) -> None:
    table = pd.concat([at.placebo_test(world, MODELS, seed=seed) for seed in range(8)])
    mean = table.groupby("model").mean(numeric_only=True)
    assert mean["touchpoint_share"].nunique() == 1
    counting = mean["touchpoint_share"].iloc[0]
    assert counting == pytest.approx(1 / 11, rel=0.05)  # ten channels and the placebo
    for model in MODELS:
        assert mean["share"][model.label] == pytest.approx(counting, rel=0.4), model


def test_a_model_of_what_ads_cause_gives_about_nothing(world: at.Sources) -> None:
    options: dict[str, Any] = {"conversions": "first_only"}
    journeys = at.build_journeys(world, **options)
    at_risk, rate, seeds = customer_days(journeys), 10.0, 4
    per_day = {what: journeys.total(what) / at_risk for what in ("conversions", "value")}  # type: ignore[arg-type]
    model = Followed(per_customer_day=per_day["conversions"], value_per_customer_day=per_day["value"])
    tables = [at.placebo_test(world, [model, at.Linear()], seed=seed, rate=rate, **options) for seed in range(seeds)]
    followed, linear = pd.concat(tables).groupby("model")["conversions"].mean()[[model.label, "linear"]]
    # By chance: as many conversions as come on the days after touchpoints, a Poisson number.
    assert journeys.span is not None
    by_chance = rate * journeys.total("conversions") / ((journeys.span[1] - journeys.span[0]) / DAY)
    assert abs(followed) < 4 * math.sqrt(by_chance / seeds)
    assert abs(followed) < 0.2 * linear
    # It is no model that finds nothing anywhere.
    assert model.fit(journeys).credit_.conversions.sum() > 0.1 * journeys.total("conversions")


def customer_days(journeys: at.Journeys) -> float:
    """Days until the first conversion, or the end of the data."""
    assert journeys.span is not None
    first, last = journeys.span
    customers = sum(len(chunk.customer_ids) for chunk in journeys)  # type: ignore[arg-type]
    lost = sum(int((last - chunk.ended_at[chunk.converting]).sum()) for chunk in journeys)  # type: ignore[index]
    return (customers * (last - first) - lost) / DAY


def test_the_table_is_the_declared_one_and_the_models_stay_as_they_are(world: at.Sources) -> None:
    fitted = at.Linear(name="lin").fit(at.build_journeys(world))
    before = fitted.credit_
    table = at.placebo_test(world, [fitted, at.Markov()], seed=5)
    assert tuple(table.columns) == output_tables()["placebo"].column_names
    assert table["model"].tolist() == ["lin", "markov"]
    assert table["estimand"].tolist() == ["allocated"] * 2
    assert table["seed"].tolist() == [5, 5]
    assert fitted.credit_ is before
    assert PLACEBO_CHANNEL not in fitted.channels_


def test_the_share_is_that_of_a_plain_sum(world: at.Sources) -> None:
    journeys = at.build_journeys(world, placebo=Placebo(3))
    table = at.placebo_test(world, [at.Linear()], seed=3)
    credit = at.Linear().fit(journeys).credit_.to_frame().set_index("channel")
    credit = credit.drop("(unattributed)")
    assert table["conversions"][0] == credit.loc[PLACEBO_CHANNEL, "conversions"]
    assert table["value"][0] == credit.loc[PLACEBO_CHANNEL, "value"]
    assert table["share"][0] == pytest.approx(
        credit.loc[PLACEBO_CHANNEL, "conversions"] / credit["conversions"].sum(), rel=1e-12
    )
    names = [journeys.channels[c] for chunk in journeys for c in chunk.channel]
    assert table["touchpoint_share"][0] == pytest.approx(names.count(PLACEBO_CHANNEL) / len(names), rel=1e-12)


def test_split_channels_are_put_together_again(world: at.Sources) -> None:
    options: dict[str, Any] = {"transform": "frequency", "lookback_days": 10}
    table = at.placebo_test(world, [at.Linear()], **options)
    credit = at.Linear().fit(at.build_journeys(world, placebo=Placebo(), **options)).credit_.to_frame()
    own = credit["channel"].str.startswith(PLACEBO_CHANNEL)
    assert own.sum() == 10
    assert table["conversions"][0] == pytest.approx(credit.loc[own, "conversions"].sum(), rel=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_conversions_and_other_touchpoints_are_as_before(world: at.Sources, mode: str) -> None:
    """Without the placebo's touchpoints, journeys that convert are the same, and so are the other touchpoints."""
    before, after = (at.build_journeys(world, conversions=mode, placebo=placebo) for placebo in (None, Placebo(1)))
    for what in ("conversions", "value"):
        assert after.total(what) == before.total(what)  # type: ignore[arg-type]
    assert others(after) == others(before)
    assert before.channels == tuple(name for name in after.channels if name != PLACEBO_CHANNEL)


def others(journeys: at.Journeys) -> tuple[dict[int, tuple[Any, ...]], Counter[tuple[Any, ...]]]:
    """Touchpoints of real channels: by conversion, and those of journeys that did not convert."""
    by_conversion, without = {}, Counter()
    for chunk in journeys:
        assert chunk.customer_ids is not None
        assert chunk.touched_at is not None
        names = np.array(journeys.channels, dtype=object)[chunk.channel]
        customers = chunk.customer_ids.to_pylist()
        for j in range(len(chunk)):
            rows = [i for i in range(chunk.start[j], chunk.stop[j]) if names[i] != PLACEBO_CHANNEL]
            touches = tuple((int(chunk.touched_at[i]), names[i]) for i in rows)
            if chunk.converting[j]:
                by_conversion[int(chunk.conversion[j])] = (customers[chunk.customer[j]], touches)
            else:
                without.update((customers[chunk.customer[j]], *touch) for touch in touches)
    return by_conversion, without


def test_the_average_channel_sets_the_rate() -> None:
    """2,000 customers, three channels with 600, 200 and 100 touchpoints: 300 of the placebo in the mean."""
    rng = np.random.default_rng(7)
    channel = np.repeat(["a", "b", "c"], [600, 200, 100])
    log = {
        "touchpoints": pd.DataFrame(
            {"customer_id": rng.integers(0, 2_000, 900), "touched_at": instants(rng, 900), "channel": channel}
        ),
        "conversions": pd.DataFrame({"customer_id": np.arange(2_000), "converted_at": instants(rng, 2_000)}),
    }
    found = [placebo_touchpoints(at.load_sources(**log), Placebo(seed)) for seed in range(10)]
    assert np.mean(found) == pytest.approx(300, abs=4 * math.sqrt(300 / 10))
    assert np.std(found) < 2.5 * math.sqrt(300)
    assert placebo_touchpoints(at.load_sources(**log), Placebo(0, 2.0)) == pytest.approx(
        4_000, abs=4 * math.sqrt(4_000)
    )


def instants(rng: np.random.Generator, n: int) -> Any:
    return np.datetime64("2024-01-01", "us") + rng.integers(0, 90 * DAY, n) * np.timedelta64(1, "us")


def placebo_touchpoints(sources: at.Sources, placebo: Placebo) -> int:
    journeys = at.build_journeys(sources, placebo=placebo)
    own = journeys.channels.index(PLACEBO_CHANNEL)
    return sum(int((chunk.channel == own).sum()) for chunk in journeys)


# ---------------------------------------------------------------- customers who were never touched


@pytest.mark.parametrize("integer_ids", [False, True])
@pytest.mark.parametrize("engine", [{}, {"batch_rows": 7, "partitions": 3}])
def test_listed_customers_are_touched_too(integer_ids: bool, engine: dict[str, int]) -> None:
    """Those of the customers table: each is in journeys of the placebo alone, or still untouched."""
    log = small_log(integer_ids)
    extra: list[Any] = [10_000 + c if integer_ids else f"nobody {c}" for c in range(400)]
    seen = set(log["touchpoints"]["customer_id"]) | set(log["conversions"]["customer_id"])
    customers = pd.DataFrame({"customer_id": [*sorted(seen), *extra]})
    sources = at.load_sources(**log, customers=customers, engine=at.DuckDBEngine(**engine))
    journeys = at.build_journeys(sources, placebo=Placebo(4, 1.5))
    drawn = {c: slow_instants(c, 4, 1.5, *journeys.span) for c in extra}
    found: dict[Any, list[int]] = {c: [] for c in extra}
    for chunk in journeys:
        assert chunk.customer_ids is not None
        assert chunk.touched_at is not None
        ids = chunk.customer_ids.to_pylist()
        for j in range(len(chunk)):
            if ids[chunk.customer[j]] in found:
                assert chunk.stop[j] > chunk.start[j]
                assert not chunk.conversions[j]
                found[ids[chunk.customer[j]]] += chunk.touched_at[chunk.start[j] : chunk.stop[j]].tolist()
    assert {c: sorted(instants) for c, instants in found.items()} == drawn
    untouched = journeys.untouched()
    assert untouched is not None
    assert untouched.customer_ids is not None
    ids = untouched.customer_ids.to_pylist()
    assert [ids[c] for c in untouched.customer] == sorted(c for c in extra if not drawn[c])
    assert 0 < len(untouched) < 200
    assert journeys.total("conversions") == 90


# ---------------------------------------------------------------- nothing else has a say


def small_log(integer_ids: bool = False) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(3)
    touches, converted = rng.integers(0, 120, 700), rng.integers(0, 140, 90)
    return {
        "touchpoints": pd.DataFrame(
            {
                "customer_id": touches if integer_ids else [f"客户 {c}" for c in touches],
                "touched_at": instants(rng, 700),
                "channel": rng.choice(["搜索", "mail", "social"], 700),
                "campaign": rng.choice(["x", "y"], 700),
                "kind": rng.choice(["click", "impression"], 700),
                "cost": rng.random(700).round(2),
            }
        ),
        "conversions": pd.DataFrame(
            {
                "customer_id": converted if integer_ids else [f"客户 {c}" for c in converted],
                "converted_at": instants(rng, 90),
                "value": rng.gamma(2, 30, 90).round(2),
            }
        ),
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("integer_ids", [False, True])
def test_row_order_batches_partitions_and_threads_change_nothing(mode: str, integer_ids: bool) -> None:
    log = small_log(integer_ids)
    shuffled = {name: table.sample(frac=1, random_state=5) for name, table in log.items()}
    engines = [{}, {"batch_rows": 7}, {"partitions": 5}, {"partitions": 3, "threads": 1, "batch_rows": 50}]
    tables = [
        at.placebo_test(at.load_sources(**given, engine=at.DuckDBEngine(**engine)), MODELS, seed=2, conversions=mode)
        for given, engine in [(log, engines[0]), *((shuffled, engine) for engine in engines)]
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0], check_exact=True)


def test_streamed_journeys_are_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    log = small_log()
    held = at.build_journeys(at.load_sources(**log), placebo=Placebo(2))
    monkeypatch.setattr("attribution.data.engine.duckdb.HELD_ROWS", 1)
    streamed = at.load_sources(**log, engine=at.DuckDBEngine(partitions=4))
    journeys = at.build_journeys(streamed, placebo=Placebo(2))
    assert not isinstance(journeys.chunks, tuple)
    assert isinstance(held.chunks, tuple)
    for _ in range(2):
        assert (
            at.Linear().fit(journeys).credit_.conversions.tobytes()
            == at.Linear().fit(held).credit_.conversions.tobytes()
        )


@pytest.mark.nightly
@pytest.mark.slow
def test_spark_gives_the_same_bytes() -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    log = {**small_log(), "customers": pd.DataFrame({"customer_id": [f"nobody {c}" for c in range(50)]})}
    here = at.placebo_test(at.load_sources(**log), MODELS, seed=2)
    engine = at.SparkEngine(master="local[1]", config={"spark.sql.shuffle.partitions": "2"})
    try:
        there = at.placebo_test(at.load_sources(**log, engine=engine), MODELS, seed=2)
    finally:
        engine.close()
    pd.testing.assert_frame_equal(there, here, check_exact=True)


def test_another_seed_is_another_placebo() -> None:
    sources = at.load_sources(**small_log())
    shares = [at.placebo_test(sources, [at.Linear()], seed=seed)["share"][0] for seed in range(4)]
    assert len(set(shares)) == 4


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5, unique=True), st.integers(0, 2**63 - 1))
def test_a_customer_is_touched_whoever_else_is_there(ids: list[str], seed: int) -> None:
    def touched(customers: list[str]) -> list[list[int]]:
        words = draw_words(draw_words(id_words(pa.array(customers)), STREAM), seed)
        customer, instant = random_instants(words, poisson_distribution(2.0), -50, 1_000_000)
        return [instant[customer == place].tolist() for place in range(len(customers))]

    assert touched(ids) == [slow_instants(customer, seed, 2.0, -50, 1_000_000) for customer in ids]
    assert touched(ids[::-1]) == touched(ids)[::-1]


# ---------------------------------------------------------------- what is refused


def test_aggregated_paths_are_refused() -> None:
    paths = at.load_sources(paths=pd.DataFrame({"path": ["a > b"], "conversions": [1]}))
    with pytest.raises(InputError, match="no customers and no times"):
        at.placebo_test(paths, [at.Linear()])


def test_integer_times_are_refused() -> None:
    log = at.load_sources(
        pd.DataFrame({"customer_id": [1, 1], "touched_at": [1, 2], "channel": ["a", "b"]}),
        pd.DataFrame({"customer_id": [1], "converted_at": [3]}),
    )
    with pytest.raises(InputError, match=r"the times of this log are integers.*epoch_s"):
        at.placebo_test(log, [at.Linear()])


def test_a_log_without_touchpoints_is_refused() -> None:
    log = at.load_sources(conversions=small_log()["conversions"])
    with pytest.raises(InputError, match="no touchpoint is usable"):
        at.placebo_test(log, [at.Linear()])


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1", 1 << 63])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(InputError, match=r"seed (is|must be) a whole number"):
        at.placebo_test(at.load_sources(**small_log()), [at.Linear()], seed=seed)


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf"), True, "2"])
def test_a_rate_is_a_positive_number(rate: Any) -> None:
    with pytest.raises(InputError, match=r"rate must be a mean number of touchpoints|rate must be a number"):
        at.placebo_test(at.load_sources(**small_log()), [at.Linear()], rate=rate)


def test_no_model_and_one_label_twice_are_refused() -> None:
    sources = at.load_sources(**small_log())
    with pytest.raises(InputError, match="no model"):
        at.placebo_test(sources, [])
    with pytest.raises(InputError, match="have the label 'linear'"):
        at.placebo_test(sources, [at.Linear(), at.Linear()])


def test_no_channel_may_be_called_like_the_placebo() -> None:
    log = small_log()
    log["touchpoints"].loc[0, "channel"] = PLACEBO_CHANNEL
    with pytest.raises(InputError, match=r"\(placebo\)"):
        at.build_journeys(at.load_sources(**log))


def test_a_period_is_handed_on() -> None:
    sources = at.load_sources(**small_log())
    period = Period(start="2024-02-01", end="2024-02-20")
    table = at.placebo_test(sources, [at.Linear()], period=period)
    journeys = at.build_journeys(sources, period=period, placebo=Placebo())
    assert table["conversions"][0] == at.Linear().fit(journeys).credit_.to_frame()["conversions"].tolist()[3]
    assert journeys.total("conversions") < 60


def test_undefined_shares_are_null(tmp_path: Path) -> None:
    """No conversion has a touchpoint, not even one of the placebo: nothing is credited to channels."""
    log = small_log()
    log["conversions"]["converted_at"] = log["touchpoints"]["touched_at"].min() - pd.Timedelta(days=1)
    table = at.placebo_test(at.load_sources(**log), [at.Linear()])
    assert table["conversions"][0] == 0
    assert np.isnan(table["share"][0])
    assert 0 < table["touchpoint_share"][0] < 1
