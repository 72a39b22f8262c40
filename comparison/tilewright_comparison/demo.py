"""`tilewright demo`: the whole loop on this machine, from nothing to kernels compared with ONNX Runtime's."""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from tilewright.cli.column import Column, Kind
from tilewright.cli.fitted_table import FittedTable
from tilewright.cli.following import await_end, show_to_end
from tilewright.cli.output import X_DEFAULT, number, percent
from tilewright.contract.jobs import Job, JobState, JobWorkload
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.errors import TilewrightError
from tilewright.http import open_client
from tilewright.hub import Hub
from tilewright.schedule_cache import ScheduleCache
from tilewright_comparison.comparison import Comparison
from tilewright_comparison.peers.onnx_runtime import OnnxRuntimeConv
from tilewright_kernels.conv2d.numerics import Array
from tilewright_kernels.isa.host import this_host
from tilewright_tuning.test_inputs import typical_values
from tilewright_worker.terminal import spared_by_ctrl_c

NETWORK = "resnet18"
PEER = "onnx_runtime"
COLUMNS = (
    Column("layer", Kind.NAME),
    Column("trials", rank=3),
    Column("s", rank=4),
    Column("us"),
    Column("GMAC/s", rank=5),
    Column("of peak", rank=1),
    Column("x default", rank=2, footnote=X_DEFAULT),
    Column("x ONNX Runtime"),
)
START_SECONDS = 60.0
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Row:
    """One layer of the final table."""

    layer: str
    trials: int
    seconds: float
    latency_us: float
    gmacs: float
    share_of_peak: float | None
    speedup_over_default: float | None
    onnx_runtime_us: float
    ratio: float
    bit_exact: bool


def run(console: Console, as_json: bool = False) -> int:
    """0 only if every layer was tuned, published and equal to ONNX Runtime bit for bit."""
    with tempfile.TemporaryDirectory(prefix="tilewright-demo-") as folder, service(Path(folder)) as url:
        say(console, as_json, f"A service runs at {url}, its data in a folder that the demo removes again.")
        with Hub(open_client(url), ScheduleCache(url, Path(folder) / "cache")) as hub:
            return _demonstrate(hub, console, as_json)


def _demonstrate(hub: Hub, console: Console, as_json: bool) -> int:
    started = time.monotonic()
    job = tune_network(hub, show=not as_json)
    seconds = time.monotonic() - started
    if job.state is not JobState.FINISHED:
        say(console, as_json, f"job {job.id} is {job.state}: {job.reason}")
        return 1
    say(
        console,
        as_json,
        f"Tuned {len(job.workloads)} layers in {seconds:.0f} s. Comparing with ONNX Runtime, interleaved…",
    )
    with spared_by_ctrl_c():
        comparison = Comparison(Target(isa=this_host().isas[0]), {min(os.sched_getaffinity(0))}, [PEER])
    with comparison:
        rows = [compare_layer(hub, comparison, layer) for layer in job.workloads]
    is_equal = image_is_equal(hub, job.workloads[1].workload)
    succeeded = is_equal and all(row.bit_exact for row in rows)
    if as_json:
        summary = {
            "ok": succeeded,
            "seconds": seconds,
            "geomean_ratio": geomean(rows),
            "layers": list(map(asdict, rows)),
        }
        print(json.dumps(summary))
    else:
        console.print(as_table(rows))
        _conclude(console, rows, job.workloads[1].workload, is_equal)
    return 0 if succeeded else 1


def _conclude(console: Console, rows: list[Row], workload: Workload, is_equal: bool) -> None:
    console.print(f"Geometric mean over the layers: {geomean(rows):.2f} times as fast as ONNX Runtime.")
    word = "equal to" if is_equal else "different from"
    console.print(f"{workload.name}, loaded through the client and run on an image: {word} ONNX Runtime, bit for bit.")
    wrong = [row.layer for row in rows if not row.bit_exact]
    if wrong:
        console.print(f"Not bit-exact: {', '.join(wrong)}")


def say(console: Console, as_json: bool, text: str) -> None:
    if not as_json:
        console.print(text)


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """A real service of its own process, on a free loopback port; gives its address."""
    command = [sys.executable, "-m", "tilewright.cli", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILEWRIGHT_")}
    environment["TILEWRIGHT_LOGS_DIR"] = str(folder / "tuning_logs")
    log = folder / "service.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield _await_address(folder / "data" / "url", process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()


def _await_address(url_file: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TilewrightError(f"the service did not start: {log.read_text().strip()}")
        if url_file.exists() and (url := url_file.read_text().strip()):
            return url
        time.sleep(0.1)
    raise TilewrightError(f"the service did not start within {START_SECONDS:g} s: {log.read_text().strip()}")


def tune_network(hub: Hub, show: bool) -> Job:
    handle = hub.submit(network=NETWORK)
    return show_to_end(hub.client, handle.id) if show else await_end(hub.client, handle.id)


def compare_layer(hub: Hub, comparison: Comparison, layer: JobWorkload) -> Row:
    compared = comparison.compare(layer.workload, hub.load(layer.workload, strict=True).candidate)
    peer = compared.figures.get(PEER)
    if peer is None:
        reason = comparison.missing.get(PEER) or compared.refusals.get(PEER, "it gave no result")
        raise TilewrightError(f"{layer.name} cannot be compared with ONNX Runtime: {reason}")
    return Row(
        layer=layer.name,
        trials=layer.trials,
        seconds=layer.seconds or 0.0,
        latency_us=compared.ours_us,
        gmacs=layer.workload.macs / compared.ours_us / 1e3,
        share_of_peak=layer.share_of_peak,
        speedup_over_default=layer.speedup_over_default,
        onnx_runtime_us=peer.latency_us,
        ratio=peer.ratio,
        bit_exact=peer.agreement.most == 0,
    )


def image_is_equal(hub: Hub, workload: Workload) -> bool:
    """One kernel as a user would use it, on smooth data with an edge, against ONNX Runtime."""
    values = typical_values(workload, np.random.default_rng(3))
    conv = hub.load(workload, strict=True).pack(
        values.weight,
        bias=values.bias,
        scale=values.scale,
        data_zero_point=values.data_zero_point,
        out_zero_point=values.out_zero_point,
    )
    x = image(workload)
    return bool(np.array_equal(conv(x), OnnxRuntimeConv(workload, values)(x)))


def image(workload: Workload) -> Array:
    """A gradient, a disc and a little grain, shifted from channel to channel."""
    rows, columns = np.mgrid[0 : workload.height, 0 : workload.width]
    disc = (rows - workload.height / 2) ** 2 + (columns - workload.width / 3) ** 2 < (workload.height / 4) ** 2
    plane = 160 * rows / workload.height + 60 * disc
    channels = np.arange(workload.in_channels) * 5
    grain = np.random.default_rng(1).integers(0, 8, workload.input_shape)
    pixels: Array = ((plane[None, :, :, None] + channels + grain) % 256).astype(workload.data_dtype)
    return pixels


def geomean(rows: list[Row]) -> float:
    return math.exp(sum(math.log(row.ratio) for row in rows) / len(rows))


def as_table(rows: list[Row]) -> FittedTable:
    table = FittedTable(*COLUMNS, title=f"{NETWORK}, int8, one thread")
    for row in rows:
        table.add_row(
            row.layer,
            str(row.trials),
            number(row.seconds),
            number(row.latency_us),
            number(row.gmacs, 0),
            percent(row.share_of_peak),
            number(row.speedup_over_default, 0),
            number(row.ratio, 2),
        )
    return table
