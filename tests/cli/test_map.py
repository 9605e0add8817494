"""`gradcheck map`: the regions of an op as a table of intervals, or as the document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradcheck_suite import results
from tests.cli.conftest import Call, mistake


def section(out: str, heading: str) -> list[str]:
    """The lines of one direction."""
    _, found, rest = out.partition(f"\n{heading}")
    assert found, out
    return rest.partition("\n\n")[0].splitlines()


def test_every_direction_is_mapped(call: Call) -> None:
    code, out, _ = call("map", "softplus", "--dtype", "float32")
    assert code == 0
    assert out.startswith("softplus in float32\n")
    assert section(out, "forward")[0].startswith(": nothing wrong")
    assert section(out, "backward with respect to input")
    rows = section(out, "double-backward with respect to input")
    assert any("underflow critical" in row for row in rows)


def test_ends_are_in_decimal_and_hex(call: Call) -> None:
    """silu is lost below -88.7 in float32, where exp(-x) overflows."""
    _, out, _ = call("map", "silu", "--directions", "forward")
    rows = section(out, "forward")
    decimal = next(i for i, row in enumerate(rows) if "-88.72284" in row)
    assert "underflow critical" in rows[decimal]
    assert "-0x1.62e43p+6" in rows[decimal + 1]


def test_whole_numbers_are_written_in_full(call: Call) -> None:
    """The shortest decimal that reads back as -65504 in float16 is -65500."""
    _, out, _ = call("map", "gaussian_nll_loss", "--dtype", "float16", "--budget", "quick")
    assert "-65504" in out
    assert "-65500" not in out


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_the_table_fits_eighty_columns(call: Call, dtype: str) -> None:
    _, out, _ = call("map", "gelu", "--dtype", dtype, "--paths", "all", "--budget", "quick")
    assert max(map(len, out.splitlines())) <= 80


def test_noisy_ends_are_marked(call: Call) -> None:
    _, out, _ = call("map", "tanhshrink", "--directions", "forward")
    rows = section(out, "forward")
    assert any(row.lstrip().startswith("~") and "inaccurate" in row for row in rows)
    assert "~ marks an end" in out


def test_nothing_is_marked_where_every_end_is_exact(call: Call) -> None:
    _, out, _ = call("map", "relu")
    assert "~" not in out


def test_parameters_and_directions_are_chosen(call: Call) -> None:
    _, out, _ = call("map", "hardtanh", "--set", "max_val=0.5", "--directions", "forward,backward")
    assert out.startswith("hardtanh[max_val=0.5] in float32\n")
    assert "double-backward" not in out


def test_json_gives_the_document_instead(call: Call) -> None:
    code, out, _ = call("map", "softplus", "--directions", "backward", "--json")
    assert code == 0
    document = results.from_json(json.loads(out))
    assert [r.id for r in document.results] == ["softplus::float32::backward"]
    assert all(f.lo is not None for f in document.results[0].findings)


def test_json_goes_to_a_file_beside_the_table(call: Call, folder: Path) -> None:
    _, out, _ = call("map", "relu", "--json", "map.json")
    assert out.startswith("relu in float32\n")
    assert len(results.read(folder / "map.json").results) == 3


def test_fail_on_decides_the_exit_code(call: Call) -> None:
    assert call("map", "silu", "--directions", "forward", "--fail-on", "critical")[0] == 1
    assert call("map", "relu", "--directions", "forward", "--fail-on", "critical")[0] == 0


def test_two_maps_are_the_same(call: Call) -> None:
    argv = ("map", "gelu", "--dtype", "float32", "--directions", "forward,backward", "--paths", "all")
    assert call(*argv)[1] == call(*argv)[1]


def test_no_folder_appears(call: Call, folder: Path) -> None:
    call("map", "tanh", "--directions", "forward", "--budget", "thorough")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("map", "sofplus"), "did you mean 'softplus'"),
        (("map", "relu", "--dtype", "flaot32"), "did you mean 'float32'"),
        (("map", "softplus", "--set", "bta=1"), "did you mean 'beta'"),
        (("map", "hardsigmoid", "--directions=double-backward"), "is judged forward, backward only"),
        (("map", "relu", "--directions", "sideways"), "unknown direction 'sideways'"),
        (("map", "relu", "--paths", "strode"), "unknown path 'strode'"),
        (("map",), "the following arguments are required: OP"),
    ],
)
def test_mistakes_are_one_sentence(call: Call, argv: tuple[str, ...], sentence: str) -> None:
    assert sentence in mistake(call, *argv)
