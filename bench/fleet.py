"""A thousand hosts, on paper: what each step of an attempt costs the service, and what breaks first.

`python -m bench.fleet` takes each step against a real service on databases of its own, reads the service's time on a
core, multiplies it by how often a host that tunes all day long takes it, and writes docs/scale.md. It wants a quiet
machine, and says nothing of networks and disks.
"""

import argparse
import asyncio
import logging
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

import structlog
from distributed.core import ConnectionPool, Server

from tests.cluster.machine import ROOT
from tests.service.played_engine import PlayedEngine, PlayedWorker
from tilewright import __version__
from tilewright.contract.jobs import JobRequest
from tilewright.contract.target import Isa
from tilewright.contract.workers import WorkerReport
from tilewright_service.dispatch.known_worker import KnownWorker
from tilewright_service.dispatch.reconciler import Reconciler
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.lanes import WorkerFacts
from tilewright_service.store.queue import Claim, claim_next
from tilewright_service.store.submissions import submit

from .load.inventions import HOST, workload
from .load.stage import stage
from .load.steps import BATCH, Steps

REPORT = ROOT / "docs/scale.md"
DATABASES = ("sqlite", "postgresql")
ATTEMPTS = 200
"""That take the steps; what one costs hardly depends on how many do."""
HOSTS = 1000
LISTEN_SECONDS = 3.0
ROUNDS = 5

A_WORKLOAD = 1 / 4
"""In a second, as the README's table of tuning times has it."""
AN_ATTEMPT = A_WORKLOAD / 20
"""Of twenty layers, before it is the next person's turn."""


@dataclass(frozen=True)
class Step:
    key: str
    what: str
    a_second: float
    """How often one host takes it."""
    is_leaders: bool = False
    """The service that leads does it alone; the others share the rest."""


STEPS = (
    Step("records", f"{BATCH} records", 4.0),
    Step("next", "next workload", A_WORKLOAD),
    Step("history", "history and neighbours", A_WORKLOAD),
    Step("publish", "publish a schedule", A_WORKLOAD),
    Step("outcome", "outcome of a workload", A_WORKLOAD),
    Step("renew", "renew the lease", 0.5),
    Step("submit", "submit a job", AN_ATTEMPT),
    Step("start", "start an attempt", AN_ATTEMPT),
    Step("result", "result of an attempt", AN_ATTEMPT),
    Step("claim", "give a job a worker", AN_ATTEMPT, is_leaders=True),
    Step("report", "report of a worker", 1.25, is_leaders=True),
    Step("round", "a share of the reconciler's round", 1.0, is_leaders=True),
)

Costs = dict[str, float]
"""Of steps by key, in milliseconds of a core."""


def costs_on(database: str) -> Costs:
    with stage(database) as made:
        with made.filling() as filled:
            claims, claiming = _claims(filled)
        steps = Steps(made, claims[:ATTEMPTS])
        asyncio.run(steps.take())
        with made.filling() as filled:
            looking = _round(filled, made.database_url)
    return {**steps.milliseconds, "claim": claiming, "round": looking}


def _claims(database: Database) -> tuple[list[Claim], float]:
    """For every host one, as the dispatcher gives them; and what one takes, on average."""
    hosts = {name: WorkerFacts(name, name, HOST.host_class, HOST.isas, 2) for name in _names()}
    for number in range(HOSTS):
        with database.writing() as session:
            submit(session, JobRequest(workloads=[workload(number)], trials=64), None, f"user-{number % 20}")
    claims, team, began = [], list(hosts.values()), time.process_time()
    while hosts:
        with database.writing() as session:
            claim = claim_next(session, list(hosts.values()), team)
        assert claim is not None
        claims.append(claim)
        del hosts[claim.worker]
    return claims, (time.process_time() - began) * 1000 / len(claims)


def _round(database: Database, url: str) -> float:
    """Of one that has nothing to do, for one of all hosts."""
    workers = [PlayedWorker(name, name, isas=(Isa.X86_64,)) for name in _names()]
    settings = Settings(database=url, launch_seconds=3600, lease_seconds=3600)
    reconciler = Reconciler(database, PlayedEngine(workers), settings, "paper", lambda: "http://here")
    reconciler.reconcile()
    began = time.process_time()
    for _ in range(ROUNDS):
        reconciler.reconcile()
    return (time.process_time() - began) * 1000 / ROUNDS / HOSTS


def cost_of_a_report() -> float:
    """Of a worker that answers at once, to the service that asks it."""
    with _answering_worker() as address:
        return asyncio.run(_ask_again_and_again(address))


async def _ask_again_and_again(address: str) -> float:
    heard = 0

    class Counting(KnownWorker):
        def _take(self, answer: dict[str, object]) -> None:
            nonlocal heard
            heard += 1
            super()._take(answer)

    async with ConnectionPool(deserialize=False, serializers=["msgpack"], deserializers=["msgpack"]) as pool:
        worker = Counting(address, pool, time.monotonic, lambda: None)
        await asyncio.sleep(1)
        before, began = heard, time.process_time()
        await asyncio.sleep(LISTEN_SECONDS)
        spent = time.process_time() - began
        worker.forget()
    return spent * 1000 / (heard - before)


@contextmanager
def _answering_worker() -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_answer, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()


def _answer(pipe: Pipe) -> None:
    asyncio.run(_serve(pipe))


async def _serve(pipe: Pipe) -> None:
    report = WorkerReport(name="worker", version=__version__, host=HOST, cores=2).model_dump_json()

    async def answer(seen: int = 0) -> dict[str, object]:
        return {"revision": seen + 1, "report": report}

    server = Server({}, deserialize=False, needs_workdir=False)
    server.handlers = {"tilewright_report": answer}
    await server.listen("tcp://127.0.0.1:0")
    await server
    pipe.send(server.address)
    await asyncio.Event().wait()


def _names() -> list[str]:
    return [f"host-{number}" for number in range(HOSTS)]


def paper(costs: dict[str, Costs]) -> str:
    head = "| step | a second and host | " + " | ".join(f"ms, {each} | cores" for each in costs) + " |"
    rows = [_row(step, list(costs.values())) for step in STEPS]
    sums = [f"**{sum(_cores(step, each) for step in STEPS):.1f}**" for each in costs.values()]
    leads = [f"{sum(_cores(step, each) for step in STEPS if step.is_leaders):.2f}" for each in costs.values()]
    table = [head, "|---|---|" + "---|---|" * len(costs), *rows, _total("all", sums), _total("the leader's", leads)]
    return "\n".join(table)


def _row(step: Step, costs: Sequence[Costs]) -> str:
    cells = [step.what + (" (leader)" if step.is_leaders else ""), f"{step.a_second:g}"]
    for each in costs:
        cells += [f"{each[step.key]:.2f}", f"{_cores(step, each):.2f}"]
    return f"| {' | '.join(cells)} |"


def _total(what: str, cores: Sequence[str]) -> str:
    return f"| {what} | | {' | '.join(f' | {each}' for each in cores)} |"


def _cores(step: Step, costs: Costs) -> float:
    """That a thousand hosts keep busy with it."""
    return costs[step.key] / 1000 * step.a_second * HOSTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--database", nargs="+", choices=DATABASES, default=list(DATABASES))
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    report = cost_of_a_report()
    costs = {database: {**costs_on(database), "report": report} for database in options.database}
    text = paper(costs)
    print(text)
    if REPORT.exists():
        before, _, rest = REPORT.read_text().partition(BEGIN)
        REPORT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    return 0


BEGIN, END = "<!-- written by python -m bench.fleet -->", "<!-- until here -->"


if __name__ == "__main__":
    sys.exit(main())
