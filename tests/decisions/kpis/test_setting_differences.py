"""Settings that two runs do not share: every key of an experiment counts, in comparisons and in reviews."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

import attribution as at
from attribution.decisions.comparison import compare_runs, list_specifications, review_runs
from attribution.decisions.kpis import Run
from attribution.decisions.kpis.runs import with_channel_rules
from attribution.decisions.kpis.setting_differences import WITHOUT_NUMBERS, settings_that_differ
from attribution.errors import InputError
from attribution.pipeline.sections import SHIPPED, load_sections, read_experiment
from attribution.schema.experiment import Experiment, ResamplingOptions
from tests.decisions.comparison.test_review import first, second

pytestmark = pytest.mark.filterwarnings("ignore")

OTHER = "something else"
CONTENT = {"tables.paths.source"}
"""Held against each other by what is in it, wherever it lies."""

SECTIONS = {section.name: section.options for section in SHIPPED if section.options is not None}


def keys_of(part: type[BaseModel], within: str = "") -> Iterator[str]:
    """Every key of a part, as after ``--set``."""
    for name, field in part.model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if inner:
            yield from keys_of(inner[0], f"{within}{name}.")
        else:
            yield f"{within}{name}"


KEYS = [
    key for key in keys_of(Experiment) if key.split(".")[0] not in ("folder", "text", "tables", "models", "lift_tests")
]
KEYS += ["lift_tests"]  # rows, and none of the plain experiment
KEYS += [f"tables.paths.{name}" for name in at.TableSpec.model_fields]
KEYS += [f"{name}.{key}" for name, options in SECTIONS.items() for key in options.model_fields]


def run_of(experiment: Experiment) -> Run:
    return dataclasses.replace(first(), experiment=experiment, digests={"paths": "1"})


def plain(**more: Any) -> Experiment:
    return at.Experiment(name="shop", tables={"paths": at.TableSpec(source="paths.csv")}, models=LINEAR, **more)


LINEAR = [{"model": "Linear"}]


def changed(part: Any, key: str) -> Any:
    """A copy of a part of an experiment with another value under a dotted key, which no check has seen."""
    name, _, inner = key.partition(".")
    if isinstance(part, dict):
        return {**part, name: changed(part[name], inner)}
    return part.model_copy(update={name: changed(getattr(part, name), inner) if inner else OTHER})


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_an_experiment_is_a_difference_or_cannot_change_a_number(key: str) -> None:
    experiment = plain(resampling={}, returns={"margin": 0.5, "lifetime": {"retention": 0.5, "periods": 3}})
    section = key.split(".")[0]
    if section in SECTIONS:
        options = SECTIONS[section]
        blank = dict.fromkeys(options.model_fields)
        experiment = experiment.model_copy(update={section: options.model_construct(**blank)})
    found = [each.key for each in settings_that_differ(run_of(experiment), run_of(changed(experiment, key)))]
    is_named = any(key == name or key.startswith(f"{name}.") for name in WITHOUT_NUMBERS)
    assert found == ([] if is_named or key in CONTENT else [key])


def test_what_cannot_change_a_number_is_there() -> None:
    assert set(WITHOUT_NUMBERS) <= {*KEYS, *(key.rpartition(".")[0] for key in KEYS)}
    assert all(WITHOUT_NUMBERS.values())


def shop(**more: Any) -> Experiment:
    touches = pd.DataFrame(
        {"customer_id": [1, 2, 3], "touched_at": ["2024-03-01"] * 3, "channel": ["mail", "web", "ad"]}
    )
    orders = pd.DataFrame({"customer_id": [1, 2], "converted_at": ["2024-03-02", "2024-03-09"], "value": [5, 7]})
    costs = pd.DataFrame({"channel": ["mail", "web"], "amount": [2.0, 3.0]})
    tables = {"touchpoints": touches, "conversions": orders, "costs": costs} | more.pop("tables", {})
    asked = {"name": "shop", "tables": tables, "models": [{"model": "LastTouch"}]} | more
    return at.Experiment(**asked)


def made(**more: Any) -> Run:
    return at.run_of(at.run_experiment(shop(**more)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"period": {"end": "2024-03-05"}}, "period.end: not set → 2024-03-05"),
        (
            {"models": [{"model": "LastTouch", "name": "end"}]},
            "last_touch (end in the other run): LastTouch → LastTouch",
        ),
        ({"resampling": {"draws": 60}}, "resampling.draws: not set → 60"),
        ({"stability": {"parts": 3}}, "stability: not set → given; stability.parts: not set → 3"),
        ({"output": {"unit_economics": True}}, "output.unit_economics: false → true"),
    ],
)
def test_runs_of_other_settings_are_not_the_same_specification(more: dict[str, Any], said: str) -> None:
    note = compare_runs({"a": made(), "b": made(**more)}).notes[0]
    assert said in note
    assert "the same settings" not in note


def test_runs_of_the_same_settings_are_said_to_be() -> None:
    other = made(tracking={"enabled": False}, memory_limit="2GB", output={"pictures": True})
    assert compare_runs({"a": made(), "b": other}).notes == ("b: the same settings and data",)


def test_what_is_not_known_to_be_the_same_data_is_not_called_so() -> None:
    other = dataclasses.replace(made(), digests={})
    assert compare_runs({"a": made(), "b": other}).notes == ("b: whether the data are the same is not known",)


def test_rules_in_a_file_are_compared_by_what_is_in_them(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"

    def run(source: str) -> Run:
        path.write_text(f'[[rules]]\nchannel = "x"\nsource = "{source}"\n', encoding="utf-8")
        return run_of(with_channel_rules(shop(channels={"file": "rules.toml"}), path))

    same, other = run("a"), run("b")
    assert not settings_that_differ(same, run("a"))
    assert [each.key for each in settings_that_differ(same, other)] == ["channels.rules"]


def test_a_default_that_is_written_out_is_no_difference() -> None:
    checked = load_sections().check_options(shop(stability={}))
    parts = checked.stability.parts  # type: ignore[attr-defined]
    assert not settings_that_differ(run_of(checked), run_of(shop(stability={"parts": parts})))
    assert settings_that_differ(run_of(checked), run_of(shop(stability={"parts": parts + 1})))


def test_long_values_are_not_shown() -> None:
    rules = [{"channel": f"c{n}", "source": f"s{n}"} for n in range(20)]
    differences = settings_that_differ(run_of(shop()), run_of(shop(channels={"rules": rules})))
    assert [str(each) for each in differences] == ["channels.rules differs"]


def test_another_order_of_models_is_a_difference() -> None:
    two = [{"model": "Linear"}, {"model": "FirstTouch"}]
    note = compare_runs({"a": made(models=two), "b": made(models=two[::-1])}).notes[0]
    assert note == "b: order of models: linear, first_touch → first_touch, linear"


def test_ranks_by_roi_and_by_conversions_are_not_held_against_each_other() -> None:
    asked = shop()
    without = {name: spec for name, spec in asked.tables.items() if name != "costs"}
    free = at.run_of(at.run_experiment(asked.model_copy(update={"tables": without})))
    compared = compare_runs({"paid": made(), "free": free})
    table = compared.tables["comparison"].set_index(["specification", "channel"])
    # All of them by credited conversions, which are the same.
    assert table.loc["free", "rank_change"].dropna().eq(0).all()
    assert (
        "ranked by different things (paid by ROI on revenue and media cost; free by credited conv"
        in compared.findings[0]
    )
    assert "tables.costs: given → not set" in compared.notes[0]
    assert any("on credited conversions" in sentence for sentence in compared.findings)


def test_ranks_under_other_models_are_not_held_against_each_other() -> None:
    compared = compare_runs({"a": made(models=LINEAR), "b": made(models=[{"model": "Markov"}])})
    assert "b is ranked by other models than a (markov; linear)" in compared.findings[0]


def test_a_sweep_of_what_channels_are_ranked_by_is_refused_before_the_first_run(tmp_path: Path) -> None:
    toml = tmp_path / "one.toml"
    toml.write_text('[tables.paths]\nsource = "p.csv"\n[[models]]\nmodel = "LastTouch"\n', encoding="utf-8")
    with pytest.raises(InputError, match="would rank channels on other terms"):
        list_specifications(toml, ["returns.margin=0.5"], ["returns.basis=revenue,margin"], read=read_experiment)


def test_a_review_tells_other_days_from_other_ways_to_count() -> None:
    before, after = first(), second()
    asked = after.experiment
    changes = {
        "period": at.Period(start="2024-04-01", end="2024-04-30"),
        "grain": "campaign",
        "resampling": ResamplingOptions(draws=60),
    }
    notes = review_runs(before, dataclasses.replace(after, experiment=asked.model_copy(update=changes))).notes
    days = next(note for note in notes if note.startswith("The periods of the runs differ"))
    count = next(note for note in notes if note.startswith("The settings of the runs differ"))
    moved = next(note for note in notes if note.startswith("The runs also differ in settings that change no ROI"))
    assert "period.start: not set → 2024-04-01" in days
    assert "grain: channel → campaign" in count
    assert "period" not in count
    assert "resampling.draws: not set → 60" in moved
