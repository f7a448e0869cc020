"""A plugin of pytest for runs of a mutant: a test that takes far longer than it should ends the run."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

LIMITS: dict[str, float] = {}


def pytest_configure(config: pytest.Config) -> None:
    """Let the alarm end the process itself: a loop in compiled code hears nothing of Python's handlers."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    LIMITS.update(json.loads(Path(os.environ["MUTANTS_LIMITS"]).read_text(encoding="utf-8")))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only the tests that run the changed lines; one that has another name under the mutant is not there to ask."""
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in LIMITS])
    items[:] = [item for item in items if item.nodeid in LIMITS]


def pytest_collection_finish(session: pytest.Session) -> None:
    """One failing example is enough; nobody reads a smaller one."""
    settings.register_profile(
        "mutants", settings(settings.get_profile("project"), phases=[Phase.explicit, Phase.generate])
    )
    settings.load_profile("mutants")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, LIMITS[item.nodeid])
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
