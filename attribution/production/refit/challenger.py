"""A refit of the model in use: the same model, journeys and policy, fitted on days that are summed up."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.errors import InputError
from attribution.journeys.profile import assemble_profile
from attribution.models import AttributionModel
from attribution.models.credit import Credit
from attribution.models.saved import PastTraining, Scorer, Training
from attribution.models.saved.folder import read_manifest
from attribution.production.refit.days import day_name
from attribution.production.refit.definition import NOT_OF_DAYS, digest_of
from attribution.production.refit.store import SummaryStore
from attribution.production.refit.window import Window

if TYPE_CHECKING:
    import pandas as pd

SUMMARIES = "summaries"
"""What stands in place of the tables in the digests of a refit's data."""


def check_champion(champion: Scorer, store: SummaryStore, models: Sequence[AttributionModel], reference: str) -> None:
    """Refuse a champion that is not one of the ``models`` of daily summaries, on journeys like theirs.

    Parameters
    ----------
    champion, reference : the model in use, and how it was named
    store, models : the summaries, and the models that they are of

    Raises
    ------
    InputError
        Naming the settings that differ.
    """
    labels = [model.label for model in models]
    if champion.state.label not in labels:
        raise InputError(
            f"the summaries are of other models than the one in {reference}",
            given=repr(champion.state.label),
            allowed=labels,
        )
    definition = champion.definition
    journeys = definition.journeys.model_dump(mode="json", exclude_defaults=True, exclude=set(NOT_OF_DAYS))
    settings: dict[str, Any] = {
        "journeys": journeys,
        "grain": definition.grain,
        "channels": digest_of(definition.channels),
    }
    stored: dict[str, Any] = {
        "journeys": dict(store.definition.journeys),
        "grain": store.definition.grain,
        "channels": store.definition.channels,
    }
    model, own = models[labels.index(champion.state.label)], champion.state.model()
    settings["model"], stored["model"] = repr(own.set_params(name=None)), repr(copy.copy(model).set_params(name=None))
    differing = [name for name in stored if settings[name] != stored[name]]
    if differing:
        name = differing[0]
        raise InputError(
            f"{reference} and the summaries have different settings: {', '.join(differing)}",
            given=f"{name} = {settings[name]}",
            allowed=f"{name} = {stored[name]}",
        )


def make_challenger(
    champion: Scorer, folder: Path, window: Window, credit: Credit, digests: Mapping[str, str]
) -> Scorer:
    """The champion's model as it was fitted on the days of ``window``, with all else that the champion has.

    Name, journeys, channel rules, reading of tables and policy are the champion's. What days can tell is made anew for
    its card: training data, credit, the profile of journeys. What they cannot is left out.

    Parameters
    ----------
    champion, folder : the model in use, and the folder that it was read from
    window, credit : the days, and the models that were fitted on them
    digests : fingerprints of the data of these days
    """
    (model,) = (each for each in credit.models if each.label == champion.state.label)
    assert isinstance(model, AttributionModel)
    # What it knows beside what it learned, such as whether there are times.
    fitted = champion.state.model()
    vars(fitted).update(vars(model))
    before, observed = champion.definition.training, window.observed[0]
    data: dict[str, Any] = {
        "first": day_name(window.first),
        "last": f"{day_name(window.last)}T23:59:59.999999",
        "journeys": observed.number("journeys"),
        "conversions": observed.number("conversions"),
        "value": observed.number("value"),
        "digests": dict(digests),
    }
    read: dict[str, Any] = {"tables": (), "dimensions": (), "has_times": True, "zoned": None}
    training = replace(before, **data) if before is not None else Training(**read, **data)
    made = Scorer.of(fitted, name=champion.name, definition=replace(champion.definition, training=training))
    written_at = read_manifest(folder).get("written_at")
    past = PastTraining(
        champion.version,
        None if written_at is None else str(written_at)[:10],
        None if before is None else before.first,
        None if before is None else before.last,
    )
    return replace(
        made.with_policy(champion.unknown_channels),
        reference=_reference(window, credit, model.label),
        history=(*champion.history, past),
    )


def _reference(window: Window, credit: Credit, label: str) -> dict[str, pd.DataFrame]:
    own = credit.table[credit.table["model"] == label].reset_index(drop=True)
    tables = {"credit": own, "journey_profile": assemble_profile(window.profile[0], window.channels)}
    # In the types that they have when they are read again: an export of the challenger has the same version.
    return {name: table.infer_objects() for name, table in tables.items()}
