"""The parts of a run's outcome that become a scorer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from attribution.data.loading.events import Dimensions
from attribution.errors import InputError, did_you_mean
from attribution.journeys import JourneyChunk
from attribution.models import AttributionModel
from attribution.models.machinery import get_machinery
from attribution.models.saved.definition import Definition, Training
from attribution.schema.experiment import Experiment, read_toml
from attribution.schema.tables import CAUSED

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = ("credit", "returns", "placebo")
"""Tables of a run whose rows of the model are saved beside it."""

NOT_OF_DAYS = {"returns": "returns", "placebo": "a placebo test"}
"""Those of them that daily summaries do not give, in words."""


class Fitted(Protocol):
    """What a scorer needs of the outcome of a run."""

    @property
    def experiment(self) -> Experiment: ...

    @property
    def models(self) -> Sequence[AttributionModel]: ...

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]: ...

    @property
    def training(self) -> Training | None: ...


def find_model(outcome: Fitted, label: str | None) -> AttributionModel:
    """The model of an outcome with this ``label``; the only one if None, as `only_model` says."""
    labels = [model.label for model in outcome.models]
    label = label or only_model(labels)
    if label not in labels:
        raise InputError(
            "the run has several models: name one" if label is None else f"the run has no model {label!r}",
            allowed=labels,
            hint=None if label is None else did_you_mean(label, labels),
        )
    return outcome.models[labels.index(label)]


def only_model(labels: Sequence[str]) -> str | None:
    """The label of the only model of a run; None where there are several.

    What says what channels caused stands beside the models of a run, and is taken only where it is named.

    Examples
    --------
    >>> only_model(["linear", "additive_hazard"]), only_model(["linear", "markov"])
    ('linear', None)
    """
    chosen = [label for label in labels if label != CAUSED] or list(labels)
    return chosen[0] if len(chosen) == 1 else None


def make_definition(outcome: Fitted) -> Definition:
    """How the journeys of an outcome were made from its tables."""
    experiment = outcome.experiment
    channels: Mapping[str, Any] = experiment.channels
    if "file" in channels:
        channels = read_toml(experiment.folder / str(channels["file"]))[1]
    reading = {}
    for name, spec in experiment.tables.items():
        options = spec.model_dump(mode="json", exclude_defaults=True, exclude={"source", "query"})
        if options and spec.query is None:
            reading[name] = options
    rates = experiment.returns.rates
    return Definition(experiment.journeys, experiment.grain, dict(channels), reading, outcome.training, rates)


def reference_tables(outcome: Fitted, label: str) -> dict[str, pd.DataFrame]:
    """Rows of an outcome's tables about one model, and how long its journeys are."""
    tables = {}
    for name in REFERENCE:
        if name in outcome.tables:
            frame = outcome.tables[name]
            tables[name] = frame[frame["model"] == label].reset_index(drop=True)
    if "journey_profile" in outcome.tables:
        tables["journey_profile"] = outcome.tables["journey_profile"]
    return tables


class LazyTables(Mapping[str, Any]):
    """Parquet files by name, each read on first use."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = dict(files)

    def __getitem__(self, name: str) -> pd.DataFrame:
        import pandas as pd

        return pd.read_parquet(self._files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def check_allocation(model: AttributionModel) -> None:
    """Raise `InputError` if ``model`` publishes totals that it cannot allocate journey by journey."""
    if not get_machinery(model).knows_channels or not model.channels_:
        return
    size = len(model.channels_)
    every = np.arange(size)
    nothing = np.zeros(size, np.int64)
    chunk = JourneyChunk(
        channel=every.astype(np.int32),
        code=every,
        touched_at=nothing,
        start=every,
        stop=every + 1,
        ended_at=nothing,
        conversions=np.ones(size, bool),
        nulls=np.zeros(size, bool),
        value=np.zeros(size),
        is_open=np.zeros(size, bool),
        conversion=every,
        customer=every,
        customer_ids=None,
        cost=None,
        dimensions=Dimensions(("channel",), (model.channels_,)),
    )
    model.weigh(chunk)
