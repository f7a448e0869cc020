"""Calls that go wrong say what was given and what is wanted, in words; nothing raw comes up from the depth."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.arguments import describe
from attribution.pipeline.output import write_outcome
from attribution.schema.experiment import JourneyOptions, ReturnsOptions

DAYS = pd.date_range("2024-01-01", periods=60)


@dataclass(frozen=True)
class Stranger:
    """A frozen dataclass that nobody asks for."""

    value: int = 0


def wrong_values() -> list[Any]:
    return [
        None,
        at.LastTouch,
        "nonsense",
        "",
        7,
        -1,
        0,
        0.5,
        float("nan"),
        True,
        {},
        {"a": 1},
        [],
        ["a"],
        [None],
        pd.DataFrame({"a": [1]}),
        pd.Series([1.0]),
        Path("no/such/file"),
        Stranger(),
        (each for each in ["a"]),
        object(),
        len,
        at.Period(),
        at.LastTouch(),
    ]


@dataclass(frozen=True)
class Call:
    """Something public, with arguments under which it works, and further parameters of its ``**options``."""

    function: Callable[..., Any]
    valid: dict[str, Any]
    options: tuple[str, ...] = ()
    starts: tuple[type, ...] = ()  # kinds that are right, but would start something that no test should wait for

    @property
    def parameters(self) -> list[str]:
        kinds = inspect.signature(self.function).parameters.values()
        named = [each.name for each in kinds if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
        return [name for name in dict.fromkeys([*self.valid, *named, *self.options]) if name != "self"]


class World:
    """What calls are made on: a small shop, one run of it, and what the steps between return."""

    def __init__(self, folder: Path) -> None:
        self.touchpoints = pd.DataFrame({
            "customer_id": ["a", "a", "b", "c", "c"],
            "touched_at": ["2024-01-01", "2024-01-05", "2024-01-03", "2024-01-04", "2024-01-08"],
            "channel": ["mail", "search", "mail", "search", "direct"],
            "campaign": ["x", "y", "x", "y", "z"],
            "kind": ["click", "click", "impression", "click", "click"],
            "stage": [None, "lead", None, "opportunity", "lead"],
        })  # fmt: skip
        self.conversions = pd.DataFrame({
            "customer_id": ["a", "c"], "converted_at": ["2024-01-06", "2024-01-09"], "value": [100.0, 50.0],
            "margin": [40.0, 20.0], "is_new_customer": [True, False],
        })  # fmt: skip
        self.costs = pd.DataFrame({"channel": ["mail", "search"], "amount": [10.0, 20.0]})
        self.stages = pd.DataFrame({
            "customer_id": ["a", "c", "a"], "stage": ["lead", "lead", "won"],
            "stage_time": ["2024-01-02", "2024-01-05", "2024-01-06"],
        })  # fmt: skip
        self.lift_tests = pd.DataFrame(
            {"test": ["a"], "channel": "mail", "design": "reported", "effect": 3.0, "standard_error": 1.0}
        )
        self.sources = at.load_sources(self.touchpoints, self.conversions, self.costs, stages=self.stages)
        self.journeys = at.build_journeys(self.sources)
        self.credit = at.attribute(self.journeys, [at.LastTouch(), at.Linear()])
        self.returns = at.compute_returns(self.credit, self.sources)
        self.experiment = at.Experiment(
            name="shop",
            tables={"touchpoints": self.touchpoints, "conversions": self.conversions, "costs": self.costs},
            models=[{"model": "LastTouch"}],
            budget={"total": 30.0},
            output={"journey_credit": True},
        )
        self.outcome = at.run_experiment(self.experiment)
        self.experts = pd.DataFrame(
            {"model": "linear", "channel": ["mail"], "conversions": [9.0], "participants": [20]}
        )
        self.calibration = at.calibrate(self.experts)
        self.run = at.run_of(self.outcome)
        self.folder = folder / "run"
        self.folder.mkdir()
        write_outcome(self.folder, self.outcome, report="", seconds=1.0)
        written = 'name = "shop"\n[tables]\nconversions.source = "c.csv"\n[[models]]\nmodel = "LastTouch"\n'
        (self.folder / "experiment.toml").write_text(written)
        self.file = self.folder / "experiment.toml"
        self.targets_file = folder / "targets.toml"
        self.targets_file.write_text(
            'experiment = "run/experiment.toml"\n[[targets]]\nmetric = "conversions"\nunit = "1"\ntarget = 5\n'
            'period = "2024"\nowner = "Ann"\n'
        )
        self.targets = at.read_targets(self.targets_file)
        self.scorer = at.Scorer.of(at.Linear().fit(self.journeys))
        self.scorer_folder = folder / "scorer"
        self.scorer.save(self.scorer_folder)
        self.model = at.Linear().fit(self.journeys)
        self.graph = at.build_graph(self.journeys)
        self.world = at.load_world("default")
        self.series = pd.DataFrame({"day": DAYS, "y": [float(i % 7) for i in range(60)]}).assign(x=lambda t: t["y"] + 1)
        self.slices = pd.DataFrame({
            "dimension": "channel", "model": "linear", "slice": ["mail", "search"], "reach": [100, 100],
            "conversions": [10, 10], "value": [500.0, 500.0], "spend": [200.0, 400.0],
        })  # fmt: skip

    def calls(self) -> Iterator[tuple[str, Call]]:
        """Every public function, class and method that is called with something, by its name."""
        journey, returns = tuple(JourneyOptions.model_fields), tuple(ReturnsOptions.model_fields)
        sources, journeys, models = self.sources, self.journeys, [at.LastTouch()]
        yield "attribute", Call(at.attribute, {"journeys": journeys, "models": models})
        yield "before_after", Call(at.before_after, {"series": self.series, "measure": "y", "on": dt.date(2024, 2, 15)})
        yield "build_graph", Call(at.build_graph, {"journeys": journeys})
        yield "build_journeys", Call(at.build_journeys, {"sources": sources}, journey)
        tests = pd.DataFrame({"test": ["spring"], "channel": "mail", "effect": 4.0, "standard_error": 1.0})
        yield "calibrate", Call(at.calibrate, {"credits": self.experts, "readings": tests})
        yield "Calibration.draw", Call(self.calibration.draw, {"size": 8})
        yield "check_model", Call(at.check_model, {"model": at.Linear()})
        yield "check_quality", Call(at.check_quality, {"experiment": self.experiment})
        yield "check_targets", Call(at.check_targets, {"targets": self.targets, "run": self.run})
        yield "compare_rankings", Call(at.compare_rankings, {"returns": self.returns})
        yield "compute_returns", Call(at.compute_returns, {"credit": self.credit, "sources": sources}, returns)
        yield "credited_conversions", Call(at.credited_conversions, {"folder": self.folder})
        yield "diagnose_roi", Call(at.diagnose_roi, {"slices": self.slices})
        stages = at.FunnelOptions(stages=("lead", "won"))
        yield "follow_stages", Call(at.follow_stages, {"sources": sources, "options": stages})
        yield "journey_credit", Call(at.journey_credit, {"journeys": journeys, "models": [self.model]})
        lifetime = {"revenue": 10.0, "retention": 0.5, "discount": 0.1, "periods": 3}
        yield "lifetime_value", Call(at.lifetime_value, lifetime)
        yield "payback_period", Call(at.payback_period, {"cac": 5.0, **lifetime})
        tables = {"touchpoints": self.touchpoints, "conversions": self.conversions}
        yield "load_sources", Call(at.load_sources, tables)
        yield "load_world", Call(at.load_world, {"name_or_path": "default"})
        yield "measure_lift", Call(at.measure_lift, {"tests": self.lift_tests})
        yield "placebo_test", Call(at.placebo_test, {"sources": sources, "models": models}, journey)
        yield "plan_budget", Call(at.plan_budget, {"experiment": self.experiment})
        yield (
            "propose_budget",
            Call(at.propose_budget, {"returns": self.returns, "options": at.BudgetOptions(total=30.0)}),
        )
        yield "read_experiment", Call(at.read_experiment, {"path": self.file})
        yield "read_run", Call(at.read_run, {"folder": self.folder})
        yield "read_targets", Call(at.read_targets, {"path": self.targets_file})
        yield "review_runs", Call(at.review_runs, {"before": self.run, "after": self.run})
        yield "run_experiment", Call(at.run_experiment, {"experiment": self.experiment})
        yield "run_of", Call(at.run_of, {"outcome": self.outcome})
        yield "simulate", Call(at.simulate, {"world": self.world, "customers": 50, "truth": False})
        yield (
            "split_roi_change",
            Call(at.split_roi_change, {"before": self.run, "after": self.run, "model": "last_touch"}),
        )
        yield (
            "track_outcome",
            Call(at.track_outcome, {"outcome": self.outcome, "folder": self.folder}, starts=(str, Path, type(None))),
        )
        yield from self.methods()
        yield from self.classes()
        yield from self.models()

    def methods(self) -> Iterator[tuple[str, Call]]:
        yield "Journeys.total", Call(self.journeys.total, {"what": "value"})
        yield "Journeys.read", Call(lambda reader: self.journeys.read(reader), {"reader": lambda _: at.Summary({})})
        yield "JourneyGraph.write_graphml", Call(self.graph.write_graphml, {"path": "graph.graphml"})
        yield "Summary.dense", Call(self.journeys.overview.dense, {"name": "journeys", "size": 1})
        yield "Summary.number", Call(self.journeys.overview.number, {"name": "journeys"})
        yield "Sources.has", Call(self.sources.has, {"table": "costs"})
        yield "World.without", Call(self.world.without, {"name": "display"})
        yield "Scorer.of", Call(at.Scorer.of, {"fitted": self.model})
        yield "Scorer.load", Call(at.Scorer.load, {"path": self.scorer_folder})
        yield "Scorer.save", Call(self.scorer.save, {"path": "scorer"})
        yield "Scorer.apply", Call(self.scorer.apply, {"journeys": self.journeys})
        yield "Scorer.with_policy", Call(self.scorer.with_policy, {"unknown_channels": "refuse"})
        yield "Scorer.journey_options", Call(self.scorer.journey_options, {"sources": self.sources})
        tables = {"touchpoints": self.touchpoints, "conversions": self.conversions}
        yield "Scorer.score", Call(self.scorer.score, tables)
        yield "Scorer.open", Call(self.scorer.open, {"tables": tables})
        yield "Credit.of", Call(at.Credit.of, {"models": [self.model]})
        yield "DuckDBEngine.query", Call(at.DuckDBEngine().query, {"sql": "select 1"})
        yield "AttributionModel.fit", Call(at.Markov().fit, {"journeys": self.journeys})
        yield "AttributionModel.partial_fit", Call(at.Markov().partial_fit, {"journeys": self.journeys})

    def classes(self) -> Iterator[tuple[str, Call]]:
        yield "BudgetOptions", Call(at.BudgetOptions, {})
        yield "CalibrationOptions", Call(at.CalibrationOptions, {})
        yield "ChannelRules", Call(at.ChannelRules, {})
        yield "Rule", Call(at.Rule, {"channel": "Brand", "campaign": "*brand*"})
        yield "DuckDBEngine", Call(at.DuckDBEngine, {})
        yield "SparkEngine", Call(at.SparkEngine, {}, starts=(str, int, type(None), dict))
        named = {"name": "x", "tables": {"paths": self.costs}, "models": [{"model": "Linear"}]}
        yield "Experiment", Call(at.Experiment, named)
        yield "FunnelOptions", Call(at.FunnelOptions, {"stages": ("lead", "won")})
        yield "Period", Call(at.Period, {})
        yield "Assumptions", Call(at.Assumptions, {"premise": "All count alike.", "bias": "Favours the frequent."})
        yield "tally", Call(at.tally, {"keys": np.array([0, 1]), "times": np.array([True, False])})
        yield "TableSpec", Call(at.TableSpec, {"source": "x.csv"})
        yield "World", Call(at.World, _fields_of(self.world))
        yield "InputError", Call(at.InputError, {"problem": "x"})
        yield "UnavailableError", Call(at.UnavailableError, {"problem": "x"})
        for error in (at.AttributionError, at.LawError, at.TrackingError):
            yield error.__name__, Call(_Raised(error), {"said": "x"})
        plan = at.propose_budget(self.returns, at.BudgetOptions(total=30.0))
        ranking = at.compare_rankings(self.returns)
        summary = self.journeys.overview
        chunk = next(iter(self.journeys))
        for record in (
            plan,
            self.calibration,
            ranking,
            summary,
            chunk,
            self.journeys,
            self.sources,
            self.graph,
            self.credit,
        ):
            yield type(record).__name__, Call(type(record), _fields_of(record))
        for record in (self.outcome, self.scorer):
            yield type(record).__name__, Call(type(record), _fields_of(record))

    def models(self) -> Iterator[tuple[str, Call]]:
        for name in at.__all__:
            kind = getattr(at, name)
            if isinstance(kind, type) and issubclass(kind, at.AttributionModel):
                valid = {"weights": [0.5, 0.5]} if name == "CustomWeights" else {}
                made = Own if kind is at.AttributionModel else kind
                journeys = many_conversions() if kind is at.AdditiveHazard else self.journeys
                yield name, Call(_Fitted(made, journeys), valid)


def many_conversions() -> at.Journeys:
    """As many as a hazard model asks for, over as many days."""
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(240) % 30, "D")
    touchpoints = pd.DataFrame({"customer_id": np.arange(240), "touched_at": days, "channel": ["mail", "direct"] * 120})
    conversions = touchpoints[["customer_id"]].assign(converted_at=days + pd.Timedelta(hours=30))
    costs = pd.DataFrame({"channel": ["mail"], "amount": [10.0]})
    return at.build_journeys(at.load_sources(touchpoints, conversions, costs))


class _Raised:
    """Makes an error, whose constructor has no signature of its own."""

    def __init__(self, kind: type[at.AttributionError]) -> None:
        self.kind = kind

    def __call__(self, said: object) -> at.AttributionError:
        return self.kind(said)


class Own(at.AttributionModel):
    """The least that a model of one's own is."""

    def weigh(self, chunk: at.JourneyChunk) -> Any:
        return np.ones(len(chunk.channel))


class _Fitted:
    """Makes a model and fits it, since models look at their parameters when they are fitted."""

    def __init__(self, kind: type[at.AttributionModel], journeys: at.Journeys) -> None:
        self.kind, self.journeys = kind, journeys
        self.__signature__ = inspect.signature(kind)

    def __call__(self, **params: Any) -> Any:
        return at.attribute(self.journeys, self.kind(**params))


def _fields_of(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("shop"))


NAMES = [
    *(name for name in at.__all__ if name != "__version__"),
    "Calibration.draw",
    "Journeys.total",
    "Journeys.read",
    "JourneyGraph.write_graphml",
    "Summary.dense",
    "Summary.number",
    "Sources.has",
    "World.without",
    "Scorer.of",
    "Scorer.load",
    "Scorer.save",
    "Scorer.apply",
    "Scorer.with_policy",
    "Scorer.journey_options",
    "Scorer.score",
    "Scorer.open",
    "Credit.of",
    "DuckDBEngine.query",
    "AttributionModel.fit",
    "AttributionModel.partial_fit",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_wrong_arguments_are_refused_in_words(
    name: str, shop: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = dict(shop.calls())[name]
    if not call.starts:
        call.function(**call.valid)
    raw = [
        f"{name}({parameter}={describe(value)}): {said}"
        for parameter in call.parameters
        for value in wrong_values()
        if not isinstance(value, call.starts) and (said := raw_error(call, parameter, value)) is not None
    ]
    assert not raw, "\n".join(raw)


def raw_error(call: Call, parameter: str, value: Any) -> str | None:
    """What came up, if it is no error in words that names the parameter or what was given."""
    shown = describe(value)
    try:
        call.function(**{**call.valid, parameter: value})
    except at.AttributionError as error:
        said = str(error)
        parts = value if isinstance(value, list | dict | pd.DataFrame) else []
        words = [parameter.removesuffix("s"), shown, repr(value), str(value), *(repr(part) for part in parts)]
        names = any(word in said for word in words) or (shown == "a generator" and "'a'" in said)
        return None if names and "pydantic" not in said else f"does not name what is wrong: {said}"
    except Exception as error:  # whatever else comes up is what this test is about
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None


JOURNEYS = at.build_journeys(at.load_sources(paths=pd.DataFrame({"path": ["mail > search"], "conversions": [2]})))
TOUCHES = pd.DataFrame({"customer_id": ["a"], "touched_at": ["2024-01-01"], "utm_source": ["acme"]})
ORDERS = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-02"]})


def test_one_model_is_a_list_of_one() -> None:
    alone = at.attribute(JOURNEYS, at.LastTouch()).table
    pd.testing.assert_frame_equal(alone, at.attribute(JOURNEYS, [at.LastTouch()]).table)
    pd.testing.assert_frame_equal(alone, at.attribute(JOURNEYS, (model for model in [at.LastTouch()])).table)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            at.Markov,
            "attribute: models must be AttributionModel or a list of AttributionModel.",
        ),
        (at.Markov, "Given: the class Markov. Hint: Markov is a class: write Markov()."),
        ([at.Linear(), at.Markov], "Given: the class Markov in a list of 2. Hint: Markov is a class: write Markov()."),
        ("Markov", "Given: 'Markov'. Hint: write the model itself, such as at.LastTouch()"),
        (TOUCHES, "Given: a DataFrame."),
    ],
)
def test_what_is_no_model(wrong: Any, said: str) -> None:
    with pytest.raises(at.InputError) as refused:
        at.attribute(JOURNEYS, wrong)
    assert said in str(refused.value)


def test_a_frame_is_no_sources() -> None:
    with pytest.raises(at.InputError, match=r"sources must be Sources\. Given: a DataFrame\. Hint: at\.load_sources\("):
        at.build_journeys(TOUCHES)


def test_a_frame_among_the_tables_of_an_experiment() -> None:
    paths = pd.DataFrame({"path": ["mail > search"], "conversions": [2]})
    experiment = at.Experiment(name="x", tables={"paths": paths}, models=[{"model": "LastTouch"}])
    assert at.run_experiment(experiment).tables["credit"]["conversions"].sum() == 2


def test_rules_as_a_dict_and_as_objects_with_a_text_for_several() -> None:
    document = {"own_sites": ["example.com"], "rules": [{"channel": "Partner", "source": "acme"}]}
    rules = at.ChannelRules([at.Rule("Partner", source="acme")], own_sites="example.com")
    assert rules.own[0].source == ("acme",)
    assert rules.own_sites == ("example.com",)
    found = [
        at.build_journeys(at.load_sources(TOUCHES, ORDERS, channels=channels)).channels
        for channels in (document, rules)
    ]
    assert found == [("Partner",), ("Partner",)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: at.Rule("Partner"), "no condition"),
        (lambda: at.Rule("(unattributed)", source="x"), "reserved"),
        (lambda: at.Rule("Partner", source=5), "Rule: source must be a list"),
        (lambda: at.ChannelRules((at.Rule("A", source="*"), at.Rule("B", source="b"))), "can never match"),
        (lambda: at.ChannelRules(own_sites=("*",)), "is not a host"),
        (lambda: at.BudgetOptions(total=-1), "BudgetOptions: total: must be greater than 0. Given: -1."),
        (lambda: at.BudgetOptions(totl=1), "BudgetOptions: unknown key 'totl'"),
        (lambda: setattr(at.Period(), "start", 5), "Period cannot be changed"),
        (lambda: at.load_sources(TOUCHES, ORDERS, channels={"rule": []}), "channels: unknown field 'rule'"),
        (lambda: at.build_journeys(5), "Given: 5."),
    ],
)
def test_what_is_refused_when_it_is_made(make: Callable[[], object], said: str) -> None:
    with pytest.raises(at.InputError) as refused:
        make()
    assert said in str(refused.value)


def test_one_text_in_place_of_several() -> None:
    assert at.BudgetOptions(brand_channels="brand", brand_floor=0.1).brand_channels == ("brand",)


def test_missing_and_unknown_arguments_are_pythons_own_error() -> None:
    with pytest.raises(TypeError, match=r"attribute\(\) missing 1 required positional argument: 'models'"):
        at.attribute(JOURNEYS)
    with pytest.raises(TypeError, match="unexpected keyword argument 'model'"):
        at.attribute(JOURNEYS, model=at.LastTouch())


@pytest.mark.parametrize("models", [[at.Markov()], ["Markov"], "Markov", at.Markov(), [at.Markov], at.Markov])
def test_models_of_an_experiment_are_described_by_dicts(models: Any) -> None:
    frame = pd.DataFrame({"path": ["mail > search"], "conversions": [3]})
    with pytest.raises(at.InputError, match=r"models: must be a list of dicts.*such as \{'model': 'Markov'\}"):
        at.Experiment(name="shop", tables={"paths": frame}, models=models)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: at.Period.model_validate({"start": "soon"}), "Period: start: must be a date.*Given: 'soon'"),
        (lambda: at.Experiment.model_validate({"name": "shop"}), "Experiment: tables: is required"),
        (lambda: at.TableSpec.model_validate_json('{"sorce": 1}'), "TableSpec: unknown key 'sorce'.*'source'"),
    ],
)
def test_parts_made_of_documents_refuse_as_calls_do(call: Callable[[], object], said: str) -> None:
    with pytest.raises(at.InputError, match=said):
        call()


def test_overrides_that_are_none_are_refused_without_options_of_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text('[tables.paths]\nsource = "paths.csv"\n[[models]]\nmodel = "Linear"\n', encoding="utf-8")
    for override, said in (("order", "KEY=VALUE"), ("models.Markov.order=2", "no model 'Markov'")):
        with pytest.raises(at.InputError, match=said) as refused:
            at.read_experiment(path, [override])
        assert "--" not in str(refused.value)
