"""Submit, wait, load, run: the real service, the real worker, real kernels."""

import time

import numpy as np
import pytest

import tilewright
from tilewright import errors
from tilewright.contract.jobs import Job, JobState, WorkloadState
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Quantization, reference

from .examples import dense, depthwise
from .tuning_service import TuningService

TINY = Workload(batch=1, in_channels=16, height=16, width=16, out_channels=32, kernel_size=(3, 3))


def assert_exact(service: TuningService, workload: Workload, threads: int = 1) -> None:
    random = np.random.default_rng(1)
    values = Quantization(
        random.integers(-128, 128, workload.weight_shape).astype(np.int8),
        random.integers(-1000, 1000, workload.out_channels).astype(np.int32),
        random.uniform(0.0005, 0.005, workload.out_channels).astype(np.float32),
        data_zero_point=7,
        out_zero_point=120,
    )
    x = random.integers(0, 256, workload.input_shape).astype(np.uint8)
    conv = service.hub.load(workload, threads=threads, strict=True)
    packed = conv.pack(values.weight, bias=values.bias, scale=values.scale, data_zero_point=7, out_zero_point=120)
    np.testing.assert_array_equal(packed(x), reference(workload, x, values))


IN_NCHW = TINY.model_copy(update={"layout": "NCHW", "out_channels": 40})


KINDS = {"dense": TINY, "depthwise": depthwise(), "nchw": IN_NCHW}


@pytest.fixture(scope="module")
def tuned(service: TuningService) -> Job:
    return service.hub.submit(list(KINDS.values()), trials=5).wait(timeout=120)


@pytest.mark.parametrize("kind", KINDS)
def test_a_workload_is_tuned_verified_published_and_runs_exactly(service: TuningService, tuned: Job, kind: str) -> None:
    workload = KINDS[kind]
    [layer] = [each for each in tuned.workloads if each.workload == workload]
    assert layer.state is WorkloadState.DONE
    assert layer.stop_reason == "trials"
    assert len(service.records(tuned.id)) == tuned.progress.trials == 5 * len(KINDS)
    records = [each for each in service.records(tuned.id).values() if each.workload_id == workload.id]
    assert len(records) == layer.trials == 5
    assert all(record.slowdown is not None and record.slowdown >= 1 for record in records)
    schedule = service.hub.best(workload, strict=True)
    assert schedule is not None
    assert schedule.id == layer.schedule_id
    assert schedule.candidate in {record.candidate for record in records}
    assert len(schedule.verification.inputs) == 7
    assert schedule.default_latency_us is not None
    proof = service.hub.client.schedule(schedule.id).proof
    assert proof is not None
    assert proof == schedule.proof
    assert proof.in_loop
    assert 0 < proof.dot_products < proof.instructions
    assert_exact(service, workload)


def test_more_trials_go_on_where_the_last_job_stopped(service: TuningService, tuned: Job) -> None:
    workload = KINDS["depthwise"]
    second = service.hub.submit(workload, trials=9).wait(timeout=60)
    assert second.id != tuned.id
    measured = [*service.measured(tuned.id), *service.measured(second.id)]
    assert len(measured) == len(set(measured)) == len(service.records(tuned.id)) + len(service.records(second.id))
    assert second.workloads[0].schedule_id is not None
    assert_exact(service, workload)


def test_a_small_space_is_searched_to_its_end(service: TuningService) -> None:
    workload = dense(3, height=1, width=1, kernel_size=(1, 1), padding=(0, 0, 0, 0), out_channels=16)
    job = service.hub.submit(workload, trials=1000).wait(timeout=60)
    assert job.workloads[0].stop_reason in ("exhausted", "plateau")
    again = service.hub.submit(workload, trials=1001).wait(timeout=60)
    assert again.workloads[0].stop_reason in ("exhausted", "plateau")
    assert again.state is JobState.FINISHED
    measured = [*service.measured(job.id), *service.measured(again.id)]
    assert len(measured) == len(set(measured))


def test_seconds_end_a_search(service: TuningService) -> None:
    job = service.hub.submit(depthwise(1), trials=10_000, seconds=1).wait(timeout=60)
    assert job.workloads[0].stop_reason == "seconds"


def test_a_cancelled_job_ends_within_seven_seconds_and_keeps_its_records(service: TuningService) -> None:
    handle = service.hub.submit([depthwise(2), depthwise(3)], trials=10_000)
    while handle.refresh().progress.trials < 3:
        time.sleep(0.1)
    acknowledged, worked = service.records(handle.id), service.attempt_sessions()
    asked = time.monotonic()
    handle.cancel()
    with pytest.raises(errors.JobCancelled):
        handle.wait(timeout=20)
    assert time.monotonic() - asked < 7
    assert acknowledged.items() <= service.records(handle.id).items()
    assert service.attempts_left_over(worked) == []


def test_two_threads_are_tuned_apart_from_one(service: TuningService) -> None:
    if next(iter(service.hub.client.workers())).cores < 2:
        pytest.skip("this machine has one core")
    workload = dense(5)
    job = service.hub.submit(workload, trials=4, threads=2).wait(timeout=60)
    assert job.progress.trials == 4
    assert service.hub.best(workload, threads=1) is None
    schedule = service.hub.best(workload, threads=2)
    assert schedule is not None
    assert schedule.target.threads == 2
    assert_exact(service, workload, threads=2)


def test_what_was_tuned_runs_exactly_while_the_service_is_away(service: TuningService, tuned: Job) -> None:
    assert_exact(service, TINY)
    service.stop()
    try:
        service.hub = tilewright.connect(service.url)
        with pytest.warns(UserWarning, match="does not answer; using schedule"):
            assert_exact(service, TINY)
    finally:
        service.start()
