"""The charts of docs/benchmarks.md and the README, as SVG."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from tilewright_comparison.peers import PEERS

from .curves import Race
from .runs import Layer, Run

INK, WEAK, OURS = "#24292f", "#8c959f", "#2f6f4f"
PEER_COLOURS = {"onnx_runtime": "#2f6f4f", "onednn": "#b08800"}
KIND_COLOURS = {"dense": "#2f6f4f", "depthwise": "#8250df", "first": "#bc4c00", "grouped": "#0969da"}
RACE_COLOURS = ("#2f6f4f", "#8250df", "#bc4c00", "#0969da")

BAR, GAP, LEFT, UNIT, TOP = 10, 8, 330, 150, 66
PLOT_WIDTH, PLOT_HEIGHT, MARGIN = 860, 520, 70


def speedups(run: Run) -> str:
    """One bar a layer and peer: how many times as fast ours is; the line marks equality."""
    peers = [name for name in PEERS if any(name in layer.peers for layer in run.layers)]
    widest = max((peer.ratio for layer in run.layers for peer in layer.peers.values()), default=1)
    row = BAR * len(peers) + GAP
    width, height = int(LEFT + UNIT * widest + 190), TOP + row * len(run.layers) + 12
    body = [text(12, 22, f"{run.title}: times as fast", size=15, weight="bold")]
    for index, name in enumerate(peers):
        body += legend(12 + 160 * index, 42, PEER_COLOURS[name], f"than {PEERS[name].title}")
    body.append(text(LEFT + UNIT, TOP - 8, "equal = 1", anchor="middle", colour=WEAK))
    for index, layer in enumerate(run.layers):
        body += speedup_rows(TOP + row * index, layer, peers)
    body.append(line(LEFT + UNIT, TOP - 4, LEFT + UNIT, height - 8, INK, dashes="3 3"))
    return svg(width, height, body)


def speedup_rows(y: int, layer: Layer, peers: Sequence[str]) -> list[str]:
    label_y = y + BAR * len(peers) / 2 + 4
    body = [text(LEFT - 8, label_y, layer.name.removesuffix("_nhwc"), anchor="end")]
    longest = 0.0
    for index, name in enumerate(peers):
        if name in layer.peers:
            length = UNIT * layer.peers[name].ratio
            longest = max(longest, length)
            body.append(rectangle(LEFT, y + BAR * index, length, BAR - 1, PEER_COLOURS[name]))
    ratios = ", ".join(f"{layer.peers[name].ratio:.2f}" for name in peers if name in layer.peers)
    body.append(text(LEFT + longest + 6, label_y, f"{ratios} x; {layer.gmacs:.0f} GMAC/s"))
    return body


def rooflines(runs: Sequence[Run]) -> str:
    """Every layer of runs on the same target: multiply-adds a byte against multiply-adds a second, both logarithmic."""
    first = runs[0]
    layers = [layer for run in runs for layer in run.layers]
    intensities = [layer.macs / layer.roofline.bytes for layer in layers]
    ridges = [first.peak_gmacs / level.gbytes_per_second for level in first.levels]
    x = Axis(min(*intensities, *ridges) / 1.5, max(intensities) * 1.5, MARGIN, PLOT_WIDTH - 30)
    y = Axis(min(layer.gmacs for layer in layers) / 1.5, first.peak_gmacs * 1.5, PLOT_HEIGHT - MARGIN, 50)
    threads = first.target.threads
    title = f"Roofline: {first.target.isa}, {threads} thread{'s' * (threads > 1)}, {first.cpu_model}"
    body = [text(12, 22, title, size=15, weight="bold"), *axes(x, y, "multiply-adds per byte", "GMAC/s")]
    peak_y = y.at(first.peak_gmacs)
    body.append(line(x.low_at, peak_y, x.high_at, peak_y, INK))
    body.append(text(x.high_at, peak_y - 6, f"measured peak, {first.peak_gmacs:.0f} GMAC/s", anchor="end"))
    for level in first.levels:
        # Below the peak, a slope of bytes a second; it starts where it enters the plot.
        start = max(x.low, y.low / level.gbytes_per_second)
        end = first.peak_gmacs / level.gbytes_per_second
        if start < end:
            ends = (x.at(start), y.at(start * level.gbytes_per_second), x.at(min(end, x.high)), peak_y)
            body.append(line(*ends, WEAK, dashes="4 3"))
            label = f"{level.name} {level.gbytes_per_second:.0f} GB/s"
            body.append(text(ends[0] + 4, ends[1] - 4, label, colour=WEAK))
    for layer, intensity in zip(layers, intensities, strict=True):
        about = f"{layer.name}: {layer.gmacs:.0f} GMAC/s, {layer.share_of_roofline:.0%} of the roofline"
        body.append(dot(x.at(intensity), y.at(layer.gmacs), KIND_COLOURS[layer.kind], about))
    kinds = [kind for kind in KIND_COLOURS if any(layer.kind == kind for layer in layers)]
    for index, kind in enumerate(kinds):
        body += legend(MARGIN + 10 + 120 * index, 42, KIND_COLOURS[kind], kind)
    return svg(PLOT_WIDTH, PLOT_HEIGHT, body)


def tuning_curves(races: Sequence[Race]) -> str:
    """Best latency so far against time, logarithmic; ours drawn through, stock MetaSchedule dashed."""
    points = [point for race in races for point in (*race.ours, *race.stock)]
    x = Axis(0.1, max(race.seconds for race in races), MARGIN, PLOT_WIDTH - 30)
    y = Axis(
        min(us for _, us in points) / 1.2, max(us for _, us in points) * 1.2, PLOT_HEIGHT - MARGIN, 50 + 18 * len(races)
    )
    title = "Best latency so far against tuning time; dashed: stock MetaSchedule with a working intrinsic"
    body = [text(12, 22, title, size=15, weight="bold"), *axes(x, y, "seconds", "us")]
    for index, race in enumerate(races):
        colour = RACE_COLOURS[index % len(RACE_COLOURS)]
        body += legend(MARGIN + 10, 42 + 18 * index, colour, race.name.removesuffix("_u8s8u8_nhwc"))
        body.append(staircase(x, y, best_so_far(race.ours, race.seconds), colour))
        body.append(staircase(x, y, best_so_far(race.stock, race.seconds), colour, dashes="5 4"))
    return svg(PLOT_WIDTH, PLOT_HEIGHT, body)


def best_so_far(points: Sequence[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """The points of a staircase that goes on to the end."""
    corners: list[tuple[float, float]] = []
    for seconds, us in points:
        if corners:
            corners.append((seconds, corners[-1][1]))
        corners.append((seconds, us))
    return [*corners, (end, corners[-1][1])]


class Axis:
    """A logarithmic axis between two places on the page."""

    def __init__(self, low: float, high: float, low_at: float, high_at: float) -> None:
        self.low, self.high, self.low_at, self.high_at = low, high, low_at, high_at

    def at(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.low_at + share * (self.high_at - self.low_at)

    def ticks(self) -> list[float]:
        """1, 2, 5, 10, 20, ... inside the range."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        return [value for value in values if self.low <= value <= self.high]


def axes(x: Axis, y: Axis, x_title: str, y_title: str) -> list[str]:
    body = [line(x.low_at, y.low_at, x.high_at, y.low_at, INK), line(x.low_at, y.low_at, x.low_at, y.high_at, INK)]
    for value in x.ticks():
        body.append(line(x.at(value), y.low_at, x.at(value), y.low_at + 4, INK))
        body.append(text(x.at(value), y.low_at + 18, f"{value:g}", anchor="middle"))
    for value in y.ticks():
        body.append(line(x.low_at - 4, y.at(value), x.low_at, y.at(value), INK))
        body.append(text(x.low_at - 8, y.at(value) + 4, f"{value:g}", anchor="end"))
    body.append(text((x.low_at + x.high_at) / 2, y.low_at + 40, x_title, anchor="middle"))
    body.append(text(12, y.high_at - 8, y_title))
    return body


def staircase(x: Axis, y: Axis, points: Iterable[tuple[float, float]], colour: str, dashes: str = "") -> str:
    path = " ".join(f"{x.at(seconds):.1f},{y.at(us):.1f}" for seconds, us in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed(dashes)}/>'


def legend(x: float, y: float, colour: str, label: str) -> list[str]:
    return [rectangle(x, y - 9, 10, 10, colour), text(x + 16, y, label)]


def text(
    x: float, y: float, words: str, anchor: str = "start", size: int = 12, weight: str = "normal", colour: str = INK
) -> str:
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}"{dashed(dashes)}/>'


def rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def dot(x: float, y: float, colour: str, about: str) -> str:
    title = f"<title>{escape(about)}</title>"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" fill-opacity="0.75">{title}</circle>'


def dashed(dashes: str) -> str:
    return f' stroke-dasharray="{dashes}"' if dashes else ""


def svg(width: float, height: float, body: Iterable[str]) -> str:
    start = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
    return "\n".join([start, rectangle(0, 0, width, height, "white"), *body, "</svg>"]) + "\n"
