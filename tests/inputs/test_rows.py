"""Rows hold values of their format, keep what they promise, and are the same in every run."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_suite.floats import FORMATS, Format, format_of, round_to
from gradcheck_suite.inputs import cotangents
from gradcheck_suite.inputs.classes import batches, images, probabilities, single_rows, weights
from gradcheck_suite.inputs.rows import LENGTHS, PAST_FLOAT16, highest_order, place, rows

ALL = [pytest.param(fmt, id=name) for name, fmt in FORMATS.items()]
FLOAT16 = format_of("float16")


@pytest.mark.parametrize("fmt", ALL)
def test_entries_are_values_of_the_format(fmt: Format) -> None:
    for row in rows(fmt, LENGTHS["default"]):
        np.testing.assert_array_equal(round_to(row.values, fmt), row.values, err_msg=row.label)


@pytest.mark.parametrize("fmt", ALL)
def test_every_length_and_family_is_there(fmt: Format) -> None:
    found = list(rows(fmt, LENGTHS["default"]))
    assert {len(row.values) for row in found} == set(LENGTHS["default"])
    assert {row.probe for row in found} >= {
        "level", "gap", "shift", "scale", "ratio",
        "tied entries", "masked entries", "infinite entries", "NaN entries",
    }  # fmt: skip


def test_labels_tell_the_truth() -> None:
    for row in rows(FLOAT16, (2, 3, 17)):
        values = row.values
        if row.probe == "tied entries":
            assert (values == values.max()).sum() == row.at
        if row.probe == "masked entries":
            assert np.isneginf(values).sum() == row.at
        if row.probe == "infinite entries":
            assert np.isposinf(values).sum() == row.at
        if row.label.startswith("one winner"):
            assert values.max() - np.sort(values)[-2] == row.at
        if row.label.startswith("equal"):
            assert np.all(values == row.at)
        if row.probe == "ratio":
            # Entries are powers of two: of the two ends each may be rounded by half a binade.
            steps = np.log2(np.abs(values[-1] / values[0])), (len(values) - 1) * np.log2(row.at or 0)
            assert abs(steps[0] - steps[1]) <= 1


def test_a_length_past_float16s_integers() -> None:
    (row,) = rows(FLOAT16, (PAST_FLOAT16,))
    assert np.exp(row.values - row.values.max()).sum() > FLOAT16.max
    assert highest_order(len(row.values)) == 0
    assert highest_order(1031) == 2


def test_rows_repeat() -> None:
    first, second = list(rows(FLOAT16, (17,))), list(rows(FLOAT16, (17,)))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        assert a.label == b.label


@pytest.mark.parametrize(
    ("dim", "rank", "shape"),
    [(-1, None, (3,)), (0, None, (3, 2)), (1, None, (1, 3, 2)), (-3, 4, (1, 3, 1, 2)), (-1, 2, (2, 3))],
)
def test_rows_lie_along_their_axis(dim: int, rank: int | None, shape: tuple[int, ...]) -> None:
    row = np.array([1.0, 2.0, 4.0])
    placed = place(row, dim, rank=rank)
    assert placed.shape == shape
    lines = np.moveaxis(placed, dim, -1).reshape(-1, 3)
    np.testing.assert_array_equal(lines[0], row)
    assert all(sorted(line) == sorted(row) for line in lines)


@pytest.mark.parametrize("fmt", ALL)
def test_class_indices_are_classes_or_ignored(fmt: Format) -> None:
    for batch in (*batches(fmt, -100), *images(fmt, -100), *single_rows(fmt, "quick")):
        classes = batch.logits.shape[1]
        assert set(np.unique(batch.target)) <= {*range(classes), -100}
        assert batch.target.shape == (batch.logits.shape[0], *batch.logits.shape[2:])
        np.testing.assert_array_equal(round_to(batch.logits, fmt), batch.logits)


@pytest.mark.parametrize("fmt", ALL)
def test_batches_hold_the_hard_cases(fmt: Format) -> None:
    found = list(batches(fmt, -100))
    assert any((batch.target == -100).all() for batch in found)
    assert any((batch.target == 0).any() for batch in found)
    assert any((batch.target == batch.logits.shape[1] - 1).any() for batch in found)


@pytest.mark.parametrize("fmt", ALL)
def test_probabilities_are_such(fmt: Format) -> None:
    for _, chances in probabilities(fmt, 5):
        assert chances.min() >= 0
        assert chances.max() <= 1
        np.testing.assert_array_equal(round_to(chances, fmt), chances)
    for _, weight in weights(fmt, 4):
        assert np.isfinite(weight).all()


@pytest.mark.parametrize("size", [2, 3, 17, 130])
def test_cotangents_are_not_constant_and_fit_every_format(size: int) -> None:
    for pattern in (cotangents.mixed, cotangents.direction, cotangents.one_hot, cotangents.scaled(2.0**15)):
        values = pattern(size)
        assert len(np.unique(values)) > 1
        for fmt in FORMATS.values():
            np.testing.assert_array_equal(round_to(values, fmt), values)
    assert cotangents.mixed(1)[0] == 1
