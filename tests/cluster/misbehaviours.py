"""What evaluators are made to do, as a hostile or broken kernel would: each without end, unless it is refused."""

import os
import time
from pathlib import Path

MIB = 2**20


def allocate(_: Path) -> None:
    kept = []
    while True:
        kept.append(b"\1" * (64 * MIB))


def fork(_: Path) -> None:
    while True:
        if os.fork() == 0:
            time.sleep(60)


def start_threads(_: Path) -> None:
    import threading

    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def write_a_file(folder: Path) -> None:
    with (folder / f"large-{os.getpid()}").open("wb", buffering=0) as file:
        while True:
            file.write(b"\1" * MIB)


def fill_the_disk(folder: Path) -> None:
    """With many files, each of which is allowed."""
    number = 0
    while True:
        number += 1
        (folder / f"small-{os.getpid()}-{number}").write_bytes(b"\1" * (MIB // 2))


def print_on(_: Path) -> None:
    while True:
        for descriptor in (1, 2):
            try:
                os.write(descriptor, b"and so on, and so on\n" * 1000)
            except OSError:
                os.lseek(descriptor, 0, os.SEEK_SET)


def hang(_: Path) -> None:
    time.sleep(3600)


def spin(_: Path) -> None:
    while True:
        pass


def die(_: Path) -> None:
    os.kill(os.getpid(), 11)
