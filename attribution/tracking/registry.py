"""Scorers in MLflow's registry: logged, registered, given an alias, and fetched again."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attribution.errors import InputError, TrackingError
from attribution.models.saved import Scorer
from attribution.pipeline.stores import Store
from attribution.production.scoring.days import day_number
from attribution.production.scoring.in_effect import VERSION_TAG, VersionRecord
from attribution.production.scoring.row_columns import example_rows, explain_answer, explain_columns
from attribution.production.versions import Timeline, add_promotion, check_day
from attribution.tracking.descriptions import MODEL_DESCRIPTION, describe_version
from attribution.tracking.environment import pin_requirements
from attribution.tracking.mlflow_store import call_store, check_store, close_run, find_experiment_id, open_client
from attribution.tracking.versions import read_timeline, tag_version, write_timeline

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Answer = TypeVar("Answer")

# ---------------------------------------------------------------- a scorer as an MLflow model

_PACKAGE = Path(__file__).parents[1]


def log_scorer(
    store: Store, folder: Path, scorer: Scorer, name: str, run_id: str | None, *, allow_own_code: bool
) -> tuple[str, str]:
    """Log a scorer with a run, one of its own if ``run_id`` is None, and register it; return version and run."""
    import mlflow

    if run_id is None:
        client = open_client(store)
        started: Any = client.create_run(
            find_experiment_id(client, name), run_name=f"{name} export", tags={"attribution.kind": "export"}
        )
        with close_run(client, started.info.run_id):
            return log_scorer(store, folder, scorer, name, started.info.run_id, allow_own_code=allow_own_code)
    with use_store(store), mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name="scorer",
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"scorer": str(folder)},
            code_paths=[str(_PACKAGE)],
            signature=_signature(scorer),
            input_example=example_rows(scorer),
            pip_requirements=pin_requirements(),
            model_config={"allow_own_code": allow_own_code},
            metadata={
                "model": scorer.state.label,
                "scorer_version": scorer.version,
                "columns": explain_columns(scorer),
                "answer": explain_answer(scorer),
            },
        )
        tags = {VERSION_TAG: scorer.version, "attribution.model": scorer.state.label}
        # It says on stderr what it does, whatever the level of logging.
        with contextlib.redirect_stderr(io.StringIO()):
            made = mlflow.register_model(logged.model_uri, name, tags=tags)
    client = open_client(store)
    client.update_model_version(name, made.version, description=describe_version(scorer))
    if not client.get_registered_model(name).description:
        # What somebody has written there stays.
        client.update_registered_model(name, description=MODEL_DESCRIPTION)
    return str(made.version), run_id


def _signature(scorer: Scorer) -> Any:
    """What a row is made of, and what comes back.

    MLflow turns declared lists into arrays of NumPy before the model sees them, and a null in a list of texts then
    cuts every text to its first letter. It passes on as it is what may be anything, so that each row is judged here.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Array

    anything: Any = AnyType()  # type: ignore[no-untyped-call]  # MLflow does not type it
    kinds: dict[str, Any] = {
        "text": DataType.string,
        "number": DataType.double,
        "list of texts": Array(DataType.string),
        "list of numbers": Array(DataType.double),
    }
    columns: list[Any] = [
        ColSpec(anything, name, required=not text.startswith("optional"))
        for name, text in explain_columns(scorer).items()
    ]
    result: list[Any] = [ColSpec(kinds[text.split(":")[0]], name) for name, text in explain_answer(scorer).items()]
    return ModelSignature(Schema(columns), Schema(result))


@contextlib.contextmanager
def use_store(store: Store) -> Iterator[None]:
    """MLflow's own functions know one store, that of the process: pointed elsewhere for a moment."""
    import mlflow

    before = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    mlflow.set_tracking_uri(store.tracking)
    mlflow.set_registry_uri(store.registry)
    try:
        yield
    finally:
        unset: Any = None
        mlflow.set_tracking_uri(unset)
        mlflow.set_registry_uri(unset)
        # What MLflow is pointed to, it writes into the environment, and it leaves the registry there.
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


# ---------------------------------------------------------------- the registry

_REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes
    ----------
    name, version : in the registry
    alias : that now points to it
    before : the version that the alias pointed to until now, if another
    run_id : the MLflow run it was logged with
    timeline : which version is in effect on which day under the alias; None without one
    """

    name: str
    version: str
    alias: str | None
    before: str | None
    run_id: str
    timeline: Timeline | None = None

    @property
    def uri(self) -> str:
        """What MLflow loads it by."""
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"


@dataclass(frozen=True)
class Placement:
    """Where a scorer is registered, and as what.

    Attributes
    ----------
    name : in the registry
    store : that it is registered in
    alias : under which it is in effect; none if None
    restate : first day on which it is in effect, counted from 1970-01-01; today if None
    """

    name: str
    store: Store
    alias: str | None = None
    restate: int | None = None


def register_scorer(
    folder: Path,
    placement: Placement,
    *,
    run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    allow_own_code: bool = False,
) -> Registered:
    """Log the scorer in ``folder`` as an MLflow model and register it; the same scorer is registered once.

    Parameters
    ----------
    folder : written by `attribution.Scorer.save`
    placement : where and as what
    run_id : MLflow run that it belongs to; a run of its own unless given
    tags : of the version, see `attribution.tracking.versions.provenance_tags`
    allow_own_code : see `attribution.Scorer.load`; where it is served, the model may run what it may run here

    Raises
    ------
    InputError
        If the folder is not whole, a name or day is impossible, or the registry does not answer.
    """
    name, store, alias = placement.name, placement.store, placement.alias
    _check_names(name, alias)
    scorer = Scorer.load(folder, allow_own_code=allow_own_code)

    def act(client: MlflowClient) -> Registered:
        # Before anything is written: what is refused of the day leaves no version.
        before = _timeline(client, name, alias) if alias else None
        if alias:
            check_day(before, placement.restate, _today())
        registered = _find_registered(client, name, scorer.version)
        number, run = registered or log_scorer(store, folder, scorer, name, run_id, allow_own_code=allow_own_code)
        tag_version(client, name, number, tags or {})
        if not alias:
            return Registered(name, number, alias, None, run)
        after = add_promotion(before, number, restate=placement.restate, today=_today())
        if after != before:
            write_timeline(client, name, alias, after)
        replaced = None if before is None or before.newest == number else before.newest
        return Registered(name, number, alias, replaced, run, after)

    return _call_registry(act, store, is_lookup=False)


def fetch_scorer(reference: str, into: Path, *, store: Store) -> Path:
    """Copy the scorer that ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` names into a folder; return its path.

    Raises
    ------
    InputError
        If there is no such model, version or alias, it is no scorer, or the registry does not answer.
    """
    name, alias, number = _parse_reference(reference)

    def act(client: MlflowClient) -> Path:
        at = number or _alias_version(client, name, alias)
        registered = _model(client, name)
        if at is None:
            hint = "set one with `attribution export --alias`"
            raise InputError(
                f"model {name!r} has no alias {alias!r}", allowed=sorted(registered.aliases) or "none", hint=hint
            )
        return _download(store, client, name, str(at), into)

    return _call_registry(act, store)


def check_placement(placement: Placement) -> Timeline | None:
    """What is in effect where a version is to be placed; None where nothing is.

    Raises
    ------
    InputError
        If a name or the day is impossible, or the registry does not answer.
    """
    _check_names(placement.name, placement.alias)
    alias = placement.alias

    def act(client: MlflowClient) -> Timeline | None:
        timeline = _timeline(client, placement.name, alias) if alias else None
        check_day(timeline, placement.restate, _today())
        return timeline

    return _call_registry(act, placement.store)


def find_versions(name: str, alias: str, *, store: Store) -> tuple[Timeline, dict[str, VersionRecord]]:
    """Which version is in effect on which day under ``alias``, and what is known of each version.

    Raises
    ------
    InputError
        If there is no such model or alias, or the registry does not answer.
    """

    def act(client: MlflowClient) -> tuple[Timeline, dict[str, VersionRecord]]:
        model = _model(client, name)
        timeline = read_timeline(model, alias, _today())
        if timeline is None or alias not in model.aliases:
            hint = "set one with `attribution export --alias`"
            raise InputError(
                f"model {name!r} has no alias {alias!r}", allowed=sorted(model.aliases) or "none", hint=hint
            )
        candidates = client.search_model_versions(f"name = '{_escaped(name)}'")
        records = {str(candidate.version): VersionRecord.read(candidate.tags) for candidate in candidates}
        return timeline, {version: about for version, about in records.items() if about is not None}

    return _call_registry(act, store)


def roll_back_alias(name: str, alias: str, to: str | None = None, *, store: Store) -> Registered:
    """Take back the last promotion to ``alias``, or put the version ``to`` in its place.

    Raises
    ------
    InputError
        If nothing was promoted before, there is no such version, or the registry does not answer.
    """
    _check_names(name, alias)
    before, _ = find_versions(name, alias, store=store)
    after = before.roll_back(to)

    def act(client: MlflowClient) -> Registered:
        run_id = str(_version(client, name, after.newest).run_id)
        write_timeline(client, name, alias, after)
        replaced = None if before.newest == after.newest else before.newest
        return Registered(name, after.newest, alias, replaced, run_id, after)

    return _call_registry(act, store)


def away(error: TrackingError) -> InputError:
    """That the registry does not do what it was asked, before anything was written."""
    return error.refuse(f"the registry does not answer: {error}", hint="nothing was written")


def parse_alias(reference: str) -> tuple[str, str] | None:
    """Name and alias of ``models:/NAME@ALIAS``; None where it names a version, or no registered model."""
    parts = _REFERENCE.fullmatch(reference)
    return None if parts is None or parts["alias"] is None else (parts["name"], parts["alias"])


def _parse_reference(reference: str) -> tuple[str, str, str | None]:
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise InputError(
            "this is not the name of a registered model", given=reference, allowed="models:/NAME@ALIAS, models:/NAME/3"
        )
    return parts["name"], parts["alias"] or "", parts["version"]


def _check_names(name: str, alias: str | None) -> None:
    if not re.fullmatch(r"[^/:@.%\"'\s][^/:@%\"']{0,199}", name):
        raise InputError(
            "a registered model cannot have this name",
            given=repr(name),
            allowed="up to 200 characters without / : @ % ' \"",
        )
    if alias is not None and (not re.fullmatch(r"[A-Za-z][\w-]{0,99}", alias) or alias == "latest"):
        raise InputError(
            "an alias cannot have this name", given=repr(alias), allowed="letters, digits, _ and -; not 'latest'"
        )


def _call_registry(act: Callable[[MlflowClient], Answer], store: Store, *, is_lookup: bool = True) -> Answer:
    """What ``act`` returns of a client; a registry that is not there or does not answer is an `InputError`."""
    if is_lookup:
        check_store(store)
    try:
        return call_store(lambda: act(open_client(store)), None, store)
    except TrackingError as error:
        raise away(error) from None


def _model(client: MlflowClient, name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        names = [model.name for model in client.search_registered_models(max_results=20)]
        raise InputError(f"the registry has no model {name!r}", allowed=names or "none") from None


def _version(client: MlflowClient, name: str, number: str) -> Any:
    from mlflow.exceptions import MlflowException

    _model(client, name)
    try:
        return client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise InputError(f"model {name!r} has no version {number}") from None


def _timeline(client: MlflowClient, name: str, alias: str) -> Timeline | None:
    """The promotions to an alias; None where there is no such model, or nothing was promoted."""
    return read_timeline(_model(client, name), alias, _today()) if _is_registered(client, name) else None


def _is_registered(client: MlflowClient, name: str) -> bool:
    return any(model.name == name for model in client.search_registered_models(f"name = '{_escaped(name)}'"))


def _today() -> int:
    return day_number(dt.datetime.now(dt.UTC).date().isoformat())


def _alias_version(client: MlflowClient, name: str, alias: str) -> str | None:
    """Version that an alias points to; None where there is no such alias."""
    number = _model(client, name).aliases.get(alias)
    return None if number is None else str(number)


def _escaped(name: str) -> str:
    return name.replace("'", "''")


def _find_registered(client: MlflowClient, name: str, scorer_version: str) -> tuple[str, str] | None:
    """Version and run of the same scorer, if it is registered already."""
    for candidate in client.search_model_versions(f"name = '{_escaped(name)}'"):
        if candidate.tags.get(VERSION_TAG) == scorer_version:
            return str(candidate.version), str(candidate.run_id)
    return None


def _download(store: Store, client: MlflowClient, name: str, number: str, into: Path) -> Path:
    _version(client, name, number)
    import mlflow

    with use_store(store):
        copied = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{number}", dst_path=str(into)))
    paths = sorted(copied.glob("artifacts/*/model.json"))
    if not paths:
        raise InputError(
            f"version {number} of model {name!r} is not a model exported by this package",
            hint="export one with `attribution export`",
        )
    return paths[0].parent
