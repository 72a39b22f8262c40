from hypothesis import settings

SOAK = "soak"
"""The profile of `make soak`: many more random examples than in `make test`."""

settings.register_profile(SOAK, max_examples=5000, deadline=None)
