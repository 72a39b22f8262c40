"""docs/how-to/operate.md, carried out as it stands: every file written, every command run, in the order of the page."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tilewright_service.admin.certificates import ROLES, settings_of
from tilewright_service.settings import Settings

from .https_door import https_door
from .page_blocks import Block, blocks_of, rows_of
from .page_hosts import PageHost, PageHosts, page_hosts
from .postgresql import postgres_server
from .units import Unit, has_mount_namespaces

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "operate.md"
PACKAGES = ("client", "kernels", "tuning", "worker", "comparison", "service")
HOSTS = ("service1", "service2", "worker1", "db", "yours")
IN_WORDS = ("database", "engine", "public_url", "token")
"""Settings whose defaults the page says in words."""
PATIENCE_SECONDS = 30
WORKERS = """
. /etc/tilewright/service.env
curl --silent --header "Authorization: Bearer $TILEWRIGHT_TOKEN" http://127.0.0.1:8000/v1/workers
"""

pytestmark = [pytest.mark.timeout(240), pytest.mark.soak]


class Said(NamedTuple):
    block: Block
    output: str
    """Of one of its hosts."""


class Operated(NamedTuple):
    hosts: PageHosts
    variables: dict[str, str]
    said: list[Said]

    def output(self, command: str) -> str:
        """Of all blocks that have it, one after the other."""
        return "\n".join(each.output for each in self.said if each.block.path is None and command in each.block.text)


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """The hosts at the end of the page."""
    folder = tmp_path_factory.mktemp("hosts")
    with (
        postgres_server() as postgresql,
        page_hosts(folder, postgresql, *HOSTS) as hosts,
        https_door(hosts) as variables,
    ):
        said = []
        for block in blocks_of(PAGE):
            said += [Said(block, output) for output in hosts.carry_out(block, variables)]
            _say_whom_to_believe(block, hosts, variables)
            _await_units(block, hosts)
        yield Operated(hosts, variables, said)


def _say_whom_to_believe(block: Block, hosts: PageHosts, variables: dict[str, str]) -> None:
    """What the page says in words."""
    if block.path == "/etc/tilewright/worker.env":
        with (hosts["worker1"].root / "etc/tilewright/worker.env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in variables.items())


def _await_units(block: Block, hosts: PageHosts) -> None:
    """As people would, before they go on."""
    if block.path is not None or not re.search(r"systemctl (start|enable)", block.text):
        return
    for name in block.hosts:
        if "tilewright-service" in block.text:
            _await(hosts[name], lambda host: _answers(host, "healthz"))
        if "tilewright-worker" in block.text:
            _await(hosts[name], lambda host: "works for" in host.logs())
            _await(hosts["service1"], lambda host: _has_idle_worker(host))


def _await(host: PageHost, is_so: Callable[[PageHost], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so(host):
        assert time.monotonic() < deadline, host.logs()[-3000:]
        time.sleep(0.1)


def _answers(host: PageHost, path: str) -> bool:
    return "ok" in host.run(f"curl --silent http://127.0.0.1:8000/{path} || true")


def _has_idle_worker(host: PageHost) -> bool:
    return '"state":"idle"' in host.run(WORKERS)


def metrics_of(host: PageHost) -> str:
    return host.run(next(block.text for block in blocks_of(PAGE) if "/metrics" in block.text))


def test_every_block_of_code_says_where_it_belongs() -> None:
    fences = re.findall(r"^```(\w*)\n(.*)$", PAGE.read_text(), flags=re.MULTILINE)
    opening = [line for number, (_, line) in enumerate(fences) if line]
    assert len([line for line in opening if line.startswith("# ")]) == len(blocks_of(PAGE))
    assert {host for block in blocks_of(PAGE) for host in block.hosts} == set(HOSTS)


def test_the_team_can_tune(operated: Operated) -> None:
    told = operated.output("tilewright submit")
    assert "1 of 1 worker can tune" in told
    assert "finished" in told


def test_attempts_go_through_the_front_and_people_are_named_in_the_log(operated: Operated) -> None:
    log = operated.hosts["service1"].logs()
    assert re.search(r'"user": "ada".*"event": "job_submitted"', log)
    assert re.search(r'"attempt": "1/1".*"event": "request"', log)
    if shutil.which("nginx") and not operated.hosts.is_on_loopback:
        assert f'"user": "ada", "address": "{operated.hosts["yours"].address}"' in log


def test_one_service_leads_and_the_other_leads_when_it_is_gone(operated: Operated) -> None:
    """Service2 was started first, after the database was lost."""
    first, second = operated.hosts["service1"], operated.hosts["service2"]
    assert all(_answers(host, "readyz") for host in (first, second))
    before = _count_leads(first)
    assert before == 1
    second.run("systemctl stop tilewright-service")
    _await(first, lambda host: _count_leads(host) > before)
    second.run("systemctl start tilewright-service")
    _await(second, lambda host: _answers(host, "healthz"))


def _count_leads(host: PageHost) -> int:
    return host.logs().count('"event": "leads"')


def test_a_backup_is_restored_and_whole(operated: Operated) -> None:
    assert re.search(r"-rw-.* \d\.db$", operated.output("ls -l"), flags=re.MULTILINE)
    assert operated.output("rehearsal=").count("it is whole") == 1
    assert "holds the" in operated.output("tilewright-admin restore")
    assert not (operated.hosts["service2"].root / "var/tmp/rehearsal").exists()


def test_what_was_tuned_is_there_after_the_database_was_lost(operated: Operated) -> None:
    yours = operated.hosts["yours"]
    exports = next(block.text for block in blocks_of(PAGE) if block.hosts == ("yours",)).splitlines()[:3]
    told = yours.run("\n".join([*exports, "tilewright best --workload layer.json --json"]), **operated.variables)
    assert json.loads(told)


def test_the_page_has_all_metrics_and_no_other(operated: Operated) -> None:
    found = set(re.findall(r"^# TYPE (tilewright_\w+) ", metrics_of(operated.hosts["service1"]), flags=re.MULTILINE))
    named = {name for row in rows_of(PAGE, "Monitoring") for name in re.findall(r"`(tilewright_\w+)`", row[0])}
    assert named == found


def test_what_to_do_can_be_done(operated: Operated) -> None:
    exports = next(block.text for block in blocks_of(PAGE) if block.hosts == ("yours",)).splitlines()[:3]
    done = 0
    for _, *cells in rows_of(PAGE, "What to do when"):
        for command in re.findall(r"`((?:tilewright|curl|systemctl|journalctl|df)[ -][^`]+)`", " ".join(cells)):
            host = operated.hosts[_host_of(command)]
            preparation = exports if host.name == "yours" else []
            host.run("\n".join([*preparation, command]), **operated.variables)
            done += 1
            if "restart" in command:
                _await(operated.hosts["service1"], _has_idle_worker)
    assert done >= 12
    _await(operated.hosts["service1"], lambda host: _answers(host, "readyz"))


def _host_of(command: str) -> str:
    if "tilewright-worker" in command or command.startswith("df"):
        return "worker1"
    return "service1" if command.startswith(("tilewright-admin", "journalctl", "systemctl")) else "yours"


def test_units_are_what_systemd_understands(operated: Operated) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    for host in operated.hosts.by_name.values():
        for unit in (host.root / "etc/systemd/system").glob("tilewright-*"):
            verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
            complaints = [line for line in verified.stderr.splitlines() if unit.name in line]
            assert complaints == []


def test_a_unit_writes_where_it_may_and_nowhere_else(operated: Operated) -> None:
    if not has_mount_namespaces():
        pytest.skip("there are no mount namespaces here")
    worker = Unit(operated.hosts["worker1"].root, "tilewright-worker")
    mounts = Path(f"/proc/{worker.pid}/mounts").read_text().splitlines()
    [root] = [line.split()[3] for line in mounts if line.split()[1] == "/"]
    assert root.startswith("ro")
    assert any((operated.hosts["worker1"].root / "var/lib/tilewright/logs").iterdir())


def test_a_worker_and_a_service_end_in_their_time(operated: Operated) -> None:
    for name, unit in (("worker1", "tilewright-worker"), ("service2", "tilewright-service")):
        operated.hosts[name].run(f"systemctl restart {unit}\nsystemctl status {unit}")


def test_the_secrets_of_hosts_are_those_that_the_page_says(operated: Operated) -> None:
    held = {
        name: {file.name for file in (operated.hosts[name].root / "etc/tilewright/tls").iterdir()} - {"ca.pem"}
        for name in ("service1", "service2", "worker1")
    }
    assert held == {
        "service1": {"service.pem", "service-key.pem", "scheduler.pem", "scheduler-key.pem"},
        "service2": {"service.pem", "service-key.pem"},
        "worker1": {"worker.pem", "worker-key.pem"},
    }


def test_keys_are_read_by_the_users_of_the_units_and_by_nobody_else(operated: Operated) -> None:
    for name in ("service1", "service2", "worker1"):
        root = operated.hosts[name].root
        if not (root / "etc/group").exists():
            pytest.skip("systemd makes no users here")
        [group] = re.findall(r"^tilewright:[^:]*:(\d+):", (root / "etc/group").read_text(), flags=re.MULTILINE)
        for file in [*(root / "etc/tilewright").glob("*.env"), *(root / "etc/tilewright/tls").iterdir()]:
            status = file.stat()
            assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, int(group), 0o640)


def test_the_table_has_every_variable_of_the_code_with_its_default() -> None:
    table = {row[0].strip("`"): row[2] for row in rows_of(PAGE, "All settings")}
    tls = {name for role in ROLES for name in settings_of(role, Path())}
    assert set(table) == variables_of_code() | tls
    for name, field in Settings.model_fields.items():
        if name not in IN_WORDS:
            default = field.default
            said = f"{default:g}" if isinstance(default, float) else str(int(default) if default is False else default)
            assert table[f"TILEWRIGHT_{name.upper()}"] == said


def variables_of_code() -> set[str]:
    """Those of the settings, and whatever else is read."""
    sources = [file.read_text() for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    read = {name for text in sources for name in re.findall(r"\bTILEWRIGHT_[A-Z_]*[A-Z]\b", text)}
    return read | {f"TILEWRIGHT_{name.upper()}" for name in Settings.model_fields}


def test_the_settings_of_retention_and_capacity_have_their_defaults() -> None:
    defaults = {f"TILEWRIGHT_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    kept = {row[0].strip("`"): row[1] for row in rows_of(PAGE, "What is kept, and the disk it takes")}
    assert kept == {name: f"{value:g}" for name, value in defaults.items() if name.startswith("TILEWRIGHT_KEEP_")}
    cells = " ".join(row[2] for row in rows_of(PAGE, "Capacity"))
    limits = {name: str(value) for name, value in defaults.items() if name.startswith("TILEWRIGHT_MAX_")}
    assert dict(re.findall(r"`(TILEWRIGHT_\w+)` (\d+)", cells)) == limits
