"""Options that several commands share, and what they open."""

import os
from typing import Annotated

import typer

from tilewright.cli.workload_file import read_workloads, refuse_onnx
from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest
from tilewright.workloads.zoo import NETWORKS, network_workloads

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, to standard output.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="TILEWRIGHT_URL", help="Address of the service.", show_default="http://127.0.0.1:8000"
    ),
]
WorkloadFile = Annotated[
    str | None,
    typer.Option("--workload", "-w", metavar="FILE", help='JSON: one workload, or an array; "-" is standard input.'),
]
Network = Annotated[
    str | None,
    typer.Option(
        "--network", "-n", metavar="NAME", help=f"One of {', '.join(NETWORKS)}.", autocompletion=lambda: list(NETWORKS)
    ),
]
Batch = Annotated[int | None, typer.Option("--batch", "-b", help="Batch size of the network.", show_default="1")]
Threads = Annotated[int, typer.Option("--threads", "-t", help="Threads that a kernel runs on.")]
JobId = Annotated[int, typer.Argument(metavar="ID", help="Number of the job.")]


def choose_workloads(file: str | None, network: str | None, batch: int | None) -> list[tuple[Workload, int]]:
    """The workloads that the options name, with how often each occurs."""
    check_choice(file, network, batch)
    if network is not None:
        return network_workloads(network, 1 if batch is None else batch)
    return [(workload, 1) for workload in read_workloads(file or "-")]


def check_choice(file: str | None, network: str | None, batch: int | None) -> None:
    if (file is None) == (network is None):
        raise typer.BadParameter("give either --workload FILE or --network NAME")
    if batch is not None and network is None:
        raise typer.BadParameter("--batch goes with --network; a workload brings its own batch")
    if network is not None:
        _check_name(network)


def _check_name(network: str) -> None:
    refuse_onnx(network)
    if network not in NETWORKS and os.path.isfile(network):
        raise InvalidRequest(f"{network} is a file, which goes with --workload; --network takes a name")
