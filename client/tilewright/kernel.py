"""What `Hub.load` gives: a convolution built for this host, and what it becomes with weights.

The classes are those of the kernels package; here is what they promise, so that nobody has to install a compiler to
read it. `Any` stands for an array: NumPy, or whatever speaks DLPack (PyTorch, TVM, JAX, ...). Results are NumPy.
"""

from abc import ABC, abstractmethod
from typing import Any, NoReturn

from tilewright.contract.candidates import Candidate
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload


class PackedConv(ABC):
    """A convolution that is ready to run. Safe to call from several threads, each with an `out` of its own."""

    kernel: "Kernel"
    """What it was packed for."""

    @abstractmethod
    def __call__(self, x: Any, out: Any = None, residual: Any = None) -> Any:
        """Convolve `x` into `out`, which is made when it is not given, and give it back.

        x: `workload.input_shape` of `workload.data_dtype`, in the workload's layout. Views are copied if they are
        strided. out: NumPy, C-contiguous, `workload.output_shape` of `workload.out_dtype`; with it a call allocates
        nothing. residual: exactly where the workload has one, `workload.output_shape` of `workload.residual_dtype`.
        Raises InvalidRequest with the shape and dtype that were found and those that are wanted.
        """

    def __repr__(self) -> str:
        workload = self.kernel.workload
        result = f"{workload.out_dtype} {workload.output_shape}"
        shapes = f"{workload.data_dtype} {workload.input_shape} -> {result}"
        return f"<PackedConv {workload.name}, {shapes}, {self.kernel._origin}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a packed convolution is machine code of this process: load and pack again in the other one")


class Kernel(ABC):
    """One convolution, compiled for this host; `pack` binds weights and quantization values to it."""

    workload: Workload
    target: Target
    candidate: Candidate
    """What it was built from."""
    schedule: Schedule | None
    """The published schedule that it was built from, with its latency and where it was measured; None for a default
    kernel."""

    @abstractmethod
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
    ) -> PackedConv:
        """Bind constants, copied and rearranged for this kernel. What a call of the result computes is

            v = float32(conv(x - data_zero_point, weight) + bias) * scale
                [+ float32(residual - residual_zero_point) * residual_scale]
            y = saturate(round_half_even(v) + out_zero_point)

        as ONNX QLinearConv does; float32 results are v, int32 results are conv + bias. An activation of the workload
        bounds y. With x_scale, w_scale, y_scale and r_scale as ONNX names them:

        weight               int8, OIHW: (out_channels, in_channels / groups, kernel height, kernel width). Its zero
                             point is 0.
        bias                 int32, (out_channels,), in units of x_scale * w_scale: where the workload has a bias.
        scale                float32, (out_channels,) or one number: x_scale * w_scale / y_scale, and x_scale * w_scale
                             for float32 results; int32 ones are not scaled. Computed in float32 it is the one of
                             ONNX Runtime; float64 is rounded to float32.
        data_zero_point      one integer in the range of the data; padding is filled with it.
        out_zero_point       one integer in the range of the result; 0 for int32 and float32.
        residual_scale       one number, r_scale / y_scale, and r_scale for float32 results: where the workload has a
                             residual.
        residual_zero_point  one integer in the range of the residual; 0 where it is not given.
        out_scale            one number, y_scale: for a quantized result with relu6, which ends at 6 / out_scale.

        One number may be an array of one element, as `numpy_helper.to_array` makes of an initialiser of ONNX. Zero
        points are 0 where they are not given; everything else that the workload needs has to be, zeros too, and what it
        has no use for is refused (but for a scale of int32 results): InvalidRequest names the argument. More, and how
        an ONNX model says it: docs/how-to/numbers.md.
        """

    @property
    def _origin(self) -> str:
        """On what it runs, and what it was built from."""
        if self.schedule is None:
            return f"{self.target}, no schedule"
        return f"{self.target}, schedule {self.schedule.id}, {self.schedule.latency_us:.1f} us"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a kernel is machine code of this process: send its workload, and load it again there")

    def __repr__(self) -> str:
        return f"<Kernel {self.workload.name}, {self._origin}>"
