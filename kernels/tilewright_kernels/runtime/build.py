"""From a candidate to machine code."""

from functools import lru_cache
from typing import Any

import tvm
from tvm.s_tir import Schedule
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.s_tir.schedule import Trace

from tilewright.contract.candidates import GENERIC, Candidate, Choice, GenericTrace
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule
from tilewright_kernels.conv2d.generic.extents import check_extents
from tilewright_kernels.conv2d.generic.trace_reader import check_trace
from tilewright_kernels.conv2d.spaces import Space, StructuredSpace, space_named, structured_space
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.runtime.lowering import PIPELINE
from tilewright_kernels.schedule.tensorize import apply_marks

RENEW = tvm.get_global_func("s_tir.RenewDefs")
"""A copy with loops, blocks, buffers and variables of its own, in 0.1 ms."""


def definition(space: str, workload: Workload) -> Any:
    """The PrimFunc of a workload in a space, and nobody else's: a schedule may change in place what it was made of."""
    return RENEW(_parse_definition(space, workload))


@lru_cache(maxsize=64)
def _parse_definition(space: str, workload: Workload) -> Any:
    """Parsing TVMScript takes some 50 ms, so it is done once."""
    return space_named(space).define(workload)


def argument_shapes(space: str, workload: Workload) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of data and out in the definition: the same bytes as the caller's, perhaps cut up differently."""
    first, *_, last = ArgInfo.from_prim_func(definition(space, workload))
    return tuple(map(int, first.shape)), tuple(map(int, last.shape))


def scheduled(workload: Workload, target: Target, candidate: Candidate) -> Schedule:
    """The schedule that a candidate stands for: derived from a choice, or replayed from a trace that was checked.

    Raises ForeignSchedule for what this version does not know or cannot apply.
    """
    if isinstance(candidate, Choice):
        return chosen(workload, target, candidate)
    check_trace(candidate.trace)
    sch = Schedule(definition(GENERIC, workload))
    if candidate.trace:
        try:
            Trace.apply_json_to_schedule(candidate.trace, sch)
        except Exception as error:  # whatever TVM raises for a trace that does not fit the definition
            raise ForeignSchedule(f"a trace that does not fit {workload.name}: {last_line(error)}") from error
        check_extents(sch)
    return sch


def chosen(workload: Workload, target: Target, choice: Choice) -> Schedule:
    """The schedule of a choice. Its space has to be one that schedules this workload on this path."""
    space = structured_space(choice.space)
    if not space.covers(workload, target.isa):
        raise ForeignSchedule(f"{choice.space} does not schedule {workload.name} on {target.isa}")
    decisions = space.read(choice, workload, target)
    sch = Schedule(definition(space.name, workload))
    space.schedule(sch, workload, target, decisions)
    return sch


def default_candidate(workload: Workload, space: Space, target: Target) -> Candidate:
    """What is used before anything was tuned."""
    if isinstance(space, StructuredSpace):
        return space.choice(space.candidates(workload, target)[0])
    sch = Schedule(definition(space.name, workload))
    space.schedule_default(sch, workload, target)
    return GenericTrace(trace=trace_of(sch))


def unscheduled_candidate() -> Candidate:
    """TVM's default: the plain definition as it stands, which is what tuning is compared with."""
    return GenericTrace(trace=[])


def last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]


def trace_of(sch: Schedule) -> list[Any]:
    """The trace of a schedule as plain JSON values."""
    return json_values(sch.trace.as_json())  # type: ignore[no-any-return]


def json_values(value: Any) -> Any:
    """TVM's JSON values as Python's."""
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "value"):  # IntImm and FloatImm
        return value.value
    return [json_values(item) for item in value]


def compile_schedule(sch: Schedule, target: Target) -> tvm.runtime.Module:
    """Machine code in memory: no object file, no linker, so no compiler is needed on the machine."""
    instructed = sch.copy()
    apply_marks(instructed)
    return tvm.tirx.build(instructed.mod, llvm_target(target.isa), PIPELINE)


def build(workload: Workload, target: Target, candidate: Candidate) -> tvm.runtime.Module:
    return compile_schedule(scheduled(workload, target, candidate), target)
