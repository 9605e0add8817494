from __future__ import annotations

from gradcheck_suite.ops.registry import registry
from tests.cli.conftest import Call, mistake


def test_every_op_is_listed_once(call: Call) -> None:
    code, out, _ = call("list")
    assert code == 0
    head, *rows = out.splitlines()
    assert head.split() == ["op", "tier", "family", "variants", "callable"]
    assert [row.split()[0] for row in rows] == [op.name for op in registry() if op.tier == "core"]


def test_a_glob_narrows_the_list(call: Call) -> None:
    _, out, _ = call("list", "--ops", "soft*")
    names = [row.split()[0] for row in out.splitlines()[1:]]
    assert {"softplus", "softsign", "softshrink"} <= set(names)
    assert all(name.startswith("soft") for name in names)


def test_ids_are_those_that_pytest_takes(call: Call) -> None:
    _, out, _ = call("list", "--ids", "--ops", "softplus", "--dtypes", "float32", "--directions", "forward")
    assert "gradcheck::softplus[beta=10]::float32::forward" in out.splitlines()
    assert len(out.splitlines()) == len(registry().get("softplus").variants)


def test_an_unknown_op_is_a_mistake(call: Call) -> None:
    assert "did you mean 'softplus'" in mistake(call, "list", "--ops", "sofplus")
