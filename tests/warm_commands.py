"""Commands without the seconds that each would take to import: a process that has imported all answers with a fork.

``warm_commands.py SOCKET`` waits for commands there; ``warm_commands.py SOCKET -- ARGUMENTS`` has them run in the
folder, environment, umask, input and output of its own, and ends as they do. The latter needs the standard library
alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def ask(address: str, arguments: list[str]) -> int:
    """Have a command run; its exit code."""
    umask = os.umask(0)
    os.umask(umask)
    asked = {"arguments": arguments, "folder": os.getcwd(), "umask": umask, "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        content = json.dumps(asked).encode()
        socket.send_fds(connection, [len(content).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(content)
        return int(connection.makefile().read() or 1)


def wait_for_commands(address: str) -> None:
    """Answer each in a child of its own."""
    import duckdb  # noqa: F401
    import pandas  # noqa: F401

    import attribution.cli.main
    import attribution.decisions.comparison
    import attribution.pipeline.output
    import attribution.reporting.report  # noqa: F401

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    answer(connection)
                    return


def answer(connection: socket.socket) -> None:
    """Be the command, and in a process beside it, tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = os.fork()
    if command:
        code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        connection.sendall(str(code).encode())
        os._exit(0)
    size, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    for own, given in enumerate(descriptors):
        os.dup2(given, own)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(own, mode, closefd=False) for own, mode in enumerate("rww"))
    asked = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    os.chdir(asked["folder"])
    os.umask(asked["umask"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["attribution", *asked["arguments"]]
    from attribution.cli.main import command as attribution

    attribution()


@contextlib.contextmanager
def warm(folder: Path) -> Iterator[list[str]]:
    """The words that a command begins with in place of ``attribution``."""
    address = str(folder / "commands")
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-W", "ignore", __file__, address]
    waiting = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(root)})
    try:
        while not Path(address).exists():
            assert waiting.poll() is None
            time.sleep(0.02)
        yield [sys.executable, "-I", "-S", __file__, address, "--"]
    finally:
        waiting.kill()
        waiting.wait()


if __name__ == "__main__":
    if "--" in sys.argv:
        sys.exit(ask(sys.argv[1], sys.argv[3:]))
    wait_for_commands(sys.argv[1])
