"""Impossible distances: bohr or nm instead of Å, and duplicate atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from trainspot.common.text import counted
from trainspot.common.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from trainspot.geometry import Contact, Pairs, pairs_within
from trainspot.plausibility.doubt import Doubt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame

MAX_FRAMES: Final = 300
"""The most frames whose distances are measured."""

TWICE: Final = 0.3
"""Å; closer atoms are duplicates, or have wrong coordinates."""

MORE_DIGITS: Final = (
    "a CIF file with rounded coordinates needs more digits, 1/3 and 2/3 as 0.33333333 and "
    "0.66666667"
)

_MAX_ATOMS: Final = 20_000  # in all frames that are measured
_REACH: Final = 6.0  # Å
_LONG: Final = (1.5, 2.4)  # too long bonds, in sums of covalent radii; true bonds have 1
_SHORT: Final = 0.62  # too short bonds, likewise
_SAME: Final = 0.04  # duplicate atoms, likewise
_NM: Final = 0.25  # lengths in nm, likewise
_NOBLE: Final = frozenset({2, 10, 18, 36, 54, 86})  # noble gases have no bonds


@dataclass(frozen=True)
class _Measure:
    """The closest pair of a frame; lengths in Å and in sums of covalent radii."""

    contact: Contact
    symbols: str
    closest: float
    typical: float
    shortest: float


def distances(dataset: Dataset, energy: float | None, rng: np.random.Generator) -> Iterator[Doubt]:
    """Doubts from the distances in a sample of frames.

    Args:
        dataset: Any dataset.
        energy: Median energy, eV/atom, if there is one.
        rng: Generator for the sample.
    """
    rows = _drawn(dataset, rng)
    measures = [
        (int(row), frame, measure)
        for row, frame in zip(rows.tolist(), dataset.take(rows), strict=True)
        if (measure := _measure(frame))
    ]
    if not measures:
        return
    closest = np.array([measure.closest for _, _, measure in measures])
    typical = np.array([measure.typical for _, _, measure in measures])
    shortest = np.array([measure.shortest for _, _, measure in measures])
    if np.quantile(closest, 0.05) > _LONG[0] and np.median(closest) < _LONG[1]:
        yield _bohr(
            min((measure for _, _, measure in measures), key=lambda measure: measure.shortest),
            energy,
        )
    elif np.quantile(typical, 0.95) < _SHORT and np.median(typical) > _SAME:
        yield _short(float(np.median(typical)))
    elif twice := int((shortest < TWICE).sum()):
        row, frame, measure = measures[int(shortest.argmin())]
        yield _overlap(row, frame, measure.contact, twice, len(measures))


def _drawn(dataset: Dataset, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of frames with several atoms, in order; a sample of many or large frames."""
    sizes = dataset.n_atoms
    rows = np.flatnonzero(sizes > 1)
    if len(rows) > MAX_FRAMES:
        rows = rng.choice(rows, MAX_FRAMES, replace=False)
    few = np.cumsum(sizes[rows]) <= _MAX_ATOMS
    few[:1] = True
    return np.sort(rows[few])


def _measure(frame: Frame) -> _Measure | None:
    pairs = pairs_within(frame, _REACH)
    noble = np.isin(frame.numbers, [*_NOBLE])
    bonded = ~(noble[pairs.first] | noble[pairs.second])
    if not bonded.any():
        return None
    pairs = Pairs(
        pairs.first[bonded], pairs.second[bonded], pairs.vectors[bonded], pairs.distances[bonded]
    )
    radii = covalent_radii[frame.numbers]
    ratios = pairs.distances / (radii[pairs.first] + radii[pairs.second])
    nearest = np.full(len(frame), np.inf)
    np.minimum.at(nearest, pairs.first, ratios)
    np.minimum.at(nearest, pairs.second, ratios)
    worst = int(pairs.distances.argmin())
    first, second = int(pairs.first[worst]), int(pairs.second[worst])
    contact = Contact(first, second, float(pairs.distances[worst]))
    names = sorted(chemical_symbols[z] for z in frame.numbers[[first, second]])
    near = nearest[np.isfinite(nearest)]
    return _Measure(
        contact, "–".join(names), float(ratios.min()), float(np.median(near)), contact.distance
    )


def _bohr(measure: _Measure, energy: float | None) -> Doubt:
    size = "" if energy is None else f" of {energy:.3g} eV/atom"
    return Doubt(
        "length-unit",
        f"no two atoms are closer than {measure.shortest:.3g} Å ({measure.symbols}), "
        f"{measure.closest:.2g} times the length of a bond: lengths in bohr? Then multiply "
        "positions and cells by "
        f"{BOHR_IN_ANGSTROM:.6g}, and what else is in atomic units: energies{size} by "
        f"{HARTREE_IN_EV:.6g}, forces by {HARTREE_IN_EV / BOHR_IN_ANGSTROM:.6g}",
        BOHR_IN_ANGSTROM,
    )


def _short(typical: float) -> Doubt:
    if typical < _NM:
        factor, why = 10.0, "lengths in nm, or fractional coordinates? Of nm, multiply by 10"
    else:
        factor = 1.0 / BOHR_IN_ANGSTROM
        why = f"lengths divided by bohr twice? Then multiply them by {factor:.6g}"
    text = f"neighbours are {typical:.2g} times the length of a bond apart: {why}"
    return Doubt("length-unit", text, factor)


def _overlap(row: int, frame: Frame, contact: Contact, many: int, measured: int) -> Doubt:
    atoms = [f"{k + 1} ({chemical_symbols[frame.numbers[k]]})" for k in contact[:2]]
    what = f"atoms {atoms[0]} and {atoms[1]}"
    if contact.first == contact.second:
        what = f"atom {atoms[0]} and its periodic image"
    return Doubt(
        "atoms-twice",
        f"{what} of frame {row + 1} are {contact.distance:.4f} Å apart ({many} of "
        f"{counted(measured, 'frame')} measured {'has' if many == 1 else 'have'} such a pair): one "
        f"atom twice? {MORE_DIGITS[0].upper()}{MORE_DIGITS[1:]}",
    )
