"""Small changes of a source file that tests should notice: an operator, a bound, a number."""

from __future__ import annotations

import ast
import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

OPERATORS: dict[type[ast.AST], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: (r"is\s+not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: (r"not\s+in", ("in",)),
    ast.And: ("and", ("or",)),
    ast.Or: ("or", ("and",)),
    ast.Add: (r"\+", ("-",)),
    ast.Sub: ("-", ("+",)),
    ast.Mult: (r"\*", ("/",)),
    ast.Div: ("/", ("*",)),
    ast.FloorDiv: ("//", ("*",)),
    ast.Mod: ("%", ("//",)),
    ast.Pow: (r"\*\*", ("*",)),
    ast.BitAnd: ("&", ("|",)),
    ast.BitOr: (r"\|", ("&",)),
    ast.BitXor: (r"\^", ("&",)),
    ast.LShift: ("<<", (">>",)),
    ast.RShift: (">>", ("<<",)),
}
"""How each operator is written, and what takes its place."""

BOUNDS = {"min": "max", "minimum": "maximum", "floor": "ceil", "left": "right", "first": "last"}
BOUNDS |= {after: before for before, after in BOUNDS.items()}
"""Functions, and words given as ``side`` or ``keep``, that choose one end of two."""

PUT_TOGETHER = (ast.JoinedStr, ast.List, ast.ListComp, ast.Tuple, ast.Dict, ast.Set)
"""What ``+`` joins and ``*`` repeats: another operator there is a TypeError, which says nothing about the tests."""


@dataclass(frozen=True, order=True)
class Change:
    """One change: where it is, what the line was and becomes, and the lines that a test must run to notice it."""

    file: str
    line: int
    start: int
    end: int
    new: str
    before: str
    after: str
    runs: tuple[int, int]

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}\n    {self.before}\n    {self.after}"


class Source:
    """A text and where its syntax lies in it; places count bytes, as the syntax tree does."""

    def __init__(self, file: str, text: bytes) -> None:
        self.file = file
        self.text = text
        self.tree = ast.parse(text)
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def start(self, node: ast.expr) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def change(self, start: int, end: int, new: str, runs: tuple[int, int]) -> Change:
        line = self.text.count(b"\n", 0, start) + 1
        first, last = self.starts[line - 1], self.starts[line]
        before = self.text[first:last]
        after = before[: start - first] + new.encode() + before[end - first :]
        return Change(
            self.file, line, start, end, new, before.decode().strip(), after.decode().strip().split("\n")[0], runs
        )


def changes_of(file: str, text: bytes) -> list[Change]:
    """Return every change of a file, in the order in which they lie in it."""
    source = Source(file, text)
    return sorted({change for node in source.tree.body for change in _of_statement(source, node, _users(source, node))})


def _users(source: Source, node: ast.stmt) -> tuple[int, int]:
    """Return the lines that run what a statement of the module declares: those of the functions that name it."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    names = {name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)}
    functions = [each for each in ast.walk(source.tree) if isinstance(each, ast.FunctionDef)]
    users = [
        each
        for each in functions
        if any(isinstance(inner, ast.Name) and inner.id in names for part in each.body for inner in ast.walk(part))
    ]
    if not users:
        return 1, len(source.starts)
    return min(each.lineno for each in users), max(each.end_lineno or each.lineno for each in users)


def drawn(per_file: dict[str, list[Change]], count: int, seed: int) -> list[Change]:
    """Draw changes evenly over the files: one of each file in turn, until there are enough.

    A file's own order depends on its name and the seed only, so that work on one file leaves the draw in the others
    as it was; and the first changes of a large sample are the small sample.
    """
    shuffled = []
    for file, changes in sorted(per_file.items()):
        order = random.Random(f"{seed} {file}")
        shuffled.append((order.random(), order.sample(changes, len(changes))))
    shuffled.sort(key=lambda pair: pair[0])
    turns = max((len(changes) for _, changes in shuffled), default=0)
    return [changes[turn] for turn in range(turns) for _, changes in shuffled if turn < len(changes)][:count]


def files_of(root: Path, folders: Sequence[str]) -> dict[str, list[Change]]:
    """Return the changes of every file in the folders, by its path from the root."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    found = {
        name: changes_of(name, path.read_bytes()) for path in paths for name in [path.relative_to(root).as_posix()]
    }
    return {name: changes for name, changes in found.items() if changes}


def _of_statement(source: Source, node: ast.stmt, runs: tuple[int, int]) -> Iterator[Change]:
    """Changes of a statement; ``runs`` is what runs it where it is no line of a function."""
    if isinstance(node, ast.FunctionDef):
        last = node.end_lineno or node.lineno
        for default in [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]:
            yield from _of_expression(source, default, (node.body[0].lineno, last))
        for inner in node.body:
            yield from _of_statement(source, inner, _lines(inner))
        return
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            yield from _of_statement(source, inner, runs)
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    in_function = runs == _lines(node)
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "simple", "type_ignores"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.stmt):
                yield from _of_statement(source, child, _lines(child) if in_function else runs)
            elif isinstance(child, ast.ExceptHandler | ast.match_case):
                for inner in child.body:
                    yield from _of_statement(source, inner, _lines(inner) if in_function else runs)
            elif isinstance(child, ast.withitem):
                yield from _of_expression(source, child.context_expr, runs)
            elif isinstance(child, ast.expr):
                yield from _of_expression(source, child, runs)
    if isinstance(node, ast.AugAssign):
        yield from _of_operator(source, node.op, (node.target, node.value), runs)


def _lines(node: ast.stmt) -> tuple[int, int]:
    """The lines that run when a statement does: all of a simple one, the head of one with a body."""
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    if not body:
        return node.lineno, node.end_lineno or node.lineno
    first = body[0].pattern.lineno if isinstance(body[0], ast.match_case) else body[0].lineno
    return node.lineno, max(node.lineno, first - 1)


def _of_expression(source: Source, node: ast.expr, runs: tuple[int, int]) -> Iterator[Change]:
    if isinstance(node, ast.JoinedStr):
        return
    yield from _of_itself(source, node, runs)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword):
            yield from _of_keyword(source, child, runs)
        elif isinstance(child, ast.comprehension):
            for inner in (child.iter, *child.ifs):
                yield from _of_expression(source, inner, runs)
        elif isinstance(child, ast.expr):
            yield from _of_expression(source, child, runs)


def _of_keyword(source: Source, node: ast.keyword, runs: tuple[int, int]) -> Iterator[Change]:
    """A switch given by name is a matter of the function called; a word says which end where it is a bound."""
    value = node.value
    if not isinstance(value, ast.Constant):
        yield from _of_expression(source, value, runs)
    elif isinstance(value.value, str):
        if node.arg in {"side", "keep"} and value.value in BOUNDS:
            yield source.change(source.start(value), source.end(value), f'"{BOUNDS[value.value]}"', runs)
    elif not isinstance(value.value, bool) and node.arg != "stacklevel":
        yield from _of_itself(source, value, runs)


def _of_itself(source: Source, node: ast.expr, runs: tuple[int, int]) -> Iterator[Change]:
    match node:
        case ast.Compare(left=left, ops=operators, comparators=others):
            for operator, pair in zip(operators, zip([left, *others], others, strict=False), strict=True):
                yield from _of_operator(source, operator, pair, runs)
        case ast.BoolOp(op=operator, values=values):
            for pair in itertools.pairwise(values):
                yield from _of_operator(source, operator, pair, runs)
        case ast.BinOp(left=left, op=operator, right=right):
            if not any(isinstance(side, PUT_TOGETHER) or _is_text(side) for side in (left, right)):
                yield from _of_operator(source, operator, (left, right), runs)
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            found = re.match(rb"(not\b|~)\s*", source.text[source.start(node) :])
            assert found is not None
            yield source.change(source.start(node), source.start(node) + found.end(), "", runs)
        case ast.UnaryOp(op=ast.USub()):
            yield source.change(source.start(node), source.start(node) + 1, "+", runs)
        case ast.Constant(value=value):
            for new in _other_numbers(value):
                yield source.change(source.start(node), source.end(node), new, runs)
        case ast.Call(func=function, args=arguments):
            yield from _of_call(source, function, arguments, runs)
        case ast.Slice(upper=upper) if upper is not None:
            yield from _one_further(source, upper, runs)


def _of_call(source: Source, function: ast.expr, arguments: list[ast.expr], runs: tuple[int, int]) -> Iterator[Change]:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in BOUNDS:
        yield source.change(source.end(function) - len(name), source.end(function), BOUNDS[name], runs)
    if name in {"range", "prange"} and arguments:
        yield from _one_further(source, arguments[min(1, len(arguments) - 1)], runs)


def _of_operator(
    source: Source, operator: ast.AST, sides: tuple[ast.expr, ast.expr], runs: tuple[int, int]
) -> Iterator[Change]:
    """The operator stands between its two sides, with brackets, line ends and comments around it."""
    if type(operator) not in OPERATORS:
        return
    written, others = OPERATORS[type(operator)]
    first, last = source.end(sides[0]), source.start(sides[1])
    between = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment.group()), source.text[first:last])
    found = re.search(written.encode(), between)
    assert found is not None
    for other in others:
        yield source.change(first + found.start(), first + found.end(), other, runs)


def _one_further(source: Source, node: ast.expr, runs: tuple[int, int]) -> Iterator[Change]:
    """An end that is no number moves by one; numbers are changed as such."""
    if isinstance(node, ast.Constant | ast.UnaryOp | ast.IfExp | ast.BoolOp | ast.Compare | ast.Lambda | ast.BinOp):
        return
    for step in (" + 1", " - 1"):
        yield source.change(source.end(node), source.end(node), step, runs)


def _other_numbers(value: object) -> tuple[str, ...]:
    """Numbers that are not the one given: the next ones, or for large and tiny ones another size."""
    if isinstance(value, bool):
        return (str(not value),)
    if isinstance(value, int):
        if value >= 100:
            return (str(2 * value),)
        return (str(value + 1), str(value - 1)) if value > 0 else ("1",)
    if isinstance(value, float):
        if value == 0:
            return ("1.0",)
        return (repr(value * 1e6),) if value < 1e-3 else (repr(2 * value),)
    return ()


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
