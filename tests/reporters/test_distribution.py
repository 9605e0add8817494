"""The classes of errors of a sweep."""

from __future__ import annotations

import pytest

from gradcheck_suite.reporters.distribution import shares
from gradcheck_suite.results import Histogram


def test_bins_are_gathered_into_classes_and_their_parts_sum_to_one() -> None:
    found = shares(Histogram(edges=(0.25, 0.5, 0.75, 1.0, 3.0), counts=(10, 20, 30, 40, 50, 60)))
    assert [(s.label, s.count) for s in found] == [
        ("up to 0.5 ULP", 30),
        ("up to 1 ULP", 70),
        ("up to 4 ULP", 50),
        ("more than 1e6 ULP", 60),
    ]
    assert sum(s.part for s in found) == pytest.approx(1.0)


def test_a_single_bin_is_a_class() -> None:
    (only,) = shares(Histogram(edges=(), counts=(7,)))
    assert (only.count, only.part) == (7, 1.0)
