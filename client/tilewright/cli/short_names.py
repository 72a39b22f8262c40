"""Long names in a narrow column: the middle gives way, between parts only, so that no number in a name is cut."""

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

ELLIPSIS = "…"


def fit_names(names: Sequence[str], width: int) -> list[str]:
    """Every name in at most `width` cells: shortened such as `n1_c64_h56w56…_nhwc`, with one end for all of them that
    keeps different names different; where there is none, on several lines.
    """
    for end in _ends(names):
        fitted = [_shorten(name, width, end) for name in names]
        if None not in fitted and len(set(fitted)) == len(set(names)):
            return [name for name in fitted if name is not None]
    return [_fold(name, width) for name in names]


def _ends(names: Iterable[str]) -> Iterable[int]:
    """How many parts stand after the gap, what looks best first."""
    most = max((len(_parts(name)) for name in names), default=0)
    return 1, 2, 0, *range(3, most)


def _shorten(name: str, width: int, end: int) -> str | None:
    """None where the parts do not fit."""
    if cell_len(name) <= width:
        return name
    parts = _parts(name)
    after = ELLIPSIS + "".join(parts[len(parts) - end :])
    before = ""
    for part in parts[: len(parts) - end]:
        if cell_len(before + part + after) > width:
            break
        before += part
    return before + after if before else None


def _fold(name: str, width: int) -> str:
    lines = [""]
    for part in _parts(name):
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _parts(name: str) -> list[str]:
    """`n1`, `_c64`, `_h56w56`, ...: all of the name."""
    return re.findall(r"[_-]*[^_-]+|[_-]+$", name)
