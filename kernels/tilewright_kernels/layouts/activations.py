"""Activations as loop nests see them, which are NHWC inside whatever the caller's layout is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil

from tvm.script import tirx as T

from tilewright.contract.workload import CHANNEL_BLOCK
from tilewright_kernels.isa.vectors import indices
from tilewright_kernels.tir import Buffer, Expr, Index


@dataclass(frozen=True)
class Activations(ABC):
    """Data, a residual or results: where the element at an NHWC position lies, and how the whole comes in and goes out.

    A kernel reads and writes the caller's array, or a buffer of its own that a block fills before, or empties after.
    """

    batch: int
    groups: int
    channels: int
    """Of one group."""
    height: int
    width: int
    dtype: str
    lanes: int = CHANNEL_BLOCK
    """Channels of a block, whose sums fill one vector."""
    is_flat: bool = True
    """Whether channels are one dimension, as vectors that cross blocks want it; if not, blocks are, where they fill it,
    as tensor intrinsics want it."""
    has_groups: bool = False
    """Whether groups are a dimension of NHWC arrays; if not, there is one group."""

    @property
    def blocks(self) -> int:
        """Of a group; the last may be partly empty."""
        return ceil(self.channels / self.lanes)

    @property
    def has_rows(self) -> bool:
        """Whether rows come in and go out one by one, and not an image as one row."""
        return True

    @property
    @abstractmethod
    def array_shape(self) -> tuple[int, ...]:
        """Of the caller's array, as the kernel declares it."""

    @staticmethod
    @abstractmethod
    def in_array(n: Expr, h: Expr, w: Expr, c: Expr) -> Index:
        """The index of an element in an array of the layout, as the workload gives its shape."""

    @abstractmethod
    def part(self, n: Expr, h: Expr, w: Expr, g: Expr, index: Expr, size: int, first: Expr) -> Index:
        """The index of channel `first` of part `index` of a group, in parts of `size` channels."""

    def element(self, n: Expr, h: Expr, w: Expr, g: Expr, c: Expr) -> Index:
        return self.part(n, h, w, g, c, 1, 0)

    def block(self, n: Expr, h: Expr, w: Expr, g: Expr, b: Expr, lane: Expr) -> Index:
        return self.part(n, h, w, g, b, self.lanes, lane)

    def imported(self, array: Buffer, block: str) -> Buffer:
        """What the kernel reads: the caller's array, or a buffer that `block` fills from it."""
        return array

    def result(self, out: Buffer) -> Buffer:
        """What the kernel writes."""
        return out

    def export(self, result: Buffer, out: Buffer) -> None:  # noqa: B027, not every layout has to
        """Bring what the kernel wrote to the caller's array, where that is another one."""

    def load(self, buffer: Buffer, index: Index, size: int) -> Expr:
        """`size` channels from `index` on."""
        return buffer.vload(list(index), self.dtype if size == 1 else f"{self.dtype}x{size}")

    def store(self, buffer: Buffer, vector: Expr, index: Index, size: int) -> None:
        *pixel, channel = index
        T.buffer_store(buffer, vector, [*pixel, indices(channel, size)])
