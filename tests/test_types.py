"""Types reach users: checkers and editors know every public name, and what it takes."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import attribution

ROOT = Path(__file__).resolve().parents[1]

SNIPPET = """
import pandas as pd

import attribution as at

sources = at.load_sources(paths=pd.DataFrame({"path": ["mail > search"], "conversions": [2]}))
journeys = at.build_journeys(sources, lookback_days=30)
credit: at.Credit = at.attribute(journeys, at.LastTouch())
credit = at.attribute(journeys, [at.Linear(), at.Markov(order=2), at.Shapley(game="set")])
returns: pd.DataFrame = at.compute_returns(credit, sources, margin=0.3)
ranking: at.Ranking = at.compare_rankings(returns)
options = at.BudgetOptions(total=100.0)
plan: at.BudgetPlan = at.propose_budget(returns, options)
rules = at.ChannelRules((at.Rule("Partner", source=("acme",)),))
paths = pd.DataFrame({"path": ["mail > search"], "conversions": [2]})
experiment = at.Experiment(name="shop", tables={"paths": paths}, models=[{"model": "Linear"}], budget={"total": 9})

at.Markov(ordre=2)
at.NoSuch
at.attribute(sources, at.LastTouch())
at.BudgetOptions(totl=100.0)
at.Experiment(name="shop", tables={"paths": paths}, models=3)
number: int = at.lifetime_value(10.0, retention=0.5, discount=0.1, periods=3)
"""

ERRORS = [
    ("at.Markov(ordre=2)", 'Unexpected keyword argument "ordre" for "Markov"'),
    ("at.NoSuch", 'Module has no attribute "NoSuch"'),
    ("at.attribute(sources", 'Argument 1 to "attribute" has incompatible type "Sources"; expected "Journeys"'),
    ("at.BudgetOptions(totl", 'Unexpected keyword argument "totl" for "BudgetOptions"'),
    ("at.Experiment(name", 'Argument "models" to "Experiment" has incompatible type "int"'),
    ("number: int", 'expression has type "float", variable has type "int"'),
]


@pytest.mark.nightly
@pytest.mark.slow
def test_a_checker_finds_exactly_the_mistakes(tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(SNIPPET)
    flags = ["--strict", "--no-error-summary", "--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "snippet.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
    )
    lines = SNIPPET.splitlines()
    found = [line for line in done.stdout.splitlines() if line.startswith("snippet.py") and ": error: " in line]
    said = [(lines[int(line.split(":")[1]) - 1], line.split(": error: ")[1]) for line in found]
    assert len(said) == len(ERRORS), done.stdout + done.stderr
    for (code, message), (begins, part) in zip(said, ERRORS, strict=True):
        assert code.startswith(begins)
        assert part in message


def test_checkers_know_the_names_that_load_when_used() -> None:
    tree = ast.parse((ROOT / "attribution" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and _asks_for_checkers(node.test))
    known = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for name in node.names:
            # Under its own name once more, or it is no name of this module to a checker.
            assert name.asname == name.name
            known[name.name] = node.module
    assert known == attribution._HOME_OF


def _asks_for_checkers(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def test_the_wheel_says_that_it_is_typed(tmp_path: Path) -> None:
    code = f"from flit_core.buildapi import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    with zipfile.ZipFile(tmp_path / done.stdout.strip().splitlines()[-1]) as wheel:
        assert "attribution/py.typed" in wheel.namelist()
