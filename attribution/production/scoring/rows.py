"""Journeys one by one: a row for each conversion, with its touchpoints as lists; for services and Spark's columns."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.errors import InputError
from attribution.models.saved.definition import Definition
from attribution.schema.tables import UNATTRIBUTED

if TYPE_CHECKING:
    import pandas as pd

    from attribution.models.saved.scorer import Scorer

NEEDED = ("channel", "touched_at", "converted_at")
RESULT = ("channel", "touched_at", "credit")


def score_rows(scorer: Scorer, rows: pd.DataFrame) -> pd.DataFrame:
    """Allocate one conversion per row to the touchpoints of that row.

    Each row stands for itself: it holds the touchpoints that may count for its conversion, in any order, under
    ``reset`` those since the conversion before. Persons, accounts and channels are already known.

    Parameters
    ----------
    scorer : allocates credit
    rows : ``channel`` and ``touched_at``, lists of the same length, ``converted_at``, and lists of what else the
        model needs of touchpoints (see `needed_lists`). Times are texts, those without an offset in UTC; positions
        where the model was fitted on these.

    Returns
    -------
    DataFrame
        As many rows, in the same order: ``channel``, ``touched_at`` and ``credit``, lists over the touchpoints that
        count, in the order of the journey; ``(unattributed)`` alone where none does. Credit sums to 1.

    Raises
    ------
    InputError
        If a column is missing, lists differ in length, or what is in them breaks the contract of touchpoints.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> touchpoints = pd.DataFrame({"customer_id": [1, 1], "touched_at": ["2024-01-01", "2024-01-02"],
    ...                             "channel": ["mail", "search"]})
    >>> conversions = pd.DataFrame({"customer_id": [1], "converted_at": ["2024-01-03"]})
    >>> scorer = at.Scorer.of(at.Linear().fit(at.build_journeys(at.load_sources(touchpoints, conversions))))
    >>> rows = pd.DataFrame({"channel": [["search", "mail"], []], "touched_at": [["2024-05-02", "2024-05-01"], []],
    ...                      "converted_at": ["2024-05-03", "2024-05-03"]})
    >>> score_rows(scorer, rows)[["channel", "credit"]].values.tolist()
    [[['mail', 'search'], [0.5, 0.5]], [['(unattributed)'], [1.0]]]
    """
    import pandas as pd

    lists = ["channel", "touched_at", *needed_lists(scorer)]
    missing = [name for name in (*lists, "converted_at") if name not in rows.columns]
    if missing:
        raise InputError(
            f"model {scorer.name!r} needs the column {missing[0]!r}", given=list(map(str, rows.columns)), allowed=lists
        )
    number = np.arange(len(rows))
    values = {name: [_listed(value) for value in rows[name]] for name in lists}
    lengths = {name: np.array([len(value) for value in column], dtype=np.int64) for name, column in values.items()}
    for name in lists[1:]:
        wrong = np.flatnonzero(lengths[name] != lengths["channel"])
        if len(wrong):
            raise InputError(f"row {wrong[0]}: the lists {name} and channel have different lengths")
    touched = lengths["channel"] > 0
    result = pd.DataFrame({"channel": [[UNATTRIBUTED]] * len(rows), "touched_at": [[None]] * len(rows)})
    result["credit"] = [[1.0]] * len(rows)
    if not touched.any():
        return result
    touchpoints = pd.DataFrame({name: [item for one in values[name] for item in one] for name in lists})
    touchpoints.insert(0, "customer_id", np.repeat(number, lengths["channel"]))
    conversions = pd.DataFrame({"customer_id": number, "converted_at": rows["converted_at"].to_numpy()})
    conversions = conversions[touched].assign(conversion_id=number[touched], value=1.0, **_kinds(scorer.definition))
    credit = _alone(scorer).score(touchpoints, conversions)
    number = credit["conversion_id"].to_numpy().astype(np.int64)
    order = np.argsort(number, kind="stable")
    credit, number = credit.iloc[order], number[order]
    edges = [*np.flatnonzero(np.diff(number, prepend=-1)).tolist(), len(number)]
    cells = [credit["channel"].tolist(), _moments(credit["touched_at"]), credit["credit"].astype(float).tolist()]
    for name, items in zip(RESULT, cells, strict=True):
        of_rows = result[name].tolist()
        for low, high in pairwise(edges):
            of_rows[number[low]] = items[low:high]
        result[name] = of_rows
    return result


def needed_lists(scorer: Scorer) -> tuple[str, ...]:
    """What the model needs of touchpoints besides their channel and time."""
    return tuple(name for name in scorer.definition.needed_dimensions(scorer.state.model()) if name != "channel")


def has_positions(scorer: Scorer) -> bool:
    """Whether times are mere positions to the model."""
    training = scorer.definition.training
    return training is not None and training.has_times is False


def example_rows(scorer: Scorer) -> pd.DataFrame:
    """Two rows that the model takes."""
    import pandas as pd

    first, second = (*scorer.state.channels, "a", "b")[:2]
    lists: dict[str, list[list[Any]]] = {"channel": [[first, second], [first]]}
    ends: list[Any] = [3, 2]
    if has_positions(scorer):
        lists["touched_at"] = [[1, 2], [1]]
    else:
        lists["touched_at"] = [["2024-05-01T10:00:00Z", "2024-05-02T18:30:00Z"], ["2024-05-03T08:00:00Z"]]
        ends = ["2024-05-03T12:00:00Z", "2024-05-03T12:00:00Z"]
    more = {name: [["click", "click"], ["click"]] for name in needed_lists(scorer)}
    return pd.DataFrame({**lists, **more, "converted_at": ends})


def _alone(scorer: Scorer) -> Scorer:
    """The scorer for rows of which nothing else is known: no persons to be joined, no channels to be derived."""
    definition = scorer.definition
    training = definition.training
    if training is not None:
        training = replace(training, tables=("conversions", "touchpoints"), zoned=None)
    journeys = definition.journeys.model_copy(update={"account": None, "segment": None})
    return replace(scorer, definition=Definition(journeys, "channel", {}, {}, training))


def _kinds(definition: Definition) -> dict[str, Any]:
    """What a conversion must be to be allocated."""
    options = definition.journeys
    kinds = {} if options.conversion_kinds is None else {"kind": options.conversion_kinds[0]}
    return kinds if options.customers == "all" else {**kinds, "is_new_customer": True}


def _listed(value: Any) -> list[Any]:
    if value is None or isinstance(value, float):  # a null
        return []
    if isinstance(value, str) or not hasattr(value, "__len__"):
        raise InputError("each row needs a list, with one row per conversion", given=repr(value))
    return list(value)


def _moments(times: pd.Series) -> list[Any]:
    """Moments as texts in UTC; positions as they are."""
    if times.dtype.kind != "M":
        return [None if at is None or at != at else int(at) for at in times]
    moments = times.to_numpy("datetime64[us]")
    return [None if at == "NaT" else f"{at}Z" for at in np.datetime_as_string(moments).tolist()]
