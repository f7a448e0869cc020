"""Credit per segment: each segment's journeys alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.models.machinery import get_machinery
from attribution.models.segments import read_segments, segment_credit, segment_reader

TOML = """
[tables.touchpoints]
source = "touchpoints.parquet"
[tables.conversions]
source = "conversions.parquet"
[tables.customers]
source = "customers.csv"
columns = { customer_id = "customer_id", country = "country" }
[journeys]
segment = "country"
[[models]]
model = "Linear"
[[models]]
model = "Markov"
[tracking]
enabled = false
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    simulation = at.simulate("default", customers=1_000, truth=False)
    simulation.touchpoints.to_parquet(tmp_path / "touchpoints.parquet")
    simulation.conversions.to_parquet(tmp_path / "conversions.parquet")
    ids = sorted({*simulation.touchpoints["customer_id"], *simulation.conversions["customer_id"]})
    countries = ["de", "中国", None]
    customers = pd.DataFrame({"customer_id": ids, "country": [countries[i % 3] for i in range(len(ids))]})
    customers.iloc[:-50].to_csv(tmp_path / "customers.csv", index=False)
    (tmp_path / "shop.toml").write_text(TOML, encoding="utf-8")
    return tmp_path


def test_each_segment_is_what_its_customers_alone_give(shop: Path) -> None:
    table = at.run_experiment(shop / "shop.toml").tables["segment_credit"]
    customers = pd.read_csv(shop / "customers.csv", keep_default_na=False)
    segment_of = dict(zip(customers["customer_id"], customers["country"], strict=True))
    assert set(table["segment"]) == {"de", "中国", "(none)"}
    touchpoints, conversions = (pd.read_parquet(shop / f"{name}.parquet") for name in ("touchpoints", "conversions"))
    # The end of the data is everybody's; open journeys do not change credit, so a segment alone gives the same.
    for segment, rows in table.groupby("segment"):
        wanted = "" if segment == "(none)" else segment
        alone = [
            frame[frame["customer_id"].map(segment_of).fillna("") == wanted] for frame in (touchpoints, conversions)
        ]
        journeys = at.build_journeys(at.load_sources(*alone))
        expected = at.attribute(journeys, [at.Linear(), at.Markov()]).table.set_index(["model", "channel"])
        mine = rows.set_index(["model", "channel"])
        for key, row in expected.iterrows():
            assert mine.loc[key, "conversions"] == pytest.approx(row["conversions"], rel=1e-12)
            assert mine.loc[key, "value"] == pytest.approx(row["value"], rel=1e-12)


def test_segments_of_a_rule_add_up_to_its_credit(shop: Path) -> None:
    tables = at.run_experiment(shop / "shop.toml").tables
    whole = tables["credit"].query("model == 'linear'").set_index("channel")["conversions"]
    parts = tables["segment_credit"].query("model == 'linear'").groupby("channel")["conversions"].sum()
    np.testing.assert_allclose(parts[whole.index], whole, rtol=1e-12)


def test_a_person_is_in_the_segment_of_its_customer() -> None:
    """A cookie is bob, and bob is ann: what the table says of bob is said of ann, who owns the journey."""
    sources = at.load_sources(
        pd.DataFrame({"customer_id": ["cookie", "eve"], "touched_at": [1, 1], "channel": ["mail", "search"]}),
        pd.DataFrame({"customer_id": ["bob", "eve"], "converted_at": [2, 2]}),
        identities=pd.DataFrame({"visitor_id": ["cookie", "bob"], "customer_id": ["bob", "ann"]}),
        customers=pd.DataFrame({"customer_id": ["bob"], "tier": ["gold"]}),
    )
    journeys = at.build_journeys(sources)
    segments = read_segments(sources, "tier")
    models = [at.Linear()]
    get_machinery(models[0]).prepare(journeys)
    table, _ = segment_credit(journeys.read(segment_reader(models, segments))[0], journeys, models, segments)
    gold = table.query("segment == 'gold' and conversions > 0")
    assert gold[["channel", "conversions"]].to_numpy().tolist() == [["mail", 1.0]]
    assert table.query("segment == '(none)'")["conversions"].sum() == 1.0


def test_a_missing_or_torn_segment_is_refused(shop: Path) -> None:
    with pytest.raises(InputError, match="'region' is not in the customers table"):
        at.run_experiment(at.read_experiment(shop / "shop.toml", ["journeys.segment=region"]))
    customers = pd.read_csv(shop / "customers.csv")
    torn = pd.concat([customers, customers.iloc[[0]].assign(country="fr")])
    torn.to_csv(shop / "customers.csv", index=False)
    with pytest.raises(InputError, match="1 customer has two values in the segment column 'country'"):
        at.run_experiment(shop / "shop.toml")
    (shop / "shop.toml").write_text(TOML.replace("[tables.customers]", "[tables.codes]"), encoding="utf-8")
    with pytest.raises(InputError, match="there is no such table"):
        at.read_experiment(shop / "shop.toml")


def test_rates_of_a_segment_are_those_of_its_customers_alone() -> None:
    """The never touched belong to segments too; where a segment has none, the model is left out there, and named."""
    rng = np.random.default_rng(4)
    names = [f"客户 {number}" for number in range(600)]
    touched = pd.DataFrame({"customer_id": rng.choice(names[:400], 900), "touched_at": rng.integers(0, 50, 900)})
    touched["channel"] = rng.choice(["搜索", "邮件", "video"], 900)
    converted = pd.DataFrame({"customer_id": rng.choice(touched["customer_id"].unique(), 120, replace=False)})
    converted["converted_at"] = 60
    customers = pd.DataFrame({"customer_id": names, "tier": np.where(np.arange(600) % 2, "gold", "tin")})
    customers = customers[(customers["tier"] == "gold") | customers["customer_id"].isin(touched["customer_id"])]
    models = [at.Linear(), at.Shapley(game="rate", name="rate")]

    sources = at.load_sources(touched, converted, customers=customers)
    journeys = at.build_journeys(sources)
    segments = read_segments(sources, "tier")
    for model in models:
        get_machinery(model).prepare(journeys)
    table, findings = segment_credit(journeys.read(segment_reader(models, segments))[0], journeys, models, segments)

    gold = customers[customers["tier"] == "gold"]
    own = [frame[frame["customer_id"].isin(gold["customer_id"])] for frame in (touched, converted)]
    alone = at.attribute(at.build_journeys(at.load_sources(*own, customers=gold)), models).table
    mine = table.query("segment == 'gold'").reset_index(drop=True)
    np.testing.assert_allclose(mine["conversions"], alone["conversions"], rtol=1e-9, atol=1e-12)
    assert set(table.query("segment == 'tin'")["model"]) == {"linear"}
    (said,) = findings
    assert said.example == "tin"
    assert "rate is missing in segment_credit" in said.message
