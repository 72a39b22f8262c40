"""The threads that share the parallel loops of kernels, in place of TVM's pool.

Why, and what it gains, is in docs/decisions/0015-a-crew-of-threads.md and 0018-late-threads-cost-nothing.md.
"""

import ctypes
import os
import threading
from functools import cache
from pathlib import Path
from string import Template

import tvm
from tvm_ffi.libinfo import find_libtvm_ffi

from tilewright_kernels.isa.paths import host_architecture

MOST_THREADS = 1024
LAUNCH = b"__TVMBackendParallelLaunch"
_one_at_a_time = threading.Lock()


def set_threads(module: tvm.runtime.Module, threads: int) -> None:
    """Share the parallel loops of a module that was built and not yet called among `threads` threads, for ever.

    The first call of such a module starts those that its process has not yet, on the cores that its own thread may use.
    Raises ValueError for a number that is out of range.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"{threads} threads; a kernel runs on 1 to {MOST_THREADS}")
    # TVM writes the launch that is registered into a module while it makes machine code of it, at the first look-up.
    with _one_at_a_time:
        launch = _launcher(threads)
        _register(launch)
        try:
            module["main"]
        finally:
            _register(_launch_of_tvm())


@cache
def _launcher(threads: int) -> int:
    """The address of a parallel launch on so many threads."""
    address: int = _pool()["launcher"](threads)
    if not address:
        raise MemoryError(f"no memory for a launch on {threads} threads")
    return address


@cache
def _pool() -> tvm.runtime.Module:
    """The pool of this process."""
    pool = _compiled(Path(__file__).with_name("thread_pool.ll"))
    # Its threads run in its code until the very end of the process, after Python has taken its modules apart.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(pool))
    os.register_at_fork(
        before=_one_at_a_time.acquire, after_in_parent=_one_at_a_time.release, after_in_child=_one_at_a_time.release
    )
    os.register_at_fork(after_in_child=pool["reset"])
    return pool


def _compiled(template: Path) -> tvm.runtime.Module:
    """A module of LLVM IR, for the architecture of this machine."""
    architecture = host_architecture()
    text = Template(template.read_text()).substitute(
        triple=architecture.triple,
        data_layout=architecture.data_layout,
        pause=architecture.pause,
        futex=architecture.futex,
    )
    # TVM reads IR from files only, and an evaluator may write none: this one is in memory.
    file = os.memfd_create(template.name)
    with open(file, "w") as stream:
        stream.write(text)
        stream.flush()
        return tvm.get_global_func("ffi.Module.load_from_file.ll")(f"/proc/self/fd/{file}", "ll")


@cache
def _launch_of_tvm() -> int:
    """For the modules of others."""
    library = Path(tvm.__file__).parent / "lib" / "libtvm_runtime.so"
    launch = ctypes.CDLL(str(library)).TVMBackendParallelLaunch
    return ctypes.cast(launch, ctypes.c_void_p).value or 0


def _register(launch: int) -> None:
    if ctypes.CDLL(find_libtvm_ffi()).TVMFFIEnvModRegisterContextSymbol(LAUNCH, ctypes.c_void_p(launch)) != 0:
        raise RuntimeError("TVM does not let its parallel launch be replaced")
