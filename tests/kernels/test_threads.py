"""The crew of threads that kernels share: the same results however many there are, and whoever else calls."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tilewright.contract import Target, Workload
from tilewright_kernels.isa.host import host_isas
from tilewright_kernels.runtime.kernel import PackedConv, load_kernel
from tilewright_kernels.runtime.thread_pool import MOST_THREADS, use_threads

from .cases import Case, random_case
from .references import int64_result

pytestmark = pytest.mark.usefixtures("_one_thread_afterwards")

THREADS = 3
CONV = Workload(batch=2, in_channels=16, height=9, width=8, out_channels=32, kernel_size=(3, 3), padding=(1, 1, 1, 1))


def packed(case: Case) -> PackedConv:
    kernel = load_kernel(CONV, Target(isa=host_isas()[0], threads=THREADS))
    return kernel.pack(case.weight, case.bias, case.scale, case.data_zero_point, case.out_zero_point)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_any_number_of_threads_gives_the_same(threads: int) -> None:
    case = random_case(CONV, threads)
    conv = packed(case)
    use_threads(threads)
    for _ in range(50):
        np.testing.assert_array_equal(conv(case.data), int64_result(case))


def test_callers_on_several_threads_do_not_meet() -> None:
    cases = [random_case(CONV, seed) for seed in range(4)]
    convs, expected = [packed(case) for case in cases], [int64_result(case) for case in cases]
    wrong: list[int] = []

    def call(index: int) -> None:
        wrong.extend(index for _ in range(500) if not np.array_equal(convs[index](cases[index].data), expected[index]))

    callers = [threading.Thread(target=call, args=(index,)) for index in range(len(cases))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_forked_process_has_a_crew_of_its_own() -> None:
    case = random_case(CONV, 5)
    conv, expected = packed(case), int64_result(case)
    conv(case.data)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            same = all(np.array_equal(conv(case.data), expected) for _ in range(50))
            code = 0 if same and len(os.listdir("/proc/self/task")) == THREADS else 2
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


def test_no_call_is_missed_while_members_fall_asleep() -> None:
    case = random_case(CONV, 7)
    conv, expected = packed(case), int64_result(case)
    random = np.random.default_rng(7)
    for _ in range(300):
        np.testing.assert_array_equal(conv(case.data), expected)
        time.sleep(random.uniform(0.0005, 0.006))  # around the time that members spin


def test_a_process_may_end_while_members_still_spin() -> None:
    code = f"""
import numpy as np
from tilewright.contract import Target, Workload
from tilewright_kernels.runtime.kernel import load_kernel

workload = Workload.model_validate_json({CONV.model_dump_json()!r})
kernel = load_kernel(workload, Target(isa={host_isas()[0].value!r}, threads=3))
kernel.pack(np.ones(workload.weight_shape, np.int8))(np.ones(workload.input_shape, np.uint8))
"""
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_idle_members_sleep_and_wake() -> None:
    case = random_case(CONV, 6)
    conv, expected = packed(case), int64_result(case)
    for _ in range(5):
        np.testing.assert_array_equal(conv(case.data), expected)
        time.sleep(0.05)
        before = time.process_time()
        time.sleep(0.2)
        assert time.process_time() - before < 0.05


@pytest.mark.parametrize("threads", [0, -1, MOST_THREADS + 1])
def test_a_crew_has_at_least_the_caller_and_a_limit(threads: int) -> None:
    with pytest.raises(ValueError, match=f"{threads} threads"):
        use_threads(threads)
