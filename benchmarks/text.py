"""Plain-text tables."""

from __future__ import annotations

from collections.abc import Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows under headings; numbers to the right, text to the left.

    Examples
    --------
    >>> print(table(["step", "s"], [["sort", 1.234], ["journeys", 10.0]]))
    step          s
    sort       1.23
    journeys  10.00
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[place]) for row in [list(headings), *cells]) for place in range(len(headings))]
    right = [
        bool(rows) and all(isinstance(row[place], int | float) or row[place] == "" for row in rows)
        for place in range(len(headings))
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(headings), *cells]
    ]
    return "\n".join(lines)


def verdict(measured: float, limit: float, *, applies: bool = True) -> str:
    """The target beside what was measured; nothing where no target applies, as at other sizes."""
    return f" (target ≤ {limit:,.4g}: {'met' if measured <= limit else 'missed'})" if applies else ""


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
