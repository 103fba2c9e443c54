"""Decisions: our calcfunctions, which AiiDA never takes from its cache.

AiiDA hashes only the file of the wrapper. After a change in the pure function that it calls, the
cache would return old results.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from aiida.engine import calcfunction


def decision(function: Callable[..., Any]) -> Callable[..., Any]:
    """A calcfunction that is computed every time."""
    process = calcfunction(function)

    @functools.wraps(process)
    def computed(*args: Any, **kwargs: Any) -> Any:
        kwargs["metadata"] = {"disable_cache": True, **kwargs.get("metadata", {})}
        return process(*args, **kwargs)

    return computed
