"""Nothing that a peer sends is unpickled by a service; one that tries does not disturb it either."""

import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = """
import sys, time
from tilewright_service.dispatch import cluster
from tilewright_service.settings import Settings

cluster.require_scheduler = lambda *_: None  # it refuses to start with some of these
engine = cluster.start_engine(Settings(engine=sys.argv[1]))
time.sleep(4)
print(len(engine.view().members), engine.view().away)
engine.close()
"""
TRUSTING = """
import asyncio, sys
from distributed import rpc

async def main():
    async with rpc(sys.argv[1]) as peer:
        for operation in (peer.identity, peer.tilewright_report):
            try:
                await asyncio.wait_for(operation(), 5)
            except Exception:
                pass

asyncio.run(main())
"""
TRAPS = ("identity", "report", "serialized", "error")


def talk(trap: str, trace: Path, program: str) -> str:
    """What the program says that talks to the peer in a process of its own."""
    peer = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("hostile_peer.py")), trap, str(trace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with peer:
        assert peer.stdout is not None
        address = peer.stdout.readline().strip()
        done = subprocess.run(
            [sys.executable, "-c", program, address], capture_output=True, text=True, timeout=60, check=False
        )
        peer.kill()
    return done.stdout + done.stderr


@pytest.mark.parametrize("trap", TRAPS)
def test_an_engine_takes_no_object_of_a_peer(trap: str, tmp_path: Path) -> None:
    said = talk(trap, tmp_path / "trace", ENGINE)
    assert not (tmp_path / "trace").exists()
    assert said.splitlines()[-1].startswith("0 "), said
    assert "Traceback" not in said


@pytest.mark.soak
@pytest.mark.parametrize("trap", ["identity", "report", "error"])
def test_the_traps_work_where_objects_are_taken(trap: str, tmp_path: Path) -> None:
    talk(trap, tmp_path / "trace", TRUSTING)
    assert (tmp_path / "trace").exists()
