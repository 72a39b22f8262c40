"""A bar chart of speed-ups as SVG, for the README: python bench/chart.py docs/resnet18.json docs/resnet18.svg"""

import json
import sys
from html import escape
from pathlib import Path

ROW, LEFT, UNIT, TOP = 22, 330, 170, 52
INK, BAR, WEAK = "#24292f", "#2f6f4f", "#8c959f"


def chart(layers: list[dict[str, float]], title: str) -> str:
    """One bar a layer: how many times as fast as ONNX Runtime; the line marks equality."""
    widest = max(layer["ratio"] for layer in layers)
    width, height = int(LEFT + UNIT * widest + 140), TOP + ROW * len(layers) + 16
    rows = [_row(index, layer) for index, layer in enumerate(layers)]
    line = LEFT + UNIT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            f'<text x="12" y="22" font-size="15" font-weight="bold" fill="{INK}">{escape(title)}</text>',
            f'<text x="{line}" y="44" font-size="11" text-anchor="middle" fill="{WEAK}">ONNX Runtime = 1</text>',
            *rows,
            f'<line x1="{line}" y1="{TOP - 4}" x2="{line}" y2="{height - 10}" stroke="{INK}" stroke-dasharray="3 3"/>',
            "</svg>",
        ]
    )


def _row(index: int, layer: dict[str, float]) -> str:
    y, length = TOP + ROW * index, UNIT * layer["ratio"]
    name = escape(str(layer["name"]).removesuffix("_nhwc"))
    return (
        f'<text x="{LEFT - 8}" y="{y + 13}" font-size="12" text-anchor="end" fill="{INK}">{name}</text>'
        f'<rect x="{LEFT}" y="{y + 2}" width="{length:.0f}" height="{ROW - 6}" fill="{BAR}"/>'
        f'<text x="{LEFT + length + 6:.0f}" y="{y + 13}" font-size="12" fill="{INK}">'
        f"{layer['ratio']:.2f} x, {layer['gmacs']:.0f} GMAC/s</text>"
    )


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    layers = json.loads(source.read_text())
    target.write_text(chart(layers, f"{source.stem}, int8, one thread: times as fast as ONNX Runtime") + "\n")


if __name__ == "__main__":
    main()
