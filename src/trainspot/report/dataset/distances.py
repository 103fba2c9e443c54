"""Distances between neighbours, for each pair of elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import chemical_symbols

from trainspot.geometry import pairs_within
from trainspot.report.dataset.bins import Histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainspot.data.frames import Frame

REACH: Final = 5.0
"""Å; neighbours farther away are not looked for."""

_WIDTH: Final = 0.01  # Å


class Distances:
    """Distances of each A to the nearest B and of each B to the nearest A, for elements A and B.

    Periodic images count, also those of the atom itself. Atoms without such a neighbour within
    ``REACH`` do not count.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._histograms: dict[tuple[int, int], Histogram] = {}
        self.frames = 0

    def add(self, frames: list[Frame]) -> None:
        """Count the distances of some frames, Å."""
        collected: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
        for frame in frames:
            self.frames += 1
            for pair, values in nearest_by_pair(frame, REACH).items():
                collected.setdefault(pair, []).append(values)
        for pair, several in collected.items():
            if pair not in self._histograms:
                self._histograms[pair] = Histogram(_WIDTH)
            self._histograms[pair].add(np.concatenate(several))

    def histograms(self) -> dict[str, Histogram]:
        """By pair, ``Mo–Te``, in the order of atomic numbers."""
        return {
            f"{chemical_symbols[a]}–{chemical_symbols[b]}": histogram
            for (a, b), histogram in sorted(self._histograms.items())
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {
            "frames": self.frames,
            "reach": REACH,
            "pairs": {name: histogram.to_dict() for name, histogram in self.histograms().items()},
        }


def nearest_by_pair(frame: Frame, reach: float) -> dict[tuple[int, int], NDArray[np.float64]]:
    """Distances to the nearest neighbour of each element, Å.

    Args:
        frame: The structure.
        reach: Largest distance, Å.

    Returns:
        For atomic numbers a ≤ b: one distance for each atom of a with a b within reach and, if a
        and b differ, for each atom of b with an a within reach.
    """
    elements, kinds = np.unique(frame.numbers, return_inverse=True)
    pairs = pairs_within(frame, reach)
    nearest = np.full((len(frame), len(elements)), np.inf)
    np.minimum.at(nearest, (pairs.first, kinds[pairs.second]), pairs.distances)
    np.minimum.at(nearest, (pairs.second, kinds[pairs.first]), pairs.distances)
    distances = {}
    for i, a in enumerate(elements.tolist()):
        for j in range(i, len(elements)):
            both = [nearest[kinds == i, j]] + ([nearest[kinds == j, i]] if i != j else [])
            values = np.concatenate(both)
            values = values[np.isfinite(values)]
            if len(values):
                distances[a, int(elements[j])] = values
    return distances
