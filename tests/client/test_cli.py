import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from onnx import helper
from typer.testing import CliRunner

from tilewright.cli.app import app
from tilewright.contract.events import parse_event
from tilewright.contract.jobs import Job
from tilewright.doctor import Check

from .conftest import Reply, ScriptedServer
from .examples import CONV, event, job, job_of, job_workload, problem, schedule, summary
from .mutations import LIBRARY_WORDS

COMMANDS = ["serve", "worker", "submit", "jobs", "watch", "cancel", "best", "networks", "export", "doctor", "demo"]
STREAM = "text/event-stream"


def run(*arguments: object, text: str | None = None) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments], input=text)


@pytest.fixture
def conv_file(tmp_path: Path) -> Path:
    path = tmp_path / "conv.json"
    path.write_text(json.dumps(CONV))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"tilewright {command}" in result.stdout
    assert "Example" in result.stdout


def test_help_is_there_at_once_and_without_the_compiler() -> None:
    code = (
        "import sys; from tilewright.cli.app import app; app(['--help'], standalone_mode=False);"
        "print({'tvm', 'fastapi', 'distributed', 'sqlalchemy', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    began = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 5
    assert result.stderr.strip() == "set()"


def test_the_version_is_shown() -> None:
    assert run("--version").stdout.startswith("tilewright 0.")


@pytest.mark.parametrize("command", ["submit", "best"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not JSON"),
        ("{", "this is not JSON"),
        ("[]", "there is no workload in it"),
        ("42", "this is 42; a workload is an object"),
        ('{"batch": NaN}', "NaN is not a number in JSON"),
        ('{"batch": 1, "batch": 2}', "'batch' appears twice"),
        (json.dumps({**CONV, "height": -1}), "height is -1; it has to be from 1 to 16384"),
        (json.dumps({**CONV, "height": 10**12}), "height is 1000000000000; "),
        (json.dumps({**CONV, "height": 56.0}), "height is 56.0; it has to be a whole number"),
        (json.dumps({**CONV, "hieght": 56}), "no field 'hieght'; did you mean height?"),
        (json.dumps({**CONV, "groups": 3}), "groups=3 does not divide in_channels=64"),
        (json.dumps([CONV, {**CONV, "stride": [1]}]), "[1].stride is 2 numbers: height, width (found 1)"),
        ("[" * 100_000, "nested too deeply"),
        (f'{{"batch": {"[" * 600}{"]" * 600}}}', "nested too deeply"),
    ],
)
def test_bad_workloads_are_wrong_usage_and_name_the_field(
    command: str, text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    for result in (run(command, "--workload", path), run(command, "--workload", "-", text=text)):
        assert result.exit_code == 2
        assert result.stdout == ""
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert str(path) in run(command, "--workload", path).stderr
    assert "standard input" in run(command, "--workload", "-", text=text).stderr


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing.json", tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, reason in ((missing, "No such file"), (tmp_path, "Is a directory"), (binary, "not UTF-8")):
        result = run("submit", "--workload", path)
        assert result.exit_code == 2
        assert str(path) in result.stderr
        assert reason in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit"],
        ["submit", "--network", "resnet18", "--workload", "x"],
        ["submit", "--workload", "x", "--batch", "2"],
        ["submit", "--network", "resnet18", "--seconds", "nan"],
        ["submit", "--network", "resnet18", "--seconds", "-1"],
        ["submit", "--network", "resnet18", "--trials", "0"],
        ["submit", "--network", "resnet18", "--trials", "many"],
        ["submit", "--network", "resnet18", "--threads", "0"],
        ["submit", "--network", "resnet18", "--target", "sse2"],
        ["submit", "--network", "resnet18", "--batch", "-1"],
        ["submit", "--no-such-option"],
        ["best", "--network", "vgg16"],
        ["best", "--network", "resnet18", "--threads", "0"],
        ["best", "--network", "resnet18", "--batch", "4096"],
        ["networks", "vgg16"],
        ["jobs", "--state", "sleeping"],
        ["jobs", "--url", "nowhere"],
        ["watch"],
        ["watch", "seven"],
        ["serve", "--port", "99999"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_without_a_traceback(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr
    assert "Traceback" not in result.stderr
    assert "should not happen" not in result.stderr
    assert not LIBRARY_WORDS.search(" ".join(result.stderr.replace("│", " ").split()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", "-n", "resnet18", "--trials", "many"], "'--trials': it is 'many'; it has to be a whole number"),
        (["submit", "-n", "resnet18", "--seconds", "ten"], "'--seconds': it is 'ten'; it has to be a number"),
        (["submit", "-n", "resnet18", "--seconds", "nan"], "seconds is nan; it has to be a number above 0"),
        (["jobs", "--limit", "0"], "'--limit': it is 0; it has to be at least 1"),
        (["jobs", "--state", "lost"], "'--state': 'lost' is not one of 'queued', 'running',"),
        (["watch", "seven"], "'ID': it is 'seven'; it has to be a whole number"),
        (["networks", "--batch", "0"], "batch is 0; it has to be from 1 to 4096"),
        (["serve", "--port", "99999"], "port is 99999; it has to be from 0 to 65535"),
        (["jobs", "--url", "nowhere:80"], "did you mean http://nowhere:80?"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_wrong_value_is_told_as_a_person_would(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_an_onnx_model_is_told_from_a_workload_file(tmp_path: Path) -> None:
    model, unnamed = tmp_path / "model.onnx", tmp_path / "model"
    for path in (model, unnamed):
        path.write_bytes(helper.make_model(helper.make_graph([], "empty", [], [])).SerializeToString())
        result = run("submit", "--workload", path)
        assert result.exit_code == 2
        assert result.stderr.startswith(
            f"error: {path} is an ONNX model, not a workload file; whole models are not read"
        )
        assert "docs/how-to/numbers.md" in result.stderr
    assert "is an ONNX model" in run("best", "--network", "model.onnx").stderr


def test_a_file_is_not_the_name_of_a_network(conv_file: Path) -> None:
    result = run("submit", "--network", conv_file)
    assert result.exit_code == 2
    assert f"{conv_file} is a file, which goes with --workload" in result.stderr


def test_a_file_of_another_system_may_begin_with_a_byte_order_mark(conv_file: Path, server: ScriptedServer) -> None:
    conv_file.write_bytes(b"\xef\xbb\xbf" + conv_file.read_bytes())
    server.replies(Reply(201, job("queued")))
    assert run("submit", "--workload", conv_file, "--url", server.url).exit_code == 0


def test_the_output_of_networks_is_told_how_to_become_workloads() -> None:
    result = run("submit", "--workload", "-", text=run("networks", "resnet18", "--json").stdout)
    assert result.exit_code == 2
    assert "standard input: [0] is not a workload, for it has network, workloads; `tilewright networks" in result.stderr


def test_a_service_that_is_down_is_exit_code_1_with_the_remedy(conv_file: Path) -> None:
    for arguments in (["jobs"], ["submit", "--workload", str(conv_file)], ["watch", "1"], ["best", "-n", "resnet18"]):
        result = run(*arguments, "--url", "http://127.0.0.1:1", "--json")
        assert result.exit_code == 1
        assert result.stdout == ""
        assert "tilewright serve" in result.stderr


def test_what_the_service_refuses_is_wrong_usage(server: ScriptedServer, conv_file: Path) -> None:
    server.replies(Reply(422, problem("unknown-network", 422, "there is no network 'vgg16'")))
    result = run("submit", "--network", "vgg16", "--url", server.url)
    assert (result.exit_code, result.stderr) == (2, "error: there is no network 'vgg16'\n")


def test_submit_prints_the_job_as_json(server: ScriptedServer, conv_file: Path) -> None:
    server.replies(Reply(201, job("queued")))
    result = run("submit", "--workload", conv_file, "--seconds", 5, "--json", "--url", server.url)
    assert result.exit_code == 0
    assert Job.model_validate_json(result.stdout).id == 7
    assert server.calls[0].body["seconds"] == 5


def test_submit_reads_the_address_from_the_environment(
    server: ScriptedServer, conv_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILEWRIGHT_URL", server.url)
    server.replies(Reply(201, job("queued")))
    assert "tilewright watch 7" in run("submit", "--workload", conv_file).stdout


@pytest.mark.parametrize(("state", "code"), [("finished", 0), ("failed", 1), ("cancelled", 1)])
def test_waiting_ends_with_the_job_and_its_exit_code(
    server: ScriptedServer, conv_file: Path, state: str, code: int
) -> None:
    stream = Reply(200, event(1) + event(2, state), STREAM)
    server.replies(Reply(201, job("queued")), Reply(200, job("running")), stream, Reply(200, job(state)))
    result = run("submit", "--workload", conv_file, "--wait", "--json", "--url", server.url)
    assert result.exit_code == code
    assert Job.model_validate_json(result.stdout).state == state


def test_without_a_terminal_progress_is_plain_lines(server: ScriptedServer, conv_file: Path) -> None:
    stream = Reply(200, event(1) + event(2, "finished"), STREAM)
    server.replies(Reply(201, job("queued")), Reply(200, job("running")), stream, Reply(200, job("finished")))
    result = run("submit", "--workload", conv_file, "--wait", "--url", server.url)
    lines = result.stdout.splitlines()
    assert lines[0] == "job 7 is queued"
    assert "running" in lines[1]
    assert "3 trials, best 123.4 us, 93.7 GMAC/s, 81% of peak" in lines[2]
    assert "finished" in lines[3]
    assert "\x1b" not in result.stdout


def test_watch_as_json_is_one_event_a_line(server: ScriptedServer) -> None:
    stream = Reply(200, event(1) + event(2, "finished"), STREAM)
    server.replies(stream, Reply(200, job("finished")))
    result = run("watch", 7, "--json", "--url", server.url)
    assert result.exit_code == 0
    assert [parse_event(line).id for line in result.stdout.splitlines()] == [1, 2]


def test_watching_a_job_that_failed_says_why(server: ScriptedServer) -> None:
    server.replies(Reply(200, job("failed", reason="the worker is gone")))
    result = run("watch", 7, "--url", server.url)
    assert result.exit_code == 1
    assert "the worker is gone" in result.stderr


def test_a_job_that_does_not_exist_is_exit_code_1(server: ScriptedServer) -> None:
    server.replies(Reply(404, problem("not-found", 404, "there is no job 99")))
    for command in ("watch", "cancel"):
        result = run(command, 99, "--url", server.url)
        assert (result.exit_code, result.stderr) == (1, "error: there is no job 99\n")


def test_jobs_are_listed(server: ScriptedServer) -> None:
    server.replies(Reply(200, {"items": [summary("finished"), summary("queued", id=8)], "next": None}))
    result = run("jobs", "--url", server.url)
    assert "n1_c64_h56w56_o64_k3x3_s1_p1_u8s8u8_nhwc" in result.stdout
    assert [each["id"] for each in json.loads(run("jobs", "--url", server.url, "--json").stdout)] == [7, 8]


def listed(server: ScriptedServer, *jobs: dict[str, Any]) -> str:
    server.replies(Reply(200, {"items": list(jobs), "next": None}))
    result = run("jobs", "--url", server.url)
    assert result.exit_code == 0
    return str(result.stdout)


def test_owners_are_listed_when_there_is_more_than_one_person(server: ScriptedServer) -> None:
    assert "owners" not in listed(server, summary(owners=["bea"]), summary(id=8, owners=["bea"]), summary(id=9))
    shown = listed(server, summary(owners=["bea"]), summary(id=8, owners=["bea", "carl"]), summary(id=9))
    header, one, both, nobody = (line.split("  ") for line in shown.splitlines())
    assert "owners" in header
    assert "bea, carl" in both
    assert "bea" in one
    assert "-" in nobody


def test_workloads_that_failed_are_counted_where_there_are_any(server: ScriptedServer) -> None:
    assert "failed" not in listed(server, summary())
    progress = {"workloads": 5, "workloads_done": 3, "workloads_failed": 2, "trials": 3, "trials_planned": 64}
    header, row = listed(server, summary(progress=progress)).splitlines()
    assert re.search(r"done +failed +trials", header)
    assert re.search(r"3/5 +2 +3 ", row)
    assert "5: n1_c64_h56w56_o64_k3x3_s1_p1_u8s8u8_nhwc, ..." in row


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (job("cancelled"), "job 7 is cancelled"),
        (job("running", cancel_requested=True), "job 7 is being cancelled"),
        (job("finished"), "job 7 has ended already: it finished"),
        (job("failed"), "job 7 has ended already: it failed"),
        (
            job("running", owners=["bea", "carl"]),
            "job 7 goes on for bea and carl: you have withdrawn from it; "
            "`tilewright cancel 7 --everybody` stops it for everybody",
        ),
        (
            job("queued"),
            "job 7 goes on for others, who gave no name: you have withdrawn from it; "
            "`tilewright cancel 7 --everybody` stops it for everybody",
        ),
    ],
)
def test_cancel_says_what_became_of_the_job(server: ScriptedServer, answer: dict[str, Any], sentence: str) -> None:
    server.replies(Reply(200, answer))
    result = run("cancel", 7, "--url", server.url)
    assert (result.exit_code, result.stdout) == (0, f"{sentence}\n")
    assert Job.model_validate_json(run("cancel", 7, "--json", "--url", server.url).stdout).id == 7
    assert {call.path for call in server.calls} == {"/v1/jobs/7/cancel"}


def test_a_job_of_others_is_cancelled_for_everybody_only(server: ScriptedServer) -> None:
    server.replies(Reply(409, problem("not-yours", 409, "job 7 is wanted by bea, not by carl")))
    result = run("cancel", 7, "--url", server.url)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: job 7 is wanted by bea, not by carl; `tilewright cancel 7 --everybody` stops it for everybody\n"
    )
    server.replies(Reply(200, job("running", cancel_requested=True)))
    assert run("cancel", 7, "--everybody", "--url", server.url).exit_code == 0
    assert server.calls[-1].path == "/v1/jobs/7/cancel?everybody=true"


def test_submit_asks_for_a_host_class(server: ScriptedServer, conv_file: Path) -> None:
    server.replies(Reply(201, job("queued")))
    assert run("submit", "-w", conv_file, "--host-class", "test-cpu", "--url", server.url).exit_code == 0
    assert server.calls[0].body["host_class"] == "test-cpu"


def test_a_job_with_workloads_that_failed_keeps_the_rest_and_is_exit_code_1(
    server: ScriptedServer, conv_file: Path
) -> None:
    failed, done = job_workload("failed", reason="it crashed"), job_workload("done", 2, schedule_id=3)
    end = job_of(failed, done, state="failed", reason="1 of its 2 workloads could not be tuned: it crashed")
    stream = Reply(200, event(1) + event(2, "failed"), STREAM)
    server.replies(Reply(201, job("queued")), Reply(200, job("running")), stream, Reply(200, end))
    result = run("submit", "--workload", conv_file, "--wait", "--url", server.url)
    assert result.exit_code == 1
    assert f"{failed['name']} failed: it crashed" in result.stdout
    assert f"{done['name']}: 3 trials" in result.stdout
    assert "the other one has its schedule" in result.stderr


def test_help_names_the_variables_of_the_environment() -> None:
    said = run("--help").stdout
    for name in ("TILEWRIGHT_URL", "TILEWRIGHT_TOKEN", "TILEWRIGHT_USER", "TILEWRIGHT_CACHE_DIR", "TILEWRIGHT_DEBUG"):
        assert name in said


def test_best_shows_what_is_known_and_strict_fails_for_the_rest(server: ScriptedServer, tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    path.write_text(json.dumps([CONV, {**CONV, "batch": 2}]))
    server.replies(Reply(200, {"items": [schedule(), None]}))
    arguments = ("best", "--workload", path, "--url", server.url)
    result = run(*arguments)
    assert result.exit_code == 0
    assert "83%" in result.stdout
    assert "vpdpbusd" not in result.stdout
    strict = run(*arguments, "--strict", "--json")
    assert strict.exit_code == 1
    assert "1 of 2 workloads have no schedule" in strict.stderr
    known, unknown = (item["schedule"] for item in json.loads(strict.stdout))
    assert known["proof"]["dot_products"] == 28
    assert unknown is None


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        ({"dot_products": 0, "instructions": 0, "in_loop": False}, "none  vpdpbusd on 256 bits"),
        ({"in_loop": False}, "28 of 43, no loop  vpdpbusd on 256 bits"),
        ({}, "28 of 43  vpdpbusd on 256 bits"),
        (None, None),
    ],
)
def test_best_tells_what_was_counted_in_each_kernel(
    server: ScriptedServer, conv_file: Path, proof: dict[str, Any] | None, words: str | None
) -> None:
    found = schedule()
    found["proof"] = None if proof is None else {**found["proof"], "register_bits": 256, **proof}
    server.replies(Reply(200, {"items": [found]}))
    result = run("best", "--proof", "--workload", conv_file, "--url", server.url)
    assert result.exit_code == 0
    assert "vpdpbusd" not in result.stdout if words is None else words in result.stdout


def test_networks_needs_no_service() -> None:
    assert "11 distinct convolutions of 20, 1.81 GMAC" in run("networks", "resnet18").stdout
    (network,) = json.loads(run("networks", "mobilenet_v2", "--json").stdout)
    assert sum(item["occurrences"] for item in network["workloads"]) == 52


@pytest.mark.parametrize(("is_fit", "code"), [(True, 0), (False, 1)])
def test_the_doctor_names_what_is_wrong_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, is_fit: bool, code: int
) -> None:
    found = [
        Check("python", True, "3.11"),
        Check("apache-tvm-ffi", is_fit, "0.1.15 [new]", None if is_fit else "pip install it"),
    ]
    monkeypatch.setattr("tilewright.doctor.run_checks", lambda: iter(found))
    result = run("doctor")
    assert result.exit_code == code
    assert "0.1.15 [new]" in result.stdout
    assert ("pip install it" in result.stdout) is not is_fit
    document = json.loads(run("doctor", "--json").stdout)
    assert (document["ok"], document["checks"][1]["ok"]) == (is_fit, is_fit)


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -c 'from tilewright.cli import main; main()' networks | head -n 1"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    result = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment)
    assert result.stderr == ""


def test_an_option_that_is_given_twice_is_refused() -> None:
    done = run("submit", "--network", "resnet18", "-n", "resnet50")
    assert done.exit_code == 2
    assert "--network is given 2 times; it takes one value" in done.stderr
