"""What people type first at a program of `bench` is `--help`, and they do not want a measurement of ten minutes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(
    path.stem for path in (ROOT / "bench").glob("*.py") if 'if __name__ == "__main__"' in path.read_text()
)
SECONDS = 60

# In one process: most of the time goes into imports, which they share.
ASK_ALL = """
import itertools, runpy, sys
for program, option in itertools.product(sys.argv[1:], ["--help", "--no-such-option"]):
    sys.argv = [program, option]
    try:
        runpy.run_module(f"bench.{program}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print("ended", program, option, end.code, flush=True)
"""


def test_every_program_of_bench_has_help_and_refuses_an_option_that_it_does_not_know() -> None:
    command = [sys.executable, "-W", "ignore", "-c", ASK_ALL, *PROGRAMS]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    ends = [line.removeprefix("ended ") for line in output.splitlines() if line.startswith("ended ")]
    assert PROGRAMS
    assert ends == [f"{each} {end}" for each in PROGRAMS for end in ("--help 0", "--no-such-option 2")]
    assert output.count("usage: ") == len(PROGRAMS)
