"""A kernel that a person calls."""

from dataclasses import replace
from typing import Any

import numpy as np
import tvm
from numpy.typing import ArrayLike

from tilewright.contract.candidates import Candidate
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule, InvalidRequest
from tilewright_kernels.conv2d.numerics import QUANTIZED_RANGE, Array, Quantization, output_limits
from tilewright_kernels.conv2d.spaces import space_named, space_of
from tilewright_kernels.runtime.build import argument_shapes, build, default_candidate
from tilewright_kernels.runtime.thread_pool import set_threads


class Kernel:
    """One convolution, compiled for this host; `pack` binds weights and quantization values to it."""

    def __init__(
        self, workload: Workload, target: Target, candidate: Candidate, schedule: Schedule | None = None
    ) -> None:
        self.workload = workload
        self.target = target
        self.candidate = candidate
        self.schedule = schedule
        """The published schedule that it was built from; None for a default one."""
        self.module = build(workload, target, candidate)
        if target.threads > 1:  # for one thread there are no parallel loops
            set_threads(self.module, target.threads)
        self.data_shape, self.out_shape = argument_shapes(candidate.space, workload)
        """Under which the compiled function sees the caller's arrays: the same bytes, perhaps cut up differently."""

    def pack(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        scale: ArrayLike = 1.0,
        data_zero_point: int = 0,
        out_zero_point: int = 0,
        residual_scale: float = 1.0,
        residual_zero_point: int = 0,
        out_scale: float | None = None,
    ) -> "PackedConv":
        """Bind constants, rearranged for this kernel.

        weight: int8 OIHW. bias: int32 (out_channels,), in units of x_scale * w_scale. scale: float32 (out_channels,)
        or one number, x_scale * w_scale / y_scale; int32 outputs do not use it, and for float32 ones y_scale is 1.
        residual_scale: r_scale / y_scale. out_scale: y_scale, which a relu6 of a quantized output needs. Raises
        InvalidRequest, naming the argument, for a wrong shape, dtype or range.
        """
        values = checked_values(self.workload, weight, bias, scale, data_zero_point, out_zero_point)
        values = with_epilogue(self.workload, values, residual_scale, residual_zero_point, out_scale)
        return PackedConv(self, self.arguments(values))

    def arguments(self, values: Quantization) -> list[Any]:
        """What stands between data and residual in a call of the compiled function, as TVM tensors."""
        constants = space_named(self.candidate.space).constants(self.workload, values)
        quantized = self.workload.out_dtype in QUANTIZED_RANGE
        lowest, highest = output_limits(self.workload, values) if quantized else (0, 0)
        output = np.array([values.out_zero_point, lowest, highest], np.int32)
        addition = np.array([values.residual_scale, values.residual_zero_point], np.float32)
        return [tvm.runtime.tensor(array) for array in (*constants, output, addition)]


class PackedConv:
    """A convolution that is ready to run. Safe to call from several threads, each with an `out` of its own."""

    def __init__(self, kernel: Kernel, arguments: list[Any]) -> None:
        self.kernel = kernel
        self._arguments = arguments
        self._function = kernel.module["main"]
        self._data_shape, self._out_shape = kernel.data_shape, kernel.out_shape
        self._shape, self._dtype = kernel.workload.input_shape, np.dtype(kernel.workload.data_dtype)
        self._result_shape = kernel.workload.output_shape
        self._result_dtype = np.dtype(kernel.workload.out_dtype)
        self._adds, self._residual_dtype = kernel.workload.residual, np.dtype(kernel.workload.residual_dtype)
        self._no_residual = tvm.runtime.tensor(np.zeros(1, self._residual_dtype))

    def __call__(self, x: Any, out: Array | None = None, residual: Any = None) -> Array:
        """Convolve `x` (the workload's layout, data shape and dtype) into `out`, which is made when it is not given.

        `residual`, where the workload has one, has the output's shape and the workload's `residual_dtype`.
        """
        if type(x) is not np.ndarray:
            x = as_numpy(x)
        if x.shape != self._shape or x.dtype != self._dtype:
            raise InvalidRequest(f"x is {x.dtype} {x.shape}; this kernel takes {self._dtype} {self._shape}")
        flags = x.flags
        if not (flags.c_contiguous and flags.writeable):
            x = np.array(x, order="C")  # the kernel knows no strides, and DLPack hands over no read-only memory
        if out is None:
            out = np.empty(self._result_shape, self._result_dtype)
        else:
            self._check_out(out, x)
        added = self._no_residual if residual is None and not self._adds else self._residual(residual)
        self._function(x.reshape(self._data_shape), *self._arguments, added, out.reshape(self._out_shape))
        return out

    def _residual(self, residual: Any) -> Array:
        if residual is None or not self._adds:
            raise InvalidRequest("this kernel takes a residual" if self._adds else "this kernel takes no residual")
        array = as_numpy(residual)
        if array.shape != self._result_shape or array.dtype != self._residual_dtype:
            raise InvalidRequest(
                f"residual is {array.dtype} {array.shape}; this kernel adds {self._residual_dtype} {self._result_shape}"
            )
        flags = array.flags
        contiguous = array if flags.c_contiguous and flags.writeable else np.array(array, order="C")
        return contiguous.reshape(self._out_shape)

    def _check_out(self, out: Array, x: Array) -> None:
        if out.shape != self._result_shape or out.dtype != self._result_dtype:
            raise InvalidRequest(
                f"out is {out.dtype} {out.shape}; this kernel writes {self._result_dtype} {self._result_shape}"
            )
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise InvalidRequest("out has to be C-contiguous and writeable")
        if np.may_share_memory(out, x):
            raise InvalidRequest("out overlaps x; a kernel reads x while it writes out")


def as_numpy(x: Any) -> Array:
    """Anything array-like; memory is shared where DLPack allows it."""
    return np.from_dlpack(x) if hasattr(x, "__dlpack__") else np.asarray(x)


def load_kernel(workload: Workload, target: Target, schedule: Schedule | None = None) -> Kernel:
    """Build the kernel of a published schedule, or the default one when there is none.

    Raises ForeignSchedule for one that this version cannot build.
    """
    if schedule is None:
        return Kernel(workload, target, default_candidate(workload, space_of(workload, target.isa), target))
    try:
        return Kernel(workload, target, schedule.as_candidate, schedule)
    except ForeignSchedule as error:
        raise ForeignSchedule(
            f"schedule {schedule.id} of {workload.name} does not fit this version of Tilewright; tune it again: {error}"
        ) from error


def checked_values(
    workload: Workload,
    weight: ArrayLike,
    bias: ArrayLike | None,
    scale: ArrayLike,
    data_zero_point: int,
    out_zero_point: int,
) -> Quantization:
    """The constants of a convolution, or InvalidRequest with the argument that is wrong."""
    channels = (workload.out_channels,)
    if bias is not None and not workload.bias:
        raise InvalidRequest("bias is given, but the workload says bias=false")
    checked_bias = np.zeros(channels, np.int32) if bias is None else _exactly("bias", bias, np.int32, channels)
    scales = np.broadcast_to(np.asarray(scale, np.float32), channels) if np.ndim(scale) == 0 else np.asarray(scale)
    checked_scale = _exactly("scale", scales, np.float32, channels)
    if not (np.isfinite(checked_scale).all() and (checked_scale > 0).all()):
        raise InvalidRequest("scale has to be finite and positive")
    return Quantization(
        _exactly("weight", weight, np.int8, workload.weight_shape),
        checked_bias,
        checked_scale,
        _zero_point("data_zero_point", data_zero_point, workload.data_dtype),
        _zero_point("out_zero_point", out_zero_point, workload.out_dtype),
    )


def with_epilogue(
    workload: Workload,
    values: Quantization,
    residual_scale: float,
    residual_zero_point: int,
    out_scale: float | None,
) -> Quantization:
    """The values of the residual and of a relu6, or InvalidRequest with the argument that is wrong."""
    if out_scale is None and workload.activation == "relu6" and workload.out_dtype in QUANTIZED_RANGE:
        raise InvalidRequest("out_scale is missing: relu6 ends at 6 / out_scale")
    end = 1.0 if out_scale is None else out_scale
    for name, value in (("residual_scale", residual_scale), ("out_scale", end)):
        if not (np.isfinite(value) and np.float32(value) > 0):
            raise InvalidRequest(f"{name} is {value!r}; it has to be finite and positive")
    zero_point = _zero_point("residual_zero_point", residual_zero_point, workload.residual_dtype)
    return replace(values, residual_scale=residual_scale, residual_zero_point=zero_point, out_scale=end)


def _exactly(name: str, value: ArrayLike, dtype: type[np.generic], shape: tuple[int, ...]) -> Array:
    array = as_numpy(value)
    if array.shape != shape:
        raise InvalidRequest(f"{name} has shape {array.shape}; the workload wants {shape}")
    if array.dtype.kind != np.dtype(dtype).kind or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise InvalidRequest(f"{name} is {array.dtype}; the workload wants {np.dtype(dtype)}")
    with np.errstate(over="ignore"):  # what becomes infinite is refused by its own check
        converted = array.astype(dtype)
    if array.dtype.kind == "i" and not np.array_equal(converted, array):
        raise InvalidRequest(f"{name} has values outside the range of {np.dtype(dtype)}")
    return np.ascontiguousarray(converted)


def _zero_point(name: str, value: int, dtype: str) -> int:
    low, high = QUANTIZED_RANGE.get(dtype, (0, 0))
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise InvalidRequest(f"{name} is {value!r}; for {dtype} it is an integer from {low} to {high}")
    return int(value)
