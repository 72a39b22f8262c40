"""The engine with a scheduler and workers that run, freeze, die and come back."""

import signal
import time

import psutil
import pytest

from .bench import ANOTHER_DATABASE, Bench, key, order, wait_for

SILENT_SECONDS = 2.5


def test_an_attempt_runs_once_however_often_it_is_launched(bench: Bench) -> None:
    worker = bench.start_worker()
    for _ in range(5):
        worker.launch(order(1))
    wait_for(lambda: worker.runs(key(1)))
    worker.launch(order(1))
    bench.engine.kill(worker.name, key(1))
    end = wait_for(lambda: worker.end_of(key(1)))
    worker.launch(order(1))
    time.sleep(0.5)
    assert end.exit_code == -signal.SIGKILL
    assert not worker.member.report.running
    assert len(worker.launches()) <= 1


def test_a_change_is_told_at_once(bench: Bench) -> None:
    worker = bench.start_worker()
    told: list[float] = []
    bench.engine.on_change = lambda: told.append(time.monotonic())
    worker.launch(order(1))
    wait_for(lambda: worker.runs(key(1)))
    launched = time.monotonic()
    bench.engine.kill(worker.name, key(1))
    wait_for(lambda: worker.end_of(key(1)))
    assert time.monotonic() - launched < 0.5  # and not at the end of a round
    assert len(told) >= 2


def test_how_an_attempt_ended_is_told_with_what_it_said_last(bench: Bench) -> None:
    worker = bench.start_worker()
    worker.launch(order(1, "exit"))
    end = wait_for(lambda: worker.end_of(key(1)))
    assert end.exit_code == 7
    assert end.reason == "the attempt ended with exit code 7: it ends as it was told"


def test_a_second_attempt_is_refused_for_nobodys_fault(bench: Bench) -> None:
    worker = bench.start_worker()
    worker.launch(order(1))
    wait_for(lambda: worker.runs(key(1)))
    worker.launch(order(2))
    end = wait_for(lambda: worker.end_of(key(2)))
    assert (end.exit_code, end.is_of_moment, end.reason) == (None, True, "the worker is at another attempt")
    assert worker.runs(key(1))


def test_attempts_of_two_databases_with_the_same_number_are_two(bench: Bench) -> None:
    worker = bench.start_worker()
    worker.launch(order(1))
    wait_for(lambda: worker.runs(key(1)))
    worker.launch(order(1, database_id=ANOTHER_DATABASE))
    end = wait_for(lambda: worker.end_of(key(1, database_id=ANOTHER_DATABASE)))
    assert end.is_of_moment
    bench.engine.kill(worker.name, key(1, database_id=ANOTHER_DATABASE))
    time.sleep(0.5)
    assert worker.runs(key(1))
    assert worker.end_of(key(1)) is None


def test_attempts_survive_an_absence_of_the_scheduler_and_all_find_each_other_again(bench: Bench) -> None:
    worker = bench.start_worker()
    worker.launch(order(1))
    wait_for(lambda: worker.runs(key(1)))
    bench.stop_scheduler()
    away = wait_for(lambda: bench.engine.view().away)
    assert f"the scheduler at {bench.url} is away (Connection refused)" in away
    time.sleep(15)
    assert worker.runs(key(1))
    assert worker.member.silent_seconds < SILENT_SECONDS  # it is asked itself meanwhile
    worker.launch(order(2))
    assert wait_for(lambda: worker.end_of(key(2))).is_of_moment

    bench.start_scheduler()
    wait_for(lambda: bench.engine.view().away is None, 5)
    newcomer = bench.start_worker()
    newcomer.launch(order(3))
    wait_for(lambda: newcomer.runs(key(3)))
    assert worker.runs(key(1))
    assert [job for job, _, _ in worker.launches()] == [1]


def test_a_worker_joins_again_without_being_asked_anything(bench: Bench) -> None:
    worker = bench.start_worker()
    bench.stop_scheduler()
    wait_for(lambda: bench.engine.view().away)
    bench.start_scheduler()
    assert worker.process.stdout is not None
    joined = next(line for line in worker.process.stdout if not line.startswith("no scheduler answers at"))
    assert joined == f"{worker.name} works for {bench.url}\n"
    assert list(bench.members()) == [worker.name]


def test_a_frozen_worker_holds_nobody_up(bench: Bench) -> None:
    frozen, healthy = bench.start_worker(), bench.start_worker()
    frozen.launch(order(1))
    wait_for(lambda: frozen.runs(key(1)))
    frozen.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    bench.engine.kill(frozen.name, key(1))
    bench.engine.launch(frozen.name, order(2))
    healthy.launch(order(3))
    assert time.monotonic() - began < 0.1
    wait_for(lambda: healthy.runs(key(3)), 2)
    wait_for(lambda: frozen.member.silent_seconds > SILENT_SECONDS, 5)
    undelivered = wait_for(lambda: frozen.end_of(key(2)), 12)
    assert undelivered.is_of_moment
    assert undelivered.reason == f"the worker {frozen.name} could not be told to begin: no answer"
    healthy.launch(order(4))
    assert wait_for(lambda: healthy.end_of(key(4)), 1).is_of_moment

    frozen.process.send_signal(signal.SIGCONT)
    wait_for(lambda: frozen.member.silent_seconds < SILENT_SECONDS, 7)
    wait_for(lambda: frozen.end_of(key(1)), 3)


@pytest.mark.soak
def test_connections_do_not_pile_up_at_a_frozen_worker(bench: Bench) -> None:
    frozen = bench.start_worker()
    frozen.process.send_signal(signal.SIGSTOP)
    process = psutil.Process()
    before = process.num_fds()
    for _ in range(10):
        bench.engine.kill(frozen.name, key(1))
        time.sleep(1)
    assert process.num_fds() <= before + 3


def test_what_a_killed_worker_started_dies_with_it_and_the_worker_is_gone(bench: Bench) -> None:
    worker = bench.start_worker()
    worker.launch(order(1, "family"))
    wait_for(worker.launches)
    children = [each for each in worker.descendants() if "stand_in" in " ".join(each.cmdline())]
    assert children
    worker.process.kill()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    wait_for(lambda: worker.name not in bench.members(), 5)


def test_a_worker_that_is_gone_is_not_an_error(bench: Bench) -> None:
    bench.engine.launch("nobody", order(1))
    bench.engine.kill("nobody", key(1))
    probe = bench.engine.probe("nobody", "http://127.0.0.1:1")
    wait_for(lambda: probe.is_over)
    assert probe.ailment == "the worker nobody could not be asked how it is: it has left"


def test_a_worker_on_the_same_cores_says_that_it_is_busy_and_refuses_at_once(bench: Bench) -> None:
    first, second = bench.start_worker("locks"), bench.start_worker("locks")
    first.launch(order(1))
    wait_for(lambda: first.runs(key(1)))
    busy = wait_for(lambda: second.member.report.busy, 5)
    assert busy.startswith(f"core 0 is measured on by process {first.process.pid} of ")
    second.launch(order(2))
    end = wait_for(lambda: second.end_of(key(2)), 2)
    assert (end.exit_code, end.is_of_moment, end.reason) == (None, True, busy)
    bench.engine.kill(first.name, key(1))
    wait_for(lambda: second.member.report.busy is None, 5)
    second.launch(order(3))
    wait_for(lambda: second.runs(key(3)))


def test_a_probe_says_that_there_is_no_way_home_and_what_to_set(bench: Bench) -> None:
    worker = bench.start_worker()
    probe = bench.engine.probe(worker.name, "http://127.0.0.1:1")
    wait_for(lambda: probe.is_over)
    assert probe.ailment is not None
    assert probe.ailment.startswith("this worker does not reach the service at http://127.0.0.1:1 (")
    assert "set TILEWRIGHT_PUBLIC_URL" in probe.ailment


@pytest.mark.soak
def test_a_leaving_worker_takes_nothing_more_and_lets_its_attempt_leave(bench: Bench) -> None:
    worker = bench.start_worker()
    worker.launch(order(1, "leaves"))
    wait_for(worker.launches)
    time.sleep(0.3)  # for the script to have set its handler
    worker.process.terminate()
    assert worker.process.wait(5) == 0
    assert worker.process.stdout is not None
    assert worker.process.stdout.read() == ""
    wait_for(lambda: worker.name not in bench.members(), 5)


def test_a_leaving_worker_shows_that_it_drains_and_kills_what_does_not_end(bench: Bench) -> None:
    worker = bench.start_worker()
    worker.launch(order(1, "stays"))
    wait_for(worker.launches)
    time.sleep(0.3)
    began = time.monotonic()
    worker.process.send_signal(signal.SIGTERM)
    wait_for(lambda: worker.member.report.is_draining, 10)
    worker.launch(order(2))
    end = wait_for(lambda: worker.end_of(key(2)), 3)
    assert (end.is_of_moment, end.reason) == (True, "the worker is leaving")
    (_, _, attempt), *_ = worker.launches()
    assert worker.process.wait(15) == 0
    assert 9 < time.monotonic() - began < 15
    wait_for(lambda: not psutil.pid_exists(attempt), 3)


def test_a_second_signal_ends_a_worker_at_once(bench: Bench) -> None:
    worker = bench.start_worker()
    worker.launch(order(1, "stays"))
    wait_for(worker.launches)
    worker.process.terminate()
    time.sleep(0.5)
    worker.process.terminate()
    assert worker.process.wait(2) == 0
