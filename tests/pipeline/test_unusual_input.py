"""Input that must simply work, however unusual. Credit is counted by hand."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import sys
from collections import defaultdict
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.cli import main as cli
from attribution.data.engine import Events
from attribution.errors import InputError
from attribution.pipeline.builders import make_engine
from attribution.schema.experiment import Experiment, Period
from tests.scale import examples

EVERY_MODEL = [
    {"model": name}
    for name in (
        "FirstTouch",
        "LastTouch",
        "LastNonDirect",
        "Linear",
        "PositionBased",
        "TimeDecay",
        "Markov",
        "Shapley",
    )
]
WITHOUT_TIME = [model for model in EVERY_MODEL if model["model"] != "TimeDecay"]
UNATTRIBUTED = "(unattributed)"
MIDNIGHT = np.datetime64("2024-01-01", "us")


def touches(**columns: Any) -> pd.DataFrame:
    base: dict[str, Any] = {
        "customer_id": ["a", "a"], "touched_at": ["2024-01-01", "2024-01-02"], "channel": ["mail", "search"],
    }  # fmt: skip
    return pd.DataFrame({**base, **columns})


def orders(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-03"], "value": [10.0], **columns})


def outcome(models: list[dict[str, Any]] = EVERY_MODEL, /, **tables: Any) -> at.Outcome:
    """The whole line, in memory; what every allocated model must obey is asserted on the way."""
    options = tables.pop("options", {})
    made = at.run_experiment(
        Experiment.model_validate(
            {"name": "unusual", "tables": {k: {"source": v} for k, v in tables.items()}, "models": models, **options}
        )
    )
    credit = made.tables["credit"]
    sums = credit.groupby("model")[["conversions", "value"]].sum()
    assert np.isfinite(sums.to_numpy()).all()
    assert np.allclose(sums, sums.iloc[0], rtol=1e-9, atol=1e-300)
    assert not credit.duplicated(["model", "channel"]).any()
    money = made.tables["returns"][["spend", "conversions", "value", "roas", "roi", "cpa"]].to_numpy(float)
    assert not np.isinf(money).any()
    return made


def shares(made: at.Outcome, model: str = "linear") -> dict[str, float]:
    rows = made.tables["credit"].query("model == @model")
    return dict(zip(rows["channel"], rows["conversions"], strict=True))


def lone(channels: list[str], **options: Any) -> dict[str, float]:
    """Equal shares of one conversion of one customer, a touchpoint a day."""
    at_ = MIDNIGHT + np.arange(len(channels)) * np.timedelta64(1, "D")
    frame = pd.DataFrame({"customer_id": "a", "touched_at": at_, "channel": channels})
    return shares(outcome(touchpoints=frame, conversions=orders(converted_at=[at_[-1]]), **options))


# ------------------------------------------------------------------- aggregated paths


def test_fractional_conversions_are_summed_exactly() -> None:
    """Ten tenths are one, whatever the order; 1e16 and two ones are not lost."""
    assert sum([0.1] * 10) != 1.0
    assert shares(outcome(WITHOUT_TIME, paths=pd.DataFrame({"path": ["a"] * 10, "conversions": 0.1})))["a"] == 1.0
    for order in ([1e16, 1.0, 1.0], [1.0, 1e16, 1.0], [1.0, 1.0, 1e16]):
        made = outcome(WITHOUT_TIME, paths=pd.DataFrame({"path": ["a"] * 3, "conversions": order}))
        assert shares(made)["a"] == 1e16 + 2


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "a > b", "b > a > b"]), st.just(0.0) | st.floats(1e-300, 1e6)),
        min_size=1,
        max_size=8,
    )
)
def test_fractional_paths_against_exact_fractions(rows: list[tuple[str, float]]) -> None:
    """Equal shares in rational numbers; one rounding per step is all that may be lost."""
    exact: dict[str, Fraction] = defaultdict(Fraction)
    for path, n in rows:
        steps = path.split(" > ")
        for step in steps:
            exact[step] += Fraction(n) / len(steps)
    table = pd.DataFrame(rows, columns=["path", "conversions"])
    made = at.attribute(at.build_journeys(at.load_sources(paths=table)), [at.Linear()]).table
    for channel, n in zip(made["channel"], made["conversions"], strict=True):
        assert math.isclose(n, float(exact[channel]), rel_tol=1e-13)


def test_six_conversions_among_nine_million() -> None:
    """Removal effects by hand: conversion needs c to lead on to a, and b or a to convert."""
    paths = pd.DataFrame(
        {"path": ["a > b", "b", "c > a"], "conversions": [3, 2, 1], "nulls": [4_000_000, 3_000_000, 2_000_000]}
    )
    made = outcome(WITHOUT_TIME, paths=paths)
    assert shares(made) == {"a": 2.0, "b": 3.5, "c": 0.5, UNATTRIBUTED: 0.0}
    assert sum(shares(made, "markov").values()) == pytest.approx(6, rel=1e-12)
    total = Fraction(9_000_006)
    start = {"a": Fraction(4_000_003) / total, "b": Fraction(3_000_002) / total, "c": Fraction(2_000_001) / total}
    steps = Fraction(4_000_003 + 2_000_001)  # out of a: to b, or (from c) to an end
    a_to_b, a_converts = Fraction(4_000_003) / steps, Fraction(1) / steps
    b_converts = Fraction(5) / Fraction(7_000_005)
    from_a = a_to_b * b_converts + a_converts
    whole = start["a"] * from_a + start["b"] * b_converts + start["c"] * from_a
    without = {
        "a": start["b"] * b_converts,
        "b": (start["a"] + start["c"]) * a_converts,
        "c": start["a"] * from_a + start["b"] * b_converts,
    }
    effects = made.tables["published_credit"].set_index("channel")["removal_effect"]
    for channel, rest in without.items():
        assert effects[channel] == pytest.approx(float(1 - rest / whole), rel=1e-12)


def test_conversions_of_very_different_size() -> None:
    made = outcome(
        WITHOUT_TIME, paths=pd.DataFrame({"path": ["a", "a > b"], "conversions": [1e300, 1e-300], "nulls": [1, 1]})
    )
    assert shares(made) == {"a": 1e300, "b": 5e-301, UNATTRIBUTED: 0.0}


@pytest.mark.parametrize(
    ("separator", "path"),
    [
        (">", "a>b > c  >d"), (" > ", "a > b>c  >  d"), (",", "a,b , c,d"), ("->", "a->b -> c->d"),
        (".*", "a.*b .* c.*d"),
        ("\t", "a\tb\tc\td"), (" ", "a b  c d"), ("|", "|a|b||c|d|"), ("→", "a→b → c→ d"),
        ("\\", "a\\b\\c\\d"), ("'", "a'b'c'd"),
    ],
)  # fmt: skip
def test_separators_with_blanks_around_them(separator: str, path: str) -> None:
    spec = at.TableSpec(source=pd.DataFrame({"path": [path], "conversions": [4]}), separator=separator)
    made = at.attribute(at.build_journeys(at.load_sources(paths=spec)), [at.Linear()]).table
    assert dict(zip(made["channel"], made["conversions"], strict=True)) == {
        "a": 1, "b": 1, "c": 1, "d": 1, UNATTRIBUTED: 0,
    }  # fmt: skip


def test_the_separator_itself_in_a_name_from_events_and_lists() -> None:
    assert lone(["a > b", ">", "a"]) == {">": 1 / 3, "a": 1 / 3, "a > b": 1 / 3, UNATTRIBUTED: 0.0}
    made = outcome(WITHOUT_TIME, paths=pd.DataFrame({"path": [["a > b", "a"], ["a"]], "conversions": [1, 1]}))
    assert shares(made) == {"a": 1.5, "a > b": 0.5, UNATTRIBUTED: 0.0}


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed", "view", "dictionary", "chunked", "sliced"])
def test_lists_of_every_kind(kind: str) -> None:
    import pyarrow as pa

    lists = [["a", "c"], ["b", "c"]]
    text = pa.string()
    column: Any = {
        "list": lambda: pa.array(lists, pa.list_(text)),
        "large_list": lambda: pa.array(lists, pa.large_list(pa.large_string())),
        "fixed": lambda: pa.array(lists, pa.list_(text, 2)),
        "view": lambda: pa.array(lists, pa.list_view(text)),
        "dictionary": lambda: pa.array([" > ".join(x) for x in lists]).dictionary_encode(),
        "chunked": lambda: pa.chunked_array([[lists[0]], [lists[1]]]),
        "sliced": lambda: pa.array([["x"], *lists, ["y"]]).slice(1, 2),
    }[kind]()
    journeys = at.build_journeys(at.load_sources(paths=pa.table({"path": column, "conversions": [1, 3]})))
    made = at.attribute(journeys, [at.Linear()]).table
    assert dict(zip(made["channel"], made["conversions"], strict=True)) == {"a": 0.5, "b": 1.5, "c": 2, UNATTRIBUTED: 0}


@pytest.mark.parametrize("nulls", [None, [5, 3]])
def test_paths_that_never_converted(nulls: list[int] | None) -> None:
    table = pd.DataFrame({"path": ["a > b", "b"], "conversions": [0, 0]})
    if nulls:
        table["nulls"] = nulls
    made = outcome(WITHOUT_TIME, paths=table)
    assert shares(made) == {"a": 0, "b": 0, UNATTRIBUTED: 0}
    assert made.tables["credit"]["share"].isna().all()


# ------------------------------------------------------------------- few and many


def test_one_journey_of_one_touchpoint() -> None:
    made = outcome(touchpoints=touches().iloc[:1], conversions=orders())
    for model in made.models:
        assert shares(made, model.label) == {"mail": 1.0, UNATTRIBUTED: 0.0}


def test_one_journey() -> None:
    made = outcome(touchpoints=touches(), conversions=orders())
    assert shares(made, "first_touch")["mail"] == shares(made, "last_touch")["search"] == 1.0
    assert shares(made, "markov") == pytest.approx({"mail": 0.5, "search": 0.5, UNATTRIBUTED: 0.0})
    # ages are 2 days and 1 day, the half-life is 7
    ratio = 2 ** (-1 / 7)
    assert shares(made, "time_decay")["mail"] == pytest.approx(ratio / (1 + ratio), rel=1e-12)


def test_all_journeys_of_one_touchpoint_agree_under_every_model() -> None:
    n = 60
    channels = np.array(["a", "b", "c"])[np.arange(n) % 3]
    frame = pd.DataFrame({"customer_id": np.arange(n), "touched_at": MIDNIGHT, "channel": channels})
    who = np.arange(0, n, 2)
    made = outcome(
        touchpoints=frame,
        conversions=pd.DataFrame({"customer_id": who, "converted_at": MIDNIGHT + np.timedelta64(1, "D"), "value": 2.0}),
    )
    expected = {name: float((channels[who] == name).sum()) for name in "abc"} | {UNATTRIBUTED: 0.0}
    for model in made.models:
        assert shares(made, model.label) == pytest.approx(expected, rel=1e-12)


def test_a_channel_that_is_never_in_a_converting_journey() -> None:
    frame = touches(customer_id=["a", "b"])
    made = outcome(touchpoints=frame, conversions=orders())
    for model in made.models:
        assert shares(made, model.label)["search"] == 0.0


def test_conversions_only() -> None:
    conversions = orders(customer_id=["a", None], converted_at=["2024-01-01", "2024-01-02"], value=[3.0, 4.0])
    made = outcome(conversions=conversions)
    for model in made.models:
        assert shares(made, model.label) == {UNATTRIBUTED: 1.0}
    costs = pd.DataFrame({"channel": ["mail"], "amount": [2.0]})
    returns = outcome(conversions=conversions, costs=costs).tables["returns"]
    assert set(returns["channel"]) == {"mail", UNATTRIBUTED}
    assert (returns.set_index("channel").loc["mail", "roi"] == -1.0).all()


@pytest.mark.slow
def test_a_customer_with_a_hundred_thousand_touchpoints() -> None:
    n = 100_000
    frame = pd.DataFrame(
        {
            "customer_id": "bot",
            "touched_at": MIDNIGHT + np.arange(n) * np.timedelta64(1, "s"),
            "channel": np.array(["x", "y", "z", "x"])[np.arange(n) % 4],
        }
    )
    order = orders(customer_id=["bot"], converted_at=[MIDNIGHT + np.timedelta64(2, "D")])
    made = outcome(touchpoints=frame, conversions=order)
    assert shares(made) == pytest.approx({"x": 0.5, "y": 0.25, "z": 0.25, UNATTRIBUTED: 0.0}, rel=1e-12)
    assert shares(made, "shapley") == pytest.approx({"x": 1 / 3, "y": 1 / 3, "z": 1 / 3, UNATTRIBUTED: 0}, rel=1e-12)
    assert shares(made, "position_based")["x"] == pytest.approx(0.8 + 0.2 * (50_000 - 2) / (n - 2), rel=1e-9)


@pytest.mark.slow
def test_two_hundred_channels() -> None:
    names = [f"channel {i:03}" for i in range(200)]
    made = lone(names)
    assert len(made) == 201
    # only the last 31 days are in the window
    assert [name for name in names if made[name] > 0] == names[-31:]
    assert made[names[-1]] == pytest.approx(1 / 31, rel=1e-12)


def test_a_hundred_conversions_at_one_instant() -> None:
    """The first takes the journey, the others have none left."""
    made = outcome(
        touchpoints=touches(), conversions=orders(customer_id=["a"] * 100, converted_at="2024-01-03", value=1.0)
    )
    assert shares(made) == {"mail": 0.5, "search": 0.5, UNATTRIBUTED: 99.0}


# ------------------------------------------------------------------- names

NAMES = [
    "42", "1e5", "a b", "  a", "b  ", 'say "x"', "o'brien", "🦄", "中文", "a > b", ">", "a,b;c\td",
    "a\nb", "<b>&amp;</b>",
    "nullable", "No None", "true", "-- x", "\\", "$x^2$", "{{ x }}", "${x}", "%s", "../up", "=1+1",
    "\u202eabc", "é", "e\u0301",
    "x" * 300, "MAIL", "mail", "#tag", "[bold]", "</script><script>alert(1)</script>", "datum.x", "a.b[0]",
]  # fmt: skip
CONTROL = ["a\x00b", "a\x01b", "\x1b[31mred", "a\x0bb", "\ufffe", "a\rb", "\x7f\x85"]


@pytest.mark.parametrize("name", [*NAMES, *CONTROL])
def test_one_strange_name(name: str) -> None:
    made = lone([name, "plain"])
    assert made == {**dict.fromkeys(sorted([name, "plain"]), 0.5), UNATTRIBUTED: 0.0}


@pytest.mark.parametrize("name", [*NAMES, *CONTROL])
def test_the_graph_of_a_strange_name_is_written(name: str, tmp_path: Path) -> None:
    """GraphML is XML, which has no control characters at all; the file must be well-formed nevertheless."""
    journeys = at.build_journeys(at.load_sources(touches(channel=[name, "plain"]), orders()))
    at.build_graph(journeys).write_graphml(tmp_path / "g.graphml")
    graph = nx.read_graphml(tmp_path / "g.graphml")
    assert graph.number_of_nodes() == 5
    assert graph.number_of_edges() == 3


def test_control_characters_do_not_make_two_channels_one_node(tmp_path: Path) -> None:
    journeys = at.build_journeys(at.load_sources(touches(channel=["a\x01", "a\x02"]), orders()))
    at.build_graph(journeys).write_graphml(tmp_path / "g.graphml")
    assert nx.read_graphml(tmp_path / "g.graphml").number_of_nodes() == 5


@pytest.mark.slow
def test_strange_names_through_the_whole_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [*NAMES, *CONTROL]
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["customer_id", "touched_at", "channel"])
        writer.writerows([str(i), "2024-01-01", name] for i, name in enumerate(names))
        writer.writerows([str(i), "2024-01-02", name] for i, name in enumerate(reversed(names)))
    rows = "".join(f"{i},2024-01-03,{i}\n" for i in range(len(names)))
    (tmp_path / "c.csv").write_text(f"customer_id,converted_at,value\n{rows}")
    with (tmp_path / "s.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([["channel", "amount"], *([name, 1] for name in names)])
    (tmp_path / "e.toml").write_text(
        "name = \"🦄 'x' & b\"\n[tracking]\nenabled = false\n[output]\njourney_credit = true\n"
        '[tables.touchpoints]\nsource = "t.csv"\n[tables.conversions]\nsource = "c.csv"\n'
        '[tables.costs]\nsource = "s.csv"\n[[models]]\nmodel = "Linear"\n[[models]]\nmodel = "Markov"\n'
    )
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["attribution", "run", str(tmp_path / "e.toml"), "--out", str(out), "--json"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert {row["channel"] for row in printed["returns"]} == {*names, UNATTRIBUTED}
    assert set(pd.read_parquet(out / "credit.parquet")["channel"]) == {*names, UNATTRIBUTED}
    assert nx.read_graphml(out / "journey_graph.graphml").number_of_nodes() == len(names) + 3
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)</script>" not in report
    assert not any(char in report for char in "\x00\x01\x1b")


def test_names_that_differ_only_by_case_or_blanks_are_different() -> None:
    assert lone(["Mail", "mail"]) == {"Mail": 0.5, "mail": 0.5, UNATTRIBUTED: 0.0}
    assert lone(["mail", "mail "]) == {"mail": 0.5, "mail ": 0.5, UNATTRIBUTED: 0.0}


# ------------------------------------------------------------------- times and windows


def test_times_before_1970() -> None:
    made = outcome(
        touchpoints=touches(touched_at=["1969-12-01T00:00:00", "1969-12-31T23:59:59.999999"]),
        conversions=orders(converted_at=["1970-01-01"]),
    )
    assert shares(made) == {"mail": 0.0, "search": 1.0, UNATTRIBUTED: 0.0}  # 31 days and 1 microsecond


@pytest.mark.parametrize("year", [1, 1582, 1900, 9999])
def test_years_far_away(year: int) -> None:
    made = outcome(
        touchpoints=touches(touched_at=[f"{year:04}-01-01", f"{year:04}-01-02"]),
        conversions=orders(converted_at=[f"{year:04}-01-03"]),
        options={"output": {"journey_credit": True}},
    )
    assert shares(made)["mail"] == 0.5
    assert made.tables["journey_credit"]["touched_at"].astype(str).str[:4].unique().tolist() == [f"{year:04}"]


def test_the_whole_of_history_in_one_window() -> None:
    frame = touches(touched_at=["0001-01-01", "9999-12-31T23:59:59.999999"])
    late = orders(converted_at=["9999-12-31T23:59:59.999999"])
    made = outcome(touchpoints=frame, conversions=late, options={"journeys": {"lookback_days": math.inf}})
    assert shares(made) == {"mail": 0.5, "search": 0.5, UNATTRIBUTED: 0.0}


@pytest.mark.parametrize("days", [2, 2.0, 2 + 1e-12])
def test_the_window_is_inclusive_at_both_ends(days: float) -> None:
    frame = pd.DataFrame(
        {
            "customer_id": "a",
            "touched_at": [
                "2023-12-31T23:59:59.999999", "2024-01-01", "2024-01-03", "2024-01-03T00:00:00.000001",
            ],
            "channel": ["before", "first", "last", "after"],
        }
    )  # fmt: skip
    journeys = at.build_journeys(at.load_sources(frame, orders()), lookback_days=days)
    made = at.attribute(journeys, [at.Linear()]).table.set_index("channel")["conversions"]
    assert made.to_dict() == {"after": 0, "before": 0, "first": 0.5, "last": 0.5, UNATTRIBUTED: 0}


@pytest.mark.parametrize(
    ("days", "mail", "search"),
    [
        (1e-12, 0, 0), (0.999, 0, 0), (1, 0, 1), (2, 0.5, 0.5),
        (1e6, 0.5, 0.5), (1e30, 0.5, 0.5), (1e300, 0.5, 0.5), (10**30, 0.5, 0.5), (math.inf, 0.5, 0.5),
    ],
)  # fmt: skip
def test_windows_of_every_length(days: float, mail: float, search: float) -> None:
    journeys = at.build_journeys(at.load_sources(touches(), orders()), lookback_days=days)
    made = at.attribute(journeys, [at.Linear()]).table.set_index("channel")["conversions"]
    assert (made["mail"], made["search"]) == (mail, search)
    assert made.sum() == 1.0


def test_a_window_of_a_microsecond_keeps_what_happened_at_that_instant() -> None:
    frame = touches(touched_at=["2024-01-03", "2024-01-02"])
    journeys = at.build_journeys(at.load_sources(frame, orders()), lookback_days=1e-6 / 86_400)
    assert at.attribute(journeys, [at.Linear()]).table["conversions"].tolist() == [1.0, 0.0, 0.0]


def test_times_in_two_zones_meet() -> None:
    frame = touches(touched_at=["2024-01-03T01:00:00+02:00", "2024-01-02T18:00:01-05:00"])
    journeys = at.build_journeys(at.load_sources(frame, orders(converted_at=["2024-01-02T23:00:00Z"])), lookback_days=1)
    assert at.attribute(journeys, [at.Linear()]).table["conversions"].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(("half_life", "mail"), [(1e-3, 0.0), (1e-300, 0.0), (1e300, 0.5)])
def test_half_lives_of_every_length(half_life: float, mail: float) -> None:
    """Weights that vanish do not become nothing over nothing: the youngest touchpoint keeps its share."""
    journeys = at.build_journeys(at.load_sources(touches(), orders()))
    made = at.attribute(journeys, [at.TimeDecay(half_life_days=half_life)]).table
    assert made["conversions"].tolist() == pytest.approx([mail, 1 - mail, 0], abs=1e-12)


def test_an_order_longer_than_every_journey() -> None:
    journeys = at.build_journeys(at.load_sources(touches(), orders()))
    for order in (1, 2, 3, 40, 1000):
        made = at.attribute(journeys, [at.Markov(order=order)]).table
        assert made["conversions"].tolist() == pytest.approx([0.5, 0.5, 0.0])


def test_an_order_beyond_every_memory_is_refused() -> None:
    journeys = at.build_journeys(at.load_sources(touches(), orders()))
    with pytest.raises(InputError, match="order"):
        at.attribute(journeys, [at.Markov(order=10**20)])


# ------------------------------------------------------------------- money


@pytest.mark.parametrize("value", [1e-300, 1e-310, 1e308, sys.float_info.max, -0.0])
def test_values_at_the_edge_of_floats(value: float) -> None:
    made = outcome(touchpoints=touches(), conversions=orders(value=[value]))
    rows = made.tables["credit"].groupby("model")["value"].sum()
    assert rows.tolist() == pytest.approx([abs(value)] * len(EVERY_MODEL), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("amount", [0.0, -0.0])
def test_no_spend_has_no_ratio_and_no_rank(amount: float) -> None:
    costs = pd.DataFrame({"channel": ["mail", "search"], "amount": [amount, 2.0]})
    rows = outcome(touchpoints=touches(), conversions=orders(), costs=costs).tables["returns"]
    mail = rows[(rows["channel"] == "mail") & (rows["model"] == "linear")].iloc[0]
    assert mail["spend"] == 0.0
    assert math.copysign(1.0, mail["spend"]) == 1.0
    assert mail[["roas", "roi", "cpa", "rank"]].isna().all()


@pytest.mark.parametrize("amount", [5e-324, 1e-310])
def test_a_spend_next_to_nothing_has_no_infinite_return(amount: float) -> None:
    costs = pd.DataFrame({"channel": ["mail", "search"], "amount": [amount, 2.0]})
    outcome(touchpoints=touches(), conversions=orders(), costs=costs)


def spend(costs: dict[str, Any], start: str | None, end: str | None) -> dict[str, float]:
    from attribution.returns import spend_by_channel

    sources = at.load_sources(touches(), orders(), pd.DataFrame(costs))
    first, last = (None if text is None else dt.date.fromisoformat(text) for text in (start, end))
    return spend_by_channel(sources, period=Period(start=first, end=last))


MONTH = {"channel": "mail", "amount": 31.0, "period_start": ["2024-01-01"], "period_end": "2024-01-31"}
FEBRUARY = {"channel": "mail", "amount": 29.0, "period_start": ["2024-02-01"], "period_end": "2024-02-29"}


@pytest.mark.parametrize(
    ("costs", "start", "end", "expected"),
    [
        (MONTH, None, None, 31.0), (MONTH, "2024-01-01", "2024-01-10", 10.0), (MONTH, "2024-01-31", None, 1.0),
        (MONTH, None, "2024-01-01", 1.0), (MONTH, "2024-02-01", None, 0.0), (MONTH, "2023-01-01", "2025-01-01", 31.0),
        (FEBRUARY, "2024-02-20", "2024-03-05", 10.0),
        ({"channel": "mail", "amount": [31.0]}, "2024-01-01", "2024-01-10", 31.0),
        ({"channel": "mail", "amount": [4.0, 8.0], "day": ["2024-01-01", "2024-01-02"]}, "2024-01-02", None, 8.0),
        ({"channel": "mail", "amount": [4.0, 8.0], "day": ["2024-01-01", None]}, "2024-01-02", None, 8.0),
        ({"channel": "mail", "amount": [4.0], "day": [None]}, "2024-01-02", None, 4.0),
        ({"channel": "mail", "amount": [4.0], "day": [dt.datetime(2024, 1, 1, 23)]}, "2024-01-01", "2024-01-01", 4.0),
        ({"channel": "mail", "amount": [4.0], "day": [dt.date(2024, 1, 1)]}, "2024-01-01", "2024-01-01", 4.0),
        (
            {
                "channel": "mail", "amount": [31.0, 20.0],
                "period_start": ["2024-01-01", "2024-01-22"], "period_end": ["2024-01-31", "2024-02-10"],
            },
            "2024-01-22", "2024-01-31", 10.0 + 10.0,
        ),
        (
            {"channel": "mail", "amount": [3652059.0], "period_start": ["0001-01-01"], "period_end": ["9999-12-31"]},
            "2024-01-01", "2024-01-10", 10.0,
        ),
    ],
)  # fmt: skip
def test_costs_are_pro_rated_by_days(
    costs: dict[str, Any], start: str | None, end: str | None, expected: float
) -> None:
    assert spend(costs, start, end) == {"mail": pytest.approx(expected, rel=1e-12)}


def test_costs_of_hours() -> None:
    """A day of 24 lies in a period of six hours with six."""
    from attribution.returns import spend_by_channel

    sources = at.load_sources(
        touches(), orders(), pd.DataFrame({"channel": "mail", "amount": [24.0], "day": "2024-01-01"})
    )
    period = Period(start=dt.datetime(2024, 1, 1, 6), end=dt.datetime(2024, 1, 1, 11, 59, 59, 999_999))
    assert spend_by_channel(sources, period=period) == {"mail": pytest.approx(6.0, rel=1e-12)}


def test_two_sources_of_cost_for_different_channels_add_up() -> None:
    costs = pd.DataFrame({"channel": ["mail"], "amount": [1.0]})
    rows = outcome(touchpoints=touches(cost=[None, 2.0]), conversions=orders(), costs=costs).tables["returns"]
    assert rows.set_index("channel")["spend"].groupby(level=0).first().dropna().to_dict() == {
        "mail": 1.0,
        "search": 2.0,
    }


# ------------------------------------------------------------------- the same, said otherwise


@pytest.mark.slow
@examples(8)
@given(st.permutations(range(8)), st.integers(1, 4))
def test_the_order_of_rows_and_the_cut_into_batches_change_nothing(order: list[int], partitions: int) -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "customer_id": ["a", "a", "a", "b", "b", "c", "c", "c"],
            "touched_at": MIDNIGHT + rng.integers(0, 4, 8) * np.timedelta64(1, "D"),
            "channel": ["x", "y", "x", "z", "x", "y", "y", "z"],
        }
    )
    conversions = orders(customer_id=["a", "b", "c"], converted_at="2024-01-05", value=[0.1, 0.2, 0.3])
    models = [at.Linear(), at.TimeDecay(), at.Markov(order=2), at.Shapley()]

    def run(touched: pd.DataFrame, engine: at.DuckDBEngine) -> bytes:
        journeys = at.build_journeys(at.load_sources(touched, conversions, engine=engine))
        return at.attribute(journeys, models).table[["conversions", "value"]].to_numpy().tobytes()

    assert run(frame.iloc[order], at.DuckDBEngine(batch_rows=2, partitions=partitions)) == run(frame, at.DuckDBEngine())


def test_paths_and_events_agree() -> None:
    """Integer positions and the same journeys as paths: one credit under every model without time."""
    paths = {"a > b": (2, 1), "b": (1, 2), "a > a > c": (0, 2), "c > b > a": (3, 0)}
    touched, converted, customer = [], [], 0
    for path, (conversions, nulls) in paths.items():
        for i in range(conversions + nulls):
            customer += 1
            touched += [(customer, place, name) for place, name in enumerate(path.split(" > "))]
            if i < conversions:
                converted.append((customer, 99, 2.0))
    table = pd.DataFrame(
        [(path, n, 2.0 * n, nulls) for path, (n, nulls) in paths.items()],
        columns=["path", "conversions", "value", "nulls"],
    )
    by_paths = outcome(WITHOUT_TIME, paths=table).tables["credit"]
    by_events = outcome(
        WITHOUT_TIME,
        touchpoints=pd.DataFrame(touched, columns=["customer_id", "touched_at", "channel"]),
        conversions=pd.DataFrame(converted, columns=["customer_id", "converted_at", "value"]),
    ).tables["credit"]
    # Labels at random are those of a customer, whom paths do not know.
    shuffled = ["chance_conversions", "chance_value", "beyond_conversions"]
    pd.testing.assert_frame_equal(by_paths.drop(columns=shuffled), by_events.drop(columns=shuffled), rtol=1e-12)
    linear = [table.loc[table["model"] == "linear", shuffled] for table in (by_paths, by_events)]
    pd.testing.assert_frame_equal(*linear, rtol=1e-12)
    assert linear[0]["chance_conversions"].sum() > 0
    steps = sum(len(list(pairwise(path.split(" > ")))) * sum(n) for path, n in paths.items())
    assert steps == 3 + 0 + 4 + 6


def test_no_room_for_what_does_not_fit_into_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is half-done: the sort needs more than memory and disk together allow."""
    monkeypatch.setattr("attribution.data.engine.duckdb.SETTINGS", "set threads = 2")  # and not locked
    n = 400_000
    frame = pd.DataFrame({"customer_id": np.arange(n) * 7 % n, "touched_at": np.arange(n), "channel": "mail"})
    engine = at.DuckDBEngine()
    sources = at.load_sources(frame.astype({"customer_id": str}), orders(converted_at=[n]), engine=engine)
    engine._connection.execute("set memory_limit = '8MB'")
    engine._connection.execute("set max_temp_directory_size = '1MB'")
    with pytest.raises(InputError, match=r"cannot be read: .*memory_limit"):
        at.build_journeys(sources)


@pytest.mark.parametrize(
    ("limit", "size", "held"), [('"2GB"', 2_000_000_000, 10_000_000), ('"1500 mb"', 1_500_000_000, 7_500_000)]
)
def test_a_memory_limit_is_halved_between_the_engine_and_the_rest(
    tmp_path: Path, limit: str, size: int, held: int
) -> None:
    """DuckDB gets half of it; events that would take more than all of it, at 200 bytes each, go to disk."""
    (tmp_path / "e.toml").write_text(
        f'memory_limit = {limit}\n[tables.conversions]\nsource = "c.csv"\n[[models]]\nmodel = "Linear"\n'
    )
    experiment = at.read_experiment(tmp_path / "e.toml")
    assert experiment.memory_limit == size
    engine = make_engine(experiment)
    assert isinstance(engine, at.DuckDBEngine)
    (setting,) = engine._connection.execute("select current_setting('memory_limit')").fetchone() or ("",)
    number, unit = setting.split()
    assert float(number) * {"MiB": 2**20, "GiB": 2**30}[unit] == pytest.approx(size / 2, rel=1e-3)
    assert [engine.streams(Events("", rows, has_cost=False)) for rows in (held, held + 1)] == [False, True]
