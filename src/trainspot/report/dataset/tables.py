"""The tables of a census, for the page and for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from trainspot.geometry import OVERLAP_FACTOR
from trainspot.report.dataset.census import NO_SPLIT, splits_of
from trainspot.report.dataset.distances import REACH
from trainspot.report.pages.table import NONE, Table
from trainspot.report.quantities import number

if TYPE_CHECKING:
    from trainspot.report.dataset.bins import Histogram
    from trainspot.report.dataset.census import Census

DIMENSIONS: Final = {
    3: "bulk",
    2: "sheet or slab",
    1: "wire or ribbon",
    0: "molecule, cluster or atom",
}
"""What a frame is with so many periodic directions."""


def elements(census: Census) -> Table:
    """Atoms and frames of each element."""
    rows = [
        [symbol, str(atoms), f"{atoms / census.atoms:.1%}", str(frames)]
        for symbol, (atoms, frames) in census.elements.items()
    ]
    return Table("Elements.", ["Element", "Atoms", "Share", "Frames with it"], rows)


def formulae(census: Census, most: int = 20) -> Table:
    """The most frequent chemical formulae."""
    counted = census.formulae.counts()
    rows = [[name, str(count)] for name, count in list(counted.items())[:most]]
    rest = census.frames - sum(int(row[1]) for row in rows)
    if rest:
        rows.append([f"others ({_different(census, most)})", str(rest)])
    return Table("Chemical formulae, the most frequent first.", ["Formula", "Frames"], rows)


def _different(census: Census, most: int) -> str:
    number_left = len(census.formulae) - most
    return f"more than {number_left}" if census.formulae.others else str(number_left)


def dimensions(census: Census) -> Table:
    """Frames by number of periodic directions."""
    rows = [
        [DIMENSIONS[k], str(k), str(census.periodicity[k])]
        for k in sorted(census.periodicity, reverse=True)
    ]
    caption = "Dimensionality: number of directions that are declared periodic."
    return Table(caption, ["Kind", "Periodic directions", "Frames"], rows)


def measures(census: Census) -> Table:
    """Sizes, volumes, densities, energies and forces in a few numbers."""
    energies, relative = census.energies
    rows = [
        _row("atoms in a frame", "", census.sizes, whole=True),
        _row("volume per atom (bulk)", "Å³", census.volume),
        _row("density (bulk)", "g/cm³", census.density),
        _row(f"energy{' relative to isolated atoms' if relative else ''}", "eV/atom", energies),
        _row("force on an atom", "eV/Å", census.forces, logarithmic=True),
        _row("component of the stress", "eV/Å³", census.stress),
    ]
    caption = "Smallest, median and largest value."
    header = ["Quantity", "Unit", "Least", "Median", "Largest", "Values"]
    return Table(caption, header, [row for row in rows if row[-1] != "0"], row_headers=2)


def distances(census: Census) -> Table:
    """Nearest neighbours of each pair of elements."""
    rows = []
    for pair, histogram in census.distances.histograms().items():
        low = number(histogram.quantile(0.01))
        rows.append([pair, number(histogram.least), low, *_middle(histogram), str(histogram.count)])
    caption = (
        "Distance (Å) from an atom of one element of a pair to the nearest atom of the other, "
        f"periodic images included, up to {REACH:g} Å: shortest, first percentile, median and "
        "largest distance, and the number of atoms that have such a neighbour."
    )
    return Table(
        caption, ["Pair", "Shortest", "1st percentile", "Median", "Largest", "Atoms"], rows
    )


def overlaps(census: Census) -> list[str]:
    """Pairs that are closer than the screen of trainspot allows, in words."""
    contacts = []
    for pair, histogram in census.distances.histograms().items():
        radii = [covalent_radii[atomic_numbers[symbol]] for symbol in pair.split("–")]
        limit = OVERLAP_FACTOR * float(np.sum(radii))
        if histogram.least < limit:
            contacts.append(
                f"{pair} {number(histogram.least)} Å, less than {number(limit)} Å "
                f"({OVERLAP_FACTOR:g} times the sum of the covalent radii)"
            )
    return contacts


def theories(census: Census) -> Table:
    """Labelled frames by level of theory."""
    rows = [[name or "not named", str(n)] for name, n in census.theories.counts().items()]
    if census.theories.others:
        rows.append(["others", str(census.theories.others)])
    return Table("Labelled frames by level of theory.", ["Level of theory", "Frames"], rows)


def labels(census: Census) -> Table:
    """Number of frames with each label."""
    rows = [
        [name, str(count), f"{count / census.frames:.1%}"] for name, count in census.labels.items()
    ]
    return Table("Labels.", ["Label", "Frames", "Share"], rows)


def atom_energies(census: Census) -> Table:
    """Energies of the isolated atoms."""
    rows = [
        [chemical_symbols[z], theory or "not named", f"{energy:.4f}"]
        for theory, energies in sorted(census.atom_energies.items())
        for z, energy in sorted(energies.items())
    ]
    caption = "Energies (eV) of the isolated atoms."
    return Table(caption, ["Element", "Level of theory", "Energy"], rows, row_headers=2)


def strategies(census: Census) -> Table:
    """Frames by strategy and split."""
    present = splits_of(census.strategies)
    rows = [
        [name or "not named", *(str(row.get(s, 0)) for s in present), str(sum(row.values()))]
        for name, row in census.strategies.items()
    ]
    if len(rows) > 1:
        sums = [sum(row.get(s, 0) for row in census.strategies.values()) for s in present]
        rows.append(["all", *map(str, sums), str(sum(sums))])
    header = ["Strategy", *("no split" if s == NO_SPLIT else s for s in present), "all"]
    return Table("Frames by strategy and split.", header, rows)


def refusals(census: Census) -> Table:
    """Frames that the augmentation refused, by step of the plan and reason."""
    record = census.record
    by_step = record.by_step if record else {}
    reasons = sorted({reason for counts in by_step.values() for reason in counts})
    rows = [
        [label, *(str(counts.get(reason, 0)) for reason in reasons), str(sum(counts.values()))]
        for label, counts in by_step.items()
    ]
    caption = (
        "Frames that the augmentation made and refused, by step of the plan (kind and position) "
        "and reason."
    )
    return Table(caption, ["Step", *reasons, "all"], rows)


def _row(
    name: str, unit: str, histogram: Histogram, *, logarithmic: bool = False, whole: bool = False
) -> list[str]:
    if not histogram.count:
        return [name, unit, NONE, NONE, NONE, "0"]
    values = [histogram.least, histogram.quantile(0.5), histogram.largest]
    shown = [
        f"{value:.0f}" if whole else number(10.0**value if logarithmic else value)
        for value in values
    ]
    return [name, unit, *shown, str(histogram.count)]


def _middle(histogram: Histogram) -> list[str]:
    return [number(histogram.quantile(0.5)), number(histogram.largest)]
