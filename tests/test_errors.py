from __future__ import annotations

import pytest

from gradcheck_suite.errors import GradcheckError, UsageError, suggest

NAMES = ("gelu", "selu", "relu", "softplus")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("sofplus", "did you mean 'softplus'?"),
        ("SOFTPLUS", "did you mean 'softplus'?"),
        ("gelu2", "did you mean 'gelu' or 'selu' or 'relu'?"),
    ],
)
def test_the_closest_names_are_suggested(typed: str, expected: str) -> None:
    assert suggest(typed, NAMES) == expected


def test_without_a_close_name_the_valid_ones_are_listed() -> None:
    assert suggest("zzz", NAMES) == "valid are: gelu, relu, selu, softplus"


def test_a_long_list_of_valid_names_is_shortened() -> None:
    text = suggest("zzz", [f"op{index:02}" for index in range(30)])
    assert text.startswith("valid are: op00, op01")
    assert text.endswith("… (22 more)")


def test_nothing_to_choose_from_is_said() -> None:
    assert suggest("gelu", ()) == "there is none to choose from"


def test_an_unknown_name_is_one_sentence_with_the_remedy() -> None:
    error = UsageError.unknown("op", "sofplus", NAMES)
    assert str(error) == "unknown op 'sofplus'; did you mean 'softplus'?"
    assert isinstance(error, GradcheckError)
