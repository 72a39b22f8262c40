"""No function is above 60 lines; TVMScript bodies, which are one loop nest each, do not count."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 60
ROOMS = ("client", "kernels", "tuning", "worker", "comparison", "service", "bench", "tests")
GENERATED = "migrations/versions"
"""By Alembic."""


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_tvmscript(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
    return any(decorator.startswith(("T.prim_func", "T.inline")) for decorator in decorators)


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    inner = [each for each in functions(function) if each is not function and is_tvmscript(each)]
    return function.end_lineno - function.lineno + 1 - sum(map(lines_of, inner))


def too_long(source: str) -> list[str]:
    found = [each for each in functions(ast.parse(source)) if not is_tvmscript(each)]
    return [f"{each.name}: {lines_of(each)} lines" for each in found if lines_of(each) > MOST_LINES]


@pytest.mark.parametrize("room", ROOMS)
def test_no_function_outside_tvmscript_is_longer_than_60_lines(room: str) -> None:
    files = [file for file in (ROOT / room).rglob("*.py") if GENERATED not in file.as_posix()]
    assert files
    assert {str(file.relative_to(ROOT)): found for file in files if (found := too_long(file.read_text()))} == {}


def test_a_function_that_is_too_long_is_noticed_and_its_tvmscript_does_not_count() -> None:
    body = "        pass\n" * MOST_LINES
    assert too_long(f"def f():\n    if True:\n{body}") == ["f: 62 lines"]
    assert too_long(f"def f():\n    @T.prim_func(s_tir=True)\n    def main():\n{body}    return main\n") == []
