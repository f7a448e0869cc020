"""Folders replaced whole, by one process at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from filelock import FileLock, Timeout, lock_descriptor

from attribution.errors import InputError, UnavailableError

_SPILL = "attribution-spill-"
_LOCK = ".lock"


@contextlib.contextmanager
def replace_folder(path: Path, refused: str) -> Iterator[Path]:
    """A new empty folder that takes the place of ``path`` when the block ends well, and vanishes otherwise.

    Two folders cannot change places in one step, so the one that was there waits beside. A process that is killed
    between the steps leaves it there, where `existing_folder` finds it, and the next one puts it back.

    Raises
    ------
    UnavailableError
        ``refused``, if another process is replacing it.
    OSError
        If it cannot be written.
    """
    staging, old = _beside(path, "new"), _beside(path, "old")
    with _lock_meanwhile(_beside(path, "lock"), refused):
        if old.exists() and not path.exists():
            old.rename(path)
        for left in (staging, old):
            shutil.rmtree(left, ignore_errors=True)
        staging.mkdir()
        try:
            yield staging
            sync_tree(staging)
            if path.exists():
                path.rename(old)
            staging.rename(path)
            sync(path.parent)
        finally:
            if old.exists() and not path.exists():
                old.rename(path)
            shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder: what is only in memory goes when the host does."""
    if sys.platform == "win32" and path.is_dir():  # whose folders cannot be opened, and are journalled
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """`sync` of ``folder`` and of all that is in it, folders after what they hold."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)


def existing_folder(path: Path) -> Path:
    """Where the folder ``path`` is: there, or beside, if a process was killed while it replaced it."""
    old = _beside(path, "old")
    return old if old.is_dir() and not path.exists() else path


def _beside(path: Path, what: str) -> Path:
    path = path.absolute()
    return path.with_name(f".{path.name}.{what}")


@contextlib.contextmanager
def lock_or_refuse(path: Path, refused: str) -> Iterator[None]:
    """Hold the lock file ``path``; however a process ends, the system lets go of it.

    Raises
    ------
    UnavailableError
        ``refused``, if another process holds it.
    OSError
        If the file cannot be made.
    """
    lock = FileLock(path, timeout=0)
    try:
        with warnings.catch_warnings():
            # Where a file system has no locks, the file itself is one, and there is nothing for the user to do.
            warnings.filterwarnings("ignore", "flock not supported")
            lock.acquire()
    except Timeout:
        raise UnavailableError(refused, hint="wait for it to end") from None
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock file ``path``; it may not be there.

    To know, the lock is tried: a job that begins in that moment is refused, and tries again.
    """
    try:
        with path.open("rb") as file:
            return not lock_descriptor(file.fileno(), blocking=False)
    except OSError:
        return False


def is_replacing(path: Path) -> bool:
    """Whether a process is replacing the folder ``path``, see `replace_folder`."""
    return is_locked(_beside(path, "lock"))


def is_half_replaced(path: Path) -> bool:
    """Whether something is left of a process that was to replace the folder ``path``: at work, or killed."""
    return any(_beside(path, what).is_dir() for what in ("new", "old"))


@contextlib.contextmanager
def _lock_meanwhile(path: Path, refused: str) -> Iterator[None]:
    """`lock_or_refuse` with a file that goes when it is let go of: the next process makes another."""
    with lock_or_refuse(path, refused):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows keeps a file that is open
                path.unlink()


def spill_folder() -> tuple[Path, Callable[[], None]]:
    """A new folder for what does not fit in memory, and what removes it; those of the dead are removed.

    A lock says that it is in use. Process numbers would not do: containers that share a folder have the same ones.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_SPILL}*/{_LOCK}"):
        with contextlib.suppress(OSError), left.open("r+") as file:
            if lock_descriptor(file.fileno(), blocking=False):
                shutil.rmtree(left.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_SPILL))
    draft = folder / f"{_LOCK}.draft"
    lock = draft.open("w")
    lock_descriptor(lock.fileno(), blocking=False)
    # Nobody sees a lock that is not held.
    draft.rename(folder / _LOCK)

    def remove() -> None:
        lock.close()
        shutil.rmtree(folder, ignore_errors=True)

    return folder, remove


def check_inside(folder: Path, name: str) -> None:
    """Refuse a ``name`` that leads out of ``folder``: by its name, or by a link on the way.

    Raises
    ------
    InputError
        Naming the place.
    """
    path = PurePosixPath(name)
    steps = (*path.parts, *PureWindowsPath(name).parts)
    named_outside = not path.parts or path.is_absolute() or bool(PureWindowsPath(name).anchor) or ".." in steps
    if named_outside or not (folder / name).parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"the plan of a job in {folder} names a file outside of that folder",
            given=repr(name),
            hint="it was not written by this package: remove the folder .scoring in it, and score again",
        )


# ------------------------------------------------------------ formats


def check_format(what: str, value: object, newest: int, *, again: str) -> None:
    """Refuse what another version wrote and this one cannot read.

    Parameters
    ----------
    what : the file or folder
    value : the number of its format, as it was read
    newest : the highest number that this version reads; it reads all from 1
    again : how it is made again

    Raises
    ------
    InputError
        With the format that it has, the formats that are read, and how to migrate.

    Examples
    --------
    >>> check_format("folder runs/shop", 1, 2, again="attribution run shop.toml")
    """
    number = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if 1 <= number <= newest:
        return
    raise InputError(
        f"{what} has a format that this version does not read",
        given=f"format {value}",
        allowed="format 1" if newest == 1 else f"formats 1 to {newest}",
        hint=f"update the package, or make it again: {again}" if number > newest else f"make it again: {again}",
    )


# ------------------------------------------------------------ what cannot be written

_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN)
"""A disk that is full, or away: the same job may succeed later."""


def write_error(problem: str, error: OSError, *, hint: str | None = None) -> InputError:
    """The error for what could not be written: one to try again where the disk is full or away.

    Examples
    --------
    >>> write_error("folder out cannot be written", OSError(errno.ENOSPC, "No space left on device")).exit_code
    4
    >>> print(write_error("folder out cannot be written", PermissionError(errno.EACCES, "Permission denied")))
    folder out cannot be written: Permission denied.
    """
    kind = UnavailableError if error.errno in _PASSING else InputError
    reason = "no space is left on the disk" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return kind(f"{problem}: {reason}", hint=hint)
