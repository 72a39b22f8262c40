import os
import ssl
from collections.abc import Iterator
from functools import cache

import httpcore2
import pytest
from hypothesis import settings

pytest_plugins = ["tests.databases"]

SOAK = "soak"
"""The profile of `make soak`: many more random examples than in `make test`."""

settings.register_profile(SOAK, max_examples=5000, deadline=None)


ON_BOTH_ALWAYS = ("attempts", "blame", "databases", "events", "jobs", "owners", "queue", "queue_machine", "schema")
"""Modules of the service that meet PostgreSQL in `make test`, because they write or lock; the others in `make soak`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        is_essential = item.path.stem.removeprefix("test_") in ON_BOTH_ALWAYS
        is_on_postgresql = any(isinstance(value, str) and value == "postgresql" for value in parameters.values())
        if is_on_postgresql and not is_essential:
            item.add_marker(pytest.mark.soak)


@pytest.fixture(autouse=True, scope="session")
def _no_cache_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILEWRIGHT_CACHE_DIR", str(tmp_path_factory.mktemp("cache") / "tilewright"))
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_certificate_store_for_all_clients() -> Iterator[None]:
    """Each reads it when it is made, also for http, in 20 ms: an attempt is a client."""
    read = httpcore2.default_ssl_context

    @cache
    def read_once(trust_env: bool, *_: str | None) -> ssl.SSLContext:
        return read(_trust_env=trust_env)

    def default(*, _trust_env: bool = True) -> ssl.SSLContext:
        return read_once(_trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", default)
        yield
