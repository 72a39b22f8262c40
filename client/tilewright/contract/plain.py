"""Values as NumPy, ONNX and PyTorch hold them, as the numbers, texts and lists that they stand for."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from tilewright.errors import InvalidRequest


def plain(value: Any) -> Any:
    """Judged by what a value can do, for none of those libraries has to be there. Everything else stays as it is.

    Raises InvalidRequest for what is nested too deeply, or in itself.
    """
    try:
        return _plain(value)
    except RecursionError as error:
        raise InvalidRequest("this is nested too deeply") from error


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, type):
        return value.__name__
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "itemsize") and hasattr(value, "name"):
        return value.name  # a dtype
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(each) for each in value]
    return operator.index(value) if hasattr(value, "__index__") else value
