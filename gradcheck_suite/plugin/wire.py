"""How results travel on pytest's report objects, from pytest-xdist's workers to the controller."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from gradcheck_suite.plugin.items import GradcheckItem
from gradcheck_suite.results import Result, result_from_json, to_json

if TYPE_CHECKING:
    import pytest

_NAME: Final = "gradcheck"
_PICTURES: Final = ("curve", "other_curves", "grid")


def attach(report: pytest.TestReport, item: pytest.Item, *, with_pictures: bool) -> None:
    """Put the item's results on its report, as one text: what else execnet finds there it takes apart, element by
    element. Nothing for other items.
    """
    if isinstance(item, GradcheckItem) and item.results:
        vars(report)[_NAME] = json.dumps([_packed(result, with_pictures) for result in item.results])


def attached(report: pytest.TestReport) -> tuple[Result, ...]:
    """The results on a report; empty where there are none."""
    return tuple(result_from_json(data) for data in json.loads(vars(report).get(_NAME, "[]")))


def _packed(result: Result, with_pictures: bool) -> dict[str, Any]:
    data: dict[str, Any] = to_json(result)
    return data if with_pictures else {name: value for name, value in data.items() if name not in _PICTURES}
