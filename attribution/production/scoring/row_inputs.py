"""Rows that are scored alone, read into flat arrays, and why some of them are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.production.scoring.cells import (
    DAY,
    NAIVE,
    UNREADABLE,
    ZONED,
    Lists,
    Times,
    encode_texts,
    flatten_lists,
    is_missing,
    read_positions,
    read_texts,
    read_times,
)
from attribution.production.scoring.row_columns import (
    has_positions,
    is_zoned,
    known_channels,
    needed_lists,
    optional_lists,
)
from attribution.schema.tables import RESERVED

if TYPE_CHECKING:
    import pandas as pd

    from attribution.models.saved.scorer import Scorer

_LONGEST = 60
"""Characters of a value in a message."""


@dataclass(frozen=True)
class RowInputs:
    """Rows as flat arrays. A row that is refused may have touchpoints that mean nothing.

    Attributes
    ----------
    offsets : (rows + 1,) where the touchpoints of each row start
    texts : strings of ``channel`` and of further dimensions, (touchpoints,) each
    touched_at : (touchpoints,) int64
    converted_at : (rows,) int64
    errors : (rows,) why a row is refused, empty if it is not
    """

    offsets: NDArray[np.int64]
    texts: Mapping[str, pa.Array]
    touched_at: NDArray[np.int64]
    converted_at: NDArray[np.int64]
    errors: NDArray[np.object_]

    @property
    def owner(self) -> NDArray[np.int64]:
        """(touchpoints,) the row of each."""
        return np.repeat(np.arange(len(self.errors)), np.diff(self.offsets))


@dataclass(frozen=True)
class _Errors:
    """Why rows are refused: the first reason of each, ``reasons`` (rows,), empty where there is none."""

    reasons: NDArray[np.object_]

    def refuse(self, rows: Iterable[int], reason: str) -> None:
        """Refuse rows, unless they are refused already."""
        for row in rows:
            self.reasons[row] = self.reasons[row] or reason

    def refuse_values(
        self, name: str, offsets: NDArray[np.int64], values: Sequence[Any], is_bad: NDArray[np.bool_], problem: str
    ) -> None:
        """Refuse the rows of some values of a list; the reason names the value and what is wrong with it."""
        for position in np.flatnonzero(is_bad).tolist():
            self.refuse_touchpoint(name, offsets, position, _describe(values[position], problem))

    def refuse_touchpoint(self, name: str, offsets: NDArray[np.int64], position: int, reason: str) -> None:
        """Refuse the row of the touchpoint at a position among those of all rows."""
        row = int(np.searchsorted(offsets, position, side="right")) - 1
        self.refuse([row], f"{name} of touchpoint {position - offsets[row] + 1} {reason}")


def read_rows(scorer: Scorer, rows: pd.DataFrame) -> RowInputs:
    """Read ``rows`` with the columns that `attribution.production.scoring.row_columns.explain_columns` lists."""
    errors = _Errors(np.full(len(rows), "", dtype=object))
    lists = _read_lists(scorer, rows, errors)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lists["channel"].lengths)])
    times = lists.pop("touched_at")
    texts = {}
    for name, column in lists.items():
        read = read_texts(column.values)
        errors.refuse_values(name, offsets, column.values, ~read.is_text, "is no text")
        texts[name] = read.texts
        if "nan" not in known_channels(scorer):
            # MLflow's format "instances" makes a text of NaN.
            texts[name] = pc.if_else(pc.equal(read.texts, "nan"), None, read.texts)
    _check_channels(scorer, texts["channel"], offsets, errors)
    converted_at = list(rows["converted_at"])
    if has_positions(scorer):
        touched, converted, problem = read_positions(times.values), read_positions(converted_at), "is no whole number"
    else:
        touched, converted = read_times(times.values), read_times(converted_at)
        problem = "is no time such as 2024-05-03T10:00:00Z"
    errors.refuse_values("touched_at", offsets, times.values, touched.clock == UNREADABLE, problem)
    for row in np.flatnonzero(converted.clock == UNREADABLE).tolist():
        errors.refuse([row], f"converted_at {_describe(converted_at[row], problem)}")
    inputs = RowInputs(offsets, texts, touched.values, converted.values, errors.reasons)
    if not has_positions(scorer):
        _check_zones(is_zoned(scorer), inputs.owner, touched, converted, errors)
    return inputs


def _describe(value: Any, problem: str) -> str:
    """What is wrong with a value: it is missing, or has a problem."""
    if is_missing(value) or (isinstance(value, str) and value.strip(" ") in ("", "nan")):
        return "is missing"
    shown = repr(value)
    return f"{problem}: {shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + '…'}"


def _read_lists(scorer: Scorer, rows: pd.DataFrame, errors: _Errors) -> dict[str, Lists]:
    """Columns of lists by name; rows whose lists do not fit each other are refused and have empty ones."""
    columns = {name: list(rows[name]) for name in ("channel", "touched_at", *needed_lists(scorer))}
    lists = {name: flatten_lists(cells) for name, cells in columns.items()}
    for name in optional_lists(scorer):
        if name in rows.columns:
            # A null stands for a list of nulls: Spark hands over such columns where it has none.
            cells = zip(rows[name], lists["channel"].lengths.tolist(), strict=True)
            columns[name] = [cell if hasattr(cell, "__len__") else [None] * size for cell, size in cells]
            lists[name] = flatten_lists(columns[name])
    fits = np.ones(len(rows), bool)
    for name, of_rows in lists.items():
        for row in np.flatnonzero(~of_rows.is_list).tolist():
            cell = "null" if is_missing(columns[name][row]) else repr(columns[name][row])[:_LONGEST]
            errors.refuse([row], f"{name} must be a list, with a value for each touchpoint, or []; given: {cell}")
        differs = of_rows.lengths != lists["channel"].lengths
        for row in np.flatnonzero(differs).tolist():
            counts = f"{of_rows.lengths[row]} and {lists['channel'].lengths[row]} values"
            errors.refuse([row], f"the lists {name} and channel have {counts}; both need one for each touchpoint")
        fits &= of_rows.is_list & ~differs
    if fits.all():
        return lists
    return {
        name: flatten_lists(cell if ok else [] for cell, ok in zip(cells, fits, strict=True))
        for name, cells in columns.items()
    }


def _check_channels(scorer: Scorer, channels: pa.Array, offsets: NDArray[np.int64], errors: _Errors) -> None:
    """Refuse touchpoints without a channel, with a name that results have, or one that the policy refuses."""
    names, codes = encode_texts(channels)
    problems = {}
    for name in set(names) - set(known_channels(scorer)):
        if name in RESERVED:
            problems[name] = f"has a name that is reserved: {name!r}"
        elif scorer.unknown_channels == "refuse":
            problems[name] = f"is unknown to the model, which refuses such channels: {name!r}"
    by_code = [*(problems.get(name) for name in names), "is missing"]
    for position, code in enumerate(codes.tolist()):
        if problem := by_code[code]:
            errors.refuse_touchpoint("channel", offsets, position, problem)


def _check_zones(
    trained: bool | None, owner: NDArray[np.int64], touched: Times, converted: Times, errors: _Errors
) -> None:
    """Refuse rows whose times tell something else of their zone than those in training, or not all the same."""

    def touched_by(clock: int) -> NDArray[np.bool_]:
        """(rows,) whether a touchpoint tells this of its zone."""
        return np.isin(np.arange(len(converted.clock)), owner[touched.clock == clock])

    # Beside times with an offset a day is a time without one; alone it tells nothing.
    is_naive = touched_by(NAIVE) | (touched_by(DAY) & touched_by(ZONED)) | (converted.clock == NAIVE)
    has_zone = touched_by(ZONED) | (converted.clock == ZONED)
    if trained is None:
        reason = "some times have an offset, such as Z or +02:00, and some have none: give all of them one, or none"
        errors.refuse(np.flatnonzero(is_naive & has_zone).tolist(), reason)
    elif trained:
        reason = (
            "times without an offset: the model was fitted on times with a time zone; "
            "write them as in 2024-05-03T10:00:00+02:00"
        )
        errors.refuse(np.flatnonzero(is_naive).tolist(), reason)
    else:
        reason = (
            "times with an offset: the model was fitted on times without one; "
            "write them as the tables of the training have them, as in 2024-05-03T10:00:00"
        )
        errors.refuse(np.flatnonzero(has_zone).tolist(), reason)
