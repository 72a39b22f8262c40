"""Tilewright: tuned int8 convolutions for CPUs, shared by a team."""

from tilewright.contract.workload import Workload

__version__ = "0.1.0"

__all__ = ["Workload", "__version__"]
