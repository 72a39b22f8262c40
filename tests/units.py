"""Starts and stops what unit files say, as `systemctl` does as far as Tilewright's units need it.

`python -m tests.units ROOT ACTION UNIT...`. Nothing is started again by itself, users are not changed, and of the
sandbox there is what a mount namespace gives: all is read-only but what the unit says. Where there are no namespaces,
there is none.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

WITHOUT_PROCESS = {"daemon-reload"}
READ_ONLY = 'for each in "$@"; do [ "$each" = -- ] && break; mount --bind "$each" "$each"; shift; done; shift; '
READ_ONLY += 'mount -o remount,bind,ro / && exec "$@"'
STOP_SECONDS = 30.0

Section = dict[str, list[str]]


class Unit:
    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name.removesuffix(".service")
        self._pid_file = root / "run" / f"{self.name}.pid"
        self._log = root / "run" / f"{self.name}.log"
        self.service = read_section(root / "etc/systemd/system" / f"{self.name}.service", "Service")

    def start(self) -> None:
        if self.pid is not None:
            return
        with self._log.open("a") as log:
            process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                cwd=self.service.get("WorkingDirectory", ["/"])[0],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self.service.get("Type") == ["oneshot"]:
            assert process.wait() == 0, self._log.read_text()
            return
        self._pid_file.write_text(str(process.pid))

    def stop(self) -> None:
        """SIGTERM for the first process, and SIGKILL for what is left of its group after its time."""
        if (pid := self.pid) is None:
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + float(self.service.get("TimeoutStopSec", [STOP_SECONDS])[0])
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        is_late = self.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        self._pid_file.unlink()
        assert not is_late, f"{self.name} did not end within its time: {self._log.read_text()}"

    @property
    def pid(self) -> int | None:
        """Of its first process; None while it does not run."""
        with suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            return None if state == "Z" else pid
        return None

    def _command(self) -> list[str]:
        [line] = self.service["ExecStart"]
        command = shlex.split(line.replace("%%", "%"))
        if self.service.get("ProtectSystem") != ["strict"] or not has_mount_namespaces():
            return command
        writable = [*" ".join(self.service.get("ReadWritePaths", [])).split(), str(self._tmp)]
        return ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", *writable, "--", *command]

    @property
    def _tmp(self) -> Path:
        folder = self.root / "run" / f"{self.name}.tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def _environment(self) -> dict[str, str]:
        files = [Path(each) for each in self.service.get("EnvironmentFile", [])]
        lines = [line for file in files for line in file.read_text().splitlines() if line and not line.startswith("#")]
        home = str(self.root / "var/lib/tilewright")
        ours = {"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": str(self._tmp)}
        return {**ours, **dict(line.split("=", 1) for line in lines)}


def read_section(file: Path, name: str) -> Section:
    """Of a unit file: all values of each setting."""
    settings: Section = {}
    section = file.read_text().split(f"[{name}]\n")[1].split("\n[")[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            setting, value = line.split("=", 1)
            settings.setdefault(setting, []).append(value)
    return settings


@cache
def has_mount_namespaces() -> bool:
    command = ["unshare", "--mount", "mount", "-o", "remount,bind,ro", "/"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def main(root: Path, action: str, *arguments: str) -> int:
    names = [each for each in arguments if not each.startswith("-")]
    if action in WITHOUT_PROCESS:
        return 0
    is_well = True
    for name in names:
        if name.endswith(".timer"):
            read_section(root / "etc/systemd/system" / name, "Timer")
            continue
        unit = Unit(root, name)
        if action in ("stop", "restart"):
            unit.stop()
        if action in ("start", "restart", "enable"):
            unit.start()
        if action == "status":
            print(name, unit.pid)
            is_well &= unit.pid is not None
    return 0 if is_well else 3


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
