"""Refusals that are kept: no frame, and so no array of a case, outlives the case for them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from gradcheck_suite.engine.cases import collect
from gradcheck_suite.engine.pointwise import Subject
from gradcheck_suite.engine.refusals import Unsupported, renewed
from gradcheck_suite.ops.registry import registry
from gradcheck_suite.options import Settings


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def test_a_renewed_refusal_has_the_message_alone() -> None:
    try:
        raise Unsupported("not implemented for 'Half'")
    except Unsupported as error:
        kept = renewed(error)
    assert isinstance(kept, Unsupported)
    assert kept.args == ("not implemented for 'Half'",)
    assert kept.__traceback__ is None
    assert kept.__context__ is None


@pytest.mark.usefixtures("no_collector")
def test_a_subject_that_refused_a_path_is_freed_without_the_collector() -> None:
    settings = Settings(ops=("softsign",), dtypes=("float32",), directions=("forward",))
    (case,) = collect(settings, registry())
    subject = Subject(case.op, dict(case.variant), case.dtype, 0, settings)
    for _ in range(2):
        with pytest.raises(Unsupported, match="no in-place form"):
            subject.outcome("inplace", 0)
    alive = weakref.ref(subject)
    del subject
    assert alive() is None
