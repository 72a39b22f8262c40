"""A keep-alive connection that costs little: HTTP/1.1 as bytes, for both share the cores with the service."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, Self


class Answer(NamedTuple):
    status: int
    body: bytes


class Connection:
    """Opens itself anew where the service has closed it."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._where = host, int(port)
        lines = {"Host": f"{host}:{port}", **(headers or {})}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, headers: str = "") -> Answer:
        return await self.send(f"GET {path} HTTP/1.1\r\n{self._head}{headers}\r\n".encode())

    async def post(self, path: str, body: bytes, headers: str = "") -> Answer:
        head = f"POST {path} HTTP/1.1\r\n{self._head}{headers}Content-Type: application/json\r\n"
        return await self.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def send(self, request: bytes) -> Answer:
        """Raises OSError or EOFError where the service hangs up."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._where)
        reader, writer = self._streams
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            body = await reader.readexactly(length)
        except (OSError, EOFError):
            self.close()
            raise
        if b"connection: close" in head:
            self.close()
        return Answer(int(head[9:12]), body)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
