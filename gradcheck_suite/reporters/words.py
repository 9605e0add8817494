"""The words that every report uses: why a kind of finding matters, what a level means, how to repeat it."""

from __future__ import annotations

import shlex
from typing import Final

from gradcheck_suite.results import Finding, Result

KINDS: Final = {
    "overflow": "inf or -inf comes out where the exact result is an ordinary number of this dtype.",
    "nan": "NaN comes out where the exact result is defined; one such entry poisons every sum it enters.",
    "underflow": "0 comes out where the exact result rounds to something else: what it multiplies is lost.",
    "sign": "The result has the wrong sign.",
    "inaccurate": "More digits are lost than the rounding of the inputs can explain.",
    "tie": "At a kink or tie the gradient lies outside the set that the function has there.",
    "masked": "A finite number hides a result that is infinite or undefined: a fault upstream goes unseen.",
    "path": "Two ways of calling the op on the same input disagree.",
    "dtype": "The result has another dtype than documented.",
    "raises": "The op fails where it is documented to work.",
}
GRADIENTS: Final = {
    "overflow": "One infinite gradient makes the optimiser's step infinite, or makes a loss scaler skip it.",
    "nan": "One NaN gradient turns every weight that it reaches into NaN.",
    "underflow": "A gradient of 0 stops what is upstream from learning from these inputs.",
    "sign": "A gradient of the wrong sign moves the weights uphill.",
}
PATHS: Final = {
    "strided": "on strided tensors",
    "single": "on single elements",
    "tail": "at the end of a vector",
    "inplace": "in place",
    "out": "with out=",
    "module": "as a module",
    "channels_last": "in channels_last",
    "vmap": "under vmap",
    "jvp": "in forward mode",
    "compile": "under torch.compile",
}
LEVELS: Final = {
    "critical": "inf, NaN, 0 or a wrong sign where the exact result is an ordinary number",
    "major": "over half of the significand is lost",
    "minor": "less than half of the significand is lost, but more than the threshold",
    "extreme": "wrong only at extreme inputs: infinities, magnitudes beyond 1e-4 to 1e4, huge cotangents",
    "info": "explained by the inputs' rounding, documented, or undefined; never fails a run",
    "ok": "nothing found",
    "inconclusive": "could not be decided; not a pass",
    "unsupported": "the op does not exist for this dtype",
}
REASONS: Final = {
    "ill-conditioned": "a relative change of the inputs in their last digits moves the exact result as far",
    "documented": "the documentation states this deviation",
    "subnormal": "only a subnormal number was flushed to 0",
    "undefined": "the exact result does not exist here, so nothing is accused",
}


def path_words(path: str) -> str:
    """In which way of calling an op something is wrong."""
    twin = path.removeprefix("twin:")
    return PATHS.get(path) or (f"on the {path} path" if twin == path else f"as {twin}")


def why(finding: Finding, direction: str) -> str:
    """Why a finding matters, in a sentence or two."""
    if finding.reason is not None:
        return f"Not counted as a defect: {REASONS[finding.reason]}."
    sentences = [KINDS[finding.kind]]
    if direction != "forward" and finding.kind in GRADIENTS:
        sentences.append(GRADIENTS[finding.kind])
    return " ".join(sentences)


def definition(text: str) -> str:
    """An op's definition for people: of a function's source what follows its decorators, else the text."""
    lines = text.strip("\n").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("def ")), 0)
    return "\n".join(lines[start:])


def case_id(result: Result) -> str:
    """The id of the case that a result belongs to: a case has one result per differentiable input."""
    return result.id.removesuffix(f"::{result.wrt}") if result.wrt else result.id


def by_input(result: Result) -> str:
    """The input by which a gradient is taken, where the op has several: "by target", else ""."""
    return f"by {result.wrt}" if result.wrt and result.id.endswith(f"::{result.wrt}") else ""


def command(result: Result) -> str:
    """The shell command that repeats the case of a result."""
    return f"pytest --gradcheck {shlex.quote(f'gradcheck::{case_id(result)}')}"
