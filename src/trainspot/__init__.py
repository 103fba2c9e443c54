"""Active-learning campaigns for neural-network interatomic potentials: the science.

This package never imports AiiDA; ``aiida_trainspot`` is the shell that adds provenance,
restart and remote computers around it.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainspot.models.calculator import calculator

__version__ = version("trainspot")
__all__ = ["__version__", "calculator"]


def __getattr__(name: str) -> Any:
    """``trainspot.calculator``, loaded when asked for so that importing trainspot stays cheap."""
    if name == "calculator":
        from trainspot.models.calculator import calculator

        return calculator
    raise AttributeError(f"module 'trainspot' has no attribute '{name}'")
