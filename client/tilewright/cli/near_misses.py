"""What somebody may have meant who typed what a command does not take."""

import re
from pathlib import Path

import typer

from tilewright.workloads.zoo import NETWORKS

SURPLUS = re.compile(r"extra argument\(s\) \((\S+)(?: .*)?\)$")
UNKNOWN_OPTION = re.compile(r"No such option: \S+$")
NUMBERED = {"jobs": "`tilewright watch {}`", "export": "--job {}"}
"""Commands that a number of a job is likely to be given, and where it goes."""


def reword(error: typer.TyperException) -> None:
    command = getattr(getattr(error, "ctx", None), "info_name", None)
    if surplus := SURPLUS.search(error.message):
        word = surplus[1]
        meant = _meaning(word, command)
        error.message = f"there is no place for {word!r} here" + (f"; did you mean {meant}?" if meant else "")


def reword_at_root(error: typer.TyperException) -> None:
    if UNKNOWN_OPTION.search(error.message) and not getattr(error, "possibilities", None):
        error.message += "; the options of a command stand behind its name"


def _meaning(word: str, command: str | None) -> str | None:
    if command in NUMBERED and word.isdigit():
        return NUMBERED[command].format(word)
    if command in ("submit", "best") and word in NETWORKS:
        return f"--network {word}"
    if command in ("submit", "best") and Path(word).is_file():
        return f"--workload {word}"
    return None
