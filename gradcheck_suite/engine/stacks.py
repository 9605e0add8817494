"""Reading the stacks that Python's faulthandler leaves behind when a process crashes or hangs."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FRAME: Final = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$', re.MULTILINE)
_TIMEOUT: Final = re.compile(r"^Timeout \((?:(\d+):)?(\d+):(\d+(?:\.\d+)?)\)!", re.MULTILINE)
_RESOLUTION: Final = 2e-6  # of the seconds that a stack states
_PACKAGE: Final = str(Path(__file__).parents[1])
_PYTHON: Final = sysconfig.get_paths()["stdlib"]
_CALLS: Final = ("calls.py", "rowcalls.py")
"""The modules that call ops."""

_TORCH: Final = re.compile(r"[/\\]torch[/\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """`at` names the user's innermost line (" at kernel.py:12 in spin", or ""); `in_reference` says that the
    exact arithmetic, or the rest of the harness, was at work and not the op; `seconds` the time limit that was
    reached, 0 for none.
    """

    at: str = ""
    in_reference: bool = False
    seconds: float = 0.0


def read_stack(text: str, *, limit: float = 0.0) -> Stack:
    """What the last stack in `text` says; an empty Stack where there is none.

    A call of an op has the whole `limit`, in seconds: where less was left, no call was under way.
    """
    start = max(text.rfind("Fatal Python error"), text.rfind("Timeout ("))
    if start < 0:
        return Stack()
    told = text[start:]
    timeout = _TIMEOUT.match(told)
    seconds = _seconds(timeout) if timeout else 0.0
    frames = [(m["file"], int(m["line"]), m["function"]) for m in _FRAME.finditer(told)]
    return Stack(
        at=_users_line(frames),
        in_reference=timeout is not None and (seconds < limit - _RESOLUTION or _in_reference(frames)),
        seconds=seconds,
    )


def _seconds(timeout: re.Match[str]) -> float:
    hours, minutes, seconds = timeout.groups()
    return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + float(seconds)


def _users_line(frames: Sequence[tuple[str, int, str]]) -> str:
    """The innermost frame of neither this package nor torch nor Python itself."""
    for file, line, function in frames:
        if not (file.startswith(("<", _PACKAGE)) or _TORCH.search(file) or _is_pythons(file)):
            return f" at {Path(file).name}:{line} in {function}"
    return ""


def _is_pythons(file: str) -> bool:
    return file.startswith(_PYTHON) and "site-packages" not in file


def _in_reference(frames: Sequence[tuple[str, int, str]]) -> bool:
    """Whether, going outwards, the exact arithmetic is met before a call of the op; or neither of them nor any line
    of the user, so that it was the harness that took so long.
    """
    for file, _, _ in frames:
        name = Path(file)
        if file.startswith(_PACKAGE) and name.name in _CALLS:
            return False
        if file.startswith(_PACKAGE) and name.parent.name == "formula":
            return True
    return bool(frames) and not _users_line(frames)
