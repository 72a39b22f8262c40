"""Write docs/benchmarks.md and its charts from the files of the runs: python -m bench.report [--results FOLDER]"""

import argparse
import textwrap
from collections.abc import Iterable
from pathlib import Path

from tilewright.contract.target import ISAS
from tilewright_comparison.comparison import Agreement, PeerFigures
from tilewright_comparison.peers import PEERS

from . import chart, curves, threads
from .runs import Layer, Run, compare_with, geomean, is_compute_bound, read

ROOT = Path(__file__).parents[1]
WIDTH = 120

PREAMBLE = """\
# Benchmarks

`make bench` writes this page from the runs in `bench/results`. Every figure of a comparison comes from one run in which
all libraries were measured interleaved, each in a process of its own that is stopped while the others run; what a call
costs besides the kernel is taken off for all of them. Why that is fair is in
[decision 13](decisions/0013-fair-comparisons.md). A ratio is the peer's latency over ours: above 1, ours is faster.
"""
EVERY_LAYER = """\
`bits` compares results with ours, which are those of QLinearConv. oneDNN scales the sum before it adds the bias, so one
may be off by one where scales are arbitrary; where they are powers of two it has to be equal, or it counts as wrong.
"""
PATHS = """\
Every path that this machine can run, on ResNet-18, batch 1, one thread. The peak is measured with the path's own
instructions; oneDNN is restricted to the same path by `ONEDNN_MAX_CPU_ISA`.
"""
STOCK = """\
TVM's own rules, search, cost model, builder and runner, with an intrinsic that compiles in place of the shipped one.
Stock gives int32 and does not requantise.
"""
THREADS = """\
A plain Python process of each library, nothing pinned, one after the other: us of the first call after a pause, and of
each of the next nine, medians over all bursts (`python -m bench.threads`).
"""
LIMITS = """\
A layer takes at least as long as its multiply-adds at the measured peak, and at least as long as reading its input and
weights and writing its output once at the bandwidth of the nearest memory that holds all three. Peak and bandwidth are
measured in loops that do nothing else.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    files = sorted(options.results.glob("*_b*_t*_*.json"))
    if not files:
        raise SystemExit(f"no runs in {options.results}; bench/layers.py --json makes one")
    runs = sorted(map(read, files), key=order)
    race_file = options.results / "curves.json"
    races = curves.read(race_file) if race_file.exists() else []
    threads_file = options.results / "threads.json"
    called = threads.read(threads_file) if threads_file.exists() else None
    (options.docs / "benchmarks.md").write_text(page(runs, races, called))
    for name, drawing in charts(runs, races).items():
        (options.docs / name).write_text(drawing)


def order(run: Run) -> tuple[int, int, int, str]:
    """The strongest target first, and of it one thread and one image."""
    return ISAS.index(run.target.isa), run.target.threads, run.batch, run.network


def charts(runs: list[Run], races: list[curves.Race]) -> dict[str, str]:
    """By the name of their file in docs."""
    plain = plain_runs(runs)
    drawings = {f"{run.network}.svg": chart.speedups(run) for run in plain}
    if plain:
        drawings["roofline.svg"] = chart.rooflines(plain)
    if races:
        drawings["tuning_curves.svg"] = chart.tuning_curves(races)
    return drawings


def plain_runs(runs: list[Run]) -> list[Run]:
    """Batch 1 and one thread on the strongest target."""
    return [run for run in runs if run.target.isa is runs[0].target.isa and run.target.threads == run.batch == 1]


def page(runs: list[Run], races: list[curves.Race], called: threads.Outcome | None) -> str:
    strongest = [run for run in runs if run.target.isa is runs[0].target.isa]
    parts = [PREAMBLE, machine(runs), "## All networks\n", summary(strongest), losses(runs)]
    if called is not None:
        parts += ["## Two threads as a user calls them\n", THREADS, as_called(called)]
    if paths := [run for run in runs if run.network == "resnet18" and run.target.threads == run.batch == 1]:
        parts += ["## ISA paths\n", PATHS, isa_paths(paths)]
    if races:
        parts += ["## Against stock MetaSchedule\n", against_stock(races), "![Tuning curves](tuning_curves.svg)\n"]
    if plain_runs(runs):
        parts += ["## Roofline\n", levels(runs), "![Roofline](roofline.svg)\n"]
    parts += ["## Every layer\n", EVERY_LAYER, *map(layers, runs)]
    return "\n".join(parts)


def machine(runs: list[Run]) -> str:
    hosts = sorted({f"{run.cpu_model} (`{run.host_class}`)" for run in runs})
    versions = {name: version for run in runs for name, version in run.versions.items()}
    named = ", ".join(f"{PEERS[name].title if name in PEERS else name} {each}" for name, each in versions.items())
    dates = sorted(run.measured_at[:10] for run in runs)
    measured = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    left_out = sorted({f"{PEERS[name].title}: {why}" for run in runs for name, why in run.missing.items()})
    lines = [f"- Machine: {'; '.join(hosts)}", f"- Versions: {named}", f"- Measured: {measured}"]
    lines += [f"- Left out on some targets: {reason}" for reason in left_out]
    return "\n".join(map(fill, lines)) + "\n"


def fill(item: str) -> str:
    """An item of a list, in lines as wide as prose may be."""
    return textwrap.fill(item, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def summary(runs: list[Run]) -> str:
    head = ["network", "batch", "threads", "layers"]
    for peer in PEERS.values():
        head += [f"faster than {peer.title} on", "mean ratio", "lowest", "first layer", "depthwise"]
    head += ["dense layers, of peak", "tuning a layer, all"]
    return table(head, [summary_row(run) for run in runs])


def summary_row(run: Run) -> list[str]:
    row = [run.network, str(run.batch), str(run.target.threads), str(len(run.layers))]
    for name in PEERS:
        row += summary_cells(run, name)
    dense = [layer.share_of_peak for layer in run.layers if is_compute_bound(layer)]
    seconds = sorted(layer.tuning_seconds for layer in run.layers)
    row.append(f"{geomean(dense):.0%}" if dense else "-")
    row.append(f"{seconds[len(seconds) // 2]:.1f} s, {sum(seconds):.0f} s")
    return row


def summary_cells(run: Run, peer: str) -> list[str]:
    figures = compare_with(peer, run.layers)
    if figures is None:
        return ["-"] * 5
    means = [f"{figures.by_kind[kind].mean:.3f}" if kind in figures.by_kind else "-" for kind in ("first", "depthwise")]
    return [str(figures.faster), f"{figures.ratios.mean:.3f}", f"{figures.ratios.lowest:.3f}", *means]


def losses(runs: list[Run]) -> str:
    """Every layer that a peer does faster, on whichever path."""
    head = ["run", "layer", "peer", "peer, us", "ours, us", "ratio", "bits of the peer"]
    rows = [
        [run.title, layer.name, PEERS[name].title, *loss_cells(layer, peer)]
        for run in runs
        for layer in run.layers
        for name, peer in layer.peers.items()
        if peer.ratio < 1
    ]
    return f"Layers on which a peer is faster:\n\n{table(head, rows)}" if rows else "No peer is faster on any layer.\n"


def loss_cells(layer: Layer, peer: PeerFigures) -> list[str]:
    return [f"{peer.latency_us:.1f}", f"{layer.latency_us:.1f}", f"{peer.ratio:.3f}", bits(peer.agreement)]


def as_called(called: threads.Outcome) -> str:
    callers = dict.fromkeys((each.library, each.threads) for each in called.figures)
    pauses = dict.fromkeys(each.pause_ms for each in called.figures)
    found = {(each.library, each.threads, each.pause_ms): each for each in called.figures}
    rows = []
    for library, count in callers:
        cells = [found[library, count, pause_ms] for pause_ms in pauses]
        rows.append(
            [f"{title(library)}, {count}", *(f"{each.first_us:.0f}, {each.following_us:.0f}" for each in cells)]
        )
    head = ["library, threads", *(f"pause {pause_ms} ms" for pause_ms in pauses)]
    together = "; ".join(f"{title(library)} {calls:.0f}" for library, calls in called.calls_together.items())
    lines = [
        f"`{called.layer}` on {called.cpu_model} (`{called.host_class}`), {called.measured_at[:10]}.",
        f"Two processes of two threads each at the same time, calls a second together: {together}.",
    ]
    return table(head, rows) + "\n" + "\n".join(textwrap.fill(line, WIDTH) for line in lines) + "\n"


def title(library: str) -> str:
    return PEERS[library].title if library in PEERS else "Tilewright"


def isa_paths(runs: list[Run]) -> str:
    head = ["path", "peak GMAC/s", "GMAC/s, mean", "dense layers, of peak"]
    head += [column for peer in PEERS.values() for column in (f"ratio to {peer.title}", "wrong on")]
    return table(head, [isa_row(run) for run in runs])


def isa_row(run: Run) -> list[str]:
    dense = [layer.share_of_peak for layer in run.layers if is_compute_bound(layer)]
    ratios = [column for name in PEERS for column in (mean_ratio(run, name), wrong_on(run, name))]
    mean = geomean(layer.gmacs for layer in run.layers)
    return [run.target.isa, f"{run.peak_gmacs:.0f}", f"{mean:.0f}", f"{geomean(dense):.0%}" if dense else "-", *ratios]


def mean_ratio(run: Run, peer: str) -> str:
    figures = compare_with(peer, run.layers)
    return "-" if figures is None else f"{figures.ratios.mean:.3f}"


def wrong_on(run: Run, peer: str) -> str:
    """How many layers a peer computes differently where no order of rounding explains it."""
    wrong = [not layer.peers[peer].agreement.is_equal for layer in run.layers if peer in layer.peers]
    return f"{sum(wrong)} of {len(wrong)}" if wrong else "-"


def against_stock(races: list[curves.Race]) -> str:
    head = ["layer", "stock, us", "ours reached that after", "of stock's time", "ours in the end, us", "after"]
    rows = []
    for race in races:
        reached, (done, ours_us) = race.seconds_to_stock, race.ours[-1]
        when = ("-", "-") if reached is None else (f"{reached:.2f} s", f"{reached / race.seconds:.2%}")
        rows.append(
            [race.name, f"{race.stock_us:.0f} in {race.seconds:.0f} s", *when, f"{ours_us:.0f}", f"{done:.1f} s"]
        )
    return STOCK + "\n" + table(head, rows)


def levels(runs: list[Run]) -> str:
    found = {run.target.threads: run for run in reversed([run for run in runs if run.target.isa is runs[0].target.isa])}
    names = [level.name for level in runs[0].levels]
    rows = [
        [str(threads), f"{run.peak_gmacs:.0f}", *(f"{level.gbytes_per_second:.0f}" for level in run.levels)]
        for threads, run in sorted(found.items())
    ]
    return LIMITS + "\n" + table(["threads", "peak GMAC/s", *(f"{name} GB/s" for name in names)], rows)


def layers(run: Run) -> str:
    head = ["layer", "space", "trials", "s", "us", "GMAC/s", "of peak", "bound by", "of the roofline"]
    peers = [name for name in PEERS if name in run.versions]
    for name in peers:
        head += [f"{PEERS[name].title}, us", "ratio", "bits"]
    return f"### {run.title}\n\n" + table(head, [layer_row(layer, peers) for layer in run.layers])


def layer_row(layer: Layer, peers: list[str]) -> list[str]:
    row = [
        layer.name.removesuffix("_u8s8u8_nhwc"),
        layer.space,
        str(layer.trials),
        f"{layer.tuning_seconds:.1f}",
        f"{layer.latency_us:.1f}",
        f"{layer.gmacs:.0f}",
        f"{layer.share_of_peak:.0%}",
        layer.roofline.bound,
        f"{layer.share_of_roofline:.0%}",
    ]
    for name in peers:
        if name in layer.peers:
            peer = layer.peers[name]
            row += [f"{peer.latency_us:.1f}", f"{peer.ratio:.2f}", bits(peer.agreement)]
        else:
            row += ["-", "-", layer.refused.get(name, "-")]
    return row


def bits(agreement: Agreement) -> str:
    """How equal the results are, in a few words."""
    if not agreement.is_equal:
        return f"wrong, also in {agreement.differing:.0%} of typical results"
    if agreement.differing == 0:
        return "equal"
    if agreement.most == 1:
        return f"±1 in {agreement.differing * 1e6:.1f} ppm"
    return f"wrong in {agreement.differing:.0%}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


if __name__ == "__main__":
    main()
