# mypy: ignore-errors
"""Data as a dot product takes them."""

from tvm.script import tirx as T

from tilewright_kernels.isa.dots import Dot


def as_operand(element, dtype: str, dot: Dot):
    """An element of the data as the instruction takes it.

    vpdpbusd multiplies unsigned by signed: int8 data moves up by 128, and the bias takes it back.
    """
    if dtype == dot.data_dtype:
        return element
    return T.cast(T.cast(element, "int32") + (128 if dot.has_bytes else 0), dot.data_dtype)
