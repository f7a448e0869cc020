"""The experiment file: read from TOML and checked for shape.

Whether the data fit is the readers' business; whether a model exists and takes these settings is the
pipeline's, which knows the models.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from attribution.errors import InputError, did_you_mean
from attribution.schema.experiment.lift_tests import LiftTest
from attribution.schema.experiment.refusal import keys_of, refusal
from attribution.schema.experiment.returns import ReturnsOptions
from attribution.schema.experiment.settings import (
    IncrementalityOptions,
    JourneyOptions,
    ModelSpec,
    OutputOptions,
    Period,
    ResamplingOptions,
    Settings,
    TrackingOptions,
)
from attribution.schema.experiment.table_spec import TableSpec
from attribution.schema.names import problem_of
from attribution.schema.renames import new_name
from attribution.schema.tables import INPUTS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    TableSource: TypeAlias = TableSpec | Mapping[str, Any] | pd.DataFrame | pa.Table | Path | Sequence[str | Path]

Part = TypeVar("Part", bound=BaseModel)


class Experiment(Settings):
    """All settings of one run.

    Which sections there are the pipeline knows; it refuses what none of them owns. `options` gives what one was given.

    Parameters
    ----------
    name : of the run, of its folder and of the MLflow experiment; no / or \\
    engine : ``duckdb`` or ``spark``
    memory_limit : bytes, or a size such as ``4GB``, that DuckDB should keep to
    most_channels : more channels than this are refused before any model asks for memory
    period : the analysis period, see `Period`
    tables : input tables by name, each a `TableSpec`, a DataFrame, an Arrow table, a path or a list of paths
    channels : channel rules: ``own_sites`` and ``rules``, or ``file``
    journeys : lookback window and the other options of `build_journeys`
    grain : ``channel``, or ``campaign``: every campaign is a channel of its own
    models : one dict per model: ``model`` (its class), ``name`` (optional) and its parameters
    resampling : how intervals are drawn; none unless set
    incrementality : whether credit is held against what chance alone gives, and against what channels caused
    lift_tests : rows of lift tests, beside those of the table of this name
    returns : what counts as return and as cost
    output : what is written besides the standing tables
    tracking : whether and where the run is logged
    folder : where relative paths start
    text : the file that it was read from
    **extra_data : options of sections by their names, such as ``budget`` or ``funnel``

    Raises
    ------
    InputError
        If a key is unknown, a value impossible, or parts contradict each other.

    Examples
    --------
    >>> experiment = Experiment(
    ...     name="small",
    ...     tables={"paths": TableSpec(source="paths.csv")},
    ...     models=[{"model": "LastTouch"}],
    ... )
    >>> experiment.journeys.conversions
    'reset'
    """

    model_config = ConfigDict(extra="allow")

    name: str
    engine: Literal["duckdb", "spark"] = "duckdb"
    memory_limit: int | None = None
    most_channels: int = Field(default=5_000, ge=1)
    period: Period = Period()
    tables: dict[str, TableSpec]
    channels: dict[str, Any] = Field(default_factory=dict)
    journeys: JourneyOptions = JourneyOptions()
    grain: Literal["channel", "campaign"] = "channel"
    models: tuple[ModelSpec, ...]
    resampling: ResamplingOptions | None = None
    incrementality: IncrementalityOptions = IncrementalityOptions()
    lift_tests: tuple[LiftTest, ...] = ()
    returns: ReturnsOptions = ReturnsOptions()
    output: OutputOptions = OutputOptions()
    tracking: TrackingOptions = TrackingOptions()
    folder: Path = Field(default=Path("."), exclude=True)
    text: str = Field(default="", exclude=True)

    if TYPE_CHECKING:
        # What the fields are made from, which is more than what they hold; pydantic makes the constructor itself.
        def __init__(
            self,
            *,
            name: str,
            tables: Mapping[str, TableSource],
            models: Sequence[ModelSpec | Mapping[str, Any]],
            engine: Literal["duckdb", "spark"] = "duckdb",
            memory_limit: int | str | None = None,
            most_channels: int = 5_000,
            period: Period | Mapping[str, Any] = ...,
            channels: Mapping[str, Any] = ...,
            journeys: JourneyOptions | Mapping[str, Any] = ...,
            grain: Literal["channel", "campaign"] = "channel",
            resampling: ResamplingOptions | Mapping[str, Any] | None = None,
            incrementality: IncrementalityOptions | Mapping[str, Any] = ...,
            lift_tests: Sequence[LiftTest | Mapping[str, Any]] = (),
            returns: ReturnsOptions | Mapping[str, Any] = ...,
            output: OutputOptions | Mapping[str, Any] = ...,
            tracking: TrackingOptions | Mapping[str, Any] = ...,
            folder: Path = ...,
            text: str = "",
            **sections: Any,
        ) -> None: ...

    @field_validator("memory_limit", mode="before")
    @classmethod
    def _bytes(cls, value: object) -> object:
        if value is None or isinstance(value, int):
            return value
        parts = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(MB|GB|TB)\s*", str(value), re.IGNORECASE)
        if parts is None:
            raise ValueError("must be a size such as '4GB'")
        return round(float(parts[1]) * {"MB": 1e6, "GB": 1e9, "TB": 1e12}[parts[2].upper()])

    @field_validator("tables", mode="before")
    @classmethod
    def _frames(cls, value: object) -> object:
        """A table is given by what it is read from, too; a text could be a path or a query, and is not guessed at."""
        if not isinstance(value, Mapping):
            return value
        return {
            name: table if isinstance(table, str | Mapping | TableSpec) else {"source": table}
            for name, table in value.items()
        }

    @field_validator("models", mode="before")
    @classmethod
    def _described_models(cls, value: object) -> object:
        """Refuse a model, its class or its name with an example of what to write instead."""
        for model in value if isinstance(value, list | tuple) else (value,):
            if isinstance(model, str | type) or hasattr(model, "get_params"):
                kind = model if isinstance(model, str | type) else type(model)
                name = kind if isinstance(kind, str) else kind.__name__
                raise ValueError(f"must be a list of dicts, one for each model, such as {{'model': {name!r}}}")
        return value

    @field_validator("models")
    @classmethod
    def _some_model(cls, value: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
        if not value:
            raise ValueError("must have at least one model")
        return value

    @field_validator("name")
    @classmethod
    def _name_of_a_folder(cls, value: str) -> str:
        problem = problem_of(value)
        if problem is not None:
            raise ValueError(f"its output folder cannot have this name: it {problem}")
        return value

    @model_validator(mode="after")
    def _tables_fit(self) -> Experiment:
        unknown = sorted(set(self.tables) - set(INPUTS))
        if unknown:
            raise ValueError(f"unknown table {unknown[0]!r}; allowed: {', '.join(INPUTS)}")
        if "paths" in self.tables and {"touchpoints", "conversions"} & set(self.tables):
            raise ValueError("give either paths, or touchpoints and conversions, not both")
        if "paths" not in self.tables and "conversions" not in self.tables:
            raise ValueError("a conversions table is needed (or paths); allowed: " + ", ".join(INPUTS))
        columns = {f"journeys.{key}": getattr(self.journeys, key) for key in ("account", "segment")}
        for key, column in (columns | {"incrementality.region": self.incrementality.region}).items():
            if column is not None and "customers" not in self.tables:
                raise ValueError(f"{key} names a column of the customers table, but there is no such table")
        return self

    @property
    def further(self) -> dict[str, Any]:
        """What stands beside the parts above, as it was given: the options of sections, by their names."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}

    def options(self, section: str, kind: type[Part]) -> Part | None:
        """The options of a section, checked; None where there are none.

        Raises
        ------
        InputError
            If they are not what the section takes.
        """
        value = self.further.get(section)
        if value is None or isinstance(value, kind):
            return value
        return checked(kind, value, origin=f"experiment {self.name!r}", within=section)


def parse_experiment(path: str | Path, overrides: Sequence[str] = (), *, is_migrated: bool = False) -> Experiment:
    """Read an experiment file; what sections own in it is left as it was written.

    With ``is_migrated``, tables under names that they had before are taken for what they are called now: for the copy
    of an experiment in the folder of a run, which the tool wrote.
    """
    path = Path(path)
    text, document = read_toml(path)
    for override in overrides:
        _set(document, override)
        text += f"\n# --set {override}"
    if is_migrated:
        document = {new_name("Experiment", key) or key: value for key, value in document.items()}
    document.setdefault("name", path.stem)
    for key in ("folder", "text"):
        if key in document:
            raise InputError(f"{path}: unknown key {key!r}", allowed=core_keys())
    return checked(Experiment, {**document, "folder": path.parent, "text": text}, origin=str(path))


def checked(part: type[Part], document: Any, *, origin: str, within: str | None = None) -> Part:
    """``document`` as a ``part`` of an experiment; the first thing wrong with it is an `InputError`.

    Parameters
    ----------
    part : what it is to be
    document : a mapping of its keys
    origin : where it was written, for the message
    within : the key that it stands under
    """
    try:
        return TypeAdapter(part).validate_python(document)
    except ValidationError as error:
        raise refusal(error, part, origin, () if within is None else (within,)) from None


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Text and content of a TOML file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"file {path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"file {path} is not TOML: {error}") from None
    except RecursionError:
        raise InputError(f"file {path} is nested too deeply to be read") from None
    except OSError as error:
        raise InputError(f"file {path} cannot be read: {error.strerror}") from None


def read_setting(text: str, example: str) -> tuple[str, Any]:
    """Key and value of KEY=VALUE, the value as TOML or else as a string.

    Examples
    --------
    >>> read_setting("order=2", ""), read_setting("name=two", "")
    (('order', 2), ('name', 'two'))
    """
    key, equals, written = text.partition("=")
    if not equals or not all(part.strip() for part in key.split(".")):
        raise InputError("a setting needs the form KEY=VALUE", given=repr(text), hint=f"write, for example, {example}")
    try:
        return key.strip(), tomllib.loads(f"value = {written}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return key.strip(), written


def _set(document: dict[str, Any], override: str) -> None:
    key, value = read_setting(override, "journeys.lookback_days=14")
    *parents, last = (part.strip() for part in key.split("."))
    node = document
    if len(parents) == 2 and parents[0] == "models" and isinstance(node.get("models"), list):
        for model in _find_models(node["models"], parents[1], key):
            model[last] = value
        return
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise InputError(f"setting {key}: {parent!r} is a single value and has no keys", given=repr(override))
    node[last] = value


def _find_models(models: list[Any], name: str, key: str) -> list[dict[str, Any]]:
    """The models of a file by their name, or all of a class: ``models.TimeDecay.half_life_days`` sets them."""
    written = [model for model in models if isinstance(model, dict)]
    matches = [model for model in written if model.get("name") == name]
    matches = matches or [model for model in written if model.get("model") == name]
    if not matches:
        names = list(dict.fromkeys(str(model.get("name") or model.get("model")) for model in written))
        hint = did_you_mean(name, names)
        raise InputError(f"setting {key}: the experiment has no model {name!r}", allowed=names, hint=hint)
    return matches


def core_keys() -> list[str]:
    """What may stand at the top of an experiment file, whatever the sections."""
    return keys_of(Experiment)
