"""Two results documents compared, as text and as a page."""

from __future__ import annotations

import os
from typing import Final

from gradcheck_suite.reporters.changes import TURNS, Change, Comparison, compare
from gradcheck_suite.reporters.templating import style, template
from gradcheck_suite.reporters.terminal import WIDTH, wrapped
from gradcheck_suite.results import write_text

__all__ = ["compare", "render_comparison", "render_comparison_html", "write_comparison"]

_HEADINGS: Final = {"new": "New", "worse": "Worse", "better": "Better", "gone": "Gone"}


def render_comparison(comparison: Comparison, *, limit: int = 12, width: int = WIDTH) -> str:
    """The comparison as plain text of `width` columns; of each turn the first `limit` changes."""
    counts = ", ".join(f"{len(comparison.of(turn))} {turn}" for turn in TURNS)
    lines = wrapped(f"gradcheck compare: {counts}, {comparison.unchanged} unchanged", width)
    for name, was, now in comparison.environment:
        lines += wrapped(f"  {name}: {was} -> {now}", width)
    for turn in TURNS:
        changes = comparison.of(turn)
        if changes:
            lines.append(f"{turn}:")
        for change in changes[:limit]:
            lines += _change_lines(change, width)
        if len(changes) > limit:
            lines.append(f"  ... and {len(changes) - limit} more")
    for ids, side in ((comparison.only_old, "older"), (comparison.only_new, "newer")):
        if ids:
            shown = ids[0] if len(ids[0]) <= width else ids[0][: width - 3] + "..."
            lines += wrapped(
                f"{len(ids)} case{'' if len(ids) == 1 else 's'} in the {side} document only, for one {shown}",
                width,
            )
    return "\n".join(lines) + "\n"


def _change_lines(change: Change, width: int) -> list[str]:
    finding = change.finding
    lines = wrapped(f"  {finding.severity:<8} {change.result.id}: {finding.kind}", width)
    said = "; ".join((change.where, *change.reasons)).replace("≤", "<=").replace("≥", ">=")
    return lines + wrapped(f"           {said}", width)


def write_comparison(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Write the comparison as one HTML page without JavaScript. Raises UsageError where it cannot be."""
    write_text(path, render_comparison_html(comparison))


def render_comparison_html(comparison: Comparison) -> str:
    """The comparison as one HTML page."""
    page: str = template("compare.html.j2").render(
        comparison=comparison,
        turns=[(turn, _HEADINGS[turn], comparison.of(turn)) for turn in TURNS],
        style=style(),
    )
    return page
