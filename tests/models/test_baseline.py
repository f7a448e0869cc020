"""What of a conversion is the baseline's: worked by hand, by every way to divide it, and on random journeys."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError, LawError
from attribution.kernels.credit.rescaling import rescale
from attribution.models.credit import allocate
from attribution.models.machinery import DOUBLING, get_machinery
from attribution.models.model_tables import with_allocated
from attribution.models.saved import Definition, Scorer, Training
from attribution.models.saved.state import ModelState
from attribution.production.scoring.job import ScoringOptions, score_days
from attribution.production.scoring.rows import score_rows
from attribution.production.sql import SqlTables, build_select
from attribution.production.sql.weights import translate_weights
from attribution.testing import model_checks
from tests.models.hazards import hazard
from tests.models.test_additive_hazard import plain, world
from tests.scale import examples

MADE = pd.Timestamp("2024-03-01T10:00")
ADDS = {"mail": 0.04, "search": 0.0, "video": 0.02}


def ago(days: float) -> pd.Timestamp:
    return MADE - pd.Timedelta(days=days)


TOUCHES = pd.DataFrame(
    [
        ("1", ago(14), "mail"),
        ("1", ago(7), "mail"),
        ("1", ago(1), "search"),
        ("1", MADE, "video"),  # at the very instant
        ("2", ago(3), "search"),
        ("4", ago(7), "radio"),  # nobody knows it
        ("4", ago(7), "mail"),
        ("5", ago(1), "radio"),
        ("6", ago(-1), "mail"),  # in the future
        ("7", ago(40), "mail"),  # outside the window
    ],
    columns=["customer_id", "touched_at", "channel"],
)
SOLD = pd.DataFrame(
    {"customer_id": list("1234567"), "converted_at": MADE, "value": 10.0, "conversion_id": list("1234567")}
)
HALF = [0.02 / 0.03, 0.01 / 0.03]
WANTED = {
    ("1", "mail", 1): 0.25,
    ("1", "mail", 2): 0.5,
    ("1", "search", 3): 0.0,
    ("1", "video", 4): 0.0,
    ("1", "(baseline)", 0): 0.25,
    ("2", "search", 1): 0.0,
    ("2", "(baseline)", 0): 1.0,
    ("3", "(unattributed)", 0): 1.0,
    ("4", "mail", 1): HALF[0],
    ("4", "radio", 2): 0.0,
    ("4", "(baseline)", 0): HALF[1],
    ("5", "radio", 1): 0.0,
    ("5", "(baseline)", 0): 1.0,
    ("6", "(unattributed)", 0): 1.0,
    ("7", "(unattributed)", 0): 1.0,
}
"""Mail a week old adds 0.02 a day, mail two weeks old 0.01, as much as the baseline makes."""


def shop_scorer() -> Scorer:
    sources = at.load_sources(TOUCHES[TOUCHES["channel"] != "radio"], SOLD)
    definition = Definition(training=Training.of(sources, at.build_journeys(sources)))
    made = Scorer.of(hazard(tuple(ADDS), tuple(ADDS.values()), 0.01), definition=definition)
    return replace(made, name="shop", version="0123456789abcdef")


def parts(table: pd.DataFrame) -> dict[tuple[str, str, int], float]:
    positions = pd.to_numeric(table["position"]).fillna(0).astype(int)
    return dict(
        zip(zip(table["conversion_id"], table["channel"], positions, strict=True), table["credit"], strict=True)
    )


def same(found: dict[tuple[str, str, int], float]) -> None:
    assert set(found) == set(WANTED)
    assert found == pytest.approx(WANTED, abs=1e-12)


def test_one_conversion_is_divided_as_worked_by_hand() -> None:
    table = shop_scorer().score(TOUCHES, SOLD)
    same(parts(table))
    baseline = table[table["channel"] == "(baseline)"]
    assert baseline[["touched_at", "campaign", "position"]].isna().all(axis=None)
    assert baseline["credited_value"].tolist() == pytest.approx([2.5, 10.0, 10 * HALF[1], 10.0])


def test_a_saved_model_divides_alike_in_a_job_in_sql_and_row_by_row(tmp_path: Path) -> None:
    saved = shop_scorer().save(tmp_path / "model")
    scorer = Scorer.load(tmp_path / "model")
    same(parts(scorer.score(TOUCHES, SOLD)))
    earlier = SOLD.assign(converted_at=ago(20), conversion_id=[f"{name} before" for name in SOLD["conversion_id"]])
    for night, touches in enumerate((TOUCHES.drop(index=1), TOUCHES)):
        tables = {"touchpoints": touches, "conversions": pd.concat([SOLD, earlier])}
        options = ScoringOptions(tables, tmp_path / "out", canonical=True)
        scored = score_days(scorer, options, at.DuckDBEngine(batch_rows=3, partitions=1 + night))
    assert scored.restatement.set_index("channel")["conversions_after"].to_dict() == pytest.approx(
        {"mail": 0.75 + HALF[0], "(baseline)": 2.25 + HALF[1]}
    )
    days = {
        day: pd.read_parquet(tmp_path / f"out/journey_credit/day={day}/journey_credit.parquet")
        for day in ("2024-02-10", "2024-03-01")
    }
    assert set(days["2024-02-10"]["channel"]) == {"(unattributed)", "mail", "(baseline)"}
    same(parts(days["2024-03-01"]))
    entry = json.loads((tmp_path / "out/manifest.json").read_text())["days"]["2024-03-01"]
    assert entry["baseline"] == pytest.approx(2.25 + HALF[1], abs=1e-12)
    assert entry["rows"] - entry["conversions"] == 8  # touchpoints
    exported = at.credited_conversions(tmp_path / "out")
    assert not exported.campaigns.set_index("channel").loc["(baseline)", "is_exported"]
    assert exported.conversions["conversions"].sum() == pytest.approx(
        sum(table.loc[table["channel"] == "mail", "credit"].sum() for table in days.values())
    )
    assert any("would have come without any channel" in note for note in exported.notes)
    sql = build_select(saved, "duckdb", SqlTables())
    with duckdb.connect() as connection:
        connection.register("touchpoints", TOUCHES)
        connection.register("conversions", SOLD)
        same(parts(connection.execute(sql).df()))
    lists = TOUCHES.groupby("customer_id")[["channel", "touched_at"]].agg(list).reindex(SOLD["customer_id"])
    rows = pd.DataFrame(
        {
            "channel": [cell if isinstance(cell, list) else [] for cell in lists["channel"]],
            "touched_at": [cell if isinstance(cell, list) else [] for cell in lists["touched_at"]],
            "converted_at": MADE,
        }
    )
    answer = score_rows(saved, rows)
    assert answer["error"].tolist() == [""] * 7
    assert answer["baseline"].tolist() == pytest.approx([0.25, 1, 0, HALF[1], 1, 0, 0], abs=1e-12)
    assert answer["unattributed"].tolist() == [0, 0, 1, 0, 0, 1, 1]
    assert answer["credit"][0] == pytest.approx([0.25, 0.5, 0, 0], abs=1e-12)


def test_without_a_conversion_there_is_nothing_to_divide() -> None:
    with pytest.raises(InputError, match="'conversions' has no rows"):
        shop_scorer().score(TOUCHES, SOLD.iloc[:0])
    journeys = at.build_journeys(at.load_sources(TOUCHES, SOLD.iloc[2:3]))
    (chunk,) = journeys
    divided = allocate(hazard(journeys.channels, [0.1] * 4, 0.01), chunk)
    assert [len(divided.shares), len(divided.baseline), len(divided.chunk)] == [0, 0, 0]


JOURNEY = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60 * 24)), max_size=6)
RATE = st.one_of(st.just(0.0), st.floats(1e-12, 1e3))


@examples(30)
@given(
    st.lists(JOURNEY, min_size=1, max_size=6), st.tuples(RATE, RATE, RATE), RATE, st.floats(0.01, 100), st.floats(0, 1)
)
def test_parts_of_random_journeys_add_up_to_one(
    journeys: list[list[tuple[str, int]]], rates: tuple[float, float, float], baseline: float, half: float, share: float
) -> None:
    touched = [
        (str(number), ago(hours / 24), channel) for number, touches in enumerate(journeys) for channel, hours in touches
    ]
    touchpoints = pd.DataFrame([("x", MADE, name) for name in "abc"] + touched, columns=TOUCHES.columns)
    sold = pd.DataFrame({"customer_id": [str(number) for number in range(len(journeys))], "converted_at": MADE})
    built = at.build_journeys(at.load_sources(touchpoints, sold), lookback_days=50)
    model = hazard("abc", rates, baseline, half_lives=(half, 7.0), weights=(share, 1 - share))
    table = at.journey_credit(built, model)
    sums = table.groupby("customer_id")["credit"].sum()
    assert len(sums) == len(journeys)
    np.testing.assert_allclose(sums, 1.0, rtol=0, atol=1e-12)
    assert (table["credit"] >= 0).all()
    is_touched = table.groupby("customer_id")["channel"].agg(lambda names: "(unattributed)" not in set(names))
    has_baseline = table.groupby("customer_id")["channel"].agg(lambda names: (names == "(baseline)").sum())
    assert (has_baseline == is_touched).all()
    # The shares are what is added beside what the baseline makes.
    for customer, rows in table[table["position"].notna()].groupby("customer_id"):
        age = (MADE - rows["touched_at"]) / pd.Timedelta(days=1)
        fades = share * 2 ** (-age / half) + (1 - share) * 2 ** (-age / 7)
        adds = (rows["channel"].map(dict(zip("abc", rates, strict=True))) * fades * (age > 0)).to_numpy()
        if adds.sum() + baseline > 0:
            np.testing.assert_allclose(rows["credit"], adds / (adds.sum() + baseline), rtol=1e-9, atol=1e-12)
        else:
            assert (rows["credit"] == 0).all(), customer


# ---------------------------------------------------------------- journeys of a fit


def test_journeys_of_a_fit_add_up_to_its_credit() -> None:
    shop = world()
    journeys = shop.journeys()
    model = plain(customers=shop.customers).fit(journeys)
    table = at.journey_credit(journeys, model)
    sums = table.groupby("channel")["credit"].sum()
    for name, credit in zip(model.channels_, model.credit_.conversions[:-1], strict=True):
        assert sums.get(name, 0.0) == pytest.approx(max(credit, 0.0), rel=1e-9, abs=1e-12)
    assert sums["(baseline)"] == pytest.approx(model.credit_.baseline[0], rel=1e-9)
    assert sums["(unattributed)"] == model.credit_.conversions[-1]
    np.testing.assert_allclose(table.groupby("conversion_id")["credit"].sum(), 1.0, rtol=1e-12)
    again = at.journey_credit(journeys, [at.Linear().fit(journeys), model])
    assert again[again["model"] == model.label]["credit"].tolist() == table["credit"].tolist()
    # New journeys are divided by the weights as they are, as a saved model does.
    kept_back = Scorer.of(model).apply(journeys)
    raw = at.journey_credit(journeys, kept_back).groupby("channel")["credit"].sum()
    assert raw["(baseline)"] == pytest.approx(model.credit_.baseline[0], rel=0.1)
    assert raw["(baseline)"] != pytest.approx(model.credit_.baseline[0], rel=1e-9)


def test_negative_credit_gets_nothing_and_stands_in_the_table_of_published_credit() -> None:
    shop = world(4_000)
    journeys = shop.journeys()
    model = plain(customers=shop.customers).fit(journeys)
    mail = model.channels_.index("mail")
    conversions = model.credit_.conversions.copy()
    lost, conversions[mail] = conversions[mail] + 5.0, -5.0
    baseline = (model.credit_.baseline[0] + lost, model.credit_.baseline[1])
    model.credit_ = replace(model.credit_, conversions=conversions, baseline=baseline)
    table = at.journey_credit(journeys, model)
    assert (table.loc[table["channel"] == "mail", "credit"] == 0).all()
    published = with_allocated(None, table, [model]).set_index("channel")
    assert published.loc["mail", ["published", "allocated", "gap"]].tolist() == [-5.0, 0.0, 5.0]
    assert published.loc["video", "gap"] == pytest.approx(0, abs=1e-9)


class Halved(at.AttributionModel):
    """Half of what touchpoints divide evenly was caused."""

    @property
    def estimand(self) -> str:
        return "incremental"

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.ones(len(chunk.channel))

    def solve(self, summary: at.Summary) -> tuple[np.ndarray, np.ndarray]:
        conversions, value = super().solve(summary)
        return conversions / 2, value / 2


class Spoiled(Halved):
    """Weighs its baseline as it is told."""

    def __init__(self, *, weights: object = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self.weights = weights

    def weigh_baseline(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.asarray(self.weights, dtype=float)


def test_a_model_of_ones_own_need_not_weigh_its_baseline() -> None:
    journeys = at.build_journeys(at.load_sources(TOUCHES, SOLD))
    model = Halved().fit(journeys)
    (chunk,) = journeys
    divided = allocate(Scorer.of(model).apply(journeys), chunk)
    assert divided.baseline.tolist() == [0.5] * 4
    assert sorted(divided.shares.tolist()) == [0.125] * 4 + [0.25] * 2 + [0.5] * 2
    assert allocate(at.Linear().fit(journeys), chunk).baseline is None


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1.0], "of the baseline per journey is needed, got shape"),
        ([1, 1, -1, 1], "not negative"),
        ([np.nan] * 4, "finite"),
    ],
)
def test_weights_of_a_baseline_are_checked(weights: list[float], said: str) -> None:
    journeys = at.build_journeys(at.load_sources(TOUCHES, SOLD))
    with pytest.raises(LawError, match=said):
        at.journey_credit(journeys, Spoiled(weights=weights).fit(journeys))


def test_sql_needs_an_expression_for_a_baseline_of_ones_own() -> None:
    journeys = at.build_journeys(at.load_sources(TOUCHES, SOLD))

    class Told(Spoiled):
        weight_sql = "1"

    fitted = Told(weights=[1.0] * 4).fit(journeys)
    Told.__qualname__ = "Spoiled"
    state = ModelState.of(fitted)
    with pytest.raises(InputError, match=r"weight of its baseline has no SQL expression.*baseline_sql is None.*score"):
        translate_weights(state, fitted, {}, ["a"])


# ---------------------------------------------------------------- multiples


def test_multiples_give_what_is_asked_for_or_all_there_is() -> None:
    conversion, column = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 2, 0, 2, 1, 2])
    entries = np.array([0.5, 0.5, 0.1, 0.9, 0.3, 0.7])

    def divided(targets: list[float]) -> list[float]:
        made = entries * rescale(conversion, column, entries, np.array(targets))[column]
        made /= np.bincount(conversion, made)[conversion]
        return np.bincount(column, made, 3).tolist()

    assert divided([1.2, 0.25]) == pytest.approx([1.2, 0.25, 1.55], abs=1e-11)
    assert divided([0.0, 0.25]) == pytest.approx([0.0, 0.25, 2.75], abs=1e-11)
    # Column 0 has a part in two conversions alone: more than both it cannot have.
    assert divided([2.5, 0.25]) == pytest.approx([2.0, 0.25, 0.75], abs=1e-9)
    assert divided([9.0, 9.0]) == pytest.approx([2.0, 1.0, 0.0], abs=1e-9)


def test_the_default_hazard_may_break_the_law_of_doubling() -> None:
    assert DOUBLING in dict(model_checks(at.Linear()))
    assert get_machinery(at.AdditiveHazard()).broken_by_design == (DOUBLING,)
    assert get_machinery(plain(adjust="none")).broken_by_design == ()
