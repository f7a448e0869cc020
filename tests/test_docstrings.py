"""The examples in docstrings run, and every public name says what it takes and shows a call."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import attribution

MODULES = [
    module.name
    for module in pkgutil.walk_packages(attribution.__path__, "attribution.")
    if module.name != "attribution.__main__"
]
PUBLIC = [name for name in attribution.__all__ if name != "__version__"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] if ".spark." in name else []) for name in MODULES]
)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_shows_a_call(name: str) -> None:
    examples = _section(_own_docstring(name), "Examples")
    assert ">>>" in examples, f"{name} has no example"
    # An example without output shows no result, unless it is that nothing is raised.
    assert name == "check_model" or any(
        example.want for example in doctest.DocTestParser().get_examples(examples.replace("Examples\n", "", 1))
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_of_a_public_name_is_described(name: str) -> None:
    public = getattr(attribution, name)
    if public.__init__ is Exception.__init__:
        return  # an error, which takes a message
    docstring = _own_docstring(name)
    described = _described(_section(docstring, "Parameters")) | _described(_section(docstring, "Attributes"))
    missing = [each for each in inspect.signature(public).parameters if each not in described]
    assert not missing, f"{name} does not describe {', '.join(missing)}"


def test_what_is_described_is_told_apart_from_prose() -> None:
    text = "Parameters\n----------\na, b : two\n    c : is prose\nd\n    Of things.\n**more : others\n"
    assert _described(text) == {"a", "b", "d", "more"}


def _own_docstring(name: str) -> str:
    """That of the name itself; what a class inherits is not about it."""
    return inspect.cleandoc(getattr(attribution, name).__doc__ or "")


def _section(docstring: str, title: str) -> str:
    """A section of a NumPy-style docstring with its heading; empty where there is none."""
    found = re.search(rf"^{title}\n-+\n.*?(?=^\w+\n-+\n|\Z)", docstring, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def _described(section: str) -> set[str]:
    """Names at the beginning of a line, as ``a, b : meaning``, or alone on it with the meaning below."""
    heads = re.findall(r"^((?:\*{0,2}\w+)(?:, \*{0,2}\w+)*)(?: :.*)?$", section, re.MULTILINE)
    return {name.lstrip("*") for head in heads for name in head.split(", ")} - {"Parameters", "Attributes"}
