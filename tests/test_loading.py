from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gradcheck_suite.errors import UsageError
from gradcheck_suite.loading import register_from

if TYPE_CHECKING:
    from pathlib import Path

HOOK = "def pytest_gradcheck_register(register):\n    register('mine')\n"


def registered(source: str) -> list[str]:
    names: list[str] = []
    register_from(source, names.append)
    return names


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my_ops.py"
    path.write_text(HOOK)
    assert registered(str(path)) == ["mine"]


def test_a_file_may_define_dataclasses(tmp_path: Path) -> None:
    path = tmp_path / "my_ops.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Shape:\n    rows: int\n" + HOOK
    )
    assert registered(str(path)) == ["mine"]


def test_a_module_beside_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_registrations.py").write_text(HOOK)
    assert registered("my_registrations") == ["mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "registers no ops; define a function pytest_gradcheck_register(register) in it"),
        ("import nowhere_to_be_found\n", "cannot be loaded: ModuleNotFoundError"),
        ("1 +\n", "cannot be loaded: SyntaxError"),
        (
            "def pytest_gradcheck_register(): pass\n",
            "takes no argument 'register'; define it as pytest_gradch",
        ),
    ],
)
def test_a_file_that_does_not_register(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"broken\.py") as caught:
        registered(str(path))
    assert message in str(caught.value)
