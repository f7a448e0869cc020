"""Figures for scrapers: a parser of the grammar, written down a second time, reads what was put in."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.production.openmetrics import render_openmetrics
from attribution.production.status import Status
from tests.cli.test_cli import call
from tests.production.test_status import shop, written

__all__ = ["shop", "written"]

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)?\}})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|NaN|[+-]Inf)")
ESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Read(NamedTuple):
    """A family as it is read."""

    unit: str | None
    samples: dict[tuple[tuple[str, str], ...], float]


def parse(text: str) -> dict[str, Read]:
    """OpenMetrics 1.0, as far as it is used here; and what node_exporter's textfile collector needs besides."""
    assert text.endswith("# EOF\n")
    assert "\r" not in text
    families: dict[str, Read] = {}
    units: dict[str, str] = {}
    current, helped = "", ""
    for line in text.split("\n")[:-2]:
        if match := re.fullmatch(rf"# TYPE ({NAME}) gauge", line):
            current = match[1]
            assert current not in families, "a family stands in one place"
            families[current] = Read(None, {})
        elif match := re.fullmatch(rf"# UNIT ({NAME}) ([a-z]+)", line):
            assert match[1] == current
            assert current.endswith(f"_{match[2]}"), "the name ends with the unit"
            units[current] = match[2]
        elif match := re.fullmatch(rf'# HELP ({NAME}) ([^"\\]+)', line):
            assert match[1] == current
            helped = current
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            assert sample[1] == current == helped, "what it means stands before"
            pairs = tuple(
                (name, re.sub(r'\\[\\"n]', lambda found: ESCAPED[found[0]], value))
                for name, value in re.findall(LABEL, line.partition("{")[2])
            )
            assert len(dict(pairs)) == len(pairs)
            assert pairs not in families[current].samples, "no sample stands twice"
            families[current].samples[pairs] = float(sample[sample.lastindex or 0])
    assert all(family.samples for family in families.values())
    return {name: Read(units.get(name), family.samples) for name, family in families.items()}


TEXTS = st.text(st.characters(codec=None, exclude_characters="\x00\r"), min_size=1)


@given(TEXTS, TEXTS, TEXTS, st.integers(0, 10**14))
def test_any_name_comes_back(folder: str, name: str, channel: str, count: int) -> None:
    status = Status(Path(folder), "scores", name, "v1", days=count, unknown_channels={channel: count})
    families = parse(render_openmetrics([status]))

    def shown(text: str) -> str:
        return text.encode("utf-8", "replace").decode()

    labels = (("folder", shown(str(Path(folder)))), ("kind", "scores"))
    assert families["attribution_days"].samples == {labels: count}
    assert families["attribution_unknown_touchpoints"].samples == {(*labels, ("channel", shown(channel))): count}
    assert families["attribution_version"].samples == {(*labels, ("name", shown(name)), ("version", "v1")): 1}


def test_times_are_seconds_and_say_so() -> None:
    at = "2024-03-31T02:30:00+02:00"
    status = Status(Path("a"), "scores", written_at=at, last_day="2024-02-29", problems={"damaged": ("2024-02-28",)})
    families = parse(render_openmetrics([status, Status(Path("b"), "run", drifted=2)]))
    a, b = (("folder", "a"), ("kind", "scores")), (("folder", "b"), ("kind", "run"))
    written_at, ended = (families[f"attribution_{name}_timestamp_seconds"] for name in ("written", "last_day_end"))
    assert (written_at.unit, ended.unit) == ("seconds", "seconds")
    assert written_at.samples == {a: dt.datetime(2024, 3, 31, 0, 30, tzinfo=dt.UTC).timestamp()}
    assert ended.samples == {a: dt.datetime(2024, 3, 1, tzinfo=dt.UTC).timestamp()}
    assert families["attribution_needs_attention"].samples == {a: 1, b: 1}
    assert families["attribution_measures_drifted"].samples == {b: 2}
    reasons = {dict(labels)["reason"]: count for labels, count in families["attribution_problem_days"].samples.items()}
    assert reasons == {"outdated": 0, "damaged": 1, "missing": 0, "deferred": 0}


def test_no_folder_is_an_empty_file() -> None:
    assert render_openmetrics([]) == "# EOF\n"


def test_a_file_for_the_collector_is_replaced_whole(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = ("status", "scores", "summaries", "drifted", "run", "--openmetrics")
    assert call(monkeypatch, *figures, "out/shop.prom") == 3
    first = parse((shop / "out" / "shop.prom").read_text(encoding="utf-8"))
    assert len(first["attribution_needs_attention"].samples) == 4
    assert sum(first["attribution_needs_attention"].samples.values()) == 1
    assert call(monkeypatch, *figures, "out/shop.prom") == 3
    assert [path.name for path in (shop / "out").iterdir()] == ["shop.prom"]
    capsys.readouterr()
    assert call(monkeypatch, *figures, "-") == 3
    assert capsys.readouterr().out == (shop / "out" / "shop.prom").read_text(encoding="utf-8")
    assert call(monkeypatch, *figures, "t.parquet") == 2
    assert "was not written by this command" in capsys.readouterr().err
