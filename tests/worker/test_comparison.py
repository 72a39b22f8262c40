"""The sides of a comparison are real: our kernels, ONNX Runtime, and processes that the system stops."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tilewright.contract import ISAS, Isa, Target
from tilewright_comparison.comparison import Agreement, Contest, agreement, calm_rounds
from tilewright_comparison.contestant import ContestantFailed, Latency

from .examples import DENSE, TARGET, does_not_apply, good_candidate

CORES = sorted(os.sched_getaffinity(0))[:2]
ONNX_RUNTIME = "onnx_runtime"


@pytest.fixture(scope="module")
def contest() -> Iterator[Contest]:
    with Contest(TARGET, CORES[:1], [ONNX_RUNTIME]) as contest:
        yield contest


def test_both_sides_compute_the_same_and_both_are_timed(contest: Contest) -> None:
    comparison = contest.compare(DENSE, good_candidate(), rounds=3)
    peer = comparison.peers[ONNX_RUNTIME]
    assert peer.agreement == Agreement(is_equal=True, differing=0.0, most=0)
    assert comparison.ours_us > 0
    assert peer.latency_us > 0
    assert contest.versions.keys() == {ONNX_RUNTIME}


def test_a_workload_that_a_peer_does_not_know_is_refused_by_name(contest: Contest) -> None:
    clipped = DENSE.model_copy(update={"activation": "relu"})
    comparison = contest.compare(clipped, good_candidate(clipped), rounds=1)
    assert "without activation" in comparison.refused[ONNX_RUNTIME]
    assert comparison.peers == {}
    assert comparison.ours_us > 0


def test_a_kernel_of_ours_that_does_not_build_is_an_error(contest: Contest) -> None:
    with pytest.raises(ContestantFailed, match="no_such_block"):
        contest.compare(DENSE, does_not_apply())
    assert contest.compare(DENSE, good_candidate(), rounds=1).ours_us > 0


def test_a_peer_that_dies_is_refused_from_then_on() -> None:
    with Contest(TARGET, CORES[:1], [ONNX_RUNTIME]) as contest:
        os.kill(contest.pids[1], signal.SIGKILL)
        for _ in range(2):
            comparison = contest.compare(DENSE, good_candidate(), rounds=1)
            assert comparison.refused == {ONNX_RUNTIME: "its process died"}
            assert comparison.ours_us > 0


def test_sides_that_wait_burn_no_cpu() -> None:
    threads = len(CORES)
    target = Target(isa=TARGET.isa, threads=threads)
    with Contest(target, CORES, [ONNX_RUNTIME]) as contest:
        contest.compare(DENSE, good_candidate(DENSE, target), rounds=2)
        waiting = [psutil.Process(pid) for pid in contest.pids]
        before = [side.cpu_times() for side in waiting]
        time.sleep(0.3)
        assert {side.status() for side in waiting} == {psutil.STATUS_STOPPED}
        assert [side.cpu_times() for side in waiting] == before


def test_busy_threads_of_a_side_have_a_core_each() -> None:
    target = Target(isa=TARGET.isa, threads=len(CORES))
    with Contest(target, CORES, [ONNX_RUNTIME]) as contest:
        contest.compare(DENSE, good_candidate(DENSE, target), rounds=1)
        for pid in contest.pids:
            threads = psutil.Process(pid).threads()
            busiest = sorted(threads, key=lambda thread: thread.user_time, reverse=True)[: len(CORES)]
            pinned = [os.sched_getaffinity(thread.id) for thread in busiest]
            assert sorted(map(sorted, pinned)) == [[core] for core in CORES]


def test_a_peer_that_does_not_load_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('torch is broken here')\n")
    with Contest(TARGET, CORES[:1], ["onednn"], {"onednn": tmp_path}) as contest:
        assert contest.missing == {"onednn": "torch is broken here"}
        assert contest.compare(DENSE, good_candidate(), rounds=1).peers == {}


@pytest.mark.skipif(TARGET.isa is ISAS[-1], reason="needs a weaker path than the host's")
def test_a_peer_that_cannot_be_restricted_to_the_target_is_left_out_and_named() -> None:
    with Contest(Target(isa=Isa.X86_64), CORES[:1], [ONNX_RUNTIME]) as contest:
        assert "no switch" in contest.missing[ONNX_RUNTIME]


def test_stopped_sides_end_with_the_process_that_started_them() -> None:
    script = (
        "from tests.worker.test_comparison import *\n"
        "contest = Contest(TARGET, CORES[:1], [])\n"
        "print(contest.pids[0], flush=True)\n"
        "input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    with parent:
        assert parent.stdout is not None
        side = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    gone, _ = psutil.wait_procs([side], timeout=10)
    assert gone


def test_rounds_in_which_a_side_waited_for_a_core_do_not_count() -> None:
    calm, disturbed = Latency(10, 1, 0.001), Latency(90, 1, 0.5)
    assert calm_rounds({"a": [calm, disturbed], "b": [calm, calm]}) == ({"a": [calm], "b": [calm]}, 0.5)
    mostly_disturbed = {"a": [disturbed, calm, disturbed]}
    assert calm_rounds(mostly_disturbed) == (mostly_disturbed, pytest.approx(2 / 3))


def test_results_agree_as_far_as_they_do() -> None:
    ours = np.array([[0, 120], [7, 255]], np.uint8)
    off_by_one = np.array([[0, 121], [7, 255]], np.uint8)
    assert agreement([ours, ours], [ours, off_by_one]) == Agreement(True, 0.25, 1)
    assert agreement([ours, ours], [off_by_one, ours]) == Agreement(False, 0.0, 0)
    wrapped = np.array([[255, 120], [7, 255]], np.uint8)
    assert agreement([ours, ours], [ours, wrapped]).most == 255
