"""The four experiments on shared data against slow, independent answers.

The data are not shipped: they lie in ``shared/data`` beside the project's folder, or where the environment
variable ``ATTRIBUTION_DATA`` says. Without them everything marked ``data`` is skipped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from attribution.pipeline.sections import read_experiment
from attribution.schema.tables import BASELINE
from tests.cli.test_cli import call
from tests.real_data_oracles import ORACLES, UNATTRIBUTED, UNMATCHED, Observed, no_send_at_any_time, read_paths

ROOT = Path(__file__).resolve().parents[1]
DATA_AS_WRITTEN = "../../shared/data"
NAMES = tuple(ORACLES)
TABLES = ("credit", "returns", "quality")


def data_folder() -> Path | None:
    """Where the shared data lie, or None."""
    given = os.environ.get("ATTRIBUTION_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    return folder.resolve() if folder.is_dir() else None


def experiment_file(name: str, folder: Path) -> Path:
    """The experiment file, or a copy in ``folder`` where the data are not where it says."""
    written = ROOT / "experiments" / f"{name}.toml"
    data = data_folder()
    if data is None or data == (written.parent / DATA_AS_WRITTEN).resolve():
        return written
    copy = folder / written.name
    text = written.read_text(encoding="utf-8").replace(DATA_AS_WRITTEN, data.as_posix())
    copy.write_text(text, encoding="utf-8")
    return copy


def run(name: str, folder: Path) -> dict[str, pd.DataFrame]:
    """Run one experiment by its command and read what it wrote."""
    out = folder / name
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        options = ("--out", out, "--set", "tracking.enabled=false")
        assert call(patch, "run", experiment_file(name, folder), *options) == 0
    return {table: pd.read_parquet(out / f"{table}.parquet") for table in TABLES}


@cache
def observed_in(data: Path, name: str) -> Observed:
    return ORACLES[name](data)


@dataclass(frozen=True)
class Case:
    """What an experiment wrote, and what it should have."""

    name: str
    tables: dict[str, pd.DataFrame]
    observed: Observed


@pytest.fixture(scope="module")
def data() -> Path:
    folder = data_folder()
    if folder is None:
        pytest.skip("the shared data are not here; ATTRIBUTION_DATA names their folder")
    return folder


@pytest.fixture(scope="module")
def cases(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Filled as tests ask, so that one test runs one experiment."""

    class Cases(dict[str, Case]):
        def __missing__(self, name: str) -> Case:
            self[name] = Case(name, run(name, tmp_path_factory.mktemp("real")), observed_in(data, name))
            return self[name]

    return Cases()


@pytest.fixture
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    return cases[request.param]


every_experiment = pytest.mark.parametrize("case", NAMES, indirect=True)


def exactly(expected: float) -> object:
    return pytest.approx(expected, rel=1e-12, abs=1e-9)


def by_channel(table: pd.DataFrame, column: str) -> dict[str, float]:
    """Channel → number, without the channels that have none or nothing."""
    filled = table[table[column].notna() & (table[column] != 0)]
    return dict(zip(filled["channel"], filled[column].astype(float), strict=True))


# ---------------------------------------------------------------- without data


@pytest.mark.parametrize("name", NAMES)
def test_experiment_file_is_well_formed(name: str) -> None:
    experiment = read_experiment(ROOT / "experiments" / f"{name}.toml")
    assert experiment.name == name
    models = [spec.model for spec in experiment.models]
    has_days = experiment.journeys.lookback_days is not None
    assert ("TimeDecay" in models) == has_days
    assert models.count("Markov") == 2


@pytest.mark.parametrize("name", NAMES)
def test_data_elsewhere_are_read_from_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("ATTRIBUTION_DATA", str(elsewhere))
    text = experiment_file(name, tmp_path).read_text(encoding="utf-8")
    assert DATA_AS_WRITTEN not in text
    assert elsewhere.as_posix() in text


# ---------------------------------------------------------------- the oracles against known facts


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "rows", "conversions", "value", "spend"),
    [
        ("sme_loan", {"touchpoints": 4949, "conversions": 318, "costs": 120}, 318, 9_158_854, 2_957_867),
        ("four_campaign", {"touchpoints": 29_782, "conversions": 2203}, 2203, 87_934, 134_066),
        (
            "complete_journey",
            {"touchpoints": 6589, "conversions": 155_848},
            155_848,
            4_596_039.58,
            26_359.90,
        ),
        ("path_data", {"paths": 10_000}, 19_785, 74_802.971587, 0),
    ],
)
def test_oracle_finds_the_known_facts(
    data: Path, name: str, rows: dict[str, int], conversions: float, value: float, spend: float
) -> None:
    observed = observed_in(data, name)
    assert observed.rows == rows
    assert observed.conversions == conversions
    assert observed.value == pytest.approx(value, abs=1e-6)
    assert sum(observed.spend.values()) == pytest.approx(spend, abs=1e-6)


@pytest.mark.data
def test_paths_repeat_and_have_nulls(data: Path) -> None:
    paths = read_paths(data)
    assert paths["channels"].nunique() == 5408
    assert paths["total_null"].sum() == 68_602
    assert len({channel for path in paths["channels"] for channel in path}) == 12


@pytest.mark.data
def test_most_baskets_have_no_send_before_them(data: Path) -> None:
    observed = observed_in(data, "complete_journey")
    assert observed.without_touchpoint == 81_619
    assert observed.share_without_touchpoint == pytest.approx(0.5237, abs=5e-5)
    assert no_send_at_any_time(data) == pytest.approx(0.3952, abs=5e-5)


# ---------------------------------------------------------------- the experiments against the oracles


@pytest.mark.data
@every_experiment
def test_credit_equals_the_oracle(case: Case) -> None:
    credit = case.tables["credit"]
    for model, expected in case.observed.credit.items():
        mine = credit[credit["model"] == model]
        assert not mine.empty, f"{model} is not among {sorted(set(credit['model']))}"
        for place, column in enumerate(("conversions", "value")):
            wanted = {channel: exactly(pair[place]) for channel, pair in expected.items() if pair[place]}
            assert by_channel(mine, column) == wanted, f"{model}, {column}"


@pytest.mark.data
@every_experiment
def test_every_model_hands_out_what_was_observed(case: Case) -> None:
    experiment = read_experiment(ROOT / "experiments" / f"{case.name}.toml")
    credit = case.tables["credit"]
    assert credit.loc[credit["estimand"] == "allocated", "model"].nunique() == len(experiment.models)
    for _, mine in credit.groupby("model"):
        assert mine["conversions"].sum() == pytest.approx(case.observed.conversions, rel=1e-9)
        assert mine["value"].sum() == pytest.approx(case.observed.value, rel=1e-9)
        without = by_channel(mine, "conversions").get(UNATTRIBUTED, 0.0)
        assert without == exactly(case.observed.without_touchpoint)


@pytest.mark.data
@every_experiment
def test_spend_of_every_channel_is_there_once_per_model(case: Case) -> None:
    wanted = {channel: exactly(amount) for channel, amount in case.observed.spend.items()}
    for _, mine in case.tables["returns"].groupby("model"):
        assert by_channel(mine, "spend") == wanted


@pytest.mark.data
@every_experiment
def test_quality_looked_at_every_row_and_failed_nothing(case: Case) -> None:
    quality = case.tables["quality"]
    assert not (quality["status"] == "fail").any()
    for table, rows in case.observed.rows.items():
        assert quality.loc[quality["table"] == table, "total"].max() == rows


@pytest.mark.data
@pytest.mark.parametrize("case", ["sme_loan"], indirect=True)
def test_the_opportunity_is_no_channel(case: Case) -> None:
    channels = set(case.tables["credit"]["channel"]) - {UNATTRIBUTED, BASELINE}
    assert channels == {"Paid Search", "Email", "Direct", "Referral", "Phone Call"}


@pytest.mark.data
@pytest.mark.parametrize("case", ["complete_journey"], indirect=True)
def test_discounts_without_a_campaign_stay_visible(case: Case) -> None:
    for _, mine in case.tables["returns"].groupby("model"):
        spend = {channel: round(amount * 100) for channel, amount in by_channel(mine, "spend").items()}
        assert spend == {"Type A": 326_609, "Type B": 28_994, "Type C": 3_800, UNMATCHED: 2_276_587}
        assert sum(spend.values()) == 2_635_990
    quality = case.tables["quality"]
    costs = quality[quality["table"] == "costs"]
    assert (costs["example"] == UNMATCHED).any(), "spend without a touchpoint is to be counted and named"
