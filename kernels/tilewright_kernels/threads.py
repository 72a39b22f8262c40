"""How many threads TVM's pool runs. By itself it takes half of what an x86 machine reports."""

import os

import tvm

BIG_CORES = 1


def use_threads(count: int) -> None:
    """Let kernels that are called from now on run on `count` threads, wherever the process may run."""
    os.environ["TVM_BIND_THREADS"] = "0"
    os.environ["TVM_NUM_THREADS"] = str(count)
    tvm.get_global_func("runtime.config_threadpool")(BIG_CORES, count)
