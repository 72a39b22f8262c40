"""The Python blocks of a page of the docs, run in their order as one program."""

import re
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_page(page: Path) -> dict[str, Any]:
    """The names that are there at the end. A traceback has the lines of the page."""
    text = page.read_text()
    names: dict[str, Any] = {"__name__": page.stem}
    for block in BLOCK.finditer(text):
        lines_before = text.count("\n", 0, block.start(1))
        exec(compile("\n" * lines_before + block.group(1), page, "exec"), names)
    return names
