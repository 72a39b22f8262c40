"""What `pack` is given, checked: the constants of a convolution, or InvalidRequest with the argument that is wrong."""

from typing import Any

import numpy as np

from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest
from tilewright_kernels.conv2d.numerics import QUANTIZED_RANGE, Array, Quantization

NO_NUMBERS = "OSU"
"""Kinds of dtypes: objects, bytes and text."""

WITHOUT_EFFECT = {"scale": 1.0, "residual_scale": 1.0, "residual_zero_point": 0, "out_scale": 1.0}
"""What stands for the values that a workload has no use for."""


def as_numpy(name: str, x: Any) -> Array:
    """An argument that is array-like; memory is shared where DLPack allows it."""
    if hasattr(x, "__dlpack__") and not isinstance(x, np.ndarray):
        return np.from_dlpack(x)
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InvalidRequest(f"{name} is no array of numbers: {error}") from error
    if array.dtype.kind in NO_NUMBERS:
        raise InvalidRequest(f"{name} is {_describe(x)}")
    return array


def _describe(x: Any) -> str:
    """What NumPy makes no numbers of."""
    if isinstance(x, int):
        return f"{x}, which is beyond 64 bits"
    kind = "None" if x is None else type(x).__name__
    hint = "; give onnx.numpy_helper.to_array of it" if kind == "TensorProto" else ""
    return f"{kind}, and no array of numbers{hint}"


def checked_constants(
    workload: Workload, weight: Any, data_zero_point: Any, out_zero_point: Any, **where_needed: Any
) -> Quantization:
    """`where_needed` are the arguments that only some workloads have a use for, None where they are not given."""
    channels = workload.out_channels
    given = {name: value for name, value in where_needed.items() if value is not None}
    check_presence(workload, given)
    given = {**WITHOUT_EFFECT, "bias": np.zeros(channels, np.int32), **given}
    return Quantization(
        weight=_exactly("weight", weight, np.int8, workload.weight_shape),
        bias=_exactly("bias", given["bias"], np.int32, (channels,)),
        scale=_scales(given["scale"], channels),
        data_zero_point=_zero_point("data_zero_point", data_zero_point, workload.data_dtype),
        out_zero_point=_zero_point("out_zero_point", out_zero_point, workload.out_dtype),
        residual_scale=_positive("residual_scale", given["residual_scale"]),
        residual_zero_point=_zero_point("residual_zero_point", given["residual_zero_point"], workload.residual_dtype),
        out_scale=_positive("out_scale", given["out_scale"]),
    )


def check_presence(workload: Workload, given: dict[str, Any]) -> None:
    """A value that was forgotten, or that does not reach the result, would make it wrong without a word."""
    has_use = {
        "bias": workload.bias,
        "scale": workload.out_dtype != "int32",
        "residual_scale": workload.residual,
        "residual_zero_point": workload.residual,
        "out_scale": workload.activation == "relu6" and workload.out_dtype in QUANTIZED_RANGE,
    }
    missing = _missing(workload)
    faults = [missing[name] for name in missing if has_use[name] and name not in given]
    faults += [USELESS[name] for name in USELESS if not has_use[name] and name in given]
    if faults:
        raise InvalidRequest("\n".join(faults))


def _missing(workload: Workload) -> dict[str, str]:
    channels = workload.out_channels
    by_y_scale = " / y_scale" if workload.out_dtype in QUANTIZED_RANGE else ""
    return {
        "bias": f"the workload has a bias: give bias=..., or np.zeros({channels}, np.int32) for none; "
        'or tune it with "bias": false',
        "scale": f"scale is missing: give x_scale * w_scale{by_y_scale}, one number or {channels}, "
        "one for each output channel",
        "residual_scale": f"residual_scale is missing: the workload adds a residual; give r_scale{by_y_scale}",
        "out_scale": "out_scale is missing: relu6 ends at 6 / out_scale; give y_scale",
    }


USELESS = {
    "bias": 'bias is given, but the workload says bias=false; tune it with "bias": true',
    "residual_scale": 'residual_scale is given, but the workload adds no residual; tune it with "residual": true',
    "residual_zero_point": "residual_zero_point is given, but the workload adds no residual",
    "out_scale": "out_scale is given, but only a quantized result with relu6 has a use for it: "
    "elsewhere y_scale is in scale, x_scale * w_scale / y_scale",
}


def _exactly(name: str, value: Any, dtype: type[np.generic], shape: tuple[int, ...]) -> Array:
    array = as_numpy(name, value)
    if array.shape != shape:
        raise InvalidRequest(f"{name} has shape {array.shape}; the workload wants {shape}")
    if array.dtype.kind != np.dtype(dtype).kind or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise InvalidRequest(f"{name} is {array.dtype}; the workload wants {np.dtype(dtype)}")
    with np.errstate(over="ignore"):  # what becomes infinite is refused by its own check
        converted = array.astype(dtype)
    if array.dtype.kind == "i" and not np.array_equal(converted, array):
        raise InvalidRequest(f"{name} has values outside the range of {np.dtype(dtype)}")
    return np.ascontiguousarray(converted)


def _scales(value: Any, channels: int) -> Array:
    """One for each channel."""
    array = as_numpy("scale", value)
    if array.size == 1:
        return np.full(channels, _positive("scale", array), np.float32)
    scales = _exactly("scale", array, np.float32, (channels,))
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise InvalidRequest("scale has to be finite and positive, in float32")
    return scales


def _positive(name: str, value: Any) -> float:
    array = as_numpy(name, value)
    if array.size != 1:
        raise InvalidRequest(f"{name} has shape {array.shape}; it is one number")
    if array.dtype.kind not in ("iuf" if array.ndim == 0 else "f"):
        raise InvalidRequest(f"{name} is {array.dtype}; it is a float32 number")
    with np.errstate(over="ignore"):
        number = float(array.astype(np.float32).item())
    if not (np.isfinite(number) and number > 0):
        raise InvalidRequest(f"{name} has to be finite and positive, in float32; it is {array.item()!r}")
    return number


def _zero_point(name: str, value: Any, dtype: str) -> int:
    array = as_numpy(name, value)
    if array.size != 1:
        raise InvalidRequest(f"{name} has shape {array.shape}; it is one integer for all channels")
    low, high = QUANTIZED_RANGE.get(dtype, (0, 0))
    number = array.item()
    if array.dtype.kind not in "iu" or not low <= number <= high:
        wanted = f"for {dtype} it is an integer from {low} to {high}" if high else f"{dtype} results have none, or 0"
        raise InvalidRequest(f"{name} is {number!r}; {wanted}")
    return int(number)
