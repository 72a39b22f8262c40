"""What processes of tests know of whoever runs them."""

import os


def environment(*left_out: str, **variables: str) -> dict[str, str]:
    """Nothing of our settings, and nothing of what is left out; then these."""
    passed_on = {
        name: value for name, value in os.environ.items() if name not in left_out and not name.startswith("TILEWRIGHT_")
    }
    return {**passed_on, **variables}
