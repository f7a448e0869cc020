"""The folder of a scorer: written whole or not at all, and read only if unchanged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attribution.data.engine import check_local
from attribution.errors import InputError
from attribution.folders import check_format, existing_folder, replace_folder, write_error

SCHEMA_VERSION = 1
"""Of the files in the folder; a higher one was written by a newer version of this package."""

MANIFEST = "manifest.json"
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?")


@contextlib.contextmanager
def write_folder(path: Path, name: str) -> Iterator[Path]:
    """A new empty folder that becomes the scorer ``name`` at ``path`` if the block raises no error.

    Raises
    ------
    InputError
        If ``path`` holds anything but an earlier scorer of this name, cannot be written, or another process is
        writing it.
    """
    check_local(path)
    _check_target(existing_folder(path), name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_folder(path, f"another process is writing the model folder {path}") as staging:
            yield staging
    except OSError as error:
        raise write_error(f"model folder {path} cannot be written", error) from None


def seal(folder: Path, content: Mapping[str, Any], annotations: Mapping[str, Any]) -> str:
    """Write the manifest of all files in ``folder``; return the version, a digest of their content.

    Parameters
    ----------
    content : further entries that the version depends on
    annotations : further entries that it does not, such as times
    """
    files = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    content = {"schema_version": SCHEMA_VERSION, **content, "files": files}
    version = _version(content)
    document = {**content, "version": version, **annotations}
    (folder / MANIFEST).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return version


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a scorer's folder, after a check that no file has changed.

    Raises
    ------
    InputError
        If there is no folder, or it is incomplete, was changed, or has another format.
    """
    if not folder.is_dir():
        raise InputError(
            f"model folder {folder} does not exist", hint="write it with: attribution export RUN --to models/NAME"
        )
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        schema, files = manifest["schema_version"], dict(manifest["files"])
        content = {name: manifest[name] for name in ("schema_version", "name", "files")}
    except FileNotFoundError:
        raise InputError(
            f"model folder {folder} has no {MANIFEST}",
            hint="it is not an exported model, or not all of it was copied: copy or export it again",
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"model folder {folder}: {MANIFEST} cannot be read: {error}") from None
    check_format(f"model folder {folder}", schema, SCHEMA_VERSION, again="attribution export RUN --to FOLDER")
    for name, digest in files.items():
        _check_file(folder, str(name), str(digest))
    if manifest.get("version") != _version(content):
        raise InputError(
            f"model folder {folder}: {MANIFEST} was changed after it was written", hint="export the model again"
        )
    return manifest


def name_in(folder: Path) -> str | None:
    """The name of the scorer in ``folder``; None where there is none."""
    try:
        document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return str(document["name"]) if "files" in document else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _check_target(path: Path, name: str) -> None:
    if path.is_file():
        raise InputError(f"model folder {path} is a file", hint="name a folder")
    if not path.exists() or not any(path.iterdir()):
        return
    existing = name_in(path)
    if existing != name:
        holds = "something else" if existing is None else f"the model {existing!r}"
        raise InputError(
            f"model folder {path} holds {holds}",
            given=f"model {name!r}",
            hint="name another folder, or remove this one first",
        )


def _check_file(folder: Path, name: str, digest: str) -> None:
    if not _PATH.fullmatch(name):
        raise InputError(f"model folder {folder}: {MANIFEST} names a file outside the folder", given=repr(name))
    try:
        actual = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except OSError:
        raise InputError(f"model folder {folder}: file {name} is missing", hint="copy the folder again") from None
    if actual != digest:
        raise InputError(
            f"model folder {folder}: file {name} has changed since the export: its checksum differs",
            hint="export the model again",
        )


def _version(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
