"""Active-learning campaigns for neural-network interatomic potentials: the science.

This package never imports AiiDA; ``aiida_trainspot`` is the shell that adds provenance,
restart and remote computers around it.

What most scripts need is here: ``Frame``, ``Labels`` and ``Dataset``, ``read`` and ``write`` for
files, and ``calculator`` for the folder that ``trainspot export`` wrote.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame, Labels
    from trainspot.io import read, write
    from trainspot.models.calculator import calculator

__version__ = version("trainspot")
__all__ = ["Dataset", "Frame", "Labels", "__version__", "calculator", "read", "write"]

_HOMES: Final = {
    "Dataset": "trainspot.data.dataset",
    "Frame": "trainspot.data.frames",
    "Labels": "trainspot.data.frames",
    "calculator": "trainspot.models.calculator",
    "read": "trainspot.io",
    "write": "trainspot.io",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for, so that importing trainspot stays cheap."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'trainspot' has no attribute '{name}'")


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted(__all__)
