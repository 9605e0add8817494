"""A crash or a hang of a custom op costs one finding, and the run goes on."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradcheck_suite import engine
from gradcheck_suite.engine import containment
from gradcheck_suite.engine.stacks import read_stack
from gradcheck_suite.loading import register_all
from gradcheck_suite.ops.registry import Registry, registry
from gradcheck_suite.options import Settings
from gradcheck_suite.registration import Registrar
from gradcheck_suite.results import Result
from tests.custom.ops import half, half_formula

FILE = str(Path(__file__).with_name("misbehaving.py"))
SETTINGS = Settings(dtypes=("float32",), budget="quick")


@pytest.fixture(scope="module")
def ops() -> Registry:
    return register_all([FILE])


@pytest.fixture(scope="module")
def runner() -> Iterator[engine.Runner]:
    """The usual time limit, which no busy machine reaches."""
    used = engine.open_runner(SETTINGS, lambda: [FILE])
    yield used
    used.close()


@pytest.fixture(scope="module")
def impatient() -> Iterator[engine.Runner]:
    """For what takes longer than any limit."""
    used = engine.open_runner(dataclasses.replace(SETTINGS, time_limit=3.0), lambda: [FILE])
    yield used
    used.close()


def judged(runner: engine.Runner, ops: Registry, name: str) -> list[Result]:
    """Everything about one op, as a session runs it."""
    settings = dataclasses.replace(runner.settings, ops=(name,))
    return [result for case in engine.collect(settings, ops) for result in runner.run(case)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "aborts",
            r"aborts float32 forward ended the process by signal SIGABRT at misbehaving\.py:\d+ in aborts",
        ),
        ("exits", r"exits float32 forward ended the process with exit code 3"),
        (
            "spins",
            r"spins float32 forward did not return within 3 seconds at misbehaving\.py:\d+ in spins",
        ),
        (
            "sleeps",
            r"sleeps float32 forward did not return within 3 seconds at misbehaving\.py:\d+ in sleeps",
        ),
    ],
)
def test_a_crash_and_a_hang_cost_one_finding(
    impatient: engine.Runner, ops: Registry, name: str, message: str
) -> None:
    forward, backward = judged(impatient, ops, name)
    (finding,) = forward.findings
    assert (finding.kind, finding.severity) == ("raises", "critical")
    assert re.search(message, finding.message)
    # The gradient of an op that does not return is not known: that is no pass, and no second finding.
    assert (backward.verdict, backward.findings) == ("inconclusive", ())
    assert f"not run: {name}" in backward.note
    assert f"in {name}::float32::forward" in backward.note


def test_a_value_is_judged_where_only_the_gradient_crashes(runner: engine.Runner, ops: Registry) -> None:
    forward, backward = judged(runner, ops, "aborts_backward")
    assert (forward.verdict, forward.findings) == ("ok", ())
    assert [f.kind for f in backward.findings] == ["raises"]


def test_a_reference_that_takes_too_long_is_inconclusive(impatient: engine.Runner, ops: Registry) -> None:
    (found,) = judged(impatient, ops, "waits_for_the_reference")
    assert (found.verdict, found.findings) == ("inconclusive", ())
    assert (
        "judging waits_for_the_reference::float32::forward took longer than 3 seconds "
        "although each call of its op returned" in found.note
    )


def test_an_op_that_is_slow_but_returns_is_not_said_to_hang(impatient: engine.Runner, ops: Registry) -> None:
    forward, backward = judged(impatient, ops, "dawdles")
    assert (forward.verdict, forward.findings) == ("inconclusive", ())
    assert "although each call of its op returned" in forward.note
    assert (backward.verdict, backward.findings) == ("inconclusive", ())
    assert backward.note == f"not run: {forward.note}"


def test_what_an_op_prints_is_printed(
    runner: engine.Runner, ops: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [r.verdict for r in judged(runner, ops, "prints")] == ["ok", "ok"]
    assert "a word from the op" in capsys.readouterr().err


def test_results_are_those_of_this_process(runner: engine.Runner, ops: Registry) -> None:
    inside = dataclasses.replace(SETTINGS, ops=("prints",), in_process=True)
    own = engine.open_runner(inside, lambda: [FILE])
    for case in engine.collect(inside, ops):
        (here,), (there,) = own.run(case), runner.run(case)
        assert (here.id, here.max_ulp, here.worst) == (there.id, there.max_ulp, there.worst)


def test_an_op_is_given_up_after_some_deaths(ops: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containment, "_MOST_DEATHS", 1)
    many = registry().copy()
    # The file registers it for one dtype; the worker is asked for two.
    Registrar(many)("exits", ops.get("exits").call, like="relu", directions=["backward"])
    settings = Settings(ops=("exits",), dtypes=("float32", "bfloat16"), budget="quick")
    runner = engine.open_runner(settings, lambda: [FILE])
    found = [result for case in engine.collect(settings, many) for result in runner.run(case)]
    runner.close()
    assert [(r.verdict, len(r.findings)) for r in found] == [("findings", 1), ("inconclusive", 0)]


def test_an_op_that_the_worker_cannot_load_runs_here() -> None:
    ops = registry().copy()
    Registrar(ops)("only_here", half, formula=half_formula, directions=["forward"])
    settings = Settings(ops=("only_here",), dtypes=("float32",), budget="quick")
    runner = engine.open_runner(settings, lambda: [])
    (case,) = engine.collect(settings, ops)
    (found,) = runner.run(case)
    runner.close()
    assert found.verdict == "ok"
    assert "only_here is not registered by a file or module" in runner.unprotected


def test_registrations_that_fail_in_the_worker_are_told(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("raise RuntimeError('planted')\n")
    ops = registry().copy()
    Registrar(ops)("only_here", half, formula=half_formula, directions=["forward"])
    settings = Settings(ops=("only_here",), dtypes=("float32",), budget="quick")
    runner = engine.open_runner(settings, lambda: [str(path)])
    (case,) = engine.collect(settings, ops)
    assert runner.run(case)[0].verdict == "ok"
    runner.close()
    assert "RuntimeError: planted" in runner.unprotected


def test_torchs_own_ops_need_no_worker() -> None:
    runner = engine.open_runner(SETTINGS, lambda: pytest.fail("a worker was started"))
    settings = Settings(ops=("relu",), dtypes=("float32",), directions=("forward",), budget="quick")
    (case,) = engine.collect(settings, registry())
    assert runner.run(case)[0].verdict == "ok"


def test_stacks() -> None:
    assert read_stack("nothing of the kind").at == ""
    text = (
        "Timeout (0:01:02.500000)!\nThread 0x1 (most recent call first):\n"
        '  File "/usr/lib/python3/site-packages/torch/nn/functional.py", line 5 in gelu\n'
        '  File "/home/me/kernel.py", line 12 in spin\n'
    )
    stack = read_stack(text)
    assert (stack.at, stack.seconds, stack.in_reference) == (" at kernel.py:12 in spin", 62.5, False)


def test_what_hangs_outside_of_an_op_is_no_fault_of_it() -> None:
    harness = str(Path(engine.__file__).with_name("judge.py"))
    text = (
        "Timeout (0:00:01.500000)!\nThread 0x1 (most recent call first):\n"
        '  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed\n'
        f'  File "{harness}", line 12 in judge\n'
    )
    assert read_stack(text).in_reference
    called = str(Path(engine.__file__).with_name("calls.py"))
    assert not read_stack(text + f'  File "{called}", line 99 in pointwise\n').in_reference


def test_between_two_calls_of_an_op_nothing_is_its_fault() -> None:
    """A call has the whole limit; from one to the next less is left."""
    called = str(Path(engine.__file__).with_name("calls.py"))
    stack = f'Thread 0x1 (most recent call first):\n  File "{called}", line 99 in pointwise\n'
    assert not read_stack(f"Timeout (0:00:01.500000)!\n{stack}", limit=1.5).in_reference
    assert read_stack(f"Timeout (0:00:01.499990)!\n{stack}", limit=1.5).in_reference
