"""A wall clock that can be set: a library that shifts what a process reads, by the number in a file.

Monotonic clocks are left alone, as a step of NTP or a person leaves them. It wants a C compiler.
"""

import ctypes.util
import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *shift;
static int (*clock_of_libc)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    clock_of_libc = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("TEST_WALL_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *memory = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) shift = memory;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!clock_of_libc) begin();
    int result = clock_of_libc(clock, time);
    if (!result && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *shift;
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


class WallClock:
    """Of all processes that are started with its `environment()`."""

    def __init__(self, folder: Path) -> None:
        self._file, self._library = folder / "wall-clock", folder / "wall-clock.so"
        self._file.write_bytes(struct.pack("q", 0))
        if can_be_set():
            source = folder / "wall-clock.c"
            source.write_text(SOURCE)
            compiler = shutil.which("gcc") or "cc"
            command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(source), "-ldl"]
            subprocess.run(command, check=True, capture_output=True)

    def environment(self) -> dict[str, str]:
        if not can_be_set():
            return {}
        return {"LD_PRELOAD": str(self._library), "TEST_WALL_CLOCK": str(self._file)}

    def step(self, seconds: int) -> None:
        """From now on it is so far from the true time."""
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as memory:
            memory[:] = struct.pack("q", seconds)


def can_be_set() -> bool:
    return (shutil.which("gcc") or shutil.which("cc")) is not None and ctypes.util.find_library("c") is not None
