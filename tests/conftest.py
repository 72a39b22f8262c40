import pytest
from hypothesis import settings

SOAK = "soak"
"""The profile of `make soak`: many more random examples than in `make test`."""

settings.register_profile(SOAK, max_examples=5000, deadline=None)


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Processes of `--dist loadgroup` share the tests of kernels singly, others by file: there they share a service."""
    for item in items:
        if item.path.parent.name != "kernels":
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}"))
