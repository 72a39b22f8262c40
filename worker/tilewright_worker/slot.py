"""Where attempts run on a worker, one at a time: on cores that nobody else on the machine measures on."""

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptEnd, AttemptIdentity, EndedAttempt
from tilewright_worker.child import Child
from tilewright_worker.core_locks import CoreLocks, CoresTaken, LocksRefused

ENDED = 32
"""So many ends are kept, the newest."""
STAND_BY_SECONDS = 5.0
"""How often it is looked whether the next process still stands by."""


@dataclass(frozen=True)
class SlotState:
    running: AttemptIdentity | None
    ended: tuple[EndedAttempt, ...]
    is_draining: bool
    busy: str | None
    """Who has the cores, when that is somebody else."""


class Slot:
    """No call waits for an attempt. The thread that does lives as long as the process, and every child ends with it."""

    def __init__(self, module: str, logs_dir: str) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._module, self._logs_dir = module, logs_dir
        self._locks = CoreLocks()
        self._changed = threading.Condition()
        self._order: LaunchOrder | None = None
        self._running: AttemptIdentity | None = None
        self._child: Child | None = None
        self._standby: Child | None = None
        self._killed: set[AttemptIdentity] = set()
        self._ended: deque[EndedAttempt] = deque(maxlen=ENDED)
        self._is_draining = False
        threading.Thread(target=self._live, name="slot", daemon=True).start()

    def launch(self, order: LaunchOrder) -> None:
        """Run the attempt, unless it was launched before; that it cannot run here shows as its end."""
        identity = order.identity
        with self._changed:
            if identity == self._running or any(each.identity == identity for each in self._ended):
                return
            if self._is_draining:
                self._conclude(identity, _of_moment("the worker is leaving"))
            elif self._running is not None:
                self._conclude(identity, _of_moment("the worker is at another attempt"))
            else:
                self._order, self._running = order, identity
                self._changed.notify_all()
        self.on_change()

    def kill(self, identity: AttemptIdentity) -> None:
        """Kill the attempt and everything that it started, if it runs here."""
        with self._changed:
            if identity == self._running:
                self._killed.add(identity)
                if self._child is not None:
                    self._child.kill()

    def drain(self) -> None:
        """Take nothing more, and have the running attempt leave."""
        with self._changed:
            self._is_draining = True
            if self._child is not None:
                self._child.tell_to_leave()
            self._changed.notify_all()
        self.on_change()

    def await_idle(self, seconds: float) -> bool:
        """Whether no attempt runs, once that is so or the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: self._running is None, seconds)

    def end(self) -> None:
        """Kill all that was started here."""
        with self._changed:
            self._is_draining = True
            for child in (self._child, self._standby):
                if child is not None:
                    child.kill()

    def state(self) -> SlotState:
        with self._changed:
            running, ended, is_draining = self._running, tuple(self._ended), self._is_draining
        return SlotState(running, ended, is_draining, None if running else self._holder())

    def _holder(self) -> str | None:
        try:
            return self._locks.holder()
        except (LocksRefused, OSError) as refusal:
            return str(refusal)

    def _live(self) -> None:
        """A process without this thread would look well and run nothing, so it ends, and is started again."""
        try:
            self._serve()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _serve(self) -> None:
        while True:
            self._stand_by()
            order = self._next_order()
            if order is not None:
                end = self._run(order)
                with self._changed:
                    self._conclude(order.identity, end)
                    self._order = self._running = self._child = None
                    self._killed.discard(order.identity)
                    self._changed.notify_all()
                self.on_change()

    def _next_order(self) -> LaunchOrder | None:
        with self._changed:
            self._changed.wait_for(lambda: self._order is not None, STAND_BY_SECONDS)
            return self._order

    def _stand_by(self) -> None:
        """Have the process of the next attempt ready; it starts while nobody else measures, and holds no core."""
        if self._standby is not None and not self._standby.is_alive:
            self._standby.end()
            self._standby = None
        if self._standby is None and self._order is None and not self._is_draining and self._holder() is None:
            try:
                self._standby = Child(self._module, self._logs_dir)
            except OSError:  # the next attempt then starts later, or says so
                time.sleep(1)

    def _run(self, order: LaunchOrder) -> AttemptEnd:
        cores = len(os.sched_getaffinity(0))
        if cores < order.threads:
            return AttemptEnd(exit_code=None, reason=f"{order.threads} cores are asked for; this worker has {cores}")
        try:
            with self._locks.held():
                return self._run_child(order)
        except CoresTaken as taken:
            return _of_moment(str(taken))
        except LocksRefused as refusal:
            return _of_host(str(refusal))
        except OSError as error:
            return _of_host(f"no process could be started on {os.uname().nodename}: {error.strerror or error}")
        except Exception as error:  # this thread has to go on: its children end with it
            return _of_host(f"the worker failed: {error!r}")

    def _run_child(self, order: LaunchOrder) -> AttemptEnd:
        child = self._take_child()
        with self._changed:
            self._child = child
            if order.identity in self._killed or self._is_draining:
                child.end()
                return _of_moment("the attempt was ended before it began")
        return child.carry_out(order)

    def _take_child(self) -> Child:
        """The one that stands by, or a new one."""
        standby, self._standby = self._standby, None
        if standby is not None:
            if standby.is_alive:
                return standby
            standby.end()
        return Child(self._module, self._logs_dir)

    def _conclude(self, identity: AttemptIdentity, end: AttemptEnd) -> None:
        self._ended.append(EndedAttempt(identity=identity, end=end))


def _of_moment(reason: str) -> AttemptEnd:
    return AttemptEnd(exit_code=None, reason=reason, is_of_moment=True)


def _of_host(reason: str) -> AttemptEnd:
    return AttemptEnd(exit_code=None, reason=reason, is_of_host=True)
