"""Reading numbers that are written as text: marks of decimals and thousands, signs of currencies."""

from __future__ import annotations

import math
import re

from attribution.data.engine import Engine, quote, text
from attribution.errors import InputError
from attribution.schema.experiment import TableSpec

_SIGNS = {
    "€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₫": "VND", "฿": "THB", "₴": "UAH",
    "₪": "ILS", "₱": "PHP", "zł": "PLN", "Kč": "CZK", "Ft": "HUF",
}  # fmt: skip
"""Signs that mean one currency; of others, such as $ and ¥, only is known that they are one."""

_SIGN = r"(R\$|[A-Z]{3}|[$¥" + "".join(sign for sign in _SIGNS if len(sign) == 1) + "]|zł|Kč|Ft|kr)"
_BLANKS = "[\\s\u00a0\u202f]+"

_THOUSAND = 1_000


def read_number(raw: str, spec: TableSpec) -> str:
    """SQL for the number that the text column ``raw`` holds, null where it holds none.

    The sign or code of a currency may stand before or after it.
    """
    number = _bare_number(raw, spec)
    if spec.decimal_mark == "." and spec.thousands is None:
        # As nearly all are; what is in a branch is only computed where it is needed.
        return f"coalesce(try_cast({raw} as double), case when {raw} is not null then {number} end)"
    return number


def _bare_number(raw: str, spec: TableSpec) -> str:
    number_text = f"trim(regexp_replace(regexp_replace({raw}, {text(_SIGN)}, ' '), {text(_BLANKS)}, ' ', 'g'))"
    decimal, thousands = re.escape(spec.decimal_mark), spec.thousands
    digits = r"\d+"
    if thousands is not None:
        # Groups of three, of which India makes two but for the last.
        digits = rf"(\d+|\d{{1,3}}({_class(thousands)}\d{{2,3}})*{_class(thousands)}\d{{3}})"
    # DuckDB reads a number with blanks inside as none, and one with an exponent as one.
    shape = rf"[+-]? ?({digits}({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d+)?"
    plain = f"replace({number_text}, ' ', '')"
    for mark in () if thousands is None else ("'", "’") if thousands == "'" else (thousands,):
        plain = f"replace({plain}, {text(mark)}, '')"
    if spec.decimal_mark != ".":
        plain = f"replace({plain}, {text(spec.decimal_mark)}, '.')"
    return f"case when regexp_full_match({number_text}, {text(shape)}) then try_cast({plain} as double) end"


def _class(mark: str) -> str:
    return "['’]" if mark == "'" else re.escape(mark) if mark != " " else " "


# ---------------------------------------------------------------- marks and signs that disagree


def odd_marks(raw: str, spec: TableSpec) -> str:
    """SQL for how many texts of the column ``raw`` deserve a closer look, by `check_marks`.

    These are texts that are more than a number, and numbers with three digits behind a point where nothing says what
    the point is.
    """
    raw = quote(raw)
    is_asked = spec.decimal is None and spec.thousands is None
    three = f" or {raw} like '%.___'" if is_asked else ""
    return f"count(*) filter ((try_cast({raw} as double) is null and {raw} is not null){three})"


def _mark_counts(raw: str, number: str) -> dict[str, str]:
    """SQL aggregates of a text column ``raw`` and the ``number`` in it.

    ``sign`` and ``other_sign`` are signs of currencies; ``points`` counts numbers with a point, ``threes`` those with
    three digits behind it and one to three before, ``wholes`` those without; the sizes are sums of logarithms.
    """
    raw = quote(raw)
    sign = f"case when try_cast({raw} as double) is null then nullif(regexp_extract({raw}, {text(_SIGN)}), '') end"
    has_point = f"contains({raw}, '.')"
    three = f"{raw} like '%.___' and {number} >= 1 and {number} < {_THOUSAND}"
    whole = f"not {has_point} and {number} > 0"
    return {
        "sign": f"min({sign})",
        "other_sign": f"max({sign})",
        "points": f"count(*) filter ({has_point})",
        "threes": f"count(*) filter ({three})",
        "wholes": f"count(*) filter ({whole})",
        "three_size": f"sum(case when {three} then ln({number}) end)",
        "whole_size": f"sum(case when {whole} then ln({number}) end)",
        "three": f"min(case when {three} then {raw} end)",
        "whole": f"min(case when {whole} then {raw} end)",
    }


def check_marks(engine: Engine, view: str, raw: str, number: str, *, where: str, spec: TableSpec) -> str | None:
    """The currency whose sign stands beside the numbers of a column, if any; refused where there are two.

    Refused are also points that seem to separate thousands, where nothing says what they are: all have three digits
    behind them, and beside numbers without a point these are a thousand times too small.

    Parameters
    ----------
    engine, view : where the column is
    raw : the column, of texts
    number : SQL for the number in it
    where : the table and column, for messages
    spec : how the table is read

    Raises
    ------
    InputError
        Naming examples and the keys that decide.
    """
    listed = ", ".join(f"{sql} as {name}" for name, sql in _mark_counts(raw, number).items())
    (counts,) = engine.query(f"select {listed} from {quote(view)}").to_pylist()
    if counts["sign"] != counts["other_sign"]:
        raise InputError(
            f"{where}: amounts are in several currencies",
            given=f"{counts['sign']} and {counts['other_sign']}",
            hint="give the currency in a column currency, and the amounts without signs",
        )
    is_asked = spec.decimal is None and spec.thousands is None
    if is_asked and counts["threes"] and counts["threes"] == counts["points"] and counts["wholes"]:
        # Nearer to the others a thousand times as large than as they are.
        sizes = counts["whole_size"] / counts["wholes"], counts["three_size"] / counts["threes"]
        if sizes[0] - sizes[1] > math.log(_THOUSAND) / 2:
            raise InputError(
                f"{where}: the point seems to separate thousands in {counts['threes']:,} rows",
                given=f"{counts['three']!r} beside {counts['whole']!r}",
                hint="set thousands = '.' if so, or decimal = '.' if it is the decimal mark",
            )
    sign = counts["sign"]
    return None if sign is None else _SIGNS.get(sign, sign)


def hint_number(example: str) -> str | None:
    """What would read a text that was refused as a number.

    Examples
    --------
    >>> hint_number("1,234.50"), hint_number("1.234,5"), hint_number("12,5")
    ("set thousands = ','", "set decimal = ',' and thousands = '.'", "set decimal = ','")
    >>> hint_number("1,234")
    "set thousands = ',' if it is 1234, or decimal = ',' if it is 1.234"
    >>> hint_number(" --")
    'leave such rows out with where'
    >>> hint_number("(10.00)").partition(":")[0]
    'an amount in brackets is below zero'
    """
    if re.fullmatch(r"\s*\(.*\d.*\)\s*", example):
        return (
            "an amount in brackets is below zero: write it with a minus, for example with replace in columns, and "
            "negative = 'net'"
        )
    number_text = re.sub(rf"{_SIGN}|\s|[+-]", "", example)
    marks = re.sub(r"\d", "", number_text)
    if not re.search(r"\d", number_text):
        return "leave such rows out with where"
    if re.fullmatch(r"\d{1,3},\d{3}", number_text):
        whole, fraction = number_text.replace(",", ""), number_text.replace(",", ".")
        return f"set thousands = ',' if it is {whole}, or decimal = ',' if it is {fraction}"
    shapes = {
        r",+\.?": "set thousands = ','",
        r"\.+,": "set decimal = ',' and thousands = '.'",
        r"\.\.+": "set thousands = '.'",
        r"['’]+\.?": 'set thousands = "\'"',
    }
    if re.fullmatch(r"\d*,\d+", number_text):
        return "set decimal = ','"
    return next((hint for shape, hint in shapes.items() if re.fullmatch(shape, marks)), None)
