"""Conversions scored row by row: as the nightly job scores them, each for itself, and what is refused alone."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.data.loading.events import order_values
from attribution.errors import InputError
from attribution.models.saved import Definition, Scorer, Training
from attribution.production.scoring.row_columns import example_rows, explain_answer, explain_columns
from attribution.production.scoring.rows import score_rows
from attribution.schema.experiment import JourneyOptions
from attribution.schema.tables import NO_CHANNELS
from tests.production.sql.test_sql import (
    CHANNELS,
    DIMENSIONS,
    MODELS,
    OPTIONS,
    UNKNOWN,
    conversions_of,
    mapped,
    scorer_of,
    touchpoints_of,
)
from tests.scale import examples

# ---------------------------------------------------------------------------------- as the job scores them

Touch = tuple[int, str, Any, Any, Any, Any]
"""Half-days, channel, campaign, kind, stage, creative."""

TOUCH = st.tuples(
    st.integers(0, 14),
    st.sampled_from([*CHANNELS, UNKNOWN]),
    st.sampled_from([None, "", "Zz", "Ää", "a"]),
    st.sampled_from([None, "click", "impression", "call"]),
    st.sampled_from([None, "lead", "opportunity"]),
    st.sampled_from([None, "x", "X"]),
)
JOURNEYS = st.lists(st.tuples(st.lists(TOUCH, max_size=9), st.integers(0, 16)), min_size=1, max_size=5)
EPOCH = pd.Timestamp("2024-01-01")


def moment(half_days: int) -> str:
    return (EPOCH + half_days * pd.Timedelta("12h")).isoformat()


def rows_of(journeys: list[tuple[list[Touch], int]], lists: tuple[str, ...] = DIMENSIONS) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "touched_at": [[moment(touch[0]) for touch in touches] for touches, _ in journeys],
            **{
                name: [[touch[1 + place] for touch in touches] for touches, _ in journeys]
                for place, name in enumerate(DIMENSIONS)
                if name in lists
            },
            "converted_at": [moment(end) for _, end in journeys],
            "conversion_id": [str(number) for number in range(len(journeys))],
        }
    )


def tables_of(journeys: list[tuple[list[Touch], int]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    # A log has touchpoints, be they of somebody else.
    touched = [("nobody", 0, "mail", None, None, None, None, 0.0)]
    touched += [(f"c{number}", *touch, 0.0) for number, (touches, _) in enumerate(journeys) for touch in touches]
    ended = [(f"c{number}", end, 1.0, str(number), "order", True) for number, (_, end) in enumerate(journeys)]
    return touchpoints_of(touched), conversions_of(ended)


def in_order(touches: list[Touch]) -> list[int]:
    """Touchpoints in the order of the journey: by time, then by kind, channel and the others."""
    kinds = order_values("kind", {touch[3] or "" for touch in touches})

    def key(place: int) -> tuple[Any, ...]:
        at_, channel, campaign, kind, stage, creative = touches[place]
        # A blank is none, and none comes first.
        names = ("" if name is None or not name.strip(" ") else name for name in (campaign, stage, creative))
        return (at_, kind is not None, kinds.index(kind or ""), channel, *names)

    return sorted(range(len(touches)), key=key)


def compare(scorer: Scorer, journeys: list[tuple[list[Touch], int]]) -> None:
    """Credit of each touchpoint, beside that of the table that the job writes."""
    answer = score_rows(scorer, rows_of(journeys))
    assert (answer["error"] == "").all(), answer["error"].tolist()
    assert answer["conversion_id"].tolist() == [str(number) for number in range(len(journeys))]
    touchpoints, conversions = tables_of(journeys)
    expected = scorer.score(mapped(touchpoints), conversions)
    counts = scorer.definition.journeys.transform == "frequency"
    for number, (touches, _) in enumerate(journeys):
        of_job = expected[expected["conversion_id"] == str(number)].sort_values("position")
        credit = answer["credit"][number]
        assert len(credit) == len(touches)
        baseline = answer["baseline"][number] if "baseline" in answer else 0.0
        assert sum(credit) + answer["unattributed"][number] + baseline == pytest.approx(1, abs=1e-12)
        assert baseline == pytest.approx(of_job.loc[of_job["channel"] == "(baseline)", "credit"].sum(), rel=1e-12)
        assert answer["unattributed"][number] == (of_job["channel"] == "(unattributed)").sum()
        rows = [(moment(touches[i][0]), touches[i][1], credit[i]) for i in in_order(touches) if credit[i] > 0]
        of_job = of_job[(of_job["credit"] > 0) & ~of_job["channel"].isin(NO_CHANNELS)]
        assert [(at_, channel) for at_, channel, _ in rows] == [
            (row.touched_at.isoformat(), row.channel.rsplit(" (", 1)[0] if counts else row.channel)
            for row in of_job.itertuples()
        ]
        np.testing.assert_allclose([share for *_, share in rows], of_job["credit"], rtol=1e-12)


@examples(10)
@given(st.integers(0, len(MODELS) - 1), st.integers(0, len(OPTIONS) - 1), st.sampled_from([None, "zero"]), JOURNEYS)
def test_rows_are_scored_as_the_job_scores_them(
    model: int, options: int, policy: str | None, journeys: list[tuple[list[Touch], int]]
) -> None:
    scorer = scorer_of(model, options)
    compare(scorer if policy is None else scorer.with_policy(policy), journeys)


@pytest.mark.parametrize("options", range(len(OPTIONS)))
def test_every_option_is_followed(options: int) -> None:
    rng = np.random.default_rng(options)

    def draw(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    journeys = [
        (
            [
                (
                    int(rng.integers(14)),
                    draw(*CHANNELS, UNKNOWN),
                    draw(None, "", "Zz", "a"),
                    draw(None, "click", "impression", "call"),
                    draw(None, "lead", "opportunity"),
                    draw(None, "x", "X"),
                )
                for _ in range(rng.integers(1, 12))
            ],
            int(rng.integers(6, 16)),
        )
        for _ in range(30)
    ]
    for model in (0, 8, 12):
        compare(scorer_of((model + options) % len(MODELS), options), journeys)


def test_order_within_a_row_does_not_matter() -> None:
    scorer = scorer_of(5, 0)
    touches: list[Touch] = [(day, CHANNELS[day % 4], "a", "click", None, None) for day in (3, 1, 7, 5)]
    forward, backward = rows_of([(touches, 8)]), rows_of([(touches[::-1], 8)])
    credit = score_rows(scorer, forward)["credit"][0]
    assert credit == score_rows(scorer, backward)["credit"][0][::-1]
    assert len(set(credit)) == 3  # first, last, and two between: a test that all are alike would miss


# ---------------------------------------------------------------------------------- small models to ask


def small(zone: str = "", **options: Any) -> Scorer:
    """A linear model of email and search, fitted on times with this offset."""
    touchpoints = pd.DataFrame(
        {"customer_id": [1, 1], "touched_at": [f"2024-01-01T10:00{zone}", f"2024-01-02T10:00{zone}"]}
    ).assign(channel=["email", "search"])
    conversions = pd.DataFrame({"customer_id": [1], "converted_at": [f"2024-01-03T10:00{zone}"]})
    sources = at.load_sources(touchpoints, conversions)
    journeys = at.build_journeys(sources, **options)
    definition = Definition(journeys=JourneyOptions(**options), training=Training.of(sources, journeys))
    return replace(Scorer.of(at.Linear().fit(journeys), definition=definition, name="shop"), version="0" * 16)


def one(channel: Any = ("email", "search"), touched_at: Any = None, converted_at: Any = "2024-05-03T10:00") -> Any:
    channel = list(channel) if isinstance(channel, tuple) else channel
    times = ["2024-05-01T10:00", "2024-05-02T10:00"]
    return {"channel": channel, "touched_at": times if touched_at is None else touched_at, "converted_at": converted_at}


GOOD = one()


def asked(scorer: Scorer, *rows: dict[str, Any]) -> pd.DataFrame:
    return score_rows(scorer, pd.DataFrame(list(rows)))


# ---------------------------------------------------------------------------------- bad rows fail alone


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (one(channel=("email", None)), "channel of touchpoint 2 is missing"),
        (one(channel=(float("nan"), "email")), "channel of touchpoint 1 is missing"),
        (one(channel=("email", pd.NA)), "channel of touchpoint 2 is missing"),
        (one(channel=("email", " ")), "channel of touchpoint 2 is missing"),
        (one(channel=("email", "nan")), "channel of touchpoint 2 is missing"),
        (one(channel=("email", ["x"])), r"channel of touchpoint 2 is no text: \['x'\]"),
        (one(channel=("email", True)), "channel of touchpoint 2 is no text: True"),
        (one(channel=("email", "\ud800")), "channel of touchpoint 2 is no text"),
        (one(channel=("email", "(null)")), r"channel of touchpoint 2 has a name that is reserved: '\(null\)'"),
        (one(channel="env"), r"channel must be a list, .*or \[\]; given: 'env'"),
        (one(channel=None), "channel must be a list.*given: null"),
        (one(channel={"a": 1}), "channel must be a list.*given: {'a': 1}"),
        (one(channel=("email",)), "the lists touched_at and channel have 2 and 1 values"),
        (one(touched_at="2024-05-01"), "touched_at must be a list.*given: '2024-05-01'"),
        (one(touched_at=["2024-05-01T10:00", None]), "touched_at of touchpoint 2 is missing"),
        (one(touched_at=["", "2024-05-01T10:00"]), "touched_at of touchpoint 1 is missing"),
        (one(touched_at=[pd.NaT, "2024-05-01T10:00"]), "touched_at of touchpoint 1 is missing"),
        (one(touched_at=["2024-05-01T10:00", "soon"]), "touched_at of touchpoint 2 is no time such as .*: 'soon'"),
        (one(touched_at=["2024-02-30", "2024-05-01"]), "touched_at of touchpoint 1 is no time .*: '2024-02-30'"),
        (one(touched_at=["01/02/2024", "2024-05-01"]), "touched_at of touchpoint 1 is no time"),
        (one(touched_at=[1714557600, 1714557601]), "touched_at of touchpoint 1 is no time .*: 1714557600"),
        (one(converted_at=None), "converted_at is missing"),
        (one(converted_at=""), "converted_at is missing"),
        (one(converted_at=["2024-05-03"]), "converted_at is no time"),
        (one(converted_at=3), "converted_at is no time .*: 3"),
        (one(converted_at="2024-05-03T10:00Z"), "times with an offset: the model was fitted on times without one"),
        (one(touched_at=["2024-05-01T10:00", "2024-05-01T10:00+02:00"]), "times with an offset"),
    ],
)  # fmt: skip
def test_a_bad_row_fails_alone_and_says_why(row: dict[str, Any], error: str) -> None:
    answer = asked(small(), GOOD, row, GOOD)
    assert answer["credit"].tolist() == [[0.5, 0.5], None, [0.5, 0.5]]
    assert answer["error"].tolist()[::2] == ["", ""]
    assert answer["unattributed"].tolist() == [0, 0, 0]
    assert re.match(error, answer["error"][1]), answer["error"][1]


def test_the_first_reason_is_the_one_that_is_told() -> None:
    answer = asked(small(), one(channel=("email", None), converted_at="x"))
    assert answer["error"].tolist() == ["channel of touchpoint 2 is missing"]


def test_a_missing_column_refuses_all() -> None:
    with pytest.raises(InputError, match=r"'shop' needs the column 'touched_at'\. Given: channel, converted_at\. Allo"):
        score_rows(small(), pd.DataFrame([GOOD])[["channel", "converted_at"]])
    assert list(score_rows(small(), pd.DataFrame([GOOD]).iloc[:0])) == list(explain_answer(small()))


# ---------------------------------------------------------------------------------- times of any type

PARIS = ZoneInfo("Europe/Paris")
INSTANTS = [dt.datetime(2024, 5, 1, 8, tzinfo=dt.UTC), dt.datetime(2024, 5, 2, 8, 0, 0, 1, tzinfo=dt.UTC)]
LOCAL = [instant.replace(tzinfo=None) for instant in INSTANTS]
NAIVE_TIMES = {
    "text": [at_.isoformat() for at_ in LOCAL],
    "text with a blank and a comma": ["2024-05-01 08:00:00", " 2024-05-02 08:00:00,0000019 "],
    "datetime": LOCAL,
    "Timestamp": [pd.Timestamp(at_) for at_ in LOCAL],
    "NumPy": np.array(LOCAL, dtype="datetime64[ns]"),
    "values of NumPy": list(np.array(LOCAL, dtype="datetime64[us]")),
    "mixed": ["2024-05-01T08:00", pd.Timestamp(LOCAL[1])],
    "Arrow": pa.array([LOCAL], pa.list_(pa.timestamp("us"))).to_pandas()[0],
    "Arrow in pandas": pd.Series([LOCAL], dtype=pd.ArrowDtype(pa.list_(pa.timestamp("us")))).tolist()[0],
}
ZONED_TIMES = {
    "Z": ["2024-05-01T08:00:00Z", "2024-05-02T08:00:00.000001Z"],
    "offsets": ["2024-05-01T10:00:00+02:00", "2024-05-02T03:30:00.000001-0430"],
    "datetime": INSTANTS,
    "of Paris": [instant.astimezone(PARIS) for instant in INSTANTS],
    "Timestamp": [pd.Timestamp(instant).tz_convert("America/Lima") for instant in INSTANTS],
    "mixed": ["2024-05-01T10:00+02", INSTANTS[1]],
    "Arrow in pandas": pd.Series([INSTANTS], dtype=pd.ArrowDtype(pa.list_(pa.timestamp("us", "UTC")))).tolist()[0],
}


def halving(zone: str = "") -> Scorer:
    """Credit that tells microseconds apart: it halves with every microsecond of age."""
    touchpoints = pd.DataFrame({"customer_id": [1], "touched_at": [f"2024-01-01T10:00{zone}"], "channel": ["email"]})
    conversions = pd.DataFrame({"customer_id": [1], "converted_at": [f"2024-01-03T10:00{zone}"]})
    sources = at.load_sources(touchpoints, conversions)
    journeys = at.build_journeys(sources)
    definition = Definition(training=Training.of(sources, journeys))
    return Scorer.of(at.TimeDecay(half_life_days=1).fit(journeys), definition=definition)


@pytest.mark.parametrize("kind", NAIVE_TIMES)
def test_times_without_an_offset_of_every_type(kind: str) -> None:
    of_text = asked(halving(), one(touched_at=NAIVE_TIMES["text"]))["credit"][0]
    for end in ("2024-05-03T10:00", pd.Timestamp("2024-05-03T10:00"), np.datetime64("2024-05-03T10:00")):
        answer = asked(halving(), one(touched_at=NAIVE_TIMES[kind], converted_at=end))
        assert answer["error"].tolist() == [""]
        assert answer["credit"][0] == of_text
    assert asked(halving("Z"), one(touched_at=NAIVE_TIMES[kind], converted_at="2024-05-03T10:00Z"))["error"][
        0
    ].startswith("times without an offset: the model was fitted on times with a time zone")


@pytest.mark.parametrize("kind", ZONED_TIMES)
def test_times_with_an_offset_of_every_type(kind: str) -> None:
    of_text = asked(halving(), one(touched_at=NAIVE_TIMES["text"]))["credit"][0]
    end = dt.datetime(2024, 5, 3, 12, tzinfo=PARIS)
    for converted_at in ("2024-05-03T12:00+02:00", end, pd.Timestamp(end)):
        answer = asked(halving("Z"), one(touched_at=ZONED_TIMES[kind], converted_at=converted_at))
        assert answer["error"].tolist() == [""]
        assert answer["credit"][0] == of_text
    assert asked(halving(), one(touched_at=ZONED_TIMES[kind]))["error"][0].startswith("times with an offset")


def test_days_are_midnight_and_tell_no_zone() -> None:
    days = one(touched_at=["2024-05-01", dt.date(2024, 5, 2)], converted_at="2024-05-03")
    for zone in ("", "Z"):
        answer = asked(halving(zone), days)
        assert answer["error"].tolist() == [""]
        assert answer["credit"][0] == pytest.approx([1 / 3, 2 / 3])
    mixed = one(touched_at=["2024-05-01", "2024-05-02T10:00Z"], converted_at="2024-05-03")
    assert "times without an offset" in asked(halving("Z"), mixed)["error"][0]


def test_where_training_told_no_zone_all_times_of_a_row_are_alike() -> None:
    scorer = Scorer.of(at.Linear().fit(at.build_journeys(at.load_sources(paths=pd.DataFrame(
        {"path": ["email > search"], "conversions": [1]})))))  # fmt: skip
    zoned = one(touched_at=ZONED_TIMES["Z"], converted_at="2024-05-03T10:00Z")
    answer = asked(scorer, GOOD, zoned, one(converted_at="2024-05-03T10:00Z"))
    assert answer["credit"].tolist() == [[0.5, 0.5], [0.5, 0.5], None]
    assert answer["error"][2].startswith("some times have an offset, such as Z or +02:00, and some have none")


def test_positions_are_whole_numbers() -> None:
    touchpoints = pd.DataFrame({"customer_id": [1, 1], "touched_at": [1, 2], "channel": ["email", "search"]})
    conversions = pd.DataFrame({"customer_id": [1], "converted_at": [3]})
    sources = at.load_sources(touchpoints, conversions)
    journeys = at.build_journeys(sources)
    scorer = Scorer.of(at.LastTouch().fit(journeys), definition=Definition(training=Training.of(sources, journeys)))
    answer = asked(
        scorer,
        one(touched_at=[2, 1], converted_at=3),
        one(touched_at=[4.0, "1"], converted_at="2"),
        one(touched_at=[1.5, 1], converted_at=3),
        one(converted_at=3),
    )
    assert answer["credit"].tolist() == [[1, 0], [0, 1], None, None]
    assert answer["error"][2] == "touched_at of touchpoint 1 is no whole number: 1.5"
    assert asked(scorer, *example_rows(scorer).to_dict("records"))["error"].tolist() == ["", ""]
    known = scorer.state.channels
    assert example_rows(scorer)["channel"].tolist() == [[known[0], known[-1]], [known[0]]]


# ---------------------------------------------------------------------------------- the answer


def test_unknown_and_misspelled_channels_are_told_row_by_row() -> None:
    rows = [GOOD, one(channel=("emial", "TikTok")), one(channel=("Search", "emial")), one(channel=("emial", "emial"))]
    answer = asked(small(), *rows)
    assert answer["unknown_channels"].tolist() == [[], ["emial", "TikTok"], ["Search", "emial"], ["emial"]]
    assert answer["did_you_mean"].tolist() == [[], ["email", ""], ["search", "email"], ["email"]]
    assert answer["credit"].tolist() == [[0.5, 0.5]] * 4
    zero = asked(small().with_policy("zero"), *rows, one(channel=("emial", "email")))
    assert zero["credit"].tolist() == [*[[0.5, 0.5]] * 4, [0, 1]]
    refused = asked(small().with_policy("refuse"), *rows)
    assert refused["credit"].tolist() == [[0.5, 0.5], None, None, None]
    assert (
        refused["error"][2] == "channel of touchpoint 1 is unknown to the model, which refuses such channels: 'Search'"
    )


def test_channels_that_are_counted_are_known_by_their_names() -> None:
    scorer = small(transform="frequency")
    answer = asked(scorer, GOOD, one(channel=("emial", "search")))
    assert answer["unknown_channels"].tolist() == [[], ["emial"]]
    assert answer["did_you_mean"].tolist() == [[], ["email"]]


def test_ids_come_back_and_the_index_stays() -> None:
    rows = pd.DataFrame([GOOD] * 4, index=[7, 3, 3, 9])
    assert score_rows(small(), rows)["conversion_id"].tolist() == [""] * 4
    answer = score_rows(small(), rows.assign(conversion_id=["o 1", 17, None, 4.0]))
    assert answer["conversion_id"].tolist() == ["o 1", "17", "", "4"]
    assert answer.index.tolist() == [7, 3, 3, 9]
    assert set(answer["model_version"]) == {"0" * 16}


def test_conversions_without_a_touchpoint_that_counts_are_unattributed() -> None:
    before = ["2024-05-04T10:00", "2023-05-02T10:00"]
    answer = asked(small(), one(channel=[], touched_at=[]), one(touched_at=before), GOOD)
    assert answer["credit"].tolist() == [[], [0, 0], [0.5, 0.5]]
    assert answer["unattributed"].tolist() == [1, 1, 0]


def test_answers_are_json_for_strict_readers_and_explained() -> None:
    answer = asked(small(), GOOD, one(channel=None), one(channel=("x", "y")))
    document = json.loads(json.dumps(answer.to_dict("records"), allow_nan=False))
    assert [list(row) for row in document] == [list(explain_answer(small()))] * 3
    assert [row["credit"] for row in document] == [[0.5, 0.5], None, [0.5, 0.5]]


@pytest.mark.parametrize(("model", "options"), [(3, 0), (8, 6), (9, 7), (12, 10), (15, 3)])
def test_the_example_is_scored_and_every_column_is_explained(model: int, options: int) -> None:
    scorer = scorer_of(model, options)
    rows = example_rows(scorer)
    assert score_rows(scorer, rows)["error"].tolist() == ["", ""]
    explained = explain_columns(scorer)
    needed = [name for name, text in explained.items() if not text.startswith("optional")]
    assert [*needed, "conversion_id"] == list(rows.columns)
    assert {*DIMENSIONS, "touched_at", "converted_at", "conversion_id"} == set(explained)


def test_further_lists_may_be_null_and_break_ties() -> None:
    scorer = scorer_of(0, 0)
    row = one(touched_at=["2024-05-01", "2024-05-01"], channel=("mail", "direct"))
    assert asked(scorer, row)["credit"].tolist() == [[0, 1]]  # by channel
    assert asked(scorer, {**row, "kind": ["click", "impression"]})["credit"].tolist() == [[1, 0]]  # by kind, first
    answer = asked(scorer, {**row, "kind": None}, {**row, "kind": [None, None]}, {**row, "kind": ["click"]})
    assert answer["credit"].tolist() == [[0, 1], [0, 1], None]
    assert answer["error"][2].startswith("the lists kind and channel have 1 and 2 values")


def test_the_guide_shows_what_comes_back() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "production.md").read_text(encoding="utf-8")
    request, response = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", guide, re.DOTALL)[:2])
    scorer = replace(small("Z"), version=response["predictions"][0]["model_version"])
    answer = score_rows(scorer, pd.DataFrame(request["dataframe_records"]))
    assert answer.to_dict("records") == response["predictions"]
    tables = [
        re.findall(
            r"^\| `(\w+)`", guide.split(f"| Column of {what} | Holds |\n|---|---|\n")[1].split("\n\n")[0], re.MULTILINE
        )
        for what in ("a row", "the answer")
    ]
    assert [name for name in tables[0] if name != "kind"] == list(explain_columns(scorer))
    assert [name for name in tables[1] if name != "baseline"] == list(explain_answer(scorer))
