"""One table of options for the pytest plugin (`--gradcheck-X`, ini `gradcheck_X`) and the CLI (`--X`).

Option values stay plain text until `settings_from` turns them into `Settings`: text crosses to xdist's
workers as it is, and a mistake is worded the same whether it was made in a shell, in pytest's configuration
or in Python. This module is loaded by every pytest run and imports the standard library only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from gradcheck_suite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DTYPES: Final = ("float64", "float32", "float16", "bfloat16")
DIRECTIONS: Final = ("forward", "backward", "double-backward")
USUAL_DIRECTIONS: Final = ("forward", "backward")
PATHS: Final = (
    "vector", "strided", "single", "tail", "inplace", "out", "module", "create_graph", "twins", "channels_last",
    "vmap", "jvp", "compile", "all",
)  # fmt: skip
USUAL_PATHS: Final = ("vector", "strided", "single", "inplace", "out", "module", "create_graph")
EVERY_PATH: Final = "all"
SEVERITIES: Final = ("critical", "major", "minor")
FAIL_ON: Final = (*SEVERITIES, "never")
DEFAULT_FAIL_ON: Final = "minor"
REFERENCES: Final = ("arb", "mpmath")
BUDGETS: Final = ("quick", "default", "thorough")
UPDATES: Final = ("new", "all", "improved")

HALF_AN_ULP: Final = 0.5
"""What correct rounding alone may cost; no op can be held to less."""

Raw = str | list[str] | bool | None
"""An option as it was typed: text, one text per occurrence, a flag, or None where it was not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run checks, how it judges, and where it writes.

    `ops` holds op names, globs and tiers. `max_ulp` is in units in the last place of the dtype under test.
    `fail_on` is None where nobody asked: pytest then fails custom ops from "minor" on, the command line never
    fails. `report` is a directory, `json` a file; None writes nothing. `baseline` is a directory, and
    `update_baseline` says what of it this run writes. `time_limit` is in seconds, for one call of a custom op, and
    for judging one case of it.
    `pictures` are curves and maps, which only a document needs.
    """

    ops: tuple[str, ...] = ("core", "custom")
    dtypes: tuple[str, ...] = DTYPES
    directions: tuple[str, ...] = USUAL_DIRECTIONS
    max_ulp: float = 4.0
    fail_on: str | None = None
    strict: bool = False
    reference: Literal["arb", "mpmath"] = "arb"
    budget: Literal["quick", "default", "thorough"] = "default"
    paths: tuple[str, ...] = USUAL_PATHS
    device: str = "cpu"
    load: tuple[str, ...] = ()
    seed: int = 0
    json: str | None = None
    report: str | None = None
    baseline: str | None = None
    update_baseline: Literal["new", "all", "improved"] | None = None
    force_update: bool = False
    time_limit: float = 60.0
    in_process: bool = False
    pictures: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of the table: `name` as typed ("max-ulp"), its meaning, and how its text becomes a setting.

    `kind` is "value", "list" (comma-separated), "repeated" (one value per occurrence) or "flag". `choices`
    are the only valid texts, where there are such; `noun` names one of them in an error.
    """

    name: str
    help: str
    kind: Literal["value", "list", "repeated", "flag"]
    convert: Callable[[str], object] = str
    choices: tuple[str, ...] = ()
    noun: str = ""
    metavar: str = ""

    @property
    def field(self) -> str:
        """The name of the field of Settings, and of the ini entry after `gradcheck_`."""
        return self.name.replace("-", "_")

    def value(self, raw: Raw, typed: str) -> object:
        """Return the value that the text `raw` stands for.

        Raises UsageError where it stands for none, which names the option as it was `typed`.
        """
        if self.kind == "flag":
            return bool(raw)
        texts = raw if isinstance(raw, list) else [str(raw)]
        if self.kind == "repeated":
            return tuple(self._one(text, typed) for text in texts)
        if self.kind == "list":
            return self._items(texts, typed)
        return self._one(texts[-1], typed)

    def declaration(self) -> dict[str, Any]:
        """The keyword arguments for argparse's `add_argument`, and for pytest's `addoption`."""
        if self.kind == "flag":
            return {"action": "store_true", "default": None, "help": self.help}
        action = "append" if self.kind == "repeated" else "store"
        return {"action": action, "default": None, "metavar": self.metavar, "help": self.help}

    def _items(self, texts: list[str], typed: str) -> tuple[object, ...]:
        parts = [part.strip() for text in texts for part in _split_outside_brackets(text)]
        named = list(dict.fromkeys(part for part in parts if part))
        if not named:
            raise UsageError(f"{typed} names no {self.noun}; leave it out for the default")
        return tuple(self._one(part, typed) for part in named)

    def _one(self, raw: str, typed: str) -> object:
        text = raw.strip()
        if self.choices and text not in self.choices:
            raise UsageError.unknown(self.noun, text, self.choices)
        try:
            return self.convert(text)
        except ValueError as error:
            raise UsageError(f"{typed} {text}: {error}") from error


def _split_outside_brackets(text: str) -> list[str]:
    # A variant in an op pattern carries commas of its own: "elu[alpha=0.1,inplace=1],gelu".
    parts, depth = [""], 0
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("a number of ULP is needed, such as 4") from None
    if not (math.isfinite(number) and number > 0):
        raise ValueError("a positive, finite number of ULP is needed, such as 4")
    return number


def _threshold(text: str) -> float:
    limit = _positive(text)
    if limit < HALF_AN_ULP:
        raise ValueError(
            "impossible to pass: even a correctly rounded result is off by up to half an ULP; use 0.5 or more"
        )
    return limit


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError("a positive number of seconds is needed, such as 60")
    return number


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number is needed, such as 0") from None


def _reference(text: str) -> str:
    # Loaded only where somebody asks: this module serves every pytest run.
    from gradcheck_suite.formula.balls import CERTIFIED

    if text == "arb" and not CERTIFIED:
        raise ValueError(
            "needs python-flint, which cannot be imported; install it with: pip install 'python-flint>=0.7', "
            "or leave the option out, and mpmath alone decides"
        )
    return text


OPTIONS: Final = (
    Option(
        name="ops", kind="list", metavar="LIST", noun="op",
        help="op names, globs such as 'soft*', or tiers (core, extended, custom), comma-separated; "
        "default core,custom",
    ),
    Option(
        name="dtypes", kind="list", metavar="LIST", noun="dtype", choices=DTYPES,
        help=f"dtypes to run the ops in, comma-separated; default {','.join(DTYPES)}",
    ),
    Option(
        name="directions", kind="list", metavar="LIST", noun="direction", choices=DIRECTIONS,
        help="what to judge: forward (the value), backward (the gradient), double-backward (the gradient of "
        f"the gradient), comma-separated; default {','.join(USUAL_DIRECTIONS)}",
    ),
    Option(
        name="max-ulp", kind="value", metavar="ULP", convert=_threshold,
        help="largest error, in units in the last place, that is no finding; default 4",
    ),
    Option(
        name="fail-on", kind="value", metavar="SEVERITY", noun="severity", choices=FAIL_ON,
        help="fail from this severity on: critical, major, minor or never; in pytest, where it governs "
        "custom ops, and with a baseline the default is minor, elsewhere never",
    ),
    Option(
        name="strict", kind="flag",
        help="let findings on torch's own ops fail too, instead of reporting them as expected failures",
    ),
    Option(
        name="reference", kind="value", metavar="NAME", noun="reference", choices=REFERENCES,
        convert=_reference,
        help="what decides: arb (certified enclosures, the default) or mpmath (uncertified, and all there is "
        "without python-flint)",
    ),
    Option(
        name="budget", kind="value", metavar="SIZE", noun="budget", choices=BUDGETS,
        help="how many inputs each op is tried on: quick, default or thorough; it never drops ops or dtypes",
    ),
    Option(
        name="paths", kind="list", metavar="LIST", noun="path", choices=PATHS,
        help="ways of calling an op, comma-separated, or all for every one but compile; default "
        f"{','.join(USUAL_PATHS)}",
    ),
    Option(
        name="device", kind="value", metavar="NAME",
        help="torch device that the ops run on; default cpu",
    ),
    Option(
        name="load", kind="repeated", metavar="FILE",
        help="Python file or module that registers custom ops; may be repeated",
    ),
    Option(
        name="seed", kind="value", metavar="N", convert=_integer,
        help="seed of the sampled inputs; default 0",
    ),
    Option(
        name="json", kind="value", metavar="FILE",
        help="write the results document (JSON) to FILE",
    ),
    Option(
        name="report", kind="value", metavar="DIR",
        help="write index.html, results.json and summary.md into DIR",
    ),
    Option(
        name="baseline", kind="value", metavar="DIR",
        help="compare with the results recorded in DIR: what is known passes, what is new or worse fails",
    ),
    Option(
        name="update-baseline", kind="value", metavar="WHAT", noun="update", choices=UPDATES,
        help="record results in the baseline: new (cases that have no entry), all (whatever ran) or improved "
        "(only what got better)",
    ),
    Option(
        name="force-update", kind="flag",
        help="update the baseline even under CI",
    ),
    Option(
        name="time-limit", kind="value", metavar="SECONDS", convert=_seconds,
        help="longest time that a call of a custom op may take before it counts as hanging, and that judging one "
        "case of it may take; default 60",
    ),
    Option(
        name="in-process", kind="flag",
        help="run custom ops in this process, for a debugger; a crash or a hang then ends the whole run",
    ),
)  # fmt: skip


def settings_from(raw: Mapping[str, Raw], typed: Callable[[str], str] = "--{}".format) -> Settings:
    """Return the settings for options as typed, keyed by field name; None and absent ones take their default.

    `typed` is how an option of a name was written. Raises UsageError that names the option so, the text and the
    valid values, or the option that is missing.
    """
    given: dict[str, Any] = {
        option.field: option.value(raw[option.field], typed(option.name))
        for option in OPTIONS
        if raw.get(option.field) not in (None, [])
    }
    if "update_baseline" in given and "baseline" not in given:
        update, baseline = typed("update-baseline"), typed("baseline")
        raise UsageError(f"{update} has no baseline to update; name its folder with {baseline}")
    return Settings(**given)
