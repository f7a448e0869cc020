"""What Spark computes as DuckDB does, and how it spells it."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

BLANKS = "".join(map(chr, (0x20, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)))
"""What DuckDB trims: all of Unicode's spaces."""

_NUMBERS = {"integer", "wide", "double"}
_CASTS = {
    "integer": {"integer", "double", "text"},
    "wide": {"integer", "wide", "text"},
    "double": {"double"},
    "text": {"text"},
    "boolean": {"boolean"},
    "date": {"date", "timestamp"},
    "timestamp": {"timestamp"},
    "timestamptz": {"timestamptz"},
    "null": {"integer", "double", "text", "boolean", "date", "timestamp", "timestamptz"},
}
"""From which kind to which others a cast means the same in both."""

_TYPES = {
    "TINYINT": "integer",
    "SMALLINT": "integer",
    "INT": "integer",
    "BIGINT": "integer",
    "DOUBLE": "double",
    "TEXT": "text",
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPNTZ": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
}
_EXACT_DIGITS = 15

AGGREGATES = (exp.Count, exp.Sum, exp.Min, exp.Max, exp.PercentileCont)
"""What may be summed up by Spark; its percentile interpolates as DuckDB's."""

Kind = Callable[[exp.Expr], str | None]


def _common(kinds: list[str | None]) -> str | None:
    """The kind of several values taken for one another."""
    known = {kind for kind in kinds if kind != "null"}
    if None in known:
        return None
    if len(known) <= 1:
        return next(iter(known), "null")
    if known <= _NUMBERS:
        return "double" if "double" in known else "wide"
    return None


def _literal(node: exp.Expr, kind: Kind) -> str | None:
    if node.is_string or node.is_int:
        return "text" if node.is_string else "integer"
    # A longer one becomes a float by two roundings in DuckDB, and by one in Spark.
    return "double" if sum(map(str.isdigit, node.this)) <= _EXACT_DIGITS else None


def _logic(node: exp.Expr, kind: Kind) -> str | None:
    parts = [part for part in (node.this, node.args.get("expression")) if part is not None]
    return "boolean" if {kind(part) for part in parts} <= {"boolean", "null"} else None


def _not_finite(node: exp.Expr, kind: Kind) -> str | None:
    return "boolean" if kind(node.this) == "double" else None


def _is_null(node: exp.Expr, kind: Kind) -> str | None:
    known = isinstance(node.this, exp.Column) or kind(node.this) is not None
    return "boolean" if known and isinstance(node.expression, exp.Null) else None


def _comparison(node: exp.Expr, kind: Kind) -> str | None:
    parts = [node.this, node.args.get("expression"), node.args.get("low"), node.args.get("high"), *node.expressions]
    if node.args.get("query") or node.args.get("unnest"):
        return None
    return "boolean" if _common([kind(part) for part in parts if part is not None]) else None


def _arithmetic(node: exp.Expr, kind: Kind) -> str | None:
    found = _common([kind(node.this), kind(node.expression)])
    return found if found in ("integer", "double") else None


def _sign(node: exp.Expr, kind: Kind) -> str | None:
    found = kind(node.this)
    return found if found in ("integer", "double") else None


def _remainder(node: exp.Expr, kind: Kind) -> str | None:
    # Any other divisor may be zero, and what happens then is DuckDB's to say.
    divisor = node.expression.unnest()
    by_constant = isinstance(divisor, exp.Literal) and divisor.is_int and int(divisor.this) != 0
    return "integer" if by_constant and kind(node.this) == "integer" else None


def _choice(node: exp.Expr, kind: Kind) -> str | None:
    """Case, coalesce, nullif: one of several values."""
    if isinstance(node, exp.Case):
        tests = [kind(branch.this) for branch in node.args["ifs"]]
        values = [branch.args["true"] for branch in node.args["ifs"]]
        values += [node.args["default"]] if node.args.get("default") else []
        return _common([kind(value) for value in values]) if not node.this and set(tests) <= {"boolean"} else None
    values = [node.this, *node.expressions, *([node.expression] if isinstance(node, exp.Nullif) else [])]
    return _common([kind(value) for value in values])


def _cast(node: exp.Expr, kind: Kind) -> str | None:
    to = node.args["to"]
    target = None if to.expressions or to.args.get("nested") else _TYPES.get(to.this.name)
    return target if target in _CASTS.get(kind(node.this) or "", ()) else None


def _trimmed(node: exp.Expr, kind: Kind) -> str | None:
    is_plain = not node.args.get("expression") and not node.args.get("position")
    return "text" if is_plain and kind(node.this) == "text" else None


def _joined(node: exp.Expr, kind: Kind) -> str | None:
    return "text" if {kind(node.this), kind(node.expression)} == {"text"} else None


def _function(node: exp.Expr, kind: Kind) -> str | None:
    if node.name == "epoch_us":
        return "integer" if kind(node.expressions[0]) in ("timestamp", "timestamptz") else None
    if node.name == "isfinite":
        return "boolean" if kind(node.expressions[0]) == "double" else None
    if node.name == "enum_code":
        return "integer" if is_enum(node.expressions[0]) and kind(node.expressions[0].this) == "text" else None
    return None


def is_enum(node: exp.Expr) -> bool:
    """Whether a node is a text tried as a value of an enum."""
    return isinstance(node, exp.TryCast) and node.args["to"].this == exp.DType.USERDEFINED


RULES: dict[type, Callable[[exp.Expr, Kind], str | None]] = {
    exp.Literal: _literal,
    exp.Null: lambda node, kind: "null",
    exp.Boolean: lambda node, kind: "boolean",
    exp.Paren: lambda node, kind: kind(node.this),
    exp.And: _logic,
    exp.Or: _logic,
    exp.Not: _logic,
    exp.Is: _is_null,
    exp.IsNan: _not_finite,
    exp.IsInf: _not_finite,
    exp.EQ: _comparison,
    exp.NEQ: _comparison,
    exp.NullSafeEQ: _comparison,
    exp.NullSafeNEQ: _comparison,
    exp.LT: _comparison,
    exp.LTE: _comparison,
    exp.GT: _comparison,
    exp.GTE: _comparison,
    exp.In: _comparison,
    exp.Between: _comparison,
    exp.Add: _arithmetic,
    exp.Sub: _arithmetic,
    exp.Mul: _arithmetic,
    exp.Neg: _sign,
    exp.Abs: _sign,
    exp.Mod: _remainder,
    exp.Case: _choice,
    exp.Coalesce: _choice,
    exp.Nullif: _choice,
    exp.Cast: _cast,
    exp.Trim: _trimmed,
    exp.DPipe: _joined,
    exp.Anonymous: _function,
}


def _trim(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Trim):
        return node
    return exp.Anonymous(this="btrim", expressions=[node.this, exp.Literal.string(BLANKS)])


def _epoch(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Anonymous) or node.name != "epoch_us":
        return node
    # The session's time zone is UTC.
    return exp.Anonymous(this="unix_micros", expressions=[exp.cast(node.expressions[0], "timestamptz")])


def _finiteness(node: exp.Expr) -> exp.Expr:
    # Spark's own isnan makes false of null.
    if isinstance(node, exp.IsNan):
        return exp.paren(node.this).eq(exp.cast(exp.Literal.string("NaN"), "double"))
    infinity = exp.cast(exp.Literal.string("Infinity"), "double")
    if isinstance(node, exp.IsInf):
        return exp.Abs(this=node.this).eq(infinity)
    if isinstance(node, exp.Anonymous) and node.name == "isfinite":
        return exp.LT(this=exp.Abs(this=node.expressions[0]), expression=infinity)  # NaN is the largest
    return node


def _percentile(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.WithinGroup):
        return node
    return exp.Anonymous(this="percentile", expressions=[node.expression.expressions[0].this, node.this.this])


SPELLINGS = (_trim, _epoch, _finiteness, _percentile)
"""Each replaces one node of a tree; all others stay."""
