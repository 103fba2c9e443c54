"""The share of the errors of single atoms that their error bars cover.

The error and the disagreement of a frame are averages over its atoms. The scale of frames therefore
covers another share of the errors of single atoms, which have a scale of their own, see
``judge.bars``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.data.refused import not_held_out
from trainspot.judge.bars import NEGLIGIBLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset
    from trainspot.judge.scoring import Rates
    from trainspot.predictions.calibration import Calibration
    from trainspot.predictions.predictions import Predictions
    from trainspot.predictions.statistics import Array

_Z: Final = 1.959964  # of a normal distribution, 95 % in the middle


@dataclass(frozen=True, eq=False)
class AtomPairs:
    """Disagreement and error of the force on each atom of some frames, eV/Å.

    Attributes:
        delta: Root mean square over the three components of the spread of the members, (A,).
        error: The same of the error of the committee mean, (A,).
        frame: Index of the frame of each atom, (A,), ascending.
    """

    delta: Array
    error: Array
    frame: NDArray[np.int64]

    def usable(self, tolerance: float) -> AtomPairs:
        """The pairs without the atoms whose Δ or e is zero by symmetry, as for frames.

        Args:
            tolerance: ε of the forces.
        """
        least = NEGLIGIBLE * tolerance
        kept = (self.delta > least) & (self.error > least)
        return AtomPairs(self.delta[kept], self.error[kept], self.frame[kept])


def collect_atoms(
    dataset: Dataset, predictions: Predictions, trained: Collection[str] | None = None
) -> AtomPairs:
    """Δ and e of the atoms of labelled, evaluated frames outside the training set.

    Frames with a prediction that is not finite are left out.

    Args:
        dataset: Labelled frames; those that the predictions lack are left out.
        predictions: Of one committee, at least two members.
        trained: See ``judge.pairs.collect_pairs``.
    """
    labelled = dataset.labelled()
    training = set(not_held_out(labelled) if trained is None else trained)
    finite = predictions.is_finite.tolist()
    held_out = {i for i, good in zip(predictions.ids, finite, strict=True) if good} - training
    chosen = labelled.select(dict.fromkeys(i for i in labelled.ids if i in held_out))
    mine = predictions.select(chosen.ids)
    off = mine.forces.mean(axis=0, dtype=np.float64) - chosen.column("forces")
    frame = np.repeat(np.arange(len(chosen)), chosen.n_atoms)
    return AtomPairs(mine.atom_disagreement(), np.sqrt(np.mean(off**2, axis=1)), frame)


def with_atom_coverage(
    rates: Mapping[str, Rates],
    calibrations: Mapping[str, Calibration],
    dataset: Dataset,
    predictions: Predictions,
) -> dict[str, Rates]:
    """The rates; those of the forces get the share of atoms with e ≤ ``atom_sigma`` · Δ.

    Args:
        rates: Of each property.
        calibrations: The calibrations that judged the frames.
        dataset: The frames, which have labels now.
        predictions: The predictions that the judgement used.
    """
    calibration = calibrations.get("forces")
    if calibration is None or calibration.atom_sigma is None or "forces" not in rates:
        return dict(rates)
    pairs = collect_atoms(dataset, predictions, trained=()).usable(calibration.tolerance)
    if not len(pairs.delta):
        return dict(rates)
    covered = pairs.error <= calibration.atom_sigma * pairs.delta
    scored = replace(
        rates["forces"],
        atom_coverage=float(np.mean(covered)),
        atom_coverage_interval=_interval(covered, pairs.frame),
        atoms=len(covered),
    )
    if calibration.atom_bar_90 is not None:
        inside = pairs.error <= calibration.atom_bar_90 * pairs.delta
        scored = replace(
            scored,
            atom_within_90=float(np.mean(inside)),
            atom_within_90_interval=_interval(inside, pairs.frame),
        )
    return {**rates, "forces": scored}


def _interval(covered: NDArray[np.bool_], frame: NDArray[np.int64]) -> tuple[float, float] | None:
    """95 % interval of a share of atoms, whose errors correlate within a frame.

    The share is a ratio of two sums over frames and has the variance of such a ratio (W. G.
    Cochran, Sampling Techniques, 3rd ed., Wiley 1977, section 2.11). ``None`` for a single frame.
    """
    sizes = np.bincount(frame)
    hits = np.bincount(frame, weights=covered)
    kept = sizes > 0
    n = int(kept.sum())
    if n < 2:
        return None
    share = float(np.mean(covered))
    off = hits[kept] - share * sizes[kept]
    width = _Z * float(np.sqrt(n / (n - 1) * np.sum(off**2))) / len(covered)
    return max(0.0, share - width), min(1.0, share + width)
