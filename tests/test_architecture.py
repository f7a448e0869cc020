"""Rules of the house, executed: imports, names, sizes, loading times of heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import attribution
from attribution.production.output_tables import output_tables
from attribution.schema import tables

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "attribution"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FOLDERS_OF_THEIR_OWN = {
    "mutants": "changes the package in small ways and looks whether its tests notice",
    "twins": "slow second implementations that several chapters are compared with",
    "written_before": "folders that earlier versions wrote, read through the commands",
}
"""Folders of tests that no folder of the package stands beside, and why."""

PARTICIPLES = {
    *("written", "merged", "numbered", "filtered", "booked", "boxed", "broken", "compared", "counted", "encoded"),
    *("expected", "fared", "fitted", "followed", "gained", "judged", "loaded", "measured", "placed", "prepared"),
    *("raised", "reached", "recoded", "returned", "scaled", "shortened", "sized", "specified", "spelled", "stacked"),
    *("summed", "taken", "typed", "wasted"),
}
"""As names of functions these say neither what is done nor what comes back; as variables they may."""

BANNED = {
    *("found", "given", "place", "asked", "told", "known", "kept", "said", "named", "wanted", "lacking", "seen"),
    *("others", "drawn", "bare", "laid_out", "facts", "aside", "strangers", "ripeness", "matured", "pieces", "only"),
    *("is_seen", "standing", "doubt", "gate", "room", "house", "floor", "settle", "lay_out", "hand_out", "handed_out"),
    *("worlds", "course", "people", *PARTICIPLES),
}
"""Names that do not say what they hold or do; a row of a table is a ``row``, matches are ``matches``."""

BANNED_ONLY_FOR_FUNCTIONS = {"floor", *PARTICIPLES}
"""As variables these say what they hold: a bound from below, what has been written."""

HEAVY = (
    "mlflow",
    "pandas",
    "altair",
    "statsmodels",
    "sklearn",
    "duckdb",
    "numba",
    "scipy",
    "networkx",
    "pyarrow",
)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(filter(None, done.stdout.strip().split(",")))


def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import attribution") == set()


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by("import attribution.cli.main") == set()


def test_running_without_tracking_does_not_load_mlflow() -> None:
    assert "mlflow" not in loaded_by(
        "import attribution.pipeline.pipeline, attribution.pipeline.output, attribution.reporting.report"
    )


def test_every_public_name_can_be_reached() -> None:
    assert attribution.__all__ == ["__version__", *sorted(set(attribution.__all__) - {"__version__"})]
    for name in attribution.__all__:
        assert getattr(attribution, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'NoSuchModel'"):
        _ = attribution.NoSuchModel


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            documentation = ast.get_docstring(node) or ""
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1 - len(documentation.splitlines())
            assert length <= 60, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_and_classes_say_what_they_do(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def test_tests_lie_in_the_folder_of_what_they_test() -> None:
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")} - {Path()}
    assert set(FOLDERS_OF_THEIR_OWN) <= {str(folder) for folder in folders}
    lost = {str(folder) for folder in folders if not (PACKAGE / folder / "__init__.py").is_file()}
    assert lost == set(FOLDERS_OF_THEIR_OWN)


def test_no_room_for_leftovers() -> None:
    forbidden = {"utils", "helpers", "common", "core", "constants"}
    assert not forbidden & {path.stem for path in SOURCES}


def names_in(tree: ast.AST) -> list[tuple[str, int]]:
    """Names of functions, parameters, variables and fields that a module binds, and the lines they are bound in."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.append((node.name.strip("_"), node.lineno))
            is_error = node.name == "__init__" and any(each.arg == "problem" for each in node.args.args)
            # The error says to callers what was given: a word of its public signature.
            keywords = [] if is_error else node.args.kwonlyargs
            names += [(each.arg, each.lineno) for each in (*node.args.posonlyargs, *node.args.args, *keywords)]
        elif isinstance(node, ast.Lambda):
            names += [(each.arg, each.lineno) for each in node.args.args]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append((node.id, node.lineno))
    return names


def functions_in(tree: ast.AST) -> list[tuple[str, int]]:
    """Names of the functions of a module, and their lines."""
    return [(node.name.strip("_"), node.lineno) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_banned_names() -> None:
    banned = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [each for each in names_in(tree) if each[0] in BANNED - BANNED_ONLY_FOR_FUNCTIONS]
        names += [each for each in functions_in(tree) if each[0] in BANNED_ONLY_FOR_FUNCTIONS]
        banned += [f"{path.relative_to(ROOT)}:{line} {name}" for name, line in names]
    assert banned == []


def test_tables_describe_every_column_once() -> None:
    for table in (*tables.INPUTS.values(), *output_tables().values()):
        assert len(set(table.column_names)) == len(table.columns)
        assert all(column.meaning for column in table.columns)


def test_no_lock_file_records_an_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--hash=sha256:" in lock
