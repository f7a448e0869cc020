"""DuckDB's SQL as Spark's: Spark reads, joins, groups and sorts; what an expression means stays DuckDB's.

An expression goes to Spark only if every part of it is known to mean the same there. Any other is one call of a
function that computes it with DuckDB, batch by batch, so that no text, time or number is ever read in two ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from attribution.data.engine.spark.carriers import Carrier, Columns
from attribution.errors import InputError

if TYPE_CHECKING:
    from attribution.data.engine.spark.catalogue import Catalogue

# ---------------------------------------------------------------- what Spark computes as DuckDB does

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
    concrete = {kind for kind in kinds if kind != "null"}
    if None in concrete:
        return None
    if len(concrete) <= 1:
        return next(iter(concrete), "null")
    if concrete <= _NUMBERS:
        return "double" if "double" in concrete else "wide"
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
    has_kind = isinstance(node.this, exp.Column) or kind(node.this) is not None
    return "boolean" if has_kind and isinstance(node.expression, exp.Null) else None


def _comparison(node: exp.Expr, kind: Kind) -> str | None:
    parts = [node.this, node.args.get("expression"), node.args.get("low"), node.args.get("high"), *node.expressions]
    if node.args.get("query") or node.args.get("unnest"):
        return None
    return "boolean" if _common([kind(part) for part in parts if part is not None]) else None


def _arithmetic(node: exp.Expr, kind: Kind) -> str | None:
    result = _common([kind(node.this), kind(node.expression)])
    return result if result in ("integer", "double") else None


def _sign(node: exp.Expr, kind: Kind) -> str | None:
    operand = kind(node.this)
    return operand if operand in ("integer", "double") else None


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


def _trim_kind(node: exp.Expr, kind: Kind) -> str | None:
    is_plain = not node.args.get("expression") and not node.args.get("position")
    return "text" if is_plain and kind(node.this) == "text" else None


def _concat_kind(node: exp.Expr, kind: Kind) -> str | None:
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
    exp.Trim: _trim_kind,
    exp.DPipe: _concat_kind,
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


# ---------------------------------------------------------------- from a statement of DuckDB's to one of Spark's

LISTED = 64
"""With so many values of an enum, looking through the list is quicker than asking Python."""


def parse(sql: str) -> exp.Expr:
    """DuckDB's SQL as a tree.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return sqlglot.parse_one(sql, read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise InputError(f"the SQL cannot be translated for Spark: {str(error).splitlines()[0]}", given=sql) from None


def reads_tables(tree: exp.Expr) -> bool:
    """Whether a statement reads any table by name."""
    return any(isinstance(table.this, exp.Identifier) for table in tree.find_all(exp.Table))


def to_spark(tree: exp.Expr, catalogue: Catalogue) -> str:
    """Spark's SQL for a select in DuckDB's, which DuckDB has bound without an error."""
    # All are typed before any is changed: the text of one may be part of another's.
    for select in [_Select(node, catalogue) for node in tree.find_all(exp.Select)]:
        select.rewrite()
    for change in SPELLINGS:
        tree = tree.transform(change)
    return str(tree.sql(dialect="spark", identify=True))


class _Select:
    """One SELECT, its columns known."""

    def __init__(self, node: exp.Select, catalogue: Catalogue) -> None:
        self._node = node
        self._catalogue = catalogue
        source = node.args.get("from_")
        joins = node.args.get("joins") or []
        self._source = " ".join(part.sql("duckdb") for part in [source, *joins] if part is not None)
        sources = [join.this for join in joins] + ([source.this] if source is not None else [])
        self._tables: dict[str, Columns] = {
            table.alias_or_name.lower(): catalogue.columns(f"select * from {table.sql('duckdb')}") for table in sources
        }
        for column in [*_own_columns(node)]:
            self._take_apart(column)
        self._aliases = {part.alias.lower(): part.this for part in node.expressions if isinstance(part, exp.Alias)}

    def _take_apart(self, node: exp.Column) -> None:
        """Let ``column.field`` be a field of a column, where it looks like a column of a table."""
        names = node.parts
        position = 1 if names[0].name.lower() in self._tables else 0
        if len(names) < position + 2:
            return
        column = exp.Column(this=names[position].copy(), table=names[0].copy() if position else None)
        if self._column(column) is not None:
            node.replace(exp.Dot.build([column, *(name.copy() for name in names[position + 1 :])]))

    def rewrite(self) -> None:
        """Replace what Spark may not compute itself."""
        for root in self._roots():
            self._replace(root)

    def _roots(self) -> list[exp.Expr]:
        """Expressions that stand for themselves: columns, conditions, keys."""
        node = self._node
        roots = [part.unalias() for part in node.expressions]
        roots += [node.args[name].this for name in ("where", "having", "qualify") if node.args.get(name)]
        roots += [join.args["on"] for join in node.args.get("joins") or [] if join.args.get("on")]
        keys = list(node.args["group"].expressions) if node.args.get("group") else []
        keys += [part.this for part in node.args["order"].expressions] if node.args.get("order") else []
        # A bare name may be that of a result, a number its place, and ALL stands for all of them.
        return roots + [key for key in keys if not isinstance(key, exp.Column | exp.Literal | exp.Var)]

    def _replace(self, root: exp.Expr) -> None:
        """Leave ``root`` to Spark if all of it means the same there, or else call DuckDB for all of it."""
        if isinstance(root, exp.Star) or (isinstance(root, exp.Column) and isinstance(root.this, exp.Star)):
            return
        if isinstance(root, exp.And):
            # One by one: a join goes by the columns that it finds equal.
            for part in (root.left, root.right):
                self._replace(part)
            return
        leaves = self._leaves(root)
        if not isinstance(root, exp.Column) and root not in leaves and self._kind(root) is None:
            self._call_duckdb(root, leaves)
        else:
            for node in [*root.find_all(exp.Anonymous)]:
                if node.name == "enum_code":
                    node.replace(self._position(node.expressions[0]))
        for leaf in leaves:
            for inner in _inner_roots(leaf):
                self._replace(inner)

    def _call_duckdb(self, root: exp.Expr, leaves: list[exp.Expr]) -> None:
        columns: Columns = {}
        arguments: dict[str, exp.Expr] = {}
        names: dict[str, str] = {}
        held = exp.Paren(this=root.copy())
        for leaf, copied in zip(leaves, self._leaves(held), strict=True):
            text = leaf.sql("duckdb")
            if text not in names:
                # DuckDB names the column in what it says is wrong with it.
                is_free = isinstance(leaf, exp.Column) and leaf.name not in columns
                names[text] = leaf.name if is_free else f"column_{len(names)}"
                columns[names[text]], arguments[names[text]] = self._carrier(leaf), leaf
            copied.replace(exp.column(names[text], quoted=True))
        function = self._catalogue.function_name(held.this.sql("duckdb"), columns)
        # The leaves move, so that what is inside them is rewritten in its new place.
        called = exp.Anonymous(this=function, expressions=list(arguments.values()) or [exp.Literal.number(1)])
        root.replace(called)

    def _position(self, cast: exp.Expr) -> exp.Expr:
        """The place of a text among the values of the enum it is cast to."""
        values = self._catalogue.enum(cast.args["to"].args["kind"])
        if len(values) > LISTED:
            return exp.Anonymous(this=self._catalogue.position(values), expressions=[cast.this])
        listed = exp.Anonymous(this="array", expressions=[exp.Literal.string(value) for value in values])
        position = exp.Anonymous(this="array_position", expressions=[listed, cast.this])
        return exp.paren(exp.Anonymous(this="nullif", expressions=[position, exp.Literal.number(0)]) - 1)

    def _leaves(self, root: exp.Expr) -> list[exp.Expr]:
        """What is handed to DuckDB as it is: columns, aggregates, windows, scalar queries."""
        return [node for node in root.walk(prune=self._is_leaf) if self._is_leaf(node)]

    def _is_leaf(self, node: exp.Expr) -> bool:
        if isinstance(node, exp.Column):
            return self._column(node) is not None
        return isinstance(node, exp.AggFunc | exp.Filter | exp.WithinGroup | exp.Window | exp.Subquery | exp.Select)

    def _column(self, node: exp.Column) -> Carrier | None:
        """The column of a table in this select; None for anything else that looks like one."""
        tables = [self._tables.get(node.table.lower(), {})] if node.table else self._tables.values()
        for columns in tables:
            for name, held in columns.items():
                if name.lower() == node.name.lower():
                    return held
        return None

    def _carrier(self, leaf: exp.Expr) -> Carrier:
        if isinstance(leaf, exp.Column):
            held = self._column(leaf)
            assert held is not None
            return held
        (held,) = self._catalogue.columns(f"select {leaf.sql('duckdb')} as leaf {self._source}").values()
        return held

    def _kind(self, node: exp.Expr) -> str | None:
        """What kind of value a node is if Spark computes it as DuckDB does; None if it may not."""
        if isinstance(node, exp.Column) and self._column(node) is None:
            alias = self._aliases.get(node.name.lower())
            return None if alias is None else self._kind(alias)
        if self._is_leaf(node):
            return self._carrier(node).kind
        rule = next((RULES[kind] for kind in type(node).__mro__ if kind in RULES), None)
        return None if rule is None else rule(node, self._kind)


def _own_columns(select: exp.Select) -> Iterator[exp.Column]:
    """What looks like a column in a select, but not in another one inside it."""
    for node in select.walk(prune=lambda node: isinstance(node, exp.Query) and node is not select):
        if isinstance(node, exp.Column):
            yield node


def _inner_roots(leaf: exp.Expr) -> list[exp.Expr]:
    """Expressions inside an aggregate or a window."""
    if isinstance(leaf, exp.Filter):
        return [*_inner_roots(leaf.this), leaf.expression.this]
    if isinstance(leaf, exp.Window):
        ordered = leaf.args["order"].expressions if leaf.args.get("order") else []
        return [*_inner_roots(leaf.this), *(leaf.args.get("partition_by") or []), *(key.this for key in ordered)]
    if isinstance(leaf, exp.WithinGroup):
        return [*_inner_roots(leaf.this), *(key.this for key in leaf.expression.expressions)]
    if isinstance(leaf, exp.AggFunc):
        if not isinstance(leaf, AGGREGATES):
            raise InputError("the SQL cannot be translated for Spark", given=leaf.sql("duckdb"))
        of = leaf.this
        return list(of.expressions) if isinstance(of, exp.Distinct) else [] if of is None else [of]
    return []
