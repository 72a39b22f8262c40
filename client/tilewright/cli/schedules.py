"""`tilewright best` and `export`."""

from itertools import chain, islice
from typing import Annotated

import typer

from tilewright.cli.column import Column, Kind
from tilewright.cli.fitted_table import FittedTable
from tilewright.cli.known import known_part
from tilewright.cli.options import AsJson, Batch, Network, Threads, Url, WorkloadFile, choose_workloads
from tilewright.cli.output import X_DEFAULT, console, number, percent, print_json, print_json_line
from tilewright.cli.service import open_client
from tilewright.contract.jobs import Job, JobState
from tilewright.contract.schedules import InstructionCount, Lookup, Schedule
from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright.errors import NoSchedule

EXAMPLES = """[bold]Examples[/]

tilewright best --network resnet18

tilewright best --workload conv.json --threads 2 --strict --json
"""

Choice = list[tuple[Workload, int]]

COLUMNS = (
    Column("workload", Kind.NAME),
    Column("x", rank=5),
    Column("latency us"),
    Column("spread us", rank=8),
    Column("GMAC/s", rank=3),
    Column("of peak", rank=1),
    Column("x default", rank=4, footnote=X_DEFAULT),
    Column("isa", Kind.WORD, rank=7, once=True),
    Column("host class", Kind.NAME, rank=2, once=True),
    Column("schedule", rank=6),
)
PROOF = (
    Column("dot products", footnote="dot products: among the instructions of the inner loop, read from machine code"),
    Column("instruction", Kind.WORD, rank=1, once=True),
)


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
    proof: Annotated[bool, typer.Option("--proof", help="Count the dot products in the machine code, too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if there is none for one of them.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show the best-known schedules of workloads, or of a network."""
    choice = choose_workloads(workload, network, batch)
    question = Lookup(workloads=[each for each, _ in choice], threads=threads, isa=isa, host_class=host_class)
    with open_client(url) as client:
        found = client.lookup(question).items
    if as_json:
        print_json(_as_items(choice, found))
    else:
        _print_table(choice, found, proof)
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
    if job.state is not JobState.FINISHED:
        end = "failed" if job.state is JobState.FAILED else "was cancelled"
        return f"job {job.id} has no records: it {end} before there were any"
    known = known_part(job)
    return f"job {job.id} has no records of its own: {known or 'it measured nothing that was not known'}"


def _as_items(choice: Choice, found: list[Schedule | None]) -> list[dict[str, object]]:
    return [
        {"workload_id": workload.id, "name": workload.name, "occurrences": occurrences, "schedule": schedule}
        for (workload, occurrences), schedule in zip(choice, found, strict=True)
    ]


def _print_table(choice: Choice, found: list[Schedule | None], with_proof: bool) -> None:
    rows = FittedTable(*COLUMNS, *(PROOF if with_proof else ()))
    for (workload, occurrences), schedule in zip(choice, found, strict=True):
        proof = _proof_cells(schedule.proof if schedule else None) if with_proof else ()
        rows.add_row(workload.name, str(occurrences), *_cells(schedule), *proof)
    console().print(rows)


def _proof_cells(count: InstructionCount | None) -> tuple[str, ...]:
    if count is None:
        return ("-", "-")
    where = "" if count.in_loop else ", no loop"
    share = f"{count.dot_products} of {count.instructions}{where}" if count.dot_products else "none"
    return share, f"{count.instruction} on {count.register_bits} bits"


def _cells(schedule: Schedule | None) -> tuple[str, ...]:
    if schedule is None:
        return ("-",) * 8
    return (
        number(schedule.latency_us),
        number(schedule.spread_us),
        number(schedule.gmacs),
        percent(schedule.share_of_peak),
        number(schedule.speedup_over_default),
        schedule.target.isa,
        schedule.provenance.host_class,
        str(schedule.id),
    )
