"""What a budget is asked to do: the ``[budget]`` part of an experiment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attribution.decisions.budget.budget_declared import SCENARIOS
from attribution.schema.experiment import Experiment
from attribution.schema.experiment.settings import Number, Settings

Money = Annotated[Number, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
CurveKind = Literal["power", "log", "hill"]
Objective = Literal["conversions", "new_customers", "revenue", "margin", "ltv"]

DEFAULT_CURVATURE = {"power": 0.5, "log": 1.0, "hill": 1.0}


class CurveOptions(Settings):
    """How the return of a channel bends with its spend.

    Parameters
    ----------
    curve : ``power``, ``log`` or ``hill``
    curvature : float > 0, or ``history``
        Power: exponent, at most 1; log: scale, and Hill: spend of half the most there can be, both as multiples of
        today's spend. The smaller, the sooner a channel is worn out. ``history``: fitted, or the run is refused.
    curvature_range : two floats
        The least and the most that curvature may be, for the sensitivity run.
    steepness : float > 0
        Exponent of a Hill curve; above 1 it is S-shaped.
    """

    curve: CurveKind | None = None
    curvature: Positive | Literal["history"] | None = None
    curvature_range: tuple[Positive, Positive] | None = None
    steepness: Positive | None = None

    @model_validator(mode="after")
    def _in_order(self) -> CurveOptions:
        low, high = self.curvature_range or (0.0, float("inf"))
        inside = self.curvature is None or self.curvature == "history" or low <= self.curvature <= high
        if low >= high or not inside:
            raise ValueError("curvature_range must be two numbers, one below and one above the curvature")
        if self.curve in (None, "power"):
            # Without a kind of its own a channel takes that of the budget, which is checked there.
            most = max(x for x in (self.curvature, *(self.curvature_range or ()), 0) if isinstance(x, float | int))
            if self.curve == "power" and most > 1:
                raise ValueError("curvature of a power curve is at most 1")
        return self


class GroupOptions(Settings):
    """Limits on the spend of several channels together, in money or as shares of what channels get."""

    name: str = Field(min_length=1)
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    floor: Money | None = None
    ceiling: Money | None = None
    floor_share: Share | None = None
    ceiling_share: Share | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> GroupOptions:
        for end in ("floor", "ceiling"):
            if getattr(self, end) is not None and getattr(self, f"{end}_share") is not None:
                raise ValueError(f"group {self.name!r}: set {end} or {end}_share, not both")
        if len(set(self.channels)) < len(self.channels):
            raise ValueError(f"group {self.name!r} has the same channel twice")
        return self


class WhatIf(Settings):
    """A division of one's own, to be held against the proposal.

    Parameters
    ----------
    name : str
    spend : mapping of channels to money
        The others stay as they are today.
    shares : mapping of groups or channels to shares of what there is to divide
        A group divides its part as today, and so do those that are not named with what is left.
    """

    name: str = Field(min_length=1)
    spend: dict[str, Money] = Field(default_factory=dict)
    shares: dict[str, Share] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_both(self) -> WhatIf:
        if bool(self.spend) == bool(self.shares):
            raise ValueError(f"what_if {self.name!r} needs either spend or shares")
        if self.name in SCENARIOS:
            raise ValueError(f"what_if {self.name!r}: this name is reserved, choose another")
        if sum(self.shares.values()) > 1 + 1e-9:
            raise ValueError(f"what_if {self.name!r}: the shares add up to more than 1")
        return self


class LongRunOptions(Settings):
    """A second horizon, to see what short and long run ask of each other.

    Parameters
    ----------
    objective : as that of the budget
        What counts in the long run; the same unless set.
    factors : mapping of channels to numbers > 0
        What a channel returns in the long run, as a multiple of what the data show of it: an assumption.
    points : int
        How many weights of the long run, from 0 to 1.
    """

    objective: Objective | None = None
    factors: dict[str, Positive] = Field(default_factory=dict)
    points: Annotated[int, Field(ge=2, le=101, strict=True)] = 11

    @model_validator(mode="after")
    def _another(self) -> LongRunOptions:
        if self.objective is None and not self.factors:
            raise ValueError("long_run needs its own objective, or factors for channels")
        return self


class BudgetOptions(Settings):
    """How a sum of money is divided among channels.

    Parameters
    ----------
    total : float > 0
        For a period as long as that of the data.
    objective : ``conversions``, ``new_customers``, ``revenue``, ``margin`` or ``ltv``
        What is made as large as can be; the basis that channels are ranked by unless set. Revenue, margin and LTV are
        those of the ``returns`` table; ``[returns]`` says what margin and LTV are, and which costs are the spend that
        is divided.
    curve, curvature, curvature_range, steepness
        Of channels that are not named in ``curves`` (see `CurveOptions`).
    curves : mapping of channels to `CurveOptions`
    history : path, or ``own``
        To what curvature is fitted: a table of channel, period, spend and return (CSV or Parquet), or the run's own
        costs by day and credit, week by week.
    floors, ceilings : mapping of channels to money
    groups : list of `GroupOptions`
    reserve : mapping of names to money
        Sums set aside before channels get anything.
    brand_channels, brand_floor : list of channels and the least share that they get together
    capacity : float > 0
        Most conversions that can be dealt with, counted as those that channels are credited with.
    capacity_stage : text
        A stage of ``[funnel]`` whose arrivals the capacity counts in place of conversions.
    step_limit : float > 0, or ``none``
        Largest change of a channel's spend, as a share of today's.
    risk_aversion : float ≥ 0
        Standard deviations that are taken off the return; needs ``[resampling]``.
    valid_days : int > 0
        A proposal expires so many days after the end of the data.
    what_if : list of `WhatIf`
    long_run : `LongRunOptions`
    previous : path
        Folder of an earlier plan, which is compared with what channels return now.

    Raises
    ------
    InputError
        If an option is unknown or impossible, or options contradict each other.

    Examples
    --------
    >>> import attribution as at
    >>> options = at.BudgetOptions(total=50_000, objective="margin", floors={"brand": 5_000}, step_limit=0.2)
    >>> options.total, options.curve
    (50000.0, 'power')
    """

    total: Positive | None = None
    objective: Objective = "revenue"
    curve: CurveKind = "power"
    curvature: Positive | Literal["history"] | None = None
    curvature_range: tuple[Positive, Positive] | None = None
    steepness: Positive = 1.0
    curves: dict[str, CurveOptions] = Field(default_factory=dict)
    history: str | None = None
    floors: dict[str, Money] = Field(default_factory=dict)
    ceilings: dict[str, Money] = Field(default_factory=dict)
    groups: tuple[GroupOptions, ...] = ()
    reserve: dict[str, Money] = Field(default_factory=dict)
    brand_channels: tuple[str, ...] = ()
    brand_floor: Share | None = None
    capacity: Positive | None = None
    capacity_stage: str | None = None
    step_limit: Positive | Literal["none"] = 0.3
    risk_aversion: Annotated[Number, Field(ge=0, allow_inf_nan=False)] = 0.0
    valid_days: Annotated[int, Field(gt=0, le=3650, strict=True)] = 90
    what_if: tuple[WhatIf, ...] = ()
    long_run: LongRunOptions | None = None
    previous: str | None = None

    @model_validator(mode="after")
    def _no_contradiction(self) -> BudgetOptions:
        if bool(self.brand_channels) != (self.brand_floor is not None):
            raise ValueError("brand_floor and brand_channels go together")
        if self.capacity_stage is not None and self.capacity is None:
            raise ValueError("capacity_stage has no effect without capacity")
        names = [group.name for group in self.groups]
        if len(set(names)) < len(names) or (self.brand_channels and "brand" in names):
            raise ValueError("two groups have one name")
        if len({each.name for each in self.what_if}) < len(self.what_if):
            raise ValueError("two what_if have one name")
        for channel in ("", *self.curves):
            self.curve_of(channel)
        return self

    @property
    def files(self) -> list[str]:
        """Paths that are read, relative to the experiment."""
        return [path for path in (self.history, self.previous) if path is not None]

    @property
    def objectives(self) -> set[Objective]:
        """What has to be known: of the budget, and of its long run."""
        of_long_run = None if self.long_run is None else self.long_run.objective
        return {self.objective, *([] if of_long_run is None else [of_long_run])}

    def curve_of(self, channel: str) -> CurveOptions:
        """The curve of a channel, with what is not said of it taken from the whole."""
        own = self.curves.get(channel, CurveOptions())
        kind = own.curve or self.curve
        shared = kind == self.curve
        curvature = own.curvature or (self.curvature if shared or self.curvature == "history" else None)
        around = own.curvature_range or (self.curvature_range if shared and own.curvature is None else None)
        return CurveOptions(
            curve=kind,
            curvature=curvature,
            curvature_range=around,
            steepness=own.steepness or self.steepness,
        )


def budget_options(experiment: Experiment) -> BudgetOptions | None:
    """Those of an experiment; None where it has none."""
    return experiment.options("budget", BudgetOptions)
