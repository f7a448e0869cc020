"""What a job tells its scheduler while it runs: one JSON object per line on stderr, without credentials."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import re
import sys
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, TextIO

Format = Literal["text", "json"]
FORMATS: dict[str, Format] = {"text": "text", "json": "json"}
Level = Literal["info", "warning", "error"]

FORMAT_VARIABLE = "ATTRIBUTION_LOG"
JOB_VARIABLE = "ATTRIBUTION_JOB"
"""Names the job in every line; unless it is set, each process has a random name of its own."""

_SECRET_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|ACCESS_KEY|API_KEY|PRIVATE", re.IGNORECASE)
_IN_ADDRESSES = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SECRET = r"((?:[\w-]*(?:secret|token|password|signature|credential|key_id))=)[^&;\s'\"]+"
_IN_QUERIES = re.compile(rf"(?i)(?<=[?&;\s]){_SECRET}")
_IN_LINKS = re.compile(rf"(?i)(?<=[?&]){_SECRET}")
_USERS = re.compile(r"(?<=://)[^/@\s'\"]+@")
_SHORTEST = 6
"""A shorter value of an environment variable is more likely a word than a secret."""

_format: Format = "text"
_every_line: dict[str, object] = {}
_last_line: dict[str, object] = {}
_stream: TextIO | None = None
"""Where lines go while standard error itself is caught; None: standard error."""


def use(format: Format) -> None:
    """From here on, write lines of JSON, or nothing."""
    global _format
    _format = format


def start_job(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Forget the job before, and write in the format that a command line or else the environment asks for.

    VersionRecord before the command line is parsed, so that what is wrong with it is a line like any other.

    Parameters
    ----------
    arguments : as `move_log_option` leaves them; a format that there is none of is refused later
    environment : may name the format and the job
    """
    asked_for = [value for name, value in pairwise(arguments) if name == "--log"]
    asked_for += [word.removeprefix("--log=") for word in arguments if word.startswith("--log=")]
    use(FORMATS.get(asked_for[0] if asked_for else environment.get(FORMAT_VARIABLE, "text"), "text"))
    _last_line.clear()
    _every_line.clear()
    _every_line["job"] = environment.get(JOB_VARIABLE) or uuid.uuid4().hex[:12]


def bind(**fields: object) -> None:
    """Put ``fields`` into every line from here on: what a job works with, such as its model."""
    _every_line.update(fields)


def count(**figures: object) -> None:
    """Put ``figures`` into the last line of the job: what came of it."""
    _last_line.update(figures)


def end_job(exit_code: int, seconds: float) -> None:
    """Write the last line: exit code, seconds, and what was counted."""
    _write("ended", "info", {"exit_code": exit_code, "seconds": round(seconds, 3), **_last_line})


def is_json() -> bool:
    """Whether lines of JSON are written."""
    return _format == "json"


def write(message: str, *, level: Level = "info", **fields: object) -> None:
    """One line: when, how bad, of which job, what, and further fields; nothing unless JSON is asked for."""
    _write(message, level, fields)


def _write(message: str, level: Level, fields: Mapping[str, object]) -> None:
    if not is_json():
        return
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    record = {"at": at, "level": level, **_every_line, "message": message, **fields}
    line = mask_secrets(json.dumps(record, ensure_ascii=False, default=str), os.environ)
    stream = sys.stderr if _stream is None else _stream
    print(line if is_shown(line, stream) else json.dumps(json.loads(line)), file=stream, flush=True)


class _Lines(io.TextIOBase):
    """A stream whose lines become lines of the log."""

    def __init__(self, source: str) -> None:
        self._source, self._rest = source, ""

    def write(self, text: str) -> int:
        *whole, self._rest = re.split(r"[\r\n]+", self._rest + text)
        for line in whole:
            self._tell(line)
        return len(text)

    def end(self) -> None:
        """Write what no end of a line follows."""
        self._tell(self._rest)
        self._rest = ""

    def _tell(self, line: str) -> None:
        if line.strip():
            level: Level = "warning" if re.search(r"\b(WARNING|ERROR)\b", line) else "info"
            write(line.strip(), level=level, source=self._source)


@contextlib.contextmanager
def catch_output(source: str) -> Iterator[None]:
    """Keep what a library prints out of the results: lines of the log if that is JSON, else standard error."""
    global _stream
    if not is_json():
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    before, lines = _stream, _Lines(source)
    _stream = sys.stderr if before is None else before
    try:
        with contextlib.redirect_stdout(lines), contextlib.redirect_stderr(lines):
            yield
    finally:
        lines.end()
        _stream = before


@contextlib.contextmanager
def catch_warnings() -> Iterator[None]:
    """Let warnings of Python be lines of the log, if that is JSON."""
    if not is_json():
        yield
        return

    def show(message: Warning | str, category: type[Warning], *_: object) -> None:
        write(str(message), level="warning", source=category.__name__)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]  # it leaves out what it does not show
        yield


def is_shown(text: str, stream: TextIO) -> bool:
    """Whether a stream has a way to write every character of ``text``."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def escape_what_is_not_shown() -> None:
    """Let a terminal get an escape such as ``\\u5ba2`` for a character that it does not know, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def mask_secrets(text: str, environment: Mapping[str, str]) -> str:
    """``text`` without credentials: in addresses, in their queries, and wherever a secret variable's value stands.

    Examples
    --------
    >>> mask_secrets("postgresql://me:pass@host/db?sslpassword=abc and hunter22", {"DB_PASSWORD": "hunter22"})
    'postgresql://***@host/db?sslpassword=*** and ***'
    """
    for name, value in environment.items():
        if _SECRET_NAMES.search(name) and len(value) >= _SHORTEST:
            text = text.replace(json.dumps(value, ensure_ascii=False)[1:-1], "***").replace(value, "***")
    return _IN_QUERIES.sub(r"\1***", _IN_ADDRESSES.sub("***", text))


def without_credentials(text: str) -> str:
    """What may be kept of a text: addresses without users and passwords, their queries without secrets.

    Examples
    --------
    >>> without_credentials("uri = 'https://me:pass@host/mlflow', 's3://bucket/a?X-Amz-Signature=abc', token=5")
    "uri = 'https://host/mlflow', 's3://bucket/a?X-Amz-Signature=***', token=5"
    """
    return _IN_LINKS.sub(r"\1***", _USERS.sub("", text))


def move_log_option(arguments: Sequence[str]) -> list[str]:
    """Arguments with ``--log FORMAT`` in front of the command, wherever it was given.

    Examples
    --------
    >>> move_log_option(["score", "models/shop", "--log", "json"]), move_log_option(["run", "--log=json", "a.toml"])
    (['--log', 'json', 'score', 'models/shop'], ['--log=json', 'run', 'a.toml'])
    """
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--log":
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith("--log="):
            front.append(word)
        else:
            rest.append(word)
    return front + rest
