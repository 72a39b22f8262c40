"""A kernel that a person calls; what it promises is said in `tilewright.kernel`."""

from typing import Any

import numpy as np
import tvm

from tilewright import kernel as interface
from tilewright.contract.candidates import Candidate
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule, InvalidRequest
from tilewright_kernels.conv2d.numerics import QUANTIZED_RANGE, Array, Quantization, output_limits
from tilewright_kernels.conv2d.spaces import space_named, space_of
from tilewright_kernels.runtime.build import argument_shapes, build, default_candidate
from tilewright_kernels.runtime.constants import as_numpy, checked_constants
from tilewright_kernels.runtime.thread_pool import set_threads


class Kernel(interface.Kernel):
    def __init__(
        self, workload: Workload, target: Target, candidate: Candidate, schedule: Schedule | None = None
    ) -> None:
        self.workload = workload
        self.target = target
        self.candidate = candidate
        self.schedule = schedule
        self.module = build(workload, target, candidate)
        if target.threads > 1:  # for one thread there are no parallel loops
            set_threads(self.module, target.threads)
        self.data_shape, self.out_shape = argument_shapes(candidate.space, workload)
        """Under which the compiled function sees the caller's arrays: the same bytes, perhaps cut up differently."""

    def pack(
        self,
        weight: Any,
        bias: Any = None,
        scale: Any = None,
        data_zero_point: Any = 0,
        out_zero_point: Any = 0,
        residual_scale: Any = None,
        residual_zero_point: Any = None,
        out_scale: Any = None,
    ) -> "PackedConv":
        values = checked_constants(
            self.workload,
            weight,
            data_zero_point,
            out_zero_point,
            bias=bias,
            scale=scale,
            residual_scale=residual_scale,
            residual_zero_point=residual_zero_point,
            out_scale=out_scale,
        )
        return PackedConv(self, self.arguments(values))

    def arguments(self, values: Quantization) -> list[Any]:
        """What stands between data and residual in a call of the compiled function, as TVM tensors."""
        constants = space_named(self.candidate.space).constants(self.workload, values)
        quantized = self.workload.out_dtype in QUANTIZED_RANGE
        lowest, highest = output_limits(self.workload, values) if quantized else (0, 0)
        output = np.array([values.out_zero_point, lowest, highest], np.int32)
        addition = np.array([values.residual_scale, values.residual_zero_point], np.float32)
        return [tvm.runtime.tensor(array) for array in (*constants, output, addition)]


class PackedConv(interface.PackedConv):
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
        if type(x) is not np.ndarray:
            x = as_numpy("x", x)
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
        array = as_numpy("residual", residual)
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
