"""Finished runs: what they asked for, when, and their tables."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from attribution.arguments import check_arguments
from attribution.decisions.migration import migrate_tables
from attribution.errors import InputError, did_you_mean
from attribution.returns import main_basis
from attribution.schema.experiment import Experiment, parse_experiment, read_toml
from attribution.schema.tables import CAUSED, DICTIONARY, JOURNEY_CREDIT

_NEEDED = ("credit", "returns")
_SKIPPED = {JOURNEY_CREDIT.name, DICTIONARY.name}
"""What is large, and what says no number."""

_DRAWN = ("conversions", "value", "new_customers", "return", "spend")


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes
    ----------
    name : of its folder, or of its experiment
    experiment : what it asked for
    tables : what it wrote, by name
    span : first and last event of its data as text; None where not known
    digests : fingerprint of the content of each input table; empty where not known
    """

    name: str
    experiment: Experiment
    tables: Mapping[str, pd.DataFrame]
    span: tuple[str, str] | None = None
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        """Labels of its models, in the order of the experiment.

        What says what channels caused is not among them unless the experiment names it: it is asked for by its label.
        """
        is_chosen = any(spec.name == CAUSED or spec.model == "AdditiveHazard" for spec in self.experiment.models)
        return [label for label in self.labels if label != CAUSED or is_chosen]

    @property
    def labels(self) -> list[str]:
        """Labels of all models that its tables have."""
        return list(dict.fromkeys(self.tables["returns"]["model"]))

    @property
    def log(self) -> tuple[dt.date, dt.date] | None:
        """Day of the first and of the last event of its data; None where these have no dates."""
        if self.span is None:
            return None
        first, last = map(_day_of, self.span)
        return None if first is None or last is None else (first, last)

    @property
    def period(self) -> tuple[dt.date, dt.date] | None:
        """First and last day that it counts conversions on; None where its data have no dates."""
        bounds = self.experiment.period.bounds()
        days = [_day_of(text) for text in self.span] if self.span is not None else [None, None]
        first, last = (_day_at(bound) or day for bound, day in zip(bounds, days, strict=True))
        return None if first is None or last is None else (first, last)

    @property
    def days(self) -> int | None:
        """How many days it covers."""
        period = self.period
        return None if period is None else (period[1] - period[0]).days + 1

    @property
    def terms(self) -> tuple[str, str]:
        """Basis and cost basis that channels are ranked by."""
        first = self.tables["returns"].iloc[:1]
        return str(first["basis"].squeeze()), str(first["cost_basis"].squeeze())

    @property
    def level(self) -> float:
        """Nominal coverage of its intervals."""
        resampling = self.experiment.resampling
        return 0.9 if resampling is None else resampling.level

    def returns(self, model: str, basis: str | None = None, cost_basis: str | None = None) -> pd.DataFrame:
        """Rows of ``returns`` of one model by channel, on the terms that channels are ranked by unless given.

        Raises
        ------
        InputError
            If the run has no such model, or does not know these terms.
        """
        self.check_model(model)
        table = self.tables["returns"]
        available = table[["basis", "cost_basis"]].drop_duplicates().apply(tuple, axis=1).tolist()
        terms = (basis or self.terms[0], cost_basis or self.terms[1])
        if terms not in available:
            raise InputError(
                f"run {self.name!r} has no returns for this basis and cost basis",
                given=" on ".join(terms),
                allowed=[" on ".join(pair) for pair in available],
            )
        rows = table[(table["model"] == model) & (table["basis"] == terms[0]) & (table["cost_basis"] == terms[1])]
        return rows.set_index("channel")

    def check_model(self, model: str) -> None:
        """Raise `InputError` if the run has no such model."""
        if model not in self.labels:
            hint = did_you_mean(model, self.labels)
            raise InputError(f"run {self.name!r} has no model {model!r}", allowed=self.labels, hint=hint)

    def draws(self, model: str) -> dict[str, pd.DataFrame]:
        """Draws (draws × channels) of one model by measure, see table ``draws``; empty where the run kept none."""
        table = self.tables.get("draws")
        if table is None:
            return {}
        rows = table[table["model"] == model]
        return {name: rows.pivot(index="draw", columns="channel", values=name) for name in _DRAWN}


@check_arguments
def read_run(folder: str | Path) -> Run:
    r"""Read the output folder of a run.

    Parameters
    ----------
    folder : that a run was written to

    Returns
    -------
    Run
        What was asked for, when, and every table by its name.

    Raises
    ------
    InputError
        If there is no such folder, or it is not that of a run.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import attribution as at
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "paths.csv").write_text("path,conversions\nmail > search,2\n")
    >>> _ = (folder / "shop.toml").write_text('''
    ... [tables.paths]
    ... source = "paths.csv"
    ... [[models]]
    ... model = "Linear"
    ... ''')
    >>> from attribution.pipeline.output import write_outcome
    >>> outcome = at.run_experiment(folder / "shop.toml")
    >>> (folder / "run").mkdir()
    >>> write_outcome(folder / "run", outcome, report="", seconds=1.0)
    >>> at.read_run(folder / "run").tables["credit"]["conversions"].tolist()
    [1.0, 1.0, 0.0]
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"run folder {folder} does not exist", hint="give a folder that `attribution run` wrote")
    missing = [name for name in _NEEDED if not (folder / f"{name}.parquet").is_file()]
    if missing or not (folder / "experiment.toml").is_file():
        raise InputError(
            f"folder {folder} is not the folder of a run: it has no {missing[0] if missing else 'experiment.toml'}",
            hint="give a folder that `attribution run` wrote",
        )
    tables = {}
    for path in sorted(folder.glob("*.parquet")):
        if path.stem not in _SKIPPED:
            tables[path.stem] = _read_table(path)
    text = (folder / "experiment.toml").read_text(encoding="utf-8")
    overrides = re.findall(r"^# --set (.+)$", text, re.MULTILINE)
    experiment = parse_experiment(folder / "experiment.toml", overrides, is_migrated=True)
    experiment = with_channel_rules(experiment, folder / "channels.toml")
    manifest = _manifest(folder / "manifest.json")
    span = manifest.get("span")
    ends = None if span is None else (str(span[0]), str(span[1]))
    return Run(folder.resolve().name, experiment, migrate_tables(tables), ends, dict(manifest.get("inputs", {})))


def with_channel_rules(experiment: Experiment, path: Path) -> Experiment:
    """The experiment with the channel rules of the file that it names: files change, and are elsewhere later.

    Parameters
    ----------
    experiment : what was asked for
    path : where the file, or the copy of it, lies
    """
    if "file" not in experiment.channels or not path.is_file():
        return experiment
    return experiment.model_copy(update={"channels": read_toml(path)[1]})


def main_terms(run: Run) -> pd.DataFrame:
    """Rows of ``returns`` that channels are ranked by."""
    return main_basis(run.tables["returns"])


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"table {path} cannot be read: {str(error).splitlines()[0]}") from None


def _manifest(path: Path) -> dict[str, Any]:
    """What is known of a run beside its tables; nothing where that is lost."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _day_of(text: str) -> dt.date | None:
    return None if text.startswith("position") else dt.date.fromisoformat(text[:10])


def _day_at(bound: int | None) -> dt.date | None:
    return None if bound is None else (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=bound)).date()
