"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import attribution

MODULES = [
    module.name
    for module in pkgutil.walk_packages(attribution.__path__, "attribution.")
    if module.name != "attribution.__main__"
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
