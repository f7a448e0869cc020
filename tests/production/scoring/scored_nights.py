"""A scoring job in such nights: what is published equals a score from scratch of all that is known, or is named."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import attribution as at
from attribution.data.engine import DuckDBEngine, Engine
from attribution.models.saved import Definition, Scorer
from attribution.production.scoring.days import day_name
from attribution.production.scoring.in_effect import VersionsInEffect
from attribution.production.scoring.job import ScoringOptions, score_days
from attribution.production.scoring.publication import Scored
from attribution.schema.experiment import JourneyOptions
from tests.production.nights import (
    CHANNELS,
    DAY,
    LOOKBACK,
    Night,
    Nights,
    Order,
    Touch,
    VersionRecord,
    spans,
    tables_of,
)


@dataclass(frozen=True)
class Version:
    """A model of the shop: its rule, whether conversions close journeys, and its lookback window."""

    conversions: str = "reset"
    rule: str = "Linear"
    lookback: int = LOOKBACK


@cache
def scorer(version: Version) -> tuple[Path, Scorer]:
    touchpoints = pd.DataFrame(
        {"customer_id": list("aab"), "touched_at": pd.to_datetime(["2024-01-01"] * 3), "channel": CHANNELS}
    )
    orders = pd.DataFrame({"customer_id": ["a"], "converted_at": pd.to_datetime(["2024-01-02"])})
    options = {"lookback_days": float(version.lookback), "conversions": version.conversions}
    model = getattr(at, version.rule)().fit(at.build_journeys(at.load_sources(touchpoints, orders), **options))
    folder = Path(tempfile.mkdtemp(prefix="attribution-nights-")) / "shop"
    made = Scorer.of(model, name="shop", definition=Definition(JourneyOptions.model_validate(options)))
    return folder, made.save(folder)


Credit = dict[str, list[tuple[str, int | None, float, float]]]


def published(out: Path) -> Credit:
    """Rows of each conversion, as the files of days have them."""
    paths = sorted((out / "journey_credit").rglob("*.parquet"))
    if not paths:
        return {}
    table = pa.concat_tables([pq.ParquetFile(path).read() for path in paths])
    found: Credit = {}
    at = table["touched_at"].cast(pa.timestamp("us")).cast(pa.int64())
    columns = (table["conversion_id"], table["channel"], at, table["credit"], table["credited_value"])
    for name, channel, moment, credit, value in zip(*(column.to_pylist() for column in columns), strict=True):
        found.setdefault(name, []).append((channel, moment, round(credit, 9), round(value, 6)))
    return {name: sorted(rows, key=str) for name, rows in found.items()}


def from_scratch(known: VersionRecord, version_on: Callable[[int], Version]) -> Credit:
    """Every order over the touchpoints that led to it, by the version of its day, person by person."""
    found: Credit = {}
    for order in known.orders.values():
        version = version_on(order.at // DAY)
        window = version.lookback * DAY
        led = [one for one in known.touches if one.visitor == order.visitor and 0 <= order.at - one.at <= window]
        if version.conversions == "reset":
            others = [one for one in (*known.orders.values(), *known.history) if one.visitor == order.visitor]
            before = [one.at for one in others if (one.at, one.id) < (order.at, order.id)]
            led = [one for one in led if not before or one.at > max(before)]
        led = sorted(led, key=lambda one: (one.at, one.channel))
        shares = [1 / len(led) for _ in led] if version.rule == "Linear" else [0.0] * (len(led) - 1) + [1.0]
        rows = [
            (one.channel, one.at, round(share, 9), round(order.value * share, 6))
            for one, share in zip(led, shares, strict=False)
        ]
        found[order.id] = sorted(rows or [("(unattributed)", None, 1.0, order.value)], key=str)
    return found


class ScoredNights(Nights):
    """The shop's conversions are scored."""

    conversions = "reset"

    def engine(self) -> Engine:
        """A new one for each job."""
        return DuckDBEngine(threads=1)

    def model(self) -> Scorer | VersionsInEffect:
        """What scores tonight."""
        return Scorer.load(scorer(Version(self.conversions))[0])

    def version_on(self, day: int) -> Version:
        """The version that is in effect on a day."""
        return Version(self.conversions)

    def is_done(self) -> bool:
        return not self.scored.cut and not self.scored.outdated and not self.scored.made_otherwise

    def job(self, touches: tuple[Touch, ...], orders: tuple[Order, ...], covers: tuple[int, int] | None = None) -> None:
        type(self).nights += 1
        night = Night(touches, orders, dict(self.links), covers)
        request = ScoringOptions(tables_of(night), self.out, canonical=True, covers=covers)
        self.scored = score_days(self.model(), request, self.engine())
        is_all = spans(self.known.touches, touches) and spans(self.known.orders.values(), night.latest.values())
        self.known.learn(night)
        self.check(self.scored, is_all=is_all and covers is None)

    def check(self, scored: Scored, *, is_all: bool) -> None:
        named = {name for ids in scored.outdated.values() for name in ids}
        assert not (is_all and named), "an input that spans all that was known lacks nothing"
        expected, found = from_scratch(self.known, self.version_on), published(self.out)
        differ = {name for name in {*expected, *found} if expected.get(name) != found.get(name)}
        # A day that this input lacks keeps what it has until one has it, and is named.
        kept = {order.id for order in self.known.orders.values() if day_name(order.at // DAY) in scored.made_otherwise}
        assert not (is_all and scored.made_otherwise and not scored.cut), "nor is a day by another version"
        assert differ <= named | kept, {name: (expected.get(name), found.get(name)) for name in differ - named - kept}
