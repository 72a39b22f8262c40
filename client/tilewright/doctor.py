"""Is this machine fit to tune and to run kernels, and what would mend it if it is not.

Versions are read from what is installed, without importing it: the wrong apache-tvm-ffi would end this process.
What needs TVM happens in a process of its own, so that its death is a finding.
"""

import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tilewright.contract.target import MACHINES
from tilewright.schedule_cache import UNUSABLE, cache_folder, check_cache_folder

MARKS = {"kernels": "apache-tvm", "worker": "xgboost-cpu", "service": "fastapi", "compare": "onnxruntime"}
"""What only an installation with this part has."""

OLDEST_PYTHON = (3, 11)
SELF_TEST = "tilewright_kernels.self_test"
SELF_TEST_SECONDS = 120
FREE_BYTES = 200 * 2**20
CHECKOUT = Path(__file__).parents[2]
"""The folder of the Makefile, where this is an installation of a checkout for work on it."""
FIRST_SQLITE_WITHOUT_WAL_BUG = (3, 51, 3)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    remedy: str | None = None


def run_checks() -> Iterator[Check]:
    """Everything there is to know about this machine, one thing after the other; takes a few seconds."""
    yield check_python()
    yield check_machine()
    packages = list(check_packages())
    yield from packages
    yield check_sqlite()
    if has_part("service"):
        yield from check_directories()
    if has_part("kernels"):
        yield check_cache()
    yield check_cores()
    if not has_part("kernels"):
        yield Check("kernels", True, "not installed: this machine can ask a service, not run kernels")
    elif all(package.ok for package in packages):
        yield from run_self_test()
    else:
        yield Check("kernels", False, "not tried: TVM may crash with the packages above", "mend the packages first")


def check_python() -> Check:
    ok = sys.version_info >= OLDEST_PYTHON
    return Check("python", ok, platform.python_version(), None if ok else "install Python 3.11 or newer")


def check_machine() -> Check:
    ok = platform.system() == "Linux" and platform.machine() in MACHINES
    detail = f"{platform.system()} {platform.machine()}"
    return Check("machine", ok, detail, None if ok else f"kernels are made for Linux on {', '.join(MACHINES)}")


def check_packages() -> Iterator[Check]:
    """What this project's own metadata requires, of the client and of each part that is here, against what is there."""
    try:
        requirements = [Requirement(text) for text in metadata.requires("tilewright") or []]
    except metadata.PackageNotFoundError:
        yield Check("tilewright", False, "not installed", _pip_install("-e", "."))
        return
    parts = ["", *(part for part in MARKS if has_part(part))]
    needed = [each for each in requirements if any(_belongs_to(each, part) for part in parts)]
    for text in _distinct(f"{each.name}{each.specifier}" for each in needed if each.name != "tilewright"):
        yield check_package(Requirement(text))


def has_part(part: str) -> bool:
    """Whether the package is installed that nobody has without this part."""
    try:
        metadata.version(MARKS[part])
    except metadata.PackageNotFoundError:
        return False
    return True


def check_package(requirement: Requirement) -> Check:
    """A requirement such as `apache-tvm-ffi==0.1.14.post1` or `sqlalchemy<2.2,>=2.1`."""
    wanted = f"{requirement.name}{requirement.specifier}"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(requirement.name, False, "not installed", _pip_install(wanted))
    if requirement.specifier.contains(version, prereleases=True):
        return Check(requirement.name, True, version)
    return Check(requirement.name, False, f"{version}; needed is {requirement.specifier}", _pip_install(wanted))


def _belongs_to(requirement: Requirement, part: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": part})


def _distinct(texts: Iterable[str]) -> Iterable[str]:
    """In their order; parts may need the same."""
    return dict.fromkeys(texts)


def check_sqlite() -> Check:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= FIRST_SQLITE_WITHOUT_WAL_BUG:
        return Check("sqlite", True, version)
    return Check("sqlite", True, f"{version}; its WAL-reset bug is avoided, as only one connection writes")


def check_directories() -> Iterator[Check]:
    """Where `tilewright serve` would put its database and its logs, and in a checkout `make serve`."""
    data_dir = os.environ.get("TILEWRIGHT_DATA_DIR", "~/.local/share/tilewright")
    logs_dir = os.environ.get("TILEWRIGHT_LOGS_DIR", "tuning_logs")
    yield check_directory("data directory", data_dir, "choose another with TILEWRIGHT_DATA_DIR or --data-dir")
    yield check_directory("logs directory", logs_dir, "choose another with TILEWRIGHT_LOGS_DIR or --logs-dir")
    if (CHECKOUT / "Makefile").exists():
        for name, folder in (("data of make serve", ".tilewright"), ("logs of make serve", "tuning_logs")):
            yield check_directory(name, CHECKOUT / folder, f"make {CHECKOUT} writable")


def check_directory(name: str, folder: Path | str, remedy: str) -> Check:
    """It need not be there yet."""
    try:
        path = Path(folder).expanduser().absolute()
    except RuntimeError:
        return Check(name, False, f"{folder} is nowhere: there is no home", remedy)
    existing = next(each for each in (path, *path.parents) if os.path.exists(each))
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"tilewright")
    except OSError as error:
        return Check(name, False, f"{path} cannot be written: {error.strerror}", remedy)
    free = shutil.disk_usage(existing).free
    ok = free >= FREE_BYTES
    return Check(name, ok, f"{path}, {free / 1e9:.1f} GB free", None if ok else "make room on the disk")


def check_cache() -> Check:
    """Where `load` keeps schedules. A machine without is fit: it only needs the service whenever it loads."""
    remedy = "choose a folder that only you can write with TILEWRIGHT_CACHE_DIR; until then `load` needs the service"
    try:
        folder = cache_folder()
    except RuntimeError:
        return Check("cache", True, "keeps nothing: there is no home", remedy)
    try:
        check_cache_folder()
    except UNUSABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        return Check("cache", True, f"keeps nothing: {folder}: {reason}", remedy)
    return replace(check_directory("cache", folder, remedy), ok=True)


def check_cores() -> Check:
    count = len(os.sched_getaffinity(0))
    note = "1 core: building and measuring take turns" if count == 1 else f"{count} cores"
    return Check("cores", True, note)


def run_self_test(module: str = SELF_TEST, seconds: float = SELF_TEST_SECONDS) -> Iterator[Check]:
    """Import TVM, build kernels and run them, in another process."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module], capture_output=True, text=True, errors="replace", timeout=seconds
        )
    except subprocess.TimeoutExpired:
        yield Check("kernels", False, f"no answer within {seconds:g} s", "try again on a quiet machine")
        return
    findings = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for finding in findings:
        yield Check(finding["name"], finding["ok"], finding["detail"], None if finding["ok"] else _reinstall())
    if done.returncode:
        yield Check("kernels", False, _exit_reason(done, findings), _reinstall())


def _exit_reason(done: "subprocess.CompletedProcess[str]", findings: list[dict[str, str]]) -> str:
    if done.returncode < 0:
        end = f"the process died of {signal.Signals(-done.returncode).name}"
    else:
        end = (done.stderr.strip().splitlines() or [f"the process ended with exit code {done.returncode}"])[-1]
    return f"{end}, after: {findings[-1]['name']}" if findings else end


def _reinstall() -> str:
    requirements = [Requirement(text) for text in metadata.requires("tilewright") or []]
    pinned = _distinct(f"{each.name}{each.specifier}" for each in requirements if "==" in str(each.specifier))
    return _pip_install("--force-reinstall", *pinned)


def _pip_install(*arguments: str) -> str:
    return " ".join(["python -m pip install", *(f"'{each}'" if set(each) & set("<>=") else each for each in arguments)])
