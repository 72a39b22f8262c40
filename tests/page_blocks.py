"""What a page for administrators holds: files, and commands, each with the hosts that it is for."""

import re
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(
    r"^```\w*\n# (?:(?P<path>/\S+) )?on (?P<hosts>[\w, ]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    path: str | None
    """Of a file; None for commands."""
    hosts: tuple[str, ...]
    text: str


def blocks_of(page: Path) -> list[Block]:
    """In their order. Every block of code but pictures and tables of words has to say where it belongs."""
    found = BLOCK.finditer(page.read_text())
    return [Block(each["path"], tuple(each["hosts"].split(", ")), each["text"]) for each in found]


def rows_of(page: Path, heading: str) -> list[list[str]]:
    """The cells of the tables under a heading, without those of their first lines."""
    section = page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    titles = {number - 1 for number, line in enumerate(lines) if set(line) <= set("|-")}
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for number, row in enumerate(cells) if number not in titles and number - 1 not in titles]
