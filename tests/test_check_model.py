"""`attribution check-model`: every law has a verdict, and the exit code says whether all hold."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.journeys import observe
from attribution.models.machinery import Machinery
from attribution.testing import Verdict, judge_model, model_checks
from tests.cli.test_cli import call
from tests.cli.test_refusals import clear

LAWS = [name for name, _ in model_checks(at.Linear())]


def broken(model: at.AttributionModel) -> dict[str, str]:
    return {verdict.law: str(verdict.reason) for verdict in judge_model(model) if not verdict.holds}


# ---------------------------------------------------------------- each law finds its offender


class Ones(at.AttributionModel):
    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.ones(len(chunk.channel))


class Incremental(Ones):
    """A share of what a linear rule gives, the rest is baseline."""

    def __init__(self, *, share: float = 0.25, name: str | None = None) -> None:
        super().__init__(name=name)
        self.share = share

    @property
    def estimand(self) -> str:
        return "incremental"

    def solve(self, summary: at.Summary) -> tuple[np.ndarray, np.ndarray]:
        channels = len(self.channels_)
        conversions, value = (self.share * summary.dense(what, channels) for what in ("conversions", "value"))
        return conversions, value


class Signed(Incremental):
    """The first channel gets less than nothing, so that no journey can be handed out by its totals."""

    def summarise(self, chunk: at.JourneyChunk) -> at.Summary:
        return Ones().summarise(chunk)

    def solve(self, summary: at.Summary) -> tuple[np.ndarray, np.ndarray]:
        channels = len(self.channels_)
        sign = np.where(np.arange(channels) == 0, -1.0, 1.0)
        conversions, value = (sign * self.share * summary.dense(what, channels) for what in ("conversions", "value"))
        return conversions, value

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        raise InputError("totals are negative, which weights cannot be")


class Refusing(Incremental):
    """Refuses to hand out although no total is negative."""

    def summarise(self, chunk: at.JourneyChunk) -> at.Summary:
        return Ones().summarise(chunk)

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        raise InputError("not today")


class Losing(Incremental):
    """Calls itself allocated and loses three quarters."""

    @property
    def estimand(self) -> str:
        return "allocated"


class Placed(at.AttributionModel):
    """Weighs by the place in the chunk."""

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.arange(1.0, len(chunk.channel) + 1)


class Alphabetical(at.AttributionModel):
    """Weighs by the name of the channel."""

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.array([float(len(name)) for name in self.channels_])[chunk.channel]


class Fixed(Ones):
    """The first channel gets one conversion more, however many customers there are."""

    def solve(self, summary: at.Summary) -> tuple[np.ndarray, np.ndarray]:
        channels = len(self.channels_)
        conversions = summary.dense("conversions", channels)
        bonus = np.where(np.arange(channels) == 0, 1.0, -1.0 / (channels - 1))
        return conversions + bonus, summary.dense("value", channels)


class Remembering(Ones):
    """Reads something that chunks do not add up to."""

    def summarise(self, chunk: at.JourneyChunk) -> at.Summary:
        self.last_ = len(chunk)
        return super().summarise(chunk)

    def solve(self, summary: at.Summary) -> tuple[np.ndarray, np.ndarray]:
        channels = len(self.channels_)
        totals = [summary.dense(what, channels) for what in ("conversions", "value")]
        shift = np.zeros(channels)
        shift[:2] = self.last_ / 100, -self.last_ / 100
        return totals[0] + shift, totals[1]


class Doubling(Ones):
    """Changes its argument in the constructor."""

    def __init__(self, *, scale: float = 1.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.scale = scale * 2


class Forgetful(Ones):
    """Does not keep its argument."""

    def __init__(self, *, scale: float = 1.0, name: str | None = None) -> None:
        super().__init__(name=name)


class Failing(Ones):
    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.ones(len(chunk.channel))[chunk.channel[len(chunk.channel)] :]


class Secretive(Ones):
    """It learned something, and does not say that a scorer needs it."""

    def solve(self, summary: at.Summary) -> tuple[np.ndarray, np.ndarray]:
        self.rates_ = np.ones(len(self.channels_))
        return super().solve(summary)


class Changing(Secretive):
    """What it says is not what it learned."""

    def learned(self) -> dict[str, np.ndarray]:
        return {"rates_": np.arange(len(self.channels_)) + 1.0}

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return self.rates_[chunk.channel] if hasattr(self, "rates_") else super().weigh(chunk)


class Untimely(Ones):
    """Hands out by chance."""

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.random.default_rng().random(len(chunk.channel))


ORDER = {"row_order_changes_nothing", "customer_order_changes_nothing", "chunking_changes_nothing"}


@pytest.mark.parametrize(
    ("model", "laws", "said"),
    [
        (Ones(), set(), ""),
        (Incremental(), set(), ""),
        (Signed(), set(), ""),
        (
            Refusing(),
            {"journey_credit_sums_to_one"},
            "no total is negative, but there is no credit per journey: not today",
        ),
        (Losing(), set(LAWS) - {"clone_works"}, "adds up to"),
        (Placed(), {"customer_order_changes_nothing", "chunking_changes_nothing"}, "conversions differ by up to"),
        (Alphabetical(), {"renaming_channels_changes_nothing"}, "conversions differ by up to"),
        (Fixed(), {"doubling_customers_doubles_credit", "absent_channel_gets_nothing"}, "radio|Not equal"),
        (Remembering(), {"chunking_changes_nothing"}, "differ by up to"),
        (Doubling(scale=3.0), {"clone_works"}, "constructor does more than assign its arguments"),
        (Forgetful(), set(LAWS), "AttributeError: .*scale"),
        (Failing(), set(LAWS) - {"clone_works"}, "IndexError: index .* is out of bounds"),
        (Untimely(), ORDER, "differ by up to"),
        (Secretive(), {"saving_changes_nothing"}, r"does not define learned"),
        (Changing(), {"saving_changes_nothing"}, "credit differs by up to"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, at.AttributionModel) else "",
)
def test_verdicts(model: at.AttributionModel, laws: set[str], said: str) -> None:
    found = broken(model)
    assert laws <= set(found)
    if not laws:
        assert not found
    if laws and said:
        import re

        assert any(re.search(said, reason) for reason in found.values()), found


def test_every_law_has_a_verdict_and_says_what_it_means() -> None:
    verdicts = list(judge_model(at.Linear()))
    assert [verdict.law for verdict in verdicts] == LAWS
    assert all(isinstance(verdict, Verdict) and verdict.meaning.endswith(".") for verdict in verdicts)
    assert all(verdict.holds and verdict.reason is None for verdict in verdicts)


def test_the_model_given_is_not_fitted() -> None:
    model = at.Linear()
    list(judge_model(model))
    assert not hasattr(model, "credit_")


def test_the_log_of_the_laws_has_what_models_may_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds, stages, ties, conversions without a touchpoint, several per customer, journeys that do not convert."""
    seen: list[at.Journeys] = []
    prepare = Machinery.prepare

    def look(self: Machinery, journeys: at.Journeys) -> None:
        prepare(self, journeys)
        seen.append(journeys)

    monkeypatch.setattr(Machinery, "prepare", look)
    list(judge_model(Ones()))
    journeys = seen[0]
    values = dict(zip(journeys.dimensions.names, journeys.dimensions.values, strict=True))
    assert values["kind"] == ("click", "impression")
    assert values["stage"] == ("lead", "opportunity")
    overview = journeys.read(observe)[0]
    for what in ("conversions", "nulls", "unattributed_conversions", "ties"):
        assert overview.number(what) > 5, what
    assert journeys.has_times
    for model in (at.WShaped(), at.FullPath()):
        assert not broken(model)


# ---------------------------------------------------------------- the command


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module in the working directory."""
    (tmp_path / "checked_models.py").write_text(
        "import numpy as np\n"
        "import attribution as at\n\n"
        "class Middle(at.AttributionModel):\n"
        "    def weigh(self, chunk):\n"
        "        weights = np.zeros(len(chunk.channel))\n"
        "        weights[(chunk.offsets[:-1] + chunk.offsets[1:]) // 2] = 1.0\n"
        "        return weights\n\n"
        "class Placed(at.AttributionModel):\n"
        "    def __init__(self, *, start=1.0, name=None):\n"
        "        super().__init__(name=name)\n"
        "        self.start = start\n\n"
        "    def weigh(self, chunk):\n"
        "        return np.arange(len(chunk.channel)) + self.start\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("checked_models", None)


@pytest.mark.usefixtures("own")
def test_a_model_that_obeys(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "check-model", "checked_models:Middle") == 0
    printed = capsys.readouterr().out
    assert f"All {len(LAWS)} laws hold." in printed
    assert all(law in printed for law in LAWS)
    assert "broken" not in printed


@pytest.mark.usefixtures("own")
def test_a_model_that_breaks_a_law(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "check-model", "checked_models:Placed", "--setting", "start=5") == 3
    printed = capsys.readouterr().out
    assert "laws are broken" in printed
    assert "conversions differ by up to" in printed
    assert "holds" in printed


@pytest.mark.usefixtures("own")
def test_verdicts_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "check-model", "checked_models:Placed", "--setting", "start=5", "--json") == 3
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["model"] == "checked_models:Placed"
    assert found["settings"] == ["start=5"]
    assert found["holds"] is False
    assert [law["law"] for law in found["laws"]] == LAWS
    verdicts = {law["law"]: law for law in found["laws"]}
    assert verdicts["chunking_changes_nothing"]["holds"] is False
    assert "differ" in verdicts["chunking_changes_nothing"]["reason"]
    assert verdicts["clone_works"] == {
        "law": "clone_works",
        "meaning": "scikit-learn's ``clone`` copies the parameters.",
        "holds": True,
        "reason": None,
    }
    assert call(monkeypatch, "check-model", "checked_models:Middle", "--json") == 0
    assert json.loads(capsys.readouterr().out)["holds"] is True


def test_a_shipped_model_with_settings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "check-model", "Markov", "--setting", "order=2") == 0
    assert "laws hold" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Markv",), ["unknown model 'Markv'", "mean 'Markov'"]),
        (("Markov", "--setting", "ordr=2"), ["no setting 'ordr'", "mean 'order'"]),
        (("Markov", "--setting", "order=0"), ["Markov: order", "Given: 0"]),
        (("TimeDecay", "--setting", "half_life_days=long"), ["half_life_days", "'long'"]),
        (("Linear", "--setting", "x"), ["a setting needs the form KEY=VALUE", "Given: 'x'"]),
        (("Linear", "--setting", "=1"), ["a setting needs the form KEY=VALUE"]),
        (("Linear", "--setting", 'name=""'), ["check-model: name", "Given: ''"]),
        (("nowhere:X",), ["'nowhere:X' cannot be loaded"]),
        (("checked_models:Missing",), ["'checked_models:Missing' cannot be loaded"]),
        (("checked_models:np",), ["not an AttributionModel"]),
        (("checked_models:Placed", "--setting", "begin=1"), ["does not take these settings", "begin"]),
    ],
)
@pytest.mark.usefixtures("own")
def test_what_cannot_be_checked(
    arguments: tuple[str, ...], said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "check-model", *arguments) == 2
    printed = capsys.readouterr()
    message = clear(printed.err)
    assert all(part in message for part in said), message
    assert printed.out == ""
