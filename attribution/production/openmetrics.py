"""The status of folders as figures for scrapers, in the OpenMetrics text format.

What is written is also what Prometheus' older text format allows, which is all that the textfile collector of
node_exporter reads: gauges only, no timestamps. There ``# UNIT`` and ``# EOF`` are comments.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from attribution.production.status import REASONS, Status

Samples = Iterator[tuple[Mapping[str, str], float]]


class Family(NamedTuple):
    """A gauge: its ``name`` (which ends with its ``unit``, if it has one), what it ``means``, its ``samples``."""

    name: str
    means: str
    samples: Callable[[Status], Samples]
    unit: str | None = None


def render_openmetrics(statuses: Sequence[Status]) -> str:
    r"""The figures of folders.

    Parameters
    ----------
    statuses : of folders that differ

    Examples
    --------
    >>> from pathlib import Path
    >>> print(render_openmetrics([Status(Path("a\\b"), "run", job="died")]).splitlines()[2])
    attribution_needs_attention{folder="a\\b",kind="run"} 1
    """
    lines = []
    for family in _FAMILIES:
        samples = [
            f"{family.name}{_labels(status, labels)} {value:.15g}"
            for status in statuses
            for labels, value in family.samples(status)
        ]
        if samples:
            lines += [f"# TYPE {family.name} gauge"]
            lines += [] if family.unit is None else [f"# UNIT {family.name} {family.unit}"]
            lines += [f"# HELP {family.name} {family.means}", *samples]
    return "\n".join([*lines, "# EOF", ""])


def _labels(status: Status, labels: Mapping[str, str]) -> str:
    every = {"folder": str(status.folder), "kind": status.kind, **labels}
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in every.items()) + "}"


def _escape(text: str) -> str:
    """A label's value; what is no Unicode, such as a file name in another encoding, becomes a question mark."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", " ")


def _one(value: float | None) -> Samples:
    if value is not None:
        yield {}, float(value)


def _seconds(moment: str | None) -> float | None:
    return None if moment is None else dt.datetime.fromisoformat(moment).timestamp()


def _end_of(day: str | None) -> float | None:
    if day is None:
        return None
    end = dt.date.fromisoformat(day) + dt.timedelta(days=1)
    return dt.datetime(end.year, end.month, end.day, tzinfo=dt.UTC).timestamp()


def _versions(status: Status) -> Samples:
    if status.version is not None:
        yield {"name": status.name or "", "version": status.version}, 1.0


def _problem_days(status: Status) -> Samples:
    # A zero is what an alert is resolved by.
    if status.kind in ("scores", "summaries"):
        for reason in REASONS:
            yield {"reason": reason}, float(len(status.problems.get(reason, ())))


def _unknown(status: Status) -> Samples:
    for channel, count in sorted(status.unknown_channels.items()):
        yield {"channel": channel}, float(count)


_FAMILIES = (
    Family(
        "attribution_needs_attention",
        "Whether attribution status ends with exit code 3 for the folder.",
        lambda status: _one(status.needs_attention),
    ),
    Family("attribution_job_at_work", "Whether a job holds the folder.", lambda status: _one(status.job == "at work")),
    Family(
        "attribution_job_died",
        "Whether a job ended without clearing up. The next one does.",
        lambda status: _one(status.job == "died"),
    ),
    Family(
        "attribution_written_timestamp_seconds",
        "When the folder last changed.",
        lambda status: _one(_seconds(status.written_at)),
        "seconds",
    ),
    Family(
        "attribution_last_day_end_timestamp_seconds",
        "When the last day of the folder ended (UTC).",
        lambda status: _one(_end_of(status.last_day)),
        "seconds",
    ),
    Family("attribution_days", "Days in the folder.", lambda status: _one(status.days)),
    Family("attribution_problem_days", "Days that are not as they should be, by reason.", _problem_days),
    Family("attribution_rows", "Rows of all days.", lambda status: _one(status.rows)),
    Family("attribution_conversions", "Conversions of all days.", lambda status: _one(status.conversions)),
    Family(
        "attribution_unknown_touchpoints",
        "Touchpoints of channels that the model does not know, in what the last job scored.",
        _unknown,
    ),
    Family("attribution_measures_drifted", "Measures that drifted.", lambda status: _one(status.drifted)),
    Family("attribution_version", "1; the labels tell the version of the model or of the summaries.", _versions),
)
