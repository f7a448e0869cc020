"""Which MLflow store is meant: one rule for every command and for Python."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from attribution.logs import without_credentials

DEFAULT = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Store:
    """An MLflow store.

    Attributes
    ----------
    tracking : address of its runs
    registry : address of its registered models
    chosen_by : what named it
    """

    tracking: str
    registry: str
    chosen_by: str

    def __str__(self) -> str:
        """As it is printed: without passwords, and with what named it."""
        registry = "" if self.registry == self.tracking else f", registry {without_credentials(self.registry)}"
        return f"{without_credentials(self.tracking)}{registry} ({self.chosen_by})"

    @property
    def missing(self) -> str | None:
        """Address of a database of this store that is not there; None if all are, or if only a server can know."""
        return next((uri for uri in (self.tracking, self.registry) if _is_missing(uri)), None)


def choose_store(option: str | None = None, own: str | None = None) -> Store:
    """The store that is meant.

    An option decides first, then the address of the run itself, then ``MLFLOW_TRACKING_URI`` and
    ``MLFLOW_REGISTRY_URI``, then a database in the working directory.

    Parameters
    ----------
    option : what the caller named
    own : where the run was logged, or where its experiment says

    Examples
    --------
    >>> choose_store("http://127.0.0.1:5000", "sqlite:////data/mlflow.db").registry
    'http://127.0.0.1:5000'
    >>> str(choose_store(own="sqlite:////data/mlflow.db"))
    "sqlite:////data/mlflow.db (the run's own)"
    """
    for address, chosen_by in ((option, "as given"), (own, "the run's own")):
        if address is not None:
            return Store(_absolute(address), _absolute(address), chosen_by)
    # MLflow itself takes an empty variable for one that is not set.
    tracking, registry = os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get("MLFLOW_REGISTRY_URI")
    variables = [name for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI") if os.environ.get(name)]
    where = _absolute(tracking or DEFAULT)
    return Store(where, _absolute(registry) if registry else where, " and ".join(variables) or "the default")


def _absolute(address: str) -> str:
    """A database by its whole path: what a run says of its store must hold in every working directory."""
    path = address.removeprefix(_SQLITE)
    if not address.startswith(_SQLITE) or path.startswith((":memory:", "file:")):
        return address
    return f"{_SQLITE}{Path(path).absolute()}"


def _is_missing(address: str) -> bool:
    path = address.removeprefix(_SQLITE)
    return address.startswith(_SQLITE) and not path.startswith((":memory:", "file:")) and not Path(path).is_file()
