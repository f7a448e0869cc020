"""Conversions one by one: a row for each, with its touchpoints as lists; for services and columns of Spark."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.data.loading.events import Dimensions, order_values
from attribution.errors import InputError, closest_word
from attribution.journeys import JourneyChunk
from attribution.journeys.refine import Refinement, default_window, lookback_windows
from attribution.kernels.journeys import cut as kernel
from attribution.kernels.journeys.batches import gather_slices
from attribution.models.credit import allocate
from attribution.models.saved.applied import AppliedModel
from attribution.production.scoring.cells import encode_texts, read_texts
from attribution.production.scoring.row_columns import (
    explain_answer,
    has_positions,
    known_channels,
    needed_lists,
    training_dimensions,
)
from attribution.production.scoring.row_inputs import RowInputs, read_rows
from attribution.schema.experiment import JourneyOptions

if TYPE_CHECKING:
    import pandas as pd

    from attribution.models.saved.scorer import Scorer


def score_rows(scorer: Scorer, rows: pd.DataFrame) -> pd.DataFrame:
    """Allocate one conversion per row to the touchpoints of that row.

    Each row stands for itself: it holds the touchpoints that may count for its conversion, in any order, under
    ``reset`` those since the conversion before. Persons, accounts and channels are already known. A row that cannot
    be scored is refused alone, and its ``error`` says why.

    Parameters
    ----------
    scorer : allocates credit
    rows : with the columns that `attribution.production.scoring.row_columns.explain_columns` lists: ``channel`` and
        ``touched_at``, lists of the same length, ``converted_at``, ``conversion_id`` if there is one, and lists of
        what else the model needs of touchpoints

    Returns
    -------
    DataFrame
        As many rows, in the same order and with the same index, and the columns of
        `attribution.production.scoring.row_columns.explain_answer`.

    Raises
    ------
    InputError
        If a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> touchpoints = pd.DataFrame({"customer_id": [1, 1], "touched_at": ["2024-01-01", "2024-01-02"],
    ...                             "channel": ["mail", "search"]})
    >>> conversions = pd.DataFrame({"customer_id": [1], "converted_at": ["2024-01-03"]})
    >>> scorer = at.Scorer.of(at.Linear().fit(at.build_journeys(at.load_sources(touchpoints, conversions))))
    >>> rows = pd.DataFrame({"channel": [["serch", "mail"], [], ["mail", None]],
    ...                      "touched_at": [["2024-05-02", "2024-01-01"], [], ["2024-05-02", "2024-05-02"]],
    ...                      "converted_at": "2024-05-03"})
    >>> answer = score_rows(scorer, rows)
    >>> answer["credit"].tolist(), answer["unattributed"].tolist()
    ([[1.0, 0.0], [], None], [0.0, 1.0, 0.0])
    >>> answer["unknown_channels"][0], answer["did_you_mean"][0], answer["error"][2]
    (['serch'], ['search'], 'channel of touchpoint 2 is missing')
    """
    import pandas as pd

    needed = ["channel", "touched_at", *needed_lists(scorer), "converted_at"]
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        raise InputError(
            f"model {scorer.name!r} needs the column {missing[0]!r}",
            given=", ".join(map(str, rows.columns)),
            allowed=needed,
        )
    inputs = read_rows(scorer, rows)
    is_scored = inputs.errors == ""
    allocated = _allocate(scorer, inputs, is_scored)
    slices = list(zip(pairwise(inputs.offsets.tolist()), is_scored, strict=True))

    def by_row(values: list[Any]) -> NDArray[np.object_]:
        return _objects([values[low:high] if ok else None for (low, high), ok in slices])

    hints = _unknown_channels(scorer, inputs)
    answer: dict[str, Any] = {
        "conversion_id": _ids(rows),
        "channel": by_row(inputs.texts["channel"].to_pylist()),
        "credit": by_row(allocated.credit.tolist()),
        "unattributed": (is_scored & ~allocated.is_attributed).astype(np.float64),
        "baseline": allocated.baseline,
        "unknown_channels": _objects([list(hints.get(row, ())) for row in range(len(rows))]),
        "did_you_mean": _objects([list(hints[row].values()) if row in hints else [] for row in range(len(rows))]),
        "error": inputs.errors.astype(str),
        "model_version": scorer.version,
    }
    return pd.DataFrame({name: answer[name] for name in explain_answer(scorer)}, index=rows.index)


# ---------------------------------------------------------------- credit


class _Allocated(NamedTuple):
    """``credit`` (touchpoints,) of each touchpoint of the rows; (rows,) whether a row has one that counts, and what of
    it is the baseline's."""

    credit: NDArray[np.float64]
    is_attributed: NDArray[np.bool_]
    baseline: NDArray[np.float64]


def _allocate(scorer: Scorer, inputs: RowInputs, is_scored: NDArray[np.bool_]) -> _Allocated:
    """Credit of the rows that are scored."""
    rows = len(is_scored)
    allocated = _Allocated(np.zeros(len(inputs.touched_at)), np.zeros(rows, bool), np.zeros(rows))
    position = np.flatnonzero(is_scored[inputs.owner])
    if len(position) == 0:
        return allocated
    dimensions, code = _encode(scorer, inputs, position)
    options = _applicable(scorer.definition.journeys, dimensions)
    windows = lookback_windows(options, dimensions, default_window(options, has_times=not has_positions(scorer)))
    chunk, position = _cut(inputs, is_scored, position, code, dimensions, windows)
    refinement = Refinement(options, dimensions, None)
    chunk, stays = refinement.trace(chunk)
    position = position if stays is None else position[stays]
    applied = AppliedModel.of(scorer.state, refinement.channels, scorer.unknown_channels)
    flattened, shares, baseline, _ = allocate(applied, chunk)
    allocated.credit[gather_slices(position, chunk.start, chunk.stop)] = shares
    allocated.is_attributed[flattened.conversion] = True
    if baseline is not None:
        allocated.baseline[flattened.conversion] = baseline
    return allocated


def _cut(
    inputs: RowInputs,
    is_scored: NDArray[np.bool_],
    position: NDArray[np.int64],
    code: NDArray[np.signedinteger],
    dimensions: Dimensions,
    windows: kernel.Windows,
) -> tuple[JourneyChunk, NDArray[np.int64]]:
    """The journeys of conversions, and the position among those of the rows of each touchpoint.

    Every row is a customer with one conversion. The kernel moves the cost of a touchpoint along with it: here that is
    its position.
    """
    rows = np.flatnonzero(is_scored)
    owner = np.concatenate([inputs.owner[position], rows])
    at = np.concatenate([inputs.touched_at[position], inputs.converted_at[rows]])
    ref = np.concatenate([code, (-1 - rows).astype(code.dtype)])
    moving = np.concatenate([position, np.zeros(len(rows), np.int64)]).astype(np.float64)
    order = np.lexsort((at, owner))
    at, ref, moving = at[order], ref[order], moving[order]
    starts = np.append(np.searchsorted(owner[order], rows), len(order)).astype(np.int64)
    kernel.order_ties(starts, at, ref, moving)
    made = kernel.cut_journeys(starts, at, ref, moving, windows=windows, mode=kernel.RESET, end=int(at.max()))
    converts = made.conversion >= 0
    size, journeys = made.touchpoints, int(converts.sum())
    code = ref[:size]
    chunk = JourneyChunk(
        channel=dimensions.digit(code, "channel").astype(np.int32),
        code=code,
        touched_at=at[:size],
        start=made.start[converts],
        stop=made.stop[converts],
        ended_at=made.ended_at[converts],
        conversions=np.ones(journeys, bool),
        nulls=np.zeros(journeys, bool),
        value=np.ones(journeys),
        is_open=np.zeros(journeys, bool),
        conversion=made.conversion[converts],
        customer=made.customer[converts],
        customer_ids=None,
        cost=None,
        dimensions=dimensions,
    )
    return chunk, moving[:size].astype(np.int64)


def _encode(
    scorer: Scorer, inputs: RowInputs, position: NDArray[np.int64]
) -> tuple[Dimensions, NDArray[np.signedinteger]]:
    """The dimensions of some touchpoints of the rows, and the code of each."""
    names = tuple(name for name in training_dimensions(scorer) if name in inputs.texts)
    values, digits = [], []
    for name in names:
        written = inputs.texts[name].take(pa.array(position))
        # As tables are read: a kind is the same in any case of letters.
        texts, index = encode_texts(pc.utf8_lower(pc.utf8_trim_whitespace(written)) if name == "kind" else written)
        values.append(order_values(name, texts))
        rank = {text: index for index, text in enumerate(values[-1])}
        # A dimension other than the channel may be null, which is 0.
        digits.append(np.array([*(rank[text] + (name != "channel") for text in texts), 0], dtype=np.int64)[index])
    dimensions = Dimensions(names, tuple(values))
    dimensions.check_size()
    code = np.zeros(len(position), np.int64)
    for name, digit in zip(names, digits, strict=True):
        code += digit * dimensions.stride_and_radix(name)[0]
    return dimensions, code.astype(np.int32) if dimensions.combinations < 1 << 31 else code


def _applicable(options: JourneyOptions, dimensions: Dimensions) -> JourneyOptions:
    """The options without windows of channels and kinds that do not occur."""
    windows = {}
    for name, option in (("channel", "lookback_by_channel"), ("kind", "lookback_by_kind")):
        values = dimensions.values[dimensions.names.index(name)] if name in dimensions.names else ()
        windows[option] = {value: days for value, days in getattr(options, option).items() if value in values}
    return options.model_copy(update={**windows, "open_journeys": "keep"})


# ---------------------------------------------------------------- the answer


def _unknown_channels(scorer: Scorer, inputs: RowInputs) -> dict[int, dict[str, str]]:
    """Rows with unknown channels: for each of these the known channel that is spelled most like it, or no text."""
    channels = known_channels(scorer)
    names, codes = encode_texts(inputs.texts["channel"])
    hints = {name: closest_word(name, channels) or "" for name in set(names) - set(channels)}
    is_unknown = np.array([*(name in hints for name in names), False])[codes]
    unknown: dict[int, dict[str, str]] = {}
    for row, code in zip(inputs.owner[is_unknown].tolist(), codes[is_unknown].tolist(), strict=True):
        unknown.setdefault(row, {})[names[code]] = hints[names[code]]
    return unknown


def _objects(values: list[Any]) -> NDArray[np.object_]:
    """An array of lists, which NumPy would take for one with two axes."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _ids(rows: pd.DataFrame) -> list[str]:
    if "conversion_id" not in rows.columns:
        return [""] * len(rows)
    return [text or "" for text in read_texts(list(rows["conversion_id"])).texts.to_pylist()]
