import json

import pytest

from tilewright import Workload
from tilewright.errors import InvalidRequest
from tilewright.workload_source import parse_json, parse_workload, parse_workloads

from .examples import CONV

WORKLOAD = Workload.model_validate(CONV)


@pytest.mark.parametrize("source", [CONV, json.dumps(CONV), WORKLOAD], ids=["dict", "text", "Workload"])
def test_a_workload_is_a_dict_or_text_or_itself(source: object) -> None:
    assert parse_workload(source) == WORKLOAD  # type: ignore[arg-type]
    assert parse_workloads(source) == [WORKLOAD]  # type: ignore[arg-type]


def test_several_workloads_come_as_an_array_or_as_any_mixture() -> None:
    assert parse_workloads(json.dumps([CONV, CONV])) == [WORKLOAD, WORKLOAD]
    assert parse_workloads([CONV, json.dumps(CONV), WORKLOAD]) == [WORKLOAD] * 3


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[1,]", '{"batch": NaN}', "[Infinity]", '{"a": 1, "a": 2}'])
def test_only_strict_json_is_read(text: str) -> None:
    with pytest.raises(InvalidRequest, match="this is not JSON"):
        parse_json(text)


def test_json_of_any_depth_gets_an_answer() -> None:
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        parse_json("[" * 100_000)


@pytest.mark.parametrize("source", ["[]", "3", "null", '"text"', "[[]]", "[null]", "true"])
def test_json_that_is_no_workload_is_refused(source: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_workloads(source)


def test_a_refusal_says_which_of_several_workloads_is_wrong() -> None:
    with pytest.raises(InvalidRequest, match=r"1\.groups: "):
        parse_workloads([CONV, {**CONV, "groups": 0}])
