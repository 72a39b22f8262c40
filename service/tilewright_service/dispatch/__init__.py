"""Brings every job to its end: a reconciler between the store, which is the truth, and an engine, which runs things."""
