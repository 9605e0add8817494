from __future__ import annotations

import pytest
import torch

from gradcheck_suite.errors import UsageError
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.registration import Registrar


def test_an_op_like_another_takes_its_reference_at_the_given_parameters() -> None:
    ops = registry().copy()
    Registrar(ops)("mine", torch.tanh, like="elu", alpha=0.3, max_ulp=2.0, dtypes=["float32"])
    mine, model = ops.get("mine"), ops.get("elu")
    assert mine.formula is model.formula
    assert mine.params(mine.variants[0])["alpha"] == 0.3
    assert (mine.max_ulp, mine.dtypes, mine.custom) == (2.0, ("float32",), True)
    assert mine.callable_name == "torch.tanh"


def test_the_registry_of_torch_stays_as_it_was() -> None:
    before = registry().names()
    Registrar(registry().copy())("mine", torch.tanh, like="tanh")
    assert registry().names() == before


def test_a_parameter_that_the_model_lacks_is_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"'alhpa'.*did you mean 'alpha'"):
        Registrar(registry().copy())("mine", torch.tanh, like="elu", alhpa=1.0)
