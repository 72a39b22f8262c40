"""Documents with one mistake each, and the words of libraries that no complaint about them may hold."""

import copy
import re
from collections.abc import Iterator
from typing import Any

LIBRARY_WORDS = re.compile(
    "Input should|Field required|Extra inputs|valid (tuple|integer|number|string|list|dictionary|boolean)|Value error"
    r"|type=|pydantic|should (have|match|be)|Keys should|Input tag|Unable to|unable to parse|something else"
)

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 3, 2**70, 1.5, -0.5, 1e300, float("nan"), "", "text", "12", "x" * 5000, "ä\x00"),
    *([], [1], [1] * 3, [[]], [None] * 2000, {}, {"a": 1}, {"outcome": "x"}, {str(n): 1 for n in range(99)}),
)


FEW_ODD = (None, -1, "text", [1], {"a": 1})


def mutations(document: Any, odd: tuple[Any, ...] = ODD) -> Iterator[Any]:
    """Every place replaced by every odd value; every key and entry left out; a key and an entry more."""
    yield from odd
    if not isinstance(document, dict | list):
        return
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        for other in mutations(value, odd):
            yield _with(document, key, other)
        less = copy.copy(document)
        del less[key]
        yield less
        if isinstance(document, list):
            yield [*document, value]
        else:
            yield _with(less, str(key)[:-1], value)
    if isinstance(document, dict):
        yield {**document, "colour": "red"}


def _with(document: Any, key: Any, value: Any) -> Any:
    changed = copy.copy(document)
    changed[key] = value
    return changed
