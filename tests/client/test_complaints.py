"""Whatever is wrong with a document is said in words of this project."""

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core.core_schema import ErrorType

from tilewright.complaints import complaints
from tilewright.contract.attempts import (
    Cause,
    Failed,
    Finished,
    LaunchOrder,
    RecordBatch,
    Renewal,
    Report,
    Start,
    WorkloadFailure,
    WorkloadOutcome,
)
from tilewright.contract.jobs import Job, JobRequest
from tilewright.contract.message import Message
from tilewright.contract.records import FailedRecord, RecordState
from tilewright.contract.schedules import Lookup, LookupResult
from tilewright.contract.workers import Worker
from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest
from tilewright.expectations import Expectation, expectation_of

from ..service.stand_in import HOST, invented_publication, invented_record
from .examples import CONV, job, schedule, worker
from .mutations import LIBRARY_WORDS, mutations

WORKLOAD = Workload.model_validate({**CONV, "stride": 1})
RECORD = invented_record(1, 1, WORKLOAD.id, 0)
FAILED_RECORD = FailedRecord(
    **{name: value for name, value in RECORD.model_dump().items() if name in FailedRecord.model_fields}
    | {"state": RecordState.FAILED, "failure": "crash", "reason": "it broke", "latencies_us": []}
    | {"latency_us": None, "spread_us": None}
)
EXAMPLES: list[Message] = [
    WORKLOAD,
    JobRequest(workloads=[WORKLOAD], seconds=5),
    JobRequest(network="resnet18", batch=2),
    Lookup(workloads=[WORKLOAD], isa="avx2", host_class="here"),
    LaunchOrder(url="http://here", database_id="0" * 32, job_id=1, attempt=1, token="secret", threads=1),
    Start(host=HOST, process="0" * 32),
    RecordBatch(records=[RECORD, FAILED_RECORD]),
    Renewal(progress=3),
    WorkloadFailure(workload_id=WORKLOAD.id, reason="it broke"),
    invented_publication(1, 1, WORKLOAD.id, replaces=1),
    WorkloadOutcome(workload_id=WORKLOAD.id, stop_reason="budget", seconds=1, schedule_id=1),
    Job.model_validate(job()),
    Worker.model_validate(worker()),
    LookupResult.model_validate({"items": [schedule(), None]}),
]
"""Of everything that users and attempts send, and of two answers."""

KINDS: list[tuple[Any, Any]] = [
    *((type(each), each.model_dump(mode="json")) for each in EXAMPLES),
    *((Report, each.model_dump(mode="json")) for each in (Finished(), Failed(cause=Cause.HOST, reason="it broke"))),
]


def mistakes(kind: Any, document: Any) -> list[tuple[Any, ValidationError]]:
    found = []
    validator: TypeAdapter[Any] = TypeAdapter(kind)
    for mutation in mutations(document):
        try:
            validator.validate_python(mutation)
        except ValidationError as error:
            found.append((mutation, error))
    return found


@pytest.mark.parametrize(("kind", "document"), KINDS, ids=lambda each: getattr(each, "__name__", ""))
def test_no_mistake_is_told_in_the_words_of_a_library(kind: Any, document: Any) -> None:
    found = mistakes(kind, document)
    assert len(found) > 20
    expected = Expectation(*[TypeAdapter(kind).json_schema()] * 2)
    for mutation, error in found:
        refusal = InvalidRequest.of(complaints(error.errors(), expected))
        assert refusal.errors, mutation
        for text in (refusal.detail, *(each["message"] for each in refusal.errors)):
            assert text
            assert not LIBRARY_WORDS.search(text), (mutation, text)
            assert len(refusal.detail) < 3000


def test_the_mistakes_are_of_every_type_that_the_models_know() -> None:
    types = {
        each["type"] for kind, document in KINDS for _, error in mistakes(kind, document) for each in error.errors()
    }
    assert types >= {
        *("missing", "extra_forbidden", "value_error", "model_type", "literal_error", "enum"),
        *("int_type", "float_type", "float_parsing", "bool_type", "string_type", "datetime_type"),
        *("tuple_type", "list_type", "dict_type", "too_short", "too_long", "datetime_from_date_parsing"),
        *("greater_than", "greater_than_equal", "less_than_equal", "finite_number"),
        *("string_pattern_mismatch", "string_too_long", "union_tag_invalid", "union_tag_not_found"),
    }


@pytest.mark.parametrize("type_", get_args(ErrorType))
@pytest.mark.parametrize("given", [None, "text", [1], 5], ids=repr)
def test_every_error_that_there_is_has_a_sentence(type_: str, given: Any) -> None:
    context = {"error": "the reason", "discriminator": "'state'", "tag": "lost"}
    error = {"type": type_, "loc": ("batch",), "msg": "Input should", "input": given, "ctx": context}
    for kind in (Workload, JobRequest, Lookup):
        (complaint,) = complaints([error], expectation_of(kind))
        for text in (complaint.message, complaint.sentence):
            assert text
            assert "Input should" not in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"padding": [1, 1]}, "padding is 4 numbers: top, left, bottom, right (found 2)"),
        ({"kernel_size": [3]}, "kernel_size is 2 numbers: height, width (found 1)"),
        ({"kernel_size": "3x3"}, "kernel_size is '3x3' (text); it has to be 2 numbers: height, width"),
        ({"stride": 0}, "stride is 0; it has to be from 1 to 256"),
        ({"stride": [1, 300]}, "stride[1] is 300; it has to be from 1 to 256"),
        ({"batch": 0}, "batch is 0; it has to be from 1 to 4096"),
        ({"height": "56"}, "height is '56' (text); it has to be a whole number from 1 to 16384"),
        ({"height": None}, "height is null; it has to be a whole number from 1 to 16384"),
        ({"height": 10**5000}, "height is a number of more than 20 digits; it has to be from 1 to 16384"),
        ({"bias": 1}, "bias is 1; it has to be true or false"),
        ({"data_dtype": "float32"}, "data_dtype is 'float32'; it is one of uint8, int8"),
        ({"weight_dtype": "uint8"}, "weight_dtype is 'uint8'; it can only be int8"),
        ({"chanels": 3}, "there is no field 'chanels'; did you mean in_channels?"),
        ({"groups": 3}, "groups=3 does not divide in_channels=64"),
    ],
)
def test_a_mistake_is_told_as_a_person_would(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Workload(**{**CONV, **changes})
    assert str(caught.value) == sentence


def test_a_name_that_is_like_no_other_is_answered_with_all_of_them() -> None:
    with pytest.raises(InvalidRequest, match=r"there is no field 'qqq'; there are batch, in_channels, .*, residual$"):
        Workload(**{**CONV, "qqq": 1})


def test_what_an_object_lacks_is_one_sentence_and_one_error_each() -> None:
    with pytest.raises(InvalidRequest) as caught:
        JobRequest(workloads=[{"batch": 1, "in_channels": 3, "height": 4, "width": 4}])
    assert str(caught.value) == "out_channels and kernel_size are missing in workloads[0]"
    assert caught.value.errors == [
        {"field": "workloads.0.out_channels", "message": "out_channels is missing"},
        {"field": "workloads.0.kernel_size", "message": "kernel_size is missing"},
    ]


def test_a_mistake_inside_is_told_with_its_place() -> None:
    with pytest.raises(InvalidRequest) as caught:
        JobRequest(workloads=[CONV, {**CONV, "stride": [0, 1], "groups": 0}], trials=0)
    assert str(caught.value) == (
        "workloads[1].stride[0] is 0; it has to be from 1 to 256. "
        "workloads[1].groups is 0; it has to be from 1 to 65536. trials is 0; it has to be from 1 to 100000"
    )
    assert [each["field"] for each in caught.value.errors] == ["workloads.1.stride.0", "workloads.1.groups", "trials"]


def test_of_a_thousand_mistakes_a_few_are_told_and_a_hundred_are_listed() -> None:
    with pytest.raises(InvalidRequest, match=r"workloads\[7\].batch is 0; .*\. and so on$") as caught:
        JobRequest(workloads=[{**CONV, "batch": 0}] * 1000)
    assert len(caught.value.errors) == 100
