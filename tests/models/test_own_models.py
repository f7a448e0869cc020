"""Models of somebody's own: the worked example end to end, and what is said of a file that is no model."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError, LawError
from attribution.models.saved import Definition, Scorer, Training
from attribution.production.sql import build_select
from attribution.testing import judge_model
from tests.cli.test_cli import call
from tests.cli.test_refusals import clear
from tests.production.sql.test_sql import in_duckdb, mapped, same

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables that the example asks for."""
    folder = tmp_path_factory.mktemp("simulated")
    log = at.simulate("default", customers=3_000, truth=False)
    for name in ("touchpoints", "conversions", "costs"):
        getattr(log, name).to_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture
def shop(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the example, with the shop it asks for, and no module of an earlier test."""
    (tmp_path / "experiments").mkdir()
    for name in ("own_models.py", "own_models.toml"):
        shutil.copy(EXPERIMENTS / name, tmp_path / "experiments" / name)
    shutil.copytree(simulated, tmp_path / "runs" / "shop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


# ---------------------------------------------------------------- the worked example


def test_the_example_runs(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = shop / "out"
    asked = ("--out", out, "--set", "tracking.enabled=false", "--set", "output.journey_credit=true")
    assert call(monkeypatch, "run", "experiments/own_models.toml", *asked) == 0
    assert "rated_participation" in capsys.readouterr().out
    credit = pd.read_parquet(out / "credit.parquet")
    labels = ["last_touch", "time_decay", "recency", "rated_participation"]
    assert credit["model"].unique().tolist() == labels
    totals = credit.groupby("model")["conversions"].sum()
    np.testing.assert_allclose(totals, len(pd.read_parquet("runs/shop/conversions.parquet")), rtol=1e-9)
    found = credit.pivot(index="channel", columns="model", values="conversions").drop("(unattributed)")
    allocated = pd.read_parquet(out / "journey_credit.parquet")
    assert_shares_of_recency(allocated[allocated["model"] == "recency"])
    wanted = rated_participation(shop)
    assert found["rated_participation"].to_dict() == {c: pytest.approx(float(wanted[c]), rel=1e-9) for c in wanted}


def assert_shares_of_recency(rows: pd.DataFrame) -> None:
    """Half-lives of 7 days for clicks and 2 for impressions, journey by journey."""
    touched = pd.read_parquet("runs/shop/touchpoints.parquet")
    kinds = touched.groupby("channel")["kind"].first()
    conversions = pd.read_parquet("runs/shop/conversions.parquet").astype({"conversion_id": str})
    converted_at = conversions.set_index("conversion_id")["converted_at"]
    looked_at = 0
    for conversion, journey in rows[rows["channel"] != "(unattributed)"].groupby("conversion_id"):
        weights = [
            2.0 ** (-(converted_at[conversion] - row.touched_at).total_seconds() / 86_400 / half_life)
            for row in journey.itertuples()
            for half_life in [2.0 if kinds[row.channel] == "impression" else 7.0]
        ]
        np.testing.assert_allclose(journey["credit"], np.array(weights) / sum(weights), rtol=1e-9)
        looked_at += len(weights) > 1
    assert looked_at > 20


def rated_participation(shop: Path) -> dict[str, Fraction]:
    """In exact fractions, from journeys that are taken one by one."""
    tables = {name: shop / "runs" / "shop" / f"{name}.parquet" for name in ("touchpoints", "conversions")}
    journeys = at.build_journeys(at.load_sources(**tables))
    converting: dict[str, int] = defaultdict(int)
    every: dict[str, int] = defaultdict(int)
    attributed = 0
    for chunk in journeys:
        for j in range(len(chunk)):
            members = {journeys.channels[chunk.channel[i]] for i in range(chunk.start[j], chunk.stop[j])}
            attributed += bool(members) and bool(chunk.conversions[j])
            for channel in members:
                every[channel] += 1
                converting[channel] += bool(chunk.conversions[j])
    claims = {channel: Fraction(converting[channel] ** 2, every[channel]) for channel in every}
    return {channel: attributed * claim / sum(claims.values()) for channel, claim in claims.items()}


@pytest.mark.parametrize("settings", [(), ("--setting", "view_days=2", "--setting", "name=views last")])
def test_the_rule_obeys_every_law(
    shop: Path, settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop / "experiments")
    assert call(monkeypatch, "check-model", "own_models:RecencyByKind", *settings) == 0
    assert "laws hold" in capsys.readouterr().out


def test_the_model_that_learns_obeys_every_law(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop / "experiments")
    assert call(monkeypatch, "check-model", "own_models:RatedParticipation") == 0


def test_both_are_written_as_sql(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was learned of each channel is a column there, and age and kind are."""
    monkeypatch.syspath_prepend(shop / "experiments")
    own = importlib.import_module("own_models")
    frames = [pd.read_parquet(f"runs/shop/{name}.parquet") for name in ("touchpoints", "conversions")]
    frames = [frame.astype({"customer_id": str}) for frame in frames]
    sources = at.load_sources(mapped(frames[0]), frames[1])
    journeys = at.build_journeys(sources)
    definition = Definition(training=Training.of(sources, journeys))
    for model in (own.RecencyByKind(view_days=2), own.RatedParticipation()):
        scorer = replace(Scorer.of(model.fit(journeys), definition=definition), version="0123456789abcdef")
        same(in_duckdb(build_select(scorer, "duckdb"), *frames), scorer, *frames)


def test_a_model_in_a_package(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "ours" / "rules").mkdir(parents=True)
    shutil.copy(EXPERIMENTS / "own_models.py", shop / "ours" / "rules" / "recent.py")
    assert call(monkeypatch, "check-model", "ours.rules.recent:RecencyByKind") == 0


# ---------------------------------------------------------------- a file that is no model

FAULTY = """
import attribution as at
import numpy as np

class Counting(at.AttributionModel):
    def __init__(self, *, most, name=None):
        super().__init__(name=name)
        self.most = most
        self.list = [0] * most

    def weigh(self, chunk):
        return np.ones(len(chunk.channel))

no_class = at.Linear()
"""


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("nowhere:X", "", ["'nowhere:X' cannot be loaded", "No module named 'nowhere'"]),
        ("faulty:Missing", "", ["'faulty:Missing' cannot be loaded", "Missing"]),
        ("faulty:no_class", "", ["not an AttributionModel", "Linear()"]),
        ("faulty:np", "", ["not an AttributionModel"]),
        ("broken:X", "", ["'broken:X' cannot be loaded", "SyntaxError"]),
        ("faulty:Counting", "", ["does not take these settings", "most"]),
        ("faulty:Counting", 'most = "x"', ["does not take these settings"]),
        ("faulty:Counting", "mots = 3", ["does not take these settings", "mots"]),
        ("own_models:RecencyByKind", "view_days = -1", ["view_days must be positive", "Given: -1"]),
        ("own_models.RecencyByKind", "", ["unknown model", "package.module:Class"]),
    ],
)
def test_what_cannot_be_loaded_is_said(
    shop: Path,
    name: str,
    settings: str,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By `run` and by `check-model`, in one line, with exit code 2."""
    folder = shop / "experiments"
    (folder / "faulty.py").write_text(FAULTY)
    (folder / "broken.py").write_text("def (:\n")
    (folder / "e.toml").write_text(
        '[tables.touchpoints]\nsource = "../runs/shop/touchpoints.parquet"\n'
        '[tables.conversions]\nsource = "../runs/shop/conversions.parquet"\n'
        f'[[models]]\nmodel = "{name}"\n{settings}\n'
    )
    monkeypatch.chdir(folder)
    assert call(monkeypatch, "run", "e.toml") == 2
    message = clear(capsys.readouterr().err)
    assert all(part in message for part in said), message
    assert not (folder / "runs").exists()
    given = ("--setting", settings.replace(" = ", "=")) if settings else ()
    assert call(monkeypatch, "check-model", name, *given) == 2
    printed = capsys.readouterr()
    assert clear(printed.err) == message
    assert printed.out == ""


# ---------------------------------------------------------------- weights that are none


class Weighing(at.AttributionModel):
    """Gives the weights that the test asks for."""

    def __init__(self, *, kind: str = "ones", name: str | None = None) -> None:
        super().__init__(name=name)
        self.kind = kind

    def weigh(self, chunk: at.JourneyChunk) -> Any:
        ones = np.ones(len(chunk.channel))
        return {
            "ones": ones,
            "short": ones[:-1],
            "per journey": np.ones(len(chunk)),
            "table": ones[:, None],
            "one": 1.0,
            "none": None,
            "nan": np.where(chunk.channel == 0, np.nan, 1.0),
            "inf": np.where(chunk.channel == 0, np.inf, 1.0),
            "negative": np.where(chunk.channel == 0, -1e-9, 1.0),
        }[self.kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        *[(kind, "one weight per touchpoint is needed") for kind in ("short", "per journey", "table", "one", "none")],
        *[(kind, "weights must be finite and not negative") for kind in ("nan", "inf", "negative")],
    ],
)
def test_weights_that_are_none_are_an_error_and_a_broken_law(kind: str, said: str) -> None:
    paths = at.load_sources(paths=pd.DataFrame({"path": ["a > b > a", "b > c"], "conversions": [2, 1]}))
    with pytest.raises(LawError, match=said):
        Weighing(kind=kind).fit(at.build_journeys(paths))
    broken = {verdict.law: verdict.reason for verdict in judge_model(Weighing(kind=kind)) if not verdict.holds}
    assert said in str(broken["credit_adds_up"])
    assert said in str(broken["journey_credit_sums_to_one"])
    with pytest.raises(LawError, match=rf"breaks the law 'credit_adds_up': .*{said}"):
        at.check_model(Weighing(kind=kind))


def test_a_model_without_weights_says_what_to_write() -> None:
    class Empty(at.AttributionModel):
        pass

    reasons = {verdict.reason for verdict in judge_model(Empty()) if not verdict.holds}
    assert reasons == {"NotImplementedError: Empty must override weigh"}


def test_a_setting_that_is_unknown_to_the_model_is_refused() -> None:
    with pytest.raises(InputError, match="no parameter 'knd'"):
        Weighing().set_params(knd=1)
