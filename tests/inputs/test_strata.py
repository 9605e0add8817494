"""Strata over the binades."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gradcheck_suite.floats import FORMATS, Format, to_ordinal
from gradcheck_suite.inputs import binades
from gradcheck_suite.inputs.strata import _draws

every_format = pytest.mark.parametrize("fmt", list(FORMATS.values()), ids=lambda fmt: fmt.name)


def octave(value: float) -> int:
    return int(np.frexp(value)[1]) - 1


@every_format
@pytest.mark.parametrize("per_binade", [1, 2, 5, 8])
def test_every_binade_of_both_signs_has_its_floats(fmt: Format, per_binade: int) -> None:
    values = binades(fmt, per_binade, seed=1)
    assert (np.diff(to_ordinal(values, fmt)) > 0).all()
    for side in (values[values > 0], -values[values < 0]):
        octaves, counts = np.unique(np.frexp(side)[1] - 1, return_counts=True)
        assert octaves.tolist() == list(range(fmt.ulp_exponent_min, fmt.emax + 1))
        available = [2 ** min(e - fmt.ulp_exponent_min, fmt.precision - 1) for e in octaves.tolist()]
        assert counts.tolist() == [min(per_binade, number) for number in available]


@every_format
def test_each_cell_of_a_binade_has_one_float(fmt: Format) -> None:
    values = binades(fmt, 8, seed=5, low=0, high=0)
    positive = values[values > 0]
    assert np.floor((positive - 1) * 8).tolist() == list(range(8))
    assert len(values) == 16


def test_floats_are_uniform_in_ordinals() -> None:
    fmt = FORMATS["float32"]
    means = [binades(fmt, 1, seed, low=0, high=0)[1] for seed in range(2000)]
    assert 1.48 < np.mean(means) < 1.52
    assert min(means) < 1.01
    assert max(means) > 1.99


def test_a_binade_that_the_cells_do_not_divide_is_covered_to_its_end() -> None:
    fmt = FORMATS["bfloat16"]  # 128 floats in a binade: cells of 42, 42 and 44
    seen = set(
        itertools.chain.from_iterable(binades(fmt, 3, seed, low=3, high=3).tolist() for seed in range(900))
    )
    start = int(to_ordinal(8.0, fmt))
    ordinals = {abs(int(ordinal)) for ordinal in to_ordinal(sorted(seen), fmt)}
    assert ordinals == set(range(start, start + 128))


@every_format
def test_exponents_are_restricted(fmt: Format) -> None:
    values = binades(fmt, 3, seed=0, low=-3, high=2)
    assert {octave(value) for value in values.tolist()} == set(range(-3, 3))
    assert {octave(value) for value in binades(fmt, 3, seed=0, low=-9999, high=fmt.emin).tolist()} == set(
        range(fmt.ulp_exponent_min, fmt.emin + 1)
    )


@every_format
def test_the_seed_decides(fmt: Format) -> None:
    assert np.array_equal(binades(fmt, 3, seed=7), binades(fmt, 3, seed=7))
    assert not np.array_equal(binades(fmt, 3, seed=7), binades(fmt, 3, seed=8))


def test_the_two_signs_are_drawn_apart() -> None:
    values = binades(FORMATS["float32"], 4, seed=0)
    assert not np.array_equal(values[values > 0], -values[values < 0][::-1])


def test_the_draws_are_those_of_splitmix64() -> None:
    # The first outputs of the generator's reference implementation for this seed.
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert _draws(5, 1234567).tolist() == expected
