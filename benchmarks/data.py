"""Generated inputs: the same seed gives the same rows. Run as a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.clock import Clock, arguments

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent / "data"
SEED = 20_240_101
EVENT_CHANNELS = 12
PATH_CHANNELS = 30
GAME_CHANNELS = (20, 50)
SENSITIVITY_CHANNELS = 20
DAYS = 90
IDS = ("integer", "uuid")
TINY = 1_000
"""Touchpoints, or journeys, of the input on which everything is run once before it is timed."""
WARM = 20_000
"""Touchpoints of the input for what needs a few hundred conversions."""

_FIRST_MOMENT = 1_704_067_200_000_000
_LONGEST_PATH = 40
_UNTOUCHED_PER_JOURNEY = 2
_UNTOUCHED_RATE = 0.005
_GAP_DAYS = 5.0
_LAST_START = 60.0


def events_folder(touchpoints: int) -> Path:
    """Where the events lie: ``touchpoints-IDS.parquet`` and ``conversions-IDS.parquet``."""
    return FOLDER / f"events-{touchpoints}-seed-{SEED}"


def event_files(touchpoints: int, ids: str) -> tuple[Path, Path]:
    folder = events_folder(touchpoints)
    return folder / f"touchpoints-{ids}.parquet", folder / f"conversions-{ids}.parquet"


def customers_of(touchpoints: int) -> int:
    return max(1, touchpoints // 5)


def conversions_of(touchpoints: int) -> int:
    return max(1, touchpoints // 50)


def paths_folder(journeys: int) -> Path:
    """Where the paths lie: ``journeys.parquet``, a row each, and ``aggregated.parquet``, a row per path."""
    return FOLDER / f"paths-{journeys}-seed-{SEED}"


def game_file(journeys: int, channels: int) -> Path:
    """Paths over any number of channels, and one row without a path: the customers who were never touched."""
    return FOLDER / f"game-{journeys}-{channels}-channels-seed-{SEED}" / "journeys.parquet"


def sensitivity_folder(journeys: int) -> Path:
    """Where events with costs lie: ``touchpoints.parquet``, ``conversions.parquet`` and ``costs.parquet``."""
    return FOLDER / f"sensitivity-{journeys}-seed-{SEED}"


def write_events(folder: Path, touchpoints: int) -> None:
    """Touchpoints and conversions spread evenly over customers, channels and days, in no order.

    Numbers come from DuckDB's hash of the row, which does not depend on threads.
    """
    import duckdb

    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    channels = ", ".join(f"'channel {number:02d}'" for number in range(1, EVENT_CHANNELS + 1))
    customers = customers_of(touchpoints)
    tables = {
        "touchpoints": (
            touchpoints,
            f"{_draw('toucher', customers)} as customer, {_moment('touched')} as touched_at, "
            f"([{channels}])[1 + {_draw('channel', EVENT_CHANNELS)}] as channel",
        ),
        "conversions": (
            conversions_of(touchpoints),
            f"{_draw('converter', customers)} as customer, {_moment('converted')} as converted_at, "
            f"{_draw('cents', 20_000)} / 100 as value",
        ),
    }
    ids = {"integer": "customer", "uuid": f"md5(concat({SEED}, '-', customer))::uuid::varchar"}
    for name, (rows, columns) in tables.items():
        for kind, sql in ids.items():
            connection.execute(
                f"copy (select {sql} as customer_id, * exclude (customer) "
                f"from (select {columns} from range({rows}) r(i))) "
                f"to '{folder / f'{name}-{kind}.parquet'}' (format parquet)"
            )


def _draw(what: str, size: int) -> str:
    """SQL for a number in 0 … size − 1, different for every row ``i`` and every ``what``."""
    # Hashed twice: hashes of the same row beside different words share their low bits.
    return f"(hash(hash(i, '{what}', {SEED})) % {size})::bigint"


def _moment(what: str) -> str:
    return f"make_timestamp({_FIRST_MOMENT} + {_draw(what, DAYS * 86_400_000_000)})"


def write_paths(folder: Path, journeys: int) -> None:
    """Journeys as path strings ``a > b > c``, once one row each and once one row per path."""
    frame = _paths(journeys, PATH_CHANNELS)
    frame.to_parquet(folder / "journeys.parquet", index=False)
    frame.groupby("path", as_index=False).sum().to_parquet(folder / "aggregated.parquet", index=False)


def write_game(folder: Path, journeys: int, channels: int) -> None:
    """Journeys as path strings, one row each, and those who were never touched, who convert more seldom."""
    frame = _paths(journeys, channels)
    untouched = _UNTOUCHED_PER_JOURNEY * journeys
    conversions = int(untouched * _UNTOUCHED_RATE)
    mean_value = frame["value"].sum() / frame["conversions"].sum()
    frame.loc[len(frame)] = ["", conversions, round(conversions * mean_value, 2), untouched - conversions]
    frame.to_parquet(folder / "journeys.parquet", index=False)


def write_sensitivity(folder: Path, journeys: int) -> None:
    """The same kind of paths as touchpoints days apart, a customer each, with media and labour costs of all channels.

    One channel is direct traffic.
    """
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(SEED)
    channel, lengths = _walk(rng, journeys, SENSITIVITY_CHANNELS)
    converted = np.flatnonzero(_convert(rng, channel, lengths, SENSITIVITY_CHANNELS))
    names = np.array([f"channel {number:02d}" for number in range(1, SENSITIVITY_CHANNELS)] + ["direct"], dtype=object)
    names = rng.permutation(names)
    customer = np.repeat(np.arange(journeys), lengths)
    first = np.cumsum(lengths) - lengths
    gap = rng.exponential(_GAP_DAYS, len(channel))
    gap[first] = rng.uniform(0, _LAST_START, journeys)
    # Days since the start of the customer's own path.
    day = np.cumsum(gap) - np.repeat((np.cumsum(gap) - gap)[first], lengths)
    ended = day[first + lengths - 1][converted] + rng.exponential(1.0, len(converted))
    value = np.exp(rng.normal(4, 1, len(converted))).round(2)
    touchpoints = {"customer_id": customer, "touched_at": _moments(day), "channel": names[channel]}
    conversions = {"customer_id": converted, "converted_at": _moments(ended), "value": value}
    amount = value.sum() * rng.dirichlet(np.full(SENSITIVITY_CHANNELS, 3.0))
    costs = [{"channel": name, "cost_type": "media", "amount": 0.7 * a} for name, a in zip(names, amount, strict=True)]
    costs += [{"channel": name, "cost_type": "labour", "amount": a} for name, a in zip(names, amount / 9, strict=True)]
    for name, table in {"touchpoints": touchpoints, "conversions": conversions, "costs": costs}.items():
        pd.DataFrame(table).to_parquet(folder / f"{name}.parquet", index=False)


def _moments(days: NDArray[np.float64]) -> NDArray[np.datetime64]:
    return (_FIRST_MOMENT + (days * 86_400_000_000).astype("int64")).astype("datetime64[us]")


def _paths(journeys: int, channels: int) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(SEED)
    channel, lengths = _walk(rng, journeys, channels)
    converted = _convert(rng, channel, lengths, channels)
    value = np.where(converted, np.exp(rng.normal(4, 1, journeys)).round(2), 0.0)
    return pd.DataFrame(
        {
            "path": _strings(rng, channel, lengths, channels),
            "conversions": converted.astype(np.int64),
            "value": value,
            "nulls": (~converted).astype(np.int64),
        }
    )


def _walk(rng: np.random.Generator, journeys: int, channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Channels of all journeys end to end, and how long each journey is.

    A touchpoint stays with the channel before it, goes to that channel's companion, or is drawn anew; some
    channels are far more popular than others.
    """
    import numpy as np

    lengths = np.minimum(rng.geometric(1 / 3.5, journeys), _LONGEST_PATH)
    starts = np.cumsum(lengths) - lengths
    steps = int(lengths.sum())
    position = np.arange(steps) - np.repeat(starts, lengths)
    popularity = 1 / np.arange(1, channels + 1)
    channel = rng.choice(channels, steps, p=popularity / popularity.sum())
    chance = rng.random(steps)
    companion = rng.permutation(channels)
    for place in range(1, int(lengths.max())):
        bound = np.flatnonzero((position == place) & (chance < 0.4))
        before = channel[bound - 1]
        channel[bound] = np.where(chance[bound] < 0.25, before, companion[before])
    return channel, lengths


def _convert(
    rng: np.random.Generator, channel: NDArray[np.int64], lengths: NDArray[np.int64], channels: int
) -> NDArray[np.bool_]:
    """Which journeys convert, 5 to 10 %: by channels, length, and the order of the last two channels."""
    import numpy as np

    ends = np.cumsum(lengths)
    pull = rng.normal(0, 0.5, channels)
    closing = rng.normal(0, 0.5, (channels, channels))
    logit = -3.3 + np.add.reduceat(pull[channel], ends - lengths) / np.sqrt(lengths) + 0.1 * lengths
    two = lengths > 1
    logit[two] += closing[channel[ends[two] - 2], channel[ends[two] - 1]]
    return rng.random(len(lengths)) < 1 / (1 + np.exp(-logit))


def _strings(
    rng: np.random.Generator, channel: NDArray[np.int64], lengths: NDArray[np.int64], channels: int
) -> pd.Series:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    names = pa.array([f"channel {number:02d}" for number in rng.permutation(channels) + 1])
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    steps = pa.ListArray.from_arrays(offsets, names.take(pa.array(channel)))
    return pd.Series(pc.binary_join(steps, " > ").to_pandas())


def write(folder: Path, fill: Callable[[Path, int], None], size: int) -> None:
    """Fill ``folder``, unless it is there already; it appears only once it is complete."""
    if folder.exists():
        return
    started = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(started, ignore_errors=True)
    started.mkdir(parents=True)
    fill(started, size)
    started.rename(folder)


if __name__ == "__main__":
    asked = arguments()
    clock = Clock()
    with clock.step("generate"):
        for touchpoints in asked["touchpoints"]:
            write(events_folder(touchpoints), write_events, touchpoints)
        for journeys in asked["journeys"]:
            write(paths_folder(journeys), write_paths, journeys)
        for journeys in asked["games"]:
            for channels in GAME_CHANNELS:
                write(game_file(journeys, channels).parent, partial(write_game, channels=channels), journeys)
        for journeys in asked["sensitivity"]:
            write(sensitivity_folder(journeys), write_sensitivity, journeys)
    clock.report()
