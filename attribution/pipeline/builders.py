"""What an experiment asks for, as objects: its engine, its tables, its journeys, its models."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attribution.data.channels import ChannelRules, read_rules
from attribution.data.engine import DuckDBEngine, Engine
from attribution.data.loading import Sources, load_sources
from attribution.errors import InputError, did_you_mean
from attribution.journeys import Journeys
from attribution.models import AdditiveHazard, AttributionModel, shipped_models
from attribution.models.credit import check_labels
from attribution.models.named_code import load_by_path
from attribution.models.trial import Trial
from attribution.returns import Terms, known_measures, read_costs
from attribution.schema.experiment import Experiment, ModelSpec, read_toml
from attribution.schema.tables import CAUSED


def open_sources(experiment: Experiment, engine: Engine | None = None, *, latest: bool = False) -> Sources:
    """The input tables of an experiment; ``latest`` as for `load_sources`: for daily summaries, without clicks."""
    tables: Mapping[str, Any] = experiment.tables
    return load_sources(
        **tables,
        channels=_channel_rules(experiment),
        account=experiment.journeys.account,
        visits=experiment.journeys.visits,
        grain=experiment.grain,
        currency=experiment.returns.currency,
        exchange_rates=experiment.returns.rates,
        engine=engine or make_engine(experiment),
        folder=experiment.folder,
        latest=latest,
        click_ids=experiment.output.journey_credit and not latest,
    )


def make_engine(experiment: Experiment) -> Engine:
    """The engine that an experiment asks for."""
    if experiment.engine == "spark":
        if experiment.memory_limit is not None:
            raise InputError("memory_limit is for DuckDB", hint="set the limits in the Spark session")
        from attribution.data.engine.spark import SparkEngine

        return SparkEngine()
    return DuckDBEngine(memory_limit=experiment.memory_limit)


def _channel_rules(experiment: Experiment) -> ChannelRules:
    """Own channel rules: written in the experiment, or in a file that several share."""
    rules = experiment.channels
    if "file" not in rules:
        return read_rules(rules, "channels")
    path = experiment.folder / str(rules["file"])
    if len(rules) > 1:
        raise InputError(
            "channels: give either a file or rules, not both", given=sorted(rules), allowed="file alone, or no file"
        )
    return read_rules(read_toml(path)[1], str(path))


def check_channel_count(experiment: Experiment, journeys: Journeys) -> None:
    """Refuse more channels than models can compare with each other, before any of them asks for the memory.

    Raises
    ------
    InputError
        Naming a few of them, and what they probably are.
    """
    channels, most = journeys.channels, experiment.most_channels
    if len(channels) > most:
        what = "channels" if experiment.grain == "channel" else "campaigns"
        raise InputError(
            f"the data have {len(channels):,} {what}, which is too many for models that compare each pair",
            given=", ".join(channels[:: max(len(channels) // 5, 1)][:5]),
            allowed=f"{most:,} (most_channels)",
            hint="check whether a column of campaigns, pages or ids is mapped to channel; group them with channel "
            "rules, or raise most_channels if there is enough memory",
        )


def terms_of(experiment: Experiment, sources: Sources) -> Terms:
    """What counts as return and as cost in an experiment, refused where channels are to be ranked by the unknown."""
    options = experiment.returns
    costs = read_costs(sources, options, period=experiment.period, copies=experiment.journeys.dedupe != "unique")
    terms = Terms(options, costs, known_measures(sources, options, economics=experiment.output.unit_economics))
    terms.check()
    return terms


def make_models(experiment: Experiment) -> list[AttributionModel]:
    """Instances of the models that an experiment names, their settings checked."""
    models = [make_model(spec, experiment.folder) for spec in experiment.models]
    check_labels(models)
    return models


def caused_trial(experiment: Experiment, models: Sequence[AttributionModel]) -> Trial | None:
    """What is fitted beside the models of an experiment, to hold credit against what channels caused.

    None where it is turned off, or one of the models says it.
    """
    if not experiment.incrementality.enabled or any(isinstance(model, AdditiveHazard) for model in models):
        return None
    trial = Trial(AdditiveHazard())
    if any(model.label == CAUSED for model in models):
        trial.refusal = InputError(f"a model has the label {CAUSED!r}", hint="give it another name")
    return trial


def make_model(spec: ModelSpec, folder: Path) -> AttributionModel:
    """The model that ``spec`` names, its settings checked; ``folder`` is where modules of one's own lie.

    Raises
    ------
    InputError
        If there is no such model, it cannot be loaded, or it does not take these settings.
    """
    # A module of one's own usually lies beside the experiment file.
    with _importable(folder):
        model = _built(spec)
        model.validate()
    return model


def _built(spec: ModelSpec) -> AttributionModel:
    kind = _model_class(spec.model)
    parameters = list(kind().get_params()) if ":" not in spec.model else None
    for key in spec.settings:
        if parameters is not None and key not in parameters:
            allowed = [name for name in parameters if name != "name"] or "no settings"
            raise InputError(
                f"model {spec.model!r} has no setting {key!r}", allowed=allowed, hint=did_you_mean(key, parameters)
            )
    try:
        model = kind(**spec.settings)
    except InputError:
        raise
    except Exception as error:  # whatever the user's own constructor raises
        raise InputError(f"model {spec.model!r} does not take these settings: {error}", given=spec.settings) from None
    if spec.name is not None:
        model.set_params(name=spec.name)
    return model


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.pop(0)


def _model_class(name: str) -> type[AttributionModel]:
    models = shipped_models()
    if name in models:
        return models[name]
    if ":" not in name:
        raise InputError(
            f"unknown model {name!r}",
            allowed=[*models, "package.module:Class"],
            hint=did_you_mean(name, models),
        )
    try:
        kind = load_by_path(name)
    except Exception as error:  # whatever the user's own module raises
        raise InputError(f"model {name!r} cannot be loaded: {type(error).__name__}: {error}") from None
    if not (isinstance(kind, type) and issubclass(kind, AttributionModel)):
        raise InputError(f"model {name!r} is not an AttributionModel", given=repr(kind))
    return kind
