"""NHWC: the channels of a pixel side by side, as loop nests want them."""

from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.tir import Expr, Index


class Nhwc(Activations):
    @property
    def has_blocks(self) -> bool:
        return not self.is_flat and self.channels % self.lanes == 0

    @property
    def array_shape(self) -> tuple[int, ...]:
        channels = (self.blocks, self.lanes) if self.has_blocks else (self.channels,)
        groups = (self.groups,) if self.has_groups else ()
        return self.batch, self.height, self.width, *groups, *channels

    @staticmethod
    def in_array(n: Expr, h: Expr, w: Expr, c: Expr) -> Index:
        return n, h, w, c

    def part(self, n: Expr, h: Expr, w: Expr, g: Expr, index: Expr, size: int, first: Expr) -> Index:
        channel = (index, first) if self.has_blocks else (index * size + first,)
        return n, h, w, *((g,) if self.has_groups else ()), *channel
