"""What counts as return and what as cost: the ``[returns]`` part of an experiment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attribution.schema.experiment.settings import Number, Settings, Weight

Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Shared = Literal["spend", "touchpoints", "credit"]


class LifetimeOptions(Settings):
    """How the revenue of a new customer comes in over time, for a simple LTV and for payback.

    Parameters
    ----------
    revenue : float > 0
        Money per period from a customer who stays. Without it, the amount comes from a column ``ltv`` or from
        ``returns.ltv``, and the rest says only how it is spread over time.
    retention : float, 0 … 1
        Share of customers who stay from one period to the next.
    discount : float ≥ 0
        Interest rate per period.
    periods : int ≥ 1
        How many periods count.
    """

    revenue: Positive | None = None
    retention: Share
    discount: Weight = 0.0
    periods: Annotated[int, Field(ge=1, le=10_000, strict=True)]


class ReturnsOptions(Settings):
    """What counts as return, which costs count, and where spend comes from.

    Parameters
    ----------
    basis : ``revenue``, ``margin`` or ``ltv``
        The return that channels are ranked by; the others have rows of their own wherever they are known.
    cost_basis : ``media`` or ``loaded``
        The costs that channels are ranked by: media alone, or all types and a part of what channels share.
    spend_from : ``costs`` or ``touchpoints``
        Which one gives media spend if both have it for a channel.
    margin : float in (0, 1]
        Gross margin, a share of revenue; of conversions without a margin of their own.
    ltv : float > 0
        Lifetime revenue of a new customer, discounted; of those without one of their own. The margin applies to it.
    lifetime : LifetimeOptions
        In place of ``ltv``: revenue × retention × discount over so many periods; and how soon LTV comes in.
    fee_rate : float, 0 … 1, or a mapping
        Fees as a share of media spend, of all channels or of those named; a type of cost of its own.
    amortise_days : mapping
        Cost type = days that such a cost serves from its day on, where the costs table does not say.
    shared_by : ``spend``, ``touchpoints``, ``credit``, or a mapping
        What costs without a channel are shared by: media spend, touchpoints, credited conversions, or a weight for
        each channel of your own. Or one of these for each cost type: ``{ labour = { mail = 30, search = 10 },
        tools = "touchpoints" }``, and spend for the others.
    currency : str
        The currency of values and of costs that name none.
    rates : mapping
        Currency = what one unit of it is worth in ``currency``; the table ``rates`` has rates that change.
    """

    basis: Literal["revenue", "margin", "ltv"] = "revenue"
    cost_basis: Literal["media", "loaded"] = "media"
    spend_from: Literal["costs", "touchpoints"] | None = None
    margin: Annotated[Number, Field(gt=0, le=1)] | None = None
    ltv: Positive | None = None
    lifetime: LifetimeOptions | None = None
    fee_rate: Share | dict[str, Share] | None = None
    amortise_days: dict[str, Annotated[int, Field(ge=1, le=100_000, strict=True)]] = Field(default_factory=dict)
    shared_by: Shared | dict[str, Weight] | dict[str, Shared | dict[str, Weight]] = "spend"
    currency: str | None = Field(default=None, min_length=1)
    rates: dict[str, Positive] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> ReturnsOptions:
        if self.ltv is not None and self.lifetime is not None and self.lifetime.revenue is not None:
            raise ValueError("ltv and lifetime.revenue both say what a customer is worth: leave one out")
        if (self.ltv is not None or self.lifetime is not None) and self.margin is None:
            raise ValueError("ltv is a revenue, so it needs margin (margin = 1 if your ltv is a margin already)")
        if self.rates and self.currency is None:
            raise ValueError("rates need currency: the currency that values are in")
        by = self.shared_by
        drivers = [by, *by.values()] if isinstance(by, dict) else []
        for weights in (list(of.values()) for of in drivers if isinstance(of, dict)):
            numbers = [weight for weight in weights if isinstance(weight, (int, float))]
            if len(numbers) == len(weights) and not sum(numbers) > 0:
                raise ValueError("shared_by needs at least one weight above 0")
        return self
