"""Which findings somebody can act on, and where they stand: what continuous integration shows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from gradcheck_suite.reporters.regions import prominence
from gradcheck_suite.results import Document, Finding, OpInfo, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an op is registered or defined; `file` is relative to the repository where it lies in it."""

    file: str
    line: int

    @property
    def uri(self) -> str:
        """The file as a URI, relative to the repository where it lies in it."""
        path = PurePosixPath(self.file)
        return Path(self.file).as_uri() if path.is_absolute() else quote(str(path))


def baselined(document: Document) -> bool:
    """Whether findings were told apart by a baseline; without one every finding is "new"."""
    return any(f.status == "known" for r in document.results for f in r.findings)


def actionable(document: Document, *, custom_only: bool = False) -> list[tuple[Result, Finding]]:
    """The findings above `info` that are somebody's to mend, most pressing first.

    Those of custom ops that no baseline knows; and, unless `custom_only`, what is new in torch's own ops
    where a baseline says what was known. Without a baseline torch's own defects are for torch to mend.
    """
    news = baselined(document)
    pairs = [
        (result, finding)
        for result in document.results
        for finding in result.findings
        if finding.severity != "info"
        and finding.status == "new"
        and (result.custom or (news and not custom_only))
    ]
    return sorted(pairs, key=lambda pair: prominence(*pair))


def places(document: Document, root: str | os.PathLike[str] | None = None) -> dict[str, Place]:
    """Of every op that names its source, where it stands, relative to `root` (the working directory)."""
    base = Path(root) if root is not None else Path.cwd()
    return {op.name: _place(op, base) for op in document.ops if op.file}


def _place(op: OpInfo, root: Path) -> Place:
    path = Path(op.file or "")
    if path.is_absolute() and path.is_relative_to(root):
        path = path.relative_to(root)
    return Place(file=path.as_posix(), line=max(1, op.line or 1))
