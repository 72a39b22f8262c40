"""How many schedule lookups a second one service process answers, with 100,000 records in its database.

    python -m bench.lookups [--seconds 10] [--connections 8]

Starts the real service on a throw-away data directory; the load comes from this process, over keep-alive connections.
"""

import argparse
import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tests.services import ServiceProcess
from tilewright.contract.candidates import Choice, candidate_fields
from tilewright.contract.records import MeasuredRecord, Provenance, RecordState
from tilewright.contract.schedules import Schedule, Verification
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_service.store.database import Database
from tilewright_service.store.instant import now
from tilewright_service.store.schema import upgrade
from tilewright_service.store.tables import JobRow, RecordRow, ScheduleRow, WorkloadRow

WORKLOADS = 1000
RECORDS_EACH = 100
TARGET = Target(isa="avx512_vnni")
HOST_CLASS = "bench"


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ids = _fill(folder / "data")
        with ServiceProcess(folder) as service:
            latencies = asyncio.run(_load(service.url, ids, arguments.connections, arguments.seconds))
            _report(sorted(latencies), arguments.seconds, psutil.Process(service.process.pid))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=8)
    return parser.parse_args()


def _fill(data_dir: Path) -> list[str]:
    data_dir.mkdir(parents=True)
    database = Database(f"sqlite:///{data_dir / 'tilewright.db'}")
    upgrade(database)
    workloads = [_workload(number) for number in range(WORKLOADS)]
    with database.writing() as session:
        session.add_all(WorkloadRow(id=each.id, document=each.canonical_json) for each in workloads)
        session.add(_job())
    for workload in workloads:
        with database.writing() as session:
            session.add_all(_record(workload, number) for number in range(RECORDS_EACH))
            session.add(_schedule(workload))
    database.close()
    return [each.id for each in workloads]


def _workload(number: int) -> Workload:
    return Workload(batch=1, in_channels=16, height=8 + number, width=8, out_channels=16, kernel_size=(1, 1))


def _job() -> JobRow:
    return JobRow(
        id=1, request_sha256="", state="finished", target="auto", threads=1, trials=1, priority=0, created_at=now()
    )


def _provenance() -> Provenance:
    return Provenance(
        job_id=1,
        attempt=1,
        host_class=HOST_CLASS,
        tvm_version="0",
        llvm_version="0",
        tilewright_version="0",
        measured_at=datetime.now(UTC),
    )


def _choice(number: int) -> Choice:
    return Choice(space="dense_x86_64", version=2, decisions={"rows": 1, "columns": number, "blocks": 1, "order": 0})


def _record(workload: Workload, number: int) -> RecordRow:
    record = MeasuredRecord(
        workload_id=workload.id,
        target=TARGET,
        **candidate_fields(_choice(number)),
        state=RecordState.MEASURED,
        latencies_us=[100.0],
        latency_us=100.0,
        spread_us=1.0,
        seconds=0.1,
        provenance=_provenance(),
    )
    return RecordRow(
        workload_id=workload.id,
        isa=TARGET.isa,
        threads=1,
        host_class=HOST_CLASS,
        candidate=record.candidate,
        state=record.state,
        latency_us=record.latency_us,
        job_id=1,
        document=record.model_dump_json(),
    )


def _schedule(workload: Workload) -> ScheduleRow:
    schedule = Schedule(
        id=workload.height,
        workload_id=workload.id,
        name=workload.name,
        workload=workload,
        target=TARGET,
        **candidate_fields(_choice(0)),
        latency_us=100.0,
        spread_us=1.0,
        latencies_us=[100.0] * 10,
        gmacs=1.0,
        share_of_peak=0.5,
        default_latency_us=900.0,
        speedup_over_default=9.0,
        verification=Verification(reference="none", inputs=["none"], elements=1),
        provenance=_provenance(),
        published_at=now(),
    )
    return ScheduleRow(
        id=schedule.id,
        workload_id=workload.id,
        isa=TARGET.isa,
        threads=1,
        host_class=HOST_CLASS,
        candidate=schedule.candidate,
        is_current=True,
        latency_us=schedule.latency_us,
        job_id=1,
        attempt=1,
        document=schedule.model_dump_json(),
        script="",
    )


async def _load(url: str, ids: list[str], connections: int, seconds: float) -> list[float]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    deadline = time.perf_counter() + seconds
    ask = [_ask(host, int(port), ids[number::connections], deadline) for number in range(connections)]
    return [latency for latencies in await asyncio.gather(*ask) for latency in latencies]


async def _ask(host: str, port: int, ids: list[str], deadline: float) -> list[float]:
    """One keep-alive connection that asks for one workload after the other."""
    reader, writer = await asyncio.open_connection(host, port)
    latencies: list[float] = []
    while time.perf_counter() < deadline:
        workload_id = ids[len(latencies) % len(ids)]
        started = time.perf_counter()
        writer.write(f"GET /v1/schedules?workload_id={workload_id} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        if workload_id.encode() not in body:
            raise RuntimeError("that is not the schedule that was asked for")
        latencies.append(time.perf_counter() - started)
    writer.close()
    return latencies


def _report(latencies: list[float], seconds: float, service: psutil.Process) -> None:
    print(f"records     {WORKLOADS * RECORDS_EACH}")
    print(f"requests/s  {len(latencies) / seconds:.0f}")
    print(f"p50         {latencies[len(latencies) // 2] * 1000:.1f} ms")
    print(f"p99         {latencies[len(latencies) * 99 // 100] * 1000:.1f} ms")
    print(f"resident    {service.memory_info().rss / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
