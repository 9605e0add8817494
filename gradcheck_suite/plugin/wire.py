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
    """Put the item's results on its report as plain JSON values; nothing for other items."""
    if isinstance(item, GradcheckItem) and item.results:
        vars(report)[_NAME] = [_packed(result, with_pictures) for result in item.results]


def attached(report: pytest.TestReport) -> tuple[Result, ...]:
    """The results on a report; empty where there are none."""
    return tuple(_unpacked(data) for data in vars(report).get(_NAME, ()))


def _packed(result: Result, with_pictures: bool) -> dict[str, Any]:
    data: dict[str, Any] = to_json(result)
    pictures = {name: data.pop(name) for name in _PICTURES}
    if with_pictures:
        # As one text: execnet serialises element by element, thousands of numbers for every item.
        data["pictures"] = json.dumps(pictures, allow_nan=False)
    return data


def _unpacked(data: dict[str, Any]) -> Result:
    fields = dict(data)
    fields |= json.loads(fields.pop("pictures", "{}"))
    return result_from_json(fields)
