"""Why the search of a workload ended, as a table can explain it."""

from collections.abc import Iterable

STOP_REASONS = {
    "trials": "its trials are spent",
    "seconds": "its seconds are spent",
    "plateau": "it had not got faster for a while",
    "exhausted": "every candidate was tried",
    "known": "an earlier job had tuned it",
}


def legend(reasons: Iterable[str | None]) -> str | None:
    """Of those among them that need one; None where none does."""
    met = set(reasons)
    words = [f"{reason}: {meaning}" for reason, meaning in STOP_REASONS.items() if reason in met]
    return "; ".join(words) or None


EPILOG = f"[bold]Why the search of a workload ends[/]  {legend(STOP_REASONS)}."
