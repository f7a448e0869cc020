"""What is assumed of credit before any test (data in ``assumptions.toml``), and the options of a calibration."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from attribution.errors import InputError, did_you_mean
from attribution.kernels.calibration.posterior import Assumed
from attribution.schema.experiment.settings import Number, Settings

Spread = Annotated[Number, Field(gt=0, le=3)]


class CausedShare(Settings):
    """How much of its credit a channel causes, before any test, under one model.

    Parameters
    ----------
    log_share : float
        ln of the share that channels typically cause.
    client_spread : float > 0
        Standard deviation of the logarithm of what is the same for all channels.
    channel_spread : float > 0
        Standard deviation of the logarithm of what is a channel's own.
    nothing : float
        Probability that a channel causes nothing, 0 ≤ p < 1.
    """

    log_share: Annotated[Number, Field(ge=-5, le=5)]
    client_spread: Spread
    channel_spread: Spread
    nothing: Annotated[Number, Field(ge=0, lt=1)]


class CalibrationOptions(Settings):
    """How credit and lift tests are brought together.

    Parameters
    ----------
    level : float
        Probability that an effect lies in its interval.
    assumptions : mapping of a model to a mapping
        What is assumed of its credit before any test, where it is not what the package assumes: some of ``log_share``,
        ``client_spread``, ``channel_spread`` and ``nothing``, or all of them for a model that the package does not
        know; see `CausedShare`.

    Examples
    --------
    >>> options = CalibrationOptions(assumptions={"last_touch": {"nothing": 0.3}})
    >>> options.assumed(["last_touch"]).nothing.tolist(), options.assumed(["last_touch"]).log_share.tolist()
    ([0.3], [-1.1])
    """

    level: Annotated[Number, Field(gt=0, lt=1)] = 0.9
    assumptions: dict[str, CausedShare] = Field(default_factory=dict)

    @field_validator("assumptions", mode="before")
    @classmethod
    def _completed(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        shipped = {name: share.model_dump() for name, share in shipped_assumptions().items()}
        return {
            name: {**shipped.get(name, {}), **terms} if isinstance(terms, Mapping) else terms
            for name, terms in value.items()
        }

    def assumed(self, models: Sequence[str]) -> Assumed:
        """What is assumed of ``models``, in their order.

        Raises
        ------
        InputError
            If nothing is known of one of them.
        """
        every = {**shipped_assumptions(), **self.assumptions}
        for name in models:
            if name not in every:
                hint = did_you_mean(name, every) or "rename it, or say in assumptions how much of its credit is caused"
                raise InputError(
                    f"nothing says how much of the credit of model {name!r} is caused", allowed=every, hint=hint
                )
        terms = [[getattr(every[name], term) for name in models] for term in Assumed._fields]
        return Assumed(*(np.array(each, dtype=float) for each in terms))


@cache
def shipped_assumptions() -> Mapping[str, CausedShare]:
    """What the package assumes of models, by their labels.

    Examples
    --------
    >>> shipped_assumptions()["markov"].log_share
    -1.3
    """
    document = tomllib.loads(files(__package__).joinpath("assumptions.toml").read_text(encoding="utf-8"))
    return {name: CausedShare.model_validate(terms) for name, terms in document["models"].items()}
