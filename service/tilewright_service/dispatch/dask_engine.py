"""The engine on Dask distributed: an attempt is a task that holds a worker's slot, and waits for a child process."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from distributed import Client, Future

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptEnd, AttemptKey, Worker
from tilewright.errors import Unavailable
from tilewright_service.dispatch.engine import EngineState, EngineView
from tilewright_worker import slot

KILL_SECONDS = 5
CAPACITY_SECONDS = 5
CLOSE_SECONDS = 2


class DaskEngine:
    """Nothing is ever tried again by Dask itself: only the store knows whether it should be."""

    def __init__(
        self,
        client: Client,
        attempt_module: str,
        logs_dir: str,
        is_embedded: bool,
        on_change: Callable[[], None] = lambda: None,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_embedded = is_embedded
        self.on_change = on_change
        self._client = client
        self._attempt_module = attempt_module
        self._logs_dir = logs_dir
        self._stop = stop
        self._futures: dict[AttemptKey, Future] = {}

    def launch(self, order: LaunchOrder) -> None:
        key = AttemptKey(job_id=order.job_id, attempt=order.attempt)
        future = self._client.submit(
            slot.run,
            order.model_dump_json(),
            self._attempt_module,
            self._logs_dir,
            key=_task_name(key),
            pure=False,
            retries=0,
            resources={"slot": 1, "cores": order.threads},
        )
        self._futures[key] = future
        future.add_done_callback(lambda _: self.on_change())

    def stand_by(self) -> None:
        """Have a worker start the process of its first attempt before there is one."""
        self._standby = self._client.submit(
            slot.stand_by, self._attempt_module, self._logs_dir, key="stand-by", pure=False, resources={"slot": 1}
        )

    def kill(self, key: AttemptKey) -> None:
        self._broadcast(KILL_SECONDS, slot.kill, key.job_id, key.attempt)
        if key in self._futures:
            # It may not have been placed on a worker yet.
            self._futures[key].cancel()

    def list(self) -> EngineState:
        ended = {key: _end(future) for key, future in self._futures.items() if future.done()}
        for key in ended:
            self._futures.pop(key).release()
        return EngineState(frozenset(self._futures), ended)

    def capacity(self) -> Sequence[Worker]:
        async def ask() -> tuple[dict[str, Any], dict[str, Any]]:
            info = await self._client.scheduler.identity(n_workers=-1)
            return info["workers"], await self._client.scheduler.processing()

        try:
            workers, processing = self._client.sync(ask, callback_timeout=CAPACITY_SECONDS)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"the engine does not answer: {error}") from error
        return [_worker(info, processing.get(address, ())) for address, info in workers.items()]

    def view(self) -> EngineView:
        return EngineView()

    def close(self) -> None:
        if self.is_embedded:
            with suppress(OSError, TimeoutError):  # it ends with its worker, then
                self._broadcast(CLOSE_SECONDS, slot.end_standby)
        self._client.close(timeout=CLOSE_SECONDS)
        self._stop()

    def _broadcast(self, seconds: float, function: Callable[..., object], *arguments: object) -> None:
        """Call it on every worker."""

        async def run() -> None:
            await self._client.run(function, *arguments, on_error="ignore")

        self._client.sync(run, callback_timeout=seconds)


def _task_name(key: AttemptKey) -> str:
    return f"attempt-{key.job_id}-{key.attempt}"


def _attempt_key(task_name: str) -> AttemptKey:
    _, job_id, attempt = task_name.split("-")
    return AttemptKey(job_id=int(job_id), attempt=int(attempt))


def _end(future: Future) -> AttemptEnd:
    if future.status == "finished":
        return AttemptEnd.model_validate_json(future.result())
    if future.status == "error":
        return AttemptEnd(exit_code=None, reason=f"the worker was lost: {future.exception()}")
    return AttemptEnd(exit_code=None, reason=f"the engine dropped the attempt ({future.status})")


def _worker(info: dict[str, Any], tasks: Any) -> Worker:
    running = [_attempt_key(name) for name in tasks if str(name).startswith("attempt-")]
    return Worker(
        name=str(info["name"]),
        hostname=str(info["host"]),
        cores=int(info["resources"].get("cores", 0)),
        running=running[0] if running else None,
    )
