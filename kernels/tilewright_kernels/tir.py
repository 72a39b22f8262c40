"""What definitions are written with, beside TVMScript: they are plain functions that emit one block each."""

from collections.abc import Callable
from typing import Any, TypeVar

from tvm import tirx
from tvm.script import tirx as T
from tvm.script.ir_builder import IRBuilder

Expr = Any
"""A scalar or a vector."""

Buffer = Any

Index = tuple[Expr, ...]
"""Of an element in a buffer: one expression for each dimension."""

Block = TypeVar("Block", bound=Callable[..., None])

inline: Callable[[Block], Block] = T.inline
"""Makes a function TVMScript, which emits what it says wherever it is called while a kernel is parsed."""


def allocate(name: str, shape: tuple[int, ...], dtype: str, scope: str = "global") -> Buffer:
    """A buffer of the kernel; `local` ones become registers."""
    buffer = T.sblock_alloc_buffer(shape, dtype, scope=scope)
    IRBuilder.name(name, buffer)
    return buffer


def region(buffer: Buffer, *index: Expr) -> Expr:
    """For `T.reads` and `T.writes`, which take no star."""
    return buffer[index]


def whole(buffer: Buffer) -> Expr:
    """The region of all of it."""
    return region(buffer, *(slice(0, extent) for extent in buffer.shape))


def part(index: Expr, extent: int) -> slice:
    """Part `index` of a dimension that is cut into parts of `extent`.

    `compute_at` understands no other form: a whole dimension is the only part, by a block variable of extent 1.
    """
    return slice(index * extent, index * extent + extent)


def all_of(conditions: list[Expr], value: Expr, otherwise: Expr) -> Expr:
    """`value` where all conditions hold; without any, no branch."""
    return T.if_then_else(tirx.all(*conditions), value, otherwise) if conditions else value


def accumulate(total: Expr, start: Expr, data: Expr, weight: Expr) -> None:
    """The body of a block that sums products in int32: `total`, `data` and `weight` are elements of buffers.

    `start` is not among what the block reads: an update that reads more than the instruction does cannot be
    tensorized.
    """
    T.reads(data, weight)
    T.writes(total)
    with T.init():
        T.buffer_store(total.source, start, total.indices)
    T.buffer_store(total.source, total + T.cast(data, "int32") * T.cast(weight, "int32"), total.indices)
