"""Contract tests of the seams, for our own implementations and for those of third parties.

Call them in the tests of your package: ``check_trainer``, ``check_label_engine`` and
``check_explorer`` take the registered name of an engine or its class and run the engine;
``check_potential`` and ``check_model_file`` test a kind of models, ``check_strategy``,
``check_calibration`` and ``check_selection`` the implementations of the other seams, and
``check_workchain_ports`` the work chain in AiiDA. An ``AssertionError`` names the implementation
and its fault.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trainspot.common.errors import MissingExtraError
from trainspot.testing.augmentation import check_strategy
from trainspot.testing.calibration import check_calibration
from trainspot.testing.explorer import check_explorer
from trainspot.testing.label_engine import check_label_engine
from trainspot.testing.model_files import check_model_file
from trainspot.testing.potential import check_potential
from trainspot.testing.samples import tiny_dataset, tiny_model
from trainspot.testing.selection import check_selection
from trainspot.testing.trainer import check_trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    check_workchain_ports: Callable[[str, str], None]

__all__ = [
    "check_calibration",
    "check_explorer",
    "check_label_engine",
    "check_model_file",
    "check_potential",
    "check_selection",
    "check_strategy",
    "check_trainer",
    "check_workchain_ports",
    "tiny_dataset",
    "tiny_model",
]


def __getattr__(name: str) -> Any:
    """``check_workchain_ports`` of ``aiida_trainspot``, which needs AiiDA.

    Raises:
        MissingExtraError: AiiDA is not installed.
    """
    if name != "check_workchain_ports":
        raise AttributeError(f"module 'trainspot.testing' has no attribute '{name}'")
    try:
        return import_module("aiida_trainspot.testing").check_workchain_ports
    except ModuleNotFoundError as error:
        raise MissingExtraError("AiiDA", "aiida") from error
