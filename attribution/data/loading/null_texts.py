"""Texts that mean nothing, read as null and counted: which columns hold them, and what that does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from attribution.data.engine import Engine, quote, text
from attribution.data.loading.findings import Finding, count_finding, listed
from attribution.data.nothing import ZERO, Subject, free_mail, texts_of
from attribution.errors import InputError, did_you_mean
from attribution.schema.experiment import NullTexts
from attribution.schema.tables import RAW_MARKETING, RESERVED, Column, Table

_LONGEST = 16
"""No text of `ids` is longer, but those that begin with so many zeros, or are UUIDs of zeros."""

_FIRST_ID = "'0000000000000001'"
"""All others come before this one, and next to no id does."""

_GUESTS = 10
"""Where ids are numbers that begin with 0, it has not so many times the rows of those from 1 to 9."""

_SUBJECTS: tuple[Subject, ...] = ("ids", "accounts", "channels", "names")


def words_for(subject: Subject, null_texts: NullTexts) -> frozenset[str]:
    """What means nothing in a column of this kind, in lower case, with what a table keeps and adds."""
    names = {word.strip().lower() for word in null_texts.keep}
    added = {word.strip().lower() for word in null_texts.add}
    words = texts_of(subject) | (free_mail() if subject == "accounts" else set())
    return frozenset((words - names - set(RESERVED)) | added)


def _literal(value: object) -> str:
    return text(value) if isinstance(value, str) else str(value)


def check_null_texts(table: str, null_texts: NullTexts) -> None:
    """Refuse to keep what is read as it is anyway, and to add what is null anyway."""
    texts = {*free_mail(), *(word for subject in _SUBJECTS for word in texts_of(subject))}
    in_all = frozenset.intersection(*(texts_of(subject) for subject in _SUBJECTS))
    for word in null_texts.keep:
        if word.strip().lower() not in texts:
            raise InputError(
                f"table {table!r}: null_texts.keep names {word!r}, which is read as it is anyway",
                hint=did_you_mean(word, texts) or "leave it out",
            )
    for word in null_texts.add:
        if word.strip().lower() in in_all:
            raise InputError(
                f"table {table!r}: null_texts.add names {word!r}, which is null anyway", hint="leave it out"
            )


def subject_of(table: Table, column: Column, account: str | None) -> Subject | None:
    """What a column tells, of which some texts tell nothing; None where every text is taken for what it says.

    Raw tags are looked at by channel rules, words of money by the cost ledger.
    """
    if column.type == "id":
        return "ids"
    if table.name == "truth" or column.type != "text" or column.name in (*RAW_MARKETING, *_TAKEN):
        return None
    if table.name == "customers" and column.name == account:
        return "accounts"
    return "channels" if column.name == "channel" else "names" if column.nullable else None


_TAKEN = ("path", "cost_type", "currency")
"""Steps of a path are looked at once they are apart."""


@dataclass(frozen=True)
class NullTest:
    """Which values of a raw column mean nothing: ``sql`` is true of them, and of few others if any."""

    subject: Subject
    words: frozenset[str]
    raw: str
    sql: str

    def within(self, raw_values: Sequence[object]) -> str:
        """SQL that is true of these values of the column."""
        return f"{self.raw} in ({', '.join(_literal(value) for value in raw_values)})"


def null_test(subject: Subject, kind: pa.DataType, raw: str, null_texts: NullTexts) -> NullTest | None:
    """How to find the values of a raw column that mean nothing; None where its type rules them out.

    One look at the first letter tells for nearly every text that it is none of them.
    """
    words = words_for(subject, null_texts)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        first = sorted({32, *(ord(letter) for word in words for letter in {word[0], word[0].upper()})})
        listed_words = ", ".join(text(word) for word in sorted(words))
        sql = f"lower(trim({raw})) in ({listed_words})"
        if len(first) < _MANY_LETTERS:
            sql = f"case when ascii({raw}) in ({', '.join(map(str, first))}) then {sql} else false end"
        if subject == "ids" and not null_texts.add:
            sql = f"case when strlen({raw}) <= {_LONGEST} or {raw} < {_FIRST_ID} then {sql} else false end"
        return NullTest(subject, words, raw, sql)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = sorted(int(word) for word in words if word.removeprefix("-").isdecimal() and len(word) < _LONGEST)
        signed = numbers if not pa.types.is_unsigned_integer(kind) else [number for number in numbers if number >= 0]
        return NullTest(subject, words, raw, f"{raw} in ({', '.join(map(str, signed))})") if signed else None
    return None


_MANY_LETTERS = 30
"""With so many first letters, as free-mail domains have, a look at the first tells little."""


# ---------------------------------------------------------------- what a table holds of them


def find_null_texts(engine: Engine, table: str, view: str, test: NullTest) -> dict[object, int]:
    """The values of a raw column that mean nothing, and how many rows have each; most first."""
    rows = engine.query(
        f"select {test.raw} as v, count(*) as n from {quote(view)} where {test.sql} group by 1 order by n desc, 1",
        table=table,
    )
    counts = dict(zip(rows["v"].to_pylist(), rows["n"].to_pylist(), strict=True))
    zeros = {value: n for value, n in counts.items() if str(value).strip().removesuffix(".0") == ZERO}
    if test.subject == "ids" and zeros:
        no_numbers = sum(n for value, n in counts.items() if not str(value).strip().removeprefix("-").isdecimal())
        if _is_somebody(engine, table, view, test.raw, zeros=sum(zeros.values()), no_numbers=no_numbers):
            return {value: n for value, n in counts.items() if value not in zeros}
    return counts


def _is_somebody(engine: Engine, table: str, view: str, raw: str, *, zeros: int, no_numbers: int) -> bool:
    """Whether 0 is an id like the others: all are numbers, and it is not shared by a crowd of guests.

    ``zeros`` is how many rows have it, ``no_numbers`` how many have another text that means nothing.
    """
    number = f"try_cast(trim({raw}::varchar) as bigint)"
    rows = f"(select {number} as id from {quote(view)} where {raw} is not null) t"
    texts = engine.query(f"select count(*) - count(id) as n from {rows}", table=table)["n"][0].as_py()
    if texts > no_numbers:
        return False
    first = engine.query(f"select count(*) as n from {rows} where id between 1 and 9 group by id", table=table)
    if first.num_rows:
        return bool(zeros * first.num_rows <= _GUESTS * sum(first["n"].to_pylist()))
    busiest = f"select max(n) as n from (select count(*) as n from {rows} where id > 9 group by id) t"
    return bool(zeros <= (engine.query(busiest, table=table)["n"][0].as_py() or _GUESTS))


def null_text_findings(
    table: str, column: Column, subject: Subject, counts: Mapping[object, int], rows: int
) -> list[Finding]:
    """What was read as null in a column, by what it means: no company has the domain of a free-mail provider.

    Raises
    ------
    InputError
        If the column needs a value in every row.
    """
    if counts and not column.nullable:
        raise InputError(
            f"table {table!r}, column {column.name!r}: values mean nothing "
            f"in {sum(counts.values()):,} of {rows:,} rows",
            given=listed([repr(value) for value in counts]),
            allowed="a value in every row",
            hint="correct them, leave these rows out with where, or keep one that is a name with null_texts = { keep = "
            '["…"] }',
        )
    private = (
        {} if subject != "accounts" else {v: n for v, n in counts.items() if str(v).strip().lower() in free_mail()}
    )
    nothing = {value: n for value, n in counts.items() if value not in private}
    effect = _ACCOUNT if subject == "accounts" else _effect(table, column.name)
    findings = []
    for check, what, values in (("null_texts", _NOTHING, nothing), ("free_mail", _FREE_MAIL, private)):
        if values:
            names = listed([repr(value) for value in values])
            message = f"{what.format(column.name)} ({effect}): {names}; {_REMEDY}"
            example = str(next(iter(values)))
            findings.append(count_finding(check, table, sum(values.values()), message, total=rows, example=example))
    return findings


def _effect(table: str, column: str) -> str:
    return _EFFECTS.get((table, column)) or _EFFECTS.get(("", column), "counted as unknown")


_NOTHING = "values of {} that mean nothing, read as null"
_FREE_MAIL = "values of {} that are domains of free mail, which anybody may have, read as null"
_REMEDY = 'correct them where the table is made, or keep one that is a name with null_texts = { keep = ["…"] }'
_EFFECTS = {
    ("", "customer_id"): "these rows are left out: nobody knows whose they are",
    ("", "visitor_id"): "these links are ignored",
    ("identities", "customer_id"): "these links are ignored",
    ("", "conversion_id"): "each counts as a conversion of its own",
    ("", "deal_id"): "these rows are of the customer as a whole",
    ("touchpoints", "channel"): "these rows are left out unless a code or channel rules tell their channel",
    ("paths", "path"): "these steps are left out",
    ("costs", "channel"): "these costs are shared by all channels",
    ("", "stage"): "these rows open no stage",
}
_ACCOUNT = "each of these customers keeps a journey of their own"
