"""The results document: what a run found, as one versioned JSON file that every report derives from.

Floats that are inputs or outputs are hex strings (`float.hex()`, or "inf", "-inf", "nan"), exact values are
decimal strings of 25 digits. Measurements (ULP, shares, seconds) are Python floats; JSON has no infinity, so
a non-finite one is written as the string "inf", "-inf" or "nan" and read back as a float. Arrays of more than
64 entries are recipes: `{"fill": hex, "shape": [...], "set": {index: hex}}`, where a list as `fill` is repeated
in C order.

Files whose name ends in .gz are compressed. The JSON Schema of the document is `results.schema.json` beside this file.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import math
import os
import tempfile
import types
import typing
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from gradcheck_suite.errors import UsageError

SCHEMA: Final = "gradcheck-suite/1"
SCHEMA_FILE: Final = Path(__file__).with_name("results.schema.json")
_GZIP: Final = b"\x1f\x8b"  # the first bytes of a compressed file (RFC 1952)

Kind = Literal[
    "overflow", "nan", "underflow", "sign", "inaccurate", "tie", "masked", "path", "dtype", "raises"
]
Severity = Literal["critical", "major", "minor", "info"]
Status = Literal["new", "known", "documented"]
Reason = Literal["ill-conditioned", "documented", "subnormal", "undefined"]
Verdict = Literal["ok", "findings", "inconclusive", "unsupported"]

KINDS: Final[tuple[Kind, ...]] = typing.get_args(Kind)
SEVERITIES: Final[tuple[Severity, ...]] = typing.get_args(Severity)  # gravest first
STATUSES: Final[tuple[Status, ...]] = typing.get_args(Status)
VERDICTS: Final[tuple[Verdict, ...]] = typing.get_args(Verdict)

# A hex string, a (nested) list of them, an integer, a boolean, null or an array recipe.
InputValue = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """The point of largest ULP error of a result, whether or not it is a finding.

    `inputs` maps names to values, `got` is the hex of what was computed, `exact` a decimal of 25 digits.
    """

    inputs: dict[str, InputValue]
    got: str
    exact: str
    ulp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """One input that shows a finding; `abs_error` is |computed - exact| (inf where either is infinite)."""

    inputs: dict[str, InputValue]
    got: str
    exact: str
    ulp: float
    abs_error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One defect, or one remark (`info`), about an interval of a probe.

    `lo` and `hi` are hex strings on `probe`, equal for a point and None only for a structural case (an
    exception, a wrong dtype). `share` is the part of the floats between them that is bad, `points` how many
    were seen. `witness` is as simple as can be; `worst` is the point of largest error, where that is another.
    """

    id: str
    kind: Kind
    severity: Severity
    status: Status = "new"
    reason: Reason | None = None
    path: str = "vector"
    probe: str = "input"
    lo: str | None = None
    hi: str | None = None
    lo_exact: bool = False
    hi_exact: bool = False
    fixed: dict[str, InputValue] = field(default_factory=dict)
    share: float = 1.0
    points: int = 1
    witness: Witness | None = None
    confirmed_by: str | None = None
    message: str = ""
    reproducer: str = ""
    worst: Worst | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Computed and exact values along a probe, for pictures: a few hundred points in rising order of `x`.

    Some floats are even in ordinals, for the picture of the error over the whole line; some are even on the
    linear window where the function bends (about -8 to 8), for the picture that a textbook draws.
    In the file `x` keeps 9 significant digits, which give back a float of 32 bits or fewer; `got`, `exact` and
    `ulp` keep 4, and are None where the result is undefined or was not judged. `fixed` holds the other inputs
    along the probe.
    """

    probe: str
    x: tuple[float, ...]
    got: tuple[float | None, ...]
    exact: tuple[float | None, ...]
    ulp: tuple[float | None, ...]
    fixed: dict[str, InputValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A two-dimensional map: `kind` and `ulp` of the cell at (x[i], y[j]) stand at index j * len(x) + i.

    `x` and `y` are hex strings in rising order, even in float ordinals. `kind` is "" for a cell without a
    finding, a finding's kind, or "undefined".
    """

    x_probe: str
    y_probe: str
    x: tuple[str, ...]
    y: tuple[str, ...]
    kind: tuple[str, ...]
    ulp: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many errors are how large: `counts[i]` lie from edges[i-1] to edges[i] ULP, the last beyond all edges.

    There is one edge less than counts.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One op variant in one dtype and direction, with respect to one input.

    `id` is the case's id, such as "gelu[approximate=tanh]::float32::backward", with "::wrt" added where the
    op has several differentiable inputs. `sample` names the inputs that the statistics were taken over:
    figures of two results are comparable only where it is the same. `note` says why a verdict is
    inconclusive or unsupported.
    """

    id: str
    op: str
    callable: str
    dtype: str
    direction: str
    verdict: Verdict
    variant: dict[str, Any] = field(default_factory=dict)
    custom: bool = False
    wrt: str | None = None
    points: int = 0
    exhaustive: bool = False
    sample: str = ""
    seconds: float = 0.0
    max_ulp: float | None = None
    p99_ulp: float | None = None
    correctly_rounded: float | None = None
    worst: Worst | None = None
    note: str = ""
    findings: tuple[Finding, ...] = ()
    curve: Curve | None = None
    other_curves: tuple[Curve, ...] = ()
    grid: Grid | None = None
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpInfo:
    """What a report says about an op: its definition as text, a stable form that users can write instead."""

    name: str
    callable: str
    family: str
    tier: str
    definition: str = ""
    stable_form: str | None = None
    file: str | None = None
    line: int | None = None
    custom: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole run. `complete` is False where it was interrupted; what had been computed by then is in it."""

    tool: dict[str, str | None]
    environment: dict[str, Any]
    ops: tuple[OpInfo, ...]
    results: tuple[Result, ...]
    complete: bool = True
    schema: str = SCHEMA


def variant_label(variant: dict[str, Any]) -> str:
    """The variant as ids and headings write it: "[beta=10,threshold=20]", or "" for the defaults."""
    return "[" + ",".join(f"{name}={value}" for name, value in variant.items()) + "]" if variant else ""


def severity_rank(severity: str) -> int:
    """0 for critical, rising as it gets milder."""
    return SEVERITIES.index(typing.cast(Severity, severity))


def worst_severity(result: Result) -> Severity | None:
    """The gravest severity among a result's findings; None where it has none."""
    return min((f.severity for f in result.findings), key=severity_rank, default=None)


def count_severities(results: Iterable[Result]) -> dict[Severity, int]:
    """How many findings of each severity, gravest first, zeros included."""
    counter = Counter(f.severity for result in results for f in result.findings)
    return {severity: counter[severity] for severity in SEVERITIES}


def count_verdicts(results: Iterable[Result]) -> dict[Verdict, int]:
    """How many results of each verdict, zeros included."""
    counter = Counter(result.verdict for result in results)
    return {verdict: counter[verdict] for verdict in VERDICTS}


def largest_ulp(finding: Finding) -> float | None:
    """The largest error of a finding in ULP; None where it has no witness."""
    point = finding.worst or finding.witness
    return None if point is None else point.ulp


def gravity(result: Result, finding: Finding) -> tuple[int, bool, float, str]:
    """Sort key that puts the gravest finding first: severity, new before known, then the ULP error."""
    ulp = largest_ulp(finding)
    largest = math.inf if ulp is None else ulp
    return (severity_rank(finding.severity), finding.status != "new", -largest, result.id)


def gravest(results: Iterable[Result]) -> list[tuple[Result, Finding]]:
    """Every finding with its result, gravest first."""
    pairs = [(result, finding) for result in results for finding in result.findings]
    return sorted(pairs, key=lambda pair: gravity(*pair))


# ---------------------------------------------------------------- writing


def to_json(value: Any) -> Any:
    """A document, or any part of one, as plain JSON values."""
    if isinstance(value, Curve):
        return _curve_to_json(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def write(document: Document, path: str | os.PathLike[str]) -> None:
    """Write the document as JSON, one result per line, compressed where the name ends in .gz.

    Raises UsageError where that cannot be done.
    """
    text = "".join(_lines(document))
    # A fixed time stamp: the same document gives the same file, byte for byte.
    packed = str(path).endswith(".gz")
    write_bytes(path, gzip.compress(text.encode(), mtime=0) if packed else text.encode())


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file whole, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file beside `path`, then replace it, so that no half file is ever seen.

    Missing folders are made. Raises UsageError where it cannot be written; what stood there stays whole.
    """
    target = Path(path)
    beside: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, target)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}.") from error
    finally:
        if beside is not None:
            Path(beside).unlink(missing_ok=True)


@functools.cache
def _umask() -> int:
    # mkstemp's files are for their owner only, a report is for everybody. Reading the mask takes setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _lines(document: Document) -> Iterator[str]:
    head = to_json(dataclasses.replace(document, results=()))
    del head["results"]
    yield "{\n"
    order = ("schema", "complete", "tool", "environment", "ops")
    for name in order:
        yield f"{_dump(name)}: {_dump(head[name])},\n"
    yield '"results": ['
    for index, result in enumerate(document.results):
        yield ("" if index == 0 else ",") + "\n" + _dump(to_json(result))
    yield "\n]}\n"


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _curve_to_json(curve: Curve) -> dict[str, Any]:
    return {
        "probe": curve.probe,
        "x": [_short(x, 9) for x in curve.x],
        **{name: [_short(v, 4) for v in getattr(curve, name)] for name in ("got", "exact", "ulp")},
        "fixed": to_json(curve.fixed),
    }


def _short(value: float | None, digits: int) -> float | str | None:
    if value is None:
        return None
    if not math.isfinite(value):
        return str(float(value))
    rounded = float(f"{value:.{digits}g}")
    # Float64's largest numbers round up to 1.798e308, which is no float64 number.
    return rounded if math.isfinite(rounded) else value


# ---------------------------------------------------------------- reading


class _Misfit(Exception):
    """A value that does not fit the document, with the place where it stands."""


def read(path: str | os.PathLike[str]) -> Document:
    """Read a results document. Raises UsageError for a file that is missing, truncated, foreign or newer."""
    try:
        data = Path(path).read_bytes()
        text = (gzip.decompress(data) if data.startswith(_GZIP) else data).decode()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{path} is cut short ({error}); run gradcheck again to make a new one.") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a results document of gradcheck: it is not UTF-8 text.") from error
    return from_json(_parse(text, path), source=str(path))


def _parse(text: str, path: str | os.PathLike[str]) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        cut = text.lstrip().startswith("{") and not text.rstrip().endswith("}")
        what = "is cut short" if cut else "is not JSON"
        raise UsageError(f"{path} {what} ({error}); run gradcheck again to make a new one.") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def from_json(data: Any, *, source: str = "the results document") -> Document:
    """The document that plain JSON values describe. Raises UsageError naming the place that does not fit."""
    _check_schema(data, source)
    try:
        return typing.cast(Document, _decode(Document, data, ""))
    except _Misfit as error:
        raise UsageError(f"{source} is not a results document of gradcheck: {error}.") from None


def result_from_json(data: Any) -> Result:
    """One result from plain JSON values (what crosses processes). Raises UsageError where it does not fit."""
    try:
        return typing.cast(Result, _decode(Result, data, ""))
    except _Misfit as error:
        raise UsageError(f"not a result of gradcheck: {error}.") from None


def _check_schema(data: Any, source: str) -> None:
    schema = data.get("schema") if isinstance(data, dict) else None
    family, _, version = schema.partition("/") if isinstance(schema, str) else ("", "", "")
    if family != "gradcheck-suite" or not version.isdecimal():
        raise UsageError(f'{source} is not a results document of gradcheck: it has no "schema": "{SCHEMA}".')
    if int(version) > int(SCHEMA.partition("/")[2]):
        raise UsageError(
            f"{source} was written by a newer gradcheck (schema {schema}; this one reads up to {SCHEMA}): "
            "upgrade gradcheck-suite to read it."
        )


@functools.cache
def _hints(cls: type) -> dict[str, tuple[Any, bool]]:
    """Of a dataclass: each field's type and whether it must be present."""
    hints = typing.get_type_hints(cls)
    required = dataclasses.MISSING
    return {
        f.name: (hints[f.name], f.default is required and f.default_factory is required)
        for f in dataclasses.fields(cls)
    }


def _decode(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _decode_record(hint, value, where)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _decode(_the_other(hint), value, where)
    if origin is tuple:
        return _decode_list(typing.get_args(hint)[0], value, where)
    if origin is dict:
        return _expect(dict, value, where)
    if origin is Literal:
        return _decode_word(typing.get_args(hint), value, where)
    return _decode_scalar(hint, value, where)


def _decode_record(cls: type, value: Any, where: str) -> Any:
    _expect(dict, value, where)
    known: dict[str, Any] = {}
    for name, (hint, required) in _hints(cls).items():
        place = f"{where}.{name}" if where else name
        if name in value:
            known[name] = _decode(hint, value[name], place)
        elif required:
            raise _Misfit(f"{place} is missing")
    return cls(**known)


def _decode_list(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    _expect(list, value, where)
    if hint is float or float in typing.get_args(hint):
        # Curves are most of a document: plain floats skip the general path.
        return tuple(
            v if type(v) is float else _decode(hint, v, f"{where}[{i}]") for i, v in enumerate(value)
        )
    return tuple(_decode(hint, v, f"{where}[{i}]") for i, v in enumerate(value))


def _decode_word(words: tuple[str, ...], value: Any, where: str) -> str:
    if value not in words:
        raise _Misfit(f"{where} is {_shown(value)}, not one of {', '.join(words)}")
    return typing.cast(str, value)


def _decode_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    if hint is float:
        if value in ("inf", "-inf", "nan"):
            return float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _Misfit(f"{where} is {_shown(value)}, not a number")
        return float(value)
    if hint is int and isinstance(value, bool):
        raise _Misfit(f"{where} is {_shown(value)}, not an integer")
    return _expect(hint, value, where)


def _expect(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind):
        names = {dict: "an object", list: "a list", str: "text", int: "an integer", bool: "true or false"}
        raise _Misfit(f"{where or 'it'} is {_shown(value)}, not {names[kind]}")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _the_other(hint: Any) -> Any:
    return next(arg for arg in typing.get_args(hint) if arg is not types.NoneType)
