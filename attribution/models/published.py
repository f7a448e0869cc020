"""Models whose channel totals come from a formula, and are then allocated journey by journey."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding
from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Summary
from attribution.models.base import AttributionModel
from attribution.models.machinery import Machinery
from attribution.models.recoding import Recoding, by_coalition
from attribution.models.reconcile import (
    Reconciliation,
    beside_baseline,
    coalition_table,
    reconcile,
    reconciliation_state,
    restore_reconciliation,
    weights,
)
from attribution.schema.tables import PUBLISHED_CREDIT

VANISHES = -600.0
"""A logarithm below this counts as a weight of 0: some databases fail where a number becomes too small."""


class PublishedModel(AttributionModel):
    """Base of models that publish totals: the credit of journeys is reconciled with them.

    A subclass takes a parameter ``reconcile``, adds `PublishedMachinery.summarise_undrawn` to its summary, and leaves
    `weigh` alone.
    Without reconciling, every touchpoint weighs what its channel was credited: each conversion is divided once, but
    channels do not get their totals.
    """

    reconcile: bool

    def validate(self) -> None:
        if not isinstance(self.reconcile, bool):
            raise InputError(
                f"{type(self).__name__}: reconcile must be true or false",
                given=repr(self.reconcile),
                hint="with false, the credit of journeys does not add up to the channels' totals",
            )

    @cached_property
    def reconciliation_(self) -> Reconciliation | None:
        """How the credit of journeys was reconciled with the totals; None where it was not."""
        if not self.reconcile or "coalitions" not in self.summary_.tables:
            return None
        has_baseline = self.credit_.baseline is not None
        table = self.summary_.tables["coalitions"]
        return reconcile(table, self.credit_.conversions[:-1], self.channels_, has_baseline=has_baseline)

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        if self.reconciliation_ is None:
            return np.maximum(self.credit_.conversions[chunk.channel], 0.0)
        own = weights(chunk, self.reconciliation_.log_weights)
        baseline = self.reconciliation_.baseline_log_weight
        if baseline is None:
            return own
        return own * np.repeat(beside_baseline(chunk, self.reconciliation_.log_weights, baseline)[0], chunk.lengths)

    def weigh_baseline(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        if self.reconciliation_ is None:
            return np.full(len(chunk), self._baseline_credit)
        if self.reconciliation_.baseline_log_weight is None:  # saved by an earlier version
            return super().weigh_baseline(chunk)
        log_weights = self.reconciliation_.log_weights
        return beside_baseline(chunk, log_weights, self.reconciliation_.baseline_log_weight)[1]

    @property
    def _baseline_credit(self) -> float:
        return 0.0 if self.credit_.baseline is None else max(self.credit_.baseline[0], 0.0)

    def learned(self) -> dict[str, Any]:
        return {} if self.reconciliation_ is None else reconciliation_state(self.reconciliation_)

    def restore(self, learned: Mapping[str, Any]) -> None:
        self.__dict__["reconciliation_"] = restore_reconciliation(self.channels_, learned) if learned else None

    @property
    def weight_sql(self) -> str | None:
        """The learned weight, divided among the touchpoints of a channel where totals were reconciled."""
        if not self.reconcile or (hasattr(self, "credit_") and self.reconciliation_ is None):
            return "case when learned.conversions > 0 then learned.conversions else 0.0 end"
        return f"({self._behind('learned.log_weights')}) / sum(factor) over (partition by journey, channel)"

    @property
    def baseline_sql(self) -> str | None:
        """What the baseline weighs beside these; None where it was saved without a weight."""
        if not hasattr(self, "credit_"):
            return "0.0"
        if self.reconciliation_ is None:
            return repr(self._baseline_credit)
        own = self.reconciliation_.baseline_log_weight
        return None if own is None else self._behind(repr(own))

    def _behind(self, log_weight: str) -> str:
        """A weight relative to the largest of the journey."""
        largest = "max(learned.log_weights) over (partition by journey)"
        baseline = (
            self.reconciliation_.baseline_log_weight if hasattr(self, "credit_") and self.reconciliation_ else None
        )
        if baseline is not None:
            largest = f"greatest({largest}, {baseline!r})"
        behind = f"{log_weight} - {largest}"
        return f"case when {behind} < {VANISHES} then 0.0 else exp({behind}) end"


class PublishedMachinery(Machinery):
    """What reconciling adds."""

    model: PublishedModel

    @property
    def knows_channels(self) -> bool:
        return True

    def finish_fit(self, summary: Summary, observed: Summary) -> None:
        vars(self.model).pop("reconciliation_", None)
        super().finish_fit(summary, observed)

    def summarise_undrawn(self, chunk: JourneyChunk) -> Summary:
        """What reconciling needs of a chunk."""
        model = self.model
        return Summary({"coalitions": coalition_table(chunk, len(model.channels_))} if model.reconcile else {})

    def findings(self) -> list[Finding]:
        findings, reconciliation = super().findings(), self.model.reconciliation_
        return findings if reconciliation is None else [*findings, *reconciliation.findings(self.model.label)]

    def recoding(self, table: str) -> Recoding | None:
        return by_coalition if table == "coalitions" else super().recoding(table)

    @property
    def removal_effects(self) -> NDArray[np.float64] | None:
        """(channels, 2) of conversions and value, from which totals follow; None for models without."""
        return None

    def tables(self) -> Mapping[str, pd.DataFrame]:
        """``published_credit``, where there is more to say than what the totals are."""
        model, effects = self.model, self.removal_effects
        if model.reconciliation_ is not None:
            table = model.reconciliation_.to_frame()
        elif effects is not None:
            table = pd.DataFrame({"channel": model.channels_, "published": model.credit_.conversions[:-1]})
        else:
            return {}
        if effects is not None:
            table[["removal_effect", "removal_effect_value"]] = effects
        table = table.assign(model=model.label).reindex(columns=list(PUBLISHED_CREDIT.column_names))
        return {"published_credit": table.astype({"group": "Int64"})}
