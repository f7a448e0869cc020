"""What a folder of daily summaries is of: days add up only where journeys and models mean the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attribution.errors import InputError
from attribution.schema.experiment import Experiment, ModelSpec, read_toml

NOT_OF_DAYS = {"segment", "open_journeys"}
"""Journey options that days have no use for."""


@dataclass(frozen=True)
class Definition:
    """Settings that all days of a folder share.

    Attributes
    ----------
    name : of the experiment; another one may share a folder
    journeys : options that are set, without those that days have no use for
    models : class, label and settings of each, as an experiment names them
    channels, grain : how channels are derived
    """

    name: str
    journeys: Mapping[str, Any]
    models: Sequence[Mapping[str, Any]]
    channels: str
    grain: str

    @classmethod
    def of(cls, experiment: Experiment) -> Definition:
        """Of an experiment; its period does not matter, since days take its place."""
        # By value: a setting that is written out and the default are one definition.
        journeys = experiment.journeys.model_dump(mode="json", exclude_defaults=True, exclude=NOT_OF_DAYS)
        models = [spec.model_dump(mode="json", exclude_none=True) for spec in experiment.models]
        rules: object = experiment.channels
        if "file" in experiment.channels:
            rules = read_toml(experiment.folder / str(experiment.channels["file"]))[1]
        return cls(experiment.name, journeys, models, digest_of(rules), experiment.grain)

    @property
    def specs(self) -> list[ModelSpec]:
        """The models, as an experiment asks for them."""
        return [ModelSpec.model_validate(dict(model)) for model in self.models]

    @property
    def content(self) -> dict[str, Any]:
        """As JSON holds it, without the name."""
        return {
            "journeys": dict(self.journeys),
            "models": [dict(model) for model in self.models],
            "channels": self.channels,
            "grain": self.grain,
        }

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of what it says."""
        return digest_of(self.content)

    def check_same(self, other: Definition, folder: str) -> None:
        """Refuse ``other`` where it says something else.

        Raises
        ------
        InputError
            Naming the parts that differ.
        """
        mine, theirs = self.content, other.content
        differing = [key for key in mine if digest_of(mine[key]) != digest_of(theirs[key])]
        if differing:
            key = differing[0]
            raise InputError(
                f"the summaries in {folder} have other settings: {', '.join(differing)}",
                given=f"{key} = {json.dumps(theirs[key], ensure_ascii=False)}",
                allowed=f"{key} = {json.dumps(mine[key], ensure_ascii=False)}",
                hint="days with different settings cannot be added up: choose another folder",
            )


def digest_of(content: object) -> str:
    """16 hexadecimal digits of what JSON can hold."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
