"""The exceptions that callers may catch, and the wording of corrections to misspelt names."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LISTED_IN_FULL = 8


class GradcheckError(Exception):
    """Base of every exception that this package raises on purpose."""


class UsageError(GradcheckError):
    """A mistake of the caller: one sentence that names the thing and the remedy.

    The command line prints it and exits with 2, and pytest reports it as a usage error; neither shows a
    traceback.
    """

    @classmethod
    def unknown(cls, kind: str, name: str, valid: Iterable[str]) -> UsageError:
        """Return the error for a `name` that is no `kind` ("op", "dtype", …), and the closest valid names."""
        return cls(f"unknown {kind} {name!r}; {suggest(name, valid)}")

    @classmethod
    def lacking(cls, owner: str, kind: str, name: str, valid: Iterable[str]) -> UsageError:
        """Return the error for an `owner` ("relu") that has no `kind` ("parameter") `name`, and the closest it has."""
        known = list(valid)
        return cls(
            f"{owner} has no {kind} {name!r}{f'; {suggest(name, known)}' if known else ', nor any other'}"
        )


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return a clause that leads from the misspelt `name` to the `valid` ones.

    The closest matches where there are any ("did you mean 'gelu' or 'selu'?"), otherwise the valid names
    themselves ("valid are: …"), shortened when they are many. Letter case is ignored. Raises nothing.
    """
    names = sorted(set(valid))
    by_lower = {candidate.lower(): candidate for candidate in names}
    close = get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(repr(by_lower[match]) for match in close)}?"
    if not names:
        return "there is none to choose from"
    return f"valid are: {_listed(names)}"


def _listed(names: list[str]) -> str:
    shown = names[:_LISTED_IN_FULL]
    hidden = len(names) - len(shown)
    return ", ".join(shown) + (f", … ({hidden} more)" if hidden else "")
