"""Disks that fill up, or can only be read from some moment on; who runs this has to be root.

Below a folder that keeps its contents: what was there is on the disk, and what is on the disk is there afterwards.
"""

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self


def can_be_had() -> bool:
    return os.getuid() == 0 and shutil.which("mkfs.ext4") is not None and Path("/dev/loop-control").exists()


class Disk:
    """An ext4 of its own, mounted over the folder."""

    def __init__(self, folder: Path, megabytes: int = 192) -> None:
        self.folder, self._image, self._kept = folder, Path(f"{folder}.disk"), Path(f"{folder}.kept")
        self._megabytes = megabytes

    def __enter__(self) -> Self:
        shutil.copytree(self.folder, self._kept)
        with self._image.open("wb") as image:
            image.truncate(self._megabytes * 2**20)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self._mount()
        (self.folder / "lost+found").rmdir()
        shutil.copytree(self._kept, self.folder, dirs_exist_ok=True)
        _run("sync", "-f", str(self.folder))  # what a service left there was on disk
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Where it was ended before, nothing is left to do."""
        if os.path.ismount(self.folder):
            self.end()

    def end(self) -> None:
        """Nobody may have a file open there any more."""
        shutil.rmtree(self._kept)
        shutil.copytree(self.folder, self._kept)
        subprocess.run(["umount", "-l", str(self.folder)], check=True)
        shutil.copytree(self._kept, self.folder, dirs_exist_ok=True)
        self._image.unlink()

    def fill(self) -> None:
        """Until there is no room for a block."""
        for size in ("1M", "64k", "4k"):
            with (self.folder / "ballast").open("ab") as ballast:
                subprocess.run(
                    ["dd", "if=/dev/zero", f"bs={size}"], stdout=ballast, stderr=subprocess.DEVNULL, check=False
                )

    def clear(self) -> None:
        (self.folder / "ballast").unlink()

    def fail(self) -> None:
        """An error of the disk, after which the system lets nobody write on it any more, whoever has files open."""
        device = Path(_run("findmnt", "-no", "SOURCE", str(self.folder)).strip()).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("played by the bench")

    def repair(self) -> None:
        """As a person does: unmounted, checked, mounted. Nobody may have a file open there."""
        _run("umount", str(self.folder))
        subprocess.run(["e2fsck", "-f", "-y", str(self._image)], capture_output=True, check=False)
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.folder))


class ReadOnly:
    """A folder in which nothing can be opened for writing any more; what is open stays so."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def __enter__(self) -> Self:
        _run("mount", "--bind", self._folder, self._folder)
        _run("mount", "-o", "remount,bind,ro", self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "-l", self._folder], check=True)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
