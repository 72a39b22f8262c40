"""Published schedules as a MetaSchedule database, for TVM's own compile flow."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import tvm
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.arg_info import ArgInfo

from tilewright.contract.schedules import Schedule
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.runtime.build import definition, scheduled
from tilewright_kernels.schedule.tensorize import apply_marks


def schedule_database(schedules: Iterable[Schedule]) -> AbstractContextManager[Any]:
    """A memory database of verified schedules, keyed by the definitions of our spaces.

    MetaSchedule's queries ignore the target, so give it the schedules of one target only.
    """
    database = ms.database.MemoryDatabase()
    for schedule in schedules:
        function = definition(schedule.space, schedule.workload)
        entry = database.commit_workload(tvm.IRModule({"main": function}))
        sch = scheduled(schedule.workload, schedule.target, schedule.as_candidate)
        apply_marks(sch)
        seconds = [latency / 1e6 for latency in schedule.latencies_us]
        target = llvm_target(schedule.target.isa, schedule.target.threads)
        record = ms.database.TuningRecord(sch.trace, entry, seconds, target, ArgInfo.from_prim_func(function))
        database.commit_tuning_record(record)
    return database  # type: ignore[no-any-return]
