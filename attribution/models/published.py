"""Models whose channel totals come from a formula, and are then handed out journey by journey."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.data.loading import Finding
from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Summary
from attribution.models.base import AttributionModel
from attribution.models.reconcile import (
    Reconciliation,
    coalition_table,
    reconcile,
    reconciliation_of,
    state_of,
    weights,
)


class PublishedModel(AttributionModel):
    """Base of models that publish totals: what journeys hand out is reconciled with them.

    A subclass takes a parameter ``reconcile``, adds `summarise_undrawn` to its summary, and leaves `weigh` alone.
    Without reconciling, every touchpoint weighs what its channel was credited: each conversion is handed out once,
    but channels do not get their totals.
    """

    reconcile: bool

    def validate(self) -> None:
        if not isinstance(self.reconcile, bool):
            raise InputError(
                f"{type(self).__name__}: reconcile is true or false",
                given=repr(self.reconcile),
                hint="false gives journeys plain weights, which do not add up to the totals",
            )

    def summarise_undrawn(self, chunk: JourneyChunk) -> Summary:
        """What reconciling needs of a chunk."""
        return Summary({"coalitions": coalition_table(chunk, len(self.channels_))} if self.reconcile else {})

    @cached_property
    def reconciliation_(self) -> Reconciliation | None:
        """How totals and journeys were brought together; None where they were not."""
        if not self.reconcile or "coalitions" not in self.summary_.tables:
            return None
        return reconcile(self.summary_.tables["coalitions"], self.credit_.conversions[:-1], self.channels_)

    def settle(self, summary: Summary, observed: Summary) -> None:
        self.__dict__.pop("reconciliation_", None)
        super().settle(summary, observed)

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        if self.reconciliation_ is None:
            return np.maximum(self.credit_.conversions[chunk.channel], 0.0)
        return weights(chunk, self.reconciliation_.log_weights)

    @property
    def knows_channels(self) -> bool:
        return True

    def learned(self) -> dict[str, Any]:
        return {} if self.reconciliation_ is None else state_of(self.reconciliation_)

    def restore(self, learned: Mapping[str, Any]) -> None:
        self.__dict__["reconciliation_"] = reconciliation_of(self.channels_, learned) if learned else None

    def findings(self) -> list[Finding]:
        found = super().findings()
        return found if self.reconciliation_ is None else [*found, *self.reconciliation_.findings(self.label)]
