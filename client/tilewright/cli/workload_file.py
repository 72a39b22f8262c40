"""Workloads from a file or from standard input."""

import sys
from pathlib import Path

from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest
from tilewright.workload_source import parse_workloads


def read_workloads(path: str) -> list[Workload]:
    """Raises `InvalidRequest` that names the file and the field."""
    name = "standard input" if path == "-" else path
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return parse_workloads(content.decode("utf-8"))
    except OSError as error:
        raise InvalidRequest(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name}: this is not UTF-8 text") from error
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error.detail}", error.errors) from error
