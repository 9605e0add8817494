"""What stands is not searched for cycles over and over, and is given back at the end."""

from __future__ import annotations

import gc

from gradcheck_suite import engine
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings


def test_what_stands_is_frozen_until_the_runner_closes() -> None:
    settings = Settings(ops=("relu",), dtypes=("float32",), directions=("forward",), budget="quick")
    before = gc.get_freeze_count()
    runner = engine.open_runner(settings, lambda: ())
    for case in engine.collect(settings, registry()):
        runner.run(case)
    assert gc.get_freeze_count() > before + 10_000
    runner.close()
    assert gc.get_freeze_count() == 0
