"""Aggregated paths as journeys: one row stands for all customers who took that path."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attribution.data.loading import Finding, Sources, count_finding
from attribution.data.loading.contract import check_channels
from attribution.data.loading.events import Dimensions
from attribution.data.loading.null_texts import null_text_findings
from attribution.errors import InputError
from attribution.journeys.structure import JourneyChunk, Journeys, Summary
from attribution.kernels.journeys.batches import count_distinct_slices
from attribution.schema.experiment import JourneyOptions, Period
from attribution.schema.tables.definition import optional


def journeys_from_paths(sources: Sources, options: JourneyOptions, period: Period) -> Journeys:
    """Journeys from the ``paths`` table.

    Raises
    ------
    InputError
        If a time-based option is given, which paths without times cannot follow.
    """
    settings = {name: getattr(options, name) for name in sorted(options.model_fields_set)}
    for name, setting in {**settings, "period": period.start or period.end}.items():
        if setting is not None and name in ("period", "lookback_days"):
            raise InputError(
                f"{name} needs timestamps; aggregated paths have none",
                given=f"{name} = {setting}",
                hint="leave it out, or give touchpoints and conversions",
            )
        if setting is not None and setting != getattr(JourneyOptions(), name):
            raise InputError(
                f"{name} changes how journeys are built; aggregated paths are complete journeys",
                given=f"{name} = {setting}",
                hint="leave it out",
            )
    table = sources.engine.query("select * from paths")
    steps, lengths = split_paths(table["path"], sources.separator)
    is_text = not pa.types.is_nested(table["path"].type)
    marks = separator_findings(steps, lengths, sources.separator) if is_text else []
    steps, lengths, nothing = without_null_texts(steps, lengths, sources.no_channels)
    encoded = steps.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    channels = sorted(names)
    check_channels("paths", channels)
    rank = {name: index for index, name in enumerate(channels)}
    recode = np.array([rank[name] for name in names], dtype=np.int32)
    codes = np.asarray(encoded.indices)
    channel = recode[codes] if len(codes) else np.zeros(0, np.int32)
    dimensions = Dimensions(("channel",), (tuple(channels),))
    return Journeys(
        (_chunk(table, channel, lengths, dimensions),),
        dimensions,
        tuple(channels),
        describe=partial(_findings, table, channel, lengths, [*marks, *nothing]),
    )


def split_paths(paths: pa.ChunkedArray, separator: str) -> tuple[pa.Array, np.ndarray]:
    """All steps of all paths in order, and how many each path has.

    Blanks around the separator are stripped; steps of a list are taken as they are; empty steps and null
    paths give none.

    Examples
    --------
    >>> steps, lengths = split_paths(pa.chunked_array([["a > b", "", None]]), ">")
    >>> steps.to_pylist(), lengths.tolist()
    (['a', 'b'], [2, 0, 0])
    """
    column = paths.combine_chunks()
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if not is_list:
        column = pc.split_pattern(pc.fill_null(column.cast(pa.large_string()), ""), separator.strip() or separator)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    steps = column.flatten().cast(pa.large_string())
    if not is_list:
        steps = pc.utf8_trim_whitespace(steps)
    empty = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(steps), ""), True).to_numpy(zero_copy_only=False)
    return _drop_steps(steps, lengths, empty) if empty.any() else (steps, lengths)


def _drop_steps(steps: pa.Array, lengths: np.ndarray, drop: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """Steps that stay, and how many each path has then."""
    path = np.repeat(np.arange(len(lengths)), lengths)
    return steps.filter(pa.array(~drop)), np.bincount(path[~drop], minlength=len(lengths)).astype(np.int64)


def without_null_texts(
    steps: pa.Array, lengths: np.ndarray, no_channels: frozenset[str]
) -> tuple[pa.Array, np.ndarray, list[Finding]]:
    """The steps that name a channel, and what became of the others."""
    encoded = steps.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    is_nothing = np.array([name.strip().lower() in no_channels for name in names], dtype=bool)
    if not is_nothing.any():
        return steps, lengths, []
    codes = np.asarray(encoded.indices)
    counts = np.bincount(codes, minlength=len(names))
    dropped = {names[code]: int(counts[code]) for code in np.flatnonzero(is_nothing)}
    findings = null_text_findings("paths", optional("path", "text", ""), "channels", dropped, len(steps))
    return *_drop_steps(steps, lengths, is_nothing[codes]), findings


_ARROWS = ("→", "->", "=>", "»", "⇒", "➔", "›")
_MARKS = (">", "|", ";", ",")


def separator_findings(steps: pa.Array, lengths: np.ndarray, separator: str) -> list[Finding]:
    """Other marks that seem to divide paths, whose channels are then taken for the name of one.

    A mark does where the separator divides nothing, or where all that it divides are channels elsewhere.

    Raises
    ------
    InputError
        If it is an arrow, which is in no name.
    """
    names, own = pc.unique(steps).to_pylist(), separator.strip()
    for arrow in (arrow for arrow in _ARROWS if arrow != own):
        # Where ">" divides, what is left of "->" is a dash at the end.
        rest = arrow.removesuffix(own) if own else arrow
        is_cut = len(rest) < len(arrow)
        divided = [name for name in names if (name.endswith(rest) and name != rest if is_cut else arrow in name)]
        if divided:
            raise InputError(
                f"table 'paths': {arrow!r} seems to divide paths, but the separator is {separator!r}",
                given=repr(divided[0]),
                hint=f"set separator = {arrow!r}; if paths differ in it, write them alike in a query",
            )
    whole = set(names) if (lengths > 1).any() else None
    findings = []
    for mark in (mark for mark in _MARKS if mark != own):
        parts = {name: [part.strip() for part in name.split(mark)] for name in names if mark in name}
        divided = [name for name, of_name in parts.items() if whole is None or whole.issuperset(of_name)]
        if divided:
            message = (
                f"channels with {mark!r} in their names, which is not the separator ({separator!r}): if it divides "
                f"channels, set separator = {mark!r}"
            )
            findings.append(
                count_finding("separator", "paths", len(divided), message, total=len(names), example=divided[0])
            )
    return findings


def _chunk(table: pa.Table, channel: np.ndarray, lengths: np.ndarray, dimensions: Dimensions) -> JourneyChunk:
    rows = len(lengths)
    ends = np.cumsum(lengths)

    def numbers(name: str) -> np.ndarray:
        if name not in table.column_names:
            return np.zeros(rows)
        result: np.ndarray = np.nan_to_num(table[name].to_numpy().astype(np.float64))
        return result

    return JourneyChunk(
        channel=channel,
        code=channel,
        touched_at=None,
        start=ends - lengths,
        stop=ends,
        ended_at=None,
        conversions=numbers("conversions"),
        nulls=numbers("nulls"),
        value=numbers("value"),
        is_open=np.zeros(rows, dtype=bool),
        conversion=np.full(rows, -1),
        customer=np.zeros(rows, np.int64),
        customer_ids=None,
        cost=None,
        dimensions=dimensions,
    )


def _findings(
    table: pa.Table, channel: np.ndarray, lengths: np.ndarray, of_names: Sequence[Finding], _: Summary
) -> list[Finding]:
    rows = len(lengths)
    ends = np.cumsum(lengths)
    counted = [
        (
            "empty_path",
            int((lengths == 0).sum()),
            "rows without a path (their conversions are credited to (unattributed)): check whether paths are missing",
        ),
        (
            "repeated_path",
            rows - count_distinct_slices(channel, ends - lengths, ends),
            "rows that repeat an earlier path (added to it): check whether rows were loaded twice",
        ),
    ]
    if "nulls" in table.column_names:
        counted.append(
            ("null_nulls", table["nulls"].null_count, "rows without a number in nulls (counted as 0): complete them")
        )
    if "value" in table.column_names:
        has_value = pc.fill_null(pc.greater(table["value"], 0), False)
        without_conversion = pc.and_(has_value, pc.equal(table["conversions"], 0))
        counted.append(("null_value", table["value"].null_count, "rows without a value (counted as 0): complete them"))
        counted.append(("value_without_conversion", pc.sum(without_conversion).as_py() or 0, _VALUE_WITHOUT_CONVERSION))
    counts = [count_finding(check, "paths", count, message, total=rows) for check, count, message in counted]
    return [*counts, *of_names]


_VALUE_WITHOUT_CONVERSION = (
    "rows with a value but no conversion (the value is credited to the channels of the path): check both columns"
)
