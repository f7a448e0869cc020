"""The additive hazard: what it recovers, what it refuses, and that nothing but the data changes it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.data.engine import DuckDBEngine
from attribution.errors import InputError
from attribution.journeys import Journeys
from attribution.models.fitting import check_models
from attribution.models.machinery import get_machinery
from attribution.models.resampling import fit_and_resample
from attribution.models.saved.state import ModelState
from attribution.models.segments import read_segments, segment_credit, segment_reader
from attribution.schema.experiment import Period, ResamplingOptions
from attribution.testing import model_checks

START = pd.Timestamp("2024-01-01")
DAYS, HALF_LIFE = 40.0, 7.0


@dataclass(frozen=True)
class World:
    """A log in which every touchpoint of a channel causes so many conversions, and how many it was in all."""

    touchpoints: pd.DataFrame
    conversions: pd.DataFrame
    customers: int
    caused: dict[str, int]

    def sources(self, *, paid: tuple[str, ...] = ("mail", "video"), listed: bool = False, **engine: int) -> at.Sources:
        ids = pd.DataFrame({"customer_id": np.arange(self.customers), "side": np.arange(self.customers) % 2})
        return at.load_sources(
            self.touchpoints,
            self.conversions,
            costs=pd.DataFrame({"channel": list(paid), "amount": 100.0}),
            customers=ids if listed else None,
            engine=DuckDBEngine(**engine),
        )

    def journeys(self, **how: object) -> Journeys:
        return at.build_journeys(self.sources(**how))  # type: ignore[arg-type]  # passed on as they came


RATES = {"mail": 0.03, "video": 0.05, "visit": 0.05, "direct": 0.03}
EFFECTS = {"mail": 0.10, "video": 0.04}


@cache
def world(customers: int = 12_000, intent: float = 0.0, seed: int = 1) -> World:
    """Customers who buy now and then, ``intent`` of them in five days of interest that everything follows but video."""
    rng = np.random.default_rng(seed)
    interest = np.where(rng.random(customers) < intent, rng.uniform(5, DAYS - 5, customers), np.inf)

    def instants(rate: float, more: float) -> tuple[np.ndarray, np.ndarray]:
        who = np.repeat(np.arange(customers), rng.poisson(rate * DAYS, customers))
        when = rng.uniform(0, DAYS, len(who))
        keen = np.flatnonzero(np.isfinite(interest))
        also = np.repeat(keen, rng.poisson(rate * more * 5, len(keen)))
        return np.append(who, also), np.append(when, interest[also] + rng.uniform(0, 5, len(also)))

    touches = {name: instants(rate, 0.0 if name == "video" else 15.0) for name, rate in RATES.items()}
    who, when = instants(0.004, 25.0)
    events = [(who, when, np.full(len(who), -np.inf), np.full(len(who), "", dtype=object))]
    for name, effect in EFFECTS.items():
        who, at_day = touches[name]
        causes = np.repeat(np.arange(len(who)), rng.poisson(effect, len(who)))
        later = at_day[causes] + rng.exponential(HALF_LIFE / np.log(2), len(causes))
        events.append((who[causes], later, at_day[causes], np.full(len(causes), name, dtype=object)))
    who, when, cause, name = (np.concatenate([part[i] for part in events]) for i in range(4))
    inside = when < DAYS
    order = np.lexsort((when[inside], who[inside]))
    last, buys = {}, []
    for i in np.flatnonzero(inside)[order]:
        # What came before a conversion does nothing after it.
        if not name[i] or cause[i] >= last.get(who[i], -np.inf):
            last[who[i]] = when[i]
            buys.append(i)
    table = pd.DataFrame(
        {
            "customer_id": np.concatenate([who for who, _ in touches.values()]),
            "touched_at": START + pd.to_timedelta(np.concatenate([when for _, when in touches.values()]), "D"),
            "channel": np.repeat(list(touches), [len(who) for who, _ in touches.values()]),
        }
    )
    bought = pd.DataFrame(
        {"customer_id": who[buys], "converted_at": START + pd.to_timedelta(when[buys], "D"), "value": 20.0}
    )
    return World(table, bought, customers, {channel: int((name[buys] == channel).sum()) for channel in EFFECTS})


def credited(model: at.AdditiveHazard) -> dict[str, float]:
    return dict(zip(model.channels_, model.credit_.conversions[:-1].tolist(), strict=True))


def plain(**options: object) -> at.AdditiveHazard:
    return at.AdditiveHazard(half_lives_days=HALF_LIFE, **options)  # type: ignore[arg-type]  # passed on as they came


def found(model: at.AdditiveHazard) -> dict[str, str]:
    return {row.check: row.message for row in get_machinery(model).findings() if row.status == "warn"}


# ---------------------------------------------------------------- what it recovers


@pytest.mark.parametrize("how", ["count", "table", "unknown"])
def test_credit_is_what_was_caused_where_touchpoints_come_by_chance(how: str) -> None:
    shop = world()
    model = plain(customers=shop.customers if how == "count" else None).fit(shop.journeys(listed=how == "table"))
    made = credited(model)
    assert sum(made.values()) == pytest.approx(sum(shop.caused.values()), rel=0.1)
    for channel, caused in shop.caused.items():
        assert made[channel] == pytest.approx(caused, rel=0.2), channel
    assert made["visit"] == made["direct"] == 0
    assert model.credit_.baseline is not None
    observed = len(shop.conversions)
    assert model.credit_.baseline[0] == pytest.approx(
        observed - sum(made.values()) - model.credit_.conversions[-1], rel=1e-9
    )
    np.testing.assert_allclose(model.credit_.value[:-1], 20.0 * model.credit_.conversions[:-1], rtol=1e-6)
    assert model.assignment_["verdict"].tolist() == ["chance", "chance"]
    assert model.is_known_.tolist() == [name in EFFECTS for name in model.channels_]
    assert ("customers_at_risk" in found(model)) == (how == "unknown")
    assert set(found(model)) <= {"customers_at_risk", "few_conversions_at_risk"}


def test_a_table_of_customers_is_as_good_as_their_number() -> None:
    shop = world()
    by_table = plain().fit(shop.journeys(listed=True))
    by_count = plain(customers=shop.customers).fit(shop.journeys())
    np.testing.assert_allclose(by_table.credit_.conversions, by_count.credit_.conversions, rtol=1e-9)


def test_half_lives_are_weighed() -> None:
    shop = world()
    model = at.AdditiveHazard(customers=shop.customers).fit(shop.journeys())
    assert model.half_lives_ == (2.0, 7.0)
    assert model.half_life_weights_.tolist() == [0.0, 1.0]
    np.testing.assert_allclose(
        model.credit_.conversions, plain(customers=shop.customers).fit(shop.journeys()).credit_.conversions, rtol=1e-9
    )


def test_a_channel_that_follows_intent_is_not_known() -> None:
    shop = world(intent=0.3)
    model = plain(customers=shop.customers).fit(shop.journeys())
    table = model.assignment_.set_index("channel")
    assert table["verdict"].to_dict() == {"mail": "unknown: follows intent", "video": "chance"}
    assert table["is_known"].tolist() == [False, True]
    assert table.loc["mail", "published"] == table.loc["mail", "corrected"] < table.loc["mail", "plain"]
    assert table.loc["video", "published"] == table.loc["video", "plain"]
    assert np.isnan(table.loc["video", "corrected"])
    # Interest outlasts a conversion, which empties stocks: what comes by chance is understated.
    assert 0.4 * shop.caused["video"] < table.loc["video", "published"] < shop.caused["video"]
    assert table.loc["mail", "plain"] > 1.8 * shop.caused["mail"]
    assert table.loc["mail", "published"] == pytest.approx(shop.caused["mail"], rel=0.25)
    assert "test them" in found(model)["follows_customers"]
    assert credited(plain(customers=shop.customers, adjust="none").fit(shop.journeys()))["mail"] == pytest.approx(
        table.loc["mail", "plain"]
    )


# ---------------------------------------------------------------- nothing but the data


def test_all_laws_hold_with_one_half_life_and_nothing_screened() -> None:
    at.check_model(plain(adjust="none"))


def test_with_more_all_laws_hold_but_doubling() -> None:
    """Twice the data makes surer of half-lives and of what is screened."""
    laws = dict(model_checks(plain()))
    for law in ("row_order_changes_nothing", "customer_order_changes_nothing", "saving_changes_nothing"):
        laws[law]()
    with pytest.raises(AssertionError):
        laws["doubling_customers_doubles_credit"]()


def test_journeys_that_are_streamed_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = world()
    model, streamed = plain().fit(shop.journeys(listed=True)), plain()
    monkeypatch.setattr(DuckDBEngine, "streams", lambda engine, events: True)
    chunks = shop.journeys(listed=True, partitions=3, batch_rows=5_000)
    assert not isinstance(chunks.chunks, tuple)
    streamed.fit(chunks)
    assert streamed.credit_.conversions.tobytes() == model.credit_.conversions.tobytes()
    assert streamed.assignment_.equals(model.assignment_)


def test_options_of_journeys_change_nothing() -> None:
    """Neither what leaves touchpoints out of journeys, nor a long log of one customer that is read in pieces."""
    shop = world()
    sources = shop.sources()
    expected = plain(customers=shop.customers).fit(at.build_journeys(sources)).credit_.conversions[:-1]
    for options in ({"lookback_days": 3}, {"dedupe": "consecutive"}, {"direct": "drop"}, {"max_touchpoints": 1}):
        made = plain(customers=shop.customers).fit(at.build_journeys(sources, **options))
        assert made.credit_.conversions[:-1].tobytes() == expected.tobytes(), options
    by_channel = {"lookback_days": 30, "lookback_by_channel": {"mail": 1, "visit": 20}}
    made = plain(customers=shop.customers).fit(at.build_journeys(sources, **by_channel))
    assert made.credit_.conversions[:-1].tobytes() == expected.tobytes()


def test_pieces_of_a_chunk_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    journeys = world().journeys()
    expected = plain().fit(journeys).credit_.conversions
    default = at.JourneyChunk.batches
    monkeypatch.setattr(at.JourneyChunk, "batches", lambda chunk, steps=1_000: default(chunk, steps))
    (pieces,) = journeys.read(lambda piece: at.Summary({"pieces": at.tally(np.zeros(1, int), np.ones(1))}))
    assert pieces.number("pieces") > 30
    assert plain().fit(journeys).credit_.conversions.tobytes() == expected.tobytes()


def test_a_period_cuts_time_at_risk_and_keeps_history() -> None:
    """The parts of a log add up to the whole, because touchpoints before the second part still work in it."""
    shop = world()
    sources = shop.sources()
    middle = (START + pd.Timedelta(days=20)).date()
    options = {"half_lives_days": 4.5, "adjust": "none", "customers": shop.customers}
    whole = at.AdditiveHazard(**options).fit(at.build_journeys(sources))
    exposure = get_machinery(whole).moments(get_machinery(whole).tables_of(whole.summary_)).exposure
    parts = []
    for period in (Period(end=middle - pd.Timedelta(days=1)), Period(start=middle)):
        part = at.AdditiveHazard(**options).fit(at.build_journeys(sources, period=period))
        parts.append(get_machinery(part).moments(get_machinery(part).tables_of(part.summary_)))
        assert sum(credited(part).values()) == pytest.approx(sum(shop.caused.values()) / 2, rel=0.35)
    np.testing.assert_allclose(parts[0].exposure + parts[1].exposure, exposure, rtol=1e-5)
    assert parts[1].exposure.sum() > 1.1 * parts[0].exposure.sum()


def test_first_only_ends_with_the_first_conversion() -> None:
    shop = world()
    journeys = at.build_journeys(shop.sources(), conversions="first_only")
    model = plain(adjust="none", customers=shop.customers).fit(journeys)
    tables = get_machinery(model).tables_of(model.summary_)
    buyers = shop.conversions["customer_id"].nunique()
    assert tables["conversions"].sum() == buyers
    machinery = get_machinery(model)
    first = shop.conversions.groupby("customer_id")["converted_at"].min()
    log = pd.concat([shop.touchpoints["touched_at"], shop.conversions["converted_at"]])
    end, start = log.max(), log.min()
    lost = ((end - first) / pd.Timedelta(days=1)).sum()
    expected = shop.customers * ((end - start) / pd.Timedelta(days=1)) - lost
    assert machinery.moments(tables).at_risk == pytest.approx(expected, rel=1e-6)


def test_placebo_is_credited_with_next_to_nothing() -> None:
    shop = world()
    journeys = at.build_journeys(shop.sources(), placebo=at.journeys.Placebo(seed=3))
    model = plain(customers=shop.customers).fit(journeys)
    assert model.assignment_["channel"].tolist() == ["(placebo)", "mail", "video"]
    assert abs(credited(model)["(placebo)"]) < 0.15 * sum(shop.caused.values())
    assert model.assignment_["is_known"].all()


# ---------------------------------------------------------------- draws, segments, days, files


def test_draws_are_of_the_fitted_model(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = world()
    model = at.AdditiveHazard(half_lives_days=[2, 7])
    _, drawn = fit_and_resample([model], shop.journeys(listed=True), ResamplingOptions(draws=200))
    alone = at.AdditiveHazard(half_lives_days=[2, 7]).fit(shop.journeys(listed=True))
    assert model.credit_.conversions.tobytes() == alone.credit_.conversions.tobytes()
    sample = drawn.draws[model.label].channels
    estimate = drawn.estimates[model.label].channels
    np.testing.assert_allclose(estimate.conversions[0], model.credit_.conversions[:-1], rtol=1e-9)
    np.testing.assert_allclose(sample.value, 20 * sample.conversions, rtol=1e-6)
    place = model.channels_.index("mail")
    spread = sample.conversions[:, place].std() / model.credit_.conversions[place]
    monkeypatch.setattr("attribution.models.additive_hazard.KERNEL_SPREAD", 0.0)
    _, sampled = fit_and_resample([model], shop.journeys(listed=True), ResamplingOptions(draws=200))
    sampling = sampled.draws[model.label].channels.conversions[:, place].std() / model.credit_.conversions[place]
    assert 0.02 < sampling < spread
    assert spread == pytest.approx(np.hypot(sampling, 0.1), rel=0.25)


def test_few_converters_are_drawn_one_by_one() -> None:
    shop = world(customers=2_500)
    model = plain(adjust="none")
    _, drawn = fit_and_resample([model], shop.journeys(), ResamplingOptions(draws=50, method="bca"))
    assert drawn.by == "customers"
    sample = drawn.draws[model.label].channels.conversions
    np.testing.assert_allclose(
        drawn.estimates[model.label].channels.conversions[0], model.credit_.conversions[:-1], rtol=1e-8
    )
    assert (sample.std(axis=0) > 0).sum() == 2
    without = drawn.jackknife[model.label].channels.conversions
    np.testing.assert_allclose(without.mean(axis=0), model.credit_.conversions[:-1], rtol=0.02, atol=0.5)
    assert "few_conversions_at_risk" in found(model)


def test_segments_are_their_customers_alone() -> None:
    shop = world()
    sources = shop.sources(listed=True)
    journeys, segments = at.build_journeys(sources), read_segments(sources, "side")
    models = [plain(), plain(customers=shop.customers, name="counted")]
    for model in models:
        model.fit(journeys)
    (summary,) = journeys.read(segment_reader(models, segments))
    table, findings = segment_credit(summary, journeys, models, segments)
    half = replace(
        shop,
        touchpoints=shop.touchpoints.query("customer_id % 2 == 1"),
        conversions=shop.conversions.query("customer_id % 2 == 1"),
    )
    ids = pd.DataFrame({"customer_id": np.arange(1, shop.customers, 2)})
    costs = pd.DataFrame({"channel": ["mail", "video"], "amount": 1.0})
    alone = plain().fit(
        at.build_journeys(at.load_sources(half.touchpoints, half.conversions, costs=costs, customers=ids))
    )
    made = table.query("segment == '1' and model == 'additive_hazard_7'").set_index("channel")["conversions"]
    # The data end a moment later for all.
    assert made["mail"] == pytest.approx(credited(alone)["mail"], rel=1e-3)
    assert set(table["model"]) == {"additive_hazard_7"}
    assert "give a customers table instead" in findings[0].message


def test_saved_and_sent_to_another_machine() -> None:
    shop = world()
    model = plain(customers=shop.customers).fit(shop.journeys())
    again = ModelState.of(model).model()
    assert again.credit_.conversions.tobytes() == model.credit_.conversions.tobytes()
    (chunk, *_) = shop.journeys()
    assert again.weigh(chunk.allocated).tobytes() == model.weigh(chunk.allocated).tobytes()
    sent = pickle.loads(pickle.dumps(model))
    assert sent.summarise(chunk).tables["risk"].sums.limbs.tobytes() == (
        model.summarise(chunk).tables["risk"].sums.limbs.tobytes()
    )
    assert again.weigh_baseline(chunk.allocated).tobytes() == model.weigh_baseline(chunk.allocated).tobytes()


def test_weights_fade_and_leave_out_what_comes_at_the_instant() -> None:
    model = plain(customers=12_000).fit(world().journeys())
    touchpoints = pd.DataFrame(
        {
            "customer_id": 1,
            "touched_at": [START, START + pd.Timedelta(days=7), START, START + pd.Timedelta(days=7)],
            "channel": ["mail", "mail", "visit", "video"],
        }
    )
    bought = pd.DataFrame({"customer_id": [1], "converted_at": [START + pd.Timedelta(days=7)]})
    other = at.build_journeys(at.load_sources(touchpoints, bought))
    model.channels_ = other.channels  # three of the four
    places = [("direct", "mail", "video", "visit").index(name) for name in other.channels]
    model.added_rate_ = model.added_rate_[places]
    (chunk,) = other
    weights = dict(
        zip(zip(chunk.touched_at.tolist(), chunk.channel.tolist(), strict=True), model.weigh(chunk), strict=True)
    )
    first, later = START.value // 1000, (START + pd.Timedelta(days=7)).value // 1000
    assert weights[first, other.channels.index("mail")] == pytest.approx(
        model.added_rate_[other.channels.index("mail")] / 2
    )
    assert weights[later, other.channels.index("mail")] == weights[later, other.channels.index("video")] == 0
    assert weights[first, other.channels.index("visit")] == 0


# ---------------------------------------------------------------- what it refuses and warns of


def small_tables(
    days: float = 30.0, channels: tuple[str, ...] = ("mail", "visit"), conversions: int = 250
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(2)
    size = 2_000
    touchpoints = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 1_000, size),
            "touched_at": START + pd.to_timedelta(np.append([0.0, days], rng.uniform(0, days, size - 2)), "D"),
            "channel": rng.choice(channels, size),
        }
    )
    bought = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 1_000, conversions),
            "converted_at": START + pd.to_timedelta(rng.uniform(0, days, conversions), "D"),
        }
    )
    return touchpoints, bought


def small(days: float = 30.0, conversions: int = 250) -> at.Sources:
    return at.load_sources(*small_tables(days, conversions=conversions))


def refused(journeys: Journeys, **options: object) -> str:
    with pytest.raises(InputError) as error:
        at.AdditiveHazard(**options).fit(journeys)  # type: ignore[arg-type]  # passed on as they came
    return str(error.value)


def test_journeys_that_cannot_tell_are_refused() -> None:
    sources = small()
    paths = at.build_journeys(at.load_sources(paths=pd.DataFrame({"path": ["mail"], "conversions": [300]})))
    assert "needs timestamps" in refused(paths, credited=["mail"])
    order = pd.DataFrame({"customer_id": [1], "touched_at": [1], "channel": ["mail"]})
    bought = pd.DataFrame({"customer_id": [1], "converted_at": [2]})
    assert "needs timestamps" in refused(at.build_journeys(at.load_sources(order, bought)), credited=["mail"])
    overlap = at.build_journeys(sources, conversions="cumulative")
    assert "touchpoints may serve several conversions" in refused(overlap, credited=["mail"])
    frequency = at.build_journeys(sources, transform="frequency")
    assert "leave the transform out" in refused(frequency, credited=["mail"])


def test_too_little_is_refused_before_anything_is_read_twice() -> None:
    journeys = at.build_journeys(small(conversions=199))
    text = refused(journeys, credited=["mail"])
    assert "too few conversions to tell what caused them. Given: 199 conversions. Allowed: 200 or more." in text
    with pytest.raises(InputError, match="too few conversions"):
        check_models([at.AdditiveHazard(credited=["mail"])], journeys)
    short = at.build_journeys(small(days=7.9))
    assert "Given: 7.9 days of data, half-life 2 days. Allowed: 8 days of data or more." in refused(
        short, credited=["mail"]
    )
    made = at.AdditiveHazard(credited=["mail"], half_lives_days=1.5).fit(short)
    assert made.half_lives_ == (1.5,)
    once = at.build_journeys(small(days=0.0))
    assert "no time passes" in refused(once, credited=["mail"])


def test_channels_must_be_known_to_be_paid() -> None:
    journeys = at.build_journeys(small())
    assert "no channel has a cost. Given: ['mail', 'visit']. Hint: give costs" in refused(journeys)
    assert at.AdditiveHazard(unpaid=["visit"]).fit(journeys).assignment_["channel"].tolist() == ["mail"]
    assert "credited names 'mial'" in refused(journeys, credited=["mial"])
    assert "did you mean 'mail'?" in refused(journeys, unpaid=["mial"])
    assert "both credited and unpaid" in refused(journeys, credited=["mail"], unpaid=["mail"])
    assert "no channel to credit" in refused(journeys, unpaid=["mail", "visit"])
    assert "no channel to credit" in refused(journeys, credited=[])
    model = at.AdditiveHazard(credited=["mail", "visit"]).fit(journeys)
    assert "add unpaid visits to touchpoints" in found(model)["not_screened"]
    assert model.assignment_["verdict"].tolist() == ["unknown: not screened"] * 2
    assert "not_screened" not in found(at.AdditiveHazard(credited=["mail"], adjust="none").fit(journeys))


def test_costs_of_touchpoints_make_a_channel_paid() -> None:
    touchpoints, conversions = small_tables()
    touchpoints["cost"] = np.where(touchpoints["channel"] == "mail", 0.1, 0.0)
    journeys = at.build_journeys(at.load_sources(touchpoints, conversions))
    assert journeys.paid_channels() == ("mail",)
    assert at.AdditiveHazard().fit(journeys).assignment_["channel"].tolist() == ["mail"]


def test_channels_that_always_come_together_are_named() -> None:
    touchpoints, conversions = small_tables(channels=("mail", "radio", "visit"))
    twin = touchpoints[touchpoints["channel"] == "mail"].assign(channel="mail banner")
    journeys = at.build_journeys(at.load_sources(pd.concat([touchpoints, twin]), conversions))
    text = refused(journeys, unpaid=["visit"])
    assert "cannot tell channels apart that always come together. Given: ['mail', 'mail banner']." in text


def test_more_customers_than_there_are() -> None:
    journeys = at.build_journeys(small())
    text = refused(journeys, credited=["mail"], customers=500)
    assert "more customers are in the log than could be reached. Given: customers = 500" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"half_lives_days": 0}, "half_lives_days must be days"),
        ({"half_lives_days": 0.009}, "Allowed: numbers from 0.01 to 10,000"),
        ({"half_lives_days": []}, "half_lives_days must be days"),
        ({"half_lives_days": [7, -1]}, "half_lives_days must be days"),
        ({"half_lives_days": "week"}, "half_lives_days must be days"),
        ({"guard_days": -1}, "guard_days must be a number of days"),
        ({"customers": 0}, "customers must be the number of customers"),
        ({"customers": 10.5}, "customers must be the number of customers"),
        ({"adjust": "non"}, "did you mean 'none'"),
        ({"credited": "mail"}, "credited must be a list of channels"),
        ({"screening": {"intend": 1}}, "did you mean 'intent'"),
        ({"screening": {"z": 0}}, "the threshold z must be a number above 0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], said: str) -> None:
    assert said in refused(at.build_journeys(small()), **options)


def test_warnings_say_what_to_do() -> None:
    touchpoints, conversions = small_tables()
    bare = at.build_journeys(small())
    said = found(at.AdditiveHazard(credited=["mail"]).fit(bare))
    assert "a broad channel with two or three times what it caused: give a customers table" in said["customers_at_risk"]
    assert "rely on its intervals, not on its numbers, or use more data" in said["few_conversions_at_risk"]
    assert "long_half_life" not in found(at.AdditiveHazard(credited=["mail"]).fit(bare))
    long = at.AdditiveHazard(credited=["mail"], half_lives_days=[3, 21]).fit(bare)
    assert "set half_lives_days to 7.5 or less" in found(long)["long_half_life"]
    ids = pd.DataFrame({"customer_id": np.arange(1_000)})
    seen = set(touchpoints["customer_id"]) | set(conversions["customer_id"])
    everybody = at.load_sources(touchpoints, conversions, customers=ids)
    touched = at.load_sources(touchpoints, conversions, customers=ids[ids["customer_id"].isin(seen)])
    assert "customers_listed" not in found(at.AdditiveHazard(credited=["mail"]).fit(at.build_journeys(everybody)))
    assert "customers_listed" in found(at.AdditiveHazard(credited=["mail"]).fit(at.build_journeys(touched)))
    visits = conversions.assign(channel="visit", touched_at=conversions["converted_at"] - pd.Timedelta(minutes=5))
    logged = pd.concat([touchpoints, visits[["customer_id", "touched_at", "channel"]]])
    journeys = at.build_journeys(at.load_sources(logged, conversions))
    guarded = at.AdditiveHazard(credited=["mail"], customers=1_000)
    assert "purchase_visits" not in found(guarded.fit(journeys))
    bare_model = at.AdditiveHazard(credited=["mail"], customers=1_000, guard_days=0).fit(journeys)
    assert "set guard_days to 1" in found(bare_model)["purchase_visits"]
