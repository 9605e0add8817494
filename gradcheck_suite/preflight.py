"""What must hold before work starts: a torch that is new enough, and places that can be written."""

from __future__ import annotations

import importlib.metadata
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gradcheck_suite.errors import UsageError

if TYPE_CHECKING:
    from gradcheck_suite.options import Settings

OLDEST_TORCH: Final = (2, 6)
_REMEDY: Final = "install it with: pip install 'torch>={}.{}'".format(*OLDEST_TORCH)


def require_torch() -> None:
    """Import torch. Raises UsageError where it is missing, broken or older than OLDEST_TORCH."""
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name == "torch":
            raise UsageError(f"torch is not installed; {_REMEDY}") from None
        raise UsageError(f"torch cannot be imported ({error}); reinstall it") from error
    except (ImportError, OSError) as error:
        raise UsageError(f"torch cannot be imported ({str(error).splitlines()[0]}); reinstall it") from error
    version = getattr(torch, "__version__", None) or _installed_version()
    if _release(version) < OLDEST_TORCH:
        raise UsageError(f"torch {version} is too old; {_REMEDY}")


def require_device(settings: Settings) -> None:
    """Raises UsageError for a device whose kind torch does not know; one that is only missing here skips cases."""
    import torch

    try:
        torch.device(settings.device)
    except RuntimeError:
        raise UsageError(
            f"unknown device {settings.device!r}; write cpu, cuda or cuda:0, for instance"
        ) from None


def pin_threads() -> None:
    """Let torch use one thread: their number changes which elements of a tensor take the vector path."""
    import torch

    torch.set_num_threads(1)


def _installed_version() -> str:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _release(version: str) -> tuple[int, ...]:
    # "2.13.0+cpu", "2.14.0a0+git1234": the first two numbers decide.
    return tuple(int("".join(c for c in part if c.isdigit()) or "0") for part in str(version).split(".")[:2])


def require_writable(settings: Settings) -> None:
    """Make the folders that a run writes into. Raises UsageError naming the one that cannot be written."""
    if settings.report is not None:
        require_folder(Path(settings.report), f"the report folder {settings.report}")
    if settings.json is not None:
        if Path(settings.json).is_dir():
            raise UsageError(f"{settings.json} is a folder; name a file for the results document")
        require_folder(Path(settings.json).parent, f"the folder of {settings.json}")


def require_folder(folder: Path, what: str) -> None:
    """Make the folder, which an error calls `what`. Raises UsageError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Only writing shows whether a folder can be written: a mode says little to root, or on a read-only
        # mount.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{what} cannot be written ({reason}); choose another place") from error
