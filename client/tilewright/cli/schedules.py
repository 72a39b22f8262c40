"""`tilewright best` and `export`."""

from itertools import chain, islice
from typing import Annotated

import typer

from tilewright.cli.known import known_part
from tilewright.cli.options import AsJson, Batch, Network, Threads, Url, WorkloadFile, choose_workloads
from tilewright.cli.output import console, number, percent, print_json, print_json_line, table
from tilewright.cli.service import open_client
from tilewright.contract.jobs import Job
from tilewright.contract.schedules import InstructionCount, Schedule
from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright.errors import NoSchedule
from tilewright.requests import lookup

EXAMPLES = """[bold]Examples[/]

tilewright best --network resnet18

tilewright best --workload conv.json --threads 2 --strict --json
"""


Choice = list[tuple[Workload, int]]


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(best)
    app.command(epilog="[bold]Example[/]  tilewright export --job 3 > records.jsonl")(export)


def best(
    workload: WorkloadFile = None,
    network: Network = None,
    batch: Batch = None,
    threads: Threads = 1,
    isa: Annotated[Isa | None, typer.Option(help="Only for this instruction set path.")] = None,
    host_class: Annotated[str | None, typer.Option(help="Only measured on this class of host.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if there is none for one of them.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show the best-known schedules of workloads, or of a network."""
    choice = choose_workloads(workload, network, batch)
    question = lookup(workloads=[each for each, _ in choice], threads=threads, isa=isa, host_class=host_class)
    with open_client(url) as client:
        found = client.lookup(question).items
    if as_json:
        print_json(_as_items(choice, found))
    else:
        _print_table(choice, found)
    missing = found.count(None)
    if strict and missing:
        raise NoSchedule(f"{missing} of {len(found)} workloads have no schedule yet; `tilewright submit` tunes them")


def export(
    job: Annotated[int | None, typer.Option(help="Only the records of this job.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Print the records of the service as JSON, one a line; with --json as one array."""
    with open_client(url) as client:
        records = client.records(job)
        first = list(islice(records, 1))
        if not first:
            typer.echo(_why_empty(None if job is None else client.job(job)), err=True)
        if as_json:
            print_json([*first, *records])
            return
        for record in chain(first, records):
            print_json_line(record)


def _why_empty(job: Job | None) -> str:
    if job is None:
        return "there are no records yet; `tilewright submit` makes some"
    if not job.state.is_final:
        return f"job {job.id} has no records yet, it is {job.state}; `tilewright watch {job.id}` shows its progress"
    known = known_part(job)
    return f"job {job.id} has no records of its own: {known or 'it measured nothing that was not known'}"


def _as_items(choice: Choice, found: list[Schedule | None]) -> list[dict[str, object]]:
    return [
        {"workload_id": workload.id, "name": workload.name, "occurrences": occurrences, "schedule": schedule}
        for (workload, occurrences), schedule in zip(choice, found, strict=True)
    ]


def _print_table(choice: Choice, found: list[Schedule | None]) -> None:
    numbers = ("x", "latency us", "spread us", "GMAC/s", "of peak", "speed-up")
    rows = table("workload", *numbers, "isa", "host class", "schedule", numbers=numbers)
    for (workload, occurrences), schedule in zip(choice, found, strict=True):
        rows.add_row(workload.name, str(occurrences), *_cells(schedule))
    console().print(rows)
    for schedule in found:
        if schedule is not None and schedule.proof is not None:
            console().print(f"{schedule.name}: {_in_words(schedule.proof)}", soft_wrap=True)


def _in_words(count: InstructionCount) -> str:
    instruction = f"{count.instruction} on {count.register_bits} bits"
    if not count.dot_products:
        return f"no {instruction} in the kernel"
    where = "the inner loop" if count.in_loop else "straight code"
    return f"{count.dot_products} {instruction} among the {count.instructions} instructions of {where}"


def _cells(schedule: Schedule | None) -> tuple[str, ...]:
    if schedule is None:
        return ("-",) * 8
    return (
        number(schedule.latency_us),
        number(schedule.spread_us),
        number(schedule.gmacs),
        percent(schedule.share_of_peak),
        number(schedule.speedup_over_default, 2, "x"),
        schedule.target.isa,
        schedule.provenance.host_class,
        str(schedule.id),
    )
