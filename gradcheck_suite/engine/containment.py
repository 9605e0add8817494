"""Custom ops run in a process of their own: a crash or a hang costs one finding, and the run goes on.

One worker serves all custom ops; it loads the registrations again, for a fork would break CUDA and threads.
Torch's own ops run here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any, Final

from gradcheck_suite.engine.availability import unjudged
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.run import run_case
from gradcheck_suite.engine.stacks import Stack, read_stack
from gradcheck_suite.errors import GradcheckError, UsageError
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding, Result, result_from_json

_START_LIMIT: Final = 300.0
"""Seconds for importing torch and the user's registrations on a busy machine."""

_GRACE: Final = 15.0
"""The worker ends itself at the time limit and says where it was; only one that cannot is killed from here.
"""

_MOST_DEATHS: Final = 3
"""Variants and dtypes in which an op may end the worker, before the op is given up: each costs a start and a
wait.
"""

_FROZEN_EVERY: Final = 256
"""Cases after which the garbage collector is told that what is left stays."""

_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from gradcheck_suite.engine.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)

Sources = Callable[[], Sequence[str]]
Key = tuple[str, str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How the worker ended, or why its answer is missing: a sentence without its subject, and the stack it left."""

    how: str
    stack: Stack


class Runner:
    """Runs cases; those of custom ops in the worker, which starts with the first of them.

    `sources` names the files and modules that register custom ops, as `--load` takes them. Where the worker
    cannot load an op that this process has, `unprotected` says why and the op runs here.
    """

    def __init__(self, settings: Settings, sources: Sources) -> None:
        self.settings, self.sources = settings, sources
        self.unprotected: str = ""
        self._worker: _Worker | None = None
        self._dead: dict[Key, str] = {}
        self._ran = 0

    def run(self, case: Case) -> list[Result]:
        """The results of a case. A crash or a hang of the op is a finding; a mistake of the harness raises."""
        if self._ran % _FROZEN_EVERY == 0:
            # What stands by now, torch, thousands of items of pytest and results, stays: searching it for cycles
            # again and again would take a twentieth of the run.
            gc.collect()
            gc.freeze()
        self._ran += 1
        if not case.op.custom or self.settings.in_process:
            return run_case(case, self.settings)
        note = self._gave_up(case)
        if note:
            return unjudged(case, "inconclusive", note)
        worker = self._started()
        if case.op.name not in worker.ops:
            self.unprotected = worker.trouble or f"{case.op.name} is not registered by a file or module"
            return run_case(case, self.settings)
        return self._contained(case)

    def close(self) -> None:
        """End the worker."""
        gc.unfreeze()
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _started(self) -> _Worker:
        if self._worker is None:
            self._worker = _Worker(self.settings, self.sources())
        return self._worker

    def _contained(self, case: Case) -> list[Result]:
        found = self._started().run(case, alone=False, limit=self.settings.time_limit)
        if isinstance(found, Death) and case.direction == "forward":
            # Value and gradient are computed in one call; the value may be sound where the gradient is not.
            self.close()
            found = self._started().run(case, alone=True, limit=self.settings.time_limit)
        if not isinstance(found, Death):
            return found
        self.close()
        return self._buried(case, found)

    def _buried(self, case: Case, death: Death) -> list[Result]:
        if death.stack.in_reference:
            note = (
                f"judging {case.id} took longer than {self.settings.time_limit:g} seconds "
                "although each call of its op returned; the option time-limit raises that"
            )
            self._dead[_key(case)] = f"not run: {note}"
            return unjudged(case, "inconclusive", note)
        self._dead[_key(case)] = f"not run: {case.op.name} {death.how} in {case.id}"
        label = f"{case.op.label(case.variant)} {case.dtype}"
        finding = Finding(
            id=f"{case.id}::raises.process",
            kind="raises",
            severity="critical",
            message=f"{label} {case.direction} {death.how}{death.stack.at}.",
        )
        first, *rest = unjudged(case, "inconclusive", self._dead[_key(case)])
        return [dataclasses.replace(first, verdict="findings", note="", findings=(finding,)), *rest]

    def _gave_up(self, case: Case) -> str:
        own = [note for key, note in self._dead.items() if key[0] == case.op.name]
        if len(own) >= _MOST_DEATHS:
            return own[-1]
        return self._dead.get(_key(case), "")


def open_runner(settings: Settings, sources: Sources) -> Runner:
    """What runs the cases of a session; close it at the end."""
    return Runner(settings, sources)


class _Worker:
    """The process, seen from here."""

    def __init__(self, settings: Settings, sources: Sequence[str]) -> None:
        # Open as long as the process lives.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._read, self._time_limit = 0, settings.time_limit
        here, there = Pipe()
        self._connection: Connection = here
        with there:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _BOOT,
                    json.dumps(sys.path),
                    str(there.fileno()),
                    str(self._log.fileno()),
                ],
                pass_fds=(there.fileno(), self._log.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )
        started = {"settings": dataclasses.asdict(settings), "sources": list(sources)}
        answer = self._asked(started, _START_LIMIT)
        if isinstance(answer, Death):
            self.ops: frozenset[str] = frozenset()
            self.trouble = f"the process for custom ops did not start: it {answer.how}{answer.stack.at}"
        else:
            self.ops, self.trouble = frozenset(answer["ops"]), str(answer["trouble"])

    def run(self, case: Case, *, alone: bool, limit: float) -> list[Result] | Death:
        """The results of a case, or how the process ended over it; what the op printed is printed here."""
        order = [dict(variant) for variant in case.op.variants].index(dict(case.variant))
        message = {
            "op": case.op.name,
            "variant": order,
            "dtype": case.dtype,
            "direction": case.direction,
            "alone": alone,
            "limit": limit,
        }
        # The last call may begin just before the limit, and has the same for itself.
        answer = self._asked(message, 2.0 * limit + _GRACE)
        if isinstance(answer, Death):
            return answer
        if "late" in answer:
            return Death(how="", stack=Stack(in_reference=True))
        sys.stderr.write(self._printed())
        if "usage" in answer:
            raise UsageError(answer["usage"])
        if "mistake" in answer:
            raise GradcheckError(f"the harness failed on {case.id}:\n{answer['mistake']}")
        return [result_from_json(data) for data in answer["results"]]

    def close(self) -> None:
        """End the process, by force where it does not listen."""
        self._connection.close()
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _asked(self, message: dict[str, Any], limit: float) -> dict[str, Any] | Death:
        try:
            self._connection.send_bytes(json.dumps(message).encode())
            if not self._connection.poll(limit):
                self._process.kill()
                return self._death(f"did not answer within {limit:g} seconds, nor end itself")
            answer: dict[str, Any] = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            return self._death("")
        return answer

    def _death(self, how: str) -> Death:
        code = self._process.wait()
        stack = read_stack(self._printed(), limit=self._time_limit)
        if not how and stack.seconds:
            how = f"did not return within {stack.seconds:g} seconds"
        return Death(how=how or _ending(code), stack=stack)

    def _printed(self) -> str:
        """What was written to the log since the last call."""
        self._log.seek(self._read)
        text = self._log.read()
        self._read += len(text)
        self._log.seek(0, os.SEEK_END)
        return text.decode(errors="replace")


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended the process with exit code {code}"
    name = str(-code)
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
    return f"ended the process by signal {name}"


def _key(case: Case) -> Key:
    return case.op.name, case.op.label(case.variant), case.dtype
