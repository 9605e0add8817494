"""Numerical-stability harness for torch: values and gradients against the exact result, in ULP."""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
