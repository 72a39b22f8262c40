# mypy: disable-error-code="no-any-unimported"
"""From a choice or a stored trace to machine code."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import tvm
from tvm.s_tir import Schedule
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.s_tir.schedule import Trace as TvmTrace

from tilewright.contract.candidates import Trace
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.spaces import GenericSpace, Space, space_named
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.runtime.lowering import PIPELINE
from tilewright_kernels.schedule.tensorize import apply_marks


@dataclass(frozen=True)
class Candidate:
    """A schedule of a workload: a trace, and the space whose definition it applies to."""

    space: str
    trace: Trace

    @property
    def id(self) -> str:
        """SHA-256 of space and trace, 64 hexadecimal digits; TVM's structural hash differs between platforms."""
        text = json.dumps([self.space, self.trace], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=64)
def definition(space: str, workload: Workload) -> Any:
    """The PrimFunc of a workload in a space; parsing TVMScript takes some 50 ms, so it is done once."""
    return space_named(space).define(workload)


def argument_shapes(space: str, workload: Workload) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of data and out in the definition: the same bytes as the caller's, perhaps cut up differently."""
    first, *_, last = ArgInfo.from_prim_func(definition(space, workload))
    return tuple(map(int, first.shape)), tuple(map(int, last.shape))


def scheduled(workload: Workload, candidate: Candidate) -> Schedule:
    """Replay a trace. Raises what TVM raises when the trace does not fit the workload."""
    sch = Schedule(definition(candidate.space, workload))
    if candidate.trace:
        TvmTrace.apply_json_to_schedule(candidate.trace, sch)
    return sch


def default_candidate(workload: Workload, space: Space, target: Target) -> Candidate:
    """What is used before anything was tuned."""
    sch = Schedule(definition(space.name, workload))
    space.schedule_default(sch, workload, target)
    return Candidate(space.name, trace_of(sch))


def unscheduled_candidate() -> Candidate:
    """TVM's default: the plain definition as it stands, which is what tuning is compared with."""
    return Candidate(GenericSpace.name, [])


def trace_of(sch: Schedule) -> Trace:
    """The trace of a schedule as plain JSON values."""
    return _json_values(sch.trace.as_json())  # type: ignore[no-any-return]


def _json_values(value: Any) -> Any:
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "value"):  # IntImm and FloatImm
        return value.value
    return [_json_values(item) for item in value]


def compile_schedule(sch: Schedule, target: Target) -> tvm.runtime.Module:
    """Machine code in memory: no object file, no linker, so no compiler is needed on the machine."""
    instructed = sch.copy()
    apply_marks(instructed)
    return tvm.tirx.build(instructed.mod, llvm_target(target.isa), PIPELINE)


def build(workload: Workload, target: Target, candidate: Candidate) -> tvm.runtime.Module:
    return compile_schedule(scheduled(workload, candidate), target)
