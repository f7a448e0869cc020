"""Figures: the numbers plotted are the numbers of the tables, colours stay, and no name breaks a picture."""

from __future__ import annotations

import itertools
import json
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.reporting import charts
from attribution.reporting.charts import figure as figure_module
from attribution.reporting.charts.graph import MOST_STEPS, MOST_TO_CONVERSION
from attribution.reporting.charts.style import GREY, MOST_CHANNELS, PALETTE, ink_on, model_colours, short_labels
from attribution.schema.tables import UNATTRIBUTED
from tests.reporting.drawn import all_figures

pytestmark = pytest.mark.filterwarnings("error")

HOSTILE = [
    "</svg><script>alert('x')</script>",
    "\"quoted\" & 'single'",
    "a.b[0].c",
    "a\\.b\\n",
    "${x} {{ 7*7 }} datum['value']",
    "nul\x00 bell\x07 escape\x1b",
    "nul\x01 bell\x07 escape\x1b",
    "tab\tnew\nline",
    "   ",
    "付费搜索",
    "微信公众号推广活动（华东地区）二零二四年春季",
    "📧 newsletter 🎉",
    "مرحبا",
    "Google Ads – Performance Max – Shopping – Brand – Germany",
    "Google Ads – Performance Max – Shopping – Branding – Germany",
    "x" * 200,
    "null",
    "https://example.com/?a=1&b=2",
    "email",
    "constructor",
]
THIRTY = [*HOSTILE, *(f"channel with quite a long name {i}" for i in range(10))]


RETURN_COLUMNS = [
    "model",
    "estimand",
    "basis",
    "cost_basis",
    "channel",
    "spend",
    "roi",
    "roi_low",
    "roi_high",
]


def run_tables(
    channels: list[str],
    models: tuple[str, ...] = ("last_touch", "linear", "markov"),
    *,
    without_spend: tuple[str, ...] = (),
    intervals: bool = False,
) -> dict[str, pd.DataFrame]:
    """Model m credits channel c with 10·(c+1) + (7·c·m mod 13) conversions of value 5."""
    credit, returns = [], []
    for m, model in enumerate(models):
        for c, channel in enumerate([*channels, UNATTRIBUTED]):
            conversions = 25.0 if channel == UNATTRIBUTED else 10.0 * (c + 1) + 7 * c * m % 13
            low, high = (conversions - 1, conversions + 2) if intervals else (np.nan, np.nan)
            has_spend = channel != UNATTRIBUTED and channel not in without_spend
            spend = 40.0 + 30 * (c % 5) if has_spend else np.nan
            credit.append((model, "allocated", channel, conversions, 5 * conversions, 0.1, low, high))
            roi = (5 * conversions - spend) / spend
            returns.append((model, "allocated", "revenue", "media", channel, spend, roi, roi - low, roi + high))
    columns = ["model", "estimand", "channel", "conversions", "value", "share", "conversions_low", "conversions_high"]
    credit_frame = pd.DataFrame(credit, columns=columns)
    returns_frame = pd.DataFrame(returns, columns=RETURN_COLUMNS)
    returns_frame["rank"] = returns_frame.groupby("model")["roi"].rank(ascending=False)
    return {
        "credit": credit_frame,
        "returns": returns_frame,
        "transitions": step_table(channels),
        "published_credit": pd.DataFrame(
            {"model": "markov", "channel": channels, "removal_effect": np.linspace(0.1, 0.5, len(channels))}
        ),
        "journey_profile": profile_table(channels),
    }


def step_table(channels: list[str]) -> pd.DataFrame:
    """Every step between two states, the i-th taken 1 + (11·i mod 17) times."""
    pairs = [
        (a, b)
        for a in ["(start)", *channels]
        for b in [*channels, "(conversion)", "(null)"]
        if not (a == "(start)" and b.startswith("("))
    ]
    steps = pd.DataFrame(pairs, columns=["from_state", "to_state"])
    steps["count"] = [1 + 11 * i % 17 for i in range(len(steps))]
    steps["probability"] = steps["count"] / steps.groupby("from_state")["count"].transform("sum")
    return steps


def profile_table(channels: list[str]) -> pd.DataFrame:
    rows: list[tuple[object, ...]] = []
    for outcome, counts in {"converted": [3, 5, 2], "not_converted": [60, 30, 10]}.items():
        for i, count in enumerate(counts):
            rows.append(("path_length", None, float(i + 1), outcome, count, count / sum(counts)))
            rows.append(("time_lag_days", None, float(2 * i), outcome, count, count / sum(counts)))
        rows += [("touchpoints", channel, None, outcome, 10 + i, 0.1) for i, channel in enumerate(channels)]
    return pd.DataFrame(rows, columns=["measure", "channel", "bin", "outcome", "count", "share"])


def datasets(spec: Mapping[str, Any]) -> Iterator[list[dict[str, object]]]:
    """Every list of rows that a specification carries."""
    yield from spec["datasets"].values()


def assert_drawn(figure: charts.Figure) -> None:
    """Each row of the figure's table stands in the data of its chart, number for number."""
    rows = list(itertools.chain.from_iterable(datasets(figure.spec())))
    for row in figure.table.astype(object).where(figure.table.notna(), None).to_dict("records"):
        wanted = {key: value for key, value in row.items() if value is not None and key != "part"}
        assert any(wanted.items() <= drawn.items() for drawn in rows), wanted


SMALL = run_tables(["a", "b", "c"], without_spend=("c",))


@pytest.mark.parametrize("channels", [["a", "b", "c"], THIRTY], ids=["three", "thirty"])
@pytest.mark.parametrize("intervals", [False, True], ids=["points", "intervals"])
def test_charts_hold_the_numbers_of_their_tables(channels: list[str], intervals: bool) -> None:
    figures = all_figures(run_tables(channels, without_spend=("email",), intervals=intervals))
    assert [figure.name for figure in figures] == [
        "credit_by_channel",
        "roi_by_channel",
        "rank_bump",
        "transition_heatmap",
        "journey_graph",
        "path_length",
        "time_lag",
    ]
    for figure in figures:
        assert_drawn(figure)
        figure.chart.to_dict()  # Altair checks the whole specification against the schema
        assert figure.caption.endswith(".")
        assert figure.alt_text.endswith(".")


def test_credit_shows_most_credit_first_and_unattributed_last() -> None:
    table = charts.credit_by_channel(SMALL["credit"]).table
    assert table["channel"].drop_duplicates().tolist() == ["c", "b", "a", UNATTRIBUTED]
    wide = table.pivot(index="channel", columns="model", values="conversions")
    assert wide.loc["a"].tolist() == [10, 10, 10]
    assert wide.loc["b"].tolist() == [20, 27, 21]  # 20 + 0, 7, 14 mod 13
    assert wide.loc["c"].tolist() == [30, 31, 32]  # 30 + 0, 14 mod 13, 28 mod 13


def test_intervals_are_drawn_or_their_absence_is_said() -> None:
    plain = all_figures(SMALL)[:2]
    for figure, measure in zip(plain, ("conversions", "roi"), strict=True):
        assert "There are no intervals, because the run had no resampling." in figure.caption
        assert f'"{measure}_low"' not in json.dumps(figure.spec()["layer"])
    resampled = all_figures(run_tables(["a", "b"], intervals=True))[:2]
    for figure, measure in zip(resampled, ("conversions", "roi"), strict=True):
        assert "intervals from resampling" in figure.caption
        ends = [layer["encoding"] for layer in figure.spec()["layer"] if "x2" in layer["encoding"]]
        assert [(end["x"]["field"], end["x2"]["field"]) for end in ends] == [(f"{measure}_low", f"{measure}_high")]


def test_roi_leaves_out_and_names_channels_without_spend() -> None:
    figure = charts.roi_by_channel(SMALL["returns"])
    assert set(figure.table["channel"]) == {"a", "b"}
    assert "because they have no spend: c." in figure.caption
    assert "divides the observed conversions" in figure.caption
    assert "would be lost" in figure.caption
    roi = figure.table.set_index(["channel", "model"])["roi"]
    assert roi["a", "linear"] == pytest.approx((50 - 40) / 40)
    assert roi["b", "linear"] == pytest.approx((5 * 27 - 70) / 70)
    text = json.dumps(figure.spec())
    assert "ROI on revenue, media cost" in text
    assert '"x": {"datum": 0, "type": "quantitative"}' in text  # break-even


def test_roi_draws_the_first_of_several_bases() -> None:
    second = SMALL["returns"].assign(basis="margin", roi=9.0)
    figure = charts.roi_by_channel(pd.concat([SMALL["returns"], second]))
    assert set(figure.table["basis"]) == {"revenue"}


def test_one_huge_roi_does_not_flatten_the_others() -> None:
    returns = SMALL["returns"].copy()
    returns.loc[returns["channel"] == "a", "roi"] = 300.0
    figure = charts.roi_by_channel(returns)
    assert '"symlog"' in json.dumps(figure.spec())
    assert "compressed" in figure.caption
    assert '"symlog"' not in json.dumps(charts.roi_by_channel(SMALL["returns"]).spec())


def ranks(**by_model: dict[str, float]) -> pd.DataFrame:
    rows = [(m, "revenue", "media", c, 10.0, -r, r) for m, part in by_model.items() for c, r in part.items()]
    return pd.DataFrame(rows, columns=["model", "basis", "cost_basis", "channel", "spend", "roi", "rank"])


def test_rank_bump_draws_ties_as_ties_with_labels_apart() -> None:
    figure = charts.rank_bump(ranks(first={"a": 1.5, "b": 1.5, "c": 3}, last={"a": 1, "b": 2, "c": 3}))
    rows = pd.DataFrame(next(rows for rows in datasets(figure.spec()) if "place" in rows[0]))
    first = rows[rows["model"] == "first"].set_index("channel")
    assert first["rank"].to_dict() == {"a": 1.5, "b": 1.5, "c": 3}
    assert first["place"].to_dict() == {"a": 1, "b": 2, "c": 3}
    assert first["rank_text"].to_dict() == {"a": "1.5", "b": "1.5", "c": "3"}
    assert first.loc["a", "mark"] == first.loc["b", "mark"] != first.loc["c", "mark"]
    assert "tie" in figure.caption
    assert "tie" not in charts.rank_bump(ranks(first={"a": 1, "b": 2})).caption


def test_rank_bump_ranks_the_truth_among_the_same_channels() -> None:
    truth = pd.DataFrame({"channel": ["c", "b", "a", "z"], "roi": [0.5, 0.5, 2.0, 9.0]})
    figure = charts.rank_bump(ranks(first={"a": 1, "b": 2, "c": 3}), truth)
    true = figure.table[figure.table["model"] == charts.TRUTH_COLUMN].set_index("channel")["rank"]
    assert true.to_dict() == {"a": 1, "b": 2.5, "c": 2.5}
    assert "(truth) is the rank by the true ROI" in figure.caption


def test_heatmap_begins_with_start_and_ends_with_conversion_and_null() -> None:
    figure = charts.transition_heatmap(SMALL["transitions"])
    encoding = figure.spec()["layer"][0]["encoding"]
    reached = SMALL["transitions"].groupby("to_state")["count"].sum()
    order = sorted("abc", key=lambda channel: -reached[channel])
    assert encoding["y"]["scale"]["domain"] == ["(start)", *order]
    assert encoding["x"]["scale"]["domain"] == [*order, "(conversion)", "(null)"]
    merged = figure.table.merge(SMALL["transitions"], on=["from_state", "to_state"])
    assert len(merged) == len(SMALL["transitions"])
    assert (merged["probability_x"] == merged["probability_y"]).all()


def test_journey_graph_shows_channels_and_steps_between_different_states() -> None:
    figure = charts.journey_graph(SMALL["transitions"], SMALL["published_credit"], SMALL["journey_profile"])
    nodes = figure.table[figure.table["part"] == "channel"].set_index("from_state")
    assert nodes["touchpoints"].to_dict() == {"a": 20, "b": 22, "c": 24}  # both outcomes
    assert nodes["removal_effect"].to_dict() == pytest.approx({"a": 0.1, "b": 0.3, "c": 0.5})
    steps = figure.table[figure.table["part"] == "step"]
    assert len(steps) == 3 + 3 * 4  # (start) to each, each to the two others and the two ends
    assert (steps["from_state"] != steps["to_state"]).all()
    assert "are drawn" not in figure.caption


def test_journey_graph_keeps_the_strongest_steps_and_those_that_convert() -> None:
    channels = [f"c{i:02}" for i in range(12)]
    steps = step_table(channels)
    steps["count"] = steps["count"].where(steps["to_state"] != "(conversion)", 0)
    figure = charts.journey_graph(steps, SMALL["published_credit"].iloc[:0], profile_table(channels))
    drawn = figure.table[figure.table["part"] == "step"]
    converting = drawn["to_state"] == "(conversion)"
    assert converting.sum() == MOST_TO_CONVERSION
    assert (~converting).sum() == MOST_STEPS
    others = steps[(steps["from_state"] != steps["to_state"]) & (steps["to_state"] != "(conversion)")]
    assert drawn.loc[~converting, "count"].min() >= others["count"].nlargest(MOST_STEPS).min()
    assert f"{len(others) + len(channels) - len(drawn)} others are not" in figure.caption
    assert "There are no removal effects" in figure.caption


def test_journey_graph_draws_channels_that_have_no_removal_effect() -> None:
    effects = SMALL["published_credit"].query("channel != 'b'")
    figure = charts.journey_graph(SMALL["transitions"], effects, SMALL["journey_profile"])
    assert_drawn(figure)
    assert charts.to_svg(figure).count('fill="#ccc"') == 1


def test_path_lengths_beyond_thirty_share_a_bin() -> None:
    profile = pd.DataFrame(
        {"measure": "path_length", "bin": [1.0, 30, 31, 90], "outcome": "converted", "count": [5, 2, 2, 1]}
    )
    figure = charts.path_length(profile.assign(share=profile["count"] / 10))
    assert figure.table["bin"].tolist() == [1, 30]
    assert figure.table["bin_end"].isna().tolist() == [False, True]
    assert figure.table["count"].tolist() == [5, 5]
    assert figure.table["share"].tolist() == pytest.approx([0.5, 0.5])
    assert '"30+"' in json.dumps(figure.spec())


def test_time_lags_are_binned_evenly_and_empty_bins_keep_their_place() -> None:
    profile = pd.DataFrame(
        {"measure": "time_lag_days", "bin": [0.0, 2, 3, 89], "outcome": "converted", "count": [1, 2, 3, 4]}
    )
    figure = charts.time_lag(profile.assign(share=profile["count"] / 10))
    assert figure.table["bin"].tolist() == [0, 3, 87]  # 90 days in at most 31 bins: three days each
    assert figure.table["bin_end"].tolist() == [2, 5, 89]
    assert figure.table["count"].tolist() == [3, 3, 4]
    domain = figure.spec()["encoding"]["x"]["scale"]["domain"]
    assert domain == [f"{day}–{day + 2}" for day in range(0, 90, 3)]


@pytest.mark.parametrize(
    ("draw", "names"),
    [
        (charts.credit_by_channel, ["credit"]),
        (charts.roi_by_channel, ["returns"]),
        (charts.rank_bump, ["returns"]),
        (charts.transition_heatmap, ["transitions"]),
        (charts.journey_graph, ["transitions", "published_credit", "journey_profile"]),
        (charts.path_length, ["journey_profile"]),
        (charts.time_lag, ["journey_profile"]),
    ],
)
def test_a_figure_without_numbers_is_refused(draw, names: list[str]) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError):
        draw(*(SMALL[name].iloc[:0] for name in names))


def test_all_figures_makes_what_the_tables_allow() -> None:
    def names(tables: dict[str, pd.DataFrame]) -> list[str]:
        return [figure.name for figure in all_figures(tables)]

    assert names({}) == []
    one_model = run_tables(["a", "b"], ("last_touch",))
    assert "rank_bump" not in names(one_model)
    truth = pd.DataFrame({"channel": ["a", "b"], "roi": [1.0, 2.0]})
    assert "rank_bump" in names({**one_model, "truth": truth})
    no_spend = run_tables(["a", "b"], without_spend=("a", "b"))
    assert {"roi_by_channel", "rank_bump"}.isdisjoint(names(no_spend))
    nothing_touched = {
        "credit": SMALL["credit"].query("channel == @UNATTRIBUTED"),
        "returns": SMALL["returns"].query("channel == @UNATTRIBUTED"),
        "transitions": SMALL["transitions"].iloc[:1].assign(to_state="(conversion)"),
        "journey_profile": SMALL["journey_profile"].iloc[:1].assign(bin=0.0),
    }
    assert names(nothing_touched) == ["credit_by_channel", "path_length"]


def test_zero_conversions_can_be_drawn() -> None:
    tables = run_tables(["a", "b"])
    tables["credit"] = tables["credit"].assign(conversions=0.0, value=0.0, share=np.nan)
    tables["returns"] = tables["returns"].assign(roi=-1.0, rank=1.5)
    tables["published_credit"] = tables["published_credit"].assign(removal_effect=0.0)
    for figure in all_figures(tables):
        assert "NaN" not in charts.to_svg(figure)


def test_more_channels_than_can_be_read_are_cut_and_counted() -> None:
    channels = [f"c{i:02}" for i in range(MOST_CHANNELS + 5)]
    for figure in all_figures(run_tables(channels))[:5]:
        assert "The 5 channels with the" in figure.caption or "The 5 channels reached" in figure.caption
        column = "from_state" if "from_state" in figure.table else "channel"
        drawn = set(figure.table[column].dropna()) - {UNATTRIBUTED, "(start)"}
        assert len(drawn) == MOST_CHANNELS


# ---------------------------------------------------------------- colours and labels


def test_a_channel_has_one_colour_and_one_label_in_all_figures() -> None:
    figures = all_figures(run_tables(THIRTY, without_spend=("email", "x" * 200)))
    seen: dict[str, set[object]] = {}
    for figure in figures:
        for row in itertools.chain.from_iterable(datasets(figure.spec())):
            if "colour" in row and "channel" in row:
                seen.setdefault(str(row["channel"]), set()).add((row["colour"], row["label"]))
    assert set(seen) == {*THIRTY, UNATTRIBUTED}
    assert all(len(pairs) == 1 for pairs in seen.values())
    pairs = [next(iter(pairs)) for pairs in seen.values()]
    assert len({colour for colour, _ in pairs}) == len({label for _, label in pairs}) == 31
    assert seen[UNATTRIBUTED] == {(GREY, UNATTRIBUTED)}


def test_colours_depend_on_names_and_not_on_their_order_or_the_run() -> None:
    names = [f"channel {i}" for i in range(len(PALETTE))]
    colours = charts.channel_colours(names)
    assert colours == charts.channel_colours(reversed(names))
    assert len({colours[name] for name in names}) == len(PALETTE)
    assert colours["channel 0"] == charts.channel_colours(["channel 0"])["channel 0"]
    assert set(charts.channel_colours([*names, "one more"]).values()) <= {*PALETTE, GREY}


def oklab(colours: list[str], seen_as: list[list[float]]) -> NDArray[np.float64]:
    rgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = np.array(
        [
            [0.41222147, 0.53633254, 0.05144599],
            [0.21190350, 0.68069955, 0.10739696],
            [0.08830246, 0.28171884, 0.62997870],
        ]
    )
    lab = np.array(
        [
            [0.21045426, 0.79361779, -0.00407205],
            [1.97799850, -2.42859221, 0.45059371],
            [0.02590404, 0.78277177, -0.80867577],
        ]
    )
    return np.cbrt(np.clip(linear @ np.array(seen_as).T, 0, 1) @ cones.T) @ lab.T


@pytest.mark.parametrize(
    "seen_as",
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ],
    ids=["all cones", "protanopia", "deuteranopia", "tritanopia"],
)
def test_colours_stay_apart_for_colour_blind_eyes(seen_as: list[list[float]]) -> None:
    """Distances in OKLab after Machado et al. 2009; 0.02 can just be told apart side by side."""
    for count, least in ((8, 0.05), (len(PALETTE), 0.03)):
        places = oklab(list(PALETTE[:count]), seen_as)
        apart = np.linalg.norm(places[:, None] - places[None], axis=2)[np.triu_indices(count, 1)]
        assert apart.min() > least
    ramp = oklab(list(model_colours([str(i) for i in range(6)]).values()), seen_as)
    assert (np.diff(ramp[:, 0]) > 0.05).all()  # models differ in lightness, in order


def test_ink_contrasts_with_what_it_stands_on() -> None:
    assert ink_on("#ffffff") == "#000000"
    assert ink_on("#31356e") == "#ffffff"


def test_labels_are_unique_short_and_drawable() -> None:
    labels = short_labels(HOSTILE)
    assert len(set(labels.values())) == len(HOSTILE)
    assert labels["   "] == "(blank)"
    assert labels["tab\tnew\nline"] == "tab new line"
    assert labels["nul\x00 bell\x07 escape\x1b"] == "nul\ufffd bell\ufffd escape\ufffd"
    assert all(figure_module.drawable(label) == label and len(label) <= 32 for label in labels.values())
    assert labels["x" * 200] == "x" * 15 + "…" + "x" * 12


# ---------------------------------------------------------------- onto paper


@pytest.fixture(scope="module")
def hostile_figures() -> list[charts.Figure]:
    tables = run_tables(THIRTY, tuple(HOSTILE[:5]), without_spend=tuple(HOSTILE[4:6]))
    tables["truth"] = pd.DataFrame({"channel": THIRTY, "roi": np.arange(len(THIRTY), dtype=float)})
    tables["published_credit"]["model"] = HOSTILE[5]
    return all_figures(tables)


def test_hostile_names_are_text_and_nothing_else(hostile_figures: list[charts.Figure]) -> None:
    assert len(hostile_figures) == 7
    for figure in hostile_figures:
        svg = charts.to_svg(figure)
        root = ET.fromstring(svg)
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert "script" not in tags
        assert root.get("role") == "img"
        assert root.get("aria-label") == figure_module.drawable(figure.alt_text)
        written = {element.text for element in root.iter() if element.text}
        labels = {row[key] for rows in datasets(figure.spec()) for row in rows for key in row if key == "label"}
        assert {" ".join(str(label).split()) for label in labels} <= {" ".join(t.split()) for t in written}


def test_ids_in_a_figure_carry_its_name(hostile_figures: list[charts.Figure]) -> None:
    heatmap = next(figure for figure in hostile_figures if figure.name == "transition_heatmap")
    ids = [element.get("id") for element in ET.fromstring(charts.to_svg(heatmap)).iter() if element.get("id")]
    assert ids
    assert all(str(name).startswith("transition_heatmap-") for name in ids)


def test_thirty_hostile_channels_become_png(tmp_path, hostile_figures: list[charts.Figure]) -> None:  # type: ignore[no-untyped-def]
    for figure in hostile_figures:
        path = tmp_path / f"{figure.name}.png"
        charts.save_png(figure, path)
        content = path.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", content[16:24])
        assert width > 700
        assert height > 400
        assert len(content) > 15_000


def test_png_says_which_characters_have_no_font(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    drawn: list[dict[str, object]] = []
    monkeypatch.setattr(figure_module, "undrawable", lambda text: "搜索邮件")
    monkeypatch.setattr(figure_module.vl_convert, "vegalite_to_png", lambda spec, **_: drawn.append(spec) or b"png")
    figure = charts.credit_by_channel(run_tables(["email", "搜索", "邮件"])["credit"])
    assert charts.save_png(figure, tmp_path / "figure.png") == "搜索邮件"
    text = json.dumps(drawn, ensure_ascii=False)
    assert not set("搜索邮件") & set(text)
    assert drawn[0]["layer"][0]["encoding"]["y"]["scale"]["domain"] == [  # type: ignore[index]
        "□□ #2",
        "□□ #1",
        "email",
        UNATTRIBUTED,
    ]
    assert "4 characters have no font" in text


def test_characters_without_a_font_are_found() -> None:
    assert figure_module.undrawable("plain – text ÷ Ω") == ""
    assert figure_module.undrawable("never assigned: \U0003fff1") == "\U0003fff1"


def test_the_same_tables_give_the_same_picture() -> None:
    first, second = ([charts.to_svg(figure) for figure in all_figures(run_tables(["a", "b", "c"]))] for _ in range(2))
    assert first == second
