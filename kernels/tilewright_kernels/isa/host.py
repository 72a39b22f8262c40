"""What machine this is."""

import os
import re
import socket
from functools import cache
from pathlib import Path

from tilewright.contract.hosts import Host
from tilewright_kernels.isa.paths import cpu_fact, host_architecture, host_isas


@cache
def this_host() -> Host:
    """The facts of this machine, without measured peaks: those need a quiet core and are the worker's to measure."""
    return Host(
        host_class=host_class(),
        hostname=socket.gethostname(),
        cpu_model=cpu_fact("model name") or f"unknown {host_architecture().machine} cpu",
        cores=len(os.sched_getaffinity(0)),
        isas=host_isas(),
    )


@cache
def host_class() -> str:
    """Machines whose latencies compare: the same cpu model, second-level cache and strongest ISA path."""
    model = re.sub(r"\(.*?\)|cpu|processor|@.*", " ", (cpu_fact("model name") or "unknown").lower())
    facts = [
        "-".join(re.findall(r"[a-z0-9.]+", model)),
        "".join(f"{letter}{cpu_fact(line)}" for letter, line in host_architecture().model),
        f"l2x{second_level_cache()}",
        host_isas()[0].value,
    ]
    return re.sub(r"[^a-z0-9_.-]", "-", "-".join(facts).lower())[:128]


def second_level_cache() -> str:
    size = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
    return size.read_text().strip().lower() if size.exists() else "unknown"
