"""Which items there are, and how pytest's own ways of choosing tests work on them."""

from __future__ import annotations

import pytest

RELU = "gradcheck::relu::float32::forward"
PRESENT = ("--gradcheck", "--gradcheck-ops=relu,softplus", "--gradcheck-dtypes=float32")


def ids(result: pytest.RunResult) -> list[str]:
    return [line.split()[0] for line in result.outlines if line.startswith(("gradcheck::", "test_"))]


def collected(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    return ids(pytester.runpytest_inprocess("--collect-only", "-q", *arguments))


def test_without_the_option_there_are_no_items(planted: pytest.Pytester) -> None:
    planted.makepyfile("def test_own(): pass")
    result = planted.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    assert "gradcheck" not in result.stdout.str().replace("gradcheck-suite", "")


def test_there_is_one_item_per_variant_dtype_and_direction(planted: pytest.Pytester) -> None:
    found = collected(planted, "--gradcheck", "--gradcheck-ops=softplus")
    assert "gradcheck::softplus[beta=10]::bfloat16::backward" in found
    variants = {id_.split("::")[1] for id_ in found}
    assert len(variants) > 1
    assert len(found) == len(variants) * 4 * 2 == len(set(found))


def test_items_stand_beside_the_tests_of_the_project(planted: pytest.Pytester) -> None:
    planted.makepyfile("def test_own(): pass")
    found = collected(planted, "--gradcheck", "--gradcheck-ops=relu", "--gradcheck-dtypes=float32")
    assert found == [
        "test_items_stand_beside_the_tests_of_the_project.py::test_own",
        RELU,
        "gradcheck::relu::float32::backward",
    ]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--gradcheck-directions=backward",), 1),
        (("--gradcheck-dtypes=float32,float16",), 4),
        (("-k", "relu and forward"), 1),
        (("-k", "not backward"), 1),
        (("-m", "gradcheck"), 2),
        (("-m", "not gradcheck"), 0),
        (("--deselect", RELU), 1),
        (("--deselect", "gradcheck::relu"), 0),
    ],
)
def test_options_narrow_the_items(planted: pytest.Pytester, arguments: tuple[str, ...], count: int) -> None:
    base = ("--gradcheck", "--gradcheck-ops=relu", "--gradcheck-dtypes=float32")
    assert len(collected(planted, *base, *arguments)) == count


def test_an_id_on_the_command_line_is_the_only_item(planted: pytest.Pytester) -> None:
    planted.makepyfile("def test_own(): pass")
    assert collected(planted, "--gradcheck", RELU) == [RELU]


def test_an_id_needs_no_further_option(planted: pytest.Pytester) -> None:
    assert collected(planted, RELU) == [RELU]


def test_an_id_with_brackets_works(planted: pytest.Pytester) -> None:
    id_ = "gradcheck::softplus[beta=10]::float64::forward"
    assert collected(planted, id_) == [id_]


def test_ids_and_files_go_together(planted: pytest.Pytester) -> None:
    path = planted.makepyfile("def test_own(): pass")
    assert collected(planted, path.name, RELU) == [f"{path.name}::test_own", RELU]


def test_the_beginning_of_an_id_stands_for_all_below(planted: pytest.Pytester) -> None:
    assert len(collected(planted, "gradcheck::relu")) == 4 * 2
    assert len(collected(planted, "gradcheck::relu::float32")) == 2
    every = collected(planted, "gradcheck::softplus")
    assert {"gradcheck::softplus::float32::forward", "gradcheck::softplus[beta=10]::float32::forward"} < set(
        every
    )
    # A name is not a beginning of another name.
    assert len(collected(planted, "--gradcheck-ops=relu,relu6", "gradcheck::relu")) == 4 * 2


def test_an_id_reaches_a_direction_outside_the_defaults(planted: pytest.Pytester) -> None:
    id_ = "gradcheck::gelu::float32::double-backward"
    assert collected(planted, id_) == [id_]


def test_options_stand_in_the_configuration(planted: pytest.Pytester) -> None:
    planted.makeini(
        "[pytest]\ngradcheck_ops = relu,tanh\ngradcheck_dtypes = float32\ngradcheck_strict = true\n"
    )
    assert len(collected(planted, "--gradcheck")) == 4
    # The command line wins.
    assert len(collected(planted, "--gradcheck", "--gradcheck-ops=relu")) == 2
    result = planted.runpytest_inprocess("--gradcheck")
    result.assert_outcomes(passed=2, failed=2)


def test_options_stand_in_pyproject(planted: pytest.Pytester) -> None:
    planted.makepyprojecttoml(
        '[tool.pytest.ini_options]\ngradcheck_ops = ["relu", "tanh"]\ngradcheck_dtypes = ["float32"]\n'
    )
    assert len(collected(planted, "--gradcheck")) == 4


def test_last_failed_runs_only_what_failed(planted: pytest.Pytester) -> None:
    arguments = ("--gradcheck", "--gradcheck-ops=relu,softplus,tanh", "--gradcheck-strict")
    first = planted.runpytest_inprocess(*arguments, "--gradcheck-dtypes=float32,float64")
    first.assert_outcomes(passed=2 * 2 + 2 * 2 * softplus_variants(), failed=4)
    again = planted.runpytest_inprocess(*arguments, "--gradcheck-dtypes=float32,float64", "--lf")
    again.assert_outcomes(failed=4)


def test_last_failed_tells_variants_apart(planted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import stand_in

    monkeypatch.setitem(stand_in.PLAN, "softplus", stand_in.PLAN["tanh"])
    arguments = (
        "--gradcheck",
        "--gradcheck-ops=softplus",
        "--gradcheck-dtypes=float32",
        "--gradcheck-strict",
    )
    planted.runpytest_inprocess("gradcheck::softplus[beta=10]::float32", "--gradcheck-strict")
    result = planted.runpytest_inprocess(*arguments, "--lf", "-v")
    names = [line for line in result.outlines if "FAILED" in line and line.startswith("gradcheck::")]
    assert len(names) == 2
    assert all("beta=10" in line for line in names)


def test_stepwise_stops_and_goes_on(planted: pytest.Pytester) -> None:
    arguments = (
        "--gradcheck",
        "--gradcheck-ops=relu,tanh",
        "--gradcheck-dtypes=float32",
        "--gradcheck-strict",
        "--sw",
    )
    planted.runpytest_inprocess(*arguments).assert_outcomes(passed=2, failed=1)
    planted.runpytest_inprocess(*arguments).assert_outcomes(failed=1, deselected=2)


def softplus_variants() -> int:
    from gradcheck_suite.ops.registry import registry

    return len(registry().get("softplus").variants)
