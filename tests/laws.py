"""The laws of `attribution.testing` as cases of a test; those of one model read their log once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from attribution.models import AttributionModel
from attribution.testing import model_checks


def laws_of(models: Iterable[AttributionModel]) -> list[Any]:
    """A case for each law of each model, to be called."""
    return [pytest.param(check, id=f"{model.label}-{law}") for model in models for law, check in model_checks(model)]
