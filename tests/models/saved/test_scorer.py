"""A fitted model as a folder: saved, loaded without MLflow, refused where anything is wrong with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.models import AttributionModel
from attribution.models.saved import Definition, Scorer, Training, load_saved_scorer
from attribution.models.saved import folder as folders
from attribution.schema.experiment import JourneyOptions, TableSpec

ROOT = Path(__file__).resolve().parents[3]
MODELS = [
    at.FirstTouch(),
    at.LastTouch(),
    at.LastNonDirect(),
    at.Linear(),
    at.LinearDistinct(),
    at.PositionBased(first=0.3, last=0.3),
    at.TimeDecay(half_life_days=3),
    at.WShaped(),
    at.CustomWeights(weights=[0.5, 0.3, 0.2]),
    at.Markov(),
    at.Markov(order=2),
    at.Markov(reconcile=False),
    at.Shapley(),
    at.Shapley(game="rate", negative="zero"),
]


def log(seed: int = 0, customers: int = 120) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    n = customers * 4
    touchpoints = pd.DataFrame(
        {
            "customer_id": [f"客户 {i}" for i in rng.integers(0, customers, n)],
            "touched_at": np.datetime64("2024-01-01", "us") + rng.integers(0, 60 * 24, n) * np.timedelta64(1, "h"),
            "channel": rng.choice(["direct", "email", "search", "微信 🙂"], n, p=[0.1, 0.2, 0.4, 0.3]),
            "campaign": rng.choice(np.array([None, "spring", "brand"], dtype=object), n),
            "stage": rng.choice(np.array([None, "lead"], dtype=object), n, p=[0.8, 0.2]),
        }
    )
    size = customers // 2
    conversions = pd.DataFrame(
        {
            "customer_id": [f"客户 {i}" for i in rng.integers(0, customers, size)],
            "converted_at": np.datetime64("2024-01-05", "us") + rng.integers(0, 55 * 24, size) * np.timedelta64(1, "h"),
            "value": rng.gamma(2, 40, size).round(2),
        }
    )
    return touchpoints, conversions


def mapped(touchpoints: pd.DataFrame) -> TableSpec:
    return TableSpec(source=touchpoints, columns={name: name for name in touchpoints})


def journeys_of(touchpoints: pd.DataFrame, converted: pd.DataFrame, **options: object) -> at.Journeys:
    customers = pd.DataFrame({"customer_id": [*touchpoints["customer_id"].unique(), *(f"none {i}" for i in range(50))]})
    sources = at.load_sources(mapped(touchpoints), converted, customers=customers)
    return at.build_journeys(sources, **options)


def assert_handed_out(scored: pd.DataFrame, expected: pd.DataFrame) -> None:
    """As the journey credit of a run, but for what only exports to systems that bid need of that."""
    expected = expected.drop(columns=["converted_at", "click_id", "click_id_kind"])
    pd.testing.assert_frame_equal(scored[expected.columns], expected)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.label)
def test_a_loaded_scorer_hands_out_what_the_fitted_model_does(model: AttributionModel, tmp_path: Path) -> None:
    touchpoints, conversions = log()
    journeys = journeys_of(touchpoints, conversions)
    model = model.fit(journeys)
    saved = Scorer.of(model, name="modèle 1").save(tmp_path / "scorer")
    loaded = Scorer.load(tmp_path / "scorer")
    assert loaded.version == saved.version
    scored = loaded.score(mapped(touchpoints), conversions)
    expected = model.credit_journeys(journeys)
    assert_handed_out(scored, expected)
    assert set(scored["model_version"]) == {saved.version}
    assert (scored["channel"] == "(unattributed)").any()
    np.testing.assert_allclose(scored.groupby("conversion_id")["credit"].sum(), 1.0, rtol=1e-12)


def test_journey_options_go_with_the_model(tmp_path: Path) -> None:
    touchpoints, conversions = log()
    options = {
        "lookback_days": 5.0,
        "lookback_by_channel": {"email": 2.0},
        "conversions": "cumulative",
        "dedupe": "consecutive",
        "direct": "drop_if_other",
        "transform": "unique",
    }
    journeys = journeys_of(touchpoints, conversions, **options)
    model = at.Markov().fit(journeys)
    definition = Definition(JourneyOptions.model_validate(options))
    Scorer.of(model, definition=definition).save(tmp_path / "scorer")
    scored = Scorer.load(tmp_path / "scorer").score(mapped(touchpoints), conversions)
    expected = model.credit_journeys(journeys)
    assert_handed_out(scored, expected)
    # A window of its own for a channel that did not occur is no reason to refuse.
    without = touchpoints[touchpoints["channel"] != "email"]
    few = Scorer.load(tmp_path / "scorer").score(mapped(without), conversions)
    assert "email" not in set(few["channel"])


def test_frequency_channels_are_matched_by_name(tmp_path: Path) -> None:
    touchpoints, conversions = log()
    journeys = journeys_of(touchpoints, conversions, transform="frequency")
    definition = Definition(JourneyOptions(transform="frequency"))
    Scorer.of(at.Markov().fit(journeys), definition=definition).save(tmp_path / "scorer")
    few = touchpoints[touchpoints["channel"] != "direct"]
    scored = Scorer.load(tmp_path / "scorer").score(mapped(few), conversions)
    assert scored["channel"].str.contains(r"\(\d").any()
    assert not scored["channel"].str.startswith("direct").any()


# ------------------------------------------------------------ channels it was not fitted on


def test_a_new_channel_gets_nothing_beside_known_ones_of_a_model_that_learned_weights() -> None:
    touchpoints, conversions = log()
    model = at.Markov().fit(journeys_of(touchpoints, conversions))
    new = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "b"],
            "touched_at": pd.to_datetime(["2024-03-01", "2024-03-02", "2024-03-01", "2024-03-02"]),
            "channel": ["email", "aaa new", "aaa new", "zzz new"],
        }
    )
    converted = pd.DataFrame({"customer_id": ["a", "b"], "converted_at": pd.to_datetime(["2024-03-03"] * 2)})
    scorer = Scorer.of(model)
    assert scorer.unknown_channels == "zero"
    scored = scorer.score(new, converted)
    credit = dict(zip(zip(scored["customer_id"], scored["channel"], strict=True), scored["credit"], strict=True))
    assert credit == {("a", "email"): 1.0, ("a", "aaa new"): 0.0, ("b", "aaa new"): 0.5, ("b", "zzz new"): 0.5}
    with pytest.raises(InputError, match=r"not fitted on 2 of the channels.*aaa new"):
        scorer.with_policy("refuse").score(new, converted)
    with pytest.raises(InputError, match="cannot count like any other"):
        scorer.with_policy("like_known")
    with pytest.raises(InputError, match=r"no such policy.*like_known, zero, refuse"):
        scorer.with_policy("nothing")


def test_a_new_channel_counts_as_any_other_for_a_rule() -> None:
    touchpoints, conversions = log()
    scorer = Scorer.of(at.LastTouch().fit(journeys_of(touchpoints, conversions)))
    assert scorer.unknown_channels == "like_known"
    new = pd.DataFrame(
        {"customer_id": ["a", "a"], "touched_at": ["2024-03-01", "2024-03-02"], "channel": ["email", "new"]}
    )
    converted = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-03-03"]})
    assert scorer.score(new, converted)["credit"].tolist() == [0.0, 1.0]
    assert scorer.with_policy("zero").score(new, converted)["credit"].tolist() == [1.0, 0.0]


def test_known_channels_share_as_before_beside_a_new_one() -> None:
    """Leaving out the new channel's touchpoints gives the others the same credit."""
    touchpoints, conversions = log()
    scorer = Scorer.of(at.Markov(order=2).fit(journeys_of(touchpoints, conversions)))
    new = touchpoints.copy()
    rng = np.random.default_rng(1)
    new.loc[rng.random(len(new)) < 0.3, "channel"] = "brand new"
    both = scorer.score(mapped(new), conversions)
    alone = scorer.score(mapped(new[new["channel"] != "brand new"]), conversions)
    keys = ["conversion_id", "touched_at", "channel", "campaign"]
    alone = alone[alone["channel"] != "(unattributed)"]
    pairs = alone.merge(both, on=keys, suffixes=("", "_both"))
    assert len(pairs) >= len(alone) > 50
    np.testing.assert_allclose(pairs["credit_both"], pairs["credit"], atol=1e-12)


# ------------------------------------------------------------ the folder


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    return Scorer.of(at.Markov().fit(journeys_of(*log())), name="spring").save(tmp_path / "models" / "spring")


def test_the_same_model_has_the_same_version_and_another_one_another(scorer: Scorer, tmp_path: Path) -> None:
    assert scorer.save(tmp_path / "again").version == scorer.version
    assert replace(scorer, name="summer").save(tmp_path / "summer").version != scorer.version
    other = Scorer.of(at.Markov().fit(journeys_of(*log(seed=1))), name="spring").save(tmp_path / "other")
    assert other.version != scorer.version


def test_the_folder_holds_json_parquet_and_a_card_and_no_pickle(scorer: Scorer, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "spring"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"model.json", "channels.parquet", "card.md", "manifest.json"}
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["schema_version"] == folders.SCHEMA_VERSION
    assert set(manifest["files"]) == names - {"manifest.json"}
    card = (folder / "card.md").read_text(encoding="utf-8")
    for title in (
        "What it assumes",
        "Data it was fitted on",
        "Checked laws",
        "Intervals",
        "Known bias",
        "Intended use",
    ):
        assert title in card
    assert "There are none, because the run had no resampling." in card
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


def test_saving_replaces_the_same_name_and_nothing_else(scorer: Scorer, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "spring"
    again = Scorer.of(at.Markov().fit(journeys_of(*log(seed=1))), name="spring").save(folder)
    assert Scorer.load(folder).version == again.version != scorer.version
    with pytest.raises(InputError, match=r"holds the model 'spring'.*'summer'"):
        replace(scorer, name="summer").save(folder)
    assert Scorer.load(folder).version == again.version
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("cat")
    with pytest.raises(InputError, match="holds something else"):
        scorer.save(tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    with pytest.raises(InputError, match="is a file"):
        scorer.save(tmp_path / "photos" / "cat.jpg")


@pytest.mark.parametrize("name", ["model.json", "channels.parquet", "card.md"])
def test_a_changed_file_is_refused(scorer: Scorer, tmp_path: Path, name: str) -> None:
    path = tmp_path / "models" / "spring" / name
    content = path.read_bytes()
    path.write_bytes(content[:-3] + b"x" + content[-2:])
    with pytest.raises(InputError, match=rf"{name}.*checksum"):
        Scorer.load(path.parent)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="checksum"):
        Scorer.load(path.parent)
    path.unlink()
    with pytest.raises(InputError, match=r"is missing.*copy the folder again"):
        Scorer.load(path.parent)


def test_a_changed_manifest_is_refused(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "models" / "spring" / "manifest.json"
    whole = json.loads(path.read_text(encoding="utf-8"))

    def write(**changes: object) -> None:
        path.write_text(json.dumps({**whole, **changes}), encoding="utf-8")

    write(schema_version=folders.SCHEMA_VERSION + 1)
    with pytest.raises(InputError, match=r"does not read.*update the package"):
        Scorer.load(path.parent)
    write(name="autumn")
    with pytest.raises(InputError, match="was changed"):
        Scorer.load(path.parent)
    write(files={**whole["files"], "../../secret": "0"})
    with pytest.raises(InputError, match="names a file outside the folder"):
        Scorer.load(path.parent)
    path.write_text(json.dumps(whole)[:40], encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        Scorer.load(path.parent)
    path.unlink()
    with pytest.raises(InputError, match="has no manifest"):
        Scorer.load(path.parent)
    with pytest.raises(InputError, match="does not exist"):
        Scorer.load(path.parent / "nowhere")


def test_a_failed_save_leaves_what_was_there(scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "spring"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attribution.models.saved.scorer.pq.write_table", full)
    with pytest.raises(InputError, match="no space is left"):
        scorer.save(folder)
    monkeypatch.undo()
    assert Scorer.load(folder).version == scorer.version
    assert [path.name for path in folder.parent.iterdir()] == ["spring"]


def test_loading_and_scoring_need_neither_mlflow_nor_scikit_learn_nor_statsmodels(
    scorer: Scorer, tmp_path: Path
) -> None:
    code = f"""
import sys
import pandas as pd
from attribution.models.saved import Scorer
touchpoints = pd.DataFrame({{"customer_id": ["a"], "touched_at": ["2024-01-01"], "channel": ["email"]}})
conversions = pd.DataFrame({{"customer_id": ["a"], "converted_at": ["2024-01-02"]}})
scored = Scorer.load({str(tmp_path / "models" / "spring")!r}).score(touchpoints, conversions)
assert scored["credit"].tolist() == [1.0]
heavy = {{"mlflow", "sklearn", "statsmodels", "networkx", "altair", "pyspark"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# ------------------------------------------------------------ what cannot be saved


def test_an_unfitted_model_is_refused() -> None:
    with pytest.raises(InputError, match="not fitted"):
        Scorer.of(at.Linear())


def test_what_no_other_process_could_find_is_refused() -> None:
    journeys = journeys_of(*log())

    class Local(at.Linear):
        pass

    with pytest.raises(InputError, match="module of its own"):
        Scorer.of(Local().fit(journeys))
    with pytest.raises(InputError, match=r"function is defined where no other process can import it"):
        Scorer.of(at.CustomWeights(function=lambda *, position, **_: position).fit(journeys))


def test_a_model_that_cannot_hand_out_is_refused() -> None:
    model = at.Markov().fit(journeys_of(*log()))
    model.credit_.conversions[0] = -1.0
    with pytest.raises(InputError, match="negative credit"):
        Scorer.of(model)


class Learner(at.Linear):
    """A model of one's own that learns something."""

    says = True

    def solve(self, summary: at.Summary) -> tuple[np.ndarray, np.ndarray]:
        conversions, value = super().solve(summary)
        self.favourite_ = float(np.argmax(conversions))
        self.boost_ = 1.0 + np.arange(len(self.channels_))
        return conversions, value

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        if not hasattr(self, "boost_"):
            return super().weigh(chunk)
        return self.boost_[chunk.channel] * np.where(chunk.channel == self.favourite_, 2.0, 1.0)


class Telling(Learner):
    """One that says what scoring needs of it."""

    def learned(self) -> dict[str, object]:
        return {"favourite_": self.favourite_, "boost_": self.boost_}


def test_a_model_of_ones_own_says_what_it_learned(tmp_path: Path) -> None:
    touchpoints, conversions = log()
    journeys = journeys_of(touchpoints, conversions)
    with pytest.raises(InputError, match=r"boost_, favourite_.*learned\(\)"):
        Scorer.of(Learner().fit(journeys))
    model = Telling().fit(journeys)
    Scorer.of(model).save(tmp_path / "own")
    loaded = Scorer.load(tmp_path / "own", allow_own_code=True)
    expected = model.credit_journeys(journeys)
    assert_handed_out(loaded.score(mapped(touchpoints), conversions), expected)
    assert loaded.unknown_channels == "zero"


# ------------------------------------------------------------ input that does not fit


def _defined(**changes: object) -> Definition:
    training = Training(("conversions", "touchpoints"), ("channel",), True, False, "2024-01-01", "2024-02-01", 1, 1, 0)
    return Definition(training=replace(training, **changes))


def test_tables_without_what_the_model_needs_are_refused() -> None:
    touchpoints, conversions = log()
    staged = Scorer.of(
        at.WShaped().fit(journeys_of(touchpoints, conversions)),
        definition=_defined(dimensions=("channel", "campaign", "stage")),
    )
    plain = touchpoints[["customer_id", "touched_at", "channel"]]
    with pytest.raises(InputError, match=r"needs the column 'stage'.*needed are channel, stage"):
        staged.score(plain, conversions)
    # A marked stage that does not occur in a day's data is no reason to refuse.
    unmarked = touchpoints.assign(stage=None).astype({"stage": object})
    unmarked.loc[0, "stage"] = "other"
    assert len(staged.score(mapped(unmarked), conversions))
    linear = at.Linear().fit(journeys_of(touchpoints, conversions))
    stitched = Scorer.of(linear, definition=_defined(tables=("conversions", "identities", "touchpoints")))
    with pytest.raises(InputError, match=r"fitted with a table 'identities'.*give the table 'identities'"):
        stitched.score(plain, conversions)
    with pytest.raises(InputError, match=r"column 'channel' is missing"):
        stitched.score(plain.drop(columns="channel"), conversions)


def test_times_that_mean_something_else_are_refused() -> None:
    touchpoints, conversions = log()
    linear = at.Linear().fit(journeys_of(touchpoints, conversions))
    zoned_touchpoints = touchpoints.assign(touched_at=touchpoints["touched_at"].astype(str) + "+01:00")
    zoned_conversions = conversions.assign(converted_at=conversions["converted_at"].astype(str) + "+01:00")
    naive, zoned = Scorer.of(linear, definition=_defined()), Scorer.of(linear, definition=_defined(zoned=True))
    with pytest.raises(InputError, match=r"without a time zone, read as UTC.*UTC without an offset"):
        naive.score(zoned_touchpoints, zoned_conversions)
    with pytest.raises(InputError, match=r"fitted on timestamps with a time zone.*time zone of these tables"):
        zoned.score(touchpoints, conversions)
    assert len(zoned.score(zoned_touchpoints, zoned_conversions))
    assert len(naive.score(touchpoints, conversions))
    positions = touchpoints.assign(touched_at=range(len(touchpoints)))
    with pytest.raises(InputError, match="touchpoints with only an order"):
        naive.score(positions, conversions.assign(converted_at=range(len(conversions))))


# ------------------------------------------------------------ of a run


def test_a_run_keeps_its_models_with_their_definitions(tmp_path: Path) -> None:
    touchpoints, conversions = log()
    touchpoints.rename(columns={"customer_id": "user", "channel": "medium"}).to_csv(tmp_path / "t.csv", index=False)
    conversions.to_parquet(tmp_path / "c.parquet", index=False)
    (tmp_path / "shop.toml").write_text(
        """
[tables.touchpoints]
source = "t.csv"
columns = { customer_id = "user", touched_at = "touched_at", channel = "medium" }
where = "medium <> 'direct'"
[tables.conversions]
source = "c.parquet"
[journeys]
lookback_days = 10
[[models]]
model = "Markov"
[[models]]
model = "TimeDecay"
half_life_days = 3
name = "time / decay"
[tracking]
enabled = false
""",
        encoding="utf-8",
    )
    outcome = at.run_experiment(tmp_path / "shop.toml")
    from attribution.models.saved import save_scorers

    save_scorers(outcome, tmp_path / "run")
    kept = load_saved_scorer(tmp_path / "run", "time / decay")
    training = kept.definition.training
    assert training is not None
    assert training.conversions == len(conversions)
    assert training.digests == dict(outcome.digests)
    assert kept.definition.journeys.lookback_days == 10
    assert kept.definition.reading["touchpoints"]["where"] == "medium <> 'direct'"
    assert list(kept.reference["credit"]["model"].unique()) == ["time / decay"]
    # Raw tables are read as they were in training.
    sources = kept.open({"touchpoints": str(tmp_path / "t.csv"), "conversions": str(tmp_path / "c.parquet")})
    assert sources.tables["touchpoints"].rows == int((touchpoints["channel"] != "direct").sum())
    with pytest.raises(InputError, match=r"several models.*markov, time / decay"):
        load_saved_scorer(tmp_path / "run")
    with pytest.raises(InputError, match=r"no model 'markof'.*did you mean 'markov'"):
        load_saved_scorer(tmp_path / "run", "markof")
    with pytest.raises(InputError, match="has no saved models"):
        load_saved_scorer(tmp_path)
    shutil.rmtree(tmp_path / "run" / "models" / "01_markov")
    with pytest.raises(InputError, match="no model 'markov'"):
        load_saved_scorer(tmp_path / "run", "markov")
