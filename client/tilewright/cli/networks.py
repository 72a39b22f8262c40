"""`tilewright networks`; needs no service."""

from typing import Annotated

import typer

from tilewright.cli.column import Column, Kind
from tilewright.cli.fitted_table import FittedTable
from tilewright.cli.options import AsJson
from tilewright.cli.output import console, number, print_json
from tilewright.contract.workload import Workload
from tilewright.workloads.zoo import NETWORKS, network_workloads

Convolutions = list[tuple[Workload, int]]

COLUMNS = (
    Column("workload", Kind.NAME),
    Column("x"),
    Column("in", rank=1),
    Column("out", rank=2),
    Column("kernel", rank=3),
    Column("stride", rank=4),
    Column("groups", rank=5, once=True),
    Column("MMAC"),
)


def register(app: typer.Typer) -> None:
    app.command(epilog="[bold]Example[/]  tilewright networks resnet18")(networks)


def networks(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help=f"Of {', '.join(NETWORKS)}.",
            show_default="all",
            autocompletion=lambda: list(NETWORKS),
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", "-b", help="Batch size.")] = 1,
    as_json: AsJson = False,
) -> None:
    """List the distinct convolutions of the known networks, and how often each occurs."""
    chosen = {name: network_workloads(name, batch) for name in names or NETWORKS}
    if as_json:
        print_json([_as_item(name, convolutions) for name, convolutions in chosen.items()])
        return
    for name, convolutions in chosen.items():
        _print_table(name, convolutions)


def _as_item(name: str, convolutions: Convolutions) -> dict[str, object]:
    return {
        "network": name,
        "workloads": [
            {
                "workload_id": workload.id,
                "name": workload.name,
                "occurrences": occurrences,
                "macs": workload.macs,
                "workload": workload,
            }
            for workload, occurrences in convolutions
        ],
    }


def _print_table(name: str, convolutions: Convolutions) -> None:
    total = sum(count for _, count in convolutions)
    macs = sum(workload.macs * count for workload, count in convolutions)
    title = f"{name}: {len(convolutions)} distinct convolutions of {total}, {macs / 1e9:.2f} GMAC"
    rows = FittedTable(*COLUMNS, title=title)
    for workload, occurrences in convolutions:
        rows.add_row(
            workload.name,
            str(occurrences),
            f"{workload.height}x{workload.width}x{workload.in_channels}",
            f"{workload.out_height}x{workload.out_width}x{workload.out_channels}",
            "x".join(map(str, workload.kernel_size)),
            str(workload.stride[0]),
            str(workload.groups),
            number(workload.macs / 1e6),
        )
    console().print(rows, "")
