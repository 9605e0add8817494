"""What a case judges, and how sentences and results name it."""

from __future__ import annotations

from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.quantities import Quantity, quantities
from gradcheck_suite.ops.registry import registry


def of(name: str, direction: str) -> list[Quantity]:
    op = registry().get(name)
    return quantities(Case(op=op, variant=dict(op.variants[0]), dtype="float32", direction=direction))


def test_a_derivative_is_judged_by_every_input_and_a_value_once() -> None:
    assert [(q.column, q.wrt) for q in of("l1_loss", "forward")] == [("value", None)]
    assert [(q.column, q.wrt) for q in of("l1_loss", "backward")] == [
        ("d:input", "input"),
        ("d:target", "target"),
    ]
    assert [q.column for q in of("tanh", "double-backward")] == ["dd:input"]


def test_the_input_is_named_where_there_are_several() -> None:
    (value,), (alone,) = of("l1_loss", "forward"), of("tanh", "backward")
    _, second = of("l1_loss", "backward")
    assert alone.phrase == "tanh float32: the gradient"
    assert alone.id == "tanh::float32::backward"
    assert alone.result("ok").wrt == "input"
    assert value.phrase.endswith(" float32: the value")
    assert second.phrase.endswith(" float32: the gradient with respect to target")
    assert second.id.endswith("::float32::backward::target")


def test_exceptions_and_other_dtypes_are_findings_of_their_own() -> None:
    (quantity,) = of("tanh", "forward")
    assert quantity.dtype_findings("float32") == []
    (found,) = quantity.dtype_findings("float64")
    assert found.message == "tanh float32: the value comes in float64, not float32."
    raised = quantity.raises("no kernel", "strided")
    assert (raised.id, raised.severity) == ("tanh::float32::forward::raises.strided", "critical")
