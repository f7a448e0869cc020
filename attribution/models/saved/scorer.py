"""The exported model: a folder of JSON and Parquet that attributes new conversions, without MLflow."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attribution import models as shipped
from attribution.arguments import check_arguments
from attribution.data.channels import read_rules
from attribution.data.engine import Engine, text
from attribution.data.loading import Sources, load_sources
from attribution.errors import InputError, did_you_mean
from attribution.folders import existing_folder
from attribution.journeys import Journeys, build_journeys
from attribution.models import AttributionModel
from attribution.models.base import Assumptions
from attribution.models.credit import journey_credit
from attribution.models.saved.applied import AppliedModel, Policy, check_policy, default_policy
from attribution.models.saved.card import card_text
from attribution.models.saved.definition import Definition, PastTraining, Training
from attribution.models.saved.fitted import (
    Fitted,
    LazyTables,
    check_allocation,
    find_model,
    make_definition,
    only_model,
    reference_tables,
)
from attribution.models.saved.folder import name_in, read_manifest, seal, write_folder
from attribution.models.saved.state import ModelState
from attribution.schema.experiment import JourneyOptions, checked
from attribution.schema.names import encode_name
from attribution.schema.tables import INPUTS
from attribution.schema.tables.scoring import SCORED

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "models"
"""The subfolder of a run with its scorers."""

_REFUSED = "not_saved.json"
_OBSERVED = "credit adds up to what was observed"


_BY_NAME = (
    ("lookback_by_channel", "touchpoints", "channel"),
    ("lookback_by_kind", "touchpoints", "kind"),
    ("conversion_kinds", "conversions", "kind"),
)
"""Journey options that name values; values that do not occur would be refused."""


@dataclass(frozen=True)
class Scorer:
    """A fitted model with everything that makes journeys from raw tables, so that it can attribute new conversions.

    Attributes
    ----------
    name : its name in exports
    state : the model
    definition : its journeys, channel rules, reading of tables, and what it was fitted on
    unknown_channels : the policy for channels it was not fitted on, see `attribution.models.saved.POLICIES`
    laws : the laws that were checked, and which of them are broken
    reference : tables of the run that fitted it, its own rows only, by name; for the card and for monitoring
    history : what its earlier versions were fitted on, the oldest first, if it was refitted
    version : 16 hexadecimal digits of the content; empty before it is saved

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> touchpoints = pd.DataFrame({"customer_id": ["a", "a"], "touched_at": ["2024-01-01", "2024-01-02"],
    ...                             "channel": ["mail", "search"]})
    >>> conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-03"], "value": [10.0]})
    >>> journeys = at.build_journeys(at.load_sources(touchpoints, conversions))
    >>> scorer = at.Scorer.of(at.Linear().fit(journeys))
    >>> scorer.score(touchpoints, conversions)[["channel", "credit", "credited_value"]].values.tolist()
    [['mail', 0.5, 5.0], ['search', 0.5, 5.0]]
    """

    name: str
    state: ModelState
    definition: Definition
    unknown_channels: Policy
    laws: tuple[str, ...] = (_OBSERVED,)
    reference: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    history: tuple[PastTraining, ...] = ()
    version: str = ""

    @classmethod
    @check_arguments
    def of(
        cls,
        fitted: AttributionModel | Fitted,
        model: str | None = None,
        *,
        name: str | None = None,
        definition: Definition | None = None,
        unknown_channels: str | None = None,
        laws: Sequence[str] = (),
    ) -> Scorer:
        """A fitted model, or one of the outcome of a run, as a scorer.

        Parameters
        ----------
        fitted : a fitted model, or an `attribution.Outcome`
        model : label of the model in the outcome; may be left out where there is one
        name : of the scorer; the label unless given
        definition : how journeys are made, if ``fitted`` is a model; an outcome has its own
        unknown_channels : see `attribution.models.saved.POLICIES`
        laws : the laws that were checked, for its card

        Raises
        ------
        InputError
            If there is no such model, it is not fitted, it has no credit per journey, or it cannot be saved.
        """
        reference: dict[str, pd.DataFrame] = {}
        if not isinstance(fitted, AttributionModel):
            outcome, fitted = fitted, find_model(fitted, model)
            definition = definition or make_definition(outcome)
            reference = reference_tables(outcome, fitted.label)
        definition = definition or Definition()
        state = ModelState.of(fitted)
        policy = default_policy(state) if unknown_channels is None else check_policy(state, unknown_channels)
        check_allocation(fitted)
        return cls(name or state.label, state, definition, policy, (_OBSERVED, *laws), reference)

    @check_arguments
    def with_policy(self, unknown_channels: str) -> Scorer:
        """The same scorer with another policy for channels it was not fitted on."""
        return replace(self, unknown_channels=check_policy(self.state, unknown_channels))

    @check_arguments
    def save(self, path: str | Path) -> Scorer:
        """Write the folder, whole or not at all; returns the scorer with its version.

        Raises
        ------
        InputError
            If the folder holds anything but an earlier scorer of this name.
        """
        path = Path(path)
        with write_folder(path, self.name) as folder:
            (folder / "model.json").write_text(
                json.dumps(self._document(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
            )
            columns = {"channel": pa.array(self.state.channels, pa.string())}
            pq.write_table(pa.table({**columns, **self.state.arrays}), folder / "channels.parquet")
            if self.reference:
                (folder / "reference").mkdir()
            for name, frame in self.reference.items():
                pq.write_table(
                    pa.Table.from_pandas(frame, preserve_index=False), folder / "reference" / f"{name}.parquet"
                )
            (folder / "card.md").write_text(card_text(self), encoding="utf-8")
            from attribution import __version__

            annotations = {"written_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "package": __version__}
            version = seal(folder, {"name": self.name}, annotations)
        return replace(self, version=version)

    @classmethod
    @check_arguments
    def load(cls, path: str | Path, *, allow_own_code: bool = False) -> Scorer:
        """Read a folder that `save` wrote; no code outside this package is run.

        Parameters
        ----------
        path : of the folder
        allow_own_code : whether the folder may name a model class, function or classifier of your own, and filter rows
            by other tables; only for folders of people you trust, since all that they name is imported and called

        Raises
        ------
        InputError
            If it is missing, incomplete, changed, or written by a newer version, or names code of your own that is not
            allowed.
        """
        folder = existing_folder(Path(path))
        manifest = read_manifest(folder)
        try:
            document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            table = pq.read_table(folder / "channels.parquet")
            scorer = cls._from(document, table)
        except (KeyError, TypeError, ValueError, OSError, RecursionError) as error:
            raise InputError(f"model folder {folder} cannot be read: {type(error).__name__}: {error}") from None
        if not allow_own_code:
            origin = f"model folder {folder}"
            scorer.state.refuse_own_code(origin)
            scorer.definition.refuse_other_tables(origin)
        files = {file.stem: file for file in sorted((folder / "reference").glob("*.parquet"))}
        reference: Mapping[str, pd.DataFrame] = LazyTables(files)
        if "intervals" in files:
            from attribution.models.saved.earlier import merge_intervals

            reference = merge_intervals(reference)
        return replace(scorer, version=str(manifest["version"]), reference=reference)

    # ------------------------------------------------------------ scoring

    def score(self, touchpoints: Any, conversions: Any, **tables: Any) -> pd.DataFrame:
        """The ``journey_credit`` table of new conversions, in memory: each is divided among its touchpoints.

        Parameters
        ----------
        touchpoints, conversions : with canonical columns, see `attribution.schema.tables`; or a `TableSpec`
        **tables : ``identities``, ``customers`` or ``codes`` where the model was fitted with them

        Raises
        ------
        InputError
            If a table breaks its contract or lacks what the model needs, or a channel is refused.
        """
        sources = self.open({"touchpoints": touchpoints, "conversions": conversions, **tables}, canonical=True)
        journeys = build_journeys(sources, **self.journey_options(sources))
        applied = self.apply(journeys)
        credit = journey_credit(journeys, [applied]).assign(model_version=self.version)
        return credit[list(SCORED.column_names)]

    @check_arguments
    def open(
        self,
        tables: Mapping[str, Any],
        *,
        engine: Engine | None = None,
        canonical: bool = False,
        latest: bool = False,
        folder: str | Path = ".",
    ) -> Sources:
        """``tables``, read as in training and checked for what the model needs; see `load_sources`.

        A table that is a `TableSpec` says itself how it is read.
        """
        for name in tables:
            if name not in INPUTS:
                hint = did_you_mean(str(name), INPUTS)
                raise InputError(f"there is no input table {name!r}", allowed=list(INPUTS), hint=hint)
        specs = {
            name: self.definition.spec(name, source, canonical=canonical)
            for name, source in tables.items()
            if source is not None
        }
        rules = read_rules(self.definition.channels, "channels") if self.definition.channels else None
        sources = load_sources(
            **specs,
            channels=rules,
            account=self.definition.journeys.account,
            visits=self.definition.journeys.visits,
            grain=self.definition.grain,
            currency=self.definition.currency,
            exchange_rates=self.definition.rates,
            engine=engine,
            folder=folder,
            latest=latest,
        )
        self.definition.check(sources, self.state.model())
        return sources

    @check_arguments
    def apply(self, journeys: Journeys) -> AppliedModel:
        """The model on the channels of ``journeys``."""
        return AppliedModel.of(self.state, journeys.channels, self.unknown_channels)

    @check_arguments
    def journey_options(self, sources: Sources) -> dict[str, Any]:
        """Arguments of `build_journeys`, without channels and kinds that do not occur in ``sources``."""
        options = self.definition.journeys.of_building
        for option, table, column in _BY_NAME:
            if options.get(option) and sources.has(table, column):
                values = sources.engine.query(
                    f"select distinct {column} as v from {table} where {column} in "
                    f"({', '.join(text(name) for name in options[option])})"
                )["v"].to_pylist()
                existing = {name for name in options[option] if name in values}
                if isinstance(options[option], dict):
                    options[option] = {name: value for name, value in options[option].items() if name in existing}
                elif existing:
                    options[option] = [name for name in options[option] if name in existing]
        return options

    # ------------------------------------------------------------ as a document

    def _document(self) -> dict[str, Any]:
        state, definition = self.state, self.definition
        model = {
            "class": state.kind,
            "parameters": dict(state.parameters),
            "label": state.label,
            "estimand": state.estimand,
            "assumptions": list(state.assumptions),
            "knows_channels": state.knows_channels,
            "unattributed": list(state.unattributed),
            "baseline": None if state.baseline is None else list(state.baseline),
            "learned": dict(state.learned),
        }
        return {
            "name": self.name,
            "model": model,
            "unknown_channels": self.unknown_channels,
            "journeys": definition.journeys.model_dump(mode="json", exclude_unset=True),
            "grain": definition.grain,
            "channel_rules": dict(definition.channels),
            "reading": {name: dict(options) for name, options in definition.reading.items()},
            "training": None if definition.training is None else _training_document(asdict(definition.training)),
            "laws": list(self.laws),
            # Only where there is one: a model that was never refitted keeps its version.
            **({"rates": dict(definition.rates)} if definition.rates else {}),
            **({"history": list(map(asdict, self.history))} if self.history else {}),
        }

    @classmethod
    def _from(cls, document: Mapping[str, Any], table: pa.Table) -> Scorer:
        model, training = document["model"], document["training"]
        arrays = {name: np.asarray(table[name].to_numpy()) for name in table.column_names if name != "channel"}
        state = ModelState(
            kind=model["class"],
            parameters=model["parameters"],
            label=model["label"],
            estimand=model["estimand"],
            assumptions=_assumptions(model),
            channels=tuple(table["channel"].to_pylist()),
            knows_channels=model["knows_channels"],
            unattributed=tuple(model["unattributed"]),
            baseline=None if model["baseline"] is None else tuple(model["baseline"]),
            arrays=arrays,
            learned=model["learned"],
        )
        if training is not None:
            training = {name: tuple(value) if isinstance(value, list) else value for name, value in training.items()}
        definition = Definition(
            journeys=checked(JourneyOptions, document["journeys"], origin="model.json"),
            grain=document["grain"],
            channels=document["channel_rules"],
            reading=document["reading"],
            training=None if training is None else Training(**training),
            rates=document.get("rates", {}),
        )
        policy = check_policy(state, document["unknown_channels"])
        history = tuple(PastTraining(**training) for training in document.get("history", ()))
        return cls(document["name"], state, definition, policy, tuple(document["laws"]), history=history)


def save_scorers(outcome: Fitted, run: Path) -> None:
    """Save every model of ``outcome`` in the folder ``run``, and the reason for each that cannot be saved."""
    refused = {}
    for number, model in enumerate(outcome.models, start=1):
        try:
            save_in_run(Scorer.of(outcome, model.label), run, number)
        except InputError as error:
            refused[model.label] = str(error)
    if refused:
        (run / FOLDER).mkdir(exist_ok=True)
        text = json.dumps(refused, indent=2, ensure_ascii=False) + "\n"
        (run / FOLDER / _REFUSED).write_text(text, encoding="utf-8")


def save_in_run(scorer: Scorer, run: Path, number: int = 1) -> Scorer:
    """Save the scorer of the model of this ``number`` in the folder ``run``; returns it with its version."""
    return scorer.save(run / FOLDER / f"{number:02d}_{encode_name(scorer.state.label)}")


def load_saved_scorer(run: str | Path, label: str | None = None, *, allow_own_code: bool = False) -> Scorer:
    """The scorer of the model ``label`` in the output folder of a run or a refit; of the only model if None.

    ``allow_own_code`` is that of `Scorer.load`.

    Raises
    ------
    InputError
        If the folder has no such model, or it could not be saved.
    """
    folder = Path(run) / FOLDER
    if not folder.is_dir():
        hint = "give a folder that `attribution run` or `attribution refit --champion` wrote"
        raise InputError(f"run {run} has no saved models", hint=hint)
    names = {name_in(path): path for path in sorted(folder.iterdir()) if path.is_dir()}
    scorers = {name: path for name, path in names.items() if name is not None}
    refused = {}
    if (folder / _REFUSED).is_file():
        refused = json.loads((folder / _REFUSED).read_text(encoding="utf-8"))
    label = label or only_model(list(scorers))
    if label in refused:
        raise InputError(f"model {label!r} of run {run} could not be saved: {refused[label]}")
    if label not in scorers and len(scorers) == 1:
        # The model of a refit has the name of the one it is to replace.
        scorer = Scorer.load(*scorers.values(), allow_own_code=allow_own_code)
        if scorer.state.label == label:
            return scorer
    if label not in scorers:
        raise InputError(
            f"run {run} has several models: name one" if label is None else f"run {run} has no model {label!r}",
            allowed=list(scorers),
            hint=None if label is None else did_you_mean(label, scorers),
        )
    return Scorer.load(scorers[label], allow_own_code=allow_own_code)


def _assumptions(model: Mapping[str, Any]) -> Assumptions:
    """What a saved model assumes; folders of earlier versions do not state it, but their class does."""
    if "assumptions" in model:
        return Assumptions(*model["assumptions"])
    kind = getattr(shipped, model["class"], AttributionModel)
    return (kind(**model["parameters"]) if kind is not AttributionModel else kind()).assumptions


def _training_document(training: dict[str, Any]) -> dict[str, Any]:
    """Without a currency that is not told: a model that has none keeps its version."""
    return {name: value for name, value in training.items() if name != "currency" or value is not None}
