"""Jobs in a sentence."""

from collections.abc import Sequence

NAMED = 3
"""So many are named; more are counted."""


def job_names(ids: Sequence[int]) -> str:
    """`job 3`, `jobs 3 and 4`, or `5 jobs`."""
    if len(ids) == 1:
        return f"job {ids[0]}"
    if len(ids) > NAMED:
        return f"{len(ids)} jobs"
    *others, last = ids
    return f"jobs {', '.join(map(str, others))} and {last}"
