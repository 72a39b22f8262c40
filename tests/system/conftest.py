from collections.abc import Iterator

import pytest

from .tuning_service import TuningService


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TuningService]:
    with TuningService(tmp_path_factory.mktemp("service")) as service:
        yield service
