"""The inputs at which a one-input op is judged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcheck_suite.floats import Format, all_values, round_to
from gradcheck_suite.inputs.landmarks import distinct, format_landmarks
from gradcheck_suite.inputs.strata import binades

Floats = NDArray[np.float64]

WINDOW: Final = np.linspace(-8.0, 8.0, 129)
"""Where a textbook draws a function: steps of 1/8, which every format holds exactly."""

# exp leaves every format before 2^10.
_CENTRAL_HIGH: Final = 10


def sample(fmt: Format, landmarks: Iterable[float] | Floats, count: int, seed: int) -> Floats:
    """The inputs of a one-input op in `fmt`, sorted, without repeats; the NaNs last.

    A 16-bit format: all of its 65,536 bit patterns. Otherwise about `count` floats: the landmarks of the
    format and of the op (`landmarks`, rounded to `fmt`), the WINDOW, one float of every binade, and as many
    as `count` leaves room for in the binades from 2^-p to 2^10, where functions change their character. No
    binade is left out, even where that takes more than `count` (float64 has 4,196 of both signs).
    """
    if fmt.bits == 16:
        return all_values(fmt)
    given = round_to(landmarks if isinstance(landmarks, np.ndarray) else list(landmarks), fmt)
    marks = distinct(np.concatenate([format_landmarks(fmt), given, WINDOW]))
    everywhere = binades(fmt, 1, seed)
    room = count - len(marks) - len(everywhere)
    low, high = -fmt.precision, _CENTRAL_HIGH
    # float64's binades leave no room at all in the usual sample.
    per_binade = max(1, min(4, count // 600), room // (2 * (high - low + 1)))
    central = binades(fmt, per_binade, seed + 1, low=low, high=high)
    return distinct(np.concatenate([marks, everywhere, central]))
