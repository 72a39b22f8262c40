"""The processes of a comparison are real: our kernels, ONNX Runtime, and a system that stops them."""

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

from tilewright.contract.target import ISAS, Isa, Target
from tilewright_comparison.comparison import Agreement, Comparison, agreement, calm_rounds
from tilewright_comparison.peer_process import Latency
from tilewright_comparison.peers import ONEDNN_ISA, CannotRestrict, environment
from tilewright_tuning.child_process import CallFailed

from ..tuning.examples import DENSE, TARGET, does_not_apply, good_candidate

CORES = sorted(os.sched_getaffinity(0))[:2]
ONNX_RUNTIME = "onnx_runtime"


@pytest.fixture(scope="module")
def comparison() -> Iterator[Comparison]:
    with Comparison(TARGET, CORES[:1], [ONNX_RUNTIME]) as comparison:
        yield comparison


@pytest.mark.alone
def test_ours_and_a_peer_compute_the_same_and_both_are_timed(comparison: Comparison) -> None:
    compared = comparison.compare(DENSE, good_candidate(), rounds=3)
    peer = compared.figures[ONNX_RUNTIME]
    assert peer.agreement == Agreement(is_equal=True, differing=0.0, most=0)
    assert compared.ours_us > 0
    assert peer.latency_us > 0
    assert comparison.versions.keys() == {ONNX_RUNTIME}


@pytest.mark.alone
def test_a_workload_that_a_peer_does_not_know_is_refused_by_name(comparison: Comparison) -> None:
    clipped = DENSE.model_copy(update={"activation": "relu"})
    compared = comparison.compare(clipped, good_candidate(clipped), rounds=1)
    assert "without activation" in compared.refusals[ONNX_RUNTIME]
    assert compared.figures == {}
    assert compared.ours_us > 0


@pytest.mark.alone
def test_a_kernel_of_ours_that_does_not_build_is_an_error(comparison: Comparison) -> None:
    with pytest.raises(CallFailed, match="no_such_block"):
        comparison.compare(DENSE, does_not_apply())
    assert comparison.compare(DENSE, good_candidate(), rounds=1).ours_us > 0


@pytest.mark.alone
def test_a_peer_that_dies_is_refused_from_then_on() -> None:
    with Comparison(TARGET, CORES[:1], [ONNX_RUNTIME]) as comparison:
        os.kill(comparison.pids[1], signal.SIGKILL)
        for _ in range(2):
            compared = comparison.compare(DENSE, good_candidate(), rounds=1)
            assert compared.refusals == {ONNX_RUNTIME: "the process died of SIGKILL"}
            assert compared.ours_us > 0


def test_processes_that_wait_burn_no_cpu() -> None:
    threads = len(CORES)
    target = Target(isa=TARGET.isa, threads=threads)
    with Comparison(target, CORES, [ONNX_RUNTIME]) as comparison:
        comparison.compare(DENSE, good_candidate(DENSE, target), rounds=2)
        waiting = [psutil.Process(pid) for pid in comparison.pids]
        before = [each.cpu_times() for each in waiting]
        time.sleep(0.3)
        assert {each.status() for each in waiting} == {psutil.STATUS_STOPPED}
        assert [each.cpu_times() for each in waiting] == before


def test_nothing_is_pinned_that_a_library_does_not_pin_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # NumPy's would be the busiest until the first call
    target = Target(isa=TARGET.isa, threads=len(CORES))
    with Comparison(target, CORES, [ONNX_RUNTIME]) as comparison:
        comparison.compare(DENSE, good_candidate(DENSE, target), rounds=1)
        assert all(os.sched_getaffinity(pid) == set(CORES) for pid in comparison.pids)


def test_a_peer_that_does_not_load_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('torch is broken here')\n")
    with Comparison(TARGET, CORES[:1], ["onednn"], {"onednn": tmp_path}) as comparison:
        assert comparison.missing == {"onednn": "ImportError: torch is broken here"}
        assert comparison.compare(DENSE, good_candidate(), rounds=1).outcomes == {}


@pytest.mark.skipif(TARGET.isa is ISAS[-1], reason="needs a weaker path than the host's")
def test_a_peer_that_cannot_be_restricted_to_the_target_is_left_out_and_named() -> None:
    with Comparison(Target(isa=Isa.X86_64), CORES[:1], [ONNX_RUNTIME]) as comparison:
        assert "no switch" in comparison.missing[ONNX_RUNTIME]


def test_stopped_processes_end_with_the_process_that_started_them() -> None:
    script = (
        "from tests.comparison.test_comparison import *\n"
        "comparison = Comparison(TARGET, CORES[:1], [])\n"
        "print(comparison.pids[0], flush=True)\n"
        "input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    with parent:
        assert parent.stdout is not None
        stopped = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    gone, _ = psutil.wait_procs([stopped], timeout=10)
    assert gone


def test_onednn_is_left_out_on_a_path_that_it_has_no_known_name_for(monkeypatch: pytest.MonkeyPatch) -> None:
    weakest = Target(isa=ISAS[-1])
    assert environment("onednn", weakest)["ONEDNN_MAX_CPU_ISA"] == ONEDNN_ISA[ISAS[-1]]
    monkeypatch.delitem(ONEDNN_ISA, ISAS[-1])
    with pytest.raises(CannotRestrict, match=f"ONEDNN_ISA does not say .* {ISAS[-1]}"):
        environment("onednn", weakest)


def test_rounds_in_which_a_process_waited_for_a_core_do_not_count() -> None:
    calm, disturbed = Latency(10, 1, 0.001), Latency(90, 1, 0.5)
    assert calm_rounds({"a": [calm, disturbed], "b": [calm, calm]}) == ({"a": [calm], "b": [calm]}, 0.5)
    mostly_disturbed = {"a": [disturbed, calm, disturbed]}
    rounds, share = calm_rounds(mostly_disturbed)
    assert rounds == mostly_disturbed
    assert share == pytest.approx(2 / 3)


def test_an_agreement_counts_differing_elements_and_the_largest_difference() -> None:
    ours = np.array([[0, 120], [7, 255]], np.uint8)
    off_by_one = np.array([[0, 121], [7, 255]], np.uint8)
    assert agreement([ours, ours], [ours, off_by_one]) == Agreement(True, 0.25, 1)
    assert agreement([ours, ours], [off_by_one, ours]) == Agreement(False, 0.0, 0)
    wrapped = np.array([[255, 120], [7, 255]], np.uint8)
    assert agreement([ours, ours], [ours, wrapped]).most == 255
