"""Models that data name: what this package ships may always be loaded, anything else only if the reader says so.

An experiment file is code of its author. A model folder, a run's kept models and daily summaries are data: they may
come from anybody, so what they name is looked up here before anything is imported or constructed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attribution.errors import InputError
from attribution.models import shipped_models
from attribution.models.named_code import NAMED_CODE

TRUSTED = "where you trust whoever wrote it: --allow-own-code, or allow_own_code=True in Python"


def refuse_own_code(kind: str, settings: Mapping[str, Any], origin: str) -> None:
    """Refuse data that name code which this package does not ship; nothing is imported to find out.

    Parameters
    ----------
    kind : class of a model
    settings : its settings
    origin : where they stand, for the message

    Raises
    ------
    InputError
        Naming the class or function.
    """
    if kind not in shipped_models():
        _refuse(f"the model class {kind!r}", origin, [*shipped_models()])
    for setting, allowed in NAMED_CODE.items():
        place = settings.get(setting)
        if place is not None and place not in allowed:
            _refuse(f"the {setting} {place!r}", origin, allowed or f"no {setting} named by a file")


def _refuse(what: str, origin: str, allowed: object) -> None:
    problem = f"{origin} is data, and names code that this package does not ship: {what}"
    raise InputError(problem, allowed=allowed, hint=TRUSTED)
