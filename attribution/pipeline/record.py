"""What tracking logs of a run, as data: written beside its tables, so that it can be logged later."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attribution.decisions.budget import budget_metrics
from attribution.decisions.diagnosis import diagnosis_metrics
from attribution.decisions.funnel import funnel_metrics
from attribution.errors import InputError
from attribution.logs import without_credentials
from attribution.models import AttributionModel
from attribution.pipeline.outcome import Outcome
from attribution.returns import main_basis, returns_metrics
from attribution.schema.tables import NO_CHANNELS
from attribution.uncertainty.sensitivity import doubt_metrics

FILE = "record.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Numbers:
    """Params, metrics and tags of one run of the tracking server, under its name."""

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What is logged of one run.

    Attributes
    ----------
    run : the run itself, a comparison of its models
    models : one for each of them
    inputs : its tables: name, digest, and where they came from
    uri : tracking URI that the experiment asked for; None where it asked for none
    budget : what was proposed, where a budget was divided
    """

    run: Numbers
    models: tuple[Numbers, ...]
    inputs: tuple[Mapping[str, str], ...]
    uri: str | None
    budget: Numbers | None = None

    def write(self, folder: Path) -> None:
        """Write it into the folder of its run."""
        content = {"schema_version": _SCHEMA, **asdict(self)}
        (folder / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_record(folder: str | Path) -> Record:
    """Read what is to be logged of a finished run from its folder.

    Raises
    ------
    InputError
        If the folder is not that of a finished run, or its record is damaged or of a newer version.
    """
    path = Path(folder) / FILE
    hint = "give a folder that `attribution run` wrote"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema_version") > _SCHEMA:
            raise InputError(f"{path} was written by a newer version", hint="update the package")
        budget = content.pop("budget")
        return Record(
            run=Numbers(**content.pop("run")),
            models=tuple(Numbers(**one) for one in content.pop("models")),
            inputs=tuple(content.pop("inputs")),
            budget=None if budget is None else Numbers(**budget),
            **content,
        )
    except FileNotFoundError:
        raise InputError(f"folder {folder} is not that of a finished run: it has no {FILE}", hint=hint) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {type(error).__name__}: {error}", hint="run it again") from None


def record_of(outcome: Outcome, folder: Path) -> Record:
    """What is to be logged of a run whose ``folder`` holds the copy of its channel rules."""
    asked = outcome.experiment
    run = Numbers(
        asked.name,
        _texts({**outcome.settings, **_channel_rules(outcome, folder)}),
        _finite(_run_metrics(outcome)),
        {"attribution.fingerprint": outcome.fingerprint},
    )
    inputs = []
    for name, digest in outcome.digests.items():
        spec = asked.tables[name]
        source = {"query": spec.query} if spec.query else {"source": str(spec.source)[:5_000]}
        inputs.append(
            {"name": name, "digest": digest, "source": without_credentials(json.dumps(source, ensure_ascii=False))}
        )
    budget = None
    if "budget" in outcome.tables:
        options = {} if asked.budget is None else asked.budget.model_dump(mode="json")
        params = _texts({f"budget.{key}": value for key, value in options.items()})
        budget = Numbers("budget", params, _finite(budget_metrics(outcome.tables)))
    models = tuple(_of_model(outcome, model) for model in outcome.models)
    uri = without_credentials(asked.tracking.uri) if asked.tracking.enabled else None
    return Record(run, models, tuple(inputs), uri, budget)


def _texts(params: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in params.items()}


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {key: float(value) for key, value in metrics.items() if math.isfinite(value)}


def _channel_rules(outcome: Outcome, folder: Path) -> dict[str, str]:
    """Which file of channel rules was used, and a digest of the copy that is logged with the folder."""
    kept = folder / "channels.toml"
    if "file" not in outcome.experiment.channels or not kept.exists():
        return {}
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()[:16]
    return {"channels.file": str(outcome.experiment.channels["file"]), "channels.digest": digest}


def _run_metrics(outcome: Outcome) -> dict[str, float]:
    agreement = outcome.ranking.agreement
    pairs = agreement[agreement["model_a"] < agreement["model_b"]]
    metrics = {
        "conversions": float(outcome.models[0].credit_.conversions.sum()),
        "value": float(outcome.models[0].credit_.value.sum()),
        "quality_warnings": float((outcome.tables["quality"]["status"] == "warn").sum()),
    }
    if len(pairs):
        metrics["lowest_kendall_tau"] = float(pairs["kendall_tau"].min())
        metrics["largest_move"] = float(pairs["largest_move"].max())
    metrics |= funnel_metrics(outcome.tables) | doubt_metrics(outcome.tables)
    return metrics | diagnosis_metrics(outcome.tables)


def _of_model(outcome: Outcome, model: AttributionModel) -> Numbers:
    params = {"model": type(model).__name__, **{k: v for k, v in model.get_params().items() if k != "name"}}
    tags = {"attribution.estimand": model.estimand, "attribution.baseline": baseline_of(outcome).label}
    return Numbers(model.label, _texts(params), _finite(_model_metrics(outcome, model.label)), tags)


def baseline_of(outcome: Outcome) -> AttributionModel:
    """The model that others are held against: last touch where it was asked for, the first model otherwise."""
    return next((m for m in outcome.models if type(m).__name__ == "LastTouch"), outcome.models[0])


def _model_metrics(outcome: Outcome, label: str) -> dict[str, float]:
    returns = main_basis(outcome.tables["returns"])
    rows = returns[(returns["model"] == label) & ~returns["channel"].isin(NO_CHANNELS)]
    metrics = {
        f"{what}/{channel}": float(value)
        for what in ("roi", "rank", "conversions")
        for channel, value in zip(rows["channel"], rows[what], strict=True)
    }
    metrics |= _doubt(outcome, label) | returns_metrics(outcome.tables, label)
    metrics |= funnel_metrics(outcome.tables, label) | _foretold(outcome, label)
    metrics |= diagnosis_metrics(outcome.tables, label)
    baseline, ranks = baseline_of(outcome), outcome.ranking.ranks
    moves = ranks[label] - ranks[baseline.label]
    metrics |= {f"rank_change/{channel}": float(move) for channel, move in moves.items()}
    if type(baseline).__name__ == "LastTouch":
        agreement = outcome.ranking.agreement
        row = agreement[(agreement["model_a"] == label) & (agreement["model_b"] == baseline.label)].iloc[0]
        for what in ("kendall_tau", "spearman", "rank_biased_overlap", "top3_overlap", "largest_move"):
            metrics[f"{what}_with_last_touch"] = float(row[what])
    return metrics


def _doubt(outcome: Outcome, label: str) -> dict[str, float]:
    """Ends and widths of intervals, and the share of a channel that does nothing, where they were asked for."""
    metrics: dict[str, float] = {}
    if "intervals" in outcome.tables:
        table = outcome.tables["intervals"]
        rows = table[(table["model"] == label) & table["measure"].isin(["roi", "rank", "conversions"])]
        for end in ("low", "high"):
            keys = rows["measure"] + f"_{end}/" + rows["channel"]
            metrics |= dict(zip(keys, rows[end].astype(float), strict=True))
        widths = rows["high"] - rows["low"]
        metrics |= dict(zip(rows["measure"] + "_width/" + rows["channel"], widths.astype(float), strict=True))
        means = widths.groupby(rows["measure"]).mean()
        metrics |= {f"mean_{measure}_width": float(width) for measure, width in means.items()}
    if "placebo" in outcome.tables:
        row = outcome.tables["placebo"].set_index("model").loc[label]
        metrics |= {f"placebo_{what}": float(row[what]) for what in ("share", "touchpoint_share")}
    return metrics


def _foretold(outcome: Outcome, label: str) -> dict[str, float]:
    """How a model does on what it has not seen: other parts of the time, and held-out customers."""
    metrics: dict[str, float] = {}
    if "stability" in outcome.tables:
        table = outcome.tables["stability"]
        rows = table[table["model"] == label]
        metrics["stability_lowest_kendall_tau"] = float(rows["kendall_tau"].min())
        metrics["stability_largest_share_moved"] = float(rows["share_moved"].max())
    for name in ("held_out", "order_selection"):
        table = outcome.tables.get(name)
        if table is None:
            continue
        rows = table[table["model"] == label]
        rows = rows[rows["chosen"]] if "chosen" in rows else rows
        for what in ("log_loss", "auc") if len(rows) else ():
            metrics[f"held_out_{what}"] = float(rows[what].iloc[0])
    return metrics
