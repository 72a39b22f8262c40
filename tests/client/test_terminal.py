"""What people see: the real command in real terminals of several widths, and in pipes, against the real service."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tilewright.contract.attempts import Finished

from ..screen import COMMAND, Screen, screen_environment
from ..service.in_thread import ServiceInThread, serving
from .tuned_service import BUSY, begin, tune

NETWORK = "resnet18"
COMMANDS = {
    "best": ("best", "--network", NETWORK),
    "best --proof": ("best", "--network", NETWORK, "--proof"),
    "jobs": ("jobs",),
    "watch": ("watch", "1"),
    "networks": ("networks", NETWORK),
}
ALWAYS = {
    "best": {"workload", "latency us", "of peak", "GMAC/s"},
    "best --proof": {"workload", "latency us", "dot products"},
    "jobs": {"id", "state", "what", "done", "reason"},
    "watch": {"workload", "state", "best us", "of peak"},
    "networks": {"workload", "x", "MMAC"},
}
"""At any width from 60 columns."""
REASON = "it waits: 1 job is before it"
X_DEFAULT = "x default: times as fast as TVM's default (untuned) schedule; not a comparison with other libraries"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*[349]\d")
ROW = re.compile(r"n1_|\s*\d+ {2}\S")
"""How a row begins; what does not is the rest of one that was folded, or stands below the table."""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceInThread]:
    """A network that was tuned, one that runs, and a job that waits."""
    with serving(tmp_path_factory.mktemp("service"), capacity=BUSY) as service:
        job = service.http.post("/v1/jobs", json={"network": NETWORK}).json()
        with begin(service) as attempt:
            for index, each in enumerate(job["workloads"]):
                tune(attempt, each["workload_id"], index)
            attempt.report_result(Finished())
        service.http.post("/v1/jobs", json={"network": "mobilenet_v2"}).raise_for_status()
        service.lose(begin(service), "the lease of its attempt on the host of rack 17 ran out")
        waiting = {"workloads": [job["workloads"][3]["workload"]], "trials": 9999}
        service.http.post("/v1/jobs", json=waiting).raise_for_status()
        yield service


def piped(service: ServiceInThread, *arguments: str) -> str:
    command = (*COMMAND, *arguments)
    variables = screen_environment(TILEWRIGHT_URL=service.url)
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=True, timeout=60).stdout


def in_terminal(service: ServiceInThread, columns: int, *arguments: str, **variables: str) -> Screen:
    variables["TILEWRIGHT_URL"] = service.url
    with Screen(*arguments, columns=columns, variables=variables) as screen:
        assert screen.end() == 0
    return screen


@pytest.fixture(scope="module")
def figures(tuned: ServiceInThread) -> dict[str, list[dict[str, str]]]:
    """What the JSON answers hold, for each command a row each, by the column that it stands in."""
    best, jobs, networks = (
        json.loads(piped(tuned, *COMMANDS[each], "--json")) for each in ("best", "jobs", "networks")
    )
    return {
        "best": [_of_schedule(each) for each in best],
        "best --proof": [{**_of_schedule(each), **_of_count(each["schedule"]["proof"])} for each in best],
        "jobs": [_of_job(each) for each in jobs],
        "watch": [_of_workload(each) for each in tuned.job(1)["workloads"]],
        "networks": [_of_convolution(each) for each in networks[0]["workloads"]],
    }


def _of_schedule(item: dict[str, Any]) -> dict[str, str]:
    schedule = item["schedule"]
    return {
        "workload": item["name"],
        "x": f"{item['occurrences']}",
        "latency us": f"{schedule['latency_us']:,.1f}",
        "spread us": f"{schedule['spread_us']:,.1f}",
        "GMAC/s": f"{schedule['gmacs']:,.1f}",
        "of peak": f"{schedule['share_of_peak']:.0%}",
        "x default": f"{schedule['speedup_over_default']:,.1f}",
        "isa": schedule["target"]["isa"],
        "schedule": f"{schedule['id']}",
    }


def _of_count(proof: dict[str, Any]) -> dict[str, str]:
    return {"dot products": f"{proof['dot_products']} of {proof['instructions']}"}


def _of_workload(item: dict[str, Any]) -> dict[str, str]:
    return {
        "workload": item["name"],
        "x": f"{item['occurrences']}",
        "state": item["stop_reason"],
        "trials": f"{item['trials']}",
        "failed": f"{item['failed_trials']}",
        "best us": f"{item['best_latency_us']:,.1f}",
        "GMAC/s": f"{item['best_gmacs']:,.1f}",
        "of peak": f"{item['share_of_peak']:.0%}",
        "x default": f"{item['speedup_over_default']:,.1f}",
        "seconds": f"{item['seconds']:,.1f}",
    }


def _of_job(item: dict[str, Any]) -> dict[str, str]:
    progress = item["progress"]
    return {
        "id": f"{item['id']}",
        "state": item["state"],
        "what": item["network"] or item["first_workload"],
        "threads": f"{item['threads']}",
        "done": f"{progress['workloads_done']}/{progress['workloads']}",
        "trials": f"{progress['trials']}",
    }


def _of_convolution(item: dict[str, Any]) -> dict[str, str]:
    workload = item["workload"]
    return {
        "workload": item["name"],
        "x": f"{item['occurrences']}",
        "in": f"{workload['height']}x{workload['width']}x{workload['in_channels']}",
        "groups": f"{workload['groups']}",
        "MMAC": f"{item['macs'] / 1e6:,.1f}",
    }


def last_table(lines: list[str]) -> tuple[list[str], list[list[str]], str]:
    """Its header, its rows, and what stands below it."""
    at = max(index for index, line in enumerate(lines) if re.match(r"workload {2}|id {2}", line))
    rows = [line for line in lines[at + 1 :] if ROW.match(line)]
    below = " ".join(line.strip() for line in lines[at + 1 :] if not ROW.match(line))
    return cells(lines[at]), [cells(row) for row in rows], below


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def is_short_for(shown: str, name: str) -> bool:
    """Whole parts of it, from both ends."""
    before, _, after = shown.partition("…")
    parts = re.findall(r"[_-]?[^_-]+", name)
    beginnings = {"".join(parts[:count]) for count in range(1, len(parts))}
    ends = {"".join(parts[count:]) for count in range(1, len(parts) + 1)}
    return shown == name or (before in beginnings and after in ends)


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_figure_that_is_shown_is_whole_and_the_important_ones_are_shown(
    tuned: ServiceInThread, figures: dict[str, list[dict[str, str]]], command: str, columns: int
) -> None:
    screen = in_terminal(tuned, columns, *COMMANDS[command])
    header, rows, below = last_table(screen.lines)
    expected = figures[command]
    assert set(header) >= ALWAYS[command]
    assert len(rows) == len(expected)
    for row, known in zip(rows, expected, strict=True):
        for column, cell in zip(header, row, strict=False):
            is_name = column in ("workload", "what")
            assert is_short_for(cell, known[column]) if is_name else cell == known.get(column, cell)
    for column in expected[0].keys() - header:
        assert column in below, f"nothing says that {column} was left out"
    assert [line for line in screen.lines if len(line) > columns] == []


def test_different_names_stay_different(tuned: ServiceInThread) -> None:
    _, rows, _ = last_table(in_terminal(tuned, 60, "networks", "mobilenet_v2").lines)
    assert len({name for name, *_ in rows}) == len(rows) == 30


@pytest.mark.parametrize("command", ["best --proof", "jobs", "networks"])
def test_a_pipe_gets_the_whole_table_a_row_a_line(
    tuned: ServiceInThread, figures: dict[str, list[dict[str, str]]], command: str
) -> None:
    text = piped(tuned, *COMMANDS[command])
    _, rows, below = last_table(text.splitlines())
    for row, known in zip(rows, figures[command], strict=True):
        assert set(known.values()) <= set(row)
    assert "left out" not in below
    assert "…" not in text
    assert not re.search(r" +$", text, re.MULTILINE)


def test_what_was_left_out_is_named_with_the_way_to_see_it(tuned: ServiceInThread) -> None:
    *_, below = last_table(in_terminal(tuned, 60, *COMMANDS["best"]).lines)
    assert "every row: isa avx512_vnni, host class amd-epyc-f26m2-l2x1024k-avx512_vnni" in below
    assert "left out at 60 columns: x, spread us, x default, schedule; --json, a wider terminal or a pipe" in below
    assert "left out" not in "".join(in_terminal(tuned, 200, *COMMANDS["best"]).lines)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_list_of_jobs_says_why_one_waits(tuned: ServiceInThread, columns: int) -> None:
    shown = "".join(in_terminal(tuned, columns, "jobs").lines)
    assert all(word in shown for word in REASON.split())


def test_instructions_are_counted_on_request_only(tuned: ServiceInThread) -> None:
    assert "dot products" not in piped(tuned, *COMMANDS["best"])
    assert "4 of 9  pmaddwd on 128 bits" in piped(tuned, *COMMANDS["best --proof"])


def test_a_speed_up_says_what_it_is_over(tuned: ServiceInThread) -> None:
    assert X_DEFAULT in piped(tuned, *COMMANDS["best"])
    for command in ("best", "watch"):
        lines = in_terminal(tuned, 120, *COMMANDS[command]).lines
        assert X_DEFAULT in "".join(lines)
        assert "x default" in last_table(lines)[0]


def test_why_a_search_ended_is_explained_where_it_is_shown(tuned: ServiceInThread) -> None:
    words = (
        "trials: its trials are spent; plateau: it had not got faster for a while; exhausted: every candidate was tried"
    )
    assert words in piped(tuned, *COMMANDS["watch"])
    assert words in last_table(in_terminal(tuned, 200, *COMMANDS["watch"]).lines)[2]
    for command in ("submit", "watch"):
        assert "known: an earlier job had tuned it" in piped(tuned, command, "--help")


def test_a_terminal_has_colour_unless_it_is_not_wanted(tuned: ServiceInThread) -> None:
    assert COLOUR.search(in_terminal(tuned, 80, *COMMANDS["watch"]).text)
    assert not COLOUR.search(in_terminal(tuned, 80, *COMMANDS["watch"], NO_COLOR="1").text)
    assert "\x1b" not in piped(tuned, *COMMANDS["watch"])
