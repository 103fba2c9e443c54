"""``doubts``: labels and lengths that cannot be in eV and Å, or energies with different zeros.

This package changes no values. A doubt describes the problem, and the factor that would solve it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainspot.common.seeds import generator
from trainspot.plausibility.doubt import Doubt
from trainspot.plausibility.lengths import distances
from trainspot.plausibility.pairs import collected, drawn
from trainspot.plausibility.sizes import energies, measured, stresses
from trainspot.plausibility.slopes import fitted
from trainspot.plausibility.together import contradictions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.dataset import Dataset

__all__ = ["Doubt", "doubts"]


def doubts(
    dataset: Dataset, *, seed: int = 0, atoms: Mapping[int, float] | None = None
) -> list[Doubt]:
    """Doubts about a dataset, the most certain first.

    Energies and stresses of all frames are read once, piece by piece. Distances and differences
    between frames are measured in a few hundred frames, a random sample of larger datasets.

    Args:
        dataset: Dataset in memory, or opened lazily.
        seed: Seed of the random sample.
        atoms: Energies of isolated atoms by atomic number, eV; they replace those in the dataset.
    """
    if not len(dataset):
        return []
    rng = generator(seed, "plausibility")
    slopes = fitted(collected(dataset, drawn(dataset, rng)))
    sizes = measured(dataset, atoms)
    per_atom = sizes.energy[~np.isnan(sizes.energy)]
    energy = float(np.median(per_atom)) if len(per_atom) else None
    return [
        *contradictions(slopes),
        *energies(sizes),
        *stresses(sizes, slopes.stress),
        *distances(dataset, energy, rng),
    ]
