"""The journal of a sweep: one line of JSON for every finished task, so that a killed sweep can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from gradcheck_suite.errors import UsageError

Found = list[dict[str, Any]]
"""What `run_task` returns."""


class Journal:
    """An open journal; `done` has what earlier runs finished, by the number of the task."""

    def __init__(self, path: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
        """Begin a journal at `path`, or go on with the one there.

        Raises UsageError where that belongs to another sweep, or the file cannot be written.
        """
        self.path = path
        self.done: dict[int, Found] = {}
        head = json.dumps(identity, sort_keys=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = self._read(head) if resume and path.exists() else 0
            self._stream: IO[str] = path.open("r+" if kept else "w", encoding="utf-8")
            self._stream.truncate(kept)
            self._stream.seek(kept)
            if not kept:
                self._write(head)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error

    def _read(self, head: str) -> int:
        """Take over what is there; returns the bytes up to the end of the last whole line."""
        kept = 0
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream):
                # A process that was killed may have left half a line.
                if not line.endswith(b"\n") or (entry := _parsed(line)) is None:
                    break
                if number == 0:
                    self._check(entry, json.loads(head))
                elif not {"task", "found"} <= entry.keys():
                    break
                else:
                    self.done[int(entry["task"])] = entry["found"]
                kept += len(line)
        return kept

    def _check(self, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
        other = [n for n in (*ours, *theirs) if theirs.get(n) != ours.get(n)]
        if other:
            raise UsageError(
                f"the interrupted sweep in {self.path} had another {other[0]} ({theirs.get(other[0])!r}, now "
                f"{ours.get(other[0])!r}); leave out --resume to start anew"
            )

    def add(self, task: int, found: Found) -> None:
        """Note a finished task."""
        self._write(json.dumps({"task": task, "found": found}, separators=(",", ":")))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        # What has left this process survives its end; only a crash of the machine would take it.
        self._stream.flush()

    def close(self, *, remove: bool) -> None:
        """Close the file, and remove it where the sweep is complete."""
        self._stream.close()
        if remove:
            os.unlink(self.path)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
