"""The hooks that gradcheck_suite adds to pytest, documented by example.

A `conftest.py` or a plugin implements them; a file named by `--load` (`--gradcheck-load` in pytest) defines
the same function without pytest, and an installed library names one in the entry-point group
`gradcheck_suite.register`. Nothing needs to be imported from this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.hookspec(historic=True)
def pytest_gradcheck_register(register: Callable[..., object]) -> None:
    """Register custom ops, to be judged like torch's own.

    Called once per run with `--gradcheck`, before ops are selected; with pytest-xdist once in every process,
    and once more in the process in which custom ops run, where a crash or a hang of one costs one finding and
    not the run (`--gradcheck-in-process` keeps them here, for a debugger). A `conftest.py` that pytest loads
    later, during collection, is called then. Import libraries inside the function, so that runs without
    `--gradcheck` stay as fast as they were.

    A kernel that should equal an op of torch borrows that op's definition, inputs and kinks::

        def pytest_gradcheck_register(register):
            from mylib import fused_gelu

            register("fused_gelu", fused_gelu, like="gelu", approximate="tanh", dtypes=["float32"])

    Further keywords are the parameters at which it does; the function itself gets the tensors alone. Without
    `dtypes` it is judged in every dtype that it accepts, forward and backward. Anything else has a definition
    of its own: exact real arithmetic over the context `m`, in which nothing rounds or cancels::

        @register("squareplus", squareplus)
        def definition(m, x):
            return (x + m.sqrt(x * x + 4)) / 2

    Parameters, with their variants in the report; `fn` and definition both get them by keyword::

        @register("scaled", scaled, variants={"alpha": [0.5, 2.0], "approximate": ["none", "tanh"]})
        def definition(m, x, *, alpha=1.0, approximate="none"): ...

    Several tensors, each with a gradient; a constraint between them; kinks; labels that have no gradient::

        register("hinge", hinge, formula=hinge_formula, landmarks=[0.0, 1.0])
        register("between", between, formula=between_formula, domain=lambda p, v: v["low"] < v["high"])
        register("focal", focal, formula=focal_formula, inputs=["logits"],
                 partners=lambda p: {"labels": (0.0, 1.0)})

    Ops whose entries depend on each other state the calls to judge (`gradcheck_suite.samples`), unless they
    borrow them::

        from gradcheck_suite.samples import rows, shaped

        register("fused_softmax", fused_softmax, like="softmax")  # every axis
        register("centered", centered, formula=centered_formula, samples=rows(dim=-1))
        register("bilinear", bilinear, formula=form, samples=shaped({"a": (3, 4), "b": (4, 2)}))

    Modules, whose parameters are further inputs by their names; functions with shapes of their own; several
    outputs; ops that overwrite their input; a backward that is by intention another function's::

        register("scale", ScaleLayer(8), formula=lambda m, x, weight: x * weight,
                 samples=shaped({"x": (4, 8), "weight": (8,)}))
        register("odd", odd, formula=odd_formula, adapter=lambda fn, x, **p: fn(x[None], **p)[0])
        register("polar", polar, formula=polar_formula, outputs=["radius", "angle"])
        register("relu_", my_relu_, like="relu", inplace=True)
        register("rounded", rounded, formula=value, gradient=lambda m, x: m.const(1))

    Two more ways to judge, beside the threshold (`max_ulp=`, 4 by default) and together with it: another
    callable, whose error nearby may be exceeded by a factor, and a baseline (`--gradcheck-baseline`)::

        register("fused_gelu", fused_gelu, like="gelu", against=torch.nn.functional.gelu, against_factor=2)

    Findings of registered ops fail from `minor` on; `--gradcheck-fail-on` moves that. Documented deviations
    never fail: `documented=lambda params, values: values["x"] > 20, documented_reason="linear above 20"`; with
    `documented_form=lambda m, x: x` only what is computed so.
    `gradcheck audit NAME` mutates the op and says what its gate catches.

    Registering a name twice, or `like` an op that does not exist, is a usage error.
    """
