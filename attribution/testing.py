"""The laws any model must obey, as a runnable list of checks.

``check_model(MyModel())`` proves them on a small log; ``model_checks`` yields them one by one, for a test runner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from attribution.credit import journey_credit
from attribution.engine import DuckDBEngine
from attribution.errors import LawError
from attribution.journeys import Journeys, build_journeys
from attribution.models import AttributionModel
from attribution.sources import load_sources

Check = tuple[str, Callable[[], None]]

_CHANNELS = ("affiliate", "direct", "display", "email", "search")
_DAY = np.timedelta64(1, "D")


def check_model(model: AttributionModel) -> None:
    """Prove every law on ``model``; it is copied, not fitted.

    Raises
    ------
    LawError
        Naming the first law that does not hold.

    Examples
    --------
    >>> import attribution as at
    >>> check_model(at.Linear())
    """
    for name, check in model_checks(model):
        try:
            check()
        except AssertionError as error:
            raise LawError(f"model {model.label!r} breaks the law {name!r}: {error}") from error


def model_checks(model: AttributionModel) -> Iterator[Check]:
    """(name, check) for every law; a check raises `AssertionError` where the law does not hold."""
    log = _Log.simulate(seed=1)
    laws: list[Callable[[AttributionModel, _Log], None]] = [
        credit_adds_up,
        journey_credit_sums_to_one,
        row_order_changes_nothing,
        customer_order_changes_nothing,
        chunking_changes_nothing,
        renaming_channels_changes_nothing,
        doubling_customers_doubles_credit,
        absent_channel_gets_nothing,
        fitting_in_parts_changes_nothing,
        clone_works,
    ]
    for law in laws:
        yield law.__name__, lambda law=law: law(_copy(model), log)  # type: ignore[misc]


class _Log:
    """A small log of touchpoints and conversions with everything in it that journeys can have."""

    def __init__(self, touchpoints: pd.DataFrame, conversions: pd.DataFrame) -> None:
        self.touchpoints = touchpoints
        self.conversions = conversions

    @classmethod
    def simulate(cls, seed: int, customers: int = 80) -> _Log:
        rng = np.random.default_rng(seed)
        touches, converts = rng.poisson(4, customers), rng.poisson(0.7, customers)
        start = np.datetime64("2024-01-01T00:00:00", "us")

        def moments(n: int) -> Any:
            # Whole hours, so that ties happen.
            return start + rng.integers(0, 24 * 60, n) * np.timedelta64(1, "h")

        names = np.array([f"customer {i:03d}" for i in range(customers)])
        touchpoints = pd.DataFrame(
            {
                "customer_id": np.repeat(names, touches),
                "touched_at": moments(touches.sum()),
                "channel": rng.choice(_CHANNELS, touches.sum(), p=[0.1, 0.2, 0.2, 0.2, 0.3]),
            }
        )
        conversions = pd.DataFrame(
            {
                "customer_id": np.repeat(names, converts),
                "converted_at": moments(converts.sum()),
                "value": rng.gamma(2.0, 30.0, converts.sum()).round(2),
            }
        )
        return cls(touchpoints, conversions)

    def journeys(self, **engine: Any) -> Journeys:
        return build_journeys(load_sources(self.touchpoints, self.conversions, engine=DuckDBEngine(**engine)))

    def with_customers(self, rename: Callable[[pd.Series], pd.Series]) -> _Log:
        return _Log(
            self.touchpoints.assign(customer_id=rename(self.touchpoints["customer_id"])),
            self.conversions.assign(customer_id=rename(self.conversions["customer_id"])),
        )


def credit_adds_up(model: AttributionModel, log: _Log) -> None:
    """Σ credit = conversions and Σ value = value, for an allocated model."""
    journeys = log.journeys()
    credit = model.fit(journeys).credit_
    if model.estimand == "allocated":
        np.testing.assert_allclose(credit.conversions.sum(), len(log.conversions), rtol=1e-9)
        np.testing.assert_allclose(credit.value.sum(), log.conversions["value"].sum(), rtol=1e-9)


def journey_credit_sums_to_one(model: AttributionModel, log: _Log) -> None:
    """Every conversion is handed out exactly once."""
    journeys = log.journeys()
    table = journey_credit(journeys, [model.fit(journeys)])
    by_conversion = table.groupby("conversion_id")
    assert len(by_conversion) == len(log.conversions), "a conversion is missing or doubled"
    np.testing.assert_allclose(by_conversion["credit"].sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(table["credited_value"].sum(), log.conversions["value"].sum(), rtol=1e-9)
    assert (table["credit"] >= 0).all(), "negative credit"


def row_order_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """Shuffled rows give the same bytes."""
    shuffled = _Log(log.touchpoints.sample(frac=1, random_state=2), log.conversions.sample(frac=1, random_state=3))
    _same_bytes(model, log.journeys(), shuffled.journeys())


def customer_order_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """Customers under other names, so in another order, give the same bytes."""
    reversed_names = log.with_customers(lambda ids: ids.str[::-1])
    _same_bytes(model, log.journeys(), reversed_names.journeys())


def chunking_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """Smaller batches, more partitions and one thread give the same bytes."""
    _same_bytes(model, log.journeys(), log.journeys(batch_rows=7))
    _same_bytes(model, log.journeys(), log.journeys(partitions=3, threads=1))


def renaming_channels_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """New names that sort as the old ones give the same credit (“direct” may mean something to a model)."""
    names = {channel: channel if channel == "direct" else f"{channel} 渠道" for channel in _CHANNELS}
    renamed = _Log(log.touchpoints.assign(channel=log.touchpoints["channel"].map(names)), log.conversions)
    _same_bytes(model, log.journeys(), renamed.journeys())


def doubling_customers_doubles_credit(model: AttributionModel, log: _Log) -> None:
    """Every customer twice, under two names, gives twice the credit."""
    twin = log.with_customers(lambda ids: ids + " twin")
    both = _Log(
        pd.concat([log.touchpoints, twin.touchpoints], ignore_index=True),
        pd.concat([log.conversions, twin.conversions], ignore_index=True),
    )
    once, twice = _fit(model, log.journeys()), _fit(model, both.journeys())
    np.testing.assert_allclose(twice.credit_.conversions, 2 * once.credit_.conversions, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(twice.credit_.value, 2 * once.credit_.value, rtol=1e-9, atol=1e-9)


def absent_channel_gets_nothing(model: AttributionModel, log: _Log) -> None:
    """A channel that is in no journey gets exactly zero."""
    stray = pd.DataFrame(
        {"customer_id": [None], "touched_at": log.touchpoints["touched_at"].iloc[:1], "channel": "radio"}
    )
    with_stray = _Log(pd.concat([log.touchpoints, stray], ignore_index=True), log.conversions)
    credit = model.fit(with_stray.journeys()).credit_
    place = credit.channels.index("radio")
    assert credit.conversions[place] == 0, "conversions for a channel in no journey"
    assert credit.value[place] == 0, "value for a channel in no journey"


def fitting_in_parts_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """`partial_fit` on two halves of the customers gives the same bytes as `fit` on all."""
    journeys = log.journeys(batch_rows=7)
    chunks = tuple(journeys)
    half = len(chunks) // 2
    parts = [replace(journeys, chunks=part) for part in (chunks[:half], chunks[half:])]
    whole, stepwise = _fit(model, journeys), _copy(model)
    for part in parts:
        stepwise.partial_fit(part)
    _equal_bytes(whole, stepwise)


def clone_works(model: AttributionModel, log: _Log) -> None:
    """scikit-learn's ``clone`` copies the parameters."""
    from sklearn.base import clone

    copy = clone(model)
    assert type(copy) is type(model), f"clone gave a {type(copy).__name__}"
    assert copy.get_params() == model.get_params(), "clone changed a parameter"
    assert copy.label == model.label, "clone changed the label"


def _copy(model: AttributionModel) -> AttributionModel:
    return type(model)(**model.get_params())


def _fit(model: AttributionModel, journeys: Journeys) -> AttributionModel:
    return _copy(model).fit(journeys)


def _same_bytes(model: AttributionModel, a: Journeys, b: Journeys) -> None:
    _equal_bytes(_fit(model, a), _fit(model, b))


def _equal_bytes(a: AttributionModel, b: AttributionModel) -> None:
    for what in ("conversions", "value"):
        x, y = getattr(a.credit_, what), getattr(b.credit_, what)
        assert x.tobytes() == y.tobytes(), f"{what} differ by up to {np.abs(x - y).max()!r}"
