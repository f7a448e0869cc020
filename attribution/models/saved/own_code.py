"""Models that data name: those of this package may always be loaded, any others only if the reader allows it.

An experiment file is code of its author. A model folder, the saved models of a run and daily summaries are data: they
may come from anybody, so the names in them are checked here before anything is imported or constructed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attribution.errors import InputError
from attribution.models import shipped_models
from attribution.models.named_code import NAMED_CODE

TRUSTED = "if you trust its author, set allow_own_code=True (on the command line --allow-own-code)"


def refuse_own_code(kind: str, settings: Mapping[str, Any], origin: str) -> None:
    """Raise `InputError` if data name code that is not part of this package; nothing is imported to find out.

    Parameters
    ----------
    kind : class of a model
    settings : its settings
    origin : where they were read, for the message

    Raises
    ------
    InputError
        Naming the class or function.
    """
    if kind not in shipped_models():
        _refuse(f"the model class {kind!r}", origin, [*shipped_models()])
    for setting, allowed in NAMED_CODE.items():
        path = settings.get(setting)
        if path is not None and path not in allowed:
            _refuse(f"the {setting} {path!r}", origin, allowed or f"no {setting} named by a file")


def _refuse(what: str, origin: str, allowed: object) -> None:
    problem = f"{origin} names code that is not part of this package: {what}"
    raise InputError(problem, allowed=allowed, hint=TRUSTED)
