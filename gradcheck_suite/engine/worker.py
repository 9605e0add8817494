"""The process in which custom ops run: told cases on a connection, it answers with results."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import traceback
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from gradcheck_suite.errors import UsageError
from gradcheck_suite.options import Settings


def main(connection: int, log: int) -> None:
    """Serve the connection with that descriptor until it closes; stacks of crashes go to the file `log`."""
    # Ctrl-C is the parent's to handle; it closes the connection then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable(log)
    with Connection(connection) as link:
        try:
            _serve(link, log)
        except (EOFError, OSError):
            # The parent is gone or has closed the connection; what a half-torn-down op does at exit helps
            # nobody.
            os._exit(0)


def _serve(link: Connection, log: int) -> None:
    started = json.loads(link.recv_bytes())
    settings = Settings(**{name: _frozen(value) for name, value in started["settings"].items()})
    registry, trouble = _registry(started["sources"])
    _warm_up(registry, settings.device)
    custom = [op.name for op in registry if op.custom]
    link.send_bytes(json.dumps({"ops": custom, "trouble": trouble}).encode())
    while True:
        order = json.loads(link.recv_bytes())
        link.send_bytes(json.dumps(_answer(registry, order, settings, log), allow_nan=False).encode())


def _registry(sources: list[str]) -> tuple[Any, str]:
    """The ops, and why a source could not be loaded ("" where all were)."""
    from gradcheck_suite.loading import register_all
    from gradcheck_suite.preflight import pin_threads

    pin_threads()
    try:
        return register_all(sources), ""
    except UsageError as error:
        return register_all([]), str(error)


def _warm_up(registry: Any, device: str) -> None:
    """Judge an op of torch's own, so that what is imported on first use is not charged to a custom op."""
    from gradcheck_suite.engine.cases import collect
    from gradcheck_suite.engine.run import run_case

    first = next(op.name for op in registry if not op.custom)
    settings = Settings(
        ops=(first,), dtypes=("float32",), directions=("backward",), budget="quick", device=device
    )
    run_case(collect(settings, registry)[0], settings)


def _answer(registry: Any, order: Mapping[str, Any], settings: Settings, log: int) -> dict[str, Any]:
    from gradcheck_suite.engine.cases import Case
    from gradcheck_suite.engine.run import run_case
    from gradcheck_suite.engine.timelimit import TimeIsUp, one_case
    from gradcheck_suite.ops.variants import at_variant
    from gradcheck_suite.results import to_json

    op = registry.get(order["op"])
    variant = dict(op.variants[order["variant"]])
    case = Case(
        op=at_variant(op, variant), variant=variant, dtype=order["dtype"], direction=order["direction"]
    )
    case = case.alone() if order["alone"] else case
    try:
        # Ends the process even where the op holds the interpreter's lock in a loop of its own.
        with one_case(order["limit"], log), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = run_case(case, settings)
    except UsageError as error:
        return {"usage": str(error)}
    except Exception:
        return {"mistake": traceback.format_exc()}
    except TimeIsUp:
        return {"late": True}
    return {"results": [to_json(result) for result in results]}


def _frozen(value: Any) -> Any:
    """Tuples again, which JSON has not."""
    return tuple(value) if isinstance(value, list) else value
