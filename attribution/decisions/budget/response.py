"""The response curve of every channel: fitted where a history of spend tells how it bends, else assumed and said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.amounts import pluralise
from attribution.decisions.budget.budget_options import DEFAULT_CURVATURE, BudgetOptions, CurveOptions
from attribution.errors import InputError, did_you_mean
from attribution.kernels.budget.curves import Bend, Curves, build_curves, fit_bend

Floats = NDArray[np.float64]

HISTORY_COLUMNS = ("channel", "period", "spend", "return")


@dataclass(frozen=True)
class Response:
    """Curves of channels, and how far each may bend otherwise.

    Attributes
    ----------
    curves : of the channels
    more, less : (channels,) bend if it is stronger or weaker than thought
    origins : where each bend comes from, in words
    """

    curves: Curves
    more: Floats
    less: Floats
    origins: tuple[str, ...]


def choose_curves(
    channels: Sequence[str], spend: Floats, options: BudgetOptions, history: pd.DataFrame | None = None
) -> Response:
    """A curve for every channel.

    Parameters
    ----------
    channels, spend : (channels,) with spend > 0 today
    options : kinds of curves, and what is assumed of them
    history : columns channel, period, spend and return; a curve whose bend is not given is fitted to it where it can

    Raises
    ------
    InputError
        If a channel's curvature must come from a history that is not there or says nothing of it.
    """
    curve_options = [options.curve_of(channel) for channel in channels]
    parts = {} if history is None else {str(name): rows for name, rows in history.groupby("channel", sort=True)}
    bends = [
        _bend(channel, each, parts.get(channel), has_history=history is not None)
        for channel, each in zip(channels, curve_options, strict=True)
    ]
    curves = build_curves(
        [str(each.curve) for each in curve_options],
        [bend for bend, _, _, _ in bends],
        list(spend),
        [each.steepness or 1.0 for each in curve_options],
    )
    _, more, less, origins = zip(*bends, strict=True)
    return Response(curves, np.array(more), np.array(less), tuple(origins))


def _bend(
    channel: str, options: CurveOptions, history: pd.DataFrame | None, *, has_history: bool
) -> tuple[float, float, float, str]:
    """Bend, the strongest and weakest it may be, and where it comes from."""
    why = "assumed"
    if options.curvature == "history" and history is None:
        raise InputError(
            f"budget: channel {channel!r} has no spend history to fit its response curve to",
            hint='set budget.history to a file such as "history.csv", or set a curvature',
        )
    if history is not None and (options.curvature is None or options.curvature == "history"):
        try:
            fit = _fit_bend(options, history)
        except InputError as error:
            if options.curvature == "history":
                raise InputError(f"budget: channel {channel!r}: {str(error).rstrip('.')}") from None
            why = f"assumed; {str(error).partition(' Hint: ')[0].rstrip('.')}"
        else:
            origin = f"fitted to {fit.periods} periods ({fit.low:.3g} … {fit.high:.3g})"
            return fit.bend, fit.low, fit.high, origin
    elif has_history and options.curvature is None:
        why = "assumed; the spend history has no complete period of this channel"
    kind = str(options.curve)
    bend = float(options.curvature or DEFAULT_CURVATURE[kind])
    more, less = options.curvature_range or _range(kind, bend)
    return bend, more, less, why


def _fit_bend(options: CurveOptions, history: pd.DataFrame) -> Bend:
    spend = history["spend"].to_numpy(float)
    # What the data call today is the mean of their periods.
    today = float(spend.mean()) or 1.0
    returns = history["return"].to_numpy(float)
    return fit_bend(spend, returns, today, kind=str(options.curve), steepness=options.steepness or 1.0)


def _range(kind: str, bend: float) -> tuple[float, float]:
    """How far an assumed bend may be off, where nothing is said of that: published ones of power differ by this."""
    if kind == "power":
        return max(bend - 0.2, bend / 2), min(bend + 0.2, (1 + bend) / 2)
    return bend / 3, bend * 3


def read_history(path: Path) -> pd.DataFrame:
    """A spend history: channel, period, spend and return, one row per channel and period.

    Raises
    ------
    InputError
        If the file is missing or not of this shape.
    """
    try:
        table = pd.read_parquet(path) if path.suffix in (".parquet", ".pq") else pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"budget.history: file {path} does not exist") from None
    except Exception as error:  # whatever readers raise of files that are something else
        raise InputError(f"budget.history: file {path} cannot be read: {error}") from None
    return check_history(table, f"budget.history: {path}")


def check_history(table: pd.DataFrame, origin: str = "spend history") -> pd.DataFrame:
    """``table`` in the order of channels and periods, refused if it is not a spend history."""
    for column in HISTORY_COLUMNS:
        if column not in table.columns:
            raise InputError(
                f"{origin} has no column {column!r}",
                given=", ".join(map(str, table.columns)),
                allowed=HISTORY_COLUMNS,
                hint=did_you_mean(column, map(str, table.columns)),
            )
    table = table[list(HISTORY_COLUMNS)].assign(channel=table["channel"].astype(str))
    for column in ("spend", "return"):
        numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
        wrong = ~np.isfinite(numbers) | ((numbers < 0) if column == "spend" else False)
        if wrong.any():
            allowed = "finite numbers" + (" of 0 or more" if column == "spend" else "")
            raise InputError(
                f"{origin}: {column} is impossible in {pluralise(int(wrong.sum()), 'row')}",
                given=table.loc[wrong, column].iloc[0],
                allowed=allowed,
            )
        table[column] = numbers
    twice = table.duplicated(["channel", "period"])
    if twice.any():
        first = table.loc[twice].iloc[0]
        raise InputError(
            f"{origin}: the same period appears twice, in {pluralise(int(twice.sum()), 'row')}",
            given=f"{first['channel']} in {first['period']}",
        )
    return table.sort_values(["channel", "period"], kind="stable", ignore_index=True)
