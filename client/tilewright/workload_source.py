"""Workloads as people write them: a dict, JSON text, or a `Workload`; one, or many."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tilewright.contract.plain import plain
from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest
from tilewright.sentences import shown

WorkloadSource = Workload | Mapping[str, Any] | str

MOST_DIGITS = 30
MOST_SHOWN = 60
EXAMPLE = '{"batch": 1, "in_channels": 64, ...}'

_WORKLOADS = TypeAdapter(list[Workload], config=ConfigDict(defer_build=True))


def parse_workload(source: WorkloadSource) -> Workload:
    """Of a dict its numbers may be NumPy's."""
    value = _value(source)
    if isinstance(value, Workload):
        return value
    _require_workload(value, "this")
    return Workload.model_validate(value)


def parse_workloads(source: WorkloadSource | Sequence[WorkloadSource]) -> list[Workload]:
    """Also of a JSON array, or of a sequence of any of these."""
    value = _value(source)
    if not isinstance(value, list | tuple):
        return [parse_workload(value)]
    if not value:
        raise InvalidRequest("there is no workload in it")
    workloads = [_value(each) for each in value]
    for index, each in enumerate(workloads):
        _require_workload(each, f"[{index}]")
    try:
        return _WORKLOADS.validate_python(plain(workloads))
    except ValidationError as error:
        raise InvalidRequest.from_validation(error, list[Workload]) from error


def parse_json(text: str) -> Any:
    """Strict JSON: no NaN, no key twice."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_int=_integer, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"this is not JSON: {_where(error)}{_hint(text.strip())}") from error
    except ValueError as error:
        raise InvalidRequest(f"this is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidRequest("this JSON is nested too deeply") from error


def _value(source: Any) -> Any:
    return parse_json(source) if isinstance(source, str) else source


def _require_workload(value: Any, name: str) -> None:
    """Tells another kind of thing from a workload with a mistake."""
    if isinstance(value, Workload):
        return
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{name} is {shown(value)}; a workload is an object {EXAMPLE}, JSON of it, or a Workload")
    if not value.keys() & Workload.model_fields.keys():
        has = ", ".join(map(str, value)) or "nothing"
        raise InvalidRequest(f"{name} is not a workload, for it has {has}; {_remedy(value)}")


def _remedy(value: Mapping[str, Any]) -> str:
    if {"network", "workloads"} <= value.keys():
        return "`tilewright networks NAME --json | jq '[.[].workloads[].workload]'` prints those of a network"
    for name in ("workloads", "workload"):
        if name in value:
            return f"give what stands under {name!r}"
    required = [name for name, field in Workload.model_fields.items() if field.is_required()]
    return f"a workload has {', '.join(required)}"


def _where(error: json.JSONDecodeError) -> str:
    """The line itself, as far as it can be shown."""
    reason = f"{error.msg[:1].lower()}{error.msg[1:]} in line {error.lineno}, column {error.colno}"
    lines = error.doc.splitlines()
    line = lines[error.lineno - 1] if error.lineno <= len(lines) else ""
    begin = max(0, error.colno - MOST_SHOWN // 2)
    part = line[begin : begin + MOST_SHOWN].strip()
    return f"{reason}: {part if part.isprintable() else repr(part)}" if part else reason


def _hint(text: str) -> str:
    if text.isidentifier():
        return f"; a network is given to submit by its name, as network={text!r}"
    is_file_name = text.endswith((".json", ".onnx")) and "\n" not in text
    return "; of a file give the text, as Path(...).read_text()" if is_file_name else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits is too long")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return result
