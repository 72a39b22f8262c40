import json
import subprocess
import sys
from pathlib import Path

from tilewright.contract.events import EVENTS
from tilewright_service.openapi import PATH, render

from .in_thread import ServiceInThread
from .stand_in import START

ROOT = Path(__file__).parents[2]
SECONDS = 12


def test_the_document_is_the_one_that_the_application_gives() -> None:
    assert (ROOT / PATH).read_text() == render(), "write it with: python -m tilewright_service.openapi"


def test_the_document_names_every_kind_of_event_and_what_it_brings() -> None:
    document = json.loads(render())
    stream = document["paths"]["/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    reference = stream["itemSchema"]["properties"]["data"]["contentSchema"]["$ref"]
    schemas = document["components"]["schemas"]
    kinds = schemas[reference.rpartition("/")[2]]["discriminator"]["mapping"]
    assert set(kinds) == set(EVENTS)
    for kind, reference in kinds.items():
        fields = schemas[reference.rpartition("/")[2]]["properties"]
        assert fields["type"]["const"] == kind
        assert fields["data"]["$ref"].rpartition("/")[2] in schemas


def test_the_document_takes_one_number_for_equal_ones() -> None:
    workload = json.loads(render())["components"]["schemas"]["Workload"]["properties"]
    for field, least, most, count in (("kernel_size", 1, 256, 2), ("padding", 0, 1024, 4)):
        number, numbers = workload[field]["anyOf"]
        assert (number["type"], number["minimum"], number["maximum"]) == ("integer", least, most)
        assert (numbers["type"], numbers["prefixItems"]) == ("array", [number] * count)


def test_every_answer_is_as_the_document_says(service: ServiceInThread, tmp_path: Path) -> None:
    """No 5xx, no violation of a schema. Events are left out: they do not end while a job is open.

    Rules between fields, such as "either workloads or network", cannot be said in a schema, so a request that
    fits its schema may still be refused.
    """
    service.submit()
    attempt = service.begin_attempt(START)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json"),
        *("--max-time", str(SECONDS), "--suppress-health-check", "all", "--no-color"),
        *("--header", f"Authorization: Bearer {attempt.order.token}"),
        *("--exclude-path-regex", "/events$", "--exclude-checks", "positive_data_acceptance,ignored_auth"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout
