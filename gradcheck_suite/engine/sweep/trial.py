"""Whether an op can be swept at all, tried on a few floats before hours are spent."""

from __future__ import annotations

import numpy as np
from flint import arb

from gradcheck_suite.engine.calls import Raised, Unsupported
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.errors import UsageError
from gradcheck_suite.formula.jets import JETS, JetContext, NoJet, variable
from gradcheck_suite.formula.tape import Array, objects
from gradcheck_suite.options import Settings


def require_sweepable(case: Case, settings: Settings) -> None:
    """Raises UsageError where torch refuses the op or gives another dtype, or no Taylor series is known."""
    label = case.op.label(case.variant)
    subject = Subject(case.op, case.variant, case.dtype, case.order, settings)
    try:
        outcome = subject.run(np.array([0.5, 1.0, 2.0]), case.order, "vector")
    except (Unsupported, Raised) as error:
        raise UsageError(
            f"{label} does not work in {case.dtype} ({error}); there is nothing to sweep"
        ) from error
    other = [dtype for dtype in outcome.dtypes.values() if dtype != case.dtype]
    if other:
        raise UsageError(
            f"{label} gives {other[0]} for {case.dtype}, so its errors have no common ulp; it is not swept"
        )
    with JETS.precision(64, 4):
        try:
            subject.formula(JetContext(JETS), x=Array(JETS, objects(variable(arb(0.5), arb(1)))))
        except NoJet as error:
            raise UsageError(f"{label} cannot be swept: {error}; 'gradcheck report' samples it") from error
