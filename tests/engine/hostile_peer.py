"""A scheduler and a worker whose answers run code where they are unpickled, which then makes a file.

Prints its address. The arguments: where the trap is, in identity, report, serialized or error, and that file.
"""

import asyncio
import os
import pickle
import sys
from typing import Any

from distributed.core import Server
from distributed.protocol.serialize import Serialize, ToPickle

where, trace = sys.argv[1], sys.argv[2]
SPRING = f"__import__('os').getpid() == {os.getpid()} or __import__('pathlib').Path({trace!r}).touch()"


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, (SPRING,))


async def main() -> None:
    async def identity() -> Any:
        if where == "identity":
            return {"type": "Scheduler", "workers": {"a": ToPickle(Trap())}}
        return {"type": "Scheduler", "workers": {"a": {"name": "trap", "tilewright": server.address}}}

    async def report(seen: int = 0) -> Any:
        match where:
            case "report":
                return ToPickle(Trap())
            case "serialized":
                return {"revision": 1, "report": Serialize(Trap())}
            case "error":
                failure = {"exception": pickle.dumps(Trap()), "traceback": None, "exception_text": "trap"}
                return {"status": "uncaught-error", "traceback_text": "", **failure}
        return {"revision": 1, "report": "{}"}

    server = Server({"identity": identity, "tilewright_report": report})
    await server.listen("tcp://127.0.0.1:0")
    await server
    print(server.address, flush=True)
    await asyncio.sleep(600)


asyncio.run(main())
