"""Rules against worked numbers, vendors' own examples, and slow twins in plain Python."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from attribution.models.credit import allocate
from attribution.models.model_tables import model_findings
from attribution.pipeline.builders import make_models
from attribution.pipeline.pipeline import run_experiment
from tests.laws import laws_of
from tests.scale import examples

END = pd.Timestamp("2024-06-30")


class Touch(NamedTuple):
    """A touchpoint, ``age`` in days before the conversion."""

    channel: str
    age: float = 0.0
    stage: str | None = None
    kind: str | None = None


def build(customers: Sequence[Sequence[Touch]], *, value: float = 1.0, column: str = "stage") -> at.Journeys:
    """One conversion per customer, on touchpoints with a kind and a stage column."""
    rows = [(f"c{place:03d}", touch) for place, touches in enumerate(customers) for touch in touches]
    touchpoints = pd.DataFrame(
        {
            "customer_id": [customer for customer, _ in rows],
            "touched_at": [END - pd.Timedelta(days=touch.age) for _, touch in rows],
            "channel": [touch.channel for _, touch in rows],
            "kind": pd.Series([touch.kind for _, touch in rows], dtype=object),
            column: pd.Series([touch.stage for _, touch in rows], dtype=object),
        }
    )
    names = [f"c{place:03d}" for place in range(len(customers))]
    conversions = pd.DataFrame({"customer_id": names, "converted_at": END, "value": value})
    mapped = at.TableSpec(source=touchpoints, columns={name: name for name in touchpoints})
    return at.build_journeys(at.load_sources(mapped, conversions), lookback_days=500)


def journey(
    channels: str, ages: Sequence[float] | None = None, *, lead: int = 0, opportunity: int = 0, value: float = 1.0
) -> at.Journeys:
    """One journey, its anchors given by place (from 1); both stages occur in another customer's log."""
    names = channels.split()
    ages = ages or range(len(names) - 1, -1, -1)
    stages = [{lead: "lead", opportunity: "opportunity"}.get(place) for place in range(1, len(names) + 1)]
    mine = [Touch(name, age, stage) for name, age, stage in zip(names, ages, stages, strict=True)]
    return build([mine, [Touch("other", 1, "lead"), Touch("other", 0, "opportunity")]], value=value)


def shares(model: at.AttributionModel, journeys: at.Journeys) -> list[float]:
    """Credit of the touchpoints of the first customer, in order."""
    table = model.fit(journeys).credit_journeys(journeys)
    return table.loc[table["customer_id"] == "c000", "credit"].tolist()


def paths(*rows: str) -> at.Journeys:
    return at.build_journeys(at.load_sources(paths=pd.DataFrame({"path": rows, "conversions": 1.0})))


# ---------------------------------------------------------------- worked numbers

FIVE = "display social display search direct"
AGES = (14, 7, 3, 1, 0)


@pytest.mark.parametrize(
    ("model", "anchors", "wanted"),
    [
        (at.Linear(), {}, [0.2] * 5),
        (at.LinearDistinct(), {}, [0.125, 0.25, 0.125, 0.25, 0.25]),
        (at.TimeDecay(), {}, [0.073557, 0.147114, 0.218611, 0.266490, 0.294228]),
        (at.PositionBased(), {}, [0.4, 0.066667, 0.066667, 0.066667, 0.4]),
        (at.PositionBased(first=0.2, last=0.6), {}, [0.2, 0.066667, 0.066667, 0.066667, 0.6]),
        (at.WShaped(), {"lead": 3}, [0.3, 0.05, 0.3, 0.05, 0.3]),
        (at.WShaped(), {"lead": 1}, [0.6, 0.033333, 0.033333, 0.033333, 0.3]),
        (at.WShaped(), {"lead": 5}, [0.3, 0.033333, 0.033333, 0.033333, 0.6]),
        (at.FullPath(), {"lead": 2, "opportunity": 4}, [0.225, 0.225, 0.1, 0.225, 0.225]),
        (at.LastNonDirect(), {}, [0, 0, 0, 1, 0]),
        (at.FirstTouch(), {}, [1, 0, 0, 0, 0]),
        (at.LastTouch(), {}, [0, 0, 0, 0, 1]),
    ],
    ids=lambda value: value.label if isinstance(value, at.AttributionModel) else "",
)
def test_worked_journey(model: at.AttributionModel, anchors: dict[str, int], wanted: list[float]) -> None:
    np.testing.assert_allclose(shares(model, journey(FIVE, AGES, **anchors)), wanted, atol=5e-7)


@pytest.mark.parametrize(
    ("model", "channels", "anchors", "wanted"),
    [
        # What is missing is left out and the rest grows: worked by hand.
        (at.WShaped(), "a", {}, [1]),
        (at.WShaped(), "a", {"lead": 1}, [1]),
        (at.WShaped(), "a b", {}, [1 / 2, 1 / 2]),
        (at.WShaped(), "a b", {"lead": 1}, [2 / 3, 1 / 3]),
        (at.WShaped(), "a b c", {"lead": 2}, [1 / 3, 1 / 3, 1 / 3]),
        (at.WShaped(), "a b c d", {}, [3 / 7, 0.5 / 7, 0.5 / 7, 3 / 7]),
        (at.FullPath(), "a", {"lead": 1}, [1]),
        (at.FullPath(), "a b", {"lead": 1, "opportunity": 2}, [1 / 2, 1 / 2]),
        (at.FullPath(), "a b c", {"opportunity": 2}, [1 / 3, 1 / 3, 1 / 3]),
        (at.FullPath(), "a b c", {}, [9 / 22, 4 / 22, 9 / 22]),
        (at.FullPath(), "a b c d", {"lead": 1, "opportunity": 4}, [0.45, 0.05, 0.05, 0.45]),
        (at.FullPath(), "a b c d", {"opportunity": 2}, [9 / 31, 9 / 31, 4 / 31, 9 / 31]),
    ],
)
def test_missing_and_coinciding_anchors(
    model: at.AttributionModel, channels: str, anchors: dict[str, int], wanted: list[float]
) -> None:
    np.testing.assert_allclose(shares(model, journey(channels, **anchors)), wanted, rtol=1e-12)


def test_the_first_touchpoint_marked_is_the_anchor() -> None:
    mine = [Touch("a", 3), Touch("b", 2, "lead"), Touch("c", 1, "lead"), Touch("d", 0, "lead")]
    np.testing.assert_allclose(shares(at.WShaped(), build([mine])), [0.3, 0.3, 0.1, 0.3], rtol=1e-12)


def test_stages_have_any_names_and_any_column() -> None:
    mine = [Touch("搜索", 2), Touch("邮件", 1, "线索 🎯"), Touch("直接", 0)]
    model = at.WShaped(lead="线索 🎯", column="阶段")
    np.testing.assert_allclose(shares(model, build([mine], column="阶段")), [1 / 3] * 3, rtol=1e-12)
    kinds = [Touch("a", 3), Touch("b", 2, kind="form"), Touch("c", 1), Touch("d", 0)]
    model = at.WShaped(lead="form", column="kind")
    np.testing.assert_allclose(shares(model, build([kinds])), [0.3, 0.3, 0.1, 0.3], rtol=1e-12)


def test_a_stage_may_be_a_channel_even_of_aggregated_paths() -> None:
    credit = at.WShaped(lead="form", column="channel").fit(paths("a > form > c > d")).credit_
    np.testing.assert_allclose(credit.conversions, [0.3, 0.1, 0.3, 0.3, 0], rtol=1e-12)


# ---------------------------------------------------------------- vendors' examples


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (at.Linear(), [12.50, 12.50, 12.50, 12.50]),
        (at.FirstTouch(), [50, 0, 0, 0]),
        (at.LastTouch(), [0, 0, 0, 50]),
        (at.PositionBased(), [20, 5, 5, 20]),
        # Adobe lists the touchpoint nearest to the conversion first: J 30/10/5/5 is 30 for the last one.
        (at.PositionBased(first=0.2, last=0.6), [10, 5, 5, 30]),
        (at.PositionBased(first=0.6, last=0.2), [30, 5, 5, 10]),
        # The ages that give 16.88, 16.88, 9.32, 6.92 are 0, 0, 6 and 9 days.
        (at.TimeDecay(), [6.92, 9.32, 16.88, 16.88]),
    ],
    ids=["linear", "first", "last", "U", "J", "inverse J", "time decay"],
)
def test_adobes_fifty_dollars(model: at.AttributionModel, wanted: list[float]) -> None:
    journeys = journey("search social email display", (9, 6, 0.001, 0), value=50.0)
    table = model.fit(journeys).credit_journeys(journeys)
    np.testing.assert_allclose(table.loc[table["customer_id"] == "c000", "credited_value"], wanted, atol=0.005)


@pytest.mark.parametrize(
    ("model", "channels", "anchors", "wanted"),
    [
        # Conversion: the opportunity. First touch, lead, two in between, opportunity.
        (at.WShaped(), "ads linkedin search webinar web", {"lead": 2}, [30, 30, 5, 5, 30]),
        (at.WShaped(), "ads linkedin search web", {"lead": 2}, [30, 30, 10, 30]),
        # Conversion: the deal. First touch, lead, opportunity, close, one in between.
        (
            at.FullPath(),
            "ads linkedin web event call",
            {"lead": 2, "opportunity": 3},
            [22.5, 22.5, 22.5, 10, 22.5],
        ),
        # Conversion: the lead.
        (at.PositionBased(first=0.5, last=0.5), "ads search linkedin", {}, [50, 0, 50]),
    ],
    ids=["W", "W with one between", "full path", "U"],
)
def test_marketos_models(model: at.AttributionModel, channels: str, anchors: dict[str, int], wanted: list[int]) -> None:
    np.testing.assert_allclose(np.multiply(shares(model, journey(channels, **anchors)), 100), wanted, rtol=1e-12)


# ---------------------------------------------------------------- twins


def twin_anchored(journey: list[Touch], stages: Sequence[str], share: float) -> list[float]:
    anchors = [0, len(journey) - 1]
    for stage in stages:
        anchors += [i for i, touch in enumerate(journey) if touch.stage == stage][:1]
    others = [i for i in range(len(journey)) if i not in anchors]
    return [anchors.count(i) * share + (0.1 / len(others) if i in others else 0) for i in range(len(journey))]


def twin_position(journey: list[Touch], first: float, last: float) -> list[float]:
    if len(journey) == 1:
        return [1.0]
    between = len(journey) - 2
    return [first, *[(1 - first - last) / between] * between, last] if between else [first, last]


def twin_last_non_direct(journey: list[Touch]) -> list[float]:
    places = [i for i, touch in enumerate(journey) if touch.channel != "direct"] or [len(journey) - 1]
    return [float(i == places[-1]) for i in range(len(journey))]


def twin_distinct(journey: list[Touch]) -> list[float]:
    channels = [touch.channel for touch in journey]
    return [1 / (len(set(channels)) * channels.count(channel)) for channel in channels]


def clicks_and_leads(
    *, position: Any, length: Any, age_days: Any, kind: Any, stage: Any
) -> np.ndarray[Any, np.dtype[np.float64]]:
    fresh = np.where(age_days <= 1, 2.0, 1.0)
    return fresh * (kind == "click") * np.where(stage == "lead", 3.0, 1.0) * position / length


def twin_clicks_and_leads(journey: list[Touch]) -> list[float]:
    return [
        (2.0 if touch.age <= 1 else 1.0)
        * (touch.kind == "click")
        * (3.0 if touch.stage == "lead" else 1.0)
        * (i + 1)
        / len(journey)
        for i, touch in enumerate(journey)
    ]


TWINS: list[tuple[at.AttributionModel, Callable[[list[Touch]], list[float]]]] = [
    (at.FirstTouch(), lambda journey: [float(i == 0) for i in range(len(journey))]),
    (at.LastTouch(), lambda journey: [float(i == len(journey) - 1) for i in range(len(journey))]),
    (at.LastNonDirect(), twin_last_non_direct),
    (at.Linear(), lambda journey: [1.0] * len(journey)),
    (at.LinearDistinct(), twin_distinct),
    (at.TimeDecay(half_life_days=2), lambda journey: [0.5 ** (touch.age / 2) for touch in journey]),
    (at.PositionBased(), lambda journey: twin_position(journey, 0.4, 0.4)),
    (at.PositionBased(first=0.2, last=0.6), lambda journey: twin_position(journey, 0.2, 0.6)),
    (at.PositionBased(first=0, last=1), lambda journey: twin_position(journey, 0, 1)),
    (at.WShaped(), lambda journey: twin_anchored(journey, ["lead"], 0.3)),
    (at.FullPath(), lambda journey: twin_anchored(journey, ["lead", "opportunity"], 0.225)),
    (
        at.CustomWeights(weights=[0.5, 0.3, 0.2]),
        lambda journey: [[0.5, 0.3, 0.2][min(i, 2)] for i in range(len(journey))],
    ),
    (at.CustomWeights(weights=[0, 1, 0]), lambda journey: [float(i == 1) for i in range(len(journey))]),
    (at.CustomWeights(function=clicks_and_leads), twin_clicks_and_leads),
]

TOUCHES = st.builds(
    Touch,
    channel=st.sampled_from(("direct", "display", "search", "social")),
    age=st.sampled_from((0, 0.5, 1, 1, 7, 30, 400)),
    stage=st.sampled_from((None, None, "lead", "opportunity", "customer")),
    kind=st.sampled_from((None, "click", "impression", "email")),
)


def laid_out(journeys: at.Journeys) -> list[list[Touch]]:
    """Every journey in the order of its touchpoints, which is another test's business."""
    found = []
    for chunk in journeys:
        kinds, stages = (journeys.dimensions.decode(chunk.code, name) for name in ("kind", "stage"))
        for start, stop, ended_at in zip(chunk.start, chunk.stop, chunk.ended_at, strict=True):
            found.append(
                [
                    Touch(
                        journeys.channels[chunk.channel[i]],
                        (ended_at - chunk.touched_at[i]) / 86_400_000_000,
                        stages[i],
                        kinds[i],
                    )
                    for i in range(start, stop)
                ]
            )
    return found


@examples(7)
@given(customers=st.lists(st.lists(TOUCHES, min_size=1, max_size=9), max_size=4))
def test_rules_equal_their_twins(customers: list[list[Touch]]) -> None:
    """Per touchpoint and per channel: repeated channels, ties, any length."""
    journeys = build([*customers, [Touch("direct", 1, "lead"), Touch("direct", 0, "opportunity")]])
    exact = laid_out(journeys)
    for model, twin in TWINS:
        model = type(model)(**model.get_params())
        wanted = []
        for touches in exact:
            weights = twin(touches)
            total = sum(weights)
            wanted += [weight / total if total else 1 / len(weights) for weight in weights]
        credit = model.fit(journeys).credit_
        found = np.concatenate([allocate(model, chunk)[1] for chunk in journeys])
        np.testing.assert_allclose(found, wanted, rtol=1e-11, err_msg=model.label)
        channels = [touch.channel for touches in exact for touch in touches]
        by_channel = [sum(w for w, c in zip(wanted, channels, strict=True) if c == name) for name in journeys.channels]
        np.testing.assert_allclose(credit.conversions, [*by_channel, 0], rtol=1e-11, err_msg=model.label)


# ---------------------------------------------------------------- stages: what is found, what is refused


def test_missing_anchors_are_counted() -> None:
    journeys = build(
        [
            [Touch("a", 1, "lead"), Touch("b", 0, "opportunity")],
            [Touch("a", 1, "lead"), Touch("b", 0)],
            [Touch("a", 1), Touch("b", 0, "customer")],
            [Touch("b", 0)],
            [Touch("b", 1, "opportunity")],
            [],  # a conversion without touchpoints lacks no anchor: no rule divides it
        ]
    )
    rows = [(row.check, row.count, row.total, row.status) for row in model_findings([at.WShaped().fit(journeys)])]
    assert rows == [("missing_anchor", 3, 5, "warn")]
    rows = [(row.check, row.count, row.total, row.status) for row in model_findings([at.FullPath().fit(journeys)])]
    assert rows == [
        ("missing_anchor", 3, 5, "warn"),
        ("missing_anchor", 3, 5, "warn"),
        ("missing_anchors", 2, 5, "warn"),
    ]
    messages = [row.message for row in model_findings([at.FullPath(name="Z").fit(journeys)])]
    assert "without the stage 'lead'; Z" in messages[0]
    assert "without the stage 'opportunity'; Z" in messages[1]
    assert "divides them by position alone" in messages[2]


def test_no_missing_anchor_passes() -> None:
    journeys = build([[Touch("a", 1, "lead"), Touch("b", 0, "opportunity")]])
    assert {row.status for row in model_findings([at.FullPath().fit(journeys)])} == {"pass"}


def test_missing_anchors_add_up_over_parts() -> None:
    one, two = build([[Touch("a", 1, "lead"), Touch("b", 0)]]), build([[Touch("a", 1), Touch("b", 0, "lead")]] * 2)
    model = at.WShaped().fit(one).partial_fit(two)
    assert [(row.count, row.total) for row in model_findings([model])] == [(0, 3)]


@pytest.mark.parametrize("model", [at.WShaped(), at.FullPath(), at.WShaped(column="phase")])
@pytest.mark.parametrize("with_touchpoints", [True, False])
def test_a_log_without_stages_is_refused(model: at.AttributionModel, with_touchpoints: bool) -> None:
    touchpoints = pd.DataFrame({"customer_id": ["c"], "touched_at": [END], "channel": ["a"]})
    conversions = pd.DataFrame({"customer_id": ["c"], "converted_at": [END]})
    journeys = at.build_journeys(at.load_sources(touchpoints if with_touchpoints else None, conversions))
    with pytest.raises(
        InputError, match=rf"column '{model.column}' of touchpoints, which marks stages.*Hint: add the column"
    ):
        model.fit(journeys)


@pytest.mark.parametrize("model", [at.WShaped(), at.FullPath()])
def test_aggregated_paths_have_no_stages(model: at.AttributionModel) -> None:
    with pytest.raises(
        InputError, match=r"column 'stage' of touchpoints, which marks stages.*Given: columns channel\."
    ):
        at.attribute(paths("a > b"), [at.Linear(), model])


def test_a_stage_that_nothing_is_marked_with_is_refused() -> None:
    journeys = build([[Touch("a", 1, "lead"), Touch("b", 0)]])
    with pytest.raises(InputError, match=r"no touchpoint has the value 'opportunity'.*Allowed: lead\."):
        at.FullPath().fit(journeys)
    with pytest.raises(InputError, match=r"has the value 'leads'.*did you mean 'lead'"):
        at.WShaped(lead="leads").fit(journeys)
    with pytest.raises(InputError, match="the column is empty"):
        at.WShaped(lead="form", column="kind").fit(build([[Touch("a", 1, "lead")]]))


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (at.WShaped(lead=3), "WShaped: lead must be a text that is not empty. Given: 3"),
        (at.WShaped(lead=""), "WShaped: lead must be a text that is not empty. Given: ''"),
        (at.WShaped(column=None), "WShaped: column must be a text that is not empty. Given: None"),
        (at.FullPath(opportunity=["won"]), "FullPath: opportunity must be a text"),
        (at.FullPath(lead="won", opportunity="won"), "two stages have the same name. Given: won, won"),
        (at.TimeDecay(half_life_days=0), "half_life_days must be positive"),
        (at.TimeDecay(half_life_days=-7), "half_life_days must be positive"),
        (at.PositionBased(first=-0.1), "first must be a share"),
        (at.CustomWeights(), "needs either weights or a function. Given: neither"),
        (at.CustomWeights(weights=[1], function=max), "needs either weights or a function. Given: both"),
        (at.CustomWeights(weights=[1], column=3), "column must be the name of a column. Given: 3"),
        (at.CustomWeights(weights=[]), r"weights must be a list with one weight.*Given: \[\]"),
        (at.CustomWeights(weights=0.5), "weights must be a list with one weight.*Given: 0.5"),
        (at.CustomWeights(weights="0.5"), "weights must be a list with one weight.*Given: '0.5'"),
        (at.CustomWeights(weights=[0.5, -0.1]), r"a weight must be a number ≥ 0. Given: -0.1 in \[0.5, -0.1\]"),
        (at.CustomWeights(weights=[0.5, float("nan")]), "a weight must be a number ≥ 0. Given: nan"),
        (at.CustomWeights(weights=[0.5, float("inf")]), "a weight must be a number ≥ 0. Given: inf"),
        (at.CustomWeights(weights=[0.5, "0.1"]), "a weight must be a number ≥ 0. Given: '0.1'"),
        (at.CustomWeights(weights=[0.5, True]), "a weight must be a number ≥ 0. Given: True"),
        (at.CustomWeights(weights=[0, 0.0]), "all weights are 0"),
        (at.CustomWeights(function=7), "function cannot be called. Given: 7"),
        (
            at.CustomWeights(function="json"),
            "function does not name a function. Given: 'json'. Allowed: a function, or its name",
        ),
        (at.CustomWeights(function=":dumps"), "function does not name a function"),
        (at.CustomWeights(function="json:"), "function does not name a function"),
        (at.CustomWeights(function="no_such_module:weigh"), "'no_such_module:weigh' cannot be loaded: ModuleNotFound"),
        (at.CustomWeights(function="json:no_such"), "'json:no_such' cannot be loaded: AttributeError"),
        (at.CustomWeights(function="json:__name__"), "function cannot be called. Given: 'json:__name__': 'json'"),
    ],
    ids=repr,
)
def test_impossible_settings_are_refused(model: at.AttributionModel, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        model.fit(build([[Touch("a", 1, "lead"), Touch("b", 0, "opportunity")]]))


# ---------------------------------------------------------------- own weights


@pytest.mark.parametrize(
    ("weights", "length", "wanted"),
    [
        ([0.5, 0.3, 0.2], 1, [1]),
        ([0.5, 0.3, 0.2], 2, [5 / 8, 3 / 8]),
        ([0.5, 0.3, 0.2], 3, [0.5, 0.3, 0.2]),
        ([0.5, 0.3, 0.2], 5, [5 / 14, 3 / 14, 2 / 14, 2 / 14, 2 / 14]),
        ((1, 0), 4, [1, 0, 0, 0]),
        ([7], 4, [1 / 4] * 4),
        ([1e-300, 3e-300], 2, [1 / 4, 3 / 4]),
        ([1e300, 3e300], 2, [1 / 4, 3 / 4]),
    ],
)
def test_weights_by_place(weights: Sequence[float], length: int, wanted: list[float]) -> None:
    found = shares(at.CustomWeights(weights=weights), journey(" ".join("abcde"[:length])))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_journey_of_zeros_is_shared_and_counted() -> None:
    journeys = build([[Touch("a", 1), Touch("b", 0)], [Touch("a", 2), Touch("b", 1), Touch("c", 0)]])
    model = at.CustomWeights(weights=[0, 0, 1]).fit(journeys)
    assert model.credit_.conversions.tolist() == [0.5, 0.5, 1, 0]
    assert [(row.check, row.count) for row in model_findings([model])] == [("zero_weights", 1)]


def test_a_function_is_told_all_there_is_in_one_call() -> None:
    calls: list[dict[str, Any]] = []

    def weigh(**known: Any) -> list[int]:
        calls.append(known)
        return [1] * len(known["position"])

    journeys = build([[Touch("a", 3, "lead", "click"), Touch("b", 0.5)], [Touch("a", 1, None, "impression")]])
    at.CustomWeights(function=weigh).fit(journeys)
    (known,) = calls
    assert list(known) == ["position", "length", "age_days", "kind", "stage"]
    assert set(zip(*known.values(), strict=True)) == {
        (1, 2, 3.0, "click", "lead"),
        (2, 2, 0.5, None, None),
        (1, 1, 1.0, "impression", None),
    }
    assert [array.dtype for array in known.values()] == ["int64", "int64", "float64", "object", "object"]


def test_a_function_is_told_of_the_column_asked_for() -> None:
    def leads(*, stage: Any, **_: Any) -> Any:
        return stage == "lead"

    journeys = build([[Touch("a", 3), Touch("b", 1, "lead")]], column="phase")
    assert at.CustomWeights(function=leads, column="phase").fit(journeys).credit_.conversions.tolist() == [0, 1, 0]


@pytest.mark.parametrize("with_order", [True, False], ids=["positions", "paths"])
def test_what_journeys_do_not_know_is_none(with_order: bool) -> None:
    journeys = paths("a > b")
    if with_order:
        touchpoints = pd.DataFrame({"customer_id": "c", "touched_at": [1, 2], "channel": ["a", "b"]})
        conversions = pd.DataFrame({"customer_id": ["c"], "converted_at": [3]})
        journeys = at.build_journeys(at.load_sources(touchpoints, conversions))

    def weigh(*, position: Any, length: Any, age_days: Any, kind: Any, stage: Any) -> Any:
        assert (age_days, kind, stage) == (None, None, None)
        return position / length

    credit = at.CustomWeights(function=weigh).fit(journeys).credit_
    np.testing.assert_allclose(credit.conversions, [1 / 3, 2 / 3, 0], rtol=1e-12)


def _raises(**_: Any) -> None:
    raise KeyError("oops")


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda **_: [1.0], r"one weight ≥ 0 per touchpoint. Given: list of shape \(1,\) for 3 touchpoints"),
        (lambda **_: 1.0, r"Given: float of shape \(\) for 3.*Allowed: an array of shape \(3,\).*Hint: .*np.where"),
        (lambda **_: None, "Given: NoneType of shape"),
        (lambda *, position, **_: position[:, None], r"Given: ndarray of shape \(3, 1\)"),
        (lambda *, position, **_: [[1], [1, 2], 3], "one weight ≥ 0 per touchpoint. Given: .*inhomogeneous"),
        (lambda *, position, **_: np.where(position == 2, np.nan, 1.0), "Given: nan for 1 of 3 touchpoints"),
        (lambda *, position, **_: np.where(position == 2, np.inf, 1.0), "Given: inf for 1 of 3 touchpoints"),
        (lambda *, position, **_: 1.0 - position, "Given: -1.0 for 2 of 3 touchpoints. Allowed: finite numbers ≥ 0"),
        (lambda *, position, **_: position.astype(str), "Given: an array of <U21. Allowed: numbers"),
        (lambda *, position, **_: position * 1j, "Given: an array of complex128"),
        (lambda *, kind, **_: kind, "Given: an array of object"),
        (lambda position: position, "failed: TypeError: .*Hint: it is called with the keywords position, length"),
        (_raises, "function _raises failed: KeyError: 'oops'"),
        ("builtins:len", "function 'builtins:len' failed: TypeError"),
    ],
)
def test_what_a_function_may_not_return(function: Any, problem: str) -> None:
    journeys = build([[Touch("a", 2), Touch("b", 1), Touch("c", 0)]])
    with pytest.raises(InputError, match=problem):
        at.CustomWeights(function=function).fit(journeys)


def test_labels_are_the_same_in_every_run() -> None:
    model = at.CustomWeights(function=clicks_and_leads)
    assert model.label == "custom_weights_clicks_and_leads"
    assert repr(model) == "CustomWeights(function=clicks_and_leads)"
    assert at.CustomWeights(function=clicks_and_leads, name="mine").label == "mine"
    assert at.CustomWeights(function="own_rules:weigh").label == "custom_weights_own_rules:weigh"
    assert at.CustomWeights(weights=[0.5, 0.3, 0.2]).label == "custom_weights_0.5-0.3-0.2"
    assert repr(at.CustomWeights(weights=[0.5, 1])) == "CustomWeights(weights=(0.5, 1))"
    assert at.LinearDistinct().label == "linear_distinct"
    assert at.FullPath(lead="mql").label == "full_path_mql"


# ---------------------------------------------------------------- laws


def young_and_late(*, position: Any, age_days: Any, **_: Any) -> Any:
    return position / (1 + age_days)


NEW = [
    at.LinearDistinct(),
    at.WShaped(),
    at.FullPath(),
    at.CustomWeights(weights=[0.5, 0.3, 0.2]),
    at.CustomWeights(weights=[0, 0, 1]),
    at.CustomWeights(function=young_and_late),
]


@pytest.mark.parametrize("check", laws_of(NEW))
def test_law(check: Callable[[], None]) -> None:
    check()


# ---------------------------------------------------------------- experiment files

EXPERIMENT = """
[tables.touchpoints]
source = "touchpoints.csv"
columns = { customer_id = "customer_id", touched_at = "touched_at", channel = "channel", stage = "phase" }

[tables.conversions]
source = "conversions.csv"

[[models]]
model = "LinearDistinct"

[[models]]
model = "WShaped"
lead = "mql"

[[models]]
model = "FullPath"
lead = "mql"
opportunity = "sql"

[[models]]
model = "CustomWeights"
weights = [0.5, 0.3, 0.2]

[[models]]
model = "CustomWeights"
name = "late"
function = "own_rules_of_a_test:late"
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> at.Experiment:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_rules_of_a_test.py").write_text("def late(*, position, **_):\n    return position\n")
    (tmp_path / "touchpoints.csv").write_text(
        "customer_id,touched_at,channel,phase\n"
        "a,2024-01-01,search,\na,2024-01-02,social,mql\na,2024-01-03,search,\na,2024-01-04,mail,sql\n"
        "b,2024-01-01,mail,\n"
    )
    (tmp_path / "conversions.csv").write_text("customer_id,converted_at,value\na,2024-01-05,10\nb,2024-01-05,20\n")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    yield at.read_experiment(tmp_path / "experiment.toml")
    sys.modules.pop("own_rules_of_a_test", None)


def test_an_experiment_file_names_every_rule(experiment: at.Experiment) -> None:
    models = make_models(experiment)
    assert [repr(model) for model in models] == [
        "LinearDistinct()",
        "WShaped(lead='mql')",
        "FullPath(lead='mql', opportunity='sql')",
        "CustomWeights(weights=(0.5, 0.3, 0.2))",
        "CustomWeights(function='own_rules_of_a_test:late', name='late')",
    ]
    outcome = run_experiment(experiment)
    credit = outcome.tables["credit"].pivot(index="model", columns="channel", values="conversions")
    wanted = {
        # mail, search, social; the journey of customer b is mail alone
        models[0].label: [1 + 1 / 3, 1 / 3, 1 / 3],
        models[1].label: [1.3, 0.4, 0.3],
        models[2].label: [1.45, 0.225 + 0.1, 0.225],
        models[3].label: [1 + 2 / 12, 7 / 12, 3 / 12],
        "late": [1.4, 0.4, 0.2],
    }
    for label, row in wanted.items():
        np.testing.assert_allclose(credit.loc[label, ["mail", "search", "social"]], row, rtol=1e-12, err_msg=label)
    quality = outcome.tables["quality"]
    missing = quality[quality["check"].str.startswith("missing_anchor")]
    assert missing["count"].tolist() == [1, 1, 1, 1]
    assert missing["total"].tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ('model = "WShaped"\nleed = "mql"', "has no setting 'leed'.*did you mean 'lead'"),
        ('model = "CustomWeights"', "needs either weights or a function"),
        ('model = "CustomWeights"\nweights = [1, -1]', "a weight must be a number ≥ 0"),
        ('model = "CustomWeights"\nfunction = "own_rules_of_a_test:early"', "cannot be loaded: AttributeError"),
    ],
)
def test_wrong_settings_in_a_file_are_refused(experiment: at.Experiment, setting: str, problem: str) -> None:
    path = experiment.folder / "wrong.toml"
    path.write_text(EXPERIMENT.split("[[models]]")[0] + "[[models]]\n" + setting)
    with pytest.raises(InputError, match=problem):
        make_models(at.read_experiment(path))
