"""Rules with stage anchors: fixed shares for the touchpoints at which a customer became a lead, an opportunity, …"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError, did_you_mean
from attribution.journeys import JourneyChunk, Journeys, Summary
from attribution.journeys.structure import tally
from attribution.kernels.credit import rule_weights as kernel
from attribution.models.base import AttributionModel


class _Staged(AttributionModel):
    """``_share`` for the first, the last and every anchor; what is left is spread over the others."""

    _share: ClassVar[float]
    _spread: ClassVar[float] = 0.1
    _parameters: ClassVar[tuple[str, ...]]

    column: str

    @property
    def _stages(self) -> tuple[str, ...]:
        return tuple(getattr(self, parameter) for parameter in self._parameters)

    def validate(self) -> None:
        kind = type(self).__name__
        for parameter in ("column", *self._parameters):
            text = getattr(self, parameter)
            if not isinstance(text, str) or not text.strip():
                raise InputError(f"{kind}: {parameter} is a text", given=repr(text))
        if len(set(self._stages)) < len(self._stages):
            raise InputError(f"{kind}: two stages have one name", given=", ".join(self._stages))

    def prepare(self, journeys: Journeys) -> None:
        super().prepare(journeys)
        dimensions = journeys.dimensions
        if self.column not in dimensions.names:
            raise InputError(
                f"model {self.label!r} finds stages in the column {self.column!r}, and these journeys have none",
                given=f"columns {', '.join(dimensions.names)}" if dimensions.names else "no touchpoints",
                hint=f"map the column of touchpoints that marks them, beside all others that are to be read: "
                f"columns = {{ …, {self.column} = 'source' }}",
            )
        known = dimensions.values[dimensions.names.index(self.column)]
        for stage in self._stages:
            if stage not in known:
                raise InputError(
                    f"model {self.label!r}: no touchpoint is marked {stage!r} in the column {self.column!r}",
                    allowed=known or "the column is empty",
                    hint=did_you_mean(stage, known),
                )

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return np.asarray(kernel.anchored(chunk.offsets, self._anchors(chunk), self._share, self._spread))

    def summarise(self, chunk: JourneyChunk) -> Summary:
        laid_out = chunk.handed_out
        # Bit s of a journey is set where the anchor of stage s is missing.
        missing = (self._anchors(laid_out) < 0) @ (1 << np.arange(len(self._stages)))
        tables = super().summarise(chunk).tables
        return Summary({**tables, "missing_anchors": tally(missing, laid_out.conversions)})

    def findings(self) -> list[Finding]:
        sets = self.summary_.dense("missing_anchors", 1 << len(self._stages))
        total = float(sets.sum())
        found = []
        for bit, stage in enumerate(self._stages):
            lacking = float(sets[(np.arange(len(sets)) >> bit) & 1 == 1].sum())
            message = f"converting journeys in which {self.label} finds no {stage!r}: the other shares grow"
            found.append(count_finding("missing_anchor", "journeys", lacking, message, total=total))
        if len(self._stages) > 1:
            message = f"converting journeys in which {self.label} finds no stage at all: divided by place alone"
            found.append(count_finding("missing_anchors", "journeys", float(sets[-1]), message, total=total))
        return [*super().findings(), *found]

    def _anchors(self, chunk: JourneyChunk) -> NDArray[np.int64]:
        """(journeys, stages) the first touchpoint marked with each stage, −1 for none."""
        dimensions = chunk.dimensions
        known = dimensions.values[dimensions.names.index(self.column)]
        # Digit 0 of a dimension that may be null is null.
        null = int(self.column != "channel")
        # Journeys that are scored may lack a stage that was there when the model was fitted.
        wanted = np.array([known.index(stage) + null if stage in known else -1 for stage in self._stages])
        digit = dimensions.digit(chunk.code.astype(np.int64), self.column)
        return np.asarray(kernel.first_marked(chunk.offsets, digit, wanted))


class WShaped(_Staged):
    """30 % each for the first touchpoint, the one that created the lead and the last; 10 % spread over the others.

    The definition is Marketo Measure's (formerly Bizible), where the conversion is the opportunity: the last
    touchpoint is then the one that created it. The lead's anchor is the first touchpoint of the journey marked
    with its name. Shares that fall on one touchpoint add up; where there is no lead, or there are no others,
    that share is left out and the rest grow in proportion. `findings` counts journeys without a lead.

    Parameters
    ----------
    lead : value that marks the touchpoint at which the customer became a lead
    column : column of touchpoints that holds such marks; as any further dimension it is read if it is mapped

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> touchpoints = pd.DataFrame({
    ...     "customer_id": "a", "touched_at": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"],
    ...     "channel": ["search", "social", "mail", "event"], "stage": [None, "lead", None, None]})
    >>> conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-05"]})
    >>> mapped = at.TableSpec(source=touchpoints, columns={name: name for name in touchpoints})
    >>> journeys = at.build_journeys(at.load_sources(mapped, conversions))
    >>> at.WShaped().fit(journeys).attribute(journeys)["credit"].round(9).tolist()
    [0.3, 0.3, 0.1, 0.3]
    """

    _share = 0.3
    _parameters = ("lead",)

    def __init__(self, *, lead: str = "lead", column: str = "stage", name: str | None = None) -> None:
        super().__init__(name=name)
        self.lead = lead
        self.column = column


class FullPath(_Staged):
    """22.5 % each for first touchpoint, lead, opportunity and last touchpoint; 10 % spread over the others.

    The definition is Marketo Measure's (formerly Bizible), where the conversion is the deal that was closed;
    others call it Z-shaped. The anchor of a stage is the first touchpoint of the journey marked with its name.
    Shares that fall on one touchpoint add up; where a stage is missing, or there are no others, that share is
    left out and the rest grow in proportion. `findings` counts journeys without lead, opportunity, or both.

    Parameters
    ----------
    lead, opportunity : values that mark the touchpoints at which these stages were reached
    column : column of touchpoints that holds such marks; as any further dimension it is read if it is mapped
    """

    _share = 0.225
    _parameters = ("lead", "opportunity")

    def __init__(
        self,
        *,
        lead: str = "lead",
        opportunity: str = "opportunity",
        column: str = "stage",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.lead = lead
        self.opportunity = opportunity
        self.column = column
