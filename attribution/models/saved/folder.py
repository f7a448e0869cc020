"""The folder of a scorer: written whole or not at all, and read only if nothing in it has changed."""

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
from attribution.folders import check_format, existing_folder, replace_folder

SCHEMA_VERSION = 1
"""Of the files in the folder; a higher one was written by a newer version of this package."""

MANIFEST = "manifest.json"
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?")


@contextlib.contextmanager
def written_folder(path: Path, name: str) -> Iterator[Path]:
    """A new empty folder that becomes the scorer ``name`` at ``path`` if the block ends well.

    Raises
    ------
    InputError
        If ``path`` holds anything but an earlier scorer of this name, cannot be written, or another process is
        writing it.
    """
    check_local(path)
    _check_place(existing_folder(path), name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_folder(path, f"another process is writing the model folder {path}") as aside:
            yield aside
    except OSError as error:
        raise InputError(f"model folder {path} cannot be written: {error.strerror or error}") from None


def seal(folder: Path, facts: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """Write the manifest of all files in ``folder``; return the version, which their content alone decides.

    Parameters
    ----------
    facts : further entries that the version depends on
    told : further entries that it does not, such as times
    """
    files = {
        found.relative_to(folder).as_posix(): hashlib.sha256(found.read_bytes()).hexdigest()
        for found in sorted(folder.rglob("*"))
        if found.is_file() and found.name != MANIFEST
    }
    facts = {"schema_version": SCHEMA_VERSION, **facts, "files": files}
    version = _version(facts)
    document = {**facts, "version": version, **told}
    (folder / MANIFEST).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return version


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a scorer's folder, once every file is as it was when it was written.

    Raises
    ------
    InputError
        If the folder is none, is copied in part, was changed, or has another format.
    """
    if not folder.is_dir():
        raise InputError(f"model folder {folder} does not exist", hint="attribution export RUN --to models/NAME")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        schema, files = manifest["schema_version"], dict(manifest["files"])
        facts = {name: manifest[name] for name in ("schema_version", "name", "files")}
    except FileNotFoundError:
        raise InputError(
            f"model folder {folder} has no {MANIFEST}", hint="it is no exported model, or was copied in part"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"model folder {folder}: {MANIFEST} cannot be read: {error}") from None
    check_format(f"model folder {folder}", schema, SCHEMA_VERSION, again="attribution export RUN --to FOLDER")
    for name, digest in files.items():
        _check_file(folder, str(name), str(digest))
    if manifest.get("version") != _version(facts):
        raise InputError(f"model folder {folder}: {MANIFEST} was changed after it was written")
    return manifest


def name_in(folder: Path) -> str | None:
    """The name of the scorer in ``folder``; None where there is none."""
    try:
        document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return str(document["name"]) if "files" in document else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _check_place(path: Path, name: str) -> None:
    if path.is_file():
        raise InputError(f"model folder {path} is a file")
    if not path.exists() or not any(path.iterdir()):
        return
    found = name_in(path)
    if found != name:
        holds = "something else" if found is None else f"the model {found!r}"
        raise InputError(
            f"model folder {path} holds {holds}",
            given=f"model {name!r}",
            hint="name another folder, or remove it first",
        )


def _check_file(folder: Path, name: str, digest: str) -> None:
    if not _PATH.fullmatch(name):
        raise InputError(f"model folder {folder}: {MANIFEST} names a file outside it", given=repr(name))
    try:
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except OSError:
        raise InputError(
            f"model folder {folder}: file {name} is missing", hint="it was copied in part: copy it again"
        ) from None
    if found != digest:
        raise InputError(
            f"model folder {folder}: file {name} is not what was exported: its checksum is wrong",
            hint="it was changed or cut off: export the model again",
        )


def _version(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
