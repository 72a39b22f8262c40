"""Everything that can be set, from the command line or from the environment."""

import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from tilewright_worker.scheduler import check_scheduler_url

DATABASES = ("sqlite", "postgresql")


class Settings(BaseSettings):
    """Read from `TILEWRIGHT_*`; the command line has the last word."""

    model_config = SettingsConfigDict(env_prefix="TILEWRIGHT_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data_dir: Path = Path("~/.local/share/tilewright")
    database: str | None = None
    """None is SQLite in the data directory; `postgresql://...` for more than one machine."""
    engine: str | None = None
    """None starts an embedded cluster; `tls://scheduler:8786` uses one that is there."""
    insecure_engine: bool = False
    """Whether `tcp://` may lead to another machine: what is said there can be read, and anybody can join."""
    public_url: str | None = None
    """Where attempts on other machines reach this service; None is the address it listens on."""
    logs_dir: Path = Path("tuning_logs")
    lease_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    launch_seconds: Annotated[float, Field(gt=0, le=3600)] = 40.0
    """How long a launched attempt may take until it calls home."""
    cancel_seconds: Annotated[float, Field(gt=0, le=60)] = 4.0
    """How long an attempt may take to stop by itself before it is killed."""
    stall_seconds: Annotated[float, Field(gt=0, le=86_400)] = 600.0
    """How long an attempt may renew its lease without getting on with its workload."""
    workload_seconds: Annotated[float, Field(gt=0, le=604_800)] = 86_400.0
    """How long a workload may take in all where its job has no limit in seconds."""
    keep_events_days: Annotated[float, Field(ge=0)] = 7.0
    """How long the events of a job are kept after it has ended."""
    keep_attempts_days: Annotated[float, Field(ge=0)] = 30.0
    keep_records: Annotated[int, Field(ge=1)] = 200
    """So many of a workload, the best, on each target and host class stay for ever."""
    keep_records_days: Annotated[float, Field(ge=0)] = 90.0
    """And of the jobs that ended within so many days all."""
    keep_schedules_days: Annotated[float, Field(ge=0)] = 90.0
    """Those that are served stay for ever, and those that a job names as long as it does."""
    keep_jobs_days: Annotated[float, Field(ge=0)] = 365.0
    """Of those that tuned nothing themselves; the others say what is known."""
    token: SecretStr | None = None
    """When set, every request has to bring it; attempts bring their own."""
    max_connections: Annotated[int, Field(ge=16, le=100_000)] = 4000
    """Open at a time. Beyond it one that is idle is closed for a new one; where none is, the new one gets 503."""
    max_connections_per_address: Annotated[int, Field(ge=8, le=100_000)] = 1000
    max_requests_per_address: Annotated[int, Field(ge=1, le=10_000)] = 128
    """Of people, under way at a time; beyond it they get 429. Raise it where a proxy speaks for all of them."""
    max_streams: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Readers of events."""
    max_streams_per_caller: Annotated[int, Field(ge=1, le=100_000)] = 200
    max_queued_jobs: Annotated[int, Field(ge=1)] = 10_000
    max_queued_jobs_per_caller: Annotated[int, Field(ge=1)] = 2000
    access_log: bool = False
    """A line for each request on standard error."""
    attempt_module: str = "tilewright_worker"
    """What a worker runs as `python -m`."""

    @field_validator("database")
    @classmethod
    def _is_database_url(cls, value: str | None) -> str | None:
        try:
            if value is None or make_url(value).get_backend_name() in DATABASES:
                return value
        except ArgumentError:
            pass
        raise ValueError("this is no database URL, such as postgresql://user@host/name")

    @field_validator("host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        if "/" in value:
            raise ValueError("this is no name or address, such as 0.0.0.0; a port is set by itself")
        return value

    @field_validator("token")
    @classmethod
    def _is_token(cls, value: SecretStr | None) -> SecretStr | None:
        text = None if value is None else value.get_secret_value()
        if text is not None and not text.strip():
            raise ValueError("an empty token lets nobody in: take TILEWRIGHT_TOKEN away, or set it to a secret")
        if text is not None and not (text.isascii() and text.isprintable() and " " not in text):
            raise ValueError("a token may hold no space, no line break and no letter outside of ASCII")
        return value

    @field_validator("engine")
    @classmethod
    def _is_scheduler_url(cls, value: str | None) -> str | None:
        return None if value is None else check_scheduler_url(value)

    @property
    def data_path(self) -> Path:
        return self.data_dir.expanduser().absolute()

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_path / 'tilewright.db'}"

    @property
    def names(self) -> tuple[str, ...]:
        """Host names under which this service is asked."""
        public_name = urlsplit(self.public_url).hostname if self.public_url else None
        return (self.host, public_name) if public_name else (self.host,)

    @property
    def binds_to_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
