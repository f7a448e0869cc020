"""The parts of an experiment and what they may be."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from attribution.arguments import describe
from attribution.errors import InputError
from attribution.schema.experiment.refusal import refusal

DEFAULT_LOOKBACK_DAYS = 30.0
"""Used where ``lookback_days`` is not set and times are real; integer times have no window."""

DEFAULT_VISIT_LOOKBACK_DAYS = 90.0
"""Used where ``visit_lookback_days`` is not set: as far back as Google Analytics 4 looks."""


def _instant(moment: dt.datetime | dt.date | None, *, last: bool) -> int | None:
    if moment is None:
        return None
    if not isinstance(moment, dt.datetime):
        day = dt.datetime(moment.year, moment.month, moment.day, tzinfo=dt.UTC)
        extra = dt.timedelta(days=1) - dt.timedelta(microseconds=1) if last else dt.timedelta()
        moment = day + extra
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


if TYPE_CHECKING:
    # Checkers take the parameters of a part from its fields, which they do for pydantic's own metaclass alone.
    from pydantic._internal._model_construction import ModelMetaclass as _Refusing
else:

    class _Refusing(type(BaseModel)):
        """Parts that are made by a call refuse wrong values with an `InputError`, as those from a file do."""

        def __call__(cls, *args, **kwargs):
            try:
                return super().__call__(*args, **kwargs)
            except ValidationError as error:
                raise refusal(error, cls, cls.__name__) from None


class Settings(BaseModel, metaclass=_Refusing):
    """One part: unknown keys are refused, and nothing changes after."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @property
    def files(self) -> list[str]:
        """Paths that it names and that are read, relative to the experiment."""
        return []

    @field_validator("*", mode="before")
    @classmethod
    def _one_text(cls, value: object, info: ValidationInfo) -> object:
        """One text in place of several means that one, and a choice may be written in any case of letters."""
        if not isinstance(value, str) or info.field_name is None:
            return value
        kinds = list(_alternatives(cls.model_fields[info.field_name].annotation))
        choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
        if choices and value not in choices and str not in kinds:
            value = next((choice for choice in choices if str(choice).casefold() == value.casefold()), value)
        takes_text = any(kind is str or kind is Any or get_origin(kind) is Literal for kind in kinds)
        return [value] if not takes_text and {get_origin(kind) for kind in kinds} & {list, tuple} else value

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """The part that a mapping of its keys describes; wrong values are an `InputError`."""
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise refusal(error, cls, cls.__name__) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """The part that JSON describes; wrong values are an `InputError`."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            raise refusal(error, cls, cls.__name__) from None

    def __setattr__(self, name: str, value: object) -> None:
        kind = type(self).__name__
        raise InputError(f"{kind} cannot be changed", given=f"{name} = {describe(value)}", hint=f"make another {kind}")


def _alternatives(annotation: Any) -> Iterator[Any]:
    """What a field may be, one by one."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        for each in get_args(annotation) if origin is not Annotated else get_args(annotation)[:1]:
            yield from _alternatives(each)
    else:
        yield annotation


class Period(Settings):
    """The analysis period; both ends inclusive, a date as ``end`` means to the end of that day.

    Parameters
    ----------
    start : first day or instant (UTC unless it says otherwise), as a date, a datetime or a text; open unless set
    end : last day or instant

    Raises
    ------
    InputError
        If one of them is no date, or the start lies after the end.

    Examples
    --------
    >>> import attribution as at
    >>> spring = at.Period(start="2024-04-01", end="2024-06-30")
    >>> spring.end
    datetime.date(2024, 6, 30)
    """

    start: dt.datetime | dt.date | None = None
    end: dt.datetime | dt.date | None = None

    @field_validator("start", "end", mode="before")
    @classmethod
    def _a_moment(cls, value: object) -> object:
        if value is None or isinstance(value, dt.date):
            return value
        try:
            # A date as text is a date too: as an end it means the end of that day.
            is_date = re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(value).strip())
            kind = dt.date if is_date else dt.datetime
            return kind.fromisoformat(str(value).strip())
        except ValueError:
            raise ValueError("must be a date such as 2024-04-01, or a date and time") from None

    def bounds(self) -> tuple[int | None, int | None]:
        """First and last microsecond (UTC) of the period, None where open."""
        return _instant(self.start, last=False), _instant(self.end, last=True)

    @model_validator(mode="after")
    def _in_order(self) -> Period:
        first, last = self.bounds()
        if first is not None and last is not None and first > last:
            raise ValueError(f"start {self.start} lies after end {self.end}")
        return self


def _a_number(value: object) -> object:
    if isinstance(value, bool | str) or (isinstance(value, float) and math.isnan(value)):
        raise ValueError("must be a number")
    return value


Number = Annotated[float, BeforeValidator(_a_number)]
Days = Annotated[Number, Field(gt=0)]
Weight = Annotated[Number, Field(ge=0, allow_inf_nan=False)]


GapMinutes = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
VisitSource = Literal["first", "last_non_direct"]
VisitBreak = Literal["midnight", "campaign"]
Names = Annotated[list[str], Field(min_length=1)]


class VisitOptions(Settings):
    """How page views become visits, each of which is one touchpoint; part of `JourneyOptions`.

    Parameters
    ----------
    visit_gap_minutes : float > 0
        A visit begins after so much time without activity. Page views from the own sites and from
        ``ignored_referrers``, and rows without a channel, begin none, even after a pause.
    visit_source : ``first`` or ``last_non_direct``
        A visit has the source of its first page view that carries one; the channels of ``direct_channels`` carry none.
        ``last_non_direct``: a visit without any takes over the last known one of its customer.
    visit_breaks : list of ``midnight`` and ``campaign``
        What begins a new visit, too: midnight in the time zone of touchpoints, or a page view with another channel or
        campaign than the last one that carried any.
    visit_lookback_days : float > 0
        How far back ``last_non_direct`` looks; 90 unless set.
    direct_channels : list of texts
        Channels of direct traffic, in any case of letters; ``["direct"]`` unless set.

    Raises
    ------
    InputError
        If an option contradicts another.

    Examples
    --------
    >>> VisitOptions(visit_gap_minutes=30, visit_breaks="midnight").visit_breaks
    ['midnight']
    """

    visit_gap_minutes: GapMinutes
    visit_source: VisitSource = "first"
    visit_breaks: list[VisitBreak] = Field(default_factory=list)
    visit_lookback_days: Days | None = None
    direct_channels: Names | None = None

    @model_validator(mode="after")
    def _no_contradiction(self) -> VisitOptions:
        if self.visit_lookback_days is not None and self.visit_source != "last_non_direct":
            raise ValueError("visit_lookback_days needs visit_source = 'last_non_direct'")
        return self

    @property
    def lookback_days(self) -> float:
        """How far back a visit without a source looks for one."""
        if self.visit_source == "first":
            return 0.0
        return DEFAULT_VISIT_LOOKBACK_DAYS if self.visit_lookback_days is None else self.visit_lookback_days


VISIT_OPTIONS = ("visit_gap_minutes", "visit_source", "visit_breaks", "visit_lookback_days")
"""Journey options that reading touchpoints obeys, and not building journeys."""


class JourneyOptions(Settings):
    """How touchpoints and conversions become journeys.

    Parameters
    ----------
    lookback_days : float > 0
        Window before a conversion, inclusive at both ends; 30 unless set, refused on integer times.
    lookback_by_kind, lookback_by_channel : mapping to days > 0
        Windows of their own; of a touchpoint with two of them the shorter one counts.
    conversions : ``reset``, ``cumulative`` or ``first_only``
        A conversion closes the journey; every conversion looks back over its own window; only the first
        conversion of a customer counts.
    conversion_kinds : list of texts
        Which kinds of conversions count, in any case of letters; the others are ignored.
    customers : ``all`` or ``new``
        ``new``: only conversions of new customers count; the others still close journeys.
    view_through : ``equal``, ``clicks_only`` or ``clicks_dominate``
        Impressions count like clicks, never, or only in journeys without another touchpoint.
    view_through_weight : float, 0 < q ≤ 1
        What an impression weighs beside a touchpoint of another kind (in weights, not in Markov's chain).
    dedupe : ``none``, ``consecutive``, ``gap`` or ``unique``
        Touchpoints that repeat the one before (in channel, campaign, kind …) are merged into it: none, all, those
        within ``dedupe_gap_minutes`` (their costs add up), or exact copies of a row only.
    direct : ``keep``, ``drop_if_other`` or ``drop``
        What becomes of touchpoints of ``direct_channels`` (``["direct"]`` unless set; in any case of letters, and
        "direct" is whatever products call so, such as "(direct) / (none)").
    transform : ``unique``, ``exposure``, ``first`` or ``frequency``
        Paths as they are; runs of a channel as one; only the first touchpoint of each channel; the same with the
        number of its touchpoints as part of the channel's name: "mail (2)", up to "mail (10+)". Models that know
        channels by name must be given these names; a run adds them up again for spend and ROI.
    max_touchpoints : int ≥ 1
        Only the last so many touchpoints of a journey stay.
    open_journeys : ``keep`` or ``drop``
        What becomes of journeys that may still convert after the end of the data.
    account : text
        Column of the customers table; journeys are those of accounts (B2B).
    segment : text
        Column of the customers table; credit is also given per value of it.
    visit_gap_minutes, visit_source, visit_breaks, visit_lookback_days
        How page views become visits, see `VisitOptions`; touchpoints stay as they are unless the first is set.
    """

    lookback_days: Days | None = None
    lookback_by_kind: dict[str, Days] = Field(default_factory=dict)
    lookback_by_channel: dict[str, Days] = Field(default_factory=dict)
    conversions: Literal["reset", "cumulative", "first_only"] = "reset"
    conversion_kinds: Annotated[list[str], Field(min_length=1)] | None = None
    customers: Literal["all", "new"] = "all"
    view_through: Literal["equal", "clicks_only", "clicks_dominate"] = "equal"
    view_through_weight: Annotated[Number, Field(gt=0, le=1)] = 1.0
    dedupe: Literal["none", "consecutive", "gap", "unique"] = "none"
    dedupe_gap_minutes: GapMinutes | None = None
    direct: Literal["keep", "drop_if_other", "drop"] = "keep"
    direct_channels: Names | None = None
    transform: Literal["unique", "exposure", "first", "frequency"] = "unique"
    max_touchpoints: Annotated[int, Field(ge=1, strict=True)] | None = None
    open_journeys: Literal["keep", "drop"] = "keep"
    account: str | None = None
    segment: str | None = None
    visit_gap_minutes: GapMinutes | None = None
    visit_source: VisitSource = "first"
    visit_breaks: list[VisitBreak] = Field(default_factory=list)
    visit_lookback_days: Days | None = None

    @property
    def visits(self) -> VisitOptions | None:
        """How page views become visits; None where touchpoints stay as they are."""
        if self.visit_gap_minutes is None:
            return None
        own = self.model_dump(exclude_unset=True, include={*VISIT_OPTIONS, "direct_channels"})
        return VisitOptions.model_validate(own)

    @property
    def of_building(self) -> dict[str, Any]:
        """What `build_journeys` takes of the options that are set: the rest is for whoever reads the tables."""
        further = {"account", "segment", *VISIT_OPTIONS, *(["direct_channels"] if self.direct == "keep" else [])}
        return self.model_dump(exclude_unset=True, exclude=further)

    @field_validator("conversion_kinds", "lookback_by_kind")
    @classmethod
    def _kinds_in_one_case(cls, value: list[str] | dict[str, float] | None) -> list[str] | dict[str, float] | None:
        """As tables have them, see `attribution.data.loading.contract.read_kind`."""
        kinds = [kind.strip().lower() for kind in value or ()]
        if not isinstance(value, dict):
            return list(dict.fromkeys(kinds)) or value
        if len(set(kinds)) < len(kinds):
            raise ValueError("a kind is named twice")
        return dict(zip(kinds, value.values(), strict=True))

    @model_validator(mode="after")
    def _no_contradiction(self) -> JourneyOptions:
        if self.dedupe_gap_minutes is not None and self.dedupe != "gap":
            raise ValueError("dedupe_gap_minutes needs dedupe = 'gap'")
        without_gap: dict[str, object] = {"visit_source": "first", "visit_breaks": [], "visit_lookback_days": None}
        for name, default in without_gap.items():
            if self.visit_gap_minutes is None and getattr(self, name) != default:
                raise ValueError(f"{name} needs visit_gap_minutes")
        if self.visit_lookback_days is not None and self.visit_source != "last_non_direct":
            raise ValueError("visit_lookback_days needs visit_source = 'last_non_direct'")
        if self.visit_gap_minutes is None and self.direct_channels is not None and self.direct == "keep":
            raise ValueError("direct_channels needs direct = 'drop' or 'drop_if_other', or visit_gap_minutes")
        if self.view_through_weight != 1 and self.view_through == "clicks_only":
            raise ValueError(
                "view_through_weight is the weight of impressions, but view_through = 'clicks_only' leaves none"
            )
        return self


class ModelSpec(Settings):
    """One model: its class, an optional label, and its settings as further keys."""

    model_config = ConfigDict(extra="allow")

    model: str
    name: str | None = Field(default=None, min_length=1)

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class ResamplingOptions(Settings):
    """How intervals are drawn.

    Parameters
    ----------
    draws : int
        500 unless set; with fewer the ends of intervals are rough.
    level : float
        Nominal coverage.
    method : ``percentile`` or ``bca``
        BCa corrects for bias and skewness, at the price of one more solution per bucket. Ranks, which jump, have
        percentiles under both.
    seed : int
        The same seed gives the same draws, on every machine.
    """

    draws: Annotated[int, Field(ge=50, le=100_000, strict=True)] = 500
    level: Annotated[Number, Field(gt=0, lt=1)] = 0.9
    method: Literal["percentile", "bca"] = "percentile"
    seed: Annotated[int, Field(ge=0, lt=1 << 63, strict=True)] = 0


class IncrementalityOptions(Settings):
    """What is said of credit beside credit itself.

    Parameters
    ----------
    enabled : bool
        Whether credit is held against what chance alone gives, and stands beside what channels caused, as far as the
        data tell: `attribution.models.AdditiveHazard` is fitted unless one is among the models.
    drift : float ≥ 0
        How much an effect may change from one period to another, as a share of it: what lift tests outside the log's
        period, or of a part of a channel, lose in certainty.
    budgets : randomised, optional
        That chance moved budgets between regions. Only then what channels caused is read from how conversions followed:
        nothing in a log shows whether budgets followed demand instead.
    region : text, optional
        Column of the customers table with the region; needed for ``budgets``.
    """

    enabled: bool = True
    drift: Weight = 0.3
    budgets: Literal["randomised"] | None = None
    region: str | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> IncrementalityOptions:
        if self.budgets is not None and self.region is None:
            raise ValueError("budgets needs region: the column of the customers table with the region")
        if self.region is not None and self.budgets is None:
            raise ValueError("region needs budgets = 'randomised': it is read only where chance moved budgets")
        return self


class OutputOptions(Settings):
    """What is written besides the standing tables.

    Parameters
    ----------
    journey_credit : bool
        Credit per touchpoint.
    interactions : bool
        Which pairs of channels stand in for each other or gain by each other, under Markov and Shapley.
    pictures : bool
        The figures as PNG files.
    unit_economics : bool
        What a customer costs and is worth, and where spend breaks even.
    draws : bool
        Every draw of conversions, value and ROI, so that a later target for several channels has an interval.
    slices : list of texts
        Dimensions of touchpoints (``campaign``, ``kind``, or columns of your own such as ``creative``) whose slices are
        diagnosed, beside channels and segments.
    """

    journey_credit: bool = False
    interactions: bool = False
    pictures: bool = False
    unit_economics: bool = False
    draws: bool = False
    slices: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @field_validator("slices")
    @classmethod
    def _slices_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a dimension is named twice")
        return value


class TrackingOptions(Settings):
    """Where the run is logged: at ``uri``, else where `attribution.pipeline.stores.choose_store` says."""

    enabled: bool = True
    uri: Annotated[str, Field(min_length=1)] | None = None
