"""What every search does."""

from typing import Protocol

from tilewright.contract.candidates import Candidate


class Search(Protocol):
    """Proposes candidates, never the same twice and never a known one, and learns from what came of them."""

    def propose(self) -> Candidate | None:
        """The next candidate, or None when there is none left."""

    def learn(self, candidate: Candidate, latency_us: float | None) -> None:
        """Take in a trial; None is a failure."""

    def close(self) -> None:
        """End what it has started."""
