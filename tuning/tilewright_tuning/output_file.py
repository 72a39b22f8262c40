"""Where a child process prints: a file in memory, as large as its limit on files lets it be."""

import os
from multiprocessing.reduction import DupFd
from typing import Any

TAIL_BYTES = 400


class OutputFile:
    """Travels to a child that is being started."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = os.memfd_create("output") if descriptor is None else descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (DupFd(self.descriptor),)

    def take_over(self) -> None:
        """In the child: standard output and error go here from now on."""
        for standard in (1, 2):
            os.dup2(self.descriptor, standard)
        os.close(self.descriptor)
        self.descriptor = 1

    def clear(self) -> None:
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)

    def tail(self) -> str:
        """The end of what was printed since it was cleared, in one line."""
        size = os.fstat(self.descriptor).st_size
        content = os.pread(self.descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
        return " ".join(content.decode(errors="replace").replace("\0", "").split())

    def close(self) -> None:
        os.close(self.descriptor)


def _arrive(descriptor: Any) -> OutputFile:
    return OutputFile(descriptor.detach())
