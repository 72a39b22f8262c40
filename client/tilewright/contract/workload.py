"""One quantized 2-D convolution, fully specified.

v = float32(conv(x - data_zero_point, w) + bias) * scale [+ float32(r - residual_zero_point) * residual_scale]
y = saturate(round_half_even(v) + out_zero_point)

That is ONNX `QLinearConv`, with an optional residual r. float32 outputs are v; int32 outputs are `conv + bias`.
Scales and zero points are given when a kernel is used: they do not change the schedule, so they are not part of it.
"""

import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, WithJsonSchema, model_validator
from pydantic_core import PydanticKnownError

from tilewright.contract.message import Input

MAX_TENSOR_BYTES = 2**31
MAX_MACS = 2**42
MAX_REDUCTION = 2**16
"""Products summed for one output: 2^16 * 255 * 128 still fits int32, so accumulation is always exact."""

Batch = Annotated[StrictInt, Field(ge=1, le=4096)]
Channels = Annotated[StrictInt, Field(ge=1, le=65536)]
Extent = Annotated[StrictInt, Field(ge=1, le=16384)]
Step = Annotated[StrictInt, Field(ge=1, le=256)]
Border = Annotated[StrictInt, Field(ge=0, le=1024)]


def _repeat(count: int, least: int, most: int) -> Callable[[Any], Any]:
    """One number stands for `count` equal ones."""

    def repeat(value: Any) -> Any:
        if type(value) is not int:
            return value
        if value < least:
            raise PydanticKnownError("greater_than_equal", {"ge": least})
        if value > most:
            raise PydanticKnownError("less_than_equal", {"le": most})
        return (value,) * count

    return repeat


def _one_or_all(names: str, least: int, most: int) -> dict[str, Any]:
    """The schema, of answers as well: with two schemas a workload would have two names in the API document."""
    number, count = {"type": "integer", "minimum": least, "maximum": most}, len(names.split(", "))
    numbers = {"type": "array", "prefixItems": [number] * count, "minItems": count, "maxItems": count}
    return {"anyOf": [number, numbers], "description": names}


Pair = Annotated[
    tuple[Step, Step], BeforeValidator(_repeat(2, 1, 256)), WithJsonSchema(_one_or_all("height, width", 1, 256))
]
Borders = Annotated[
    tuple[Border, Border, Border, Border],
    BeforeValidator(_repeat(4, 0, 1024)),
    WithJsonSchema(_one_or_all("top, left, bottom, right", 0, 1024)),
]

CHANNEL_BLOCK = 16
"""Channels that stand side by side in NCHW16c."""

SHORT_DTYPE = {"uint8": "u8", "int8": "s8", "int32": "s32", "float32": "f32"}
BYTES = {"uint8": 1, "int8": 1, "int32": 4, "float32": 4}


class Workload(Input):
    """What to compute. Pairs are (height, width); `padding` is top, left, bottom, right.

    One number stands for equal ones: `kernel_size=3` is (3, 3), and `padding=1` is 1 on all sides.
    """

    batch: Batch
    in_channels: Channels
    height: Extent
    width: Extent
    out_channels: Channels
    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Borders = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: Channels = 1
    data_dtype: Literal["uint8", "int8"] = "uint8"
    weight_dtype: Literal["int8"] = "int8"
    out_dtype: Literal["uint8", "int8", "int32", "float32"] = "uint8"
    layout: Literal["NHWC", "NCHW", "NCHW16c"] = "NHWC"
    """Of data, residual and result. NCHW16c is (batch, channels / 16, height, width, 16)."""
    bias: StrictBool = True
    activation: Literal["none", "relu", "relu6"] = "none"
    residual: StrictBool = False
    """Whether a second quantized tensor, of the output's shape and with a scale of its own, is added."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_groups()
        self._check_layout()
        self._check_epilogue()
        self._check_output()
        self._check_sizes()
        return self

    def _check_groups(self) -> None:
        for name in ("in_channels", "out_channels"):
            channels = getattr(self, name)
            if channels % self.groups:
                raise ValueError(f"groups={self.groups} does not divide {name}={channels}")

    def _check_layout(self) -> None:
        if self.layout != "NCHW16c":
            return
        for name in ("in_channels", "out_channels"):
            channels = getattr(self, name)
            if channels % CHANNEL_BLOCK:
                raise ValueError(
                    f"{name}={channels} is not a multiple of {CHANNEL_BLOCK}, as layout NCHW16c has it: "
                    "fill the channels up with zeros, or use NHWC or NCHW"
                )

    def _check_epilogue(self) -> None:
        if self.out_dtype == "int32" and (self.residual or self.activation == "relu6"):
            what = "residual" if self.residual else "activation relu6"
            raise ValueError(f"{what} needs a scale, and int32 outputs have none: use uint8, int8 or float32")

    def _check_output(self) -> None:
        for name, extent, size in zip(("height", "width"), self._padded_shape(), self._kernel_extents(), strict=True):
            if extent < size:
                raise ValueError(f"the dilated kernel covers {size} in {name}, the padded input has only {extent}")

    def _check_sizes(self) -> None:
        if self.reduction > MAX_REDUCTION:
            raise ValueError(
                f"in_channels/groups * kernel_size is {self.reduction}; int32 sums are exact up to {MAX_REDUCTION}"
            )
        if self.macs > MAX_MACS:
            raise ValueError(f"the convolution has {self.macs} multiply-adds; at most {MAX_MACS} can be tuned")
        height, width = self._padded_shape()
        padded = self.batch * height * width * self.in_channels
        result = prod(self.output_shape) * BYTES[self.out_dtype]
        for name, size in (("padded input", padded), ("output", result), ("weight", prod(self.weight_shape))):
            if size > MAX_TENSOR_BYTES:
                raise ValueError(f"the {name} takes {size} bytes; at most {MAX_TENSOR_BYTES} can be tuned")

    def _padded_shape(self) -> tuple[int, int]:
        top, left, bottom, right = self.padding
        return self.height + top + bottom, self.width + left + right

    def _kernel_extents(self) -> tuple[int, int]:
        (kernel_h, kernel_w), (dilation_h, dilation_w) = self.kernel_size, self.dilation
        return (kernel_h - 1) * dilation_h + 1, (kernel_w - 1) * dilation_w + 1

    @property
    def out_height(self) -> int:
        return (self._padded_shape()[0] - self._kernel_extents()[0]) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        return (self._padded_shape()[1] - self._kernel_extents()[1]) // self.stride[1] + 1

    @property
    def reduction(self) -> int:
        """How many products are summed for one output element."""
        return self.in_channels // self.groups * self.kernel_size[0] * self.kernel_size[1]

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole convolution, padding included."""
        return prod(self.output_shape) * self.reduction

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of the data, in the workload's layout."""
        return self._arranged(self.height, self.width, self.in_channels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of the result and the residual, in the workload's layout."""
        return self._arranged(self.out_height, self.out_width, self.out_channels)

    def _arranged(self, height: int, width: int, channels: int) -> tuple[int, ...]:
        if self.layout == "NHWC":
            return self.batch, height, width, channels
        if self.layout == "NCHW":
            return self.batch, channels, height, width
        return self.batch, channels // CHANNEL_BLOCK, height, width, CHANNEL_BLOCK

    @property
    def in_nhwc(self) -> "Workload":
        """The same convolution of NHWC arrays."""
        return self if self.layout == "NHWC" else Workload(**{**self.model_dump(), "layout": "NHWC"})

    @property
    def residual_dtype(self) -> str:
        """Of the tensor that is added: the output's where that is quantized, the data's otherwise."""
        return self.data_dtype if self.out_dtype == "float32" else self.out_dtype

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """OIHW, as ONNX and PyTorch store it."""
        return self.out_channels, self.in_channels // self.groups, *self.kernel_size

    def __repr__(self) -> str:
        return f"<Workload {self.name}>"

    __str__ = __repr__

    @property
    def canonical_json(self) -> str:
        """Every field, keys sorted, no white space: equal for equal workloads, on every machine."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Short and readable, such as `n1_c64_h56w56_o64_k3x3_s1_p1_u8s8u8_nhwc`; not an identity."""
        parts = [
            f"n{self.batch}",
            f"c{self.in_channels}",
            f"h{self.height}w{self.width}",
            f"o{self.out_channels}",
            f"k{self.kernel_size[0]}x{self.kernel_size[1]}",
            "s" + _short(self.stride),
            "p" + _short(self.padding),
        ]
        if self.dilation != (1, 1):
            parts.append("d" + _short(self.dilation))
        if self.groups != 1:
            parts.append(f"g{self.groups}")
        parts.append("".join(SHORT_DTYPE[dtype] for dtype in (self.data_dtype, self.weight_dtype, self.out_dtype)))
        if not self.bias:
            parts.append("nobias")
        if self.activation != "none":
            parts.append(self.activation)
        if self.residual:
            parts.append("residual")
        return "_".join([*parts, self.layout.lower()])


def _short(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))
