"""Ids with brackets in the middle, shown whole.

From version 9.2 on pytest takes an id apart at its first bracket and closes that bracket at the end again,
which turns `gradcheck::softplus[beta=10]::float32::forward` into `…::forward]` in its summary and in JUnit
files. Older versions keep ids as text and need nothing of this. Nothing here changes which ids are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _pytest.junitxml import xml_key

if TYPE_CHECKING:
    import pytest

try:
    from _pytest.nodeid import NodeId
except ImportError:
    CaseId: Any = None
else:

    class CaseId(NodeId):  # type: ignore[no-redef]
        """A parsed id that reads as it was written: what follows the bracket belongs to the id's parts."""

        __slots__ = ()

        def __str__(self) -> str:
            return f"{self.path}::{self.rest}"

        @property
        def rest(self) -> str:
            opened = "" if self.params is None else f"[{self.params}"
            return "::".join(self.names) + opened

        def __eq__(self, other: object) -> bool:
            same = isinstance(other, NodeId) and self.path == other.path
            return same and (self.names, self.params) == (other.names, other.params)  # type: ignore[attr-defined]

        __hash__ = NodeId.__hash__


def show_whole(report: pytest.TestReport, config: pytest.Config) -> None:
    """Let pytest's own reporters show the report's id as it is, and JUnit files as class and name."""
    root, _, case = report.nodeid.partition("::")
    if CaseId is not None:
        report._id = CaseId.parse(report.nodeid)
    junit = config.stash.get(xml_key, None)
    if junit is not None:
        testcase = junit.node_reporter(report)
        testcase.add_attribute("classname", root)
        testcase.add_attribute("name", case)
