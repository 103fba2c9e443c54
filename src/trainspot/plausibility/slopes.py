"""Consistency of energies, forces and stresses: slopes that should be 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainspot.plausibility.pairs import Pairs

    Floats = NDArray[np.float64]

_FEWEST: Final = 6  # fewest pairs, and frames in these pairs, for a slope
_BLOCKS: Final = 10  # blocks of frames; the jackknife leaves out one at a time
_SURE: Final = 4.0  # standard errors
_EXPLAINED: Final = 0.5  # largest residual of a fit, as a share of the energy differences
_AGREES: Final = (0.6, 1.65)  # a slope of 1 with the error of finite steps between frames


@dataclass(frozen=True)
class Slope:
    """The factor by which a label agrees with the energies, from a fit to pairs of frames.

    Attributes:
        value: 1 for consistent labels; otherwise a factor between units, or -1.
        error: Standard error of the value.
        explained: Whether the labels times this factor explain the energies at all.
    """

    value: float
    error: float
    explained: bool

    @property
    def is_significant(self) -> bool:
        """Whether the value is more than noise."""
        return self.explained and abs(self.value) > _SURE * self.error

    @property
    def agrees(self) -> bool:
        """Whether the label is consistent with the energies."""
        return self.is_significant and _AGREES[0] < self.value < _AGREES[1]

    @property
    def contradicts(self) -> bool:
        """Whether the label contradicts the energies."""
        return (
            self.is_significant and not self.agrees and abs(self.value - 1.0) > _SURE * self.error
        )

    @property
    def excludes(self) -> bool:
        """Whether the label cannot be consistent with the energies, for whatever reason."""
        most = abs(self.value) + _SURE * self.error
        return self.explained and (self.contradicts or most < _AGREES[0])


@dataclass(frozen=True)
class Slopes:
    """Both slopes, and the number of pairs behind them.

    Attributes:
        pairs: Pairs of frames.
        forces: ΔE over -Σ F·Δr; ``None`` if the frames do not determine it.
        stress: ΔE over V σ:ε; ``None`` if the frames do not determine it.
        virial: The same if the stress is in fact a virial.
        per_atom: Whether all labels would agree if the energies were per atom.
    """

    pairs: int
    forces: Slope | None = None
    stress: Slope | None = None
    virial: Slope | None = None
    per_atom: bool = False


def fitted(pairs: Pairs) -> Slopes:
    """The slopes of all pairs with stress, or of the pairs without if there are no others."""
    usable = pairs.take(~np.isnan(pairs.strain))
    if not _enough(usable):
        usable = _one_group(pairs.take(np.isnan(pairs.strain)))
        if not _enough(usable) or len(usable) < 2 * usable.features.shape[1]:
            return Slopes(0)
    has_stress = not np.isnan(usable.strain).any()
    forces, stress = _fit(usable, usable.strain if has_stress else None)
    per_atom = False
    if any(slope and slope.contradicts for slope in (forces, stress)):
        again = _fit(usable, usable.strain if has_stress else None, usable.atoms)
        significant = [slope for slope in again if slope and slope.is_significant]
        per_atom = bool(significant) and all(slope.agrees for slope in significant)
    virial = _fit(usable, usable.virial)[1] if stress and not stress.agrees else None
    return Slopes(len(usable), forces, stress, virial, per_atom)


def _enough(pairs: Pairs) -> bool:
    return len(pairs) >= _FEWEST and len(np.unique(pairs.frames)) >= _FEWEST


def _one_group(pairs: Pairs) -> Pairs:
    """The pairs of the largest group: without stress the effect of strain differs by group."""
    if not len(pairs):
        return pairs
    names, counts = np.unique(pairs.group, return_counts=True)
    return pairs.take(pairs.group == names[counts.argmax()])


def _fit(
    pairs: Pairs, strain: Floats | None, times: NDArray[np.int64] | None = None
) -> tuple[Slope | None, Slope | None]:
    """Slopes of forces and stress, by least absolute deviations with errors by jackknife.

    Pairs whose ends disagree have a smaller weight. A term with the square of the step corrects the
    work of distant pairs, so that the slope is that of close pairs.
    """
    energy = pairs.energy * (1 if times is None else times)
    columns = [pairs.work, pairs.work * pairs.step**2]
    weights = 0.1 + (pairs.bend[:, 0] / _middle(pairs.bend[:, 0])) ** 2
    if strain is None:
        spread = np.abs(pairs.features).max(axis=0)
        columns += list((pairs.features[:, spread > 0] / spread[spread > 0]).T)
    else:
        columns.append(strain)
        weights += (pairs.bend[:, 1] / _middle(pairs.bend[:, 1])) ** 2
    table = np.stack(columns, axis=1)
    present = np.abs(table).max(axis=0) > _NOTHING
    if not present.any() or not np.abs(energy).max() > _NOTHING:
        return None, None
    full = np.zeros(table.shape[1])
    full[present] = _line(table[:, present], energy, 1.0 / weights)
    left_out = _jackknife(table[:, present], energy, 1.0 / weights, pairs.frames)
    errors = np.zeros(table.shape[1])
    errors[present] = np.sqrt(np.square(left_out - full[present]).sum(axis=0) * (1 - 1 / _BLOCKS))
    rest = np.abs(energy - table @ full) / weights
    explained = float(rest.sum() / (np.abs(energy) / weights).sum()) < _EXPLAINED
    slopes = [
        Slope(float(full[k]), float(errors[k]), explained) if present[k] else None
        for k in (0, *([] if strain is None else [2]))
    ]
    return slopes[0], slopes[1] if len(slopes) > 1 else None


_NOTHING: Final = 1e-12  # eV


def _middle(values: Floats) -> float:
    return max(float(np.median(values)), _NOTHING)


def _line(table: Floats, energy: Floats, weights: Floats) -> Floats:
    """Least absolute deviations by iteratively reweighted least squares."""
    scale = np.abs(table).max(axis=0)
    table = table / scale
    floor = 1e-2 * float(np.abs(energy).mean()) + _NOTHING
    again = weights
    for _ in range(20):
        root = np.sqrt(again)
        coefficients = np.linalg.lstsq(table * root[:, None], energy * root, rcond=None)[0]
        again = weights / (np.abs(energy - table @ coefficients) + floor)
    return np.asarray(coefficients / scale)


def _jackknife(table: Floats, energy: Floats, weights: Floats, frames: NDArray[np.int64]) -> Floats:
    """The fit without each block of frames, (blocks, columns)."""
    names = np.unique(frames)
    place = np.searchsorted(names, frames)
    fits = []
    for block in range(_BLOCKS):
        rows = (place % _BLOCKS != block).all(axis=1)
        scale = np.abs(table[rows]).max(axis=0, initial=0.0)
        if rows.sum() > table.shape[1] and np.all(scale > 0):
            fits.append(_line(table[rows], energy[rows], weights[rows]))
    if len(fits) < 3:
        return np.full((1, table.shape[1]), np.inf)
    return np.array(fits)
