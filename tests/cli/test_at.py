from __future__ import annotations

import pytest

from tests.cli.conftest import Call, mistake


def block(out: str, heading: str) -> dict[str, str]:
    """The lines below a heading as a dictionary of their first word."""
    _, _, rest = out.partition(f"\n{heading}\n")
    found: dict[str, str] = {}
    for line in rest.partition("\n\n")[0].splitlines():
        word, _, text = line.strip().partition(" ")
        found.setdefault(word, text.strip())
    return found


def test_a_lost_gradient_is_named(call: Call) -> None:
    code, out, _ = call("at", "sigmoid", "40", "--dtype", "float64")
    assert code == 0
    gradient = block(out, "backward with respect to input")
    assert gradient["input"] == "40 (0x1.4p+5)"
    assert gradient["computed"] == "0 (0x0p+0)"
    assert gradient["exact"] == "4.248354255291588959232207e-18"
    assert gradient["verdict"] == "finding: underflow (critical)"
    assert block(out, "forward")["verdict"] == "ok"


def test_nothing_is_wrong_with_relu_at_its_kink(call: Call) -> None:
    code, out, _ = call("at", "relu", "0")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line.startswith("  verdict")] == ["ok", "ok"]


@pytest.mark.parametrize("x", ["-5", "-0x1.4p+2", "-5e0", "-.5e1", '{"input": -5}', '{"input": "-0x1.4p+2"}'])
def test_the_input_is_decimal_or_hex(call: Call, x: str) -> None:
    code, out, _ = call("at", "identity", x)
    assert code == 0
    assert block(out, "forward")["input"] == "-5 (-0x1.4p+2)"


def test_the_input_is_rounded_to_the_dtype(call: Call) -> None:
    _, out, _ = call("at", "identity", "0.1", "--dtype", "bfloat16")
    assert block(out, "forward")["input"] == "0.10009765625 (0x1.9ap-4)"


@pytest.mark.parametrize("x", ["inf", "-inf", "nan"])
def test_inputs_that_are_not_finite(call: Call, x: str) -> None:
    code, out, _ = call("at", "tanh", x)
    assert code == 0
    assert block(out, "forward")["input"] == x


def test_parameters_are_set(call: Call) -> None:
    _, out, _ = call("at", "leaky_relu", "-2", "--set", "negative_slope=0.25", "--dtype=float64")
    assert out.startswith("leaky_relu[negative_slope=0.25] in float64\n")
    assert block(out, "forward")["exact"].startswith("-0.5")


def test_directions_are_chosen(call: Call) -> None:
    _, out, _ = call("at", "tanh", "1", "--directions", "forward")
    assert "\nforward\n" in out
    assert "backward" not in out


@pytest.mark.parametrize(
    "argv",
    [
        ("softmax", "[0, 0.125, 30.0625, -17.5]", "--dtype", "float64"),
        ("sigmoid", "40"),
        ("cross_entropy", '{"input": [[16.6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]], "target": [0]}'),
    ],
)
def test_lines_fit_80_columns(call: Call, argv: tuple[str, ...]) -> None:
    code, out, _ = call("at", *argv)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "finding: " in out


def test_an_entry_that_fails_is_marked_and_the_worst_one_has_all_digits(call: Call) -> None:
    _, out, _ = call("at", "log_softmax", "[16.5, 0]", "--directions", "forward")
    first, second = (line for line in out.splitlines() if line.startswith("  ["))
    assert first.endswith("!")
    assert not second.endswith("!")
    assert block(out, "forward")["exact"].startswith("-6.8256031433905731")


@pytest.mark.parametrize(("fail_on", "expected"), [("critical", 1), ("minor", 1), ("never", 0)])
def test_fail_on_decides_the_exit_code(call: Call, fail_on: str, expected: int) -> None:
    assert call("at", "sigmoid", "40", "--dtype=float64", "--fail-on", fail_on)[0] == expected
    assert call("at", "relu", "0", "--fail-on", fail_on)[0] == 0


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("at", "sigmiod", "1"), "did you mean 'sigmoid'"),
        (("at", "sigmoid", "forty"), "'forty' is no number"),
        (("at", "sigmoid", "1e999"), "'1e999' is beyond the range of float64"),
        (("at", "sigmoid", "1", "--dtype", "flaot32"), "did you mean 'float32'"),
        (("at", "softplus", "1", "--set", "bta=1"), "did you mean 'beta'"),
        (("at", "softplus", "1", "--set", "beta"), "--set beta: write NAME=VALUE"),
        (("at", "softplus", "1", "--set", "beta=much"), "--set beta=much: a number is needed"),
        (("at", "gelu", "1", "--set", "approximate=tahn"), "did you mean 'tanh'"),
        (("at", "relu", '{"inptu": 1}'), "did you mean 'input'"),
        (("at", "prelu", "1"), "prelu needs the input 'weight' too; write all inputs as JSON, such as '{"),
        (("at", "mse_loss", '{"input": [1], "target": [2]}'), "--set reduction=mean takes lists"),
        (("at", "relu", '{"input": 1, "target": 2}'), "relu has no input 'target'; valid are: input"),
        (("at", "squarepuls", "1"), "; --load FILE reads ops of your own"),
        (("at", "relu", '{"input": [1, 2]}'), "relu is judged at one number"),
        (("at", "relu", '{"input": true}'), "true of input 'input' is no number"),
        (("at", "relu", '{"input": 1'), "is no JSON"),
        (("at", "relu"), "the following arguments are required: X"),
    ],
)
def test_mistakes_are_one_sentence(call: Call, argv: tuple[str, ...], sentence: str) -> None:
    assert sentence in mistake(call, *argv)


def test_of_a_set_of_gradients_the_ends_are_shown(call: Call) -> None:
    """Beside a computed 1 an exact 0 with an error of 0 would puzzle anyone."""
    _, out, _ = call("at", "margin_ranking_loss", '{"input1": 0.5, "input2": 0.5, "target": 1}')
    gradient = block(out, "backward with respect to input2")
    assert gradient["exact"] == "a kink: any number from 0 to 1"
    assert gradient["error"] == "0 ULP"


def test_what_is_not_defined_has_no_exact_value_and_no_error(call: Call) -> None:
    _, out, _ = call("at", "leaky_relu", "-inf", "--set", "negative_slope=0")
    value = block(out, "forward")
    assert (value["exact"], value["verdict"]) == ("undefined", "undefined")
    assert "error" not in value


def test_nan_in_and_nan_out_is_right(call: Call) -> None:
    _, out, _ = call("at", "gelu", "nan")
    assert block(out, "forward")["verdict"] == "ok"
    assert block(out, "backward with respect to input")["verdict"] == "undefined"


def test_a_sentence_says_which_gradient(call: Call) -> None:
    _, out, _ = call("at", "binary_cross_entropy", '{"input": 0, "target": 1}')
    said = " ".join(out.split())
    assert "the gradient with respect to target overflows: at input = 0, target = 1" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("relu", "1", "--device", "gpu"),
            "unknown device 'gpu'; write cpu, cuda or cuda:0",
        ),
        (("relu", "1", "--device", "cuda:99"), "there is no device 'cuda:99' here"),
    ],
)
def test_devices_that_are_not_there_are_one_sentence(
    call: Call, arguments: tuple[str, ...], message: str
) -> None:
    assert message in mistake(call, "at", *arguments)
