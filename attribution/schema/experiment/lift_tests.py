"""A row of lift tests as it is written in a file: ``[[lift_tests]]`` of an experiment, or of criteria for promotion."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import Field

from attribution.schema.experiment.settings import Number, Settings

Text = Annotated[str, Field(min_length=1)]


class LiftTest(Settings):
    """One arm of a lift test or A/B test, or an effect as reported; its keys are the columns of ``lift_tests``.

    What a design needs and what contradicts it is checked where all rows of a test are together, see
    `attribution.incrementality.lift_tests`.
    """

    test: Text
    channel: Text | None = None
    campaign: Text | None = None
    what: Text | None = None
    segment: Text | None = None
    design: Text | None = None
    first_day: dt.date | None = None
    last_day: dt.date | None = None
    outcome_until: dt.date | None = None
    arm: Text | None = None
    region: Text | None = None
    phase: Text | None = None
    customers: Number | None = None
    exposed: Number | None = None
    conversions: Number | None = None
    conversions_of_exposed: Number | None = None
    value: Number | None = None
    value_sd: Number | None = None
    spend: Number | None = None
    effect: Number | None = None
    standard_error: Number | None = None
    low: Number | None = None
    high: Number | None = None
    lift: Number | None = None
    lift_low: Number | None = None
    lift_high: Number | None = None
    level: Number | None = None
    planned_share: Number | None = None
    scale: Number | None = None
