"""`gradcheck_suite.check`: the engine from any test or notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import gradcheck_suite
from gradcheck_suite.errors import UsageError
from tests.custom.ops import Half, half, half_formula, half_slope


def test_a_sound_op_passes() -> None:
    found = gradcheck_suite.check(
        half, formula=half_formula, landmarks=[0.0], dtypes=["float32"], budget="quick"
    )
    found.assert_ok()
    assert found.ok
    assert [r.id for r in found.results] == ["half::float32::forward", "half::float32::backward"]
    assert repr(found) == "<Check of half: ok>"


def test_a_wrong_gradient_raises_with_the_worst_findings() -> None:
    def wrong(x: torch.Tensor) -> torch.Tensor:
        return half(x, lambda x, g: half_slope(x, g) * 1.01)

    found = gradcheck_suite.check(wrong, formula=half_formula, dtypes=["float32"], budget="quick")
    assert not found.ok
    with pytest.raises(
        AssertionError, match=r"the gradient is inaccurate: at x = .* computes .*, exact is"
    ) as caught:
        found.assert_ok()
    assert str(caught.value).count("\n") <= 5


def test_a_builtin_definition_by_name() -> None:
    assert gradcheck_suite.check(torch.relu, like="relu", dtypes=["float32"], budget="quick").ok
    assert not gradcheck_suite.check(torch.relu, like="silu", dtypes=["float32"], budget="quick").ok


def test_a_function_class_goes_by_its_name() -> None:
    found = gradcheck_suite.check(
        Half.apply,
        formula=half_formula,
        adapter=lambda fn, x: fn(x, half_slope),
        dtypes=["float32"],
        directions=["forward"],
        budget="quick",
    )
    assert found.results[0].op == "half"


def test_severity_and_baseline(tmp_path: Path) -> None:
    def slightly_off(x: torch.Tensor) -> torch.Tensor:
        return half(x) * (1 + 16 * 2.0**-23)

    def judge(**options: Any) -> gradcheck_suite.Check:
        return gradcheck_suite.check(
            slightly_off,
            formula=half_formula,
            dtypes=["float32"],
            directions=["forward"],
            budget="quick",
            paths=["vector"],
            **options,
        )

    assert not judge().ok
    assert judge(fail_on="major").failing == judge(fail_on="critical").failing
    folder = str(tmp_path / "baseline")
    assert judge(baseline=folder, update_baseline="all", force_update=True).ok
    assert judge(baseline=folder).ok


def test_mistakes() -> None:
    with pytest.raises(UsageError, match="check needs like='gelu', or formula="):
        gradcheck_suite.check(torch.relu)
    with pytest.raises(UsageError, match="unknown budget 'fast'"):
        gradcheck_suite.check(torch.relu, like="relu", budget="fast")
    with pytest.raises(UsageError, match=r"check\(\) no option, 'budgett'; did you mean 'budget'"):
        gradcheck_suite.check(torch.relu, like="relu", budgett="quick")


def test_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    gradcheck_suite.check(torch.relu, like="relu", dtypes=["float16"], directions=["forward"], budget="quick")
    assert torch.get_num_threads() == before


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, gradcheck_suite; print(sorted({'torch', 'numpy', 'mpmath', 'flint'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_unknown_attributes() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'chekc'"):
        gradcheck_suite.chekc  # noqa: B018
