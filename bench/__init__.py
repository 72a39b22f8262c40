"""Measurements and load tests; run from the root as `python -m bench.<name>`."""
