"""The report: one file, nothing fetched, nothing run, every number of every figure in it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from attribution.pipeline.standing_sections import data_facts
from attribution.reporting.report import shown
from attribution.returns.returns_section import headlines, ranking_grid
from attribution.schema.tables import UNATTRIBUTED
from tests.reporting.drawn import all_figures, page_of

pytestmark = pytest.mark.filterwarnings("error")

EVIL = "</svg></td><script>alert('x')</script><img src=http://evil.example/x>"
VOID = {"meta", "br", "hr", "img", "input", "link"}


def run_tables(channels: tuple[str, str, str] = ("email", "search", "social")) -> dict[str, pd.DataFrame]:
    """Three models, three channels and direct without spend; ROI and ranks chosen by hand."""
    roi = {
        "last_touch": [1.0, 0.5, -0.25],
        "first_touch": [0.25, 0.75, 1.5],
        "markov": [1.0, 0.75, -0.004],
    }
    credit, returns = [], []
    for model, values in roi.items():
        for channel, ratio in zip(channels, values, strict=True):
            value = 400 * (1 + ratio)
            credit.append((model, "allocated", channel, value / 10, value, value / 1600, np.nan, np.nan))
            returns.append((model, "allocated", "revenue", "media", channel, 400.0, ratio, np.nan, np.nan))
        credit.append((model, "allocated", UNATTRIBUTED, 8.0, 80.0, 0.05, np.nan, np.nan))
        returns += [
            (model, "allocated", "revenue", "media", channel, *[np.nan] * 4) for channel in ("direct", UNATTRIBUTED)
        ]
    columns = ["model", "estimand", "basis", "cost_basis", "channel", "spend", "roi", "roi_low", "roi_high"]
    returns_frame = pd.DataFrame(returns, columns=columns)
    returns_frame["rank"] = returns_frame.groupby("model")["roi"].rank(ascending=False)
    a, b, c = channels
    return {
        "credit": pd.DataFrame(
            credit,
            columns=[
                *("model", "estimand", "channel", "conversions", "value", "share"),
                *("conversions_low", "conversions_high"),
            ],
        ),
        "returns": returns_frame,
        "agreement": pd.DataFrame(
            [
                ("last_touch", "first_touch", -1.0),
                ("last_touch", "markov", 1.0),
                ("first_touch", "markov", -1.0),
            ],
            columns=["model_a", "model_b", "kendall_tau"],
        ).assign(specification_a=None, specification_b=None),
        "transitions": pd.DataFrame(
            [
                ("(start)", a, 30, 0.6),
                ("(start)", b, 20, 0.4),
                (a, c, 10, 1 / 3),
                (a, "(null)", 20, 2 / 3),
                (b, "(conversion)", 20, 1.0),
                (c, "(conversion)", 10, 1.0),
            ],
            columns=["from_state", "to_state", "count", "probability"],
        ),
        "published_credit": pd.DataFrame(
            {"model": "markov", "channel": [a, b, c], "removal_effect": [0.25, 0.5, 0.125]}
        ),
        "journey_profile": pd.DataFrame(
            [
                ("path_length", None, 0.0, "converted", 8, 0.05),
                ("path_length", None, 2.0, "converted", 152, 0.95),
                ("path_length", None, 1.0, "not_converted", 1234, 1.0),
                ("time_lag_days", None, 3.0, "converted", 160, 1.0),
                ("touchpoints", a, np.nan, "converted", 40, 1.0),
            ],
            columns=["measure", "channel", "bin", "outcome", "count", "share"],
        ),
        "quality": pd.DataFrame(
            [
                ("customer present", "touchpoints", "warn", 12, 5000, "", "12 rows were left out"),
                ("values", "conversions", "pass", 0, 160, None, "nothing found"),
            ],
            columns=["check", "table", "status", "count", "total", "example", "message"],
        ),
    }


SETTINGS = {
    "engine": "duckdb",
    "journeys": {"lookback_days": 30.0},
    "models": [{"model": "LastTouch"}, {"model": "Markov", "order": 2}],
    "resampling": None,
    "data": {"first touchpoint": "2024-04-01"},
}


class Page(HTMLParser):
    """Tags with their attributes, texts of table cells by figure, and whether every tag closes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.figure = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "figure":
            self.figure = dict(attrs)["id"] or ""
        if tag == "tr":
            self.rows.setdefault(self.figure, []).append([])
        if tag in ("td", "th"):
            self.rows[self.figure][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "figure":
            self.figure = ""

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[self.figure][-1][-1] += data


def report(tables: Mapping[str, pd.DataFrame], name: str = "spring review") -> str:
    return page_of(name, tables, all_figures(tables), SETTINGS)


@pytest.fixture(scope="module")
def page() -> str:
    return report(run_tables())


@pytest.fixture(scope="module")
def evil_page() -> str:
    tables = run_tables((EVIL, "nul\x00 \x1b", "付费 🎉"))
    for name in ("credit", "returns"):
        tables[name] = tables[name].replace("markov", EVIL)
    tables["quality"]["message"] = EVIL
    figures = all_figures(tables)
    return page_of(EVIL, tables, figures, {EVIL: EVIL, "nested": [{"key": EVIL}]})


def test_the_report_holds_every_number_of_every_figure(page: str) -> None:
    rows = Page(page).rows
    figures = all_figures(run_tables())
    assert len(figures) == 7
    for figure in figures:
        assert rows[figure.name][0] == list(figure.table.columns)
        wanted = [[shown(value) for value in row] for row in figure.table.itertuples(index=False, name=None)]
        assert rows[figure.name][1:] == wanted
        assert figure.caption in html.unescape(page)


@pytest.mark.parametrize("kind", ["page", "evil_page"])
def test_nothing_is_fetched_and_nothing_runs(kind: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(kind)
    forbidden = {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "base",
        "form",
        "img",
        "image",
        "use",
        "foreignobject",
    }
    for tag, attributes in Page(text).tags:
        assert tag not in forbidden
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key in ("href", "src", "xlink:href", "action", "data", "srcset"):
                assert str(value).startswith("#")
            assert not re.search(r"url\((?!#)|@import|javascript:", str(value))
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'; style-src 'unsafe-inline'" in text


def test_addresses_in_the_page_are_names_of_xml_spaces(page: str) -> None:
    assert set(re.findall(r"https?://[^\"'\s<]+", page)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_hostile_names_are_shown_as_they_are(evil_page: str) -> None:
    rows = Page(evil_page).rows
    cells = {cell for part in rows.values() for row in part for cell in row}
    assert EVIL in cells
    assert "nul\ufffd \ufffd" in cells
    assert "付费 🎉" in cells
    assert "<h1>&lt;/svg&gt;&lt;/td&gt;&lt;script&gt;" in evil_page
    evil_page.encode("utf-8")


def test_ids_are_unique_and_references_resolve(page: str) -> None:
    tags = Page(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(attributes["href"])[1:] for tag, attributes in tags if tag == "a"}
    targets |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert targets <= set(ids)
    assert {figure.name for figure in all_figures(run_tables())} <= targets


def test_every_picture_has_a_text_for_those_who_do_not_see_it(page: str) -> None:
    pictures = [attributes for tag, attributes in Page(page).tags if tag == "svg"]
    assert [picture["role"] for picture in pictures] == ["img"] * 7
    assert [picture["aria-label"] for picture in pictures] == [figure.alt_text for figure in all_figures(run_tables())]
    assert '<html lang="en">' in page
    assert "prefers-color-scheme: dark" in page


def test_the_same_run_gives_the_same_report(page: str) -> None:
    assert report(run_tables()) == page


def test_long_tables_are_folded_away(page: str) -> None:
    before_the_glossary, _, after = page.partition('<h2 id="glossary">')
    assert "<details>" in after
    assert "<details>" not in before_the_glossary  # 3 models × (3 channels and unattributed) = 12 rows
    tables = run_tables()
    extra = tables["credit"].assign(model="linear")
    tables["credit"] = pd.concat([tables["credit"], extra.iloc[:4]])
    assert "<details><summary>The numbers in this figure (16 rows)</summary>" in report(tables)


def surely(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The run with intervals that are as narrow as can be."""
    credit, returns = tables["credit"], tables["returns"]
    ends = {"conversions_low": credit["conversions"] - 0.1, "conversions_high": credit["conversions"] + 0.1}
    return {**tables, "credit": credit.assign(**ends), "returns": returns.assign(rank_high=returns["rank"])}


def test_headline_says_who_leads_how_wide_how_far_and_how_alike() -> None:
    assert headlines(surely(run_tables())) == [
        "By ROI, email ranks first under last_touch and markov; social under first_touch.",
        "The ROI of social depends most on the model: from -25 % under last_touch to +150 % under first_touch.",
        "The rank of email depends most on the model: 1 under last_touch, 3 under first_touch.",
        "Similarity to the ranking of last_touch (Kendall tau, 1 = same order): markov 1.00, first_touch -1.00.",
    ]


def test_headline_without_spend_compares_credited_conversions() -> None:
    tables = run_tables()
    tables["returns"] = tables["returns"].assign(spend=np.nan, roi=np.nan, rank=np.nan)
    assert headlines(tables)[0] == (
        "Which channel ranks first by credited conversions is not known without intervals. "
        "Set resampling in the experiment."
    )
    assert headlines(surely(tables))[:2] == [
        "By credited conversions, email ranks first under last_touch and markov; social under first_touch.",
        "The credit of social depends most on the model: from 30 under last_touch to 100 under first_touch.",
    ]
    assert ranking_grid(tables) is None


def test_headline_of_one_model_and_of_models_that_agree() -> None:
    tables = surely(run_tables())
    one = {name: tables[name][tables[name]["model"] == "last_touch"] for name in ("credit", "returns")}
    assert headlines(one)[0] == "By ROI, email ranks first under last_touch."
    twin = {name: pd.concat([part, part.assign(model="linear")]) for name, part in one.items()}
    assert headlines(twin) == [
        "By ROI, email ranks first under every model.",
        "The ROI of every channel is the same under every model.",
        "No channel changes its rank between models.",
    ]


def test_headline_names_no_channel_that_sampling_or_chance_may_have_put_first() -> None:
    tables = surely(run_tables())
    returns = tables["returns"]
    unsure = returns.assign(rank_high=returns["rank"].where(returns["model"] != "markov", 2.0))
    assert headlines(tables | {"returns": unsure})[0] == (
        "By ROI, email ranks first under last_touch; social under first_touch. Under markov, sampling or chance may "
        "decide which channel does."
    )
    nobody = "By ROI, no channel surely ranks first: sampling or chance may decide which one does."
    assert headlines(tables | {"returns": returns.assign(rank_high=2.0)})[0] == nobody
    # Last touch gives email 80 of 170 conversions.
    for level, sentence in ((80.0, nobody), (40.0, "By ROI, email ranks first under last_touch and markov. Under")):
        credit = tables["credit"]
        by_chance = credit["conversions"].where(credit["channel"] != "email", level)
        given = tables | {"credit": credit.assign(chance_conversions=by_chance)}
        assert headlines(given)[0].startswith(sentence)


def test_ranking_shows_roi_and_rank_of_each_model() -> None:
    grid = ranking_grid(run_tables())
    assert grid is not None
    assert grid.columns.tolist() == ["channel", "spend", "last_touch", "first_touch", "markov"]
    assert grid.set_index("channel").loc["social"].tolist() == [400, "-25 % (3)", "+150 % (1)", "+0 % (3)"]
    renamed = run_tables()
    renamed["returns"] = renamed["returns"].replace({"markov": "spend", "first_touch": "channel"})
    assert "+150 % (1)" in report(renamed)


def test_agreement_of_each_pair_stands_in_a_grid(page: str) -> None:
    rows = Page(page).rows[""]
    assert ["Kendall tau", "first_touch", "markov"] in rows
    assert ["last_touch", "-1", "1"] in rows
    assert ["first_touch", "–", "-1"] in rows


def test_data_are_counted_from_the_tables(page: str) -> None:
    assert data_facts(run_tables()) == {
        "conversions": 178,  # 80 + 60 + 30 under last_touch, and 8 without a touchpoint
        "value": 1780,
        "conversions without a touchpoint": 8,
        "channels": 3,
        "models": 3,
        "journeys, converted": 160,
        "journeys, not_converted": 1234,
        "spend": 1200,
        "channels with spend": 3,
    }
    rows = Page(page).rows[""]
    assert ["conversions", "178"] in rows
    assert ["first touchpoint", "2024-04-01"] in rows
    assert ["customer present", "touchpoints", "! warn", "12", "5,000", "", "12 rows were left out"] in rows


def test_settings_are_listed_flat(page: str) -> None:
    rows = Page(page).rows[""]
    for row in (
        ["engine", "duckdb"],
        ["journeys.lookback_days", "30"],
        ["models.1.model", "LastTouch"],
        ["models.2.order", "2"],
        ["resampling", "–"],
    ):
        assert row in rows


def test_caveats_follow_the_run(page: str) -> None:
    assert "Allocated credit is not incremental" in page
    assert "no ROI and no rank" in page
    assert "There are no intervals" in page
    assert "simulated" not in page
    tables = run_tables()
    tables["truth"] = pd.DataFrame({"channel": ["email", "search"], "roi": [0.1, 0.2]})
    tables["returns"] = tables["returns"].assign(roi_low=0.0, roi_high=1.0)
    tables["credit"] = tables["credit"].assign(conversions_low=1.0, conversions_high=2.0)
    resampled = report(tables)
    assert "There are no intervals" not in resampled
    assert "The data are simulated" in resampled


@pytest.mark.parametrize("absent", [*run_tables(), "everything"])
def test_a_table_that_is_absent_leaves_its_part_out(absent: str) -> None:
    tables = {} if absent == "everything" else {k: v for k, v in run_tables().items() if k != absent}
    Page(page_of("run", tables, [], {}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (1736.0000000001, "1,736"),
        (12345.678, "12,345.7"),
        (0.1234567, "0.1235"),
        (-0.00001234, "-1.234e-05"),
        (np.float64("nan"), "–"),
        (float("inf"), "inf"),
        (None, "–"),
        (True, "True"),
        (np.int64(7), "7"),
        ([], "–"),
        (["a", 2.0], "a, 2"),
        (pd.DataFrame({"a": [1, 2]}), "a table of 2 rows"),
        ("x" * 3000, "x" * 2000 + "…"),
    ],
)
def test_values_are_written_for_readers(value: object, text: str) -> None:
    assert shown(value) == text
