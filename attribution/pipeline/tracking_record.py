"""What tracking logs of a run, as data: written beside its tables, so that it can be logged later."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attribution.errors import InputError
from attribution.folders import check_format
from attribution.logs import without_credentials
from attribution.models import AttributionModel
from attribution.pipeline.outcome import Numbers, Outcome
from attribution.pipeline.stores import choose_store
from attribution.uncertainty.model_checks import failed_checks

FILE = "record.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """What is logged of one run.

    Attributes
    ----------
    run : the run itself, a comparison of its models
    models : one for each of them
    inputs : its tables: name, digest, and where they came from
    uri : where it is logged; None where it is not to be
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
        If the folder is not that of a finished run, or its record is damaged or of another format.
    """
    path = Path(folder) / FILE
    hint = "give a folder that `attribution run` or `attribution refit --champion` wrote"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        check_format(str(path), content.pop("schema_version"), _SCHEMA, again="attribution run EXPERIMENT.toml")
        numbers = {key: Numbers(**value) for key, value in content.items() if isinstance(value, dict)}
        models = tuple(Numbers(**one) for one in content.pop("models"))
        return Record(**{**content, **numbers, "models": models, "inputs": tuple(content["inputs"])})
    except FileNotFoundError:
        raise InputError(f"folder {folder} is not the folder of a finished run: it has no {FILE}", hint=hint) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {type(error).__name__}: {error}", hint="run it again") from None


def record_of(outcome: Outcome, folder: Path) -> Record:
    """What is to be logged of a run whose ``folder`` holds the copy of its channel rules."""
    experiment = outcome.experiment
    run = Numbers(
        experiment.name,
        as_texts({**outcome.settings, **_channel_rules(outcome, folder)}),
        finite(_run_metrics(outcome)),
        {"attribution.fingerprint": outcome.fingerprint},
    )
    inputs = []
    for name, digest in outcome.digests.items():
        spec = experiment.tables[name]
        source = {"query": spec.query} if spec.query else {"source": str(spec.source)[:5_000]}
        inputs.append(
            {"name": name, "digest": digest, "source": without_credentials(json.dumps(source, ensure_ascii=False))}
        )
    models = tuple(_of_model(outcome, model) for model in outcome.models)
    tracking = experiment.tracking
    uri = without_credentials(choose_store(own=tracking.uri).tracking) if tracking.enabled else None
    return Record(run, models, tuple(inputs), uri, outcome.plan)


def as_texts(params: Mapping[str, Any]) -> dict[str, str]:
    """Params as the tracking server takes them."""
    return {key: str(value) for key, value in params.items()}


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that are numbers."""
    return {key: float(value) for key, value in metrics.items() if math.isfinite(value)}


def _channel_rules(outcome: Outcome, folder: Path) -> dict[str, str]:
    """Which file of channel rules was used, and a digest of the copy that is logged with the folder."""
    rules_file = folder / "channels.toml"
    if "file" not in outcome.experiment.channels or not rules_file.exists():
        return {}
    digest = hashlib.sha256(rules_file.read_bytes()).hexdigest()[:16]
    return {"channels.file": str(outcome.experiment.channels["file"]), "channels.digest": digest}


def _run_metrics(outcome: Outcome) -> dict[str, float]:
    first = outcome.models[0].credit_
    whole = {"conversions": float(first.conversions.sum()), "value": float(first.value.sum())}
    return whole | outcome.sections.metrics(outcome.tables)


def _of_model(outcome: Outcome, model: AttributionModel) -> Numbers:
    params = {"model": type(model).__name__, **{k: v for k, v in model.get_params().items() if k != "name"}}
    tags = {"attribution.estimand": model.estimand, "attribution.baseline": baseline_of(outcome).label}
    failed = failed_checks(outcome.tables)
    tags |= {"attribution.failed_check": failed[model.label]} if model.label in failed else {}
    return Numbers(model.label, as_texts(params), finite(_model_metrics(outcome, model.label)), tags)


def baseline_of(outcome: Outcome) -> AttributionModel:
    """The model that others are held against: last touch where it was asked for, the first model otherwise."""
    return next((m for m in outcome.models if type(m).__name__ == "LastTouch"), outcome.models[0])


def _model_metrics(outcome: Outcome, label: str) -> dict[str, float]:
    """What sections say of a model, and how it compares with the baseline."""
    metrics = outcome.sections.metrics(outcome.tables, label)
    baseline, ranks, agreement = baseline_of(outcome), outcome.ranking.ranks, outcome.ranking.agreement
    pair = agreement[(agreement["model_a"] == label) & (agreement["model_b"] == baseline.label)]
    if pair.empty:  # what channels caused is not held against how conversions are divided
        return metrics
    moves = ranks[label] - ranks[baseline.label]
    metrics |= {f"rank_change/{channel}": float(move) for channel, move in moves.items()}
    if type(baseline).__name__ == "LastTouch":
        row = pair.iloc[0]
        for what in ("kendall_tau", "spearman", "rank_biased_overlap", "top3_overlap", "largest_move"):
            metrics[f"{what}_with_last_touch"] = float(row[what])
    return metrics
