import pydoc
import subprocess
import sys
import warnings
from typing import Any

import pytest

import tilewright
from tilewright import errors
from tilewright.contract.jobs import Job
from tilewright.contract.target import Isa, Target

from .conftest import Reply, ScriptedServer, StandIn
from .examples import CONV, job, job_of, job_workload, problem, schedule

DOWN = "http://127.0.0.1:1"


@pytest.fixture
def hub(server: ScriptedServer) -> tilewright.Hub:
    return tilewright.connect(server.url)


def test_the_address_comes_from_the_argument_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tilewright.connect().client.url == "http://127.0.0.1:8000"
    monkeypatch.setenv("TILEWRIGHT_URL", "http://tuner:9000/")
    assert tilewright.connect().client.url == "http://tuner:9000"
    assert tilewright.connect("http://other").client.url == "http://other"


def test_the_token_of_the_environment_is_sent(
    hub: tilewright.Hub, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILEWRIGHT_TOKEN", "from-the-environment")
    server.replies(Reply(200, job()))
    tilewright.connect(server.url).job(7)
    assert server.calls[0].headers["Authorization"] == "Bearer from-the-environment"


def test_a_submitted_workload_becomes_a_job_to_wait_for(hub: tilewright.Hub, server: ScriptedServer) -> None:
    server.replies(Reply(201, job("queued")), Reply(200, job("running")), Reply(200, job("finished")))
    seen: list[Job] = []
    handle = hub.submit(CONV, seconds=20)
    assert handle.id == 7
    assert handle.wait(timeout=10, progress=seen.append).state == "finished"
    assert [each.state for each in seen] == ["queued", "running", "finished"]
    assert server.calls[0].body["seconds"] == 20


@pytest.mark.parametrize(("state", "kind"), [("failed", errors.JobFailed), ("cancelled", errors.JobCancelled)])
def test_waiting_for_a_job_that_does_not_finish_raises(
    hub: tilewright.Hub, server: ScriptedServer, state: str, kind: type[Exception]
) -> None:
    server.replies(Reply(200, job(state, reason="the cores melted")))
    with pytest.raises(kind, match="the cores melted"):
        hub.job(7).wait()


def failure(hub: tilewright.Hub, server: ScriptedServer, *workloads: dict[str, Any]) -> str:
    """What waiting for a job of these, which failed, raises."""
    server.replies(Reply(200, job_of(*workloads, state="failed", reason="some of its workloads could not be tuned")))
    with pytest.raises(errors.JobFailed) as caught:
        hub.job(7).wait()
    return caught.value.detail


def test_a_failed_job_names_the_workloads_that_failed_and_says_that_the_others_have_schedules(
    hub: tilewright.Hub, server: ScriptedServer
) -> None:
    failed = [job_workload("failed", batch, reason=f"crash {batch}\nat length") for batch in range(1, 6)]
    done = [job_workload("done", batch, schedule_id=batch) for batch in range(6, 9)]
    names = [each["name"] for each in failed]
    assert failure(hub, server, failed[0], *done) == (
        f"job 7 failed: 1 of its 4 workloads could not be tuned: {names[0]} (crash 1 …); "
        "the other 3 have their schedules"
    )
    assert failure(hub, server, *failed, done[0]) == (
        f"job 7 failed: 5 of its 6 workloads could not be tuned: {names[0]} (crash 1 …), {names[1]} (crash 2 …), "
        f"{names[2]} (crash 3 …), and 2 more; the other one has its schedule"
    )
    without = job_workload("done", 9, schedule_id=None)
    assert failure(hub, server, failed[0], without, done[0]).endswith("; 1 of the others has its schedule")
    assert failure(hub, server, failed[0]) == f"job 7 failed: its workload could not be tuned: {names[0]} (crash 1 …)"


def test_a_host_class_is_asked_for(hub: tilewright.Hub, server: ScriptedServer) -> None:
    server.replies(Reply(201, job("queued", host_class="test-cpu")))
    assert hub.submit(CONV, host_class="test-cpu").job.host_class == "test-cpu"
    assert server.calls[0].body["host_class"] == "test-cpu"
    with pytest.raises(errors.InvalidRequest, match="host_class"):
        hub.submit(CONV, host_class="No Class")


def test_waiting_ends_at_the_timeout(hub: tilewright.Hub, server: ScriptedServer) -> None:
    server.replies(Reply(200, job("running")))
    with pytest.raises(errors.WaitTimeout, match="it goes on"):
        hub.job(7).wait(timeout=0.1)


def test_waiting_outlives_a_restart_of_the_service(hub: tilewright.Hub, server: ScriptedServer) -> None:
    away = [Reply(503, problem("unavailable", 503))] * 8
    server.replies(Reply(200, job("running")), *away, Reply(200, job("finished")))
    assert hub.job(7).wait(timeout=20).state == "finished"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give either workloads or network"),
        ({"workloads": CONV, "network": "resnet18"}, "give either workloads or network"),
        ({"workloads": CONV, "batch": 2}, "batch goes with network"),
        ({"workloads": CONV, "trials": 0}, "trials is "),
        ({"workloads": CONV, "seconds": float("nan")}, "seconds is "),
        ({"workloads": CONV, "threads": 1.0}, "threads is "),
        ({"workloads": CONV, "target": "sse2"}, "target is "),
        ({"workloads": {**CONV, "groups": 5}}, "groups=5 does not divide"),
        ({"workloads": "{"}, "this is not JSON"),
    ],
)
def test_wrong_requests_are_refused_before_they_are_sent(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=message):
        tilewright.connect(DOWN).submit(**arguments)


def test_the_best_schedule_may_be_none_unless_strict(hub: tilewright.Hub, server: ScriptedServer) -> None:
    server.replies(Reply(200, {"items": [None]}))
    assert hub.best(CONV) is None
    with pytest.raises(errors.NoSchedule, match="n1_c64_h56w56_o64"):
        hub.best(CONV, strict=True)


@pytest.mark.usefixtures("_kernels")
def test_load_takes_the_strongest_path_of_this_host_that_is_known(hub: tilewright.Hub, server: ScriptedServer) -> None:
    server.replies(Reply(200, {"items": [None]}), Reply(200, {"items": [schedule(isa="avx2")]}))
    kernel = hub.load(CONV)
    assert kernel.target == Target(isa=Isa.AVX2)
    assert kernel.schedule is not None
    assert kernel.schedule.id == 11
    assert [(call.body["isa"], call.body["host_class"]) for call in server.calls] == [
        ("avx512_vnni", "test-cpu"),
        ("avx2", "test-cpu"),
    ]


@pytest.mark.usefixtures("_kernels")
def test_load_falls_back_to_the_default_kernel_and_says_so(hub: tilewright.Hub, server: ScriptedServer) -> None:
    server.replies(Reply(200, {"items": [None]}))
    with pytest.warns(UserWarning, match=r"default kernel of n1_c64.*tilewright submit"):
        kernel = hub.load(CONV, threads=2)
    assert kernel.target == Target(isa=Isa.AVX512_VNNI, threads=2)
    assert kernel.schedule is None


@pytest.mark.usefixtures("_kernels")
def test_load_falls_back_when_the_schedule_is_of_another_version(
    hub: tilewright.Hub, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_kernel(workload: Any, target: Target, published: Any) -> Any:
        if published is not None:
            raise errors.ForeignSchedule("schedule 1 does not fit")
        return StandIn(workload, target, published)

    monkeypatch.setattr(sys.modules["tilewright_kernels.runtime.kernel"], "load_kernel", load_kernel)
    server.replies(Reply(200, {"items": [schedule()]}), Reply(200, {"items": [schedule()]}))
    with pytest.warns(UserWarning, match="does not fit"):
        kernel = hub.load(CONV)
    assert kernel.target == Target(isa=Isa.AVX512_VNNI)
    with pytest.raises(errors.ForeignSchedule):
        hub.load(CONV, strict=True)


def test_load_works_without_a_service() -> None:
    with pytest.warns(UserWarning, match="no service answers") as caught:
        tilewright.connect(DOWN).load(CONV)
    assert len(caught) == 1


@pytest.mark.usefixtures("_kernels")
def test_strict_load_does_not_fall_back(hub: tilewright.Hub, server: ScriptedServer) -> None:
    server.replies(Reply(200, {"items": [None]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(errors.NoSchedule):
            hub.load(CONV, strict=True)
        with pytest.raises(errors.ServerUnreachable):
            tilewright.connect(DOWN).load(CONV, strict=True)


@pytest.mark.usefixtures("_kernels")
def test_what_hubs_give_says_in_a_line_what_it_is(hub: tilewright.Hub, server: ScriptedServer) -> None:
    server.replies(Reply(200, job()), Reply(200, {"items": [schedule()]}))
    name = "n1_c64_h56w56_o64_k3x3_s1_p1_u8s8u8_nhwc"
    handle, kernel = hub.job(7), hub.load(CONV)
    assert repr(handle) == f"<JobHandle of <Job 7: running, {name}, 3 trials, best 123.4 us>>"
    assert repr(handle.job.workloads) == f"[<JobWorkload {name}: running, 3 trials, best 123.4 us>]"
    assert str(kernel.workload) == f"<Workload {name}>"
    assert repr([kernel]) == f"[<Kernel {name}, avx512_vnni, 1 thread, schedule 11, 800.5 us>]"
    assert str(kernel.schedule) == f"<Schedule 11: {name}, avx512_vnni, 1 thread, 800.5 us on test-cpu>"


def test_a_job_of_many_workloads_says_how_many_are_done_and_why_it_ended() -> None:
    progress = {"workloads": 11, "workloads_done": 4, "trials": 130, "trials_planned": 704}
    changes = {"network": "resnet18", "workloads": [], "progress": progress, "reason": "it crashed:\n" + "long " * 99}
    line = str(Job.model_validate(job("failed", **changes)))
    assert line.startswith("<Job 7: failed, resnet18, 4 of 11 workloads done, 130 trials, it crashed: long")
    assert len(line) < 160


def test_help_is_a_page_of_what_users_need() -> None:
    page = pydoc.plain(pydoc.render_doc(tilewright))
    described, *_ = page.split("PACKAGE CONTENTS")
    assert all(name in described for name in tilewright.__all__ if not name.startswith("_"))
    assert len(page.splitlines()) < 80
    assert max(map(len, described.splitlines())) <= 80
    assert "pydantic" not in page


def test_help_on_kernels_needs_no_compiler() -> None:
    program = "import sys, tilewright; help(tilewright.Kernel.pack); assert not {'tvm', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for word in ("OIHW", "x_scale * w_scale / y_scale", "int32, (out_channels,)", "InvalidRequest"):
        assert word in done.stdout
