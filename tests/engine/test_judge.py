"""How a point fails and how gravely, on hand-made values."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gradcheck_suite.engine.judge import KINDS, REASONS, SEVERITIES, judge
from gradcheck_suite.floats import Exact, format_of

F32 = format_of("float32")
F16 = format_of("float16")


def verdict(got: float, exact: Fraction | float, fmt: Any = F32, **options: Any) -> tuple[str, str, str]:
    one = (
        Exact.from_fractions([exact])
        if isinstance(exact, Fraction)
        else Exact.from_float64(np.array([exact]))
    )
    v = judge(np.array([got]), one, one, fmt, max_ulp=4.0, **options)
    return KINDS[v.kind[0]], SEVERITIES[v.severity[0]], REASONS[v.reason[0]]


@pytest.mark.parametrize(
    ("got", "exact", "kind", "severity"),
    [
        (1.0, 1.0, "", ""),
        (1.0 + 4 * 2.0**-23, 1.0, "", ""),
        (1.0 + 5 * 2.0**-23, 1.0, "inaccurate", "minor"),
        (1.0 + 2.0**-10, 1.0, "inaccurate", "major"),
        (np.nan, 1.0, "nan", "critical"),
        (np.inf, 1e30, "overflow", "critical"),
        (np.inf, 1e300, "", ""),
        (-np.inf, 1e300, "sign", "critical"),
        (3e38, 1e300, "masked", "critical"),
        (0.0, 1e-30, "underflow", "critical"),
        (0.0, 1e-60, "", ""),
        (-1.0, 1.0, "sign", "critical"),
        (np.inf, np.inf, "", ""),
        (1.0, -np.inf, "masked", "critical"),
    ],
)
def test_kinds_and_severities(got: float, exact: float, kind: str, severity: str) -> None:
    assert verdict(got, exact)[:2] == (kind, severity)


def test_flushed_subnormal_is_information_except_in_float16() -> None:
    assert verdict(0.0, 1e-40) == ("underflow", "info", "subnormal")
    assert verdict(0.0, 2.0**-20, F16) == ("underflow", "minor", "subnormal")


def test_digits_of_a_subnormal_are_no_graver_than_the_flush_of_all_of_them() -> None:
    assert verdict(3e-40, 1e-40) == ("inaccurate", "info", "subnormal")
    assert verdict(3e-40, 0.0) == ("inaccurate", "info", "subnormal")
    assert verdict(2.0**-19, 2.0**-20, F16) == ("inaccurate", "minor", "subnormal")
    assert verdict(2.0**-126, 2.0**-130) == ("inaccurate", "major", "")
    assert verdict(2.0**-130, 2.0**-125)[:2] == ("inaccurate", "major")
    assert verdict(0.0, 2.0**-12, F16) == ("underflow", "critical", "")


def test_no_error_among_subnormal_numbers_is_graver_than_their_flush() -> None:
    assert verdict(-1e-42, 1e-40) == ("sign", "info", "subnormal")
    assert verdict(2e-40, 1e-40) == ("inaccurate", "info", "subnormal")
    assert verdict(-(2.0**-24), 2.0**-20, F16) == ("sign", "minor", "subnormal")
    assert verdict(-1e-37, 1e-40)[:2] == ("sign", "critical")
    assert verdict(np.nan, 1e-40)[:2] == ("nan", "critical")


def test_exact_values_outside_binary64_are_judged() -> None:
    assert verdict(0.0, Fraction(1, 2**5000)) == ("", "", "")
    assert verdict(1e-30, Fraction(1, 2**5000))[0] == "inaccurate"
    assert verdict(np.inf, Fraction(2**5000))[0] == ""


def interval(got: float, lower: float, upper: float) -> str:
    lo, hi = Exact.from_float64(np.array([lower])), Exact.from_float64(np.array([upper]))
    return KINDS[judge(np.array([got]), lo, hi, F32, max_ulp=4.0, tie=np.array([True])).kind[0]]


def test_tie_accepts_the_whole_set_and_nothing_else() -> None:
    assert interval(0.0, 0.0, 1.0) == ""
    assert interval(0.5, 0.0, 1.0) == ""
    assert interval(1.0, 0.0, 1.0) == ""
    assert interval(1.1, 0.0, 1.0) == "tie"
    assert interval(-0.1, 0.0, 1.0) == "tie"
    assert interval(np.nan, 0.0, 1.0) == "nan"


def test_a_set_of_one_point_is_no_tie() -> None:
    assert interval(0.0, 1.0, 1.0) == "underflow"
    assert interval(2.0, 1.0, 1.0) == "inaccurate"


def test_undefined_points_are_never_accused() -> None:
    assert verdict(np.nan, 1.0, undefined=np.array([True])) == ("", "", "")


def test_nan_inputs_must_show_where_expected() -> None:
    missing = np.array([True])
    assert verdict(1.0, 1.0, undefined=missing, nan_expected=missing)[0] == "masked"
    assert verdict(np.nan, 1.0, undefined=missing, nan_expected=missing)[0] == ""


def test_an_enclosure_too_wide_for_a_verdict_is_open() -> None:
    wide = Exact.from_float64(np.array([1.0]), rad=2.0**-20)
    v = judge(np.array([1.0 + 6 * 2.0**-23]), wide, wide, F32, max_ulp=4.0)
    assert v.open[0]
    assert v.kind[0] == 0
