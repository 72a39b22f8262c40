"""From a sum to an output element."""

from tvm import tirx

from tilewright.contract.workload import Workload
from tilewright_kernels.tir import Buffer, Expr

ROUNDING_MAGIC = 12582912.0
"""1.5 * 2^23: added to a float32 below 2^22, it leaves the nearest integer (half to even) in the low bits."""

LOWEST_FLOAT = -3.4028234663852886e38


def requantise(workload: Workload, total: Expr, scale: Expr, output: Buffer, addend: Expr | None) -> Expr:
    """`total` (int32, bias included) as an element of `out_dtype`; `output` holds zero point, lowest and highest.

    `addend` is a residual as float32, in units of the output.
    """
    if workload.out_dtype == "int32":
        return tirx.max(total, tirx.const(0, "int32")) if workload.activation == "relu" else total
    scaled = tirx.Cast("float32", total) * scale
    if addend is not None:
        scaled = unfused(scaled) + unfused(addend)
    if workload.out_dtype == "float32":
        return clipped(workload.activation, scaled)
    return narrow(workload.out_dtype, scaled, output)


def residual_addend(element: Expr, addition: Buffer) -> Expr:
    """(r - zero point) * scale, from `addition`: scale and zero point as float32."""
    return (tirx.Cast("float32", element) - addition[1]) * addition[0]


def unfused(product: Expr) -> Expr:
    """A product that stays rounded: TVM lets LLVM fuse it with an addition, which not every CPU can do."""
    return tirx.max(product, tirx.const(LOWEST_FLOAT, "float32"))


def clipped(activation: str, value: Expr) -> Expr:
    """A float32 result after its activation."""
    if activation == "none":
        return value
    positive = tirx.max(value, tirx.const(0.0, "float32"))
    return tirx.min(positive, tirx.const(6.0, "float32")) if activation == "relu6" else positive


def narrow(out_dtype: str, scaled: Expr, output: Buffer) -> Expr:
    """saturate(round_half_even(scaled) + zero point), the limits given before the zero point is added.

    Clamping comes before rounding: both limits are integers, so the order does not matter, and the clamped value is
    small enough for the rounding constant. One float32 add then rounds a whole vector on every ISA, where
    `nearbyint` needs an instruction of its own and a conversion.
    """
    zero_point, lowest, highest = (output[index] for index in range(3))
    clamped = tirx.max(tirx.min(scaled, tirx.Cast("float32", highest)), tirx.Cast("float32", lowest))
    rounded = tirx.reinterpret("int32", clamped + tirx.const(ROUNDING_MAGIC, "float32"))
    return tirx.Cast(out_dtype, rounded + zero_point)
