"""Exit codes of the command line."""

from __future__ import annotations

from typing import Final

DONE: Final = 0  # whatever was found
FOUND: Final = 1  # findings at or above an explicit --fail-on
USAGE: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it
