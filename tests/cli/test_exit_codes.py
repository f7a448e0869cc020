"""Exit codes tell a scheduler what to do: 4 is to be tried again, 2 is to be mended."""

from __future__ import annotations

import contextlib
import errno
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import DatabaseError, OperationalError

from attribution.errors import InputError, TrackingError, UnavailableError
from attribution.folders import lock_or_refuse, write_error
from attribution.pipeline.stores import choose_store
from attribution.tracking.mlflow_store import call_store
from tests.cli.test_cli import call
from tests.decisions.comparison.test_comparison import small_log

AWAY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, 4), (errno.EDQUOT, 4), (errno.EIO, 4), (errno.EACCES, 2), (errno.ENOTDIR, 2), (errno.EROFS, 2)],
)
def test_a_full_disk_passes_and_a_missing_permission_does_not(number: int, code: int) -> None:
    assert write_error("x cannot be written", OSError(number, "why")).exit_code == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperationalError("select 1", {}, Exception("database is locked")), 4),
        (OperationalError("select 1", {}, Exception("unable to open database file")), 2),
        (DatabaseError("select 1", {}, Exception("file is not a database")), 2),
        (MlflowException("API request failed with exception HTTPConnectionPool: Max retries exceeded"), 4),
        (MlflowException("no such experiment"), 2),
        (OSError(errno.ENOSPC, "no space"), 4),
        (PermissionError(errno.EACCES, "not allowed"), 2),
        (ConnectionResetError("reset"), 4),
    ],
)
def test_a_store_that_is_busy_or_away_passes(error: Exception, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attribution.tracking.mlflow_store._PAUSE_SECONDS", 0.0)

    def fail() -> str:
        raise error

    with pytest.raises(TrackingError) as refused:
        call_store(fail, None, choose_store(AWAY))
    assert refused.value.exit_code == code


def test_a_held_lock_is_tried_again(tmp_path: Path) -> None:
    once, twice = (lock_or_refuse(tmp_path / "lock", "in use") for _ in range(2))
    with once, pytest.raises(UnavailableError) as refused, twice:
        raise AssertionError("two hold it")
    assert refused.value.exit_code == 4
    assert isinstance(refused.value, InputError)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has locks of its own")
def test_two_machines_on_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems know no lock: then it is the file itself that says that a job is at work."""
    import fcntl

    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    once, twice = (lock_or_refuse(tmp_path / "lock", "in use") for _ in range(2))
    with once, pytest.raises(UnavailableError, match="in use"), twice:
        raise AssertionError("two hold it")
    with lock_or_refuse(tmp_path / "lock", "in use"):
        pass


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    small_log(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return lambda *arguments: call(monkeypatch, *arguments)


def test_commands_that_need_a_server_that_is_away(shop: Callable[..., int], tmp_path: Path) -> None:
    toml = next(tmp_path.glob("*.toml"))
    assert shop("run", toml, "--out", "run", "--set", "tracking.enabled=true", "--set", f"tracking.uri={AWAY}") == 4
    assert (tmp_path / "run" / "returns.parquet").is_file()
    assert shop("track", "run") == 4
    away = ("--tracking-uri", AWAY)
    logs = ("--touchpoints", "t.csv", "--conversions", "c.csv")
    assert shop("score", "models:/shop@champion", *logs, "--out", "scores", *away) == 4
    assert shop("monitor", "models:/shop@champion", *logs, *away) == 4
    assert shop("promote", "shop", "--rollback", *away) == 4
    assert shop("export", "0" * 32, "--model", "last_touch", *away) == 4
    assert not (tmp_path / "scores").exists()


class SignIn(BaseHTTPRequestHandler):
    """A page in place of the server; ``seconds`` pass before it comes."""

    seconds = 0.0

    def do_GET(self) -> None:
        time.sleep(self.seconds)
        page = b"<html><body>Sign in</body></html>"
        with contextlib.suppress(ConnectionError):
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("seconds", "code", "said"), [(0.0, 2, "not in a valid JSON format"), (3.0, 4, "timed out")])
def test_a_page_in_place_of_the_server_is_to_be_mended_and_a_slow_one_is_tried_again(
    seconds: float,
    code: int,
    said: str,
    shop: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    handler = type("Slow", (SignIn,), {"seconds": seconds})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        logs = ("--touchpoints", "t.csv", "--conversions", "c.csv")
        ended = shop("score", "models:/shop@champion", *logs, "--out", "scores", "--tracking-uri", address)
        server.shutdown()
    assert ended == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "scores").exists()


def test_a_folder_that_another_run_writes(shop: Callable[..., int], tmp_path: Path) -> None:
    toml = next(tmp_path.glob("*.toml"))
    with lock_or_refuse(tmp_path / ".run.lock", "in use"):
        assert shop("run", toml, "--out", "run") == 4
    assert shop("run", toml, "--out", "run") == 0
