"""Putting results together into the document, with the environment that they were computed in."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from gradcheck_suite import __version__
from gradcheck_suite.engine.cases import Case
from gradcheck_suite.engine.fingerprint import fingerprint
from gradcheck_suite.options import Settings
from gradcheck_suite.results import Document, OpInfo, Result


def environment(settings: Settings) -> dict[str, Any]:
    """What results depend on: torch, device, platform, the threshold in ULP, and the key of baselines."""
    capability = torch.backends.cpu.get_cpu_capability()
    version = torch.__version__.split("+")[0]
    short = ".".join(version.split(".")[:2])
    system = f"{platform.system().lower()}-{platform.machine()}"
    return {
        "torch": torch.__version__,
        "device": settings.device,
        "cpu_capability": capability,
        "platform": platform.platform(terse=True),
        "threads": torch.get_num_threads(),
        "flush_denormal": _flushes_denormals(),
        "onednn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
        "bf16": _has("avx512_bf16"),
        "amx": _has("amx_tile"),
        "arithmetic": fingerprint(settings.device),
        "max_ulp": settings.max_ulp,
        "key": f"torch{short}-{settings.device}-{capability.lower().replace(' ', '')}-{system}",
    }


def _has(feature: str) -> bool:
    """Whether the processor computes in that way, which oneDNN then does; False where torch does not tell."""
    told = getattr(torch.cpu, f"_is_{feature}_supported", None)
    return bool(told()) if told is not None else False


def _flushes_denormals() -> bool:
    """Whether this process flushes subnormals to 0, found by computing one."""
    return bool((torch.tensor(1e-300, dtype=torch.float64) * 1e-10).item() == 0.0)


def op_infos(cases: Iterable[Case]) -> tuple[OpInfo, ...]:
    """What reports say about each op of the cases, once each."""
    infos: dict[str, OpInfo] = {}
    for case in cases:
        op = case.op
        if op.name not in infos:
            infos[op.name] = OpInfo(
                name=op.name,
                callable=op.callable_name,
                family=op.family,
                tier=op.tier,
                definition=op.definition,
                stable_form=op.stable_form,
                file=op.source.file if op.source and op.custom else None,
                line=op.source.line if op.source and op.custom else None,
                custom=op.custom,
            )
    return tuple(infos.values())


def document(
    cases: Sequence[Case], results: Sequence[Result], settings: Settings, *, complete: bool = True
) -> Document:
    """The results document of a run."""
    return Document(
        tool={
            "version": __version__,
            "mpmath": _version("mpmath"),
            "python_flint": _version("python-flint"),
        },
        environment=environment(settings),
        ops=op_infos(cases),
        results=tuple(_drawn(results)),
        complete=complete,
    )


def _drawn(results: Iterable[Result]) -> Iterator[Result]:
    """The results, pictures only of each op's first variant and of what has a finding above `info`."""
    first: dict[str, Any] = {}
    for result in results:
        usual = first.setdefault(result.op, result.variant) == result.variant
        if usual or any(f.severity != "info" for f in result.findings):
            yield result
        else:
            yield dataclasses.replace(result, curve=None, other_curves=(), grid=None)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
