"""Ranking under sensitivity: every specification, all in the same draws, and what is refused."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

import attribution as at
from attribution.errors import InputError
from attribution.journeys import journeys_of
from attribution.journeys.refine import Policy, before_policies
from attribution.models.resampling import fit_and_resample
from attribution.pipeline.builders import make_models, open_sources, terms_of
from attribution.pipeline.pipeline import run_experiment
from attribution.production.output_tables import output_tables
from attribution.schema.experiment import Experiment, JourneyOptions, ResamplingOptions
from attribution.uncertainty.sensitivity import Grid, SensitivitySection, draw_grid
from attribution.uncertainty.sensitivity.maturity import estimate_maturity, maturity_reader
from attribution.uncertainty.sensitivity.sensitivity_declared import SENSITIVITY_TABLES
from attribution.uncertainty.sensitivity.sensitivity_options import sensitivity_options
from attribution.uncertainty.sensitivity.spread import joint_ranks, rank_swaps, roi_variance, specification_table
from tests.journeys.test_buckets import log

MODELS: list[dict[str, Any]] = [
    {"model": "LastTouch"},
    {"model": "Linear"},
    {"model": "Markov"},
    {"model": "Markov", "order": 2, "name": "markov_2"},
]
COSTS = pd.DataFrame(
    {
        "channel": ["邮件", "search", "video", "邮件", "search", "video"],
        "cost_type": ["media"] * 3 + ["labour"] * 3,
        "amount": [900.0, 1500.0, 1200.0, 300.0, 100.0, 50.0],
    }
)


def asked(tables: tuple[pd.DataFrame, pd.DataFrame], costs: pd.DataFrame | None = COSTS, **parts: Any) -> Experiment:
    sources = {"touchpoints": {"source": tables[0]}, "conversions": {"source": tables[1]}}
    sources |= {} if costs is None else {"costs": {"source": costs}}
    document = {"name": "varied", "tables": sources, "models": MODELS, "tracking": {"enabled": False}}
    options = {"draws": 50, "lookback_days": [3, 10]} | parts.pop("sensitivity", {})
    return Experiment.model_validate(document | {"journeys": {"lookback_days": 10}, "sensitivity": options} | parts)


def gridded(experiment: Experiment, engine: at.DuckDBEngine | None = None) -> Grid:
    sources = open_sources(experiment, engine)
    models, journeys = make_models(experiment), journeys_of(experiment, sources)
    at.attribute(journeys, models)
    return draw_grid(experiment, sources, journeys, models, terms_of(experiment, sources))[0]


@pytest.fixture(scope="module")
def grid() -> Grid:
    return gridded(asked(log(3_000, seed=8)))


# ---------------------------------------------------------------- one pass for several policies


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dedupe": "consecutive"},
        {"transform": "exposure", "conversions": "cumulative"},
        {"transform": "first", "conversions": "first_only", "dedupe": "unique"},
        {"max_touchpoints": 2, "view_through": "clicks_dominate"},
        {"transform": "frequency", "view_through_weight": 0.5},
        {"lookback_by_kind": {"impression": 2}, "conversions": "cumulative", "open_journeys": "drop"},
    ],
)
@pytest.mark.parametrize("direct", ["keep", "drop_if_other", "drop"])
def test_a_policy_on_built_journeys_is_the_policy_of_building_them(options: dict[str, Any], direct: str) -> None:
    touchpoints, conversions = log(400, seed=2)
    kinds = np.random.default_rng(0).choice(["click", "impression"], len(touchpoints))
    names = None if direct == "keep" else ["Search", "direct"]
    sources = at.load_sources(touchpoints.assign(kind=kinds), conversions)
    whole = JourneyOptions.model_validate({"lookback_days": 7, **options})
    bare = at.build_journeys(sources, **before_policies(whole).model_dump(exclude_unset=True))
    policy = Policy.of(bare, whole, direct, names)
    under = policy.journeys(bare)
    built = at.build_journeys(sources, lookback_days=7, **options, direct=direct, direct_channels=names)
    assert under.channels == built.channels
    for model in (at.Linear(), at.TimeDecay(), at.Markov(order=2)):
        found, wanted = (type(model)(**model.get_params()).fit(of).credit_ for of in (under, built))
        assert found.conversions.tobytes() == wanted.conversions.tobytes()
        assert found.value.tobytes() == wanted.value.tobytes()
    for what in ("conversions", "value", "nulls", "journeys", "open"):
        assert under.overview.number(what) == built.overview.number(what)


# ---------------------------------------------------------------- every specification


@pytest.mark.parametrize("customers", [300, 3_000], ids=["customers", "buckets"])
def test_every_specification_is_a_run_of_its_own_in_the_same_draws(customers: int) -> None:
    tables = log(customers, seed=8)
    found = gridded(asked(tables))
    assert found.roi.shape == (4, 2, 2, 2, 51, 3)
    for window, direct in product((0, 1), (0, 1)):
        days, policy = found.choices.lookback_days[window], found.choices.direct[direct]
        experiment = asked(tables, journeys={"lookback_days": days, "direct": policy})
        sources = open_sources(experiment)
        models = make_models(experiment)
        journeys = journeys_of(experiment, sources)
        _, resamples = fit_and_resample(models, journeys, ResamplingOptions(draws=50))
        returns = at.compute_returns(at.Credit.of(models), sources).set_index(["cost_basis", "model", "channel"])
        for model, cost_basis in product(range(4), (0, 1)):
            keys = [(found.choices.cost_bases[cost_basis], found.models[model], name) for name in found.channels]
            roi = found.roi[model, window, direct, cost_basis]
            np.testing.assert_allclose(roi[0], returns.loc[keys, "roi"], rtol=1e-9)
            spend = returns.loc[keys, "spend"].to_numpy()
            label = found.models[model]
            drawn = resamples.draws[label].channels.value[:, [journeys.channels.index(name) for name in found.channels]]
            np.testing.assert_allclose(roi[1:], (drawn - spend) / spend, rtol=1e-9)


def test_journeys_that_are_made_anew_for_every_pass_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = log(200)
    held = gridded(asked(tables))
    monkeypatch.setattr(at.DuckDBEngine, "streams", lambda self, events: True)
    streamed = gridded(asked(tables), at.DuckDBEngine(partitions=3, batch_rows=50))
    assert held.roi.tobytes() == streamed.roi.tobytes()


@pytest.mark.parametrize(
    ("journeys", "models"),
    [
        ({"transform": "frequency"}, [{"model": "Linear"}, {"model": "Markov", "order": "auto"}]),
        ({"direct": "drop", "conversions": "cumulative", "dedupe": "gap"}, [{"model": "TimeDecay"}]),
        ({}, [{"model": "Shapley", "game": "rate"}, {"model": "Linear"}]),
    ],
    ids=["split channels", "own policy", "untouched customers"],
)
def test_the_run_is_one_of_its_specifications(journeys: dict[str, Any], models: list[dict[str, Any]]) -> None:
    tables = log(200)
    listed = pd.DataFrame({"customer_id": sorted({*tables[0]["customer_id"], *tables[1]["customer_id"]})})
    everyone = pd.concat([listed, pd.DataFrame({"customer_id": [f"z{k}" for k in range(999)]})])
    experiment = asked(tables, models=models, journeys={"lookback_days": 10, **journeys})
    experiment = experiment.model_copy(
        update={"tables": {**experiment.tables, "customers": at.TableSpec(source=everyone)}}
    )
    outcome = run_experiment(experiment).tables
    own = outcome["specifications"][outcome["specifications"]["is_own"]].set_index(["model", "channel"])["roi"]
    wanted = outcome["returns"].query("cost_basis == 'media'").set_index(["model", "channel"])["roi"]
    np.testing.assert_allclose(own, wanted.loc[list(own.index)], rtol=1e-9)


def test_margins_of_conversions_are_drawn_with_their_customers() -> None:
    touchpoints, conversions = log(300, seed=4)
    share = np.random.default_rng(5).uniform(0.1, 0.9, len(conversions))
    tables = touchpoints, conversions.assign(margin=(conversions["value"] * share).round(2))
    experiment = asked(tables, returns={"basis": "margin"}, models=MODELS[1:3])
    found, outcome = gridded(experiment), run_experiment(experiment)
    window, direct, cost_basis = found.own
    returns = outcome.tables["returns"]
    returns = returns[(returns["basis"] == "margin") & (returns["cost_basis"] == "media")].set_index(
        ["model", "channel"]
    )
    for place, model in enumerate(found.models):
        wanted = returns.loc[[(model, name) for name in found.channels], "roi"]
        np.testing.assert_allclose(found.roi[place, window, direct, cost_basis, 0], wanted, rtol=1e-9)
    spread = found.roi[:, window, direct, cost_basis, 1:].std(axis=1)
    assert (spread > 0).all()
    assert ((found.margin > 0.3) & (found.margin < 0.7)).all()


def test_the_specifications_table_holds_the_grid(grid: Grid) -> None:
    table = specification_table(grid, 0.9)
    assert len(table) == 4 * 2 * 2 * 2 * 3
    row = table.iloc[77]
    at_place = tuple(int(place) for place in np.unravel_index(77, (4, 2, 2, 2, 3)))
    assert row["model"] == grid.models[at_place[0]]
    assert row["channel"] == grid.channels[at_place[4]]
    draws = grid.roi[at_place[:4]][:, at_place[4]]
    assert row["roi"] == draws[0]
    assert (row["roi_low"], row["roi_high"]) == pytest.approx(tuple(np.quantile(draws[1:], [0.05, 0.95])))
    own = table[table["is_own"]]
    assert set(own["lookback_days"]) == {10.0}
    assert set(own["direct"]) == {"keep"}
    assert set(own["cost_basis"]) == {"media"}
    assert (table.groupby([*table.columns[:1], "lookback_days", "direct", "cost_basis"])["rank"].sum() == 6).all()


def test_joint_ranks_count_every_draw_of_every_specification(grid: Grid) -> None:
    scores = grid.roi[..., 1:, :].reshape(-1, 3)
    counted = np.zeros((3, 3))
    for row in scores:
        for channel, rank in enumerate(rankdata(-row, method="ordinal")):
            counted[channel, int(rank) - 1] += 1
    table = joint_ranks(grid)
    np.testing.assert_allclose(table["probability"], (counted / len(scores)).ravel(), atol=1e-12)
    assert (table["least"] <= table["probability"] + 1e-12).all()
    assert (table["probability"] <= table["most"] + 1e-12).all()


def test_swaps_are_counted_in_the_same_draw_and_specification(grid: Grid) -> None:
    table = rank_swaps(grid).set_index(["model_a", "model_b", "channel_a", "channel_b"])
    for (a, first), (b, second) in product(enumerate(grid.models), repeat=2):
        for c, d in ((0, 1), (0, 2), (1, 2)):
            if a >= b:
                continue
            trades = [
                (x[c] - x[d]) * (y[c] - y[d]) < 0
                for x, y in zip(
                    grid.roi[a, ..., 1:, :].reshape(-1, 3), grid.roi[b, ..., 1:, :].reshape(-1, 3), strict=True
                )
            ]
            key = (first, second, grid.channels[c], grid.channels[d])
            assert (table.loc[key, "probability"] if any(trades) else 0.0) == pytest.approx(np.mean(trades))


def test_ties_trade_places_by_half() -> None:
    roi = np.array([[[1.0, 2.0]], [[2.0, 2.0]], [[2.0, 1.0]]])  # model, draw, channel
    table = rank_swaps(of_roi(np.concatenate([roi, roi], axis=1)))
    assert table["probability"].tolist() == [0.5, 1.0, 0.5]
    assert table["difference"].tolist() == [-0.5, -1.0, -0.5]


def of_roi(roi: np.ndarray, **more: Any) -> Grid:
    """A grid of one window, policy and cost basis, spend 1, from (models, draws + 1, channels) of ROI."""
    from attribution.uncertainty.sensitivity.choices import Choices

    values = roi[:, None, None, None] + 1.0
    choices = Choices((10.0,), ("keep",), ("media",), (10.0, "keep", "media"))
    names = tuple(f"渠道 {k}" for k in range(roi.shape[-1]))
    models = tuple(f"model {k}" for k in range(len(roi)))
    given = {"returned": values, "spend": np.ones_like(values), "margin": np.ones(len(names))} | more
    return Grid(models, ("allocated",) * len(models), choices, names, "revenue", **given)


def test_shares_of_variance_add_up_to_one(grid: Grid) -> None:
    table = roi_variance(grid)
    assert table.groupby("channel")["share"].sum().tolist() == pytest.approx([1.0] * 3, abs=1e-12)
    for place, name in enumerate(grid.channels):
        draws = grid.roi[..., 1:, place]
        part = table[table["channel"] == name].set_index("source")
        assert part["variance"].sum() == pytest.approx(draws.var())
        assert part.loc["model", "variance"] == pytest.approx(np.var([draws[k].mean() for k in range(4)]))
        assert part.loc["sampling", "variance"] == pytest.approx(draws.var(axis=-1).mean())


@pytest.mark.parametrize("power", [100, 160, 300, 1000])
def test_shares_of_variance_are_the_same_at_any_size(power: int) -> None:
    """Of ROI so large that its square is no number there are still shares; small and large channels go together."""
    small = np.random.default_rng(4).normal(size=(3, 20, 2))
    large = np.ldexp(small, [[[power, 0]]])
    found, written = roi_variance(of_roi(large)), roi_variance(of_roi(small))
    assert found["share"].to_numpy() == pytest.approx(written["share"].to_numpy(), rel=1e-9, abs=1e-12)
    assert found.groupby("channel")["share"].sum().tolist() == pytest.approx([1.0] * 2)
    sampling = found[(found["source"] == "sampling") & (found["channel"] == "渠道 0")]["variance"].item()
    assert np.isnan(sampling) == (power > 511)
    if power <= 511:
        assert sampling == pytest.approx(np.ldexp(small[:, 1:, 0].var(axis=-1).mean(), 2 * power), rel=1e-6)


def test_one_channel_trades_places_with_none() -> None:
    table = rank_swaps(of_roi(np.array([[[1.0], [2.0]], [[0.5], [1.5]]])))
    assert table.empty
    assert list(table.columns) == list(output_tables()["differences"].column_names)
    tables = run_experiment(asked(log(200), COSTS[COSTS["channel"] == "search"])).tables
    assert set(tables["verdicts"]["channel"]) == {"search"}


def test_what_is_worth_nothing_is_not_condemned_but_refused() -> None:
    touchpoints, conversions = log(200)
    with pytest.raises(
        InputError, match=r"every conversion has the value 0.*Hint: add a column value to the conversions table"
    ):
        run_experiment(asked((touchpoints, conversions.drop(columns="value"))))


def test_a_conversion_is_worth_what_channels_are_credited_with(grid: Grid) -> None:
    table = run_experiment(asked(log(3_000, seed=8))).tables["credit"]
    own = table[(table["model"] == "linear") & table["channel"].isin(["邮件", "search", "video", "direct"])]
    assert grid.average == pytest.approx(own["value"].sum() / own["conversions"].sum(), rel=0.05)


def test_incremental_credit_is_varied_apart() -> None:
    models = [*MODELS[:2], {"model": "Markov", "continuation": 0.05, "name": "incremental"}]
    tables = run_experiment(asked(log(200), models=models)).tables
    assert set(tables["verdicts"]["estimand"]) == {"allocated", "incremental"}
    swaps = tables["differences"].query("measure == 'order'")
    assert not set(swaps[["model_a", "model_b"]].to_numpy().ravel()) & {"incremental"}
    says = tables["verdicts"].groupby("estimand")["says"]
    assert all("allocated, not incremental" in text for text in says.get_group("allocated"))
    assert not any("allocated" in text for text in says.get_group("incremental"))
    # An effect that was told is not one that was found.
    rows = tables["verdicts"].groupby("estimand")["assumptions"]
    assert rows.get_group("allocated").isna().all()
    assert set(rows.get_group("incremental")) == {"incremental: continuation = 0.05"}
    judged = [text for text in says.get_group("incremental") if "if the model is right about" in text]
    assert all("which assumes incremental: continuation = 0.05" in text for text in judged)
    assert not any("even if" in text for text in says.get_group("incremental"))


# ---------------------------------------------------------------- maturity


def test_what_is_young_has_not_matured() -> None:
    """Half of the conversions come on the day of the touchpoint, the others two days later."""
    day = pd.Timedelta(days=1)
    old = pd.Timestamp("2024-01-01")
    people = [f"p{k}" for k in range(8)]
    touchpoints = pd.DataFrame({"customer_id": people, "touched_at": old, "channel": "old"})
    young = pd.DataFrame({"customer_id": ["q"], "touched_at": old + 60 * day, "channel": "young"})
    conversions = pd.DataFrame(
        {"customer_id": people[:4], "converted_at": [old + k * day for k in (0, 0, 2, 2)], "value": 1.0}
    )
    built = at.build_journeys(at.load_sources(pd.concat([touchpoints, young]), conversions), lookback_days=10)
    found = estimate_maturity(built.read(maturity_reader(built))[0], built)
    # Of nine at risk on day 0 two convert; the young one is seen no longer; two of six convert on day 2.
    first, second = 2 / 9, 1 - (7 / 9) * (4 / 6)
    assert found == {"old": 1.0, "young": pytest.approx(first / second)}


# ---------------------------------------------------------------- a run


def test_a_run_writes_the_tables_and_says_the_same_twice(tmp_path: Path) -> None:
    touchpoints, conversions = log(200)
    first = run_experiment(asked((touchpoints, conversions))).tables
    shuffled = touchpoints.sample(frac=1, random_state=1), conversions.sample(frac=1, random_state=2)
    second = run_experiment(asked(shuffled)).tables
    for table in SENSITIVITY_TABLES:
        assert tuple(first[table.name].columns) == table.column_names
        assert output_tables()[table.name] is table
        pd.testing.assert_frame_equal(first[table.name], second[table.name], check_exact=True)
        for column in table.columns:
            assert column.nullable or first[table.name][column.name].notna().all(), (table.name, column.name)


def test_a_channel_with_costs_and_no_touchpoint_is_not_cut() -> None:
    fair = pd.DataFrame({"channel": ["展会 🎪"], "cost_type": ["venue"], "amount": [500.0]})
    experiment = asked(log(200), pd.concat([COSTS, fair]), returns={"cost_basis": "loaded"})
    tables = run_experiment(experiment).tables
    row = tables["verdicts"].set_index("channel").loc["展会 🎪"]
    assert row["verdict"] == "unknown"
    assert "no touchpoint" in row["says"]
    # It has no media cost, so that it is in no ranking over all specifications.
    assert "展会 🎪" not in set(tables["rank_probability"]["channel"])
    assert tables["specifications"].query("channel == '展会 🎪'")["roi"].isna().sum() == 4 * 2 * 2


def test_a_run_that_does_not_ask_is_as_it_was() -> None:
    plain = run_experiment(asked(log(200)).model_copy(update={"sensitivity": None})).tables
    varied = run_experiment(asked(log(200))).tables
    assert set(varied) - set(plain) == {table.name for table in SENSITIVITY_TABLES}
    # A channel with a verdict has one task about its spend.
    tasks = {name: tables.pop("tasks") for name, tables in (("plain", plain), ("varied", varied))}
    of_verdicts = tasks["varied"]["kind"].isin(["unknown_whether_it_pays", "does_not_pay", "likely_pays"])
    of_spend = tasks["plain"]["kind"].isin(["wasted_spend", "spend_below_break_even"])
    assert of_verdicts.sum() == varied["verdicts"]["channel"].nunique()
    assert set(tasks["plain"].loc[of_spend, "slice"]) <= set(varied["verdicts"]["channel"])
    others = [
        of[~judged].drop(columns="rank").reset_index(drop=True)
        for of, judged in ((tasks["plain"], of_spend), (tasks["varied"], of_verdicts))
    ]
    pd.testing.assert_frame_equal(*others, check_dtype=False)
    for name, table in plain.items():
        pd.testing.assert_frame_equal(table, varied[name], check_exact=True)


def test_paths_are_varied_without_windows_or_policies() -> None:
    paths = pd.DataFrame(
        {
            "path": ["a > 邮件", "a", "邮件", "邮件 > a > 邮件"],
            "conversions": [30, 20, 15, 9],
            "value": [300.0, 250.0, 90.0, 80.0],
        }
    )
    costs = pd.DataFrame({"channel": ["a", "邮件"], "amount": [100.0, 200.0]})
    experiment = Experiment.model_validate(
        {
            "name": "paths",
            "tables": {"paths": {"source": paths}, "costs": {"source": costs}},
            "models": MODELS[:2],
            "sensitivity": {"draws": 50},
        }
    )
    tables = run_experiment(experiment).tables
    assert len(tables["specifications"]) == 4
    assert tables["specifications"]["is_own"].all()
    assert tables["verdicts"][["days_to_flip", "maturity"]].isna().all(axis=None)
    for place, why in (("lookback_days", "needs timestamps"), ("direct", "complete journeys")):
        options = sensitivity_options(experiment).model_copy(update={place: [7.0]})
        wrong = experiment.model_copy(update={"sensitivity": options})
        with pytest.raises(InputError, match=why):
            run_experiment(wrong)


def test_positions_have_no_windows() -> None:
    touchpoints, conversions = log(150)
    order = pd.concat([touchpoints["touched_at"], conversions["converted_at"]]).rank(method="dense").astype(int)
    tables = (
        touchpoints.assign(touched_at=order[: len(touchpoints)].to_numpy()),
        conversions.assign(converted_at=order[len(touchpoints) :].to_numpy()),
    )
    none = {"lookback_days": None}
    found = gridded(asked(tables, journeys={}, sensitivity=none))
    assert found.roi.shape == (4, 1, 2, 2, 51, 3)
    dropped = gridded(asked(tables, journeys={"direct": "drop_if_other"}, sensitivity=none))
    assert dropped.choices.direct == ("drop_if_other", "keep")
    np.testing.assert_allclose(dropped.roi[:, :, ::-1], found.roi)
    with pytest.raises(InputError, match="needs timestamps"):
        gridded(asked(tables, journeys={}))


def test_windows_longer_than_the_data_are_not_tried_unasked() -> None:
    tables = log(100)  # 60 days
    assert gridded(asked(tables, sensitivity={"lookback_days": None})).choices.lookback_days == (5.0, 10.0, 20.0)
    long = asked(tables, journeys={"lookback_days": 60}, sensitivity={"lookback_days": None})
    assert gridded(long).choices.lookback_days == (30.0, 60.0)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"costs": None}, "no channel has a cost"),
        (
            {"costs": COSTS.iloc[:3][["channel", "amount"]], "sensitivity": {"cost_bases": ["loaded"]}},
            "no cost has a type",
        ),
        ({"sensitivity": {"direct": ["drop"], "direct_channels": ["直接"]}}, "no channel is direct traffic"),
    ],
)
def test_what_cannot_be_varied_is_refused(parts: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        run_experiment(asked(log(), **parts))


def test_nothing_converted_is_refused() -> None:
    touchpoints, conversions = log()
    late = conversions.iloc[:1].assign(converted_at=pd.Timestamp("2023-01-01"))
    with pytest.raises(InputError, match="nothing converted"):
        run_experiment(asked((touchpoints, late), period={"start": "2024-01-01"}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"incremental_share": [1.0, 0.5]},
        {"incremental_share": [-0.1, 1.0]},
        {"incremental_share": [0.0, 0.0]},
        {"incremental_share": [0.5, float("inf")]},
        {"lookback_days": [7, 7]},
        {"lookback_days": []},
        {"lookback_days": [0]},
        {"direct": ["forget"]},
        {"draws": 10},
        {"level": 1.0},
        {"hurdle_roi": -1.0},
        {"elasticity": 1.0},
        {"step": 0.0},
        {"drawz": 100},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    from attribution.schema.experiment import checked
    from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions

    with pytest.raises(InputError):
        checked(SensitivityOptions, wrong, origin="sensitivity")


def test_nothing_is_varied_unless_asked() -> None:
    experiment = asked(log())
    assert SensitivitySection().is_wanted(experiment)
    assert not SensitivitySection().is_wanted(experiment.model_copy(update={"sensitivity": None}))


def test_ranks_and_differences_of_resampling_are_kept_beside_those_of_all_specifications() -> None:
    alone = run_experiment(asked(log(200))).tables
    both = run_experiment(asked(log(200), resampling={"draws": 50})).tables
    for name, column, ours in (("rank_probability", "model", "(all)"), ("differences", "measure", "order")):
        assert (alone[name][column] == ours).all()
        is_ours = both[name][column] == ours
        assert (~is_ours).any()
        pd.testing.assert_frame_equal(both[name][is_ours].reset_index(drop=True), alone[name], check_dtype=False)
