"""Tilewright: tuned int8 convolutions for CPUs, shared by a team.

hub = tilewright.connect()
hub.submit(workload, seconds=20).wait()
kernel = hub.load(workload)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilewright.contract.workload import Workload
    from tilewright.hub import Hub
    from tilewright.job_handle import JobHandle

__version__ = "0.1.0"

__all__ = ["Hub", "JobHandle", "Workload", "__version__", "connect"]


def connect(url: str | None = None, token: str | None = None) -> "Hub":
    """The service at `url`, else at TILEWRIGHT_URL, else on this machine. Nothing is sent yet."""
    from tilewright.hub import connect

    return connect(url, token)


def __getattr__(name: str) -> object:
    """`Hub` and `JobHandle` bring the HTTP client along, which service and kernels do not need.

    And the `tilewright` command is to answer Ctrl-C before anything is imported that takes its time.
    """
    if name == "Workload":
        from tilewright.contract.workload import Workload

        return Workload
    if name == "Hub":
        from tilewright.hub import Hub

        return Hub
    if name == "JobHandle":
        from tilewright.job_handle import JobHandle

        return JobHandle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
