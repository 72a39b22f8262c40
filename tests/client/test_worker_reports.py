"""What a worker says of itself is not believed when it could not be stored, or shown to a person."""

from typing import Any

import pytest
from pydantic import ValidationError

from tilewright import __version__
from tilewright.contract.workers import WorkerReport

from ..service.stand_in import HOST

REPORT = {"name": "one", "version": __version__, "host": HOST.model_dump(mode="json"), "cores": 2}


def report(changes: dict[str, Any], **of_host: Any) -> WorkerReport:
    return WorkerReport.model_validate({**REPORT, **changes, "host": {**HOST.model_dump(mode="json"), **of_host}})


def test_names_of_machines_are_taken_as_they_are() -> None:
    said = report({"name": "Büro 7, links"}, hostname="büro.example", cpu_model="")
    assert (said.name, said.host.hostname) == ("Büro 7, links", "büro.example")
    assert report({"name": "n" * 255}).name == "n" * 255


@pytest.mark.parametrize(
    ("changes", "of_host"),
    [
        *(({"name": name}, {}) for name in ("", "n" * 256, "a\0b", "a\x1b[2J", "a\n", "a\x9b")),
        *(({}, {"hostname": name}) for name in ("n" * 256, "a\0b", "a\x1b[2J", "a\n", "a\x7f")),
        ({}, {"cpu_model": "a\0b"}),
        ({}, {"isas": []}),
    ],
)
def test_an_odd_report_is_refused(changes: dict[str, Any], of_host: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        report(changes, **of_host)
