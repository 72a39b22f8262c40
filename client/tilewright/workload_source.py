"""Workloads as people write them: a dict, JSON text, or a `Workload`; one, or many."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest

WorkloadSource = Workload | Mapping[str, Any] | str

_WORKLOADS = TypeAdapter(list[Workload], config=ConfigDict(defer_build=True))


def parse_workload(source: WorkloadSource) -> Workload:
    value = parse_json(source) if isinstance(source, str) else source
    if isinstance(value, Workload):
        return value
    try:
        return Workload.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest.from_validation(error) from error


def parse_workloads(source: WorkloadSource | Sequence[WorkloadSource]) -> list[Workload]:
    """Also of a JSON array, or of a sequence of any of these."""
    value = parse_json(source) if isinstance(source, str) else source
    if not isinstance(value, Sequence):
        return [parse_workload(value)]
    if not value:
        raise InvalidRequest("there is no workload in it")
    try:
        return _WORKLOADS.validate_python([parse_json(each) if isinstance(each, str) else each for each in value])
    except ValidationError as error:
        raise InvalidRequest.from_validation(error) from error


def parse_json(text: str) -> Any:
    """Strict JSON: no NaN, no key twice."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except ValueError as error:
        hint = "; a network is given by name, as network=..." if text.strip().isidentifier() else ""
        raise InvalidRequest(f"this is not JSON: {error}{hint}") from error
    except RecursionError as error:
        raise InvalidRequest("this JSON is nested too deeply") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return result
