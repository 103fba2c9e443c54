"""Decisions: calcfunctions of ours that AiiDA never takes from its cache.

AiiDA hashes the file of the wrapper alone, so a changed pure function behind it would return
stale results.
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
