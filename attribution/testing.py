"""The laws that any model must obey, as a list of checks.

``check_model(MyModel())`` checks them on a small log; ``model_checks`` yields them one by one, for a test runner;
``judge_model`` reports for each whether it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from inspect import getdoc
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.data.engine import DuckDBEngine
from attribution.data.loading import load_sources
from attribution.errors import InputError, LawError, shorten
from attribution.journeys import Journeys, build_journeys
from attribution.models import AttributionModel
from attribution.models.credit import allocate, journey_credit
from attribution.models.machinery import get_machinery
from attribution.models.saved.state import NAMELESS, ModelState
from attribution.schema.experiment import TableSpec
from attribution.schema.tables import BASELINE, UNATTRIBUTED

Check = tuple[str, Callable[[], None]]

_CHANNELS = ("affiliate", "direct", "display", "email", "search")
_DAY = np.timedelta64(1, "D")


@check_arguments
def check_model(model: AttributionModel) -> None:
    """Check every law on ``model``; it is copied, not fitted.

    Parameters
    ----------
    model : an instance of your class: ``check_model(MyModel())``

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
        except (AssertionError, LawError) as error:
            raise LawError(f"model {model.label!r} breaks the law {name!r}: {error}") from error


def model_checks(model: AttributionModel) -> Iterator[Check]:
    """(name, check) for every law; a check raises `AssertionError` or `LawError` where the law does not hold."""
    # Enough customers for a model that asks for many conversions.
    least = get_machinery(model).least_conversions
    log = _Log.simulate(seed=1, customers=max(80, 4 * least))
    for law in _laws():
        yield law.__name__, partial(_run_law, law, model, log)


def _run_law(law: Callable[[AttributionModel, _Log], None], model: AttributionModel, log: _Log) -> None:
    law(_copy(model), log)


@dataclass(frozen=True)
class Verdict:
    """Whether one law holds; ``reason`` says why it does not."""

    law: str
    meaning: str
    holds: bool
    reason: str | None


def judge_model(model: AttributionModel) -> Iterator[Verdict]:
    """A verdict on every law, whatever ``model`` raises; it is copied, not fitted.

    Examples
    --------
    >>> import attribution as at
    >>> all(verdict.holds for verdict in judge_model(at.Linear()))
    True
    """
    for law, (name, check) in zip(_laws(), model_checks(model), strict=True):
        reason = None
        try:
            check()
        except (AssertionError, LawError) as error:
            reason = str(error)
        except Exception as error:  # whatever somebody's own model raises
            reason = f"{type(error).__name__}: {error}"
        shown = None if reason is None else shorten(" ".join(reason.split()), 400)
        yield Verdict(name, (getdoc(law) or "").partition("\n")[0], reason is None, shown)


def _laws() -> tuple[Callable[[AttributionModel, _Log], None], ...]:
    return (
        credit_adds_up,
        journey_credit_sums_to_one,
        journeys_add_up_to_credit,
        row_order_changes_nothing,
        customer_order_changes_nothing,
        chunking_changes_nothing,
        renaming_channels_changes_nothing,
        doubling_customers_doubles_credit,
        absent_channel_gets_nothing,
        fitting_in_parts_changes_nothing,
        saving_changes_nothing,
        clone_works,
    )


@dataclass(frozen=True)
class _Log:
    """A small log with every feature of journeys; some customers were never touched, and only direct is free."""

    touchpoints: pd.DataFrame
    conversions: pd.DataFrame
    customers: pd.DataFrame

    @classmethod
    def simulate(cls, seed: int, customers: int = 80) -> _Log:
        rng = np.random.default_rng(seed)
        touches, converts = rng.poisson(4, customers), rng.poisson(0.7, customers)
        start = np.datetime64("2024-01-01T00:00:00", "us")

        def moments(n: int) -> Any:
            # Noon or midnight, so that there are ties.
            return start + rng.integers(0, 2 * 60, n) * np.timedelta64(12, "h")

        names = np.array([f"customer {i:03d}" for i in range(customers)])
        n = touches.sum()
        touchpoints = pd.DataFrame(
            {
                "customer_id": np.repeat(names, touches),
                "touched_at": moments(n),
                "channel": rng.choice(_CHANNELS, n, p=[0.1, 0.2, 0.2, 0.2, 0.3]),
                "kind": rng.choice(["click", "impression"], n, p=[0.7, 0.3]),
                "stage": rng.choice(np.array([None, "lead", "opportunity"], dtype=object), n, p=[0.8, 0.12, 0.08]),
            }
        )
        conversions = pd.DataFrame(
            {
                "customer_id": np.repeat(names, converts),
                "converted_at": moments(converts.sum()),
                "value": rng.gamma(2.0, 30.0, converts.sum()).round(2),
            }
        )
        never_touched = [f"customer {i:03d}" for i in range(customers, customers + customers // 2)]
        return cls(touchpoints, conversions, pd.DataFrame({"customer_id": [*names, *never_touched]}))

    @cached_property
    def as_it_is(self) -> Journeys:
        """Its journeys, read once for all laws."""
        return self.journeys()

    @cached_property
    def in_small_batches(self) -> Journeys:
        """Its journeys, cut into many chunks."""
        return self.journeys(batch_rows=7)

    def journeys(self, **engine: Any) -> Journeys:
        every_column = TableSpec(source=self.touchpoints, columns={name: name for name in self.touchpoints})
        paid = sorted(set(self.touchpoints["channel"]) - {"direct"})
        costs = pd.DataFrame({"channel": paid, "amount": 100.0})
        return build_journeys(
            load_sources(
                every_column, self.conversions, costs=costs, customers=self.customers, engine=DuckDBEngine(**engine)
            )
        )

    def each(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> _Log:
        return _Log(change(self.touchpoints), change(self.conversions), change(self.customers))

    def with_customers(self, rename: Callable[[pd.Series], pd.Series]) -> _Log:
        return self.each(lambda table: table.assign(customer_id=rename(table["customer_id"])))


def credit_adds_up(model: AttributionModel, log: _Log) -> None:
    """Σ credit = conversions and Σ value = value, with the baseline of an incremental model."""
    credit = model.fit(log.as_it_is).credit_
    np.testing.assert_allclose(credit.total("conversions"), len(log.conversions), rtol=1e-9)
    np.testing.assert_allclose(credit.total("value"), log.conversions["value"].sum(), rtol=1e-9)
    is_incremental = model.estimand == "incremental"
    assert is_incremental == (credit.baseline is not None), (
        f"with estimand {model.estimand!r} the baseline is {credit.baseline!r}"
    )


def journey_credit_sums_to_one(model: AttributionModel, log: _Log) -> None:
    """Every conversion is divided exactly once, with the baseline's part, or refused because totals are negative."""
    journeys = log.as_it_is
    credit = model.fit(journeys).credit_
    try:
        table = journey_credit(journeys, [model])
    except InputError as refusal:
        if min(credit.conversions.min(), credit.value.min()) < 0:
            return
        raise AssertionError(f"no total is negative, but there is no credit per journey: {refusal}") from refusal
    by_conversion = table.groupby("conversion_id")
    assert len(by_conversion) == len(log.conversions), "a conversion is missing or doubled"
    np.testing.assert_allclose(by_conversion["credit"].sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(table["credited_value"].sum(), log.conversions["value"].sum(), rtol=1e-9)
    assert (table["credit"] >= 0).all(), "negative credit"
    has_row = by_conversion["channel"].agg(lambda names: BASELINE in set(names))
    is_touched = by_conversion["channel"].agg(lambda names: UNATTRIBUTED not in set(names))
    is_incremental = credit.baseline is not None
    assert (has_row == (is_touched & is_incremental)).all(), "conversions with touchpoints lack a part of the baseline"


def journeys_add_up_to_credit(model: AttributionModel, log: _Log) -> None:
    """With a baseline, channels get their credit from the journeys of the fit, 0 if it is negative, and it the rest."""
    journeys = log.as_it_is
    credit = model.fit(journeys).credit_
    if credit.baseline is None:
        return
    try:
        table = journey_credit(journeys, [model])
    except InputError:
        return  # no credit per journey, which another law checks
    shares = table.groupby("channel")["credit"]
    published = pd.Series(np.maximum(credit.conversions[:-1], 0.0), list(credit.channels))
    took_part = shares.agg(lambda parts: (parts > 0).sum()).reindex(published.index).fillna(0.0)
    if published.sum() <= len(log.conversions) - credit.conversions[-1]:
        expected = np.minimum(published, took_part)
        np.testing.assert_allclose(shares.sum().reindex(expected.index).fillna(0.0), expected, rtol=1e-6, atol=1e-9)


def row_order_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """Shuffled rows give the same bytes."""
    shuffled = log.each(lambda table: table.sample(frac=1, random_state=2))
    _same_bytes(model, log.as_it_is, shuffled.journeys())


def customer_order_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """Customers under other names, so in another order, give the same bytes."""
    reversed_names = log.with_customers(lambda ids: ids.str[::-1])
    _same_bytes(model, log.as_it_is, reversed_names.journeys())


def chunking_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """Smaller batches, more partitions and one thread give the same bytes."""
    _same_bytes(model, log.as_it_is, log.in_small_batches)
    _same_bytes(model, log.as_it_is, log.journeys(partitions=3, threads=1))


def renaming_channels_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """New names in the same order give the same credit (“direct” keeps its name, since models may know it)."""
    names = {channel: channel if channel == "direct" else f"{channel} 渠道" for channel in _CHANNELS}
    renamed = replace(log, touchpoints=log.touchpoints.assign(channel=log.touchpoints["channel"].map(names)))
    _same_bytes(model, log.as_it_is, renamed.journeys())


def doubling_customers_doubles_credit(model: AttributionModel, log: _Log) -> None:
    """Every customer twice, under two names, gives twice the credit."""
    both = log.each(
        lambda table: pd.concat([table, table.assign(customer_id=table["customer_id"] + " twin")], ignore_index=True)
    )
    once, twice = _fit(model, log.as_it_is), _fit(model, both.journeys())
    np.testing.assert_allclose(twice.credit_.conversions, 2 * once.credit_.conversions, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(twice.credit_.value, 2 * once.credit_.value, rtol=1e-9, atol=1e-9)
    if once.credit_.baseline is not None:
        assert twice.credit_.baseline is not None, "the baseline is gone"
        np.testing.assert_allclose(twice.credit_.baseline, 2 * np.array(once.credit_.baseline), rtol=1e-9, atol=1e-9)


def absent_channel_gets_nothing(model: AttributionModel, log: _Log) -> None:
    """A channel that is in no journey gets exactly zero."""
    stray = log.touchpoints.iloc[:1].assign(customer_id=None, channel="radio")
    with_stray = replace(log, touchpoints=pd.concat([log.touchpoints, stray], ignore_index=True))
    credit = model.fit(with_stray.journeys()).credit_
    index = credit.channels.index("radio")
    assert credit.conversions[index] == 0, "conversions for a channel in no journey"
    assert credit.value[index] == 0, "value for a channel in no journey"


def fitting_in_parts_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """`partial_fit` on two halves of the customers gives the same bytes as `fit` on all."""
    journeys = log.in_small_batches
    chunks = tuple(journeys)
    half = len(chunks) // 2
    parts = [replace(journeys, chunks=part) for part in (chunks[:half], chunks[half:])]
    whole, stepwise = _fit(model, journeys), _copy(model)
    for part in parts:
        stepwise.partial_fit(part)
    _equal_bytes(whole, stepwise)


def saving_changes_nothing(model: AttributionModel, log: _Log) -> None:
    """Saved and restored, the fitted model gives the same credit; a model that no file can name is skipped."""
    journeys = log.as_it_is
    fitted = _fit(model, journeys)
    if min(fitted.credit_.conversions.min(), fitted.credit_.value.min()) < 0:
        return  # no credit per journey, which another law checks
    try:
        state = ModelState.of(fitted)
    except InputError as error:
        if NAMELESS in str(error):
            return
        raise AssertionError(str(error)) from error
    before, after = (_parts_of_conversions(each, journeys) for each in (fitted, state.model()))
    assert before.tobytes() == after.tobytes(), f"credit differs by up to {np.abs(before - after).max()!r}"


def _parts_of_conversions(model: AttributionModel, journeys: Journeys) -> NDArray[np.float64]:
    """Shares of touchpoints and of the baseline, as new conversions are divided."""
    divided = [allocate(model, chunk) for chunk in journeys]
    return np.concatenate([part for each in divided for part in (each.shares, each.baseline) if part is not None])


def clone_works(model: AttributionModel, log: _Log) -> None:
    """scikit-learn's ``clone`` copies the parameters."""
    from sklearn.base import clone

    try:
        copy = clone(model)
    except RuntimeError as error:
        raise AssertionError(f"the constructor does more than assign its arguments: {error}") from error
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
    assert a.credit_.baseline == b.credit_.baseline, "the baseline differs"
