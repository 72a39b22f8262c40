"""A service that is away: `load` gives what was served last, and says so; nothing about its files fails a load."""

import os
import resource
import shutil
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tilewright
from tilewright import errors
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Isa, Target
from tilewright.http import Client

from .conftest import HOST, Call, Reply, ScriptedServer
from .examples import CONV, problem, schedule

pytestmark = pytest.mark.usefixtures("_kernels")

NOTHING = Reply(200, {"items": [None]})
AWAY = Reply(503, problem("unavailable", 503))
SLOW_SECONDS = 0.1


def answer(schedule_id: int = 11, isa: str = "avx512_vnni") -> Reply:
    return Reply(200, {"items": [{**schedule(isa), "id": schedule_id}]})


def connect(url: str) -> tilewright.Hub:
    """One that does not wait for a service that is away."""
    return tilewright.Hub(Client(url, patience_seconds=0))


@pytest.fixture
def hub(server: ScriptedServer) -> tilewright.Hub:
    return connect(server.url)


@pytest.fixture
def kept(hub: tilewright.Hub, server: ScriptedServer, cache_folder: Path) -> Path:
    """The file of a schedule that was served; the service is away now."""
    server.replies(answer())
    hub.load(CONV)
    server.replies(AWAY)
    [file] = cache_folder.iterdir()
    return file


def loaded_id(hub: tilewright.Hub, **options: Any) -> int | None:
    """Of the schedule that a program that starts now builds its kernel from; None for the default kernel."""
    return next_id(tilewright.Hub(hub.client), **options)


def next_id(hub: tilewright.Hub, **options: Any) -> int | None:
    """The same of a program that goes on: of a service that did not answer it does not ask again at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = hub.load(CONV, **options).schedule
    return None if found is None else found.id


def test_the_schedule_that_was_served_is_used_while_the_service_is_away(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer
) -> None:
    said = rf"the service at {server.url} does not answer; using schedule 11 of n1_c64.* as served on \d{{4}}-\d\d-\d\d"
    with pytest.warns(UserWarning, match=said) as caught:
        kernel = hub.load(CONV)
    assert [warning.filename for warning in caught] == [__file__]
    assert kernel.schedule is not None
    assert kernel.schedule == Schedule.model_validate(schedule())
    assert kernel.target == kernel.schedule.target
    server.close()
    with pytest.warns(UserWarning, match=said):
        assert connect(server.url).load(CONV).schedule == kernel.schedule


def test_a_strict_load_takes_it_as_well(hub: tilewright.Hub, kept: Path) -> None:
    with pytest.warns(UserWarning, match="using schedule 11"):
        hub.load(CONV, strict=True)
    with pytest.raises(errors.Unavailable):
        hub.load({**CONV, "batch": 2}, strict=True)


def test_an_answer_counts_more_than_what_was_served_before(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer
) -> None:
    server.replies(answer(12))
    assert loaded_id(hub) == 12
    server.replies(AWAY)
    assert loaded_id(hub) == 12
    server.replies(NOTHING)
    assert loaded_id(hub) is None
    server.replies(AWAY)
    assert loaded_id(hub) is None


@pytest.mark.parametrize(
    "reply",
    [Reply(500, problem("internal", 500)), Reply(200, "<p>Welcome to nginx!</p>", "text/html"), Reply(200, {"a": 1})],
    ids=["500", "another page", "another JSON"],
)
def test_a_service_that_is_out_of_order_is_as_good_as_away(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer, reply: Reply
) -> None:
    server.replies(reply)
    with pytest.warns(UserWarning, match="using schedule 11"):
        assert hub.load(CONV, strict=True).schedule is not None


def test_a_service_that_did_not_answer_is_asked_again_after_ten_times_as_long(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer
) -> None:
    def slowly(_: Call) -> Reply:
        time.sleep(SLOW_SECONDS)
        return AWAY

    server.replies(slowly)
    asked_before, began = len(server.calls), time.monotonic()
    assert next_id(hub) == 11
    failed_at = time.monotonic()
    server.replies(answer(12))
    assert next_id(hub) == 11
    with pytest.raises(errors.Unavailable):
        hub.load({**CONV, "batch": 2}, strict=True)
    assert len(server.calls) == asked_before + 1
    while next_id(hub) == 11:
        time.sleep(0.01)
    silence = time.monotonic() - failed_at
    assert 9.5 * SLOW_SECONDS < silence < 10 * (failed_at - began) + 5 * SLOW_SECONDS
    assert len(server.calls) == asked_before + 2


@pytest.mark.parametrize("refusal", [("unauthorized", 401), ("not-found", 404)])
def test_a_refusal_is_an_answer(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer, refusal: tuple[str, int]
) -> None:
    server.replies(Reply(refusal[1], problem(*refusal)))
    with pytest.raises(errors.TilewrightError, match="so it is"):
        hub.load(CONV)


def test_what_was_served_belongs_to_its_service_workload_and_threads(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer
) -> None:
    assert loaded_id(hub, threads=2) is None
    with pytest.warns(UserWarning, match="default kernel"):
        assert hub.load({**CONV, "batch": 2}).schedule is None
    assert loaded_id(connect(server.url.replace("127.0.0.1", "localhost"))) is None
    assert loaded_id(hub) == 11


def test_host_classes_under_one_folder_are_kept_apart(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a home that several machines share."""
    with monkeypatch.context() as elsewhere:
        other = HOST.model_copy(update={"host_class": "other-cpu"})
        elsewhere.setattr(sys.modules["tilewright_kernels.isa.host"], "this_host", lambda: other)
        assert loaded_id(hub) is None
        server.replies(answer(12))
        assert loaded_id(hub) == 12
        server.replies(AWAY)
        assert loaded_id(hub) == 12
    assert loaded_id(hub) == 11


def test_the_strongest_path_that_was_served_is_used(hub: tilewright.Hub, server: ScriptedServer) -> None:
    server.replies(NOTHING, answer(9, "avx2"))
    assert hub.load(CONV).target == Target(isa=Isa.AVX2)
    server.replies(AWAY)
    assert loaded_id(hub) == 9
    server.replies(answer(10))
    assert loaded_id(hub) == 10
    server.replies(AWAY)
    assert loaded_id(hub) == 10


def test_only_the_user_can_read_or_write_it(kept: Path, cache_folder: Path) -> None:
    assert stat.S_IMODE(cache_folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_it_is_where_the_user_keeps_caches(
    hub: tilewright.Hub, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies(answer())
    monkeypatch.delenv("TILEWRIGHT_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for shared, folder in ((str(tmp_path / "shared"), "shared"), ("relative", "home/.cache"), ("", "home/.cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", shared)
        hub.load(CONV)
        assert len(list((tmp_path / folder / "tilewright").iterdir())) == 1
        shutil.rmtree(tmp_path / folder)


def edit(old: str, new: str) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return spoil


def exchange(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Something else under the name of the file; what it held is beside it."""

    def spoil(file: Path) -> None:
        file.rename(file.with_suffix(".moved"))
        make(file)

    return spoil


def give_away(file: Path) -> None:
    """To another user, where this one may."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(file, 12345, -1)


SPOILT: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda file: file.write_bytes(b"\x93NUMPY\xff"),
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    "empty": lambda file: os.truncate(file, 0),
    "another version": edit('"version":1', '"version":2'),
    "a field that is not known": edit('"version":1', '"version":1,"code":"print()"'),
    "another question": lambda file: edit(file.stem, "f" * 64)(file),
    "another workload": edit('"batch":1', '"batch":2'),
    "another path": edit('{"isa":"avx512_vnni"', '{"isa":"avx2"'),
    "another choice": edit('"rows":1', '"rows":2'),
    "writable by all": lambda file: file.chmod(0o666),
    "of another user": give_away,
    "a link": exchange(lambda file: file.symlink_to(file.with_suffix(".moved"))),
    "a pipe": exchange(os.mkfifo),
}


@pytest.mark.parametrize("spoil", list(SPOILT.values()), ids=list(SPOILT))
def test_a_file_that_is_not_as_we_write_it_is_passed_over_and_replaced(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer, spoil: Callable[[Path], object]
) -> None:
    spoil(kept)
    assert loaded_id(hub) is None
    server.replies(answer())
    assert loaded_id(hub) == 11
    assert kept.is_file()
    assert not kept.is_symlink()
    server.replies(AWAY)
    assert loaded_id(hub) == 11


def test_a_link_is_replaced_and_what_it_leads_to_stays(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    kept.unlink()
    kept.symlink_to(precious)
    server.replies(answer())
    hub.load(CONV)
    assert precious.read_text() == "mine"


def make_link(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(0o700)
    folder.symlink_to(elsewhere)


def make_open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a link": make_link,
    "writable by all": make_open_to_all,
    "a file": lambda folder: folder.write_text(""),
}


@pytest.mark.parametrize("make", list(FOREIGN.values()), ids=list(FOREIGN))
def test_a_folder_that_is_not_only_ours_is_left_alone(
    hub: tilewright.Hub, server: ScriptedServer, cache_folder: Path, make: Callable[[Path], object]
) -> None:
    cache_folder.parent.mkdir()
    make(cache_folder)
    server.replies(answer())
    assert hub.load(CONV, strict=True).schedule is not None
    assert list(cache_folder.parent.rglob("*.json*")) == []
    server.replies(AWAY)
    assert loaded_id(hub) is None


def test_a_home_that_cannot_be_written_fails_no_load(
    hub: tilewright.Hub, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TILEWRIGHT_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc")
    server.replies(answer())
    assert hub.load(CONV, strict=True).schedule is not None
    server.replies(AWAY)
    with pytest.raises(errors.Unavailable):
        hub.load(CONV, strict=True)


KEEP = """
import sys
from tests.client.examples import schedule
from tilewright.contract.schedules import Schedule
from tilewright.schedule_cache import ScheduleCache

def keep(schedule_id):
    served = Schedule.model_validate({**schedule(), "id": schedule_id})
    cache.remember(served.workload, served.target, "test-cpu", served)

cache, first = ScheduleCache(sys.argv[1]), int(sys.argv[2])
for schedule_id in range(first, first + int(sys.argv[3])):
    keep(schedule_id)
"""


def keeping(url: str, first: int, times: int, most_bytes: int | None = None) -> subprocess.Popen[str]:
    """A process that keeps schedules with these ids; its files may become no larger than `most_bytes`."""

    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    command = [sys.executable, "-c", KEEP, url, str(first), str(times)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=limit)


def test_a_full_disk_leaves_what_was_there(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer, cache_folder: Path
) -> None:
    process = keeping(server.url, 500, 1, most_bytes=1000)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert list(cache_folder.iterdir()) == [kept]
    assert loaded_id(hub) == 11


def test_processes_that_write_at_once_leave_a_whole_file_at_any_moment(
    hub: tilewright.Hub, kept: Path, server: ScriptedServer, cache_folder: Path
) -> None:
    server.close()
    offline = connect(server.url)
    processes = [keeping(server.url, first, 300) for first in (1000, 2000)]
    seen = set()
    while any(process.poll() is None for process in processes):
        found = loaded_id(offline)
        assert found is not None
        seen.add(found // 1000)
    assert [process.communicate()[1] for process in processes] == ["", ""]
    assert {1, 2} <= seen
    assert list(cache_folder.iterdir()) == [kept]
