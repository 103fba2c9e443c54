"""Labels are consistent: forces and stress are the derivatives of the energy."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.label.ase import AseLabelEngine, AseSettings

STEP = 1e-4  # Å, and strain

CASES = [
    ("emt", {}, bulk("Cu", cubic=True)),
    ("tersoff", {}, bulk("SiC", "zincblende", a=4.36, cubic=True)),
    ("tblite", {"method": "GFN1-xTB", "accuracy": 0.01}, bulk("C", cubic=True)),
]


def energies(structures, settings) -> np.ndarray:
    frames = Dataset.from_frames(Frame.from_atoms(atoms) for atoms in structures)
    result = AseLabelEngine().label(frames, settings)
    assert len(result.failures) == 0
    return result.labelled.column("energy")


@pytest.mark.parametrize(("name", "parameters", "crystal"), CASES, ids=[c[0] for c in CASES])
def test_forces_and_stress_are_derivatives_of_the_energy(name, parameters, crystal):
    settings = AseSettings(calculator=name, parameters=parameters)
    atoms = crystal.copy()
    atoms.rattle(0.08, seed=3)
    atoms.set_cell(atoms.cell @ np.array([[1.03, 0, 0], [0.02, 0.98, 0], [0, 0.01, 1.01]]), True)
    frame = Frame.from_atoms(atoms)
    labels = AseLabelEngine().label(Dataset.from_frames([frame]), settings).labelled[0].labels

    moved = []
    for sign in (1, -1):
        for axis in range(3):
            copy = frame.to_atoms()
            copy.positions[2, axis] += sign * STEP
            moved.append(copy)
    plus, minus = energies(moved, settings).reshape(2, 3)
    assert np.abs(labels.forces[2]).max() > 0.05
    np.testing.assert_allclose(labels.forces[2], -(plus - minus) / (2 * STEP), atol=2e-4)

    strained = []
    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    for sign in (1, -1):
        for i, j in pairs:
            strain = np.eye(3)
            strain[i, j] += sign * STEP / 2
            strain[j, i] += sign * STEP / 2
            copy = frame.to_atoms()
            copy.set_cell(copy.cell @ strain, scale_atoms=True)
            strained.append(copy)
    plus, minus = energies(strained, settings).reshape(2, 6)
    numerical = (plus - minus) / (2 * STEP) / frame.to_atoms().get_volume()
    analytic = [labels.stress[i, j] for i, j in pairs]
    assert np.abs(analytic).max() > 1e-3
    np.testing.assert_allclose(analytic, numerical, atol=2e-5)


@pytest.mark.parametrize(
    ("crystal", "lattice", "energy"),
    [
        (bulk("Si", "diamond", a=5.432), 5.432, -4.63),
        (bulk("C", "diamond", a=3.566), 3.566, -7.37),
        (bulk("SiC", "zincblende", a=4.321), 4.321, -6.16),
    ],
    ids=["Si", "C", "SiC"],
)
def test_tersoff_has_the_published_crystals(crystal, lattice, energy):
    """Tersoff, Phys. Rev. B 39, 5566 (1989): lattice constants (Å), cohesive energies (eV)."""
    settings = AseSettings(calculator="tersoff")
    scales = (0.999, 1.0, 1.001)
    found = energies(
        [bulk_scaled(crystal, scale) for scale in scales],
        settings,
    )
    assert found[1] / 2 == pytest.approx(energy, abs=0.01)
    curvature = found[0] - 2 * found[1] + found[2]
    minimum = 1.0 + 1e-3 * (found[0] - found[2]) / (2 * curvature)
    assert minimum * lattice == pytest.approx(lattice, abs=0.002)


def bulk_scaled(crystal, scale):
    copy = crystal.copy()
    copy.set_cell(copy.cell * scale, scale_atoms=True)
    return copy
