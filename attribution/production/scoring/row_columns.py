"""The columns of a row that is scored alone, and of the answer: what they hold, and an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from attribution.models.saved.scorer import Scorer

_ANSWER: Mapping[str, str] = {
    "conversion_id": "text: the id of the row, empty where it has none",
    "channel": "list of texts: the channel of each touchpoint, in the order of the row; null where the row was refused",
    "credit": "list of numbers: the share of each touchpoint, in the same order; 0 for one that does not count, "
    "such as one outside the lookback window; null where the row was refused",
    "unattributed": "number: 1 where no touchpoint counts, else 0; with the credit it adds up to 1",
    "baseline": "number: the part of the conversion that would have come without any channel; with the credit and "
    "unattributed it adds up to 1",
    "unknown_channels": "list of texts: channels of the row that the model was not fitted on",
    "did_you_mean": "list of texts: for each of these the known channel that is spelled most like it, or an empty text",
    "error": "text: why the row was refused, empty where it was scored",
    "model_version": "text: version of the model, as in the scores of nightly jobs",
}


def explain_answer(scorer: Scorer) -> dict[str, str]:
    """What each column of the answer holds; only a model of what channels caused has a baseline."""
    has_baseline = scorer.state.estimand == "incremental"
    return {name: meaning for name, meaning in _ANSWER.items() if has_baseline or name != "baseline"}


def needed_lists(scorer: Scorer) -> tuple[str, ...]:
    """What the model needs of touchpoints besides their channel and time."""
    return tuple(name for name in scorer.definition.needed_dimensions(scorer.state.model()) if name != "channel")


def optional_lists(scorer: Scorer) -> tuple[str, ...]:
    """Further columns of touchpoints in training: they order touchpoints of the same instant."""
    needed = ("channel", *needed_lists(scorer))
    return tuple(name for name in training_dimensions(scorer) if name not in needed)


def training_dimensions(scorer: Scorer) -> tuple[str, ...]:
    """Columns that told touchpoints apart in training, in the order in which they break ties."""
    training = scorer.definition.training
    return (() if training is None else training.dimensions) or ("channel",)


def has_positions(scorer: Scorer) -> bool:
    """Whether times are mere positions to the model."""
    training = scorer.definition.training
    return training is not None and training.has_times is False


def is_zoned(scorer: Scorer) -> bool | None:
    """Whether times in training had a time zone; None where there was nothing to tell."""
    training = scorer.definition.training
    return None if training is None else training.zoned


def known_channels(scorer: Scorer) -> tuple[str, ...]:
    """The channels that the model was fitted on, by the names that rows have."""
    if scorer.definition.journeys.transform != "frequency":
        return scorer.state.channels
    first = " (1)"
    return tuple(name.removesuffix(first) for name in scorer.state.channels if name.endswith(first))


def explain_columns(scorer: Scorer) -> dict[str, str]:
    """What each column of a row holds, by name; the text of one that may be left out begins with "optional".

    Examples
    --------
    >>> import attribution as at
    >>> import pandas as pd
    >>> paths = pd.DataFrame({"path": ["mail"], "conversions": [1]})
    >>> model = at.Linear().fit(at.build_journeys(at.load_sources(paths=paths)))
    >>> list(explain_columns(at.Scorer.of(model)))
    ['channel', 'touched_at', 'converted_at', 'conversion_id']
    """
    zones: dict[bool | None, str] = {True: "with an offset, as in training", False: "without an offset, as in training"}
    time = f"text such as {_example_time(scorer)}, datetime or Timestamp, "
    time += zones.get(is_zoned(scorer), "with an offset or without one")
    if has_positions(scorer):
        time = "whole number, since the model knows only the order of touchpoints"
    beside = "beside channel, null where there is none"
    lists = {name: f"list of texts {beside}: the {name} of each touchpoint" for name in needed_lists(scorer)}
    ties = {
        name: f"optional list of texts {beside}: the {name} of each touchpoint, which orders those of one instant"
        for name in optional_lists(scorer)
    }
    return {
        "channel": "list of texts: the channel of each touchpoint that may count, in any order; [] if there is none",
        "touched_at": f"list of times beside channel; each a {time}",
        **lists,
        "converted_at": f"time of the conversion: {time}",
        **ties,
        "conversion_id": "optional text: comes back in the answer",
    }


def example_rows(scorer: Scorer) -> pd.DataFrame:
    """Two rows that the model takes."""
    import pandas as pd

    channels = known_channels(scorer) or ("a",)
    lists: dict[str, list[list[Any]]] = {"channel": [[channels[0], channels[-1]], [channels[0]]]}
    ends: list[Any] = [3, 2]
    if has_positions(scorer):
        lists["touched_at"] = [[1, 2], [1]]
    else:
        end = _example_time(scorer)
        lists["touched_at"] = [[end.replace("05-03T10", day) for day in ("05-01T09", "05-02T18")], [end]]
        ends = [end, end]
    examples = {"kind": "click", "stage": "lead"}
    further = {name: [[examples.get(name, "a")] * len(of) for of in lists["channel"]] for name in needed_lists(scorer)}
    return pd.DataFrame({**lists, **further, "converted_at": ends, "conversion_id": ["1001", "1002"]})


def _example_time(scorer: Scorer) -> str:
    return "2024-05-03T10:00:00" if is_zoned(scorer) is False else "2024-05-03T10:00:00Z"
