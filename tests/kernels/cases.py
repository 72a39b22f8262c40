"""A convolution with all its values, as a test runs it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from tvm.s_tir import meta_schedule as ms

from tilewright.contract.candidates import Candidate, GenericTrace
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.generic.evolution import tune_context
from tilewright_kernels.conv2d.spaces import GenericSpace, StructuredSpace, space_of
from tilewright_kernels.isa.paths import host_isas
from tilewright_kernels.runtime.build import definition, trace_of
from tilewright_kernels.runtime.kernel import Kernel, PackedConv, load_kernel

RANGE = {"uint8": (0, 255), "int8": (-128, 127), "int32": (0, 0)}


@dataclass(frozen=True)
class Case:
    workload: Workload
    data: np.ndarray
    weight: np.ndarray
    bias: np.ndarray | None = None
    x_scale: float = 1.0
    w_scale: Any = field(default_factory=lambda: np.float32(1))
    y_scale: float = 1.0
    data_zero_point: int = 0
    out_zero_point: int = 0

    @property
    def bias_or_zeros(self) -> np.ndarray:
        return np.zeros(self.workload.out_channels, np.int32) if self.bias is None else self.bias

    @cached_property
    def scale(self) -> np.ndarray:
        """x_scale * w_scale / y_scale in float32, in the order in which ONNX Runtime combines them."""
        combined = np.float32(self.x_scale) * np.asarray(self.w_scale, np.float32) / np.float32(self.y_scale)
        return np.broadcast_to(combined, (self.workload.out_channels,)).astype(np.float32)

    def pack(self, kernel: Kernel) -> PackedConv:
        return kernel.pack(
            self.weight,
            self.bias_or_zeros if self.workload.bias else None,
            None if self.workload.out_dtype == "int32" else self.scale,
            self.data_zero_point,
            self.out_zero_point,
        )

    def run(self, kernel: Kernel, **keywords: Any) -> np.ndarray:
        return self.pack(kernel)(self.data, **keywords)


def random_case(workload: Workload, seed: int = 0) -> Case:
    """Random data, weights, scales and zero points, with most results inside the output range and some beyond."""
    random = np.random.default_rng(seed)
    data_low, data_high = RANGE[workload.data_dtype]
    out_low, out_high = RANGE[workload.out_dtype]
    channels = workload.out_channels
    typical_sum = 74 * 74 * workload.reduction**0.5
    x_scale, w_scale = random.uniform(0.001, 0.1), random.uniform(0.001, 0.1, random.choice([1, channels]))
    return Case(
        workload,
        random.integers(0, 256, workload.input_shape, dtype=np.uint8).view(workload.data_dtype),
        random.integers(-128, 128, workload.weight_shape).astype(np.int8),
        random.integers(-20_000, 20_001, channels).astype(np.int32) if workload.bias else None,
        x_scale,
        w_scale.astype(np.float32) if len(w_scale) == channels else np.float32(w_scale[0]),
        x_scale * float(w_scale[0]) * typical_sum / random.choice([5.0, 40.0, 200.0]),
        int(random.integers(data_low, data_high + 1)),
        int(random.integers(out_low, out_high + 1)),
    )


def host_target(isa: Isa | None = None, threads: int = 1) -> Target:
    return Target(isa=isa or host_isas()[0], threads=threads)


def default_kernel(workload: Workload, isa: Isa | None = None, threads: int = 1) -> Kernel:
    return load_kernel(workload, host_target(isa, threads))


def structured(workload: Workload, isa: Isa = Isa.AVX512_VNNI) -> StructuredSpace[Any]:
    """The space of a workload on a path, where it is a structured one."""
    space = space_of(workload, isa)
    assert isinstance(space, StructuredSpace)
    return space


def chosen_candidate(workload: Workload, target: Target, index: int) -> Candidate:
    """The candidate that a structured space makes of one of its choices."""
    space = structured(workload, target.isa)
    candidates = space.candidates(workload, target)
    return space.choice(candidates[index % len(candidates)])


def evolved_candidate(workload: Workload, target: Target, seed: int) -> Candidate:
    """A candidate that MetaSchedule samples from the generic space."""
    context = tune_context(definition(GenericSpace.name, workload), target, population=2, seed=seed % 2**30 + 1)
    judge = ms.CostModel.create("random")
    context.pre_tuning(1, 1, database=ms.database.MemoryDatabase(), cost_model=judge)
    return GenericTrace(trace=trace_of(context.generate_measure_candidates()[0].sch))
