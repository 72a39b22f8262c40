"""Dask writes objects as pickles, which run code where they are read: here nobody reads one."""

from typing import NoReturn

import dask


class PickleRefused(ValueError):
    """Whoever sent it is none of ours: what we say to each other is text."""


def refuse_unpickling() -> None:
    """From now on, whatever this process receives through Dask, as an answer, an error or an argument."""
    import distributed.protocol.pickle

    distributed.protocol.pickle.loads = _refuse
    # Names of classes in messages are looked up in these, which imports them.
    dask.config.set({"distributed.scheduler.allowed-imports": []})


def _refuse(*_: object, **__: object) -> NoReturn:
    raise PickleRefused("an object was received, and none is read")
