"""How much the tests draw at random: what every run can afford, or as many times that as `make nights` asks for."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import settings

TIMES = int(os.environ.get("ATTRIBUTION_NIGHTS", "1"))

Test = TypeVar("Test", bound=Callable[..., None])


def examples(count: int, **options: Any) -> Callable[[Test], Test]:
    """So many examples in every run of the tests, and more in those of `make nights`: for those that take long.

    ``options`` are further settings of hypothesis.
    """

    def decorate(test: Test) -> Test:
        return pytest.mark.drawn(settings(max_examples=count * TIMES, **options)(test))

    return decorate
