# mypy: disable-error-code="no-any-unimported"
"""The threads that share the parallel loops of kernels: a team of our own, in place of TVM's pool.

Why, and what it gains, is in docs/decisions/0015-a-team-of-threads.md.
"""

import ctypes
import os
from functools import cache
from pathlib import Path

import tvm
from tvm_ffi.libinfo import find_libtvm_ffi

MOST_THREADS = 1024


def use_threads(count: int) -> None:
    """Let kernels that are loaded from now on run on `count` threads, wherever the process may run."""
    if not 1 <= count <= MOST_THREADS:
        raise ValueError(f"{count} threads; a kernel runs on 1 to {MOST_THREADS}")
    _team()["resize"](count)


@cache
def _team() -> tvm.runtime.Module:
    """The team of this process, which from now on every module asks that TVM loads."""
    team = tvm.runtime.load_module(Path(__file__).with_name("team.ll"))
    register = ctypes.CDLL(find_libtvm_ffi()).TVMFFIEnvModRegisterContextSymbol
    if register(b"__TVMBackendParallelLaunch", ctypes.c_void_p(team["launcher"]())) != 0:
        raise RuntimeError("TVM does not let its parallel launch be replaced")
    os.register_at_fork(after_in_child=team["dismiss"])
    return team
