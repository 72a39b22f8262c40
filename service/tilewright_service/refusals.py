"""Why a service does not start."""


class CannotStart(Exception):  # noqa: N818
    """The message tells a person what to do."""
