"""Nights of a log that takes back: summaries equal those of all that is known, or are of days that were named."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
import typer

from attribution.cli.commands.summarise import summarise
from attribution.kernels.statistics.sums import to_float
from attribution.pipeline.builders import make_model
from attribution.production.refit import SummaryStore, read_window
from tests.production.scoring.test_nights_that_take_back import CHANNELS, DAY, LOOKBACK, Night, Nights, tables_of

EXPERIMENT = f"""
name = "nights"
[tables.touchpoints]
source = "touchpoints.parquet"
[tables.conversions]
source = "conversions.parquet"
[journeys]
lookback_days = {LOOKBACK}
[[models]]
model = "LastTouch"
[[models]]
model = "Markov"
"""


def days_of(folder: Path) -> dict[int, object]:
    """What each day says, in terms of the same channels."""
    store = SummaryStore.open(folder)
    models = [make_model(spec, Path()) for spec in store.definition.specs]
    said: dict[int, object] = {}
    for day in store.days:
        window = read_window(store, models, day, day, channels=CHANNELS)
        # A table without rows says nothing; whether it is there depends on the other days of the job.
        said[day] = [
            {
                name: sorted(zip(table.keys.tolist(), to_float(table.sums).tolist(), strict=True))
                for name, table in part.tables.items()
                if len(table.keys)
            }
            for part, _ in (window.observed, *window.models)
        ]
    return said


def job(folder: Path, night: Night, out: Path) -> None:
    for name, frame in tables_of(night).items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    with contextlib.suppress(typer.Exit):
        summarise(folder / "nights.toml", out)


class SummaryNights(Nights):
    """The same shop, whose log is summarised."""

    def job(self, touches, orders, covers=None) -> None:  # type: ignore[no-untyped-def]
        type(self).nights += 1
        folder = self.out.parent
        (folder / "nights.toml").write_text(EXPERIMENT, encoding="utf-8")
        night = Night(touches, orders, dict(self.links))
        job(folder, night, self.out)
        self.known.learn(night)
        scratch = Path(tempfile.mkdtemp(dir=folder)) / "sums"
        job(folder, Night(tuple(self.known.touches), tuple(self.known.orders.values()), {}), scratch)
        stale = set(SummaryStore.open(self.out).read_log_state().stale)
        found, expected = days_of(self.out), days_of(scratch)
        wrong = [day for day in found if day not in stale and day in expected and found[day] != expected[day]]
        assert not wrong, wrong


@pytest.mark.parametrize("seed", range(4))
def test_summaries_are_those_of_all_that_is_known(seed: int) -> None:
    shop = SummaryNights()
    shop.open(seed=seed, conversions="reset")
    for _ in range(25):
        shop.now += int(shop.random.integers(0, 40)) * DAY // 24
        shop.live(int(shop.random.integers(0, 3)))
        for _ in range(shop.random.integers(0, 4)):
            shop.something_is_corrected()
        shop.everything()
    assert type(shop).nights >= 25
    shop.teardown()
