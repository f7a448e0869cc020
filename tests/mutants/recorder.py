"""A plugin of pytest that writes down which lines each test runs, and how long it takes.

Time is that of the processor: what else the machine does decides nothing.
What a fixture of a whole file or session runs counts for every test that asks for it, not for the first one alone.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import coverage
import pytest


class TooSlow(BaseException):
    """A test has had its time; no test that expects an error takes this for it."""


def _stop(signal_number: int, frame: FrameType | None) -> None:
    raise TooSlow


def pytest_configure(config: pytest.Config) -> None:
    signal.signal(signal.SIGPROF, _stop)
    config.pluginmanager.register(Recorder(Path(os.environ["MUTANTS_RECORD"]), float(os.environ["MUTANTS_SECONDS"])))


class Recorder:
    def __init__(self, target: Path, seconds: float) -> None:
        self.root = Path.cwd()
        self.target, self.limit = target, seconds
        folders = os.environ["MUTANTS_FOLDERS"].split(":")
        self.coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[f"{self.root / folder}/*" for folder in folders]
        )
        self.coverage.start()
        self.seconds: dict[str, float] = {}
        self.fixtures: dict[str, list[str]] = {}
        self.spent: dict[str, float] = {}
        self.unfit: dict[str, str] = {}
        self.shared: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.coverage.switch_context(item.nodeid)
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, self.limit)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.seconds[item.nodeid] = time.process_time() - started
            self.coverage.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: pytest.FixtureRequest) -> Iterator[object]:
        if fixturedef.scope == "function":
            return (yield)
        name = f"fixture {fixturedef.argname}"
        self.shared.append(name)
        self.coverage.switch_context(name)
        started = time.process_time()
        try:
            return (yield)
        finally:
            self.spent[name] = time.process_time() - started
            self.shared.pop()
            self.coverage.switch_context(self.shared[-1] if self.shared else request._pyfuncitem.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.unfit[report.nodeid] = str(report.longrepr).strip().rsplit("\n", 1)[-1]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            self.fixtures[item.nodeid] = [f"fixture {name}" for name in getattr(item, "fixturenames", ())]

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        ran = self._lines_by_context()
        tests = {}
        for test, seconds in self.seconds.items():
            if test in self.unfit:
                continue
            lines: dict[str, set[int]] = {}
            for context in (test, *self.fixtures[test]):
                for file, numbers in ran.get(context, {}).items():
                    lines.setdefault(file, set()).update(numbers)
            wide = sum(self.spent.get(name, 0.0) for name in self.fixtures[test])
            tests[test] = {
                "seconds": round(seconds + wide, 3),
                "lines": {file: sorted(numbers) for file, numbers in sorted(lines.items())},
            }
        self.target.write_text(json.dumps({"tests": tests, "unfit": self.unfit}), encoding="utf-8")

    def _lines_by_context(self) -> dict[str, dict[str, set[int]]]:
        """Lines of functions only: what runs when a module is imported runs in whichever test comes first."""
        data = self.coverage.get_data()
        ran: dict[str, dict[str, set[int]]] = {}
        for path in data.measured_files():
            name = Path(path).relative_to(self.root).as_posix()
            inside = lines_of_functions(Path(path).read_bytes())
            for line, contexts in data.contexts_by_lineno(path).items():
                for context in contexts if line in inside else ():
                    ran.setdefault(context, {}).setdefault(name, set()).add(line)
        return ran


def lines_of_functions(text: bytes) -> set[int]:
    """Return the numbers of the lines that run when a function is called."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            inside.update(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
    return inside
