"""The hooks that gradcheck_suite adds to pytest, documented by example.

A `conftest.py` or a plugin implements them; a file named by `--load` (`--gradcheck-load` in pytest) defines
the same function without pytest. Nothing needs to be imported from this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.hookspec(historic=True)
def pytest_gradcheck_register(register: Callable[..., object]) -> None:
    """Register custom ops, to be judged like torch's own.

    Called once per run with `--gradcheck`, before ops are selected; with pytest-xdist once in every process.
    A `conftest.py` that pytest loads later, during collection, is called then.

    A kernel that should equal an op of torch borrows that op's reference, inputs and kinks::

        def pytest_gradcheck_register(register):
            from mylib import fused_gelu

            register("fused_gelu", fused_gelu, like="gelu", approximate="tanh", dtypes=["float32"])

    Import the library inside the function, so that runs without `--gradcheck` stay as fast as they were. The
    op then runs with torch's own ops, or alone with `--gradcheck-ops=custom` or `--gradcheck-ops=fused_gelu`.
    Its findings fail from `minor` on; `--gradcheck-fail-on` moves that.

    `like` names the op that the function equals, and further keywords the parameters at which it does; the
    function itself is called with the tensors alone. `max_ulp=` sets a threshold for this op. Registering a
    name twice, or `like` an op that does not exist, is a usage error.
    """
