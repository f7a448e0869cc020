"""A run that is already there: with the same data, the same settings and the same code it is not made again."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path

from attribution.data.engine import Engine
from attribution.data.loading import content_digest
from attribution.pipeline.builders import make_models, open_sources
from attribution.pipeline.provenance import code_version
from attribution.pipeline.sections import load_sections
from attribution.schema.experiment import Experiment

MANIFEST = "manifest.json"


def content_key(experiment: Experiment, digests: Mapping[str, str]) -> str:
    """16 hexadecimal digits of all that decides what a run gives: settings, content of its tables, code.

    Where it is logged decides nothing. Of models of one's own the file that holds the class counts.

    Parameters
    ----------
    experiment : what is asked for
    digests : fingerprint of the content of each input table
    """
    settings = experiment.model_dump(exclude={"tracking"})
    content = [settings, dict(digests), code_version(), _own_files(experiment)]
    text = json.dumps(content, sort_keys=True, default=str)
    return _digest(text.encode("utf-8", "surrogatepass"))


def data_digest(digests: Mapping[str, str]) -> str:
    """16 hexadecimal digits of the content of all input tables."""
    return _digest(json.dumps(dict(digests), sort_keys=True).encode())


def is_there(experiment: Experiment, folder: Path, *, engine: Engine | None = None) -> bool:
    """Whether ``folder`` holds all of what a run of ``experiment`` would give now.

    Its tables are read to learn what is in them; nothing is fitted.

    Raises
    ------
    InputError
        If the experiment or its data are wrong.
    """
    manifest = _whole(folder)
    if manifest is None:
        return False
    experiment = load_sections().check_options(experiment)
    make_models(experiment)
    sources = open_sources(experiment, engine)
    digests = {name: content_digest(sources, name) for name in sources.tables}
    return content_key(experiment, digests) == manifest["content"]


def _whole(folder: Path) -> dict[str, str] | None:
    """The manifest of a finished run, if every table that it names is as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        tables = {folder / f"{name}.parquet": digest for name, digest in manifest["tables"].items()}
        as_written = all(_digest(path.read_bytes()) == digest for path, digest in tables.items())
        beside = all((folder / name).is_file() for name in ("report.html", "experiment.toml", "record.json"))
        return manifest if as_written and beside and manifest["content"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _own_files(experiment: Experiment) -> list[str]:
    """Digests of what decides too: models of one's own, a file of channel rules, sections of other packages."""
    own = [spec.model for spec in experiment.models if ":" in spec.model]
    made = make_models(experiment) if own else []
    kinds = [type(model) for model in made if not type(model).__module__.startswith("attribution.")]
    paths = [Path(path) for path in map(inspect.getsourcefile, kinds) if path is not None]
    paths += load_sections().files
    if "file" in experiment.channels:
        paths.append(experiment.folder / str(experiment.channels["file"]))
    return [_digest(path.read_bytes()) for path in paths]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
