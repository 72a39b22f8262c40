# mypy: ignore-errors
"""From a sum to an output element."""

from tvm import tirx

from tilewright.contract.workload import Workload

ROUNDING_MAGIC = 12582912.0
"""1.5 * 2^23: added to a float32 below 2^22, it leaves the nearest integer (half to even) in the low bits."""


def requantise(workload: Workload, total, scale, limits, zero_point):
    """`total` (int32, bias included) as an element of `out_dtype`.

    Clamping comes before rounding: both limits are integers, so the order does not matter, and the clamped value is
    small enough for the rounding constant. One float32 add then rounds a whole vector on every ISA, where
    `nearbyint` needs an instruction of its own and a conversion.
    """
    if workload.out_dtype == "int32":
        return tirx.max(total, tirx.const(0, "int32")) if workload.activation == "relu" else total
    clamped = tirx.max(tirx.min(tirx.Cast("float32", total) * scale, limits[1]), limits[0])
    rounded = tirx.reinterpret("int32", clamped + tirx.const(ROUNDING_MAGIC, "float32"))
    return tirx.Cast(workload.out_dtype, rounded + zero_point)
