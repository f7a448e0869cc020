"""An empty table of lift tests whose comments say what to fill in."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from attribution.errors import InputError
from attribution.incrementality.lift_checks import NEEDED, USED
from attribution.schema.tables import LIFT_TESTS

_HEAD = (
    "Rows that begin with # are comments. Give every test one row per arm: test and control.",
    "A geo test has one row per region and phase (before, during). A reported effect is one row.",
    "Compare customers who were assigned by chance. Exposed against unexposed customers is no test.",
)
_EXAMPLES: tuple[dict[str, object], ...] = (
    *(
        {"test": "mail, spring", "channel": "mail", "design": "holdout", "arm": arm, "customers": n, "conversions": y}
        | {"first_day": "2024-03-01", "last_day": "2024-03-28", "planned_share": 0.2}
        for arm, n, y in (("test", 80_000, 2_800), ("control", 20_000, 640))
    ),
    {"test": "tv, study", "channel": "tv", "design": "reported", "effect": 420, "standard_error": 60},
)


def write_empty_tests(to: Path) -> Path:
    """Write a CSV file with the columns of ``lift_tests`` and nothing but comments; one that is there is left alone.

    Raises
    ------
    InputError
        If the file is there, or cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, LIFT_TESTS.column_names, lineterminator="\n")
    writer.writeheader()
    comments = [*_HEAD]
    for design, columns in USED.items():
        needed = NEEDED.get(design, ("effect, and standard_error or low and high",))
        comments.append(f"{design}: needs {', '.join(needed)}; reads {', '.join(columns)}")
    comments += [f"{column.name}: {column.meaning}" for column in LIFT_TESTS.columns]
    writer.writerows({"test": f"# {comment}"} for comment in comments)
    # An example is one to copy: without the # it is a row.
    writer.writerows(row | {"test": f"# {row['test']}"} for row in _EXAMPLES)
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(text.getvalue())
    except FileExistsError:
        raise InputError(f"file {to} is there already", hint="name another with --to") from None
    except OSError as error:
        raise InputError(f"file {to} cannot be written: {error.strerror}", hint="name another with --to") from None
    return to
