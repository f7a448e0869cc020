"""A PostgreSQL server of a test's own: made, started and taken away again."""

from __future__ import annotations

import contextlib
import io
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

LEAST = 15
"""From this version on the order of texts can be that of a language, whatever languages the machine knows."""

TYPES = {"f": "double precision", "i": "bigint", "b": "boolean", "M": "timestamp"}


def binary(name: str) -> str | None:
    """Where a program of PostgreSQL is; Debian keeps those of the server apart."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(kept[-1]) if kept else None)


def why_not() -> str | None:
    """Why no server can run here."""
    missing = [name for name in ("initdb", "postgres", "psql") if binary(name) is None]
    if missing:
        return f"PostgreSQL is missing ({', '.join(missing)}): apt-get install postgresql"
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

    def select(self, sql: str, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """The rows of ``sql`` over ``tables``, all columns as texts."""
        script = "".join(_load(name, frame) for name, frame in tables.items())
        script += f"copy (\n{sql}\n) to stdout with (format csv, header);\n"
        found = _psql(self.folder, script)
        if found.returncode:
            raise AssertionError(found.stderr)
        return pd.read_csv(io.StringIO(found.stdout), dtype=str, keep_default_na=False, na_values=[""])


def _load(name: str, frame: pd.DataFrame) -> str:
    columns = ", ".join(f"{column} {TYPES.get(frame[column].dtype.kind, 'text')}" for column in frame)
    rows = frame.to_csv(index=False, header=False)
    return f"create temp table {name} ({columns});\ncopy {name} from stdin with (format csv);\n{rows}\\.\n"


def _psql(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    command = [str(binary("psql")), "-h", str(folder), "-U", "attribution", "-d", "postgres", "-X", "-q"]
    settings = {**os.environ, "PGCLIENTENCODING": "UTF8"}
    asked = [*command, "-v", "ON_ERROR_STOP=1"]
    return subprocess.run(asked, input=script, capture_output=True, text=True, check=False, env=settings)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server whose texts are ordered as in English, not by code point."""
    user = _unprivileged() if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        made = [str(binary("initdb")), "-D", f"{name}/data", "-U", "attribution", "--auth=trust", "--no-sync"]
        made += ["--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US"]
        subprocess.run(made, check=True, capture_output=True, user=user, cwd=name)
        told = [
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "jit=off",
            "-c",
            "max_parallel_workers_per_gather=0",
        ]
        with (folder / "log").open("wb") as log:
            command = [str(binary("postgres")), "-D", f"{name}/data", "-k", name, *told]
            server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=name)
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


def _wait(folder: Path, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if server.poll() is not None:
            break
        if _psql(folder, "select 1;").returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"the server does not start: {(folder / 'log').read_text(errors='replace')}")
