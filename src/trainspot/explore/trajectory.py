"""A trajectory file of explored frames with energy, forces and momenta, for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ase.io
from ase.calculators.singlepoint import SinglePointCalculator

from trainspot.common.atomic_write import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms

    from trainspot.data.frames import Frame


def snapshot(frame: Frame, atoms: Atoms) -> Atoms:
    """A kept frame with the momenta of the live atoms and the prediction of the model."""
    copy = frame.to_atoms()
    copy.set_momenta(atoms.get_momenta())
    results = {
        name: atoms.calc.results[name]
        for name in ("energy", "forces", "stress")
        if name in atoms.calc.results
    }
    copy.calc = SinglePointCalculator(copy, **results)
    origin = frame.origin
    copy.info = {
        "frame_id": frame.id,
        "strategy": origin.strategy,
        "parent": origin.parent,
        "seed": origin.seed,
        "trajectory": origin.trajectory,
        **origin.parameters,
    }
    return copy


def write(snapshots: Sequence[Atoms], path: Path) -> None:
    """Write snapshots as extended XYZ (ase names: energy, forces, momenta), atomically."""
    with replacing(path) as scratch:
        ase.io.write(scratch, list(snapshots), format="extxyz")
