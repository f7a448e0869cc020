"""Scorers in MLflow's registry: logged, registered, given an alias, and fetched again."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attribution.errors import InputError, TrackingError
from attribution.models.saved import Scorer
from attribution.pipeline.stores import Store
from attribution.production.scoring.row_columns import ANSWER, example_rows, explain_columns
from attribution.tracking.descriptions import MODEL_DESCRIPTION, describe_version
from attribution.tracking.environment import pin_requirements
from attribution.tracking.mlflow_store import call_store, check_store, close_run, find_experiment_id, open_client

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Answer = TypeVar("Answer")

# ---------------------------------------------------------------- a scorer as an MLflow model

VERSION_TAG = "attribution.scorer_version"
"""Tag of a registered version: which scorer it is."""

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
                "answer": dict(ANSWER),
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

    anything: Any = AnyType()  # type: ignore[no-untyped-call]
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
    result: list[Any] = [ColSpec(kinds[text.split(":")[0]], name) for name, text in ANSWER.items()]
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
        # None is what makes it look into the environment again, though its annotations do not have it.
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
        mlflow.set_registry_uri(None)  # type: ignore[arg-type]
        # What MLflow is pointed to, it writes into the environment, and it leaves the registry there.
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


# ---------------------------------------------------------------- the registry

_REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
_REPLACES_TAG = "attribution.replaces"


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes
    ----------
    name, version : in the registry
    alias : that now points to it
    before : the version that the alias pointed to until now, if another
    run_id : the MLflow run it was logged with
    """

    name: str
    version: str
    alias: str | None
    before: str | None
    run_id: str

    @property
    def uri(self) -> str:
        """What MLflow loads it by."""
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"


def register_scorer(
    folder: Path,
    *,
    name: str,
    store: Store,
    alias: str | None = None,
    run_id: str | None = None,
    allow_own_code: bool = False,
) -> Registered:
    """Log the scorer in ``folder`` as an MLflow model and register it; the same scorer is registered once.

    Parameters
    ----------
    folder : written by `attribution.Scorer.save`
    name : in the registry
    store : that it is registered in
    alias : to be pointed to it
    run_id : MLflow run that it belongs to; a run of its own unless given
    allow_own_code : see `attribution.Scorer.load`; where it is served, the model may run what it may run here

    Raises
    ------
    InputError
        If the folder is not whole, a name is impossible, or the registry does not answer.
    """
    _check_names(name, alias)
    scorer = Scorer.load(folder, allow_own_code=allow_own_code)

    def act(client: MlflowClient) -> Registered:
        registered = _find_registered(client, name, scorer.version)
        number, run = registered or log_scorer(store, folder, scorer, name, run_id, allow_own_code=allow_own_code)
        before = _alias_version(client, name, alias) if alias else None
        if alias and before != number:
            client.set_registered_model_alias(name, alias, number)
            if before is not None:
                client.set_model_version_tag(name, number, _REPLACES_TAG, before)
        return Registered(name, number, alias, before if before != number else None, run)

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


def alias_points_to(name: str, alias: str, *, store: Store) -> str | None:
    """Version that an alias points to; None where there is no such model or alias.

    Raises
    ------
    InputError
        If the registry does not answer.
    """

    def act(client: MlflowClient) -> str | None:
        names = [model.name for model in client.search_registered_models()]
        return _alias_version(client, name, alias) if name in names else None

    return _call_registry(act, store)


def earlier_version(name: str, alias: str, *, store: Store) -> str:
    """Version that the one at ``alias`` took the place of.

    Raises
    ------
    InputError
        If there is none, or the registry does not answer.
    """

    def act(client: MlflowClient) -> str:
        at = _alias_version(client, name, alias)
        if at is None:
            raise InputError(f"model {name!r} has no alias {alias!r}", allowed=sorted(_model(client, name).aliases))
        before = _version(client, name, at).tags.get(_REPLACES_TAG)
        if before is None:
            raise InputError(
                f"version {at} of model {name!r} did not replace another version",
                hint="choose a version with --version",
            )
        return str(before)

    return _call_registry(act, store)


def set_alias(reference: str, alias: str, *, store: Store) -> Registered:
    """Point ``alias`` to the version that ``reference`` names, such as back to an earlier one.

    Raises
    ------
    InputError
        If there is no such version, or the registry does not answer.
    """
    name, other, number = _parse_reference(reference)
    _check_names(name, alias)

    def act(client: MlflowClient) -> Registered:
        at = number or _alias_version(client, name, other)
        if at is None:
            raise InputError(f"model {name!r} has no alias {other!r}", allowed=sorted(_model(client, name).aliases))
        run_id = str(_version(client, name, str(at)).run_id)
        before = _alias_version(client, name, alias)
        client.set_registered_model_alias(name, alias, str(at))
        return Registered(name, str(at), alias, before if before != str(at) else None, run_id)

    return _call_registry(act, store)


def away(error: TrackingError) -> InputError:
    """That the registry does not do what it was asked, before anything was written."""
    return error.refuse(f"the registry does not answer: {error}", hint="nothing was written")


def _parse_reference(reference: str) -> tuple[str, str, str | None]:
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise InputError(
            "this is not the name of a registered model", given=reference, allowed="models:/NAME@ALIAS, models:/NAME/3"
        )
    return parts["name"], parts["alias"] or "", parts["version"]


def _check_names(name: str, alias: str | None) -> None:
    if not re.fullmatch(r"[^/:@.%\"'\s][^/:@%\"']{0,199}", name):
        raise InputError("a registered model cannot have this name", given=repr(name), allowed="text without / : @")
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


def _alias_version(client: MlflowClient, name: str, alias: str) -> str | None:
    """Version that an alias points to; None where there is no such alias."""
    number = _model(client, name).aliases.get(alias)
    return None if number is None else str(number)


def _find_registered(client: MlflowClient, name: str, scorer_version: str) -> tuple[str, str] | None:
    """Version and run of the same scorer, if it is registered already."""
    escaped = name.replace("'", "''")
    for candidate in client.search_model_versions(f"name = '{escaped}'"):
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
