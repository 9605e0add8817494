"""Findings of a result are known by their ids: to links into a report, and to baselines."""

from __future__ import annotations

from gradcheck_suite.engine import Case, run_case
from gradcheck_suite.engine.findings import distinct
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Finding


def test_findings_that_would_share_an_id_are_numbered_and_the_first_keeps_it() -> None:
    found = [Finding(id=name, kind="nan", severity="critical", message=name) for name in "abaa"]
    assert [f.id for f in distinct(found)] == ["a", "b", "a.2", "a.3"]
    assert [f.message for f in distinct(found)] == list("abaa")


def test_what_several_cotangents_show_has_ids_of_its_own() -> None:
    # exp(input) is infinite from 11.1 on: with a cotangent of 0 the gradient is NaN, and with a large one too.
    op = registry().get("poisson_nll_loss")
    case = Case(op=op, variant={"reduction": "none"}, dtype="float16", direction="backward")
    found = [f for result in run_case(case, Settings(paths=("vector",))) for f in result.findings]
    kinds = [(f.kind, f.path, f.fixed["cotangent"]) for f in found if "cotangent" in f.fixed]
    assert len(kinds) > len({kind[:2] for kind in kinds})
    assert len({f.id for f in found}) == len(found)
