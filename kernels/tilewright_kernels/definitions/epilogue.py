# mypy: ignore-errors
"""From a sum to an output element."""

from tvm import tirx

from tilewright.contract.workload import Workload

ROUNDING_MAGIC = 12582912.0
"""1.5 * 2^23: added to a float32 below 2^22, it leaves the nearest integer (half to even) in the low bits."""


def requantise(workload: Workload, total, scale, output):
    """`total` (int32, bias included) as an element of `out_dtype`; `output` holds zero point, lowest and highest."""
    if workload.out_dtype == "int32":
        return tirx.max(total, tirx.const(0, "int32")) if workload.activation == "relu" else total
    return narrow(workload.out_dtype, total, scale, output)


def narrow(out_dtype: str, total, scale, output):
    """saturate(round_half_even(total * scale) + zero point), the limits given before the zero point is added.

    Clamping comes before rounding: both limits are integers, so the order does not matter, and the clamped value is
    small enough for the rounding constant. One float32 add then rounds a whole vector on every ISA, where
    `nearbyint` needs an instruction of its own and a conversion.
    """
    zero_point, lowest, highest = (output[index] for index in range(3))
    scaled = tirx.Cast("float32", total) * scale
    clamped = tirx.max(tirx.min(scaled, tirx.Cast("float32", highest)), tirx.Cast("float32", lowest))
    rounded = tirx.reinterpret("int32", clamped + tirx.const(ROUNDING_MAGIC, "float32"))
    return tirx.Cast(out_dtype, rounded + zero_point)
