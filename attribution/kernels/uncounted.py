"""Compiling kernels that make no arrays and give none back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from numba import njit


def uncounted(*, inline: Literal["never", "always"] = "never") -> Callable[[Callable[..., Any]], Any]:
    """Compile without counting references to arrays, which for many short calls takes longer than what they do.

    Whoever calls the kernel holds the arrays meanwhile. No divisor may be 0.
    """
    compiled: Any = njit
    result: Callable[[Callable[..., Any]], Any] = compiled(
        cache=True, nogil=True, error_model="numpy", inline=inline, _nrt=False
    )
    return result
