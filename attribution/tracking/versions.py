"""What the registry records of versions: what each came from, and from which day on it is in effect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.models.saved import Scorer
from attribution.production.scoring.in_effect import PARAMETERS_TAG, describe_parameters
from attribution.production.versions import Timeline
from attribution.tracking.mlflow_store import to_text

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_EFFECTIVE = "attribution.effective."
"""Begins the tag of a registered model that has the promotions to an alias, see `Timeline.text`."""


def read_timeline(model: Any, alias: str, today: int) -> Timeline | None:
    """The promotions to ``alias`` of a registered model; None where there is neither a record nor an alias.

    An alias without a record was set by an earlier version, or by hand: its version is in effect on all days. Where the
    alias points elsewhere than the record says, its version is in effect from ``today`` on.
    """
    text, pointed = model.tags.get(_EFFECTIVE + alias), model.aliases.get(alias)
    version = None if pointed is None else str(pointed)
    if text is None:
        return None if version is None else Timeline.of(version)
    recorded = Timeline.read(text, f"tag {_EFFECTIVE}{alias} of model {model.name!r}")
    return recorded if version is None else recorded.point_to(version, today)


def write_timeline(client: MlflowClient, name: str, alias: str, timeline: Timeline) -> None:
    """Point ``alias`` to the newest version, and record from which day on it is in effect."""
    # The alias first: were the job killed before the record, its version would still be in effect from today on.
    client.set_registered_model_alias(name, alias, timeline.newest)
    client.set_registered_model_tag(name, _EFFECTIVE + alias, timeline.text)


def provenance_tags(run: Path, scorer: Scorer, trained_by: str) -> dict[str, str]:
    """What a version came from, as its tags: training run, data, code, parameters.

    Parameters
    ----------
    run : output folder of the run or refit
    scorer : the version
    trained_by : id of the MLflow run, or name of the folder
    """
    code = json.loads((run / "manifest.json").read_text(encoding="utf-8")).get("code", {})
    training = scorer.definition.training
    tags = {
        "attribution.training_run": trained_by,
        "attribution.data_digests": json.dumps(dict(training.digests) if training else {}, sort_keys=True),
        "attribution.code_version": code.get("version"),
        "attribution.git_commit": code.get("git_commit"),
        PARAMETERS_TAG: json.dumps(describe_parameters(scorer), sort_keys=True, ensure_ascii=False),
    }
    return {name: to_text(value) for name, value in tags.items() if value is not None}


def tag_version(client: MlflowClient, name: str, version: str, tags: Mapping[str, str]) -> None:
    """Add ``tags`` to a registered version; those that it has stay: they tell where it came from first."""
    present = client.get_model_version(name, version).tags
    for key, value in tags.items():
        if key not in present:
            client.set_model_version_tag(name, version, key, value)
