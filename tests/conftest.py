from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest_plugins = ["tests.databases"]

SOAK = "soak"
"""The profile of `make soak`: many more random examples than in `make test`."""

settings.register_profile(SOAK, max_examples=5000, deadline=None)


@pytest.fixture(autouse=True, scope="session")
def _no_cache_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILEWRIGHT_CACHE_DIR", str(tmp_path_factory.mktemp("cache") / "tilewright"))
        yield
