"""Documents that are cut and joined as text are what the models would have given."""

import json
from pathlib import Path

from tilewright.contract.attempts import History, KnownRecord, NeighbourRecord
from tilewright.contract.candidates import GenericTrace, candidate_fields
from tilewright.contract.hosts import Host
from tilewright.contract.pages import Page
from tilewright.contract.records import FailedRecord, FailureKind, Record, RecordState
from tilewright.contract.workload import Workload
from tilewright_service.documents import document_of, join, page, pick, with_fields

from .stand_in import HOST, invented_choice, invented_publication, invented_record

SERVICE = Path(__file__).parents[2] / "service"
WORKLOAD = Workload(in_channels=8, batch=1, height=8, width=8, out_channels=8, kernel_size=(1, 1))
MEASURED = invented_record(7, 1, WORKLOAD.id, 5)
FAILED = FailedRecord(
    **candidate_fields(GenericTrace(trace=[[["}"]], ["{"]])),
    **MEASURED.model_dump(include={"workload_id", "target", "seconds", "provenance"}),
    state=RecordState.FAILED,
    failure=FailureKind.CRASH,
    reason='it said "}" and ended in \\',
)


def test_a_document_with_more_fields_is_the_model_that_has_them() -> None:
    documents = [with_fields(document_of(each), id=number) for number, each in enumerate((MEASURED, FAILED), start=1)]
    served = Page[Record].model_validate_json(page(documents, "/v1/records?cursor=2"))
    assert [each.model_dump(exclude={"id"}) for each in served.items] == [MEASURED.model_dump(), FAILED.model_dump()]
    assert ([each.id for each in served.items], served.next) == ([1, 2], "/v1/records?cursor=2")


def test_text_keeps_its_quotes_and_braces() -> None:
    script = '# "}" \\ ]\n'
    assert json.loads(with_fields(document_of(HOST), script=script))["script"] == script


def test_pages_may_be_empty() -> None:
    assert Page[Host].model_validate_json(page([], None)) == Page[Host](items=[])


def test_documents_join_to_the_model_that_holds_them() -> None:
    document = join(
        records=[pick(each.model_dump(mode="json"), KnownRecord) for each in (MEASURED, FAILED)],
        incumbent=None,
        neighbours=[
            join(
                workload=document_of(WORKLOAD),
                records=[pick(MEASURED.model_dump(mode="json"), NeighbourRecord)],
            )
        ],
    )
    history = History.model_validate_json(document)
    assert [each.latency_us for each in history.records] == [105.0, None]
    assert history.neighbours[0].workload == WORKLOAD
    assert history.neighbours[0].records[0].choice == invented_choice(5)


def test_what_is_not_there_is_null_in_a_list() -> None:
    known = document_of(invented_publication(7, 1, WORKLOAD.id))
    assert json.loads(join(items=[None, known]))["items"] == [None, json.loads(known)]


def test_only_one_module_cuts_documents() -> None:
    cutters = [path.name for path in SERVICE.rglob("*.py") if "[:-1]" in path.read_text()]
    assert cutters == ["documents.py"]
