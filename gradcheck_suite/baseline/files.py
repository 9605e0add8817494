"""Baselines on disk: a folder with one sorted JSON file per op, one line per value.

    {"format": 1, "op": "gelu", "environments": {
        "torch2.13-cpu-avx512-linux-x86_64": {
            "beside": {"flush_denormal": false, "max_ulp": 4.0, "onednn": true},
            "cases": {"gelu::float32::backward": {"max_ulp": 2.9, "sample": …, "regions": {…}}}},
        "torch2.13-cpu-default-linux-x86_64": {
            "beside": {…},
            "cases": {"gelu::float32::backward": "torch2.13-cpu-avx512-linux-x86_64"}}}}

An entry that equals another environment's names that environment instead.

A key "any" written by hand is the fallback of environments that have none of their own; without it the
fallback is all recorded environments taken together.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gradcheck_suite.baseline.record import Entry, entry_from_json, entry_to_json
from gradcheck_suite.errors import UsageError
from gradcheck_suite.results import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = 1
ANY: Final = "any"


@dataclass(slots=True, kw_only=True)
class Environment:
    """What was recorded in one environment; `beside` holds what matters and is not part of the key."""

    beside: dict[str, Any] = field(default_factory=dict)
    cases: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class OpFile:
    """The baseline of one op: environments by key."""

    op: str
    environments: dict[str, Environment] = field(default_factory=dict)


def file_name(op: str) -> str:
    """The name of an op's file. Names that differ in letter case or in odd characters only get a checksum."""
    plain = re.sub(r"[^a-z0-9_.-]", "_", op)
    return f"{plain}.json" if plain == op else f"{plain}-{zlib.crc32(op.encode()):08x}.json"


def read_op(folder: Path, op: str) -> OpFile | None:
    """The file of an op; None where there is none. Raises UsageError for one that is damaged or newer."""
    path = folder / file_name(op)
    return read_file(path) if path.is_file() else None


def read_all(folder: Path) -> Iterator[OpFile]:
    """Every op's file of a folder, by name. Raises UsageError as read_op does."""
    for path in sorted(folder.glob("*.json")):
        yield read_file(path)


def read_file(path: Path) -> OpFile:
    """One file. Raises UsageError for one that is damaged, foreign or newer."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the baseline {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(
            f"the baseline {path} is not JSON ({error}); restore it or record it again"
        ) from None
    if not isinstance(data, dict) or not isinstance(data.get("format"), int) or "environments" not in data:
        raise UsageError(f"{path} is no baseline of gradcheck; take it out of the folder of baselines")
    if data["format"] > FORMAT:
        raise UsageError(f"the baseline {path} was written by a newer gradcheck; upgrade gradcheck-suite")
    return OpFile(op=str(data.get("op")), environments=_environments(data["environments"], path))


def _environments(data: Any, path: Path) -> dict[str, Environment]:
    if not isinstance(data, dict):
        raise UsageError(f"{path} is no baseline of gradcheck; take it out of the folder of baselines")
    found = {}
    for key, environment in data.items():
        try:
            beside, cases = dict(environment.get("beside", {})), dict(environment["cases"])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UsageError(f"{path} is damaged at {key!r}; restore it or record it again") from None
        full = {name: _followed(data, name, entry) for name, entry in cases.items()}
        entries = {name: entry_from_json(entry, f"{name} in {path}") for name, entry in full.items()}
        found[key] = Environment(beside=beside, cases=entries)
    return found


def _followed(environments: Any, name: str, entry: Any) -> Any:
    """The entry itself where the name of the environment that has the same one stands in its place."""
    if not isinstance(entry, str):
        return entry
    try:
        return environments[entry]["cases"][name]
    except (KeyError, TypeError):
        return None


def write_op(folder: Path, file: OpFile) -> None:
    """Write an op's file, or remove it where nothing is left in it. Raises UsageError."""
    path = folder / file_name(file.op)
    environments = {key: e for key, e in file.environments.items() if e.cases}
    if not environments:
        path.unlink(missing_ok=True)
        return
    data = {
        "format": FORMAT,
        "op": file.op,
        "environments": dict(_written(environments)),
    }
    text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _written(environments: dict[str, Environment]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Environments as plain values; an entry that an earlier one has as well is written once."""
    first: dict[tuple[str, str], str] = {}
    for key, environment in sorted(environments.items()):
        cases: dict[str, Any] = {}
        for name, entry in environment.cases.items():
            data = entry_to_json(entry)
            known = first.setdefault((name, json.dumps(data, sort_keys=True)), key)
            cases[name] = data if known == key else known
        yield key, {"beside": environment.beside, "cases": cases}
