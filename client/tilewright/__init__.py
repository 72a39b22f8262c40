"""Tilewright: tuned int8 convolutions for CPUs, shared by a team.

    import tilewright

    hub = tilewright.connect()    # TILEWRIGHT_URL, or http://127.0.0.1:8000
    workload = {"batch": 1, "in_channels": 64, "height": 56, "width": 56,
                "out_channels": 64, "kernel_size": [3, 3],
                "padding": [1, 1, 1, 1]}
    hub.submit(workload).wait()   # seconds; what is known costs nothing
    conv = hub.load(workload)     # the best-known kernel, for this host
    packed = conv.pack(           # once, before the first call
        weight,                   # int8, (64, 64, 3, 3): OIHW
        bias=bias,                # int32, (64,), unit: x_scale * w_scale
        scale=scale,              # x_scale * w_scale / y_scale, 64 or one
        data_zero_point=3,
        out_zero_point=0,
    )
    y = packed(x)                 # uint8 (1, 56, 56, 64): NHWC
    packed(x, out=y)              # the same, and nothing is allocated

connect     a service, as a Hub; nothing is sent yet
Hub         submit, job, jobs, best, load, database
JobHandle   a job that was submitted: wait, events, refresh, cancel
Kernel      what `load` gives; its `pack` has the formula, shapes and units
PackedConv  what `pack` gives, to be called
Workload    one convolution, fully specified; dicts and JSON text do as well

`help(tilewright.Kernel)` tells of one of them. What goes wrong is raised as
a TilewrightError, of `tilewright.errors`. In a shell: `tilewright --help`.
`load` needs TVM: pip install 'tilewright[kernels]'.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilewright.contract.workload import Workload
    from tilewright.hub import Hub
    from tilewright.job_handle import JobHandle
    from tilewright.kernel import Kernel, PackedConv

__version__ = "0.1.0"

__all__ = ["Hub", "JobHandle", "Kernel", "PackedConv", "Workload", "__version__", "connect"]

_MODULES = {
    "Hub": "hub",
    "JobHandle": "job_handle",
    "Kernel": "kernel",
    "PackedConv": "kernel",
    "Workload": "contract.workload",
}


def connect(url: str | None = None, token: str | None = None, user: str | None = None) -> "Hub":
    """A service: that of TILEWRIGHT_URL, or on this machine; asked as TILEWRIGHT_USER, or as the login name."""
    from tilewright.hub import connect

    return connect(url, token, user)


def __getattr__(name: str) -> object:
    """Import a class when it is asked for: who needs no HTTP client does without.

    And the `tilewright` command is to answer Ctrl-C before anything is imported that takes its time.
    """
    if name == "errors":
        return import_module(f"{__name__}.errors")
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
