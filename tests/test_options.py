from __future__ import annotations

import argparse
import dataclasses

import pytest

from gradcheck_suite.errors import UsageError
from gradcheck_suite.options import DTYPES, OPTIONS, Raw, Settings, settings_from


def test_every_option_is_a_setting_and_every_setting_an_option() -> None:
    # Whether pictures are drawn follows from what is written.
    settings = {field.name for field in dataclasses.fields(Settings)} - {"pictures"}
    assert {option.field for option in OPTIONS} == settings


def test_nothing_given_is_the_default() -> None:
    assert settings_from({}) == Settings()
    assert settings_from({"ops": None, "load": [], "strict": None}) == Settings()


@pytest.mark.parametrize(
    ("field", "raw", "value"),
    [
        ("ops", "gelu, soft*,,gelu", ("gelu", "soft*")),
        ("ops", "elu[alpha=0.1,scale=2],gelu", ("elu[alpha=0.1,scale=2]", "gelu")),
        ("ops", ["gelu", "selu,elu"], ("gelu", "selu", "elu")),
        ("dtypes", "bfloat16,float64", ("bfloat16", "float64")),
        ("max_ulp", "0.75", 0.75),
        ("seed", "-3", -3),
        ("fail_on", "never", "never"),
        ("strict", True, True),
        ("load", ["a,b.py", "c"], ("a,b.py", "c")),
        ("json", "out/results.json", "out/results.json"),
    ],
)
def test_text_becomes_the_value(field: str, raw: Raw, value: object) -> None:
    assert getattr(settings_from({field: raw}), field) == value


@pytest.mark.parametrize(
    ("field", "raw", "message"),
    [
        ("dtypes", "flaot32", "unknown dtype 'flaot32'; did you mean 'float32'"),
        ("directions", "forwards", "unknown direction 'forwards'; did you mean 'forward'"),
        ("fail_on", "mayor", "unknown severity 'mayor'; did you mean 'major' or 'minor'?"),
        ("reference", "sympy", "unknown reference 'sympy'; valid are: arb, mpmath"),
        ("budget", "fast", "unknown budget 'fast'"),
        ("paths", "vectors", "unknown path 'vectors'; did you mean 'vector'?"),
        ("max_ulp", "four", "--max-ulp four: a number of ULP is needed"),
        ("max_ulp", "0", "--max-ulp 0: a positive, finite number of ULP is needed"),
        ("max_ulp", "inf", "--max-ulp inf: a positive, finite number"),
        ("max_ulp", "nan", "--max-ulp nan: a positive, finite number"),
        ("seed", "1.5", "--seed 1.5: a whole number is needed"),
        ("ops", " , ", "--ops names no op; leave it out for the default"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(field: str, raw: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from({field: raw})
    assert str(caught.value).startswith(message)


def test_declarations_suit_argparse() -> None:
    parser = argparse.ArgumentParser()
    for option in OPTIONS:
        parser.add_argument(f"--{option.name}", dest=option.field, **option.declaration())
    line = ["--dtypes", "float32", "--strict", "--load", "a.py", "--load", "b.py"]
    settings = settings_from(vars(parser.parse_args(line)))
    assert settings == Settings(dtypes=("float32",), strict=True, load=("a.py", "b.py"))
    assert "%" not in parser.format_help()


def test_the_defaults_told_are_the_defaults() -> None:
    by_name = {option.name: option.help for option in OPTIONS}
    assert f"default {','.join(DTYPES)}" in by_name["dtypes"]
    assert "default core,custom" in by_name["ops"]
    assert f"default {Settings().max_ulp:g}" in by_name["max-ulp"]


def test_an_update_without_a_baseline_names_what_is_missing() -> None:
    with pytest.raises(UsageError, match="name its folder with --baseline"):
        settings_from({"update_baseline": "all"})
    assert settings_from({"update_baseline": "all", "baseline": "base"}).update_baseline == "all"
