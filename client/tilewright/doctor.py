"""Is this machine fit to tune and to run kernels, and what would mend it if it is not.

Versions are read from what is installed, without importing it: the wrong apache-tvm-ffi would end this process.
What needs TVM happens in a process of its own, so that its death is a finding.
"""

import json
import os
import platform
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OLDEST_PYTHON = (3, 11)
SELF_TEST = "tilewright_kernels.self_test"
SELF_TEST_SECONDS = 120
FREE_BYTES = 200 * 2**20
FIRST_SQLITE_WITHOUT_WAL_BUG = (3, 51, 3)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    remedy: str | None = None


def checks() -> Iterator[Check]:
    """Everything there is to know about this machine, one thing after the other; takes a few seconds."""
    yield python()
    yield machine()
    packages = list(installed_packages())
    yield from packages
    yield sqlite()
    yield data_directory()
    yield cores()
    if all(package.ok for package in packages):
        yield from self_test()
    else:
        yield Check("kernels", False, "not tried: TVM may crash with the packages above", "mend the packages first")


def python() -> Check:
    ok = sys.version_info >= OLDEST_PYTHON
    return Check("python", ok, platform.python_version(), None if ok else "install Python 3.11 or newer")


def machine() -> Check:
    ok = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    detail = f"{platform.system()} {platform.machine()}"
    return Check("machine", ok, detail, None if ok else "kernels are made for Linux on x86-64")


def installed_packages() -> Iterator[Check]:
    """What this project's own metadata requires, against what is there."""
    try:
        requirements = metadata.requires("tilewright") or []
    except metadata.PackageNotFoundError:
        yield Check("tilewright", False, "not installed", _pip_install("-e", "."))
        return
    for requirement in requirements:
        if ";" not in requirement:  # the others belong to extras
            yield package(requirement)


def package(requirement: str) -> Check:
    """A requirement such as `apache-tvm-ffi==0.1.14.post1` or `sqlalchemy<2.2,>=2.1`."""
    name, limits = _name_and_limits(requirement)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, False, "not installed", _pip_install(requirement))
    if all(_is_within(version, limit) for limit in limits):
        return Check(name, True, version)
    return Check(name, False, f"{version}; needed is {','.join(limits)}", _pip_install(requirement))


def sqlite() -> Check:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= FIRST_SQLITE_WITHOUT_WAL_BUG:
        return Check("sqlite", True, version)
    return Check("sqlite", True, f"{version}; its WAL-reset bug is avoided, as only one connection writes")


def data_directory() -> Check:
    """Where `tilewright serve` would put its database."""
    path = Path(os.environ.get("TILEWRIGHT_DATA_DIR", "~/.local/share/tilewright")).expanduser().absolute()
    existing = next(each for each in (path, *path.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"tilewright")
    except OSError as error:
        remedy = "choose another with TILEWRIGHT_DATA_DIR or --data-dir"
        return Check("data directory", False, f"{path} cannot be written: {error.strerror}", remedy)
    free = shutil.disk_usage(existing).free
    ok = free >= FREE_BYTES
    return Check("data directory", ok, f"{path}, {free / 1e9:.1f} GB free", None if ok else "make room on the disk")


def cores() -> Check:
    count = len(os.sched_getaffinity(0))
    note = "1 core: building and measuring take turns" if count == 1 else f"{count} cores"
    return Check("cores", True, note)


def self_test(module: str = SELF_TEST, seconds: float = SELF_TEST_SECONDS) -> Iterator[Check]:
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
        yield Check("kernels", False, _obituary(done, findings), _reinstall())


def _obituary(done: "subprocess.CompletedProcess[str]", findings: list[dict[str, str]]) -> str:
    if done.returncode < 0:
        end = f"the process died of {signal.Signals(-done.returncode).name}"
    else:
        end = (done.stderr.strip().splitlines() or [f"the process ended with exit code {done.returncode}"])[-1]
    return f"{end}, after: {findings[-1]['name']}" if findings else end


def _reinstall() -> str:
    pinned = [requirement for requirement in metadata.requires("tilewright") or [] if "==" in requirement]
    return _pip_install("--force-reinstall", *(each for each in pinned if ";" not in each))


def _pip_install(*arguments: str) -> str:
    return " ".join(["python -m pip install", *(f"'{each}'" if set(each) & set("<>=") else each for each in arguments)])


def _name_and_limits(requirement: str) -> tuple[str, list[str]]:
    match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", requirement)
    assert match is not None
    return match[1], [limit.strip() for limit in match[2].split(",") if limit.strip()]


def _is_within(version: str, limit: str) -> bool:
    """Whether a version meets one limit; those of this project are ==, >= and <."""
    match = re.match(r"(==|>=|<)\s*(.+)", limit)
    assert match is not None, limit
    operator, bound = match.groups()
    if operator == "==":
        return version == bound
    return (_release(version) >= _release(bound)) is (operator == ">=")


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without trailing zeros: 3.0 is 3."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
