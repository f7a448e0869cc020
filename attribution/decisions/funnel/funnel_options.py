"""What a funnel is: the ``[funnel]`` part of an experiment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attribution.schema.experiment.settings import Days, Number, Settings

Name = Annotated[str, Field(min_length=1)]
Probability = Annotated[Number, Field(ge=0, le=1)]
Money = Annotated[Number, Field(ge=0, allow_inf_nan=False)]


class FunnelOptions(Settings):
    """How cases are followed from the first stage to the win.

    Parameters
    ----------
    stages : list of texts
        The stages in order, as the ``stages`` table writes them: ``["lead", "MQL", "SQL", "opportunity", "won"]``.
    won : text
        The stage that is a win; the last one unless set. Stages may come after it, such as ``paid``.
    lost : list of texts
        Values of ``stage`` that end a case without a win.
    unknown : ``refuse`` or ``drop``
        What becomes of rows of other stages: the run is refused, or they are left out and counted.
    lookback_days : float > 0
        Window before a stage is reached; that of ``[journeys]`` unless set.
    window_days : float > 0
        A case that has not moved on for so long counts as lost; unless set, it stays open until it is lost for sure.
    probabilities : mapping of stages to numbers in [0, 1]
        How likely an open case of the stage is to be won; learned from the data for stages that are not named.
    cost_basis : ``media`` or ``loaded``
        The costs of cost per stage; that of ``[returns]`` unless set.
    costs : mapping of stages to money ≥ 0
        What working one arrival in the stage costs, whether it moves on or not: ``{ lead = 5, SQL = 120 }``. An arrival
        further on bears that of every case in the stages before it.
    break_days : float > 0
        Whether a case moves on within so many days is what breaks of the funnel are looked for by.
    recent_days : float > 0
        Of arrivals old enough, those of the last so many days are compared with all before.
    level : float
        Nominal coverage of intervals; that of breaks is corrected for the number of comparisons.

    Raises
    ------
    InputError
        If an option is unknown or impossible, or a stage is named that is not among ``stages``.

    Examples
    --------
    >>> import attribution as at
    >>> options = at.FunnelOptions(stages=["lead", "MQL", "opportunity", "won"], lost="lost", costs={"lead": 5})
    >>> options.stages[options.won_at], options.lost
    ('won', ('lost',))
    """

    stages: Annotated[tuple[Name, ...], Field(min_length=2)]
    won: Name | None = None
    lost: tuple[Name, ...] = ()
    unknown: Literal["refuse", "drop"] = "refuse"
    lookback_days: Days | None = None
    window_days: Days | None = None
    probabilities: dict[str, Probability] = Field(default_factory=dict)
    cost_basis: Literal["media", "loaded"] | None = None
    costs: dict[str, Money] = Field(default_factory=dict)
    break_days: Days = 30.0
    recent_days: Days = 30.0
    level: Annotated[Number, Field(gt=0, lt=1)] = 0.9

    @model_validator(mode="after")
    def _one_order(self) -> FunnelOptions:
        all_stages = [*self.stages, *self.lost]
        twice = sorted({name for name in all_stages if all_stages.count(name) > 1})
        if twice:
            raise ValueError(f"stage {twice[0]!r} is named twice")
        if self.won is not None and self.won not in self.stages[1:]:
            raise ValueError(f"won is {self.won!r}, but must be one of the stages after the first")
        before = self.stages[: self.won_at]
        for key, names in (("probabilities", self.probabilities), ("costs", self.costs)):
            for name in names:
                if name not in before:
                    raise ValueError(
                        f"{key} has {name!r}, but only the stages before the win are allowed: {list(before)}"
                    )
        return self

    @property
    def won_at(self) -> int:
        """Position of the stage that is a win."""
        return len(self.stages) - 1 if self.won is None else self.stages.index(self.won)
