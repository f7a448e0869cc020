"""Exported models opened, from their folder or from the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened_model(reference: str, *, uri: str | None = None) -> Iterator[Path]:
    """The folder of a scorer, by its path, or a copy by ``models:/NAME@ALIAS`` that lasts as long as the block.

    Raises
    ------
    InputError
        If the registry has no such model, version or alias, or does not answer.
    """
    if not reference.startswith("models:/"):
        from attribution.folders import standing

        yield standing(Path(reference))
        return
    from attribution.schema.experiment import TrackingOptions
    from attribution.tracking.registry import fetch_scorer

    with tempfile.TemporaryDirectory(prefix="attribution-model-") as copies:
        yield fetch_scorer(reference, Path(copies), uri=uri or TrackingOptions().uri)
