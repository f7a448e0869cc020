"""The additive hazard against models of other kinds and on other engines."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import attribution as at
from tests.data.engine.test_spark import why_not
from tests.models.test_additive_hazard import DAYS, HALF_LIFE, START, World, credited, plain, world

CHANNELS = ("mail", "video")


def person_days(shop: World) -> tuple[np.ndarray, np.ndarray]:
    """Of every customer and day: 1 and ∫ of the stocks of each channel, and the number of conversions.

    Stocks last until the end of the day of the conversion: what they are must not depend on whether there is one.
    """

    def in_days(moments: pd.Series) -> pd.Series:
        return (moments - START) / pd.Timedelta(days=1)

    rate, days = np.log(2) / HALF_LIFE, np.arange(int(DAYS))
    ends = pd.DataFrame(
        {"customer_id": shop.conversions["customer_id"], "at": in_days(shop.conversions["converted_at"])}
    )
    ends = ends.sort_values("at").assign(end=lambda frame: np.ceil(frame["at"]))
    columns = [np.ones(shop.customers * len(days))]
    for channel in CHANNELS:
        own = shop.touchpoints[shop.touchpoints["channel"] == channel]
        own = pd.DataFrame({"customer_id": own["customer_id"], "at": in_days(own["touched_at"])}).sort_values("at")
        joined = pd.merge_asof(own, ends, on="at", by="customer_id", direction="forward", allow_exact_matches=False)
        start, end = own["at"].to_numpy()[:, None], joined["end"].fillna(DAYS).to_numpy()[:, None]
        low = np.maximum(start, days)
        high = np.maximum(np.minimum(end, days + 1), low)
        stock = np.zeros((shop.customers, len(days)))
        np.add.at(stock, own["customer_id"], (np.exp(-rate * (low - start)) - np.exp(-rate * (high - start))) / rate)
        columns.append(stock.ravel())
    bought = np.zeros((shop.customers, len(days)))
    np.add.at(bought, (ends["customer_id"], ends["at"].astype(int)), 1)
    return np.stack(columns, axis=1), bought.ravel()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_poisson_regression_on_person_days_says_the_same(seed: int) -> None:
    from statsmodels.genmod.families import Poisson, links
    from statsmodels.genmod.generalized_linear_model import GLM

    shop = world(seed=seed)
    stocks, bought = person_days(shop)
    rows, often = np.unique(np.column_stack([stocks, bought]), axis=0, return_counts=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rates add up, which could be negative
        regression = GLM(rows[:, -1], rows[:, :-1], family=Poisson(links.Identity()), freq_weights=often)
        fitted = regression.fit(start_params=[bought.mean() / 2, 0.01, 0.01])
    exposure = stocks[:, 1:].sum(axis=0)
    caused, error = fitted.params[1:] * exposure, fitted.bse[1:] * exposure
    model = plain(credited=list(CHANNELS), customers=shop.customers, adjust="none").fit(shop.journeys())
    made = credited(model)
    np.testing.assert_array_less(np.abs([made[channel] for channel in CHANNELS] - caused), error)
    np.testing.assert_array_less(error, 55)


@pytest.mark.slow
@pytest.mark.nightly
def test_spark_gives_the_same_bytes() -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    shop = world(customers=3_000)
    costs = pd.DataFrame({"channel": list(CHANNELS), "amount": 100.0})
    engine = at.SparkEngine(master="local[1]", config={"spark.sql.shuffle.partitions": "2"})
    try:
        sources = at.load_sources(shop.touchpoints, shop.conversions, costs=costs, engine=engine)
        there = plain(customers=shop.customers).fit(at.build_journeys(sources))
    finally:
        engine.close()
    here = plain(customers=shop.customers).fit(shop.journeys())
    assert there.credit_.conversions.tobytes() == here.credit_.conversions.tobytes()
    assert there.credit_.value.tobytes() == here.credit_.value.tobytes()
    pd.testing.assert_frame_equal(there.assignment_, here.assignment_, check_exact=True)
