"""What must be installed where a registered model is served, and whether it is."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from attribution.errors import InputError

_IMPORTED = ("numpy", "scipy", "pandas", "pyarrow", "duckdb", "numba", "pydantic", "threadpoolctl", "networkx")
NEEDED = (*_IMPORTED, "mlflow")
"""Packages that a served model imports, itself or by way of another one, and what loads it."""


def pin_requirements() -> list[str]:
    """The packages with the versions that are installed here, as pip takes them."""
    return [f"{package}=={version(package)}" for package in NEEDED]


def check_environment(needed: Sequence[str] = _IMPORTED) -> None:
    """Refuse an environment without a package that the model needs, before a traceback of Spark's names the first.

    Raises
    ------
    InputError
        Naming all that are missing.
    """
    missing = []
    for package in needed:
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        raise InputError(
            "packages that the model needs are not installed in this Python",
            given=f"missing: {', '.join(missing)}",
            hint="install the requirements.txt of the model here, or let MLflow do it with env_manager='virtualenv'",
        )
