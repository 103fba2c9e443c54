"""Make ``frames.extxyz``: 240 labelled frames of copper, in place of a dataset of your own.

Crystals are rattled and strained, some have a vacancy or a surface. The labels come from the
effective-medium potential of ASE: energies and forces in a second. Run it as
``python make_pool.py [FILE]``.
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc100, fcc111
from ase.calculators.emt import EMT
from ase.io import write

COPIES = 60  # of each kind of frame


def main(file: Path) -> None:
    """Write the frames."""
    rng = np.random.default_rng(7)
    write(file, [labelled(atoms) for atoms in frames(rng)], format="extxyz")


def frames(rng: np.random.Generator) -> list[Atoms]:
    """The structures, each with the strategy that made it."""
    crystal = bulk("Cu", cubic=True) * (2, 2, 1)
    with_vacancy = crystal.copy()
    del with_vacancy[0]
    slabs = [fcc100("Cu", (2, 2, 4), vacuum=6.0), fcc111("Cu", (2, 2, 4), vacuum=6.0)]
    made = []
    for number in range(COPIES):
        made += [
            changed(crystal, 0.08, 0.02, "rattle", rng),
            changed(crystal, 0.04, 0.06, "strain", rng),
            changed(with_vacancy, 0.10, 0.02, "vacancies", rng),
            changed(slabs[number % 2], 0.08, 0.0, "slab", rng),
        ]
    return made


def changed(
    atoms: Atoms, displacement: float, strain: float, strategy: str, rng: np.random.Generator
) -> Atoms:
    """A copy with random displacements (Å) and a random change of all lengths (up to strain)."""
    copy = atoms.copy()
    copy.pbc = [True, True, strategy != "slab"]
    copy.set_cell(copy.cell * (1 + strain * rng.uniform(-1, 1)), scale_atoms=True)
    copy.positions += rng.normal(0, displacement, (len(copy), 3))
    copy.info = {"strategy": strategy}
    return copy


def labelled(atoms: Atoms) -> Atoms:
    """The frame with its reference energy and forces, named as every label is."""
    atoms.calc = EMT()
    frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    frame.info = {**atoms.info, "theory": "emt", "REF_energy": atoms.get_potential_energy()}
    if atoms.pbc.all():
        frame.info["REF_stress"] = atoms.get_stress(voigt=False)
    frame.arrays["REF_forces"] = atoms.get_forces()
    return frame


if __name__ == "__main__":
    main(Path(*sys.argv[1:2] or ["frames.extxyz"]))
