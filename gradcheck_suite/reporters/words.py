"""The words that every report uses: why a kind of finding matters, what a level means, how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from gradcheck_suite.results import Finding, Result, variant_label

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
    "out": "with a strided out=",
    "module": "as a module",
    "create_graph": "with create_graph=True",
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
FAMILIAR: Final = frozenset({
    "relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "elu", "leaky_relu", "mish", "softmax", "log_softmax",
    "glu", "logsigmoid", "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "scaled_dot_product_attention", "cosine_similarity",
    "normalize",
})  # fmt: skip
"""Ops that most models contain: of equally grave findings a reader meets these first."""

PROBES: Final = {
    "gap": "how far the largest entry of a row stands above the others",
    "ratio": "the size of each entry is about this many times that of the one before it",
    "scale": "ordinary entries are multiplied by it",
    "level": "the value that the entries of a row share, or cancel around",
    "norm": "the length of the vector as a point in space",
    "gate": "the half of the input that goes through the sigmoid",
    "ulps apart": "how many floats lie between the entries of two nearly equal vectors",
    "reciprocal scales": "the first vector is multiplied by it, the second divided",
    "factor": "one vector is this many times the other",
    "masked score": "the score of a key that the mask excludes",
    "mask": "the size of the entries of a mask that is added",
    "hard entries": "how many entries are hard, infinite or NaN",
    "huge entries": "which huge entry stands there three times",
    "special entries": "how many entries are infinite or NaN",
    "infinite entries": "how many entries are infinite",
    "masked entries": "how many entries are masked by -inf",
    "masked keys": "how many keys the mask excludes",
    "tied entries": "how many entries share the maximum",
    "zero vectors": "how many of the vectors are zero",
    "equal vectors": "how many of the vectors are equal",
    "ignored": "how many targets are ignored",
    "spare steps": "time steps beyond those that the target needs",
    "length": "how many entries a row has",
    "entries": "how many entries the input has",
    "batch": "how many samples the input has",
    "pixels": "how many pixels the image has",
    "cotangent": "the gradient that arrives from above; it is 1 unless stated",
    "a loss scale": "a cotangent of 65536 (32768 in float16), as mixed precision starts with",
}
"""What the names of probes mean that are not names of arguments."""

NAMES: Final = {"inconclusive": "undecided"}
"""What a level is called where its own name says little."""

REASONS: Final = {
    "ill-conditioned": "a relative change of the inputs in their last digits moves the exact result as far",
    "documented": "the documentation states this deviation",
    "subnormal": "only numbers below the smallest normal one were flushed or lost digits",
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


def sentence(result: Result, finding: Finding) -> str:
    """A finding's message without the op and dtype, where it starts with them: a heading has said them."""
    said = f"{result.op}{variant_label(result.variant)} {result.dtype}: "
    message = finding.message.removeprefix(said)
    return message if message == finding.message else message[:1].upper() + message[1:]


def terms(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """The names in the regions of some findings that need a word, each with it, in order of their use."""
    used: dict[str, None] = {}
    for finding in findings:
        used[finding.probe] = None
        scaled = finding.fixed.get("cotangent") == "scaled"
        used |= {"a loss scale" if scaled and name == "cotangent" else name: None for name in finding.fixed}
    return [(name, PROBES[name]) for name in used if name in PROBES]


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


def command(result: Result, load: Sequence[str] = ()) -> str:
    """The shell command that repeats the case of a result; custom ops were registered by the sources in `load`."""
    loaded = (f"--gradcheck-load={source}" for source in load)
    return shlex.join(["pytest", "--gradcheck", *loaded, f"gradcheck::{case_id(result)}"])
