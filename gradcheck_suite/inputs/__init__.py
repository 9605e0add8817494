"""Where an op is tried: landmarks, strata over all binades, and the sample of a one-input op made of both.

Deterministic, and the same with every version of numpy. Needs numpy only.
"""

from __future__ import annotations

from gradcheck_suite.inputs.landmarks import approaching, around, format_landmarks
from gradcheck_suite.inputs.pointwise import sample
from gradcheck_suite.inputs.strata import binades

__all__ = ["approaching", "around", "binades", "format_landmarks", "sample"]
