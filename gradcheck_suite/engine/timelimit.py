"""The time limit of a custom op: of each call of it, and of everything about one case.

The interpreter's own watchdog keeps it, which ends the process even where native code holds the interpreter's lock,
and leaves the stack. Each call starts it anew, so that an op that returns is never said to hang, however often it is
called; where nothing is limited, as for torch's own ops, all this does nothing.
"""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class TimeIsUp(BaseException):
    """A case took longer than the limit although each call of its op returned.

    Like KeyboardInterrupt no Exception: what handles an op's mistakes shall not take it for one.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    seconds: float
    until: float
    log: int


_limit: _Limit | None = None


@contextmanager
def one_case(seconds: float, log: int) -> Iterator[None]:
    """End the process, with a stack in the file `log`, where what is inside takes longer than `seconds`."""
    global _limit
    _limit = _Limit(seconds=seconds, until=time.monotonic() + seconds, log=log)
    _watch(_limit, seconds)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        _limit = None


@contextmanager
def one_call() -> Iterator[None]:
    """A call of the op: it has the whole limit for itself. Raises TimeIsUp after one that passes the case's, unless
    the op itself raises.
    """
    limit = _limit
    if limit is None:
        yield
        return
    _watch(limit, limit.seconds)
    yield
    left = limit.until - time.monotonic()
    if left <= 0:
        raise TimeIsUp
    _watch(limit, left)


def _watch(limit: _Limit, seconds: float) -> None:
    faulthandler.dump_traceback_later(seconds, exit=True, file=limit.log)
