"""The frames of the study of trust: four systems, six motifs each, from one seed.

The first two motifs are what every committee knows (bulk, or the molecules of the training set),
the third is known to some, the last three to none. Positions are rounded to 1e-4 Å, so that the
labelled frames are small in a file.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from ase import Atoms
from ase.build import (
    bcc100,
    bcc110,
    bcc111,
    bulk,
    fcc100,
    fcc110,
    fcc111,
    molecule,
    surface,
)
from ase.spacegroup import crystal

from trainspot.common.seeds import generator

SEED: Final = 2027
DECIMALS: Final = 4
COUNTS: Final = (40, 36, 22, 24, 24, 20)
"""Frames of each motif, in the order of ``MOTIFS``."""
MOTIFS: Final = {
    "aluminium": ("rattled", "strained", "vacancies", "surfaces", "phases", "far"),
    "molybdenum": ("rattled", "strained", "vacancies", "surfaces", "phases", "far"),
    "titania": ("rattled", "strained", "vacancies", "surfaces", "phases", "far"),
    "molecules": ("rattled", "strained", "dimers", "carbonyls", "unsaturated", "far"),
}
KNOWN_MOLECULES: Final = ("CH4", "C2H6", "C3H8", "CH3OH", "CH3CH2OH", "CH3OCH3", "H2O")
CARBONYLS: Final = ("H2CO", "CH3CHO", "HCOOH", "H2CCO", "CH3COCH3", "HCOOCH3", "CO2")
UNSATURATED: Final = (
    "C2H4",
    "C2H2",
    "C6H6",
    "C3H4_C2v",
    "C3H6_D3h",
    "butadiene",
    "C4H4O",
    "CH2OCH2",
)

_VACUUM: Final = 6.0  # Å on each side of a slab
_PLANES: Final = ((1, 1, 0), (1, 0, 0), (1, 0, 1))  # of titania
_SLABS: Final = {
    "aluminium": (fcc111, fcc100, fcc110),
    "molybdenum": (bcc110, bcc100, bcc111),
}
_RATTLE: Final = {"aluminium": 0.2, "molybdenum": 0.2, "titania": 0.14, "molecules": 0.08}
"""Largest standard deviation of a displacement, Å."""


# ── crystals ──────────────────────────────────────────────────────────────────
def _rutile() -> Atoms:
    basis = [(0, 0, 0), (0.305, 0.305, 0)]
    return crystal(("Ti", "O"), basis, spacegroup=136, cellpar=[4.62, 4.62, 2.97, 90, 90, 90])


def _layered() -> Atoms:
    """One formula unit of the CdI2 structure, layers of octahedra."""
    cell = [2.98, 2.98, 4.9, 90, 90, 120]
    return crystal(("Ti", "O"), [(0, 0, 0), (1 / 3, 2 / 3, 0.2)], spacegroup=164, cellpar=cell)


def _anatase() -> Atoms:
    basis = [(0, 0, 0), (0, 0, 0.208)]
    return crystal(("Ti", "O"), basis, spacegroup=141, cellpar=[3.8, 3.8, 9.6, 90, 90, 90])


def _fluorite() -> Atoms:
    basis = [(0, 0, 0), (0.25, 0.25, 0.25)]
    return crystal(("Ti", "O"), basis, spacegroup=225, cellpar=[4.85, 4.85, 4.85, 90, 90, 90])


def _a15() -> Atoms:
    return crystal(("Mo", "Mo"), [(0, 0, 0), (0.25, 0, 0.5)], spacegroup=223,
                   cellpar=[5.05, 5.05, 5.05, 90, 90, 90])  # fmt: skip


def _conventional(system: str) -> Atoms:
    """The conventional cell of the bulk."""
    if system == "titania":
        return _rutile()
    if system == "aluminium":
        return bulk("Al", "fcc", a=4.05, cubic=True)
    return bulk("Mo", "bcc", a=3.16, cubic=True)


def _phases(system: str) -> list[Atoms]:
    """Other structures of the composition, near their own density."""
    if system == "titania":
        return [_anatase(), _fluorite(), _layered() * (2, 2, 1)]
    if system == "aluminium":
        return [
            bulk("Al", "bcc", a=3.24, cubic=True) * (2, 1, 1),
            bulk("Al", "hcp", a=2.86, c=4.7) * (2, 1, 1),
            bulk("Al", "sc", a=2.73) * (2, 2, 1),
        ]
    return [
        bulk("Mo", "fcc", a=4.0, cubic=True),
        bulk("Mo", "hcp", a=2.8, c=4.75) * (2, 1, 1),
        _a15(),
    ]


def _crystal_cell(system: str) -> Atoms:
    """The cell of rattled and strained frames: 4 to 8 atoms."""
    repeats = {"aluminium": (1, 1, 1), "molybdenum": (2, 2, 1), "titania": (1, 1, 1)}
    return _conventional(system) * repeats[system]


def _rattled(atoms: Atoms, sigma: float, rng: np.random.Generator) -> Atoms:
    moved = atoms.copy()
    moved.positions += rng.normal(scale=sigma, size=(len(moved), 3))
    return moved


def _deformed(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """A symmetric strain (3, 3) of cell and positions."""
    moved = atoms.copy()
    moved.set_cell(moved.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    return moved


def _random_strain(size: float, volume: float, rng: np.random.Generator) -> np.ndarray:
    """Components uniform in ± size, and a change of all lengths uniform in ± volume."""
    components = rng.uniform(-size, size, size=(3, 3))
    return (components + components.T) / 2 + rng.uniform(-volume, volume) * np.eye(3)


def _bulk_frame(system: str, motif: str, number: int, rng: np.random.Generator) -> Atoms:
    most = _RATTLE[system]
    cell = _crystal_cell(system)
    if motif == "rattled":
        return _rattled(cell, rng.uniform(0.02, most), rng)
    if motif == "strained":
        return _rattled(_deformed(cell, _random_strain(0.06, 0.05, rng)), 0.04, rng)
    if motif == "far":
        sign = (-1, 1)[number % 2]
        strain = np.diag(sign * rng.uniform(0.07, 0.13, size=3) * rng.permutation([1, 1, 0.3]))
        return _rattled(_deformed(cell, strain), rng.uniform(0.03, 0.1), rng)
    if motif == "phases":
        phases = _phases(system)
        phase = _deformed(phases[number % len(phases)], _random_strain(0.02, 0.03, rng))
        return _rattled(phase, rng.uniform(0.03, 0.7 * most), rng)
    return _defect_frame(system, motif, number, rng)


def _defect_frame(system: str, motif: str, number: int, rng: np.random.Generator) -> Atoms:
    sigma = rng.uniform(0.02, 0.7 * _RATTLE[system])
    if motif == "vacancies":
        repeats = {"aluminium": (2, 1, 1), "molybdenum": (2, 2, 2), "titania": (1, 1, 2)}
        cell = _conventional(system) * repeats[system]
        sites = np.flatnonzero(cell.numbers == (8 if system == "titania" else cell.numbers[0]))
        del cell[int(rng.choice(sites))]
        return _rattled(cell, sigma, rng)
    slab = _slab(system, number)
    slab.pbc = (True, True, False)
    return _rattled(slab, sigma, rng)


def _slab(system: str, number: int) -> Atoms:
    """A slab with another plane and another thickness for each number."""
    if system == "titania":
        plane = _PLANES[number % len(_PLANES)]
        return surface(_rutile(), plane, 2, vacuum=_VACUUM)
    makers = _SLABS[system]
    layers = 4 + (number // len(makers)) % 3
    size = (1 if system == "aluminium" else 2, 1, layers)
    return makers[number % len(makers)]({"aluminium": "Al", "molybdenum": "Mo"}[system], size,
                                        vacuum=_VACUUM)  # fmt: skip


# ── molecules ─────────────────────────────────────────────────────────────────
def _molecule_frame(motif: str, number: int, rng: np.random.Generator) -> Atoms:
    names = {"carbonyls": CARBONYLS, "unsaturated": UNSATURATED}.get(motif, KNOWN_MOLECULES)
    base = molecule(names[number % len(names)])
    sigma = rng.uniform(0.02, _RATTLE["molecules"])
    if motif == "strained":
        base.positions *= rng.uniform(0.93, 1.1)
        sigma = 0.03
    elif motif == "dimers":
        base, sigma = _dimer(base, molecule(str(rng.choice(names))), rng), 0.03
    elif motif == "far":
        base, sigma = _stretched(base, rng), 0.03
    return _rattled(base, sigma, rng)


def _turned(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """A random orientation about the centre, uniform on the sphere."""
    turned = atoms.copy()
    turned.positions -= turned.positions.mean(axis=0)
    matrix, triangle = np.linalg.qr(rng.normal(size=(3, 3)))
    turned.positions @= matrix * np.sign(np.diag(triangle))
    return turned


def _dimer(first: Atoms, second: Atoms, rng: np.random.Generator) -> Atoms:
    """Two molecules, 1.7 to 2.8 Å between their nearest atoms."""
    first, second = _turned(first, rng), _turned(second, rng)
    wanted = rng.uniform(1.7, 2.8)
    for shift in np.arange(0.0, 15.0, 0.02):
        moved = second.positions + np.array([shift, 0.0, 0.0])
        apart = np.linalg.norm(first.positions[:, None] - moved[None], axis=-1)
        if apart.min() >= wanted and shift > 1.0:
            second.positions = moved
            break
    return first + second


def _stretched(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """One bond to a hydrogen, 1.3 to 1.9 times as long."""
    moved = atoms.copy()
    hydrogen = int(rng.choice(np.flatnonzero(moved.numbers == 1)))
    distances = np.linalg.norm(moved.positions - moved.positions[hydrogen], axis=1)
    distances[hydrogen] = np.inf
    partner = int(distances.argmin())
    bond = moved.positions[hydrogen] - moved.positions[partner]
    moved.positions[hydrogen] = moved.positions[partner] + rng.uniform(1.3, 1.9) * bond
    return moved


# ── all ───────────────────────────────────────────────────────────────────────
def frames(system: str) -> list[Atoms]:
    """All frames of a system, with ``info["motif"]``."""
    made = []
    for motif, count in zip(MOTIFS[system], COUNTS, strict=True):
        for number in range(count):
            rng = generator(SEED, "trust", system, motif, number)
            if system == "molecules":
                atoms = _molecule_frame(motif, number, rng)
            else:
                atoms = _bulk_frame(system, motif, number, rng)
            atoms.positions = np.round(atoms.positions, DECIMALS)
            atoms.set_cell(np.round(atoms.cell[:], DECIMALS), scale_atoms=False)
            plain = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
            plain.info = {"motif": motif}
            made.append(plain)
    return made
