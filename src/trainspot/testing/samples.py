"""Default frames, labels and model of the contract tests."""

from __future__ import annotations

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Split
from trainspot.models.toy import ToyPotential
from trainspot.train.toy import ToySettings, fit

THEORY = "emt"
_SETS: tuple[Split, ...] = ("train",) * 8 + ("validation",) * 2 + ("test",) * 2
_SEED = 7


def tiny_dataset() -> Dataset:
    """Fourteen frames with labels of ASE's EMT, in all three splits.

    Twelve cells of four atoms, Al₃Cu with displaced atoms, and an isolated atom of each element.
    """
    rng = np.random.default_rng(_SEED)
    frames = []
    for split in _SETS:
        atoms = bulk("Al", a=3.95, cubic=True)
        atoms.symbols[0] = "Cu"
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.uniform(-0.03, 0.03, (3, 3))), True)
        atoms.positions += rng.normal(0.0, 0.1, (4, 3))
        frames.append(labelled(Frame.from_atoms(atoms), split))
    atoms = [Frame.make([number], [[0.0, 0.0, 0.0]]) for number in (13, 29)]
    return Dataset.from_frames([*frames, *(labelled(atom, "train") for atom in atoms)])


def labelled(frame: Frame, split: Split | None = None) -> Frame:
    """A frame of Al and Cu with labels of ASE's EMT."""
    atoms = frame.to_atoms()
    atoms.calc = EMT()
    stress = atoms.get_stress(voigt=False) if frame.pbc.all() else None
    labels = Labels(atoms.get_potential_energy(), atoms.get_forces(), stress, THEORY)
    return frame.with_(labels=labels, split=split)


def few_frames(dataset: Dataset) -> list[Frame]:
    """A crystal of the dataset, a slab and a molecule made from it; all without labels."""
    crystal = next(frame for frame in dataset if frame.pbc.all())
    crystal = Frame.make(crystal.numbers, crystal.positions, crystal.cell, crystal.pbc)
    slab = Frame.make(
        crystal.numbers, crystal.positions, crystal.cell * [[1], [1], [3]], (True, True, False)
    )
    return [crystal, slab, Frame.make(crystal.numbers, crystal.positions)]


def tiny_model() -> ToyPotential:
    """A toy potential trained on ``tiny_dataset``."""
    return fit(tiny_dataset(), ToySettings(), 1)[0]
