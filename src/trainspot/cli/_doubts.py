"""Warnings about labels and distances that look wrong, on stderr and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainspot.cli import _messages
from trainspot.common.elements import by_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.dataset import Dataset


def tell(dataset: Dataset, e0s: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """Warn of labels and distances that look wrong, such as other units; returns them for JSON.

    Args:
        dataset: Any.
        e0s: Energies of isolated atoms by symbol, eV; they replace those of the dataset.
    """
    from trainspot.plausibility import doubts

    listed = doubts(dataset, atoms=None if e0s is None else by_number(e0s))
    for doubt in listed:
        _messages.warning(doubt.text)
    return [doubt.to_dict() for doubt in listed]
