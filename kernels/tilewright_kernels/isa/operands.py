"""Data as a dot product takes them: bytes of its sign, or widened. What bytes were moved by, the bias takes back."""

from tvm import tirx
from tvm.script import tirx as T

from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.tir import Expr


def as_operand(element: Expr, dtype: str, dot: Dot) -> Expr:
    """An element of the data."""
    if dtype == dot.data_dtype:
        return element
    return T.cast(T.cast(element, "int32") + dot.data_offset(dtype), dot.data_dtype)


def as_operands(vector: Expr, dtype: str, size: int, dot: Dot) -> Expr:
    """A vector of `size` elements of the data, or one."""
    if dtype == dot.data_dtype:
        return vector
    lanes = f"x{size}" if size > 1 else ""
    if not dot.multiplies_bytes:
        return T.cast(vector, dot.data_dtype + lanes)
    offset = tirx.const(dot.data_offset(dtype), dot.data_dtype)
    return T.reinterpret(vector, dtype=dot.data_dtype + lanes) + (T.broadcast(offset, size) if size > 1 else offset)
