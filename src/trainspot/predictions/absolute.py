"""Mean and 95th percentile of absolute errors, which a few bad frames do not dominate.

A root mean square error squares the errors, so in a small test set a few frames decide it. Both
figures here are of the absolute errors of single components of the committee mean: of the energy
per atom, of each force component, and of each stress component inside the periodic space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from trainspot.common.properties import PROPERTIES
from trainspot.data.dataset import Dataset
from trainspot.predictions import statistics as stats
from trainspot.predictions.predictions import Predictions
from trainspot.predictions.statistics import Array

SHARE: Final = 0.95

_PER_DECADE: Final = 240  # bins; neighbours differ by 1 %
_EDGES: Final = np.logspace(-9, 5, 14 * _PER_DECADE + 1)


@dataclass(frozen=True)
class Absolute:
    """Absolute errors of a property; eV/atom, eV/Å or eV/Å³.

    Attributes:
        mae: Mean.
        p95: 95 % of them are smaller, to 1 %.
    """

    mae: float
    p95: float


@dataclass(frozen=True, eq=False)
class AbsoluteSum:
    """Sums from which ``Absolute`` follows; the sums of chunks add up.

    Attributes:
        total: Σ |x̄ - x_ref| of each property.
        count: Number of terms of each property.
        bins: Number of terms in each logarithmic bin of each property.
    """

    total: dict[str, float]
    count: dict[str, float]
    bins: dict[str, Array]

    @classmethod
    def of(cls, predictions: Predictions, dataset: Dataset) -> AbsoluteSum:
        """The sums over the labelled frames with finite predictions.

        Args:
            predictions: Of one or more members; the mean over the members counts.
            dataset: Labels of all the frames, in any order.
        """
        frames = dataset.select(predictions.ids)
        has, finite = predictions.referenced(dataset), predictions.is_finite
        rows = {name: has[name] & finite for name in PROPERTIES}
        atoms = np.repeat(rows["forces"], predictions.n_atoms)
        mean = [
            values.mean(axis=0, dtype=np.float64)
            for values in (predictions.energy, predictions.forces, predictions.stress)
        ]
        stress = stats.inside(mean[2] - frames.column("stress"), predictions.projector)
        off = {
            "energy": ((mean[0] - frames.column("energy")) / predictions.n_atoms)[rows["energy"]],
            "forces": (mean[1] - frames.column("forces"))[atoms].ravel(),
            "stress": stress[rows["stress"]].ravel(),
        }
        count = {name: float(values.size) for name, values in off.items()}
        count["stress"] = float(stats.stress_dimension(predictions.projector)[rows["stress"]].sum())
        # A slab has zeros outside its plane, which are no components of its stress.
        zeros = int(off["stress"].size - count["stress"])
        bins = {name: _binned(np.abs(values)) for name, values in off.items()}
        bins["stress"][0] -= zeros
        return cls({name: float(np.abs(v).sum()) for name, v in off.items()}, count, bins)

    def __add__(self, other: AbsoluteSum) -> AbsoluteSum:
        """The sums of both."""
        return AbsoluteSum(
            {name: self.total[name] + other.total[name] for name in PROPERTIES},
            {name: self.count[name] + other.count[name] for name in PROPERTIES},
            {name: self.bins[name] + other.bins[name] for name in PROPERTIES},
        )

    def errors(self) -> dict[str, Absolute]:
        """Mean and percentile of each property with at least one term."""
        return {
            name: Absolute(self.total[name] / self.count[name], _quantile(self.bins[name]))
            for name in PROPERTIES
            if self.count[name] > 0
        }


def absolute_errors(predictions: Predictions, dataset: Dataset) -> dict[str, Absolute]:
    """Absolute errors of the committee mean over all labelled frames, by property."""
    return AbsoluteSum.of(predictions, dataset).errors()


def _binned(values: Array) -> Array:
    places = np.searchsorted(_EDGES, values)
    return np.bincount(places, minlength=len(_EDGES) + 1).astype(np.float64)


def _quantile(bins: Array) -> float:
    """The middle of the bin that the quantile is in; 0 for the first bin, of rounding."""
    place = int(np.searchsorted(np.cumsum(bins), SHARE * bins.sum() - 1e-9))
    if place == 0:
        return 0.0
    return float(np.sqrt(_EDGES[place - 1] * _EDGES[min(place, len(_EDGES) - 1)]))
