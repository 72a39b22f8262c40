"""`tilewright submit`."""

from typing import Annotated

import typer

from tilewright.cli import stop_reasons
from tilewright.cli.known import known_part
from tilewright.cli.options import AsJson, Batch, Network, Threads, Url, WorkloadFile, check_choice
from tilewright.cli.output import print_json
from tilewright.cli.service import follow, open_client, require_success
from tilewright.cli.workload_file import read_workloads
from tilewright.contract.jobs import DEFAULT_TRIALS, Job, JobRequest
from tilewright.contract.target import ISAS

EXAMPLES = """[bold]Examples[/]

tilewright submit --network resnet18 --seconds 10 --wait

tilewright submit --workload conv.json --trials 200 --threads 2

tilewright networks resnet18 --json | jq '.[0].workloads[0].workload' | tilewright submit -w - --wait --json

"""


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES + stop_reasons.EPILOG)(submit)


def submit(
    workload: WorkloadFile = None,
    network: Network = None,
    batch: Batch = None,
    trials: Annotated[int, typer.Option(help="At most so many candidates for each workload.")] = DEFAULT_TRIALS,
    seconds: Annotated[float | None, typer.Option(help="At most so long for each workload.")] = None,
    threads: Threads = 1,
    target: Annotated[
        str, typer.Option(help=f"auto, {', '.join(ISAS)}.", autocompletion=lambda: ["auto", *ISAS])
    ] = "auto",
    host_class: Annotated[str | None, typer.Option(help="Only on hosts of this class.", show_default="any")] = None,
    priority: Annotated[int, typer.Option(help="-100 to 100; jobs with more of it go first.")] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="Show the progress until the job ends.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Ask the service to tune one workload, several, or all convolutions of a network.

    With --wait the exit code is 0 if the job finished and 1 if it failed or was cancelled. A workload that cannot be
    tuned makes it fail in the end; the others keep what was found.
    """
    check_choice(workload, network, batch)
    request = JobRequest(
        workloads=None if workload is None else read_workloads(workload),
        network=network,
        batch=batch,
        trials=trials,
        seconds=seconds,
        threads=threads,
        target=target,
        host_class=host_class,
        priority=priority,
    )
    _send(request, wait, url, as_json)


def _send(request: JobRequest, wait: bool, url: str | None, as_json: bool) -> None:
    with open_client(url) as client:
        job = client.submit(request)
        if not as_json:
            typer.echo(_receipt(job, wait))
        if wait:
            job = follow(client, job.id, show=not as_json)
        if as_json:
            print_json(job)
        if wait:
            require_success(job)


def _receipt(job: Job, wait: bool) -> str:
    known = known_part(job)
    if job.state.is_final:
        is_all = all(each.known_from_job is not None for each in job.workloads)
        done = f"has nothing to do: {known}" if is_all else "has spent this budget already"
        more = "a larger --trials or --seconds goes on from there"
        return f"job {job.id} {done}; `{_best(job)}` shows what was found; {more}"
    text = f"job {job.id} is {job.state}" + (f": {known}" if known else "")
    return text if wait else f"{text}; `tilewright watch {job.id}` shows its progress"


def _best(job: Job) -> str:
    """The command that shows what was found, whoever found it."""
    options = ["tilewright best", f"--network {job.network}" if job.network else "--workload FILE"]
    if job.network and job.workloads[0].workload.batch != 1:
        options.append(f"--batch {job.workloads[0].workload.batch}")
    if job.threads != 1:
        options.append(f"--threads {job.threads}")
    return " ".join(options)
