"""Tuning as a library: search, measure, decide, verify; no HTTP, no jobs, no leases."""
