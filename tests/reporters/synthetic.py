"""Results documents that look like real ones, made without torch, for the tests of reporters and benchmarks.

A miniature of a run: every op has a formula, a rounding to the dtype with a deterministic error of a fraction
of an ulp, and planted defects on intervals of the float line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.options import DIRECTIONS, DTYPES
from gradcheck_suite.results import (
    Curve,
    Document,
    Finding,
    Grid,
    OpInfo,
    Result,
    Witness,
    Worst,
    variant_label,
)

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

HOSTILE = """"><script>alert('gradcheck')</script></script>&amp; <b>bold</b> `tick` | pipe 漢字 \u202e ñ"""
LONG = "a very long sentence that goes on and on " * 40

PRECISION = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
EMAX = {"float64": 1023, "float32": 127, "float16": 15, "bfloat16": 127}
SEVERITY = {"inaccurate": "minor", "tie": "critical", "dtype": "major"}


@dataclass(frozen=True, slots=True)
class Defect:
    """A planted defect: its kind, direction, and the interval in each dtype."""

    kind: str
    direction: str
    lo: Callable[[str], float]
    hi: Callable[[str], float]
    severity: str = "critical"
    dtypes: tuple[str, ...] = DTYPES
    reason: str | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Toy:
    """An op of the miniature: functions of order 0, 1 and 2, variants and defects."""

    name: str
    family: str
    definition: str
    functions: tuple[Function, Function, Function]
    variants: tuple[dict[str, Any], ...] = ({},)
    defects: tuple[Defect, ...] = ()
    callable: str = ""
    stable_form: str | None = None
    custom: bool = False
    tier: str = "core"
    inputs: tuple[str, ...] = ("input",)
    file: str | None = None
    line: int | None = None
    probe: str = "input"
    grid: bool = False
    message: str = ""


def limit(dtype: str) -> float:
    """The largest finite float."""
    return math.ldexp(2.0 - 2.0 ** (1 - PRECISION[dtype]), EMAX[dtype])


def round_to(values: Floats, dtype: str) -> Floats:
    """Round to nearest in the dtype: good enough for pictures, not the package's own arithmetic."""
    with np.errstate(all="ignore"):
        if dtype == "float64":
            return values
        if dtype == "float32":
            return values.astype(np.float32).astype(np.float64)
        if dtype == "float16":
            return values.astype(np.float16).astype(np.float64)
        bits = values.astype(np.float32).view(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        return np.asarray(rounded.astype(np.uint32).view(np.float32), dtype=np.float64)


def abscissae(dtype: str, count: int) -> Floats:
    """Floats even in ordinals over the whole line, and floats even on [-8, 8]."""
    octaves = 2 * EMAX[dtype] + 1
    steps = np.linspace(0.02, octaves - 0.01, count // 3)
    whole, part = np.divmod(steps, 1.0)
    positive = np.ldexp(1.0 + part, (whole - EMAX[dtype]).astype(int))
    line = np.concatenate([-positive[::-1], [0.0], positive, np.linspace(-8.0, 8.0, count // 3)])
    return np.unique(round_to(np.clip(line, -limit(dtype), limit(dtype)), dtype))


def ulp_of(values: Floats, dtype: str) -> Floats:
    """The unit in the last place of exact values, as the project defines it."""
    with np.errstate(divide="ignore"):
        exponent = np.floor(np.log2(np.abs(values)))
    exponent = np.clip(np.nan_to_num(exponent, neginf=-1e9, posinf=1e9), 1 - EMAX[dtype], EMAX[dtype])
    return np.asarray(np.exp2(exponent - (PRECISION[dtype] - 1)), dtype=np.float64)


def toy_results(
    toy: Toy, index: int, variant: dict[str, Any], dtype: str, order: int, count: int
) -> list[Result]:
    """The results of one case: one for each input that the gradient is taken by."""
    first = toy_result(toy, index, variant, dtype, order, count)
    if order == 0 or len(toy.inputs) == 1:
        return [first]
    return [replace(first, id=f"{first.id}::{name}", wrt=name) for name in toy.inputs]


def toy_result(toy: Toy, index: int, variant: dict[str, Any], dtype: str, order: int, count: int) -> Result:
    """One result of the miniature, with its curve and findings."""
    direction = DIRECTIONS[order]
    x = abscissae(dtype, count)
    with np.errstate(all="ignore"):
        exact = np.asarray(toy.functions[order](x), dtype=np.float64)
        noise = 0.45 * np.sin(np.arange(len(x)) * 12.9898 + index + order)
        got = round_to(exact + noise * ulp_of(exact, dtype), dtype)
        planted = [d for d in toy.defects if d.direction == direction and dtype in d.dtypes]
        for defect in planted:
            inside = (x >= defect.lo(dtype)) & (x <= defect.hi(dtype))
            got = np.where(inside, spoil(got, defect), got)
        ulp = np.abs(np.clip(got, -1.7e308, 1.7e308) - exact) / ulp_of(exact, dtype)
        ulp = np.where(np.isnan(got) & ~np.isnan(exact), np.inf, ulp)
    label = toy.name + variant_label(variant)
    name = f"{label}::{dtype}::{direction}"
    findings = tuple(toy_finding(toy, name, d, dtype, order) for d in planted)
    known = [float(u) for u in ulp if not math.isnan(u)]
    worst = int(np.nanargmax(np.where(np.isnan(ulp), -1.0, ulp)))
    return Result(
        id=name,
        op=toy.name,
        callable=toy.callable or f"torch.nn.functional.{toy.name}",
        variant=variant,
        custom=toy.custom,
        dtype=dtype,
        direction=direction,
        wrt="input" if order else None,
        verdict="findings" if any(f.severity != "info" for f in findings) else "ok",
        points=65_536 if PRECISION[dtype] < 20 else 4_096,
        exhaustive=PRECISION[dtype] < 20,
        sample="exhaustive" if PRECISION[dtype] < 20 else "default/4096@seed0",
        seconds=0.04,
        max_ulp=max(known),
        p99_ulp=float(np.quantile(np.minimum(known, 1e300), 0.99)),
        correctly_rounded=0.93,
        worst=Worst(
            inputs={"input": float(x[worst]).hex()},
            got=hex_of(float(got[worst])),
            exact=f"{float(exact[worst]):.25g}",
            ulp=float(ulp[worst]),
        ),
        findings=findings,
        curve=toy_curve(toy.probe, dtype, x, got, exact, ulp),
        grid=toy_grid(dtype) if toy.grid else None,
    )


def spoil(got: Floats, defect: Defect) -> Floats:
    """What comes out of a defective region."""
    outcomes: dict[str, Floats] = {
        "overflow": np.full_like(got, np.inf),
        "nan": np.full_like(got, np.nan),
        "underflow": np.zeros_like(got),
        "sign": -got,
        "masked": np.ones_like(got),
        "tie": np.full_like(got, 2.0),
        "inaccurate": got * (1 + 3e-2 * np.sin(np.arange(len(got)) * 7.1)),
    }
    return outcomes[defect.kind]


def hex_of(value: float) -> str:
    """A float as the document writes it."""
    return value.hex() if math.isfinite(value) else str(value)


def toy_curve(probe: str, dtype: str, x: Floats, got: Floats, exact: Floats, ulp: Floats) -> Curve:
    """The curve of a result; what is undefined becomes None."""

    def column(values: Floats) -> tuple[float | None, ...]:
        return tuple(None if math.isnan(v) else float(v) for v in values)

    nan_is_inf = np.where(np.isnan(ulp) & ~np.isnan(exact), np.inf, ulp)
    return Curve(
        probe=probe,
        x=tuple(map(float, x)),
        got=column(got),
        exact=column(exact),
        ulp=column(nan_is_inf),
    )


def toy_grid(dtype: str, side: int = 24) -> Grid:
    """A map of input x target with an overflow corner and an inaccurate band."""
    axis = [x for x in abscissae(dtype, 3 * side) if x][:: max(1, 3 * side // side)][:side]
    marks = [float(v).hex() for v in axis]
    kind, ulp = [], []
    for j in range(len(axis)):
        for i in range(len(axis)):
            bad = "overflow" if i + j > 1.6 * side else "inaccurate" if abs(i - j) < 2 else ""
            kind.append("undefined" if i == 0 else bad)
            ulp.append({"overflow": math.inf, "inaccurate": 812.5}.get(bad, 0.4))
    return Grid(
        x_probe="input", y_probe="target", x=tuple(marks), y=tuple(marks), kind=tuple(kind), ulp=tuple(ulp)
    )


def toy_finding(toy: Toy, name: str, defect: Defect, dtype: str, order: int) -> Finding:
    """A finding for a planted defect, with a witness inside its interval."""
    lo, hi = defect.lo(dtype), defect.hi(dtype)
    at = hi if math.isinf(lo) else lo
    value = np.array([at if math.isfinite(at) else limit(dtype)])
    with np.errstate(all="ignore"):
        exact = float(toy.functions[order](value)[0])
        got = float(spoil(value, defect)[0])
        ulp = abs(min(got, 1.7e308) - exact) / float(ulp_of(np.array([exact]), dtype)[0])
    ulp = math.inf if math.isnan(got) or math.isnan(ulp) else ulp
    witness = Witness(
        inputs={"input": hex_of(float(value[0]))},
        got=hex_of(got),
        exact=f"{exact:.25g}",
        ulp=ulp,
        abs_error=abs(got - exact) if math.isfinite(got) else math.inf,
    )
    says = {"overflow": "inf", "nan": "NaN", "underflow": "0", "sign": "the wrong sign"}
    return Finding(
        id=f"{abs(hash_text(name + defect.kind + str(lo))):012x}",
        kind=defect.kind,  # type: ignore[arg-type]
        severity=defect.severity,  # type: ignore[arg-type]
        status="documented" if defect.reason == "documented" else "new" if toy.custom else "known",
        reason=defect.reason,  # type: ignore[arg-type]
        probe=toy.probe,
        path="vector" if order == 0 else "strided",
        lo=hex_of(lo),
        hi=hex_of(hi),
        lo_exact=defect.kind != "inaccurate",
        hi_exact=defect.kind != "inaccurate",
        share=defect.share,
        points=31,
        witness=witness,
        confirmed_by="mpmath@400",
        message=toy.message
        or f"{toy.name} {DIRECTIONS[order]} in {dtype} gives {says.get(defect.kind, f'{got:.4g}')} "
        f"where the exact result is {exact:.6g}.",
        reproducer=f"import torch\nx = torch.tensor(float.fromhex('{hex_of(float(value[0]))}'), "
        f"dtype=torch.{dtype}, requires_grad=True)\n"
        f"y = {toy.callable or 'torch.nn.functional.' + toy.name}(x)\ny.backward()\n"
        f"print(y.item(), x.grad.item(), 'exact: {exact:.25g}')\n",
    )


def hash_text(text: str) -> int:
    """A hash that is the same in every process."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**48
    return value


def sigma(x: Floats) -> Floats:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-x)), dtype=np.float64)


def constant(value: float) -> Function:
    """A constant function."""
    return lambda x: np.full_like(x, value)


def by_dtype(**values: float) -> Callable[[str], float]:
    """A number per dtype."""
    return lambda dtype: values[dtype]


def always(value: float) -> Callable[[str], float]:
    """The same number for every dtype."""
    return lambda dtype: value


INF = always(math.inf)
LARGE = by_dtype(float64=1e154, float32=1.8e19, float16=256.0, bfloat16=1.8e19)
TOYS: tuple[Toy, ...] = (
    Toy(
        name="sigmoid",
        family="elementwise_unary",
        definition="1 / (1 + exp(-x))",
        functions=(
            sigma,
            lambda x: sigma(x) * sigma(-x),
            lambda x: sigma(x) * sigma(-x) * (sigma(-x) - sigma(x)),
        ),
        defects=(
            Defect(
                "underflow",
                "backward",
                by_dtype(float64=36.7368, float32=16.6355, float16=7.625, bfloat16=5.5625),
                by_dtype(float64=745.13, float32=103.97, float16=17.328, bfloat16=92.0),
            ),
            Defect(
                "inaccurate",
                "double-backward",
                always(3.0),
                always(36.0),
                severity="major",
                share=0.71,
            ),
        ),
        callable="torch.sigmoid",
        stable_form="s = torch.sigmoid(x); gradient = s * torch.sigmoid(-x)",
    ),
    Toy(
        name="relu",
        family="elementwise_unary",
        definition="max(0, x)",
        functions=(
            lambda x: np.maximum(x, 0),
            lambda x: (x > 0).astype(np.float64),
            constant(0.0),
        ),
    ),
    Toy(
        name="softplus",
        family="elementwise_unary",
        definition="log(1 + exp(beta x)) / beta",
        functions=(
            lambda x: np.logaddexp(0, x),
            sigma,
            lambda x: sigma(x) * sigma(-x),
        ),
        variants=({}, {"beta": 10}, {"beta": 0.1, "threshold": 20}),
        defects=(
            Defect(
                "inaccurate",
                "forward",
                always(-17.0),
                always(-2.0),
                severity="minor",
                dtypes=("float32", "bfloat16"),
                share=0.31,
            ),
            Defect(
                "underflow",
                "double-backward",
                by_dtype(float64=20.0, float32=20.0, float16=20.0, bfloat16=20.0),
                by_dtype(float64=745.0, float32=103.0, float16=24.0, bfloat16=92.0),
                reason="documented",
                severity="info",
            ),
        ),
        stable_form="torch.logaddexp(beta * x, torch.zeros_like(x)) / beta",
    ),
    Toy(
        name="gelu",
        family="elementwise_unary",
        definition="x erfc(-x / sqrt(2)) / 2",
        functions=(
            lambda x: x * sigma(1.702 * x),
            lambda x: sigma(1.702 * x) + 1.702 * x * sigma(1.702 * x) * sigma(-1.702 * x),
            lambda x: 1.5 * np.exp(-(x**2) / 2),
        ),
        variants=({"approximate": "none"}, {"approximate": "tanh"}),
        defects=(
            Defect(
                "underflow",
                "forward",
                by_dtype(float64=-37.5, float32=-14.17, float16=-5.5, bfloat16=-13.3),
                by_dtype(float64=-8.29, float32=-5.42, float16=-4.2, bfloat16=-5.4),
            ),
            Defect(
                "inaccurate", "forward", always(-5.4), always(-1.2), severity="major", dtypes=("float32",)
            ),
            Defect("inaccurate", "backward", always(-4.1), always(-0.75), severity="minor"),
        ),
    ),
    Toy(
        name="mse_loss",
        family="elementwise_input_target",
        definition="(x - y)^2",
        functions=(lambda x: x * x, lambda x: 2 * x, constant(2.0)),
        variants=({"reduction": "mean"}, {"reduction": "sum"}),
        defects=(Defect("overflow", "forward", LARGE, INF),),
        inputs=("input", "target"),
        probe="distance to the target",
        grid=True,
    ),
    Toy(
        name="fused_gelu",
        family="elementwise_unary",
        definition="x erfc(-x / sqrt(2)) / 2",
        functions=(
            lambda x: x * sigma(1.702 * x),
            lambda x: sigma(1.702 * x) + 1.702 * x * sigma(1.702 * x) * sigma(-1.702 * x),
            constant(0.0),
        ),
        defects=(
            Defect("sign", "backward", always(-3.5), always(-2.25)),
            Defect("nan", "forward", LARGE, INF),
        ),
        callable="mylib.fused_gelu",
        custom=True,
        tier="custom",
        file="src/mylib/ops.py",
        line=42,
    ),
)

HOSTILE_TOY = Toy(
    name="x</script>" + HOSTILE,
    family="family <i>odd</i>",
    definition=HOSTILE + LONG,
    functions=(lambda x: x, constant(1.0), constant(0.0)),
    variants=({"mode": HOSTILE, "note": LONG},),
    defects=(Defect("tie", "backward", always(0.0), always(0.0)),),
    callable=HOSTILE,
    stable_form=HOSTILE,
    custom=True,
    tier="custom",
    file="src/a b/öp.py",
    line=7,
    message=HOSTILE + " " + LONG,
)


def crowd(count: int) -> tuple[Toy, ...]:
    """The toys repeated under other names until there are `count` of them."""
    return tuple(
        replace(toy, name=toy.name if n < len(TOYS) else f"{toy.name}_{n // len(TOYS)}")
        for n in range(count)
        for toy in (TOYS[n % len(TOYS)],)
    )


def document(
    *,
    ops: int = len(TOYS),
    hostile: bool = True,
    dtypes: tuple[str, ...] = DTYPES,
    directions: int = 3,
    points: int = 300,
    complete: bool = True,
) -> Document:
    """A document of `ops` toy ops, and the hostile one."""
    toys = crowd(ops) + ((HOSTILE_TOY,) if hostile else ())
    results = [
        result
        for index, toy in enumerate(toys)
        for variant in toy.variants
        for dtype in dtypes
        for order in range(directions)
        for result in toy_results(toy, index, variant, dtype, order, points)
    ]
    return Document(
        tool={"version": "0.1.0", "mpmath": "1.3.0", "python_flint": "0.9.0"},
        environment={
            "torch": "2.13.0",
            "device": "cpu",
            "cpu_capability": "AVX512",
            "platform": "Linux-6.1-x86_64",
            "threads": 1,
            "key": "torch2.13-cpu-avx512-linux-x86_64",
        },
        ops=tuple(op_info(toy) for toy in toys),
        results=tuple(results),
        complete=complete,
    )


def op_info(toy: Toy) -> OpInfo:
    """The record of a toy."""
    return OpInfo(
        name=toy.name,
        callable=toy.callable or f"torch.nn.functional.{toy.name}",
        family=toy.family,
        tier=toy.tier,
        definition=toy.definition,
        stable_form=toy.stable_form,
        file=toy.file,
        line=toy.line,
        custom=toy.custom,
    )
