"""Credit and lift tests become one statement of what each channel caused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import check_arguments, check_columns
from attribution.errors import InputError, did_you_mean
from attribution.incrementality.assumptions import CalibrationOptions
from attribution.incrementality.calibration_declared import (
    ASSUMPTION,
    CALIBRATION_MODELS,
    CALIBRATION_TESTS,
    CARRIED_OVER,
    INCREMENTAL,
    TESTED,
)
from attribution.kernels.calibration import posterior as kernel
from attribution.kernels.calibration.joint import draw_effects
from attribution.schema.tables import CAUSED, NO_CHANNELS

Floats = NDArray[np.float64]

LAST_TOUCH = "last_touch"

LEAST_SHARE = 0.01
"""Of the converters it touched, a channel is taken to have at least so many credited: no credit is no proof."""

MOST_OF_LAST_TOUCH = 1.35
"""What channels cause is hardly ever more than so many times their last-touch credit."""

SURPRISING = 0.01
"""A test contradicts the rest where so few measurements would lie as far off, on its side."""

MOST_DRAWS = 1 << 17

_CREDITS = ("model", "channel", "conversions", "participants")
_READINGS = ("test", "channel", "effect", "standard_error")
_OF_CHANNEL = ("participants", "mean_value", "spend")


@dataclass(frozen=True)
class Calibration:
    """What channels caused, by credit and tests together.

    Attributes
    ----------
    incremental : one row per channel, by name; see `INCREMENTAL`
    models : what was assumed of each model, and how much it counts; see `CALIBRATION_MODELS`
    tests : each test against all else; see `CALIBRATION_TESTS`
    posterior : what all of them are read from

    Examples
    --------
    >>> import attribution as at
    >>> credits = pd.DataFrame({"model": "linear", "channel": ["display", "mail"], "conversions": [200.0, 100.0],
    ...                         "participants": [500, 300]})
    >>> calibration = at.calibrate(credits)
    >>> calibration.models["weight"].tolist(), calibration.draw(512).shape, len(calibration.tests)
    ([1.0], (512, 2), 0)
    """

    incremental: pd.DataFrame
    models: pd.DataFrame
    tests: pd.DataFrame
    posterior: kernel.Posterior

    @check_arguments
    def draw(self, size: int = 1024) -> pd.DataFrame:
        """Joint draws of what channels caused: a row per draw, a column per channel, in the order of ``incremental``.

        They follow from no seed: ``size`` points that cover all that is possible evenly, best with a power of two.
        Multiplied by value ÷ mean they are draws of value.
        """
        if not 1 <= size <= MOST_DRAWS:
            raise InputError("Calibration.draw: size is not possible", given=size, allowed=f"1 to {MOST_DRAWS:,}")
        return pd.DataFrame(draw_effects(self.posterior, size), columns=list(self.incremental["channel"]))


@check_arguments
def calibrate(
    credits: pd.DataFrame,
    readings: pd.DataFrame | None = None,
    options: CalibrationOptions | None = None,
    *,
    margin: float = 1.0,
) -> Calibration:
    """What channels caused, by what models credit them with and what lift tests measured.

    Before any test, an effect is a share of credit: which one is assumed, and how far it varies from client to client
    and from channel to channel, see `CalibrationOptions`. It is nothing at all with some probability, and never more
    than the conversions of customers whom the channel touched. Tests then say what it was, each as far as its error
    allows. A test of one channel says little of others. Several models are averaged by how well they foretell
    the tests.

    Nothing is drawn at random: the same input gives the same numbers, in whatever order its rows are.

    Parameters
    ----------
    credits : one row per model and channel: ``model``, ``channel``, ``conversions`` credited and ``participants``, the
        conversions before which the channel was touched at any time; also, for what they tell, ``mean_value`` of these
        conversions, ``spend`` on the channel, and ``conversions_high``, the upper end of the interval of credit.
        ``participants``, ``mean_value`` and ``spend`` are the same for all models
    readings : one row per test, of the period of ``credits``: ``test``, ``channel``, ``effect`` in conversions and its
        ``standard_error``; a negative effect is fine. The table ``lift_readings`` will do: of it, effects are taken as
        they are in the period of the log, and of conversions, from tests that calibrate
    options : level of intervals, and what is assumed; see `CalibrationOptions`
    margin : share of value that is left to pay for spend

    Returns
    -------
    Calibration
        ``incremental``, ``models`` and ``tests``, and joint draws. Means add up; a median is what is typical of one
        channel.

    Raises
    ------
    InputError
        If a table lacks a column, a test is of an unknown channel, there twice or without an error above 0, or nothing
        is known of a model.

    Examples
    --------
    >>> import attribution as at
    >>> credits = pd.DataFrame({"model": "last_touch", "channel": ["display", "mail"], "conversions": [200.0, 100.0],
    ...                         "participants": [500, 300], "mean_value": 80.0, "spend": [4000.0, 1000.0]})
    >>> test = pd.DataFrame({"test": ["spring"], "channel": "mail", "effect": 40.0, "standard_error": 15.0})
    >>> calibration = at.calibrate(credits, test)
    >>> columns = ["channel", "mean", "low", "high", "needed", "probability_pays", "basis"]
    >>> calibration.incremental[columns].round(2).values.tolist()
    [['display', 78.53, 0.0, 258.38, 50.0, 0.52, 'carried over'], ['mail', 34.42, 11.96, 58.45, 12.5, 0.95, 'tested']]
    """
    options = options or CalibrationOptions()
    if not 0 < margin <= 1:
        raise InputError("calibrate: margin must be a share", given=margin, allowed="above 0, at most 1")
    models, channels, base = _read_credits(credits)
    tests = _read_readings(readings, list(channels.index))
    assumed = options.assumed(models)
    position = pd.Index(channels.index).get_indexer(tests["channel"])
    of_tests = kernel.Readings(position, tests["effect"].to_numpy(), tests["standard_error"].to_numpy())
    participants = channels["participants"].to_numpy()
    posterior = kernel.calibrate(np.maximum(base, LEAST_SHARE * participants), participants, assumed, of_tests)
    of_models = {"model": models, "weight": posterior.weights, "log_evidence": posterior.log_evidence}
    return Calibration(
        _incremental(posterior, channels.assign(at_most=_at_most(credits, channels)), tests, options.level, margin),
        pd.DataFrame(of_models | assumed._asdict())[list(CALIBRATION_MODELS.column_names)],
        _against_rest(posterior, tests),
        posterior,
    )


def _read_credits(table: pd.DataFrame) -> tuple[list[str], pd.DataFrame, Floats]:
    """Models and channels by name, what is said of channels, and (models, channels) credit."""
    check_columns("calibrate", "credits", table, _CREDITS)
    credit = table[~table["channel"].isin(NO_CHANNELS)]
    if credit.empty:
        raise InputError("calibrate: credits has no channel", hint="give one row per model and channel")
    _check_once("credits", credit, ["model", "channel"])
    for column in ("conversions", "participants"):
        _check_numbers("credits", credit, column)
    if (credit["participants"] < 0).any():
        raise InputError("calibrate: credits has participants below 0", allowed="0 or more")
    wide = credit.pivot(index="model", columns="channel", values="conversions")
    if wide.isna().any(axis=None):
        model, channel = wide.isna().stack().idxmax()
        raise InputError(
            f"calibrate: model {model!r} credits nothing to channel {channel!r}, which another model does",
            hint="give every model a row for every channel; 0 conversions is fine",
        )
    of_channel = credit.reindex(columns=["channel", *_OF_CHANNEL]).drop_duplicates().set_index("channel").astype(float)
    if len(of_channel) > wide.shape[1]:
        name = of_channel.index[of_channel.index.duplicated()][0]
        raise InputError(
            f"calibrate: models differ in {', '.join(_OF_CHANNEL)} of channel {name!r}",
            hint="these are the same whichever model credits",
        )
    return list(wide.index), of_channel.loc[wide.columns], wide.to_numpy(dtype=float)


def _read_readings(readings: pd.DataFrame | None, channels: list[str]) -> pd.DataFrame:
    """The tests in conversions, in an order of their own: by channel, effect and error, as the kernel sums them."""
    if readings is None:
        readings = pd.DataFrame({name: pd.Series(dtype=float) for name in _READINGS})
    check_columns("calibrate", "readings", readings, _READINGS)
    if "calibrates" in readings:
        readings = readings[readings["calibrates"].astype(bool)]
        readings = readings.assign(effect=readings["period_effect"], standard_error=readings["period_standard_error"])
    if "measure" in readings:
        readings = readings[readings["measure"] == "conversions"]
    _check_once("readings", readings, ["test", "channel"])
    for name in readings["channel"]:
        if name not in channels:
            raise InputError(
                f"calibrate: readings has a test of channel {name!r}, which credits does not have",
                allowed=channels,
                hint=did_you_mean(str(name), channels),
            )
    for column in ("effect", "standard_error"):
        _check_numbers("readings", readings, column)
    for test, error in zip(readings["test"], readings["standard_error"], strict=True):
        if error <= 0:
            raise InputError(
                f"calibrate: test {test!r} has a standard error of {error:g}",
                allowed="a number above 0",
                hint="no test is without error: give the error that it was read with",
            )
    readings = readings[list(_READINGS)].astype({"effect": float, "standard_error": float})
    return readings.sort_values([*_READINGS[1:], "test"], ignore_index=True)


def _check_once(name: str, table: pd.DataFrame, key: list[str]) -> None:
    for column in key:
        if table[column].isna().any():
            raise InputError(f"calibrate: {name} has a row without {column}", hint="name it, or leave the row out")
    again = table[table.duplicated(key)]
    if len(again):
        what = " of ".join(f"{column} {again[column].iloc[0]!r}" for column in key)
        raise InputError(f"calibrate: {name} has {what} twice", hint="give one row for each")


def _check_numbers(name: str, table: pd.DataFrame, column: str) -> None:
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    for number, row in zip(numbers, table[column], strict=True):
        if not np.isfinite(number):
            raise InputError(f"calibrate: {name} has no number in {column}", given=repr(row))


def _incremental(
    posterior: kernel.Posterior, channels: pd.DataFrame, tests: pd.DataFrame, level: float, margin: float
) -> pd.DataFrame:
    low, median, high = (posterior.quantiles(share) for share in ((1 - level) / 2, 0.5, (1 + level) / 2))
    worth, spend = channels["mean_value"].to_numpy(), channels["spend"].to_numpy()
    needed = np.divide(spend, margin * worth, out=np.full(len(worth), np.nan), where=(spend > 0) & (worth > 0))
    own = tests["channel"].value_counts().reindex(channels.index, fill_value=0).to_numpy()
    columns = {
        "channel": list(channels.index),
        "estimand": "incremental",
        "mean": posterior.means,
        "median": median,
        "low": low,
        "high": high,
        "value": posterior.means * worth,
        "value_low": low * worth,
        "value_high": high * worth,
        "probability_nothing": posterior.nothing,
        "probability_pays": posterior.exceeding(needed),
        "needed": needed,
        "at_most": channels["at_most"].to_numpy(),
        "known_within": np.sqrt(np.divide(high, low, out=np.full(len(low), np.nan), where=low > 0)),
        "basis": np.where(own > 0, TESTED, CARRIED_OVER if own.any() else ASSUMPTION),
        "tests": own,
    }
    return pd.DataFrame(columns)[list(INCREMENTAL.column_names)]


def _at_most(credits: pd.DataFrame, channels: pd.DataFrame) -> pd.Series:
    """The most that each channel can have caused, whatever is assumed here of credit."""
    rows = credits.reindex(columns=["model", "channel", "conversions", "conversions_high"])
    last_touch = _of_model(rows, LAST_TOUCH, "conversions", channels.index)
    if (rows["model"] == CAUSED).any():
        most = np.maximum(last_touch, _of_model(rows, CAUSED, "conversions_high", channels.index))
    else:
        most = MOST_OF_LAST_TOUCH * last_touch
    return np.minimum(most, channels["participants"])


def _of_model(rows: pd.DataFrame, model: str, column: str, channels: Iterable[str]) -> pd.Series:
    return rows[rows["model"] == model].set_index("channel")[column].astype(float).reindex(channels)


def _against_rest(posterior: kernel.Posterior, tests: pd.DataFrame) -> pd.DataFrame:
    expected, lower = kernel.hold_against_rest(posterior)
    contradicts = (lower < SURPRISING) | (lower > 1 - SURPRISING)
    table = tests.assign(expected=expected, probability_lower=lower, contradicts=contradicts)
    return table[list(CALIBRATION_TESTS.column_names)]
