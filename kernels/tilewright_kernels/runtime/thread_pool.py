# mypy: disable-error-code="no-any-unimported"
"""The threads that share the parallel loops of kernels: a crew of our own, in place of TVM's pool.

Why, and what it gains, is in docs/decisions/0015-a-crew-of-threads.md.
"""

import ctypes
import os
import threading
from functools import cache
from pathlib import Path

import tvm
from tvm_ffi.libinfo import find_libtvm_ffi

MOST_THREADS = 1024
_one_at_a_time = threading.Lock()


def use_threads(count: int) -> None:
    """From now on every kernel of this process shares its parallel loops among `count` threads.

    Those are started by the first call that needs them, on the cores that its thread may use. Kernels that were called
    before the process first came here stay with TVM's pool. Raises ValueError for a count that is out of range.
    """
    if not 1 <= count <= MOST_THREADS:
        raise ValueError(f"{count} threads; a kernel runs on 1 to {MOST_THREADS}")
    with _one_at_a_time:
        _crew()["resize"](count)


@cache
def _crew() -> tvm.runtime.Module:
    """The crew of this process, which from now on every module asks that TVM loads."""
    crew = tvm.runtime.load_module(Path(__file__).with_name("thread_pool.ll"))
    # Its threads run in its code until the very end of the process, after Python has taken its modules apart.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(crew))
    register = ctypes.CDLL(find_libtvm_ffi()).TVMFFIEnvModRegisterContextSymbol
    if register(b"__TVMBackendParallelLaunch", ctypes.c_void_p(crew["launcher"]())) != 0:
        raise RuntimeError("TVM does not let its parallel launch be replaced")
    os.register_at_fork(after_in_child=crew["dismiss"])
    return crew
