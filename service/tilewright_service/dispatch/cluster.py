"""The engine that the settings ask for. It is there at once; whether its workers are, the engine says itself."""

import importlib.util
import sys
from typing import TYPE_CHECKING

from tilewright_service.certificates import Authority
from tilewright_service.dispatch.meeting_point import EmbeddedProcess, ExternalScheduler, Nowhere
from tilewright_service.settings import Settings
from tilewright_worker.scheduler import is_listening, require_private, require_scheduler, security_of

if TYPE_CHECKING:
    from tilewright_service.dispatch.dask_engine import DaskEngine


def start_engine(settings: Settings) -> "DaskEngine":
    """Raises CannotStart where waiting would not mend it."""
    return _embedded(settings) if settings.engine is None else _external(settings, settings.engine)


def can_tune() -> bool:
    """Whether what an attempt needs is installed here; without it the jobs wait."""
    return all(importlib.util.find_spec(name) is not None for name in ("tvm", "xgboost", "distributed"))


def _embedded(settings: Settings) -> "DaskEngine":
    """On loopback, with certificates that exist only in memory: its ports are of no use to others."""
    authority = Authority()
    ours, theirs = authority.issue("service"), authority.issue("worker")
    setup = {
        "authority": authority.certificate,
        "certificate": theirs.certificate,
        "key": theirs.key,
        "module": settings.attempt_module,
        "logs_dir": str(settings.logs_dir.expanduser().absolute()),
    }
    process = EmbeddedProcess(setup) if can_tune() else None
    # Dask takes half a second to import: the process above does so meanwhile.
    _set_up_dask()
    from distributed.security import Security

    from tilewright_service.dispatch.dask_engine import DaskEngine

    security = Security(
        tls_ca_file=authority.certificate,
        tls_client_cert=ours.certificate,
        tls_client_key=ours.key,
        require_encryption=True,
    )
    engine = DaskEngine(process or Nowhere(), security, is_embedded=True)
    if process is not None:
        process.on_change = engine.nudge
        engine.nudge()
    return engine


def _external(settings: Settings, address: str) -> "DaskEngine":
    require_private(address, settings.insecure_engine)
    _set_up_dask()
    from tilewright_service.dispatch.dask_engine import DaskEngine

    security = security_of(address, "client")
    if is_listening(address):
        require_scheduler(address, security, "client")
    else:
        print(f"tilewright serve: no scheduler answers at {address} yet; jobs wait for it", file=sys.stderr)
    return DaskEngine(ExternalScheduler(address), security, is_embedded=False)


def _set_up_dask() -> None:
    from tilewright_worker.quiet import quieten_dask
    from tilewright_worker.unpickling import refuse_unpickling

    quieten_dask()
    refuse_unpickling()
