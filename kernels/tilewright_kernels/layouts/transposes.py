"""The blocks that bring NCHW planes into an NHWC buffer and back.

They transpose squares of channels and pixels in registers, several side by side in one vector. The last vector of a row
of pixels overlaps the one before it, so that no row has a tail.
"""

from dataclasses import dataclass
from math import ceil

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import CHANNEL_BLOCK
from tilewright_kernels.isa.dots import SEGMENT_BYTES
from tilewright_kernels.isa.vectors import elements, indices, transposed
from tilewright_kernels.layouts.planes import Planes, power_of_two
from tilewright_kernels.layouts.traits import EXPORT
from tilewright_kernels.tir import Buffer, Expr, inline, part, region


def vector_segments(planes: Planes) -> int:
    """Of a vector of sums."""
    return planes.lanes * 4 // SEGMENT_BYTES


def import_planes(planes: Planes, data: Buffer, buffer: Buffer, name: str) -> None:
    """A block: 8-bit NCHW `data`, to an NHWC buffer. Its loops: image, group, row, chunk of channels, unit.

    Channels that fill up the last chunk repeat the last one.
    """
    columns, widest = planes.columns, min(vector_segments(planes), planes.columns // SEGMENT_BYTES)
    segments = max(count for count in (1, 2, 4) if count == 1 or count <= widest)
    pixels = segments * power_of_two(min(columns, SEGMENT_BYTES))

    def transpose(n: Expr, g: Expr, row: Expr, chunk: Expr, first: Expr) -> None:
        channels = [tirx.min(chunk * CHANNEL_BLOCK + at, planes.channels - 1) for at in range(CHANNEL_BLOCK)]
        vectors = [T.bind(data.vload([n, g, each, row, first], f"{data.dtype}x{pixels}")) for each in channels]
        for pixel, vector in enumerate(transposed(vectors, segments)):
            for segment in range(segments):
                *chunks, start = planes.channels_at(chunk, CHANNEL_BLOCK)
                column = first + segment * (pixels // segments) + pixel
                value = elements(vector, segment * CHANNEL_BLOCK, CHANNEL_BLOCK)
                T.buffer_store(buffer, value, [n, g, row, column, *chunks, T.ramp(start, 1, CHANNEL_BLOCK)])

    @inline
    def block() -> None:
        for n, g, row, chunk, unit in T.grid(planes.batch, planes.groups, planes.rows, planes.chunks, 1):
            with T.sblock(name):
                vn, vg, vrow, vchunk, vunit = T.axis.remap("SSSSS", [n, g, row, chunk, unit])
                T.reads(data[vn, vg, 0 : planes.channels, vrow, 0:columns])
                T.writes(pixels_of(planes, buffer, [vn, vg, vrow, vunit], vchunk, CHANNEL_BLOCK))
                for vector in T.serial(ceil(columns / pixels)):
                    transpose(vn, vg, vrow, vchunk, tirx.min(vector * pixels, columns - pixels))

    block()


def pixels_of(planes: Planes, buffer: Buffer, row: list[Expr], index: Expr, size: int) -> Expr:
    """The region of part `index` of the channels of a row; `row` ends with a block variable of extent 1."""
    *place, unit = row
    return region(buffer, *place, part(unit, planes.columns), *planes.channels_of(index, size, unit))


@dataclass(frozen=True)
class Tile:
    """Channels and pixels that are transposed and stored together."""

    planes: Planes

    @property
    def segments(self) -> int:
        """Squares side by side."""
        filled, widest = self.planes.chunks * CHANNEL_BLOCK, vector_segments(self.planes)
        fitting = (count for count in (1, 2, 4) if filled % (count * self.planes.square) == 0)
        return max(count for count in fitting if count <= widest)

    @property
    def channels(self) -> int:
        return self.segments * self.planes.square

    @property
    def pixels(self) -> int:
        """A square, or as many as a small image has, down to a power of two."""
        return min(self.planes.square, power_of_two(self.planes.columns))

    @property
    def count(self) -> int:
        """Tiles of the channels of a group."""
        return ceil(self.planes.channels / self.channels)

    @property
    def rest(self) -> int:
        """Channels of the last one."""
        return self.planes.channels - (self.count - 1) * self.channels


def export_planes(planes: Planes, buffer: Buffer, out: Buffer) -> None:
    """Block `export`: the results in `buffer`, to NCHW. Its loops: image, group, row, tile of channels, unit."""
    tile, columns, results = Tile(planes), planes.columns, planes.blocks * planes.lanes
    pixels = tile.pixels

    @inline
    def block() -> None:
        for n, g, row, t, unit in T.grid(planes.batch, planes.groups, planes.rows, tile.count, 1):
            with T.sblock(EXPORT):
                vn, vg, vrow, vt, vunit = T.axis.remap("SSSSS", [n, g, row, t, unit])
                T.reads(pixels_of(planes, buffer, [vn, vg, vrow, vunit], vunit, results))
                T.writes(out[vn, vg, 0 : planes.channels, vrow, 0:columns])
                for vector in T.serial(ceil(columns / pixels)):
                    export_tile(tile, buffer, out, [vn, vg, vrow], vt, tirx.min(vector * pixels, columns - pixels))

    block()


def export_tile(tile: Tile, buffer: Buffer, out: Buffer, row: list[Expr], index: Expr, first: Expr) -> None:
    """The channels of the tile; of the last one only those that there are."""
    if tile.rest == tile.channels:
        export_channels(tile, buffer, out, row, index, first, tile.channels)
        return
    with T.If(index < tile.count - 1):
        with T.Then():
            export_channels(tile, buffer, out, row, index, first, tile.channels)
        with T.Else():
            export_channels(tile, buffer, out, row, index, first, tile.rest)


def export_channels(
    tile: Tile, buffer: Buffer, out: Buffer, row: list[Expr], index: Expr, first: Expr, channels: int
) -> None:
    """Transpose the pixels of the tile from column `first` on, and store as many of its channels."""
    (n, g, h), square = row, tile.planes.square
    dtype, at = f"{tile.planes.dtype}x{tile.channels}", tile.planes.channels_at(index, tile.channels)
    vectors = [T.bind(buffer.vload([n, g, h, first + pixel, *at], dtype)) for pixel in range(tile.pixels)]
    planes = transposed(vectors, tile.segments)
    for channel in range(channels):
        segment, in_segment = divmod(channel, square)
        vector, start = divmod(in_segment * tile.pixels, square)
        value = elements(planes[vector], segment * square + start, tile.pixels)
        T.buffer_store(out, value, [n, g, index * tile.channels + channel, h, indices(first, tile.pixels)])
