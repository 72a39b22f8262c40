"""What the source says below the fields of messages, for the OpenAPI document.

Pydantic can read it by itself, but then whenever a class is made: that is at every start of the client.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from tilewright.contract.message import Message


def messages() -> dict[str, type[Message]]:
    """All that are imported, by name."""
    return {each.__name__: each for each in _below(Message)}


def field_docs(message: type[Message]) -> dict[str, str]:
    """Of its own fields and of those that it inherits."""
    classes = [each for each in reversed(message.__mro__) if issubclass(each, Message)]
    return {name: text for each in classes for name, text in _strings_below_fields(each)}


def _below(message: type[Message]) -> Iterator[type[Message]]:
    for each in message.__subclasses__():
        yield each
        yield from _below(each)


def _strings_below_fields(message: type[Message]) -> Iterator[tuple[str, str]]:
    """Nothing for a class that is a generic one filled in: it is in no source."""
    for field, below in pairwise(_bodies(message.__module__).get(message.__name__, [])):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)


@cache
def _bodies(module: str) -> dict[str, list[ast.stmt]]:
    """Of its classes, by name."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}
