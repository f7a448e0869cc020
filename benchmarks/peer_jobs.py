"""The measured processes of the peers, run by the Python of ``.venv-peers``: their public calls alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.clock import Clock, arguments
from benchmarks.data import TINY, paths_folder

Shares = dict[str, dict[str, float]]


def channel_attribution(frame: pd.DataFrame, calls: Sequence[str], clock: Clock) -> Shares:
    """``heuristic_models`` and ``markov_N``, with their defaults, on conversions and value."""
    import ChannelAttribution

    shares: Shares = {}
    for call in calls:
        if call == "heuristic_models":
            with clock.step(call):
                table = ChannelAttribution.heuristic_models(
                    frame, "path", "conversions", var_value="value", flg_pro=False
                )
            for rule in ("first_touch", "last_touch", "linear_touch"):
                name = rule.replace("linear_touch", "linear")
                shares[name] = _shares(table["channel_name"], table[f"{rule}_conversions"])
            continue
        with clock.step(call):
            table = ChannelAttribution.markov_model(
                frame,
                "path",
                "conversions",
                var_value="value",
                var_null="nulls",
                order=int(call.removeprefix("markov_")),
                verbose=False,
                flg_pro=False,
            )
        shares[call] = _shares(table["channel_name"], table["total_conversions"])
    return shares


def marketing_attribution_models(frame: pd.DataFrame, calls: Sequence[str], clock: Clock) -> Shares:
    """``MAM`` on grouped journeys, then its models; it credits one quantity at a time: conversions."""
    from mam import MAM

    outcomes = [
        pd.DataFrame({"path": frame["path"], "converted": converted, "occurrences": frame[column]})
        for column, converted in (("conversions", True), ("nulls", False))
    ]
    grouped = pd.concat([part[part["occurrences"] > 0] for part in outcomes], ignore_index=True)
    with clock.step("parse"):
        peer = MAM(
            df=grouped,
            format_type="grouped_journey",
            channels_colname="path",
            journey_with_conv_colname="converted",
            occurrences_colname="occurrences",
        )
    shares: Shares = {}
    for call in calls:
        with clock.step(call):
            result = getattr(peer, f"run_{call}")()
        table = result.to_pandas()
        shares[_MAM_NAMES[call]] = _shares(table["channels"], table["attribution"])
        if call == "markov":
            effects = result.metadata["removal_effect"]["removal_effect"]
            shares["markov_1, by its removal effects"] = _shares(effects.index, effects)
    return shares


def shapley_attribution(frame: pd.DataFrame, calls: Sequence[str], clock: Clock) -> Shares:
    """The simplified Shapley model on all journeys, or what every model makes of those that converted.

    Journeys are lists of channels, made before the clock starts. The models that learn a classifier fall back to the
    simplified one where every journey converted.
    """
    import shapley_attribution as peer

    models = {
        "simplified": peer.SimplifiedShapleyAttribution,
        "path": peer.PathShapleyAttribution,
        "monte_carlo": peer.MonteCarloShapleyAttribution,
    }
    shares: Shares = {}
    for call in calls:
        name, _, part = call.partition(" of ")
        paths, labels = _lists(frame, ["conversions"] if part else ["conversions", "nulls"])
        model = models[name]()
        with clock.step(call):
            model.fit(paths, labels)
        totals = model.get_attribution()
        shares[f"shapley, {call}"] = _shares(list(totals), list(totals.values()))
    return shares


def _lists(frame: pd.DataFrame, ends: Sequence[str]) -> tuple[list[list[str]], list[int]]:
    """The channels of every journey that ended so, and whether it converted."""
    paths = [frame["path"].repeat(frame[end]).str.split(" > ").tolist() for end in ends]
    labels = [int(end == "conversions") for end, part in zip(ends, paths, strict=True) for _ in part]
    return [path for part in paths for path in part], labels


_MAM_NAMES = {
    "first_click": "first_touch",
    "last_click": "last_touch",
    "linear": "linear",
    "position_based": "position_based",
    "markov": "markov_1",
    "shapley": "shapley",
}

PEERS: dict[str, Callable[[pd.DataFrame, Sequence[str], Clock], Shares]] = {
    "ChannelAttribution": channel_attribution,
    "marketing-attribution-models": marketing_attribution_models,
    "shapley-attribution": shapley_attribution,
}


def _shares(channels: Sequence[str], totals: Sequence[float]) -> dict[str, float]:
    by_channel = pd.Series(list(totals), index=[str(channel) for channel in channels], dtype=float)
    return (by_channel / by_channel.sum()).to_dict()


def _read(folder: Path, kind: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{kind}.parquet")


if __name__ == "__main__":
    asked = arguments()
    run = PEERS[asked["peer"]]
    frame = _read(paths_folder(asked["journeys"]), asked["kind"])
    run(_read(paths_folder(TINY), asked["kind"]), asked["calls"], Clock())
    clock = Clock()
    shares = run(frame, asked["calls"], clock)
    clock.report(shares=shares, notes={"rows": len(frame)})
