"""Why a service does not start."""


class CannotStart(Exception):
    """The message tells a person what to do."""
