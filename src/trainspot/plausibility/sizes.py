"""Impossible energies and stresses, and energies with two zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np

from trainspot.common.text import counted
from trainspot.common.units import EV_PER_A3_IN_GPA, HARTREE_IN_EV
from trainspot.data.dataset import CHUNK
from trainspot.plausibility.causes import ENERGIES, FORCES, STRESSES
from trainspot.plausibility.doubt import Doubt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset
    from trainspot.plausibility.slopes import Slope

    Floats = NDArray[np.float64]

LARGE_STRESS: Final = 1.0
"""eV/Å³, 160 GPa: few computations have larger stresses, but all stresses in kbar are larger."""

_LARGEST: Final = 5.0  # eV/Å³; even a few frames are not so compressed
_SOME: Final = 0.05  # share of the frames

_ABOVE: Final = 3.0  # eV/atom above isolated atoms; most frames must be lower
_ABOVE_UNPRESSED: Final = 10.0  # the same if the energy of compression is unknown
_MOST_SPENT: Final = 25.0  # eV/atom; about 1000 GPa
_BELOW: Final = -25.0  # eV/atom; tungsten and similar metals have the largest binding energy, 9
_OUTLIER: Final = 100.0  # eV/atom
_TWO_ZEROS: Final = 100.0  # eV/atom between frames of one composition
_BEYOND: Final = 1.15  # times all-electron energies; relativity lowers those of heavy atoms
_ALIKE: Final = 0.015  # largest error of the formula for all-electron energies of light atoms
_HEAVIEST: Final = 20  # atomic number up to which relativity is negligible for this
_TELLING: Final = 10.0  # Hartree/atom; smaller energies are not specific


@dataclass(frozen=True, eq=False)
class Sizes:
    """Energies and stresses of frames, NaN where there is none, (N,) each.

    Attributes:
        energy: Energy, eV/atom.
        above: Energy minus that of the isolated atoms at the same level of theory, eV/atom; for
            frames of more than one atom.
        spent: Largest possible energy of compression, from the stress, eV/atom.
        electrons: Ratio to the energy of all electrons in eV (formula: ``all_electron``).
        stress: Largest component, eV/Å³.
        light: Whether all atoms are at most as heavy as calcium, (N,).
        composition: Number of the composition and level of theory, (N,).
    """

    energy: Floats
    above: Floats
    spent: Floats
    electrons: Floats
    stress: Floats
    light: NDArray[np.bool_]
    composition: NDArray[np.int64]


def all_electron(numbers: NDArray[np.int64]) -> Floats:
    """Energies of free atoms with all electrons, Hartree, negative, (n,).

    Thomas–Fermi energies with the corrections of Scott and Schwinger; Phys. Rev. A 22, 1827 (1980).
    Accurate within 1 % from carbon to calcium; without relativity for heavier atoms.
    """
    z = numbers.astype(np.float64)
    energies: Floats = -0.768745 * z ** (7 / 3) + 0.5 * z**2 - 0.269900 * z ** (5 / 3)
    return energies


def measured(dataset: Dataset, atoms: Mapping[int, float] | None = None) -> Sizes:
    """The sizes of all labels, read piece by piece.

    Args:
        dataset: Any dataset.
        atoms: Energies of isolated atoms, eV; they replace those in the dataset.
    """
    references = {} if atoms is not None else energies_of_atoms(dataset)
    parts = [_part(chunk, references, atoms) for chunk in dataset.chunks(CHUNK)]
    keys = np.concatenate([np.zeros((0, 4)), *(part[1] for part in parts)])
    composition = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    columns = np.concatenate([np.zeros((0, 6)), *(part[0] for part in parts)]).T
    energy, above, spent, electrons, stress, heaviest = columns
    return Sizes(energy, above, spent, electrons, stress, heaviest <= _HEAVIEST, composition)


def energies_of_atoms(dataset: Dataset) -> dict[str, dict[int, float]]:
    """Lowest energy of the isolated atom, eV, by level of theory and atomic number."""
    references: dict[str, dict[int, float]] = {}
    for start in range(0, len(dataset), CHUNK):
        edges = np.asarray(dataset.columns["offsets"][start : min(start + CHUNK, len(dataset)) + 1])
        single = start + np.flatnonzero(np.diff(edges) == 1)
        if not len(single):
            continue
        chunk = dataset.take(single)
        for theory in np.unique(chunk.column("theory")).tolist():
            lowest = references.setdefault(theory.decode(), {})
            for number, energy in chunk.e0s(theory.decode()).items():
                lowest[number] = min(energy, lowest.get(number, energy))
    return references


def _part(
    chunk: Dataset, references: Mapping[str, Mapping[int, float]], atoms: Mapping[int, float] | None
) -> tuple[Floats, Floats]:
    """The columns of ``Sizes``, side by side, and a key of composition and level of theory."""
    sizes, starts = chunk.n_atoms, chunk.column("offsets")[:-1]
    numbers = chunk.column("numbers").astype(np.int64)
    theory = chunk.column("theory")
    energy = np.where(chunk.column("has_energy"), chunk.column("energy"), np.nan)
    apart = np.full(len(chunk), np.nan)
    for name in np.unique(theory).tolist():
        table = np.full(119, np.nan)
        for number, reference in (
            references.get(name.decode(), {}) if atoms is None else atoms
        ).items():
            table[number] = reference
        apart = np.where(theory == name, np.add.reduceat(table[numbers], starts), apart)
    stress = np.where(chunk.column("has_stress")[:, None, None], chunk.column("stress"), np.nan)
    volume = np.abs(np.linalg.det(chunk.column("cell"))) / sizes
    pressure = -np.trace(stress, axis1=1, axis2=2) / 3
    free = _ABOVE_UNPRESSED - _ABOVE
    spent = np.where(np.isnan(pressure), free, np.clip(1.5 * pressure * volume, 0.0, _MOST_SPENT))
    spent[~chunk.column("pbc").any(axis=1)] = 0.0
    means = [np.add.reduceat(numbers.astype(float) ** k, starts) / sizes for k in (1, 2, 3)]
    label = np.unique(theory, return_inverse=True)[1].reshape(-1)
    digest = np.array([crc32(name) for name in np.unique(theory).tolist()])[label]
    columns = (
        energy / sizes,
        np.where(sizes > 1, (energy - apart) / sizes, np.nan),
        spent,
        energy / (np.add.reduceat(all_electron(numbers), starts) * HARTREE_IN_EV),
        np.abs(stress).max(axis=(1, 2)),
        np.maximum.reduceat(numbers, starts),
    )
    return np.stack(columns, axis=1), np.round(np.stack([*means, digest], axis=1), 6)


def energies(sizes: Sizes) -> Iterator[Doubt]:
    """Doubts about energies: not in eV, or with different zeros."""
    if (doubt := _beyond_all_electrons(sizes)) or (doubt := _like_all_electrons(sizes)):
        yield doubt
        return
    above = sizes.above[~np.isnan(sizes.above)]
    if not len(above):
        yield from _two_zeros(sizes)
        return
    middle = float(np.median(above))
    least = above - sizes.spent[~np.isnan(sizes.above)]
    if np.quantile(least, 0.05) > _ABOVE:
        yield Doubt(
            "energy-above-atoms",
            f"{counted(len(above), 'frame')} lie {middle:+.4g} eV/atom above the isolated atoms "
            "(median), but bound matter lies below them: these atoms have another method or zero "
            "of energy; leave them out, compute them with the method of the frames, or give "
            "train.e0s",
        )
    elif middle < _BELOW:
        yield Doubt(
            "energy-below-atoms",
            f"{counted(len(above), 'frame')} lie {-middle:.4g} eV/atom below the isolated atoms "
            "(median), but no matter is bound by more than 10: a mixture of total and cohesive "
            "energies, or atoms with another method; leave them out, compute them with the method "
            "of the frames, or give train.e0s",
        )
    elif count := int((above > _OUTLIER).sum()):
        yield Doubt(
            "energy-above-atoms",
            f"{count} of {counted(len(above), 'frame')} lie more than {_OUTLIER:g} eV/atom above "
            f"the isolated atoms (up to {above.max():+.4g}): energies of two methods or zeros, or "
            "atoms on top of each other; leave them out, or name their --theory",
        )
    else:
        yield from _two_zeros(sizes)


def _beyond_all_electrons(sizes: Sizes) -> Doubt | None:
    """A doubt about energies larger than those of all electrons: another unit."""
    ratios = sizes.electrons[~np.isnan(sizes.electrons)]
    if not len(ratios) or np.quantile(ratios, 0.05) < _BEYOND:
        return None
    ratio, middle = float(np.median(ratios)), float(np.nanmedian(sizes.energy))
    near = [name for name in ("kcal/mol", "kJ/mol") if abs(ratio * ENERGIES[name] - 1) < 0.1]
    text = f"energies of {middle:.4g} eV/atom are {ratio:.3g} times those of all electrons"
    if not near:
        return Doubt("energy-unit", f"{text}: they are in another unit than eV")
    factor = ENERGIES[near[0]]
    return Doubt(
        "energy-unit",
        f"{text}: in {near[0]}? Then multiply them by {factor:.6g}, and forces in "
        f"{near[0]}/Å by the same",
        factor,
    )


def _like_all_electrons(sizes: Sizes) -> Doubt | None:
    """A doubt about energies equal to those of all electrons in Hartree or Rydberg."""
    usable = ~np.isnan(sizes.electrons) & sizes.light
    telling = np.abs(sizes.energy) > _TELLING
    ratios = sizes.electrons[usable & telling]
    if not len(ratios) or len(ratios) < 0.8 * (~np.isnan(sizes.energy)).sum():
        return None
    for name in ("Hartree", "Rydberg"):
        unit = ENERGIES[name]
        if np.all(np.abs(ratios * unit - 1) < 2 * _ALIKE) and (
            abs(float(np.median(ratios)) * unit - 1) < _ALIKE
        ):
            return Doubt(
                "energy-unit",
                f"energies of {np.median(sizes.energy[usable & telling]):.4g} eV/atom are those of "
                f"all electrons in {name}? Then multiply them by {unit:.6g}, and forces in "
                f"{name}/bohr by {FORCES[f'{name}/bohr']:.6g}",
                unit,
            )
    return None


def _two_zeros(sizes: Sizes) -> Iterator[Doubt]:
    """A doubt about frames of one composition with a large gap between their energies."""
    rows = np.flatnonzero(~np.isnan(sizes.energy))
    order = rows[np.lexsort((sizes.energy[rows], sizes.composition[rows]))]
    energy, kind = sizes.energy[order], sizes.composition[order]
    gaps = np.where(np.diff(kind) == 0, np.diff(energy), 0.0)
    if not len(gaps) or gaps.max() < _TWO_ZEROS:
        return
    place = int(gaps.argmax())
    same = np.flatnonzero(kind == kind[place])
    low, high = place + 1 - int(same[0]), int(same[-1]) - place
    if min(low, high) < max(2, 0.05 * len(same)):
        return
    yield Doubt(
        "energy-two-zeros",
        f"frames of one composition lie at {energy[place]:.4g} and at {energy[place + 1]:.4g} "
        f"eV/atom ({low} and {high} frames): a mixture of total and cohesive energies, or two "
        "methods; name the --theory of each",
    )


def stresses(sizes: Sizes, slope: Slope | None) -> Iterator[Doubt]:
    """A doubt about impossible stresses, unless the energies confirm them."""
    components = sizes.stress[~np.isnan(sizes.stress)]
    many = int((components > LARGE_STRESS).sum())
    if not many or (slope is not None and slope.is_significant):
        return  # the energies confirm them, or there is another doubt about them
    largest = float(components.max())
    if many < _SOME * len(components) and largest < _LARGEST:
        return
    against = (
        "; the energies of similar frames change far less with strain"
        if slope is not None and slope.excludes
        else ""
    )
    yield Doubt(
        "stress-unit",
        f"stresses reach {largest:.4g} eV/Å³, {largest * EV_PER_A3_IN_GPA:.0f} GPa "
        f"(beyond {LARGE_STRESS:g} eV/Å³ in {many} of {counted(len(components), 'frame')})"
        f"{against}: in kbar (multiply them by {STRESSES['kbar']:.6g}) or in GPa (by "
        f"{STRESSES['GPa']:.6g})? With the sign of VASP also by -1",
    )
