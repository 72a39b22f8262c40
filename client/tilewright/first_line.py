"""What there is room for of a reason that may hold a traceback."""


def first_line(reason: str) -> str:
    """With a mark where there is more."""
    line, _, rest = reason.partition("\n")
    return f"{line} …" if rest else line
