"""What a job tells its scheduler while it runs: one JSON object per line on stderr, without credentials."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Literal, TextIO

Format = Literal["text", "json"]
FORMATS: dict[str, Format] = {"text": "text", "json": "json"}
Level = Literal["info", "warning", "error"]

_SECRET_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|ACCESS_KEY|API_KEY|PRIVATE", re.IGNORECASE)
_IN_ADDRESSES = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SECRET = r"((?:[\w-]*(?:secret|token|password|signature|credential|key_id))=)[^&;\s'\"]+"
_IN_QUERIES = re.compile(rf"(?i)(?<=[?&;\s]){_SECRET}")
_IN_LINKS = re.compile(rf"(?i)(?<=[?&]){_SECRET}")
_USERS = re.compile(r"(?<=://)[^/@\s'\"]+@")
_SHORTEST = 6
"""A shorter value of an environment variable is more likely a word than a secret."""

_format: Format = "text"


def use(format: Format) -> None:
    """From here on, write lines of JSON, or nothing."""
    global _format
    _format = format


def is_json() -> bool:
    """Whether lines of JSON are written."""
    return _format == "json"


def write(message: str, *, level: Level = "info", **fields: object) -> None:
    """One line: when, how bad, what, and further fields; nothing unless JSON is asked for."""
    if not is_json():
        return
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    record = {"at": at, "level": level, "message": message, **fields}
    line = mask_secrets(json.dumps(record, ensure_ascii=False, default=str), os.environ)
    print(line if is_shown(line, sys.stderr) else json.dumps(json.loads(line)), file=sys.stderr, flush=True)


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
