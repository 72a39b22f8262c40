# mypy: ignore-errors
"""Activations in other layouts than NHWC, around loop nests that are NHWC inside.

NCHW16c needs no more than other indices: sixteen channels of a pixel stay together. NCHW comes in and goes out
through buffers: `enter` and `leave` turn squares of channels and pixels in registers, several side by side in one
vector. The last vector of a row of pixels overlaps the one before it, so that no row has a tail.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import CHANNEL_BLOCK, Workload
from tilewright_kernels.isa.dots import SEGMENT_BYTES, Dot
from tilewright_kernels.isa.vectors import elements, indices, interleaved, transposed


def arranged(layout: str, n, h, w, c):
    """The place of an NHWC element in an array of `layout`."""
    if layout == "NHWC":
        return n, h, w, c
    if layout == "NCHW":
        return n, c, h, w
    return n, c // CHANNEL_BLOCK, h, w, c % CHANNEL_BLOCK


def vector_of(layout: str, buffer, place, size: int):
    """`size` channels from `place` on; in NCHW16c they are in one chunk, or are whole chunks."""
    if layout != "NCHW16c" or size <= CHANNEL_BLOCK:
        return buffer.vload(place, buffer.dtype if size == 1 else f"{buffer.dtype}x{size}")
    chunks = [buffer.vload(chunk, f"{buffer.dtype}x{CHANNEL_BLOCK}") for chunk in _chunks(place, size)]
    return tirx.Shuffle(chunks, list(range(size)))


def store_vector(layout: str, buffer, vector, place, size: int) -> None:
    """The counterpart of `vector_of`."""
    if layout == "NCHW16c" and size > CHANNEL_BLOCK:
        vector = T.bind(vector)
        for first, chunk in enumerate(_chunks(place, size)):
            store_vector(layout, buffer, elements(vector, first * CHANNEL_BLOCK, CHANNEL_BLOCK), chunk, CHANNEL_BLOCK)
        return
    *pixel, channel = place
    T.buffer_store(buffer, vector, [*pixel, indices(channel, size)])


def _chunks(place, size: int):
    n, chunk, h, w, channel = place
    return [(n, chunk + at, h, w, channel) for at in range(size // CHANNEL_BLOCK)]


def region(buffer, *places):
    return buffer[places]


def whole(buffer):
    """The region of all of it."""
    return region(buffer, *(slice(0, extent) for extent in buffer.shape))


@dataclass(frozen=True)
class Planes:
    """NCHW activations: what lies in an array of the caller, and in the NHWC buffer before or behind it.

    Where rows are shorter than a vector, the whole image is one row.
    """

    batch: int
    groups: int
    channels: int
    """Of one group."""
    height: int
    width: int
    dtype: str
    lanes: int
    """Channels of a block, whose sums fill one vector."""
    is_flat: bool = False
    """Whether vectors of several chunks are stored: TVM shrinks a dimension of chunks to those that it sees begin."""

    @property
    def vector_lanes(self) -> int:
        """128-bit lanes of a vector."""
        return self.lanes * 4 // SEGMENT_BYTES

    @property
    def square(self) -> int:
        """Channels and pixels that are turned together in one lane."""
        return SEGMENT_BYTES // np.dtype(self.dtype).itemsize

    @property
    def has_rows(self) -> bool:
        return self.width >= self.square

    @property
    def rows(self) -> int:
        return self.height if self.has_rows else 1

    @property
    def columns(self) -> int:
        return self.width if self.has_rows else self.height * self.width

    @property
    def pixels(self) -> int:
        """Pixels that are turned together: a square, or as many as a small image has, down to a power of two."""
        return min(self.square, power_of_two(self.columns))

    @property
    def chunks(self) -> int:
        """Sixteens of channels that a pixel takes in the buffer."""
        return ceil(self.channels / CHANNEL_BLOCK)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the caller's array."""
        return self.batch, self.groups, self.channels, self.rows, self.columns

    @property
    def blocks(self) -> int:
        """Blocks of results of a group; the buffer has room for more where they do not fill a chunk."""
        return ceil(self.channels / self.lanes)

    @property
    def has_blocks(self) -> bool:
        """Whether blocks are a dimension of the buffer, as tensor intrinsics take them: where a block is a chunk."""
        return self.lanes == CHANNEL_BLOCK and not self.is_flat

    @property
    def buffer_shape(self) -> tuple[int, ...]:
        """NHWC, the channels of each group filled up to chunks."""
        pixels = self.batch, self.groups, self.rows, self.columns
        if self.has_blocks:
            return *pixels, self.chunks, CHANNEL_BLOCK
        return *pixels, self.chunks * CHANNEL_BLOCK

    def place(self, n, g, h, w, block, lane):
        """Of a lane of a block in the buffer."""
        row, column = (h, w) if self.has_rows else (0, h * self.width + w)
        return n, g, row, column, *self.channels_at(block, self.lanes, lane)

    def channels_at(self, index, size: int, first=0):
        """Of part `index` of the channels of a pixel in the buffer, parts of `size`, from its channel `first` on."""
        if self.has_blocks:
            return index * (size // CHANNEL_BLOCK), first
        return (index * size + first,)

    def part_of_channels(self, index, size: int, whole) -> tuple[slice, ...]:
        """The same, all of the part, as a region; `whole` is a block variable of extent 1."""
        if self.has_blocks:
            return part(index, size // CHANNEL_BLOCK), part(whole, CHANNEL_BLOCK)
        return (part(index, size),)


def planes_of_data(workload: Workload) -> Planes:
    """Of all channels together, for kernels that read NHWC."""
    return Planes(
        *(workload.batch, 1, workload.in_channels, workload.height, workload.width),
        workload.data_dtype,
        lanes=CHANNEL_BLOCK,
        is_flat=True,
    )


def place_in(layout: str, planes: Planes, n, h, w, c):
    """The place of an NHWC element: in the buffer of NCHW activations, or in an array of the caller."""
    if layout == "NCHW":
        return planes.place(n, 0, h, w, c // CHANNEL_BLOCK, c % CHANNEL_BLOCK)
    return arranged(layout, n, h, w, c)


def turned_quads(workload: Workload, dot: Dot, data, data_zero_point, source, place):
    """A padded row of `source`, the channels of one quad side by side, from as many rows of NCHW data.

    Channels beyond the last one repeat it: their weights are zero.
    """
    channels, height, width = map(int, data.shape[2:])
    top, left, _, right = workload.padding
    n, group, row, quad = place
    quads, pixels, dtype = dot.products, power_of_two(min(width, SEGMENT_BYTES)), workload.data_dtype

    def fill(first, count):
        with T.serial(0, count) as column:
            zero_point = T.broadcast(T.cast(data_zero_point[0], dot.data_dtype), quads)
            T.buffer_store(source, zero_point, [n, group, row, quad, first + column, T.ramp(0, 1, quads)])

    def turn(first):
        taps = [tirx.min(quad * quads + tap, channels - 1) for tap in range(quads)]
        rows = [data.vload([n, group, tap, row - top, first], f"{dtype}x{pixels}") for tap in taps]
        value = operand_quads(rows, pixels, dtype, dot)
        T.buffer_store(source, value, [n, group, row, quad, left + first, T.ramp(0, 1, quads * pixels)])

    def inside():
        fill(0, left)
        with T.serial(0, ceil(width / pixels)) as vector:
            turn(tirx.min(vector * pixels, width - pixels))
        fill(left + width, right)

    with T.If(tirx.all(row >= top, row < top + height)):
        with T.Then():
            inside()
        with T.Else():
            fill(0, left + width + right)


def operand_quads(rows, pixels: int, dtype: str, dot: Dot):
    """Rows of `pixels` elements as quads of the instruction: bytes of its sign, or widened to int16."""
    count = pixels * dot.products
    if dot.lanes == pixels == SEGMENT_BYTES and dot.multiplies_bytes:
        quads = interleaved(dot.vectors, rows)
    else:
        quads = tirx.Shuffle(rows, [tap * pixels + pixel for pixel in range(pixels) for tap in range(len(rows))])
    if not dot.multiplies_bytes:
        return T.cast(quads, f"{dot.data_dtype}x{count}")
    if dtype == dot.data_dtype:
        return quads
    offset = tirx.const(dot.data_offset(dtype), dot.data_dtype)
    return T.reinterpret(quads, dtype=f"{dot.data_dtype}x{count}") + T.broadcast(offset, count)


def part(index, extent: int) -> slice:
    """Part `index` of a dimension that is cut into parts of `extent`.

    `compute_at` understands no other form: a whole dimension is the only part, by a block variable of extent 1.
    """
    return slice(index * extent, index * extent + extent)


def power_of_two(number: int) -> int:
    """The largest that is not above `number`."""
    return 1 << number.bit_length() - 1


def enter(planes: Planes, data, buffer, name: str = "import_data"):
    """A block: 8-bit NCHW `data`, to an NHWC buffer. Its loops: image, group, row, chunk of channels, all.

    Channels that fill up the last chunk repeat the last one.
    """
    columns, dtype = planes.columns, str(data.dtype)
    pixels = power_of_two(min(columns, SEGMENT_BYTES))
    lanes = max(
        lanes for lanes in (1, 2, 4) if lanes == 1 or lanes <= min(planes.vector_lanes, columns // SEGMENT_BYTES)
    )

    def turn(n, group, row, chunk, first):
        channels = [tirx.min(chunk * CHANNEL_BLOCK + at, planes.channels - 1) for at in range(CHANNEL_BLOCK)]
        vectors = [T.bind(data.vload([n, group, each, row, first], f"{dtype}x{lanes * pixels}")) for each in channels]
        for pixel, vector in enumerate(transposed(vectors, lanes)):
            for lane in range(lanes):
                value = elements(vector, lane * CHANNEL_BLOCK, CHANNEL_BLOCK)
                *chunks, start = planes.channels_at(chunk, CHANNEL_BLOCK)
                place = [n, group, row, first + lane * pixels + pixel, *chunks]
                T.buffer_store(buffer, value, [*place, T.ramp(start, 1, CHANNEL_BLOCK)])

    @T.inline
    def block():
        for n, g, row, chunk, whole in T.grid(planes.batch, planes.groups, planes.rows, planes.chunks, 1):
            with T.sblock(name):
                vn, vg, vrow, vchunk, vwhole = T.axis.remap("SSSSS", [n, g, row, chunk, whole])
                T.reads(data[vn, vg, 0 : planes.channels, vrow, 0:columns])
                T.writes(
                    region(
                        buffer,
                        vn,
                        vg,
                        vrow,
                        part(vwhole, columns),
                        *planes.part_of_channels(vchunk, CHANNEL_BLOCK, vwhole),
                    )
                )
                for vector in T.serial(ceil(columns / (lanes * pixels))):
                    turn(vn, vg, vrow, vchunk, tirx.min(vector * lanes * pixels, columns - lanes * pixels))

    block()


def leave(planes: Planes, buffer, out):
    """Block `export`: the results in `buffer`, to NCHW. Its loops: image, group, row, tile of channels."""
    square, pixels, columns = planes.square, planes.pixels, planes.columns
    filled, results = planes.chunks * CHANNEL_BLOCK, planes.blocks * planes.lanes
    lanes = max(lanes for lanes in (1, 2, 4) if lanes <= planes.vector_lanes and filled % (lanes * square) == 0)
    size = lanes * square
    tiles = ceil(planes.channels / size)
    rest = planes.channels - (tiles - 1) * size

    def store(place, tile, first, channels):
        """Turn `pixels` pixels and store as many of the channels of the tile."""
        n, g, row = place
        vectors = [
            T.bind(buffer.vload([n, g, row, first + pixel, *planes.channels_at(tile, size)], f"{planes.dtype}x{size}"))
            for pixel in range(pixels)
        ]
        turned = transposed(vectors, lanes)
        for channel in range(channels):
            lane, place_in_lane = divmod(channel, square)
            vector, start = divmod(place_in_lane * pixels, square)
            value = elements(turned[vector], lane * square + start, pixels)
            T.buffer_store(out, value, [n, g, tile * size + channel, row, indices(first, pixels)])

    def turn(place, tile, first):
        if rest == size:
            store(place, tile, first, size)
            return
        with T.If(tile < tiles - 1):
            with T.Then():
                store(place, tile, first, size)
            with T.Else():
                store(place, tile, first, rest)

    @T.inline
    def block():
        for n, g, row, tile, whole in T.grid(planes.batch, planes.groups, planes.rows, tiles, 1):
            with T.sblock("export"):
                vn, vg, vrow, vtile, vwhole = T.axis.remap("SSSSS", [n, g, row, tile, whole])
                T.reads(
                    region(
                        buffer, vn, vg, vrow, part(vwhole, columns), *planes.part_of_channels(vwhole, results, vwhole)
                    )
                )
                T.writes(out[vn, vg, 0 : planes.channels, vrow, 0:columns])
                for vector in T.serial(ceil(columns / pixels)):
                    turn((vn, vg, vrow), vtile, tirx.min(vector * pixels, columns - pixels))

    block()
