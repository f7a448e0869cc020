"""Small functions that models are made of, by worked numbers and at their edges."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.kernels.incremental.additive_hazard import Effects, Screening
from attribution.kernels.markov.influence import Lost
from attribution.kernels.markov.step_counts import pack, unpack
from attribution.kernels.shapley.coalitions import pack_counts, unpack_counts
from attribution.kernels.statistics.sums import sum_by_key
from attribution.models import games
from attribution.models.additive_hazard import _judge, _luck
from attribution.models.breakdowns import (
    classifier_findings,
    interaction_table,
    negative_finding,
    position_table,
    sampling_finding,
)
from attribution.models.continuation import (
    check_named_channels,
    check_probabilities,
    outcomes_without_channel,
    subtract_continuation,
)
from attribution.models.games import Sampling, interaction_of_set, is_cheap, refuse_inexact, solve_paths
from attribution.models.hazard_options import check_options
from attribution.models.machinery import get_machinery
from attribution.models.model_tables import model_findings, without_interactions
from attribution.models.recoding import Move, by_channel, by_coalition, by_count, by_position, by_step
from attribution.models.reconcile import Reconciliation, _format_conversions, _target_totals, beside_baseline
from attribution.models.trial import Trial, attempt, is_left_out
from attribution.models.valuation import has_untouched, predictor

# ------------------------------------------------------------ hazards


@pytest.mark.parametrize(
    ("plain", "within", "added", "z", "is_harmless", "takes_within"),
    [
        (10.0, 9.0, 1.0, 1.0, True, False),
        (10.0, 8.0, 1.0, 2.0, True, False),  # two standard errors are not yet too much
        (10.0, 7.9, 1.0, 2.1, False, True),
        (10.0, 12.1, 1.0, 2.1, False, True),
        (-10.0, -9.0, 1.0, 1.0, True, False),
        (6.6, 6.6, 1.0, 0.0, True, False),  # 1.64 is less than a quarter of 6.6
        (6.56, 6.56, 1.0, 0.0, False, False),
        (6.5, 6.5, 1.0, 0.0, False, False),
        (10.0, 9.0, 0.0, 0.0, True, False),
        (10.0, 9.0, -1.0, 0.0, True, False),
    ],
)
def test_controlling_for_traits_is_harmless_where_it_changes_little_for_sure(
    plain: float, within: float, added: float, z: float, is_harmless: bool, takes_within: bool
) -> None:
    """Two half-lives of equal weight, around the numbers that are wanted."""

    def around(middle: float) -> np.ndarray[Any, Any]:
        return np.array([[[middle - 1], [middle + 1]]] * 2)

    effects = Effects(around(plain), around(within), around(within), np.zeros(2), np.zeros((2, 1)), around(added)[0])
    no, never = np.zeros(1), np.zeros(1, bool)
    screening = Screening(no, no, no, no, no, no, never, np.ones(1, bool))
    verdict = _judge(effects, np.array([0.5, 0.5]), screening)
    assert verdict.z.tolist() == pytest.approx([z])
    assert verdict.is_harmless.tolist() == [is_harmless]
    assert verdict.takes_within.tolist() == [takes_within]
    others = _judge(effects, np.array([0.5, 0.5]), screening._replace(follows_traits=never))
    assert others.takes_within.tolist() == [False]


def test_luck_is_drawn_where_customers_are_drawn() -> None:
    labels = np.arange(3)
    weights = np.array([[1.0, 1.0, 1.0], [1.5, 0.0, 1.5], [2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [2.0, 0.0, 1.0]])
    luck = _luck(labels, weights)
    assert np.isnan(luck[:2]).all()
    assert ((luck[2:] > 0) & (luck[2:] < 1)).all()
    assert luck[2].tolist() == luck[4].tolist() != luck[3].tolist()
    assert luck[2, 0] != luck[2, 1]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"guard_days": 0.0}, None),
        ({"guard_days": 365}, None),
        ({"guard_days": 365.1}, "guard_days"),
        ({"guard_days": -0.1}, "guard_days"),
        ({"guard_days": True}, "guard_days"),
        ({"half_lives_days": 0.01}, None),
        ({"half_lives_days": [10_000.0, 1]}, None),
        ({"half_lives_days": 0.009}, "half_lives_days"),
        ({"half_lives_days": [1.0, 10_001.0]}, "half_lives_days"),
        ({"half_lives_days": []}, "half_lives_days"),
        ({"customers": 1}, None),
        ({"customers": (1 << 40) - 1}, None),
        ({"customers": 1 << 40}, "customers"),
        ({"customers": 0}, "customers"),
        ({"customers": 2.0}, "customers"),
        ({"customers": True}, "customers"),
        ({"adjust": "none"}, None),
        ({"adjust": "never"}, "unknown adjust"),
        ({"credited": ["mail"]}, None),
        ({"credited": "mail"}, "credited must be a list of channels"),
        ({"unpaid": ("mail", 1)}, "unpaid must be a list of channels"),
        ({"screening": {"z": 1e-9}}, None),
        ({"screening": {"z": 0}}, "the threshold z"),
        ({"screening": {"z": float("inf")}}, "the threshold z"),
        ({"screening": {"a": 1}}, "unknown threshold"),
        ({"screening": 3}, "screening must be thresholds by name"),
    ],
)
def test_options_of_a_hazard_model_at_their_ends(settings: dict[str, Any], problem: str | None) -> None:
    model = at.AdditiveHazard(**settings)
    if problem is None:
        check_options(model)
    else:
        with pytest.raises(InputError, match=problem):
            check_options(model)


# ------------------------------------------------------------ games


def test_no_set_is_sampled_better_than_the_whole_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three sets are too large to be exact, and one of these has no journey."""
    sets = SimpleNamespace(
        players=4, sizes=np.array([1, 3, 3, 4]), journeys=np.array([5.0, 8.0, 0.0, 2.0]), outcomes=np.zeros((1, 4))
    )
    asked: list[tuple[int, float, float]] = []

    def sampled(own: Any, *, seed: int, stream: int, tolerance: float, enough: Any, exact_sets: bool) -> Any:
        asked.append((stream, tolerance, float(enough[0])))
        return SimpleNamespace(values=np.full((1, 2), 0.25), errors=np.full((1, 2), 0.5), pairs=3)

    monkeypatch.setattr(games, "EXACT_PLAYERS", 2)
    monkeypatch.setattr(games, "path_values", lambda sets, most: np.array([[4.0, -4.0, 0.0, 0.0]]))
    monkeypatch.setattr(games, "within", lambda sets, t: (None, np.array([t - 1, t])))
    monkeypatch.setattr(games, "sampled_values", sampled)
    solved = solve_paths(sets, Sampling("auto", 0.01, 7))  # type: ignore[arg-type]
    # A hundredth of the mean absolute credit, 8 / 4, shared by two sets and by the journeys of each.
    assert asked == [
        (1, 0.01, pytest.approx(0.02 / (8 * np.sqrt(2)))),
        (3, 0.01, pytest.approx(0.02 / (2 * np.sqrt(2)))),
    ]
    assert solved.credit.tolist() == [[6.0, -2.0, 0.5, 0.5]]
    assert solved.errors.tolist() == [[4.0, 4.0, 1.0, 1.0]]
    assert solved.pairs == 6


@pytest.mark.parametrize(
    ("method", "players", "word"),
    [("auto", 99, None), ("exact", games.EXACT_PLAYERS, None), ("exact", games.EXACT_PLAYERS + 1, "many"),
     ("exact", 63, "many"), ("exact", 64, "machine word")],
)  # fmt: skip
def test_games_too_large_to_be_exact(method: str, players: int, word: str | None) -> None:
    how = Sampling(method, 0.01, 7)  # type: ignore[arg-type]
    if word is None:
        refuse_inexact(players, how, "{} of {}")
        return
    with pytest.raises(InputError, match=f"Shapley: {players} of {players}") as refused:
        refuse_inexact(players, how, "{} of {}")
    assert ("machine word" in str(refused.value)) is (word == "machine word")


def test_games_that_are_cheap_enough_to_be_solved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(games, "CHEAP_CELLS", 16)

    def of(*sizes: int, players: int = 4) -> Any:
        return SimpleNamespace(players=players, sizes=np.array(sizes))

    assert [is_cheap("rate", of(players=players)) for players in (3, 4, 5)] == [True, True, False]
    assert [is_cheap("path_incremental", of(*sizes)) for sizes in ((3, 3), (3, 3, 0), (games.EXACT_PLAYERS + 1,))] == [
        True, False, True,
    ]  # fmt: skip


def test_pairs_share_the_conversions_of_their_sets() -> None:
    table = sum_by_key(np.array([[0b001], [0b011], [0b111]]), np.array([7.0, 4.0, 6.0]))
    assert interaction_of_set(table, 3).tolist() == [[0.0, 7.0, 3.0], [7.0, 0.0, 3.0], [3.0, 3.0, 0.0]]


def test_a_game_that_is_read_off_sets_reads_nothing_to_be_checked() -> None:
    journeys = at.build_journeys(
        at.load_sources(paths=pd.DataFrame({"path": ["a > b"], "conversions": [3], "nulls": 2}))
    )
    tables = {}
    for game in ("set", "rate"):
        machinery = get_machinery(at.Shapley(game=game))
        machinery.prepare(journeys)
        (chunk,) = journeys
        tables[game] = machinery.read_for_check(chunk).tables
    assert tables["set"] == {}
    assert tables["rate"]


# ------------------------------------------------------------ classifiers


def test_only_journeys_that_nobody_touched_and_that_did_not_convert_are_untouched() -> None:
    def of(keys: list[list[int]], nulls: list[float]) -> Any:
        return SimpleNamespace(tables={"row_nulls": sum_by_key(np.array(keys), np.array(nulls))})

    assert has_untouched(of([[0], [1]], [1.0, 5.0]))
    assert not has_untouched(of([[0], [1]], [0.0, 5.0]))
    assert not has_untouched(of([[1]], [5.0]))
    assert has_untouched(of([[0], [1]], [0.25, 0.0]))
    assert not has_untouched(SimpleNamespace(tables={}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chances", "problem"),
    [([0.0, 1.0], None), ([-1e-9, 0.5], "-1e-09"), ([0.5, 1.5], "1.5"), ([0.5], "wrong shape")],
)
def test_predictions_are_probabilities(chances: list[float], problem: str | None) -> None:
    class Told:
        classes_ = np.array([0, 1])
        n_features_in_ = 2

        def predict_proba(self, counts: Any) -> Any:
            return np.column_stack([1 - np.array(chances), chances])

    predict = predictor(Told(), 2)
    if problem is None:
        assert predict(np.zeros((2, 2), np.int64)).tolist() == chances
    else:
        with pytest.raises(InputError, match=problem):
            predict(np.zeros((2, 2), np.int64))
    with pytest.raises(InputError, match="fitted on other features or classes"):
        predictor(Told(), 3)


# ------------------------------------------------------------ chains


@pytest.mark.parametrize("continuation", [0, 1, 0.5, np.int64(1), {"a": 0.0, "b": 1}, None])
def test_probabilities_to_continue(continuation: Any) -> None:
    check_probabilities(continuation)


@pytest.mark.parametrize("continuation", [-0.01, 1.01, 2, True, "0.5", {"a": 0.5, "b": 1.5}, {"a": None}])
def test_what_is_no_probability_to_continue(continuation: Any) -> None:
    with pytest.raises(InputError, match="must be the probability of converting"):
        check_probabilities(continuation)


def test_a_journey_without_a_channel_brings_what_continuing_brings() -> None:
    channels, brought = ("a", "b"), np.array([4.0, 10.0])
    assert outcomes_without_channel(None, channels, brought) is None
    of_each = outcomes_without_channel({"b": 0.5}, channels, brought)
    assert of_each is not None
    assert of_each.tolist() == [[0.0, 0.0], [0.5, 1.25]]
    nothing = outcomes_without_channel(0.5, channels, np.zeros(2))
    assert nothing is not None
    assert nothing.tolist() == [[0.5, 0.0], [0.5, 0.0]]
    lost = Lost(lost=np.array([[[3.0, 8.0, 2.0], [1.0, 2.0, 4.0]]]), brought=np.array([[4.0, 10.0]]))
    assert subtract_continuation(None, channels, lost).tolist() == [[[3.0, 8.0], [1.0, 2.0]]]
    assert subtract_continuation({"b": 0.5}, channels, lost).tolist() == [[[3.0, 8.0], [-1.0, -3.0]]]
    check_named_channels({"a": 0.5}, channels)
    with pytest.raises(InputError, match="names the channel 'c', which no journey has"):
        check_named_channels({"a": 0.5, "c": 0.5}, channels)


def test_keys_are_written_in_terms_of_other_channels() -> None:
    move = Move(np.array([2, 0]), 4)
    assert move.old == 2
    assert by_channel(np.array([0, 1, 1]), move).tolist() == [2, 0, 0]
    assert by_coalition(np.array([[0b01], [0b10], [0b11], [0]]), move).tolist() == [[0b100], [0b001], [0b101], [0]]
    assert by_position(np.array([0, 1, 2, 3]), move).tolist() == [2, 0, 6, 4]
    assert by_position(np.zeros(0, np.int64), Move(np.zeros(0, np.int64), 0)).tolist() == []
    counts = np.array([[3, 0], [1, 2]])
    assert unpack_counts(by_count(pack_counts(counts), move), 4).tolist() == [[0, 0, 3, 0], [2, 0, 1, 0]]
    # The start and the conversion come after the channels.
    steps = np.column_stack([[7, 8, 9], pack(np.array([[2, 0], [1, 2], [0, 3]]), channels=2)])
    written = by_step(1, 1)(steps, move)
    assert written[:, 0].tolist() == [7, 8, 9]
    assert unpack(written[:, 1:], channels=4, order=1).tolist() == [[4, 2], [0, 4], [2, 5]]


# ------------------------------------------------------------ reconciling


def test_targets_are_proportions_of_what_is_not_negative() -> None:
    assert _target_totals(np.array([3.0, 1.0, -2.0]), 8.0).tolist() == [6.0, 2.0, 0.0]
    assert _target_totals(np.array([0.0, -2.0]), 8.0).tolist() == [0.0, 0.0]
    assert _target_totals(np.array([0.25, 0.25]), 8.0).tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    ("conversions", "text"), [(1234.56, "1,234.6"), (0.1, "0.1"), (0.0999, "0.1"), (0.0123, "0.012")]
)
def test_few_conversions_are_written_with_two_digits(conversions: float, text: str) -> None:
    assert _format_conversions(conversions) == text


def test_the_larger_of_a_journey_and_its_baseline_weighs_one() -> None:
    chunk = SimpleNamespace(channel=np.array([0, 1, 1]), offsets=np.array([0, 2, 3]))
    journeys, baseline = beside_baseline(chunk, np.log([4.0, 2.0]), float(np.log(3.0)))  # type: ignore[arg-type]
    assert journeys == pytest.approx([1.0, 2 / 3])
    assert baseline == pytest.approx([3 / 4, 1.0])


def impossible(published: list[float], allocated: list[float], groups: tuple[tuple[int, ...], ...]) -> Reconciliation:
    zeros = np.zeros(len(published))
    arrays = {"published": np.array(published), "allocated": np.array(allocated)}
    return Reconciliation(
        tuple("abcd"[: len(published)]), groups=groups, alone=zeros, took_part=zeros, log_weights=zeros,
        baseline_log_weight=None, **arrays,
    )  # fmt: skip


def test_totals_that_no_journeys_can_have_are_told_by_the_fewer_channels() -> None:
    (finding,) = impossible([1.0, 4.0, 5.0], [4.0, 3.0, 3.0], ((0,),)).findings("m")
    assert finding.message.startswith(
        "m credits 1.0 conversions to a, but 4.0 came from journeys that touched no other"
    )
    assert "moves 3.0 of 10.0 conversions" in finding.message
    assert finding.example == "a"
    (finding,) = impossible([1.0, 1.0, 8.0], [3.0, 3.0, 4.0], ((0, 1),)).findings("m")
    assert finding.message.startswith(
        "m credits 8.0 conversions to c, but only 4.0 came from journeys that touched any"
    )
    assert impossible([1.0], [1.0], ()).findings("m") == []


# ------------------------------------------------------------ findings and tables


def test_models_without_interactions_are_counted_one_by_one() -> None:
    lacking = at.Shapley(game="classifier")
    lacks = get_machinery(lacking).lacks_interactions
    assert lacks
    (finding,) = without_interactions([at.Linear(), lacking])
    assert (finding.check, finding.table, finding.count, finding.status) == (
        "no_interactions",
        "interactions",
        1,
        "warn",
    )
    assert lacks in finding.message
    assert model_findings([]) == []


def test_positions_are_counted_from_one_and_ordered_by_channel() -> None:
    table = sum_by_key(np.array([[0], [1], [2], [5]]), np.array([1.0, 2.0, 3.0, 4.0]))
    rows = position_table("m", ["a", "b"], table)
    assert rows[["channel", "position", "conversions"]].to_numpy().tolist() == [
        ["a", 1, 1.0], ["a", 2, 3.0], ["b", 1, 2.0], ["b", 3, 4.0],
    ]  # fmt: skip
    assert position_table("m", [], sum_by_key(np.zeros((0, 1), np.int64), np.zeros(0))).empty


def test_interactions_that_are_only_rounding_are_none() -> None:
    pairs = np.array([[0.0, 2.0, 1e-12], [2.0, 0.0, 3e-12], [1e-12, 3e-12, 0.0]])
    table = interaction_table("m", ["a", "b", "c"], pairs)
    assert table[["channel_a", "channel_b", "interaction"]].to_numpy().tolist() == [
        ["a", "b", 2.0], ["a", "c", 0.0], ["b", "c", 3e-12],
    ]  # fmt: skip
    assert interaction_table("m", ["a"], np.zeros((1, 1))).empty


def test_findings_of_sampling_and_of_less_than_nothing() -> None:
    assert sampling_finding("m", 0, np.zeros(2), np.zeros(2)) == []
    (finding,) = sampling_finding("m", 3, np.array([0.1, 0.2]), np.array([1.0, -3.0]))
    assert (finding.count, finding.status) == (3, "pass")
    assert finding.message.split("is ")[1].startswith("10")
    (finding,) = sampling_finding("m", 3, np.zeros(2), np.zeros(2))
    assert finding.message.split("is ")[1].startswith("0")
    assert negative_finding("m", ["a", "b"], np.array([0.0, 1.0])) == []
    (finding,) = negative_finding("m", ["a", "b", "c"], np.array([-1.0, -2.0, 1.0]))
    assert (finding.count, finding.example) == (2, "b")
    assert len(classifier_findings("m", [], True)) == 1
    noted, without = classifier_findings("m", ["x", "y"], False)
    assert (noted.count, noted.example, without.count, without.status) == (2, "x; y", 0, "warn")


def test_a_model_that_is_tried_is_left_out_and_no_other() -> None:
    tried, other = at.Linear(), at.FirstTouch()
    trial = Trial(tried)
    assert (trial.stands, trial.findings(), is_left_out(tried, trial)) == (True, [], False)
    with pytest.raises(InputError), attempt(other, trial):
        raise InputError("no")
    with pytest.raises(InputError), attempt(tried, None):
        raise InputError("no")
    with attempt(tried, trial):
        raise InputError("model 'linear' is lost", given=3, hint="give more, or leave the model out")
    assert (trial.stands, is_left_out(tried, trial), is_left_out(other, trial), is_left_out(tried, None)) == (
        False, True, False, False,
    )  # fmt: skip
    (finding,) = trial.findings()
    assert (finding.status, finding.count) == ("pass", 0)
    assert finding.message == "there is no answer on what channels caused, because linear is lost (3): give more"
    tried.summary_ = None  # type: ignore[assignment]
    assert trial.findings()[0].status == "warn"
