"""Saying what cannot be in eV and Å: one line each on stderr, and a list for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from ase.data import atomic_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.dataset import Dataset


def tell(dataset: Dataset, e0s: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """Say what is to be doubted in labels and distances; returns the same as JSON values.

    Args:
        dataset: Any.
        e0s: Energies of isolated atoms by symbol, eV, that count instead of those in the dataset.
    """
    from trainspot.plausibility import doubts

    atoms = None if e0s is None else {atomic_numbers.get(s, 0): e for s, e in e0s.items()}
    found = doubts(dataset, atoms=atoms)
    for doubt in found:
        click.echo(f"warning: {doubt.text}", err=True)
    return [doubt.to_dict() for doubt in found]
