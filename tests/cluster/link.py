"""A TCP connection that somebody can cut, delay or lose things on: a proxy between two processes of a cluster.

It plays what a network does, where the machine has no `netem`: a part that is lost shows to TCP as a pause for the time
of a retransmission, a silent network passes nothing on and tells nobody.
"""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

CHUNK = 65536
RETRANSMISSION_SECONDS = 0.3


@dataclass(frozen=True)
class Weather:
    """How a link is now."""

    delay_seconds: float = 0.0
    """One way."""
    loss: float = 0.0
    """Share of the parts that have to be sent again."""
    passes_there: bool = True
    passes_back: bool = True
    refuses: bool = False
    """New connections end at once, as where nobody listens."""


FINE = Weather()
SILENT = Weather(passes_there=False, passes_back=False)
DEAF = Weather(passes_there=False)
MUTE = Weather(passes_back=False)
REFUSING = Weather(refuses=True)


class Link:
    """Listens on a port of loopback for what is meant for `target`; has a thread of its own."""

    def __init__(self, target: tuple[str, int], port: int = 0, host: str = "127.0.0.1", seed: int = 0) -> None:
        self._target, self._host, self._random = target, host, random.Random(seed)
        self._weather, self._connections = FINE, set[asyncio.StreamWriter]()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._thread.start()
        self.port = self._call(self._listen(port))

    def set(self, weather: Weather) -> None:
        """From now on, for the connections that there are, too."""
        self._loop.call_soon_threadsafe(self._change, weather)

    def cut(self) -> None:
        """End all connections with a reset; new ones go through."""
        self._call(self._reset())

    def close(self) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, work: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, port: int) -> int:
        self._changed = asyncio.Event()
        self._server = await asyncio.start_server(self._connect, self._host, port)
        taken: int = self._server.sockets[0].getsockname()[1]
        return taken

    def _change(self, weather: Weather) -> None:
        self._weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # the link is closed
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._weather.refuses:
            writer.transport.abort()
            return
        await self._until(lambda weather: weather.passes_there)
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._connections |= {writer, back}
        try:
            await asyncio.gather(
                self._pass_on(reader, back, lambda weather: weather.passes_there),
                self._pass_on(there, writer, lambda weather: weather.passes_back),
            )
        except OSError:
            pass
        finally:
            self._connections -= {writer, back}
            for each in (writer, back):
                each.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[Weather], bool]
    ) -> None:
        while part := await reader.read(CHUNK):
            weather = self._weather
            lost = self._random.random() < weather.loss
            await asyncio.sleep(weather.delay_seconds + (RETRANSMISSION_SECONDS if lost else 0.0))
            await self._until(passes)
            writer.write(part)
            await writer.drain()
        await self._until(passes)
        with suppress(OSError):
            writer.write_eof()

    async def _until(self, passes: Callable[[Weather], bool]) -> None:
        while not passes(self._weather):
            await self._changed.wait()

    async def _reset(self) -> int:
        for each in list(self._connections):
            each.transport.abort()
        return len(self._connections)

    async def _end(self) -> int:
        self._server.close()
        ended = await self._reset()
        waiting: list[Awaitable[object]] = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return ended
