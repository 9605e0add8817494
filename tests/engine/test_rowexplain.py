"""`gradcheck at` on ops whose entries depend on each other: every entry, and errors that name the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from gradcheck_suite.engine import Explanation, explain
from gradcheck_suite.errors import UsageError
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings


def explained(name: str, inputs: dict[str, Any], dtype: str = "float32", **variant: Any) -> list[Explanation]:
    return explain(registry().get(name), inputs, dtype=dtype, variant=variant, settings=Settings())


def test_every_entry_of_a_short_row_is_told() -> None:
    forward, backward = explained("softmax", {"input": [1, 2, 3]})
    assert [entry.index for entry in forward.entries] == ["[0]", "[1]", "[2]"]
    assert forward.entries[2].exact.startswith("0.66524095577482188952")
    assert forward.verdict == "ok"
    assert backward.wrt == "input"
    assert backward.inputs["cotangent"] == [1.0, -1.0, 0.5]
    assert backward.condition is not None


def test_the_worst_entry_speaks_for_the_row() -> None:
    (_, backward) = explained("softmax", {"input": [0, 30]})
    assert backward.verdict == "finding"
    assert backward.kind == "underflow"
    assert "entry [" in backward.sentence


def test_class_indices_and_weights_are_given_by_name() -> None:
    inputs = {"input": [[1, 2, 30]], "target": [2], "weight": [1, 2, 0.5]}
    forward, _ = explained("cross_entropy", inputs, reduction="sum")
    assert forward.kind == "underflow"
    assert forward.exact.startswith("4.729032877156")


def test_several_inputs_have_a_gradient_each() -> None:
    found = explained("prelu", {"input": [0.0, -1.0], "weight": [0.25]})
    assert [e.wrt for e in found] == [None, "input", "weight"]
    assert all(e.verdict == "ok" for e in found)


def test_masks_are_true_and_false_and_may_be_left_out() -> None:
    inputs = {"query": [[1.0, 2.0]], "key": [[1, 0], [0, 1]], "value": [[1, 2], [3, 4]]}
    plain, *_ = explained("scaled_dot_product_attention", inputs)
    masked, *_ = explained("scaled_dot_product_attention", {**inputs, "attn_mask": [[True, False]]})
    assert plain.entries[0].exact.startswith("2.339523098653")
    assert masked.entries[0].exact == "1.0"


def test_whole_weights_are_numbers_of_the_dtype() -> None:
    forward, _ = explained("cross_entropy", {"input": [1, 2], "target": 0, "weight": [1, 3]})
    assert forward.verdict == "ok"


def test_nothing_to_judge_is_said() -> None:
    with pytest.raises(UsageError, match="softmax gives no number for these inputs"):
        explained("softmax", {"input": []})


def test_an_undefined_result_is_told_as_such() -> None:
    forward, _ = explained("softmax", {"input": [float("inf"), float("inf")]})
    assert forward.verdict == "undefined"


def test_a_refused_dtype_is_no_finding() -> None:
    (forward, _) = explained("multi_margin_loss", {"input": [0, 1], "target": 0}, dtype="float16")
    assert forward.verdict == "unsupported"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"input": [[1, 2]]}, "needs the input 'target' too"),
        ({"input": [[1, 2]], "targt": [0]}, "did you mean 'target'"),
        ({"input": [[1, 2], [1]], "target": [0]}, "different lengths"),
        ({"inputs": [1, 2], "target": 0}, "no input 'inputs'; did you mean 'input'"),
        ({"input": [1, 2]}, r"such as '{\"input\": \[1.0, -0.5, 2.0\], \"target\": 1}'"),
        ({"input": [1, 2], "target": 0.5}, "'target' takes whole numbers, not 0.5"),
        ({"input": [1, 2], "target": 2}, "does not take these inputs: IndexError: Target 2 is out of bounds"),
        ({"input": [1, 2], "target": -1}, "Target -1 is out of bounds"),
        ({"input": [[1, 2]] * 3, "target": [0, 1]}, "does not take these inputs: ValueError"),
    ],
)
def test_mistakes_name_the_remedy(inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        explained("cross_entropy", inputs)
