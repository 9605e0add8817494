"""Runs and summaries: parts of a sweep add up to the whole, however it was cut."""

from __future__ import annotations

import numpy as np

from gradcheck_suite.engine.sweep.tally import Run, Summary, joined, runs_of


def found(ordinals: list[int], *, ulp: list[float] | None = None, kind: list[int] | None = None) -> list[Run]:
    count = len(ordinals)
    codes = np.ones(count, dtype=np.int8)
    return runs_of(
        np.array(ordinals),
        codes if kind is None else np.array(kind, dtype=np.int8),
        np.zeros(count, dtype=np.int8),
        codes,
        np.ones(count) if ulp is None else np.array(ulp),
    )


def test_floats_that_follow_each_other_are_one_run() -> None:
    (run,) = found([5, 6, 7], ulp=[1.0, 9.0, 9.0])
    assert (run.first, run.last, run.count, run.worst, run.ulp, run.share) == (5, 7, 3, 6, 9.0, 1.0)


def test_negative_floats_come_by_rising_magnitude() -> None:
    (run,) = found([-5, -6, -7], ulp=[1.0, 9.0, 9.0])
    assert (run.first, run.last, run.worst) == (-7, -5, -6)


def test_a_gap_wider_than_either_side_ends_a_run() -> None:
    assert [(r.first, r.last, r.count) for r in found([1, 2, 3, 100, 101])] == [(1, 3, 3), (100, 101, 2)]
    scattered = list(range(0, 400, 5))
    assert [(r.first, r.last, r.count) for r in found(scattered)] == [(0, 395, 80)]


def test_kinds_are_kept_apart() -> None:
    runs = found([1, 2, 3, 4], kind=[1, 2, 1, 2])
    assert sorted((r.kind, r.count) for r in runs) == [(1, 2), (2, 2)]


def test_the_two_zeros_share_an_ordinal() -> None:
    (run,) = found([0, 0])
    assert (run.count, run.share) == (2, 1.0)


def test_joining_parts_gives_the_runs_of_the_whole() -> None:
    ordinals = [*range(100, 400), *range(5000, 5003)]
    whole = found(ordinals)
    parts = [run for i in range(0, len(ordinals), 37) for run in found(ordinals[i : i + 37])]
    assert joined(parts, most=3) == whole


def test_the_narrowest_gaps_close_first() -> None:
    runs = [run for o in (1, 100, 120, 5000) for run in found([o])]
    assert [(r.first, r.last) for r in joined(runs, most=3)] == [(1, 1), (100, 120), (5000, 5000)]
    assert [(r.first, r.last) for r in joined(runs, most=1)] == [(1, 5000)]


def test_sides_of_zero_are_not_joined() -> None:
    assert len(joined([*found([-1, -2]), *found([1, 2])], most=1)) == 2


def test_of_equal_errors_the_smaller_magnitude_and_then_the_positive_one_is_the_worst() -> None:
    summary = Summary()
    for ulp, ordinal in ((3.0, -900), (3.0, 800), (3.0, -700), (3.0, 700), (2.0, 1)):
        summary.note_worst(ulp, ordinal)
    assert (summary.ulp, summary.worst) == (3.0, 700)


def test_a_summary_reads_back_from_json_as_it_was() -> None:
    summary = Summary(points=7, rounded=3, undecided=1, uncovered=2)
    summary.note_worst(float("inf"), -3)
    summary.histogram[[0, 200]] = 4, 3
    summary.runs = found([5, 6, 99])
    again = Summary.from_json(summary.to_json())
    assert again.to_json() == summary.to_json()
    assert again.ulp == float("inf")
    again.add(Summary.from_json(summary.to_json()))
    assert (again.points, again.rounded, int(again.histogram.sum()), len(again.runs)) == (14, 6, 14, 4)
