"""A section is one thing: what it brings shows up everywhere, and nothing else knows of it."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.pipeline import provenance, sections
from attribution.pipeline.sections import SHIPPED, load_sections
from attribution.schema.experiment import core_keys
from attribution.schema.tables import Table
from tests.cli.test_cli import call

PACKAGE = Path(at.__file__).parent

GREETING = """
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from attribution.schema.tables import Column, Table
from attribution.sections import FigureSpec, Finding, ReportPart, Section

GREETINGS = Table(
    "greetings",
    "channel",
    (
        Column("channel", "text", "who is greeted"),
        Column("waves", "integer", "how often", unit="waves"),
    ),
)


class GreetingOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    times: int = Field(default=1, ge=1)


class GreetingSection(Section):
    name = "greeting"
    options = GreetingOptions
    declared = (GREETINGS,)

    def tables(self, context):
        asked = context.experiment.options(self.name, GreetingOptions)
        channels = sorted(set(context.tables["credit"]["channel"]))
        return {"greetings": pd.DataFrame({"channel": channels, "waves": asked.times})}

    def findings(self, context, tables):
        return [Finding("greeting", "credit", "pass", len(tables.get("greetings", ())), None, None, "all are greeted")]

    def metrics(self, tables, model=None):
        if model is not None or "greetings" not in tables:
            return {}
        return {"waves": float(tables["greetings"]["waves"].sum())}

    def figures(self, tables):
        if "greetings" not in tables:
            return ()
        drawn = {"table": tables["greetings"], "label": "channel", "amount": "waves"}
        return (FigureSpec("plain_bars", {**drawn, "name": "waving", "title": "Who is greeted"}),)

    def part(self, tables, language):
        if "greetings" not in tables:
            return None
        said = {"says": ["Everybody <is> greeted."], "tables": {"All of them": tables["greetings"]}}
        return ReportPart((("greeting", "Greetings"),), headlines=("Good day to all.",), values=said)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package with entry points on the path, as pip would."""
    installed: list[str] = []

    def put(code: str, points: str = "greeting = {module}:GreetingSection", package: str = "good-manners") -> None:
        module = package.replace("-", "_")
        site = tmp_path / f"site-{package}"
        metadata = site / f"{module}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (site / f"{module}.py").write_text(dedent(code), encoding="utf-8")
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        entry = f"[attribution.sections]\n{points.format(module=module)}\n"
        (metadata / "entry_points.txt").write_text(entry, encoding="utf-8")
        monkeypatch.syspath_prepend(site)
        importlib.invalidate_caches()
        installed.append(module)

    yield put
    for module in installed:
        sys.modules.pop(module, None)


def shop(folder: Path, more: str = "") -> Path:
    """An experiment on four customers."""
    folder.mkdir(exist_ok=True)
    at_days = [f"2024-03-0{day}" for day in (1, 2, 3, 4)]
    touched = pd.DataFrame({"customer_id": ["a", "a", "b", "c"], "touched_at": at_days, "channel": list("xyyz")})
    touched.to_csv(folder / "touched.csv", index=False)
    bought = pd.DataFrame({"customer_id": ["a", "b"], "converted_at": "2024-03-05", "value": [10, 20]})
    bought.to_csv(folder / "bought.csv", index=False)
    path = folder / "shop.toml"
    path.write_text(
        dedent("""
        [tables.touchpoints]
        source = "touched.csv"
        [tables.conversions]
        source = "bought.csv"
        [[models]]
        model = "LastTouch"
        [[models]]
        model = "Linear"
        [tracking]
        enabled = false
        """)
        + more,
        encoding="utf-8",
    )
    return path


def test_a_section_of_another_package_is_in_all_that_a_run_leaves(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], str]
) -> None:
    from mlflow.tracking import MlflowClient

    path, out, store = shop(tmp_path / "shop"), tmp_path / "out", new_store(tmp_path)
    install(GREETING)
    tracked = ("--set", "tracking.enabled=true", "--set", f"tracking.uri={store}")
    assert call(monkeypatch, "run", path, "--set", "greeting.times=3", *tracked, "--out", out) == 0
    expected = pd.DataFrame({"channel": ["(unattributed)", "x", "y", "z"], "waves": 3})
    pd.testing.assert_frame_equal(pd.read_parquet(out / "greetings.parquet"), expected)
    pd.testing.assert_frame_equal(pd.read_csv(out / "greetings.csv"), expected)
    dictionary = pd.read_csv(out / "dictionary.csv").query("table == 'greetings'")
    assert dictionary[["column", "unit", "meaning"]].fillna("").to_numpy().tolist() == [
        ["channel", "", "who is greeted"],
        ["waves", "waves", "how often"],
    ]
    assert "greeting" in set(pd.read_csv(out / "quality.csv")["check"])
    record = json.loads((out / "record.json").read_text(encoding="utf-8"))
    assert record["run"]["metrics"]["waves"] == 12.0
    assert record["run"]["params"]["greeting.times"] == "3"
    client = MlflowClient(tracking_uri=store)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert [run.data.metrics["waves"] for run in runs if "waves" in run.data.metrics] == [12.0]
    page = (out / "report.html").read_text(encoding="utf-8")
    for shown in (
        '<a href="#greeting">Greetings</a>',
        '<h2 id="greeting">Greetings</h2>',
        "<p>Good day to all.</p>",
        "<p>Everybody &lt;is&gt; greeted.</p>",
        '<figure id="waving">',
        "<h3>greetings</h3>",
    ):
        assert shown in page, shown


def test_it_is_asked_only_where_it_is_wanted(tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(GREETING)
    out = tmp_path / "out"
    assert call(monkeypatch, "run", shop(tmp_path / "shop"), "--out", out) == 0
    assert not (out / "greetings.parquet").exists()
    assert "Good day" not in (out / "report.html").read_text(encoding="utf-8")


def test_another_version_of_it_makes_another_run(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finished run is kept only as long as the code of every section is as it was."""
    path, out = shop(tmp_path / "shop", "\n[greeting]\n"), tmp_path / "out"
    install(GREETING)
    for _ in range(2):
        assert call(monkeypatch, "run", path, "--out", out) == 0
    assert "nothing was run again" in capsys.readouterr().out
    module = tmp_path / "site-good-manners" / "good_manners.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n# politer\n", encoding="utf-8")
    assert call(monkeypatch, "run", path, "--out", out) == 0
    assert "nothing was run again" not in capsys.readouterr().out


BROKEN = {
    "has the name 'no name'": GREETING.replace('name = "greeting"', 'name = "no name"'),
    "has a name that is already in use": GREETING.replace('name = "greeting"', 'name = "placebo"'),
    "has a name that is already in use.": GREETING.replace('name = "greeting"', 'name = "journeys"'),
    "declares the table 'credit'": GREETING.replace('"greetings",\n    "channel"', '"credit",\n    "channel"'),
    "has a method metrics that does not take": GREETING.replace("(self, tables, model=None)", "(self)"),
    "has no method is_wanted": GREETING.replace("(Section)", ""),
    "has options that are not a pydantic model": GREETING.replace("options = GreetingOptions", "options = dict"),
    "does not declare its tables": GREETING.replace("declared = (GREETINGS,)", 'declared = "greetings"'),
    "cannot be loaded: ZeroDivisionError": "1 / 0",
}


@pytest.mark.parametrize("why", BROKEN)
def test_a_section_that_cannot_be_used_is_refused_with_its_package(
    why: str, tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(BROKEN[why])
    out = tmp_path / "out"
    assert call(monkeypatch, "run", shop(tmp_path / "shop"), "--out", out) == 2
    said = capsys.readouterr().err
    assert "good-manners" in said
    assert why.rstrip(".") in said
    assert not out.exists()


def test_two_packages_cannot_have_one_section(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(GREETING)
    install(GREETING.replace("greetings", "waves_to"), package="zealous-manners")
    assert call(monkeypatch, "validate", shop(tmp_path / "shop")) == 2
    assert "package 'zealous-manners' has a name that is already in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ('{"waves_to": pd.DataFrame()}', "returns the table 'waves_to', but declares greetings"),
        ('{"greetings": pd.DataFrame({"channel": ["x"]})}', "returns the table 'greetings' without its column 'waves'"),
        ("None", "returns None from tables instead of a mapping"),
        ('{"greetings": [1]}', "returns 'greetings' as a list of 1 instead of a DataFrame"),
        ('{}["nobody"]', "failed in tables: KeyError: 'nobody'"),
    ],
)
def test_tables_that_are_not_as_declared_are_refused(
    given: str,
    why: str,
    tmp_path: Path,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(GREETING.replace("asked = context", f"return {given}\n        asked = context"))
    out = tmp_path / "out"
    assert call(monkeypatch, "run", shop(tmp_path / "shop", "[greeting]\n"), "--out", out) == 2
    assert f"section 'greeting' of package 'good-manners' {why}" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("[sensitivty]\ndraws = 60\n", "unknown key 'sensitivty'"),
        ("[sensitivty]\ndraws = 60\n", "did you mean 'sensitivity'?"),
        ("[doubt]\ndraws = 60\n", "unknown key 'doubt'"),
        ("[doubt]\ndraws = 60\n", "it is called sensitivity now"),
        ("[budget]\ntotl = 5\n", "unknown key 'budget.totl'"),
        ("[budget]\ntotl = 5\n", "did you mean 'total'?"),
        ("[stability]\nparts = 1\n", "stability.parts"),
        ("[greeting]\n", "unknown key 'greeting'"),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate", "summarise"])
def test_what_no_section_owns_or_takes_is_refused(
    command: str,
    more: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = shop(tmp_path / "shop", more)
    to = {"run": ["--out", tmp_path / "out"], "summarise": ["--to", tmp_path / "out"]}.get(command, [])
    assert call(monkeypatch, command, path, *to) == 2
    said = capsys.readouterr().err
    assert f"{path.name}: " in said
    assert why in said
    assert not (tmp_path / "out").exists()


def test_options_given_in_python_are_checked_alike(tmp_path: Path) -> None:
    frames = {"touchpoints": {"source": "t"}, "conversions": {"source": "c"}}
    asked = at.Experiment(name="x", tables=frames, models=[{"model": "LastTouch"}], stabilty={"parts": 3})
    with pytest.raises(InputError, match=r"experiment 'x': unknown key 'stabilty'.*did you mean 'stability'"):
        at.run_experiment(asked)


def test_every_name_is_taken_once() -> None:
    """Two sections may fill one table: it is then one declaration, and no section declares it twice."""
    each = load_sections().each
    names = [section.name for section in each]
    assert len(set(names)) == len(names)
    declared: dict[str, Table] = {}
    for section in each:
        assert len({table.name for table in section.declared}) == len(section.declared)
        for table in section.declared:
            assert declared.setdefault(table.name, table) is table, (section.name, table.name)
    shared = [table.name for section in each for table in section.declared]
    assert {name for name in shared if shared.count(name) > 1} == {"rank_probability", "differences", "held_out"}
    assert not {section.name for section in each if section.options is not None} & set(core_keys())


def test_nothing_but_the_list_names_a_section() -> None:
    """No other module knows a section's class, and those that every run goes through know no section's name."""
    classes = {kind.__name__: Path(sys.modules[kind.__module__].__file__ or "") for kind in SHIPPED}
    asked = {kind.name for kind in SHIPPED if kind.options is not None} | {"diagnosis"}
    the_list = Path(sections.__file__)
    # What the command `attribution budget` does is no part of a run.
    machinery = [*(PACKAGE / "pipeline").glob("*.py"), *(PACKAGE / "reporting" / "report").glob("*.py")]
    machinery += [*(PACKAGE / "tracking").glob("*.py"), *(PACKAGE / "schema" / "experiment").glob("*.py")]
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path == the_list:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            name = node.id if isinstance(node, ast.Name) else node.name if isinstance(node, ast.alias) else None
            if name in classes and classes[name].parent != path.parent:
                found.append(f"{path.name}: {name}")
            text = node.value if isinstance(node, ast.Constant) else None
            if text in asked and path in machinery and path.name != "planning.py":
                found.append(f"{path.name}: {text!r}")
    assert found == []


def test_the_version_of_the_code_is_that_of_the_whole_package() -> None:
    assert provenance._PACKAGE == PACKAGE
