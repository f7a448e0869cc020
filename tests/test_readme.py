"""What the README and the guides show runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import attribution as at
from attribution.cli.main import app
from attribution.data.channels import read_rules
from attribution.production.output_tables import output_tables
from attribution.schema.experiment import checked, read_toml

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
README = PAGES["README.md"]
TEXT = "\n".join(PAGES.values())


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the quickstart reads."""
    monkeypatch.chdir(tmp_path)
    simulation = at.simulate("default", customers=500, truth=False)
    simulation.touchpoints.to_parquet("touchpoints.parquet")
    simulation.conversions.to_csv("orders.csv", index=False)
    simulation.costs.to_csv("spend.csv", index=False)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "four_campaign.toml").write_text(
        '[tables.touchpoints]\nsource = "../touchpoints.parquet"\n'
        '[tables.conversions]\nsource = "../orders.csv"\n[[models]]\nmodel = "Linear"\n'
    )
    return tmp_path


@pytest.mark.usefixtures("shop")
def test_quickstart_and_own_model_run() -> None:
    [quickstart], [own_model] = blocks("python", README), blocks("python", PAGES["docs/models.md"])
    names: dict[str, object] = {"np": np}
    exec(quickstart, names)
    assert len(names["ranking"].agreement) == 16  # type: ignore[attr-defined]
    exec(own_model, names)


def test_the_experiment_shown_is_well_formed(tmp_path: Path) -> None:
    toml, *_ = blocks("toml", README)
    (tmp_path / "shown.toml").write_text(toml, encoding="utf-8")
    experiment = at.read_experiment(tmp_path / "shown.toml")
    assert [spec.model for spec in experiment.models] == ["LastTouch", "Markov", "my_package.my_module:MyModel"]


@pytest.mark.parametrize("toml", blocks("toml"), ids=lambda toml: toml.split("\n")[0][:40])
def test_every_toml_shown_is_valid(toml: str, tmp_path: Path) -> None:
    """Parts of an experiment are completed with what they leave out; the others are whole files."""
    path = tmp_path / "shown.toml"
    path.write_text(toml, encoding="utf-8")
    document: dict[str, Any] = tomllib.loads(toml)
    if "targets" in document:
        assert len(at.read_targets(path).targets) == len(document["targets"])
    elif "rules" in document:
        assert len(read_rules(read_toml(path)[1], "README").own) == len(document["rules"])
    else:
        tables = {"conversions": {"source": "orders.csv"}} | document.pop("tables", {})
        whole = {"name": "shown", "tables": tables, "models": [{"model": "LastTouch"}]} | document
        checked(at.Experiment, whole, origin="README")


def test_every_command_shown_exists() -> None:
    group = typer.main.get_command(app)
    commands: dict[str, Any] = group.commands  # type: ignore[attr-defined]
    shown = [
        *re.findall(r"`attribution ([^`]*)`", TEXT),
        *re.findall(r"^(?:\$ )?attribution (.*)$", TEXT, re.MULTILINE),
    ]
    assert set(commands) <= {line.split()[0] for line in shown}
    for line in shown:
        name, *rest = line.split("#")[0].split()
        if name == "--help":
            continue
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word.strip("[]").split("=")[0] for word in rest if word.strip("[]").startswith("--")} <= options


def test_tables_and_files_that_are_named_exist() -> None:
    for header in ("Holds", "Says"):
        for rows in re.findall(rf"^\| Table \| {header} \|\n\|---\|---\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE):
            assert set(re.findall(r"^\| `(\w+)` ", rows, re.MULTILINE)) <= set(output_tables())


def test_the_architecture_names_every_chapter_and_no_other() -> None:
    table = README.split("| Chapter | Holds |\n|---|---|\n")[1].split("\n\n")[0]
    named = {
        name for cell in re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE) for name in re.findall("`([^`]+)`", cell)
    }
    entries = {f"{path.name}/" for path in (ROOT / "attribution").iterdir() if (path / "__init__.py").exists()}
    modules = {path.name for path in (ROOT / "attribution").glob("[!_]*.py")}
    assert named == entries | modules
    assert len(named) <= 24


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, _, anchor in re.findall(r"\]\(([^)#:]*)(#([^)]+))?\)", PAGES[page]):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target + "#" + anchor


def test_every_guide_is_named_on_the_front_page() -> None:
    assert {page for page in PAGES if page.startswith("docs/")} <= set(re.findall(r"\]\((docs/[^)#]+)\)", README))
