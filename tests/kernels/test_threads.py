# mypy: disable-error-code="untyped-decorator,no-untyped-def,valid-type"
"""The pool of threads that kernels share: the same results however many there are, and whoever else calls."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm.script import tirx as T  # noqa: N812

from tilewright.contract.workload import Workload
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.isa.paths import host_isas
from tilewright_kernels.runtime.kernel import PackedConv
from tilewright_kernels.runtime.thread_pool import MOST_THREADS, set_threads

from .cases import Case, default_kernel, random_case
from .references import int64_result

THREADS = 3
CONV = Workload(batch=2, in_channels=16, height=9, width=8, out_channels=32, kernel_size=(3, 3), padding=(1, 1, 1, 1))
PIECES = 24
FELL_ASLEEP_SECONDS = 0.15
CORES = sorted(os.sched_getaffinity(0))
NEEDS_TWO_CORES = pytest.mark.skipif(len(CORES) < 2, reason="there is one core")


def packed(case: Case, threads: int = THREADS) -> PackedConv:
    return case.pack(default_kernel(CONV, threads=threads))


def loop_that_tells_who_ran_it(threads: int | None) -> Callable[[], tuple[set[int], list[tuple[int, int]]]]:
    """A parallel loop whose pieces take milliseconds; a call gives the threads that ran them, and of each piece its
    thread and core.

    On so many threads, or, for None, on those of TVM.
    """

    @T.prim_func(s_tir=True)
    def main(threads: T.Buffer((PIECES,), "int32"), cores: T.Buffer((PIECES,), "int32")):
        T.func_attr({"tirx.noalias": True})
        for piece in T.parallel(PIECES):
            with T.sblock("piece"):
                p = T.axis.spatial(PIECES, piece)
                cores[p] = T.call_extern("int32", "sched_getcpu")
                threads[p] = T.call_extern("int32", "gettid")
                T.evaluate(T.call_extern("int32", "usleep", 2000))

    module: Any = tvm.tirx.build(main, llvm_target(host_isas()[0]))
    if threads is not None:
        set_threads(module, threads)

    def call() -> tuple[set[int], list[tuple[int, int]]]:
        ran, cores = np.zeros(PIECES, np.int32), np.zeros(PIECES, np.int32)
        module["main"](ran, cores)
        return set(ran.tolist()), list(zip(ran.tolist(), cores.tolist(), strict=True))

    return call


@pytest.fixture
def _same_cores_afterwards() -> Iterator[None]:
    yield
    move_threads(tasks(), set(CORES))


def tasks() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def move_threads(threads: set[int], cores: set[int]) -> None:
    for thread in threads:
        os.sched_setaffinity(thread, cores)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_any_number_of_threads_gives_the_same_result(threads: int) -> None:
    case = random_case(CONV, threads)
    conv = packed(case, threads)
    for _ in range(50):
        np.testing.assert_array_equal(conv(case.data), int64_result(case))


def test_every_kernel_keeps_its_own_number_of_threads() -> None:
    loops = {threads: loop_that_tells_who_ran_it(threads) for threads in (3, 1, 2)}
    found: list[tuple[int, int]] = []

    def call_each() -> None:
        found.extend((threads, len(call()[0])) for threads, call in [*loops.items(), *reversed(loops.items())])

    call_each()
    for _ in range(2):
        caller = threading.Thread(target=call_each)
        caller.start()
        caller.join()
    assert found == [(3, 3), (1, 1), (2, 2), (2, 2), (1, 1), (3, 3)] * 3


def test_a_convolution_on_two_threads_leaves_the_third_asleep() -> None:
    case = random_case(CONV, 2)
    two, three = packed(case, 2), packed(case, 3)
    three(case.data)
    third = max(loop_that_tells_who_ran_it(3)()[0] - loop_that_tells_who_ran_it(2)()[0])
    time.sleep(FELL_ASLEEP_SECONDS)
    before = times_scheduled(third)
    for _ in range(50):
        two(case.data)
    assert times_scheduled(third) == before
    while times_scheduled(third) == before:
        three(case.data)


def times_scheduled(thread: int) -> int:
    return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[2])


def test_modules_of_others_keep_the_threads_of_tvm() -> None:
    ours = loop_that_tells_who_ran_it(2)()[0]
    theirs = loop_that_tells_who_ran_it(None)()[0]
    assert theirs & ours <= {threading.get_native_id()}


def test_callers_on_several_threads_do_not_disturb_each_other() -> None:
    cases = [random_case(CONV, seed) for seed in range(4)]
    convs = [packed(case, threads) for case, threads in zip(cases, (1, 2, 3, 3), strict=True)]
    expected = [int64_result(case) for case in cases]
    wrong: list[int] = []

    def call(index: int) -> None:
        wrong.extend(index for _ in range(500) if not np.array_equal(convs[index](cases[index].data), expected[index]))

    callers = [threading.Thread(target=call, args=(index,)) for index in range(len(cases))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_forked_process_has_a_pool_of_its_own() -> None:
    case = random_case(CONV, 5)
    conv, expected = packed(case), int64_result(case)
    conv(case.data)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            same = all(np.array_equal(conv(case.data), expected) for _ in range(50))
            code = 0 if same and len(tasks()) == THREADS else 2
        finally:
            os._exit(code)
    assert exit_code(child, seconds=20) == 0
    np.testing.assert_array_equal(conv(case.data), expected)


def exit_code(child: int, seconds: float) -> int:
    """Of a forked process, which is killed if it does not end in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_no_call_is_missed_while_threads_of_the_pool_fall_asleep() -> None:
    case = random_case(CONV, 7)
    conv, expected = packed(case), int64_result(case)
    random = np.random.default_rng(7)
    for _ in range(300):
        np.testing.assert_array_equal(conv(case.data), expected)
        time.sleep(random.uniform(0.0005, 0.006))  # where a member shares its core, it spins for 1 to 2 ms
    for _ in range(40):
        np.testing.assert_array_equal(conv(case.data), expected)
        time.sleep(random.uniform(0.02, 0.08))  # and else for 30 to 60


def test_a_process_may_end_while_members_still_spin() -> None:
    code = f"""
import numpy as np
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.runtime.kernel import load_kernel

workload = Workload.model_validate_json({CONV.model_dump_json()!r})
kernel = load_kernel(workload, Target(isa={host_isas()[0].value!r}, threads=3))
packed = kernel.pack(np.ones(workload.weight_shape, np.int8), np.zeros(workload.out_channels, np.int32), scale=1)
packed(np.ones(workload.input_shape, np.uint8))
"""
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_idle_threads_of_the_pool_sleep_and_wake() -> None:
    case = random_case(CONV, 6)
    conv, expected = packed(case), int64_result(case)
    for _ in range(5):
        np.testing.assert_array_equal(conv(case.data), expected)
        time.sleep(FELL_ASLEEP_SECONDS)
        before = time.process_time()
        time.sleep(0.2)
        assert time.process_time() - before < 0.05


@NEEDS_TWO_CORES
@pytest.mark.alone
@pytest.mark.usefixtures("_same_cores_afterwards")
@pytest.mark.parametrize("core", CORES[:2])
def test_a_member_that_slept_on_the_callers_core_starts_on_another(core: int) -> None:
    call = loop_that_tells_who_ran_it(2)
    caller = threading.get_native_id()
    (member,) = call()[0] - {caller}
    started_on = []
    for _ in range(3):
        time.sleep(FELL_ASLEEP_SECONDS)
        os.sched_setaffinity(caller, {core})
        os.sched_setaffinity(member, {core})
        call()
        time.sleep(FELL_ASLEEP_SECONDS)
        os.sched_setaffinity(member, set(CORES[:2]))
        _, where = call()
        # Its own share, with which it begins, is the second half.
        started_on += [on for thread, on in where[PIECES // 2 :] if thread == member][:1]
        assert os.sched_getaffinity(caller) == {core}
        assert os.sched_getaffinity(member) == set(CORES[:2])
    # Where something else wants the other core at that moment, the system may put it back.
    assert started_on.count(core) <= 1


@NEEDS_TWO_CORES
@pytest.mark.alone
@pytest.mark.usefixtures("_same_cores_afterwards")
def test_no_thread_leaves_the_cores_that_it_was_given_later() -> None:
    call = loop_that_tells_who_ran_it(2)
    call()
    for core in CORES[:2]:
        for pause in (0.0, FELL_ASLEEP_SECONDS):
            time.sleep(pause)
            move_threads(tasks(), {core})
            assert {where for _, where in call()[1]} == {core}
            assert all(os.sched_getaffinity(task) == {core} for task in tasks())


@pytest.mark.usefixtures("_same_cores_afterwards")
def test_one_core_is_enough_for_several_threads() -> None:
    case = random_case(CONV, 8)
    conv, expected = packed(case), int64_result(case)
    move_threads(tasks(), {CORES[0]})
    for pause in (0.0, 0.001, FELL_ASLEEP_SECONDS):
        for _ in range(5):
            time.sleep(pause)
            np.testing.assert_array_equal(conv(case.data), expected)


@pytest.mark.parametrize("threads", [0, -1, MOST_THREADS + 1])
def test_a_kernel_has_at_least_one_thread_and_not_too_many(threads: int) -> None:
    with pytest.raises(ValueError, match=f"{threads} threads"):
        loop_that_tells_who_ran_it(threads)
