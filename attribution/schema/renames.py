"""Names that have changed, all in one table: what a person writes is accepted under one name, the one it has now.

What the tool wrote itself (runs, models, summaries) is read by its format number, whatever its names were then.
"""

from __future__ import annotations

from collections.abc import Mapping

RENAMED: Mapping[str, Mapping[str, str]] = {
    "command": {"conversions": "export-conversions"},
    "command export": {"--lacks": "--missing-column"},
    "command monitor": {"--level": "--significance", "--recent": "--recent-days", "--training": "--training-days"},
    "command promote": {
        "--bounds": "--criteria",
        "--by": "--requested-by",
        "--to": "--version",
        "--window": "--holdout",
    },
    "command refit": {"--last": "--days", "--refresh": "--champion"},
    "command review": {"--fewest": "--min-conversions"},
    "command score": {"--to": "--through"},
    "command summarise": {"--since": "--from"},
    "Experiment": {"doubt": "sensitivity"},
    "LiftTest": {"incremental_conversions": "effect", "period_end": "last_day", "period_start": "first_day"},
    "Criteria": {"experiments": "lift_tests", "experiments_z": "lift_tests_z"},
}
"""By where they are written (a command, or the class of a part of a file), the old name and the new one."""


def new_name(where: str, old: str) -> str | None:
    """What ``old`` is called now; None where that has not changed.

    Examples
    --------
    >>> new_name("command", "conversions")
    'export-conversions'
    >>> new_name("command", "run") is None
    True
    """
    return RENAMED.get(where, {}).get(old)
