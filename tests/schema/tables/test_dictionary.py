"""The dictionary beside the tables: every column of every folder, with a meaning and a unit."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from attribution.pipeline.reuse import is_there
from attribution.pipeline.sections import read_experiment
from attribution.production.conversion_export import CONVERSION_EXPORT_TABLES
from attribution.production.output_tables import output_tables
from attribution.schema.tables import DICTIONARY, FORMULAS, INPUTS, OUTPUTS, dictionary_rows
from attribution.schema.tables.measures import _WORDS as WORDS
from attribution.schema.tables.measures import formula_of, unit_of
from attribution.schema.tables.scoring import SCORING_TABLES
from attribution.simulation import simulate
from tests.cli import test_cli

WRITTEN = [*output_tables().values(), *SCORING_TABLES, *CONVERSION_EXPORT_TABLES, INPUTS["truth"], DICTIONARY]
NUMBERS = ("number", "integer", "money", "count")


def call(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        return test_cli.call(patch, *arguments)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment, two finished runs of it, and a file of targets."""
    folder = tmp_path_factory.mktemp("shop")
    world = simulate("default", customers=300, seed=2)
    for name in ("touchpoints", "conversions", "costs", "truth"):
        getattr(world, name).to_parquet(folder / f"{name}.parquet", index=False)
    tables = "".join(
        f'[tables.{name}]\nsource = "{name}.parquet"\n' for name in ("touchpoints", "conversions", "costs", "truth")
    )
    models = '[[models]]\nmodel = "LastTouch"\n[[models]]\nmodel = "Markov"\n'
    rest = (
        "[output]\njourney_credit = true\nunit_economics = true\n[returns]\nmargin = 0.4\n[tracking]\nenabled = false\n"
    )
    (folder / "e.toml").write_text(tables + models + rest, encoding="utf-8")
    targets = '[[targets]]\nmetric = "roi"\nunit = "x"\ntarget = 0\nperiod = 2024\nowner = "甲"\n'
    (folder / "t.toml").write_text(f'run = "a"\n{targets}[tracking]\nenabled = false\n', encoding="utf-8")
    assert call("run", folder / "e.toml", "--out", folder / "a") == 0
    assert call("run", folder / "e.toml", "--out", folder / "b", "--set", "journeys.lookback_days=3") == 0
    return folder


def assert_whole(out: Path) -> pd.DataFrame:
    """Every column of every table of the folder, in its order, once."""
    dictionary = pd.read_csv(out / "dictionary.csv", keep_default_na=False)
    assert tuple(dictionary.columns) == DICTIONARY.column_names
    found = {name: list(rows["column"]) for name, rows in dictionary.groupby("table")}
    files = {path.stem: list(pd.read_parquet(path).columns) for path in sorted(out.glob("*.parquet"))}
    assert found == files
    assert {path.stem for path in out.glob("*.csv")} == set(files)
    assert (dictionary["meaning"].str.strip().str.len() > 2).all()
    assert (dictionary["grain"] != "").all()
    numbers = dictionary[dictionary["type"].isin(NUMBERS)]
    assert (numbers["unit"] != "").all()
    return dictionary


def test_a_run_explains_every_column_that_it_wrote(shop: Path) -> None:
    dictionary = assert_whole(shop / "a").set_index(["table", "column"])
    assert {"journey_credit", "unit_economics", "truth", "dictionary"} <= set(dictionary.index.get_level_values(0))
    assert dictionary.loc[("returns", "roas"), "formula"] == "value ÷ spend"
    assert dictionary.loc[("unit_economics", "break_even_roas"), "formula"] == "1 ÷ margin"
    assert dictionary.loc[("returns", "roi_low"), "formula"] == ""
    assert dictionary.loc[("unit_economics", "cac"), "unit"] == "money per new customer"


def test_the_report_shows_the_dictionary_of_its_own_tables(shop: Path) -> None:
    page = (shop / "a" / "report.html").read_text(encoding="utf-8")
    shown = page[page.index('<h2 id="dictionary">') :]
    assert shown.count('<th scope="row">') == len(dictionary_rows(_written(shop / "a"), output_tables()))
    assert "<h3>unit_economics</h3>" in shown
    assert "<h3>funnel</h3>" not in shown
    assert "<details>" in shown
    assert "<details open" not in shown


def _written(out: Path) -> dict[str, list[str]]:
    return {path.stem: list(pd.read_parquet(path)) for path in out.glob("*.parquet") if path.stem != "dictionary"}


def test_other_commands_write_theirs(shop: Path) -> None:
    told = ("--no-track",)
    assert call("review", shop / "a", shop / "b", "--out", shop / "review", *told) in (0, 3)
    assert call("compare", shop / "a", shop / "b", "--out", shop / "compared", *told) == 0
    assert call("kpis", shop / "t.toml", "--out", shop / "kpis") in (0, 3)
    assert call("budget", shop / "e.toml", "--total", 1000, "--out", shop / "budget") == 0
    for name, table in {"review": "roi_parts", "compared": "comparison", "kpis": "kpis", "budget": "budget"}.items():
        assert table in set(assert_whole(shop / name)["table"])


def test_a_run_whose_dictionary_was_changed_is_made_again(shop: Path) -> None:
    experiment = read_experiment(shop / "e.toml")
    assert is_there(experiment, shop / "a")
    path = shop / "a" / "dictionary.parquet"
    kept = path.read_bytes()
    path.write_bytes(kept + b" ")
    assert not is_there(experiment, shop / "a")
    path.write_bytes(kept)


def test_every_column_of_numbers_has_a_unit() -> None:
    """A new column needs its word in `attribution.schema.tables.measures`, or a unit of its own."""
    without = [
        f"{table.name}.{column.name}"
        for table in WRITTEN
        for column in table.columns
        if column.type in NUMBERS and unit_of(column) is None
    ]
    assert without == []


def test_no_two_tables_answer_one_question() -> None:
    tables = output_tables()
    questions = [table.question for table in tables.values() if table.question]
    assert len(set(questions)) == len(questions)
    assert [question for question in questions if not question.endswith("?")] == []
    assert [name for name in OUTPUTS if not tables[name].question] == []


def test_no_word_is_left_over_or_told_twice() -> None:
    used = {column.name for table in WRITTEN for column in table.columns}
    words = [word for words in WORDS.values() for word in words.split()]
    assert len(words) == len(set(words))
    assert set(words) | set(FORMULAS) <= used


def test_formulas_are_of_metrics_and_not_of_their_intervals() -> None:
    told = {column.name: formula_of(column) for table in WRITTEN for column in table.columns}
    assert told["roi"] == told["roi_after"] == FORMULAS["roi"]
    assert {told[name] for name in ("roi_low", "roi_high", "roi_change", "cpa_low", "channel")} == {None}
