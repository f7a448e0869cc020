"""Rules with stage anchors: fixed shares for the touchpoints at which a customer became a lead, an opportunity, …"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from attribution.data.engine import quote, text
from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError, did_you_mean
from attribution.journeys import JourneyChunk, Journeys, Summary
from attribution.journeys.structure import tally
from attribution.kernels.credit import rule_weights as kernel
from attribution.models.base import Assumptions, AttributionModel
from attribution.models.machinery import Machinery
from attribution.models.recoding import SHARES, Recoding, unchanged


class _Staged(AttributionModel):
    """``_share`` for the first, the last and every anchor; the rest is spread over the others."""

    ignores_channels = True

    _share: ClassVar[float]
    _spread: ClassVar[float] = 0.1
    _parameters: ClassVar[tuple[str, ...]]

    column: str

    @property
    def assumptions(self) -> Assumptions:
        return Assumptions(
            "The touchpoints at which a journey starts, reaches a stage and ends earn fixed shares.",
            "Favours channels that mark stages over those between them; the shares are a convention.",
        )

    @property
    def _machinery(self) -> Machinery:
        return _StagedMachinery(self)

    @property
    def _stages(self) -> tuple[str, ...]:
        return tuple(getattr(self, parameter) for parameter in self._parameters)

    def validate(self) -> None:
        kind = type(self).__name__
        for parameter in ("column", *self._parameters):
            value = getattr(self, parameter)
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"{kind}: {parameter} must be a text that is not empty", given=repr(value))
        if len(set(self._stages)) < len(self._stages):
            raise InputError(f"{kind}: two stages have the same name", given=", ".join(self._stages))

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return np.asarray(kernel.anchor_weights(chunk.offsets, self._anchors(chunk), self._share, self._spread))

    def summarise(self, chunk: JourneyChunk) -> Summary:
        flattened = chunk.allocated
        # Bit s of a journey is set where the anchor of stage s is missing.
        missing = (self._anchors(flattened) < 0) @ (1 << np.arange(len(self._stages)))
        tables = super().summarise(chunk).tables
        return Summary({**tables, "missing_anchors": tally(missing, flattened.conversions)})

    @property
    def weight_sql(self) -> str:
        marks = [f"touchpoint.{quote(self.column)} = {text(stage)}" for stage in self._stages]
        anchors = [f"min(case when {mark} then position end) over (partition by journey)" for mark in marks]
        tests = ["position = 1", "position = length", *(f"position = {anchor}" for anchor in anchors)]
        shares = " + ".join(f"case when {test} then 1 else 0 end" for test in tests)
        # Touchpoints that are not an anchor: one less for every anchor that is not among those before it.
        distinct = ["1", "case when length = 1 then 0 else 1 end"]
        for number, anchor in enumerate(anchors):
            before = ", ".join(["1", "length", *(f"coalesce({earlier}, 0)" for earlier in anchors[:number])])
            distinct.append(f"case when {anchor} is null or {anchor} in ({before}) then 0 else 1 end")
        rest = f"(length - {' - '.join(distinct)})"
        return f"case when {shares} = 0 then {self._spread!r} / {rest} else ({shares}) * {self._share!r} end"

    def _anchors(self, chunk: JourneyChunk) -> NDArray[np.int64]:
        """(journeys, stages) the first touchpoint marked with each stage, −1 for none."""
        dimensions = chunk.dimensions
        values = dimensions.values[dimensions.names.index(self.column)]
        # Digit 0 of a dimension that may be null is null.
        null = int(self.column != "channel")
        # Journeys that are scored may lack a stage that was there when the model was fitted.
        digits = np.array([values.index(stage) + null if stage in values else -1 for stage in self._stages])
        digit = dimensions.digit(chunk.code.astype(np.int64), self.column)
        return np.asarray(kernel.first_marked(chunk.offsets, digit, digits))


class _StagedMachinery(Machinery):
    """Checks that stages are marked, and counts journeys without one."""

    model: _Staged

    def prepare(self, journeys: Journeys) -> None:
        super().prepare(journeys)
        model, dimensions = self.model, journeys.dimensions
        if model.column not in dimensions.names:
            raise InputError(
                f"model {model.label!r} needs the column {model.column!r} of touchpoints, which marks stages",
                given=f"columns {', '.join(dimensions.names)}" if dimensions.names else "no touchpoints",
                hint=f"add the column that marks stages to the columns of the touchpoints table, as {model.column!r}",
            )
        values = dimensions.values[dimensions.names.index(model.column)]
        for stage in model._stages:
            if stage not in values:
                raise InputError(
                    f"model {model.label!r}: no touchpoint has the value {stage!r} in the column {model.column!r}",
                    allowed=values or "nothing: the column is empty",
                    hint=did_you_mean(stage, values),
                )

    def findings(self) -> list[Finding]:
        model, stages = self.model, self.model._stages
        sets = model.summary_.dense("missing_anchors", 1 << len(stages))
        total = float(sets.sum())
        findings = []
        for bit, stage in enumerate(stages):
            missing = float(sets[(np.arange(len(sets)) >> bit) & 1 == 1].sum())
            message = (
                f"converting journeys without the stage {stage!r}; {model.label} raises their other shares. Check that "
                "touchpoints mark this stage"
            )
            findings.append(count_finding("missing_anchor", "journeys", missing, message, total=total))
        if len(stages) > 1:
            message = (
                f"converting journeys without any stage; {model.label} divides them by position alone. Check that "
                "touchpoints mark stages"
            )
            findings.append(count_finding("missing_anchors", "journeys", float(sets[-1]), message, total=total))
        return [*super().findings(), *findings]

    def recoding(self, table: str) -> Recoding | None:
        return unchanged if table == "missing_anchors" else SHARES.get(table)


class WShaped(_Staged):
    """30 % each for the first touchpoint, the one that created the lead and the last; 10 % spread over the others.

    The definition is Marketo Measure's (formerly Bizible), where the conversion is the opportunity: the last
    touchpoint is then the one that created it. The lead's anchor is the first touchpoint of the journey marked
    with its name. Shares that fall on one touchpoint add up; where there is no lead, or there are no others,
    that share is left out and the rest grow in proportion. The quality table counts journeys without a lead.

    Parameters
    ----------
    lead : value that marks the touchpoint at which the customer became a lead
    column : column of touchpoints with these values; it must be among the columns that are read
    name : label in tables; the class in snake case with its non-default parameters unless given

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
    >>> at.WShaped().fit(journeys).credit_journeys(journeys)["credit"].round(9).tolist()
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
    left out and the rest grow in proportion. The quality table counts journeys without lead, opportunity, or both.

    Parameters
    ----------
    lead, opportunity : values that mark the touchpoints at which these stages were reached
    column : column of touchpoints with these values; it must be among the columns that are read
    name : label in tables; the class in snake case with its non-default parameters unless given

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> touchpoints = pd.DataFrame({
    ...     "customer_id": "a", "touched_at": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"],
    ...     "channel": ["search", "social", "mail", "event", "call"],
    ...     "stage": [None, "lead", None, "opportunity", None]})
    >>> conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-06"]})
    >>> mapped = at.TableSpec(source=touchpoints, columns={name: name for name in touchpoints})
    >>> journeys = at.build_journeys(at.load_sources(mapped, conversions))
    >>> at.journey_credit(journeys, at.FullPath().fit(journeys))["credit"].round(9).tolist()
    [0.225, 0.225, 0.1, 0.225, 0.225]
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
