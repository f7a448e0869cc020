"""No key without effect: every key of an experiment changes a table, or is refused, in a small experiment of its own.

A key that is new and listed nowhere fails: whoever adds it says here what it changes.
"""

from __future__ import annotations

import copy
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

import attribution as at
from attribution.decisions.diagnosis.diagnosis_section import DiagnosisSection
from attribution.incrementality.lift_section import measure_readings
from attribution.pipeline import sections, standing_sections
from attribution.pipeline.builders import make_models, open_sources
from attribution.pipeline.pipeline import _prepare as prepare
from attribution.pipeline.pipeline import journeys_of
from attribution.pipeline.sections import load_sections
from attribution.pipeline.stores import choose_store
from attribution.schema.experiment import Experiment, ModelSpec

CUSTOMERS = 60


def _world() -> dict[str, pd.DataFrame]:
    """Two months of a shop with four channels: some customers buy, some see an ad, some come by themselves."""
    draw = np.random.default_rng(5)
    start = pd.Timestamp("2026-01-05 09:00")
    touches, orders, stages = [], [], []
    for number in range(CUSTOMERS):
        customer, at_hour = f"c{number:02}", start + pd.Timedelta(hours=int(draw.integers(0, 900)))
        for channel in draw.choice(["search", "mail", "video", "direct"], draw.integers(1, 5)):
            kind = "impression" if channel == "video" else "click"
            touches.append((customer, at_hour, channel, kind, f"{channel}-{draw.integers(2)}"))
            at_hour += pd.Timedelta(hours=int(draw.integers(0, 240)))
        if number % 3 == 0:
            orders.append((customer, at_hour, 20.0 + number, 9.0, number % 2 == 0, "order" if number % 4 else "trial"))
            again = at_hour + pd.Timedelta(days=2)
            orders += [(customer, again, 5.0, 2.0, False, "order")] if number % 9 == 0 else []
            stages += [(customer, "lead", at_hour), (customer, "won", at_hour + pd.Timedelta(days=3))]
        elif number % 3 == 1:
            stages.append((customer, "lead", at_hour))
            stages += [(customer, "lost", at_hour + pd.Timedelta(days=5))] if number % 2 else []
    days = pd.date_range("2026-01-01", "2026-03-01", freq="D").strftime("%Y-%m-%d")
    amounts = {"search": 3.0, "mail": 1.0, "video": 5.0}
    costs = [
        (channel, day, amount + n % 7, "media") for channel, amount in amounts.items() for n, day in enumerate(days)
    ]
    costs += [(None, "2026-01-10", 90.0, "tools"), ("mail", "2026-01-10", 60.0, "labour")]
    columns = ["customer_id", "touched_at", "channel", "kind", "campaign"]
    return {
        "touchpoints": pd.DataFrame(touches, columns=columns),
        "conversions": pd.DataFrame(
            orders, columns=["customer_id", "converted_at", "value", "margin", "is_new_customer", "kind"]
        ),
        "costs": pd.DataFrame(costs, columns=["channel", "day", "amount", "cost_type"]),
        "stages": pd.DataFrame(stages, columns=["customer_id", "stage", "stage_time"]),
        "customers": pd.DataFrame(
            {
                "customer_id": [f"c{n:02}" for n in range(CUSTOMERS)],
                "firm": [f"f{n % 25}" for n in range(CUSTOMERS)],
                "size": ["small", "large"] * (CUSTOMERS // 2),
            }
        ),
        "paths": pd.DataFrame({"path": ["mail > search", "mail", "video > mail"], "conversions": [3, 2, 1]}),
    }


WORLD = _world()
EVENTS = ("touchpoints", "conversions", "costs")


def tables(*names: str, **specs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {"source": WORLD[name], **specs.get(name, {})} for name in names}


BASE: dict[str, Any] = {
    "name": "shop",
    "tables": tables(*EVENTS),
    "models": [{"model": "Linear"}],
}


def merged(document: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The document with dotted keys set."""
    result = copy.copy(dict(document))
    for dotted, value in change.items():
        first, _, rest = dotted.partition(".")
        result[first] = merged(result.get(first) or {}, {rest: value}) if rest else value
    return result


def results(document: Mapping[str, Any]) -> str:
    """A digest of all tables of a run, or what it is refused with; what is not asked for is left out, to be quick."""
    digest = hashlib.sha256()
    try:
        experiment = Experiment(**document)
        made = at.plan_budget(experiment)[0].tables if "budget" in document else run_tables(experiment)
    except at.InputError as error:
        return f"refused: {error}"
    for name, table in sorted(made.items()):
        digest.update(f"{name}\n{table.to_csv()}".encode())
    return digest.hexdigest()


def run_tables(experiment: Experiment) -> Mapping[str, pd.DataFrame]:
    """All tables, or credit and costs alone where nothing is asked for that is made of them."""
    journeys, model_fields = experiment.journeys, Experiment.model_fields
    parts = [
        experiment.returns,
        experiment.output,
        experiment.resampling,
        journeys.segment,
        *experiment.further.values(),
    ]
    plain = (model_fields["returns"].default, model_fields["output"].default, None, None)
    if tuple(parts) != plain or experiment.most_channels < 5_000:
        return at.run_experiment(experiment).tables
    if experiment.lift_tests or experiment.incrementality.budgets:
        return {"lift_readings": measure_readings(prepare(load_sections(), experiment, None, lambda _: None))}
    sources = open_sources(experiment)
    built = journeys_of(experiment, sources)
    credit = at.attribute(built, make_models(experiment)).table
    credit["journeys"] = sum(len(chunk) for chunk in built.chunks)
    return {
        "credit": credit,
        **({"costs": sources.engine.query("from costs").to_pandas()} if sources.has("costs") else {}),
    }


def results_without(common: Mapping[str, Any]) -> str:
    """As `results` before a key is changed, once for all keys that start from the same experiment."""
    if id(common) not in _KNOWN:
        _KNOWN[id(common)] = results(merged(BASE, common))
    return _KNOWN[id(common)]


_KNOWN: dict[int, str] = {}


def written_days(day_format: str) -> pd.DataFrame:
    costs = WORLD["costs"]
    return costs.assign(day=pd.to_datetime(costs["day"]).dt.strftime(day_format))


FILES = tempfile.TemporaryDirectory()


def written(name: str, content: bytes) -> dict[str, Any]:
    """An experiment whose costs are a file of that content."""
    path = Path(FILES.name) / name
    path.write_bytes(content)
    return {"tables.costs": {"source": str(path)}}


def workbook() -> dict[str, Any]:
    """Costs of two years, a sheet each."""
    path = Path(FILES.name) / "costs.xlsx"
    with pd.ExcelWriter(path) as book:
        for year, amount in (("2025", 5.0), ("2026", 9.0)):
            pd.DataFrame({"channel": ["mail"], "amount": [amount]}).to_excel(book, sheet_name=year, index=False)
    return {"tables.costs": {"source": str(path)}}


def amounts(*texts: str) -> dict[str, Any]:
    return {"tables.costs": {"source": pd.DataFrame({"channel": ["mail", "search"], "amount": texts})}}


NONE: dict[str, Any] = {}
ITEMS = {"tables.conversions": {"source": WORLD["conversions"].assign(conversion_id="one order")}}
REFUNDED = {
    "tables.conversions": {
        "source": WORLD["conversions"].assign(value=[-1.0, *[5.0] * (len(WORLD["conversions"]) - 1)])
    }
}
BY_DAY = {
    "tables.conversions": {
        "source": WORLD["conversions"].assign(converted_at=WORLD["conversions"]["converted_at"].dt.strftime("%Y-%m-%d"))
    }
}
VISITS = {"journeys": {"visit_gap_minutes": 30.0}}
SESSIONS = {
    "tables.touchpoints": {"source": WORLD["touchpoints"].drop(columns="kind")},
    "journeys": {"visit_gap_minutes": 30_000.0},
}
NEW = {"returns.margin": 0.5, "returns.ltv": 50.0}
SENSITIVE = {"sensitivity": {"draws": 50}}
FUNNEL = {
    "tables": tables(*EVENTS, "stages"),
    "funnel": {"stages": ["lead", "won"], "lost": ["lost"], "break_days": 4, "recent_days": 10},
}
CALIBRATION: dict[str, Any] = {"calibration": {}}
REGIONAL = {
    "tables.customers": {"source": WORLD["customers"].assign(state=list("abcdef") * 10, town=list("abcdefghij") * 6)},
    "incrementality": {"budgets": "randomised", "region": "state"},
}
BUDGET = {"budget": {"total": 1000.0}}
LIFETIME = {
    "returns.margin": 0.5,
    "returns.basis": "ltv",
    "returns.lifetime": {"revenue": 9.0, "retention": 0.5, "periods": 4},
}
IN_DOLLARS = {"tables.costs": {"source": WORLD["costs"].assign(currency="USD")}}
HILL = merged(BUDGET, {"budget.curve": "hill"})
Change = Mapping[str, Any]

CHANGES: dict[str, tuple[Change, Change]] = {
    # what an experiment has besides its parts
    "Experiment.name": (NONE, {"name": "a/b"}),
    "Experiment.engine": ({"memory_limit": "4GB"}, {"engine": "spark"}),
    "Experiment.memory_limit": (NONE, {"memory_limit": "1MB"}),
    "Experiment.most_channels": (NONE, {"most_channels": 2}),
    "Experiment.grain": (NONE, {"grain": "campaign"}),
    "Experiment.channels": (NONE, {"channels": {"rules": [{"channel": "x", "source": ["y"]}]}}),
    "Experiment.folder": ({"tables.costs": {"source": "costs.csv"}}, {"folder": Path("elsewhere")}),
    "TableSpec.adapter": (NONE, {"tables.costs.adapter": "meta_ads"}),
    "TableSpec.source": (NONE, {"tables.costs.source": WORLD["costs"].assign(amount=7.0)}),
    "TableSpec.query": (NONE, {"tables.costs": {"query": "select 'mail' as channel, 3.0 as amount"}}),
    "TableSpec.columns": (NONE, {"tables.costs.columns": {"channel": "channel", "amount": "amount"}}),
    "TableSpec.where": (NONE, {"tables.touchpoints.where": "channel <> 'mail'"}),
    "TableSpec.time_format": (
        {"tables.costs": {"source": written_days("%d/%m/%Y")}},
        {"tables.costs.time_format": "%d/%m/%Y"},
    ),
    "TableSpec.time_zone": (NONE, {"tables.touchpoints.time_zone": "Asia/Tokyo"}),
    "TableSpec.separator": ({"tables": tables("paths")}, {"tables.paths.separator": "|"}),
    "TableSpec.decimal": (amounts("1,5", "20,25"), {"tables.costs.decimal": ","}),
    "TableSpec.thousands": (amounts("1,500", "2,500"), {"tables.costs.thousands": ","}),
    "TableSpec.skip_rows": (written("titled.csv", b"Report\nchannel,amount\nmail,5\n"), {"tables.costs.skip_rows": 1}),
    "TableSpec.encoding": (
        written("latin.csv", "channel,amount\nK\xf6ln,5\n".encode("latin-1")),
        {"tables.costs.encoding": "latin-1"},
    ),
    "TableSpec.sheet": (workbook(), {"tables.costs.sheet": "2026"}),
    "TableSpec.same_day": (BY_DAY, {"tables.conversions.same_day": "counts"}),
    "TableSpec.same_id": (ITEMS, {"tables.conversions.same_id": "sum"}),
    "TableSpec.negative": (REFUNDED, {"tables.conversions.negative": "net"}),
    "NullTexts.keep": (
        {"tables.touchpoints": {"source": WORLD["touchpoints"].replace({"channel": {"mail": "None"}})}},
        {"tables.touchpoints.null_texts": {"keep": ["None"]}},
    ),
    "NullTexts.add": (NONE, {"tables.touchpoints.null_texts": {"add": ["Mail"]}}),
    "IncrementalityOptions.enabled": (
        {"resampling": {"draws": 50}},
        {"incrementality": {"enabled": False}},
    ),
    "Period.start": (NONE, {"period": {"start": "2026-01-20"}}),
    "Period.end": (NONE, {"period": {"end": "2026-02-10"}}),
    "JourneyOptions.lookback_days": (NONE, {"journeys": {"lookback_days": 2}}),
    "JourneyOptions.lookback_by_kind": (NONE, {"journeys": {"lookback_by_kind": {"Impression": 1}}}),
    "JourneyOptions.lookback_by_channel": (NONE, {"journeys": {"lookback_by_channel": {"mail": 1}}}),
    "JourneyOptions.conversions": (NONE, {"journeys": {"conversions": "first_only"}}),
    "JourneyOptions.conversion_kinds": (NONE, {"journeys": {"conversion_kinds": ["Order"]}}),
    "JourneyOptions.customers": (NONE, {"journeys": {"customers": "new"}}),
    "JourneyOptions.visit_gap_minutes": (VISITS, {"journeys.visit_gap_minutes": 30_000.0}),
    "JourneyOptions.visit_source": (
        merged(SESSIONS, {"journeys.visit_gap_minutes": 30.0}),
        {"journeys.visit_source": "last_non_direct"},
    ),
    "JourneyOptions.visit_breaks": (SESSIONS, {"journeys.visit_breaks": ["midnight"]}),
    "JourneyOptions.visit_lookback_days": (
        merged(SESSIONS, {"journeys.visit_source": "last_non_direct", "journeys.visit_gap_minutes": 30.0}),
        {"journeys.visit_lookback_days": 1.0},
    ),
    "JourneyOptions.view_through": (NONE, {"journeys": {"view_through": "clicks_only"}}),
    "JourneyOptions.view_through_weight": (NONE, {"journeys": {"view_through_weight": 0.5}}),
    "JourneyOptions.dedupe": (NONE, {"journeys": {"dedupe": "consecutive"}}),
    "JourneyOptions.dedupe_gap_minutes": (
        {"journeys.dedupe": "gap"},
        {"journeys.dedupe_gap_minutes": 10_000.0},
    ),
    "JourneyOptions.direct": (NONE, {"journeys": {"direct": "drop_if_other"}}),
    "JourneyOptions.direct_channels": ({"journeys.direct": "drop"}, {"journeys.direct_channels": ["mail"]}),
    "JourneyOptions.transform": (NONE, {"journeys": {"transform": "first"}}),
    "JourneyOptions.max_touchpoints": (NONE, {"journeys": {"max_touchpoints": 1}}),
    "JourneyOptions.open_journeys": (NONE, {"journeys": {"open_journeys": "drop"}}),
    "JourneyOptions.account": ({"tables": tables(*EVENTS, "customers")}, {"journeys": {"account": "firm"}}),
    "JourneyOptions.segment": ({"tables": tables(*EVENTS, "customers")}, {"journeys": {"segment": "size"}}),
    "ModelSpec.model": (NONE, {"models": [{"model": "FirstTouch"}, {"model": "LinearDistinct"}]}),
    "ModelSpec.name": (NONE, {"models": [{"model": "LastTouch", "name": "mine"}, {"model": "LinearDistinct"}]}),
    "ResamplingOptions.draws": ({"resampling": {"draws": 50}}, {"resampling.draws": 60}),
    "ResamplingOptions.level": ({"resampling": {"draws": 50}}, {"resampling.level": 0.5}),
    "ResamplingOptions.method": ({"resampling": {"draws": 50}}, {"resampling.method": "bca"}),
    "ResamplingOptions.seed": ({"resampling": {"draws": 50}}, {"resampling.seed": 1}),
    "ReturnsOptions.basis": (NEW, {"returns.basis": "margin"}),
    "ReturnsOptions.cost_basis": (NONE, {"returns": {"cost_basis": "loaded"}}),
    "ReturnsOptions.spend_from": (
        {"tables.touchpoints": {"source": WORLD["touchpoints"].assign(cost=0.5)}, "returns.spend_from": "costs"},
        {"returns.spend_from": "touchpoints"},
    ),
    "ReturnsOptions.margin": (NEW, {"returns.margin": 0.9}),
    "ReturnsOptions.ltv": (NEW, {"returns.ltv": 70.0}),
    "ReturnsOptions.fee_rate": (NONE, {"returns": {"fee_rate": 0.1}}),
    "ReturnsOptions.amortise_days": (NONE, {"returns": {"amortise_days": {"Labour": 400}}}),
    "ReturnsOptions.shared_by": (NONE, {"returns": {"shared_by": "touchpoints"}}),
    "ReturnsOptions.currency": (IN_DOLLARS, {"returns": {"currency": "USD"}}),
    "ReturnsOptions.rates": (
        {"tables.costs": {"source": WORLD["costs"].assign(currency="USD")}, "returns.currency": "EUR"},
        {"returns.rates": {"USD": 0.5}},
    ),
    "LifetimeOptions.revenue": (LIFETIME, {"returns.lifetime.revenue": 20.0}),
    "LifetimeOptions.retention": (LIFETIME, {"returns.lifetime.retention": 0.8}),
    "LifetimeOptions.discount": (LIFETIME, {"returns.lifetime.discount": 0.1}),
    "LifetimeOptions.periods": (LIFETIME, {"returns.lifetime.periods": 2}),
    "OutputOptions.journey_credit": (NONE, {"output": {"journey_credit": True}}),
    "OutputOptions.interactions": ({"models": [{"model": "Shapley"}]}, {"output": {"interactions": True}}),
    "OutputOptions.unit_economics": (NEW, {"output": {"unit_economics": True}}),
    "OutputOptions.draws": ({"resampling": {"draws": 50}}, {"output": {"draws": True}}),
    "OutputOptions.slices": ({}, {"output": {"slices": ["campaign"]}}),
    # sections
    "PlaceboOptions.seed": ({"placebo": {}}, {"placebo.seed": 3}),
    "PlaceboOptions.rate": ({"placebo": {}}, {"placebo.rate": 2.0}),
    "StabilityOptions.parts": ({"stability": {}}, {"stability.parts": 3}),
    "SensitivityOptions.lookback_days": (SENSITIVE, {"sensitivity.lookback_days": [3.0]}),
    "SensitivityOptions.direct": (SENSITIVE, {"sensitivity.direct": ["drop"]}),
    "SensitivityOptions.direct_channels": (SENSITIVE, {"sensitivity.direct_channels": ["Mail"]}),
    "SensitivityOptions.cost_bases": (SENSITIVE, {"sensitivity.cost_bases": ["media"]}),
    "SensitivityOptions.draws": (SENSITIVE, {"sensitivity.draws": 60}),
    "SensitivityOptions.level": (SENSITIVE, {"sensitivity.level": 0.5}),
    "SensitivityOptions.seed": (SENSITIVE, {"sensitivity.seed": 9}),
    "SensitivityOptions.hurdle_roi": (SENSITIVE, {"sensitivity.hurdle_roi": 3.0}),
    "SensitivityOptions.incremental_share": (SENSITIVE, {"sensitivity.incremental_share": [0.9, 1.0]}),
    "SensitivityOptions.elasticity": (SENSITIVE, {"sensitivity.elasticity": 0.9}),
    "SensitivityOptions.step": (SENSITIVE, {"sensitivity.step": 0.9}),
    "FunnelOptions.stages": (FUNNEL, {"funnel.stages": ["won", "lead"]}),
    "FunnelOptions.won": (
        merged(FUNNEL, {"funnel.stages": ["lead", "won", "paid"]}),
        {"funnel.won": "won"},
    ),
    "FunnelOptions.lost": (FUNNEL, {"funnel.lost": []}),
    "FunnelOptions.unknown": (merged(FUNNEL, {"funnel.lost": []}), {"funnel.unknown": "drop"}),
    "FunnelOptions.lookback_days": (FUNNEL, {"funnel.lookback_days": 1.0}),
    "FunnelOptions.window_days": (FUNNEL, {"funnel.window_days": 1.0}),
    "FunnelOptions.probabilities": (FUNNEL, {"funnel.probabilities": {"lead": 0.9}}),
    "FunnelOptions.cost_basis": (FUNNEL, {"funnel.cost_basis": "loaded"}),
    "FunnelOptions.costs": (FUNNEL, {"funnel.costs": {"lead": 5.0}}),
    "FunnelOptions.break_days": (FUNNEL, {"funnel.break_days": 1.0}),
    "FunnelOptions.recent_days": (FUNNEL, {"funnel.recent_days": 20.0}),
    "FunnelOptions.level": (FUNNEL, {"funnel.level": 0.5}),
    "CalibrationOptions.level": (CALIBRATION, {"calibration.level": 0.5}),
    **{
        f"CausedShare.{term}": (CALIBRATION, {f"calibration.assumptions.last_touch.{term}": 0.3})
        for term in ("log_share", "client_spread", "channel_spread", "nothing")
    },
    "BudgetOptions.total": (BUDGET, {"budget.total": 900.0}),
    "BudgetOptions.objective": (BUDGET, {"budget.objective": "conversions"}),
    "BudgetOptions.curve": (BUDGET, {"budget.curve": "log"}),
    "BudgetOptions.curvature": (BUDGET, {"budget.curvature": 0.7}),
    "BudgetOptions.curvature_range": (BUDGET, {"budget.curvature_range": [0.2, 0.9]}),
    "BudgetOptions.steepness": (HILL, {"budget.steepness": 2.0}),
    "BudgetOptions.history": (BUDGET, {"budget.history": "own"}),
    "BudgetOptions.floors": (BUDGET, {"budget.floors": {"video": 450.0}}),
    "BudgetOptions.ceilings": (BUDGET, {"budget.ceilings": {"mail": 70.0}}),
    "BudgetOptions.reserve": (BUDGET, {"budget.reserve": {"tests": 50.0}}),
    "BudgetOptions.brand_channels": (
        merged(BUDGET, {"budget.brand_channels": ["video"], "budget.brand_floor": 0.4}),
        {"budget.brand_channels": ["mail"]},
    ),
    "BudgetOptions.brand_floor": (
        merged(BUDGET, {"budget.brand_channels": ["video"], "budget.brand_floor": 0.4}),
        {"budget.brand_floor": 0.5},
    ),
    "BudgetOptions.capacity": (BUDGET, {"budget.capacity": 5.0}),
    "BudgetOptions.capacity_stage": (
        merged({**FUNNEL, **BUDGET}, {"budget.capacity": 25.0}),
        {"budget.capacity_stage": "lead"},
    ),
    "BudgetOptions.step_limit": (BUDGET, {"budget.step_limit": 0.1}),
    "BudgetOptions.risk_aversion": ({**BUDGET, "resampling": {"draws": 50}}, {"budget.risk_aversion": 1.0}),
    "BudgetOptions.valid_days": (BUDGET, {"budget.valid_days": 30}),
    "BudgetOptions.previous": (BUDGET, {"budget.previous": "nowhere"}),
    "CurveOptions.curve": (BUDGET, {"budget.curves": {"mail": {"curve": "log"}}}),
    "CurveOptions.curvature": (BUDGET, {"budget.curves": {"mail": {"curvature": 0.8}}}),
    "CurveOptions.curvature_range": (BUDGET, {"budget.curves": {"mail": {"curvature_range": [0.1, 0.9]}}}),
    "CurveOptions.steepness": (HILL, {"budget.curves": {"mail": {"steepness": 2.0}}}),
    "LongRunOptions.objective": (BUDGET, {"budget.long_run": {"objective": "conversions"}}),
    "LongRunOptions.factors": (BUDGET, {"budget.long_run": {"factors": {"video": 3.0}}}),
    "LongRunOptions.points": (
        merged(BUDGET, {"budget.long_run": {"factors": {"video": 3.0}}}),
        {"budget.long_run.points": 3},
    ),
}
"""Key → what the experiment has besides the base, and the change of this one key."""

GROUP = {"name": "both", "channels": ["mail", "search"], "floor": 700.0}
for _key, _other in {
    "name": "two",
    "channels": ["mail", "video"],
    "floor": 750.0,
    "ceiling": 760.0,
    "floor_share": 0.75,
    "ceiling_share": 0.75,
}.items():
    _rest = {key: of for key, of in GROUP.items() if not (key == "floor" and _key == "floor_share")}
    CHANGES[f"GroupOptions.{_key}"] = (
        merged(BUDGET, {"budget.groups": [GROUP], "budget.step_limit": "none"}),
        {"budget.groups": [{**_rest, _key: _other}]},
    )
WHAT_IF = {"name": "mine", "spend": {"mail": 100.0}}
for _key, _changed in {
    "name": {**WHAT_IF, "name": "other"},
    "spend": {**WHAT_IF, "spend": {"mail": 120.0}},
    "shares": {"name": "mine", "shares": {"mail": 0.3}},
}.items():
    CHANGES[f"WhatIf.{_key}"] = (merged(BUDGET, {"budget.what_if": [WHAT_IF]}), {"budget.what_if": [_changed]})

MARCH = {"first_day": "2026-01-06", "last_day": "2026-01-19"}
STUDY = {"test": "study", "channel": "mail", "design": "reported", "effect": 30.0, "standard_error": 9.0}
RANGE = {**STUDY, "standard_error": None, "low": 10.0, "high": 50.0}
LIFT = {"test": "study", "channel": "mail", "design": "reported", "lift": 0.1, "lift_low": 0.02, "lift_high": 0.2}
ARMS = [
    {"test": "spring", "channel": "mail", "design": "ghost_ads", **MARCH, "arm": arm, "segment": "a"}
    | {"customers": n, "exposed": n // 2, "conversions_of_exposed": y, "conversions": y, "planned_share": 0.5}
    | {"value": 50.0 * y, "value_sd": 10.0}
    for arm, n, y in (("test", 400, 40), ("control", 410, 30))
]
CITIES = [
    {"test": "cities", "channel": "mail", "design": "geo", **MARCH, "arm": "test" if n < 4 else "control"}
    | {"region": f"r{n}", "phase": phase, "customers": 1_000, "conversions": 30 + n + 7 * (phase == "during") * (n % 3)}
    for n in range(8)
    for phase in ("before", "during")
]
FORM = [{**row, "design": "ab", "what": "form", "exposed": None, "conversions_of_exposed": None} for row in ARMS]


def one_row(rows: list[dict[str, Any]], **columns: Any) -> dict[str, Any]:
    """The rows with columns set in the first one, or in all where they are of the whole test."""
    of_test = {"test", "campaign", "channel", "what", "segment", "design", "first_day", "last_day", "outcome_until"}
    every = bool(of_test & set(columns)) or "planned_share" in columns or "scale" in columns
    return {"lift_tests": [{**row, **columns} if every or not n else row for n, row in enumerate(rows)]}


for _rows, _changes in (
    (ARMS, {"test": "autumn", "channel": "video", "campaign": "mail-1", "segment": "b", "design": "psa"}),
    (ARMS, {"first_day": "2026-01-07", "last_day": "2026-01-20", "outcome_until": "2026-01-21", "arm": "control"}),
    (ARMS, {"customers": 420, "exposed": 210, "conversions_of_exposed": 41, "value": 99.0, "value_sd": 3.0}),
    (ARMS, {"spend": 70.0, "planned_share": 0.51, "scale": 3.0}),
    (FORM, {"what": "page", "conversions": 39}),
    (CITIES, {"region": "r9", "phase": "during"}),
    ([STUDY], {"effect": 31.0, "standard_error": 8.0}),
    ([RANGE], {"low": 11.0, "high": 51.0, "level": 0.5}),
    ([{**LIFT, "conversions": 90}], {"lift": 0.11, "lift_low": 0.03, "lift_high": 0.21}),
):
    for _key, _value in _changes.items():
        CHANGES[f"LiftTest.{_key}"] = ({"lift_tests": _rows}, one_row(_rows, **{_key: _value}))
CHANGES["IncrementalityOptions.budgets"] = (REGIONAL, {"incrementality": {}})
CHANGES["IncrementalityOptions.region"] = (REGIONAL, {"incrementality.region": "town"})
CHANGES["IncrementalityOptions.drift"] = (one_row(ARMS, campaign="mail-1"), {"incrementality.drift": 0.5})

REFUSED_WITHOUT = (
    "Experiment.folder",
    "TableSpec.time_format",
    "TableSpec.decimal",
    "TableSpec.thousands",
    "TableSpec.skip_rows",
    "TableSpec.encoding",
    "TableSpec.negative",
    "ReturnsOptions.currency",
    "ReturnsOptions.rates",
    "FunnelOptions.unknown",
)
"""Without these keys such data are refused."""

ELSEWHERE = {
    "Experiment.text": "what the file holds, copied to the output folder",
    "OutputOptions.pictures": "files beside the tables",
    "TrackingOptions.enabled": "whether a run is logged once it is written",
}
"""Keys that change what is written beside tables, and tests of it say so."""


def parts_of(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A part and all parts in it."""
    yield kind
    for field in kind.model_fields.values():
        for inner in inner_parts(field.annotation):
            yield from parts_of(inner)


def inner_parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from inner_parts(each)


def every_key() -> set[str]:
    """All keys of all parts; a key whose value is a part is looked at by the keys in it."""
    roots = [Experiment, *(section.options for section in load_sections().each if section.options is not None)]
    kinds = {kind for root in roots for kind in parts_of(root)}
    return {
        f"{kind.__name__}.{name}"
        for kind in kinds
        for name, field in kind.model_fields.items()
        if not list(inner_parts(field.annotation))
    }


def test_every_key_is_listed() -> None:
    assert every_key() == {*CHANGES, *ELSEWHERE, "TrackingOptions.uri"}


@pytest.mark.nightly
@pytest.mark.parametrize("key", CHANGES)
def test_a_key_changes_what_a_run_gives(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing_sections, "quality_findings", lambda *_, **__: [])
    if key != "OutputOptions.slices":
        # It is made of all the rest, and takes as long.
        others = tuple(kind for kind in sections.SHIPPED if kind is not DiagnosisSection)
        monkeypatch.setattr(sections, "SHIPPED", others)
    common, change = CHANGES[key]
    document = merged(BASE, common)
    before, after = results_without(common), results(merged(document, change))
    assert key in REFUSED_WITHOUT or not before.startswith("refused"), before
    assert before != after, f"{key} changes nothing: {before}"


def test_the_tracking_address_is_where_a_run_goes() -> None:
    assert choose_store(own="sqlite:///here.db") != choose_store(own="sqlite:///there.db")


def test_a_setting_of_a_model_that_does_not_exist_is_refused() -> None:
    assert "no setting" in results(merged(BASE, {"models": [{"model": "LastTouch", "half_life": 3}]}))
    assert ModelSpec.model_config["extra"] == "allow"
