"""Data as a dot product takes them: the one place that knows by how much they are moved."""

from tvm.script import tirx as T

from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.tir import Expr


def operand_offset(dtype: str, dot: Dot) -> int:
    """What is added to data of `dtype`: vpdpbusd multiplies unsigned by signed, so int8 moves up by 128, and the bias
    takes it back."""
    return 128 if dot.has_bytes and dtype == "int8" else 0


def as_operand(element: Expr, dtype: str, dot: Dot) -> Expr:
    """An element of the data."""
    if dtype == dot.data_dtype:
        return element
    return T.cast(T.cast(element, "int32") + operand_offset(dtype, dot), dot.data_dtype)


def as_operands(vector: Expr, dtype: str, size: int, dot: Dot) -> Expr:
    """A vector of `size` elements of the data, or one."""
    if dtype == dot.data_dtype:
        return vector
    lanes = f"x{size}" if size > 1 else ""
    if not dot.has_bytes:
        return T.cast(vector, dot.data_dtype + lanes)
    offset = T.cast(operand_offset(dtype, dot), dot.data_dtype)
    return T.reinterpret(vector, dtype=dot.data_dtype + lanes) + (T.broadcast(offset, size) if size > 1 else offset)
