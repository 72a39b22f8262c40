"""Workloads from a file or from standard input."""

import sys
from pathlib import Path

from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest
from tilewright.workload_source import parse_workloads

ONNX_BEGINNING = b"\x08"
"""The tag of `ir_version`, the first field of a model. No text begins with it."""


def read_workloads(path: str) -> list[Workload]:
    """Raises `InvalidRequest` that names the file and the field."""
    name = "standard input" if path == "-" else path
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {name}: {error.strerror}") from error
    refuse_onnx(name, content)
    try:
        return parse_workloads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} is not JSON text: it is not UTF-8") from error
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error.detail}", error.errors) from error


def refuse_onnx(name: str, content: bytes = b"") -> None:
    """Judged by the name, or by how the content begins."""
    if name.endswith(".onnx") or content.startswith(ONNX_BEGINNING):
        raise InvalidRequest(
            f"{name} is an ONNX model, not a workload file; whole models are not read yet: "
            "write its convolutions as workloads (docs/how-to/numbers.md)"
        )
