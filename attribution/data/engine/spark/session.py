"""The Spark session: the active one, or else a new one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.errors import InputError, shorten

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

LEAST_JAVA = 17
_EXTRA = "pip install 'journey-attribution[spark]'"

_OF_CONTEXT = {
    "spark.app.name": "attribution",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
    "spark.driver.memory": "4g",
    "spark.driver.maxResultSize": "2g",
}
_ON_ONE_MACHINE = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "8",
}
_OF_SESSION = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.variable.substitute": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Spark's 10,000 would have the handing over of batches cost more than the work on them.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
    "spark.sql.parquet.binaryAsString": "false",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
}
"""What our SQL means depends on these, so that the user's session must not decide them."""


def check_packages() -> None:
    """Raise `InputError` unless the packages of the extra are there."""
    for package in ("pyspark", "sqlglot"):
        if importlib.util.find_spec(package) is None:
            raise InputError(f"engine 'spark' needs the package {package}, which is not installed", hint=_EXTRA)


def check_java() -> None:
    """Raise `InputError` unless a Java that runs Spark is found where Spark will look for it."""
    needed = f"engine 'spark' needs Java {LEAST_JAVA} or later"
    hint = f"install it, for instance openjdk-{LEAST_JAVA}-jre-headless, or set JAVA_HOME to its folder"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java is None:
        raise InputError(f"{needed}, but it was not found", given=f"JAVA_HOME = {home}" if home else None, hint=hint)
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{needed}, and {java} cannot be run: {error}", hint=hint) from None
    version = re.search(r'version "(\d+)', done.stderr + done.stdout)
    if version is None or int(version[1]) < LEAST_JAVA:
        output = " ".join((done.stderr + done.stdout).split())
        raise InputError(needed, given=f"{java}: {shorten(output, 200)}", hint=hint)


def open_session(master: str | None, config: Mapping[str, str]) -> tuple[SparkSession, bool]:
    """A session with views and settings of its own, and whether Spark was started for it.

    Raises
    ------
    InputError
        If Spark cannot start, or is told to start where a session is active already.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    context = SparkContext._active_spark_context
    if context is not None and (master is not None or config):
        raise InputError(
            "these settings need a new Spark session, and one is active already",
            given=", ".join([*([f"master = {master!r}"] if master else []), *config]),
            hint="leave these settings out, or stop the active session",
        )
    own = context is None
    context = context or _start(master or "local[*]", config)
    session = SparkSession(context).newSession()
    for name, value in _OF_SESSION.items():
        session.conf.set(name, value)
    return session, own


def _start(master: str, config: Mapping[str, str]) -> SparkContext:
    import pyspark
    from pyspark import java_gateway

    launch_gateway: Any = java_gateway.launch_gateway  # which has no types

    check_java()
    is_local = master.startswith("local")
    settings = _OF_CONTEXT | (_ON_ONE_MACHINE if is_local else {}) | {"spark.master": master} | dict(config)
    conf = pyspark.SparkConf(loadDefaults=False).setAll(list(settings.items()))
    with tempfile.NamedTemporaryFile(prefix="attribution-spark-", suffix=".log") as log, _environment(is_local):
        # Java writes notices to stderr that nobody can mend.
        kept_apart = {} if "spark.log.level" in config else {"stderr": log}
        try:
            gateway = pyspark.SparkContext._gateway or launch_gateway(conf, kept_apart)
            return pyspark.SparkContext(conf=conf, gateway=gateway)
        except Exception as error:
            log.seek(0)
            lines = [line for line in log.read().decode(errors="replace").splitlines() if "WARN" not in line]
            raise InputError(
                f"Spark does not start: {shorten(str(error).strip().splitlines()[0], 300)}",
                given=f"master = {master!r}",
                hint=" ".join(lines[-3:]) or None,
            ) from error


@contextlib.contextmanager
def _environment(is_local: bool) -> Iterator[None]:
    """What Spark reads from the environment while it starts: this Python, and no look-up of this machine's name."""
    variables = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"} if is_local else {}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Silence what PySpark says about the version of pandas, which is not used to exchange data here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield
