"""What a document says beside its results: the environment, the threshold, each op once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gradcheck_suite.engine import collect, document, environment
from gradcheck_suite.engine.cases import sample_name
from gradcheck_suite.engine.document import op_infos
from gradcheck_suite.engine.fingerprint import fingerprint
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Curve, Finding, Result


def test_the_environment_names_torch_the_threshold_and_a_key() -> None:
    known = environment(Settings(max_ulp=7.5))
    assert known["torch"] == torch.__version__
    assert known["max_ulp"] == 7.5
    assert known["key"].startswith("torch" + ".".join(torch.__version__.split(".")[:2]) + "-cpu-")


def test_the_environment_tells_machines_apart_that_compute_other_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = environment(Settings())["arithmetic"]
    assert len(known) == 12
    assert environment(Settings(max_ulp=7.5))["arithmetic"] == known
    assert fingerprint("nowhere") == ""
    monkeypatch.setattr(torch.Tensor, "softmax", lambda table, dim: torch.sigmoid(table))
    fingerprint.cache_clear()
    assert environment(Settings())["arithmetic"] not in ("", known)
    fingerprint.cache_clear()


def test_samples_of_other_seeds_are_other_samples() -> None:
    assert sample_name(Settings(), 15) == "default-15"
    assert sample_name(Settings(budget="quick", seed=3), 15) == "quick-15-seed3"


def test_each_op_is_told_once_with_its_definition_and_stable_form() -> None:
    cases = collect(Settings(ops=("gelu", "relu"), dtypes=("float32",)), registry())
    infos = {info.name: info for info in op_infos(cases)}
    assert set(infos) == {"gelu", "relu"}
    assert "m.ndtr(x)" in infos["gelu"].definition
    assert "erfc" in (infos["gelu"].stable_form or "")
    assert infos["relu"].stable_form is None
    assert (infos["gelu"].file, infos["gelu"].custom) == (None, False)


def test_an_interrupted_run_says_so() -> None:
    made = document([], [], Settings(), complete=False)
    assert not made.complete
    assert made.tool["version"]


def test_pictures_are_kept_of_the_first_variant_and_of_what_is_wrong() -> None:
    """Most of a document would be curves of variants that nobody opens."""
    curve = Curve(probe="input", x=(0.0,), got=(0.0,), exact=(0.0,), ulp=(0.0,))
    bad = Finding(id="f", kind="nan", severity="critical")
    remark = Finding(id="r", kind="inaccurate", severity="info", reason="ill-conditioned")
    shared = Result(
        id="", op="a", callable="a", dtype="float32", direction="forward", verdict="ok", curve=curve
    )
    given = [
        replace(shared, id="first"),
        replace(shared, id="quiet", variant={"beta": 2}, other_curves=(curve,), findings=(remark,)),
        replace(shared, id="wrong", variant={"beta": 3}, findings=(bad,)),
        replace(shared, id="first of another", op="b", variant={"beta": 2}),
    ]
    made = document([], given, Settings())
    assert [r.id for r in made.results if r.curve] == ["first", "wrong", "first of another"]
    assert made.results[1].other_curves == ()
    assert made.results[1].findings == (remark,)
