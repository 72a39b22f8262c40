"""Small documents that several tests need."""

import json
from typing import Any

from tilewright.contract.candidates import Choice
from tilewright.contract.workload import Workload

CONV: dict[str, Any] = {
    "batch": 1,
    "in_channels": 64,
    "height": 56,
    "width": 56,
    "out_channels": 64,
    "kernel_size": [3, 3],
    "padding": [1, 1, 1, 1],
}
"""A 3x3 convolution of ResNet-18."""

NOON = "2026-01-01T12:00:00Z"


def job(state: str = "running", **changes: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "state": state,
        "target": "auto",
        "threads": 1,
        "trials": 64,
        "seconds": None,
        "priority": 0,
        "attempt": 1,
        "created_at": NOON,
        "progress": {"workloads": 1, "workloads_done": 0, "trials": 3, "trials_planned": 64, "seconds_left": 12.0},
        "workloads": [job_workload("done" if state == "finished" else "running")],
        **changes,
    }


def job_workload(state: str = "running", batch: int = 1, **changes: Any) -> dict[str, Any]:
    workload = Workload.model_validate({**CONV, "batch": batch})
    return {
        "workload_id": workload.id,
        "name": workload.name,
        "workload": workload.model_dump(mode="json"),
        "state": state,
        "trials": 3,
        "best_latency_us": 123.4,
        "best_gmacs": 93.7,
        "share_of_peak": 0.81,
        **changes,
    }


def job_of(*workloads: dict[str, Any], state: str = "running", **changes: Any) -> dict[str, Any]:
    """One that has these, as they come from `job_workload`."""
    done, failed = (sum(each["state"] == kind for each in workloads) for kind in ("done", "failed"))
    progress = {
        "workloads": len(workloads),
        "workloads_done": done,
        "workloads_failed": failed,
        "trials": sum(each["trials"] for each in workloads),
        "trials_planned": 64 * len(workloads),
    }
    return job(state, workloads=list(workloads), progress=progress, **changes)


def summary(state: str = "running", **changes: Any) -> dict[str, Any]:
    """As lists have it."""
    document = job(state, **changes)
    first = document.pop("workloads")[0]["name"]
    return {"first_workload": first, **document}


def worker(name: str = "rack1", state: str = "idle", **changes: Any) -> dict[str, Any]:
    return {"name": name, "hostname": name, "host_class": "test-cpu", "isas": [], "cores": 8, "state": state, **changes}


EVENT_DATA = {
    "queued": {"workloads": 1},
    "finished": {"reason": None},
    "failed": {"reason": "it crashed"},
    "cancelled": {"reason": "on request"},
}


def event(number: int, kind: str = "queued", **data: Any) -> str:
    """As it stands in a stream of server-sent events."""
    body = {"id": number, "job_id": 7, "type": kind, "data": data or EVENT_DATA[kind], "created_at": NOON}
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(body)}\n\n"


CHOICE = Choice(space="dense_avx512_vnni", version=2, decisions={"rows": 1, "columns": 14, "blocks": 2})


def problem(code: str, status: int, detail: str = "so it is") -> dict[str, Any]:
    return {"type": f"urn:tilewright:problem:{code}", "title": "No", "status": status, "detail": detail}


def schedule(isa: str = "avx512_vnni") -> dict[str, Any]:
    workload = Workload.model_validate(CONV)
    return {
        "id": 11,
        "workload_id": workload.id,
        "name": workload.name,
        "workload": workload.model_dump(mode="json"),
        "target": {"isa": isa, "threads": 1},
        "space": CHOICE.space,
        "candidate": CHOICE.id,
        "choice": CHOICE.model_dump(),
        "latency_us": 800.5,
        "spread_us": 3.2,
        "latencies_us": [800.0, 801.0],
        "gmacs": 144.4,
        "share_of_peak": 0.83,
        "default_latency_us": 8000.0,
        "speedup_over_default": 9.99,
        "verification": {"reference": "numpy int64", "inputs": ["random"], "elements": 200704},
        "proof": {
            "instruction": "vpdpbusd",
            "register_bits": 512,
            "dot_products": 28,
            "instructions": 43,
            "in_loop": True,
            "dot_products_in_kernel": 84,
        },
        "provenance": {
            "job_id": 7,
            "attempt": 1,
            "host_class": "test-cpu",
            "tvm_version": "0.27.0",
            "llvm_version": "22.1.0",
            "tilewright_version": "0.1.0",
            "measured_at": NOON,
        },
        "published_at": NOON,
    }
