"""Objects in stores such as S3 and Google Cloud Storage: found, opened, and shown to DuckDB as files.

Credentials come from the environment of the process, where the stores' own tools look for them, and are kept nowhere.
"""

from __future__ import annotations

import datetime as dt
import functools
import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from attribution.errors import InputError, UnavailableError, shorten
from attribution.logs import mask_secrets

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_EXTRA = "pip install 'journey-attribution[cloud]'"
_GOOGLE = "https://storage.googleapis.com"
_PATIENCE = dt.timedelta(seconds=30)
"""Google's client would look for credentials for a quarter of an hour."""

STORES = {
    "s3": "credentials are read from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or ~/.aws, the region from AWS_REGION",
    "gs": "credentials are read from GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY (an HMAC key), "
    "or from GOOGLE_APPLICATION_CREDENTIALS",
}
"""Kinds of stores, and what may be wrong where one does not answer."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_IN_SQL = re.compile(rf"'({'|'.join(STORES)})://", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class RemotePath:
    """An object in a store; what of `pathlib.Path` reading files needs.

    Attributes
    ----------
    scheme : one of `STORES`
    key : bucket, a slash, and the name of the object

    Examples
    --------
    >>> path = RemotePath("s3", "bucket/touches/day=1/a.csv.gz")
    >>> str(path), path.name, path.suffixes
    ('s3://bucket/touches/day=1/a.csv.gz', 'a.csv.gz', ['.csv', '.gz'])
    """

    scheme: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return PurePosixPath(self.key).name

    @property
    def suffixes(self) -> list[str]:
        """Its endings."""
        return PurePosixPath(self.key).suffixes

    def absolute(self) -> RemotePath:
        """Itself."""
        return self


def is_remote(name: object) -> bool:
    """Whether this is the address of something in a store, or anywhere else that is no folder.

    Examples
    --------
    >>> is_remote("s3://bucket/a.parquet"), is_remote("data/a.parquet"), is_remote("C:/a.parquet")
    (True, False, False)
    """
    return isinstance(name, str) and _ADDRESS.match(name) is not None


def check_local(folder: Path) -> None:
    """Refuse an output folder that is the address of a store.

    Raises
    ------
    InputError
        If it is one; as a path it would be a folder of that name here.
    """
    first, _, rest = str(folder).partition("/")
    if len(first) > 2 and first.endswith(":") and rest:
        raise InputError(
            "output cannot be written to an object store, which has no way to rename a folder",
            given=f"{first}//{rest.lstrip('/')}",
            hint="write to a local folder, and copy it to the store afterwards",
        )


def find_remote(table: str, address: str) -> list[RemotePath]:
    """The objects that an address names, which may be a pattern as of `glob`; sorted by name.

    Raises
    ------
    InputError
        If nothing is there, the store does not answer, or the address names a user.
    """
    match = _ADDRESS.match(address)
    assert match is not None
    scheme, key = match[1].lower(), match[2]
    if scheme not in STORES:
        raise InputError(
            f"table {table!r}: addresses of this kind cannot be read", given=f"{scheme}://", allowed=[*STORES, "a path"]
        )
    if "@" in key.partition("/")[0]:
        raise InputError(
            f"table {table!r}: an address must not contain credentials, because addresses are saved with the run",
            hint=STORES[scheme],
        )
    try:
        return _list_files(table, RemotePath(scheme, key))
    except OSError as error:
        raise _away(table, scheme, error) from None


def _list_files(table: str, path: RemotePath) -> list[RemotePath]:
    from pyarrow.fs import FileSelector, FileType

    store = filesystem(path.scheme)
    fixed = _fixed_folders(path.key)
    if not fixed:
        raise InputError(f"table {table!r}: an address must begin with the name of a bucket", given=str(path))
    info = store.get_file_info(path.key)
    if info.type == FileType.File:
        return [path]
    if not glob.has_magic(path.key):
        if info.type == FileType.Directory:
            raise InputError(f"table {table!r}: {path} is a folder", hint=f"give its files: {path}/*.parquet")
        raise InputError(f"table {table!r}: file {path} does not exist")
    pattern = path.key.split("/")
    is_deep = len(pattern) > len(fixed) + 1 or "**" in pattern
    below = store.get_file_info(FileSelector("/".join(fixed), allow_not_found=True, recursive=is_deep))
    names = sorted(one.path for one in below if one.type == FileType.File and _matches(one.path.split("/"), pattern))
    if not names:
        raise InputError(f"table {table!r}: no file matches {path}")
    return [RemotePath(path.scheme, name) for name in names]


def _fixed_folders(key: str) -> list[str]:
    """The folders before the first that is a pattern."""
    folders = key.split("/")[:-1]
    first = next((index for index, name in enumerate(folders) if glob.has_magic(name)), len(folders))
    return folders[:first]


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches, folder by folder; ``**`` stands for any number of them, as in `glob`."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        ended = next((index for index, name in enumerate(names) if name.startswith(".")), len(names))
        return any(_matches(names[index:], pattern[1:]) for index in range(ended + 1))
    if not names or (names[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


# ---------------------------------------------------------------- stores


@functools.cache
def filesystem(scheme: str) -> FileSystem:
    """The store as Arrow knows it, with the credentials of this process."""
    from pyarrow import fs

    env = os.environ
    if scheme == "s3":
        return fs.S3FileSystem(
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION"),
            endpoint_override=env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL"),
        )
    if "GS_ACCESS_KEY_ID" in env:
        # Google answers in the language of S3 to whoever has such a key.
        return fs.S3FileSystem(
            access_key=env["GS_ACCESS_KEY_ID"],
            secret_key=env.get("GS_SECRET_ACCESS_KEY"),
            region="auto",
            endpoint_override=env.get("GS_ENDPOINT_URL", _GOOGLE),
        )
    return fs.GcsFileSystem(retry_time_limit=_PATIENCE)


def open_file(path: Path | RemotePath) -> pa.NativeFile | Path:
    """What Arrow reads a file from, anywhere in it."""
    return path if isinstance(path, Path) else filesystem(path.scheme).open_input_file(path.key)


def open_stream(path: Path | RemotePath) -> pa.NativeFile:
    """The file from its beginning, unpacked where it is packed."""
    if isinstance(path, Path):
        return pa.input_stream(str(path), compression="detect")
    return filesystem(path.scheme).open_input_stream(path.key, compression="detect")


def schemes_of(paths: Iterable[Path | RemotePath]) -> set[str]:
    """The kinds of stores that files are in."""
    return {path.scheme for path in paths if isinstance(path, RemotePath)}


def schemes_in(sql: str) -> set[str]:
    """The kinds of stores that a query reads from.

    Examples
    --------
    >>> schemes_in("select * from 's3://bucket/*.parquet' where channel <> 'gs'")
    {'s3'}
    """
    return {scheme.lower() for scheme in _IN_SQL.findall(sql)}


def attach(connection: Any, schemes: Iterable[str]) -> None:
    """Let a connection of DuckDB read from these stores with its own readers, which fetch the columns that they need.

    Raises
    ------
    InputError
        If the package that stands between the two is not installed.
    """
    for scheme in sorted(schemes):
        if not connection.filesystem_is_registered(scheme):
            connection.register_filesystem(_fsspec_view(scheme))


@functools.cache
def _fsspec_view(scheme: str) -> Any:
    try:
        from fsspec.implementations.arrow import ArrowFSWrapper
    except ImportError:
        raise InputError(f"{scheme}:// needs the package fsspec, which is not installed", hint=_EXTRA) from None

    class Store(ArrowFSWrapper):  # type: ignore[misc]  # fsspec has no types
        protocol = scheme
        cachable = False

    return Store(filesystem(scheme))


def _away(table: str, scheme: str, error: OSError) -> InputError:
    reason = shorten(" ".join(mask_secrets(str(error), os.environ).split()), 300)
    return UnavailableError(f"table {table!r}: {scheme}:// does not answer: {reason}", hint=STORES[scheme])
